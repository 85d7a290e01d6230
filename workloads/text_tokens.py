"""Tokens of a text: counted where the tokenizer lies on this machine, else from its characters at measured ratios.

The ratios stand in `data/text_tokens.toml`: texts of many languages and kinds of code, counted once with each tokenizer. A text is put
into a class by its letters, and the class's ratio and range apply. The same table says how many tokens one tokenizer needs where
another needs 100: what a workload's volume becomes on a model that counts otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from statistics import median

import numpy as np
from pydantic import Field

from facts.errors import InputError
from facts.records import Fact, Source, nearest, read_facts
from workloads.tokenizers import GgufTokenizer, exact_tokenizer
from workloads.trace_summary import CountedText

KINDS = 64
"""A text's tokens and its kind travel as one number: tokens times this, and the kind."""
EXACT = 0
"""The kind of a text that a tokenizer has counted."""
DEFAULT_TOKENIZER = "o200k_base"
"""Whose ratios are taken where no tokenizer is named: that of the default model of today."""
LEAST_RANGE = 0.15
"""A class's range is at least this much either way: few texts cannot say that all others are like them."""
CODE_SIGNS_SHARE = 0.055
"""Share of signs such as braces, equals signs and slashes from which a text is code."""
ACCENTS_SHARE = 0.01
"""Share of Latin letters outside ASCII from which a text is not in a plain Latin language such as English."""
_CODE_SIGNS = re.compile(r"[{}()\[\]<>;=_/\\|&*+#$\"`]")
_SAMPLE = 20_000
"""Characters of a text that decide its class."""


class TextClass(IntEnum):
    """What a text is written in, as far as its letters say."""

    LATIN = 1
    LATIN_ACCENTED = 2
    CYRILLIC = 3
    GREEK = 4
    ARABIC = 5
    HEBREW = 6
    INDIC = 7
    SOUTHEAST_ASIAN = 8
    CHINESE_JAPANESE = 9
    KOREAN = 10
    OTHER = 11
    CODE = 12

    @property
    def words(self) -> str:
        """The class as a reader sees it."""
        return {
            TextClass.LATIN: "Latin letters without accents, as English",
            TextClass.LATIN_ACCENTED: "Latin letters with accents",
            TextClass.CHINESE_JAPANESE: "Chinese or Japanese",
            TextClass.SOUTHEAST_ASIAN: "Thai, Lao, Khmer or Burmese",
            TextClass.INDIC: "scripts of India",
            TextClass.OTHER: "other scripts",
            TextClass.CODE: "code and data",
        }.get(self, self.name.capitalize())


class CountedSample(Fact):
    """One text, counted with every tokenizer."""

    id: str
    """Short name, a slug."""
    language: str = ""
    """ISO 639-1 code, or "" for code."""
    characters: int = Field(gt=0)
    """Characters of the text."""
    text_class: str
    """Its class by `class_of`, in lower case."""
    tokens: dict[str, int]
    """Tokens by tokenizer."""
    source: Source
    """What the text is, and when it was counted."""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Characters of one token: in the middle of the counted texts, and their range."""

    mid: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class TextCounter:
    """Counts tokens of texts one at a time.

    tokenizer: whose tokens, the file's name of a GGUF file's own
    count: the tokenizer itself where it lies on this machine, else None
    """

    tokenizer: str
    count: Callable[[str], int] | None

    @property
    def known_as(self) -> str:
        """The tokenizer by its name in the table of ratios; of a GGUF file by the model that its name says, '' where it says none."""
        return self.tokenizer if self.tokenizer in tokenizer_names() else tokenizer_of(self.tokenizer) or ""

    def counted(self, text: str) -> int:
        """Tokens times `KINDS`, and the kind."""
        if self.count is not None:
            return self.count(text) * KINDS + EXACT
        kind = class_of(text)
        return round(len(text) / ratio_of(kind, self.tokenizer).mid) * KINDS + kind

    def said(self, side: str, kind: int, rows: int, tokens: int) -> CountedText:
        """What was counted so, with its interval and how."""
        if kind == EXACT:
            return CountedText(
                side=side, rows=rows, tokens=tokens, low_tokens=tokens, high_tokens=tokens, how=f"tokenizer {self.tokenizer}"
            )
        ratio, words = ratio_of(TextClass(kind), self.tokenizer), TextClass(kind).words
        return CountedText(
            side=side,
            rows=rows,
            tokens=tokens,
            low_tokens=round(tokens * ratio.mid / ratio.high),
            high_tokens=round(tokens * ratio.mid / ratio.low),
            how=f"{words}: {ratio.mid:.2f} characters a token of {self.tokenizer} ({ratio.low:.2f} to {ratio.high:.2f})",
        )


@dataclass(frozen=True, kw_only=True)
class RelativeTokens:
    """How many tokens one tokenizer makes of a text that another makes one of.

    factor: in the middle
    low, high: range over the counted texts
    tokenizer, base: the two
    basis: in words, from which texts
    """

    factor: float
    low: float
    high: float
    tokenizer: str
    base: str
    basis: str


def text_counter(tokenizer: str | None = None) -> TextCounter:
    """A counter for a tokenizer of the table: the tokenizer itself where it lies here, else its ratios; or for a GGUF file's own.

    None takes the ratios of `DEFAULT_TOKENIZER`.
    """
    if tokenizer is None:
        return TextCounter(tokenizer=DEFAULT_TOKENIZER, count=None)
    if tokenizer.casefold().endswith(".gguf"):
        path = Path(tokenizer)
        return TextCounter(tokenizer=path.name, count=GgufTokenizer(path))
    if tokenizer not in tokenizer_names():
        known = ", ".join(tokenizer_names())
        raise InputError(f"no tokenizer '{tokenizer}' is known{nearest(tokenizer, list(tokenizer_names()))}: the ones counted are {known}")
    return TextCounter(tokenizer=tokenizer, count=exact_tokenizer(tokenizer))


def class_of(text: str) -> TextClass:
    """The class of a text, by its first 20,000 characters: code by its signs, else the script of most of its letters."""
    part = text[:_SAMPLE]
    if len(_CODE_SIGNS.findall(part)) > CODE_SIGNS_SHARE * len(part):
        return TextClass.CODE
    if part.isascii():
        return TextClass.LATIN
    codes = np.frombuffer(part.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    blocks = _CLASSES[np.searchsorted(_STARTS, codes, side="right") - 1]
    letters = np.bincount(blocks, minlength=TextClass.CODE + 1)
    letters[0] = 0
    letters[TextClass.LATIN] = int(np.count_nonzero(((codes | 32) >= ord("a")) & ((codes | 32) <= ord("z"))))
    latin = letters[TextClass.LATIN] + letters[TextClass.LATIN_ACCENTED]
    others = letters.copy()
    others[[TextClass.LATIN, TextClass.LATIN_ACCENTED]] = 0
    if others.max(initial=0) > latin:
        return TextClass(int(others.argmax()))
    return TextClass.LATIN_ACCENTED if letters[TextClass.LATIN_ACCENTED] > ACCENTS_SHARE * max(1, latin) else TextClass.LATIN


@lru_cache(maxsize=256)
def ratio_of(kind: TextClass, tokenizer: str) -> Ratio:
    """Characters of one token in a class of texts: the median of the counted texts, and their range, at least 15 % either way."""
    found = [sample.characters / sample.tokens[tokenizer] for sample in counted_samples() if sample.text_class == kind.name.lower()]
    mid = median(found)
    return Ratio(mid=mid, low=min(min(found), mid * (1 - LEAST_RANGE)), high=max(max(found), mid * (1 + LEAST_RANGE)))


@lru_cache(maxsize=1)
def counted_samples() -> tuple[CountedSample, ...]:
    """The texts that were counted."""
    return read_facts(files("workloads") / "data" / "text_tokens.toml", "sample", CountedSample)


@lru_cache(maxsize=1)
def tokenizer_names() -> tuple[str, ...]:
    """The tokenizers that the texts were counted with."""
    return tuple(sorted(counted_samples()[0].tokens))


_FAMILIES = (
    (r"gpt-3\.5|gpt-4(?!o|\.)(-|$)|text-embedding", "cl100k_base"),
    (r"gpt-(4o|4\.|[5-9]|oss)|chatgpt-4o|^o[134](-|$)|phi-4-mini", "o200k_base"),
    (r"phi-4(-|$)", "cl100k_base"),
    (r"llama-?_?3(?![\db])|distill-llama", "llama3"),
    (r"qwen-?(2|2\.5|3)(-|:|$)|distill-qwen|qwq", "qwen2"),
    (r"deepseek-?(chat|reasoner|v3|v4|r1)(?!.*distill)", "deepseek"),
    (r"nemo(?!tron)|ministral|mistral-(small|medium)|pixtral|magistral|devstral", "mistral_tekken"),
    (r"mistral|mixtral|codestral", "mistral_v3"),
)
"""Which models count with which tokenizer, by their names; the first that fits. Others, as of Llama 4 and Qwen 3.5, are not known."""


def tokenizer_of(model: str) -> str | None:
    """The tokenizer of a model by its name, with or without its provider; None where its counts are not known here."""
    name = model.partition(":")[2] or model
    name = name.rpartition("/")[2].casefold()
    return next((tokenizer for pattern, tokenizer in _FAMILIES if re.search(pattern, name)), None)


def common_tokenizer(models: Iterable[str]) -> str:
    """The one tokenizer of all these models; '' where one of them is not known, or they differ."""
    found = {tokenizer_of(model) for model in models}
    return (found.pop() or "") if len(found) == 1 else ""


def relative_tokens(tokenizer: str, base: str, languages: Sequence[str] = (), *, code: bool = False) -> RelativeTokens:
    """Tokens of one tokenizer for one token of another, over the counted texts of some languages; English where none is named.

    code: the texts are programs and data instead. The range is that of the texts taken, at least 5 % either way.
    """
    wanted = {language.casefold()[:2] for language in languages} or {"en"}
    taken = [one for one in counted_samples() if (not one.language if code else one.language in wanted)]
    words = "programs and data" if code else ", ".join(sorted(wanted))
    if not taken:
        taken, words = [one for one in counted_samples() if one.language], "all counted languages"
    ratios = [one.tokens[tokenizer] / one.tokens[base] for one in taken]
    mid = median(ratios)
    apart = 0.0 if tokenizer == base else 0.05
    return RelativeTokens(
        factor=mid,
        low=min(*ratios, mid * (1 - apart)),
        high=max(*ratios, mid * (1 + apart)),
        tokenizer=tokenizer,
        base=base,
        basis=f"measured on {len(taken)} {'text' if len(taken) == 1 else 'texts'} ({words}), {taken[0].source.checked:%d %B %Y}",
    )


# ---- below: how ----

_BLOCKS: tuple[tuple[int, int], ...] = (
    (0x0000, 0),
    (0x00C0, TextClass.LATIN_ACCENTED),
    (0x0250, 0),
    (0x0300, TextClass.LATIN_ACCENTED),  # accents that follow their letter
    (0x0370, TextClass.GREEK),
    (0x0400, TextClass.CYRILLIC),
    (0x0530, TextClass.OTHER),
    (0x0590, TextClass.HEBREW),
    (0x0600, TextClass.ARABIC),
    (0x0780, TextClass.OTHER),
    (0x08A0, TextClass.ARABIC),
    (0x0900, TextClass.INDIC),
    (0x0E00, TextClass.SOUTHEAST_ASIAN),
    (0x0F00, TextClass.OTHER),
    (0x1000, TextClass.SOUTHEAST_ASIAN),
    (0x10A0, TextClass.OTHER),
    (0x1100, TextClass.KOREAN),
    (0x1200, TextClass.OTHER),
    (0x1780, TextClass.SOUTHEAST_ASIAN),
    (0x1800, TextClass.OTHER),
    (0x1E00, TextClass.LATIN_ACCENTED),
    (0x1F00, TextClass.GREEK),
    (0x2000, 0),
    (0x2E80, TextClass.CHINESE_JAPANESE),
    (0xA000, TextClass.OTHER),
    (0xAC00, TextClass.KOREAN),
    (0xD800, 0),
    (0xF900, TextClass.CHINESE_JAPANESE),
    (0xFB00, 0),
    (0xFB50, TextClass.ARABIC),
    (0xFE00, 0),
    (0xFE70, TextClass.ARABIC),
    (0xFF00, TextClass.CHINESE_JAPANESE),
    (0x10000, 0),
    (0x20000, TextClass.CHINESE_JAPANESE),
    (0x40000, 0),
)
"""Where in Unicode each script begins; 0 for what belongs to none."""
_STARTS = np.array([start for start, _ in _BLOCKS], dtype=np.uint32)
_CLASSES = np.array([int(kind) for _, kind in _BLOCKS], dtype=np.int64)
