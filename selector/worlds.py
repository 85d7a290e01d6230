"""Every option's bill in many worlds at once: a row is one set of numbers, and a row of the numbers in use is the decision itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pricing.assumptions import Assumptions
from pricing.costs import MonthlyCosts
from selector.evaluation import (
    Evaluation,
    Numbers,
    ServersUsd,
    Supply,
    carries,
    costs_beside,
    costs_of,
    live_after,
    servers_usd,
    spent_if_it_fails_usd,
)
from selector.factors import TIE_SHARE, preference
from selector.gates import MIN_PROBABILITY
from selector.ranges import SPEED, baseline_usd_per_mtok, quality_key
from selector.recommendation import ERROR_SHARE_WITHIN_MARGIN, Considered
from workloads.demand import TokenVolume

BLOCK_ROWS: Final = 2_000
"""Of twelve months they take 192 KB an array, which stays in the cache and in memory that is already mapped."""
Values = Mapping[str, NDArray[np.float64]]
"""Numbers by the key of their range, (rows, 1) each; what is missing stays as it is."""


@dataclass(frozen=True, kw_only=True)
class OptionWorlds:
    """One option in every world.

    evaluation: which
    upfront_usd, total_usd: (rows,)
    months_usd: (rows, months)
    spent_usd: gone if it fails its test, (rows,)
    error_usd: the user's own cost of wrong answers, (rows,)
    chance: that it is good enough, (rows,)
    possible: whether it passes the gates and carries the load, (rows,)
    """

    evaluation: Evaluation
    upfront_usd: NDArray[np.float64]
    total_usd: NDArray[np.float64]
    months_usd: NDArray[np.float64]
    spent_usd: NDArray[np.float64]
    error_usd: NDArray[np.float64]
    chance: NDArray[np.float64]
    possible: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Worlds:
    """Every option that has a bill, in every world.

    rows: how many worlds
    options: sorted by id
    baseline: today's model
    fallback_usd: what is paid for where an option fails its test, (rows,); infinite where there is nothing to fall back on
    expected_usd: by option and world, (options, rows); infinite where it is not possible
    best: the recommended option's place in `options`, (rows,); -1 where none is possible
    """

    rows: int
    options: tuple[OptionWorlds, ...]
    baseline: OptionWorlds
    fallback_usd: NDArray[np.float64]
    expected_usd: NDArray[np.float64]
    best: NDArray[np.intp]

    def place(self, option_id: str) -> int:
        """Where an option stands in `options`."""
        return next(place for place, option in enumerate(self.options) if option.evaluation.option.id == option_id)

    def recommended(self, row: int) -> str | None:
        """The option recommended in one world."""
        place = int(self.best[row])
        return None if place < 0 else self.options[place].evaluation.option.id


def worlds_at(considered: Considered, values: Values, rows: int, *, only: Collection[str] | None = None) -> Worlds:
    """The decision in worlds that differ by some values.

    Many rows are taken in blocks whose months fit a processor's cache: the same formulas, a third of the time.
    """
    if rows <= BLOCK_ROWS:
        return worlds_of(considered, numbers_at(considered, values), values, rows, only=only)
    blocks = []
    for first in range(0, rows, BLOCK_ROWS):
        part = {key: value[first : first + BLOCK_ROWS] for key, value in values.items()}
        blocks.append(worlds_at(considered, part, min(BLOCK_ROWS, rows - first), only=only))
    return _joined(blocks)


def worlds_of(
    considered: Considered,
    numbers: Numbers,
    values: Values,
    rows: int,
    *,
    only: Collection[str] | None = None,
    baseline_extra_usd: NDArray[np.float64] | float = 0.0,
) -> Worlds:
    """The decision under numbers that are already arrays; the chances of being good enough come from `values`, else they stay.

    baseline_extra_usd: paid by the baseline on top of its bill, by month, (rows, months)
    """
    priced = [found for found in considered.evaluations if found.supplies and (only is None or found.option.id in only)]
    options = tuple(
        _option(found, considered, numbers, values, rows, baseline_extra_usd if found.option.baseline else 0.0)
        for found in sorted(priced, key=lambda evaluation: evaluation.option.id)
    )
    baseline = next(option for option in options if option.evaluation.option.baseline)
    fallback, is_fallback = _fallback(options, baseline)
    totals = np.stack([option.total_usd + option.error_usd for option in options])
    chances = np.stack([option.chance for option in options])
    spent = np.stack([option.spent_usd for option in options])
    with np.errstate(invalid="ignore"):
        # 0 x infinity, where nothing is left to fall back on, is no cost: the option is then certain or impossible.
        failing = np.where(is_fallback, totals, spent + fallback)
        expected = np.where(is_fallback, totals, chances * totals + (1.0 - chances) * failing)
    possible = np.stack([option.possible for option in options])
    expected = np.where(possible, expected, np.inf)
    best = np.where(possible.any(axis=0), _taken(expected, options, considered), -1)
    return Worlds(rows=rows, options=options, baseline=baseline, fallback_usd=fallback, expected_usd=expected, best=best)


def _taken(expected: NDArray[np.float64], options: Sequence[OptionWorlds], considered: Considered) -> NDArray[np.intp]:
    """The lowest expected cost, or, where the organisation has preferences, the best preferred of those within a tie of it; as `winner`."""
    workload = considered.asked.scenario.workload
    if not workload.tie_breakers:
        return np.asarray(expected.argmin(axis=0))
    preferences = [preference(option.evaluation.factors, workload) for option in options]
    ranks = np.array([sorted(set(preferences)).index(one) for one in preferences], dtype=np.float64)[:, np.newaxis]
    lowest = expected.min(axis=0)
    near = expected <= lowest + TIE_SHARE * np.abs(lowest)
    near_ranks = np.where(near, ranks, np.inf)
    return np.asarray(np.where(near_ranks == near_ranks.min(axis=0), expected, np.inf).argmin(axis=0))


def numbers_at(considered: Considered, values: Values) -> Numbers:
    """The decision's numbers with some of them replaced, and the baseline's bill that follows from them."""
    asked = considered.asked
    base = asked.numbers
    workload, months = base.workload, asked.requirements.horizon_months
    changed = {key: value for key, value in values.items() if key in Assumptions.model_fields}
    # A copy is not validated: its numbers may be arrays, and every formula behind them broadcasts.
    assumed = base.assumptions.model_copy(update=changed)
    scale = _volume_scale(values, workload.mean_tokens_per_day, workload.growth_per_month_share, months)
    peak = values["peak_to_mean"] / workload.peak_to_mean if "peak_to_mean" in values else np.asarray(1.0)
    price = values["baseline_price"] / baseline_usd_per_mtok(asked, considered.evaluations) if "baseline_price" in values else 1.0
    numbers = replace(
        base,
        assumptions=assumed,
        volume=_scaled(base.volume, scale),
        peak_requests_per_s=np.asarray(base.peak_requests_per_s * scale * peak),
        api_price=assumed.api_price_path(months),
        rent=assumed.rent_path(months),
        baseline_price=price,
        host_place=values.get("host_place", 0.0),
        landlord_place=values.get("landlord_place", 0.0),
        tokens_place=values.get("tokens_place", 0.0),
        server_price=values.get("server_price", 1.0),
        implementation=values.get("implementation", 1.0),
        delay_months=values.get("delay_months", 0.0),
        speed_errors=tuple((key.removeprefix(SPEED), value) for key, value in values.items() if key.startswith(SPEED)),
    )
    return with_baseline(considered, numbers)


def with_baseline(considered: Considered, numbers: Numbers, extra_usd: NDArray[np.float64] | float = 0.0) -> Numbers:
    """The numbers with the baseline's own months under them, which others pay until they are live; `extra_usd` comes on top by month."""
    if not considered.baseline.feasible:
        return numbers
    months = costs_of(considered.baseline.supplies[0], replace(numbers, baseline_usd=0.0)).month_totals_usd
    return replace(numbers, baseline_usd=np.asarray(months + extra_usd))


# ---- below: how ----


def _joined(blocks: Sequence[Worlds]) -> Worlds:
    """Blocks of rows, one after the other."""
    options = tuple(_joined_option(parts) for parts in zip(*(block.options for block in blocks), strict=True))
    return Worlds(
        rows=sum(block.rows for block in blocks),
        options=options,
        baseline=next(option for option in options if option.evaluation.option.baseline),
        fallback_usd=np.concatenate([block.fallback_usd for block in blocks]),
        expected_usd=np.concatenate([block.expected_usd for block in blocks], axis=1),
        best=np.concatenate([block.best for block in blocks]),
    )


def _joined_option(parts: Sequence[OptionWorlds]) -> OptionWorlds:
    return OptionWorlds(
        evaluation=parts[0].evaluation,
        upfront_usd=np.concatenate([part.upfront_usd for part in parts]),
        total_usd=np.concatenate([part.total_usd for part in parts]),
        months_usd=np.concatenate([part.months_usd for part in parts]),
        spent_usd=np.concatenate([part.spent_usd for part in parts]),
        error_usd=np.concatenate([part.error_usd for part in parts]),
        chance=np.concatenate([part.chance for part in parts]),
        possible=np.concatenate([part.possible for part in parts]),
    )


def _option(
    found: Evaluation, considered: Considered, numbers: Numbers, values: Values, rows: int, extra_usd: NDArray[np.float64] | float
) -> OptionWorlds:
    totals = _cheapest(found.supplies, numbers, rows)
    months = totals.months_usd + extra_usd
    key = quality_key(considered.evaluations, found)
    chance = np.broadcast_to(values[key][:, 0] if key in values and not found.option.baseline else found.quality.probability, (rows,))
    return OptionWorlds(
        evaluation=found,
        upfront_usd=totals.upfront_usd,
        total_usd=np.asarray(totals.upfront_usd + months.sum(axis=-1)),
        months_usd=months,
        spent_usd=totals.spent_usd,
        error_usd=_error_usd(found, numbers, rows),
        chance=np.asarray(chance),
        possible=_possible(found, considered, numbers, np.asarray(chance), rows),
    )


@dataclass(frozen=True, kw_only=True)
class _Totals:
    """One supply's bill in every world; `usd` is what it is compared by with the others of its option."""

    usd: NDArray[np.float64]
    upfront_usd: NDArray[np.float64]
    spent_usd: NDArray[np.float64]
    months_usd: NDArray[np.float64]


def _cheapest(supplies: tuple[Supply, ...], numbers: Numbers, rows: int) -> _Totals:
    """The bill of the cheapest supply in each world."""
    if supplies[0].price is not None:
        return _totals(costs_of(supplies[0], numbers), rows)
    if any(supply.training_gpu_hours_per_mtok is not None for supply in supplies):
        return reduce(_cheaper, (_totals(costs_of(supply, numbers), rows) for supply in supplies))
    # What stands beside the servers is the same whichever servers are taken: it is computed once.
    servers = reduce(_cheaper, (_servers_totals(servers_usd(supply, numbers), rows) for supply in supplies))
    beside = _totals(costs_beside(supplies[0], numbers), rows)
    return _Totals(
        usd=servers.usd + beside.usd,
        upfront_usd=servers.upfront_usd + beside.upfront_usd,
        spent_usd=beside.spent_usd,
        months_usd=servers.months_usd + beside.months_usd,
    )


def _servers_totals(servers: ServersUsd, rows: int) -> _Totals:
    upfront = np.broadcast_to(servers.upfront_usd, (rows,))
    months = np.broadcast_to(servers.months_usd, (rows, servers.months_usd.shape[-1]))
    usd = np.broadcast_to(servers.total_usd, (rows,))
    return _Totals(usd=usd, upfront_usd=upfront, spent_usd=np.zeros(1), months_usd=months)


def _totals(costs: MonthlyCosts, rows: int) -> _Totals:
    upfront = np.broadcast_to(costs.upfront_usd, (rows,))
    months = np.broadcast_to(costs.month_totals_usd, (rows, costs.months))
    spent = np.broadcast_to(spent_if_it_fails_usd(costs), (rows,))
    return _Totals(usd=np.asarray(upfront + months.sum(axis=-1)), upfront_usd=upfront, spent_usd=spent, months_usd=months)


def _cheaper(one: _Totals, other: _Totals) -> _Totals:
    """Row by row the cheaper of two; the first one where they are equal."""
    better = other.usd < one.usd
    if not better.any():
        return one
    if better.all():
        return other
    return _Totals(
        usd=np.where(better, other.usd, one.usd),
        upfront_usd=np.where(better, other.upfront_usd, one.upfront_usd),
        spent_usd=np.where(better, other.spent_usd, one.spent_usd),
        months_usd=np.where(better[:, np.newaxis], other.months_usd, one.months_usd),
    )


def _volume_scale(values: Values, tokens_per_day: float, growth: float, months: int) -> NDArray[np.float64]:
    """Volume of each month over the one stated: 1 where nothing changes."""
    scale = np.asarray(values["tokens_per_day"] / tokens_per_day if "tokens_per_day" in values else 1.0)
    if "growth_per_month_share" in values:
        scale = scale * ((1.0 + values["growth_per_month_share"]) / (1.0 + growth)) ** np.arange(months, dtype=np.float64)
    return np.asarray(scale)


def _scaled(volume: TokenVolume, scale: NDArray[np.float64]) -> TokenVolume:
    return TokenVolume(
        input_tokens=np.asarray(volume.input_tokens * scale),
        cached_input_tokens=np.asarray(volume.cached_input_tokens * scale),
        output_tokens=np.asarray(volume.output_tokens * scale),
        requests=np.asarray(volume.requests * scale),
    )


def _error_usd(found: Evaluation, numbers: Numbers, rows: int) -> NDArray[np.float64]:
    """USD per wrong case x requests once live x extra wrong answers of an option that is good enough; 0 for the baseline."""
    usd = np.asarray(numbers.assumptions.usd_per_wrong_case)
    if found.option.baseline or not usd.any():
        return np.zeros(rows)
    months = np.shape(numbers.volume.requests)[-1]
    live = np.arange(months) >= live_after(found.supplies[0], numbers)
    return np.asarray(np.broadcast_to((numbers.volume.requests * live * ERROR_SHARE_WITHIN_MARGIN * usd).sum(axis=-1), (rows,)))


def _possible(found: Evaluation, considered: Considered, numbers: Numbers, chance: NDArray[np.float64], rows: int) -> NDArray[np.bool_]:
    """Gates as in the decision; a world may change the chance, which has a gate of its own, and the load."""
    if not all(verdict.passed for verdict in found.verdicts if verdict.gate != "quality"):
        return np.zeros(rows, dtype=np.bool_)
    as_decided = all(verdict.passed for verdict in found.verdicts)
    moved = (chance >= MIN_PROBABILITY) | (found.option.arm in considered.asked.last_resort)
    likely = np.where(chance == found.quality.probability, as_decided, moved)
    return np.asarray(np.broadcast_to(likely & carries(found.supplies[0], numbers), (rows,)))


def _fallback(options: tuple[OptionWorlds, ...], baseline: OptionWorlds) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What is paid where an option fails, (rows,), and which option that is, (options, rows): the baseline, else the likeliest possible."""
    if baseline.evaluation.feasible:
        is_baseline = [np.full(baseline.total_usd.shape, option is baseline) for option in options]
        return baseline.total_usd, np.stack(is_baseline)
    totals = np.stack([option.total_usd for option in options])
    chances = np.stack([np.where(option.possible, option.chance, -1.0) for option in options])
    likeliest = (chances == chances.max(axis=0)) & (chances >= 0.0)
    among = np.where(likeliest, totals, np.inf)
    chosen = among.argmin(axis=0)
    is_fallback = (np.arange(len(options))[:, np.newaxis] == chosen) & likeliest
    return among.min(axis=0), is_fallback
