"""Whole replicas: the cliff, refusals, laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.plan import plan_capacity, replicas_needed
from capacity.throughput import ServingCurve, Throughput
from facts.errors import InputError
from facts.records import Basis
from workloads.demand import Load, ServiceLevel


def point(concurrency, output_tokens_per_s, *, ttft_ms=200.0, tpot_ms=20.0):
    return Throughput(
        concurrency=concurrency,
        ttft_ms=ttft_ms,
        tpot_ms=tpot_ms,
        ttft_p95_ms=2 * ttft_ms,
        tpot_p95_ms=1.25 * tpot_ms,
        input_tokens_per_s=4 * output_tokens_per_s,
        output_tokens_per_s=output_tokens_per_s,
        requests_per_s=output_tokens_per_s / 1000,
        low80=0.8 * output_tokens_per_s,
        high80=1.2 * output_tokens_per_s,
    )


def curve(*points, note=""):
    return ServingCurve(
        points=points,
        basis=Basis.MEASURED,
        engine="vllm",
        max_concurrency=points[-1].concurrency if points else 0,
        note=note,
        model_id="llama-2-7b",
        quantization="fp16",
        device_id="nvidia-l4",
        gpus=1,
        layout="TP1",
        input_tokens=4000,
        output_tokens=1000,
        interval_class="any",
    )


def load_of(tokens_per_month, *, hours=100, peak=2.0):
    return Load(requests_per_s=tokens_per_month / 5000 / (hours * 3600) * peak, input_tokens=4000, output_tokens=1000)


@pytest.mark.parametrize(("tokens", "replicas"), [(81_000_000, 1), (81_000_001, 2), (162_000_000, 2), (162_000_001, 3)])
def test_one_token_a_month_above_the_capacity_of_n_replicas_costs_exactly_one_more(tokens, replicas):
    plan = plan_capacity(load_of(tokens), ServiceLevel(), curve(point(8, 100.0)), utilization_ceiling_share=0.90, spare_replicas=0)
    assert plan.replicas == replicas


def test_the_capacity_of_one_replica_is_stated_by_hand():
    plan = plan_capacity(
        load_of(81_000_000),
        ServiceLevel(),
        curve(point(8, 100.0)),
        utilization_ceiling_share=0.90,
        spare_replicas=1,
        peak_to_mean=2.0,
        hours_per_month=100,
    )
    assert plan.capacity_requests_per_s == pytest.approx(100 / 1000 * 0.90)
    assert plan.capacity_tokens_per_month == pytest.approx(0.09 / 2 * 100 * 3600 * 5000) == pytest.approx(81_000_000)
    assert (plan.replicas, plan.working_replicas, plan.spare_replicas) == (2, 1, 1)
    assert plan.utilization_share == pytest.approx(0.90)


@given(count=st.integers(1, 10_000), one=st.floats(1e-6, 1e6))
def test_an_exact_multiple_never_buys_one_more(count, one):
    assert replicas_needed(count * one, one) == count


@given(demand=st.floats(0.01, 1e4), one=st.floats(0.01, 1e3), more=st.floats(0, 1e4))
def test_more_demand_never_needs_fewer_and_what_is_bought_carries_it(demand, one, more):
    bought = float(replicas_needed(demand, one))
    assert float(replicas_needed(demand + more, one)) >= bought
    assert bought * one >= demand * (1 - 1e-9)


def test_replicas_broadcast_over_months():
    assert replicas_needed(np.array([1.0, 2.0, 2.5]), 1.0).tolist() == [1, 2, 3]


def test_the_service_level_decides_how_full_a_server_may_run():
    found = curve(point(1, 40.0, tpot_ms=10), point(8, 200.0, tpot_ms=30), point(64, 600.0, tpot_ms=100))
    free = plan_capacity(load_of(1e6), ServiceLevel(), found)
    bound = plan_capacity(load_of(1e6), ServiceLevel(tpot_p95_ms=50), found)
    assert (free.concurrency, bound.concurrency) == (64, 8)


def test_a_limit_that_no_point_keeps_is_refused_in_a_sentence_with_both_numbers():
    plan = plan_capacity(load_of(1e6), ServiceLevel(ttft_p95_ms=100), curve(point(1, 40.0, ttft_ms=150)))
    assert plan.replicas == 0
    assert plan.refused_because is not None
    assert "300 ms to the first token" in plan.refused_because
    assert "100 ms are allowed" in plan.refused_because


def test_a_curve_without_points_passes_its_reason_on():
    plan = plan_capacity(load_of(1e6), ServiceLevel(), curve(note="it does not fit"))
    assert plan.refused_because == "it does not fit"


def test_a_share_outside_zero_to_one_is_refused():
    with pytest.raises(InputError, match=r"utilization_ceiling_share 1\.2"):
        plan_capacity(load_of(1e6), ServiceLevel(), curve(point(1, 40.0)), utilization_ceiling_share=1.2)
