"""A GGUF file's header -> ModelSpec, exact bytes and file type; nothing but the header is read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import gguf

from capacity.hf_config import slug
from capacity.models import ModelSpec
from capacity.tensors import FILE_TYPES
from facts.errors import InputError
from facts.records import Source, validated

FULL_ATTENTION_GROUPS = {"gemma2": 2, "gemma3": 6, "gpt-oss": 2}
"""Layouts that say only their window: of this many layers the last one attends to everything."""


WEIGHTS_ROOM_BYTES = 2**42
"""Of a file of which only the beginning is there: more than any model's weights."""
CUT_UNIT_BYTES = 2**20
"""Beginnings are cut at whole MiB, as `head -c 32M` does."""
RANDOM_WEIGHTS_KEY = "rightsize.random_weights"
"""Header key of files that were written with random weights."""


@dataclass(frozen=True, kw_only=True)
class GgufFile:
    """What a GGUF file's header says.

    model: the shape
    quantization: file type, as Q4_K_M, or None when it is not a known one
    tensor_bytes: of all tensors, exact
    file_bytes: of the whole file
    parameters: numbers in all tensors
    synthetic: whether the header says that its weights are random
    """

    model: ModelSpec
    quantization: str | None
    tensor_bytes: int
    file_bytes: int
    parameters: int
    synthetic: bool


def read_gguf_header(path: Path, *, as_of: date) -> GgufFile:
    """The header of a GGUF file; InputError when it is not one, is damaged, or states no architecture."""
    reader = _reader(path)
    try:
        return _file_of(reader, path, as_of)
    except InputError:
        raise
    except Exception as error:  # a damaged header holds anything: text that is none, words for numbers, a division by its own zero
        raise InputError(f"{path} begins like a GGUF file but its header is broken: {type(error).__name__}: {error}") from None


def read_gguf_beginning(beginning: bytes, *, name: str, as_of: date) -> GgufFile:
    """The header from a file's first bytes, as of an upload; the weights behind it may be missing. `file_bytes` is what was given.

    InputError as `read_gguf_header`; also where the header itself is cut off.
    """
    with tempfile.TemporaryDirectory(prefix="rightsize-gguf-") as folder:
        path = Path(folder) / (Path(name.replace("\\", "/")).name or "model.gguf")
        path.write_bytes(beginning)
        os.truncate(path, max(len(beginning), WEIGHTS_ROOM_BYTES))  # a hole: it takes no space, and the reader finds the weights "there"
        try:
            found = read_gguf_header(path, as_of=as_of)
        except InputError as error:
            said = str(error).replace(str(path), path.name)
            if beginning[:4] == b"GGUF" and len(beginning) % CUT_UNIT_BYTES == 0:
                said += f"; if these are its first {len(beginning) / 2**20:.0f} MiB only, give more of them"
            raise InputError(said) from None
        return replace(found, file_bytes=len(beginning))


def _file_of(reader: gguf.GGUFReader, path: Path, as_of: date) -> GgufFile:
    fields = {name: _contents(entry) for name, entry in reader.fields.items() if not name.startswith("tokenizer.ggml.")}
    architecture = fields.get("general.architecture")
    if not isinstance(architecture, str):
        raise InputError(f"{path} states no general.architecture: it is not a language model's GGUF file")
    names = {tensor.name for tensor in reader.tensors}
    name = str(fields.get("general.name") or path.stem)
    vocab = fields.get(f"{architecture}.vocab_size") or _vocabulary(reader)
    source = Source(url=path.name, checked=as_of, note="GGUF header")
    spec = model_from_metadata(fields, architecture, name=name, vocab=vocab, tied="output.weight" not in names, source=source)
    by_number = {number: kind for kind, number in FILE_TYPES.items()}
    return GgufFile(
        model=spec,
        quantization=by_number.get(int(fields.get("general.file_type", -1))),
        tensor_bytes=sum(int(tensor.n_bytes) for tensor in reader.tensors),
        file_bytes=path.stat().st_size,
        parameters=sum(int(tensor.n_elements) for tensor in reader.tensors),
        synthetic="synthetic" in name.lower() or bool(fields.get(RANDOM_WEIGHTS_KEY)),
    )


def model_from_metadata(fields: Mapping[str, Any], architecture: str, *, name: str, vocab: Any, tied: bool, source: Source) -> ModelSpec:
    """A ModelSpec from GGUF keys; head counts may be arrays, one number per layer."""

    def get(key: str, default: Any = None) -> Any:
        return fields.get(f"{architecture}.{key}", default)

    layers, hidden, heads = get("block_count"), get("embedding_length"), get("attention.head_count")
    for key, number in (("block_count", layers), ("embedding_length", hidden), ("attention.head_count", heads)):
        if number is None:
            raise InputError(f"the header states no {architecture}.{key}")
    head_count = max(heads) if isinstance(heads, list) else heads
    kv_heads = get("attention.head_count_kv", head_count)
    by_layer = tuple(int(count) for count in kv_heads) if isinstance(kv_heads, list) else ()
    widths = get("feed_forward_length")
    window, experts = get("attention.sliding_window"), int(get("expert_count", 0) or 0)
    interval = int(get("full_attention_interval", 0) or 0)
    latent = bool(get("attention.kv_lora_rank"))
    data = {
        "id": slug(name),
        "name": name,
        "architecture": architecture,
        "layers": layers,
        "hidden": hidden,
        "ffn": max(widths) if isinstance(widths, list) else widths,
        "heads": head_count,
        "kv_heads": max(by_layer) if by_layer else kv_heads,
        "head_dim": get("attention.key_length_swa") or get("attention.key_length") or hidden // head_count,
        "global_head_dim": get("attention.key_length") if get("attention.key_length_swa") else None,
        "vocab": vocab,
        "context_tokens": get("context_length"),
        "tied_embeddings": tied,
        "experts": experts,
        "experts_per_token": int(get("expert_used_count", 0) or 0),
        "shared_experts": int(get("expert_shared_count", 0) or 0),
        "moe_ffn": (get("expert_feed_forward_length") or (None if isinstance(widths, list) else widths)) if experts else None,
        "dense_layers": int(get("leading_dense_block_count", 0) or 0),
        "sliding_window": window or None,
        "full_attention_layers": _full_layers(layers, architecture, window, interval, get("attention.sliding_window_pattern")),
        "linear_attention_layers": layers - layers // interval if interval else 0,
        "linear_key_heads": get("ssm.group_count") if interval else None,
        "linear_value_heads": get("ssm.time_step_rank") if interval else None,
        "linear_head_dim": get("ssm.state_size") if interval else None,
        "kv_heads_by_layer": by_layer if len(set(by_layer)) > 1 else (),
        "kv_shared_layers": int(get("attention.shared_kv_layers", 0) or 0),
        "per_layer_embedding": int(get("embedding_length_per_layer_input", 0) or 0),
        "kv_lora_rank": get("attention.kv_lora_rank"),
        "q_lora_rank": get("attention.q_lora_rank"),
        "qk_rope_head_dim": get("rope.dimension_count") if latent else None,
        "qk_nope_head_dim": _without(get("attention.key_length_mla"), get("rope.dimension_count")) if latent else None,
        "v_head_dim": get("attention.value_length_mla") if latent else None,
        "source": source,
    }
    return validated(ModelSpec, {key: entry for key, entry in data.items() if entry is not None}, name)


# --- parts -----------------------------------------------------------------------------------------------------------


def _reader(path: Path) -> gguf.GGUFReader:
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if magic != b"GGUF":
        raise InputError(f"{path} is not a GGUF file: it begins with {magic!r}, not b'GGUF'")
    try:
        return gguf.GGUFReader(path)
    except Exception as error:  # the reader raises what its parsing stumbles over: ValueError, IndexError, KeyError, ...
        raise InputError(f"{path} begins like a GGUF file but its header is broken: {error}") from None


def _without(whole: int | None, part: int | None) -> int | None:
    """What a key's length leaves for the part without positions."""
    return whole - part if whole and part and whole > part else None


def _contents(entry: Any) -> Any:
    found = entry.contents()
    return found.tolist() if hasattr(found, "tolist") else found


def _vocabulary(reader: gguf.GGUFReader) -> int | None:
    for tensor in reader.tensors:
        if tensor.name == "token_embd.weight":
            return int(tensor.shape[1])
    return None


def _full_layers(layers: int, architecture: str, window: int | None, interval: int, pattern: Any) -> int | None:
    if interval:
        return int(layers // interval)
    if not window:
        return None
    if isinstance(pattern, list):
        return sum(not slides for slides in pattern)
    if isinstance(pattern, int) and pattern > 0:
        return int(layers // pattern)
    group = FULL_ATTENTION_GROUPS.get(architecture)
    return layers // group if group else 0
