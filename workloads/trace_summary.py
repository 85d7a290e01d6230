"""What a request log says: lengths, rates, peaks, what could not be read; and the workload that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import tomli_w
from numpy.typing import NDArray

from facts.errors import InputError
from facts.records import validated
from facts.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from workloads.demand import Complexity, Workload

WINDOWS_S = (10, 60, 3600)
"""Widths at which peaks are looked for: what a queue absorbs, what a plan must carry, what a day looks like."""
PLANNING_WINDOW_S = 60
ASSUMED_COMPLEXITY = Complexity.GENERATION
"""A log does not say what its answers were for; open generation is the most cautious reading."""


@dataclass(frozen=True, kw_only=True)
class LengthDistribution:
    """Lengths of prompts or answers: every length that occurs, and how often.

    lengths_tokens: distinct lengths, rising
    counts: requests of each length
    """

    lengths_tokens: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def total_tokens(self) -> int:
        """All tokens."""
        return sum(int(length) * int(count) for length, count in zip(self.lengths_tokens, self.counts, strict=True))

    @property
    def mean_tokens(self) -> float:
        """Mean length, tokens."""
        return self.total_tokens / int(self.counts.sum())

    @property
    def max_tokens(self) -> int:
        """Longest, tokens."""
        return int(self.lengths_tokens[-1])

    def quantile_tokens(self, share: float) -> int:
        """The smallest length that at least `share` of the requests do not exceed (the inverted distribution, no interpolation)."""
        cumulated = np.cumsum(self.counts)
        rank = max(1, int(np.ceil(share * int(cumulated[-1]) - 1e-9)))
        return int(self.lengths_tokens[np.searchsorted(cumulated, rank)])


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The busiest window over the mean window; only complete windows, counted from the first request.

    window_s: width of a window, seconds
    requests_to_mean: requests of the busiest window over the mean
    tokens_to_mean: input and output tokens of the busiest window over the mean
    windows: how many complete windows the log holds
    """

    window_s: int
    requests_to_mean: float
    tokens_to_mean: float
    windows: int


@dataclass(frozen=True, kw_only=True)
class BrokenRow:
    """One row that could not be read.

    place: file and line
    reason: what is wrong with it
    text: the row, shortened
    """

    place: str
    reason: str
    text: str


@dataclass(frozen=True, kw_only=True)
class TraceSummary:
    """What a request log says.

    name: of the log
    format_id: which known columns it has
    requests: rows that could be read
    broken_rows: rows that could not
    broken_examples: the first of them
    clock_jumps_back: rows whose time lies before that of the row above
    first, last: moments of the first and last request in UTC, None when the log counts from its own start
    span_s: from the first to the last request, seconds
    input_lengths, output_lengths: of prompts and answers
    peaks: per window width; widths of which fewer than two complete windows fit are left out
    gap_cv: standard deviation of the gaps between requests over their mean; 1 is a Poisson process, more is burstier
    """

    name: str
    format_id: str
    requests: int
    broken_rows: int
    broken_examples: tuple[BrokenRow, ...]
    clock_jumps_back: int
    first: datetime | None
    last: datetime | None
    span_s: float
    input_lengths: LengthDistribution
    output_lengths: LengthDistribution
    peaks: tuple[Peak, ...]
    gap_cv: float

    @property
    def mean_requests_per_s(self) -> float:
        """Requests over the span, per second."""
        return self.requests / self.span_s

    @property
    def requests_per_day(self) -> float:
        """The mean rate, kept up for 24 hours."""
        return self.mean_requests_per_s * SECONDS_PER_DAY

    @property
    def input_share(self) -> float:
        """Share of all tokens that are input, 0 to 1."""
        total = self.input_lengths.total_tokens + self.output_lengths.total_tokens
        return self.input_lengths.total_tokens / total if total else 0.0

    @property
    def planning_peak_to_mean(self) -> float | None:
        """Busiest minute over the mean, requests or tokens, whichever is more; None when the log is shorter than two minutes."""
        minute = next((peak for peak in self.peaks if peak.window_s == PLANNING_WINDOW_S), None)
        return None if minute is None else max(1.0, minute.requests_to_mean, minute.tokens_to_mean)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know before using the numbers, one sentence each."""
        return tuple(_remarks(self))


def workload_of(summary: TraceSummary, *, complexity: Complexity | None = None, name: str | None = None) -> Workload:
    """The workload that a log shows: its mean rate kept up round the clock, its mean lengths, its busiest minute."""
    where = f"the workload of {summary.name}"
    if summary.output_lengths.mean_tokens < 1 or summary.input_lengths.mean_tokens < 1:
        raise InputError(
            f"{where}: prompts have {summary.input_lengths.mean_tokens:.2f} and answers {summary.output_lengths.mean_tokens:.2f} tokens "
            "in the mean, and both must be at least 1: is this a log of text generation?"
        )
    stated = {
        "name": (name or summary.name)[:120],
        "requests_per_day": summary.requests_per_day,
        "input_tokens_mean": summary.input_lengths.mean_tokens,
        "output_tokens_mean": summary.output_lengths.mean_tokens,
        "complexity": complexity or ASSUMED_COMPLEXITY,
    }
    if summary.planning_peak_to_mean is not None:
        stated["peak_to_mean"] = min(1000.0, summary.planning_peak_to_mean)
    return validated(Workload, stated, where)


def workload_toml(workload: Workload, summary: TraceSummary, *, complexity_given: bool) -> str:
    """The workload as TOML, with where it comes from and what to check in comment lines above."""
    comments = [
        f"From the request log {summary.name} (columns of {summary.format_id}): {summary.requests} requests in {summary.span_s:.0f} s"
        + (f", {summary.first:%Y-%m-%d %H:%M:%S} to {summary.last:%Y-%m-%d %H:%M:%S} UTC." if summary.first and summary.last else "."),
        *summary.remarks,
    ]
    if not complexity_given:
        comments.append(
            f"CHECK complexity: a log does not say what the answers are for; '{ASSUMED_COMPLEXITY}' is the most cautious reading. "
            f"One of: {', '.join(Complexity)}."
        )
    top = "".join(f"# {' '.join(comment.split())}\n" for comment in comments)
    return top + "\n" + tomli_w.dumps(workload.model_dump(mode="json", exclude_unset=True, exclude_none=True))


def summary_json(summary: TraceSummary) -> dict[str, object]:
    """The summary as plain values for JSON."""
    return {
        "name": summary.name,
        "format": summary.format_id,
        "requests": summary.requests,
        "broken_rows": summary.broken_rows,
        "broken_examples": [{"place": row.place, "reason": row.reason, "text": row.text} for row in summary.broken_examples],
        "clock_jumps_back": summary.clock_jumps_back,
        "first": summary.first.isoformat() if summary.first else None,
        "last": summary.last.isoformat() if summary.last else None,
        "span_s": summary.span_s,
        "mean_requests_per_s": summary.mean_requests_per_s,
        "requests_per_day": summary.requests_per_day,
        "input_share": summary.input_share,
        "input_tokens": _lengths_json(summary.input_lengths),
        "output_tokens": _lengths_json(summary.output_lengths),
        "peaks": [
            {
                "window_s": peak.window_s,
                "requests_to_mean": peak.requests_to_mean,
                "tokens_to_mean": peak.tokens_to_mean,
                "windows": peak.windows,
            }
            for peak in summary.peaks
        ],
        "gap_cv": summary.gap_cv,
        "remarks": list(summary.remarks),
    }


# ---- below: how ----


def _lengths_json(lengths: LengthDistribution) -> dict[str, float]:
    quantiles = {f"p{share * 100:g}": lengths.quantile_tokens(share) for share in (0.5, 0.9, 0.95, 0.99)}
    return {"total": lengths.total_tokens, "mean": lengths.mean_tokens, **quantiles, "max": lengths.max_tokens}


def _remarks(summary: TraceSummary) -> list[str]:
    remarks = []
    hours = summary.span_s / SECONDS_PER_HOUR
    if summary.span_s < SECONDS_PER_DAY:
        remarks.append(
            f"The log covers {hours:.2f} hours; requests_per_day is its mean rate kept up for 24 hours, and a day's quiet and busy hours "
            "are not seen: check the volume and raise peak_to_mean if this was not the busiest hour."
        )
    if summary.planning_peak_to_mean is None:
        remarks.append("The log is shorter than two minutes, so peak_to_mean is the default and not from the log.")
    if summary.broken_rows:
        first = summary.broken_examples[0].place if summary.broken_examples else "unknown place"
        total = summary.requests + summary.broken_rows
        remarks.append(f"{summary.broken_rows} of {total} rows could not be read and are not counted, the first at {first}.")
    if summary.clock_jumps_back:
        remarks.append(f"The clock jumps back at {summary.clock_jumps_back} rows; times are used as they stand, sorted.")
    return remarks
