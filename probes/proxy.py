"""A few layers of a model at true width, for models that do not fit: what is measured is scaled to the whole and labelled so."""

from __future__ import annotations

from capacity.models import ModelSpec
from capacity.tensors import TensorEntry, TensorPlan, tensor_plan
from facts.errors import InputError
from probes.measurement import Proxy


def proxy_shape(model: ModelSpec, layers: int) -> ModelSpec:
    """The model with so many layers, everything else as it is; InputError unless it has more."""
    whole = model.need("layers")
    if not 1 <= layers < whole:
        raise InputError(f"a proxy of {layers} layers cannot stand for {model.name}, which has {whole}: give 1 to {whole - 1}")

    def kept(count: int | None) -> int | None:
        """Layers of one kind, in proportion, at least one where there are any."""
        return count if not count else max(1, round(count * layers / whole))

    return ModelSpec.model_validate(  # not a copy, which would keep figures of the whole that were computed before
        model.model_dump()
        | {
            "id": f"{model.id}-{layers}-layers",
            "name": f"{model.name}, {layers} of {whole} layers",
            "layers": layers,
            "full_attention_layers": kept(model.full_attention_layers),
            "linear_attention_layers": kept(model.linear_attention_layers) or 0,
            "kv_heads_by_layer": model.kv_heads_by_layer[:layers],
            "dense_layers": min(model.dense_layers, layers - 1),
            "published_params_b": None,
            "published_active_params_b": None,
        }
    )


def proxy_of(model: ModelSpec, quantization: str, layers: int) -> Proxy:
    """How much of the whole the proxy does: bytes read per generated token, and operations per prompt token."""
    part, whole = tensor_plan(proxy_shape(model, layers), quantization), tensor_plan(model, quantization)
    return Proxy(
        model_id=model.id,
        layers=layers,
        layers_of_model=int(model.need("layers")),
        generation_share=read_bytes(part) / read_bytes(whole),
        prompt_share=block_elements(part) / block_elements(whole),
    )


def read_bytes(plan: TensorPlan) -> float:
    """Bytes of weights that one generated token reads: every block, its share of experts, and the output head once.

    The table of input embeddings is read one row at a time, so it counts only where it is the output head too.
    """
    tied = not any(tensor.name == "output.weight" for tensor in plan.tensors)
    return sum(tensor.bytes * _used(plan, tensor) for tensor in plan.tensors if tied or tensor.name != "token_embd.weight")


def block_elements(plan: TensorPlan) -> float:
    """Weights that each prompt token meets: those of the blocks, its share of experts; the head is met by the last token only."""
    return sum(tensor.n_elements * _used(plan, tensor) for tensor in plan.tensors if tensor.name.startswith("blk."))


def _used(plan: TensorPlan, tensor: TensorEntry) -> float:
    model = plan.model
    return model.experts_per_token / model.experts if model.experts and "_exps." in tensor.name else 1.0
