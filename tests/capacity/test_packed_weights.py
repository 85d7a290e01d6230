"""Packed weights: an Apple Ultra unpacks as the two chips it is, and a narrow model's products take longer than its bytes say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capacity.accelerators import accelerator, accelerators
from capacity.cases import case_of
from capacity.footprint import footprint
from capacity.models import model
from capacity.roofline import decode_step_s, efficiencies, efficiency_for, rates
from tests.capacity.typical_row import ROW

M2_ULTRA = accelerator("apple-m2-ultra")
LLAMA_CPP = efficiency_for("llama.cpp", M2_ULTRA)


def test_an_ultra_unpacks_twice_as_fast_as_its_half():
    half = M2_ULTRA.model_copy(update={"joined": 1, "fp16_tflops": 13.6})
    assert rates(half, "fp16", LLAMA_CPP).unpacking == pytest.approx(1e13 * 1.36**0.8)
    assert rates(M2_ULTRA, "fp16", LLAMA_CPP).unpacking == pytest.approx(2 * 1e13 * 1.36**0.8)


def test_every_ultra_is_two_chips_and_nothing_else_is():
    assert {device.id for device in accelerators() if device.joined == 2} == {
        device.id for device in accelerators() if device.vendor == "Apple" and "ultra" in device.id
    }
    assert {device.joined for device in accelerators()} == {1, 2}


@pytest.mark.parametrize(("name", "joined"), [("Apple M9 Ultra", 2), ("Apple M9 Max", 1), ("Core Ultra 9", 1)])
def test_a_stated_ultra_of_apple_is_two_chips(name, joined):
    case = case_of({**ROW, "engine": "llama.cpp", "quant": "Q4_K_M", "device": name, "device_mem_bw_gbs": "800"})
    assert (case.server.accelerator.id, case.server.accelerator.joined) == ("stated-device", joined)


def streaming_s(hidden: float, narrow_width: float, precision: str = "Q4_K_M") -> float:
    """What weights of that width add to a step that does nothing else."""
    cost = replace(footprint(model("llama-2-7b"), precision), hidden=hidden)
    efficiency = LLAMA_CPP.model_copy(update={"narrow_width": narrow_width, "activation_passes": 0.0})
    weightless = replace(cost, dense_bytes=1e-9)
    device = rates(M2_ULTRA, "fp16", efficiency)
    step, rest = (decode_step_s(one, device, efficiency, batch=1.0, context_tokens=0.0) for one in (cost, weightless))
    return float(step - rest)


def test_at_the_narrow_width_packed_weights_take_twice_their_time_and_at_twice_it_a_quarter_more():
    plain = streaming_s(1000.0, 0.0)
    assert streaming_s(1000.0, 1000.0) == pytest.approx(2.0 * plain)
    assert streaming_s(2000.0, 1000.0) == pytest.approx(1.25 * plain)
    assert streaming_s(1000.0, 1000.0, "F16") == pytest.approx(streaming_s(1000.0, 0.0, "F16"))


def test_only_llama_cpp_on_apple_has_a_narrow_width():
    known = {(entry.engine, entry.memory_kind) for entry in efficiencies() if entry.narrow_width > 0}
    assert known == {("llama.cpp", "apple"), ("llama.cpp-2024", "apple")}
