"""A measurement applied to the model of capacity: what it was taken on, and how the estimate of that device and engine moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from pydantic import AwareDatetime, Field

from capacity.accelerators import Accelerator, accelerator, accelerators, find_accelerator
from capacity.calibration import NO_PROBE, ROOF_TOLERANCE, Probe, probes_of, roof
from capacity.cases import RATES
from capacity.estimate import measured_case, parameters_of, predict
from capacity.models import ModelSpec, find_model, find_quantization, model
from capacity.roofline import Efficiency, engine_id
from capacity.throughput import ServingCurve
from facts.errors import InputError
from facts.records import Fact, Source, nearest
from probes.curves import measured_curve
from probes.measurement import EndpointSettings, LevelResult, Measurement, Status, TestResult

THIS_MACHINE = "this-machine"
"""Stands for a processor that has no spec sheet: its measurement counts for the option that runs on it."""
GENERIC = "generic"
SERVED_PRECISION = "bf16"
"""Precision of a served model whose server does not say it."""
SAME_LENGTH_SHARE = 0.10
"""A measured curve stands for a workload whose prompt and answer are no further from the measured ones."""


class Applied(Fact):
    """A measurement that the model of capacity is to follow, and what it was taken on."""

    measurement_id: str
    """Which."""
    applied: AwareDatetime
    """When it was applied."""
    who: str = ""
    """By whom, as the system or the page knows it."""
    engine: str
    """Engine whose parameters it moves, by capacity's id."""
    model_id: str
    """Model of the catalogue that was served."""
    quantization: str
    """Its precision."""
    device_id: str
    """Accelerator of the catalogue, or this-machine."""
    gpus: int = Field(default=1, ge=1, le=1024)
    """How many of them served one copy."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What all applied measurements say together.

    probe: corrections by device and engine
    measurements: (device name, engine, id of the measurement, the day it was taken), newest first
    local_ids: of applied llama.cpp measurements, newest first: which one stands for the machine it was taken on
    contradictions: one sentence per figure that the others do not bear out
    curves: of applied servers, what was measured at each load, newest first
    """

    probe: Probe = NO_PROBE
    measurements: tuple[tuple[str, str, str, date], ...] = ()
    local_ids: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    curves: tuple[ServingCurve, ...] = ()

    def served(
        self, device: Accelerator, engine: str, *, model_id: str, quantization: str, gpus: int, input_tokens: float, output_tokens: float
    ) -> ServingCurve | None:
        """What was measured of this very model in this precision on these devices, with lengths within 10 %; None without it.

        It reaches no further than the highest load that was measured.
        """
        if not self.curves:
            return None
        precision = find_quantization(quantization)
        wanted = (device.id, engine_id(engine), model_id, precision.id if precision else quantization, gpus)
        for curve in self.curves:
            same = (curve.device_id, curve.engine, curve.model_id, curve.quantization, curve.gpus) == wanted
            if same and _near(curve.input_tokens, input_tokens) and _near(curve.output_tokens, output_tokens):
                return curve
        return None

    def efficiency(self, device: Accelerator, engine: str) -> Efficiency | None:
        """The engine's parameters on a device for serving, moved by measurements of that very engine and device; None without one."""
        return self.probe.serving(engine, device)

    def behind(self, device: Accelerator, engine: str) -> tuple[str, ...]:
        """Ids of the measurements that move an engine on a device, newest first."""
        return tuple(found for name, of, found, _ in self.measurements if (name, of) == (device.name, engine_id(engine)))

    def source(self, device: Accelerator, engine: str) -> Source | None:
        """The measurements that move an engine on a device, as a source with the day of the newest; None without one."""
        ids = self.behind(device, engine)
        if not ids:
            return None
        day = max(taken for *_, found, taken in self.measurements if found in ids)
        return Source(url="measurement " + ", ".join(found[:12] for found in ids), checked=day, note=f"of {engine} on {device.name}")


NO_CALIBRATION = Calibration()


def applied_to(
    measurement: Measurement,
    *,
    applied: AwareDatetime,
    who: str = "",
    engine: str = "",
    model_name: str = "",
    quantization: str = "",
    device: str = "",
    gpus: int | None = None,
    accept_doubtful: bool = False,
) -> Applied:
    """What a measurement is to be applied to; what it does not say itself is given. InputError says what is missing or speaks against it.

    Tried at once: a figure above what the device's sheet allows is a contradiction, which is refused and not absorbed.
    """
    if measurement.status is Status.FAILED or measurement.proxy is not None:
        why = "failed" if measurement.proxy is None else "is of a few layers that stand for a model"
        raise InputError(f"measurement {measurement.id[:12]} {why}: apply one of a whole model that was measured to its end")
    if not measurement.usable_for_verdict and not accept_doubtful:
        doubt, *more = measurement.verdict_doubts or (f"it is {measurement.status}",)
        others = f" and {len(more)} more" if more else ""
        raise InputError(f"measurement {measurement.id[:12]} doubts itself ({doubt}{others}): measure again, or say yes to it all the same")
    shape = _model(measurement, model_name)
    found = Applied(
        measurement_id=measurement.id,
        applied=applied,
        who=who,
        engine=_engine(measurement, engine),
        model_id=shape.id,
        quantization=_quantization(measurement, quantization),
        device_id=_device(measurement, device),
        gpus=gpus if gpus is not None else _gpus(measurement, device),
    )
    if found.device_id != THIS_MACHINE:
        _check(measurement, found)
    return found


def calibration_of(pairs: Sequence[tuple[Measurement, Applied]]) -> Calibration:
    """The corrections of all applied measurements together; a later one of the same device and engine adds to the earlier."""
    ordered = sorted(pairs, key=lambda pair: pair[1].applied, reverse=True)
    rows = [row for measurement, applied in ordered for row in rows_of(measurement, applied)]
    probe = probes_of(rows, measured_case, predict, parameters_of)
    return Calibration(
        probe=probe,
        measurements=tuple(
            (accelerator(applied.device_id).name, applied.engine, measurement.id, measurement.created.date())
            for measurement, applied in ordered
            if applied.device_id != THIS_MACHINE
        ),
        local_ids=tuple(measurement.id for measurement, _ in ordered if measurement.kind == "llamacpp"),
        contradictions=probe.contradictions,
        curves=tuple(curve for measurement, applied in ordered for curve in _curves(measurement, applied)),
    )


def rows_of(measurement: Measurement, applied: Applied) -> tuple[dict[str, str], ...]:
    """The measurement in the columns of capacity's batch door, one row per figure: what `capacity estimate --probe` reads."""
    if applied.device_id == THIS_MACHINE:
        return ()
    if isinstance(measurement.settings, EndpointSettings):
        return tuple(row for level in measurement.levels if level.concurrency for row in _level_rows(measurement, applied, level))
    return tuple(
        _test_row(measurement, applied, test)
        for test in measurement.tests
        if test.samples_tokens_per_s and test.slots == 1 and not test.variant
    )


# ---- below: how ----


def _near(measured: float, wanted: float) -> bool:
    return abs(measured / wanted - 1.0) <= SAME_LENGTH_SHARE


def _curves(measurement: Measurement, applied: Applied) -> tuple[ServingCurve, ...]:
    """The measured curve of an applied server, under the names of what it was applied to; none of llama.cpp in process."""
    if measurement.kind != "endpoint":
        return ()
    try:
        found = measured_curve(
            measurement,
            model_id=applied.model_id,
            quantization=applied.quantization,
            device_id=applied.device_id,
            gpus=applied.gpus,
        )
    except InputError:
        return ()
    return (replace(found, engine=applied.engine),)


def _check(measurement: Measurement, applied: Applied) -> None:
    rows = rows_of(measurement, applied)
    if not rows:
        raise InputError(f"measurement {measurement.id[:12]} has no level with a held number of requests in flight to learn from")
    for row in rows:
        case, value = measured_case(row)
        if case.metric in RATES and value > ROOF_TOLERANCE * (most := roof(case, predict)):
            raise InputError(
                f"measurement {measurement.id[:12]} contradicts the sheet: {value:,.4g} tokens/s ({case.metric}) is above the {most:,.4g} "
                f"that the sheet of {applied.gpus} x {case.server.accelerator.name} allows: correct the model, the precision or the device"
            )
    probe = probes_of(rows, measured_case, predict, parameters_of)
    if probe.serving(applied.engine, accelerator(applied.device_id)) is None:
        raise InputError(
            f"measurement {measurement.id[:12]} has one request in flight only, which says little of {applied.engine} under load: "
            "measure at 2 or more"
        )


def _model(measurement: Measurement, given: str) -> ModelSpec:
    if given:
        return find_model(given) or model(given)
    name = measurement.model_id or measurement.model_name
    found = find_model(name) if name else None
    if found is None:
        raise InputError(f"the measured model '{name}' is not in the catalogue: say which model it is")
    return found


def _engine(measurement: Measurement, given: str) -> str:
    found = engine_id(given or measurement.engine)
    if found == GENERIC:
        raise InputError(f"'{given or measurement.engine}' is no engine that capacity knows: say which one it is, such as vllm")
    return found


def _quantization(measurement: Measurement, given: str) -> str:
    name = given or measurement.quantization or (SERVED_PRECISION if measurement.kind == "endpoint" else "")
    found = find_quantization(name)
    if found is None:
        raise InputError(f"precision '{name}' is not known: give one such as bf16, fp8 or Q4_K_M")
    return found.id if measurement.kind == "endpoint" else name


def _device(measurement: Measurement, given: str) -> str:
    if given:
        found = find_accelerator(given)
        if found is None:
            raise InputError(f"device '{given}' is not in the catalogue{nearest(given, [known.id for known in accelerators()])}")
        return found.id
    environment = measurement.environment
    on_gpu = measurement.gpu_offload or measurement.kind == "endpoint"
    known = next((gpu.catalog_id for gpu in environment.gpus if gpu.catalog_id), None) if on_gpu else None
    if known is not None:
        return known
    if measurement.kind == "llamacpp" and not (measurement.gpu_offload and environment.gpus):
        own = find_accelerator(environment.cpu)
        return own.id if own is not None else THIS_MACHINE
    raise InputError(f"measurement {measurement.id[:12]} does not say what the server runs on: name the device")


def _gpus(measurement: Measurement, device: str) -> int:
    return max(1, len(measurement.environment.gpus)) if measurement.kind == "endpoint" and not device else 1


def _level_rows(measurement: Measurement, applied: Applied, level: LevelResult) -> list[dict[str, str]]:
    settings = measurement.settings
    assert isinstance(settings, EndpointSettings)
    good = [request for request in level.requests if request.ok]
    if level.stopped_because or not good:
        return []
    prompt = sum(request.input_tokens or settings.input_tokens for request in good) / len(good)
    answer = sum(request.tokens for request in good) / len(good)
    values = {figure.name: figure.value for figure in measurement.derived}
    pairs = (("output_tok_s_total", "output_rate"), ("ttft_p50_ms", "ttft.p50"), ("tpot_p50_ms", "tpot.p50"))
    return [
        _row(measurement, applied, metric, value, prompt=prompt, answer=answer, load=f"{level.concurrency}")
        for metric, name in pairs
        if (value := values.get(f"{level.name}.{name}", 0.0)) > 0
    ]


def _test_row(measurement: Measurement, applied: Applied, test: TestResult) -> dict[str, str]:
    metric = "prefill_tok_s" if test.n_prompt else "decode_tok_s"
    size = f"; file={measurement.weights_bytes / 2**30:.6f} GiB" if measurement.weights_bytes else ""
    row = _row(measurement, applied, metric, test.median, prompt=float(test.n_prompt), answer=float(test.n_gen), load="1")
    return row | {"note": f"depth={test.depth}{size}"}


def _row(
    measurement: Measurement, applied: Applied, metric: str, value: float, *, prompt: float, answer: float, load: str
) -> dict[str, str]:
    shape = model(applied.model_id)
    return {
        "source": f"measurement {measurement.id[:12]}",
        "source_version": f"{measurement.created:%Y-%m-%d}",
        "engine": applied.engine,
        "model": shape.name,
        "params_b": f"{shape.params_total / 1e9:.6g}",
        "active_params_b": f"{shape.params_active / 1e9:.6g}",
        "quant": applied.quantization,
        "device": accelerator(applied.device_id).name,
        "device_count": f"{applied.gpus}",
        "device_mem_bw_gbs": "",
        "device_peak_tflops_dense_16bit": "",
        "isl": f"{prompt:.6g}",
        "osl": f"{answer:.6g}",
        "batch_or_concurrency": load,
        "metric": metric,
        "note": "",
        "value": f"{value:.6g}",
    }
