"""Why a reader might not believe a measurement, from its own numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from facts.units import BYTES_PER_GB, MS_PER_S
from probes import goodput, timing
from probes.environment import IDLE_LIMIT, OTHERS_LIMIT, STEAL_LIMIT, missing_instructions
from probes.measurement import (
    EndpointSettings,
    Environment,
    Figure,
    LevelResult,
    LlamaCppSettings,
    Measurement,
    RequestTiming,
    Status,
    TestResult,
)
from probes.stream import is_loopback
from probes.timing import Doubt

PROCESSOR_LIMIT = 0.90
"""Processor time over wall time x threads below which the threads had to wait for a core."""
DISTURBED_LIMIT = 0.2
"""Share of repetitions with a slow step above which a generation counts as disturbed."""
RATE_MISSED_SHARE = 0.05
LAG_LIMIT_MS = 10.0
ANSWERS_HELD = 10.0
"""An open loop is held for so many answers' length at least before its rate is read."""
LENGTH_MISSED_SHARE = 0.05
WORDLESS_TOLD = 0.05
"""Share of an answer's tokens without text that is told."""
CACHED_TOLD = 0.01
"""Share of the prompt tokens out of a cache up to which nothing is said: two prompts begin with the same letter."""
CACHED_SHARE = 0.05
"""Share of the prompt tokens out of a cache above which a level says nothing of the prompts themselves."""
CACHE_TIMES = 1.5
"""Weights up to so many times the last-level caches are partly read from there: three layers of a 7B, whose blocks are 1.1 times as
large as the caches, read prompts 22 % faster per layer than twelve or thirty-two did."""
OUTSIDE_SHARE, OUTSIDE_MS = 0.25, 10.0
"""With one request in flight, time to first token outside the engine above this share of it and this long is told."""
OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")


def with_doubts(measurement: Measurement) -> Measurement:
    """The measurement with its doubts written in; seal it afterwards."""
    found = doubts(measurement)
    texts = tuple(dict.fromkeys(doubt.text for doubt in found))
    blocking = tuple(dict.fromkeys(doubt.text for doubt in found if doubt.blocks))
    return measurement.model_copy(update={"doubts": texts, "verdict_doubts": blocking})


def doubts(measurement: Measurement) -> tuple[Doubt, ...]:
    """Everything that speaks against believing it, the strongest first."""
    found: list[Doubt] = []
    if measurement.kind == "llamacpp":
        found += list(_machine(measurement))
        found += [doubt for test in measurement.tests for doubt in _test(measurement, test)]
        found += list(_build(measurement))
    else:
        found += list(_endpoint(measurement))
    if measurement.status is not Status.COMPLETE:
        found.append(Doubt(text=f"{measurement.status.value}: {measurement.message or 'it did not come to its end'}"))
    return tuple(sorted(found, key=lambda doubt: not doubt.blocks))


# ---- below: how ----


def _machine(measurement: Measurement) -> Iterator[Doubt]:
    environment = measurement.environment
    yield from _others_before(environment)
    during = environment.during
    if during and during.others_share > OTHERS_LIMIT:
        text = f"other processes used {during.others_share:.0%} of the processors while it measured (limit {OTHERS_LIMIT:.0%})"
        yield Doubt(text=text, blocks=True)
    if environment.governor in ("powersave", "conservative"):
        yield Doubt(text=f"the frequency governor is '{environment.governor}': the processor may not reach its speed")


def _others_before(environment: Environment) -> Iterator[Doubt]:
    """What can be told of others without knowing the measured process: idle before the run, and time that the host took."""
    before, during = environment.before, environment.during
    if before and before.idle_share < IDLE_LIMIT:
        text = f"the machine was only {before.idle_share:.0%} idle before the run (limit {IDLE_LIMIT:.0%}): something else was running"
        yield Doubt(text=text, blocks=True)
    steal = max((part.steal_share for part in (before, during) if part), default=0.0)
    if steal > STEAL_LIMIT:
        yield Doubt(text=f"{steal:.1%} of the processor time was stolen by the host of this virtual machine", blocks=True)


def _test(measurement: Measurement, test: TestResult) -> Iterator[Doubt]:
    yield from timing.sample_doubts(test.name, test.samples_tokens_per_s)
    settings = measurement.settings
    assert isinstance(settings, LlamaCppSettings)
    n = len(test.samples_tokens_per_s)
    slow = sum(ratio > timing.STEP_LIMIT for ratio in test.slowest_over_median_step)
    if n and slow / n > DISTURBED_LIMIT:
        text = f"{test.name}: in {slow} of {n} repetitions a step took more than {timing.STEP_LIMIT:g} x the median: disturbed"
        yield Doubt(text=text, blocks=True)
    if test.processor_share and not settings.passive_wait and not _on_gpu(measurement):
        share = timing.median(test.processor_share)
        if share < PROCESSOR_LIMIT:
            had = f"its threads had a core for {share:.0%} of the time (limit {PROCESSOR_LIMIT:.0%})"
            text = f"{test.name}: {had}, the rest was taken away: rerun on an idle machine, or with passive waiting"
            yield Doubt(text=text, blocks=True)
    wanted = settings.prompt_tokens if test.n_prompt else settings.output_tokens
    if test.n_prompt + test.n_gen < wanted:
        name = f"pp{wanted}" if test.n_prompt else f"tg{wanted}"
        yield Doubt(text=f"{test.name}: shortened from {name} to fit {settings.seconds:g} s: give it more seconds for the whole length")


def _build(measurement: Measurement) -> Iterator[Doubt]:
    told = next((found for line in reversed(measurement.log) if (found := OFFLOADED.search(line))), None)
    partly = told is not None and int(told[1]) < int(told[2])
    missing = missing_instructions(measurement.engine_system_info, measurement.environment.cpu_flags)
    if missing and (partly or not _on_gpu(measurement)):  # nothing is computed on the processor otherwise
        text = f"understated build: the processor has {', '.join(missing)}, this llama.cpp was built without: build it on this machine"
        yield Doubt(text=text)
    if measurement.environment.gpus and not measurement.gpu_offload:
        name = measurement.environment.gpus[0].name
        yield Doubt(text=f"this machine has a {name}, this llama.cpp was built for the processor only: the accelerator was not measured")
    if told and partly and measurement.gpu_offload:
        yield Doubt(text=f"{told[1]} of {told[2]} layers were on the accelerator, the rest on the processor: a figure of both together")
    if measurement.engine_system_info and "OPENMP = 1" not in measurement.engine_system_info and not measurement.gpu_offload:
        yield Doubt(text="this llama.cpp starts its threads anew for each token (no OpenMP): small models read slower than in llama-bench")
    threads, usable = measurement.threads or 0, measurement.environment.usable_cores
    if threads > usable:
        yield Doubt(text=f"{threads} threads on {usable:g} usable processors: something else was running by construction", blocks=True)
    cache, weights = measurement.environment.cache_bytes or 0, measurement.weights_bytes or 0
    if 0 < weights < CACHE_TIMES * cache and not _on_gpu(measurement):
        fits = "fit" if weights < cache else "nearly fit"
        sizes = f"its weights ({weights / BYTES_PER_GB:.2f} GB) {fits} into the processor's caches ({cache / BYTES_PER_GB:.2f} GB)"
        yield Doubt(text=f"{sizes}: a model that does not reads slower than this one tells, so measure one before deciding for it")
    if (proxy := measurement.proxy) is not None:
        layers = f"{proxy.layers} of {proxy.layers_of_model} layers of {proxy.model_id}"
        yield Doubt(text=f"extrapolated: {layers} were measured, its figures are scaled by bytes and operations")
    if measurement.model_file and measurement.model_file.synthetic and "moe" in measurement.model_name.lower():
        yield Doubt(text="random routers spread tokens over experts otherwise than trained ones: read batched figures as a range")


def _endpoint(measurement: Measurement) -> Iterator[Doubt]:
    values = {figure.name: figure for figure in measurement.derived}
    if isinstance(measurement.settings, EndpointSettings) and is_loopback(measurement.settings.url):
        yield from _others_before(measurement.environment)  # the server is on this machine; what runs during it may be the server itself
    limit = measurement.client
    if limit is not None and limit.events_per_s <= 0:
        least = f"{limit.failed_events_per_s or 0:,.0f} events/s with a p99 of {limit.delay_p99_ms:.0f} ms"
        text = (
            f"the client's test of itself was late at its lightest load, {least}: something else was running here, so waits may be its own"
        )
        yield Doubt(text=text, blocks=True)
    for level in measurement.levels:
        errors = values.get(f"{level.name}.error_share")
        if errors and errors.value > 0:
            text = f"{level.name}: {errors.value:.1%} of {errors.samples} requests failed"
            yield Doubt(text=text, blocks=errors.value > 0.01)
        lag = values.get(f"{level.name}.client_lag.p50")
        if lag and lag.value > LAG_LIMIT_MS:
            text = f"{level.name}: requests left {lag.value:.0f} ms late (median, limit {LAG_LIMIT_MS:g} ms): the client is the bottleneck"
            yield Doubt(text=text, blocks=True)
        yield from _client(measurement, level)
        yield from _few_answers(level, measurement.settings.output_tokens)
        good = [request for request in level.requests if request.ok]
        cached = sum(request.cached_input_tokens or 0 for request in good)
        if cached:
            share = cached / max(1, cached, sum(request.input_tokens or 0 for request in good))
        if cached and share > CACHED_TOLD:
            text = f"{level.name}: {cached:,} prompt tokens ({share:.0%}) came from the server's cache, so TTFT reads low"
            yield Doubt(text=text, blocks=share > CACHED_SHARE)  # a template's own beginning is the same in every prompt
        yield from _outside(level, values)
        if good and any(request.output_tokens is None for request in good):
            yield Doubt(text=f"{level.name}: the server sent no usage; every event with text was counted as one token")
        yield from _lengths(measurement, level.name, good)
        wordless, tokens = sum(request.wordless_tokens or 0 for request in good), sum(request.tokens for request in good)
        if wordless > WORDLESS_TOLD * tokens:
            text = f"{level.name}: {wordless / tokens:.0%} of the tokens came without text, as from random weights: they count"
            yield Doubt(text=text)
        achieved = values.get(f"{level.name}.request_rate")
        if (short := _too_short(level, good)) is not None:
            yield short
        elif level.rate_per_s and achieved and (due := _due_per_s(level)) and _missed(achieved.value, due, level):
            yield Doubt(
                text=f"{level.name}: {achieved.value:.2f} requests/s were done of {due:.2f} that were due: above what the server carries"
            )
        counted = len(goodput.counted(level))
        if isinstance(measurement.settings, EndpointSettings) and measurement.settings.has_limits and counted < goodput.LEAST_COUNTED:
            few = f"{counted} requests counted, {goodput.LEAST_COUNTED} are needed to tell a share of good ones: hold it longer"
            yield Doubt(text=f"{level.name}: {few}")
        if level.stopped_because:
            yield Doubt(text=f"{level.name}: {level.stopped_because}")


def _outside(level: LevelResult, values: dict[str, Figure]) -> Iterator[Doubt]:
    """Whether a request that meets no other waits long before or after the engine's own work on it."""
    outside, whole = values.get(f"{level.name}.outside_engine.p50"), values.get(f"{level.name}.ttft.p50")
    if level.concurrency != 1 or outside is None or whole is None:
        return
    if outside.value > max(OUTSIDE_MS, OUTSIDE_SHARE * whole.value):
        of_it = f"{outside.value:.0f} of the {whole.value:.0f} ms to the first token (medians)"
        yield Doubt(text=f"{level.name}: {of_it} pass outside the engine: tokenising, a proxy, the network, or a slot that is not free")


def _whole_s(request: RequestTiming, output_tokens: int) -> float:
    """Time of a whole answer; of one whose length was its own, as if it had been `output_tokens` long."""
    whole = request.done_s - request.sent_s
    if request.wanted_output_tokens is None or request.tpot_s is None:
        return whole
    return whole + (output_tokens - request.wanted_output_tokens) * request.tpot_s


def _few_answers(level: LevelResult, output_tokens: int) -> Iterator[Doubt]:
    """A held load whose answers are too few or too uneven for a median: those that left inside, each as if `output_tokens` long."""
    start, end = level.window_s
    held = [request for request in level.requests if request.ok and start <= request.sent_s <= end]
    if not level.concurrency or not held:
        return
    whole_ms = [_whole_s(request, output_tokens) * MS_PER_S for request in held]
    if len(held) == 1:
        yield Doubt(text=f"{level.name}: one request was counted: hold it longer", blocks=True)
    elif (around := timing.median_interval(whole_ms)).half_width_share > timing.VERDICT_SHARE:
        ends = f"{around.low:.0f} to {around.high:.0f} ms over {len(held)} requests"
        text = f"{level.name}: the 95 % interval of the median time of a whole answer, {ends}, is wider than +-{timing.VERDICT_SHARE:.0%}"
        yield Doubt(text=f"{text}: hold it longer", blocks=True)


def _due_per_s(level: LevelResult) -> float:
    """Requests a second that were due inside the window: an open loop's own draw, not its mean."""
    span = level.window_s[1] - level.window_s[0]
    return len(goodput.counted(level)) / span if span > 0 else 0.0


def _missed(done_per_s: float, due_per_s: float, level: LevelResult) -> bool:
    """Whether fewer ended than were due by more than 5 % and more than chance: twice the root of their number."""
    span = level.window_s[1] - level.window_s[0]
    missing = (due_per_s - done_per_s) * span
    return missing > RATE_MISSED_SHARE * due_per_s * span and missing > 2.0 * (due_per_s * span) ** 0.5


def _too_short(level: LevelResult, good: list[RequestTiming]) -> Doubt | None:
    """An open loop held for few answers' length: until the first are done fewer end than begin, whatever the server carries."""
    if not level.rate_per_s or not good:
        return None
    whole_s = timing.median([request.done_s - request.sent_s for request in good])
    held_s = level.window_s[1] - level.window_s[0]
    if held_s >= ANSWERS_HELD * whole_s:
        return None
    text = (
        f"{level.name}: held for {held_s:.1f} s, an answer takes {whole_s:.1f} s: its rate reads low; hold it {ANSWERS_HELD:g} answers long"
    )
    return Doubt(text=text)


def _client(measurement: Measurement, level: LevelResult) -> Iterator[Doubt]:
    """Whether more events came than this client was found to read in time."""
    start, end = level.window_s
    limit = measurement.client
    if limit is None or limit.events_per_s <= 0 or end <= start:
        return
    events = sum(start <= stamp <= end for request in level.requests for stamp in request.content_s) / (end - start)
    most = limit.events_per_s * level.processes
    if events > most:
        text = f"{level.name}: {events:,.0f} events/s came, this client reads {most:,.0f} in time: the client is the bottleneck"
        yield Doubt(text=text, blocks=True)


def _lengths(measurement: Measurement, name: str, good: list[RequestTiming]) -> Iterator[Doubt]:
    lengths = [(request.output_tokens, request.wanted_output_tokens or measurement.settings.output_tokens) for request in good]
    counted = [(length, wanted) for length, wanted in lengths if length is not None]
    short = sum(length < wanted * (1.0 - LENGTH_MISSED_SHARE) for length, wanted in counted)
    if short:
        wanted = f"{counted[0][1]} tokens" if len({wanted for _, wanted in counted}) == 1 else "length"
        share = f"{LENGTH_MISSED_SHARE:.0%}"
        yield Doubt(text=f"{name}: {short} of {len(counted)} answers were more than {share} shorter than the {wanted} asked for")


def _on_gpu(measurement: Measurement) -> bool:
    settings = measurement.settings
    return measurement.gpu_offload and isinstance(settings, LlamaCppSettings) and settings.gpu_layers != 0
