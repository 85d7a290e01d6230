"""The model catalogue: shapes of language models, and the precisions their weights are kept in."""

from __future__ import annotations

import re
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import Self

from pydantic import Field, model_validator

from capacity.shapes import Weight, parameters, weights
from capacity.shelf import Shelf
from facts.errors import InputError
from facts.records import Fact, Source, nearest, read_facts, read_toml, validated


class ModelSpec(Fact):
    """The shape of one model; what its source does not state stays None."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")
    """Slug, as in `llama-3.1-8b`."""
    name: str
    """What people call it."""
    hf_id: str | None = None
    """Repository of the published weights, owner/name."""
    aliases: tuple[str, ...] = ()
    """Other names under which measurements list it."""
    architecture: str | None = None
    """Name of the tensor layout as GGUF files write it (llama, qwen3, gemma3, ...)."""
    layers: int | None = Field(default=None, ge=1, le=2000)
    """Transformer layers."""
    hidden: int | None = Field(default=None, ge=1)
    """Width of the residual stream."""
    ffn: int | None = Field(default=None, ge=1)
    """Width of the dense feed-forward block."""
    heads: int | None = Field(default=None, ge=1)
    """Query heads."""
    kv_heads: int | None = Field(default=None, ge=1)
    """Key and value heads (of the window layers where layers differ)."""
    head_dim: int | None = Field(default=None, ge=1)
    """Size of one head (of the window layers where layers differ)."""
    vocab: int | None = Field(default=None, ge=1)
    """Vocabulary size."""
    context_tokens: int | None = Field(default=None, ge=1)
    """Longest context it was published for, tokens."""
    licence: str | None = None
    """Licence of the weights."""
    tied_embeddings: bool | None = None
    """Whether the output head is the embedding table again."""
    experts: int = Field(default=0, ge=0)
    """Routed experts per layer; 0 for a dense model."""
    experts_per_token: int = Field(default=0, ge=0)
    """Routed experts that one token uses."""
    shared_experts: int = Field(default=0, ge=0)
    """Experts that every token uses."""
    moe_ffn: int | None = Field(default=None, ge=1)
    """Width of one expert."""
    dense_layers: int = Field(default=0, ge=0)
    """Leading layers with a dense feed-forward block in a mixture of experts."""
    full_attention_layers: int | None = Field(default=None, ge=0)
    """Layers that attend to the whole context; None means all."""
    sliding_window: int | None = Field(default=None, ge=1)
    """Tokens that the window layers look back."""
    global_kv_heads: int | None = Field(default=None, ge=1)
    """KV heads of the full-attention layers where they differ."""
    global_head_dim: int | None = Field(default=None, ge=1)
    """Head size of the full-attention layers where it differs."""
    kv_heads_by_layer: tuple[int, ...] = ()
    """KV heads layer by layer, where a file states them so; 0 is a layer without a cache."""
    k_equals_v: bool = False
    """Whether the full-attention layers use their keys as values and have no value weights."""
    kv_shared_layers: int = Field(default=0, ge=0)
    """Last layers that reuse an earlier layer's cache."""
    ffn_doubled_layers: int = Field(default=0, ge=0)
    """Last layers whose feed-forward block has twice the width."""
    per_layer_embedding: int = Field(default=0, ge=0)
    """Width of a per-layer embedding table that is looked up, not streamed."""
    kv_lora_rank: int | None = Field(default=None, ge=1)
    """Rank of the compressed cache of multi-head latent attention."""
    q_lora_rank: int | None = Field(default=None, ge=1)
    """Rank of its compressed queries."""
    qk_rope_head_dim: int | None = Field(default=None, ge=1)
    """Rotary part of a latent-attention key."""
    qk_nope_head_dim: int | None = Field(default=None, ge=1)
    """Other part of a latent-attention key."""
    v_head_dim: int | None = Field(default=None, ge=1)
    """Value size per head of latent attention."""
    linear_attention_layers: int = Field(default=0, ge=0)
    """Layers with a fixed state instead of a growing cache."""
    linear_key_heads: int | None = Field(default=None, ge=1)
    """Key heads of a linear-attention layer."""
    linear_value_heads: int | None = Field(default=None, ge=1)
    """Value heads of a linear-attention layer."""
    linear_head_dim: int | None = Field(default=None, ge=1)
    """Head size of a linear-attention layer."""
    kv_cache_unknown: str | None = None
    """Why the cache size cannot be computed from these facts, when it cannot."""
    expert_bits: float | None = Field(default=None, gt=0)
    """Bits per expert weight as published, where experts ship in fewer bits than the rest."""
    published_params_b: float | None = Field(default=None, gt=0)
    """Parameters the vendor states, in billions."""
    published_active_params_b: float | None = Field(default=None, gt=0)
    """Active parameters the vendor states, in billions (conventions differ on the embedding table)."""
    notes: str = ""
    """What a reader should know."""
    source: Source
    """Where the shape was read."""

    @model_validator(mode="after")
    def _mixture_is_whole(self) -> Self:
        if self.experts and not 1 <= self.experts_per_token <= self.experts:
            raise ValueError(f"experts_per_token {self.experts_per_token} must be 1 to experts ({self.experts})")
        if self.kv_heads_by_layer and self.layers is not None and len(self.kv_heads_by_layer) != self.layers:
            raise ValueError(f"kv_heads_by_layer has {len(self.kv_heads_by_layer)} entries for {self.layers} layers")
        return self

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """Every weight tensor; InputError names the fact that is missing."""
        return weights(self)

    @property
    def params_total(self) -> float:
        """Parameters: counted from the shape, else as published."""
        return self._count()[0]

    @property
    def params_active(self) -> float:
        """Parameters one token uses, the input embedding counted; a per-layer embedding table is not."""
        return self._count()[1]

    @property
    def is_mixture(self) -> bool:
        """Whether it routes tokens to experts."""
        return self.experts > 1

    def need(self, field: str) -> int:
        """A fact that a formula cannot do without; InputError names it when the catalogue lacks it."""
        number = getattr(self, field)
        if number is None:
            raise InputError(f"model {self.id}: '{field}' is not known; give the model's config.json or a GGUF file")
        return int(number)

    def _count(self) -> tuple[float, float]:
        try:
            return parameters(self)
        except InputError:
            if self.published_params_b is None:
                raise
            return self.published_params_b * 1e9, (self.published_active_params_b or self.published_params_b) * 1e9


class Quantization(Fact):
    """A precision in which weights are stored and multiplied."""

    id: str
    """Slug, as in `q4_k_m` or `fp8`."""
    name: str
    """As its users write it."""
    aliases: tuple[str, ...] = ()
    """Other spellings."""
    bits_per_weight: float = Field(gt=0, le=32)
    """Stored bits per weight, scales included, typical over a model."""
    compute: str = Field(pattern=r"^(fp16|fp8|int8|fp4|mxfp4)$")
    """Precision of the matrix multiplication; weight-only formats compute in fp16, mxfp4 in 8 bits where there are 4-bit units."""
    kv_bits: float = Field(default=16, gt=0)
    """Bits per cache element that usually go with it."""
    embeddings_packed: bool = False
    """Whether the embedding table and the output head are kept in it too; most formats leave them in 16 bits."""
    gguf: bool = False
    """Whether it is a GGUF file type with an exact tensor plan."""
    source: Source
    """Where the bits were read."""


class BenchmarkScore(Fact):
    """One published score of a model."""

    model: str
    """Model as the source names it."""
    model_id: str | None = None
    """Catalogue id, where the model is in the catalogue."""
    benchmark: str
    """Name of the benchmark."""
    score: float
    """Its figure."""
    method: str = ""
    """How it was run."""
    self_reported: bool | None = None
    """Whether the model's own maker reports it; such a score never ranks."""
    claim: bool = False
    """A figure of an article without a protocol; such a score never ranks."""
    as_of: str = ""
    """Date of the score."""
    source: str
    """Where it was read."""


class QuantizationQuality(Fact):
    """What one model lost in one precision, as published."""

    model: str
    """Model as the source names it."""
    params_b: float | None = None
    """Its parameters, billions."""
    method: str
    """GGUF, GPTQ, ..."""
    quantization: str
    """Precision as the source writes it."""
    importance_matrix: bool | None = None
    """Whether the file was made with an importance matrix."""
    bits_per_weight: float | None = None
    """Stored bits per weight."""
    size_gib: float | None = None
    """File size, GiB."""
    metric: str
    """What was measured: perplexity (lower is better) or an accuracy."""
    baseline: float | None = None
    """The unquantised model's figure."""
    value: float | None = None
    """The quantised model's figure."""
    change_share: float | None = None
    """(value - baseline) / baseline."""
    same_top_token_share: float | None = None
    """Share of positions where both name the same next token, 0 to 1."""
    notes: str = ""
    """What a reader should know."""
    source: Source
    """Where it was read."""


@cache
def quantization_quality() -> tuple[QuantizationQuality, ...]:
    """Published quality losses by precision, to show beside size and speed."""
    return read_facts(resources.files("capacity") / "data" / "quantisation_quality.toml", "quality", QuantizationQuality)


@cache
def models() -> tuple[ModelSpec, ...]:
    """The whole catalogue, sorted by id."""
    folder = resources.files("capacity") / "data" / "models"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return tuple(sorted((spec for file in files for spec in read_facts(file, "model", ModelSpec)), key=lambda spec: spec.id))


def model(model_id: str) -> ModelSpec:
    """The model of that id, of the catalogue or a user's own; InputError gives the nearest known one."""
    by_id = _by_id()
    found = by_id.get(model_id) or _OWN.get(model_id)
    if found is None:
        raise InputError(f"unknown model '{model_id}'{nearest(model_id, by_id)}")
    return found


def own_model(spec: ModelSpec) -> ModelSpec:
    """A model that the catalogue lacks, under the id by which `model` finds it from now on."""
    return _OWN.put(spec)


_OWN: Shelf[ModelSpec] = Shelf()


@cache
def _by_id() -> dict[str, ModelSpec]:
    return {spec.id: spec for spec in models()}


def find_model(text: str) -> ModelSpec | None:
    """The model that a free name means ('meta-llama/Llama-3.1-8B-Instruct', 'gemma-3-12b-it'), or None."""
    index = _index()
    for key in _name_keys(text):
        if key in index:
            return index[key]
    return None


@cache
def quantizations() -> tuple[Quantization, ...]:
    """All known precisions."""
    return read_facts(resources.files("capacity") / "data" / "quantizations.toml", "quantization", Quantization)


def quantization(text: str) -> Quantization:
    """The precision that a spelling means; InputError gives the nearest known one."""
    found = find_quantization(text)
    if found is None:
        raise InputError(f"unknown quantization '{text}'{nearest(text.lower(), [entry.id for entry in quantizations()])}")
    return found


@lru_cache(maxsize=1024)
def find_quantization(text: str) -> Quantization | None:
    """The precision that a spelling means ('Q4_K_M', 'UD-Q4_K_XL', 'w4a16'), or None."""
    index = _quantization_index()
    key = re.sub(r"^ud[-_]", "", text.strip().lower())
    for candidate in (key, key.replace("-", "_"), key.replace("_", "-"), re.sub(r"[\s_\-]", "", key)):
        if candidate in index:
            return index[candidate]
    return None


@cache
def benchmark_attribution() -> str:
    """The line that must stand wherever the scores are shown."""
    return str(read_toml(resources.files("capacity") / "data" / "benchmarks.toml")["attribution"])


@cache
def benchmark_scores(model_id: str | None = None) -> tuple[BenchmarkScore, ...]:
    """Published scores, of one model or of all; shown beside a model, never used to rank."""
    document = read_toml(resources.files("capacity") / "data" / "benchmarks.toml")
    scores = tuple(validated(BenchmarkScore, row, f"benchmarks.toml [[score]] {number}") for number, row in enumerate(document["score"], 1))
    return scores if model_id is None else tuple(score for score in scores if score.model_id == model_id)


# --- names -----------------------------------------------------------------------------------------------------------

_SUFFIXES = re.compile(
    r"[-_ .](?:instruct|it|chat|hf|gguf|base|mlx|awq|gptq|bf16|fp16|fp8|fp4|f16|nvfp4|mxfp4|mxfp8|w4a8|int4|int8|w4a16|w8a8|w8a16"
    r"|[34568]bit|\d-?bit|fp4-v\d|moe"
    r"|i?q\d+(?:[-_](?:k|0|1|nl|xs|xxs|s|m)(?:[-_]+(?:s|m|l|xl|small|medium|large))?)?"
    r"|ud|dynamic|block|preview|qat|text|thinking|reasoning|2[3-6](?:0[1-9]|1[0-2])|0528|0324|v0\.\d)$"
)


def _name_keys(text: str) -> tuple[str, ...]:
    """Spellings to look for, from the full name to the one without vendor and suffixes."""
    name = text.strip().lower().lstrip("~").split("/")[-1].replace("_", "-").replace(" ", "-")
    keys = [_squeeze(name)]
    while True:
        shorter = _SUFFIXES.sub("", name)
        if shorter == name or not shorter:
            break
        name = shorter
        keys.append(_squeeze(name))
    bare = re.sub(r"^(?:meta|unsloth|ud|nvidia|google|mistralai|qwen)-", "", name)
    keys.append(_squeeze(re.sub(r"^meta-?llama", "llama", bare)))
    return tuple(dict.fromkeys(keys))


def _squeeze(name: str) -> str:
    return re.sub(r"[^a-z0-9.]", "", name)


@cache
def _index() -> dict[str, ModelSpec]:
    index: dict[str, ModelSpec] = {}
    for spec in models():
        for text in (spec.id, spec.name, *spec.aliases, *([spec.hf_id] if spec.hf_id else [])):
            index.setdefault(_squeeze(text.lower().split("/")[-1].replace("_", "-")), spec)
    for spec in models():
        for text in (spec.hf_id or "", *spec.aliases):
            for key in _name_keys(text) if text else ():
                index.setdefault(key, spec)
    return index


@cache
def _quantization_index() -> dict[str, Quantization]:
    return {spelling.lower(): entry for entry in quantizations() for spelling in (entry.id, entry.name, *entry.aliases)}
