"""A stated claim recomputed: reproduces, does not, or cannot be decided and which fact is missing. The formulas know kinds, not authors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Any, Final

from facts.errors import InputError
from selector.agreement import ROUGH_SHARE, agrees, next_to, slip_of
from selector.catalog import Catalog
from selector.claims import Bound, Claim, ClaimKind, Unreadable
from selector.recompute import OTHERS, RECOMPUTE, USUAL, USUAL_STATED, Calendar, Work
from selector.spans import Pair, ends_of, scaled, span_text, text


class AuditVerdict(StrEnum):
    """What recomputing shows."""

    REPRODUCES = "reproduces"
    DOES_NOT = "does_not"
    UNDECIDABLE = "undecidable"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure, stated or recomputed.

    key: which, with its unit
    low, high: the number, twice where it is no range; infinite for "never"
    bound: whether it is the value, at most or at least
    """

    key: str
    low: float
    high: float
    bound: Bound = Bound.EXACT


@dataclass(frozen=True, kw_only=True)
class AuditResult:
    """A claim, recomputed.

    id, kind, quote, source: of the claim
    verdict: reproduces, does not, or undecidable
    stated: the figures that the claim states
    recomputed: the same figures from the claim's own facts; for a rent USD per GPU and hour, for a speed tokens per second
    arithmetic: how, in words with the numbers
    missing: keys of the facts without which it cannot be decided
    """

    id: str
    kind: ClaimKind
    quote: str
    source: str
    verdict: AuditVerdict
    stated: tuple[Figure, ...]
    recomputed: tuple[Figure, ...]
    arithmetic: str
    missing: tuple[str, ...]


def audit_claims(claims: Iterable[Claim], catalog: Catalog) -> tuple[AuditResult, ...]:
    """Every claim recomputed, in order; prices and rents are those of the catalogue's day."""
    return tuple(audit_claim(claim, catalog) for claim in claims)


def audit_claim(claim: Claim, catalog: Catalog) -> AuditResult:
    """One claim recomputed; a figure that is right in another calendar than months of 365/12 days is right."""
    work, verdict = _worked(claim, catalog, USUAL)
    for calendar in OTHERS if verdict is AuditVerdict.DOES_NOT and not work.impossible else ():
        other, found = _worked(claim, catalog, calendar)
        if found is AuditVerdict.REPRODUCES:
            other.say(calendar.words)
            work, verdict = other, found
            break
    return AuditResult(
        id=claim.id,
        kind=claim.kind,
        quote=claim.quote,
        source=claim.source,
        verdict=verdict,
        stated=tuple(_figure(claim, key, ends_of(span), span.bound) for key, span in claim.stated.items()),
        recomputed=tuple(_figure(claim, key, pair) for key, pair in work.shown().items()),
        arithmetic="; ".join(work.words) or "nothing can be computed from what is given",
        missing=tuple(dict.fromkeys(claim.named(key) for key in work.missing)) if verdict is AuditVerdict.UNDECIDABLE else (),
    )


def audit_each(claims: Iterable[Claim | Unreadable], catalog: Catalog) -> tuple[tuple[AuditResult | Unreadable, ...], str]:
    """Every claim recomputed, in order, and the first reason why one could not be, or "": a wrong claim does not silence the others."""
    results: list[AuditResult | Unreadable] = []
    for claim in claims:
        if isinstance(claim, Unreadable):
            results.append(claim)
            continue
        try:
            results.append(audit_claim(claim, catalog))
        except InputError as error:
            results.append(Unreadable(id=claim.id, because=str(error)))
    wrong = [one for one in results if isinstance(one, Unreadable)]
    if not wrong:
        return tuple(results), ""
    many = f"{len(wrong)} of {len(results)} claims cannot be read; the first: " if len(wrong) > 1 else ""
    return tuple(results), many + wrong[0].because


def audit_json(result: AuditResult | Unreadable) -> dict[str, Any]:
    """{id, verdict, stated, recomputed, arithmetic, missing}: one figure is a number or [low, high], several stand under their keys.

    A claim that cannot be read is undecidable, and why stands where the arithmetic would.
    """
    if isinstance(result, Unreadable):
        return {
            "id": result.id,
            "verdict": AuditVerdict.UNDECIDABLE.value,
            "stated": None,
            "recomputed": None,
            "arithmetic": result.because,
            "missing": [],
        }
    return {
        "id": result.id,
        "verdict": result.verdict.value,
        "stated": _figures_json(result.stated),
        "recomputed": _figures_json(result.recomputed),
        "arithmetic": result.arithmetic,
        "missing": list(result.missing),
    }


# ---- below: how ----


_STATED_AS_FACTS: Final = (ClaimKind.IMPLIED_RENT, ClaimKind.IMPLIED_SPEED)
"""Kinds whose stated figures are also what the others are recomputed from."""
POINTS_OFF: Final = 0.05 + 1e-9
"""Of a share, however few its digits: 80 % is not 90 %."""
_NEEDED: Final = {
    "stated_usd_per_request": "requests_per_day",
    "stated_usd": "tokens",
    "stated_usd_per_mtok": "usd_per_mtok",
    "stated_ratio_per_year": "years",
    "stated_saving_share": "numerator",
}
"""What a stated figure lacks where the rest of the claim could be recomputed."""


def _worked(claim: Claim, catalog: Catalog, calendar: Calendar) -> tuple[Work, AuditVerdict]:
    work = Work(claim=claim, book=catalog.prices, calendar=calendar)
    try:
        RECOMPUTE[claim.kind](work)
        work.impossible = work.failed
        return work, _judged(work)
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(claim.id) else f"{claim.id}: {error}") from None


def _figure(claim: Claim, key: str, pair: Pair, bound: Bound = Bound.EXACT) -> Figure:
    """A figure in the unit in which the claim states it."""
    span = claim.stated.get(key)
    if span is None or span.factor == 1.0:
        return Figure(key=key, low=pair[0], high=pair[1], bound=bound)
    low, high = ends_of(span.as_given) if pair == ends_of(span) else scaled(pair, 1.0 / span.factor)
    return Figure(key=span.given or key, low=low, high=high, bound=bound)


def _judged(work: Work) -> AuditVerdict:
    claim, compared = work.claim, 0
    undecided = not claim.stated and not work.settled
    for key, stated in claim.stated.items():
        if key not in work.values:
            if claim.kind not in _STATED_AS_FACTS and not work.missing:
                work.missing.append(_NEEDED.get(key, USUAL_STATED[claim.kind]))
            continue
        compared += 1
        low, high = work.values[key]
        given, recomputed = stated.as_given, scaled((low, high), 1.0 / stated.factor)
        fits = work.compare(key, stated, (low, high)) if work.compare else agrees(given, *recomputed, rough=claim.rough)
        fits = fits or (work.compare is None and next_to(given, *recomputed))
        if key.endswith("_share") and stated.single and stated.bound is Bound.EXACT:
            fits = fits and max(abs(low - stated.low), abs(high - stated.low)) <= max(POINTS_OFF, ROUGH_SHARE * claim.rough * stated.low)
        if fits:
            continue
        named = stated.given or key
        work.fail(f"stated {span_text(given, named)}, recomputed {text(recomputed, named)}")
        slip = slip_of(named, given, *recomputed)
        if slip:
            work.say(slip)
    if work.contradictory:
        return AuditVerdict.UNDECIDABLE
    if work.failed:
        return AuditVerdict.DOES_NOT
    if work.missing or undecided or (not compared and not work.settled):
        if (not claim.stated and not work.settled) or not work.missing:
            work.missing.append(USUAL_STATED[claim.kind])
        return AuditVerdict.UNDECIDABLE
    return AuditVerdict.REPRODUCES


def _figures_json(figures: Sequence[Figure]) -> Any:
    if not figures:
        return None
    if len(figures) == 1:
        return _figure_json(figures[0])
    return {figure.key: _figure_json(figure) for figure in figures}


def _figure_json(figure: Figure) -> Any:
    # The twelve digits that are certain: 11999.999999999998 is 12000 to a reader and to a comparison.
    low, high = (float(f"{end:.12g}") if isfinite(end) else None for end in (figure.low, figure.high))
    return low if figure.low == figure.high else [low, high]
