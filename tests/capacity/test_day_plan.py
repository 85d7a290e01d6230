"""Load by the hour: queueing against a simulation, scaling modes, laws."""

from __future__ import annotations

import heapq
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.accelerators import Server, accelerator
from capacity.day_plan import LoadProfile, Scaling, plan_day
from capacity.models import model
from capacity.queueing import erlang_c, slot_queue
from capacity.throughput import serving_curve
from facts.errors import InputError
from workloads.demand import ServiceLevel

CURVE = serving_curve(
    model("llama-3.1-8b"), "fp8", Server(accelerator=accelerator("nvidia-l40s")), engine="vllm", input_tokens=1000, output_tokens=200
)
OFFICE = tuple(30.0 if 9 <= hour < 18 else 0.05 for hour in range(24))


def simulated_wait_s(rate, service, slots, *, requests=50_000, seeds=(1, 2, 3, 4)):
    """Mean wait of a discrete-event simulation: Poisson arrivals, exponential service, first come first served."""
    total = 0.0
    for seed in seeds:
        draw, now = random.Random(seed), 0.0
        free_at = [0.0] * slots
        for _ in range(requests):
            now += draw.expovariate(rate)
            start = max(now, heapq.heappop(free_at))
            total += start - now
            heapq.heappush(free_at, start + draw.expovariate(1 / service))
    return total / requests / len(seeds)


@pytest.mark.parametrize(("rate", "service", "slots"), [(0.5, 1.0, 1), (5.0, 1.0, 8), (2.2, 5.0, 16), (6.0, 0.5, 4)])
def test_erlangs_wait_is_the_simulated_one(rate, service, slots):
    assert slot_queue(rate, service, slots).mean_wait_s == pytest.approx(simulated_wait_s(rate, service, slots), rel=0.15)


def test_erlangs_table():
    assert slot_queue(0.5, 1.0, 1).mean_wait_s == pytest.approx(1.0)
    assert erlang_c(1, 0.5) == pytest.approx(0.5)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert erlang_c(10, 8.0) == pytest.approx(0.4092, abs=1e-4)


@given(rate=st.floats(0.1, 20), service=st.floats(0.1, 5), slots=st.integers(1, 200), more=st.integers(1, 50))
def test_more_slots_never_mean_more_queueing(rate, service, slots, more):
    assert slot_queue(rate, service, slots + more).mean_wait_s <= slot_queue(rate, service, slots).mean_wait_s


def test_a_load_beyond_the_slots_waits_for_ever():
    queue = slot_queue(2.0, 1.0, 2)
    assert queue.mean_wait_s == float("inf")
    assert queue.within(1e9) == 0.0


@given(spare=st.integers(0, 5), burst=st.floats(0, 2))
@settings(max_examples=20)
def test_always_on_runs_the_peaks_replicas_and_spares_all_day(spare, burst):
    plan = plan_day(LoadProfile(hourly_requests_per_s=OFFICE, burst_share=burst), ServiceLevel(), CURVE, spare_replicas=spare)
    assert {entry.replicas for entry in plan.hours} == {plan.peak_replicas}
    assert plan.replica_hours_per_month == pytest.approx(plan.peak_replicas * 24 * 365 / 12)


def test_scaling_with_the_hour_is_cheaper_and_scaling_to_zero_cheapest():
    profile = LoadProfile(hourly_requests_per_s=tuple(0.0002 if rate < 1 else rate for rate in OFFICE))
    paid = [plan_day(profile, ServiceLevel(), CURVE, scaling=scaling).replica_hours_per_month for scaling in Scaling]
    assert paid[0] > paid[1] > paid[2]


def test_a_night_without_requests_is_met_cold():
    profile = LoadProfile(hourly_requests_per_s=tuple(0.0 if rate < 1 else rate for rate in OFFICE))
    plan = plan_day(profile, ServiceLevel(ttft_p95_ms=5000), CURVE, scaling=Scaling.SCALE_TO_ZERO, cold_start_s=120)
    assert plan.hours[3].cold_share == 1.0
    assert plan.hours[12].cold_share < 1e-6
    assert plan.hours[3].ttft_ms > 120_000 > plan.hours[12].ttft_ms


def test_utilization_stays_under_the_ceiling():
    plan = plan_day(LoadProfile(hourly_requests_per_s=OFFICE), ServiceLevel(), CURVE, utilization_ceiling_share=0.6)
    assert max(entry.utilization_share for entry in plan.hours) <= 0.6 + 1e-9
    assert plan.goodput_share > 0.99


def test_a_service_level_that_cannot_be_kept_is_refused():
    plan = plan_day(LoadProfile(hourly_requests_per_s=OFFICE), ServiceLevel(tpot_p95_ms=0.1), CURVE)
    assert plan.hours == ()
    assert plan.refused_because is not None
    assert "0 ms are allowed" in plan.refused_because


def test_a_profile_has_24_hours():
    with pytest.raises(InputError, match="24 rates of 0 or more, 2 were given"):
        LoadProfile(hourly_requests_per_s=(1.0, 2.0))
