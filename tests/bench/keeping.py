"""What keeping an ended request costs llama.cpp on this processor: its server copies a slot's cache aside before the next request.

llama-server does that since October 2025 (`--cache-ram`, 8 GiB by default), between two passes, while every other answer waits. The
bytes a second are `kept_bytes_per_s` of the llama.cpp parameters (capacity/data/efficiency_priors.toml). As the server does it: new
memory for every copy, written with zeros, then filled, and the oldest given back once they are many. The models are two layers of random
weights, and llama.cpp runs in a process of its own. With an accelerator the copy over its link comes on top.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import tempfile
import time
from collections import deque
from pathlib import Path

from capacity.models import model
from capacity.tensors import tensor_plan
from probes import llamacpp
from probes.proxy import proxy_shape
from probes.synthetic import synthesize
from tests.bench.drawing import silent
from tests.bench.timing import Timing

MODELS = ("llama-2-7b", "llama-3.1-8b")
LAYERS, TOKENS, ROUNDS = 2, 2048, 20
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
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as child:
        for name in MODELS:
            path = synthesize(tensor_plan(proxy_shape(model(name), LAYERS), "q4_k_m"), Path(folder)).path
            size, seconds = child.apply(copies, (str(path),))
            rate = size / Timing(name="", seconds=seconds).median_s / 1e9
            title = f"keeping {size / 1e6:.0f} MB of cache, {TOKENS:,} tokens in {LAYERS} layers of {name}: {rate:.2f} GB/s"
            found.append(Timing(name=title, seconds=seconds))
    return found


def copies(path: str) -> tuple[int, tuple[float, ...]]:
    """(bytes of a sequence's cache, seconds of each copy) of a GGUF file after one prompt."""
    import llama_cpp

    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    loaded = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = settings.n_batch = TOKENS
    context = llama_cpp.llama_init_from_model(loaded, settings)
    prompt = (ctypes.c_int32 * TOKENS)(*(1 + place % 1000 for place in range(TOKENS)))
    if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(prompt, TOKENS)) != 0:
        raise RuntimeError(f"{path} read no prompt")
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
