"""The model catalogue: counts against published ones, names, precisions."""

from __future__ import annotations

import pytest

from capacity.accelerators import accelerator
from capacity.models import (
    benchmark_attribution,
    benchmark_scores,
    find_model,
    find_quantization,
    model,
    models,
    quantization_quality,
    quantizations,
)
from capacity.roofline import precision_gain
from capacity.tensors import tensor_plan
from facts.errors import InputError


@pytest.mark.parametrize(
    ("model_id", "total_b", "active_b"),
    [
        ("llama-3.1-8b", 8.030, 8.030),
        ("llama-2-7b", 6.738, 6.738),
        ("llama-3.3-70b", 70.554, 70.554),
        ("phi-4", 14.66, 14.66),
        ("qwen3-8b", 8.191, 8.191),
        ("qwen3-30b-a3b", 30.532, 3.353),
        ("gemma-4-31b", 30.696, 30.696),
        ("gemma-4-26b-a4b", 25.232, 3.822),
        ("gemma-4-e2b", 4.628, 2.279),
        ("gemma-4-e4b", 7.462, 4.644),
        ("gpt-oss-20b", 20.908, 4.186),
        ("gpt-oss-120b", 116.789, 5.710),
        ("mixtral-8x7b", 46.703, 12.88),
        ("qwen3.5-27b", 26.895, 26.895),
        ("deepseek-v3", 671.0, 37.0),
        ("tinyllama-1.1b", 1.100, 1.100),
        ("qwen2.5-0.5b", 0.494, 0.494),
        ("qwen2.5-3b", 3.086, 3.086),
        ("mistral-large-2407", 122.61, 122.61),
        ("qwen3-coder-480b-a35b", 480.2, 35.47),
    ],
)
def test_parameters_counted_from_the_shape_match_published_ones(model_id, total_b, active_b):
    assert model(model_id).params_total / 1e9 == pytest.approx(total_b, rel=6e-4)
    assert model(model_id).params_active / 1e9 == pytest.approx(active_b, rel=0.02 if model_id == "deepseek-v3" else 6e-4)


def test_llama_3_1_8b_has_8_030_billion_parameters():
    assert round(model("llama-3.1-8b").params_total / 1e9, 3) == 8.030


def test_every_model_has_a_count_or_refuses_with_the_missing_fact():
    for spec in models():
        assert spec.params_total > 1e8, spec.id
        assert 0 < spec.params_active <= spec.params_total, spec.id


@pytest.mark.parametrize(
    ("text", "model_id"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b"),
        ("gemma-3-12b-it", "gemma-3-12b"),
        ("unsloth/Qwen3-30B-A3B-UD-Q4_K_XL", "qwen3-30b-a3b"),
        ("Qwen3-Coder-30B-A3B-Instruct-4bit", "qwen3-30b-a3b"),
        ("DeepSeek-R1-0528", "deepseek-v3"),
        ("Llama 3 8B", "llama-3-8b"),
        ("LLaMA 7B", "llama-7b"),
        ("Phi-4 14B", "phi-4"),
        ("nvidia/Llama-3.3-70B-Instruct-FP4", "llama-3.3-70b"),
        ("amd/DeepSeek-R1-MXFP4-Preview", "deepseek-v3"),
        ("gemma-3-27b-it-qat-q4_0-gguf", "gemma-3-27b"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "llama-3.3-70b"),
        ("nvidia/DeepSeek-R1-0528-FP4-v2", "deepseek-v3"),
        ("DeepSeek-V3.1-Terminus", "deepseek-v3"),
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", "llama-4-maverick"),
        ("Mistral-Small-24B-Instruct-2501", "mistral-small-3.1-24b"),
        ("Qwen3-235B-A22B-Thinking-2507", "qwen3-235b-a22b"),
        ("qwen3moe 30B.A3B Q4_K - Medium", "qwen3-30b-a3b"),
        ("gpt-oss 20B MXFP4 MoE", "gpt-oss-20b"),
        ("llama-2-7b.Q4_0", "llama-2-7b"),
    ],
)
def test_free_names_find_their_model(text, model_id):
    found = find_model(text)
    assert found is not None
    assert found.id == model_id


def test_a_near_name_is_not_taken_for_the_model():
    assert find_model("Qwen3-80B") is None
    assert find_model("llama") is None


def test_an_unknown_id_names_the_nearest():
    with pytest.raises(InputError, match=r"unknown model 'llama-3\.1-9b'.*llama-3\.1-8b"):
        model("llama-3.1-9b")


def test_a_missing_fact_is_named():
    with pytest.raises(InputError, match="deepseek-v4-flash: 'ffn' is not known"):
        model("deepseek-v4-flash").need("ffn")


@pytest.mark.parametrize(
    ("text", "quantization_id"),
    [("Q4_K_M", "q4_k_m"), ("UD-Q4_K_XL", "q4_k_m"), ("w4a16", "awq"), ("FP8", "fp8"), ("bf16", "bf16"), ("F16", "fp16"), ("4bit", "4bit")],
)
def test_spellings_find_their_precision(text, quantization_id):
    found = find_quantization(text)
    assert found is not None
    assert found.id == quantization_id


CHIPS = ("nvidia-a100-sxm-80", "nvidia-h100-sxm-80", "nvidia-b200-sxm", "amd-mi355x")


def test_precisions_that_only_store_fewer_bits_compute_in_16():
    computes = {entry.id: entry.compute for entry in quantizations()}
    assert computes["awq"] == computes["q4_k_m"] == computes["mxfp4_moe"] == "fp16"
    gains = {name: [precision_gain(accelerator(device), name) for device in CHIPS] for name in ("mxfp4", "fp4", "fp8")}
    assert gains["mxfp4"] == [1.0, 1.0, 2.0, 2.0]  # 8-bit activations where there are 4-bit units, unpacked to 16 bits elsewhere
    assert gains["fp4"] == [1.0, 1.0, 4.0, 4.0]
    assert gains["fp8"] == [1.0, 2.0, 2.0, 2.0]
    assert (computes["fp8"], computes["nvfp4"]) == ("fp8", "fp4")


def test_scores_carry_their_attribution_and_claims_are_marked():
    assert "CC BY 4.0" in benchmark_attribution()
    assert len(benchmark_scores()) == 161
    assert sum(score.claim for score in benchmark_scores()) == 6
    assert all(score.model_id == "phi-4" for score in benchmark_scores("phi-4"))


def test_quality_losses_grow_as_bits_fall():
    losses = {
        row.quantization: row.change_share for row in quantization_quality() if row.model == "Llama-3-8B" and row.importance_matrix is False
    }
    assert losses["q8_0"] < losses["q6_K"] < losses["q5_K_M"] < losses["q4_K_M"]


def test_a_copy_of_a_shape_counts_its_own_tensors():
    whole = model("llama-2-7b")
    assert len(whole.weights) == 291
    part = whole.model_copy(update={"layers": 2, "published_params_b": None, "published_active_params_b": None})
    assert len(part.weights) == 3 + 2 * 9
    assert tensor_plan(part, "Q4_K_M").bytes < tensor_plan(whole, "Q4_K_M").bytes / 5
    assert len(whole.weights) == 291
