"""A Hugging Face config.json, pasted or fetched, -> ModelSpec."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import date
from typing import Any

import httpx

from capacity.models import ModelSpec
from facts.errors import InputError
from facts.records import Source, validated

FETCH_TIMEOUT_S = 5.0
LARGEST_CONFIG_BYTES = 4_000_000
ADDRESS = "https://huggingface.co/{repository}/resolve/main/config.json"
ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "mixtral": "llama",
    "yi": "llama",
    "qwen2": "qwen2",
    "qwen2_5": "qwen2",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe",
    "qwen3_5": "qwen35",
    "qwen3_5_text": "qwen35",
    "qwen3_5_moe": "qwen35moe",
    "qwen3_5_moe_text": "qwen35moe",
    "qwen3_next": "qwen35moe",
    "phi3": "phi3",
    "gemma2": "gemma2",
    "gemma3": "gemma3",
    "gemma3_text": "gemma3",
    "gemma4": "gemma4",
    "gemma4_text": "gemma4",
    "gpt_oss": "gpt-oss",
    "deepseek_v3": "deepseek2",
    "deepseek_v2": "deepseek2",
    "kimi_k2": "deepseek2",
    "kimi_k25": "deepseek2",
    "llama4": "llama4",
    "llama4_text": "llama4",
    "minimax_m2": "minimax-m2",
}
"""model_type -> GGUF name of the tensor layout; a type that is not here keeps its own name, and its parameters are not counted."""


def read_config(text: str, *, name: str, as_of: date) -> ModelSpec:
    """A pasted config.json as a ModelSpec; InputError says what is wrong with the text."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"the pasted text is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InputError("the pasted JSON is not an object: paste the whole config.json")
    return model_from_config(document, name=name, source=Source(url="pasted config.json", checked=as_of))


def fetch_config(repository: str, *, as_of: date, client: httpx.Client | None = None) -> ModelSpec:
    """The config.json of a repository, owner/name; 5 s at most, and a sentence instead of a wait when there is no network."""
    if not re.fullmatch(r"[\w.\-]+/[\w.\-]+", repository):
        raise InputError(f"'{repository}' is not a repository name: owner/name is wanted")
    address = ADDRESS.format(repository=repository)
    own = client or httpx.Client(timeout=FETCH_TIMEOUT_S, follow_redirects=True)
    try:
        status, body = _downloaded(own, address)
    except httpx.HTTPError as error:
        raise InputError(f"{address} cannot be reached ({type(error).__name__}); paste the config.json instead") from None
    finally:
        if client is None:
            own.close()
    if status in {401, 403}:
        raise InputError(f"{repository} is gated or private ({status}); paste its config.json instead")
    if status == 404:
        raise InputError(f"{repository} has no config.json, or there is no such repository (404); paste a config.json instead")
    if status != 200:
        raise InputError(f"{address} answered {status}; paste the config.json instead")
    try:
        document = json.loads(body)
    except ValueError:
        raise InputError(f"{address} did not answer with JSON; paste the config.json instead") from None
    if not isinstance(document, dict):
        raise InputError(f"{address} did not answer with an object; paste the config.json instead")
    return model_from_config(document, name=repository.split("/")[-1], source=Source(url=address, checked=as_of), hf_id=repository)


def model_from_config(document: Mapping[str, Any], *, name: str, source: Source, hf_id: str | None = None) -> ModelSpec:
    """The text decoder that a config describes: nested text_config, GQA, latent attention, windows, linear layers, mixtures.

    A missing head_dim is hidden_size / heads; tied embeddings default as in transformers: true for Gemma, false elsewhere.
    """
    top = dict(document)
    text = {**top, **top["text_config"]} if isinstance(top.get("text_config"), dict) else top
    kind = str(text.get("model_type") or top.get("model_type") or "")
    layers, hidden, heads = (
        _number(text, *keys)
        for keys in (
            ("num_hidden_layers", "num_transformer_layers"),
            ("hidden_size", "model_dim"),
            ("num_attention_heads", "num_query_heads"),
        )
    )
    for key, number in (("num_hidden_layers", layers), ("hidden_size", hidden), ("num_attention_heads", heads)):
        if number is None:
            raise InputError(f"config of {name}: '{key}' is missing")
    assert layers is not None
    assert hidden is not None
    assert heads is not None
    types = text.get("layer_types") or []
    linear = sum(entry == "linear_attention" for entry in types)
    interval = _number(text, "full_attention_interval")
    if not linear and interval:
        linear = layers - layers // interval
    kv_by_layer = _counts(text, "num_key_value_heads") or _counts(text, "num_kv_heads")
    experts = _number(text, "num_local_experts", "num_experts", "n_routed_experts") or 0
    window = _number(text, "sliding_window") if text.get("use_sliding_window", True) else None
    data = {
        "id": slug(name),
        "name": name,
        "hf_id": hf_id,
        "architecture": ARCHITECTURES.get(kind, kind or None),
        "layers": layers,
        "hidden": hidden,
        "ffn": _number(text, "intermediate_size"),
        "heads": heads,
        "kv_heads": _number(text, "num_key_value_heads", "num_kv_heads") or heads,
        "kv_heads_by_layer": kv_by_layer if len(set(kv_by_layer)) > 1 else (),
        "head_dim": _number(text, "head_dim") or hidden // heads,
        "vocab": _number(text, "vocab_size"),
        "context_tokens": _number(text, "max_position_embeddings"),
        "tied_embeddings": bool(text.get("tie_word_embeddings", top.get("tie_word_embeddings", kind.startswith("gemma")))),
        "experts": experts,
        "experts_per_token": (_number(text, "num_experts_per_tok", "top_k_experts") or 0) if experts else 0,
        "shared_experts": _shared_experts(text) if experts else 0,
        "moe_ffn": (_number(text, "moe_intermediate_size", "intermediate_size")) if experts else None,
        "dense_layers": _number(text, "first_k_dense_replace") or 0,
        "sliding_window": window,
        "full_attention_layers": _full_layers(text, kind, layers, window, linear),
        "global_kv_heads": _number(text, "num_global_key_value_heads"),
        "global_head_dim": _number(text, "global_head_dim"),
        "k_equals_v": bool(text.get("attention_k_eq_v", False)),
        "kv_shared_layers": _number(text, "num_kv_shared_layers") or 0,
        "ffn_doubled_layers": (_number(text, "num_kv_shared_layers") or 0) if text.get("use_double_wide_mlp") else 0,
        "per_layer_embedding": _number(text, "hidden_size_per_layer_input") or 0,
        "kv_lora_rank": _number(text, "kv_lora_rank"),
        "q_lora_rank": _number(text, "q_lora_rank"),
        "qk_rope_head_dim": _number(text, "qk_rope_head_dim") if _number(text, "kv_lora_rank") else None,
        "qk_nope_head_dim": _number(text, "qk_nope_head_dim"),
        "v_head_dim": _number(text, "v_head_dim") if _number(text, "kv_lora_rank") else None,
        "linear_attention_layers": linear,
        "linear_key_heads": _number(text, "linear_num_key_heads"),
        "linear_value_heads": _number(text, "linear_num_value_heads"),
        "linear_head_dim": _number(text, "linear_value_head_dim"),
        "kv_cache_unknown": "its layers compress the cache by ratios of their own" if text.get("compress_ratios") else None,
        "source": source,
    }
    return validated(ModelSpec, {key: entry for key, entry in data.items() if entry is not None}, f"config of {name}")


def slug(name: str) -> str:
    """A name as a catalogue id: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower().split("/")[-1]).strip("-.") or "model"


# --- parts -----------------------------------------------------------------------------------------------------------


def _downloaded(client: httpx.Client, address: str) -> tuple[int, bytes]:
    """(status, body) within the limit as a whole: a server that drips its answer is given up too."""
    deadline, body = time.monotonic() + FETCH_TIMEOUT_S, bytearray()
    with client.stream("GET", address) as answer:
        for part in answer.iter_bytes():
            body += part
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the answer took too long")
            if len(body) > LARGEST_CONFIG_BYTES:
                raise httpx.DecodingError("the answer is larger than a config.json")
    return answer.status_code, bytes(body)


def _counts(text: Mapping[str, Any], key: str) -> tuple[int, ...]:
    """A list of counts, one per layer, or nothing."""
    found = text.get(key)
    return tuple(int(count) for count in found) if isinstance(found, list) and all(isinstance(count, int) for count in found) else ()


def _number(text: Mapping[str, Any], *keys: str) -> int | None:
    for key in keys:
        found = text.get(key)
        if isinstance(found, list) and found and all(isinstance(count, int) for count in found):
            found = max(found)  # one number per layer
        if isinstance(found, int | float) and not isinstance(found, bool) and found > 0:
            return int(found)
    return None


def _shared_experts(text: Mapping[str, Any]) -> int:
    stated = _number(text, "n_shared_experts", "num_shared_experts")
    if stated:
        return stated
    width, one = _number(text, "shared_expert_intermediate_size"), _number(text, "moe_intermediate_size")
    if str(text.get("model_type", "")).startswith("llama4"):
        return 1
    return max(1, round(width / one)) if width and one else 0


def _full_layers(text: Mapping[str, Any], kind: str, layers: int, window: int | None, linear: int) -> int | None:
    types = text.get("layer_types") or []
    if types:
        return sum(entry in {"full_attention", "global", "attention"} for entry in types)
    if linear:
        return layers - linear
    if not window:
        return None
    pattern = _number(text, "sliding_window_pattern", "_sliding_window_pattern")
    if pattern:
        return layers // pattern
    return {"gemma2": layers // 2, "gemma3_text": layers // 6, "gemma3": layers // 6, "gpt_oss": layers // 2}.get(kind, 0)
