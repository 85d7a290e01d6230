"""Measurements move the estimate: by phase, for one device, carried over to its other models; a contradiction is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log
from typing import TypeAlias

import numpy as np
from scipy.optimize import nnls

from capacity.accelerators import Accelerator, Server
from capacity.cases import RATES, Case
from capacity.device_update import (
    DECODE_MOVES,
    PREFILL_MOVES,
    PRIOR_WIDER,
    PROMPT_ROW_SPREAD,
    ROW_SPREAD,
    Observation,
    changed,
    most_probable,
)
from capacity.footprint import footprint
from capacity.intervals import outside_rows
from capacity.models import ModelSpec
from capacity.roofline import Efficiency, Layout, decode_step_s, efficiency_for, engine_id, prefill_s, rates, with_factors
from facts.errors import InputError
from facts.records import Basis

Predict: TypeAlias = Callable[[Case, Efficiency], tuple[float, tuple[str, ...]]]
"""The estimate of a case: its value in its own unit, and doubts."""
SERVING_TRUST = 0.85
"""Share of the log error of one serving probe that is the device's own: its variance over the sum with that of models and rows."""
SERVING_TRUST_FITTED = 0.15
"""The same where the engine was fitted: left-out devices differ little from the fit there."""
ALONE_TO_SERVING = 0.2
"""Share of what one sequence alone says that carries over to many at once, where the engine's serving was fitted: the rest is
fixed time that shared passes do not pay."""
OTHER_ENGINE_TRUST = 0.35
"""The same where the probe ran on another engine."""
ROOF_TOLERANCE = 1.08
"""A measurement this far above the sheet's bound contradicts the sheet, the row, or the model's size."""
HALVINGS = 12
"""Bisections of a factor: to 1 part in 4,000 of it."""
AT_ODDS = 1.35
"""A measurement that the corrected parameters of its own device still miss by more than this contradicts the other rows."""
FAR_SLOWER = 5.0
"""A measurement so many times as slow as the sheet's estimate is used and said: a first request that compiled was ten times as slow."""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What was measured on one device with one engine.

    alone: parameter -> change of its logarithm, from generation and prompts of one sequence
    serving: measured over estimated time of many requests at once, after those changes
    serving_unlike: the same from rows that nothing like them was fitted on, for others of that kind
    first: the same of the time to first token under load
    phases: phases that were measured (decode, prefill, serving, first)
    """

    alone: Mapping[str, float] = field(default_factory=dict)
    serving: float = 1.0
    serving_unlike: float = 1.0
    first: float = 1.0
    phases: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What probe rows say, by device and engine.

    corrections: (device, devices' engine) -> correction
    contradictions: one sentence per measurement that was not absorbed, or is far from the sheet or from the others
    contradicted: devices with such a measurement
    """

    corrections: Mapping[tuple[str, str], Correction] = field(default_factory=dict)
    contradictions: tuple[str, ...] = ()
    contradicted: Mapping[str, str] = field(default_factory=dict)

    def applied(self, efficiency: Efficiency, case: Case) -> tuple[Efficiency, bool]:
        """(parameters for a case, whether its own phase was measured on its device)."""
        device, phase = case.server.accelerator.name, phase_measured(case)
        exact = self.corrections.get((device, case.engine))
        if exact is not None:
            return _moved(efficiency, exact, phase, unlike=_unlike(case, efficiency)), phase in exact.phases
        others = [found for (name, _), found in self.corrections.items() if name == device]
        if not others:
            return efficiency, False
        return _moved(efficiency, others[0], phase, OTHER_ENGINE_TRUST, unlike=_unlike(case, efficiency)), False

    def serving(self, engine: str, device: Accelerator) -> Efficiency | None:
        """The parameters for serving on a device, moved by what this very engine did on it; None without such rows.

        One request at a time says little of serving, except of llama.cpp, which is mostly used so: other engines need more in flight.
        """
        if not self.corrections:
            return None
        name = engine_id(engine)
        exact = self.corrections.get((device.name, name))
        if exact is None or ("serving" not in exact.phases and name != "llama.cpp"):
            return None
        return _moved(efficiency_for(name, device), exact, "serving").model_copy(update={"basis": Basis.CALIBRATED})

    def doubts_of(self, case: Case) -> tuple[str, ...]:
        """What the probe rows of this device contradicted."""
        said = self.contradicted.get(case.server.accelerator.name)
        return (said,) if said else ()


NO_PROBE = Probe()


def probes_of(
    rows: Iterable[Mapping[str, str]],
    measured_case: Callable[[Mapping[str, str]], tuple[Case, float]],
    predict: Predict,
    parameters: Callable[[Case], Efficiency] | None = None,
) -> Probe:
    """Corrections from measured rows over the engine's parameters; one above the roofline is named and left out, a far slower one used."""
    base_of = parameters or (lambda case: efficiency_for(case.engine, case.server.accelerator))
    said: list[str] = []
    contradicted: dict[str, str] = {}
    gathered: dict[tuple[str, str], list[_Measured]] = {}

    def doubted(device: str, sentence: str) -> None:
        said.append(sentence)
        contradicted[device] = sentence

    for number, row in enumerate(rows, 2):
        try:
            case, value = measured_case(row)
        except InputError as error:
            said.append(f"probe row {number} is not used: {error}")
            continue
        name = case.server.accelerator.name
        bound = roof(case, predict)
        if case.metric in RATES and value > ROOF_TOLERANCE * bound:
            doubted(
                name,
                f"probe row {number}: {value:,.4g} tok/s measured on {name} is above the {bound:,.4g} "
                "its sheet allows; it was not used: check the model's size, the quantisation and the device",
            )
            continue
        expected, _ = predict(case, base_of(case))
        slower = expected / value if case.metric in RATES else value / expected
        if slower > FAR_SLOWER:
            doubted(
                name,
                f"probe row {number}: {value:,.4g} measured on {name} is {slower:,.1f} times as slow as the {expected:,.4g} estimated "
                "from its sheet; it was used: if that was a first request, or the machine had other work or a power limit, measure again",
            )
        gathered.setdefault((name, case.engine), []).append(_Measured(number=number, case=case, value=value))
    corrections = {}
    for key, measured in gathered.items():
        corrections[key] = _correction(measured, base_of(measured[0].case), predict)
        for entry in measured:
            base = base_of(entry.case)
            moved = _moved(base, corrections[key], phase_measured(entry.case), unlike=_unlike(entry.case, base))
            estimate, _ = predict(entry.case, moved)
            if len(measured) > 1 and not 1 / AT_ODDS < estimate / entry.value < AT_ODDS:
                doubted(
                    key[0],
                    f"probe row {entry.number}: {entry.value:,.4g} measured on {key[0]} is far from the {estimate:,.4g} that fits all "
                    "of its rows: one of them was another build, setting or machine",
                )
    return Probe(corrections=corrections, contradictions=tuple(said), contradicted=contradicted)


def roof(case: Case, predict: Predict) -> float:
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
    times = (
        "layer_s",
        "expert_layer_s",
        "prefill_layer_s",
        "step_s",
        "sequence_s",
        "draw_s",
        "kept_bytes_per_s",
        "link_s",
        "fast_link_s",
        "request_s",
        "activation_passes",
        "unpack_flops",
        "kv_repeat",
    )
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
    prompt_depth_tokens, generated_depth_tokens: tokens that stood in the context before each test
    file_bytes: size of the file where it is known
    """

    model: ModelSpec
    quantization: str
    prompt_tokens: float = 512.0
    prompt_tokens_per_s: float | None = None
    generated_tokens: float = 128.0
    generated_tokens_per_s: float | None = None
    prompt_depth_tokens: float = 0.0
    generated_depth_tokens: float = 0.0
    file_bytes: float | None = None

    @property
    def generated_context_tokens(self) -> float:
        """Tokens in the context in the middle of the generation."""
        return self.generated_depth_tokens + self.generated_tokens / 2.0


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
            part = float(decode_step_s(cost, device, bare, batch=1.0, context_tokens=point.generated_context_tokens, layout=layout))
            decode.append((part, layers, 1.0 / point.generated_tokens_per_s))
        if point.prompt_tokens_per_s is not None:
            _positive("prompt_tokens_per_s", point.prompt_tokens_per_s)
            part = float(prefill_s(cost, device, bare, tokens=point.prompt_tokens, depth=point.prompt_depth_tokens, layout=layout))
            passes = float(np.ceil(point.prompt_tokens / base.prefill_chunk))
            prefill.append((part, layers * passes, point.prompt_tokens / point.prompt_tokens_per_s))
    decode_factor, layer_s = _two_parts(decode, base.layer_s)
    prefill_factor, prefill_layer_s = _two_parts(prefill, base.prefill_layer_s)
    found = base.model_copy(update={"layer_s": layer_s, "prefill_layer_s": prefill_layer_s})
    return with_factors(found, decode=decode_factor, prefill=prefill_factor)


def single_rates(
    model: ModelSpec,
    quantization: str,
    server: Server,
    efficiency: Efficiency,
    *,
    prompt_tokens: float = 512,
    generated_tokens: float = 128,
    file_bytes: float | None = None,
) -> tuple[float, float]:
    """(prompt, generation) tokens per second of one sequence alone, as llama-bench's pp and tg tests measure them."""
    cost = footprint(model, quantization, file_bytes=file_bytes)
    device, layout = rates(server.accelerator, cost.compute, efficiency), Layout(tensor_parallel=float(server.gpus))
    step = float(decode_step_s(cost, device, efficiency, batch=1.0, context_tokens=generated_tokens / 2.0, layout=layout))
    return prompt_tokens / float(prefill_s(cost, device, efficiency, tokens=prompt_tokens, layout=layout)), 1.0 / step


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


def efficiency_from_probe(point: ProbePoint, server: Server, *, engine: str = "llama.cpp") -> Efficiency:
    """The parameters of an engine on this device, corrected by a measured prompt rate (pp) and generation rate (tg) of one sequence.

    The measured model is then predicted exactly; other models on the device inherit the ratio. Needs the device's sheet, if only
    guessed: with a bandwidth far off, the ratio carries the difference.
    """
    base = efficiency_for(engine, server.accelerator)
    cost = footprint(point.model, point.quantization, file_bytes=point.file_bytes)
    device, layout = rates(server.accelerator, cost.compute, base), Layout(tensor_parallel=float(server.gpus))
    decode = prefill = 1.0
    if point.generated_tokens_per_s is not None:
        _positive("generated_tokens_per_s", point.generated_tokens_per_s)
        step = float(decode_step_s(cost, device, base, batch=1.0, context_tokens=point.generated_context_tokens, layout=layout))
        decode = 1.0 / point.generated_tokens_per_s / step
    if point.prompt_tokens_per_s is not None:
        _positive("prompt_tokens_per_s", point.prompt_tokens_per_s)
        prompt = float(prefill_s(cost, device, base, tokens=point.prompt_tokens, depth=point.prompt_depth_tokens, layout=layout))
        prefill = point.prompt_tokens / point.prompt_tokens_per_s / prompt
    return with_factors(base, decode=decode, prefill=prefill)


# --- parts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Measured:
    number: int
    case: Case
    value: float


def _unlike(case: Case, efficiency: Efficiency) -> bool:
    """Whether no fitted row was like the case: a prior, or fitted parameters asked about newer chips, 4 bits or many experts."""
    return not efficiency.fitted or outside_rows(case.cost, case.server, efficiency)


def _moved(efficiency: Efficiency, correction: Correction, phase: str, share: float = 1.0, *, unlike: bool = False) -> Efficiency:
    """The parameters as a correction leaves them for a phase; the serving factors are for serving alone."""
    together = phase in {"serving", "first"}
    carried = share * (ALONE_TO_SERVING if together and efficiency.fitted else 1.0)
    found = changed(efficiency, correction.alone, carried)
    if not together:
        return found.model_copy(update={"basis": Basis.CALIBRATED})
    update = {"first_factor": efficiency.first_factor * correction.first**share}
    factor = correction.serving_unlike if unlike else correction.serving
    return with_factors(found, serving=factor**share).model_copy(update=update)


def phase_measured(case: Case) -> str:
    """What a row says something about: decode, prefill, serving, or the first token under load."""
    if case.metric == "prefill_tok_s":
        return "prefill"
    if case.mode == "closed" and case.concurrency <= 1:
        return "prefill" if case.metric == "ttft_ms" else "decode"
    return "first" if case.metric == "ttft_ms" else "serving"


def _correction(measured: Sequence[_Measured], base: Efficiency, predict: Predict) -> Correction:
    """One device's rows: generation first, then prompts, then many at once with both."""
    alone: dict[str, float] = {}
    for phase, moves in (("decode", DECODE_MOVES), ("prefill", PREFILL_MOVES)):
        rows = [entry for entry in measured if phase_measured(entry.case) == phase]
        seen = [_observation(entry, measured, predict) for entry in rows]
        if seen:
            wider = PRIOR_WIDER if all(_unlike(entry.case, base) for entry in rows) else 1.0
            alone |= most_probable(changed(base, alone), moves, seen, wider=wider)
    correction = Correction(alone=alone, phases=frozenset(phase_measured(entry.case) for entry in measured))
    serving, first = ([entry for entry in measured if phase_measured(entry.case) == phase] for phase in ("serving", "first"))
    if serving:
        moved, unlike = _moved(base, correction, "serving"), [entry for entry in serving if _unlike(entry.case, base)]

        def slowed(factor: float) -> Efficiency:
            return with_factors(moved, serving=factor)

        like = _factor(serving, slowed, predict, SERVING_TRUST_FITTED if base.fitted else SERVING_TRUST)
        correction = replace(correction, serving=like, serving_unlike=_factor(unlike, slowed, predict, SERVING_TRUST) if unlike else like)
    if first:  # no row of it was fitted under any engine
        before = _moved(base, correction, "first")

        def later(factor: float) -> Efficiency:
            return before.model_copy(update={"first_factor": before.first_factor * factor})

        correction = replace(correction, first=_factor(first, later, predict, SERVING_TRUST))
    return correction


def _observation(entry: _Measured, among: Sequence[_Measured], predict: Predict) -> Observation:
    """A row as an observed time; rows of one model together count as the square root of their number."""
    same = sum(other.case.cost == entry.case.cost and phase_measured(other.case) == phase_measured(entry.case) for other in among)
    case = entry.case
    rate = case.metric in RATES

    def time(efficiency: Efficiency) -> float:
        estimate = predict(case, efficiency)[0]
        return 1.0 / estimate if rate else estimate

    spread = PROMPT_ROW_SPREAD if phase_measured(case) == "prefill" else ROW_SPREAD
    return Observation(time=time, measured=1.0 / entry.value if rate else entry.value, spread=spread * float(same) ** 0.25)


def _factor(measured: Sequence[_Measured], apply: Callable[[float], Efficiency], predict: Predict, trust: float) -> float:
    """The median of measured over estimated time, drawn towards 1 by the trust that the number of rows has earned."""
    slower, count = [_log_factor(entry, apply, predict) for entry in measured], len(measured)
    return exp(float(np.median(slower)) * count * trust / (count * trust + 1.0 - trust))


def _log_factor(entry: _Measured, apply: Callable[[float], Efficiency], predict: Predict) -> float:
    """ln of the factor on times that meets a row: measured over estimated, or less where slower steps fill the server with requests.

    An open loop whose arrivals alone set the rate says little: its factor is never more than the ratio itself.
    """

    def too_fast(log_factor: float) -> float:
        estimate, _ = predict(entry.case, apply(exp(log_factor)))
        return log(estimate / entry.value) if entry.case.metric in RATES else log(entry.value / estimate)

    error = too_fast(0.0)
    low, high = 0.0, error
    if error * too_fast(error) >= 0.0:
        return error
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if error * too_fast(middle) > 0.0 else (low, middle)
    return (low + high) / 2.0


def _positive(name: str, rate: float) -> None:
    if not rate > 0:
        raise InputError(f"{name} {rate:g} is not a measurement: it must be above 0")
