"""This machine as a probe saw it: its speed for any model, from one measured one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, log
from typing import Final

from scipy.optimize import brentq

from capacity.accelerators import Accelerator, Server, accelerator
from capacity.calibration import ProbePoint, efficiency_from_probe
from capacity.models import ModelSpec, model
from capacity.roofline import Efficiency
from capacity.throughput import ServingCurve, serving_curve
from facts.errors import InputError
from facts.records import Basis, Source
from facts.units import BYTES_PER_GIB, WATTS_PER_KW
from probes.measurement import Measurement, Status
from selector.catalog import Catalog
from workloads.demand import Load

ENGINE: Final = "llama.cpp"
MACHINE_KW: Final = 0.2
"""A desktop or small server under load, without accelerators; assumed."""
WALL_OVER_TDP: Final = 1.5
"""Power at the wall of a workstation over its accelerators' rated power; assumed."""
SOLVING_ROUNDS: Final = 6
_BOUNDS: Final = (-6.0, 12.0)


@dataclass(frozen=True, kw_only=True)
class LocalMachine:
    """This machine, as measured.

    title: processor or accelerator in words
    device: a spec sheet whose bandwidth and peak reproduce the measured speeds
    efficiency: the engine's parameters, calibrated
    power_kw: at the wall under load
    measurement_id: the probe behind it
    model_id, quantization: what was probed
    notes: what a reader should know
    """

    title: str
    device: Accelerator
    efficiency: Efficiency
    power_kw: float
    measurement_id: str
    model_id: str
    quantization: str
    notes: tuple[str, ...]


def local_machine(catalog: Catalog) -> LocalMachine | None:
    """The machine of the llama.cpp measurement that was applied last, else of the newest usable one, or None.

    A doubtful one is used only when it was applied, or when the catalogue accepts doubtful ones.
    """
    usable = {measurement.id: measurement for measurement in catalog.measurements if _usable(measurement)}
    for measurement_id in catalog.calibration.local_ids:
        if measurement_id in usable:
            return _machine(usable[measurement_id])
    for measurement in usable.values():
        if measurement.usable_for_verdict or catalog.accept_doubtful:
            return _machine(measurement)
    return None


def why_no_machine(catalog: Catalog) -> str:
    """Why `local_machine` found none, and the way out."""
    for measurement in catalog.measurements:
        if _usable(measurement):
            doubt, *more = measurement.verdict_doubts or ("it is not complete",)
            doubt += f"; and {len(more)} more" if more else ""
            return (
                f"the newest probe of this machine is doubtful ({doubt}): run it again on an idle machine, or accept it on the Measure page"
            )
    return "this machine has not been measured; run the probe on the Measure page or `python -m probes llamacpp --synthetic qwen3-0.6b`"


def local_curve(machine: LocalMachine, served: ModelSpec, quantization: str, load: Load) -> ServingCurve:
    """What this machine gives with a model; 'measured' only for the probed model and one request at a time.

    A measured point is what was measured: what only a server does (drawing tokens, keeping an ended request's cache) is an estimate and
    is not added.
    """
    measured = (served.id, quantization) == (machine.model_id, machine.quantization)
    curve = serving_curve(
        served,
        quantization,
        Server(accelerator=machine.device),
        engine=ENGINE,
        input_tokens=load.input_tokens,
        output_tokens=load.output_tokens,
        efficiency=machine.efficiency.model_copy(update={"draw_s": 0.0, "kept_bytes_per_s": 0.0}) if measured else machine.efficiency,
    )
    if measured:
        return replace(curve, points=curve.points[:1], basis=Basis.MEASURED)
    return curve


# ---- below: how ----


def _usable(measurement: Measurement) -> bool:
    tests = (measurement.prompt_test, measurement.generation_test)
    measured = all(test is not None and test.samples_tokens_per_s for test in tests)
    return measurement.kind == "llamacpp" and bool(measurement.model_id) and measured and measurement.status is not Status.FAILED


@lru_cache(maxsize=64)
def _machine(measurement: Measurement) -> LocalMachine:
    gpu = next((gpu for gpu in measurement.environment.gpus if gpu.catalog_id), None) if measurement.gpu_offload else None
    if gpu is not None and gpu.catalog_id is not None:
        device = accelerator(gpu.catalog_id)
        title, power_kw = gpu.name, WALL_OVER_TDP * (device.tdp_w or 300.0) / WATTS_PER_KW
    else:
        title, power_kw = measurement.environment.cpu or "this machine", MACHINE_KW
        device = _processor(measurement, title)
    notes = [
        f"power at the wall {power_kw:g} kW is assumed",
        "speed follows from the probe; more than one request at a time is extrapolated",
    ]
    return LocalMachine(
        title=title,
        device=device,
        efficiency=_efficiency(measurement, device),
        power_kw=power_kw,
        measurement_id=measurement.id,
        model_id=measurement.model_id or "",
        quantization=measurement.quantization,
        notes=(*notes, *(f"doubt: {doubt}" for doubt in measurement.verdict_doubts)),
    )


def _processor(measurement: Measurement, title: str) -> Accelerator:
    """A spec sheet for a processor that has none: the bandwidth and peak at which the estimate meets the measurement.

    Generation fixes the bandwidth, the prompt the peak; the engine's fixed times per layer stay as fitted elsewhere, so that a small
    probed model does not make a large one look slow.
    """
    environment = measurement.environment
    memory = min(environment.memory_bytes, environment.memory_limit_bytes or environment.memory_bytes)
    source = Source(url=f"measurement {measurement.id[:12]}", checked=measurement.created.date(), note="solved from its pp and tg medians")
    nominal = Accelerator(
        id="this-machine",
        name=title,
        kind="cpu",
        memory_kind="ddr",
        memory_gb=max(memory, 1) / BYTES_PER_GIB,
        mem_bw_gb_per_s=50.0,
        fp16_tflops=1.0,
        link_kind="none",
        link_gb_per_s=0.0,
        source=source,
    )
    return _meeting(measurement, nominal)


def _meeting(measurement: Measurement, nominal: Accelerator) -> Accelerator:
    """The sheet changed until both phases are met: each depends a little on the other's figure, so they are solved in turn."""
    known = nominal
    for _ in range(SOLVING_ROUNDS):
        known = _met(measurement, known, "fp16_tflops", "prefill_factor")
        known = _met(measurement, known, "mem_bw_gb_per_s", "decode_factor")
    return known


def _met(measurement: Measurement, sheet: Accelerator, figure: str, factor: str) -> Accelerator:
    """The sheet with one figure at the value where measured over estimated time of one phase is 1."""

    def off_by(value: float) -> float:
        return float(getattr(_efficiency(measurement, _with(sheet, **{figure: value})), factor))

    return _with(sheet, **{figure: _solved(off_by)})


def _with(sheet: Accelerator, **figures: float | None) -> Accelerator:
    return sheet.model_copy(update={name: value for name, value in figures.items() if value is not None})


def _solved(factor: Callable[[float], float]) -> float | None:
    """The value at which measured over estimated time is 1, None where the fixed times alone are longer than measured."""
    low, high = _BOUNDS

    def error(log_value: float) -> float:
        return log(factor(exp(log_value)))

    if error(low) * error(high) > 0:
        return None
    return exp(float(brentq(error, low, high, xtol=1e-9)))


def _efficiency(measurement: Measurement, device: Accelerator) -> Efficiency:
    prompt, generation = measurement.prompt_test, measurement.generation_test
    if prompt is None or generation is None or not measurement.model_id:
        raise InputError(f"measurement {measurement.id[:12]} lacks a prompt or a generation test")
    point = ProbePoint(
        model=model(measurement.model_id),
        quantization=measurement.quantization,
        prompt_tokens=prompt.n_prompt,
        prompt_tokens_per_s=prompt.median,
        prompt_depth_tokens=prompt.depth,
        generated_tokens=generation.n_gen,
        generated_tokens_per_s=generation.median,
        generated_depth_tokens=generation.depth,
        file_bytes=float(measurement.weights_bytes) if measurement.weights_bytes else None,
    )
    return efficiency_from_probe(point, Server(accelerator=device), engine=ENGINE)
