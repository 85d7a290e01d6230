"""Precisions side by side."""

from __future__ import annotations

import pytest

from capacity.accelerators import Server, accelerator
from capacity.choices import precision_choices, published_loss
from capacity.models import model
from facts.errors import InputError

CARD = Server(accelerator=accelerator("nvidia-rtx-4090"))


def choices(name="llama-3.1-8b", engine="llama.cpp", server=CARD, **more):
    return precision_choices(model(name), server, engine=engine, input_tokens=3000, output_tokens=1000, **more)


def test_fewer_bits_are_smaller_faster_and_lose_more():
    found = [choice for choice in choices() if choice.quantization in {"q8_0", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k"}]
    sizes, speeds, losses = zip(*((choice.weights_bytes, choice.one_tokens_per_s, choice.loss_share) for choice in found), strict=True)
    assert list(sizes) == sorted(sizes, reverse=True)
    assert list(speeds) == sorted(speeds)
    assert list(losses) == sorted(losses)


def test_the_loss_is_that_of_the_published_model_nearest_in_size():
    share, of, _ = published_loss(model("llama-3.3-70b"), "q4_k_m")
    assert (share, of) == (0.012, "Llama-2-70B 70B")
    assert published_loss(model("llama-3.3-70b"), "nvfp4") is None


def test_what_does_not_fit_is_listed_without_a_speed():
    fitting = {choice.quantization: choice.fits for choice in choices("qwen3-32b")}
    assert not fitting["fp16"]
    assert fitting["q4_k_m"]
    assert next(choice for choice in choices("qwen3-32b") if choice.quantization == "fp16").one_tokens_per_s is None


def test_a_serving_engine_has_other_precisions_and_an_unknown_one_is_refused():
    assert {choice.quantization for choice in choices(engine="vllm")} >= {"bf16", "fp8", "awq"}
    with pytest.raises(InputError):
        choices(precisions=["q99"])
