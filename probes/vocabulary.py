"""A made-up vocabulary for a file of random weights, so that llama-server can serve it: every byte is a token, the rest are words."""

from __future__ import annotations

from capacity.tensors import MetadataEntry
from facts.errors import InputError

BYTES = 256
NORMAL, CONTROL = 1, 3
"""llama.cpp's types of tokens."""
SMALLEST = BYTES + 3
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""A chat template that adds nothing to a prompt."""


def vocabulary(size: int) -> tuple[MetadataEntry, ...]:
    """Header keys of a byte-level vocabulary of `size` tokens: 256 bytes, one merged pair, words, an end that nothing is ever merged to.

    A prompt's tokens are then its bytes, which is what a probe asks for by `usage` and corrects; an answer's tokens are mostly words,
    so that each arrives as text of its own. InputError for fewer than 259 tokens.
    """
    if size < SMALLEST:
        raise InputError(f"a vocabulary of {size} tokens is too small to be served: {SMALLEST} hold every byte")
    merged = _letter(ord("t")) + _letter(ord("h"))
    words = (_letter(ord(" ")) + f"w{number}" for number in range(size - SMALLEST + 1))
    tokens = (*(_letter(byte) for byte in range(BYTES)), merged, *words, "<|end|>")
    kinds = (*(NORMAL,) * (size - 1), CONTROL)
    return (
        MetadataEntry(key="tokenizer.ggml.model", kind="string", value="gpt2"),
        MetadataEntry(key="tokenizer.ggml.pre", kind="string", value="default"),
        MetadataEntry(key="tokenizer.ggml.tokens", kind="strings", value=tokens),
        MetadataEntry(key="tokenizer.ggml.token_type", kind="int32s", value=kinds),
        MetadataEntry(key="tokenizer.ggml.merges", kind="strings", value=(f"{_letter(ord('t'))} {_letter(ord('h'))}",)),
        MetadataEntry(key="tokenizer.ggml.eos_token_id", kind="uint32", value=size - 1),
        MetadataEntry(key="tokenizer.ggml.add_bos_token", kind="bool", value=False),
        MetadataEntry(key="tokenizer.chat_template", kind="string", value=TEMPLATE),
    )


def _letter(byte: int) -> str:
    """The letter that stands for a byte in GPT-2's vocabulary: itself where it can be printed, else the next free one from 256 on."""
    return _LETTERS[byte]


def _letters() -> tuple[str, ...]:
    printed = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    hidden = [byte for byte in range(BYTES) if byte not in printed]
    moved = {byte: chr(BYTES + place) for place, byte in enumerate(hidden)}
    return tuple(moved.get(byte, chr(byte)) for byte in range(BYTES))


_LETTERS = _letters()
