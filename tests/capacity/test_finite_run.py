"""A finite open-loop run: what its client sees, against the steady state, against arithmetic, and on both sides of the knee."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.accelerators import accelerator
from capacity.finite_run import finite_run
from capacity.footprint import footprint
from capacity.models import model
from capacity.roofline import Layout, decode_step_s, efficiency_for, prefill_s, rates
from capacity.throughput import RequestSize, marginal_prompt_s, open_loop

DEVICE = accelerator("nvidia-h100-sxm-80")
VLLM = efficiency_for("vllm", DEVICE)
COST = footprint(model("llama-3.1-8b"), "bf16", kv_bits=16.0)
RATES = rates(DEVICE, COST.compute, VLLM)
LOAD = RequestSize(input_tokens=500.0, output_tokens=200.0)
ONE = Layout()


def run(rate, prompts=200, cap=256.0, load=LOAD):
    return finite_run(COST, RATES, VLLM, load, rate_per_s=rate, prompts=prompts, cap=cap, layout=ONE)


def test_requests_far_apart_are_answered_alone():
    alone = float(prefill_s(COST, RATES, VLLM, tokens=500.0))
    step = float(decode_step_s(COST, RATES, VLLM, batch=1.0, context_tokens=600.0))
    seen = run(0.001)
    assert seen.ttft_s == pytest.approx(alone + VLLM.request_s)
    assert seen.tpot_s == pytest.approx(step)
    assert seen.e2e_s == pytest.approx(alone + VLLM.request_s + 199 * step)


def test_prompts_that_come_at_once_wait_for_each_other_and_end_together():
    work = float(marginal_prompt_s(COST, RATES, VLLM, LOAD, ONE))
    seen = run(np.inf, prompts=64)
    together = int(VLLM.prefill_chunk // 500)
    assert seen.ttft_s.min() == pytest.approx(max(together * work, float(prefill_s(COST, RATES, VLLM, tokens=500.0))) + VLLM.request_s)
    assert seen.ttft_s.max() >= 64 * work
    assert seen.last_s == pytest.approx(seen.e2e_s.max())


def test_at_most_the_cap_is_under_way():
    free, held = run(np.inf, prompts=64, cap=64.0), run(np.inf, prompts=64, cap=8.0)
    assert held.ttft_s.max() > 6 * held.e2e_s.min()  # the last of eight waves waits for seven
    assert held.tpot_s.mean() < free.tpot_s.mean()


def test_a_long_calm_run_is_the_steady_state():
    steady = open_loop(COST, RATES, VLLM, LOAD, rate_per_s=10.0, cap=256.0)
    seen = run(10.0, prompts=2000)
    assert seen.tpot_s.mean() == pytest.approx(float(steady.tpot_s), rel=0.05)
    assert seen.ttft_s.mean() == pytest.approx(float(steady.ttft_s), rel=0.25)


@settings(max_examples=30, deadline=None)
@given(rate=st.floats(0.5, 60.0), faster=st.floats(1.1, 3.0), prompts=st.integers(20, 200))
def test_more_arrivals_never_shorten_the_mean_answer(rate, faster, prompts):
    calm, busy = run(rate, prompts), run(rate * faster, prompts)
    assert busy.e2e_s.mean() >= calm.e2e_s.mean() * 0.98
    assert busy.last_s <= calm.last_s * 1.0001


@settings(max_examples=30, deadline=None)
@given(rate=st.floats(0.5, 60.0), prompts=st.integers(1, 150), output=st.integers(1, 400))
def test_every_token_is_counted_once(rate, prompts, output):
    seen = run(rate, prompts, load=RequestSize(input_tokens=500.0, output_tokens=float(output)))
    assert len(seen.e2e_s) == prompts
    if output > 1:
        assert seen.gap_tokens.sum() == pytest.approx(prompts * (output - 1), rel=0.02, abs=prompts)
        assert seen.gap_quantile_s(0.99) >= seen.gap_quantile_s(0.5)
