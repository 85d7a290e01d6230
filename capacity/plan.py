"""From a load, a service level and a serving curve to whole replicas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capacity.footprint import Numbers
from capacity.throughput import ServingCurve, Throughput
from facts.errors import InputError
from facts.records import Basis
from facts.units import HOURS_PER_MONTH, SECONDS_PER_HOUR
from workloads.demand import Load, ServiceLevel

CEILING_TOLERANCE = 1e-12
"""Relative: a demand that is a replica's capacity to the last bit does not buy another replica."""


@dataclass(frozen=True, kw_only=True)
class CapacityPlan:
    """Whole replicas for a load.

    replicas: all of them, working and spare; 0 when refused
    working_replicas: that the peak needs
    spare_replicas: that stand by
    gpus_per_replica: devices of one replica
    utilization_share: of the working replicas' rated capacity at the peak
    capacity_requests_per_s: one replica at the utilization ceiling
    capacity_tokens_per_month: mean load, input and output, that the working replicas carry with this peak and ceiling
    ttft_ms: mean time to first token at the chosen concurrency
    tpot_ms: mean time per following token there
    concurrency: requests in flight per replica
    basis: of the curve
    refused_because: one sentence, or None
    """

    replicas: int
    working_replicas: int
    spare_replicas: int
    gpus_per_replica: int
    utilization_share: float
    capacity_requests_per_s: float
    capacity_tokens_per_month: float
    ttft_ms: float | None
    tpot_ms: float | None
    concurrency: int
    basis: Basis
    refused_because: str | None


def plan_capacity(
    load: Load,
    service_level: ServiceLevel,
    curve: ServingCurve,
    *,
    utilization_ceiling_share: float = 0.7,
    spare_replicas: int = 1,
    gpus_per_replica: int | None = None,
    peak_to_mean: float = 1.0,
    hours_per_month: float = HOURS_PER_MONTH,
) -> CapacityPlan:
    """Whole replicas at the peak plus spares.

    The largest concurrency on the curve that keeps the service level gives one replica's requests per second; times the ceiling
    that is its capacity. Example: 100 output tokens a second with 4000/1000-token requests is 0.1 requests a second, 0.09 at a
    ceiling of 0.90; with a peak twice the mean and 100 hours a month that carries 0.045 x 360,000 s x 5,000 = 81,000,000 tokens
    a month, and one token more needs a second replica.
    """
    if not 0 < utilization_ceiling_share <= 1:
        raise InputError(f"utilization_ceiling_share {utilization_ceiling_share:g} must be above 0 and at most 1")
    if spare_replicas < 0:
        raise InputError(f"spare_replicas {spare_replicas} cannot be negative")
    gpus = gpus_per_replica or curve.gpus
    point, refusal = operating_point(curve, service_level)
    if point is None:
        return CapacityPlan(
            replicas=0,
            working_replicas=0,
            spare_replicas=0,
            gpus_per_replica=gpus,
            utilization_share=0.0,
            capacity_requests_per_s=0.0,
            capacity_tokens_per_month=0.0,
            ttft_ms=None,
            tpot_ms=None,
            concurrency=0,
            basis=curve.basis,
            refused_because=refusal,
        )
    one = point.requests_per_s * utilization_ceiling_share
    working = max(1, int(replicas_needed(load.requests_per_s, one)))
    return CapacityPlan(
        replicas=working + spare_replicas,
        working_replicas=working,
        spare_replicas=spare_replicas,
        gpus_per_replica=gpus,
        utilization_share=load.requests_per_s / (working * point.requests_per_s),
        capacity_requests_per_s=one,
        capacity_tokens_per_month=capacity_tokens_per_month(
            one * working, load.input_tokens + load.output_tokens, peak_to_mean=peak_to_mean, hours_per_month=hours_per_month
        ),
        ttft_ms=point.ttft_ms,
        tpot_ms=point.tpot_ms,
        concurrency=point.concurrency,
        basis=curve.basis,
        refused_because=None,
    )


def replicas_needed(demand: Numbers, capacity_of_one: Numbers) -> NDArray[np.float64]:
    """Whole replicas: ceil(demand / capacity), broadcasting; a quotient within 1e-12 above a whole number is that number.

    Example: 0.09 / 0.09 -> 1, 0.0900000011 / 0.09 -> 2.
    """
    quotient = np.asarray(demand, dtype=np.float64) / np.asarray(capacity_of_one, dtype=np.float64)
    return np.ceil(quotient * (1.0 - CEILING_TOLERANCE))


def capacity_tokens_per_month(
    requests_per_s: float, tokens_per_request: float, *, peak_to_mean: float = 1.0, hours_per_month: float = HOURS_PER_MONTH
) -> float:
    """Tokens a month of a mean load whose peak is that rate: rate / peak-to-mean x seconds x tokens of a request."""
    return requests_per_s / peak_to_mean * hours_per_month * SECONDS_PER_HOUR * tokens_per_request


def operating_point(curve: ServingCurve, level: ServiceLevel) -> tuple[Throughput | None, str | None]:
    """The point of most requests per second among those that keep the service level, or why there is none."""
    if not curve.points:
        return None, curve.note or "the server gives no throughput for this model"
    kept = [point for point in curve.points if _keeps(point, level)]
    if kept:
        return max(kept, key=lambda point: (point.requests_per_s, point.concurrency)), None
    best = curve.points[0]
    if level.ttft_p95_ms is not None and best.ttft_p95_ms > level.ttft_p95_ms:
        what, got, wanted = "first token", best.ttft_p95_ms, level.ttft_p95_ms
    else:
        what, got, wanted = "following token", best.tpot_p95_ms, level.tpot_p95_ms or 0.0
    where = f"{curve.gpus} x {curve.device_id}" if curve.gpus > 1 else curve.device_id
    return None, (
        f"{curve.model_id} on {where} takes {got:,.0f} ms to the {what} (95 % of requests) with {best.concurrency} in flight, "
        f"{wanted:,.0f} ms are allowed: a faster server or a smaller model is needed"
    )


def _keeps(point: Throughput, level: ServiceLevel) -> bool:
    ttft_kept = level.ttft_p95_ms is None or point.ttft_p95_ms <= level.ttft_p95_ms
    tpot_kept = level.tpot_p95_ms is None or point.tpot_p95_ms <= level.tpot_p95_ms
    return ttft_kept and tpot_kept
