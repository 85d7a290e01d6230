"""Tokenizers that lie on this machine: those of OpenAI's models, in the wheel of the extra `tokens`; nothing is fetched."""

from __future__ import annotations

from collections.abc import Callable

PIECE = 100_000
"""Characters counted at once: the library refuses more than 200,000 tokens; a cut costs a token at most."""
INSTALLED = ("cl100k_base", "o200k_base")
"""Tokenizers that the library carries inside."""


def exact_tokenizer(name: str) -> Callable[[str], int] | None:
    """What counts a text's tokens, or None where this machine has not that tokenizer (or the extra `tokens` is not installed)."""
    if name not in INSTALLED:
        return None
    try:
        import bpe_openai
    except ImportError:
        return None
    encoding = bpe_openai.get_encoding(name)

    def count(text: str) -> int:
        plain = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
        return sum(len(encoding.encode_ordinary(plain[start : start + PIECE])) for start in range(0, len(plain), PIECE))

    return count
