"""Numbers of the workload that change servers, prices, cases and gates as a whole: the decision is made anew at every value of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from facts.errors import InputError
from selector.ranges import Range, workload_ranges
from selector.recommendation import Considered, consider
from selector.worlds import Worlds, worlds_at
from workloads.demand import Workload

GRID_POINTS: Final = 4
HALVINGS: Final = 4
"""A flip is known to a 16th of the distance between two points of the grid."""


@dataclass(frozen=True, kw_only=True)
class Redecided:
    """A decision made anew.

    value: of the number
    option_id: what is recommended then, None where nothing is possible
    saving_usd: of the option asked for against the baseline, None where one of them has no bill then
    """

    value: float
    option_id: str | None
    saving_usd: float | None


def workload_at(workload: Workload, key: str, value: float) -> Workload:
    """The same requests with another length, cached share or number of labels; InputError or ValueError where that is no workload.

    The volume follows the lengths: longer prompts are more tokens, not fewer requests.
    """
    stated = workload.model_dump()
    stated |= {
        "requests_per_day": workload.mean_requests_per_day,
        "tokens_per_day": None,
        "input_share": None,
        "input_tokens_mean": workload.input_tokens,
        "output_tokens_mean": workload.output_tokens,
    }
    return Workload.model_validate(stated | {key: int(value) if key == "labelled_examples" else value})


def decide_at(considered: Considered, one: Range, value: float, option_id: str | None) -> Redecided:
    """The decision at one value of one number."""
    scenario = considered.asked.scenario
    try:
        if value == one.base:
            found = considered
        else:
            changed = scenario.model_copy(update={"workload": workload_at(scenario.workload, one.key, value)})
            found = consider(changed, considered.asked.catalog, considered.tree)
        worlds = worlds_at(found, {}, 1)
    except (InputError, ValueError):
        return Redecided(value=value, option_id=None, saving_usd=None)
    return Redecided(value=value, option_id=worlds.recommended(0), saving_usd=_saving(worlds, option_id))


def ends(considered: Considered, option_id: str | None) -> list[tuple[Range, Redecided, Redecided]]:
    """Each number that is not certain at either end of its range."""
    return [
        (one, decide_at(considered, one, one.low, option_id), decide_at(considered, one, one.high, option_id))
        for one in workload_ranges(considered.asked)
        if not one.certain
    ]


def nearest_changes(considered: Considered, one: Range) -> tuple[Redecided | None, Redecided | None]:
    """The nearest values under and over the base at which another option is recommended, None where there is none in the range searched."""
    stay = decide_at(considered, one, one.base, None).option_id
    below = _first_change(considered, one, np.linspace(one.base, one.searched_low, GRID_POINTS).tolist(), stay)
    above = _first_change(considered, one, _rising(one), stay)
    return below, above


# ---- below: how ----


def _rising(one: Range) -> list[float]:
    if one.base > 0.0 and one.searched_high / one.base > 4.0:
        return list(np.geomspace(one.base, one.searched_high, GRID_POINTS).tolist())
    return list(np.linspace(one.base, one.searched_high, GRID_POINTS).tolist())


def _first_change(considered: Considered, one: Range, values: Sequence[float], stay: str | None) -> Redecided | None:
    near = one.base
    for value in values[1:]:
        value = float(np.rint(value)) if one.whole else value
        found = decide_at(considered, one, value, None)
        if found.option_id != stay:
            return _halved(considered, one, near, found, stay)
        near = value
    return None


def _halved(considered: Considered, one: Range, near: float, far: Redecided, stay: str | None) -> Redecided:
    for _ in range(HALVINGS):
        middle = (near + far.value) / 2.0
        if one.whole and abs(far.value - near) < 1.5:
            return far
        found = decide_at(considered, one, float(np.rint(middle)) if one.whole else middle, None)
        if found.option_id == stay:
            near = found.value
        else:
            far = found
    return far


def _saving(worlds: Worlds, option_id: str | None) -> float | None:
    option = next((option for option in worlds.options if option.evaluation.option.id == option_id), None)
    if option is None or not bool(option.possible[0]):
        return None
    return float(worlds.baseline.total_usd[0] - option.total_usd[0])
