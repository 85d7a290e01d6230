"""Tokenizers that lie on this machine: those of OpenAI's models, in the wheel of the extra `tokens`, and any GGUF file's own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from facts.errors import InputError
from workloads.token_child import LENGTH

PIECE = 100_000
"""Characters counted at once: the library refuses more than 200,000 tokens; a cut costs a token at most."""
INSTALLED = ("cl100k_base", "o200k_base")
"""Tokenizers that the library carries inside."""
STOP_S = 5.0
ROOT = Path(__file__).resolve().parents[1]


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


class GgufTokenizer:
    """Counts with a GGUF file's own tokenizer, by llama.cpp in a child process that ends with this object.

    InputError where there is no such file, llama-cpp-python is not installed, or the file holds no tokenizer.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"no such file: {path}")
        self.path, self._lock = path, threading.Lock()
        self._child = subprocess.Popen(  # noqa: S603 - this program's own child
            [sys.executable, "-m", "workloads.token_child", str(path.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        if self._number() != 0:
            reason = self._bytes(self._number()).decode()
            self.close()
            raise InputError(f"{path} cannot count tokens here: {reason}")

    def __call__(self, text: str) -> int:
        """Tokens of a text, special ones left out; the pieces of a long one are counted apart."""
        return sum(self._count(text[start : start + PIECE]) for start in range(0, len(text), PIECE))

    def close(self) -> None:
        """End the child."""
        if self._child.stdin is not None and not self._child.stdin.closed:
            with suppress(BrokenPipeError):
                self._child.stdin.close()
        try:
            self._child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def __del__(self) -> None:
        if hasattr(self, "_child"):
            self.close()

    def _count(self, text: str) -> int:
        plain = text.encode("utf-8", "replace")
        with self._lock:
            assert self._child.stdin is not None
            try:
                self._child.stdin.write(LENGTH.pack(len(plain)) + plain)
                self._child.stdin.flush()
            except (BrokenPipeError, ValueError):  # it has ended, or was closed
                raise self._ended() from None
            return self._number()

    def _number(self) -> int:
        return int(LENGTH.unpack(self._bytes(LENGTH.size))[0])

    def _bytes(self, size: int) -> bytes:
        assert self._child.stdout is not None
        found = self._child.stdout.read(size)
        if len(found) < size:
            raise self._ended()
        return found

    def _ended(self) -> InputError:
        return InputError(f"the tokenizer of {self.path} ended by itself: the file holds no vocabulary that llama.cpp can count with")
