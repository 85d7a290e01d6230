"""Memory: weights by precision, the cache, what the engine keeps for itself; whether it fits, and how many requests at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capacity.accelerators import Accelerator, Server
from capacity.footprint import Footprint, Numbers, footprint, kv_elements
from capacity.models import ModelSpec
from facts.errors import InputError
from facts.units import BYTES_PER_GB, BYTES_PER_GIB

CACHE_BLOCK_TOKENS = 16
"""Paged engines hand out the cache in blocks of this many tokens."""
CONTEXT_BYTES_PER_DEVICE = 0.6e9
"""Driver context, libraries and captured graphs of one GPU."""
BATCHED_TOKENS = 2048
"""Tokens of one engine step, for which activations are kept."""


@dataclass(frozen=True, kw_only=True)
class MemoryFit:
    """Whether a model fits a server.

    fits: whether the weights and one sequence fit
    weights_bytes: weights
    kv_bytes_per_sequence: cache of one sequence of the asked context
    activation_bytes: activations, driver context, graphs
    usable_bytes: what the engine may use
    max_concurrency: sequences of the asked context that fit at once
    sentence: the answer in words, with both numbers
    """

    fits: bool
    weights_bytes: float
    kv_bytes_per_sequence: float
    activation_bytes: float
    usable_bytes: float
    max_concurrency: int
    sentence: str


def weights_bytes(model: ModelSpec, quantization: str) -> float:
    """Bytes of the weights in memory: exact blocks for GGUF types, else bits per weight on matrices and 16 bits on embeddings."""
    return float(footprint(model, quantization).weights_bytes)


def kv_cache_bytes_per_token(model: ModelSpec, kv_bits: float = 16) -> float:
    """Cache bytes that one more token adds while windows are not full: 2 L n_kv d b for GQA, L (r + d_rope) b for latent attention.

    Llama 3.1 8B in 16 bits: 2 x 32 x 8 x 128 x 2 = 131,072.
    """
    return sum(kv_elements(model)) * kv_bits / 8


def kv_cache_bytes(model: ModelSpec, context_tokens: float, kv_bits: float = 16) -> float:
    """Cache bytes of one sequence of that length; window layers stop at their window."""
    full, window = kv_elements(model)
    return (full * context_tokens + window * min(context_tokens, model.sliding_window or 0)) * kv_bits / 8


def max_concurrency(
    model: ModelSpec,
    quantization: str,
    server: Server,
    context_tokens: float,
    utilization: float = 0.9,
    *,
    kv_bits: float | None = None,
) -> int:
    """Sequences of `context_tokens` that fit at once; 0 means that it does not fit at all."""
    return fit(model, quantization, server, context_tokens, utilization, kv_bits=kv_bits).max_concurrency


def fit(
    model: ModelSpec,
    quantization: str,
    server: Server,
    context_tokens: float,
    utilization: float = 0.9,
    *,
    kv_bits: float | None = None,
) -> MemoryFit:
    """Whether a model fits a server and with how many sequences; the sentence names both numbers."""
    cost = footprint(model, quantization, kv_bits=kv_bits)
    usable = usable_bytes(server, utilization)
    spare = activation_bytes(cost, server.gpus)
    per_sequence = float(cost.sequence_kv_bytes(_blocks(context_tokens)) * kv_copies(cost, server.gpus))
    count = int(max(0.0, np.floor(float(sequences_that_fit(cost, usable, spare, per_sequence)))))
    return MemoryFit(
        fits=count >= 1,
        weights_bytes=float(cost.weights_bytes),
        kv_bytes_per_sequence=per_sequence,
        activation_bytes=float(spare),
        usable_bytes=usable,
        max_concurrency=count,
        sentence=_sentence(
            model, quantization, server, context_tokens, float(cost.weights_bytes), per_sequence, float(spare), usable, count
        ),
    )


def usable_bytes(server: Server, utilization: float = 0.9) -> float:
    """What an engine may take: that share of the memory; unified memory leaves a quarter to the system."""
    share = min(utilization, 0.75) if server.accelerator.kind == "apple_soc" else utilization
    return server.memory_bytes * share


def physical_bytes(device: Accelerator, gpus: float) -> float:
    """All memory of the devices: a model larger than this cannot have run."""
    return device.need("memory_gb") * BYTES_PER_GIB * gpus


def activation_bytes(cost: Footprint, gpus: Numbers) -> Numbers:
    """Activations of one step, logits, and the driver context of each GPU."""
    step = BATCHED_TOKENS * 16.0 * cost.hidden * 2.0
    return step + CONTEXT_BYTES_PER_DEVICE * gpus


def sequences_that_fit(cost: Footprint, usable: Numbers, spare: Numbers, kv_per_sequence: Numbers) -> Numbers:
    """(usable memory - weights - activations) / cache of one sequence, not rounded; negative when the weights do not fit."""
    return (usable - cost.weights_bytes - spare) / np.maximum(kv_per_sequence, 1.0)


def kv_copies(cost: Footprint, tensor_parallel: Numbers) -> Numbers:
    """How many copies of the cache tensor parallelism keeps: more devices than KV heads repeat them."""
    return np.maximum(1.0, tensor_parallel / cost.kv_heads)


def _blocks(context_tokens: float) -> float:
    return float(np.ceil(context_tokens / CACHE_BLOCK_TOKENS) * CACHE_BLOCK_TOKENS)


def _sentence(
    model: ModelSpec,
    quantization: str,
    server: Server,
    context: float,
    weights: float,
    per_sequence: float,
    spare: float,
    usable: float,
    count: int,
) -> str:
    what = f"{model.name} in {quantization}"
    where = f"{server.gpus} x {server.accelerator.name}" if server.gpus > 1 else server.accelerator.name
    if weights + spare > usable:
        need = (weights + spare) / BYTES_PER_GB
        return f"{what} needs {need:.1f} GB for weights and activations, {where} has {usable / BYTES_PER_GB:.1f} GB to use: it does not fit"
    if count == 0:
        left = (usable - weights - spare) / BYTES_PER_GB
        return (
            f"{what} leaves {left:.1f} GB of cache on {where}, one request of {context:,.0f} tokens needs "
            f"{per_sequence / BYTES_PER_GB:.1f} GB: it does not fit"
        )
    taken = f"{what} takes {weights / BYTES_PER_GB:.1f} GB of {usable / BYTES_PER_GB:.1f} GB on {where}"
    return f"{taken} and holds {count} requests of {context:,.0f} tokens"


def require_fit(result: MemoryFit) -> None:
    """Refuse with the sentence where it does not fit."""
    if not result.fits:
        raise InputError(result.sentence)
