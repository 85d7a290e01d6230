"""What our own probe measured on an accelerator, beside the estimate: a part of docs/accuracy.md. No parameter is fitted on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np

from capacity.calibration import NO_PROBE, Probe, probes_of
from capacity.cases import RATES, read_rows
from capacity.estimate import Prediction, estimate_row, measured_case, phase_of, predict
from facts.errors import InputError


def own_rows() -> list[str]:
    """Rows of our own probe, which no parameter was fitted on: predicted before, and after one of them for each phase."""
    with resources.as_file(resources.files("capacity") / "data" / "own_rows.csv") as path:
        _, rows = read_rows(path)
    of_phase: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        of_phase.setdefault(phase_of(measured_case(row)[0]), []).append(row)
    firsts = [found[0] for found in of_phase.values()]
    probe = probes_of(firsts, measured_case, predict)
    lines = [
        "llama.cpp with CUDA on an H200, random weights, measured by `python -m probes` on 26 November 2026 (the archive of `make bundle`;",
        "`capacity/data/own_rows.csv`). Nothing was fitted on these rows; the last two columns follow after the first row of each phase.",
        "The estimate of this class is a prior; what llama-server itself does for each token (it samples its sequences one after another",
        "on the processor) is in no row that was fitted. A measurement of the machine is what this project is for.",
        "",
        *_medians(rows, firsts, probe),
        "",
        "| model | what | measured | predicted | off | in its 80 % interval | off after a probe | then in it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        value, before, after = float(row["value"]), estimate_row(row), estimate_row(row, probe)
        lines.append(
            f"| {row['model']} {row['quant']} | {_what(row)} | {value:,.4g} | {_off(before, value, figure=True)} | "
            + ("the probe | |" if row in firsts else f"{_off(after, value)} |")
        )
    return lines


def _medians(rows: Sequence[Mapping[str, str]], firsts: Sequence[Mapping[str, str]], probe: Probe) -> list[str]:
    """Median error of the rows that were no probe, by what was measured, before the probe and after it."""
    groups: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        decoded = "answers, several at once" if measured_case(row)[0].concurrency > 1 else "answers, one at once"
        name = {"prefill_tok_s": "prompts", "decode_tok_s": decoded}.get(row["metric"], "llama-server")
        if row not in firsts:
            groups.setdefault(name, []).append(row)
    lines = ["| what | rows | median error | bias, above 0 too fast | median after a probe | bias after it |", "|---|---|---|---|---|---|"]
    for name, found in groups.items():
        measured = np.array([float(row["value"]) for row in found])
        told = []
        for with_it in (NO_PROBE, probe):
            predicted = np.array([estimate_row(row, with_it).predicted for row in found], dtype=np.float64)
            rates = np.array([measured_case(row)[0].metric in RATES for row in found])
            error = np.where(rates, predicted / measured, measured / predicted) - 1.0
            told.append(f"{np.median(np.abs(error)):.0%} | {np.median(error):+.0%}")
        lines.append(f"| {name} | {len(found)} | {' | '.join(told)} |")
    return lines


def _what(row: Mapping[str, str]) -> str:
    case, _ = measured_case(row)
    load = f", {case.concurrency:g} at once" if case.concurrency > 1 else ""
    return f"{row['metric']}, {row['isl']} in, {row['osl']} out{load}" + (f", at {case.depth:g} tokens" if case.depth else "")


def _off(answer: Prediction, measured: float, *, figure: bool = False) -> str:
    """'predicted | error | inside', the first where it is asked for."""
    if answer.predicted is None or answer.low80 is None or answer.high80 is None:
        raise InputError(f"a row of ours is refused: {answer.refused_because}")
    inside = "yes" if answer.low80 <= measured <= answer.high80 else "no"
    return (f"{answer.predicted:,.4g} | " if figure else "") + f"{answer.predicted / measured - 1.0:+.0%} | {inside}"
