"""What the child process of a GGUF file's tokenizer does: texts in, counts out. A file that llama.cpp aborts on ends only this process."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import BinaryIO

LENGTH = struct.Struct("<q")
"""Before each text its bytes, after each its tokens; -1 first where there is no tokenizer, with the reason behind it."""


def main() -> int:
    """Answer on standard output until standard input ends; 2 where the file cannot be used."""
    given, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what llama.cpp prints itself is no answer
    try:
        count = Vocabulary(sys.argv[1])
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).encode()
        answers.write(LENGTH.pack(-1) + LENGTH.pack(len(reason)) + reason)
        answers.flush()
        return 2
    answers.write(LENGTH.pack(0))
    answers.flush()
    while head := given.read(LENGTH.size):
        answers.write(LENGTH.pack(count(_read(given, LENGTH.unpack(head)[0]))))
        answers.flush()
    return 0


class Vocabulary:
    """The tokenizer of a GGUF file, its weights left where they are: counts the tokens of a text in UTF-8, special ones left out."""

    def __init__(self, path: str) -> None:
        from llama_cpp import llama_cpp as lib

        self.lib = lib
        lib.llama_backend_init()
        params = lib.llama_model_default_params()
        params.vocab_only = True
        self.model = lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self.model:
            raise RuntimeError("llama.cpp cannot read it")
        self.vocabulary = lib.llama_model_get_vocab(self.model)

    def __call__(self, text: bytes) -> int:
        """Its tokens."""
        room = (ctypes.c_int32 * max(1, len(text)))()
        return int(self.lib.llama_tokenize(self.vocabulary, text, len(text), room, len(text), False, False))


def _read(stream: BinaryIO, size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError("a text was cut off")
    return found


if __name__ == "__main__":
    sys.exit(main())
