"""How much the fitted chances are worth: left out by dataset and by laboratory, against the base rate, and on tables not seen before."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from facts.errors import InputError
from selector.evidence import Tried, Unit, read_studies, study_sources, units, units_of, units_of_kind
from selector.rates import Count, Rates, fit_outcomes

BINS: Final = (0.0, 0.3, 0.6, 0.8, 1.0)
"""Edges of the reliability table."""
RESAMPLES: Final = 4_000
SEED: Final = 20_261_122
BAR_BY_DATASET: Final = 0.10
BAR_BY_SOURCE: Final = -0.03
"""Least skill that was asked for, set before looking."""

Outcome = Callable[[Unit], bool]


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """One unit, forecast without its group.

    unit: the unit
    group: what was left out
    chance: by the fitted rates
    base_rate: by the base rate of the same fold
    within: what happened
    """

    unit: Unit
    group: str
    chance: float
    base_rate: float
    within: bool


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """One row of a reliability table.

    low, high: edges of the forecasts
    units: how many fell there
    mean_forecast: their mean chance
    within: how many held
    """

    low: float
    high: float
    units: int
    mean_forecast: float
    within: int


@dataclass(frozen=True, kw_only=True)
class Score:
    """How good a set of forecasts is.

    units: how many
    brier, log_loss: of the fitted chances
    base_brier, base_log_loss: of the base rate
    difference_low, difference_high: 90 % interval of Brier less base Brier, groups resampled; below 0 is better than the base rate
    reliability: forecasts against outcomes
    """

    units: int
    brier: float
    log_loss: float
    base_brier: float
    base_log_loss: float
    difference_low: float
    difference_high: float
    reliability: tuple[ReliabilityBin, ...]

    @property
    def skill(self) -> float:
        """1 - Brier / Brier of the base rate: 0 is no better than the base rate."""
        return 1 - self.brier / self.base_brier


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """Fitted chances scored on a table that was not in the fit.

    score: the result
    forecasts: unit by unit
    left_out_rows: why rows of the table did not count
    also_fitted: units of the fit set aside because the table has the same dataset or source
    """

    score: Score
    forecasts: tuple[Forecast, ...]
    left_out_rows: tuple[tuple[str, int], ...]
    also_fitted: int


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """The same validation under another reading of the evidence.

    name: what was changed
    units, within: how many units, and of these within the margin
    by_dataset, by_source: skill
    """

    name: str
    units: int
    within: int
    by_dataset: float
    by_source: float


def by_dataset(unit: Unit) -> str:
    """Group of the leave-one-task-out validation: the dataset, in whatever setting."""
    return unit.dataset


def by_source(unit: Unit) -> str:
    """Group of the leave-one-source-out validation: the laboratory."""
    return unit.group


def within_5pct(unit: Unit) -> bool:
    """The outcome that the shipped chances forecast."""
    return unit.within_5pct


def cross_validate(found: Sequence[Unit], group: Callable[[Unit], str], outcome: Outcome = within_5pct) -> tuple[Forecast, ...]:
    """Every unit forecast by rates fitted without its group."""
    forecasts: list[Forecast] = []
    for name in sorted({group(unit) for unit in found}):
        rates = fit_outcomes((unit, outcome(unit)) for unit in found if group(unit) != name)
        forecasts += [_forecast(rates, unit, name, outcome) for unit in found if group(unit) == name]
    return tuple(forecasts)


def score_of(forecasts: Sequence[Forecast]) -> Score:
    """Brier, log-loss, skill, reliability and the bootstrap over groups."""
    chance, base, within = (
        np.array(column, dtype=float) for column in zip(*((f.chance, f.base_rate, f.within) for f in forecasts), strict=True)
    )
    low, high = _difference_interval(forecasts, (chance - within) ** 2 - (base - within) ** 2)
    return Score(
        units=len(forecasts),
        brier=brier(chance, within),
        log_loss=log_loss(chance, within),
        base_brier=brier(base, within),
        base_log_loss=log_loss(base, within),
        difference_low=low,
        difference_high=high,
        reliability=_reliability(chance, within),
    )


def brier(chance: NDArray[np.float64], within: NDArray[np.float64]) -> float:
    """Mean of (chance - outcome) squared (Brier 1950)."""
    return float(np.mean((chance - within) ** 2))


def log_loss(chance: NDArray[np.float64], within: NDArray[np.float64]) -> float:
    """Mean of -ln of the chance given to what happened."""
    return float(-np.mean(np.where(within > 0, np.log(chance), np.log1p(-chance))))


def score_unseen(path: Path) -> Unseen:
    """The shipped chances on a CSV of other studies; units of the fit that share a dataset or a source with it are set aside first."""
    studies = read_studies(path)
    ids = {citation: source.id for source in study_sources() for citation in source.citations}
    new = [unit for unit in units_of(studies.rows, sources=ids) if not unit.exam]
    if not new:
        raise InputError(
            f"{path} holds no study that counts: {'; '.join(f'{n} rows, {why}' for why, n in studies.left_out) or 'it is empty'}"
        )
    datasets, sources = {unit.dataset for unit in new}, {source for unit in new for source in unit.sources}
    fitted = units_of_kind(Tried.TUNED_SMALL)
    kept = [unit for unit in fitted if unit.dataset not in datasets and not sources & set(unit.sources)]
    if not kept:
        raise InputError(f"{path} shares a dataset or a source with all {len(fitted)} fitted units: give studies that were not in the fit")
    rates = fit_outcomes((unit, unit.within_5pct) for unit in kept)
    forecasts = tuple(_forecast(rates, unit, by_source(unit), within_5pct) for unit in new)
    return Unseen(score=score_of(forecasts), forecasts=forecasts, left_out_rows=studies.left_out, also_fitted=len(fitted) - len(kept))


def perturbations() -> tuple[Perturbation, ...]:
    """Validation under other readings: references as published, exams counted, only up to 8B, margins of 3 and 10 %."""
    tuned = units_of_kind(Tried.TUNED_SMALL)
    exams = tuple(unit for unit in units() if unit.tried is Tried.TUNED_SMALL)
    small = tuple(unit for unit in tuned if unit.within_5pct_8b is not None)
    return (
        _perturbation("as shipped: at most 13B, corrected references, no exams, 5 %", tuned, within_5pct),
        _perturbation("references as published", tuned, lambda unit: unit.within_5pct_as_published),
        _perturbation("exams counted", exams, within_5pct),
        _perturbation("models of at most 8B only", small, lambda unit: bool(unit.within_5pct_8b)),
        _perturbation("margin 3 %", tuned, lambda unit: unit.within_3pct),
        _perturbation("margin 10 %", tuned, lambda unit: unit.within_10pct),
    )


def between_source_strength(found: Iterable[Unit]) -> float:
    """a + b of a beta-binomial fitted by maximum likelihood to the counts per source: what one more laboratory's rate is worth."""
    counts: dict[str, Count] = {}
    for unit in found:
        before = counts.get(unit.group, Count())
        counts[unit.group] = replace(before, within=before.within + unit.within_5pct, units=before.units + 1)
    k = np.array([count.within for count in counts.values()], dtype=float)
    n = np.array([count.units for count in counts.values()], dtype=float)

    def unlikelihood(parameters: NDArray[np.float64]) -> float:
        mean, strength = special.expit(parameters[0]), math.exp(parameters[1])
        a, b = mean * strength, (1 - mean) * strength
        return float(-np.sum(special.betaln(k + a, n - k + b) - special.betaln(a, b)))

    found_at = optimize.minimize(unlikelihood, np.array([0.5, 1.0]), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    return float(math.exp(found_at.x[1]))


def sources_of(found: Iterable[Unit]) -> int:
    """How many laboratories stand behind units."""
    return len({unit.group for unit in found})


def _forecast(rates: Rates, unit: Unit, group: str, outcome: Outcome) -> Forecast:
    chance = rates.chance(unit.setting, unit.task_type, bucket=unit.bucket)
    return Forecast(unit=unit, group=group, chance=chance, base_rate=rates.base_rate(), within=outcome(unit))


def _perturbation(name: str, found: Sequence[Unit], outcome: Outcome) -> Perturbation:
    return Perturbation(
        name=name,
        units=len(found),
        within=sum(outcome(unit) for unit in found),
        by_dataset=score_of(cross_validate(found, by_dataset, outcome)).skill,
        by_source=score_of(cross_validate(found, by_source, outcome)).skill,
    )


def _difference_interval(forecasts: Sequence[Forecast], difference: NDArray[np.float64]) -> tuple[float, float]:
    """5 and 95 % points of the mean difference when whole groups are drawn again."""
    names = sorted({forecast.group for forecast in forecasts})
    index = {name: number for number, name in enumerate(names)}
    groups = np.array([index[forecast.group] for forecast in forecasts])
    sums = np.bincount(groups, weights=difference, minlength=len(names))
    sizes = np.bincount(groups, minlength=len(names))
    drawn = np.random.default_rng(SEED).integers(0, len(names), size=(RESAMPLES, len(names)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.05, 0.95])
    return float(low), float(high)


def _reliability(chance: NDArray[np.float64], within: NDArray[np.float64]) -> tuple[ReliabilityBin, ...]:
    found = []
    for low, high in pairwise(BINS):
        here = (chance >= low) & ((chance < high) | (high == BINS[-1]))
        if here.any():
            found.append(
                ReliabilityBin(
                    low=low, high=high, units=int(here.sum()), mean_forecast=float(chance[here].mean()), within=int(within[here].sum())
                )
            )
    return tuple(found)
