"""A finite open-loop run: what its client sees, against the steady state, against arithmetic, and on both sides of the knee."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.accelerators import accelerator
from capacity.finite_run import Engine, engine_of, finite_run, follow
from capacity.footprint import footprint
from capacity.models import model
from capacity.roofline import Layout, decode_step_s, efficiency_for, prefill_s, rates
from capacity.throughput import RequestSize, closed_loop, marginal_prompt_s, open_loop

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
    together = VLLM.prefill_chunk / 500  # of the prompt that crosses the budget a part is read
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


# --- a held number in flight -----------------------------------------------------------------------------------------

PLAIN = Engine(step_s=[0.0] + [0.01] * 512, prompt_s=0.1, alone_s=0.1, prompt_tokens=100.0, pass_tokens=1e9)
"""A step of 10 ms whatever the number under way, prompts of 100 ms, no limit to a pass, no time outside."""


def test_answers_of_one_length_stay_together_and_the_first_goes_alone():
    """Four at once: all in one pass of 0.4 s, so every answer ends with the others and the next four come at once too."""
    run = follow(PLAIN, [11.0] * 40, most=64, in_flight=4)
    assert run.ttft_s == pytest.approx(np.full(40, 0.4))
    assert run.tpot_s == pytest.approx(np.full(40, 0.01))
    assert run.last_s == pytest.approx(10 * (0.4 + 10 * 0.01))
    late = replace(
        PLAIN, outside_s=0.01
    )  # one behind another by 1 ms: the first alone, 0.1 s, then three in a pass with one step beside it
    seen = follow(late, [11.0] * 4, most=64, in_flight=4).ttft_s
    assert seen == pytest.approx([0.1 + 0.01] + [0.1 + 0.3 + 0.01 + 0.01] * 3, abs=1e-9)


def test_a_pass_takes_what_the_budget_leaves_beside_the_answers_under_way():
    """100 tokens a prompt, 200 a pass: two and two of four. The last two read beside two answers, which leave 198 tokens: a third pass."""
    run = follow(replace(PLAIN, pass_tokens=200.0), [1000.0] * 4, most=64, in_flight=4)
    assert run.ttft_s == pytest.approx([0.2, 0.2, 0.2 + 0.198 + 0.01, 0.2 + 0.198 + 0.01 + 0.002 + 0.01])


def test_what_does_not_fit_waits_for_a_whole_answer():
    run = follow(PLAIN, [11.0] * 4, most=1, in_flight=2)
    assert run.ttft_s == pytest.approx([0.1, 0.3, 0.3, 0.3])  # 0.1 + 0.1 of the other's answer + 0.1
    assert run.last_s == pytest.approx(4 * 0.2)


@settings(max_examples=40, deadline=None)
@given(
    held=st.integers(1, 40),
    rounds=st.integers(1, 5),
    output=st.integers(1, 200),
    spread=st.sampled_from([0.0, 0.1, 0.9]),
    budget=st.sampled_from([50.0, 200.0, 1e6]),
    most=st.integers(1, 64),
)
def test_a_held_load_is_held_and_every_token_comes(held, rounds, output, spread, budget, most):
    lengths = [max(1.0, round(output * (1 + spread * (number % 11 - 5) / 5))) for number in range(held * rounds)]
    run = follow(replace(PLAIN, pass_tokens=budget), lengths, most=most, in_flight=held)
    assert run.gap_tokens.sum() == pytest.approx(sum(lengths) - len(lengths), abs=1e-6)
    assert (run.ttft_s >= 0.1 - 1e-9).all()
    assert (run.tpot_s >= 0.01 - 1e-9).all()
    # the device is never faster than its prompts one after another, and no more than `held` requests share the time
    assert run.last_s >= 0.1 * len(lengths) - 1e-9
    assert run.e2e_s.sum() <= held * run.last_s * (1 + 1e-9)


@pytest.mark.parametrize("output", [64, 256, 1024])
@pytest.mark.parametrize("held", [4, 16, 64])
@pytest.mark.parametrize("prompt", [250.0, 1000.0, 4000.0])
def test_the_steady_formula_is_what_following_every_request_gives(prompt, held, output):
    """Answers of 0.1 to 1.9 times their mean, so that no two stay together: mean first token, its 95th percentile, and the rate."""
    load = RequestSize(input_tokens=prompt, output_tokens=float(output))
    steady = closed_loop(COST, RATES, VLLM, load, concurrency=float(held), cap=256.0)
    count = max(12 * held, 200)
    order = np.random.default_rng(1).permutation(count)
    lengths = [max(1.0, round(output * (0.1 + 1.8 * (place + 0.5) / count))) for place in order]
    run = follow(engine_of(COST, RATES, VLLM, load, most=256, layout=ONE), lengths, most=256, in_flight=held)
    middle = slice(2 * held, -held)
    assert float(steady.ttft_s) == pytest.approx(run.ttft_s[middle].mean(), rel=0.2)
    assert float(steady.ttft_p95_s) == pytest.approx(np.quantile(run.ttft_s[middle], 0.95), rel=0.35)
    assert float(steady.tpot_s) == pytest.approx(run.tpot_s[middle].mean(), rel=0.04)
