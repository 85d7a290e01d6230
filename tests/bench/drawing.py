"""What drawing a token costs llama.cpp on this processor: its server's usual chain over the logits of real vocabularies.

A server draws for its sequences one after another, which speed tests leave out. The figure per entry is `draw_s` of the llama.cpp
parameters (capacity/data/efficiency_priors.toml). The models are two layers of random weights, and llama.cpp runs in a process of its own.
"""

from __future__ import annotations

import time

from probes import llamacpp
from tests.bench.small_model import after_prompt, each
from tests.bench.timing import Timing

MODELS = ("llama-2-7b", "llama-3.2-1b", "qwen3-0.6b")
DRAWS, ROUNDS = 200, 10
TOP_K, TOP_P, MIN_P, TEMPERATURE, SEED = 40, 0.95, 0.05, 0.8, 1
"""llama-server's defaults."""


def main() -> list[Timing]:
    """Draw from each vocabulary in turn."""
    if not llamacpp.installed():
        return [Timing(name="drawing: llama-cpp-python is not installed, nothing measured", seconds=(0.0,))]
    found = []
    for name, (entries, seconds) in each(MODELS, draws):
        timing = Timing(name="", seconds=seconds)
        cost = f"{1e9 * timing.median_s / entries:.2f} ns an entry"
        found.append(Timing(name=f"drawing one token of {entries:,} ({name}): {cost}", seconds=seconds))
    return found


def draws(path: str) -> tuple[int, tuple[float, ...]]:
    """(entries of the vocabulary, seconds per drawn token of each round) of a GGUF file after one short prompt."""
    import llama_cpp

    loaded, context = after_prompt(path, (1, 2, 3, 4), 256)
    entries = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(loaded))
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
