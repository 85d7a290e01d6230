"""The one number that moves a verdict most: each moved alone to either end of its range, and the widest swing of the expected saving."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selector import sentences
from selector.evaluation import Evaluation
from selector.ranges import QUALITY, Range, ranges_of
from selector.recommendation import Considered
from selector.results import MovesMost
from selector.worlds import Worlds, worlds_at

LEAST_SWING_USD = 1.0


def moves_most(considered: Considered, option_id: str) -> MovesMost | None:
    """For the option of that id: its expected saving against today's model, or its cost where that may not run; None where nothing moves.

    Numbers known today, such as the list price of today's model, are not moved: what a negotiation would do stands beside.
    """
    ranges = [one for one in ranges_of(considered.asked, considered.evaluations) if not one.certain and one.drawn]
    if not ranges:
        return None
    pair = {option_id, considered.baseline.option.id}
    worlds = worlds_at(considered, _ends(ranges), 2 * len(ranges) + 1, only=pair)
    moved, usd = (
        ("expected saving", _expected_saving(worlds, option_id)) if considered.baseline.feasible else ("cost", _cost(worlds, option_id))
    )
    swings = np.abs(usd[1:-1:2] - usd[0:-1:2])
    place = int(swings.argmax())
    if float(swings[place]) < LEAST_SWING_USD:
        return None
    one = ranges[place]
    low, high, base = float(usd[2 * place]), float(usd[2 * place + 1]), float(usd[-1])
    may_win = {found.option.id for found in considered.evaluations if _may_win(found, one)}
    ends = worlds_at(considered, _ends([one]), 3, only=may_win | pair)
    ids = (ends.recommended(0), ends.recommended(1))
    titles = {found.option.id: found.option.title for found in considered.evaluations}
    instead = tuple(None if found == ends.recommended(2) else titles.get(found or "", "nothing") for found in ids)
    return MovesMost(
        key=one.key,
        label=one.label,
        unit=one.unit,
        low=one.low,
        base=one.base,
        high=one.high,
        option_id=option_id,
        moved=moved,
        usd=base,
        low_usd=low,
        high_usd=high,
        option_id_low=ids[0],
        option_id_high=ids[1],
        words=sentences.moves_most(
            sentences.Moved(
                key=one.key,
                label=one.label,
                unit=one.unit,
                low=one.low,
                high=one.high,
                of=moved,
                low_usd=low,
                high_usd=high,
                next_best="" if option_id == ends.recommended(2) else titles[option_id],
                instead=instead,
            )
        ),
    )


# ---- below: how ----


def _ends(ranges: list[Range]) -> dict[str, NDArray[np.float64]]:
    """Rows in which one number after the other stands at its low and its high end and all others stay; a last row in which all stay."""
    rows = 2 * len(ranges) + 1
    values = {one.key: np.full((rows, 1), one.base) for one in ranges}
    for place, one in enumerate(ranges):
        values[one.key][2 * place : 2 * place + 2, 0] = (one.low, one.high)
    return values


def _cost(worlds: Worlds, option_id: str) -> NDArray[np.float64]:
    return worlds.options[worlds.place(option_id)].total_usd


def _expected_saving(worlds: Worlds, option_id: str) -> NDArray[np.float64]:
    """Today's total less P x the option's total, the other chance at what the test cost and today's total."""
    option = worlds.options[worlds.place(option_id)]
    paid = option.total_usd + option.error_usd
    expected = option.chance * paid + (1.0 - option.chance) * (option.spent_usd + worlds.baseline.total_usd)
    return np.asarray(worlds.baseline.total_usd - expected)


def _may_win(found: Evaluation, one: Range) -> bool:
    """Feasible options; where a chance is moved, also those that the chance alone keeps out."""
    moved = one.key.startswith(QUALITY)
    return bool(found.supplies) and all(verdict.passed for verdict in found.verdicts if not (moved and verdict.gate == "quality"))
