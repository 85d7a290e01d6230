"""Laws of the batch door, over engines, devices, models and loads: what holds of every server holds of every answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from capacity.accelerators import find_accelerator
from capacity.cases import COLUMNS, RATES, case_of
from capacity.estimate import estimate_row, parameters_of
from capacity.finite_run import finite_run
from capacity.roofline import Layout, decode_step_s, prefill_s, rates
from capacity.throughput import RequestSize, closed_loop

ROWS = st.fixed_dictionaries(
    {
        "engine": st.sampled_from(["vllm", "sglang", "TensorRT-LLM", "llama.cpp", "mlx", "tgi"]),
        "model": st.sampled_from(["Llama 3.1 8B", "Qwen3-30B-A3B", "gpt-oss-20b", "DeepSeek-R1", "Llama 3.3 70B", "Qwen3.5-4B"]),
        "quant": st.sampled_from(["bf16", "fp8", "nvfp4", "awq", "Q4_K_M", "int8"]),
        "device": st.sampled_from(["H100", "B200", "MI355X", "L40S", "RTX 5090", "RTX 4090", "GB10", "Strix Halo", "Apple M5 10c", "A100"]),
        "device_count": st.sampled_from(["1", "2", "8"]),
        "isl": st.sampled_from(["128", "1000", "20000"]),
        "osl": st.sampled_from(["16", "1000"]),
        "note": st.sampled_from(["", "per user", "depth=4096"]),
    }
)


def answer(row, **changes):
    return estimate_row(dict.fromkeys(COLUMNS, "") | {"source_version": "2026"} | row | changes).predicted


def asked(row, **changes):
    """The answer; a row that is refused says nothing of a law."""
    found = answer(row, **changes)
    assume(found is not None)
    return found


@settings(max_examples=80)
@given(
    row=ROWS,
    load=st.sampled_from(["1", "32", "max"]),
    metric=st.sampled_from(["prefill_tok_s", "decode_tok_s", "output_tok_s_total", "ttft_ms", "tpot_ms", "e2e_p90_ms"]),
    bandwidth=st.floats(1, 3),
    operations=st.floats(1, 3),
)
def test_a_better_sheet_is_never_slower(row, load, metric, bandwidth, operations):
    device = find_accelerator(row["device"])

    def on(more_bandwidth, more_operations):
        sheet = {
            "device_mem_bw_gbs": str(device.mem_bw_gb_per_s * more_bandwidth),
            "device_peak_tflops_dense_16bit": str(device.fp16_tflops * more_operations),
        }
        return asked(row, metric=metric, batch_or_concurrency=load, **sheet)

    before, after = on(1, 1), on(bandwidth, operations)
    assert after >= before * 0.9999 if metric in RATES else after <= before * 1.0001


@settings(max_examples=80)
@given(row=ROWS)
def test_one_sequence_never_generates_faster_than_its_weights_stream(row):
    row = row | {"isl": "0", "note": "", "metric": "decode_tok_s", "batch_or_concurrency": "1"}
    rate = asked(row)
    case = case_of(dict.fromkeys(COLUMNS, "") | {"source_version": "2026"} | row)
    together = case.server.accelerator.need("mem_bw_gb_per_s") * 1e9 * float(case.layout.tensor_parallel)
    assert rate <= together / float(case.cost.streamed_bytes(1.0))


@settings(max_examples=80)
@given(row=ROWS, count=st.integers(1, 400), more=st.integers(1, 400))
def test_more_requests_in_flight_never_serve_fewer_tokens(row, count, more):
    """Also beyond the memory: what does not fit waits, and the server stays full."""
    one, two = (asked(row, metric="output_tok_s_total", batch_or_concurrency=str(load)) for load in (count, count + more))
    assert two >= one * 0.9999


@settings(max_examples=40)
@given(row=ROWS, rate=st.sampled_from([0.1, 1.0, 10.0]), faster=st.floats(1.2, 10), metric=st.sampled_from(["ttft_ms", "e2e_ms"]))
def test_arrivals_that_come_sooner_wait_no_less(row, rate, faster, metric):
    """3 % are left to a run of 200 requests, whose last ones leave an emptier server behind."""
    calm, busy = (asked(row, metric=metric, batch_or_concurrency=f"rate={each}/s") for each in (rate, rate * faster))
    assert busy >= calm * 0.97


@settings(max_examples=40)
@given(
    row=ROWS, load=st.sampled_from(["1", "64", "rate=0.5/s", "rate=8/s", "rate=inf"]), stem=st.sampled_from(["ttft", "tpot", "itl", "e2e"])
)
def test_quantiles_stand_in_order(row, load, stem):
    found = [asked(row, metric=f"{stem}_{share}_ms", batch_or_concurrency=load) for share in ("p50", "p90", "p95", "p99")]
    assert found == sorted(found)


@settings(max_examples=60)
@given(row=ROWS, count=st.integers(1, 300))
def test_no_token_beats_its_step(row, count):
    loaded = row | {"metric": "tpot_ms", "batch_or_concurrency": str(count)}
    asked(loaded)
    case = case_of(dict.fromkeys(COLUMNS, "") | loaded)
    efficiency = parameters_of(case)
    device = rates(case.server.accelerator, case.cost.compute, efficiency)
    load = RequestSize(input_tokens=case.input_tokens, output_tokens=case.output_tokens)
    state = closed_loop(case.cost, device, efficiency, load, concurrency=float(count), cap=512.0, layout=case.layout)
    generating = min(count, max(efficiency.budget_tokens / case.input_tokens * case.output_tokens, 1.0))  # so many prompts come in at most
    step = decode_step_s(case.cost, device, efficiency, batch=generating, context_tokens=load.mean_context, layout=case.layout)
    assert float(state.tpot_s) >= float(step) * 0.999


def test_a_pipeline_answers_no_prompt_sooner_than_its_stages_take():
    row = {"engine": "llama.cpp", "model": "Llama 3.1 8B", "quant": "bf16", "device": "L40S", "device_count": "4"}
    load = {"isl": "1000", "osl": "16", "batch_or_concurrency": "rate=9/s", "metric": "ttft_ms"}
    case = case_of(dict.fromkeys(COLUMNS, "") | row | load)
    efficiency = parameters_of(case)
    device = rates(case.server.accelerator, case.cost.compute, efficiency)
    layout = Layout(pipeline_parallel=4.0)
    size = RequestSize(input_tokens=1000.0, output_tokens=16.0)
    run = finite_run(case.cost, device, efficiency, size, rate_per_s=9.0, prompts=100, cap=64.0, layout=layout)
    alone = float(prefill_s(case.cost, device, efficiency, tokens=1000.0, layout=layout))
    assert np.min(run.ttft_s) >= alone * 0.999


def test_a_run_that_starts_all_its_requests_at_once_waits_for_half_of_the_prompts():
    """64 at once: the mean first token comes after (1 + 64) / 2 prompts and half a pass, each cheaper than alone; a long run forgets it."""
    row = {"engine": "vllm", "model": "Llama 3.1 8B", "quant": "bf16", "device": "H100", "isl": "2000", "osl": "200"}
    load = {"metric": "ttft_ms", "batch_or_concurrency": "64"}
    alone = answer(row, metric="ttft_ms", batch_or_concurrency="1")
    once, long = (answer(row, **load, note=f"prompts={prompts}") for prompts in (64, 64_000))
    assert 0.6 * alone * 65 / 2 < once <= alone * 65 / 2
    assert long < alone * 4


def test_prompts_that_share_a_pass_are_answered_together_at_its_end():
    """Nine at once: the first alone; of 1,024 tokens the other eight fill one pass of 8,192, of 4,096 they take four, two to each."""
    row = {"engine": "vllm", "model": "Llama 3.1 8B", "quant": "bf16", "device": "H100", "osl": "500", "batch_or_concurrency": "9"}
    note = "prompts=9; max_num_batched_tokens=8192"

    def first(isl: int, statistic: str) -> float:
        return answer(row, isl=str(isl), metric=f"ttft_{statistic}ms", note=note)

    assert first(1024, "p50_") == pytest.approx(first(1024, "p99_"), rel=1e-6)
    alone = answer(row, isl="4096", metric="ttft_ms", batch_or_concurrency="1", note=note)
    step = (first(4096, "p99_") - alone) / 4
    assert first(4096, "p50_") == pytest.approx(alone + 2 * step, rel=0.02)
    assert first(4096, "") == pytest.approx(alone + 2.5 * step, rel=0.05)  # (1 + 2 + 3 + 4) / 4


@pytest.mark.parametrize(
    "device", ["RTX 3050", "RTX 2060 SUPER", "GTX 1080 Ti", "Tesla P100-SXM2-16GB", "RX 6650 XT", "RTX 3060", "RTX 5060 Ti"]
)
def test_no_prompt_is_multiplied_faster_than_a_small_card_can(device):
    """GeForce cards with matrix units accumulate 16 bits at twice the sheet's rate; those before them do not."""
    row = {"engine": "llama.cpp", "model": "Llama 3.2 3B", "quant": "F16", "device": device, "isl": "512", "osl": "0"}
    rate = answer(row, metric="prefill_tok_s", batch_or_concurrency="1")
    found = find_accelerator(device)
    doubled = 2.0 if found.vendor == "NVIDIA" and found.kind == "consumer_gpu" and found.generation != "pascal" else 1.0
    products = 2 * (3.21e9 - 128_256 * 3072)  # without the head, which only the last token needs
    assert rate * products <= 0.9 * doubled * found.fp16_tflops * 1e12
