"""What is counted in a request log: one SQL for DuckDB and PostgreSQL, over any relation with the columns of a request.

The relation has time_us, input_tokens, output_tokens (never NULL), cached_tokens, route and request_id. Every number put into the SQL is
an int; a whole number of windows is written `(a - mod(a, b)) / b`, which both engines compute exactly.
"""

# ruff: noqa: S608 - the SQL is put together from fixed words and whole numbers
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from workloads.seasons import HourlyVolume, begin_of_hours_s
from workloads.trace_summary import WINDOWS_S, LengthDistribution, Peak, RouteVolume, moment_of

Ask: TypeAlias = Callable[[str], Sequence[Any]]
"""Runs a query and gives its rows."""

MICROSECONDS = 1_000_000
ROUTES = 50
"""Parts of the traffic that are listed."""
MOST_HOURS = 200_000
"""Twenty-two years; a longer log has a wrong clock somewhere, and no hourly series is made of it."""


def span(ask: Ask, source: str) -> tuple[int, int, int]:
    """Requests, and the first and last moment in microseconds (0 and 0 where there is none)."""
    count, first, last = ask(f"SELECT count(*), min(time_us), max(time_us) FROM {source} AS r")[0]
    return int(count), int(first or 0), int(last or 0)


def routes(ask: Ask, source: str) -> tuple[RouteVolume, ...]:
    """The parts of the traffic, most tokens first."""
    found = ask(
        "SELECT coalesce(route, '') AS name, count(*), sum(input_tokens), sum(output_tokens) "
        f"FROM {source} AS r GROUP BY 1 ORDER BY sum(input_tokens) + sum(output_tokens) DESC, 1 LIMIT {ROUTES}"
    )
    return tuple(
        RouteVolume(name=str(name), requests=int(count), input_tokens=int(given), output_tokens=int(made))
        for name, count, given, made in found
    )


def models_of(routes: Sequence[RouteVolume], route: str | None) -> tuple[str, ...]:
    """The names of the parts that are looked at, which may be models; none where there are more parts than are told apart."""
    if route is not None:
        return (route,)
    return () if len(routes) >= ROUTES else tuple(one.name for one in routes)


def lengths(ask: Ask, source: str, column: str) -> LengthDistribution:
    """Every length of `input_tokens` or `output_tokens` and how often it occurs: quantiles are exact."""
    counted = ask(f"SELECT {column}, count(*) FROM {source} AS r GROUP BY 1 ORDER BY 1")
    both = np.array([(int(length), int(count)) for length, count in counted], dtype=np.int64).reshape(-1, 2)
    return LengthDistribution(lengths_tokens=both[:, 0].copy(), counts=both[:, 1].copy())


def peaks(ask: Ask, source: str, first_us: int, last_us: int) -> tuple[Peak, ...]:
    """Busiest over mean of the complete windows of each width; an incomplete last window would lower the mean and is left out.

    Requests are counted once in the narrowest windows, and those added up: each width is a multiple of the one before.
    """
    narrow = WINDOWS_S[0]
    slots = (
        f"SELECT {_whole(f'(time_us - {first_us})', narrow * MICROSECONDS)} AS slot, count(*) AS requests, "
        f"sum(CAST(input_tokens AS BIGINT) + output_tokens) AS tokens FROM {source} AS r GROUP BY 1"
    )
    found = []
    parts = []
    for width in WINDOWS_S:
        windows = (last_us - first_us) // (width * MICROSECONDS)
        if windows >= 2:
            wide = f"SELECT {_whole('slot', width // narrow)} AS w, sum(requests) AS requests, sum(tokens) AS tokens FROM slots GROUP BY 1"
            parts.append(
                f"SELECT {width}, {windows}, max(requests), sum(requests), max(tokens), sum(tokens) FROM ({wide}) AS w{width} "
                f"WHERE w < {windows}"
            )
    if parts:
        found = list(ask(f"WITH slots AS MATERIALIZED ({slots}) " + " UNION ALL ".join(parts) + " ORDER BY 1"))
    return tuple(
        Peak(
            window_s=int(width),
            requests_to_mean=int(most) * int(windows) / int(requests),
            tokens_to_mean=int(most_tokens) * int(windows) / int(tokens) if tokens else 1.0,
            windows=int(windows),
        )
        for width, windows, most, requests, most_tokens, tokens in found
    )


def gap_cv(ask: Ask, source: str, *, order: str = "ORDER BY time_us") -> float:
    """Standard deviation of the gaps over their mean; an empty `order` where the relation is known to stand in the order of time."""
    gaps = f"SELECT CAST(time_us - lag(time_us) OVER ({order}) AS DOUBLE PRECISION) AS gap_us FROM {source} AS r"
    return float(ask(f"SELECT stddev_pop(gap_us) / avg(gap_us) FROM ({gaps}) AS g")[0][0])


def cached_share(ask: Ask, source: str) -> float | None:
    """Cached over all input tokens of the rows that say how many were cached."""
    fewer = "CASE WHEN cached_tokens < input_tokens THEN cached_tokens ELSE input_tokens END"
    cached, total = ask(f"SELECT sum({fewer}), sum(input_tokens) FROM {source} AS r WHERE cached_tokens IS NOT NULL")[0]
    return int(cached) / int(total) if total else None


def hourly(ask: Ask, source: str, first_us: int, last_us: int, zone: str = "UTC") -> HourlyVolume | None:
    """Complete hours of a zone, those without requests included; None for more than 22 years, or years that no calendar knows."""
    hour_us = 3600 * MICROSECONDS
    if (last_us - first_us) // hour_us > MOST_HOURS or moment_of(first_us) is None or moment_of(last_us) is None:
        return None
    begins_s = begin_of_hours_s(zone, first_us)
    begins_us = begins_s * MICROSECONDS
    first_hour, end_hour = -(-(first_us - begins_us) // hour_us), (last_us - begins_us) // hour_us
    if end_hour <= first_hour:
        return None
    begin, end = first_hour * hour_us + begins_us, end_hour * hour_us + begins_us
    counted = ask(
        f"SELECT {_whole(f'(time_us - {begin})', hour_us)} AS hour, count(*), sum(CAST(input_tokens AS BIGINT) + output_tokens) "
        f"FROM {source} AS r WHERE time_us >= {begin} AND time_us < {end} GROUP BY 1"
    )
    requests, tokens = np.zeros(end_hour - first_hour), np.zeros(end_hour - first_hour)
    for hour, count, amount in counted:
        requests[int(hour)], tokens[int(hour)] = float(count), float(amount)
    return HourlyVolume(first_hour=first_hour, requests=requests, tokens=tokens, zone=zone, begins_s=begins_s)


def _whole(expression: str, width: int) -> str:
    """SQL for how often `width` goes into an expression that is not negative."""
    return f"CAST(({expression} - mod({expression}, {width})) / {width} AS BIGINT)"
