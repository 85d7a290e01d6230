"""Cases to predictions: the batch door over the same formulas as the serving curve."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import hypot
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from capacity.accelerators import Server
from capacity.calibration import NO_PROBE, Probe, probes_of
from capacity.cases import FULLEST, RATES, Case, case_of, read_rows
from capacity.finite_run import FiniteRun, finite_run
from capacity.intervals import Interval, interval_class, interval_for
from capacity.roofline import Efficiency, Layout, Rates, decode_step_s, efficiency_for, prefill_s, rates
from capacity.throughput import CROWD_SPREAD, RequestSize, Steady, best_layout, closed_loop, sequence_cap
from facts.errors import InputError
from facts.records import Basis
from facts.units import BYTES_PER_GIB, MS_PER_S

ADDED_COLUMNS = ("predicted", "low80", "high80", "basis", "refused_because", "doubts")
TPOT_QUANTILES = {"mean": 1.0, "p50": 0.99, "p90": 1.12, "p95": 1.18, "p99": 1.3}
"""Quantiles of a request's time per token over its mean: averaged over the whole answer, so narrow."""
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
"""Share of requests below a statistic."""
QUANTILE_GRID = (np.arange(200) + 0.5) / 200
"""Shares at which a distribution of waits is followed."""
NORMAL_80 = 1.2816
"""Standard deviations that 80 % of a normal distribution lie within."""
LEAST_SCATTER = 0.02
"""What repetitions of a run scatter, in the median."""
RUN_LENGTHS = 20.0
"""Prompts of a closed-loop run over the number in flight, where the row does not state them: scripts take 10, runs by the clock more."""
UNKNOWN_MEMORY_SEQUENCES = 256.0
"""Sequences in flight at saturation where the device's memory is not known: the usual engine limit."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer to one row.

    predicted: in the metric's unit, or None when refused
    low80: lower end of the 80 % interval
    high80: upper end
    basis: estimated, calibrated, or assumed where shape or device are typical ones
    refused_because: the missing fact, or None
    doubts: what makes it uncertain
    """

    predicted: float | None
    low80: float | None
    high80: float | None
    basis: Basis
    refused_because: str | None
    doubts: tuple[str, ...] = ()


def estimate_file(rows_path: Path, out_path: Path, probe_path: Path | None = None) -> tuple[int, int, tuple[str, ...]]:
    """Predictions for every row of a file; (rows, refused, what the probe rows contradicted)."""
    names, rows = read_rows(rows_path)
    probe = NO_PROBE
    if probe_path is not None:
        probe_names, probe_rows = read_rows(probe_path)
        if "value" not in probe_names:
            raise InputError(f"{probe_path}: column 'value' is missing; probe rows carry what was measured")
        probe = probes_of(probe_rows, measured_case, predict)
    predictions = [estimate_row(row, probe) for row in rows]
    kept = [name for name in names if name not in ADDED_COLUMNS]
    try:
        with out_path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow([*kept, *ADDED_COLUMNS])
            writer.writerows(
                [*(row.get(name, "") for name in kept), *_cells(answer)] for row, answer in zip(rows, predictions, strict=True)
            )
    except OSError as error:
        raise InputError(f"{out_path} cannot be written: {error.strerror}") from None
    return len(rows), sum(answer.predicted is None for answer in predictions), probe.contradictions


def estimate_row(row: Mapping[str, str], probe: Probe = NO_PROBE) -> Prediction:
    """One row's answer, or the refusal that names the missing fact."""
    try:
        case = case_of(row)
        efficiency, probed = probe.applied(parameters_of(case), case)
        value, doubts = predict(case, efficiency)
    except InputError as error:
        return Prediction(predicted=None, low80=None, high80=None, basis=Basis.ASSUMED, refused_because=str(error))
    interval = interval_for(class_of(case, efficiency, probed=probed))
    is_rate = case.metric in RATES
    low, high = (value * interval.low, value * interval.high) if is_rate else (value / interval.high, value / interval.low)
    if case.mode == "open" and case.metric in {"output_tok_s_total", "total_tok_s"}:
        low, high = _open_interval(case, value, interval)
    known = case.model_known and case.device_known
    basis = Basis.CALIBRATED if probed else (Basis.ESTIMATED if known else Basis.ASSUMED)
    return Prediction(
        predicted=value,
        low80=low,
        high80=high,
        basis=basis,
        refused_because=None,
        doubts=(*case.doubts, *doubts, *probe.doubts_of(case)),
    )


def parameters_of(case: Case) -> Efficiency:
    """The engine's parameters with the limits that the row states."""
    return _limited(efficiency_for(case.engine, case.server.accelerator), case.max_sequences, case.batched_tokens)


def phase_of(case: Case) -> str:
    """The class of figure: decode and prefill alone, serving, open, ttft, tpot."""
    if case.metric == "prefill_tok_s":
        return "prefill"
    if case.metric == "ttft_ms":
        return "prefill" if case.mode == "closed" and case.concurrency <= 1 else "ttft"
    if case.mode == "open":
        return "open"
    if case.mode == "closed" and case.concurrency <= 1:
        return "decode"
    return "tpot" if case.metric in {"tpot_ms", "itl_ms", "decode_tok_s"} else "serving"


def class_of(case: Case, efficiency: Efficiency, *, probed: bool) -> str:
    """The interval class of a case."""
    return interval_class(case.cost, case.server, efficiency, phase_of(case), stated_device=not case.device_known, probed=probed)


def measured_case(row: Mapping[str, str]) -> tuple[Case, float]:
    """A row that carries a value, as case and value."""
    try:
        value = float(row.get("value", ""))
    except ValueError:
        raise InputError(f"value '{row.get('value', '')}' is not a number") from None
    if value <= 0:
        raise InputError(f"value {value:g} is not a measurement")
    return case_of(row), value


def predict(case: Case, efficiency: Efficiency) -> tuple[float, tuple[str, ...]]:
    """The figure that a case asks for, in its unit, and the doubts that came up."""
    device = rates(case.server.accelerator, case.cost.compute, efficiency)
    doubts = [f"'{name}' is not on the sheet: a typical value is used" for name in device.assumed]
    layout, copies = case.layout, case.copies
    if case.metric == "prefill_tok_s":
        count = max(case.concurrency, 1.0)
        time = prefill_s(case.cost, device, efficiency, tokens=case.input_tokens, sequences=count, depth=case.depth, layout=layout)
        return float(count * case.input_tokens / time), tuple(doubts)
    if _is_plain_decode(case):
        return _decode_rate(case, device, efficiency, layout), tuple(doubts)
    load = RequestSize(
        input_tokens=max(case.input_tokens, 1.0) + case.depth, output_tokens=max(case.output_tokens, 1.0), cached_tokens=case.depth
    )
    cap, more = _cap(case, efficiency, load, layout)
    doubts += more
    if case.mode == "offline":
        layout, copies = best_layout(case.cost, _with_memory(case), device, efficiency, load, pipelines=True)
        cap, _ = _cap(case, efficiency, load, layout)
    if case.mode == "open":
        run = finite_run(
            case.cost,
            device,
            efficiency,
            load,
            rate_per_s=case.rate_per_s / copies,
            prompts=max(1, round(case.prompts / copies)),
            cap=max(cap, 1.0),
            layout=layout,
        )
        return _run_figure(case, run, copies), tuple(doubts)
    in_flight = cap if case.mode in {"max", "offline"} else case.concurrency / copies
    if in_flight > cap:
        doubts.append(f"{case.concurrency:.0f} in flight, memory and engine hold {cap * copies:.0f}: the rest queues")
    state = closed_loop(
        case.cost,
        device,
        efficiency,
        load,
        concurrency=max(in_flight, 1.0),
        cap=max(cap, 1.0),
        layout=layout,
        static_batch=case.static_batch,
    )
    return _figure(case, state, copies), tuple(doubts)


# --- parts -----------------------------------------------------------------------------------------------------------


def _with_memory(case: Case) -> Server:
    """The row's server for the search of a layout; a device of unknown memory is given what its weights take and a third."""
    if case.server.accelerator.memory_gb is not None:
        return case.server
    each = float(case.cost.weights_bytes) / case.server.gpus / BYTES_PER_GIB
    return Server(accelerator=case.server.accelerator.model_copy(update={"memory_gb": max(each * 4.0 / 3.0, 1.0)}), gpus=case.server.gpus)


def _is_plain_decode(case: Case) -> bool:
    """Generation alone: no prompt in the test, or a local engine's batched run, or one sequence's rate."""
    if case.metric == "decode_tok_s":
        return case.mode == "closed" and (case.input_tokens <= 0 or case.concurrency <= 1 or case.engine.startswith(("llama.cpp", "mlx")))
    return case.metric in {"tpot_ms", "itl_ms", "output_tok_s_total"} and case.input_tokens <= 0 and case.mode == "closed"


def _decode_rate(case: Case, device: Rates, efficiency: Efficiency, layout: Layout) -> float:
    batch = max(case.concurrency, 1.0)
    context = case.depth + max(case.input_tokens, 0.0) + case.output_tokens / 2.0
    step = float(decode_step_s(case.cost, device, efficiency, batch=batch, context_tokens=context, layout=layout))
    if batch > 1.0:
        step *= efficiency.serving_factor
    if case.metric in {"tpot_ms", "itl_ms"}:
        return step * MS_PER_S * TPOT_QUANTILES[case.statistic]
    return (1.0 if case.per_user else batch) / step


def _cap(case: Case, efficiency: Efficiency, load: RequestSize, layout: Layout) -> tuple[float, list[str]]:
    if case.server.accelerator.memory_gb is None:
        return min(UNKNOWN_MEMORY_SEQUENCES, float(efficiency.max_sequences)), [
            "the device's memory is not known: a usual engine limit is taken"
        ]
    cap = sequence_cap(case.cost, case.server, efficiency, load, layout)
    if cap < 1.0:  # whoever measured it gave the engine what there is
        full = efficiency.model_copy(update={"memory_share": 1.0 if efficiency.memory_share_is_of_free else FULLEST})
        cap = max(1.0, sequence_cap(case.cost, case.server, full, load, layout))
        return cap, ["the cache of one request hardly fits: the engine was given more memory than it takes by default, or offloads"]
    return cap, []


def _figure(case: Case, state: Steady, copies: int) -> float:
    requests = float(state.requests_per_s) * copies
    if case.metric in {"output_tok_s_total", "total_tok_s"}:
        return _token_rate(case, requests)
    if case.metric == "decode_tok_s":
        return (1.0 if case.per_user else float(state.in_flight) * copies) / _means_s(case, state)[1]
    return _time_ms(case, state)


def _token_rate(case: Case, requests_per_s: float) -> float:
    outputs = max(case.output_tokens, 1.0)
    return requests_per_s * (outputs if case.metric == "output_tok_s_total" else case.input_tokens + outputs)


def _run_figure(case: Case, run: FiniteRun, copies: int) -> float:
    """What a finite open-loop run shows: N prompts in N / rate + latency, or in the time until the last token where a queue is left."""
    latency, followed = float(run.e2e_s.mean()), float(len(run.e2e_s))
    if case.metric in {"output_tok_s_total", "total_tok_s"}:
        if run.last_s > followed * copies / case.rate_per_s + latency:
            return _token_rate(case, followed * copies / run.last_s)
        return _token_rate(case, case.prompts / (case.prompts / case.rate_per_s + latency))
    if case.metric == "decode_tok_s":
        tpot = float(run.tpot_s.mean())
        busy = float(run.gap_s @ run.gap_tokens) / max(run.last_s, 1e-9)
        return (1.0 if case.per_user else max(busy, 1e-9) * copies) / tpot
    if case.metric == "itl_ms":
        mean = float(run.gap_s @ run.gap_tokens / run.gap_tokens.sum())
        return (mean if case.statistic == "mean" else run.gap_quantile_s(QUANTILES[case.statistic])) * MS_PER_S
    seen = {"ttft_ms": run.ttft_s, "tpot_ms": run.tpot_s, "e2e_ms": run.e2e_s}[case.metric]
    return float(seen.mean() if case.statistic == "mean" else np.quantile(seen, QUANTILES[case.statistic])) * MS_PER_S


def _open_interval(case: Case, value: float, interval: Interval) -> tuple[float, float]:
    """Ends of an open loop's token rate: the arrivals are given, so only the latency is doubted, and the length of a random run.

    N Poisson arrivals take N / rate with a standard deviation of 1 / sqrt(N); 1.28 of them is the 80 % interval.
    """
    outputs = max(case.output_tokens, 1.0)
    length = outputs if case.metric == "output_tok_s_total" else case.input_tokens + outputs
    tokens, arriving = case.prompts * length, case.prompts / case.rate_per_s
    latency, scatter = max(tokens / value - arriving, 0.0), arriving / (tokens / value) * NORMAL_80 / case.prompts**0.5
    low = tokens / (arriving + latency / interval.low) / (1.0 + scatter + LEAST_SCATTER)
    return low, tokens / (arriving + latency / interval.high) * (1.0 + scatter + LEAST_SCATTER)


def _time_ms(case: Case, state: Steady) -> float:
    mean_first, mean_token = _means_s(case, state)
    tpot = mean_token * TPOT_QUANTILES[case.statistic]
    if case.metric == "tpot_ms":
        return tpot * MS_PER_S
    if case.metric == "itl_ms":
        return _gap_s(case, state, mean_token) * MS_PER_S
    ttft = mean_first if case.statistic == "mean" else _first_s(case, state)
    if case.metric == "ttft_ms":
        return ttft * MS_PER_S
    rest = max(case.output_tokens - 1.0, 0.0)
    later = hypot(max(ttft - mean_first, 0.0), rest * max(tpot - mean_token, 0.0))  # slow starts and slow answers seldom meet
    sooner = min(ttft - mean_first, 0.0) + rest * min(tpot - mean_token, 0.0)
    return (mean_first + rest * mean_token + later + sooner) * MS_PER_S


def _means_s(case: Case, state: Steady) -> tuple[float, float]:
    """(first token, time per following token) of a closed loop's run, means: what its start adds to one it takes from the other."""
    share, steady = _start_share(case), float(state.ttft_s)
    if share == 0.0:
        return steady, float(state.tpot_s)
    first = (1.0 - share) * steady + share * max(steady, float(_start_s(state).mean()))
    gained = (first - steady) / max(case.output_tokens - 1.0, 1.0)
    return first, max(float(state.tpot_s) - gained, min(float(state.step_s), float(state.tpot_s)))


def _start_share(case: Case) -> float:
    """Share of a closed loop's requests that leave together at its start."""
    if case.static_batch or case.mode != "closed" or case.concurrency <= 1:
        return 0.0
    return min(1.0, case.concurrency / (case.prompts if case.stated_prompts else RUN_LENGTHS * case.concurrency))


def _start_s(state: Steady) -> NDArray[np.float64]:
    """First tokens of requests that leave all at once: the first prompt alone, then as many to a pass as it takes, seen at its end."""
    others = float(state.in_flight) - 1.0
    a_pass = max(float(state.pass_prompts), 1.0)
    read = np.minimum(np.ceil(QUANTILE_GRID * others / a_pass) * a_pass, others)
    return float(state.prompt_s) + read * float(state.shared_s)


def _first_s(case: Case, state: Steady) -> float:
    """A quantile of the time to first token in a closed loop: the steady state's together with that of the start.

    The steady one is scattered by how many prompts are met, about their mean as a Poisson number is. A run of N prompts starts with all B
    at once, and the first B of them wait for up to B prompts: the share B/N decides at which quantile that shows.
    """
    mean, share, start = float(state.ttft_s), _start_share(case), _start_s(state)
    if case.static_batch:
        return mean
    met, prompt = float(state.met), float(state.shared_s)
    scattered = met + CROWD_SPREAD * (2.0 * met) ** 0.5 * ndtri(QUANTILE_GRID)
    steady = mean - met * prompt + prompt * np.maximum(scattered, 0.0)
    seen = np.concatenate([steady, start])
    weight = np.concatenate([np.full(len(steady), 1.0 - share), np.full(len(start), share)]) / len(QUANTILE_GRID)
    order = np.argsort(seen)
    return float(np.interp(QUANTILES[case.statistic], np.cumsum(weight[order]), seen[order]))


def _gap_s(case: Case, state: Steady, mean: float) -> float:
    """Gap between two tokens of one answer in a closed loop: a plain step, or one that carries a prompt pass.

    Of O tokens (B-1) passes / O carry one; a quantile above that share is a plain step, below it a step and the pass.
    """
    step = float(state.step_s)
    if case.statistic == "mean":
        return mean
    passes = max(1.0, 1.0 / float(state.pass_prompts))
    carrying = min(1.0, max(float(state.in_flight) - 1.0, 0.0) * passes / max(case.output_tokens, 1.0))
    if QUANTILES[case.statistic] <= 1.0 - carrying:
        return step
    return step + max(mean - step, 0.0) / max(carrying, 1e-9)


@lru_cache(maxsize=512)
def _limited(efficiency: Efficiency, max_sequences: int | None, batched_tokens: int | None) -> Efficiency:
    update: dict[str, int] = {}
    if max_sequences:
        update["max_sequences"] = max_sequences
    if batched_tokens:
        update |= {"prefill_chunk": batched_tokens, "scheduled_tokens": 0}
    return efficiency.model_copy(update=update) if update else efficiency


def _cells(answer: Prediction) -> Sequence[str]:
    numbers = ["" if number is None else f"{number:.6g}" for number in (answer.predicted, answer.low80, answer.high80)]
    return [*numbers, answer.basis.value, answer.refused_because or "", "; ".join(answer.doubts)]


def log_error(predicted: float, measured: float) -> float:
    """ln(predicted / measured): 0.1 is 10 % too high."""
    return float(np.log(predicted / measured))
