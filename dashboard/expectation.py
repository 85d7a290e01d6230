"""What a spec sheet lets one expect of this machine, before and beside a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capacity.accelerators import Accelerator, Server, accelerator, find_accelerator
from capacity.calibration import ProbePoint, efficiency_from_probes
from capacity.footprint import Footprint
from capacity.memory import fit
from capacity.models import ModelSpec
from capacity.roofline import efficiency_for
from dashboard import format as fmt
from facts.errors import InputError
from facts.units import BYTES_PER_GIB
from probes.ledger import cost_of, predicted_tokens_per_s, probe_point
from probes.measurement import Environment, LlamaCppSettings, Measurement, TestResult
from probes.progress import Repetition
from workloads.demand import Workload

ENGINE = "llama.cpp"
PROMPT_TOKENS, ANSWER_TOKENS = 512, 128
SMALL_CPU, LARGE_CPU = "cpu-laptop-ddr5-5600-1ch", "cpu-desktop-ddr5-5600-2ch"
SMALL_CORES = 4
CONTEXT_STEP = 256
FILLING_SHARE = 1 / 16
"""Of the time to measure, at most, that filling a context once is expected to take: the prompt and the answer test at it have a quarter of
the time each and fill it once each, and the expectation may be twice too fast."""


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Expected speed of one sequence.

    prompt_tokens_per_s: reading a prompt of 512 tokens
    answer_tokens_per_s: writing 128 tokens
    rests_on: the device whose sheet was used, and whether it is this machine's own, in words
    """

    prompt_tokens_per_s: float
    answer_tokens_per_s: float
    rests_on: str


def expected(machine: Environment, model: ModelSpec, quantization: str, earlier: Sequence[Measurement] = ()) -> Expectation | None:
    """The expected speed on this machine: from earlier probes of it among those given, else from the roofline of its device.

    None where the model has no such shape or does not fit.
    """
    device, rests_on = sheet_of(machine)
    points, doubtful = points_of(machine, earlier)
    try:
        if not fit(model, quantization, Server(accelerator=device), PROMPT_TOKENS + ANSWER_TOKENS).fits:
            return None
        cost = cost_of(model, quantization, LlamaCppSettings())
        prompt = promised(machine, cost, TestResult(name="", n_prompt=PROMPT_TOKENS, n_gen=0), earlier)
        answer = promised(machine, cost, TestResult(name="", n_prompt=0, n_gen=ANSWER_TOKENS), earlier)
    except InputError:
        return None
    if points:
        kind = "doubtful earlier probe" if doubtful else "earlier probe"
        rests_on = f"{len(points)} {kind}{'s' if len(points) > 1 else ''} of this machine"
    return Expectation(prompt_tokens_per_s=prompt, answer_tokens_per_s=answer, rests_on=rests_on)


def promised(machine: Environment, cost: Footprint, test: TestResult | Repetition, earlier: Sequence[Measurement] = ()) -> float:
    """The expected speed of one test on this machine, tokens/s of all its sequences, at its own depth."""
    device, _ = sheet_of(machine)
    points, _ = points_of(machine, earlier)
    efficiency = efficiency_from_probes(points, Server(accelerator=device), engine=ENGINE) if points else efficiency_for(ENGINE, device)
    return predicted_tokens_per_s(cost, test, device, efficiency)


def points_of(machine: Environment, found: Sequence[Measurement]) -> tuple[tuple[ProbePoint, ...], bool]:
    """(what llama.cpp probes of this very machine say, whether they are doubtful): same host and processor, on the same kind of device.

    Doubtful ones stand in only where there are no others: they are nearer to this machine than a data sheet of another.
    """
    here = [
        measurement
        for measurement in found
        if measurement.kind == "llamacpp"
        and (measurement.environment.host, measurement.environment.cpu) == (machine.host, machine.cpu)
        and (measurement.gpu_offload and bool(measurement.environment.gpus)) == bool(machine.gpus)
        and probe_point(measurement) is not None
    ]
    usable = [measurement for measurement in here if measurement.usable_for_verdict]
    points = tuple(point for measurement in usable or here if (point := probe_point(measurement)) is not None)
    return points, not usable


def before(measurement: Measurement, found: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """Those that were there when a measurement was begun: what is predicted for it may rest on no other."""
    return tuple(other for other in found if other.created < measurement.created)


def context_of(load: Workload) -> int:
    """Tokens that stand before the middle of a workload's answer, in whole steps of 256; 0 below one step."""
    return int((load.input_tokens_mean or 0.0) + (load.output_tokens_mean or 0.0) / 2.0) // CONTEXT_STEP * CONTEXT_STEP


def out_of_reach(depth: int, spec: ModelSpec, hoped: Expectation | None, seconds: float) -> str:
    """Why a context is left out of a probe, in one sentence; '' where it is not."""
    left_out = f"Not measured at your workload's context of {fmt.number(depth)} tokens:"
    room = (spec.context_tokens or depth) - PROMPT_TOKENS
    if depth > room:
        return f"{left_out} {spec.name} has room for {fmt.number(room)}."
    if hoped is None:
        return f"{left_out} how long reading them takes cannot be told beforehand."
    filling_s = depth / hoped.prompt_tokens_per_s
    if filling_s > FILLING_SHARE * seconds:
        most = fmt.duration(FILLING_SHARE * seconds)
        return f"{left_out} reading them takes about {fmt.duration(filling_s)}, {most} is the most here. Take more time or a smaller model."
    return ""


def sheet_of(machine: Environment) -> tuple[Accelerator, str]:
    """The device that stands for a machine: its own accelerator or processor, else a common one of its size, said to be assumed."""
    for gpu in machine.gpus:
        if gpu.catalog_id:
            found = accelerator(gpu.catalog_id)
            return found, f"the spec sheet of {found.name}"
    own = find_accelerator(machine.cpu)
    if own is not None:
        return own, f"the spec sheet of {own.name}"
    stand_in = accelerator(SMALL_CPU if machine.usable_cores <= SMALL_CORES else LARGE_CPU)
    memory_gb = machine.memory_bytes / BYTES_PER_GIB  # the catalogue counts memory in binary units
    stand_in = stand_in.model_copy(update={"memory_gb": memory_gb}) if memory_gb else stand_in
    return stand_in, f"the memory bandwidth of a {stand_in.name}: an assumption, because this processor is not in the catalogue"
