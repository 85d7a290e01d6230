"""Precisions side by side: size, speed and published loss of quality of one model on one server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from capacity.accelerators import Server
from capacity.memory import fit
from capacity.models import ModelSpec, find_quantization, quantization_quality
from capacity.roofline import engine_id
from capacity.throughput import serving_curve
from facts.errors import InputError

LOCAL_PRECISIONS = ("fp16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_k_s", "q3_k_m", "q2_k")
"""What a local engine is usually given, from the largest."""
SERVING_PRECISIONS = ("bf16", "fp8", "int8", "awq", "nvfp4")
"""What a serving engine is usually given."""
QUALITY_METRIC = "perplexity"
"""The published loss that most precisions have; it rises as quality falls."""


@dataclass(frozen=True, kw_only=True)
class PrecisionChoice:
    """One precision of a model on a server.

    quantization: id of the precision
    weights_bytes: of the weights
    fits: whether weights and one request fit
    max_concurrency: requests of the asked size that fit at once
    one_tokens_per_s: generated tokens per second of one request alone, None when it does not fit
    most_tokens_per_s: of all requests at saturation, None when it does not fit
    loss_share: published rise of perplexity of the nearest model in size, as a share; None where nothing is published
    loss_of: the model that the loss was published for, with its size
    loss_source: where it was read
    """

    quantization: str
    weights_bytes: float
    fits: bool
    max_concurrency: int
    one_tokens_per_s: float | None
    most_tokens_per_s: float | None
    loss_share: float | None
    loss_of: str
    loss_source: str


def precision_choices(
    model: ModelSpec, server: Server, *, engine: str, input_tokens: float, output_tokens: float, precisions: Sequence[str] = ()
) -> tuple[PrecisionChoice, ...]:
    """Every usual precision of an engine (or those given), in the order given; a precision without a tensor plan is left out."""
    usual = LOCAL_PRECISIONS if engine_id(engine) in {"llama.cpp", "mlx"} else SERVING_PRECISIONS
    found = []
    for name in precisions or usual:
        try:
            found.append(_choice(model, name, server, engine, input_tokens, output_tokens))
        except InputError:
            if precisions:
                raise
    return tuple(found)


def published_loss(model: ModelSpec, precision: str) -> tuple[float, str, str] | None:
    """(rise of perplexity as a share, model, source) of the published model nearest in size, or None.

    Larger models lose less: Q4_K_M costs 1.2 % at 70B, 1.4 % at 7B (Llama 2) and 2.4 % at 8B (Llama 3).
    """
    entries = []
    for entry in quantization_quality():
        known = find_quantization(entry.quantization)
        if known is None or known.id != precision or entry.metric != QUALITY_METRIC or entry.change_share is None or not entry.params_b:
            continue
        distance = abs(log(entry.params_b * 1e9 / model.params_total))
        entries.append((distance, entry.importance_matrix is not True, entry.change_share, entry))
    if not entries:
        return None
    _, _, share, nearest = min(entries, key=lambda found: found[:3])
    return share, f"{nearest.model} {nearest.params_b:g}B", nearest.source.url


def _choice(model: ModelSpec, name: str, server: Server, engine: str, input_tokens: float, output_tokens: float) -> PrecisionChoice:
    memory = fit(model, name, server, input_tokens + output_tokens)
    curve = serving_curve(model, name, server, engine=engine, input_tokens=input_tokens, output_tokens=output_tokens)
    best = curve.saturated
    loss = published_loss(model, name)
    return PrecisionChoice(
        quantization=name,
        weights_bytes=memory.weights_bytes,
        fits=best is not None,
        max_concurrency=curve.max_concurrency,
        one_tokens_per_s=1000.0 / curve.points[0].tpot_ms if best else None,
        most_tokens_per_s=best.output_tokens_per_s if best else None,
        loss_share=loss[0] if loss else None,
        loss_of=loss[1] if loss else "",
        loss_source=loss[2] if loss else "",
    )
