"""Whether a model in production still holds: the gate run again on a fresh sample, against the test it once passed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import hypot
from typing import Final

from selector.gap_gate import GateResult, GateVerdict
from selector.looks import GateLook, shared_share

NOTHING_SHARED: Final = 0.0


class Alarm(StrEnum):
    """What a fresh sample gives reason for, gravest last."""

    NONE = "none"
    NOT_FRESH = "not_fresh"
    CHANGED = "changed"
    NOT_SHOWN = "not_shown"
    BELOW = "below"


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A fresh sample held against the test that was passed. Differences are shares, 0.05 is five points.

    alarm: the gravest that applies
    passed, fresh: the two results
    change: fresh difference less the passed one
    low, high: its interval, at the lower confidence of the two
    sentence: what it means and what to do
    """

    alarm: Alarm
    passed: GateResult
    fresh: GateResult
    change: float
    low: float
    high: float
    sentence: str


def drift_of(passed: GateLook, fresh: GateLook) -> Drift:
    """An alarm when the fresh interval lies below the limit, no longer lies above it, or the difference itself has changed."""
    low, high = change_interval(passed.result, fresh.result)
    change = fresh.result.difference - passed.result.difference
    alarm = _alarm(passed, fresh, low, high)
    sentence = _sentence(alarm, fresh.result, change, low, high)
    return Drift(alarm=alarm, passed=passed.result, fresh=fresh.result, change=change, low=low, high=high, sentence=sentence)


def change_interval(before: GateResult, after: GateResult) -> tuple[float, float]:
    """Interval of after - before from the two intervals of independent samples (MOVER; Zou and Donner, Statistics in Medicine 2008).

    low = change - sqrt((after - after's low)^2 + (before's high - before)^2), high likewise with the other ends.
    """
    change = after.difference - before.difference
    low = change - hypot(after.difference - after.low, before.high - before.difference)
    high = change + hypot(after.high - after.difference, before.difference - before.low)
    return low, high


# ---- below: how ----


def _alarm(passed: GateLook, fresh: GateLook, low: float, high: float) -> Alarm:
    if fresh.result.verdict is GateVerdict.OUTSIDE:
        return Alarm.BELOW
    if passed.cases and fresh.cases and shared_share(passed.cases, fresh.cases) > NOTHING_SHARED:
        return Alarm.NOT_FRESH
    if fresh.result.verdict is GateVerdict.UNDECIDED:
        return Alarm.NOT_SHOWN
    return Alarm.CHANGED if low > 0.0 or high < 0.0 else Alarm.NONE


def _sentence(alarm: Alarm, fresh: GateResult, change: float, low: float, high: float) -> str:
    moved = f"{abs(change) * 100:.1f} points {'worse' if change < 0 else 'better'} than in the test it passed"
    between = f"({low * 100:+.1f} to {high * 100:+.1f})"
    seen = f"on {fresh.n:,} fresh cases {fresh.name} is {moved} {between}"
    return {
        Alarm.BELOW: f"Alarm: {seen} and shown not good enough any more; go back to the fallback and retrain.",
        Alarm.NOT_FRESH: "These cases were in the test it passed, so they say nothing of new traffic: draw a fresh sample.",
        Alarm.NOT_SHOWN: f"Watch: {seen}; that it is still good enough is not shown{_more(fresh)}.",
        Alarm.CHANGED: f"Watch: {seen}; still good enough, but something has changed: look at what the new traffic is.",
        Alarm.NONE: f"No drift: {seen}, and it is still shown good enough.",
    }[alarm]


def _more(fresh: GateResult) -> str:
    return "" if fresh.extra_items is None else f", about {fresh.extra_items:,} more cases would settle it"
