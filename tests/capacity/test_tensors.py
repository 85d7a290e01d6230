"""Tensor plans: the sizes that llama.cpp prints for real files, block arithmetic, header keys."""

from __future__ import annotations

import pytest

from capacity.models import model
from capacity.tensors import FILE_TYPES, gguf_metadata, tensor_bytes, tensor_plan
from facts.errors import InputError


def test_llama_2_7b_in_q4_k_m_is_4_080_281_216_bytes_within_a_tenth_of_a_percent():
    plan = tensor_plan(model("llama-2-7b"), "Q4_K_M")
    assert plan.file_bytes == pytest.approx(4_080_281_216, rel=1e-3)
    assert plan.file_bytes == pytest.approx(4_080_281_216, abs=4096)  # only the name in the header differs


@pytest.mark.parametrize(
    ("model_id", "gib", "params_b"),
    [
        ("llama-2-7b", 3.80, 6.738),
        ("llama-3-8b", 4.58, 8.030),
        ("llama-3-70b", 39.59, 70.554),
        ("qwen3-8b", 4.68, 8.191),
        ("qwen3-30b-a3b", 17.28, 30.532),
        ("qwen3-0.6b", 0.36, 0.596),
    ],
)
def test_q4_k_m_sizes_are_those_llama_cpp_prints(model_id, gib, params_b):
    plan = tensor_plan(model(model_id), "Q4_K_M")
    assert round(plan.bytes / 2**30, 2) == gib
    assert round(plan.n_elements / 1e9, 3) == params_b


@pytest.mark.parametrize(
    ("quantization", "bits"),
    [
        ("Q8_0", 8.5008),
        ("F16", 16.0005),
        ("Q6_K", 6.5633),
        ("Q5_K_M", 5.7036),
        ("Q4_K_S", 4.6672),
        ("IQ4_XS", 4.4597),
        ("Q2_K", 3.1593),
        ("IQ3_XXS", 3.2548),
    ],
)
def test_bits_per_weight_of_llama_3_1_8b_are_those_of_the_quantisers_readme(quantization, bits):
    assert tensor_plan(model("llama-3.1-8b"), quantization).bits_per_weight == pytest.approx(bits, abs=2e-4)


def test_more_bits_is_never_a_smaller_file():
    sizes = [
        tensor_plan(model("llama-3.1-8b"), name).bytes for name in ("Q2_K", "Q3_K_S", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16")
    ]
    assert sizes == sorted(sizes)


def test_values_and_down_projections_get_more_bits_in_an_eighth_at_each_end_and_every_third_layer():
    types = {tensor.name: tensor.ggml_type for tensor in tensor_plan(model("llama-2-7b"), "Q4_K_M").tensors}
    raised = [layer for layer in range(32) if types[f"blk.{layer}.ffn_down.weight"] == "Q6_K"]
    assert raised == [layer for layer in range(32) if layer < 4 or layer >= 28 or (layer - 4) % 3 == 2]
    assert types["output.weight"] == "Q6_K"
    assert types["token_embd.weight"] == "Q4_K"
    assert types["blk.0.attn_norm.weight"] == "F32"


def test_a_70b_keeps_its_values_in_five_bits_and_eight_experts_theirs_in_eight():
    large = {tensor.name: tensor.ggml_type for tensor in tensor_plan(model("llama-3-70b"), "Q4_K_M").tensors}
    assert "Q4_K" not in {kind for name, kind in large.items() if "attn_v" in name}
    mixture = {tensor.name: tensor.ggml_type for tensor in tensor_plan(model("mixtral-8x7b"), "Q4_K_M").tensors}
    assert mixture["blk.0.attn_v.weight"] == mixture["blk.0.attn_k.weight"] == "Q8_0"
    assert mixture["blk.0.attn_output.weight"] == "Q5_K"


def test_rows_that_do_not_divide_fall_back():
    types = {tensor.name: tensor.ggml_type for tensor in tensor_plan(model("qwen2.5-72b"), "Q4_K_M").tensors}
    assert 29_568 % 256 != 0
    assert {kind for name, kind in types.items() if "ffn_down" in name} == {"Q5_0", "Q8_0"}


def test_a_block_is_whole_or_refused():
    assert tensor_bytes((256, 4), "Q4_K") == 4 * 144
    assert tensor_bytes((32, 1), "Q8_0") == 34
    with pytest.raises(InputError, match="255 weights does not divide into Q4_K blocks of 256"):
        tensor_bytes((255, 4), "Q4_K")


@pytest.mark.parametrize("model_id", ["llama-2-7b", "qwen3-0.6b", "qwen3-30b-a3b", "mixtral-8x7b"])
def test_the_header_has_every_key_that_the_loader_needs(model_id):
    spec = model(model_id)
    keys = {entry.key: entry.value for entry in gguf_metadata(spec)}
    arch = spec.architecture
    needed = ["context_length", "embedding_length", "block_count", "attention.head_count", "attention.head_count_kv", "vocab_size"]
    assert {f"{arch}.{key}" for key in [*needed, "feed_forward_length", "attention.layer_norm_rms_epsilon"]} <= set(keys)
    assert keys["tokenizer.ggml.model"] == "no_vocab"
    assert "synthetic" in str(keys["general.name"])
    assert (f"{arch}.expert_count" in keys) == spec.is_mixture
    assert keys["general.file_type"] == FILE_TYPES["Q4_K_M"]


def test_a_precision_without_a_plan_is_refused():
    with pytest.raises(InputError, match="no GGUF tensor plan for quantization 'fp8'"):
        tensor_plan(model("llama-2-7b"), "fp8")
