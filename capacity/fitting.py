"""Fitting an engine's parameters to measured rows: least squares of log errors with priors, over the formulas of the estimate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from capacity.cases import Case, case_of, read_rows
from capacity.footprint import Footprint
from capacity.roofline import OLD_BUILDS, Efficiency, Layout, Rates, decode_step_s, efficiency_for, memory_class, prefill_s, rates
from capacity.throughput import RequestSize, closed_loop, sequence_cap
from facts.errors import InputError

PRIORS: dict[str, tuple[float, float, float]] = {
    "bandwidth_share": (0.15, 0.2, 1.05),
    "packed_bandwidth_share": (0.15, 0.2, 1.05),
    "kv_bandwidth_share": (0.4, 0.1, 1.05),
    "kv_repeat": (0.2, 0.05, 1.0),
    "flops_share": (0.4, 0.03, 1.5),
    "packed_flops_share": (0.4, 0.03, 1.5),
    "attention_share": (0.8, 0.01, 1.5),
    "flops_exponent": (0.2, 0.3, 1.0),
    "precision_exponent": (0.1, 0.5, 1.0),
    "unpack_flops": (0.4, 1.0, 200.0),
    "linear_layer_s": (0.7, 1e-6, 2e-3),
    "state_passes": (0.7, 0.5, 60.0),
    "narrow_width": (0.3, 100.0, 1500.0),
    "layer_s": (0.5, 2e-6, 2e-3),
    "expert_layer_s": (0.5, 1e-6, 2e-3),
    "prefill_layer_s": (0.6, 2e-6, 5e-3),
    "step_s": (0.5, 1e-5, 2e-2),
    "sequence_s": (0.7, 1e-8, 1e-3),
    "activation_passes": (0.3, 2.0, 80.0),
    "expert_share": (0.25, 0.15, 1.1),
    "link_share": (0.4, 0.05, 1.0),
    "link_s": (0.5, 1e-6, 2e-4),
}
"""Parameter -> (standard deviation of its logarithm around the prior, lowest, highest value)."""
FREE: dict[str, tuple[str, ...]] = {
    "llama.cpp-2024": (
        "bandwidth_share",
        "packed_bandwidth_share",
        "kv_bandwidth_share",
        "kv_repeat",
        "flops_share",
        "packed_flops_share",
        "attention_share",
        "flops_exponent",
        "layer_s",
        "prefill_layer_s",
        "activation_passes",
        "unpack_flops",
        "state_passes",
        "narrow_width",
        "expert_share",
    ),
    "mlx": ("packed_bandwidth_share", "packed_flops_share", "layer_s", "prefill_layer_s", "unpack_flops", "expert_share"),
    "trtllm": (
        "bandwidth_share",
        "kv_bandwidth_share",
        "flops_share",
        "attention_share",
        "precision_exponent",
        "sequence_s",
        "activation_passes",
        "expert_share",
        "link_share",
        "link_s",
        "prefill_layer_s",
    ),
}
"""Engine -> parameters that its rows can tell apart; the others stay at their priors."""
TODAYS_LAYER_SHARE = 0.5
"""Time per layer of a current llama.cpp build over that of May 2024: graphs are captured or encoded side by side."""
METAL_LAYER_SHARE = 0.25
"""The same of a Metal build of April 2026: 29 us a layer, where the builds of May 2024 take 115. Rows after a probe err least with it
(2.8 %; at 0.1 3.4 %, at 0.4 4.0 %), left-out models alike (4.9, 4.7, 4.6 %)."""
ROW_SIGMA = 0.10
"""Scatter of a published row around a right model (2 to 4 % median, 12 to 29 % at the 90th percentile)."""


@dataclass(frozen=True, kw_only=True)
class MeasuredRow:
    """A calibration row.

    case: what was asked
    value: what was measured, in the metric's unit
    table: file it stands in
    device, model: as the file names them
    """

    case: Case
    value: float
    table: str
    device: str
    model: str


@dataclass(frozen=True, kw_only=True)
class _Stack:
    """Rows whose formulas differ in numbers only."""

    rows: tuple[int, ...]
    cost: Footprint
    static: bool
    kind: str
    layout: Layout
    devices: tuple[MeasuredRow, ...]


def calibration_rows(folder: Path) -> tuple[MeasuredRow, ...]:
    """Rows of every table of a folder whose device is named and that are not marked suspect."""
    rows = []
    for path in sorted(folder.glob("*.csv")):
        if path.stem in {"hardware", "models"}:
            continue
        _, table = read_rows(path)
        for row in table:
            if "suspect" in row.get("note", "").lower() or row.get("device", "").startswith("unnamed"):
                continue
            try:
                case = case_of(row)
            except InputError:
                continue
            rows.append(MeasuredRow(case=case, value=float(row["value"]), table=path.stem, device=row["device"], model=row["model"]))
    if not rows:
        raise InputError(f"{folder} holds no calibration rows")
    return tuple(rows)


def fit_all(rows: Sequence[MeasuredRow], priors: Mapping[tuple[str, str], Efficiency]) -> dict[tuple[str, str], Efficiency]:
    """Fitted parameters of every (engine, memory kind) that has rows; the others keep their priors."""
    groups: dict[tuple[str, str], list[MeasuredRow]] = {}
    for row in rows:
        groups.setdefault(parameters_key(row), []).append(row)
    fitted = {key: fit(found, priors[key]) for key, found in groups.items() if key in priors and key[0] in FREE}
    for (engine, kind), parameters in list(fitted.items()):
        if engine.endswith(OLD_BUILDS):
            today = engine.removesuffix(OLD_BUILDS), kind
            build = todays_metal_build if kind == "apple" else todays_build
            fitted[today] = build(parameters, priors[today])
    return fitted


def parameters_key(row: MeasuredRow) -> tuple[str, str]:
    """(engine, memory kind) of a row's parameters: Apple rows of both ages are fitted together, as what they share is the chip."""
    kind = memory_class(row.case.server.accelerator)
    return ("llama.cpp" + OLD_BUILDS if row.case.engine == "llama.cpp" and kind == "apple" else row.case.engine), kind


def todays_metal_build(old: Efficiency, prior: Efficiency) -> Efficiency:
    """A current Metal build of llama.cpp from the parameters of May 2024: captured commands, and the cache read once."""
    return old.model_copy(
        update={
            "engine": prior.engine,
            "layer_s": old.layer_s * METAL_LAYER_SHARE,
            "kv_repeat": prior.kv_repeat,
            "kept_bytes_per_s": prior.kept_bytes_per_s,
            "scheduled_tokens": prior.scheduled_tokens,
            "source": prior.source,
        }
    )


def todays_build(old: Efficiency, prior: Efficiency) -> Efficiency:
    """A current CUDA build of llama.cpp from the fit to builds of May 2024: a prior, no rows of it were fitted.

    Captured graphs (llama.cpp pull request 6766, 2024-05) take about half of the time per layer; fused attention, the default since
    2025, makes a prompt's attention about three times as fast and reads the cache once; integer products of packed weights (2024-06)
    add 40 % to prompts; the other shares of the sheet's figures stay.
    """
    return old.model_copy(
        update={
            "engine": prior.engine,
            "layer_s": old.layer_s * TODAYS_LAYER_SHARE,
            "kv_bandwidth_share": prior.kv_bandwidth_share,
            "kv_repeat": prior.kv_repeat,
            "attention_share": min(1.0, old.attention_share * 3.0),
            "flops_share": min(1.2, old.flops_share * 1.15),
            "packed_flops_share": min(1.2, old.packed_flops_share * 1.4),
            "unpack_exponent": prior.unpack_exponent,
            "kept_bytes_per_s": prior.kept_bytes_per_s,
            "scheduled_tokens": prior.scheduled_tokens,
            "fitted": False,
            "source": prior.source,
        }
    )


def fit(rows: Sequence[MeasuredRow], prior: Efficiency) -> Efficiency:
    """The parameters that explain the rows of one engine on one kind of memory, drawn to their priors.

    Minimises sum rho(ln(predicted / measured)) / sigma^2 + sum (ln(parameter / prior) / sd)^2 with a soft-L1 rho; the rows of one
    device and model together weigh as the square root of their number, and so do a device's models: a long table does not outvote a
    device.
    """
    names = tuple(name for name in FREE[prior.engine] if _is_free(prior, name))
    start = np.array([np.log(getattr(prior, name)) for name in names])
    spread = np.array([PRIORS[name][0] for name in names])
    lower = np.log([PRIORS[name][1] for name in names])
    upper = np.log([PRIORS[name][2] for name in names])
    stacks, measured, weights = _stacks(rows), np.log([row.value for row in rows]), _weights(rows)

    def residuals(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        candidate = prior.model_copy(update=dict(zip(names, np.exp(logs).tolist(), strict=True)))
        errors = (np.log(_predictions(stacks, rows, candidate)) - measured) / ROW_SIGMA * weights
        soft = np.sign(errors) * np.sqrt(2.0 * (np.sqrt(1.0 + errors**2) - 1.0))
        return np.concatenate([soft, (logs - start) / spread])

    inside = np.clip(start, lower + 1e-6, upper - 1e-6)
    solution = least_squares(residuals, inside, bounds=(lower, upper), max_nfev=60)
    return prior.model_copy(update={**dict(zip(names, np.exp(solution.x).tolist(), strict=True)), "fitted": True})


def _is_free(prior: Efficiency, name: str) -> bool:
    """A parameter that is 0 in the prior stays 0."""
    return bool(getattr(prior, name) > 0)


def without(rows: Iterable[MeasuredRow], leave: Callable[[MeasuredRow], bool]) -> tuple[MeasuredRow, ...]:
    """The rows that are not left out."""
    return tuple(row for row in rows if not leave(row))


# --- the formulas over many rows at once -----------------------------------------------------------------------------


def _weights(rows: Sequence[MeasuredRow]) -> NDArray[np.float64]:
    of_model: dict[tuple[str, str, str], int] = {}
    for row in rows:
        of_model[_group(row)] = of_model.get(_group(row), 0) + 1
    of_device: dict[tuple[str, str], int] = {}
    for device, _, metric in of_model:
        of_device[device, metric] = of_device.get((device, metric), 0) + 1
    return np.array([(of_model[_group(row)] * of_device[row.device, row.case.metric]) ** -0.25 for row in rows])


def _group(row: MeasuredRow) -> tuple[str, str, str]:
    return row.device, row.model, row.case.metric


def _stacks(rows: Sequence[MeasuredRow]) -> tuple[_Stack, ...]:
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, row in enumerate(rows):
        case = row.case
        key = (case.engine, _kind(case), case.static_batch, case.cost.compute, round(case.cost.weight_bits, 3), case.cost.is_mixture)
        groups.setdefault(key, []).append(index)
    stacks = []
    for found in groups.values():
        cases = [rows[index].case for index in found]
        stacks.append(
            _Stack(
                rows=tuple(found),
                cost=_stacked_cost([case.cost for case in cases]),
                static=cases[0].static_batch,
                kind=_kind(cases[0]),
                layout=Layout(
                    tensor_parallel=np.array([float(case.layout.tensor_parallel) for case in cases]),
                    pipeline_parallel=np.array([float(case.layout.pipeline_parallel) for case in cases]),
                ),
                devices=tuple(rows[index] for index in found),
            )
        )
    return tuple(stacks)


def _stacked_cost(costs: Sequence[Footprint]) -> Footprint:
    update = {}
    for entry in fields(Footprint):
        first = getattr(costs[0], entry.name)
        if entry.name in {"compute", "weight_bits", "exact"}:
            update[entry.name] = first
        else:
            update[entry.name] = np.array([float(getattr(cost, entry.name)) for cost in costs])
    return Footprint(**update)


def _kind(case: Case) -> str:
    if case.metric == "prefill_tok_s":
        return "prefill"
    return "decode" if case.metric == "decode_tok_s" else "serving"


def _predictions(stacks: Sequence[_Stack], rows: Sequence[MeasuredRow], candidate: Efficiency) -> NDArray[np.float64]:
    predicted = np.empty(len(rows))
    for stack in stacks:
        newer = candidate.engine.endswith(OLD_BUILDS) and not stack.devices[0].case.engine.endswith(OLD_BUILDS)
        current = todays_metal_build(candidate, candidate.model_copy(update={"kv_repeat": 0.0})) if newer else candidate
        predicted[list(stack.rows)] = _stack_prediction(stack, current)
    return predicted


def _stack_prediction(stack: _Stack, candidate: Efficiency) -> NDArray[np.float64]:
    cases = [row.case for row in stack.devices]
    device = _stacked_rates(cases, candidate)
    batch = np.array([max(case.concurrency, 1.0) for case in cases])
    inputs, outputs = np.array([case.input_tokens for case in cases]), np.array([case.output_tokens for case in cases])
    depth = np.array([case.depth for case in cases])
    if stack.kind == "prefill":
        time = prefill_s(stack.cost, device, candidate, tokens=inputs, sequences=batch, depth=depth, layout=stack.layout)
        return np.asarray(batch * inputs / time)
    if stack.kind == "decode":
        context = depth + inputs + outputs / 2.0
        return np.asarray(batch / decode_step_s(stack.cost, device, candidate, batch=batch, context_tokens=context, layout=stack.layout))
    load = RequestSize(input_tokens=np.maximum(inputs, 1.0), output_tokens=np.maximum(outputs, 1.0))
    cap = np.array([_saturation(case, candidate) for case in cases])
    in_flight = np.where(np.array([case.mode == "closed" for case in cases]), batch, cap)
    state = closed_loop(
        stack.cost, device, candidate, load, concurrency=in_flight, cap=np.maximum(cap, 1.0), layout=stack.layout, static_batch=stack.static
    )
    copies = np.array([case.copies for case in cases])
    total = np.array([case.metric == "total_tok_s" for case in cases])
    return np.asarray(state.requests_per_s * copies * (load.output_tokens + np.where(total, inputs, 0.0)))


def _stacked_rates(cases: Sequence[Case], candidate: Efficiency) -> Rates:
    found = [rates(case.server.accelerator, case.cost.compute, candidate) for case in cases]
    return Rates(
        bandwidth=np.array([float(entry.bandwidth) for entry in found]),
        flops16=np.array([float(entry.flops16) for entry in found]),
        unpacking=np.array([float(entry.unpacking) for entry in found]),
        flops=np.array([float(entry.flops) for entry in found]),
        most_flops=np.array([float(entry.most_flops) for entry in found]),
        link=np.array([float(entry.link) for entry in found]),
        fast_link=np.array([bool(entry.fast_link) for entry in found]),
    )


def _saturation(case: Case, candidate: Efficiency) -> float:
    load = RequestSize(input_tokens=max(case.input_tokens, 1.0), output_tokens=max(case.output_tokens, 1.0))
    return max(1.0, sequence_cap(case.cost, case.server, candidate, load, case.layout))


def prior_for(engine: str, row: MeasuredRow) -> Efficiency:
    """The shipped parameters of a row's engine and device."""
    return efficiency_for(engine, row.case.server.accelerator)
