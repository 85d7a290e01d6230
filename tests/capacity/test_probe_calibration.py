"""One probe of this machine: exact on what was measured, carried over to other models."""

from __future__ import annotations

import pytest

from capacity.accelerators import Server, accelerator
from capacity.calibration import ProbePoint, efficiency_from_probe, efficiency_from_probes
from capacity.footprint import footprint
from capacity.models import model
from capacity.throughput import serving_curve
from facts.errors import InputError
from facts.records import Basis

DESKTOP = Server(accelerator=accelerator("cpu-desktop-ddr5-5600-2ch").model_copy(update={"memory_gb": 32.0}))


def curve_of(efficiency, model_id="qwen3-0.6b"):
    return serving_curve(model(model_id), "Q4_K_M", DESKTOP, engine="llama.cpp", input_tokens=64, output_tokens=128, efficiency=efficiency)


def test_the_measured_rates_come_back():
    probed = efficiency_from_probe(model("qwen3-0.6b"), "Q4_K_M", DESKTOP, prompt_tokens_per_s=120.0, generated_tokens_per_s=45.0)
    point = curve_of(probed).points[0]
    assert point.tpot_ms == pytest.approx(1000 / 45.0, rel=0.02)  # measured at a mean depth of 64 tokens, served at 128
    assert curve_of(probed).basis is Basis.CALIBRATED


def test_a_faster_probe_makes_every_model_on_the_machine_faster():
    slow, fast = (
        efficiency_from_probe(model("qwen3-0.6b"), "Q4_K_M", DESKTOP, prompt_tokens_per_s=100.0, generated_tokens_per_s=rate)
        for rate in (20.0, 40.0)
    )
    ratio = curve_of(fast, "llama-2-7b").points[0].output_tokens_per_s / curve_of(slow, "llama-2-7b").points[0].output_tokens_per_s
    assert 1 < ratio <= 2


def test_one_phase_alone_leaves_the_other_as_estimated():
    probed = efficiency_from_probe(model("qwen3-0.6b"), "Q4_K_M", DESKTOP, generated_tokens_per_s=45.0)
    assert probed.prefill_factor == 1.0
    assert probed.decode_factor != 1.0


def test_a_rate_of_nothing_is_no_measurement():
    with pytest.raises(InputError, match="generated_tokens_per_s 0 is not a measurement"):
        efficiency_from_probe(model("qwen3-0.6b"), "Q4_K_M", DESKTOP, generated_tokens_per_s=0.0)


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
    point = truth("qwen3-0.6b")
    many = efficiency_from_probes([point], DESKTOP)
    one = efficiency_from_probe(
        point.model, "Q4_K_M", DESKTOP, prompt_tokens_per_s=point.prompt_tokens_per_s, generated_tokens_per_s=point.generated_tokens_per_s
    )
    assert many.decode_factor == pytest.approx(one.decode_factor)
    assert many.prefill_factor == pytest.approx(one.prefill_factor)


def test_no_point_at_all_is_refused():
    with pytest.raises(InputError, match="at least one is needed"):
        efficiency_from_probes([], DESKTOP)
