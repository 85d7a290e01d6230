"""A model's tensor list and quantisation plan, exact bytes: what a GGUF file of it holds, tensor by tensor.

The mixes are those of llama.cpp's quantiser (src/llama-quant.cpp) without an importance matrix, except IQ3_XXS, which
is made with one; block sizes are ggml's.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from capacity.models import ModelSpec, find_quantization
from capacity.shapes import Role, Weight, full_attention
from facts.errors import InputError
from facts.records import nearest

ALIGNMENT_BYTES = 32
"""Each tensor of a GGUF file starts at a multiple of it (general.alignment)."""

GGML_BLOCKS: dict[str, tuple[int, int]] = {
    "F32": (1, 4),
    "F16": (1, 2),
    "BF16": (1, 2),
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q8_0": (32, 34),
    "Q2_K": (256, 84),
    "Q3_K": (256, 110),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
    "IQ1_S": (256, 50),
    "IQ1_M": (256, 56),
    "IQ2_XXS": (256, 66),
    "IQ2_XS": (256, 74),
    "IQ2_S": (256, 82),
    "IQ3_XXS": (256, 98),
    "IQ3_S": (256, 110),
    "IQ4_NL": (32, 18),
    "IQ4_XS": (256, 136),
    "TQ1_0": (256, 54),
    "TQ2_0": (256, 66),
    "MXFP4": (32, 17),
}
"""ggml type -> (weights per block, bytes per block)."""

BASE_TYPES: dict[str, str] = {
    "F32": "F32",
    "F16": "F16",
    "BF16": "BF16",
    "Q4_0": "Q4_0",
    "Q4_1": "Q4_1",
    "Q5_0": "Q5_0",
    "Q5_1": "Q5_1",
    "Q8_0": "Q8_0",
    "Q2_K": "Q2_K",
    "Q2_K_S": "Q2_K",
    "Q3_K_S": "Q3_K",
    "Q3_K_M": "Q3_K",
    "Q3_K_L": "Q3_K",
    "Q4_K_S": "Q4_K",
    "Q4_K_M": "Q4_K",
    "Q5_K_S": "Q5_K",
    "Q5_K_M": "Q5_K",
    "Q6_K": "Q6_K",
    "IQ1_S": "IQ1_S",
    "IQ1_M": "IQ1_M",
    "IQ2_XXS": "IQ2_XXS",
    "IQ2_XS": "IQ2_XS",
    "IQ2_S": "IQ2_XS",
    "IQ2_M": "IQ2_S",
    "IQ3_XXS": "IQ3_XXS",
    "IQ3_XS": "IQ3_S",
    "IQ3_S": "IQ3_S",
    "IQ3_M": "IQ3_S",
    "IQ4_NL": "IQ4_NL",
    "IQ4_XS": "IQ4_XS",
    "TQ1_0": "TQ1_0",
    "TQ2_0": "TQ2_0",
    "MXFP4_MOE": "MXFP4",
}
"""File type -> type of a tensor that no rule moves."""

FILE_TYPES: dict[str, int] = {
    "F32": 0,
    "F16": 1,
    "Q4_0": 2,
    "Q4_1": 3,
    "Q8_0": 7,
    "Q5_0": 8,
    "Q5_1": 9,
    "Q2_K": 10,
    "Q3_K_S": 11,
    "Q3_K_M": 12,
    "Q3_K_L": 13,
    "Q4_K_S": 14,
    "Q4_K_M": 15,
    "Q5_K_S": 16,
    "Q5_K_M": 17,
    "Q6_K": 18,
    "IQ2_XXS": 19,
    "IQ2_XS": 20,
    "Q2_K_S": 21,
    "IQ3_XS": 22,
    "IQ3_XXS": 23,
    "IQ1_S": 24,
    "IQ4_NL": 25,
    "IQ3_S": 26,
    "IQ3_M": 27,
    "IQ2_S": 28,
    "IQ2_M": 29,
    "IQ4_XS": 30,
    "IQ1_M": 31,
    "BF16": 32,
    "TQ1_0": 36,
    "TQ2_0": 37,
    "MXFP4_MOE": 38,
}
"""File type -> general.file_type (it only names the type)."""

_FALLBACK = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
_IQ2_AND_BELOW = {"IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ2_S", "IQ2_M", "IQ1_M"}
_NEVER_QUANTISED = ("_norm.weight", "ffn_gate_inp", "per_layer_model_proj", "ssm_conv1d", "altup", "laurel")


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """One tensor of a file.

    name: GGUF name
    shape: ggml order, fastest dimension first
    ggml_type: block type, as Q4_K or F32
    n_elements: numbers in it
    bytes: their size, without padding
    """

    name: str
    shape: tuple[int, ...]
    ggml_type: str
    n_elements: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class TensorPlan:
    """What a GGUF file of a model holds.

    model: the shape
    quantization: file type, as Q4_K_M
    tensors: in file order
    bytes: of all tensors, each padded to the file's alignment; the header is not counted
    """

    model: ModelSpec
    quantization: str
    tensors: tuple[TensorEntry, ...]
    bytes: int

    @property
    def n_elements(self) -> int:
        """Parameters in the file."""
        return sum(tensor.n_elements for tensor in self.tensors)

    @property
    def file_bytes(self) -> int:
        """Size of the whole file with the header of `gguf_metadata`; a real file adds its vocabulary, about 1 to 10 MB."""
        return header_bytes(self) + self.bytes

    @property
    def bits_per_weight(self) -> float:
        """Mean stored bits of one parameter."""
        return self.bytes * 8 / self.n_elements


@dataclass(frozen=True, kw_only=True)
class MetadataEntry:
    """One key of a GGUF header.

    key: full key, with the architecture's prefix
    kind: uint32, float32, string, bool, or an array: uint32s, int32s, strings
    value: the value
    """

    key: str
    kind: str
    value: int | float | str | bool | tuple[int, ...] | tuple[str, ...]


def tensor_plan(model: ModelSpec, quantization: str) -> TensorPlan:
    """The tensors of a model's GGUF file in a file type (Q4_K_M, Q4_K_S, Q8_0, F16, ...), exact to the byte.

    Llama 2 7B in Q4_K_M is 4.08 GB, Llama 3 70B 39.59 GiB: the sizes llama.cpp prints for the real files.
    """
    file_type = file_type_of(quantization)
    counts = _Counts(attn_v=_count(model, "attn_v"), ffn_down=_count(model, "ffn_down"))
    tensors = []
    for weight in model.weights:
        ggml_type = _ggml_type(model, weight, file_type, counts)
        tensors.append(
            TensorEntry(
                name=weight.name,
                shape=weight.shape,
                ggml_type=ggml_type,
                n_elements=weight.n_elements,
                bytes=tensor_bytes(weight.shape, ggml_type),
            )
        )
    padded = sum(-(-tensor.bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES for tensor in tensors)
    return TensorPlan(model=model, quantization=file_type, tensors=tuple(tensors), bytes=padded)


def header_bytes(plan: TensorPlan) -> int:
    """Size of a GGUF v3 header: 24 fixed bytes, keys, one record per tensor, padded to the alignment."""
    keys = sum(8 + len(entry.key.encode()) + 4 + _value_bytes(entry) for entry in gguf_metadata(plan.model, plan.quantization))
    records = sum(8 + len(tensor.name) + 4 + 8 * len(tensor.shape) + 4 + 8 for tensor in plan.tensors)
    return -(-(24 + keys + records) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def tensor_bytes(shape: tuple[int, ...], ggml_type: str) -> int:
    """Size of a tensor: blocks along the first dimension, which must divide by the block."""
    per_block, block_bytes = GGML_BLOCKS[ggml_type]
    if shape[0] % per_block:
        raise InputError(f"a row of {shape[0]} weights does not divide into {ggml_type} blocks of {per_block}")
    return prod(shape) // per_block * block_bytes


def file_type_of(quantization: str) -> str:
    """The GGUF file type that a spelling means; InputError gives the nearest."""
    found = find_quantization(quantization)
    name = found.id.upper() if found else quantization.strip().upper()
    name = {"FP16": "F16", "MXFP4": "MXFP4_MOE"}.get(name, name)
    if name not in BASE_TYPES:
        raise InputError(f"no GGUF tensor plan for quantization '{quantization}'{nearest(name, list(BASE_TYPES))}")
    return name


def gguf_metadata(model: ModelSpec, quantization: str = "Q4_K_M", *, name: str | None = None) -> tuple[MetadataEntry, ...]:
    """The header keys that llama.cpp's loader needs for this shape, with a tokenizer of kind `no_vocab`.

    A loader without expert_count aborts the process, so every key that the layout needs is written.
    """
    arch = model.architecture
    if arch is None:
        raise InputError(f"model {model.id}: 'architecture' is not known, so no GGUF header can be written")
    layers, hidden, heads = model.need("layers"), model.need("hidden"), model.need("heads")
    entries = [
        MetadataEntry(key="general.architecture", kind="string", value=arch),
        MetadataEntry(key="general.name", kind="string", value=name or f"{model.name} synthetic random weights"),
        MetadataEntry(key="general.file_type", kind="uint32", value=FILE_TYPES[file_type_of(quantization)]),
        MetadataEntry(key="general.quantization_version", kind="uint32", value=2),
        MetadataEntry(key=f"{arch}.context_length", kind="uint32", value=model.context_tokens or 4096),
        MetadataEntry(key=f"{arch}.embedding_length", kind="uint32", value=hidden),
        MetadataEntry(key=f"{arch}.block_count", kind="uint32", value=layers),
        MetadataEntry(key=f"{arch}.attention.head_count", kind="uint32", value=heads),
        MetadataEntry(key=f"{arch}.attention.layer_norm_rms_epsilon", kind="float32", value=1e-5),
        MetadataEntry(key=f"{arch}.vocab_size", kind="uint32", value=model.need("vocab")),
        MetadataEntry(key="tokenizer.ggml.model", kind="string", value="no_vocab"),
        *_feed_forward_metadata(model, arch),
        *_attention_metadata(model, arch),
    ]
    return tuple(entries)


# --- header keys -----------------------------------------------------------------------------------------------------


def _value_bytes(entry: MetadataEntry) -> int:
    if entry.kind == "string":
        return 8 + len(str(entry.value).encode())
    if isinstance(entry.value, tuple):
        return 12 + 4 * len(entry.value)
    return 1 if entry.kind == "bool" else 4


def _feed_forward_metadata(model: ModelSpec, arch: str) -> list[MetadataEntry]:
    width = model.ffn if model.ffn is not None else model.need("moe_ffn")
    if model.ffn_doubled_layers:
        plain = model.need("layers") - model.ffn_doubled_layers
        value: int | tuple[int, ...] = (width,) * plain + (2 * width,) * model.ffn_doubled_layers
    else:
        value = width
    entries = [MetadataEntry(key=f"{arch}.feed_forward_length", kind="uint32s" if isinstance(value, tuple) else "uint32", value=value)]
    if model.is_mixture:
        entries += [
            MetadataEntry(key=f"{arch}.expert_count", kind="uint32", value=model.experts),
            MetadataEntry(key=f"{arch}.expert_used_count", kind="uint32", value=model.experts_per_token),
        ]
        if arch != "llama":  # a Mixtral file states the expert's width as feed_forward_length
            entries.append(MetadataEntry(key=f"{arch}.expert_feed_forward_length", kind="uint32", value=model.need("moe_ffn")))
        if model.shared_experts:
            shared = model.need("moe_ffn") * model.shared_experts
            entries.append(MetadataEntry(key=f"{arch}.expert_shared_feed_forward_length", kind="uint32", value=shared))
    return entries


def _attention_metadata(model: ModelSpec, arch: str) -> list[MetadataEntry]:
    kv_heads, head_dim = model.need("kv_heads"), model.need("head_dim")
    layers = model.need("layers")
    pattern = [full_attention(model, layer) for layer in range(layers)]
    if model.global_kv_heads:
        by_layer = tuple(model.global_kv_heads if full else kv_heads for full in pattern)
        entries = [MetadataEntry(key=f"{arch}.attention.head_count_kv", kind="uint32s", value=by_layer)]
    else:
        entries = [MetadataEntry(key=f"{arch}.attention.head_count_kv", kind="uint32", value=kv_heads)]
    key_length = model.global_head_dim or head_dim
    entries += [
        MetadataEntry(key=f"{arch}.attention.key_length", kind="uint32", value=key_length),
        MetadataEntry(key=f"{arch}.attention.value_length", kind="uint32", value=key_length),
        MetadataEntry(key=f"{arch}.rope.dimension_count", kind="uint32", value=key_length),
    ]
    if model.sliding_window and not all(pattern):
        entries.append(MetadataEntry(key=f"{arch}.attention.sliding_window", kind="uint32", value=model.sliding_window))
    return entries


# --- which type a tensor gets ----------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Counts:
    """How far the quantiser has come: it counts value and down projections in file order."""

    attn_v: int
    ffn_down: int
    i_attn_v: int = 0
    i_ffn_down: int = 0


def _count(model: ModelSpec, kind: str) -> int:
    return sum(_category(weight) == kind for weight in model.weights)


def _category(weight: Weight) -> str:
    name = weight.name
    if name in {"token_embd.weight", "per_layer_token_embd.weight"}:
        return "token_embd"
    if name == "output.weight":
        return "output"
    for part, category in (
        ("attn_qkv.weight", "attn_v"),  # the quantiser's rule for values comes before its rule for fused tensors
        ("attn_kv_b.weight", "attn_v"),
        ("attn_v.weight", "attn_v"),
        ("attn_k.weight", "attn_k"),
        ("attn_q.weight", "attn_q"),
        ("attn_output.weight", "attn_output"),
        ("ffn_up", "ffn_up"),
        ("ffn_gate", "ffn_gate"),
        ("ffn_down", "ffn_down"),
    ):
        if part in name:
            return category
    return "other"


def _ggml_type(model: ModelSpec, weight: Weight, file_type: str, counts: _Counts) -> str:
    base = BASE_TYPES[file_type]
    kept_whole = len(weight.shape) < 2 or not weight.name.endswith("weight") or any(part in weight.name for part in _NEVER_QUANTISED)
    if kept_whole or base == "F32":
        return "F32"
    if base in {"F16", "BF16"}:
        return base
    return _fitting(_mixed_type(model, weight, file_type, base, counts), weight.shape[0])


def _fitting(ggml_type: str, columns: int) -> str:
    """The type itself, or the one the quantiser falls back to where rows do not divide into its blocks."""
    if columns % GGML_BLOCKS[ggml_type][0] == 0:
        return ggml_type
    fallback = _FALLBACK.get(ggml_type, "F16")
    return fallback if columns % GGML_BLOCKS[fallback][0] == 0 else "F16"


def _mixed_type(model: ModelSpec, weight: Weight, file_type: str, base: str, counts: _Counts) -> str:
    category = _category(weight)
    if category == "output" or (category == "token_embd" and model.tied_embeddings):
        return _output_type(weight, file_type, base)
    if file_type == "MXFP4_MOE":
        return "MXFP4" if weight.role is Role.EXPERT else "Q8_0"
    if category == "token_embd":
        return _embedding_type(file_type, base)
    if category == "attn_v":
        return _value_type(model, file_type, base, counts)
    if category == "ffn_down":
        return _down_type(model, weight, file_type, base, counts)
    if category == "attn_k":
        return _key_type(model, file_type, base)
    if category == "attn_q":
        return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(file_type, base)
    if category == "attn_output":
        return _attention_output_type(model, file_type, base)
    if category in {"ffn_gate", "ffn_up"} and file_type == "IQ3_XS":
        layer, layers = _layer(weight), model.need("layers")
        return "IQ3_XXS" if layers // 8 <= layer < 7 * layers // 8 else base
    return base


def _output_type(weight: Weight, file_type: str, base: str) -> str:
    if file_type == "MXFP4_MOE" or weight.shape[0] % GGML_BLOCKS[base][0]:
        return "Q8_0"
    if file_type in _IQ2_AND_BELOW | {"IQ3_XXS"}:
        return "Q5_K"
    return base if base == "Q8_0" else "Q6_K"


def _embedding_type(file_type: str, base: str) -> str:
    if file_type in {"IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M"}:
        return "Q2_K"
    if file_type in {"IQ2_S", "IQ2_M", "IQ3_XXS"}:
        return "IQ3_S"
    return "Q4_K" if file_type in {"TQ1_0", "TQ2_0"} else base


def _value_type(model: ModelSpec, file_type: str, base: str, counts: _Counts) -> str:
    i, n = counts.i_attn_v, counts.attn_v
    counts.i_attn_v += 1
    grouped = _heads_per_kv_head(model) >= 4
    if file_type in _IQ2_AND_BELOW:
        if grouped or model.experts >= 4:
            return "Q4_K"
        return "IQ3_S" if file_type in {"IQ2_S", "IQ2_M"} else "Q2_K"
    chosen = base
    if file_type == "Q2_K":
        chosen = "Q4_K" if grouped else "Q3_K"
    elif file_type == "IQ3_XXS":
        chosen = "Q4_K" if grouped else base
    elif (file_type in {"Q2_K_S", "IQ3_XS", "IQ3_S"} and grouped) or file_type == "IQ3_M":
        chosen = "Q4_K"
    elif file_type == "Q3_K_M":
        chosen = "Q5_K" if i < 2 else "Q4_K"
    elif file_type == "Q3_K_L" or (file_type in {"IQ4_NL", "IQ4_XS"} and grouped):
        chosen = "Q5_K"
    elif file_type in {"Q4_K_M", "Q5_K_M"} and _more_bits(i, n):
        chosen = "Q6_K"
    elif file_type == "Q4_K_S" and i < 4:
        chosen = "Q5_K"
    if _is_grouped_70b(model) and chosen in {"Q3_K", "Q4_K"}:
        chosen = "Q5_K"
    return "Q8_0" if model.experts == 8 else chosen


def _down_type(model: ModelSpec, weight: Weight, file_type: str, base: str, counts: _Counts) -> str:
    i, n = (_layer(weight), model.need("layers")) if model.is_mixture else (counts.i_ffn_down, counts.ffn_down)
    counts.i_ffn_down += 1
    first_eighth = i < n // 8
    if file_type in _IQ2_AND_BELOW:
        if not first_eighth:
            return base
        return "IQ3_S" if file_type in {"IQ2_S", "IQ2_M"} else "Q2_K"
    if file_type == "Q3_K_M":
        return "Q5_K" if i < n // 16 else "Q4_K"
    if file_type == "IQ3_M":
        return "Q4_K" if first_eighth or (model.experts == 8 and _more_bits(i, n)) else base
    if file_type in {"Q4_K_M", "Q5_K_M"}:
        return "Q6_K" if _more_bits(i, n) else base
    if first_eighth:
        return {"Q2_K": "Q3_K", "Q2_K_S": "Q4_K", "Q3_K_L": "Q5_K", "IQ4_NL": "Q5_K", "IQ4_XS": "Q5_K", "Q4_K_S": "Q5_K"}.get(
            file_type, base
        )
    return {"Q2_K": "Q3_K", "Q3_K_L": "Q5_K"}.get(file_type, base)


def _key_type(model: ModelSpec, file_type: str, base: str) -> str:
    if model.experts == 8:
        return "Q4_K" if file_type in _IQ2_AND_BELOW else "Q8_0"
    return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(file_type, base)


def _attention_output_type(model: ModelSpec, file_type: str, base: str) -> str:
    if model.experts == 8:
        raised = {
            "Q2_K",
            "IQ3_XS",
            "IQ3_XXS",
            "Q3_K_S",
            "Q3_K_M",
            "IQ4_NL",
            "Q4_K_S",
            "Q4_K_M",
            "IQ3_S",
            "IQ3_M",
            "IQ4_XS",
        } | _IQ2_AND_BELOW
        return "Q5_K" if file_type in raised else base
    changes = {"IQ1_S": "IQ2_XXS", "IQ1_M": "IQ2_XXS", "IQ2_S": "IQ3_S", "IQ2_M": "IQ3_S"}
    changes |= {"Q2_K": "Q3_K", "IQ3_XXS": "IQ3_S", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K"}
    return changes.get(file_type, base)


def _more_bits(i: int, n: int) -> bool:
    """The first and the last eighth, and every third layer between them."""
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def _is_grouped_70b(model: ModelSpec) -> bool:
    """What llama.cpp calls a 70B: 80 layers of the Llama or Qwen2 layout with grouped KV heads."""
    return model.architecture in {"llama", "qwen2"} and model.layers == 80 and _heads_per_kv_head(model) > 1


def _heads_per_kv_head(model: ModelSpec) -> float:
    return model.need("heads") / model.need("kv_heads")


def _layer(weight: Weight) -> int:
    return int(weight.name.split(".")[1])
