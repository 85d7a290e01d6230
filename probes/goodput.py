"""The largest load that meets a service level: which requests are good, and which rate to try next."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING

from facts.units import MS_PER_S

if TYPE_CHECKING:  # the measurement derives its own figures by these formulas
    from probes.measurement import EndpointSettings, LevelResult, RequestTiming

FINE_RATIO = 1.1
"""The search ends when the lowest failing rate is this near to the highest passing one."""
MOST_TRIES = 12
LEAST_COUNTED = 20
"""Fewer requests cannot tell a share of 95 % from less: one in twenty may fail."""
FIRST_SHARE_OF_TOP = 0.7
"""The search begins at this share of the rate that the ladder ended at."""


def good(request: RequestTiming, settings: EndpointSettings, *, open_loop: bool) -> bool:
    """Whether one request ended well and within every limit; an open loop's wait counts from its schedule."""
    if not request.ok:
        return False
    first_ms = (request.ttft_from_schedule_s if open_loop else request.ttft_s) * MS_PER_S
    whole_ms = (request.done_s - (request.scheduled_s if open_loop else request.sent_s)) * MS_PER_S
    per_token_ms = (request.tpot_s or 0.0) * MS_PER_S
    limits = (
        (first_ms, settings.ttft_limit_ms),
        (per_token_ms, settings.tpot_limit_ms),
        (whole_ms, settings.latency_limit_ms),
    )
    return all(limit is None or value <= limit for value, limit in limits)


def counted(level: LevelResult) -> list[RequestTiming]:
    """Requests that were due inside the window, failed ones too."""
    start, end = level.window_s
    return [request for request in level.requests if start <= (request.scheduled_s if level.rate_per_s else request.sent_s) <= end]


def good_share(level: LevelResult, settings: EndpointSettings) -> float:
    """Good requests over all that were due inside the window, errors in the denominator; 0 when there was none."""
    asked = counted(level)
    return sum(good(request, settings, open_loop=level.rate_per_s is not None) for request in asked) / len(asked) if asked else 0.0


def meets(level: LevelResult, settings: EndpointSettings) -> bool:
    """Whether a level was held to its end and enough of its requests were good."""
    return not level.stopped_because and good_share(level, settings) >= settings.good_share


def next_rate(tried: Sequence[tuple[float, bool]], first: float) -> float | None:
    """The next rate of the search, after (rate, met) of those tried; None when it is over.

    Doubling until one fails, halving until one passes, then the geometric mean of the two nearest.

    >>> next_rate([(4.0, True), (8.0, False)], 4.0)
    5.656854249492381
    """
    if len(tried) >= MOST_TRIES:
        return None
    if not tried:
        return first
    lowest_failing = min((rate for rate, met in tried if not met), default=None)
    passing = [rate for rate, met in tried if met and (lowest_failing is None or rate < lowest_failing)]
    if lowest_failing is None:
        return max(passing) * 2.0
    if not passing:
        return lowest_failing / 2.0
    best = max(passing)
    return None if lowest_failing / best <= FINE_RATIO else sqrt(best * lowest_failing)
