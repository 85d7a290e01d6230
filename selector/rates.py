"""The chance of being good enough, fitted to published units: base rate, setting, family, type, and the size of the training set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from selector.evidence import Setting, Tried, Unit, family_of
from selector.tasks import Family
from workloads.demand import TaskType

SETTING_PSEUDO_COUNT: Final = 2.0
FAMILY_PSEUDO_COUNT: Final = 4.0
TYPE_PSEUDO_COUNT: Final = 4.0
SIZE_PSEUDO_COUNT: Final = 6.0
"""How many units each step's starting point is worth; fixed before the validation was run, and the same in every fold."""
TUNED_STRENGTHS: Final[Mapping[Setting, float]] = {
    Setting.IN_DOMAIN: 5.0,
    Setting.OUT_OF_DOMAIN: 2.0,
    Setting.GENERAL_PURPOSE: 3.0,
}
UNTUNED_STRENGTHS: Final[Mapping[Tried, float]] = {Tried.CHEAP_API: 5.0, Tried.PROMPTED_70B: 2.0, Tried.SMALL_UNTUNED: 5.0}
"""Pseudo-observations behind a chance: laboratories differ far more than datasets, so many datasets are worth few observations.

Rounded towards caution from beta-binomial fits between sources (docs/evidence.md): 6.0 in-domain, 0.6 elsewhere, 0.7 for prompted 70B."""

_Key = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Count:
    """Published units of one kind.

    within: of these within the margin
    units: how many
    """

    within: int = 0
    units: int = 0


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Counts of published units at one margin, and the chances that follow from them.

    margin_share: the margin, 0.05 is 5 %
    counts: units by setting, family, type and size class
    """

    margin_share: float
    counts: Mapping[_Key, Count]

    def count(self, *key: str) -> Count:
        """Units under a key such as (setting, family, type); none for an empty cell."""
        return self.counts.get(key, Count())

    def base_rate(self) -> float:
        """Share of all units within the margin, Laplace: (k + 1) / (n + 2)."""
        return laplace(self.count())

    def chance(self, setting: Setting, task_type: TaskType, *, bucket: str = "unknown", family: Family | None = None) -> float:
        """Base rate -> setting -> family -> type, each pulled towards the one before; then the size shift where sizes are known.

        `family` given and other than the type's own stops at that family: a narrow type asked for in a hard way has no cases of its own.
        """
        kind = family or family_of(task_type)
        in_setting = pulled(self.count(setting), self.base_rate(), SETTING_PSEUDO_COUNT) if self._several_settings() else self.base_rate()
        in_family = pulled(self.count(setting, kind), in_setting, FAMILY_PSEUDO_COUNT)
        of_type = pulled(self.count(setting, kind, task_type), in_family, TYPE_PSEUDO_COUNT)
        if setting is not Setting.IN_DOMAIN or kind is not Family.NARROW or bucket == "unknown":
            return of_type
        return inverse_logit(logit(of_type) + self._size_shift(bucket, in_family))

    def _size_shift(self, bucket: str, narrow_rate: float) -> float:
        """Log-odds of a size class against all narrow in-domain units of known size; hard families show no effect of size."""
        known = pulled(self.count("size", "known"), narrow_rate, SIZE_PSEUDO_COUNT)
        return logit(pulled(self.count("size", bucket), known, SIZE_PSEUDO_COUNT)) - logit(known)

    def _several_settings(self) -> bool:
        return sum(len(key) == 1 for key in self.counts) > 1


def fit(units: Iterable[Unit], margin_share: float = 0.05) -> Rates:
    """Rates counted over units at a margin of 0.03, 0.05 or 0.10."""
    return fit_outcomes(((unit, unit.within(margin_share)) for unit in units), margin_share)


def fit_outcomes(outcomes: Iterable[tuple[Unit, bool]], margin_share: float = 0.05) -> Rates:
    """Rates counted over units with outcomes given beside them (another reading of the same units)."""
    tally: dict[_Key, list[int]] = {}
    for unit, within in outcomes:
        for key in _keys(unit):
            cell = tally.setdefault(key, [0, 0])
            cell[0] += within
            cell[1] += 1
    return Rates(margin_share=margin_share, counts={key: Count(within=k, units=n) for key, (k, n) in tally.items()})


def pulled(count: Count, towards: float, pseudo_count: float) -> float:
    """Shrunk share: (k + m p) / (n + m).

    >>> round(pulled(Count(within=27, units=36), 0.7733, 4), 4)
    0.7523
    """
    return (count.within + pseudo_count * towards) / (count.units + pseudo_count)


def laplace(count: Count) -> float:
    """(k + 1) / (n + 2)."""
    return (count.within + 1) / (count.units + 2)


def logit(share: float) -> float:
    """Log-odds of a share."""
    return math.log(share / (1 - share))


def inverse_logit(log_odds: float) -> float:
    """Share of log-odds."""
    return 1 / (1 + math.exp(-log_odds))


def _keys(unit: Unit) -> tuple[_Key, ...]:
    family = unit.family
    keys: tuple[_Key, ...] = ((), (unit.setting,), (unit.setting, family), (unit.setting, family, unit.task_type))
    if unit.setting is Setting.IN_DOMAIN and family is Family.NARROW and unit.bucket != "unknown":
        keys += (("size", "known"), ("size", unit.bucket))
    return keys
