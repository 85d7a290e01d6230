"""Drawing tokens: llama.cpp's server does it on the processor, one sequence after another; its speed tests do not."""

from __future__ import annotations

import pytest

from capacity.accelerators import accelerator
from capacity.footprint import footprint
from capacity.models import model
from capacity.roofline import decode_step_s, efficiencies, efficiency_for, rates, with_factors
from capacity.throughput import RequestSize, closed_loop

DEVICE = accelerator("nvidia-h100-sxm-80")
LLAMA = footprint(model("llama-3.1-8b"), "q4_k_m")
OF_LLAMA_CPP = efficiency_for("llama.cpp", DEVICE)
RATES = rates(DEVICE, LLAMA.compute, OF_LLAMA_CPP)


def step_s(batch: float, *, drawn: bool, efficiency=OF_LLAMA_CPP) -> float:
    return float(decode_step_s(LLAMA, RATES, efficiency, batch=batch, context_tokens=576.0, drawn=drawn))


def test_a_drawn_step_takes_a_vocabulary_longer_for_each_sequence():
    assert LLAMA.vocabulary == 128_256
    assert step_s(1.0, drawn=True) - step_s(1.0, drawn=False) == pytest.approx(128_256 * 2.7e-9)  # 0.35 ms
    assert step_s(16.0, drawn=True) - step_s(16.0, drawn=False) == pytest.approx(16 * 128_256 * 2.7e-9)


def test_a_probe_of_the_device_says_nothing_of_the_processor_that_draws():
    slow = with_factors(OF_LLAMA_CPP, decode=3.0)
    assert step_s(1.0, drawn=False, efficiency=slow) == pytest.approx(3.0 * step_s(1.0, drawn=False))
    assert step_s(1.0, drawn=True, efficiency=slow) - step_s(1.0, drawn=False, efficiency=slow) == pytest.approx(128_256 * 2.7e-9)


def test_serving_draws():
    load = RequestSize(input_tokens=512.0, output_tokens=128.0)
    served = closed_loop(LLAMA, RATES, OF_LLAMA_CPP, load, concurrency=8.0, cap=64.0)
    assert served.step_s == pytest.approx(step_s(8.0, drawn=True))  # its mean context is 512 + 128 / 2


def test_only_llama_cpp_draws_on_the_processor():
    assert {entry.engine for entry in efficiencies() if entry.draw_s > 0} == {"llama.cpp", "llama.cpp-2024"}
