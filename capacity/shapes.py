"""A model's weight tensors by name and shape: the one list that parameters, file sizes and streamed bytes are counted from.

Names and layouts are those of GGUF files (llama.cpp src/models); shapes are in ggml order, fastest dimension first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import TYPE_CHECKING

from facts.errors import InputError

if TYPE_CHECKING:
    from capacity.models import ModelSpec


class Role(StrEnum):
    """What a tensor is to the cost of a step."""

    EMBEDDING = "embedding"
    LOOKUP = "lookup"
    OUTPUT = "output"
    ATTENTION = "attention"
    FEED_FORWARD = "feed_forward"
    EXPERT = "expert"
    SMALL = "small"


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One tensor.

    name: GGUF name
    shape: ggml order, fastest dimension first
    role: what it is to the cost of a step
    """

    name: str
    shape: tuple[int, ...]
    role: Role

    @property
    def n_elements(self) -> int:
        """Numbers in it."""
        return prod(self.shape)


def weights(model: ModelSpec) -> tuple[Weight, ...]:
    """Every weight tensor of a model in file order: embedding, output, then layer by layer."""
    return tuple(_weights(model))


def parameters(model: ModelSpec) -> tuple[float, float]:
    """(total, active): active counts k of E experts and the input embedding, and leaves a per-layer lookup table out."""
    total = active = 0.0
    for weight in model.weights:
        total += weight.n_elements
        if weight.role is Role.EXPERT:
            active += weight.n_elements * model.experts_per_token / model.experts
        elif weight.role is not Role.LOOKUP:
            active += weight.n_elements
    return total, active


def full_attention(model: ModelSpec, layer: int) -> bool:
    """Whether a layer attends to the whole context: the last of each group, as Gemma, gpt-oss and Qwen3.5 lay them out."""
    layers = model.need("layers")
    full = layers if model.full_attention_layers is None else model.full_attention_layers
    if full >= layers:
        return True
    return full > 0 and (layer + 1) % max(1, layers // full) == 0


# --- layouts ---------------------------------------------------------------------------------------------------------

_PLAIN = {
    "llama",
    "qwen2",
    "qwen3",
    "qwen3moe",
    "phi3",
    "gemma2",
    "gemma3",
    "gemma4",
    "gpt-oss",
    "qwen35",
    "qwen35moe",
    "llama4",
    "minimax-m2",
}
_FUSED_QKV = {"phi3"}
_FUSED_UP = {"phi3"}
_HEAD_NORMS = {"qwen3", "qwen3moe", "gemma3", "gemma4", "qwen35", "qwen35moe"}
_QKV_BIAS = {"qwen2", "gpt-oss"}
_GEMMA = {"gemma2", "gemma3", "gemma4"}
_HYBRID = {"qwen35", "qwen35moe"}


def _weights(model: ModelSpec) -> Iterator[Weight]:
    architecture = model.architecture
    if architecture is None:
        raise InputError(
            f"model {model.id}: 'architecture' is not known, so its tensors cannot be listed; give a GGUF file or a config.json"
        )
    if architecture not in _PLAIN | {"deepseek2"}:
        raise InputError(f"model {model.id}: no tensor layout for architecture '{architecture}'; its parameters are taken as published")
    hidden, vocab, layers = model.need("hidden"), model.need("vocab"), model.need("layers")
    yield Weight(name="token_embd.weight", shape=(hidden, vocab), role=Role.EMBEDDING)
    yield _small("output_norm.weight", hidden)
    if not model.tied_embeddings:
        yield Weight(name="output.weight", shape=(hidden, vocab), role=Role.OUTPUT)
    if model.per_layer_embedding:
        width = model.per_layer_embedding * layers
        yield Weight(name="per_layer_token_embd.weight", shape=(width, vocab), role=Role.LOOKUP)
        yield Weight(name="per_layer_model_proj.weight", shape=(hidden, width), role=Role.FEED_FORWARD)
        yield _small("per_layer_proj_norm.weight", model.per_layer_embedding)
    attention: Callable[[ModelSpec, int], Iterator[Weight]] = _latent_attention if architecture == "deepseek2" else _attention
    for layer in range(layers):
        yield _small(f"blk.{layer}.attn_norm.weight", hidden)
        if architecture in _HYBRID and not full_attention(model, layer):
            yield from _linear_attention(model, layer)
        else:
            yield from attention(model, layer)
        yield from _norms(model, layer)
        yield from _feed_forward(model, layer)
        if model.per_layer_embedding:
            yield from _per_layer_input(model, layer)


def _attention(model: ModelSpec, layer: int) -> Iterator[Weight]:
    architecture, hidden, heads = model.architecture or "", model.need("hidden"), model.need("heads")
    is_full = full_attention(model, layer)
    head_dim = model.global_head_dim if is_full and model.global_head_dim else model.need("head_dim")
    if model.kv_heads_by_layer:
        kv_heads = model.kv_heads_by_layer[layer]
    else:
        kv_heads = model.global_kv_heads if is_full and model.global_kv_heads else model.need("kv_heads")
    queries, keys = heads * head_dim, kv_heads * head_dim
    has_kv = layer < model.need("layers") - model.kv_shared_layers
    gate = 2 if architecture in _HYBRID else 1
    if architecture in _FUSED_QKV:
        yield _matrix(f"blk.{layer}.attn_qkv.weight", hidden, queries + 2 * keys, Role.ATTENTION)
    else:
        yield _matrix(f"blk.{layer}.attn_q.weight", hidden, gate * queries, Role.ATTENTION)
        if has_kv:
            yield _matrix(f"blk.{layer}.attn_k.weight", hidden, keys, Role.ATTENTION)
            if not (model.k_equals_v and is_full):
                yield _matrix(f"blk.{layer}.attn_v.weight", hidden, keys, Role.ATTENTION)
    if architecture in _QKV_BIAS:
        yield _small(f"blk.{layer}.attn_q.bias", queries)
        yield _small(f"blk.{layer}.attn_k.bias", keys)
        yield _small(f"blk.{layer}.attn_v.bias", keys)
    if architecture in _HEAD_NORMS:
        yield _small(f"blk.{layer}.attn_q_norm.weight", head_dim)
        if has_kv:
            yield _small(f"blk.{layer}.attn_k_norm.weight", head_dim)
    if architecture == "minimax-m2":
        yield _small(f"blk.{layer}.attn_q_norm.weight", queries)
        yield _small(f"blk.{layer}.attn_k_norm.weight", keys)
    yield _matrix(f"blk.{layer}.attn_output.weight", queries, hidden, Role.ATTENTION)
    if architecture == "gpt-oss":
        yield _small(f"blk.{layer}.attn_output.bias", hidden)
        yield _small(f"blk.{layer}.attn_sinks.weight", heads)


def _latent_attention(model: ModelSpec, layer: int) -> Iterator[Weight]:
    """Multi-head latent attention: keys and values rebuilt from one compressed vector per token (DeepSeek-V2, arXiv 2405.04434)."""
    hidden, heads, rank, rope = model.need("hidden"), model.need("heads"), model.need("kv_lora_rank"), model.need("qk_rope_head_dim")
    nope, value, q_rank = model.need("qk_nope_head_dim"), model.need("v_head_dim"), model.need("q_lora_rank")
    yield _matrix(f"blk.{layer}.attn_q_a.weight", hidden, q_rank, Role.ATTENTION)
    yield _small(f"blk.{layer}.attn_q_a_norm.weight", q_rank)
    yield _matrix(f"blk.{layer}.attn_q_b.weight", q_rank, heads * (nope + rope), Role.ATTENTION)
    yield _matrix(f"blk.{layer}.attn_kv_a_mqa.weight", hidden, rank + rope, Role.ATTENTION)
    yield _small(f"blk.{layer}.attn_kv_a_norm.weight", rank)
    yield Weight(name=f"blk.{layer}.attn_k_b.weight", shape=(nope, rank, heads), role=Role.ATTENTION)
    yield Weight(name=f"blk.{layer}.attn_v_b.weight", shape=(rank, value, heads), role=Role.ATTENTION)
    yield _matrix(f"blk.{layer}.attn_output.weight", heads * value, hidden, Role.ATTENTION)


def _linear_attention(model: ModelSpec, layer: int) -> Iterator[Weight]:
    """Gated DeltaNet as in Qwen3-Next and Qwen3.5."""
    hidden, dim = model.need("hidden"), model.need("linear_head_dim")
    keys, value_heads = model.need("linear_key_heads") * dim, model.need("linear_value_heads")
    values = value_heads * dim
    yield _matrix(f"blk.{layer}.attn_qkv.weight", hidden, 2 * keys + values, Role.ATTENTION)
    yield _matrix(f"blk.{layer}.attn_gate.weight", hidden, values, Role.ATTENTION)
    yield Weight(name=f"blk.{layer}.ssm_conv1d.weight", shape=(4, 2 * keys + values), role=Role.SMALL)
    yield _small(f"blk.{layer}.ssm_dt.bias", value_heads)
    yield _small(f"blk.{layer}.ssm_a", value_heads)
    yield _matrix(f"blk.{layer}.ssm_beta.weight", hidden, value_heads, Role.ATTENTION)
    yield _matrix(f"blk.{layer}.ssm_alpha.weight", hidden, value_heads, Role.ATTENTION)
    yield _small(f"blk.{layer}.ssm_norm.weight", dim)
    yield _matrix(f"blk.{layer}.ssm_out.weight", values, hidden, Role.ATTENTION)


def _norms(model: ModelSpec, layer: int) -> Iterator[Weight]:
    hidden, architecture = model.need("hidden"), model.architecture
    if architecture in _GEMMA:
        yield _small(f"blk.{layer}.post_attention_norm.weight", hidden)
        yield _small(f"blk.{layer}.post_ffw_norm.weight", hidden)
    if architecture == "gemma4":
        yield _small(f"blk.{layer}.layer_output_scale.weight", 1)
        if model.is_mixture:
            for norm in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
                yield _small(f"blk.{layer}.{norm}.weight", hidden)
    yield _small(f"blk.{layer}.{'post_attention_norm' if architecture in _HYBRID | {'gpt-oss'} else 'ffn_norm'}.weight", hidden)


def _feed_forward(model: ModelSpec, layer: int) -> Iterator[Weight]:
    routed = model.is_mixture and layer >= model.dense_layers
    if not routed or model.architecture == "gemma4":
        yield from _dense(model, layer)
    if routed:
        yield from _experts(model, layer)


def _dense(model: ModelSpec, layer: int) -> Iterator[Weight]:
    hidden = model.need("hidden")
    width = model.need("ffn") * (2 if layer >= model.need("layers") - model.ffn_doubled_layers else 1)
    if model.architecture in _FUSED_UP:
        yield _matrix(f"blk.{layer}.ffn_up.weight", hidden, 2 * width, Role.FEED_FORWARD)
    else:
        yield _matrix(f"blk.{layer}.ffn_gate.weight", hidden, width, Role.FEED_FORWARD)
        yield _matrix(f"blk.{layer}.ffn_up.weight", hidden, width, Role.FEED_FORWARD)
    yield _matrix(f"blk.{layer}.ffn_down.weight", width, hidden, Role.FEED_FORWARD)


def _experts(model: ModelSpec, layer: int) -> Iterator[Weight]:
    hidden, width, experts = model.need("hidden"), model.need("moe_ffn"), model.experts
    yield Weight(name=f"blk.{layer}.ffn_gate_inp.weight", shape=(hidden, experts), role=Role.SMALL)
    if model.architecture == "gpt-oss":
        yield _small(f"blk.{layer}.ffn_gate_inp.bias", experts)
        for name, size in (("ffn_gate_exps", width), ("ffn_up_exps", width), ("ffn_down_exps", hidden)):
            yield Weight(name=f"blk.{layer}.{name}.bias", shape=(size, experts), role=Role.EXPERT)
    if model.architecture == "gemma4":
        yield _small(f"blk.{layer}.ffn_gate_inp.scale", hidden)
        yield _small(f"blk.{layer}.ffn_down_exps.scale", experts)
    if model.architecture in {"deepseek2", "minimax-m2"}:
        yield _small(f"blk.{layer}.exp_probs_b.bias", experts)
    yield Weight(name=f"blk.{layer}.ffn_gate_exps.weight", shape=(hidden, width, experts), role=Role.EXPERT)
    yield Weight(name=f"blk.{layer}.ffn_up_exps.weight", shape=(hidden, width, experts), role=Role.EXPERT)
    yield Weight(name=f"blk.{layer}.ffn_down_exps.weight", shape=(width, hidden, experts), role=Role.EXPERT)
    if model.shared_experts:
        shared = width * model.shared_experts
        if model.architecture in _HYBRID:
            yield _small(f"blk.{layer}.ffn_gate_inp_shexp.weight", hidden)
        yield _matrix(f"blk.{layer}.ffn_gate_shexp.weight", hidden, shared, Role.FEED_FORWARD)
        yield _matrix(f"blk.{layer}.ffn_up_shexp.weight", hidden, shared, Role.FEED_FORWARD)
        yield _matrix(f"blk.{layer}.ffn_down_shexp.weight", shared, hidden, Role.FEED_FORWARD)


def _per_layer_input(model: ModelSpec, layer: int) -> Iterator[Weight]:
    hidden, width = model.need("hidden"), model.per_layer_embedding
    yield _matrix(f"blk.{layer}.inp_gate.weight", hidden, width, Role.FEED_FORWARD)
    yield _matrix(f"blk.{layer}.proj.weight", width, hidden, Role.FEED_FORWARD)
    yield _small(f"blk.{layer}.post_norm.weight", hidden)


def _matrix(name: str, columns: int, rows: int, role: Role) -> Weight:
    return Weight(name=name, shape=(columns, rows), role=role)


def _small(name: str, size: int) -> Weight:
    return Weight(name=name, shape=(size,), role=Role.SMALL)
