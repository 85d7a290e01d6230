"""Keeping ended requests: llama.cpp's server copies a cache aside before the next, and reads up to 2,048 tokens of prompts at once."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from capacity.accelerators import Server, accelerator
from capacity.cases import case_of
from capacity.estimate import parameters_of, predict
from capacity.finite_run import finite_run
from capacity.footprint import footprint
from capacity.models import model
from capacity.roofline import Layout, efficiencies, efficiency_for, prefill_s, rates
from capacity.throughput import RequestSize, closed_loop, keeping_s, marginal_prompt_s, open_loop, serving_curve
from tests.capacity.typical_row import ROW

DEVICE = accelerator("nvidia-h100-sxm-80")
LLAMA = footprint(model("llama-3.1-8b"), "q4_k_m")
KEEPING = efficiency_for("llama.cpp", DEVICE).model_copy(update={"kept_bytes_per_s": 2e9})
FORGETTING = KEEPING.model_copy(update={"kept_bytes_per_s": 0.0})
RATES = rates(DEVICE, LLAMA.compute, KEEPING)
LOAD = RequestSize(input_tokens=512.0, output_tokens=128.0)
KEPT_S = 640 * 131_072 / 2e9
"""Prompt and answer of 128 KiB a token: 42 ms."""


def closed(efficiency, in_flight: float):
    return closed_loop(LLAMA, RATES, efficiency, LOAD, concurrency=in_flight, cap=64.0)


def test_what_is_kept_is_the_cache_of_the_prompt_and_the_answer():
    assert float(keeping_s(LLAMA, KEEPING, LOAD)) == pytest.approx(KEPT_S)
    assert pytest.approx(0.0419, abs=1e-4) == KEPT_S
    assert keeping_s(LLAMA, FORGETTING, LOAD) == 0.0
    whole = replace(LOAD, cached_tokens=256.0)  # what was found in the cache is kept again
    assert float(keeping_s(LLAMA, KEEPING, whole)) == pytest.approx(KEPT_S)


@pytest.mark.parametrize("in_flight", [1.0, 4.0, 16.0])
def test_every_request_in_flight_waits_for_every_copy(in_flight):
    with_it, without = closed(KEEPING, in_flight), closed(FORGETTING, in_flight)
    service = [in_flight / float(state.requests_per_s) for state in (with_it, without)]
    assert service[0] - service[1] == pytest.approx(in_flight * KEPT_S, rel=1e-6)
    assert float(with_it.ttft_s) >= float(without.ttft_s) + KEPT_S * 0.999


def test_an_open_loop_waits_for_the_copy_and_carries_less():
    states = [open_loop(LLAMA, RATES, kept, LOAD, rate_per_s=2.0, cap=64.0) for kept in (KEEPING, FORGETTING)]
    assert float(states[0].ttft_s) >= float(states[1].ttft_s) + KEPT_S
    most = [float(open_loop(LLAMA, RATES, kept, LOAD, rate_per_s=1e6, cap=64.0).requests_per_s) for kept in (KEEPING, FORGETTING)]
    assert most[0] < most[1]


def test_a_run_that_is_followed_waits_for_the_copy():
    runs = [
        finite_run(LLAMA, RATES, kept, LOAD, rate_per_s=0.1, prompts=20, cap=64.0, layout=Layout()).ttft_s for kept in (KEEPING, FORGETTING)
    ]
    assert np.median(runs[0]) - np.median(runs[1]) == pytest.approx(KEPT_S, rel=1e-6)


def test_four_prompts_of_a_quarter_of_the_budget_are_answered_together():
    assert KEEPING.budget_tokens == 2048
    assert float(closed(FORGETTING, 4.0).pass_prompts) == 4.0
    four = finite_run(LLAMA, RATES, FORGETTING, LOAD, rate_per_s=inf, prompts=4, cap=64.0, layout=Layout())
    together = 4 * float(marginal_prompt_s(LLAMA, RATES, FORGETTING, LOAD, Layout()))
    assert four.ttft_s == pytest.approx([together] * 4, rel=1e-6)
    one_by_one = FORGETTING.model_copy(update={"scheduled_tokens": 0})
    assert one_by_one.budget_tokens == 512
    first = finite_run(LLAMA, RATES, one_by_one, LOAD, rate_per_s=inf, prompts=4, cap=64.0, layout=Layout()).ttft_s.min()
    assert first == pytest.approx(float(prefill_s(LLAMA, RATES, one_by_one, tokens=512.0)), rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({"metric": "prefill_tok_s", "osl": "0", "batch_or_concurrency": "1"}, ()),
        ({"metric": "decode_tok_s", "isl": "0", "batch_or_concurrency": "1"}, ()),
        ({"metric": "decode_tok_s", "isl": "0", "batch_or_concurrency": "8"}, ()),
        ({"metric": "output_tok_s_total", "batch_or_concurrency": "8"}, ("draw_s", "kept_bytes_per_s")),
        ({"metric": "tpot_ms", "batch_or_concurrency": "rate=1/s"}, ("draw_s", "kept_bytes_per_s")),
        ({"metric": "ttft_ms", "batch_or_concurrency": "1"}, ("kept_bytes_per_s",)),
        ({"metric": "ttft_ms", "batch_or_concurrency": "rate=1/s"}, ("draw_s", "kept_bytes_per_s")),
    ],
)
def test_rows_of_speed_tests_neither_draw_nor_keep_and_rows_of_servers_do(changes, counted):
    case = case_of({**ROW, "engine": "llama.cpp", "quant": "Q4_K_M", **changes})
    parameters = parameters_of(case)
    whole, _ = predict(case, parameters)
    without = {field: predict(case, parameters.model_copy(update={field: 0.0}))[0] for field in ("draw_s", "kept_bytes_per_s")}
    assert tuple(field for field, value in without.items() if value != whole) == counted


def test_an_engineer_reads_what_keeping_costs_and_how_to_turn_it_off():
    notes = {
        engine: serving_curve(
            model("llama-3.1-8b"), "q4_k_m", Server(accelerator=DEVICE), engine=engine, input_tokens=512, output_tokens=128
        ).note
        for engine in ("llama.cpp", "vllm")
    }
    assert "keeping each ended request takes 70 ms in which nobody is served; --cache-ram 0 turns it off" in notes["llama.cpp"]
    assert "--cache-ram" not in notes["vllm"]


def test_only_todays_llama_cpp_keeps():
    assert {entry.engine for entry in efficiencies() if entry.kept_bytes_per_s > 0} == {"llama.cpp"}
    assert {entry.engine for entry in efficiencies() if entry.scheduled_tokens > 0} == {"llama.cpp"}
