"""Who sells and what is sold: provider names as people write them, and hosts' model ids as the models they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache


class ProviderClass(StrEnum):
    """Who sells an API price."""

    VENDOR = "vendor"
    CLOUD = "cloud"
    HOST = "host"
    AGGREGATOR = "aggregator"
    RESELLER = "reseller"


NAMED_CLASSES = (ProviderClass.VENDOR, ProviderClass.CLOUD, ProviderClass.HOST)
"""Whose prices may be called cheapest: not aggregators, not resellers."""

ROUTER = "huggingface_"
"""Provider ids that begin so are another host, reached through Hugging Face."""


def host_behind(provider_id: str) -> str:
    """The host that a catalogue's provider id stands for, a router's prefix taken off."""
    host = provider_id.removeprefix(ROUTER)
    return _SAME_HOST.get(host, host) if host != provider_id else provider_id


def is_provider(name: str, allowed: Iterable[str]) -> bool:
    """Whether a provider is on a list of names; case, spaces and punctuation do not matter ("Vast.ai" is "vast ai").

    >>> is_provider("x-ai", ["X AI"]), is_provider("Azure", ["aws"])
    (True, False)
    """
    return plain(name) in {plain(other) for other in allowed}


def provider_class(provider_id: str) -> ProviderClass:
    """Who sells under a catalogue id; an id that nobody has looked at counts as a reseller."""
    if provider_id.startswith(ROUTER):
        return ProviderClass.HOST
    return _CLASSES.get(provider_id, ProviderClass.RESELLER)


@lru_cache(maxsize=4096)
def family_of(model_id: str) -> str:
    """A host's model id as the model's own slug: organisation, tuning, precision and version suffixes taken off.

    >>> family_of("meta.llama3-3-70b-instruct-v1:0"), family_of("meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo")
    ('llama-3.3-70b', 'llama-3.1-8b')
    """
    name = model_id.lower().rsplit("/", 1)[-1]
    name = re.sub(r"^(databricks|[a-z]+)\.(?=[a-z])|^databricks-", "", name)
    name = re.sub(r"^meta-", "", name)
    name = re.sub(r"(?<=[a-z])-?v?(\d+)p(\d+)", r"-\1.\2", name)  # llama-v3p1
    name = re.sub(r"^llama-?(\d)[.-](\d)(?=-)", r"llama-\1.\2", name)  # llama3-3, llama3.1
    name = re.sub(r"^(qwen|gemma|phi|gpt-oss|mistral|ministral)-?(\d)", r"\1-\2", name)
    words = [word for word in re.split(r"[-_:\s]", name) if word]
    while words and (words[-1] in _SUFFIXES or re.fullmatch(r"v?\d{1,2}|v\d+\.\d+|\d{4}|\d{6,8}", words[-1])) and len(words) > 2:
        words.pop()
    while words and words[-1] in _SUFFIXES:
        words.pop()
    return "-".join(words)


# ---- below: how ----

_BY_CLASS: Mapping[ProviderClass, str] = {
    ProviderClass.VENDOR: """anthropic arcee cohere deepseek elevenlabs google meta minimax mistral moonshotai openai openai-decisions
        perplexity voyageai x-ai zai zhipuai""",
    ProviderClass.CLOUD: "aws azure cloudflare databricks ovhcloud",
    ProviderClass.HOST: """avian baseten cerebras deepinfra doubleword fireworks groq hyperbolic modal nebius novita nscale publicai
        sambanova together""",
    ProviderClass.AGGREGATOR: "cursor github-copilot openrouter",
}
_CLASSES = {provider: kind for kind, providers in _BY_CLASS.items() for provider in providers.split()}
_SAME_HOST = {"fireworks-ai": "fireworks"}
_SUFFIX_WORDS = """awq bf16 chat fast fp16 fp4 fp8 free hf instant instruct int4 int8 it latest lite maas mxfp4 nvfp4 preview reference
    specdec standard throughput tput turbo versatile w8a8"""
_SUFFIXES = frozenset(_SUFFIX_WORDS.split())


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A name without case, spaces and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())
