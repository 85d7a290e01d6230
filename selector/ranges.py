"""How far off each number of a decision may be: low, base and high with their source, and seeded draws between them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import brentq

from facts.records import Basis, Fact, Source, read_facts
from pricing.assumptions import AssumptionNote, Assumptions, register
from selector.evaluation import Z80, Asked, Evaluation
from selector.quality import Kind
from selector.results import QualityPrior

DOUBTED: Final = (
    "api_price_change_share_per_year",
    "cascade_escalation_share",
    "electricity_usd_per_kwh",
    "engineer_day_usd",
    "encoder_engineer_days",
    "evaluation_engineer_days",
    "finetune_engineer_days",
    "finetune_experiments_factor",
    "fte_month_usd",
    "hosting_usd_per_kw_month",
    "label_check_share",
    "label_overhead_share",
    "label_refresh_share",
    "label_usd_each",
    "maintenance_share_per_year",
    "monitoring_usd_per_month",
    "on_call_usd_per_month",
    "pue",
    "rent_change_share_per_year",
    "retrains_per_year",
    "retry_share",
    "staff_fte_api",
    "staff_fte_owned",
    "staff_fte_rented",
    "supporting_infra_owned_usd_per_month",
    "supporting_infra_rented_usd_per_month",
)
"""Assumptions that a bill is doubted in. The others are choices of the user's (spares, ceiling, discount rate, examples to train on),
belong to the amortised view only, or are steps of a price path, which `price_paths` shows one by one."""
SIMPLE_LABEL_RANGE: Final = (0.02, 0.15)
REASONED_LABEL_RANGE: Final = (0.80, 3.00)
"""USD per label, of a class or a span and of a reasoned answer: PCCVDI and DataXPower price pages, 2026."""
QUALITY: Final = "good_enough."
SPEED: Final = "speed."


class Shape(StrEnum):
    """How draws lie between low, base and high."""

    BETWEEN = "between"
    NORMAL = "normal"
    CHANCE = "chance"


class RangeFact(Fact):
    """One entry of selector/data/ranges.toml."""

    id: str
    """Which number."""
    label: str
    """Its name on the page."""
    unit: str
    """Of the number."""
    low: float
    """Low end of what is plausible."""
    high: float
    """High end of what is plausible."""
    relative: bool = False
    """Whether low and high are factors of the number in use."""
    around: bool = False
    """Whether low and high are added to the number in use."""
    searched_low: float | None = None
    """Where the search for a flip value begins, if lower than `low`."""
    searched_high: float | None = None
    """Where it ends, if higher than `high`."""
    whole: bool = False
    """Whether only whole numbers make sense."""
    drawn: bool = True
    """Whether it is drawn in a simulation; a number known today is not, whatever it may become by negotiation."""
    basis: Basis
    """How the range was come by."""
    source: Source
    """Where."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """One number that may be off.

    key: an assumption's, or one of selector/data/ranges.toml, or `speed.<engine>.<memory>`, or `good_enough.<kind>`
    label, unit: for the reader
    low, base, high: plausible ends and the number in use
    searched_low, searched_high: where a flip value is looked for
    shape: how draws lie: between the ends with the base as their median; normal with the ends as 10 % and 90 % points; or a chance with
        the ends as its 5 % and 95 % points
    whole: only whole numbers make sense
    drawn: whether a simulation draws it
    source, note: where the range was read, and what a reader should know of it
    basis: how it was come by
    """

    key: str
    label: str
    unit: str
    low: float
    base: float
    high: float
    searched_low: float
    searched_high: float
    shape: Shape = Shape.BETWEEN
    whole: bool = False
    drawn: bool = True
    source: str
    note: str
    basis: Basis

    @property
    def certain(self) -> bool:
        """Whether there is nothing to doubt."""
        return self.low == self.base == self.high


def ranges_of(asked: Asked, evaluations: tuple[Evaluation, ...]) -> tuple[Range, ...]:
    """Every number of a decision that may be off, by key; the same whatever the order of the options."""
    found = [*_own_ranges(asked, evaluations), *_assumption_ranges(asked), *_speed_ranges(evaluations), *_quality_ranges(evaluations)]
    return tuple(sorted(found, key=lambda one: one.key))


def known(one: Range) -> Range:
    """The same number without any doubt."""
    return replace(one, low=one.base, high=one.base)


def drawn_values(one: Range, draws: int, seed: int) -> NDArray[np.float64]:
    """Seeded draws of one number, (draws, 1). Each key has its own stream, so that no number's draws depend on another being there."""
    random = stream(one.key, seed)
    if one.certain or not one.drawn or (one.shape is Shape.CHANCE and not 0.0 < one.base < 1.0):
        return np.full((draws, 1), one.base)
    if one.shape is Shape.CHANCE:
        values = random.beta(*beta_of(one.base, one.low, one.high), size=(draws, 1))
    elif one.shape is Shape.NORMAL:
        errors = random.standard_normal((draws, 1)) / Z80
        values = one.base + errors * np.where(errors < 0.0, one.base - one.low, one.high - one.base)
    else:
        values = between(one.low, one.base, one.high, random.random((draws, 1)))
    return np.asarray(np.rint(values) if one.whole else values)


def between(low: float, base: float, high: float, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The value below which `share` of the draws lie: half on either side of the base, on each falling linearly to nothing at the end.

    >>> between(1.0, 2.0, 6.0, np.array([0.0, 0.5, 1.0])).tolist()
    [1.0, 2.0, 6.0]
    """
    away = 1.0 - np.sqrt(1.0 - np.abs(2.0 * share - 1.0))
    return np.asarray(base + away * np.where(share < 0.5, low - base, high - base))


def stream(key: str, seed: int) -> np.random.Generator:
    """The random numbers of one key under one seed."""
    return np.random.default_rng([seed, zlib.crc32(key.encode())])


def quality_key(evaluations: tuple[Evaluation, ...], evaluation: Evaluation) -> str:
    """The key of an option's chance: one for all options of a kind, its own where the kind's options differ in it."""
    kind = evaluation.option.kind
    same = {other.quality.probability for other in evaluations if other.option.kind is kind}
    return f"{QUALITY}{kind}" if len(same) == 1 else f"{QUALITY}{evaluation.option.id}"


@lru_cache(maxsize=256)
def beta_of(mean: float, low: float, high: float) -> tuple[float, float]:
    """The Beta distribution of a mean whose 5 % to 95 % interval is as wide as the one given."""

    def too_wide(log_strength: float) -> float:
        a, b = mean * np.exp(log_strength), (1.0 - mean) * np.exp(log_strength)
        return float(special.betaincinv(a, b, 0.95) - special.betaincinv(a, b, 0.05)) - (high - low)

    first, last = -3.0, 15.0
    if too_wide(first) <= 0.0:
        strength = np.exp(first)
    elif too_wide(last) >= 0.0:
        strength = np.exp(last)
    else:
        strength = np.exp(float(brentq(too_wide, first, last, xtol=1e-10)))
    return float(mean * strength), float((1.0 - mean) * strength)


# ---- below: where ranges come from ----


@cache
def _facts() -> dict[str, RangeFact]:
    return {row.id: row for row in read_facts(resources.files("selector") / "data" / "ranges.toml", "range", RangeFact)}


def _own_ranges(asked: Asked, evaluations: tuple[Evaluation, ...]) -> list[Range]:
    workload = asked.scenario.workload
    bases = {
        "tokens_per_day": workload.mean_tokens_per_day,
        "peak_to_mean": workload.peak_to_mean,
        "growth_per_month_share": workload.growth_per_month_share,
        "delay_months": 0.0,
        "implementation": 1.0,
        "server_price": 1.0,
        "host_place": 0.0,
        "landlord_place": 0.0,
        "baseline_price": baseline_usd_per_mtok(asked, evaluations),
    }
    if any(supply.tokens.low < supply.tokens.high for found in evaluations for supply in found.supplies):
        bases["tokens_place"] = 0.0
    return [_own(_facts()[key], base) for key, base in bases.items()]


def workload_ranges(asked: Asked) -> tuple[Range, ...]:
    """Numbers of the workload for which the decision has to be made anew, by key: lengths, cached share, labels. They are not drawn."""
    workload = asked.scenario.workload
    bases = {
        "cached_input_share": workload.cached_input_share,
        "input_tokens_mean": workload.input_tokens,
        "labelled_examples": float(workload.labelled_examples),
        "output_tokens_mean": workload.output_tokens,
    }
    return tuple(_bounded(_own(_facts()[key], base)) for key, base in bases.items())


def _bounded(one: Range) -> Range:
    """Within what a workload takes: a share up to 1, a length of a token at least."""
    least, most = (0.0, 1.0) if one.key == "cached_input_share" else (0.0, np.inf) if one.whole else (1.0, np.inf)

    def inside(value: float) -> float:
        return float(min(max(value, least), most))

    return replace(
        one,
        low=inside(one.low),
        high=inside(one.high),
        searched_low=inside(one.searched_low),
        searched_high=inside(one.searched_high),
    )


def baseline_usd_per_mtok(asked: Asked, evaluations: tuple[Evaluation, ...]) -> float:
    """Price of today's model at the workload's mix."""
    price = next(found.supplies[0].price for found in evaluations if found.option.baseline)
    assert price is not None
    volume = asked.requirements.volume
    share = 1.0 - float(volume.output_tokens.sum() / volume.total_tokens.sum())
    return price.usd_per_mtok(share, asked.scenario.workload.cached_input_share)


def _own(fact: RangeFact, base: float) -> Range:
    scale, shift = (base, 0.0) if fact.relative else (1.0, base if fact.around else 0.0)
    low, high = fact.low * scale + shift, fact.high * scale + shift
    if fact.id == "peak_to_mean":
        low = max(low, 1.0)
    return Range(
        key=fact.id,
        label=fact.label,
        unit=fact.unit,
        low=low,
        base=base,
        high=high,
        searched_low=low if fact.searched_low is None else fact.searched_low * scale + shift,
        searched_high=high if fact.searched_high is None else fact.searched_high * scale + shift,
        whole=fact.whole,
        drawn=fact.drawn,
        source=fact.source.url,
        note=fact.source.note,
        basis=fact.basis,
    )


def _assumption_ranges(asked: Asked) -> list[Range]:
    assumed = asked.scenario.assumptions
    notes = {note.key: note for note in register(assumed)}
    return [one for key in DOUBTED if (one := _of_assumption(notes[key], assumed, asked)) is not None]


def _of_assumption(note: AssumptionNote, assumed: Assumptions, asked: Asked) -> Range | None:
    """The register's range; around a number of the user's own it keeps its proportions, and a number without a default is as stated."""
    complexity = asked.scenario.workload.complexity
    low, high = note.low, note.high
    if note.key == "label_usd_each":
        base = assumed.label_usd(complexity)
        default = Assumptions().label_usd(complexity)
        low, high = SIMPLE_LABEL_RANGE if default < REASONED_LABEL_RANGE[0] else REASONED_LABEL_RANGE
    else:
        value = getattr(assumed, note.key)
        if value is None:
            return None
        base, default = float(value), float(note.base or 0.0)
    if note.changed:
        low, high = (base * low / default, base * high / default) if default > 0.0 else (min(low, base), max(high, base))
    if note.key == "pue":
        low = max(low, 1.0)
    low, high = min(low, base), max(high, base)
    return Range(
        key=note.key,
        label=note.label,
        unit=note.unit,
        low=low,
        base=base,
        high=high,
        searched_low=low,
        searched_high=high,
        source=note.source.url,
        note=note.source.note,
        basis=note.basis,
    )


def _speed_ranges(evaluations: tuple[Evaluation, ...]) -> list[Range]:
    """One error for each engine and memory kind, in standard errors of each supply's own interval."""
    supplies = [supply for found in evaluations for supply in found.supplies if supply.speed_group]
    groups = sorted({supply.speed_group for supply in supplies})
    ranges = []
    for group in groups:
        of_group = [supply for supply in supplies if supply.speed_group == group]
        low, high = min(supply.speed_low for supply in of_group), max(supply.speed_high for supply in of_group)
        note = f"80 % of measured speeds lie between {low:.2f} and {high:.2f} of the estimate"
        engine, _, memory = group.rpartition(".")
        ranges.append(
            Range(
                key=SPEED + group,
                label=f"Speed of {engine} on {memory.replace('_', ' ')}{'' if memory == 'this_machine' else ' memory'}",
                unit=f"standard errors, -1.28 is {low:.2f} and 1.28 is {high:.2f} of the estimate",
                low=-Z80,
                base=0.0,
                high=Z80,
                searched_low=-2.0 * Z80,
                searched_high=2.0 * Z80,
                shape=Shape.NORMAL,
                source="capacity/data/intervals.toml",
                note=note,
                basis=of_group[0].plan.basis if of_group[0].plan else Basis.ESTIMATED,
            )
        )
    return ranges


def _quality_ranges(evaluations: tuple[Evaluation, ...]) -> list[Range]:
    ranges: dict[str, Range] = {}
    for found in evaluations:
        if found.option.kind is Kind.BASELINE or not found.supplies:
            continue
        key = quality_key(evaluations, found)
        title = found.option.kind.replace("_", " ") if key == f"{QUALITY}{found.option.kind}" else found.option.title
        ranges.setdefault(key, _chance(key, title, found.quality))
    return list(ranges.values())


def _chance(key: str, title: str, prior: QualityPrior) -> Range:
    return Range(
        key=key,
        label=f"Chance that it is good enough: {title}",
        unit="chance",
        low=min(prior.low, prior.probability),
        base=prior.probability,
        high=max(prior.high, prior.probability),
        searched_low=0.0,
        searched_high=1.0,
        shape=Shape.CHANCE,
        source=prior.source,
        note=prior.because,
        basis=prior.basis,
    )
