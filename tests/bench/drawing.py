"""What drawing a token costs llama.cpp on this processor: its server's usual chain over the logits of real vocabularies.

A server draws for its sequences one after another, which speed tests leave out. The figure per entry is `draw_s` of the llama.cpp
parameters (capacity/data/efficiency_priors.toml). The models are two layers of random weights, and llama.cpp runs in a process of its own.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import tempfile
import time
from pathlib import Path

from capacity.models import model
from capacity.tensors import tensor_plan
from probes import llamacpp
from probes.proxy import proxy_shape
from probes.synthetic import synthesize
from tests.bench.timing import Timing

MODELS = ("llama-2-7b", "llama-3.2-1b", "qwen3-0.6b")
LAYERS, DRAWS, ROUNDS = 2, 200, 10
TOP_K, TOP_P, MIN_P, TEMPERATURE, SEED = 40, 0.95, 0.05, 0.8, 1
"""llama-server's defaults."""


def main() -> list[Timing]:
    """Draw from each vocabulary in turn."""
    if not llamacpp.installed():
        return [Timing(name="drawing: llama-cpp-python is not installed, nothing measured", seconds=(0.0,))]
    found = []
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as child:
        for name in MODELS:
            path = synthesize(tensor_plan(proxy_shape(model(name), LAYERS), "q4_k_m"), Path(folder)).path
            entries, seconds = child.apply(draws, (str(path),))
            timing = Timing(name="", seconds=seconds)
            each = f"{1e9 * timing.median_s / entries:.2f} ns an entry"
            found.append(Timing(name=f"drawing one token of {entries:,} ({name}): {each}", seconds=seconds))
    return found


def draws(path: str) -> tuple[int, tuple[float, ...]]:
    """(entries of the vocabulary, seconds per drawn token of each round) of a GGUF file after one short prompt."""
    import llama_cpp

    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    loaded = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx, settings.n_batch = 256, 64
    context = llama_cpp.llama_init_from_model(loaded, settings)
    entries = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(loaded))
    prompt = (ctypes.c_int32 * 4)(1, 2, 3, 4)
    if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(prompt, len(prompt))) != 0:
        raise RuntimeError(f"{path} read no prompt")
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for part in (
        llama_cpp.llama_sampler_init_top_k(TOP_K),
        llama_cpp.llama_sampler_init_top_p(TOP_P, 1),
        llama_cpp.llama_sampler_init_min_p(MIN_P, 1),
        llama_cpp.llama_sampler_init_temp(TEMPERATURE),
        llama_cpp.llama_sampler_init_dist(SEED),
    ):
        llama_cpp.llama_sampler_chain_add(chain, part)
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(DRAWS):
            llama_cpp.llama_sampler_sample(chain, context, -1)
        seconds.append((time.perf_counter() - start) / DRAWS)
    return entries, tuple(seconds)


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def silent(_level: int, _text: bytes, _data: int) -> None:
    return None
