"""What a model costs a step: bytes kept, bytes streamed, multiplications, cache; from its shape, or from its parameters alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from capacity.models import ModelSpec, Quantization, find_quantization, quantization
from capacity.shapes import Role, full_attention
from capacity.tensors import tensor_plan
from facts.errors import InputError

Numbers: TypeAlias = "float | NDArray[np.float64]"
"""One number, or one per case: the formulas of this room broadcast."""

UNQUANTISED_BITS = 16.0


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What one model in one precision costs; bytes, counts per token, or counts per token and layer.

    weights_bytes: kept in memory
    dense_bytes: streamed at every step whatever the batch (attention, dense feed-forward, output head)
    expert_bytes: all routed experts together; 0 for a dense model
    experts: routed experts per layer, 1 for a dense model
    experts_per_token: of these, used by one token
    matmul_params: weights that one generated token is multiplied with (no input embedding, active experts only)
    head_params: of these, the output head, which a prompt needs for its last token only
    streamed_params: weights that one step unpacks at batch 1
    layers: transformer layers
    linear_layers: of these, with linear attention
    linear_state_bytes: states of linear attention that one sequence reads and writes at every step, all layers
    hidden: width of the residual stream
    kv_bytes: cache bytes of one token in the layers that keep the whole context
    window_kv_bytes: cache bytes of one token in the layers that keep a window
    window_tokens: length of that window
    kv_group: query heads that share one KV head
    kv_heads: KV heads; more tensor-parallel devices than that keep copies
    attention_flops: operations per pair of one generated token and one token of its context
    prompt_attention_flops: the same of a prompt's token
    compute: precision of the multiplications (fp16, fp8, int8, fp4, mxfp4)
    weight_bits: mean stored bits of a streamed weight
    exact: whether the shape is known; otherwise it is typical for the parameter count
    """

    weights_bytes: Numbers
    dense_bytes: Numbers
    expert_bytes: Numbers
    experts: Numbers
    experts_per_token: Numbers
    matmul_params: Numbers
    head_params: Numbers
    streamed_params: Numbers
    layers: Numbers
    linear_layers: Numbers
    linear_state_bytes: Numbers
    hidden: Numbers
    kv_bytes: Numbers
    window_kv_bytes: Numbers
    window_tokens: Numbers
    kv_group: Numbers
    kv_heads: Numbers
    attention_flops: Numbers
    prompt_attention_flops: Numbers
    compute: str
    weight_bits: float
    exact: bool = True

    @cached_property
    def is_mixture(self) -> bool:
        """Whether tokens are routed to experts."""
        return bool(np.any(np.asarray(self.expert_bytes) > 0))

    @property
    def vocabulary(self) -> Numbers:
        """Entries that the output head scores."""
        return self.head_params / self.hidden

    def sequence_kv_bytes(self, context_tokens: Numbers) -> Numbers:
        """Cache of one sequence of that length: full layers grow, window layers stop at their window."""
        return self.kv_bytes * context_tokens + self.window_kv_bytes * np.minimum(context_tokens, self.window_tokens)

    def streamed_bytes(self, batch: Numbers) -> Numbers:
        """Weight bytes that one step of `batch` tokens reads: the dense part and the experts its tokens touch."""
        return self.dense_bytes + self.expert_bytes * touched_share(self.experts, self.experts_per_token, batch)


def touched_share(experts: Numbers, experts_per_token: Numbers, tokens: Numbers) -> Numbers:
    """Share of the experts that `tokens` tokens touch when routing is uniform: 1 - (1 - k/E)^tokens.

    At one token it is k/E, above about 3 E/k tokens nearly 1. Example: 8 experts, 2 per token, 1 token: 0.25.
    """
    untouched = 1.0 - np.asarray(experts_per_token, dtype=np.float64) / np.asarray(experts, dtype=np.float64)
    share = 1.0 - np.power(np.maximum(untouched, 0.0), tokens)
    return share if share.ndim else float(share)


@lru_cache(maxsize=4096)
def footprint(model: ModelSpec, precision: str, *, kv_bits: float | None = None, file_bytes: float | None = None) -> Footprint:
    """The footprint of a catalogued model; a known file size wins over the plan."""
    entry = quantization(precision)
    cache_bytes = (kv_bits or entry.kv_bits) / 8
    try:
        sizes = _counted_sizes(model, entry)
        layers, hidden = model.need("layers"), model.need("hidden")
        kv_full, kv_window = kv_elements(model)
        pairs, prompt_pairs = _attention_flops(model)
    except InputError:
        if model.published_params_b is None:
            raise
        return typical_footprint(
            params=model.params_total,
            active_params=model.params_active,
            precision=entry,
            file_bytes=file_bytes,
            layers=model.layers,
            hidden=model.hidden,
            kv_elements_per_token=_kv_elements_if_known(model),
            kv_bits=kv_bits,
            experts=float(model.experts) if model.is_mixture else None,
            experts_per_token=float(model.experts_per_token) if model.is_mixture else None,
        )
    scale = file_bytes / sizes.resident if file_bytes else 1.0
    return Footprint(
        weights_bytes=sizes.resident * scale,
        dense_bytes=sizes.dense * scale,
        expert_bytes=sizes.expert * scale,
        experts=float(max(1, model.experts)),
        experts_per_token=float(max(1, model.experts_per_token)),
        matmul_params=sizes.matmul_params,
        head_params=sizes.head_params,
        streamed_params=sizes.matmul_params,
        layers=float(layers),
        linear_layers=float(model.linear_attention_layers),
        linear_state_bytes=linear_state_bytes(model),
        hidden=float(hidden),
        kv_bytes=kv_full * cache_bytes,
        window_kv_bytes=kv_window * cache_bytes,
        window_tokens=float(model.sliding_window or 0),
        kv_group=1.0 if model.kv_lora_rank else (model.heads or 1) / (model.kv_heads or 1),
        kv_heads=float(1 if model.kv_lora_rank else (model.kv_heads or 1)),
        attention_flops=pairs,
        prompt_attention_flops=prompt_pairs,
        compute=entry.compute,
        weight_bits=(sizes.dense + sizes.expert) * scale * 8 / sizes.streamed_all,
    )


def typical_footprint(
    *,
    params: float,
    active_params: float | None,
    precision: Quantization,
    file_bytes: float | None = None,
    layers: float | None = None,
    hidden: float | None = None,
    kv_elements_per_token: float | None = None,
    kv_bits: float | None = None,
    experts: float | None = None,
    experts_per_token: float | None = None,
    expert_share: float | None = None,
) -> Footprint:
    """The footprint of a model known by its parameters: a typical shape for what is not given.

    Layers 32 (P/8e9)^0.36 and hidden 4096 (P/8e9)^0.34 go through Llama's 1B to 405B within about 20 %.
    """
    active = min(active_params or params, params)
    mixture = active < 0.9 * params
    shape_params = params if not mixture else (active * params) ** 0.5  # a mixture is as deep as a dense model of middle size
    depth = layers or max(12.0, round(32.0 * (shape_params / 8e9) ** 0.36))
    width = hidden or 64.0 * max(8.0, round(64.0 * (shape_params / 8e9) ** 0.34))
    share = expert_share if expert_share is not None else 0.96
    expert_params = params * share if mixture else 0.0
    all_experts = experts or 128.0
    used = experts_per_token or max(1.0, round(all_experts * max(0.0, active - params * (1 - share)) / max(expert_params, 1.0)))
    total_bytes = file_bytes or params * precision.bits_per_weight / 8
    bytes_per_weight = total_bytes / params
    head = min(128_000.0 * width, 0.2 * active)
    looked_up = head if params > 3e9 else 0.0  # small models tie their embeddings, large ones keep a table that is not streamed
    per_token = kv_elements_per_token or depth * 2048.0
    return Footprint(
        weights_bytes=total_bytes,
        dense_bytes=(params - expert_params - min(looked_up, 0.5 * (params - expert_params))) * bytes_per_weight,
        expert_bytes=expert_params * bytes_per_weight,
        experts=all_experts if mixture else 1.0,
        experts_per_token=min(used, all_experts) if mixture else 1.0,
        matmul_params=max(active - looked_up, 0.5 * active),
        head_params=head,
        streamed_params=max(active - looked_up, 0.5 * active),
        layers=float(depth),
        linear_layers=0.0,
        linear_state_bytes=0.0,
        hidden=float(width),
        kv_bytes=per_token * (kv_bits or precision.kv_bits) / 8,
        window_kv_bytes=0.0,
        window_tokens=0.0,
        kv_group=4.0,
        kv_heads=8.0,
        attention_flops=4.0 * depth * width,
        prompt_attention_flops=4.0 * depth * width,
        compute=precision.compute,
        weight_bits=bytes_per_weight * 8,
        exact=False,
    )


def linear_state_bytes(model: ModelSpec) -> float:
    """Bytes of recurrent state read and written per sequence and step: L_linear H_v d d in 32 bits, twice (gated delta rule).

    Qwen3.5 4B: 24 layers x 32 heads x 128 x 128 x 4 x 2 = 100.7 MB.
    """
    heads, dim = model.linear_value_heads or 0, model.linear_head_dim or 0
    return 2.0 * 4.0 * model.linear_attention_layers * heads * dim * dim


def kv_elements(model: ModelSpec) -> tuple[float, float]:
    """Cache elements of one token: (in layers that keep everything, in layers that keep a window).

    GQA 2 L n_kv d; latent attention L (r + d_rope), so DeepSeek V3 has 61 x 576 = 35,136; linear layers and layers that
    reuse an earlier cache have none.
    """
    if model.kv_cache_unknown:
        raise InputError(f"model {model.id}: the cache per token is not known ({model.kv_cache_unknown})")
    layers = model.need("layers")
    if model.kv_lora_rank:
        return float(layers * (model.kv_lora_rank + model.need("qk_rope_head_dim"))), 0.0
    head_dim, own = model.need("head_dim"), layers - model.kv_shared_layers
    full = window = 0.0
    for layer in range(own):
        whole = full_attention(model, layer)
        kv_heads = model.kv_heads_by_layer[layer] if model.kv_heads_by_layer else model.need("kv_heads")
        if whole:
            full += 2.0 * (model.global_kv_heads or kv_heads) * (model.global_head_dim or head_dim)
        elif model.sliding_window and not model.linear_attention_layers:
            window += 2.0 * kv_heads * head_dim
    return full, window


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    resident: float
    dense: float
    expert: float
    matmul_params: float
    head_params: float
    streamed_all: float


def _counted_sizes(model: ModelSpec, entry: Quantization) -> _Sizes:
    """Bytes by role: exact blocks for GGUF types; otherwise bits per weight on matrices, 16 bits on the rest."""
    if entry.gguf and model.architecture != "deepseek2":
        sized = [(weight, float(tensor.bytes)) for weight, tensor in zip(model.weights, tensor_plan(model, entry.id).tensors, strict=True)]
    else:
        sized = [(weight, weight.n_elements * _bits(model, weight.role, entry) / 8) for weight in model.weights]
    head = Role.EMBEDDING if model.tied_embeddings else Role.OUTPUT
    streamed = {Role.OUTPUT, Role.ATTENTION, Role.FEED_FORWARD, Role.SMALL, head}
    used = model.experts_per_token / model.experts if model.is_mixture else 0.0
    return _Sizes(
        resident=sum(size for _, size in sized),
        dense=sum(size for weight, size in sized if weight.role in streamed),
        expert=sum(size for weight, size in sized if weight.role is Role.EXPERT),
        matmul_params=float(
            sum(weight.n_elements for weight, _ in sized if weight.role in streamed)
            + used * sum(weight.n_elements for weight, _ in sized if weight.role is Role.EXPERT)
        ),
        head_params=float(sum(weight.n_elements for weight, _ in sized if weight.role is head)),
        streamed_all=float(sum(weight.n_elements for weight, _ in sized if weight.role in streamed | {Role.EXPERT})),
    )


def _bits(model: ModelSpec, role: Role, entry: Quantization) -> float:
    if role is Role.SMALL or (role in {Role.EMBEDDING, Role.OUTPUT, Role.LOOKUP} and not entry.embeddings_packed):
        return max(UNQUANTISED_BITS, entry.bits_per_weight)
    if role is Role.EXPERT and model.expert_bits:
        return min(model.expert_bits, entry.bits_per_weight)
    if entry.id == "mxfp4" and model.is_mixture and role is not Role.EXPERT:
        return UNQUANTISED_BITS if model.expert_bits else 8.0  # it covers the experts; the rest stays as published, or in FP8
    return entry.bits_per_weight


def _attention_flops(model: ModelSpec) -> tuple[float, float]:
    """(of generation, of prompts) per pair, all attending layers: two products of 2 H d operations.

    Latent attention multiplies the compressed vectors at generation, 2 H (2 r + d_rope), and the rebuilt keys and values of a prompt,
    2 H (d_nope + d_rope + d_v), as serving engines do (vLLM's MLA backend): 278,528 and 81,920 a layer in DeepSeek V3.
    """
    heads = model.need("heads")
    if model.kv_lora_rank:
        both, rope = 2.0 * model.need("layers") * heads, model.need("qk_rope_head_dim")
        compressed = both * (2 * model.kv_lora_rank + rope)
        if model.qk_nope_head_dim is None or model.v_head_dim is None:
            return compressed, compressed
        return compressed, both * (model.qk_nope_head_dim + rope + model.v_head_dim)
    full = sum(full_attention(model, layer) for layer in range(model.need("layers")))
    pairs = 4.0 * heads * (model.global_head_dim or model.need("head_dim")) * full
    return pairs, pairs


def _kv_elements_if_known(model: ModelSpec) -> float | None:
    try:
        return sum(kv_elements(model))
    except InputError:
        return None


def assumed_quantization(text: str) -> tuple[Quantization, bool]:
    """(precision, whether the spelling was known): a known name inside it counts ('FP8 (dynamic)' is fp8, 'bf16/fp8kv' bf16).

    Else a bit width is looked for, 8 before 4; nothing at all is taken as 16 bits.
    """
    found = find_quantization(text)
    if found is not None:
        return found, True
    lowered = _CACHE_PRECISION.sub(" ", text.lower())
    words = re.findall(r"[a-z0-9_.\-]+", lowered)
    for length in range(min(4, len(words)), 0, -1):
        for start in range(len(words) - length + 1):
            part = words[start : start + length]
            found = find_quantization("-".join(part)) or find_quantization("".join(part))
            if found is not None:
                return found, True
    bits = re.search(r"(\d+(?:\.\d+)?)[\s_-]*(?:bpw|bits?)\b", lowered) or re.search(r"(?:int|fp|w|q|tq|bf)(\d)", lowered)
    if bits is None:
        return quantization("fp16"), False
    width = float(bits[1])
    if lowered.startswith("tq"):
        return quantization("q2_k"), False
    near = min(_BY_WIDTH, key=lambda entry: abs(entry - width))
    return quantization(_BY_WIDTH[near]), False


_CACHE_PRECISION = re.compile(
    r"(?:\b(?:fp8|int8|bf16|fp16|f16|q8_0|q4_0|\d+bit)[\s_\-]*kv\w*|\bkv[\s_\-]*(?:cache)?[\s_\-=:]*(?:fp8|int8|bf16|fp16|f16|q8_0|q4_0))"
)
"""What a spelling says of the cache, not of the weights."""
_BY_WIDTH = {2.0: "q2_k", 3.0: "3bit", 4.0: "awq", 5.0: "5bit", 6.0: "6bit", 8.0: "w8a16", 16.0: "fp16", 32.0: "f32"}
"""A stated width -> a weight-only precision of it."""
