"""One probe of this machine: exact on what was measured, carried over to other models."""

from __future__ import annotations

import pytest

from capacity.accelerators import Server, accelerator
from capacity.calibration import efficiency_from_probe
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
