"""Whether an open loop asks for more than a server carries: requests under way and waits both keep rising."""

from __future__ import annotations

import math
from collections.abc import Sequence

from probes.timing import mean, student_t

LEAST_S = 5.0
"""Nothing is said before so many seconds."""
LEAST_POINTS = 8
LEAST_IN_FLIGHT = 8.0
"""With fewer under way a rise is chance."""


def over_saturated(in_flight: Sequence[tuple[float, float]], latencies: Sequence[tuple[float, float]]) -> bool:
    """Whether both series, as (time in s, value), rise beyond the Student-t margin of their slope, and by half their mean.

    The method is guidellm's (over-saturation constraint), with the whole latency in the place of the TTFT.
    """
    if not in_flight or in_flight[-1][0] - in_flight[0][0] < LEAST_S or mean([value for _, value in in_flight]) < LEAST_IN_FLIGHT:
        return False
    return rises(in_flight) and rises(latencies)


def rises(points: Sequence[tuple[float, float]]) -> bool:
    """Whether a straight line through the points rises surely, and by at least half the mean over their span."""
    if len(points) < LEAST_POINTS:
        return False
    slope, margin = slope_of(points)
    span = points[-1][0] - points[0][0]
    return slope - margin > 0 and slope * span > 0.5 * mean([value for _, value in points])


def slope_of(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Least squares: (slope, half width of its 95 % Student-t interval).

    >>> slope_of([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)])
    (2.0, 0.0)
    """
    n = len(points)
    centre_x, centre_y = mean([x for x, _ in points]), mean([y for _, y in points])
    spread = sum((x - centre_x) ** 2 for x, _ in points)
    if n < 3 or spread == 0:
        return 0.0, math.inf
    slope = sum((x - centre_x) * (y - centre_y) for x, y in points) / spread
    left = sum((y - centre_y - slope * (x - centre_x)) ** 2 for x, y in points)
    return slope, student_t(n - 2) * math.sqrt(left / (n - 2) / spread)
