"""Memory: cache per token, fit, and the laws of both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.accelerators import Server, accelerator
from capacity.memory import fit, kv_cache_bytes, kv_cache_bytes_per_token, max_concurrency, require_fit, weights_bytes
from capacity.models import model
from facts.errors import InputError

H100 = accelerator("nvidia-h100-sxm-80")


def test_grouped_queries_keep_two_vectors_per_layer_and_kv_head():
    assert kv_cache_bytes_per_token(model("llama-3.1-8b")) == 2 * 32 * 8 * 128 * 2
    assert kv_cache_bytes_per_token(model("llama-3.1-8b"), kv_bits=8) == 2 * 32 * 8 * 128


def test_latent_attention_keeps_one_compressed_vector_per_layer():
    assert kv_cache_bytes_per_token(model("deepseek-v3")) / 2 == 61 * 576 == 35_136


def test_linear_layers_keep_nothing_and_shared_layers_nothing_of_their_own():
    assert kv_cache_bytes_per_token(model("qwen3.5-9b")) == 2 * 8 * 4 * 256 * 2
    own = 35 - 20
    assert kv_cache_bytes_per_token(model("gemma-4-e2b")) == 2 * 2 * (3 * 512 + (own - 3) * 256)


def test_a_window_layer_stops_at_its_window():
    oss = model("gpt-oss-20b")
    per_layer = 2 * 8 * 64 * 2
    assert kv_cache_bytes(oss, 128) == 24 * per_layer * 128
    assert kv_cache_bytes(oss, 4096) == 12 * per_layer * 4096 + 12 * per_layer * 128


def test_sixteen_bit_weights_are_two_bytes_a_parameter():
    assert weights_bytes(model("llama-3.3-70b"), "bf16") == pytest.approx(2 * 70.554e9, rel=1e-3)


def test_a_model_that_does_not_fit_is_refused_with_both_numbers():
    result = fit(model("llama-3.3-70b"), "fp16", Server(accelerator=H100), 4096)
    assert (result.fits, result.max_concurrency) == (False, 0)
    with pytest.raises(InputError, match=r"needs 14\d\.\d GB .* has 77\.3 GB to use: it does not fit"):
        require_fit(result)


def test_the_largest_concurrency_is_what_is_left_over_one_sequence():
    result = fit(model("llama-3.1-8b"), "fp16", Server(accelerator=H100), 4096)
    left = result.usable_bytes - result.weights_bytes - result.activation_bytes
    assert result.kv_bytes_per_sequence == 4096 * 131_072
    assert result.max_concurrency == int(left // result.kv_bytes_per_sequence)


def test_a_cache_of_the_same_window_is_told_from_no_room_for_it():
    result = fit(model("llama-3.3-70b"), "fp8", Server(accelerator=H100), 131_072)
    assert result.max_concurrency == 0
    assert "one request of 131,072 tokens needs" in result.sentence


@given(short=st.integers(16, 60_000), longer=st.integers(0, 60_000), gpus=st.integers(1, 8))
def test_a_longer_context_never_has_more_room(short, longer, gpus):
    server = Server(accelerator=H100, gpus=gpus)
    here = max_concurrency(model("gemma-3-27b"), "bf16", server, short)
    assert max_concurrency(model("gemma-3-27b"), "bf16", server, short + longer) <= here


@given(gb=st.floats(20, 400), more=st.floats(0, 400))
def test_more_memory_never_holds_less(gb, more):
    small, large = (Server(accelerator=H100.model_copy(update={"memory_gb": size})) for size in (gb, gb + more))
    spec = model("llama-3.1-8b")
    assert max_concurrency(spec, "fp8", small, 8192) <= max_concurrency(spec, "fp8", large, 8192)
