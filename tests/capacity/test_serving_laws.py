"""Laws of the estimate: a better device is never slower, queueing only falls with capacity, parallelism ends at its link."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.accelerators import Server, accelerator
from capacity.calibration import ideal
from capacity.footprint import footprint, touched_share
from capacity.models import model
from capacity.roofline import Layout, all_reduce_s, decode_step_s, efficiency_for, precision_gain, prefill_s, rates
from capacity.throughput import RequestSize, closed_loop, layouts, open_loop, sequence_cap, serving_curve

H100 = accelerator("nvidia-h100-sxm-80")
VLLM = efficiency_for("vllm", H100)
MODELS = st.sampled_from(["llama-3.1-8b", "mixtral-8x7b", "gpt-oss-20b", "qwen3-0.6b", "gemma-3-27b", "deepseek-v3"])


def cost_of(model_id, precision="fp8"):
    return footprint(model(model_id), precision)


@given(
    model_id=MODELS,
    batch=st.integers(1, 512),
    tokens=st.integers(1, 20_000),
    better=st.floats(1, 5),
    what=st.sampled_from(["bw", "flops", "both"]),
)
@settings(max_examples=60)
def test_more_bandwidth_or_operations_are_never_slower(model_id, batch, tokens, better, what):
    update = {}
    if what in {"bw", "both"}:
        update["mem_bw_gb_per_s"] = H100.mem_bw_gb_per_s * better
    if what in {"flops", "both"}:
        update |= {"fp16_tflops": H100.fp16_tflops * better, "fp8_tflops": H100.fp8_tflops * better}
    cost = cost_of(model_id)
    slow, fast = (rates(device, cost.compute, VLLM) for device in (H100, H100.model_copy(update=update)))
    for time in (
        lambda device: decode_step_s(cost, device, VLLM, batch=batch, context_tokens=tokens),
        lambda device: prefill_s(cost, device, VLLM, tokens=tokens),
    ):
        assert time(fast) <= time(slow) * (1 + 1e-12)


@given(model_id=MODELS, batch=st.integers(1, 500), more=st.integers(0, 100), context=st.integers(0, 50_000))
@settings(max_examples=60)
def test_a_larger_batch_never_shortens_a_step_nor_lowers_its_tokens_per_second(model_id, batch, more, context):
    cost = cost_of(model_id)
    device = rates(H100, cost.compute, VLLM)
    one, two = (decode_step_s(cost, device, VLLM, batch=count, context_tokens=context) for count in (batch, batch + more))
    assert two >= one
    assert (batch + more) / two >= batch / one * (1 - 1e-9)


def test_a_step_without_losses_streams_the_weights_once():
    cost = cost_of("llama-3.1-8b", "bf16")
    device = rates(H100, cost.compute, VLLM)
    step = decode_step_s(cost, device, ideal(VLLM), batch=1, context_tokens=0)
    streamed = (8.030e9 - 128_256 * 4096) * 2 / 3350e9
    computed = 2 * (8.030e9 - 128_256 * 4096) / 989e12
    assert step == pytest.approx(streamed + computed, rel=1e-3)


def test_one_token_touches_its_own_experts_and_a_large_batch_all():
    assert touched_share(8, 2, 1) == 0.25
    assert touched_share(128, 8, 1) == pytest.approx(8 / 128)
    assert touched_share(128, 4, 3 * 128 / 4) == pytest.approx(1 - (1 - 4 / 128) ** 96)
    assert touched_share(128, 4, 1000) == pytest.approx(1.0, abs=1e-6)


def test_weight_only_formats_do_not_gain_operations_and_eight_bits_double_them():
    assert precision_gain(H100, "fp16") == 1
    assert precision_gain(H100, "fp8") == 2
    assert precision_gain(accelerator("nvidia-a100-sxm-80"), "fp8") == 1
    assert precision_gain(accelerator("nvidia-b200-sxm"), "fp4") == 4
    assert precision_gain(accelerator("nvidia-rtx-4090"), "fp8") == 2
    assert precision_gain(accelerator("nvidia-rtx-5090"), "fp4") == pytest.approx(1676 / 209.5)  # its 16-bit products run at half rate
    assert precision_gain(accelerator("nvidia-rtx-pro-6000"), "fp4") == pytest.approx(4)
    assert precision_gain(accelerator("nvidia-rtx-5000-ada"), "fp4") == 1


def test_a_ring_moves_two_n_minus_one_over_n_of_the_rows():
    cost = cost_of("llama-3.1-8b")
    device, plain = rates(H100, cost.compute, VLLM), VLLM.model_copy(update={"link_share": 1.0, "link_s": 0.0, "fast_link_s": None})
    moved = 2 * 32 * 2 * (7 / 8) * 100 * 4096 * 2
    assert all_reduce_s(cost, device, plain, 100, 8) == pytest.approx(moved / 450e9)
    assert all_reduce_s(cost, device, VLLM, 100, 1) == 0


def test_vllm_takes_smaller_limits_below_seventy_gigabytes():
    small, large = (efficiency_for("vllm", accelerator(name)) for name in ("nvidia-l40s", "nvidia-h100-sxm-80"))
    assert (small.max_sequences, small.prefill_chunk) == (256, 2048)
    assert (large.max_sequences, large.prefill_chunk) == (1024, 8192)
    assert efficiency_for("vllm", accelerator("nvidia-a100-sxm-80")).max_sequences == 256
    assert efficiency_for("sglang", accelerator("nvidia-l40s")).max_sequences == 1024


def test_cards_that_cannot_read_each_others_memory_send_every_byte_twice():
    geforce, workstation = (accelerator(name) for name in ("nvidia-rtx-4090", "nvidia-rtx-6000-ada"))
    assert geforce.link_gb_per_s == workstation.link_gb_per_s == 32
    assert rates(workstation, "fp16", VLLM).link == 2 * rates(geforce, "fp16", VLLM).link == 32e9


def test_a_small_all_reduce_is_sooner_over_the_accelerators_own_links():
    cost = cost_of("llama-3.1-8b")
    fast, slow = (rates(accelerator(name), cost.compute, VLLM) for name in ("nvidia-h100-sxm-80", "nvidia-h100-pcie-80"))
    assert VLLM.fast_link_s == 5e-6
    assert all_reduce_s(cost, fast, VLLM, 0, 8) == pytest.approx(2 * 32 * 3 * 5e-6)
    assert all_reduce_s(cost, slow, VLLM, 0, 8) == pytest.approx(2 * 32 * 3 * VLLM.link_s)


@given(gpus=st.sampled_from([2, 4, 8]), rows=st.integers(512, 8192))
def test_tensor_parallelism_never_helps_beyond_its_link(gpus, rows):
    cost = cost_of("llama-3.3-70b", "bf16")
    slow_link = H100.model_copy(update={"link_gb_per_s": 0.5, "link_kind": "pcie"})
    device = rates(slow_link, cost.compute, VLLM)
    alone = prefill_s(cost, device, VLLM, tokens=rows)
    together = prefill_s(cost, device, VLLM, tokens=rows, layout=Layout(tensor_parallel=float(gpus)))
    assert together >= all_reduce_s(cost, device, VLLM, rows, float(gpus))
    assert together > alone


def test_a_pipeline_never_speeds_up_one_answer():
    cost = cost_of("llama-3.3-70b")
    device = rates(H100, cost.compute, VLLM)
    one = decode_step_s(cost, device, VLLM, batch=1, context_tokens=1000)
    two = decode_step_s(cost, device, VLLM, batch=1, context_tokens=1000, layout=Layout(pipeline_parallel=2.0))
    assert two >= one


@given(rate=st.floats(0.1, 6), more=st.floats(0, 6))
@settings(max_examples=30)
def test_more_load_never_means_less_waiting(rate, more):
    cost, load = cost_of("llama-3.1-8b"), RequestSize(input_tokens=2000.0, output_tokens=200.0)
    device = rates(H100, cost.compute, VLLM)
    calm, busy = (open_loop(cost, device, VLLM, load, rate_per_s=each, cap=256.0) for each in (rate, rate + more))
    assert busy.ttft_s >= calm.ttft_s * (1 - 1e-6)
    assert busy.tpot_s >= calm.tpot_s * (1 - 1e-6)


def test_closed_loop_obeys_little():
    cost, load = cost_of("llama-3.1-8b"), RequestSize(input_tokens=1000.0, output_tokens=300.0)
    device = rates(H100, cost.compute, VLLM)
    for count in (1.0, 16.0, 128.0):
        state = closed_loop(cost, device, VLLM, load, concurrency=count, cap=256.0)
        latency = float(state.ttft_s) + 299 * float(state.tpot_s)
        assert count / latency == pytest.approx(float(state.requests_per_s), rel=1e-9)


def test_requests_beyond_the_cap_wait_for_a_slot():
    cost, load = cost_of("llama-3.1-8b"), RequestSize(input_tokens=1000.0, output_tokens=300.0)
    device = rates(H100, cost.compute, VLLM)
    full, over = (closed_loop(cost, device, VLLM, load, concurrency=count, cap=64.0) for count in (64.0, 128.0))
    assert float(over.requests_per_s) == pytest.approx(float(full.requests_per_s))
    service = 64 / float(full.requests_per_s)
    assert float(over.ttft_s) == pytest.approx(float(full.ttft_s) + service)


def test_every_split_uses_all_devices():
    for layout, copies in layouts(8):
        assert float(layout.devices) * copies == 8


@pytest.mark.parametrize("engine", ["vllm", "trtllm", "llama.cpp", "sglang"])
def test_a_curve_rises_to_its_cap_and_carries_its_interval(engine):
    curve = serving_curve(model("llama-3.1-8b"), "fp16", Server(accelerator=H100), engine=engine, input_tokens=1000, output_tokens=200)
    counts = [point.concurrency for point in curve.points]
    assert counts == sorted(set(counts))
    outputs = [point.output_tokens_per_s for point in curve.points]
    assert outputs == sorted(outputs)
    assert all(point.low80 < point.output_tokens_per_s < point.high80 for point in curve.points)
    assert counts[-1] == curve.max_concurrency


def test_a_server_that_cannot_hold_the_model_gives_no_points_and_says_why():
    curve = serving_curve(model("llama-3.3-70b"), "fp16", Server(accelerator=H100), input_tokens=1000, output_tokens=200)
    assert curve.points == ()
    assert "does not fit" in curve.note


def test_a_cached_prefix_is_not_computed_again():
    kwargs = {"engine": "vllm", "input_tokens": 4000, "output_tokens": 100}
    server = Server(accelerator=H100)
    cold = serving_curve(model("llama-3.1-8b"), "fp8", server, **kwargs)
    warm = serving_curve(model("llama-3.1-8b"), "fp8", server, prefix_hit_share=0.8, **kwargs)
    assert warm.points[0].ttft_ms < cold.points[0].ttft_ms
    assert warm.saturated.requests_per_s > cold.saturated.requests_per_s


def test_formulas_give_the_same_for_one_case_and_for_many():
    cost, batches = cost_of("mixtral-8x7b"), np.array([1.0, 8.0, 64.0])
    device = rates(H100, cost.compute, VLLM)
    together = decode_step_s(cost, device, VLLM, batch=batches, context_tokens=1000.0)
    alone = [decode_step_s(cost, device, VLLM, batch=batch, context_tokens=1000.0) for batch in batches]
    assert together == pytest.approx(alone)


def test_without_fused_attention_each_query_head_reads_the_cache():
    base = efficiency_for("vllm", H100)
    cost = footprint(model("llama-3.1-8b"), "bf16")
    device = rates(H100, cost.compute, base)

    def cache_s(efficiency):
        steps = [float(decode_step_s(cost, device, efficiency, batch=1.0, context_tokens=tokens)) for tokens in (0.0, 8000.0)]
        return steps[1] - steps[0]

    pairs = cost.attention_flops * 8000.0 / (base.flops_share * device.flops)
    fused, repeated = cache_s(base), cache_s(base.model_copy(update={"kv_repeat": 1.0}))
    assert (repeated - pairs) / (fused - pairs) == pytest.approx(4.0)  # 32 query heads share 8 KV heads


def test_linear_attention_moves_its_state_and_no_cache():
    cost = footprint(model("qwen3.5-4b"), "q4_k_m")
    assert cost.linear_state_bytes == 2 * 4 * 24 * 32 * 128 * 128  # twice, 32 bits, 24 layers, 32 heads of 128 x 128
    assert footprint(model("qwen3-4b"), "q4_k_m").linear_state_bytes == 0
    base = efficiency_for("vllm", H100)
    device = rates(H100, cost.compute, base)
    once, twice = (
        float(decode_step_s(cost, device, base.model_copy(update={"state_passes": passes}), batch=1.0, context_tokens=1000.0))
        for passes in (1.0, 2.0)
    )
    assert twice - once == pytest.approx(cost.linear_state_bytes / (base.bandwidth_share * device.bandwidth))


def test_data_parallel_attention_repeats_dense_weights_and_keeps_one_cache():
    eight = Server(accelerator=accelerator("nvidia-h200-sxm"), gpus=8)
    cost = footprint(model("deepseek-v3"), "fp8", kv_bits=16)
    base = efficiency_for("sglang", eight.accelerator)
    load = RequestSize(input_tokens=1000.0, output_tokens=1000.0)
    shared, spread = (Layout(tensor_parallel=8.0, attention_data_parallel=flag) for flag in (False, True))
    wide = base.model_copy(update={"max_sequences": 100_000})
    # the latent cache is not copied 8 times
    assert sequence_cap(cost, eight, wide, load, spread) > 4 * sequence_cap(cost, eight, wide, load, shared)
    device = rates(eight.accelerator, cost.compute, base)
    slow, fast = (float(decode_step_s(cost, device, base, batch=1.0, context_tokens=1000.0, layout=layout)) for layout in (spread, shared))
    assert slow > fast  # one request streams the whole dense part on its device


def test_llama_cpp_reaches_a_share_of_what_hopper_counts_by_warp_groups():
    """62.9 % of it (arXiv 2402.13499); not so on consumer Blackwell, whose sheet counts what llama.cpp uses, nor under other engines."""
    for device, engine, share in (
        ("nvidia-h100-sxm-80", "llama.cpp", 0.63),
        ("nvidia-a100-sxm-80", "llama.cpp", 1.0),
        ("nvidia-rtx-5090", "llama.cpp", 1.0),
        ("nvidia-h100-sxm-80", "vllm", 1.0),
    ):
        found = accelerator(device)
        efficiency = efficiency_for(engine, found)
        older = rates(found.model_copy(update={"generation": "ampere"}), "fp16", efficiency).flops
        assert rates(found, "fp16", efficiency).flops == pytest.approx(share * older)
