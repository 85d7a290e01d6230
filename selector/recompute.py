"""The figures of a claim from its own facts, one kind after another, in generic formulas and with the arithmetic in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import log10
from typing import Any, Final, cast

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
from pricing.prices import PriceBook
from selector.agreement import ROUGH_SHARE, agrees, rounding
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
from selector.spans import Pair, difference, ends_of, given_text, number, product, quotient, scaled, text, usd

MEMORY_OVER: Final = 1.5
"""Memory that a model is said to need is believed up to this many times its weights and cache."""
SAME_SHARE: Final = 0.02
"""Two facts of a claim that are the same quantity may differ by this share (a month of 30 days is 1.4 % shorter); beyond it they exclude
each other."""
DEARER_THAN: Final = 1.5
"""A rent above this many times the dearest one listed for a named GPU is no rent of it."""
RUNTIME_GB: Final = CONTEXT_BYTES_PER_DEVICE / BYTES_PER_GB
LISTED_INPUT_TOKENS: Final = 1_000.0
"""Prompt for which list prices with tiers are read."""

USUAL_STATED: Final = {
    ClaimKind.COST_PER_PERIOD: "stated_usd_per_month",
    ClaimKind.SAVING_PER_PERIOD: "stated_usd_per_month",
    ClaimKind.PAYBACK: "stated_payback_months",
    ClaimKind.IMPLIED_RENT: "stated_usd_per_month",
    ClaimKind.IMPLIED_SPEED: "stated_tokens_per_s",
    ClaimKind.MEMORY: "stated_gb",
    ClaimKind.LATENCY: "stated_latency_ms",
    ClaimKind.RATIO: "stated_ratio",
}


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """How days become months and years.

    days_per_month, days_per_year, hours_per_month: so many
    words: for the arithmetic, where it is not the usual one
    """

    days_per_month: float = DAYS_PER_MONTH
    days_per_year: float = DAYS_PER_YEAR
    hours_per_month: float = HOURS_PER_MONTH
    words: str = ""


USUAL: Final = Calendar()
OTHERS: Final = (
    Calendar(days_per_month=30.0, days_per_year=365.0, hours_per_month=720.0, words="with a month of 30 days"),
    Calendar(days_per_month=30.0, days_per_year=360.0, hours_per_month=720.0, words="with twelve months of 30 days"),
)
"""Calendars that authors use too: a figure that is right in one of them is not wrong."""


@dataclass
class Work:
    """What is found out about one claim while it is recomputed.

    claim: the claim
    book: prices and rents of the day
    values: stated key -> the same figure recomputed
    extra: what is recomputed beside the stated figures: a rent in usd_per_hour, a speed in tokens_per_s
    words: the arithmetic so far
    missing: keys without which it cannot be decided
    failed: something cannot be as it is said
    impossible: it failed at a limit of prices or physics, before any stated figure was compared
    settled: possible as it is said, although no stated figure has another to be compared with
    contradictory: two facts of the claim exclude each other
    calendar: how days become months
    compare: how a figure of this kind is compared, where rounding alone does not do
    """

    claim: Claim
    book: PriceBook
    values: dict[str, Pair] = field(default_factory=dict)
    extra: dict[str, Pair] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failed: bool = False
    impossible: bool = False
    settled: bool = False
    contradictory: bool = False
    calendar: Calendar = USUAL
    compare: Callable[[str, Span, Pair], bool] | None = None

    def say(self, words: str) -> None:
        """Add a step of the arithmetic; what was assumed stands before the first."""
        assumed = self.claim.assumed
        if assumed and not self.words:
            self.words.append("assumed: " + ", ".join(f"{key} {given_text(getattr(self.claim, key))}" for key in assumed))
        self.words.append(words)

    def fail(self, words: str) -> None:
        """Say why it cannot be as it is said."""
        self.failed = True
        self.say(words)

    def agreed(self, found: list[tuple[str, Pair]]) -> Pair | None:
        """The first of several ways to the same fact; where another way gives a different number, nothing can be decided from it."""
        for key, other in found[1:]:
            first_key, first = found[0]
            if other[0] > first[1] * (1.0 + SAME_SHARE) or first[0] > other[1] * (1.0 + SAME_SHARE):
                self.contradictory = True
                self.missing.extend(one for one in (first_key, key) if one not in self.missing)
                self.say(f"{first_key} and {key} contradict each other: {text(first)} against {text(other)}")
        return found[0][1] if found else None

    def shown(self) -> dict[str, Pair]:
        """The figures that the claim states, recomputed; what stands beside them where there are none."""
        wanted = {key: value for key, value in self.values.items() if key in self.claim.stated}
        return wanted or self.extra or self.values


def _cost(work: Work) -> None:
    claim = cast(CostClaim, work.claim)
    split = _split(claim)
    price = None if split else _price(work, claim)
    tokens = None if split else _tokens_per_day(work, claim)
    daily: list[Pair] = []
    if claim.stated_usd_per_mtok is not None and price is not None:
        work.values["stated_usd_per_mtok"] = price
    once = _tokens_once(work, claim)
    if once is not None and price is not None:
        total = product(scaled(once, 1.0 / TOKENS_PER_MTOK), price)
        work.values["stated_usd"] = total
        work.say(f"{text(once)} tokens x {usd(price)} per million = {usd(total)}")
    if tokens is not None and price is not None:
        bill = product(scaled(tokens, 1.0 / TOKENS_PER_MTOK), price)
        work.say(f"{text(tokens)} tokens a day x {usd(price)} per million = {usd(bill)} a day")
        daily.append(bill)
    if split:
        daily.extend(_apart(work, claim))
    daily.extend(_servers(work, claim))
    daily.extend(_power(work, claim))
    if daily:
        bill = (sum(one[0] for one in daily), sum(one[1] for one in daily))
        _periods(work, bill)
        if claim.requests_per_day is not None and "stated_usd_per_request" in claim.stated:
            each = quotient(bill, ends_of(claim.requests_per_day))
            work.values["stated_usd_per_request"] = each
            work.say(f"over {text(ends_of(claim.requests_per_day))} requests {usd(each)} each")
    if claim.tokens_per_request is not None and price is not None and "stated_usd_per_request" not in work.values:
        each = product(scaled(ends_of(claim.tokens_per_request), 1.0 / TOKENS_PER_MTOK), price)
        work.values["stated_usd_per_request"] = each
        if "stated_usd_per_request" in claim.stated:
            work.say(f"{text(ends_of(claim.tokens_per_request))} tokens x {usd(price)} per million = {usd(each)} a request")
    if split:
        return
    if any(key not in work.values for key in claim.stated) or not claim.stated:
        _name_missing_cost(work, claim, price=price, tokens=tokens)


def _tokens_once(work: Work, claim: CostClaim) -> Pair | None:
    """Tokens of a cost without a period: stated, or examples x their length x epochs."""
    if claim.tokens is not None:
        return ends_of(claim.tokens)
    if claim.examples is None or claim.tokens_per_example is None:
        return None
    epochs = ends_of(claim.epochs) if claim.epochs else (1.0, 1.0)
    once = product(product(ends_of(claim.examples), ends_of(claim.tokens_per_example)), epochs)
    each = f"{text(ends_of(claim.examples))} examples x {text(ends_of(claim.tokens_per_example))} tokens x {text(epochs)} epochs"
    work.say(f"{each} = {text(once)} tokens")
    return once


def _split(claim: CostClaim) -> bool:
    """Whether input and output tokens are counted apart."""
    sides = [
        getattr(claim, f"{side}_{rest}")
        for side in ("input", "output")
        for rest in ("tokens_per_day", "tokens_per_request", "usd_per_mtok")
    ]
    return any(one is not None for one in sides)


def _name_missing_cost(work: Work, claim: CostClaim, *, price: Pair | None, tokens: Pair | None) -> None:
    if claim.gpus is not None or claim.usd_per_hour is not None or claim.power_kw is not None:
        return
    for key in claim.stated or ("stated_usd_per_month",):
        if key in work.values:
            continue
        if key == "stated_usd_per_mtok":
            work.missing.append("model" if claim.model is None else "input_tokens_per_output_token")
            continue
        if key == "stated_usd" and claim.tokens is None:
            halves = {"examples": claim.examples, "tokens_per_example": claim.tokens_per_example}
            given = [name for name, value in halves.items() if value is not None]
            if len(given) < 2:
                work.missing.append(next(name for name in halves if name not in given) if given else "tokens")
        elif key == "stated_usd_per_request" and claim.tokens_per_request is None:
            work.missing.append("tokens_per_request")
        elif key not in ("stated_usd", "stated_usd_per_request") and tokens is None and claim.input_usd_per_mtok is None:
            work.missing.extend(_missing_tokens(claim))
        if price is None and claim.input_usd_per_mtok is None and "input_tokens_per_output_token" not in work.missing:
            work.missing.append("usd_per_mtok")


def _price(work: Work, claim: CostClaim) -> Pair | None:
    """Price per million tokens: the claim's own, else the list price of its model at its mix; between input and output without one."""
    if claim.usd_per_mtok is not None:
        return ends_of(claim.usd_per_mtok)
    if claim.model is None:
        return None
    listed = work.book.api_price(claim.model, input_tokens=LISTED_INPUT_TOKENS)
    both = f"{claim.model} lists {usd((listed.input_usd_per_mtok,) * 2)} input and {usd((listed.output_usd_per_mtok,) * 2)} output"
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
    work.say(f"{both}; at {text(ends_of(mix))} input tokens to one output token that is {usd((ends[0], ends[1]))} per million")
    return ends[0], ends[1]


def _apart(work: Work, claim: CostClaim) -> list[Pair]:
    """Input and output tokens, each at its price: the claim's, one price for both, or the list price of its model."""
    listed = None if claim.model is None else work.book.api_price(claim.model, input_tokens=LISTED_INPUT_TOKENS)
    bills, each = [], []
    for side in ("input", "output"):
        tokens, per_request = getattr(claim, f"{side}_tokens_per_day"), getattr(claim, f"{side}_tokens_per_request")
        price = getattr(claim, f"{side}_usd_per_mtok") or claim.usd_per_mtok
        usd_per_mtok = None if price is None else ends_of(price)
        if usd_per_mtok is None and listed is not None:
            usd_per_mtok = (listed.input_usd_per_mtok if side == "input" else listed.output_usd_per_mtok,) * 2
            if tokens is not None or per_request is not None:
                work.say(f"{claim.model} lists {usd(usd_per_mtok)} per million {side} tokens")
        if tokens is None and per_request is None and (price is None or price is claim.usd_per_mtok):
            continue
        if usd_per_mtok is None or (tokens is None and per_request is None):
            work.missing.append(f"{side}_usd_per_mtok" if usd_per_mtok is None else f"{side}_tokens_per_day")
            continue
        if per_request is not None:
            one = product(scaled(ends_of(per_request), 1.0 / TOKENS_PER_MTOK), usd_per_mtok)
            work.say(f"{text(ends_of(per_request))} {side} tokens x {usd(usd_per_mtok)} per million = {usd(one)} a request")
            each.append(one)
            if tokens is None:
                if claim.requests_per_day is not None:
                    bills.append(product(ends_of(claim.requests_per_day), one))
                continue
        bill = product(scaled(ends_of(tokens), 1.0 / TOKENS_PER_MTOK), usd_per_mtok)
        work.say(f"{text(ends_of(tokens))} {side} tokens a day x {usd(usd_per_mtok)} per million = {usd(bill)} a day")
        bills.append(bill)
    if each and not work.missing:
        one = (sum(part[0] for part in each), sum(part[1] for part in each))
        work.values["stated_usd_per_request"] = one
        if bills and claim.requests_per_day is not None:
            bill = (sum(part[0] for part in bills), sum(part[1] for part in bills))
            work.say(f"{text(ends_of(claim.requests_per_day))} requests a day x {usd(one)} = {usd(bill)} a day")
        elif any(key != "stated_usd_per_request" for key in claim.stated) or not claim.stated:
            work.missing.append("requests_per_day")
    return bills


def _servers(work: Work, claim: CostClaim) -> list[Pair]:
    if claim.gpus is None and claim.usd_per_hour is None:
        return []
    if claim.gpus is None or claim.usd_per_hour is None:
        if claim.power_kw is None:
            work.missing.append("gpus" if claim.gpus is None else "usd_per_hour")
        return []
    hours = ends_of(claim.hours_per_month) if claim.hours_per_month else (work.calendar.hours_per_month,) * 2
    month = product(product(ends_of(claim.gpus), ends_of(claim.usd_per_hour)), hours)
    work.say(f"{text(ends_of(claim.gpus))} GPUs x {usd(ends_of(claim.usd_per_hour))} an hour x {text(hours)} hours = {usd(month)} a month")
    return [scaled(month, 1.0 / work.calendar.days_per_month)]


def _power(work: Work, claim: CostClaim) -> list[Pair]:
    if claim.power_kw is None:
        return []
    if claim.usd_per_kwh is None:
        work.missing.append("usd_per_kwh")
        return []
    hours = ends_of(claim.hours_per_month) if claim.hours_per_month else (work.calendar.hours_per_month,) * 2
    pue = ends_of(claim.pue) if claim.pue else (1.0, 1.0)
    month = product(product(product(ends_of(claim.power_kw), pue), hours), ends_of(claim.usd_per_kwh))
    work.say(
        f"{text(ends_of(claim.power_kw))} kW x PUE {text(pue)} x {text(hours)} hours x {usd(ends_of(claim.usd_per_kwh))} per kWh = "
        f"{usd(month)} a month of electricity"
    )
    return [scaled(month, 1.0 / work.calendar.days_per_month)]


def _periods(work: Work, per_day: Pair) -> None:
    """A daily amount as hour, month of 365/12 days and year; those that the claim states are put into words."""
    for key, factor, words in (
        ("stated_usd_per_hour", 1.0 / HOURS_PER_DAY, "/ 24 = {} an hour"),
        ("stated_usd_per_day", 1.0, ""),
        ("stated_usd_per_month", work.calendar.days_per_month, f"x {_days(work.calendar)} = {{}} a month"),
        ("stated_usd_per_year", work.calendar.days_per_year, f"x {work.calendar.days_per_year:g} = {{}} a year"),
    ):
        work.values[key] = scaled(per_day, factor)
        wanted = key in work.claim.stated or (not work.claim.stated and key == "stated_usd_per_month")
        if wanted and words:
            work.say(words.format(usd(work.values[key])))


def _days(calendar: Calendar) -> str:
    return "365/12" if calendar is USUAL else f"{calendar.days_per_month:g}"


def _saving(work: Work) -> None:
    claim = cast(SavingClaim, work.claim)
    daily = _saving_per_day(work, claim)
    _saved_share(work, claim)
    if daily is not None:
        _periods(work, daily)
        if claim.requests_per_day is not None:
            work.values["stated_usd_per_request"] = quotient(daily, ends_of(claim.requests_per_day))
            if "stated_usd_per_request" in claim.stated:
                work.say(f"over {text(ends_of(claim.requests_per_day))} requests {usd(work.values['stated_usd_per_request'])} each")
        return
    each = _saving_per_request(work, claim)
    if each is not None:
        work.values["stated_usd_per_request"] = each
    if all(key in work.values for key in claim.stated) and claim.stated:
        return
    work.missing.extend(_missing_saving(claim))
    per_day = claim.stated_usd_per_day
    if per_day is not None and claim.requests_per_day is not None:
        each = quotient(ends_of(per_day), ends_of(claim.requests_per_day))
        work.say(f"{usd(ends_of(per_day))} a day over {text(ends_of(claim.requests_per_day))} requests is {usd(each)} a request")
        if claim.tokens_per_request is None:
            work.say("whether a request saves that depends on its tokens and on both prices")


def _saving_per_day(work: Work, claim: SavingClaim | PaybackClaim) -> Pair | None:
    """Baseline less option, USD a day; negative where the option is dearer."""
    found: list[tuple[str, Pair]] = []
    month, year = work.calendar.days_per_month, work.calendar.days_per_year
    for period, days in (("month", month), ("year", year)):
        given = getattr(claim, f"saving_usd_per_{period}")
        if given is not None:
            work.say(f"{usd(ends_of(given))} saved a {period}")
            found.append((f"saving_usd_per_{period}", scaled(ends_of(given), 1.0 / days)))
    each = None if claim.requests_per_day is None else _saving_per_request(work, claim)
    if each is not None and claim.requests_per_day is not None:
        saved = product(ends_of(claim.requests_per_day), each)
        work.say(f"{text(ends_of(claim.requests_per_day))} requests a day x {usd(each)} = {usd(saved)} a day")
        found.append(("requests_per_day", saved))
    for period, days in (("month", month), ("year", year)):
        bills = [getattr(claim, f"{side}_usd_per_{period}") for side in ("baseline", "option")]
        if None not in bills:
            saved = difference(ends_of(bills[0]), ends_of(bills[1]))
            work.say(f"{usd(ends_of(bills[0]))} - {usd(ends_of(bills[1]))} = {usd(saved)} a {period}")
            found.append((f"baseline_usd_per_{period}", scaled(saved, 1.0 / days)))
    gap = _gap(claim)
    tokens = None if each is not None or (found and gap is None) else _tokens_per_day(work, claim)
    if gap is not None and tokens is not None:
        ends = [count * price / TOKENS_PER_MTOK for count in tokens for price in gap]
        saved = (min(ends), max(ends))
        prices = f"({usd(ends_of(cast(Span, claim.baseline_usd_per_mtok)))} - {usd(ends_of(cast(Span, claim.option_usd_per_mtok)))})"
        work.say(f"{text(tokens)} tokens a day x {prices} per million = {usd(saved)} a day")
        found.append(("baseline_usd_per_mtok", saved))
    return work.agreed(found)


def _saving_per_request(work: Work, claim: SavingClaim | PaybackClaim) -> Pair | None:
    """What one request saves: stated as a fact, the difference of two costs, or its tokens at two prices."""
    if claim.saving_usd_per_request is not None:
        return ends_of(claim.saving_usd_per_request)
    if claim.baseline_usd_per_request is not None and claim.option_usd_per_request is not None:
        each = difference(ends_of(claim.baseline_usd_per_request), ends_of(claim.option_usd_per_request))
        bills = f"{usd(ends_of(claim.baseline_usd_per_request))} - {usd(ends_of(claim.option_usd_per_request))}"
        work.say(f"{bills} = {usd(each)} a request")
        return each
    gap = _gap(claim)
    if gap is None or claim.tokens_per_request is None:
        return None
    ends = [count * price / TOKENS_PER_MTOK for count in ends_of(claim.tokens_per_request) for price in gap]
    each = (min(ends), max(ends))
    work.say(f"{text(ends_of(claim.tokens_per_request))} tokens x {usd(gap)} per million = {usd(each)} a request")
    return each


def _saved_share(work: Work, claim: SavingClaim) -> None:
    """1 - option / baseline, of whichever pair the claim gives."""
    if claim.stated_saving_share is None:
        return
    for unit in ("usd_per_month", "usd_per_year", "usd_per_mtok", "usd_per_request"):
        one, other = getattr(claim, f"baseline_{unit}"), getattr(claim, f"option_{unit}")
        if one is not None and other is not None:
            left = quotient(ends_of(other), ends_of(one))
            work.values["stated_saving_share"] = (1.0 - left[1], 1.0 - left[0])
            work.say(f"1 - {usd(ends_of(other))} / {usd(ends_of(one))} = {text(work.values['stated_saving_share'])} of it saved")
            return


def _gap(claim: SavingClaim | PaybackClaim) -> Pair | None:
    if claim.baseline_usd_per_mtok is None or claim.option_usd_per_mtok is None:
        return None
    return difference(ends_of(claim.baseline_usd_per_mtok), ends_of(claim.option_usd_per_mtok))


def _missing_saving(claim: SavingClaim | PaybackClaim) -> list[str]:
    for period in ("month", "year"):
        given = [getattr(claim, f"{side}_usd_per_{period}") is not None for side in ("baseline", "option")]
        if any(given):
            return [f"{'option' if given[0] else 'baseline'}_usd_per_{period}"]
    if claim.saving_usd_per_request is not None:
        return ["requests_per_day"]
    each = [getattr(claim, f"{side}_usd_per_request") is not None for side in ("baseline", "option")]
    if any(each):
        return [f"{'option' if each[0] else 'baseline'}_usd_per_request"] if not all(each) else ["requests_per_day"]
    prices = [f"{side}_usd_per_mtok" for side in ("baseline", "option") if getattr(claim, f"{side}_usd_per_mtok") is None]
    needs_volume = claim.tokens_per_day is None and claim.tokens_per_month is None
    return [*(_missing_tokens(claim) if needs_volume else []), *prices]


def _payback(work: Work) -> None:
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
    spent = ends_of(claim.upfront_usd)
    months = (spent[0] / high, spent[1] / low if low > 0.0 else float("inf"))
    work.values["stated_payback_months"] = months
    work.values["stated_payback_years"] = scaled(months, 1.0 / MONTHS_PER_YEAR)
    work.say(f"{usd(spent)} / {usd(monthly)} a month = {text(months)} months")


def _saving_per_month(work: Work, claim: PaybackClaim) -> Pair | None:
    if claim.saving_usd_per_year is not None and claim.saving_usd_per_month is None:
        monthly = scaled(ends_of(claim.saving_usd_per_year), 1.0 / MONTHS_PER_YEAR)
        work.say(f"{usd(ends_of(claim.saving_usd_per_year))} a year / 12 = {usd(monthly)} a month")
        return monthly
    daily = _saving_per_day(work, claim)
    if daily is None:
        return None
    if claim.saving_usd_per_month is not None:
        return ends_of(claim.saving_usd_per_month)
    return scaled(daily, work.calendar.days_per_month)


def _rent(work: Work) -> None:
    claim = cast(RentClaim, work.claim)
    gpus = ends_of(claim.gpus) if claim.gpus else (1.0, 1.0)
    hours = ends_of(claim.hours_per_month) if claim.hours_per_month else (work.calendar.hours_per_month,) * 2
    rate = _rate(work, claim, product(gpus, hours))
    if rate is None:
        work.missing.append(USUAL_STATED[claim.kind])
        return
    work.extra["usd_per_hour"] = rate
    devices, what = _devices(claim, gpus[1])
    term = claim.term or "on_demand"
    cheapest = cheapest_rent(work.book, devices=devices, term=term)
    if cheapest is None:
        work.say(f"no {term.replace('_', '-')} rent of {what} is listed as of {work.book.as_of}")
        work.missing.append("device")
        return
    listed = f"{usd((cheapest.usd_per_gpu_hour,) * 2)} at {cheapest.provider} as of {work.book.as_of}"
    if rate[0] < cheapest.usd_per_gpu_hour * (1.0 - 1e-9):
        month = usd((cheapest.usd_per_gpu_hour * HOURS_PER_MONTH,) * 2)
        work.fail(f"the cheapest {term.replace('_', '-')} {what} listed is {listed} ({month} a month): below it nobody rents one")
    else:
        work.settled = True
        work.say(f"not below the cheapest {term.replace('_', '-')} {what} listed, {listed}")
        _against_dearest(work, claim, rate, term)


def _against_dearest(work: Work, claim: RentClaim, rate: Pair, term: str) -> None:
    """A named GPU costs no multiple of its dearest offer: a year's rent said of a month."""
    if claim.device is None or any(span.bound is not Bound.EXACT for span in claim.stated.values()):
        return
    device = device_named(claim.device, claim.id)
    rents = [rent for rent in work.book.rentals(device.id) if rent.term == term and rent.gpus]
    dearest = max(rents, key=lambda rent: rent.usd_per_gpu_hour)
    if rate[1] > dearest.usd_per_gpu_hour * DEARER_THAN:
        listed = f"{usd((dearest.usd_per_gpu_hour,) * 2)} at {dearest.provider}"
        over = f"{number(rate[1] / dearest.usd_per_gpu_hour)} times the dearest {term.replace('_', '-')} {device.name} listed, {listed}"
        work.fail(f"{usd(rate)} an hour is {over}")


def _rate(work: Work, claim: RentClaim, gpu_hours: Pair) -> Pair | None:
    """USD per GPU and hour that the claim means; the figures it states beside are recomputed from each other."""
    if claim.usd_per_hour is not None:
        month = product(ends_of(claim.usd_per_hour), gpu_hours)
        work.say(f"{usd(ends_of(claim.usd_per_hour))} an hour x {text(gpu_hours)} GPU hours = {usd(month)} a month")
        work.values |= {"stated_usd_per_month": month, "stated_usd_per_year": scaled(month, MONTHS_PER_YEAR)}
        return ends_of(claim.usd_per_hour)
    if claim.tokens_per_s is not None and claim.usd_per_mtok is not None:
        hour = product(scaled(ends_of(claim.tokens_per_s), SECONDS_PER_HOUR / TOKENS_PER_MTOK), ends_of(claim.usd_per_mtok))
        rate = quotient(hour, ends_of(claim.gpus) if claim.gpus else (1.0, 1.0))
        sold = f"{text(ends_of(claim.tokens_per_s))} tokens a second x 3,600 x {usd(ends_of(claim.usd_per_mtok))} per million"
        work.say(f"{sold} = {usd(hour)} an hour, {usd(rate)} for each GPU")
        month = product(rate, gpu_hours)
        work.values |= {
            "stated_usd_per_hour": rate,
            "stated_usd_per_month": month,
            "stated_usd_per_year": scaled(month, MONTHS_PER_YEAR),
        }
        return rate
    tokens = _tokens_per_day(work, claim)
    month_given: Pair | None = None
    if tokens is not None and claim.usd_per_mtok is not None:
        bill = product(scaled(tokens, 1.0 / TOKENS_PER_MTOK), ends_of(claim.usd_per_mtok))
        month_given = scaled(bill, work.calendar.days_per_month)
        at = f"{usd(ends_of(claim.usd_per_mtok))} per million x {_days(work.calendar)}"
        work.say(f"{text(tokens)} tokens a day x {at} = {usd(month_given)} a month")
        work.values |= {"stated_usd_per_month": month_given, "stated_usd_per_year": scaled(month_given, MONTHS_PER_YEAR)}
    for span, months in (
        (claim.usd_per_month, 1.0),
        (claim.usd_per_year, 12.0),
        (claim.stated_usd_per_month, 1.0),
        (claim.stated_usd_per_year, 12.0),
    ):
        if month_given is None and span is not None:
            month_given = scaled(ends_of(span), 1.0 / months)
    if month_given is None:
        return None if claim.stated_usd_per_hour is None else ends_of(claim.stated_usd_per_hour)
    rate = quotient(month_given, gpu_hours)
    work.say(f"{usd(month_given)} a month / {text(gpu_hours)} GPU hours = {usd(rate)} an hour")
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
    return devices_holding(size * BYTES_PER_GB, gpus), f"GPU that holds {number(size)} GB of weights"


def _speed(work: Work) -> None:
    claim = cast(SpeedClaim, work.claim)
    gpus = ends_of(claim.gpus) if claim.gpus else (1.0, 1.0)
    speed = _demanded_speed(work, claim, gpus)
    if speed is None:
        work.missing.extend(key for key in ("usd_per_hour", "usd_per_mtok") if getattr(claim, key) is None)
        return
    work.extra["tokens_per_s"] = speed
    _against_roofline(work, claim, speed, gpus[1])


def _demanded_speed(work: Work, claim: SpeedClaim, gpus: Pair) -> Pair | None:
    """Tokens per second that the claim means; its stated figures are recomputed from each other."""
    known = claim.tokens_per_s or claim.stated_tokens_per_s
    if known is not None and claim.usd_per_hour is not None:
        price = scaled(quotient(product(gpus, ends_of(claim.usd_per_hour)), ends_of(known)), TOKENS_PER_MTOK / SECONDS_PER_HOUR)
        work.values |= {"stated_usd_per_mtok": price, "stated_usd_per_hour": ends_of(claim.usd_per_hour)}
        rent = f"{text(gpus)} GPU x {usd(ends_of(claim.usd_per_hour))} an hour"
        work.say(f"{rent} / ({text(ends_of(known))} tokens a second x 3,600) = {usd(price)} per million tokens")
    sold = claim.usd_per_mtok or claim.stated_usd_per_mtok
    if known is not None and sold is not None and claim.usd_per_hour is None:
        hour = quotient(product(scaled(ends_of(known), SECONDS_PER_HOUR / TOKENS_PER_MTOK), ends_of(sold)), gpus)
        work.values["stated_usd_per_hour"] = hour
        if "stated_usd_per_hour" in claim.stated:
            work.say(
                f"{text(ends_of(known))} tokens a second x 3,600 x {usd(ends_of(sold))} per million = {usd(hour)} an hour for each GPU"
            )
    if claim.tokens_per_s is not None:
        work.values["stated_tokens_per_day"] = scaled(ends_of(claim.tokens_per_s), SECONDS_PER_DAY)
        return ends_of(claim.tokens_per_s)
    price_given = claim.usd_per_mtok or (claim.stated_usd_per_mtok if claim.stated_tokens_per_s is None else None)
    if price_given is not None and claim.usd_per_hour is not None:
        speed = scaled(quotient(product(gpus, ends_of(claim.usd_per_hour)), ends_of(price_given)), TOKENS_PER_MTOK / SECONDS_PER_HOUR)
        day = scaled(speed, SECONDS_PER_DAY)
        rent = f"{text(gpus)} GPU x {usd(ends_of(claim.usd_per_hour))} an hour"
        work.say(f"{rent} / {usd(ends_of(price_given))} per million = {text(speed)} tokens a second, {text(day)} a day")
        work.values |= {"stated_tokens_per_s": speed, "stated_tokens_per_day": day}
        return speed
    tokens = _tokens_per_day(work, claim)
    if tokens is not None:
        speed = scaled(tokens, 1.0 / SECONDS_PER_DAY)
        work.say(f"{text(tokens)} tokens a day / 86,400 = {text(speed)} tokens a second")
        work.values["stated_tokens_per_s"] = speed
        return speed
    if claim.stated_tokens_per_s is not None:
        day = scaled(ends_of(claim.stated_tokens_per_s), SECONDS_PER_DAY)
        if claim.stated_tokens_per_day is not None:
            work.values["stated_tokens_per_day"] = day
            work.say(f"{text(ends_of(claim.stated_tokens_per_s))} tokens a second x 86,400 = {text(day)} a day")
        return ends_of(claim.stated_tokens_per_s)
    return None


def _against_roofline(work: Work, claim: SpeedClaim, speed: Pair, gpus: float) -> None:
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
    where = f"{number(gpus)} x {name}" if gpus != 1.0 else name
    requests = "" if concurrency is None else f" with {number(concurrency)} requests at once"
    words = f"{where} can give {number(params)} B parameters at {number(bits)} bits at most {number(limit)} tokens a second{requests}"
    if speed[1] > limit * (1.0 + 1e-9):
        work.fail(f"{words}: {text(speed)} is above its roofline")
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


def _memory(work: Work) -> None:
    claim = cast(MemoryClaim, work.claim)
    spec = _spec(claim.model, claim.id)
    weights = _weights(work, claim, spec)
    if weights is None:
        return
    kv = _cache(work, claim, spec)
    need = weights if kv is None else (weights[0] + kv[0], weights[1] + kv[1])
    if kv is not None:
        work.say(f"with {text(kv)} GB of cache {text(need)} GB")
    if claim.overhead_share is not None:
        need = product(need, (1.0 + claim.overhead_share.low, 1.0 + claim.overhead_share.high))
        work.say(f"with {text(ends_of(claim.overhead_share))} of it on top {text(need)} GB")
    _in_device(work, claim, need)
    work.values["stated_gb"] = need
    work.values["stated_gib"] = scaled(need, BYTES_PER_GB / BYTES_PER_GIB)
    work.compare = lambda key, stated, value: _holds(work, key, stated, value)


def _in_device(work: Work, claim: MemoryClaim, need: Pair) -> None:
    """Whether it fits where it is said to: weights, cache and what driver and runtime take on each GPU."""
    gpus = ends_of(claim.gpus) if claim.gpus else (1.0, 1.0)
    if claim.device is not None:
        device = device_named(claim.device, claim.id)
        if not device.memory_gb:
            return
        room, where = device.memory_gb * BYTES_PER_GIB / BYTES_PER_GB * gpus[0], f"{number(gpus[0])} x {device.name}"
    elif claim.available_gb is not None:
        room, where = claim.available_gb.high * gpus[0], f"{number(claim.available_gb.high * gpus[0])} GB"
    else:
        return
    taken = need[1] + RUNTIME_GB * gpus[0]
    words = f"with the {number(RUNTIME_GB * gpus[0])} GB that driver and runtime take {number(taken)} GB, and {where} has {number(room)} GB"
    if taken <= room * (1.0 + 1e-9):
        work.settled = True
        work.say(f"{words}: it fits")
    else:
        work.fail(f"{words}: it does not fit")


def _weights(work: Work, claim: MemoryClaim, spec: ModelSpec | None) -> Pair | None:
    if spec is not None and claim.quantization is not None and claim.params_b is None and claim.bits_per_weight is None:
        size = catalogued_weights_bytes(spec, quantization_named(claim.quantization).id) / BYTES_PER_GB
        work.say(f"{spec.name} in {claim.quantization} has {number(size)} GB of weights, tensor by tensor")
        return size, size
    params = ends_of(claim.params_b) if claim.params_b else None if spec is None else (spec.params_total / 1e9,) * 2
    bits = ends_of(claim.bits_per_weight) if claim.bits_per_weight else None
    if bits is None and claim.quantization is not None:
        bits = (quantization_named(claim.quantization).bits_per_weight,) * 2
    if params is None:
        work.missing.append("params_b")
    if bits is None:
        work.missing.append("bits_per_weight")
    if params is None:
        return None
    if bits is None:
        sizes = ", ".join(f"{text(scaled(params, each / 8.0))} GB at {each:g}" for each in (16.0, 8.0, 4.0))
        work.say(f"{text(params)} B parameters x bits / 8: {sizes} bits per weight; the claim does not say which")
        return None
    size_range = scaled(product(params, bits), 1.0 / 8.0)
    work.say(f"{text(params)} B parameters x {text(bits)} bits / 8 = {text(size_range)} GB of weights")
    return size_range


def _cache(work: Work, claim: MemoryClaim, spec: ModelSpec | None) -> Pair | None:
    if claim.kv_gb is not None:
        return ends_of(claim.kv_gb)
    if claim.context_tokens is None:
        return None
    if spec is None:
        work.missing.append("kv_gb")
        return None
    bits = claim.kv_bits.low if claim.kv_bits else 16.0
    low, high = (kv_cache_bytes(spec, tokens, bits) / BYTES_PER_GB for tokens in ends_of(claim.context_tokens))
    return low, high


def _holds(work: Work, key: str, stated: Span, value: Pair) -> bool:
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
        work.say(f"with the {runtime:.1f} {unit} that driver and runtime take it is {number(value[1] + runtime)} {unit}")
    return fits


def _latency(work: Work) -> None:
    claim = cast(LatencyClaim, work.claim)
    stated = claim.stated_latency_ms or claim.stated_latency_s
    if claim.output_tokens is None:
        work.missing.append("output_tokens")
        if stated is not None and claim.tokens_per_s is None:
            work.say("without the length of the answer it is not said what is timed: a first token, or a whole answer")
        return
    outputs = ends_of(claim.output_tokens)
    if stated is not None:
        seconds = ends_of(stated) if claim.stated_latency_ms is None else scaled(ends_of(stated), 1.0 / MS_PER_S)
        if seconds[0] > 0.0:
            needed = (outputs[0] / seconds[1], outputs[1] / seconds[0])
            work.say(f"{text(outputs)} tokens in {text(scaled(seconds, MS_PER_S))} ms are {text(needed)} tokens a second in one stream")
            work.extra["tokens_per_s"] = needed
            _against_one_stream(work, claim, needed)
    if claim.tokens_per_s is None:
        work.missing.append("tokens_per_s")
        return
    generating = scaled(quotient(outputs, ends_of(claim.tokens_per_s)), MS_PER_S)
    first = _first_ms(work, claim) or (0.0, 0.0)
    total = (generating[0] + first[0], generating[1] + first[1])
    beside = f" + {text(first)} ms to the first" if first[1] else ""
    work.say(f"{text(outputs)} tokens / {text(ends_of(claim.tokens_per_s))} a second{beside} = {text(total)} ms")
    work.values["stated_latency_ms"] = total
    work.values["stated_latency_s"] = scaled(total, 1.0 / MS_PER_S)
    work.compare = lambda key, span, value: _lasts(work, claim, span, value)


def _first_ms(work: Work, claim: LatencyClaim) -> Pair | None:
    """Time to the first token: stated, or the prompt over the speed at which it is read."""
    if claim.ttft_ms is not None:
        return ends_of(claim.ttft_ms)
    if claim.input_tokens is None or claim.input_tokens_per_s is None:
        return None
    first = scaled(quotient(ends_of(claim.input_tokens), ends_of(claim.input_tokens_per_s)), MS_PER_S)
    work.say(f"{text(ends_of(claim.input_tokens))} tokens read at {text(ends_of(claim.input_tokens_per_s))} a second are {text(first)} ms")
    return first


def _against_one_stream(work: Work, claim: LatencyClaim, needed: Pair) -> None:
    """Nothing is faster than the weights over the bandwidth, once per token."""
    params = claim.params_b.low if claim.params_b else _active_params_b(claim.model, claim.id)
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
        where = f"{number(gpus)} x {name}" if gpus != 1.0 else name
        what = f"{number(params)} B parameters at {number(bits)} bits"
        most = f"{what} can give one stream at most {number(limit)} tokens a second on {where}"
        work.fail(f"{most}: it can only be the time to the first token")


def _lasts(work: Work, claim: LatencyClaim, stated: Span, value: Pair) -> bool:
    if agrees(stated, value[0], value[1], rough=claim.rough):
        return True
    if claim.ttft_ms is not None or claim.input_tokens_per_s is not None or stated.bound is not Bound.EXACT or stated.low < value[1]:
        return False
    if stated.high <= 2.0 * value[1]:
        work.say("the rest can be the time to the first token")
        return True
    if stated.high >= 10.0 * value[1]:
        work.say(f"{number(stated.high / value[1])} times the time that generating takes: not the same quantity")
        return False
    work.missing.append("ttft_ms")
    return True


def _ratio(work: Work) -> None:
    claim = cast(RatioClaim, work.claim)
    pair = next(
        (
            (ends_of(top), ends_of(bottom))
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
    ratio = quotient(top, bottom)
    work.values["stated_ratio"] = ratio
    work.say(f"{text(top)} / {text(bottom)} = {text(ratio)}")
    if ratio[0] > 0.0:
        work.values["stated_saving_share"] = (1.0 - 1.0 / ratio[0], 1.0 - 1.0 / ratio[1])
    if claim.stated_saving_share is not None and ratio[0] > 0.0:
        work.say(f"1 - 1 / {text(ratio)} = {text(work.values['stated_saving_share'])}")
    if claim.stated_ratio_per_year is None:
        return
    if claim.years is None:
        work.missing.append("years")
        return
    years = ends_of(claim.years)
    ends = [_per_year(end, year) for end in ratio for year in years]
    work.values["stated_ratio_per_year"] = (min(ends), max(ends))
    work.say(f"over {text(years)} years {text((min(ends), max(ends)))} a year")


def _per_year(ratio: float, years: float) -> float:
    """The ratio from one year to the next that gives `ratio` after so many years; infinite beyond what a float holds."""
    if ratio <= 0.0:
        return 0.0
    exponent = log10(ratio) / years
    return 10.0**exponent if exponent < 300.0 else float("inf")


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


RECOMPUTE: Final[Mapping[ClaimKind, Callable[[Work], None]]] = {
    ClaimKind.COST_PER_PERIOD: _cost,
    ClaimKind.SAVING_PER_PERIOD: _saving,
    ClaimKind.PAYBACK: _payback,
    ClaimKind.IMPLIED_RENT: _rent,
    ClaimKind.IMPLIED_SPEED: _speed,
    ClaimKind.MEMORY: _memory,
    ClaimKind.LATENCY: _latency,
    ClaimKind.RATIO: _ratio,
}


# ---- below: look-ups ----


def _tokens_per_day(work: Work, claim: Any) -> Pair | None:
    found: list[tuple[str, Pair]] = []
    if claim.tokens_per_day is not None:
        found.append(("tokens_per_day", ends_of(claim.tokens_per_day)))
    if claim.tokens_per_month is not None:
        daily = scaled(ends_of(claim.tokens_per_month), 1.0 / work.calendar.days_per_month)
        found.append(("tokens_per_month", daily))
        if len(found) == 1:
            turned = "x 12/365" if work.calendar is USUAL else f"/ {work.calendar.days_per_month:g}"
            work.say(f"{text(ends_of(claim.tokens_per_month))} tokens a month {turned} = {text(daily)} a day")
    if claim.requests_per_day is not None and claim.tokens_per_request is not None:
        daily = product(ends_of(claim.requests_per_day), ends_of(claim.tokens_per_request))
        found.append(("requests_per_day", daily))
        if len(found) == 1:
            each = text(ends_of(claim.tokens_per_request))
            work.say(f"{text(ends_of(claim.requests_per_day))} requests x {each} tokens = {text(daily)} a day")
    return work.agreed(found)


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
