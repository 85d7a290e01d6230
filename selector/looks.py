"""The tests of a project as they were kept, and how often the same cases may be looked at before a pass means nothing."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Final

from selector.gap_gate import ALPHA, GateResult, GateVerdict

FIRST_LOOK_ALPHA: Final = 0.02
"""Spent before tuning, of the 0.05 that a set of cases holds."""
SECOND_LOOK_ALPHA: Final = 0.03
"""Spent on the same cases after tuning."""
SKETCH: Final = 4_096
"""Cases of a test that are remembered: up to so many exactly, of larger tests a fair sample."""
ROUNDING: Final = 1e-9
"""Levels closer than this are the same."""


class Stage(StrEnum):
    """The six stages of the playbook, in order."""

    TASK = "task"
    DATA = "data"
    BASELINE = "baseline"
    EXPERIMENT = "experiment"
    TUNING = "tuning"
    PRODUCTION = "production"


@dataclass(frozen=True, kw_only=True)
class GateLook:
    """One candidate's result of one look at a set of cases.

    id: of this row
    scenario_name: the workload's name
    look: shared by all candidates of the same look (Holm), which spend their level together
    stage: experiment (before tuning), tuning (after it) or production (fresh samples)
    result: what the test said
    alpha: one-sided level of the whole look; of the whole sequence where `planned_items` is stated
    planned_items: the size at which the last of several looks was planned, None for a single look
    cases: sketch of the cases it used, empty where they are not known
    created: ISO 8601 in UTC
    who: who ran it, or ""
    """

    id: str
    scenario_name: str
    look: str
    stage: Stage
    result: GateResult
    alpha: float
    planned_items: int | None = None
    cases: tuple[str, ...] = ()
    created: str
    who: str = ""

    @property
    def spends_with(self) -> str:
        """What its level is shared with: the looks of one planned sequence, or the candidates of one look."""
        if self.planned_items is None:
            return self.look
        return f"{self.stage}/{self.result.option_id}/{self.result.arm}/{self.planned_items}"


def sketch(items: Iterable[str]) -> tuple[str, ...]:
    """The smallest 4,096 hashes of the cases' names: two tests can be compared without keeping the cases."""
    hashes = {hashlib.blake2b(str(item).encode(), digest_size=6).hexdigest() for item in items}
    return tuple(heapq.nsmallest(SKETCH, hashes))


def shared_share(one: Sequence[str], other: Sequence[str]) -> float:
    """Share of the cases of two tests together that stand in both, from their sketches; 1 where either is unknown.

    >>> shared_share(sketch("abcd"), sketch("cdef"))
    0.3333333333333333
    """
    if not one or not other:
        return 1.0
    both, union = set(one) & set(other), heapq.nsmallest(SKETCH, set(one) | set(other))
    return sum(case in both for case in union) / len(union)


def alpha_spent(looks: Iterable[GateLook], cases: Sequence[str]) -> float:
    """Levels of all looks that share a case with `cases`; looks that spend together count once."""
    spent: dict[str, float] = {}
    for look in looks:
        if shared_share(look.cases, cases) > 0.0:
            spent[look.spends_with] = max(look.alpha, spent.get(look.spends_with, 0.0))
    return sum(spent.values())


def counted(looks: Iterable[GateLook]) -> tuple[GateLook, ...]:
    """The looks in time order, each pass on cases that were used up before turned into 'not decided'.

    A set of cases holds a level of 0.05 in all (Bonferroni): 0.02 before tuning and 0.03 after it, or 0.05 on a set that shares no case
    with an earlier look. A result that is shown not good enough stays.
    """
    ordered = sorted(looks, key=_when)
    found = []
    for place, look in enumerate(ordered):
        earlier = [other for other in ordered[:place] if other.spends_with != look.spends_with]
        spent = alpha_spent(earlier, look.cases)
        if look.result.verdict is GateVerdict.WITHIN and spent + look.alpha > ALPHA + ROUNDING:
            found.append(replace(look, result=_used_up(look.result, look.alpha, spent)))
        else:
            found.append(look)
    return tuple(found)


def latest_looks(looks: Iterable[GateLook], as_of: date | None = None) -> tuple[GateLook, ...]:
    """The newest look of every option (or arm, where the test names no option) until a day, used-up passes undone; oldest first.

    A fresh sample in production that decides nothing does not undo an earlier result.
    """
    newest: dict[tuple[str, str], GateLook] = {}
    for look in counted(looks):
        if as_of is None or look.created[:10] <= as_of.isoformat():
            key = (look.result.option_id, "" if look.result.option_id else look.result.arm)
            if key in newest and _decides_nothing(look):
                continue
            newest.pop(key, None)
            newest[key] = look
    return tuple(newest.values())


def latest_gates(looks: Iterable[GateLook], as_of: date | None = None) -> tuple[GateResult, ...]:
    """What the newest look of every option (or arm) said: what may stand in place of a prior."""
    return tuple(look.result for look in latest_looks(looks, as_of))


# ---- below: how ----


def _decides_nothing(look: GateLook) -> bool:
    return look.stage is Stage.PRODUCTION and look.result.verdict is GateVerdict.UNDECIDED


def _when(look: GateLook) -> tuple[str, str]:
    return look.created, look.id


def _used_up(result: GateResult, alpha: float, spent: float) -> GateResult:
    why = (
        f"these cases have been looked at before: {spent:g} of their {ALPHA:g} is spent and this look asks for {alpha:g}; "
        f"test at {max(ALPHA - spent, 0.0):g} or on cases not used yet"
        if spent < ALPHA - ROUNDING
        else f"these cases were used up by an earlier look at {spent:g}: test on cases not used yet"
    )
    head = result.sentence.rsplit(": ", 1)[0]
    return replace(
        result,
        verdict=GateVerdict.UNDECIDED,
        extra_items=None,
        notes=(why, *result.notes),
        sentence=f"{head}: not decided, because {why}." if head else "",
    )
