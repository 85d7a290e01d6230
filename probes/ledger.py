"""The ledger: what was predicted against what was measured, for the same quantity, and what a measured token costs.

A prediction uses only what was known before its measurement: the spec sheet, and earlier measurements of the same machine and
engine. So the errors are those a reader would have met.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from capacity.accelerators import Accelerator, Server, accelerator, find_accelerator
from capacity.calibration import ProbePoint, efficiency_from_probes
from capacity.footprint import Footprint, footprint
from capacity.models import ModelSpec, find_model, model
from capacity.roofline import Efficiency, decode_step_s, efficiency_for, prefill_s, rates
from capacity.throughput import Throughput, serving_curve
from facts.errors import InputError
from facts.records import Basis, Source
from facts.units import BYTES_PER_GIB, TOKENS_PER_MTOK
from probes import timing
from probes.applying import SERVED_PRECISION, Applied
from probes.measurement import EndpointSettings, LevelResult, LlamaCppSettings, Measurement, Status, TestResult
from probes.progress import Repetition

SECONDS_PER_HOUR = 3600.0
KV_BITS = {"q8_0": 8.5, "q4_0": 4.5}
"""Bits of a cache element, scales included, where it is not 16 (ggml's blocks of 32)."""
NOMINAL_GB_PER_S, NOMINAL_TFLOPS = 50.0, 1.0
"""Sheet of a processor that has none; earlier measurements correct it."""


@dataclass(frozen=True, kw_only=True)
class LedgerLine:
    """One quantity of one measurement, predicted and measured.

    measurement_id: of the measurement
    created: when it was taken
    machine: host and device
    engine: engine it was measured with; a figure of one says nothing of another
    model_id, quantization: what was served
    metric: such as tg128 or c8.output_rate
    quantity: the same for all lengths and levels, such as 'generation' or 'TTFT p95'
    unit: of both numbers
    predicted, measured: the numbers
    basis: of the prediction: estimated, or calibrated by earlier measurements of the machine
    rests_on: the sheet and the measurements behind the prediction
    doubtful: whether the measurement doubts itself
    """

    measurement_id: str
    created: datetime
    machine: str
    engine: str
    model_id: str
    quantization: str
    metric: str
    quantity: str
    unit: str
    predicted: float
    measured: float
    basis: Basis
    rests_on: str
    doubtful: bool

    @property
    def error_share(self) -> float:
        """Predicted over measured, less 1: +0.10 is predicted 10 % too high."""
        return self.predicted / self.measured - 1.0


@dataclass(frozen=True, kw_only=True)
class QuantityError:
    """How far the predictions of one quantity were off.

    quantity, engine, basis: of the lines
    lines, machines: how many
    median_share: median of predicted / measured - 1
    typical_share: exp(median |ln(predicted / measured)|) - 1, the same for too high and too low
    worst_share: the largest of them
    """

    quantity: str
    engine: str
    basis: Basis
    lines: int
    machines: int
    median_share: float
    typical_share: float
    worst_share: float


@dataclass(frozen=True, kw_only=True)
class MachineCost:
    """What a million tokens cost on a measured machine, with the engine that was measured.

    measurement_id, machine, engine, model, quantization: what
    load: the load in words
    tokens_per_s: prompt and output tokens that one server carries at it
    servers: servers that the offered load needs
    usd_per_hour: of one server
    usd_per_mtok: over all tokens, prompt and output
    """

    measurement_id: str
    machine: str
    engine: str
    model: str
    quantization: str
    load: str
    tokens_per_s: float
    servers: int
    usd_per_hour: float
    usd_per_mtok: float


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Every line, oldest first, and why some measurements have none.

    lines: predicted against measured
    left_out: one sentence per measurement without a line
    """

    lines: tuple[LedgerLine, ...]
    left_out: tuple[str, ...]


def ledger(measurements: Sequence[Measurement], stated: Mapping[str, Applied] | None = None) -> Ledger:
    """Lines for every measurement of a known model on a known device, predicted from what came before it.

    `stated` says by measurement id what a server ran on, where its probe could not see it.
    """
    lines: list[LedgerLine] = []
    left_out: list[str] = []
    earlier: list[Measurement] = []
    for measurement in sorted(measurements, key=lambda one: one.created):
        try:
            lines += _lines(measurement, [one for one in earlier if _same_machine(one, measurement)], (stated or {}).get(measurement.id))
        except InputError as error:
            left_out.append(f"{measurement.id[:12]}: {error}")
        earlier.append(measurement)
    return Ledger(lines=tuple(lines), left_out=tuple(left_out))


def errors(lines: Sequence[LedgerLine]) -> tuple[QuantityError, ...]:
    """Per quantity, engine and basis how far predictions were off; doubtful measurements are left out."""
    groups: dict[tuple[str, str, Basis], list[LedgerLine]] = {}
    for line in lines:
        if not line.doubtful:
            groups.setdefault((line.quantity, line.engine, line.basis), []).append(line)
    return tuple(_error(quantity, engine, basis, group) for (quantity, engine, basis), group in sorted(groups.items()))


def cost_of(
    shape: ModelSpec, quantization: str, settings: LlamaCppSettings | EndpointSettings, file_bytes: float | None = None
) -> Footprint:
    """What a model costs per token in a probe: its file's own size where it is known, its cache in the type that was set."""
    kv_bits = KV_BITS.get(settings.kv_type) if isinstance(settings, LlamaCppSettings) else None
    return footprint(shape, quantization, kv_bits=kv_bits, file_bytes=file_bytes)


def probe_point(measurement: Measurement) -> ProbePoint | None:
    """What a llama.cpp measurement of a model of the catalogue says of its machine; None where it says nothing."""
    prompt, generation = measurement.prompt_test, measurement.generation_test
    if not measurement.model_id or (prompt is None and generation is None):
        return None
    return ProbePoint(
        model=model(measurement.model_id),
        quantization=measurement.quantization,
        prompt_tokens=float(prompt.n_prompt) if prompt else 512.0,
        prompt_tokens_per_s=prompt.median if prompt else None,
        prompt_depth_tokens=float(prompt.depth) if prompt else 0.0,
        generated_tokens=float(generation.n_gen) if generation else 128.0,
        generated_tokens_per_s=generation.median if generation else None,
        generated_depth_tokens=float(generation.depth) if generation else 0.0,
        file_bytes=_file_bytes(measurement),
    )


def predicted_tokens_per_s(cost: Footprint, test: TestResult | Repetition, sheet: Accelerator, efficiency: Efficiency) -> float:
    """The estimate of what one test measures: the same tokens over the same time."""
    device = rates(sheet, cost.compute, efficiency)
    if test.n_prompt:
        return test.n_prompt / float(prefill_s(cost, device, efficiency, tokens=test.n_prompt, depth=test.depth))
    context = test.depth + test.n_gen / 2.0
    return test.slots / float(decode_step_s(cost, device, efficiency, batch=float(test.slots), context_tokens=context))


def usd_per_mtok(usd_per_hour: float, tokens_per_s: float) -> float:
    """A fully used server: USD an hour / (tokens a second x 3600) x 10^6.

    >>> round(usd_per_mtok(3.60, 1000.0), 6)
    1.0
    """
    return usd_per_hour / (tokens_per_s * SECONDS_PER_HOUR) * TOKENS_PER_MTOK


def usd_per_mtok_at(usd_per_hour: float, offered_tokens_per_s: float, carried_tokens_per_s: float) -> tuple[int, float]:
    """(whole servers, USD per million tokens) of an offered load: the servers are paid whether they are busy or not.

    >>> usd_per_mtok_at(3.60, 500.0, 1000.0)
    (1, 2.0)
    """
    servers = max(1, math.ceil(offered_tokens_per_s / carried_tokens_per_s * (1.0 - 1e-12)))
    return servers, usd_per_mtok(servers * usd_per_hour, offered_tokens_per_s)


def machine_costs(
    measurements: Sequence[Measurement], usd_per_hour: Mapping[str, float], offered_tokens_per_s: float | None = None
) -> tuple[MachineCost, ...]:
    """Cost of each endpoint and llama.cpp measurement at saturation and at the offered load; `usd_per_hour` by measurement id.

    llama.cpp in process: generation of one sequence, and of the widest batch that was measured. Only complete measurements count.
    """
    found: list[MachineCost] = []
    for measurement in measurements:
        price = usd_per_hour.get(measurement.id)
        if price is None or measurement.status is not Status.COMPLETE or measurement.proxy is not None:
            continue
        loads = carried(measurement)
        if not loads:
            continue
        found += [_cost(measurement, name, rate, 1, price, usd_per_mtok(price, rate)) for name, rate in loads]
        if offered_tokens_per_s:
            top = max(rate for _, rate in loads)
            servers, cost = usd_per_mtok_at(price, offered_tokens_per_s, top)
            found.append(_cost(measurement, f"offered {offered_tokens_per_s:g} tokens/s", top, servers, price, cost))
    return tuple(found)


def carried(measurement: Measurement) -> tuple[tuple[str, float], ...]:
    """(load in words, tokens/s) that a measurement showed one server to carry: the lightest load, and saturation."""
    if isinstance(measurement.settings, EndpointSettings):
        loads = [(level.name, rate) for level in measurement.levels if (rate := _all_tokens_per_s(measurement, level)) > 0]
        if not loads:
            return ()
        top = max(loads, key=lambda one: one[1])
        return (*((loads[0],) if loads[0] != top else ()), (f"{top[0]}, saturation", top[1]))
    tests = [test for test in measurement.tests if test.n_gen and not test.variant and not test.depth and test.samples_tokens_per_s]
    if not tests:
        return ()
    top_test = max(tests, key=lambda test: test.median)
    alone = [(f"{test.name}, one at a time", test.median) for test in tests if test.slots == 1 and test is not top_test]
    what = f"{top_test.slots} sequences" if top_test.slots > 1 else "one at a time"
    return (*alone, (f"{top_test.name}, generation only, {what}", top_test.median))


# ---- below: how ----


def _error(quantity: str, engine: str, basis: Basis, group: Sequence[LedgerLine]) -> QuantityError:
    off = [abs(math.log(line.predicted / line.measured)) for line in group]
    return QuantityError(
        quantity=quantity,
        engine=engine,
        basis=basis,
        lines=len(group),
        machines=len({line.machine for line in group}),
        median_share=timing.median([line.error_share for line in group]),
        typical_share=math.exp(timing.median(off)) - 1.0,
        worst_share=math.exp(max(off)) - 1.0,
    )


def _cost(measurement: Measurement, load: str, rate: float, servers: int, usd_per_hour: float, cost: float) -> MachineCost:
    return MachineCost(
        measurement_id=measurement.id,
        machine=_machine(measurement),
        engine=measurement.engine,
        model=measurement.model_id or measurement.model_name,
        quantization=measurement.quantization,
        load=load,
        tokens_per_s=rate,
        servers=servers,
        usd_per_hour=usd_per_hour,
        usd_per_mtok=cost,
    )


def _all_tokens_per_s(measurement: Measurement, level: LevelResult) -> float:
    values = {figure.name: figure.value for figure in measurement.derived}
    return values.get(f"{level.name}.output_rate", 0.0) + values.get(f"{level.name}.input_rate", 0.0)


def _machine(measurement: Measurement) -> str:
    environment = measurement.environment
    gpus = ", ".join(gpu.name for gpu in environment.gpus) if measurement.gpu_offload or measurement.kind == "endpoint" else ""
    return f"{environment.host} ({gpus or environment.cpu or 'unknown processor'})"


def _same_machine(one: Measurement, other: Measurement) -> bool:
    return (_machine(one), one.engine, one.kind) == (_machine(other), other.engine, other.kind)


def _lines(measurement: Measurement, earlier: Sequence[Measurement], stated: Applied | None) -> list[LedgerLine]:
    if measurement.status is Status.FAILED or measurement.proxy is not None:
        raise InputError("it failed" if measurement.status is Status.FAILED else "it is of a proxy, which predicts and is not a prediction")
    if isinstance(measurement.settings, EndpointSettings):
        return _endpoint_lines(measurement, stated)
    return _llamacpp_lines(measurement, earlier)


# -- llama.cpp in process --


def _llamacpp_lines(measurement: Measurement, earlier: Sequence[Measurement]) -> list[LedgerLine]:
    if not measurement.model_id:
        raise InputError("its model is not in the catalogue")
    shape, (sheet, own_sheet) = model(measurement.model_id), _sheet(measurement)
    points = [point for one in earlier if one.usable_for_verdict and (point := probe_point(one)) is not None]
    if points:
        efficiency = efficiency_from_probes(points, Server(accelerator=sheet), engine=measurement.engine)
        basis, rests_on = Basis.CALIBRATED, f"{len(points)} earlier measurements of this machine"
    elif own_sheet:
        efficiency, basis, rests_on = efficiency_for(measurement.engine, sheet), Basis.ESTIMATED, f"the spec sheet of {sheet.name}"
    else:
        raise InputError("its processor is not in the catalogue and was not measured before: from now on it is calibrated")
    found, cost = [], cost_of(shape, measurement.quantization, measurement.settings, _file_bytes(measurement))
    for test in measurement.tests:
        if test.samples_tokens_per_s and not test.variant:
            predicted = predicted_tokens_per_s(cost, test, sheet, efficiency)
            quantity = "prompt" if test.n_prompt else "generation" if test.slots == 1 else "batched generation"
            found.append(_line(measurement, test.name, quantity, "tokens/s", predicted, test.median, basis, rests_on))
    return found


def _file_bytes(measurement: Measurement) -> float | None:
    return float(measurement.weights_bytes) if measurement.weights_bytes else None


def _sheet(measurement: Measurement) -> tuple[Accelerator, bool]:
    """(the device's sheet, whether it is its own)."""
    environment = measurement.environment
    gpu = next((gpu for gpu in environment.gpus if gpu.catalog_id), None)
    if gpu is not None and gpu.catalog_id and (measurement.gpu_offload or measurement.kind == "endpoint"):
        return accelerator(gpu.catalog_id), True
    own = find_accelerator(environment.cpu)
    if own is not None:
        return own, True
    nominal = Accelerator(
        id="this-machine",
        name=environment.cpu or "this machine",
        kind="cpu",
        memory_kind="ddr",
        memory_gb=max(environment.memory_bytes, 1) / BYTES_PER_GIB,
        link_kind="none",
        link_gb_per_s=0.0,
        source=Source(url=f"measurement {measurement.id[:12]}", checked=measurement.created.date(), note="nominal, to be calibrated"),
        mem_bw_gb_per_s=NOMINAL_GB_PER_S,
        fp16_tflops=NOMINAL_TFLOPS,
    )
    return nominal, False


# -- endpoints --


def _endpoint_lines(measurement: Measurement, stated: Applied | None) -> list[LedgerLine]:
    settings = measurement.settings
    assert isinstance(settings, EndpointSettings)
    shape, precision, sheet, gpus, engine = _served(measurement, settings, stated)
    curve = serving_curve(
        shape,
        precision,
        Server(accelerator=sheet, gpus=gpus),
        engine=engine,
        input_tokens=settings.input_tokens,
        output_tokens=settings.output_tokens,
    )
    at = {point.concurrency: point for point in curve.points}
    found: list[LedgerLine] = []
    for level in measurement.levels:
        point = at.get(level.concurrency or 0)
        if point is not None:
            found += _level_lines(measurement, level, point, f"the spec sheet of {sheet.name}, {precision}")
    if not found:
        raise InputError("none of its levels is a point of the estimated curve: measure at 1, 2, 4, 8, ... in flight")
    return found


def _served(measurement: Measurement, settings: EndpointSettings, stated: Applied | None) -> tuple[ModelSpec, str, Accelerator, int, str]:
    """(model, precision, device, how many, engine) of a measured server: as stated, else as the probe saw it."""
    if stated is not None:
        return model(stated.model_id), stated.quantization, accelerator(stated.device_id), stated.gpus, stated.engine
    sheet, own_sheet = _sheet(measurement)
    shape = model(measurement.model_id) if measurement.model_id else find_model(settings.model)
    if shape is None:
        raise InputError(f"the served model '{settings.model}' is not in the catalogue")
    if not own_sheet or not any(gpu.catalog_id for gpu in measurement.environment.gpus):
        raise InputError("the server's accelerator is not known: apply it with its device, or measure on the server itself")
    return shape, measurement.quantization or SERVED_PRECISION, sheet, len(measurement.environment.gpus), measurement.engine


def _level_lines(measurement: Measurement, level: LevelResult, point: Throughput, rests_on: str) -> list[LedgerLine]:
    values = {figure.name: figure.value for figure in measurement.derived}
    pairs = (
        ("output_rate", "output rate", "tokens/s", point.output_tokens_per_s),
        ("ttft.p95", "TTFT p95", "ms", point.ttft_p95_ms),
        ("tpot.p95", "TPOT p95", "ms", point.tpot_p95_ms),
    )
    return [
        _line(measurement, f"{level.name}.{name}", quantity, unit, predicted, measured, Basis.ESTIMATED, rests_on)
        for name, quantity, unit, predicted in pairs
        if (measured := values.get(f"{level.name}.{name}", 0.0)) > 0 and predicted > 0
    ]


def _line(
    measurement: Measurement, metric: str, quantity: str, unit: str, predicted: float, measured: float, basis: Basis, rests_on: str
) -> LedgerLine:
    return LedgerLine(
        measurement_id=measurement.id,
        created=measurement.created,
        machine=_machine(measurement),
        engine=measurement.engine,
        model_id=measurement.model_id or measurement.model_name,
        quantization=measurement.quantization,
        metric=metric,
        quantity=quantity,
        unit=unit,
        predicted=predicted,
        measured=measured,
        basis=basis,
        rests_on=rests_on,
        doubtful=not measurement.usable_for_verdict,
    )
