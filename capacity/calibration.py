"""Measurements move the estimate: by phase, for one device, carried over to its other models; a contradiction is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log

import numpy as np
from scipy.optimize import nnls

from capacity.accelerators import Server
from capacity.cases import RATES, Case
from capacity.footprint import footprint
from capacity.models import ModelSpec
from capacity.roofline import Efficiency, Layout, decode_step_s, efficiency_for, prefill_s, rates, with_factors
from facts.errors import InputError

TRUST = {"decode": 0.92, "prefill": 0.88, "serving": 0.85}
"""Share of the log error of one probe that is the device's own: its variance over the sum with that of models and repetitions."""
TRUST_FITTED = {"decode": 0.75, "prefill": 0.75, "serving": 0.15}
"""The same where the engine was fitted: left-out devices differ little from the fit there, least in serving."""
ALONE_TO_SERVING = 0.3
"""Share of a factor measured on one sequence alone that carries over to many at once, where the engine's serving was fitted: the
rest is fixed time that shared passes do not pay."""
OTHER_ENGINE_TRUST = 0.35
"""The same where the probe ran on another engine."""
ROOF_TOLERANCE = 1.08
"""A measurement this far above the sheet's bound contradicts the sheet, the row, or the model's size."""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Measured over estimated time of one device and engine, by phase; 1 where that phase was not measured.

    decode: generation
    prefill: prompts
    serving: many requests at once, after the two
    phases: phases that were measured
    """

    decode: float = 1.0
    prefill: float = 1.0
    serving: float = 1.0
    phases: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What probe rows say, by device and engine.

    corrections: (device, devices' engine) -> correction
    contradictions: one sentence per measurement that was not absorbed
    contradicted: devices with such a measurement
    """

    corrections: Mapping[tuple[str, str], Correction] = field(default_factory=dict)
    contradictions: tuple[str, ...] = ()
    contradicted: Mapping[str, str] = field(default_factory=dict)

    def applied(self, efficiency: Efficiency, case: Case) -> tuple[Efficiency, bool]:
        """(parameters for a case, whether its own phase was measured on its device)."""
        device = case.server.accelerator.name
        exact = self.corrections.get((device, case.engine))
        if exact is not None:
            return _moved(efficiency, exact, _phase(case)), _measured(case, exact)
        others = [found for (name, _), found in self.corrections.items() if name == device]
        if not others:
            return efficiency, False
        other = others[0]
        weak = OTHER_ENGINE_TRUST
        return with_factors(efficiency, decode=other.decode**weak, prefill=other.prefill**weak, serving=other.serving**weak), False

    def doubts_of(self, case: Case) -> tuple[str, ...]:
        """What the probe rows of this device contradicted."""
        said = self.contradicted.get(case.server.accelerator.name)
        return (said,) if said else ()


NO_PROBE = Probe()


def probes_of(
    rows: Iterable[Mapping[str, str]],
    measured_case: Callable[[Mapping[str, str]], tuple[Case, float]],
    predict: Callable[[Case, Efficiency], tuple[float, tuple[str, ...]]],
    parameters: Callable[[Case], Efficiency] | None = None,
) -> Probe:
    """Corrections from measured rows over the engine's parameters; a row above the roofline is named and left out."""
    base_of = parameters or (lambda case: efficiency_for(case.engine, case.server.accelerator))
    gathered: dict[tuple[str, str], dict[str, list[float]]] = {}
    trust: dict[tuple[str, str], Mapping[str, float]] = {}
    said: list[str] = []
    contradicted: dict[str, str] = {}
    measured: list[tuple[Case, float]] = []
    for number, row in enumerate(rows, 2):
        try:
            case, value = measured_case(row)
        except InputError as error:
            said.append(f"probe row {number}: {error}")
            continue
        bound = roof(case, predict)
        if case.metric in RATES and value > ROOF_TOLERANCE * bound:
            sentence = (
                f"probe row {number}: {value:,.4g} tok/s measured on {case.server.accelerator.name} is above the {bound:,.4g} "
                "its sheet allows; it was not used: check the model's size, the quantisation and the device"
            )
            said.append(sentence)
            contradicted[case.server.accelerator.name] = sentence
            continue
        measured.append((case, value))
    for phase in ("decode", "prefill", "serving"):
        for case, value in measured:
            if _phase(case) != phase:
                continue
            key = (case.server.accelerator.name, case.engine)
            base = base_of(case)
            trust[key] = TRUST_FITTED if base.fitted else TRUST
            so_far = _correction(gathered.get(key, {}), trust[key])
            current = _moved(base, so_far, phase) if phase == "serving" else base
            estimate, _ = predict(case, current)
            slower = log(estimate / value) if case.metric in RATES else log(value / estimate)
            gathered.setdefault(key, {}).setdefault(phase, []).append(slower)
    return Probe(
        corrections={key: _correction(errors, trust[key]) for key, errors in gathered.items()},
        contradictions=tuple(said),
        contradicted=contradicted,
    )


def roof(case: Case, predict: Callable[[Case, Efficiency], tuple[float, tuple[str, ...]]]) -> float:
    """What the sheet allows: the same formulas with every share 1 and no fixed times."""
    return predict(case, ideal(efficiency_for(case.engine, case.server.accelerator)))[0]


def ideal(efficiency: Efficiency) -> Efficiency:
    """An engine without losses."""
    shares = (
        "bandwidth_share",
        "packed_bandwidth_share",
        "kv_bandwidth_share",
        "flops_share",
        "packed_flops_share",
        "attention_share",
        "expert_share",
        "link_share",
    )
    times = ("layer_s", "expert_layer_s", "prefill_layer_s", "step_s", "sequence_s", "link_s", "activation_passes", "unpack_flops")
    exponents = ("flops_exponent", "precision_exponent")
    return efficiency.model_copy(update={**dict.fromkeys(exponents, 1.0), **dict.fromkeys(shares, 1.0), **dict.fromkeys(times, 0.0)})


@dataclass(frozen=True, kw_only=True)
class ProbePoint:
    """What one model did on this device, one sequence at a time.

    model: its shape
    quantization: precision, as Q4_K_M
    prompt_tokens: length of the prompt test
    prompt_tokens_per_s: its rate, or None
    generated_tokens: length of the generation test
    generated_tokens_per_s: its rate, or None
    file_bytes: size of the file where it is known
    """

    model: ModelSpec
    quantization: str
    prompt_tokens: float = 512.0
    prompt_tokens_per_s: float | None = None
    generated_tokens: float = 128.0
    generated_tokens_per_s: float | None = None
    file_bytes: float | None = None


def efficiency_from_probes(points: Sequence[ProbePoint], server: Server, *, engine: str = "llama.cpp") -> Efficiency:
    """The parameters of an engine on this device from models of different size, which tell bandwidth from the time per layer.

    Relative least squares with both parts at least 0: t = f S + L a, with S the estimated time without the time per layer. One
    point gives a factor only, as `efficiency_from_probe`. Bandwidth alone, carried from a 0.5B to a 7B, is 30 % off.
    """
    if not points:
        raise InputError("no measured model was given: at least one is needed")
    base = efficiency_for(engine, server.accelerator)
    layout = Layout(tensor_parallel=float(server.gpus))
    bare = base.model_copy(update={"layer_s": 0.0, "expert_layer_s": 0.0, "linear_layer_s": 0.0, "prefill_layer_s": 0.0})
    decode: list[tuple[float, float, float]] = []
    prefill: list[tuple[float, float, float]] = []
    for point in points:
        cost = footprint(point.model, point.quantization, file_bytes=point.file_bytes)
        device, layers = rates(server.accelerator, cost.compute, base), float(cost.layers)
        if point.generated_tokens_per_s is not None:
            _positive("generated_tokens_per_s", point.generated_tokens_per_s)
            part = float(decode_step_s(cost, device, bare, batch=1.0, context_tokens=point.generated_tokens / 2.0, layout=layout))
            decode.append((part, layers, 1.0 / point.generated_tokens_per_s))
        if point.prompt_tokens_per_s is not None:
            _positive("prompt_tokens_per_s", point.prompt_tokens_per_s)
            part = float(prefill_s(cost, device, bare, tokens=point.prompt_tokens, layout=layout))
            passes = float(np.ceil(point.prompt_tokens / base.prefill_chunk))
            prefill.append((part, layers * passes, point.prompt_tokens / point.prompt_tokens_per_s))
    decode_factor, layer_s = _two_parts(decode, base.layer_s)
    prefill_factor, prefill_layer_s = _two_parts(prefill, base.prefill_layer_s)
    found = base.model_copy(update={"layer_s": layer_s, "prefill_layer_s": prefill_layer_s})
    return with_factors(found, decode=decode_factor, prefill=prefill_factor)


def _two_parts(rows: Sequence[tuple[float, float, float]], prior_s: float) -> tuple[float, float]:
    """(factor, seconds per layer before the factor) of rows (part, layers, time); with one row the prior ratio of both is kept."""
    if not rows:
        return 1.0, prior_s
    if len(rows) == 1:
        part, layers, time = rows[0]
        return time / (part + layers * prior_s), prior_s
    weights = np.array([1.0 / time for _, _, time in rows])
    columns = np.array([[part, layers] for part, layers, _ in rows]) * weights[:, None]
    (factor, per_layer), _ = nnls(columns, np.ones(len(rows)))
    if factor <= 0.0:  # the sizes were too near each other to tell the two apart
        factors = [time / (part + layers * prior_s) for part, layers, time in rows]
        return float(np.median(factors)), prior_s
    return float(factor), float(per_layer / factor)


def efficiency_from_probe(
    model: ModelSpec,
    quantization: str,
    server: Server,
    *,
    engine: str = "llama.cpp",
    prompt_tokens: float = 512,
    prompt_tokens_per_s: float | None = None,
    generated_tokens: float = 128,
    generated_tokens_per_s: float | None = None,
    file_bytes: float | None = None,
) -> Efficiency:
    """The parameters of an engine on this device, corrected by a measured prompt rate (pp) and generation rate (tg) of one sequence.

    The measured model is then predicted exactly; other models on the device inherit the ratio. Needs the device's sheet, if only
    guessed: with a bandwidth far off, the ratio carries the difference.
    """
    base = efficiency_for(engine, server.accelerator)
    cost = footprint(model, quantization, file_bytes=file_bytes)
    device, layout = rates(server.accelerator, cost.compute, base), Layout(tensor_parallel=float(server.gpus))
    decode = prefill = 1.0
    if generated_tokens_per_s is not None:
        _positive("generated_tokens_per_s", generated_tokens_per_s)
        step = float(decode_step_s(cost, device, base, batch=1.0, context_tokens=generated_tokens / 2.0, layout=layout))
        decode = 1.0 / generated_tokens_per_s / step
    if prompt_tokens_per_s is not None:
        _positive("prompt_tokens_per_s", prompt_tokens_per_s)
        prompt = float(prefill_s(cost, device, base, tokens=prompt_tokens, layout=layout))
        prefill = prompt_tokens / prompt_tokens_per_s / prompt
    return with_factors(base, decode=decode, prefill=prefill)


# --- parts -----------------------------------------------------------------------------------------------------------


def _moved(efficiency: Efficiency, correction: Correction, phase: str) -> Efficiency:
    carried = ALONE_TO_SERVING if phase == "serving" and efficiency.fitted else 1.0
    return with_factors(
        efficiency,
        decode=correction.decode**carried,
        prefill=correction.prefill**carried,
        serving=correction.serving,
    )


def _phase(case: Case) -> str:
    if case.metric == "prefill_tok_s":
        return "prefill"
    if case.mode == "closed" and case.concurrency <= 1:
        return "prefill" if case.metric == "ttft_ms" else "decode"
    return "serving"


def _measured(case: Case, correction: Correction) -> bool:
    return _phase(case) in correction.phases


def _correction(errors: Mapping[str, list[float]], shares: Mapping[str, float]) -> Correction:
    """Each phase's median log error, drawn towards none by the trust that its number of rows has earned."""

    def factor(phase: str) -> float:
        found = errors.get(phase)
        if not found:
            return 1.0
        trust, count = shares[phase], len(found)
        return exp(float(np.median(found)) * count * trust / (count * trust + 1.0 - trust))

    return Correction(decode=factor("decode"), prefill=factor("prefill"), serving=factor("serving"), phases=frozenset(errors))


def _positive(name: str, rate: float) -> None:
    if not rate > 0:
        raise InputError(f"{name} {rate:g} is not a measurement: it must be above 0")
