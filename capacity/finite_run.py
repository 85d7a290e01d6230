"""A finite open-loop run, request by request: arrivals, prompts in passes, generation in between; what its client would have seen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from capacity.footprint import Footprint
from capacity.roofline import Efficiency, Layout, Rates, decode_step_s, prefill_s
from capacity.throughput import RequestSize, marginal_prompt_s

MOST_PROMPTS = 3000
"""Requests that are followed one by one; a longer run is taken as one of this length."""
ARRIVALS_SEED = 20_261_122
"""Order of the gaps between arrivals; their sizes are the quantiles of an exponential, so that runs differ in order alone."""


@dataclass(frozen=True, kw_only=True)
class FiniteRun:
    """What the client of a run saw; seconds, one number per request.

    ttft_s: time to first token
    tpot_s: mean time per following token
    e2e_s: time to the last token
    gap_s: gaps between tokens, one per stretch of equal gaps
    gap_tokens: how many tokens came with each of them
    last_s: when the last token of the run came, from the first arrival
    """

    ttft_s: NDArray[np.float64]
    tpot_s: NDArray[np.float64]
    e2e_s: NDArray[np.float64]
    gap_s: NDArray[np.float64]
    gap_tokens: NDArray[np.float64]
    last_s: float

    def gap_quantile_s(self, share: float) -> float:
        """The gap that this share of the tokens stays within."""
        order = np.argsort(self.gap_s)
        reached = np.cumsum(self.gap_tokens[order])
        place = int(np.searchsorted(reached, share * reached[-1]))
        return float(self.gap_s[order[min(place, len(order) - 1)]])


def finite_run(
    cost: Footprint,
    device: Rates,
    efficiency: Efficiency,
    load: RequestSize,
    *,
    rate_per_s: float,
    prompts: int,
    cap: float,
    layout: Layout,
) -> FiniteRun:
    """`prompts` requests of one size with Poisson arrivals at a rate (infinite: all at once) on one copy.

    Prompts go first, as many in a pass as the engine's token budget takes, and the answers under way gain one token per pass; between
    passes all answers advance together, one token per step of that many sequences. At most `cap` answers are under way, the rest waits
    in order. An arrival waits for the running step, half of one in the mean.
    """
    count = max(1, min(int(prompts), MOST_PROMPTS))
    most = max(1, min(int(cap), count))
    factor = efficiency.serving_factor
    batches = np.arange(1, most + 1, dtype=np.float64)
    steps = decode_step_s(cost, device, efficiency, batch=batches, context_tokens=load.mean_context, layout=layout)
    step = [0.0, *(np.broadcast_to(np.asarray(steps) * factor, batches.shape)).tolist()]
    work = float(marginal_prompt_s(cost, device, efficiency, load, layout)) * factor
    alone = float(prefill_s(cost, device, efficiency, tokens=load.computed_tokens, depth=load.cached_tokens, layout=layout)) * factor
    tokens = float(load.computed_tokens)
    passes = max(1, ceil(tokens / efficiency.prefill_chunk))
    together = max(1, int(efficiency.prefill_chunk // tokens))
    length = max(float(load.output_tokens) - 1.0, 0.0)
    arrivals = [0.0] * count if rate_per_s == inf else [gap / rate_per_s for gap in _unit_arrivals(count)]

    first, last, behind = [0.0] * count, [0.0] * count, [0.0] * count
    gap_s: list[float] = []
    gap_tokens: list[float] = []
    waiting: deque[int] = deque()
    under_way: deque[tuple[float, int]] = deque()  # (token count at which it ends, request): equal answers end in order
    now, gained, coming, done = 0.0, 0.0, 0, 0
    while done < count:
        while coming < count and arrivals[coming] <= now + 1e-12:
            waiting.append(coming)
            coming += 1
        running = len(under_way)
        if waiting and running < most:
            taken = [waiting.popleft() for _ in range(min(len(waiting), most - running, together))]
            took = max(alone, len(taken) * work) if running == 0 else len(taken) * work + passes * step[running]
            begun = now
            now += took
            if running:
                gained += passes
                gap_s.append(took / passes)
                gap_tokens.append(float(passes * running))
            for request in taken:
                first[request] = max(now, begun + alone)  # a pipeline takes more prompts at once, none of them sooner
                behind[request] = first[request] - now  # and its answer begins so much later
                under_way.append((gained + length, request))
        elif running:
            token = step[running]
            until_end = max(under_way[0][0] - gained, 0.0)
            until_next = (arrivals[coming] - now) / token + 0.5 if coming < count and running < most else inf
            advance = min(until_end, until_next)
            now += advance * token
            gained += advance
            gap_s.append(token)
            gap_tokens.append(advance * running)
        else:
            now = max(now, arrivals[coming])
        while under_way and under_way[0][0] <= gained + 1e-9:
            _, request = under_way.popleft()
            last[request] = now + behind[request]
            done += 1
    asked, told, ended = np.array(arrivals), np.array(first), np.array(last)
    ttft = (told - asked) * efficiency.first_factor + efficiency.request_s
    tpot = np.maximum(ended - told, 0.0) / max(length, 1.0) if length else np.full(count, step[1])
    return FiniteRun(
        ttft_s=ttft,
        tpot_s=tpot,
        e2e_s=ttft + tpot * length,
        gap_s=np.array(gap_s or [step[1]]),
        gap_tokens=np.maximum(np.array(gap_tokens or [1.0]), 1e-12),
        last_s=float(ended.max()) + efficiency.request_s,
    )


@lru_cache(maxsize=256)
def _unit_arrivals(count: int) -> tuple[float, ...]:
    """Arrival times of a run at one request a second, the first at 0."""
    shares = (np.arange(count - 1) + 0.5) / max(count - 1, 1)
    gaps = np.random.default_rng(ARRIVALS_SEED).permutation(-np.log1p(-shares))
    return (0.0, *np.cumsum(gaps).tolist())
