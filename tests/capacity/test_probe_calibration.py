"""One probe of this machine: exact on what was measured, carried over to other models."""

from __future__ import annotations

import pytest

from capacity.accelerators import Server, accelerator
from capacity.calibration import ProbePoint, efficiency_from_probe, efficiency_from_probes
from capacity.footprint import footprint
from capacity.models import model
from capacity.roofline import decode_step_s, prefill_s, rates
from capacity.throughput import serving_curve
from facts.errors import InputError
from facts.records import Basis

DESKTOP = Server(accelerator=accelerator("cpu-desktop-ddr5-5600-2ch").model_copy(update={"memory_gb": 32.0}))


def curve_of(efficiency, model_id="qwen3-0.6b"):
    return serving_curve(model(model_id), "Q4_K_M", DESKTOP, engine="llama.cpp", input_tokens=64, output_tokens=128, efficiency=efficiency)


def test_the_measured_rates_come_back():
    probed = efficiency_from_probe(seen(prompt_tokens_per_s=120.0, generated_tokens_per_s=45.0), DESKTOP)
    point = curve_of(probed).points[0]
    drawing_ms = 151_936 * 2.7e-6  # which the measurement leaves out
    assert point.tpot_ms == pytest.approx(1000 / 45.0 + drawing_ms, rel=0.02)  # measured at a mean depth of 64 tokens, served at 128
    assert curve_of(probed).basis is Basis.CALIBRATED


def seen(**found):
    return ProbePoint(model=model("qwen3-0.6b"), quantization="Q4_K_M", **found)


def test_a_faster_probe_makes_every_model_on_the_machine_faster():
    slow, fast = (efficiency_from_probe(seen(prompt_tokens_per_s=100.0, generated_tokens_per_s=rate), DESKTOP) for rate in (20.0, 40.0))
    ratio = curve_of(fast, "llama-2-7b").points[0].output_tokens_per_s / curve_of(slow, "llama-2-7b").points[0].output_tokens_per_s
    assert 1 < ratio <= 2


def test_one_phase_alone_leaves_the_other_as_estimated():
    probed = efficiency_from_probe(seen(generated_tokens_per_s=45.0), DESKTOP)
    assert probed.prefill_factor == 1.0
    assert probed.decode_factor != 1.0


def test_a_rate_of_nothing_is_no_measurement():
    with pytest.raises(InputError, match="generated_tokens_per_s 0 is not a measurement"):
        efficiency_from_probe(seen(generated_tokens_per_s=0.0), DESKTOP)


def test_a_probe_at_depth_says_the_same_of_the_machine_as_one_at_none():
    """The cache of 4,096 tokens is read beside the weights: the same machine is slower there, and is not thought a slower machine."""
    shallow = efficiency_from_probe(seen(prompt_tokens_per_s=120.0, generated_tokens_per_s=45.0), DESKTOP)
    prompt, generation = predicted_rates(shallow, depth=4096)
    assert generation < 0.9 * 45.0
    deep = seen(prompt_tokens_per_s=prompt, prompt_depth_tokens=4096.0, generated_tokens_per_s=generation, generated_depth_tokens=4096.0)
    for found in (efficiency_from_probe(deep, DESKTOP), efficiency_from_probes([deep], DESKTOP)):
        assert found.decode_factor == pytest.approx(shallow.decode_factor)
        assert found.prefill_factor == pytest.approx(shallow.prefill_factor)


def predicted_rates(efficiency, *, depth):
    """Tokens per second of a prompt of 512 tokens, and of 128 generated ones, after `depth` tokens."""
    cost = footprint(model("qwen3-0.6b"), "Q4_K_M")
    device = rates(DESKTOP.accelerator, cost.compute, efficiency)
    prompt = 512.0 / float(prefill_s(cost, device, efficiency, tokens=512.0, depth=float(depth)))
    return prompt, 1.0 / float(decode_step_s(cost, device, efficiency, batch=1.0, context_tokens=depth + 64.0))


def truth(model_id, *, streams_gb_per_s=15.0, layer_s=0.0002, gflops=110.0):
    """A machine that streams at one speed, computes at another and loses a fixed time per layer."""
    cost = footprint(model(model_id), "Q4_K_M")
    decode = cost.dense_bytes / (streams_gb_per_s * 1e9) + cost.layers * layer_s
    prompt = 2 * (cost.matmul_params - cost.head_params) * 512 / (gflops * 1e9)
    return ProbePoint(model=model(model_id), quantization="Q4_K_M", prompt_tokens_per_s=512 / prompt, generated_tokens_per_s=1 / decode)


def test_two_sizes_tell_bandwidth_from_the_time_per_layer_and_predict_a_third():
    probed = efficiency_from_probes([truth("qwen3-0.6b"), truth("qwen3-4b")], DESKTOP)
    predicted = curve_of(probed, "llama-2-7b").points[0].tpot_ms
    assert predicted == pytest.approx(1000 / truth("llama-2-7b").generated_tokens_per_s, rel=0.05)
    alone = efficiency_from_probes([truth("qwen3-0.6b")], DESKTOP)
    off = abs(curve_of(alone, "llama-2-7b").points[0].tpot_ms / (1000 / truth("llama-2-7b").generated_tokens_per_s) - 1)
    assert off > abs(predicted / (1000 / truth("llama-2-7b").generated_tokens_per_s) - 1)


def test_one_point_of_many_is_the_same_as_one_probe():
    measured = truth("qwen3-0.6b")
    many = efficiency_from_probes([measured], DESKTOP)
    one = efficiency_from_probe(measured, DESKTOP)
    assert many.decode_factor == pytest.approx(one.decode_factor)
    assert many.prefill_factor == pytest.approx(one.prefill_factor)


def test_no_point_at_all_is_refused():
    with pytest.raises(InputError, match="at least one is needed"):
        efficiency_from_probes([], DESKTOP)
