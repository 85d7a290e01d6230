"""A finite run, request by request: arrivals, prompts in passes, generation in between; what its client would have seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from heapq import heapify, heappop, heappush
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from capacity.footprint import Footprint
from capacity.roofline import Efficiency, Layout, Rates, decode_step_s
from capacity.throughput import RequestSize, prompt_times_s

MOST_PROMPTS = 3000
"""Requests that are followed one by one; a longer run is taken as one of this length."""
ARRIVALS_SEED = 20_261_122
"""Order of the gaps between arrivals; their sizes are the quantiles of an exponential, so that runs differ in order alone."""
ONE_BEHIND_ANOTHER = 0.1
"""Of a request's time outside the device, how far apart requests reach it that leave at once."""
LEAST_OF_PASS = 0.25
"""Of a pass's tokens, those that are left to prompts however many answers are under way."""


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


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One copy of a server as a run sees it; seconds.

    step_s: a generation step by the number of answers under way; the first entry is of none
    prompt_s: what a prompt adds to the passes that it takes part in
    alone_s: a prompt on an idle server
    prompt_tokens: its length
    pass_tokens: tokens that a pass takes, prompts and answers together
    outside_s: a request's time outside the device
    """

    step_s: Sequence[float]
    prompt_s: float
    alone_s: float
    prompt_tokens: float
    pass_tokens: float
    outside_s: float = 0.0


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
    """`prompts` requests of one size with Poisson arrivals at a rate (infinite: all at once) on one copy, at most `cap` under way."""
    count = max(1, min(int(prompts), MOST_PROMPTS))
    most = max(1, min(int(cap), count))
    arrivals = [0.0] * count if rate_per_s == inf else [gap / rate_per_s for gap in _unit_arrivals(count)]
    engine = engine_of(cost, device, efficiency, load, most=most, layout=layout)
    run = follow(engine, [max(float(load.output_tokens), 1.0)] * count, most=most, arrivals=arrivals)
    later = (run.ttft_s - engine.outside_s) * (efficiency.first_factor - 1.0)
    return replace(run, ttft_s=run.ttft_s + later, e2e_s=run.e2e_s + later)


def engine_of(cost: Footprint, device: Rates, efficiency: Efficiency, load: RequestSize, *, most: int, layout: Layout) -> Engine:
    """One copy as the formulas estimate it, up to `most` answers under way."""
    factor, batches = efficiency.serving_factor, np.arange(1, most + 1, dtype=np.float64)
    alone, shared = prompt_times_s(cost, device, efficiency, load, layout)
    steps = decode_step_s(cost, device, efficiency, batch=batches, context_tokens=load.mean_context, layout=layout, drawn=True)
    return Engine(
        step_s=[0.0, *(np.broadcast_to(np.asarray(steps) * factor, batches.shape)).tolist()],
        prompt_s=float(shared) * factor,
        alone_s=float(alone) * factor,
        prompt_tokens=float(load.computed_tokens),
        pass_tokens=float(efficiency.budget_tokens),
        outside_s=efficiency.request_s,
    )


def follow(
    engine: Engine, lengths: Sequence[float], *, most: int, arrivals: Sequence[float] = (), in_flight: int | None = None
) -> FiniteRun:
    """Answers of these lengths on an engine with `most` at once: at these times, or each when one of `in_flight` has ended.

    Prompts go first, as many tokens in a pass as the engine's budget leaves, while every answer under way gains one token; between
    passes all answers advance together, one token per step of that many sequences. What does not fit waits in order. An arrival waits
    for the running step: half of one in the mean, the whole where an answer's end brings the next request.
    """
    count, step = len(lengths), engine.step_s
    passes = max(1, ceil(engine.prompt_tokens / engine.pass_tokens))
    least_s = engine.alone_s / passes
    apart_s, least_tokens = engine.outside_s * ONE_BEHIND_ANOTHER, engine.pass_tokens * LEAST_OF_PASS
    asked, first, last, behind = [0.0] * count, [0.0] * count, [0.0] * count, [0.0] * count
    due: list[tuple[float, int]]
    if in_flight is None:
        due = list(zip(arrivals, range(count), strict=True))
        asked[:] = arrivals
    else:
        due = [(number * apart_s, number) for number in range(min(in_flight, count))]
    heapify(due)
    coming = len(due)
    gap_s: list[float] = []
    gap_tokens: list[float] = []
    waiting: deque[int] = deque()
    begun: dict[int, float] = {}
    left = engine.prompt_tokens  # tokens of the first prompt in line that are still to be read
    under_way: list[tuple[float, int]] = []  # (token count at which it ends, request)
    now, gained, done = 0.0, 0.0, 0
    while done < count:
        while due and due[0][0] <= now + 1e-12:
            waiting.append(heappop(due)[1])
        running = len(under_way)
        if waiting and running < most:
            room, read, start = max(engine.pass_tokens - running, least_tokens), 0.0, now
            taken: list[int] = []
            while waiting and running + len(taken) < most and room > 0.0:
                begun.setdefault(waiting[0], start)
                part = min(left, room)
                read, room, left = read + part, room - part, left - part
                if left <= 1e-9:
                    taken.append(waiting.popleft())
                    left = engine.prompt_tokens
            took = read / engine.prompt_tokens * engine.prompt_s
            took = took + step[running] if running else max(took, least_s)
            now += took
            if running:
                gained += 1.0
                gap_s.append(took)
                gap_tokens.append(float(running))
            for request in taken:
                first[request] = max(now, begun[request] + engine.alone_s)  # a pipeline takes more prompts at once, none of them sooner
                behind[request] = first[request] - now  # and its answer begins so much later
                heappush(under_way, (gained + lengths[request] - 1.0, request))
        elif running:
            token = step[running]
            until_end = max(under_way[0][0] - gained, 0.0)
            until_next = inf
            if due and running < most:
                until_next = (due[0][0] - now) / token
                until_next = until_next + 0.5 if in_flight is None else max(1.0, ceil(until_next - 1e-9))
            advance = min(until_end, until_next)
            now += advance * token
            gained += advance
            gap_s.append(token)
            gap_tokens.append(advance * running)
        else:
            now = max(now, due[0][0])
        ended = 0
        while under_way and under_way[0][0] <= gained + 1e-9:
            _, request = heappop(under_way)
            last[request] = now + behind[request]
            done += 1
            if in_flight is not None and coming < count:
                asked[coming] = now + engine.outside_s
                heappush(due, (asked[coming] + ended * apart_s, coming))
                coming, ended = coming + 1, ended + 1
    told, ends, tokens = np.array(first), np.array(last), np.array(lengths) - 1.0
    ttft = told - np.array(asked) + engine.outside_s
    tpot = np.where(tokens > 0.0, np.maximum(ends - told, 0.0) / np.maximum(tokens, 1.0), step[1])
    return FiniteRun(
        ttft_s=ttft,
        tpot_s=tpot,
        e2e_s=ttft + tpot * tokens,
        gap_s=np.array(gap_s or [step[1]]),
        gap_tokens=np.maximum(np.array(gap_tokens or [0.0]), 1e-12),
        last_s=float(ends.max()) + engine.outside_s,
    )


# --- parts -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _unit_arrivals(count: int) -> tuple[float, ...]:
    """Arrival times of a run at one request a second, the first at 0."""
    shares = (np.arange(count - 1) + 0.5) / max(count - 1, 1)
    gaps = np.random.default_rng(ARRIVALS_SEED).permutation(-np.log1p(-shares))
    return (0.0, *np.cumsum(gaps).tolist())
