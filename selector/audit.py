"""A stated claim recomputed: reproduces, does not, or cannot be decided and which fact is missing. The formulas know kinds, not authors.

A recomputed figure agrees with a stated one within the rounding of the stated figure's own digits: half a unit of its last digit that is
not a trailing zero, or a unit above where it was cut off; one digit alone stands for 15 % at least; a figure marked as rough (~, about,
roughly) for 10 % at least. A range agrees when it holds the recomputed one and neither end is more than twice away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from math import isfinite
from typing import Any, Final, TypeAlias, cast

from capacity.memory import CONTEXT_BYTES_PER_DEVICE, kv_cache_bytes
from capacity.memory import weights_bytes as catalogued_weights_bytes
from capacity.models import ModelSpec, find_model, models
from capacity.models import quantization as quantization_named
from facts.errors import InputError
from facts.records import nearest
from facts.units import (
    BYTES_PER_GB,
    BYTES_PER_GIB,
    DAYS_PER_MONTH,
    DAYS_PER_YEAR,
    HOURS_PER_DAY,
    HOURS_PER_MONTH,
    MONTHS_PER_YEAR,
    MS_PER_S,
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
    TOKENS_PER_MTOK,
)
from pricing.assumptions import register
from pricing.prices import PriceBook
from selector.catalog import Catalog
from selector.claims import (
    Bound,
    Claim,
    ClaimKind,
    CostClaim,
    LatencyClaim,
    MemoryClaim,
    PaybackClaim,
    RatioClaim,
    RentClaim,
    SavingClaim,
    Span,
    SpeedClaim,
)
from selector.limits import (
    FEWEST_BITS,
    cheapest_rent,
    device_named,
    devices_holding,
    fastest_device,
    fastest_tokens_per_s,
    weights_gb,
)
from selector.scenarios import Scenario

ROUGH_SHARE: Final = 0.10
ONE_DIGIT_SHARE: Final = 0.15
WIDER_THAN: Final = 2.0
"""A stated range whose end is more than this factor beyond the recomputed one claims more than its numbers give."""
MEMORY_OVER: Final = 1.5
"""Memory that a model is said to need is believed up to this many times its weights and cache."""
RUNTIME_GB: Final = CONTEXT_BYTES_PER_DEVICE / BYTES_PER_GB
LISTED_INPUT_TOKENS: Final = 1_000.0
"""Prompt for which list prices with tiers are read."""


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
    work = _Work(claim=claim, book=catalog.prices)
    _RECOMPUTE[claim.kind](work)
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


def agrees(stated: Span, low: float, high: float, *, rough: bool = False) -> bool:
    """Whether a recomputed figure (or range) agrees with a stated one, by the rule at the head of this file."""
    if stated.bound is Bound.AT_MOST:
        return high <= stated.high * (1.0 + 1e-9)
    if stated.bound is Bound.AT_LEAST:
        return low >= stated.low * (1.0 - 1e-9)
    if not (isfinite(low) and isfinite(high)):
        return False
    below, _ = rounding(stated.low, rough=rough)
    _, above = rounding(stated.high, rough=rough)
    if low < stated.low - below or high > stated.high + above:
        return False
    if low == high:
        return True
    return (low <= stated.low * WIDER_THAN or low <= stated.low + above) and (high * WIDER_THAN >= stated.high)


def rounding(stated: float, *, rough: bool = False) -> tuple[float, float]:
    """How far below and above a stated figure its own digits reach. 28 reaches 0.5 down and 1 up: 28.85 was cut off."""
    if stated == 0.0:
        return 1e-9, 1e-9
    digits = Decimal(repr(float(stated))).normalize()
    unit = float(Decimal(1).scaleb(int(digits.as_tuple().exponent)))
    exact = abs(stated) * 1e-9
    if len(digits.as_tuple().digits) == 1:
        half = min(unit / 2.0, ONE_DIGIT_SHARE * stated) if unit > 1.0 or stated < 1.0 else unit / 2.0
        below = above = max(half, ONE_DIGIT_SHARE * stated)
    else:
        below, above = unit / 2.0, unit
    least = ROUGH_SHARE * stated if rough else exact
    return max(below, least) + exact, max(above, least) + exact


# ---- alarms: the same checks on the user's own inputs ----


def input_alarms(scenario: Scenario, catalog: Catalog) -> tuple[str, ...]:
    """What in the user's own prices and assumptions looks like a slip of a unit or a period, as sentences."""
    found = (*period_alarms(scenario), *price_alarms(scenario, catalog.prices))
    own = scenario.prices.gpu_usd_per_hour
    return (*found, *((alarm,) if own is not None and (alarm := rent_alarm(own, catalog.prices)) else ()))


def rent_alarm(usd_per_gpu_hour: float, book: PriceBook, *, device_id: str | None = None) -> str:
    """A rent below the cheapest listed one, or one that looks like a month's; '' where it can be right."""
    cheapest = cheapest_rent(book, devices=None if device_id is None else [device_id])
    if cheapest is None:
        return ""
    what = "GPU" if device_id is None else device_id
    if usd_per_gpu_hour < cheapest.usd_per_gpu_hour:
        return (
            f"{usd_per_gpu_hour:g} USD an hour is below the cheapest on-demand {what} listed, {cheapest.usd_per_gpu_hour:g} at "
            f"{cheapest.provider}: check that it is per GPU and round the clock"
        )
    dearest = max((rent.usd_per_gpu_hour for device in book.devices() for rent in book.rentals(device) if rent.gpus), default=0.0)
    if usd_per_gpu_hour > 2.0 * dearest and usd_per_gpu_hour / HOURS_PER_MONTH >= cheapest.usd_per_gpu_hour:
        hourly = usd_per_gpu_hour / HOURS_PER_MONTH
        return f"{usd_per_gpu_hour:g} USD looks like a month's rent: over 730 hours it is {hourly:.2f} an hour"
    return ""


def speed_alarm(
    tokens_per_s: float,
    *,
    device: str,
    params_b: float,
    bits_per_weight: float = FEWEST_BITS,
    gpus: float = 1.0,
    concurrency: float | None = None,
) -> str:
    """A speed above what the device's bandwidth and arithmetic allow; '' where it is possible."""
    found = device_named(device, "speed")
    limit = fastest_tokens_per_s(found, params_b=params_b, bits_per_weight=bits_per_weight, gpus=gpus, concurrency=concurrency)
    if tokens_per_s <= limit:
        return ""
    where = f"{gpus:g} x {found.name}" if gpus != 1.0 else found.name
    return (
        f"{tokens_per_s:,.0f} tokens per second of {params_b:g} B parameters at {bits_per_weight:g} bits is above what {where} allows, "
        f"{limit:,.0f}: check the unit and how many requests it was for"
    )


def period_alarms(scenario: Scenario) -> tuple[str, ...]:
    """Monthly amounts that are a usual year's: twelve times what is seen, and a twelfth of them is inside the range seen."""
    alarms = []
    for note in register(scenario.assumptions):
        if not note.changed or not (note.key.endswith("_per_month") or note.key.endswith("_month_usd")):
            continue
        value = float(getattr(scenario.assumptions, note.key))
        if value > 1.5 * note.high and max(note.low, 1e-9) <= value / MONTHS_PER_YEAR <= note.high:
            alarms.append(
                f"{note.key} {value:,.0f} is above the {note.low:,.0f} to {note.high:,.0f} seen, and a twelfth of it is inside: "
                "an annual figure typed as monthly?"
            )
    return tuple(alarms)


def price_alarms(scenario: Scenario, book: PriceBook) -> tuple[str, ...]:
    """API prices of the user's own that are a thousand times off the list: a price per 1,000 tokens typed as one per million."""
    own, baseline = scenario.prices, scenario.workload.baseline_model
    try:
        listed = book.api_price(baseline, input_tokens=LISTED_INPUT_TOKENS)
    except InputError:
        return ()
    alarms = []
    for key, price in (
        ("api_input_usd_per_mtok", listed.input_usd_per_mtok),
        ("api_output_usd_per_mtok", listed.output_usd_per_mtok),
        ("api_blended_usd_per_mtok", listed.usd_per_mtok(0.75)),
    ):
        given = getattr(own, key)
        if given is not None and not 1 / 200 < given / price < 200:
            alarms.append(
                f"{key} {given:g} against a list price of {price:g} for {baseline}: is it per 1,000 tokens or for the whole bill?"
            )
    return tuple(alarms)


# ---- below: the work on one claim ----

_Pair: TypeAlias = "tuple[float, float]"


@dataclass
class _Work:
    """What is found out about one claim while it is recomputed."""

    claim: Claim
    book: PriceBook
    values: dict[str, _Pair] = field(default_factory=dict)
    extra: dict[str, _Pair] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failed: bool = False
    settled: bool = False
    compare: Callable[[str, Span, _Pair], bool] | None = None

    def say(self, words: str) -> None:
        assumed = [key for key in self.claim.assumed if key not in self._said]
        if assumed and not self.words:
            self.words.append("assumed: " + ", ".join(f"{key} {_given(getattr(self.claim, key))}" for key in assumed))
            self._said.extend(assumed)
        self.words.append(words)

    def fail(self, words: str) -> None:
        self.failed = True
        self.say(words)

    def shown(self) -> dict[str, _Pair]:
        wanted = {key: value for key, value in self.values.items() if key in self.claim.stated}
        return wanted or self.extra or self.values

    _said: list[str] = field(default_factory=list)


def _judged(work: _Work) -> AuditVerdict:
    claim, compared = work.claim, 0
    undecided = not claim.stated and not work.settled
    for key, stated in claim.stated.items():
        if key not in work.values:
            continue
        compared += 1
        low, high = work.values[key]
        fits = work.compare(key, stated, (low, high)) if work.compare else agrees(stated, low, high, rough=claim.rough)
        if fits:
            continue
        work.fail(f"stated {_span(stated, key)}, recomputed {_pair((low, high), key)}")
        slip = _slip(key, stated, low, high)
        if slip:
            work.say(slip)
    if work.failed:
        return AuditVerdict.DOES_NOT
    if work.missing or undecided or (not compared and not work.settled):
        if not claim.stated and not work.settled:
            work.missing.append(_USUAL_STATED[claim.kind])
        return AuditVerdict.UNDECIDABLE
    return AuditVerdict.REPRODUCES


_SLIPS: Final[Mapping[str, tuple[tuple[float, str, str], ...]]] = {
    "_per_month": (
        (MONTHS_PER_YEAR, "12 x", "an annual figure labelled monthly"),
        (1.0 / DAYS_PER_MONTH, "12/365 of it", "a daily figure labelled monthly"),
        (1.0 / MONTHS_PER_YEAR, "a twelfth of it", "a monthly figure divided by twelve once more"),
    ),
    "_per_year": (
        (MONTHS_PER_YEAR, "12 x", "an annual figure taken for a monthly one and multiplied by twelve again"),
        (1.0 / MONTHS_PER_YEAR, "a twelfth of it", "a monthly figure labelled annual"),
        (1.0 / DAYS_PER_YEAR, "1/365 of it", "a daily figure labelled annual"),
    ),
    "_per_day": (
        (DAYS_PER_MONTH, "365/12 x", "a monthly figure labelled daily"),
        (DAYS_PER_YEAR, "365 x", "an annual figure labelled daily"),
        (MONTHS_PER_YEAR, "12 x", "a factor of twelve that no day has"),
    ),
    "_months": (
        (1.0 / MONTHS_PER_YEAR, "a twelfth of it", "years labelled months"),
        (MONTHS_PER_YEAR, "12 x", "a saving per year taken for one per month"),
    ),
    "": (
        (MS_PER_S, "1,000 x", "a prefix (thousand, milli, giga) that slipped"),
        (1.0 / MS_PER_S, "a thousandth of it", "a prefix (thousand, milli, giga) that slipped"),
        (TOKENS_PER_MTOK, "1,000,000 x", "a prefix that slipped twice"),
        (1.0 / TOKENS_PER_MTOK, "a millionth of it", "a prefix that slipped twice"),
        (8.0, "8 x", "bits labelled bytes"),
        (1.0 / 8.0, "an eighth of it", "bytes labelled bits"),
    ),
}


def _slip(key: str, stated: Span, low: float, high: float) -> str:
    """A known factor between the stated and the recomputed figure, in words; '' for none."""
    if stated.bound is not Bound.EXACT or not isfinite(high) or low <= 0.0:
        return ""
    ending = next((one for one in _SLIPS if one and key.endswith(one)), "")
    for factor, times, meaning in (*(_SLIPS[ending] if ending else ()), *_SLIPS[""]):
        below, above = rounding(stated.low), rounding(stated.high)
        fits_low = stated.low - below[0] <= low * factor <= stated.low + below[1]
        fits_high = stated.high - above[0] <= high * factor <= stated.high + above[1]
        if fits_low and fits_high:
            return f"the stated figure is exactly {times}: {meaning}"
    return ""


_USUAL_STATED: Final = {
    ClaimKind.COST_PER_PERIOD: "stated_usd_per_month",
    ClaimKind.SAVING_PER_PERIOD: "stated_usd_per_month",
    ClaimKind.PAYBACK: "stated_payback_months",
    ClaimKind.IMPLIED_RENT: "stated_usd_per_month",
    ClaimKind.IMPLIED_SPEED: "stated_tokens_per_s",
    ClaimKind.MEMORY: "stated_gb",
    ClaimKind.LATENCY: "stated_latency_ms",
    ClaimKind.RATIO: "stated_ratio",
}


# ---- below: one kind after another ----


def _cost(work: _Work) -> None:
    claim = cast(CostClaim, work.claim)
    price = _price(work, claim)
    tokens = _tokens_per_day(work, claim)
    daily: list[_Pair] = []
    if claim.stated_usd_per_mtok is not None and price is not None:
        work.values["stated_usd_per_mtok"] = price
    if claim.tokens is not None and price is not None:
        total = _times(_scaled(_of(claim.tokens), 1.0 / TOKENS_PER_MTOK), price)
        work.values["stated_usd"] = total
        work.say(f"{_pair(_of(claim.tokens))} tokens x {_usd(price)} per million = {_usd(total)}")
    if tokens is not None and price is not None:
        bill = _times(_scaled(tokens, 1.0 / TOKENS_PER_MTOK), price)
        work.say(f"{_pair(tokens)} tokens a day x {_usd(price)} per million = {_usd(bill)} a day")
        daily.append(bill)
    daily.extend(_apart(work, claim))
    daily.extend(_servers(work, claim))
    daily.extend(_power(work, claim))
    if daily:
        bill = (sum(one[0] for one in daily), sum(one[1] for one in daily))
        _periods(work, bill)
        if claim.requests_per_day is not None and "stated_usd_per_request" in claim.stated:
            each = _over(bill, _of(claim.requests_per_day))
            work.values["stated_usd_per_request"] = each
            work.say(f"over {_pair(_of(claim.requests_per_day))} requests {_usd(each)} each")
    if claim.tokens_per_request is not None and price is not None and "stated_usd_per_request" not in work.values:
        each = _times(_scaled(_of(claim.tokens_per_request), 1.0 / TOKENS_PER_MTOK), price)
        work.values["stated_usd_per_request"] = each
        if "stated_usd_per_request" in claim.stated:
            work.say(f"{_pair(_of(claim.tokens_per_request))} tokens x {_usd(price)} per million = {_usd(each)} a request")
    if any(key not in work.values for key in claim.stated) or not claim.stated:
        _name_missing_cost(work, claim, price=price, tokens=tokens)


def _name_missing_cost(work: _Work, claim: CostClaim, *, price: _Pair | None, tokens: _Pair | None) -> None:
    if claim.gpus is not None or claim.usd_per_hour is not None or claim.power_kw is not None:
        return
    for key in claim.stated or ("stated_usd_per_month",):
        if key in work.values:
            continue
        if key == "stated_usd_per_mtok":
            work.missing.append("model" if claim.model is None else "input_tokens_per_output_token")
            continue
        if key == "stated_usd" and claim.tokens is None:
            work.missing.append("tokens")
        elif key == "stated_usd_per_request" and claim.tokens_per_request is None:
            work.missing.append("tokens_per_request")
        elif key not in ("stated_usd", "stated_usd_per_request") and tokens is None and claim.input_usd_per_mtok is None:
            work.missing.extend(_missing_tokens(claim))
        if price is None and claim.input_usd_per_mtok is None and "input_tokens_per_output_token" not in work.missing:
            work.missing.append("usd_per_mtok")


def _price(work: _Work, claim: CostClaim) -> _Pair | None:
    """Price per million tokens: the claim's own, else the list price of its model at its mix; between input and output without one."""
    if claim.usd_per_mtok is not None:
        return _of(claim.usd_per_mtok)
    if claim.model is None:
        return None
    listed = work.book.api_price(claim.model, input_tokens=LISTED_INPUT_TOKENS)
    both = f"{claim.model} lists {_usd((listed.input_usd_per_mtok,) * 2)} input and {_usd((listed.output_usd_per_mtok,) * 2)} output"
    mix = claim.input_tokens_per_output_token
    if mix is None:
        low, high = sorted((listed.input_usd_per_mtok, listed.output_usd_per_mtok))
        work.say(f"{both} per million tokens; the mix of the two is not given")
        inside = all(
            low <= span.high * 1.1 and high >= span.low * 0.9 for key, span in claim.stated.items() if key == "stated_usd_per_mtok"
        )
        if inside:
            work.missing.append("input_tokens_per_output_token")
            return None
        return low, high
    ends = sorted(listed.usd_per_mtok(ratio / (1.0 + ratio)) for ratio in (mix.low, mix.high))
    work.say(f"{both}; at {_pair(_of(mix))} input tokens to one output token that is {_usd((ends[0], ends[1]))} per million")
    return ends[0], ends[1]


def _apart(work: _Work, claim: CostClaim) -> list[_Pair]:
    """Input and output tokens, each at its price."""
    bills = []
    for side in ("input", "output"):
        tokens, price = getattr(claim, f"{side}_tokens_per_day"), getattr(claim, f"{side}_usd_per_mtok")
        if tokens is None and price is None:
            continue
        if tokens is None or price is None:
            work.missing.append(f"{side}_tokens_per_day" if tokens is None else f"{side}_usd_per_mtok")
            continue
        bill = _times(_scaled(_of(tokens), 1.0 / TOKENS_PER_MTOK), _of(price))
        work.say(f"{_pair(_of(tokens))} {side} tokens a day x {_usd(_of(price))} per million = {_usd(bill)} a day")
        bills.append(bill)
    return bills


def _servers(work: _Work, claim: CostClaim) -> list[_Pair]:
    if claim.gpus is None and claim.usd_per_hour is None:
        return []
    if claim.gpus is None or claim.usd_per_hour is None:
        if claim.power_kw is None:
            work.missing.append("gpus" if claim.gpus is None else "usd_per_hour")
        return []
    hours = _of(claim.hours_per_month) if claim.hours_per_month else (HOURS_PER_MONTH, HOURS_PER_MONTH)
    month = _times(_times(_of(claim.gpus), _of(claim.usd_per_hour)), hours)
    work.say(f"{_pair(_of(claim.gpus))} GPUs x {_usd(_of(claim.usd_per_hour))} an hour x {_pair(hours)} hours = {_usd(month)} a month")
    return [_scaled(month, 1.0 / DAYS_PER_MONTH)]


def _power(work: _Work, claim: CostClaim) -> list[_Pair]:
    if claim.power_kw is None:
        return []
    if claim.usd_per_kwh is None:
        work.missing.append("usd_per_kwh")
        return []
    hours = _of(claim.hours_per_month) if claim.hours_per_month else (HOURS_PER_MONTH, HOURS_PER_MONTH)
    pue = _of(claim.pue) if claim.pue else (1.0, 1.0)
    month = _times(_times(_times(_of(claim.power_kw), pue), hours), _of(claim.usd_per_kwh))
    work.say(
        f"{_pair(_of(claim.power_kw))} kW x PUE {_pair(pue)} x {_pair(hours)} hours x {_usd(_of(claim.usd_per_kwh))} per kWh = "
        f"{_usd(month)} a month of electricity"
    )
    return [_scaled(month, 1.0 / DAYS_PER_MONTH)]


def _periods(work: _Work, per_day: _Pair) -> None:
    """A daily amount as hour, month of 365/12 days and year; those that the claim states are put into words."""
    for key, factor, words in (
        ("stated_usd_per_hour", 1.0 / HOURS_PER_DAY, "/ 24 = {} an hour"),
        ("stated_usd_per_day", 1.0, ""),
        ("stated_usd_per_month", DAYS_PER_MONTH, "x 365/12 = {} a month"),
        ("stated_usd_per_year", DAYS_PER_YEAR, "x 365 = {} a year"),
    ):
        work.values[key] = _scaled(per_day, factor)
        wanted = key in work.claim.stated or (not work.claim.stated and key == "stated_usd_per_month")
        if wanted and words:
            work.say(words.format(_usd(work.values[key])))


def _saving(work: _Work) -> None:
    claim = cast(SavingClaim, work.claim)
    daily = _saving_per_day(work, claim)
    if daily is not None:
        _periods(work, daily)
        if claim.requests_per_day is not None:
            work.values["stated_usd_per_request"] = _over(daily, _of(claim.requests_per_day))
            if "stated_usd_per_request" in claim.stated:
                work.say(f"over {_pair(_of(claim.requests_per_day))} requests {_usd(work.values['stated_usd_per_request'])} each")
        return
    gap = _gap(claim)
    if gap is not None and claim.tokens_per_request is not None:
        each = _times(_scaled(_of(claim.tokens_per_request), 1.0 / TOKENS_PER_MTOK), gap)
        work.values["stated_usd_per_request"] = each
        work.say(f"{_pair(_of(claim.tokens_per_request))} tokens x {_usd(gap)} per million = {_usd(each)} a request")
    if all(key in work.values for key in claim.stated) and claim.stated:
        return
    work.missing.extend(_missing_saving(claim))
    per_day = claim.stated_usd_per_day
    if per_day is not None and claim.requests_per_day is not None:
        each = _over(_of(per_day), _of(claim.requests_per_day))
        work.say(f"{_usd(_of(per_day))} a day over {_pair(_of(claim.requests_per_day))} requests is {_usd(each)} a request")
        if claim.tokens_per_request is None:
            work.say("whether a request saves that depends on its tokens and on both prices")


def _saving_per_day(work: _Work, claim: SavingClaim | PaybackClaim) -> _Pair | None:
    """Baseline less option, USD a day; negative where the option is dearer."""
    if claim.saving_usd_per_request is not None and claim.requests_per_day is not None:
        saved = _times(_of(claim.requests_per_day), _of(claim.saving_usd_per_request))
        work.say(f"{_pair(_of(claim.requests_per_day))} requests a day x {_usd(_of(claim.saving_usd_per_request))} = {_usd(saved)} a day")
        return saved
    for period, days in (("month", DAYS_PER_MONTH), ("year", DAYS_PER_YEAR)):
        bills = [getattr(claim, f"{side}_usd_per_{period}") for side in ("baseline", "option")]
        if None not in bills:
            saved = _minus(_of(bills[0]), _of(bills[1]))
            work.say(f"{_usd(_of(bills[0]))} - {_usd(_of(bills[1]))} = {_usd(saved)} a {period}")
            return _scaled(saved, 1.0 / days)
    gap, tokens = _gap(claim), _tokens_per_day(work, claim)
    if gap is None or tokens is None:
        return None
    ends = [count * price / TOKENS_PER_MTOK for count in tokens for price in gap]
    saved = (min(ends), max(ends))
    prices = f"({_usd(_of(cast(Span, claim.baseline_usd_per_mtok)))} - {_usd(_of(cast(Span, claim.option_usd_per_mtok)))})"
    work.say(f"{_pair(tokens)} tokens a day x {prices} per million = {_usd(saved)} a day")
    return saved


def _gap(claim: SavingClaim | PaybackClaim) -> _Pair | None:
    if claim.baseline_usd_per_mtok is None or claim.option_usd_per_mtok is None:
        return None
    return _minus(_of(claim.baseline_usd_per_mtok), _of(claim.option_usd_per_mtok))


def _missing_saving(claim: SavingClaim | PaybackClaim) -> list[str]:
    for period in ("month", "year"):
        given = [getattr(claim, f"{side}_usd_per_{period}") is not None for side in ("baseline", "option")]
        if any(given):
            return [f"{'option' if given[0] else 'baseline'}_usd_per_{period}"]
    if claim.saving_usd_per_request is not None:
        return ["requests_per_day"]
    prices = [f"{side}_usd_per_mtok" for side in ("baseline", "option") if getattr(claim, f"{side}_usd_per_mtok") is None]
    needs_volume = claim.tokens_per_day is None and claim.tokens_per_month is None
    return [*(_missing_tokens(claim) if needs_volume else []), *prices]


def _payback(work: _Work) -> None:
    claim = cast(PaybackClaim, work.claim)
    monthly = _saving_per_month(work, claim)
    if claim.upfront_usd is None:
        work.missing.append("upfront_usd")
    if monthly is None:
        work.missing.extend(_missing_saving(claim))
    if monthly is None or claim.upfront_usd is None:
        return
    low, high = monthly
    if high <= 0.0:
        work.values["stated_payback_months"] = work.values["stated_payback_years"] = (float("inf"), float("inf"))
        work.say("nothing is saved, so nothing is ever paid back")
        return
    spent = _of(claim.upfront_usd)
    months = (spent[0] / high, spent[1] / low if low > 0.0 else float("inf"))
    work.values["stated_payback_months"] = months
    work.values["stated_payback_years"] = _scaled(months, 1.0 / MONTHS_PER_YEAR)
    work.say(f"{_usd(spent)} / {_usd(monthly)} a month = {_pair(months)} months")


def _saving_per_month(work: _Work, claim: PaybackClaim) -> _Pair | None:
    if claim.saving_usd_per_month is not None:
        return _of(claim.saving_usd_per_month)
    if claim.saving_usd_per_year is not None:
        monthly = _scaled(_of(claim.saving_usd_per_year), 1.0 / MONTHS_PER_YEAR)
        work.say(f"{_usd(_of(claim.saving_usd_per_year))} a year / 12 = {_usd(monthly)} a month")
        return monthly
    daily = _saving_per_day(work, claim)
    return None if daily is None else _scaled(daily, DAYS_PER_MONTH)


def _rent(work: _Work) -> None:
    claim = cast(RentClaim, work.claim)
    gpus = _of(claim.gpus) if claim.gpus else (1.0, 1.0)
    hours = _of(claim.hours_per_month) if claim.hours_per_month else (HOURS_PER_MONTH, HOURS_PER_MONTH)
    rate = _rate(work, claim, _times(gpus, hours))
    if rate is None:
        work.missing.append(_USUAL_STATED[claim.kind])
        return
    work.extra["usd_per_hour"] = rate
    devices, what = _devices(claim, gpus[1])
    term = claim.term or "on_demand"
    cheapest = cheapest_rent(work.book, devices=devices, term=term)
    if cheapest is None:
        work.say(f"no {term.replace('_', '-')} rent of {what} is listed as of {work.book.as_of}")
        work.missing.append("device")
        return
    listed = f"{_usd((cheapest.usd_per_gpu_hour,) * 2)} at {cheapest.provider} as of {work.book.as_of}"
    if rate[0] < cheapest.usd_per_gpu_hour * (1.0 - 1e-9):
        month = _usd((cheapest.usd_per_gpu_hour * HOURS_PER_MONTH,) * 2)
        work.fail(f"the cheapest {term.replace('_', '-')} {what} listed is {listed} ({month} a month): below it nobody rents one")
    else:
        work.settled = True
        work.say(f"not below the cheapest {term.replace('_', '-')} {what} listed, {listed}")


def _rate(work: _Work, claim: RentClaim, gpu_hours: _Pair) -> _Pair | None:
    """USD per GPU and hour that the claim means; the figures it states beside are recomputed from each other."""
    if claim.usd_per_hour is not None:
        month = _times(_of(claim.usd_per_hour), gpu_hours)
        work.say(f"{_usd(_of(claim.usd_per_hour))} an hour x {_pair(gpu_hours)} GPU hours = {_usd(month)} a month")
        work.values |= {"stated_usd_per_month": month, "stated_usd_per_year": _scaled(month, MONTHS_PER_YEAR)}
        return _of(claim.usd_per_hour)
    tokens = _tokens_per_day(work, claim)
    month_given: _Pair | None = None
    if tokens is not None and claim.usd_per_mtok is not None:
        month_given = _scaled(_times(_scaled(tokens, 1.0 / TOKENS_PER_MTOK), _of(claim.usd_per_mtok)), DAYS_PER_MONTH)
        work.say(f"{_pair(tokens)} tokens a day x {_usd(_of(claim.usd_per_mtok))} per million x 365/12 = {_usd(month_given)} a month")
        work.values |= {"stated_usd_per_month": month_given, "stated_usd_per_year": _scaled(month_given, MONTHS_PER_YEAR)}
    for span, months in (
        (claim.usd_per_month, 1.0),
        (claim.usd_per_year, 12.0),
        (claim.stated_usd_per_month, 1.0),
        (claim.stated_usd_per_year, 12.0),
    ):
        if month_given is None and span is not None:
            month_given = _scaled(_of(span), 1.0 / months)
    if month_given is None:
        return None if claim.stated_usd_per_hour is None else _of(claim.stated_usd_per_hour)
    rate = _over(month_given, gpu_hours)
    work.say(f"{_usd(month_given)} a month / {_pair(gpu_hours)} GPU hours = {_usd(rate)} an hour")
    if claim.stated_usd_per_hour is not None:
        work.values["stated_usd_per_hour"] = rate
    return rate


def _devices(claim: RentClaim, gpus: float) -> tuple[tuple[str, ...] | None, str]:
    if claim.device is not None:
        device = device_named(claim.device, claim.id)
        return (device.id,), device.name
    if claim.params_b is None:
        return None, "GPU"
    bits = claim.bits_per_weight.low if claim.bits_per_weight else FEWEST_BITS
    size = weights_gb(claim.params_b.low, bits)
    return devices_holding(size * BYTES_PER_GB, gpus), f"GPU that holds {_number(size)} GB of weights"


def _speed(work: _Work) -> None:
    claim = cast(SpeedClaim, work.claim)
    gpus = _of(claim.gpus) if claim.gpus else (1.0, 1.0)
    speed = _demanded_speed(work, claim, gpus)
    if speed is None:
        work.missing.extend(key for key in ("usd_per_hour", "usd_per_mtok") if getattr(claim, key) is None)
        return
    work.extra["tokens_per_s"] = speed
    _against_roofline(work, claim, speed, gpus[1])


def _demanded_speed(work: _Work, claim: SpeedClaim, gpus: _Pair) -> _Pair | None:
    """Tokens per second that the claim means; its stated figures are recomputed from each other."""
    known = claim.tokens_per_s or claim.stated_tokens_per_s
    if known is not None and claim.usd_per_hour is not None:
        price = _scaled(_over(_times(gpus, _of(claim.usd_per_hour)), _of(known)), TOKENS_PER_MTOK / SECONDS_PER_HOUR)
        work.values["stated_usd_per_mtok"] = price
        rent = f"{_pair(gpus)} GPU x {_usd(_of(claim.usd_per_hour))} an hour"
        work.say(f"{rent} / ({_pair(_of(known))} tokens a second x 3,600) = {_usd(price)} per million tokens")
    if claim.tokens_per_s is not None:
        work.values["stated_tokens_per_day"] = _scaled(_of(claim.tokens_per_s), SECONDS_PER_DAY)
        return _of(claim.tokens_per_s)
    price_given = claim.usd_per_mtok or (claim.stated_usd_per_mtok if claim.stated_tokens_per_s is None else None)
    if price_given is not None and claim.usd_per_hour is not None:
        speed = _scaled(_over(_times(gpus, _of(claim.usd_per_hour)), _of(price_given)), TOKENS_PER_MTOK / SECONDS_PER_HOUR)
        day = _scaled(speed, SECONDS_PER_DAY)
        rent = f"{_pair(gpus)} GPU x {_usd(_of(claim.usd_per_hour))} an hour"
        work.say(f"{rent} / {_usd(_of(price_given))} per million = {_pair(speed)} tokens a second, {_pair(day)} a day")
        work.values |= {"stated_tokens_per_s": speed, "stated_tokens_per_day": day}
        return speed
    tokens = _tokens_per_day(work, claim)
    if tokens is not None:
        speed = _scaled(tokens, 1.0 / SECONDS_PER_DAY)
        work.say(f"{_pair(tokens)} tokens a day / 86,400 = {_pair(speed)} tokens a second")
        work.values["stated_tokens_per_s"] = speed
        return speed
    if claim.stated_tokens_per_s is not None:
        day = _scaled(_of(claim.stated_tokens_per_s), SECONDS_PER_DAY)
        if claim.stated_tokens_per_day is not None:
            work.values["stated_tokens_per_day"] = day
            work.say(f"{_pair(_of(claim.stated_tokens_per_s))} tokens a second x 86,400 = {_pair(day)} a day")
        return _of(claim.stated_tokens_per_s)
    return None


def _against_roofline(work: _Work, claim: SpeedClaim, speed: _Pair, gpus: float) -> None:
    params = claim.params_b.low if claim.params_b else _active_params_b(claim.model, claim.id)
    compared = any(key in work.values for key in claim.stated)
    if claim.device is None and params is None:
        if not compared:
            work.missing.extend(["device", "params_b"])
        return
    if params is None:
        work.missing.append("params_b")
        return
    bits = claim.bits_per_weight.low if claim.bits_per_weight else FEWEST_BITS
    concurrency = claim.concurrency.high if claim.concurrency else None
    if claim.device is None:
        name, limit = fastest_device(params_b=params, bits_per_weight=bits, gpus=gpus, concurrency=concurrency)
        name = f"the fastest GPU known, {name},"
    else:
        device = device_named(claim.device, claim.id)
        name = device.name
        limit = fastest_tokens_per_s(device, params_b=params, bits_per_weight=bits, gpus=gpus, concurrency=concurrency)
    where = f"{_number(gpus)} x {name}" if gpus != 1.0 else name
    requests = "" if concurrency is None else f" with {_number(concurrency)} requests at once"
    words = f"{where} can give {_number(params)} B parameters at {_number(bits)} bits at most {_number(limit)} tokens a second{requests}"
    if speed[1] > limit * (1.0 + 1e-9):
        work.fail(f"{words}: {_pair(speed)} is above its roofline")
        return
    work.say(words)
    if claim.device is None and not compared:
        work.missing.append("device")
    elif claim.bits_per_weight is None and not compared and _above_at_16_bits(claim, params, gpus, concurrency, speed[1]):
        work.missing.append("bits_per_weight")
    else:
        work.settled = True


def _above_at_16_bits(claim: SpeedClaim, params: float, gpus: float, concurrency: float | None, speed: float) -> bool:
    device = device_named(str(claim.device), claim.id)
    return speed > fastest_tokens_per_s(device, params_b=params, bits_per_weight=16.0, gpus=gpus, concurrency=concurrency)


def _memory(work: _Work) -> None:
    claim = cast(MemoryClaim, work.claim)
    spec = _spec(claim.model, claim.id)
    weights = _weights(work, claim, spec)
    if weights is None:
        return
    kv = _cache(work, claim, spec)
    need = weights if kv is None else (weights[0] + kv[0], weights[1] + kv[1])
    if kv is not None:
        work.say(f"with {_pair(kv)} GB of cache {_pair(need)} GB")
    work.values["stated_gb"] = need
    work.values["stated_gib"] = _scaled(need, BYTES_PER_GB / BYTES_PER_GIB)
    work.compare = lambda key, stated, value: _holds(work, key, stated, value)


def _weights(work: _Work, claim: MemoryClaim, spec: ModelSpec | None) -> _Pair | None:
    if spec is not None and claim.quantization is not None and claim.params_b is None and claim.bits_per_weight is None:
        size = catalogued_weights_bytes(spec, quantization_named(claim.quantization).id) / BYTES_PER_GB
        work.say(f"{spec.name} in {claim.quantization} has {_number(size)} GB of weights, tensor by tensor")
        return size, size
    params = _of(claim.params_b) if claim.params_b else None if spec is None else (spec.params_total / 1e9,) * 2
    bits = _of(claim.bits_per_weight) if claim.bits_per_weight else None
    if bits is None and claim.quantization is not None:
        bits = (quantization_named(claim.quantization).bits_per_weight,) * 2
    if params is None:
        work.missing.append("params_b")
    if bits is None:
        work.missing.append("bits_per_weight")
    if params is None:
        return None
    if bits is None:
        sizes = ", ".join(f"{_pair(_scaled(params, each / 8.0))} GB at {each:g}" for each in (16.0, 8.0, 4.0))
        work.say(f"{_pair(params)} B parameters x bits / 8: {sizes} bits per weight; the claim does not say which")
        return None
    size_range = _scaled(_times(params, bits), 1.0 / 8.0)
    work.say(f"{_pair(params)} B parameters x {_pair(bits)} bits / 8 = {_pair(size_range)} GB of weights")
    return size_range


def _cache(work: _Work, claim: MemoryClaim, spec: ModelSpec | None) -> _Pair | None:
    if claim.kv_gb is not None:
        return _of(claim.kv_gb)
    if claim.context_tokens is None:
        return None
    if spec is None:
        work.missing.append("kv_gb")
        return None
    bits = claim.kv_bits.low if claim.kv_bits else 16.0
    low, high = (kv_cache_bytes(spec, tokens, bits) / BYTES_PER_GB for tokens in _of(claim.context_tokens))
    return low, high


def _holds(work: _Work, key: str, stated: Span, value: _Pair) -> bool:
    """Whether memory is what the claim says: the weights and cache to rounding, or enough for them and the runtime, without half over."""
    runtime = RUNTIME_GB if key == "stated_gb" else RUNTIME_GB * BYTES_PER_GB / BYTES_PER_GIB
    unit = "GB" if key == "stated_gb" else "GiB"
    if stated.bound is Bound.AT_LEAST:
        return value[0] >= stated.low * (1.0 - 1e-9)
    if stated.bound is Bound.AT_MOST:
        fits = value[1] + runtime <= stated.high * (1.0 + 1e-9)
    else:
        share = ROUGH_SHARE if work.claim.rough else 0.05
        reach = [
            min(end, share * stated_end) if not work.claim.rough else max(end, share * stated_end)
            for end, stated_end in ((rounding(stated.low)[0], stated.low), (rounding(stated.high)[1], stated.high))
        ]
        if (
            stated.low - reach[0] <= value[0]
            and value[1] <= stated.high + reach[1]
            and (not stated.single or value[0] <= stated.low + reach[1])
        ):
            return True
        fits = value[1] + runtime <= stated.high and stated.low <= value[0] * MEMORY_OVER
    if not fits and value[1] <= stated.high < value[1] + runtime:
        work.say(f"with the {runtime:.1f} {unit} that driver and runtime take it is {_number(value[1] + runtime)} {unit}")
    return fits


def _latency(work: _Work) -> None:
    claim = cast(LatencyClaim, work.claim)
    stated = claim.stated_latency_ms or claim.stated_latency_s
    if claim.output_tokens is None:
        work.missing.append("output_tokens")
        if stated is not None and claim.tokens_per_s is None:
            work.say("without the length of the answer it is not said what is timed: a first token, or a whole answer")
        return
    outputs = _of(claim.output_tokens)
    if stated is not None:
        seconds = _of(stated) if claim.stated_latency_ms is None else _scaled(_of(stated), 1.0 / MS_PER_S)
        if seconds[0] > 0.0:
            needed = (outputs[0] / seconds[1], outputs[1] / seconds[0])
            work.say(f"{_pair(outputs)} tokens in {_pair(_scaled(seconds, MS_PER_S))} ms are {_pair(needed)} tokens a second in one stream")
            work.extra["tokens_per_s"] = needed
            _against_one_stream(work, claim, needed)
    if claim.tokens_per_s is None:
        work.missing.append("tokens_per_s")
        return
    generating = _scaled(_over(outputs, _of(claim.tokens_per_s)), MS_PER_S)
    first = _of(claim.ttft_ms) if claim.ttft_ms else (0.0, 0.0)
    total = (generating[0] + first[0], generating[1] + first[1])
    beside = f" + {_pair(first)} ms to the first" if claim.ttft_ms else ""
    work.say(f"{_pair(outputs)} tokens / {_pair(_of(claim.tokens_per_s))} a second{beside} = {_pair(total)} ms")
    work.values["stated_latency_ms"] = total
    work.values["stated_latency_s"] = _scaled(total, 1.0 / MS_PER_S)
    work.compare = lambda key, span, value: _lasts(work, claim, span, value)


def _against_one_stream(work: _Work, claim: LatencyClaim, needed: _Pair) -> None:
    """Nothing is faster than the weights over the bandwidth, once per token."""
    params = claim.params_b.low if claim.params_b else None
    if params is None:
        if claim.device is not None:
            work.missing.append("params_b")
        return
    bits = claim.bits_per_weight.low if claim.bits_per_weight else FEWEST_BITS
    gpus = claim.gpus.high if claim.gpus else 1.0
    if claim.device is None:
        name, limit = fastest_device(params_b=params, bits_per_weight=bits, gpus=gpus, concurrency=1.0)
    else:
        device = device_named(claim.device, claim.id)
        name = device.name
        limit = fastest_tokens_per_s(device, params_b=params, bits_per_weight=bits, gpus=gpus, concurrency=1.0)
    if needed[1] > limit * (1.0 + 1e-9):
        where = f"{_number(gpus)} x {name}" if gpus != 1.0 else name
        what = f"{_number(params)} B parameters at {_number(bits)} bits"
        most = f"{what} can give one stream at most {_number(limit)} tokens a second on {where}"
        work.fail(f"{most}: it can only be the time to the first token")


def _lasts(work: _Work, claim: LatencyClaim, stated: Span, value: _Pair) -> bool:
    if agrees(stated, value[0], value[1], rough=claim.rough):
        return True
    if claim.ttft_ms is not None or stated.bound is not Bound.EXACT or stated.low < value[1]:
        return False
    if stated.high <= 2.0 * value[1]:
        work.say("the rest can be the time to the first token")
        return True
    if stated.high >= 10.0 * value[1]:
        work.say(f"{_number(stated.high / value[1])} times the time that generating takes: not the same quantity")
        return False
    work.missing.append("ttft_ms")
    return True


def _ratio(work: _Work) -> None:
    claim = cast(RatioClaim, work.claim)
    pair = next(
        (
            (_of(top), _of(bottom))
            for top, bottom in (
                (claim.numerator, claim.denominator),
                (claim.baseline_usd_per_mtok, claim.option_usd_per_mtok),
                (claim.baseline_usd_per_month, claim.option_usd_per_month),
                (claim.baseline_params_b, claim.option_params_b),
            )
            if top is not None and bottom is not None
        ),
        None,
    )
    if pair is None:
        work.missing.extend(_missing_ratio(claim))
        return
    top, bottom = pair
    ratio = _over(top, bottom)
    work.values["stated_ratio"] = ratio
    work.say(f"{_pair(top)} / {_pair(bottom)} = {_pair(ratio)}")
    if ratio[0] > 0.0:
        work.values["stated_saving_share"] = (1.0 - 1.0 / ratio[0], 1.0 - 1.0 / ratio[1])
    if claim.stated_saving_share is not None and ratio[0] > 0.0:
        work.say(f"1 - 1 / {_pair(ratio)} = {_pair(work.values['stated_saving_share'])}")
    if claim.stated_ratio_per_year is None:
        return
    if claim.years is None:
        work.missing.append("years")
        return
    years = _of(claim.years)
    ends = [end ** (1.0 / year) for end in ratio for year in years]
    work.values["stated_ratio_per_year"] = (min(ends), max(ends))
    work.say(f"over {_pair(years)} years {_pair((min(ends), max(ends)))} a year")


def _missing_ratio(claim: RatioClaim) -> list[str]:
    for top, bottom in (
        ("numerator", "denominator"),
        ("baseline_usd_per_mtok", "option_usd_per_mtok"),
        ("baseline_usd_per_month", "option_usd_per_month"),
        ("baseline_params_b", "option_params_b"),
    ):
        given = [key for key in (top, bottom) if getattr(claim, key) is not None]
        if given:
            return [key for key in (top, bottom) if key not in given]
    return ["numerator", "denominator"]


_RECOMPUTE: Final[Mapping[ClaimKind, Callable[[_Work], None]]] = {
    ClaimKind.COST_PER_PERIOD: _cost,
    ClaimKind.SAVING_PER_PERIOD: _saving,
    ClaimKind.PAYBACK: _payback,
    ClaimKind.IMPLIED_RENT: _rent,
    ClaimKind.IMPLIED_SPEED: _speed,
    ClaimKind.MEMORY: _memory,
    ClaimKind.LATENCY: _latency,
    ClaimKind.RATIO: _ratio,
}


# ---- below: look-ups, ranges and words ----


def _tokens_per_day(work: _Work, claim: Any) -> _Pair | None:
    if claim.tokens_per_day is not None:
        return _of(claim.tokens_per_day)
    if claim.tokens_per_month is not None:
        daily = _scaled(_of(claim.tokens_per_month), 1.0 / DAYS_PER_MONTH)
        work.say(f"{_pair(_of(claim.tokens_per_month))} tokens a month x 12/365 = {_pair(daily)} a day")
        return daily
    if claim.requests_per_day is not None and claim.tokens_per_request is not None:
        daily = _times(_of(claim.requests_per_day), _of(claim.tokens_per_request))
        work.say(f"{_pair(_of(claim.requests_per_day))} requests x {_pair(_of(claim.tokens_per_request))} tokens = {_pair(daily)} a day")
        return daily
    return None


def _missing_tokens(claim: Any) -> list[str]:
    if claim.requests_per_day is not None:
        return ["tokens_per_request"]
    return ["requests_per_day"] if claim.tokens_per_request is not None else ["tokens_per_day"]


def _spec(name: str | None, where: str) -> ModelSpec | None:
    if name is None:
        return None
    found = find_model(name)
    if found is None:
        raise InputError(f"{where}: unknown model '{name}'{nearest(name, {spec.id: spec for spec in models()})}")
    return found


def _active_params_b(name: str | None, where: str) -> float | None:
    spec = _spec(name, where)
    return None if spec is None else spec.params_active / 1e9


def _of(span: Span) -> _Pair:
    return span.low, span.high


def _scaled(pair: _Pair, factor: float) -> _Pair:
    return pair[0] * factor, pair[1] * factor


def _times(one: _Pair, other: _Pair) -> _Pair:
    return one[0] * other[0], one[1] * other[1]


def _over(one: _Pair, other: _Pair) -> _Pair:
    if other[0] <= 0.0:
        raise InputError(f"{_pair(one)} is to be divided by {_pair(other)}: a number above 0 is wanted there")
    return one[0] / other[1], one[1] / other[0]


def _minus(one: _Pair, other: _Pair) -> _Pair:
    return one[0] - other[1], one[1] - other[0]


def _number(value: float) -> str:
    """Thousands with commas and at most two decimals from 100 on, four figures below."""
    if not isfinite(value):
        return "never"
    if abs(value) < 100.0:
        return f"{value:.4g}"
    return f"{_half_up(value):,}".removesuffix(".00")


def _half_up(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def _pair(pair: _Pair, key: str = "") -> str:
    if "usd" in key:
        return _usd(pair)
    return _number(pair[0]) if pair[0] == pair[1] else f"{_number(pair[0])} to {_number(pair[1])}"


def _usd(pair: _Pair) -> str:
    ends = (_amount(pair[0]),) if pair[0] == pair[1] else (_amount(pair[0]), _amount(pair[1]))
    return " to ".join(ends)


def _amount(value: float) -> str:
    """Cents from a dollar on, four figures below; whole dollars without cents."""
    text = f"{_half_up(abs(value)):,}".removesuffix(".00") if 1.0 <= abs(value) < 1e15 else _number(abs(value))
    return f"-${text}" if value < 0 else f"${text}"


def _span(span: Span, key: str) -> str:
    words = {Bound.EXACT: "", Bound.AT_MOST: "at most ", Bound.AT_LEAST: "at least "}[span.bound]
    return words + _pair(_of(span), key)


def _given(value: Any) -> str:
    return _pair(_of(value)) if isinstance(value, Span) else str(value)


def _figures_json(figures: Sequence[Figure]) -> Any:
    if not figures:
        return None
    if len(figures) == 1:
        return _figure_json(figures[0])
    return {figure.key: _figure_json(figure) for figure in figures}


def _figure_json(figure: Figure) -> Any:
    low, high = (end if isfinite(end) else None for end in (figure.low, figure.high))
    return low if figure.low == figure.high else [low, high]
