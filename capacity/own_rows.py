"""What this project measured, beside the estimate: a part of docs/accuracy.md. No parameter is fitted on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np

from capacity.calibration import NO_PROBE, Probe, probes_of
from capacity.cases import RATES, read_rows
from capacity.estimate import Prediction, estimate_row, measured_case, predict
from facts.errors import InputError

TOLD = {
    ("llama.cpp", "H200 SXM 141GB"): (
        "llama.cpp with CUDA on an H200, random weights, measured by `python -m probes` on 26 November 2026 (the archive of `make bundle`;",
        "`capacity/data/own_rows.csv`). Nothing was fitted on these rows; the last two columns follow after the first row of each phase.",
        "The estimate of this class is a prior. llama-server draws the tokens of its sequences one after another on the processor, and",
        "copies the cache of an ended request aside before it begins the next: both were measured apart, on another processor",
        "(`python -m tests.bench drawing keeping`), and are in the estimate of what it serves; what else it does between two tokens is",
        "not. Its answers were of equal length here, so that all slots ended together and their next prompts met: followed so, the first",
        "token at 4 in flight comes after 424 ms, where the estimate of a steady load says 123. A measurement of the machine is what this",
        "project is for.",
    ),
    ("vllm", "2-core Xeon, one thread"): (
        "vLLM 0.32 built for processors, random weights, one thread of two virtual cores (Xeon with AMX: 4.3 TFLOPS a core at 2.1 GHz by",
        "its sheet; 13.9 GB/s read there), asked by its own `vllm bench serve`, 26 November 2026. One request alone and one load are the",
        "probe, the other loads are then predicted. Hardly the machine to serve from, but the scheduler is the one of any vLLM: how a",
        "first token waits under load, and in an open loop, is in no other row. The two busier open loops were run twice, as the machine",
        "had slowed (238 and 340 ms a token); here are the second runs, between two closed loops at 8 in line with the rest (168, 182 ms).",
        "With the 1.07 TFLOPS that one core was measured to reach in place of its sheet, first tokens are predicted 3 (closed) to 5 times",
        "(open loop) as late: the share of the peak that is reached is in the estimate already. After the probe they err by 11 and 12 %.",
    ),
    ("vllm", "H200 SXM 141GB"): (
        "vLLM 0.26 with CUDA (FlashAttention 3, graphs captured, scheduling one step ahead) on an H200, random weights, 27 November 2026.",
        "Asked by its own `vllm bench serve` in short runs, lengths drawn a fifth around their mean (rows that state `prompts`), and by",
        "`python -m probes` (those that do not), which leaves a load's start out. Nothing was fitted; one 8B request alone is the probe,",
        "and corrects the other model too. Rates are near because two errors meet: times per token are predicted about an eighth too",
        "long, first tokens too early. In the probe's steady loads, where the start is not counted, the rate at 16 and 64 in flight is",
        "predicted 14 and 20 % too low. The mixture of experts drew its experts evenly at random (vLLM's own simulation, which costs time",
        "in every layer); its graphs were captured up to 128 sequences, and a pass with a prompt took 70 ms however short: first tokens",
        "came 1.6 to 2.3 times as late as predicted. One answer alone it gave twice as fast: no fitted row has fine-grained experts.",
        "Left out: its mean first token and rate alone, where the first of five requests compiled for 1.8 s.",
    ),
}
"""(Engine, device) of the rows -> what stands above their table."""


def own_rows() -> list[str]:
    """Rows that this project measured and fitted nothing on: predicted before, and after those that their note calls `probe`."""
    with resources.as_file(resources.files("capacity") / "data" / "own_rows.csv") as path:
        _, rows = read_rows(path)
    lines: list[str] = []
    for of, told in TOLD.items():
        found = [row for row in rows if (row["engine"], row["device"]) == of]
        firsts = [row for row in found if "probe" in row["note"].split("; ")]
        lines += [*told, "", *_table(found, firsts, probes_of(firsts, measured_case, predict)), ""]
    return lines[:-1]


def _table(rows: Sequence[Mapping[str, str]], firsts: Sequence[Mapping[str, str]], probe: Probe) -> list[str]:
    lines = [
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
        if row not in firsts:
            groups.setdefault(_kind(row), []).append(row)
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


def _kind(row: Mapping[str, str]) -> str:
    case, _ = measured_case(row)
    if row["engine"] == "vllm":
        kind = {"ttft_ms": "first token", "tpot_ms": "time per token"}.get(case.metric, "rate")
        experts = ", mixture of experts" if float(row["active_params_b"]) < float(row["params_b"]) else ""
        return f"{kind}, {'open' if case.mode == 'open' else 'closed'} loop{experts}"
    decoded = "answers, several at once" if case.concurrency > 1 else "answers, one at once"
    return {"prefill_tok_s": "prompts", "decode_tok_s": decoded}.get(row["metric"], "llama-server")


def _what(row: Mapping[str, str]) -> str:
    case, _ = measured_case(row)
    load = f", {case.concurrency:g} at once" if case.concurrency > 1 else ""
    if case.mode == "open":
        load = f", {case.rate_per_s:g} arrivals a second"
    return f"{row['metric']}, {row['isl']} in, {row['osl']} out{load}" + (f", at {case.depth:g} tokens" if case.depth else "")


def _off(answer: Prediction, measured: float, *, figure: bool = False) -> str:
    """'predicted | error | inside', the first where it is asked for."""
    if answer.predicted is None or answer.low80 is None or answer.high80 is None:
        raise InputError(f"a row of ours is refused: {answer.refused_because}")
    inside = "yes" if answer.low80 <= measured <= answer.high80 else "no"
    return (f"{answer.predicted:,.4g} | " if figure else "") + f"{answer.predicted / measured - 1.0:+.0%} | {inside}"
