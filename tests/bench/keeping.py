"""What keeping an ended request costs llama.cpp on this processor: its server copies a slot's cache aside before the next request.

llama-server does that since October 2025 (`--cache-ram`, 8 GiB by default), between two passes, while every other answer waits. The
bytes a second are `kept_bytes_per_s` of the llama.cpp parameters (capacity/data/efficiency_priors.toml). As the server does it: new
memory for every copy, written with zeros, then filled, and the oldest given back once they are many. The models are two layers of random
weights, and llama.cpp runs in a process of its own. With an accelerator the copy over its link comes on top.
"""

from __future__ import annotations

import ctypes
import time
from collections import deque

from probes import llamacpp
from tests.bench.small_model import LAYERS, after_prompt, each
from tests.bench.timing import Timing

MODELS = ("llama-2-7b", "llama-3.1-8b")
TOKENS, ROUNDS = 2048, 20
KEPT = 8
"""Copies that are held at once."""
LIBC = ctypes.CDLL(None)
"""Plain memory as a C++ vector takes it: numpy asks for huge pages, which come twice as fast."""
LIBC.malloc.restype, LIBC.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
LIBC.memset.restype, LIBC.memset.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
LIBC.free.restype, LIBC.free.argtypes = None, [ctypes.c_void_p]


def main() -> list[Timing]:
    """Keep the cache of each model in turn."""
    if not llamacpp.installed():
        return [Timing(name="keeping: llama-cpp-python is not installed, nothing measured", seconds=(0.0,))]
    found = []
    for name, (size, seconds) in each(MODELS, copies):
        rate = size / Timing(name="", seconds=seconds).median_s / 1e9
        title = f"keeping {size / 1e6:.0f} MB of cache, {TOKENS:,} tokens in {LAYERS} layers of {name}: {rate:.2f} GB/s"
        found.append(Timing(name=title, seconds=seconds))
    return found


def copies(path: str) -> tuple[int, tuple[float, ...]]:
    """(bytes of a sequence's cache, seconds of each copy) of a GGUF file after one prompt."""
    import llama_cpp

    _, context = after_prompt(path, [1 + place % 1000 for place in range(TOKENS)], TOKENS)
    size = int(llama_cpp.llama_state_seq_get_size(context, 0))
    held: deque[int] = deque()
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        if len(held) == KEPT:
            LIBC.free(held.popleft())
        room = LIBC.malloc(size)
        LIBC.memset(room, 0, size)
        written = llama_cpp.llama_state_seq_get_data(context, ctypes.cast(room, ctypes.POINTER(ctypes.c_uint8)), size, 0)
        seconds.append(time.perf_counter() - start)
        held.append(room)
        if written != size:
            raise RuntimeError(f"{written} of {size} bytes were kept")
    return size, tuple(seconds)
