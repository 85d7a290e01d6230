"""Serving: what one replica gives at each number of requests in flight, closed loop and open loop, with an 80 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log

import numpy as np

from capacity.accelerators import Server
from capacity.footprint import Footprint, Numbers, footprint
from capacity.intervals import Interval, interval_class, interval_for
from capacity.memory import CACHE_BLOCK_TOKENS, MemoryFit, activation_bytes, fit, usable_bytes
from capacity.models import ModelSpec
from capacity.roofline import (
    Efficiency,
    Layout,
    Rates,
    cache_copies,
    decode_step_s,
    efficiency_for,
    engine_id,
    engine_kv_bits,
    prefill_s,
    prefill_work_s,
    rates,
)
from facts.errors import InputError
from facts.records import Basis
from facts.units import MS_PER_S

CROWD_SPREAD = 0.8
"""Scatter of the prompts met on the way to a first token, in roots of twice their mean: 1.3 of them at the 95th percentile, chosen over 256
loads followed request by request, of made-up step and prompt times."""
NORMAL_95 = 1.645
"""95th percentile of a normal distribution, in standard deviations."""
TTFT_TAIL = log(20.0)
"""95th percentile of an exponential wait over its mean, 3.0."""
TPOT_TAIL = 1.25
"""95th percentile of the time per token over its mean: steps that carry a prompt pass are longer."""


@dataclass(frozen=True, kw_only=True)
class Steady:
    """A server in steady state; seconds and per second, one number or one per case.

    in_flight: sequences served at once
    ttft_s: mean time to first token, with the wait for a slot and for other prompts
    ttft_p95_s: its 95th percentile
    tpot_s: mean time per following token
    requests_per_s: completed requests
    prompt_s: time of one prompt alone
    step_s: one generation step without prompt work
    shared_s: what one more prompt adds to a busy server
    pass_prompts: prompts that a pass of the engine takes, below 1 where a prompt takes several
    met: other prompts that a first token waits for, mean
    """

    in_flight: Numbers
    ttft_s: Numbers
    ttft_p95_s: Numbers
    tpot_s: Numbers
    requests_per_s: Numbers
    prompt_s: Numbers
    step_s: Numbers
    shared_s: Numbers
    pass_prompts: Numbers
    met: Numbers = 0.0


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """One replica at one number of requests in flight.

    concurrency: requests in flight
    ttft_ms: mean time to first token
    tpot_ms: mean time per following token
    ttft_p95_ms: of the 95th percentile
    tpot_p95_ms: of the 95th percentile
    input_tokens_per_s: prompt tokens
    output_tokens_per_s: generated tokens
    requests_per_s: completed requests
    low80: lower end of the 80 % interval of output_tokens_per_s
    high80: upper end
    """

    concurrency: int
    ttft_ms: float
    tpot_ms: float
    ttft_p95_ms: float
    tpot_p95_ms: float
    input_tokens_per_s: float
    output_tokens_per_s: float
    requests_per_s: float
    low80: float
    high80: float


@dataclass(frozen=True, kw_only=True)
class ServingCurve:
    """What one replica gives, point by point; empty points mean that it cannot serve, and the note says why.

    points: sorted by concurrency
    basis: how the numbers were come by
    engine: engine
    max_concurrency: requests of this size that fit at once; 0 when the model does not fit
    note: the memory sentence, and every doubt
    model_id: model
    quantization: precision
    device_id: accelerator
    gpus: devices of one replica's server
    layout: tensor- and pipeline-parallel split, as TP2 or TP4 PP2
    input_tokens: mean prompt, tokens
    output_tokens: mean answer, tokens
    interval_class: class of rows that the interval was taken from
    """

    points: tuple[Throughput, ...]
    basis: Basis
    engine: str
    max_concurrency: int
    note: str
    model_id: str
    quantization: str
    device_id: str
    gpus: int
    layout: str
    input_tokens: float
    output_tokens: float
    interval_class: str

    @property
    def saturated(self) -> Throughput | None:
        """The point of most requests per second, or None."""
        return max(self.points, key=lambda point: point.requests_per_s, default=None)


def serving_curve(
    model: ModelSpec,
    quantization: str,
    server: Server,
    *,
    engine: str = "vllm",
    input_tokens: float,
    output_tokens: float,
    efficiency: Efficiency | None = None,
    prefix_hit_share: float = 0.0,
) -> ServingCurve:
    """One server as one or more copies in their best TP x PP layout, at 1, 2, 4, ... requests in flight up to what memory holds.

    input_tokens and output_tokens are means per request; prefix_hit_share of the prompt is found in the cache and not computed.
    An `efficiency` from a probe replaces the fitted one and narrows the interval.
    """
    if input_tokens < 1 or output_tokens < 1:
        raise InputError(f"a request of {input_tokens:g} prompt and {output_tokens:g} answer tokens cannot be served; give at least 1 each")
    parameters = efficiency or efficiency_for(engine, server.accelerator)
    kv_bits = engine_kv_bits(engine)
    cost = footprint(model, quantization, kv_bits=kv_bits)
    memory = engine_fit(model, quantization, server, input_tokens + output_tokens, engine=engine, efficiency=parameters)
    name, kind = engine_id(engine), interval_class(cost, server, parameters, "serving")
    basis = Basis.CALIBRATED if parameters.basis is Basis.CALIBRATED else Basis.ESTIMATED

    def curve(points: tuple[Throughput, ...], limit: int, note: str, layout: str) -> ServingCurve:
        return ServingCurve(
            points=points,
            basis=basis,
            engine=name,
            max_concurrency=limit,
            note=note,
            model_id=model.id,
            quantization=quantization,
            device_id=server.accelerator.id,
            gpus=server.gpus,
            layout=layout,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            interval_class=kind,
        )

    if not memory.fits:
        return curve((), 0, memory.sentence, "none")
    device = rates(server.accelerator, cost.compute, parameters)
    load = RequestSize(input_tokens=input_tokens, output_tokens=output_tokens, cached_tokens=prefix_hit_share * input_tokens)
    layout, copies = best_layout(cost, server, device, parameters, load)
    cap = sequence_cap(cost, server, parameters, load, layout)
    interval = interval_for(kind)
    counts = _counts(max(1, floor(cap)))
    states = closed_loop(cost, device, parameters, load, concurrency=np.array(counts, dtype=np.float64), cap=cap, layout=layout)
    points = _points(states, counts, copies, load, interval)
    note = "; ".join([memory.sentence, *_doubts(device, parameters, name, server.gpus), *_kept(cost, parameters, load)])
    return curve(points, max(1, floor(cap)) * copies, note, layout_name(layout, copies))


def engine_fit(
    model: ModelSpec, quantization: str, server: Server, context_tokens: float, *, engine: str, efficiency: Efficiency | None = None
) -> MemoryFit:
    """Whether a model fits a server under an engine, which takes its own share of the memory and keeps its own kind of cache."""
    share = (efficiency or efficiency_for(engine, server.accelerator)).memory_share
    return fit(model, quantization, server, context_tokens, share, kv_bits=engine_kv_bits(engine))


@dataclass(frozen=True, kw_only=True)
class RequestSize:
    """A mean request.

    input_tokens: prompt
    output_tokens: answer
    cached_tokens: of the prompt, found in the prefix cache and not computed
    """

    input_tokens: Numbers
    output_tokens: Numbers
    cached_tokens: Numbers = 0.0

    @property
    def computed_tokens(self) -> Numbers:
        """Prompt tokens that have to be computed, at least one."""
        return np.maximum(self.input_tokens - self.cached_tokens, 1.0)

    @property
    def mean_context(self) -> Numbers:
        """Mean context of a generation step: the prompt and half the answer."""
        return self.input_tokens + self.output_tokens / 2.0


def closed_loop(
    cost: Footprint,
    device: Rates,
    efficiency: Efficiency,
    load: RequestSize,
    *,
    concurrency: Numbers,
    cap: Numbers,
    layout: Layout | None = None,
    static_batch: bool = False,
) -> Steady:
    """Continuous batching with a fixed number of requests in flight, whose answers differ in length.

    While one sequence gains its O tokens the engine also processes the B-1 other prompts, so a request takes
    t_own + (O-1) t_step + (B-1) t_prompt' with t_prompt' the prompt's marginal time inside shared passes, and t_own the larger of the
    prompt alone and t_prompt' beside a step of the others. A pass takes at most
    k = budget / I prompts, so a request takes no less than B (t_step / k + t_prompt'), and no more than k O sequences generate at once.

    v = (B-1)/O other requests end, and send their next prompt, in every step. A new prompt waits for the step under way,
    t_step + min(v, k) t_prompt', half of whose plain part is over where the way to the engine takes as long; then it shares its pass
    with v others: TTFT = that step + t_own + v t_prompt'. Above the memory cap the rest queues for a slot: (c/cap - 1) service
    times. requests/s = B / service time (Little).
    """
    layout = layout or Layout()
    in_flight = np.maximum(np.minimum(concurrency, np.maximum(cap, 1.0)), 1.0)
    outputs = np.maximum(load.output_tokens, 1.0)
    a_pass = efficiency.budget_tokens / load.computed_tokens
    generating = in_flight if static_batch else np.minimum(in_flight, np.maximum(a_pass * outputs, 1.0))
    step = decode_step_s(cost, device, efficiency, batch=generating, context_tokens=load.mean_context, layout=layout, drawn=True)
    alone, shared = prompt_times_s(cost, device, efficiency, load, layout, served=not static_batch)
    crowd: Numbers = 0.0
    if static_batch:
        first = alone + (in_flight - 1.0) * shared
        service = first + (outputs - 1.0) * step
    else:
        others, company = (in_flight - 1.0) / outputs, in_flight > 1.0
        own = np.where(company, np.maximum(alone, shared + step * np.maximum(1.0, 1.0 / a_pass)), alone)
        crowd = np.minimum(others, a_pass) + np.minimum(others, np.maximum(a_pass, 1.0))
        in_line = np.maximum(in_flight / a_pass - outputs, 0.0)  # steps, each with a full pass
        service = np.maximum(own + (outputs - 1.0) * step + (in_flight - 1.0) * shared, in_flight * (step / a_pass + shared))
        first = own + (step - 0.5 * np.minimum(step, efficiency.request_s)) * company + crowd * shared + in_line * (step + a_pass * shared)
        first = np.minimum(first, service - (outputs - 1.0) * step)  # no longer than all other prompts take, so no token beats its step
    outside = 0.0 if static_batch else efficiency.request_s
    service = service * efficiency.serving_factor + outside
    first = first * efficiency.serving_factor + outside
    first = np.minimum(first * efficiency.first_factor, np.maximum(first, 0.95 * service))
    tpot = np.where(outputs > 1.0, (service - first) / np.maximum(outputs - 1.0, 1.0), step)
    slot_wait = np.maximum(concurrency / np.maximum(cap, 1.0) - 1.0, 0.0) * service
    slower = efficiency.serving_factor * efficiency.first_factor
    scatter = CROWD_SPREAD * NORMAL_95 * np.sqrt(2.0 * crowd) * shared * slower
    return Steady(
        in_flight=in_flight,
        ttft_s=first + slot_wait,
        ttft_p95_s=first + scatter + TTFT_TAIL * slot_wait,
        tpot_s=tpot,
        requests_per_s=in_flight / service,
        prompt_s=alone * slower + outside,
        step_s=step * efficiency.serving_factor,
        shared_s=shared * slower,
        pass_prompts=a_pass,
        met=crowd,
    )


def open_loop(
    cost: Footprint,
    device: Rates,
    efficiency: Efficiency,
    load: RequestSize,
    *,
    rate_per_s: float,
    cap: float,
    layout: Layout | None = None,
) -> Steady:
    """Poisson arrivals at a rate: the smallest B with B / latency(B) = rate; at the cap the server is saturated.

    Prompts take rate x t_prompt of the time, so t_token = t_step(B) / (1 - rate t_prompt). A prompt waits as in M/D/1:
    rate s^2 / (2 (1 - rho)), and a request for a slot as in M/M/k with k = cap (Sakasegawa's approximation).
    """
    layout = layout or Layout()
    outputs = max(float(load.output_tokens), 1.0)
    alone, shared = (float(time) * efficiency.serving_factor for time in prompt_times_s(cost, device, efficiency, load, layout))
    busy = rate_per_s * shared
    saturated = closed_loop(cost, device, efficiency, load, concurrency=max(cap, 1.0), cap=cap, layout=layout)
    if busy >= 0.98 or rate_per_s >= float(saturated.requests_per_s):
        return saturated

    def tpot(batch: float) -> float:
        at_once = max(batch, 1.0)
        step = float(decode_step_s(cost, device, efficiency, batch=at_once, context_tokens=load.mean_context, layout=layout, drawn=True))
        return step * efficiency.serving_factor / (1.0 - busy)

    low, high = 0.0, max(cap, 1.0)
    for _ in range(40):  # in flight = rate x latency has one root below the knee: latency grows slower than the batch there
        middle = (low + high) / 2.0
        if rate_per_s * (alone + (outputs - 1.0) * tpot(middle)) > middle:
            low = middle
        else:
            high = middle
    per_token = tpot(high)
    service = alone + (outputs - 1.0) * per_token
    prompt_wait = rate_per_s * shared * max(alone, shared) / (2.0 * (1.0 - busy))
    slots = max(cap, 1.0)
    used = min(rate_per_s * service / slots, 0.999)
    slot_wait = used ** ((2.0 * (slots + 1.0)) ** 0.5 - 1.0) / (slots * (1.0 - used)) * service
    running_step = per_token / 2.0 * min(1.0, high)
    first = (alone + prompt_wait + slot_wait + running_step) * efficiency.first_factor
    return Steady(
        in_flight=high,
        ttft_s=first + efficiency.request_s,
        ttft_p95_s=first + (TTFT_TAIL - 1.0) * (prompt_wait + slot_wait) * efficiency.first_factor + efficiency.request_s,
        tpot_s=per_token,
        requests_per_s=rate_per_s,
        prompt_s=alone,
        step_s=per_token * (1.0 - busy),
        shared_s=shared,
        pass_prompts=efficiency.budget_tokens / load.computed_tokens,
    )


def marginal_prompt_s(cost: Footprint, device: Rates, efficiency: Efficiency, load: RequestSize, layout: Layout) -> Numbers:
    """What one more prompt adds to a busy server: its work, and its part of the passes it shares with other prompts."""
    passes = load.computed_tokens / efficiency.prefill_chunk
    work = prefill_work_s(
        cost,
        device,
        efficiency,
        tokens=load.computed_tokens,
        sequences=1.0,
        depth=load.cached_tokens,
        layout=layout,
        passes=passes,
    )
    fixed = passes * (cost.layers * efficiency.prefill_layer_s + efficiency.step_s)
    return (work + fixed) * efficiency.prefill_factor / layout.pipeline_parallel


def prompt_times_s(
    cost: Footprint, device: Rates, efficiency: Efficiency, load: RequestSize, layout: Layout, *, served: bool = True
) -> tuple[Numbers, Numbers]:
    """(a prompt alone, what one more adds to a busy server), seconds; `served`: each with keeping an ended request, where a server does."""
    kept = keeping_s(cost, efficiency, load) if served else 0.0
    alone = prefill_s(cost, device, efficiency, tokens=load.computed_tokens, depth=load.cached_tokens, layout=layout)
    return alone + kept, marginal_prompt_s(cost, device, efficiency, load, layout) + kept


def keeping_s(cost: Footprint, efficiency: Efficiency, load: RequestSize) -> Numbers:
    """What a server takes, per request, to copy an ended one's cache to the host's memory; its prompt and its answer are in it."""
    if not efficiency.kept_bytes_per_s:
        return 0.0
    return cost.sequence_kv_bytes(load.input_tokens + load.output_tokens) / efficiency.kept_bytes_per_s


def sequence_cap(cost: Footprint, server: Server, efficiency: Efficiency, load: RequestSize, layout: Layout) -> float:
    """Sequences in flight in one copy: what memory holds, at most the engine's limit; 0 if the weights do not fit.

    Engines that admit by what a request holds so far fill the memory at the mean context I + O/2; those that reserve the whole
    answer, at I + O.
    """
    devices = float(layout.devices)
    memory = kv_room_bytes(cost, Server(accelerator=server.accelerator, gpus=max(1, round(devices))), efficiency)
    if layout.attention_data_parallel:  # every device keeps its own attention and dense layers
        memory -= float((layout.tensor_parallel - 1.0) * cost.dense_bytes)
    tokens = load.input_tokens + load.output_tokens * (1.0 if efficiency.reserves_whole_answers else 0.5)
    context = float(np.ceil(np.asarray(tokens) / CACHE_BLOCK_TOKENS) * CACHE_BLOCK_TOKENS)
    per_sequence = float(np.maximum(cost.sequence_kv_bytes(context) * cache_copies(cost, layout), 1.0))
    return float(np.clip(memory / per_sequence, 0.0, efficiency.max_sequences))


def kv_room_bytes(cost: Footprint, server: Server, efficiency: Efficiency) -> float:
    """Memory that an engine leaves for the cache: its share of the whole less the weights, or its share of what the weights leave."""
    kept = float(cost.weights_bytes + activation_bytes(cost, server.gpus))
    if efficiency.memory_share_is_of_free:
        return efficiency.memory_share * (usable_bytes(server, 1.0) - kept)
    return usable_bytes(server, efficiency.memory_share) - kept


def best_layout(
    cost: Footprint, server: Server, device: Rates, efficiency: Efficiency, load: RequestSize, *, pipelines: bool = False
) -> tuple[Layout, int]:
    """The split of the server's devices with the most requests per second at saturation: TP x copies, and TP x PP x copies
    where pipelines are asked for or nothing else fits (a pipeline never shortens a single answer).
    """
    if not pipelines:
        plain = [(layout, copies) for layout, copies in layouts(server.gpus) if layout.pipeline_parallel == 1.0]
        found = _best_of(plain, cost, server, device, efficiency, load)
        if found is not None:
            return found
    return _best_of(layouts(server.gpus), cost, server, device, efficiency, load) or (Layout(tensor_parallel=float(server.gpus)), 1)


def _best_of(
    candidates: Sequence[tuple[Layout, int]], cost: Footprint, server: Server, device: Rates, efficiency: Efficiency, load: RequestSize
) -> tuple[Layout, int] | None:
    best: tuple[float, Layout, int] | None = None
    for layout, copies in candidates:
        cap = sequence_cap(cost, server, efficiency, load, layout)
        if cap < 1.0:
            continue
        rate = copies * float(closed_loop(cost, device, efficiency, load, concurrency=cap, cap=cap, layout=layout).requests_per_s)
        if best is None or rate > best[0] * 1.001:
            best = (rate, layout, copies)
    return None if best is None else (best[1], best[2])


def layouts(gpus: int) -> tuple[tuple[Layout, int], ...]:
    """Every TP x PP x copies with that many devices; tensor parallelism in powers of two up to 16."""
    found = []
    for tensor in (size for size in (1, 2, 4, 8, 16) if gpus % size == 0):
        for pipeline in (size for size in range(1, gpus // tensor + 1) if (gpus // tensor) % size == 0):
            found.append((Layout(tensor_parallel=float(tensor), pipeline_parallel=float(pipeline)), gpus // tensor // pipeline))
    return tuple(found)


def layout_name(layout: Layout, copies: int) -> str:
    """'TP4', 'TP2 PP2', '8 x TP1'."""
    name = f"TP{float(layout.tensor_parallel):.0f}" + (
        f" PP{float(layout.pipeline_parallel):.0f}" if layout.pipeline_parallel != 1.0 else ""
    )
    return f"{copies} x {name}" if copies > 1 else name


# --- parts -----------------------------------------------------------------------------------------------------------


def _points(states: Steady, counts: Sequence[int], copies: int, load: RequestSize, interval: Interval) -> tuple[Throughput, ...]:
    per_count = (states.requests_per_s, states.ttft_s, states.ttft_p95_s, states.tpot_s)
    columns = [np.broadcast_to(np.asarray(values, dtype=np.float64), (len(counts),)).tolist() for values in per_count]
    points = []
    for count, one, ttft, ttft_p95, tpot in zip(counts, *columns, strict=True):
        requests = one * copies
        output = requests * float(load.output_tokens)
        points.append(
            Throughput(
                concurrency=count * copies,
                ttft_ms=ttft * MS_PER_S,
                tpot_ms=tpot * MS_PER_S,
                ttft_p95_ms=ttft_p95 * MS_PER_S,
                tpot_p95_ms=tpot * TPOT_TAIL * MS_PER_S,
                input_tokens_per_s=requests * float(load.input_tokens),
                output_tokens_per_s=output,
                requests_per_s=requests,
                low80=output * interval.low,
                high80=output * interval.high,
            )
        )
    return tuple(points)


def _counts(cap: int) -> list[int]:
    counts = [2**power for power in range(cap.bit_length()) if 2**power <= cap]
    return counts if counts[-1] == cap else [*counts, cap]


def _kept(cost: Footprint, efficiency: Efficiency, load: RequestSize) -> list[str]:
    seconds = float(keeping_s(cost, efficiency, load))
    return (
        [f"keeping each ended request takes {MS_PER_S * seconds:,.0f} ms in which nobody is served; --cache-ram 0 turns it off"]
        if seconds
        else []
    )


def _doubts(device: Rates, efficiency: Efficiency, engine: str, gpus: int) -> list[str]:
    used = [field for field in device.assumed if field != "link_gb_per_s" or gpus > 1]
    doubts = [f"'{field}' is not on the sheet, a typical value is used" for field in used]
    if not efficiency.fitted and efficiency.basis is not Basis.CALIBRATED:
        doubts.append(f"no measured rows of {engine} on this kind of memory: engine parameters are priors")
    return doubts
