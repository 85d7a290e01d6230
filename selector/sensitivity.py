"""Doubt: how the decision would look were its numbers other than they are. Every result is the same path as the decision, in many worlds.

simulate() draws all numbers at once; tornado() and flips() move one at a time; break_even_volume() and staircase() move the volume;
price_paths() moves prices over the months.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from facts.errors import InputError
from pricing.costs import CashFlow
from pricing.finance import payback_months
from pricing.paths import drift_path, step_path
from selector.evaluation import Evaluation
from selector.public import result_json
from selector.quality import Kind
from selector.ranges import QUALITY, Range, drawn_values, quality_key, ranges_of, stream, workload_ranges
from selector.recommendation import Considered
from selector.redecided import ends, nearest_changes
from selector.results import Arm
from selector.worlds import OptionWorlds, Values, Worlds, with_baseline, worlds_at, worlds_of

DRAWS: Final = 10_000
SEED: Final = 1
QUANTILES: Final = (0.1, 0.5, 0.9)
FLIP_POINTS: Final = 65
"""Points of the first scan of a flip; a verdict that changes twice between two neighbours is not seen."""
REFINEMENTS: Final = 8
REFINED_POINTS: Final = 17
"""Each refinement makes the bracket 16 times narrower: 16^-8 of a grid cell is 2e-10 of it."""
SCAN_POINTS: Final = 400
MAX_STEPS: Final = 64
"""Working replicas up to which a server's cost is looked at step by step, or twice as many as today's; beyond them nothing is said."""
MAX_EDGES: Final = 4_096
"""Steps of one server that are looked at on either side; where there are more, each is too small to be seen between the scanned points."""
MIGRATION_MONTH: Final = 7
TABLE_ARMS: Final = (Arm.API, Arm.SELF_HOSTED_70B, Arm.FINE_TUNED_7B)
"""The rows of the fixed table."""


class Reached(StrEnum):
    """What came of a search."""

    REACHED = "reached"
    NOT_REACHED = "not_reached"
    NOT_COMPUTED = "not_computed"


@dataclass(frozen=True, kw_only=True)
class Band:
    """A quantity by month over the draws, from the start (0) to the end of each month: months + 1 numbers each.

    p10_usd, p50_usd, p90_usd: 10 %, 50 % and 90 % points
    """

    p10_usd: tuple[float, ...]
    p50_usd: tuple[float, ...]
    p90_usd: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class OptionDoubt:
    """One option over all draws.

    option_id, title: which
    feasible: no gate refused it
    total_usd: in the decision itself
    p10_usd, p50_usd, p90_usd, mean_usd: of the total
    good_enough_share: of the draws
    cheapest_share: of the draws in which it has the lowest total of the options good enough in that draw
    saving_share: of the draws in which its total is below the baseline's
    pays_back_share: of the draws in which it has paid back within the horizon, None for the baseline
    payback_p10_months, payback_p50_months, payback_p90_months: of the payback, None where not reached within the horizon in so many draws
    outcome_mean_usd, outcome_p90_usd: of what is paid in the end: its total where good enough, else what the test cost and the fallback
    cumulative: costs added up by month
    """

    option_id: str
    title: str
    feasible: bool
    total_usd: float
    p10_usd: float
    p50_usd: float
    p90_usd: float
    mean_usd: float
    good_enough_share: float
    cheapest_share: float
    saving_share: float | None
    pays_back_share: float | None
    payback_p10_months: float | None
    payback_p50_months: float | None
    payback_p90_months: float | None
    outcome_mean_usd: float | None
    outcome_p90_usd: float | None
    cumulative: Band


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """A decision under doubt.

    draws, seed: how many worlds, and which random numbers
    options: the possible options and those of the fixed table, by lowest median total
    none_share: of the draws in which no option was good enough
    ranges: what was drawn between what
    """

    draws: int
    seed: int
    options: tuple[OptionDoubt, ...]
    none_share: float
    ranges: tuple[Range, ...]

    def option(self, option_id: str | None) -> OptionDoubt | None:
        """The option with that id, or None."""
        return next((option for option in self.options if option.option_id == option_id), None)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One number moved to either end of its range, all others as they are.

    key, label, unit: which number
    low, base, high: its values
    saving_low_usd, saving_high_usd: the option's saving against the baseline over the horizon at either end
    option_id_low, option_id_high: what is recommended there
    """

    key: str
    label: str
    unit: str
    low: float
    base: float
    high: float
    saving_low_usd: float
    saving_high_usd: float
    option_id_low: str | None
    option_id_high: str | None

    @property
    def swing_usd(self) -> float:
        """Between the two ends."""
        return abs(self.saving_high_usd - self.saving_low_usd)


@dataclass(frozen=True, kw_only=True)
class Tornado:
    """What moves the saving most, widest first.

    option_id, title: the recommended option, or the best alternative where the advice is to stay
    saving_usd: baseline's total less the option's, as decided
    bars: one for each number
    """

    option_id: str | None
    title: str
    saving_usd: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True)
class Flip:
    """Where one number changes the verdict, all others as they are.

    key, label, unit: which number
    base: in use
    searched_low, searched_high: between what was looked
    status: reached, not reached in there, or not computed
    below, above: the nearest values under and over the base at which another option is recommended, None where there is none
    below_option_id, above_option_id: which option that is, None also where none is possible any more
    because: why it was not computed, or ""
    """

    key: str
    label: str
    unit: str
    base: float
    searched_low: float
    searched_high: float
    status: Reached
    below: float | None = None
    above: float | None = None
    below_option_id: str | None = None
    above_option_id: str | None = None
    because: str = ""


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """A volume at which two cost curves change places.

    tokens_per_day: there, the option is no dearer on one side and dearer on the other
    option_wins_above: whether the option is the cheaper one just above it
    """

    tokens_per_day: float
    option_wins_above: bool


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """From which volume on an option costs no more than another.

    option_id, against_id: which two
    status: reached at some volume, at none up to the limit, or not computed
    tokens_per_day: the lowest volume from which on the option stays no dearer up to the limit, None where there is none; the lower end of
        the search where it is no dearer at any volume looked at
    crossings: every change of places, lowest volume first: step curves may cross more than once
    searched_from_tokens_per_day, searched_to_tokens_per_day: between what was looked; never beyond what the plan can carry
    because: why it was not computed, or ""
    """

    option_id: str
    against_id: str
    status: Reached
    tokens_per_day: float | None = None
    crossings: tuple[Crossing, ...] = ()
    searched_from_tokens_per_day: float | None = None
    searched_to_tokens_per_day: float | None = None
    because: str = ""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Total cost of one option over the horizon at each volume; None where it cannot carry it.

    option_id, title: which
    total_usd: one for each volume
    """

    option_id: str
    title: str
    total_usd: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Staircase:
    """Cost against volume: steps for servers, straight lines for tokens.

    tokens_per_day: the volumes, rising; a step stands as two neighbours
    curves: one for each option
    here_tokens_per_day: the volume stated
    """

    tokens_per_day: tuple[float, ...]
    curves: tuple[Curve, ...]
    here_tokens_per_day: float


@dataclass(frozen=True, kw_only=True)
class PricePath:
    """One way in which prices may go.

    id, label: which
    because: where it was seen
    option_id: what is recommended then, None where nothing is possible
    option_usd: the total of that option
    table_usd: totals of the fixed three rows in their order, None where an arm has no bill
    changes_verdict: whether another option is recommended than with flat prices
    """

    id: str
    label: str
    because: str
    option_id: str | None
    option_usd: float | None
    table_usd: tuple[float | None, ...]
    changes_verdict: bool


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """Everything on one page.

    simulation, tornado, flips, negotiation, break_evens, paths: see there
    """

    simulation: Simulation
    tornado: Tornado
    flips: tuple[Flip, ...]
    negotiation: Flip
    break_evens: tuple[BreakEven, ...]
    paths: tuple[PricePath, ...]


def doubt(considered: Considered, *, draws: int = DRAWS, seed: int = SEED) -> Doubt:
    """All of it: the simulation, what moves the saving, where the verdict changes, break-even volumes, price paths.

    Lengths, cached share and labels are not computed here: `widened` adds them, at the price of some thirty decisions.
    """
    ranges = ranges_of(considered.asked, considered.evaluations)
    against = considered.baseline.option.id
    shown = [found.option.id for found in considered.evaluations if _shown(found) and found.option.id != against]
    return Doubt(
        simulation=simulate(considered, draws=draws, seed=seed, ranges=ranges),
        tornado=tornado(considered, ranges=ranges),
        flips=flips(considered, ranges=ranges),
        negotiation=negotiation(considered, ranges=ranges),
        break_evens=tuple(break_even_volume(considered, option_id) for option_id in shown),
        paths=price_paths(considered),
    )


def widened(considered: Considered, found: Doubt) -> Doubt:
    """The same doubt with prompt and answer length, cached share and labels moved too: for each value the decision is made anew."""
    again = {flip.key: flip for flip in _redecided(considered)}
    flipped = tuple(again.get(flip.key, flip) for flip in found.flips)
    return replace(found, tornado=_with_redecided(considered, found.tornado), flips=flipped)


def to_json(result: Doubt | Simulation | Tornado | Flip | BreakEven | Staircase | PricePath) -> dict[str, Any]:
    """A result of this file as JSON, keys as its attributes; numbers are not rounded."""
    return result_json(result)


# ---- many numbers at once ----


def simulate(considered: Considered, *, draws: int = DRAWS, seed: int = SEED, ranges: Sequence[Range] | None = None) -> Simulation:
    """Every option in `draws` worlds; one price path for all APIs, one for rents, one speed error per engine and memory, one staff cost.

    Options share what they share: the same draw of every number, and the same model is good enough in all its placements or in none. With
    ranges that leave no doubt, every quantile is the decision's own total. The same seed gives the same result, whatever else is drawn.
    """
    if draws < 1:
        raise InputError(f"{draws} draws are too few: at least 1 is needed, {DRAWS:,} are usual")
    used = tuple(ranges_of(considered.asked, considered.evaluations) if ranges is None else ranges)
    values = {one.key: drawn_values(one, draws, seed) for one in used if not one.key.startswith(QUALITY) and not one.certain and one.drawn}
    shown = {found.option.id for found in considered.evaluations if _shown(found)} | {considered.baseline.option.id}
    worlds = worlds_at(considered, values, draws, only=shown)
    good = _good_enough(considered, worlds, {one.key: one for one in used}, seed)
    totals = np.stack([option.total_usd for option in worlds.options])
    compete = good & np.stack([option.possible & option.evaluation.feasible for option in worlds.options])
    cheapest = np.where(compete.any(axis=0), np.where(compete, totals, np.inf).argmin(axis=0), -1)
    doubts = [_option_doubt(option, worlds, good[place], float((cheapest == place).mean())) for place, option in enumerate(worlds.options)]
    return Simulation(
        draws=draws,
        seed=seed,
        options=tuple(sorted(doubts, key=lambda found: (not found.feasible, found.p50_usd, found.option_id))),
        none_share=float((cheapest < 0).mean()),
        ranges=used,
    )


def risk_adjusted_usd(option: OptionDoubt, risk_aversion_share: float) -> float | None:
    """What an option is ranked by: what it costs on average at 0, what it costs in one case of ten or more at 1, straight between them."""
    if option.outcome_mean_usd is None or option.outcome_p90_usd is None:
        return None
    return (1.0 - risk_aversion_share) * option.outcome_mean_usd + risk_aversion_share * option.outcome_p90_usd


def quantiles(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """10 %, 50 % and 90 % points along the last axis, linear between neighbours; of equal values exactly that value.

    Looking for the six places takes two thirds of the time of sorting everything.

    >>> [float(point) for point in quantiles(np.arange(11.0))]
    [1.0, 5.0, 9.0]
    """
    last = values.shape[-1] - 1
    places = [(share * last, int(share * last), min(int(share * last) + 1, last)) for share in QUANTILES]
    ordered = np.partition(np.ascontiguousarray(values), sorted({place for _, *both in places for place in both}), axis=-1)
    return tuple(ordered[..., low] + (ordered[..., high] - ordered[..., low]) * (at - low) for at, low, high in places)


# ---- one number at a time ----


def tornado(considered: Considered, *, ranges: Sequence[Range] | None = None) -> Tornado:
    """The saving of the recommended option with each number at either end of its range, widest swing first."""
    used = [one for one in _ranges(considered, ranges) if not one.certain]
    values = _one_at_a_time(used, [(one.low, one.high) for one in used])
    rows = 2 * len(used) + 1
    worlds = worlds_at(considered, values, rows)
    place = _best_alternative(worlds)
    if place is None:
        return Tornado(option_id=None, title="", saving_usd=0.0, bars=())
    option = worlds.options[place]
    saving = worlds.baseline.total_usd - option.total_usd
    bars = [
        Bar(
            key=one.key,
            label=one.label,
            unit=one.unit,
            low=one.low,
            base=one.base,
            high=one.high,
            saving_low_usd=float(saving[2 * number]),
            saving_high_usd=float(saving[2 * number + 1]),
            option_id_low=worlds.recommended(2 * number),
            option_id_high=worlds.recommended(2 * number + 1),
        )
        for number, one in enumerate(used)
    ]
    return Tornado(
        option_id=option.evaluation.option.id,
        title=option.evaluation.option.title,
        saving_usd=float(saving[-1]),
        bars=tuple(sorted(bars, key=lambda bar: (-bar.swing_usd, bar.key))),
    )


def flips(considered: Considered, *, ranges: Sequence[Range] | None = None) -> tuple[Flip, ...]:
    """For each number the nearest values on either side at which another option is recommended.

    `baseline_price` below its base is the negotiation: the price of today's model under which staying wins.
    """
    used = _ranges(considered, ranges)
    moved = [one for one in used if one.searched_low < one.searched_high]
    grids = [_grid(one) for one in moved]
    verdicts = _verdicts(considered, moved, grids)
    brackets = [_nearest(one, grid, verdict) for one, grid, verdict in zip(moved, grids, verdicts, strict=True)]
    below = _refined(considered, moved, [bracket[0] for bracket in brackets])
    above = _refined(considered, moved, [bracket[1] for bracket in brackets])
    found = [_flip(one, low, high) for one, low, high in zip(moved, below, above, strict=True)]
    fixed = [_not_computed(one, "there is no range to look in") for one in used if one.searched_low >= one.searched_high]
    return (*found, *fixed, *_unmoved(considered))


def negotiation(considered: Considered, *, ranges: Sequence[Range] | None = None) -> Flip:
    """The price of today's model, USD per Mtok at the workload's mix, below which staying wins (`below`) or above which it no longer does
    (`above`, where the advice is to stay already); all other prices as they are."""
    one = next(found for found in _ranges(considered, ranges) if found.key == "baseline_price")
    if not considered.baseline.feasible:
        return _not_computed(one, f"today's model may not be used whatever it costs: {considered.baseline.refused_because}")
    stay = considered.baseline.option.id
    grid = _grid(one)
    below, above = _nearest(one, grid, _staying(considered, one, grid, stay))
    for _ in range(REFINEMENTS):
        below, above = (_narrower(considered, one, bracket, stay) for bracket in (below, above))
    return _flip(one, below, above)


# ---- the volume ----


def break_even_volume(considered: Considered, option_id: str, against_id: str | None = None) -> BreakEven:
    """Where an option's cost curve crosses another's (the baseline's, unless named): every step is looked at, every crossing bisected."""
    other = considered.baseline.option.id if against_id is None else against_id
    found, reference = _evaluation(considered, option_id), _evaluation(considered, other)
    for one in (found, reference):
        if not one.supplies:
            return BreakEven(
                option_id=option_id,
                against_id=other,
                status=Reached.NOT_COMPUTED,
                because=f"{one.option.title} has no bill: {one.refused_because}",
            )
    here = considered.asked.scenario.workload.mean_tokens_per_day
    low, high = here / 1000.0, min(here * 1000.0, _capacity(considered, found), _capacity(considered, reference))
    if high <= low:
        because = f"{found.option.title} carries at most {high:,.0f} tokens a day, the search begins at {low:,.0f}"
        return BreakEven(option_id=option_id, against_id=other, status=Reached.NOT_COMPUTED, because=because)
    volumes = _volumes(considered, (found, reference), low, high, SCAN_POINTS)
    wins = _wins(considered, option_id, other, volumes)
    places = np.flatnonzero(wins[1:] != wins[:-1])
    edges = _bisected(considered, option_id, other, volumes[places], volumes[places + 1], wins[places])
    crossings = tuple(
        Crossing(tokens_per_day=float(edge), option_wins_above=bool(wins[place + 1])) for edge, place in zip(edges, places, strict=True)
    )
    last = crossings[-1].tokens_per_day if crossings else float(low)
    return BreakEven(
        option_id=option_id,
        against_id=other,
        status=Reached.REACHED if bool(wins.any()) else Reached.NOT_REACHED,
        tokens_per_day=last if wins[-1] else None,
        crossings=crossings,
        searched_from_tokens_per_day=float(low),
        searched_to_tokens_per_day=float(high),
    )


def staircase(
    considered: Considered, option_ids: Collection[str], *, low_factor: float = 0.1, high_factor: float = 10.0, points: int = 60
) -> Staircase:
    """Cost curves of some options between two multiples of today's volume, with every step of their servers in them."""
    found = [_evaluation(considered, option_id) for option_id in sorted(set(option_ids))]
    priced = [one for one in found if one.supplies]
    here = considered.asked.scenario.workload.mean_tokens_per_day
    volumes = _volumes(considered, priced, here * low_factor, here * high_factor, points)
    only = {one.option.id for one in priced} | {considered.baseline.option.id}
    worlds = worlds_at(considered, {"tokens_per_day": volumes[:, np.newaxis]}, volumes.size, only=only)
    curves = []
    for one in priced:
        option = worlds.options[worlds.place(one.option.id)]
        within = volumes <= _capacity(considered, one)
        totals = tuple(float(usd) if fits else None for usd, fits in zip(option.total_usd, within, strict=True))
        curves.append(Curve(option_id=one.option.id, title=one.option.title, total_usd=totals))
    return Staircase(tokens_per_day=tuple(volumes.tolist()), curves=tuple(curves), here_tokens_per_day=here)


# ---- prices over the months ----


def price_paths(
    considered: Considered, *, successor_price_change_share: float = 1.0, migration_usd: float | None = None
) -> tuple[PricePath, ...]:
    """The fixed three rows and the verdict under flat prices, cuts, a forced migration, and rising rents.

    successor_price_change_share: of a forced migration: the successor's price over today's model's, less 1
    migration_usd: paid in the month of a forced migration; absent: implementation and a test, as for any other API
    """
    assumed, months = considered.asked.scenario.assumptions, considered.asked.requirements.horizon_months
    complexity = considered.asked.scenario.workload.complexity
    migration = assumed.implementation("api") + assumed.evaluation(complexity) if migration_usd is None else migration_usd
    month = min(MIGRATION_MONTH, months)
    flat, half_year = np.ones(months), np.zeros(months)
    half_year[month - 1] = migration
    forced = step_path(successor_price_change_share, month, months)
    cases = (
        ("flat", "Prices stay", "list prices of a model stay for months", flat, flat, flat),
        ("step_20", "API prices fall by 20 % once", "GPT-5.6 Terra, 2026-07-30", step_path(-0.2, month, months), flat, flat),
        ("step_80", "API prices fall by 80 % once", "GPT-5.6 Luna, 2026-07-30", step_path(-0.8, month, months), flat, flat),
        (
            "repeated",
            "API prices fall by 20 % every quarter",
            "prices at equal quality fall several times a year",
            step_path(-0.2, 4, months, every_months=3),
            flat,
            flat,
        ),
        (
            "migration",
            f"Today's model is retired in month {month}, its successor costs {1.0 + successor_price_change_share:g} times as much",
            "models are retired; moving is work",
            flat,
            forced,
            flat,
        ),
        ("rent_20", "Rents rise by 20 % a year", "assumed", flat, flat, drift_path(0.2, months)),
        ("rent_40", "Rents rise by 40 % a year", "H100, October 2025 to March 2026", flat, flat, drift_path(0.4, months)),
    )
    base = considered.asked.numbers
    extra = np.stack([half_year if case[0] == "migration" else np.zeros(months) for case in cases])
    numbers = replace(
        base,
        api_price=base.api_price * np.stack([case[3] for case in cases]),
        baseline_price=np.stack([case[4] for case in cases]),
        rent=base.rent * np.stack([case[5] for case in cases]),
    )
    numbers = with_baseline(considered, numbers, extra)
    worlds = worlds_of(considered, numbers, {}, len(cases), baseline_extra_usd=extra)
    return tuple(
        PricePath(
            id=case[0],
            label=case[1],
            because=case[2],
            option_id=worlds.recommended(row),
            option_usd=None if worlds.best[row] < 0 else float(worlds.options[worlds.best[row]].total_usd[row]),
            table_usd=tuple(_of_arm(worlds, arm, row) for arm in TABLE_ARMS),
            changes_verdict=worlds.recommended(row) != worlds.recommended(0),
        )
        for row, case in enumerate(cases)
    )


# ---- below: the simulation ----


def _shown(found: Evaluation) -> bool:
    """Options that are worth drawing: possible ones, and the arms of the fixed table."""
    return bool(found.supplies) and (found.feasible or found.option.arm in TABLE_ARMS)


def _good_enough(considered: Considered, worlds: Worlds, ranges: dict[str, Range], seed: int) -> NDArray[np.bool_]:
    """Which options are good enough in which draw, (options, draws): today's model always.

    The chance is drawn once for a kind, and the outcome once for a model: it holds in every placement.
    """
    rows: list[NDArray[np.bool_]] = []
    chances: dict[str, NDArray[np.float64]] = {}
    for option in worlds.options:
        found = option.evaluation
        if found.option.kind is Kind.BASELINE:
            rows.append(np.ones(worlds.rows, dtype=np.bool_))
            continue
        key = quality_key(considered.evaluations, found)
        if key not in chances:
            chances[key] = drawn_values(ranges[key], worlds.rows, seed)[:, 0]
        outcome = stream(f"outcome.{found.option.kind}.{found.option.model}.{found.option.quantization}", seed).random(worlds.rows)
        rows.append(outcome < chances[key])
    return np.stack(rows)


def _option_doubt(option: OptionWorlds, worlds: Worlds, good: NDArray[np.bool_], cheapest_share: float) -> OptionDoubt:
    found = option.evaluation
    assert found.bill is not None
    p10, p50, p90 = (float(point) for point in quantiles(option.total_usd))
    payback = None if found.option.baseline else _payback(option, worlds)
    points = (None, None, None) if payback is None else _payback_points(payback)
    outcome = _outcome(option, worlds, good)
    return OptionDoubt(
        option_id=found.option.id,
        title=found.option.title,
        feasible=found.feasible,
        total_usd=float(found.bill.costs.total_usd),
        p10_usd=p10,
        p50_usd=p50,
        p90_usd=p90,
        mean_usd=float(option.total_usd.mean()),
        good_enough_share=float(good.mean()),
        cheapest_share=cheapest_share,
        saving_share=None if found.option.baseline else float((option.total_usd < worlds.baseline.total_usd).mean()),
        pays_back_share=None if payback is None else float(np.isfinite(payback).mean()),
        payback_p10_months=points[0],
        payback_p50_months=points[1],
        payback_p90_months=points[2],
        outcome_mean_usd=None if outcome is None else float(outcome.mean()),
        outcome_p90_usd=None if outcome is None else float(quantiles(outcome)[-1]),
        cumulative=_band(option),
    )


def _payback(option: OptionWorlds, worlds: Worlds) -> NDArray[np.float64]:
    """Months until the money is back, infinite where that is not within the horizon, (draws,)."""
    flow = CashFlow(
        upfront_usd=worlds.baseline.upfront_usd - option.upfront_usd, monthly_usd=worlds.baseline.months_usd - option.months_usd
    )
    months = payback_months(flow)
    return np.where(np.isnan(months), np.inf, months)


def _payback_points(payback: NDArray[np.float64]) -> tuple[float | None, ...]:
    """Quantiles without interpolation: between a month and never there is nothing."""
    ordered = np.sort(payback)
    points = [ordered[max(int(np.ceil(share * ordered.size)) - 1, 0)] for share in QUANTILES]
    return tuple(float(point) if np.isfinite(point) else None for point in points)


def _outcome(option: OptionWorlds, worlds: Worlds, good: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """What is paid in the end in each draw; None where an option is refused or there is nothing to fall back on."""
    if not option.evaluation.feasible or not np.isfinite(worlds.fallback_usd).all():
        return None
    paid = option.total_usd + option.error_usd
    return np.where(good & option.possible, paid, option.spent_usd + worlds.fallback_usd)


def _band(option: OptionWorlds) -> Band:
    start = option.upfront_usd[:, np.newaxis]
    running = np.concatenate([start, start + np.cumsum(option.months_usd, axis=-1)], axis=-1)
    p10, p50, p90 = quantiles(running.T)
    return Band(p10_usd=tuple(p10.tolist()), p50_usd=tuple(p50.tolist()), p90_usd=tuple(p90.tolist()))


# ---- below: one at a time ----


def _ranges(considered: Considered, ranges: Sequence[Range] | None) -> tuple[Range, ...]:
    return ranges_of(considered.asked, considered.evaluations) if ranges is None else tuple(ranges)


def _one_at_a_time(ranges: Sequence[Range], points: Sequence[Sequence[float]]) -> Values:
    """Rows in which one number after the other takes each of its points and all others stay, and a last row in which all stay."""
    rows = sum(len(of_range) for of_range in points) + 1
    values: dict[str, NDArray[np.float64]] = {}
    first = 0
    for one, of_range in zip(ranges, points, strict=True):
        column = np.full((rows, 1), one.base)
        column[first : first + len(of_range), 0] = of_range
        values[one.key] = column
        first += len(of_range)
    return values


def _best_alternative(worlds: Worlds) -> int | None:
    """The recommended option of the last row, or the next best one where that is the baseline."""
    expected = worlds.expected_usd[:, -1].copy()
    expected[[option is worlds.baseline for option in worlds.options]] = np.inf
    return int(expected.argmin()) if np.isfinite(expected).any() else None


def _grid(one: Range) -> NDArray[np.float64]:
    """Points from end to end with the base among them; by factors where the range spans many."""
    if one.whole:
        return np.arange(np.ceil(one.searched_low), np.floor(one.searched_high) + 1.0)
    if one.searched_low > 0.0 and one.searched_high / one.searched_low > 20.0:
        grid = np.geomspace(one.searched_low, one.searched_high, FLIP_POINTS)
    else:
        grid = np.linspace(one.searched_low, one.searched_high, FLIP_POINTS)
    return np.unique(np.append(grid, one.base))


def _verdicts(considered: Considered, ranges: Sequence[Range], grids: Sequence[NDArray[np.float64]]) -> list[list[str | None]]:
    """The recommended option at every point of every number."""
    rows = sum(grid.size for grid in grids) + 1
    possible = {found.option.id for found in considered.evaluations if found.supplies and _may_become_possible(found)}
    only = possible | {considered.baseline.option.id}
    worlds = worlds_at(considered, _one_at_a_time(ranges, [grid.tolist() for grid in grids]), rows, only=only)
    ids = [option.evaluation.option.id for option in worlds.options]
    named = [None if place < 0 else ids[place] for place in worlds.best]
    starts = np.cumsum([0, *(grid.size for grid in grids)])
    return [named[start : start + grid.size] for start, grid in zip(starts, grids, strict=False)]


def _may_become_possible(found: Evaluation) -> bool:
    return all(verdict.passed for verdict in found.verdicts if verdict.gate != "quality")


@dataclass(frozen=True, kw_only=True)
class _Bracket:
    """The verdict changes between `near` (still the base's) and `far` (another option)."""

    near: float
    far: float
    option_id: str | None


def _nearest(one: Range, grid: NDArray[np.float64], verdict: Sequence[str | None]) -> tuple[_Bracket | None, _Bracket | None]:
    """The first change under the base and the first over it."""
    here = int(np.argmin(np.abs(grid - one.base)))
    below = next((place for place in range(here - 1, -1, -1) if verdict[place] != verdict[here]), None)
    above = next((place for place in range(here + 1, grid.size) if verdict[place] != verdict[here]), None)
    return (
        None if below is None else _Bracket(near=float(grid[below + 1]), far=float(grid[below]), option_id=verdict[below]),
        None if above is None else _Bracket(near=float(grid[above - 1]), far=float(grid[above]), option_id=verdict[above]),
    )


def _refined(considered: Considered, ranges: Sequence[Range], brackets: Sequence[_Bracket | None]) -> list[_Bracket | None]:
    """Every bracket made narrower, all together: each round looks at points between its ends."""
    found = list(brackets)
    for _ in range(REFINEMENTS):
        moving = [(place, bracket) for place, bracket in enumerate(found) if bracket is not None and not ranges[place].whole]
        if not moving:
            return found
        grids = [np.linspace(bracket.near, bracket.far, REFINED_POINTS) for _, bracket in moving]
        verdicts = _verdicts(considered, [ranges[place] for place, _ in moving], grids)
        for (place, bracket), grid, verdict in zip(moving, grids, verdicts, strict=True):
            first = next((step for step in range(1, grid.size) if verdict[step] != verdict[0]), None)
            if first is not None:
                found[place] = replace(bracket, near=float(grid[first - 1]), far=float(grid[first]), option_id=verdict[first])
    return found


def _staying(considered: Considered, one: Range, grid: NDArray[np.float64], stay: str) -> list[str | None]:
    """The baseline's id where it is recommended, None where it is not."""
    return [found if found == stay else None for found in _verdicts(considered, [one], [grid])[0]]


def _narrower(considered: Considered, one: Range, bracket: _Bracket | None, stay: str) -> _Bracket | None:
    if bracket is None:
        return None
    grid = np.linspace(bracket.near, bracket.far, REFINED_POINTS)
    verdict = _staying(considered, one, grid, stay)
    first = next((step for step in range(1, grid.size) if verdict[step] != verdict[0]), None)
    if first is None:
        return bracket
    return replace(bracket, near=float(grid[first - 1]), far=float(grid[first]))


def _flip(one: Range, below: _Bracket | None, above: _Bracket | None) -> Flip:
    return Flip(
        key=one.key,
        label=one.label,
        unit=one.unit,
        base=one.base,
        searched_low=one.searched_low,
        searched_high=one.searched_high,
        status=Reached.NOT_REACHED if below is None and above is None else Reached.REACHED,
        below=None if below is None else below.far,
        above=None if above is None else above.far,
        below_option_id=None if below is None else below.option_id,
        above_option_id=None if above is None else above.option_id,
    )


def _not_computed(one: Range, because: str) -> Flip:
    return Flip(
        key=one.key,
        label=one.label,
        unit=one.unit,
        base=one.base,
        searched_low=one.searched_low,
        searched_high=one.searched_high,
        status=Reached.NOT_COMPUTED,
        because=because,
    )


def _with_redecided(considered: Considered, found: Tornado) -> Tornado:
    """A tornado with the numbers for which the decision is made anew."""
    bars = [
        Bar(
            key=one.key,
            label=one.label,
            unit=one.unit,
            low=one.low,
            base=one.base,
            high=one.high,
            saving_low_usd=low.saving_usd,
            saving_high_usd=high.saving_usd,
            option_id_low=low.option_id,
            option_id_high=high.option_id,
        )
        for one, low, high in ends(considered, found.option_id)
        if low.saving_usd is not None and high.saving_usd is not None
    ]
    return replace(found, bars=tuple(sorted((*found.bars, *bars), key=lambda bar: (-bar.swing_usd, bar.key))))


def _redecided(considered: Considered) -> tuple[Flip, ...]:
    """Where the verdict changes with a number for which the decision is made anew."""
    found = []
    for one in workload_ranges(considered.asked):
        if one.searched_low >= one.searched_high:
            found.append(_not_computed(one, "there are none, so there is no range to look in: state a number on the left"))
            continue
        below, above = nearest_changes(considered, one)
        flip = _not_computed(one, "")
        found.append(
            replace(
                flip,
                status=Reached.NOT_REACHED if below is None and above is None else Reached.REACHED,
                below=None if below is None else below.value,
                above=None if above is None else above.value,
                below_option_id=None if below is None else below.option_id,
                above_option_id=None if above is None else above.option_id,
            )
        )
    return tuple(found)


def _unmoved(considered: Considered) -> tuple[Flip, ...]:
    """Numbers of the workload that change servers, gates or chances as a whole: each needs a decision of its own."""
    workload = considered.asked.scenario.workload
    because = "it changes which servers, prices and cases apply: decide again with another value"
    numbers = (
        ("input_tokens_mean", "Prompt length", "tokens", workload.input_tokens),
        ("output_tokens_mean", "Answer length", "tokens", workload.output_tokens),
        ("cached_input_share", "Cached share of the input", "share", workload.cached_input_share),
        ("labelled_examples", "Labelled examples", "examples", float(workload.labelled_examples)),
    )
    return tuple(
        Flip(
            key=key,
            label=label,
            unit=unit,
            base=base,
            searched_low=base,
            searched_high=base,
            status=Reached.NOT_COMPUTED,
            because=because,
        )
        for key, label, unit, base in numbers
    )


# ---- below: the volume ----


def _evaluation(considered: Considered, option_id: str) -> Evaluation:
    found = next((one for one in considered.evaluations if one.option.id == option_id), None)
    if found is None:
        known = ", ".join(one.option.id for one in considered.evaluations)
        raise InputError(f"no option '{option_id}' in this decision, there are {known}")
    return found


def _step_volumes(considered: Considered, found: Evaluation) -> list[tuple[float, float]]:
    """Of each server of an option: tokens a day in the busiest month's terms that one replica carries, and how many replicas at most."""
    workload, requirements = considered.asked.scenario.workload, considered.asked.requirements
    busiest = max(load.requests_per_s for load in requirements.peak_loads)
    steps = []
    for supply in found.supplies:
        if supply.plan is not None:
            one = workload.mean_tokens_per_day * supply.plan.capacity_requests_per_s / busiest
            today = np.ceil(busiest / supply.plan.capacity_requests_per_s)
            steps.append((one, float(supply.at_most) if supply.at_most else max(float(MAX_STEPS), 2.0 * float(today))))
    return steps


def _capacity(considered: Considered, found: Evaluation) -> float:
    """Tokens a day up to which an option's cost is stated; tokens that are bought have no end."""
    steps = _step_volumes(considered, found)
    return max((one * count for one, count in steps), default=np.inf)


def _volumes(considered: Considered, found: Sequence[Evaluation], low: float, high: float, points: int) -> NDArray[np.float64]:
    """Volumes by equal factors, and on either side of every step of every server in every month, between two ends."""
    loads = np.array([load.requests_per_s for load in considered.asked.requirements.peak_loads])
    growth = np.unique(loads / loads.max())
    steps = [
        (one * np.arange(1, int(min(count, MAX_EDGES)) + 1)[:, np.newaxis] / growth).ravel()
        for option in found
        for one, count in _step_volumes(considered, option)
    ]
    edges = np.concatenate(steps) if steps else np.empty(0)
    here = considered.asked.scenario.workload.mean_tokens_per_day
    # A step of 1e-9 is far outside the tolerance with which whole replicas are rounded up.
    volumes = np.concatenate([np.geomspace(low, high, points), edges, edges * (1.0 + 1e-9), [low, high, here]])
    return np.unique(volumes[(volumes >= low) & (volumes <= high)])


def _wins(considered: Considered, option_id: str, against_id: str, volumes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether an option costs no more than another at each volume."""
    only = {option_id, against_id, considered.baseline.option.id}
    worlds = worlds_at(considered, {"tokens_per_day": volumes[:, np.newaxis]}, volumes.size, only=only)
    one, other = worlds.options[worlds.place(option_id)], worlds.options[worlds.place(against_id)]
    return np.asarray(one.total_usd <= other.total_usd)


def _bisected(
    considered: Considered,
    option_id: str,
    against_id: str,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    wins_low: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """All crossings at once, each between two neighbours, to a relative 1e-12."""
    low, high = low.copy(), high.copy()
    while low.size and bool(((high - low) > 1e-12 * high).any()):
        middle = 0.5 * (low + high)
        if bool(((middle <= low) | (middle >= high)).all()):
            break
        same = _wins(considered, option_id, against_id, middle) == wins_low
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return high


# ---- below: the table ----


def _of_arm(worlds: Worlds, arm: Arm, row: int) -> float | None:
    """The total by which an arm stands in the fixed table: its possible option of lowest total, a refused one where none is possible."""
    named = [option for option in worlds.options if option.evaluation.option.arm is arm]
    if arm is Arm.API:
        named = [worlds.baseline]
    if not named:
        return None
    return float(min(named, key=lambda option: (not option.possible[row], option.total_usd[row])).total_usd[row])
