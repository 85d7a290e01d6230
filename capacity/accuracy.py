"""How good the estimate is: devices and models left out of the fit, one probe, ranking, and the 80 % intervals that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capacity.calibration import Probe, probes_of
from capacity.cases import Case
from capacity.estimate import class_of, parameters_of, phase_of, predict
from capacity.fitting import FREE, MeasuredRow, calibration_rows, fit_all, parameters_key, without
from capacity.intervals import Interval, interval_for, judgements, nearest_class
from capacity.own_rows import own_rows
from capacity.roofline import OLD_BUILDS, Efficiency, memory_class
from facts.errors import InputError
from facts.records import read_facts

LEAST_ROWS = 24
"""Rows that a class needs for an interval of its own."""
LEAST_PAIRS = 8
"""Pairs of rows that a statement about their scatter needs."""
LEAST_DEVICES = 3
"""Devices that a class needs to stand alone."""
NARROWEST = 1.06
"""No interval is narrower than the scatter of repeated published measurements."""


@dataclass(frozen=True, kw_only=True)
class Residual:
    """One left-out row.

    row: the measurement
    how: what was left out: device, model, or probed (device left out, then one probe row a phase)
    phase: decode, prefill, serving
    name: interval class
    log_error: ln(predicted / measured), of times inverted so that above 0 is always too fast
    """

    row: MeasuredRow
    how: str
    phase: str
    name: str
    log_error: float


def left_out(rows: Sequence[MeasuredRow], priors: Mapping[tuple[str, str], Efficiency]) -> tuple[Residual, ...]:
    """Residuals of every row with its device, and with its model, left out of the fit; and of a device after one probe row a phase."""
    found: list[Residual] = []
    for how, of in (("device", _device_of), ("model", _model_of)):
        for name in sorted({of(row) for row in rows}):
            inside = [row for row in rows if of(row) == name]
            outside = without(rows, lambda row, of=of, name=name: of(row) == name)  # type: ignore[misc]
            fitted = {**priors, **fit_all(_same_engines(outside, inside), priors)}
            found += [_residual(row, fitted, how) for row in inside]
            if how == "device":
                found += _after_one_probe(inside, fitted)
    return tuple(found)


def intervals_of(residuals: Iterable[Residual]) -> dict[str, tuple[float, float, int]]:
    """Class -> (low, high, rows): quantiles of measured over predicted, for every class and wider class with rows.

    Devices left out and models left out give an interval each, and the class has the wider ends of both. The rows of one device (model)
    together weigh as the square root of their number, as in the fit: the next row is one of a new device, and a long table does not vouch
    for it. A class of fewer than three devices also spans the next wider class that has them.
    """
    by_class: dict[str, dict[str, list[tuple[float, str]]]] = {}
    for residual in residuals:
        group = _model_of(residual.row) if residual.how == "model" else _device_of(residual.row)
        kind = "model" if residual.how == "model" else "device"
        parts = residual.name.split(".")
        for length in range(2, len(parts) + 1):
            by_class.setdefault(".".join(parts[:length]), {}).setdefault(kind, []).append((-residual.log_error, group))
    answer: dict[str, tuple[float, float, int]] = {}
    for name in sorted(by_class):  # wider classes come first
        kinds = [found for found in by_class[name].values() if len(found) >= LEAST_ROWS]
        if not kinds:
            continue
        ends = [_weighted_ends(found) for found in kinds]
        low, high = min(1.0 / NARROWEST, *(low for low, _ in ends)), max(NARROWEST, *(high for _, high in ends))
        wider = answer.get(name.rpartition(".")[0])
        if wider is not None and len({group for _, group in by_class[name].get("device", [])}) < LEAST_DEVICES:
            low, high = min(low, wider[0]), max(high, wider[1])
        answer[name] = (low, high, max(len(found) for found in kinds))
    return answer


def crossed_coverage(residuals: Sequence[Residual], judged: Mapping[str, tuple[float, float]]) -> dict[tuple[str, str, str], float]:
    """(what was left out, table, metric) -> share of rows inside intervals that were taken without that row's device (model)."""
    inside: dict[tuple[str, str, str], list[bool]] = {}
    for how, of in (("device", _device_of), ("model", _model_of), ("probed", _device_of)):
        chosen = [residual for residual in residuals if residual.how == how]
        for name in sorted({of(residual.row) for residual in chosen}):
            known = {**judged, **{key: ends[:2] for key, ends in intervals_of(r for r in residuals if of(r.row) != name).items()}}
            for residual in (r for r in chosen if of(r.row) == name):
                low, high = nearest_class(known, residual.name)
                key = how, residual.row.table, residual.row.case.metric
                inside.setdefault(key, []).append(bool(low <= np.exp(-residual.log_error) <= high))
    return {key: float(np.mean(found)) for key, found in inside.items()}


def report(rows: Sequence[MeasuredRow], residuals: Sequence[Residual], shipped: Sequence[Efficiency]) -> str:
    """docs/accuracy.md."""
    lines = [
        "# How accurate the estimate is",
        "",
        "Generated by `python -m capacity accuracy`. Errors are those of prediction against published measurement, each row predicted by",
        "parameters that were fitted without its device, or without its model. Absolute percentage errors; bias is the median of",
        "predicted over measured minus one; coverage is the share of rows inside the stated 80 % interval. The intervals are taken from",
        "the same left-out residuals, so that coverage is what the quantiles give; the last column is the test of it: the share inside",
        "intervals that were taken without any row of that device (or model). Two devices alone cannot vouch for each other: the decode",
        "rows of mac_m1_m2max are of two chips that err in opposite directions.",
        "",
        f"Rows: {len(rows)} of {len({row.table for row in rows})} tables, {len({row.device for row in rows})} devices, "
        f"{len({row.model for row in rows})} models. Rows that the tables mark as suspect, and those of an unnamed machine, are left out.",
        "",
    ]
    crossed = crossed_coverage(residuals, {entry.id: (entry.low, entry.high) for entry in judgements()})
    for how, title in (
        ("device", "Device left out"),
        ("model", "Model left out"),
        ("probed", "Device left out, then one probe row for each phase"),
    ):
        chosen = [residual for residual in residuals if residual.how == how]
        of_how: dict[tuple[str, ...], float] = {(table, metric): share for (left, table, metric), share in crossed.items() if left == how}
        lines += [f"## {title}", "", *_table(chosen, lambda residual: (residual.row.table, residual.row.case.metric), of_how), ""]
    lines += [
        "## By class, device left out",
        "",
        *_table([r for r in residuals if r.how == "device"], lambda residual: (residual.name,)),
        "",
    ]
    lines += ["## Each device once", "", *_by_device([r for r in residuals if r.how == "device"]), ""]
    lines += ["## Measured by this project", "", *own_rows(), ""]
    lines += ["## Ranking", "", *_ranking([residual for residual in residuals if residual.how == "device"]), ""]
    lines += ["## What repetitions scatter", "", *_repeats(rows), ""]
    lines += ["## Parameters", "", *_parameters(shipped), ""]
    lines += [
        "## What is not known",
        "",
        "- No rows of vLLM, SGLang, Blackwell, open-loop load, mixtures of many experts under TensorRT-LLM, CUDA builds of llama.cpp",
        "  after 2024 or CPUs were fitted: there the parameters are priors, the class carries the word `prior`, and its interval is a",
        "  judgement, not a measurement.",
        "- Apple chips differ by more than a sheet tells in how fast they unpack 4-bit weights: M1 Max and M2 Max 30c unpack as many a",
        "  core, M2 Ultra an eighth more. One chip (M2 Max) holds most rows and lies furthest out, so the figure for chips left out is",
        "  mostly that of this one (see each device once); one probe row settles it.",
        "- Models 1,024 and 1,152 wide run slower under llama.cpp on Apple than their bytes and layers say, by a fifth and by half on",
        "  both chips with rows; the narrow width is fitted on these two. Half of the second's error remains: its width is no multiple of",
        "  256, so that older block formats store it. MLX has too few rows to tell, no other engine has any.",
        "- No row of a first token under load was fitted; our own, of vLLM on a processor and on an H200, stand above. Its interval is",
        "  wide on purpose. Under vLLM the prompts of a model with many small experts are a guess: on that H200 first tokens took 1.6",
        "  to 2.3 times as long as estimated, an answer alone half as long.",
        "- The tables are not part of this project; `--data` names the folder that holds them.",
    ]
    return "\n".join(lines) + "\n"


def priors() -> dict[tuple[str, str], Efficiency]:
    """The parameters before any row was seen."""
    path = resources.files("capacity") / "data" / "efficiency_priors.toml"
    return {(entry.engine, entry.memory_kind): entry for entry in read_facts(path, "efficiency", Efficiency)}


def evaluate(folder: Path) -> tuple[tuple[MeasuredRow, ...], tuple[Residual, ...]]:
    """Rows of a folder of calibration tables and their left-out residuals."""
    if not folder.is_dir():
        raise InputError(f"no such folder: {folder}; name the folder with the calibration tables")
    rows = tuple(row for row in calibration_rows(folder) if _is_fitted(row))
    return rows, left_out(rows, priors())


# --- parts -----------------------------------------------------------------------------------------------------------


def _is_fitted(row: MeasuredRow) -> bool:
    return row.case.engine in FREE or row.case.engine + OLD_BUILDS in FREE


def _device_of(row: MeasuredRow) -> str:
    return row.device


def _model_of(row: MeasuredRow) -> str:
    return row.model


def _same_engines(rows: Iterable[MeasuredRow], like: Iterable[MeasuredRow]) -> tuple[MeasuredRow, ...]:
    """Only rows that share an engine and memory kind with those left out: the other fits do not change."""
    wanted = {parameters_key(row) for row in like}
    return tuple(row for row in rows if parameters_key(row) in wanted)


def _fitted_for(case: Case, fitted: Mapping[tuple[str, str], Efficiency]) -> Efficiency:
    base = fitted.get((case.engine, memory_class(case.server.accelerator)))
    return base if base is not None else parameters_of(case)


def _residual(row: MeasuredRow, fitted: Mapping[tuple[str, str], Efficiency], how: str, probe: Probe | None = None) -> Residual:
    efficiency = _fitted_for(row.case, fitted).model_copy(update={"fitted": True})
    probed = False
    if probe is not None:
        efficiency, probed = probe.applied(efficiency, row.case)
    value, _ = predict(row.case, efficiency)
    return Residual(
        row=row,
        how=how,
        phase=phase_of(row.case),
        name=class_of(row.case, efficiency, probed=probed),
        log_error=float(np.log(value / row.value)),
    )


def _after_one_probe(inside: Sequence[MeasuredRow], fitted: Mapping[tuple[str, str], Efficiency]) -> list[Residual]:
    """Every row of a device after one row of each phase has been measured on it, the middle one of the table."""
    found: list[Residual] = []
    for engine in sorted({row.case.engine for row in inside}):
        rows = [row for row in inside if row.case.engine == engine]
        probes = []
        for phase in sorted({phase_of(row.case) for row in rows}):
            of_phase = [row for row in rows if phase_of(row.case) == phase]
            probes.append(of_phase[len(of_phase) // 2])
        measured = {str(number): (row.case, row.value) for number, row in enumerate(probes)}
        probe = probes_of(  # the base is a fit without this device
            [{"row": key} for key in measured],
            lambda text, measured=measured: measured[text["row"]],  # type: ignore[misc]
            predict,
            lambda case: _fitted_for(case, fitted).model_copy(update={"fitted": True}),
        )
        found += [_residual(row, fitted, "probed", probe) for row in rows if row not in probes]
    return [residual for residual in found if "probed" in residual.name.split(".")[1]]


def _weighted_ends(found: Sequence[tuple[float, str]]) -> tuple[float, float]:
    """8 % and 92 % quantiles, a little outside 10-90 as the next device is one more draw, each row weighing 1 / sqrt(rows of its group)."""
    count: dict[str, int] = {}
    for _, group in found:
        count[group] = count.get(group, 0) + 1
    errors, weights = np.array([error for error, _ in found]), np.array([count[group] ** -0.5 for _, group in found])
    order = np.argsort(errors)
    reached = np.cumsum(weights[order]) / weights.sum()
    ends = [errors[order][min(int(np.searchsorted(reached, share)), len(errors) - 1)] for share in (0.08, 0.92)]
    return float(np.exp(ends[0])), float(np.exp(ends[1]))


def _table(
    residuals: Sequence[Residual],
    key: Callable[[Residual], tuple[str, ...]],
    crossed: Mapping[tuple[str, ...], float] | None = None,
) -> list[str]:
    groups: dict[tuple[str, ...], list[Residual]] = {}
    for residual in residuals:
        groups.setdefault(key(residual), []).append(residual)
    lines = ["| what | rows | median | mean | 90th percentile | bias | in the 80 % interval |", "|---|---|---|---|---|---|---|"]
    if crossed is not None:
        lines = [lines[0] + " in that of the others |", lines[1] + "---|"]
    for name in sorted(groups):
        errors = np.array([residual.log_error for residual in groups[name]])
        inside = np.mean([_inside(residual) for residual in groups[name]])
        line = f"| {', '.join(name)} | {len(errors)} | {_percentages(errors)} | {inside:.0%} |"
        lines.append(line if crossed is None else f"{line} {crossed[name]:.0%} |")
    return lines


def _by_device(residuals: Sequence[Residual]) -> list[str]:
    """How far off a device is that the fit has not seen: its own median, and the median of those over the devices of a kind."""
    groups: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for residual in residuals:
        kind = memory_class(residual.row.case.server.accelerator)
        devices = groups.setdefault((kind, residual.phase, residual.row.case.engine), {})
        devices.setdefault(residual.row.device, []).append(residual.log_error)
    lines = [
        "A device of many rows does not outvote the others here: each counts with the median of its own rows (bias, rows in brackets).",
        "",
        "| memory, phase, engine | devices | median device | furthest | each |",
        "|---|---|---|---|---|",
    ]
    for name in sorted(groups):
        bias = {device: float(np.expm1(np.median(errors))) for device, errors in groups[name].items()}
        sizes = np.abs(list(bias.values()))
        each = ", ".join(f"{device} {bias[device]:+.0%} ({len(groups[name][device])})" for device in sorted(bias))
        lines.append(f"| {', '.join(name)} | {len(bias)} | {np.median(sizes):.1%} | {sizes.max():.1%} | {each} |")
    return lines


def _percentages(errors: NDArray[np.float64]) -> str:
    sizes = np.abs(np.expm1(errors))
    numbers = (float(np.median(sizes)), float(sizes.mean()), float(np.quantile(sizes, 0.9)))
    return " | ".join(f"{number:.1%}" for number in numbers) + f" | {np.expm1(np.median(errors)):+.1%}"


def _inside(residual: Residual) -> bool:
    interval: Interval = interval_for(residual.name)
    return bool(interval.low <= np.exp(-residual.log_error) <= interval.high)


def _ranking(residuals: Sequence[Residual]) -> list[str]:
    """Devices ranked for the same model, precision and request size: what taking the predicted best loses, and pairs in order."""
    groups: dict[tuple[object, ...], list[Residual]] = {}
    for residual in residuals:
        case = residual.row.case
        size = (case.input_tokens, case.output_tokens, case.mode, case.concurrency, case.metric)
        groups.setdefault((residual.row.table, residual.row.model, case.cost.compute, round(case.cost.weight_bits, 1), *size), []).append(
            residual
        )
    losses, ordered, pairs = [], 0, 0
    for found in groups.values():
        if len(found) < 2:
            continue
        measured = np.array([residual.row.value for residual in found])
        predicted = measured * np.exp([residual.log_error for residual in found])
        losses.append(1.0 - measured[int(np.argmax(predicted))] / measured.max())
        for i in range(len(found)):
            for j in range(i):
                if abs(np.log(measured[i] / measured[j])) > np.log(1.1):
                    pairs += 1
                    ordered += int((predicted[i] > predicted[j]) == (measured[i] > measured[j]))
    return [
        f"{len(losses)} groups of rows with the same model, precision and request size: taking the predicted best loses "
        f"{np.mean(losses):.1%} of the throughput on average; {ordered / max(pairs, 1):.1%} of {pairs} pairs more than 10 % apart "
        "are in order."
    ]


def _repeats(rows: Sequence[MeasuredRow]) -> list[str]:
    """Rows of one device that differ in nothing the formulas see (same shape, precision and test): what no estimate can get below."""
    groups: dict[tuple[object, ...], list[MeasuredRow]] = {}
    for row in rows:
        case, cost = row.case, row.case.cost
        size = (round(float(np.log(float(cost.weights_bytes))), 2), float(cost.layers), float(cost.hidden), round(cost.weight_bits, 1))
        test = (case.engine, case.metric, case.input_tokens, case.output_tokens, case.concurrency, float(case.layout.devices))
        groups.setdefault((row.table, row.device, *size, *test), []).append(row)
    lines = []
    for metric in sorted({row.case.metric for row in rows}):
        apart = [
            abs(float(np.log(one.value / other.value)))
            for found in groups.values()
            for place, one in enumerate(found)
            for other in found[:place]
            if one.case.metric == metric and one.model != other.model
        ]
        if len(apart) >= LEAST_PAIRS:
            lines.append(
                f"- {metric}: {len(apart)} pairs of rows with the same device, shape, precision and test lie {np.median(apart):.1%} apart "
                f"in the median, {np.quantile(apart, 0.9):.1%} at the 90th percentile."
            )
    return lines or ["No two rows repeat each other."]


def _parameters(shipped: Sequence[Efficiency]) -> list[str]:
    names = (
        "bandwidth_share",
        "packed_bandwidth_share",
        "kv_bandwidth_share",
        "flops_share",
        "packed_flops_share",
        "attention_share",
        "flops_exponent",
        "precision_exponent",
        "layer_s",
        "activation_passes",
        "expert_share",
        "link_share",
        "link_s",
        "fast_link_s",
        "request_s",
        "unpack_flops",
    )
    lines = ["| engine, memory | source | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for entry in shipped:
        origin = "fitted" if entry.fitted else "prior"
        lines.append(f"| {entry.engine}, {entry.memory_kind} | {origin} | " + " | ".join(_shown(entry, name) for name in names) + " |")
    return lines


def _shown(entry: Efficiency, name: str) -> str:
    number = getattr(entry, name)
    return "-" if number is None else f"{number:.3g}"
