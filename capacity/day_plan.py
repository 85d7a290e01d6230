"""A day's load, hour by hour, and the replicas that carry it: always on, scaled with the hour, or down to zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, inf

import numpy as np

from capacity.plan import operating_point, replicas_needed
from capacity.queueing import slot_queue
from capacity.throughput import ServingCurve
from facts.errors import InputError
from facts.units import DAYS_PER_MONTH, MS_PER_S, SECONDS_PER_HOUR
from workloads.demand import ServiceLevel

HOURS = 24


class Scaling(StrEnum):
    """When replicas run."""

    ALWAYS_ON = "always_on"
    AUTOSCALED = "autoscaled"
    SCALE_TO_ZERO = "scale_to_zero"


@dataclass(frozen=True, kw_only=True)
class LoadProfile:
    """Requests a second over a day.

    hourly_requests_per_s: mean of each hour, 24 numbers
    burst_share: how far the busiest minute of an hour lies above its mean, 0.5 is 50 %
    """

    hourly_requests_per_s: tuple[float, ...]
    burst_share: float = 0.0

    def __post_init__(self) -> None:
        if len(self.hourly_requests_per_s) != HOURS or min(self.hourly_requests_per_s) < 0:
            raise InputError(f"a load profile is {HOURS} rates of 0 or more, {len(self.hourly_requests_per_s)} were given")
        if self.burst_share < 0:
            raise InputError(f"burst_share {self.burst_share:g} cannot be negative")

    @property
    def peaks_per_s(self) -> tuple[float, ...]:
        """Requests a second in the busiest minute of each hour."""
        return tuple(rate * (1.0 + self.burst_share) for rate in self.hourly_requests_per_s)


@dataclass(frozen=True, kw_only=True)
class HourPlan:
    """One hour of the day.

    hour: 0 to 23
    requests_per_s: busiest minute
    replicas: running, spares included
    utilization_share: of the working replicas' rated capacity
    ttft_ms: mean time to first token in that minute, with the wait for a slot and cold starts; infinite when overloaded
    tpot_ms: mean time per following token
    wait_ms: of the TTFT, the mean wait for a slot
    goodput_share: requests that keep the service level
    cold_share: requests that meet a replica that has yet to start
    """

    hour: int
    requests_per_s: float
    replicas: int
    utilization_share: float
    ttft_ms: float
    tpot_ms: float
    wait_ms: float
    goodput_share: float
    cold_share: float


@dataclass(frozen=True, kw_only=True)
class DayPlan:
    """Replicas over a day.

    hours: 24 plans, none when refused
    replica_hours_per_month: what is paid for
    peak_replicas: most that run at once
    goodput_share: requests of the day that keep the service level
    refused_because: one sentence, or None
    """

    hours: tuple[HourPlan, ...]
    replica_hours_per_month: float
    peak_replicas: int
    goodput_share: float
    refused_because: str | None


def plan_day(
    profile: LoadProfile,
    service_level: ServiceLevel,
    curve: ServingCurve,
    *,
    scaling: Scaling = Scaling.ALWAYS_ON,
    utilization_ceiling_share: float = 0.7,
    spare_replicas: int = 1,
    cold_start_s: float = 120.0,
    idle_s: float = 900.0,
) -> DayPlan:
    """Replicas by hour for a day's load.

    Always on runs the peak's replicas all day. Autoscaled runs what each hour needs, started a cold start ahead of the hour, which
    is paid for. Scale to zero keeps no spare and stops the last replica after `idle_s` without a request: with Poisson arrivals a
    request meets a stopped server with probability exp(-rate x idle), and the last replica runs 1 - exp(-rate x idle) of the time.
    """
    point, refusal = operating_point(curve, service_level)
    if point is None:
        return DayPlan(hours=(), replica_hours_per_month=0.0, peak_replicas=0, goodput_share=0.0, refused_because=refusal)
    needed = np.maximum(1.0, replicas_needed(np.array(profile.peaks_per_s), point.requests_per_s * utilization_ceiling_share))
    working = [int(count) for count in (np.full(HOURS, needed.max()) if scaling is Scaling.ALWAYS_ON else needed)]
    spare = 0 if scaling is Scaling.SCALE_TO_ZERO else spare_replicas
    hours = []
    for hour, (rate, count) in enumerate(zip(profile.peaks_per_s, working, strict=True)):
        cold = exp(-profile.hourly_requests_per_s[hour] * idle_s) if scaling is Scaling.SCALE_TO_ZERO else 0.0
        hours.append(_hour(hour, rate, count, spare, curve, service_level, point.concurrency, cold, cold_start_s))
    weights = np.array(profile.hourly_requests_per_s)
    kept = np.array([entry.goodput_share for entry in hours])
    return DayPlan(
        hours=tuple(hours),
        replica_hours_per_month=_replica_hours_per_day(profile, hours, scaling, cold_start_s, idle_s) * DAYS_PER_MONTH,
        peak_replicas=max(entry.replicas for entry in hours),
        goodput_share=float((kept * weights).sum() / weights.sum()) if weights.sum() > 0 else 1.0,
        refused_because=None,
    )


def _hour(
    hour: int,
    rate: float,
    working: int,
    spare: int,
    curve: ServingCurve,
    level: ServiceLevel,
    concurrency: int,
    cold_share: float,
    cold_start_s: float,
) -> HourPlan:
    each = rate / working
    ttft_ms, tpot_ms, rated = _at_rate(curve, each, concurrency)
    service_s = max((ttft_ms + max(curve.output_tokens - 1.0, 0.0) * tpot_ms) / MS_PER_S, 1e-6)
    queue = slot_queue(rate, service_s, concurrency * working)
    limit_s = inf if level.ttft_p95_ms is None else (level.ttft_p95_ms - ttft_ms) / MS_PER_S
    goodput = queue.within(limit_s) if limit_s != inf else (0.0 if queue.mean_wait_s == inf else 1.0)
    if level.tpot_p95_ms is not None and tpot_ms > level.tpot_p95_ms:
        goodput = 0.0
    if level.ttft_p95_ms is not None and cold_start_s * MS_PER_S > level.ttft_p95_ms:
        goodput *= 1.0 - cold_share
    return HourPlan(
        hour=hour,
        requests_per_s=rate,
        replicas=working + spare,
        utilization_share=each / rated,
        ttft_ms=ttft_ms + (queue.mean_wait_s + cold_share * cold_start_s) * MS_PER_S,
        tpot_ms=tpot_ms,
        wait_ms=queue.mean_wait_s * MS_PER_S,
        goodput_share=goodput,
        cold_share=cold_share,
    )


def _at_rate(curve: ServingCurve, rate_per_s: float, concurrency: int) -> tuple[float, float, float]:
    """(TTFT ms, TPOT ms, rated requests/s) of one replica at a rate, interpolated on the curve up to the chosen concurrency."""
    points = sorted((point for point in curve.points if point.concurrency <= concurrency), key=lambda point: point.requests_per_s)
    rates = [point.requests_per_s for point in points]
    ttft = float(np.interp(rate_per_s, rates, [point.ttft_ms for point in points]))
    tpot = float(np.interp(rate_per_s, rates, [point.tpot_ms for point in points]))
    return ttft, tpot, rates[-1]


def _replica_hours_per_day(profile: LoadProfile, hours: Sequence[HourPlan], scaling: Scaling, cold_start_s: float, idle_s: float) -> float:
    total = 0.0
    for hour, entry in enumerate(hours):
        running = float(entry.replicas)
        if scaling is Scaling.SCALE_TO_ZERO:
            running -= exp(-profile.hourly_requests_per_s[hour] * idle_s)
        total += running
        if scaling is not Scaling.ALWAYS_ON:
            started = max(0, entry.replicas - hours[hour - 1].replicas)
            total += started * cold_start_s / SECONDS_PER_HOUR
    return total
