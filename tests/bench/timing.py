"""How a benchmark is timed, and what it gives back."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One thing, done several times.

    name: what was done
    seconds: each time, in order; the first is apart, because caches are cold then
    """

    name: str
    seconds: tuple[float, ...]

    @property
    def first_s(self) -> float:
        return self.seconds[0]

    @property
    def median_s(self) -> float:
        """Of the times after the first, or the first where it is the only one."""
        return statistics.median(self.seconds[1:] or self.seconds)

    @property
    def slowest_s(self) -> float:
        return max(self.seconds[1:] or self.seconds)


def timed(name: str, work: Callable[[], object], *, times: int) -> Timing:
    """Do `work` so many times in this process."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return Timing(name=name, seconds=tuple(seconds))
