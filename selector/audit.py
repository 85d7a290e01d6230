"""A stated claim recomputed: reproduces, does not, or cannot be decided and which fact is missing. The formulas know kinds, not authors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Any, Final

from facts.errors import InputError
from selector.agreement import agrees, slip_of
from selector.catalog import Catalog
from selector.claims import (
    Bound,
    Claim,
    ClaimKind,
)
from selector.recompute import RECOMPUTE, USUAL_STATED, Work
from selector.spans import span_text, text


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
    """One claim recomputed."""
    work = Work(claim=claim, book=catalog.prices)
    try:
        RECOMPUTE[claim.kind](work)
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(claim.id) else f"{claim.id}: {error}") from None
    verdict = _judged(work)
    stated = tuple(Figure(key=key, low=span.low, high=span.high, bound=span.bound) for key, span in claim.stated.items())
    return AuditResult(
        id=claim.id,
        kind=claim.kind,
        quote=claim.quote,
        source=claim.source,
        verdict=verdict,
        stated=stated,
        recomputed=tuple(Figure(key=key, low=low, high=high) for key, (low, high) in work.shown().items()),
        arithmetic="; ".join(work.words) or "nothing can be computed from what is given",
        missing=tuple(dict.fromkeys(work.missing)) if verdict is AuditVerdict.UNDECIDABLE else (),
    )


def audit_json(result: AuditResult) -> dict[str, Any]:
    """{id, verdict, stated, recomputed, arithmetic, missing}: one figure is a number or [low, high], several stand under their keys."""
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
_NEEDED: Final = {
    "stated_usd_per_request": "requests_per_day",
    "stated_usd": "tokens",
    "stated_usd_per_mtok": "usd_per_mtok",
    "stated_ratio_per_year": "years",
    "stated_saving_share": "numerator",
}
"""What a stated figure lacks where the rest of the claim could be recomputed."""


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
        fits = work.compare(key, stated, (low, high)) if work.compare else agrees(stated, low, high, rough=claim.rough)
        if fits:
            continue
        work.fail(f"stated {span_text(stated, key)}, recomputed {text((low, high), key)}")
        slip = slip_of(key, stated, low, high)
        if slip:
            work.say(slip)
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
    low, high = (end if isfinite(end) else None for end in (figure.low, figure.high))
    return low if figure.low == figure.high else [low, high]
