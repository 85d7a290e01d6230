"""What a request log says: lengths, rates, peaks, what could not be read; and the workload that follows from it."""

from __future__ import annotations

from calendar import month_name
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import tomli_w
from numpy.typing import NDArray

from facts.errors import InputError
from facts.records import validated
from facts.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from workloads.demand import Complexity, Workload
from workloads.seasons import (
    DAYS_FOR_GROWTH,
    DAYS_FOR_SEASONS,
    DailyVolume,
    Forecast,
    Growth,
    HourlyVolume,
    Seasons,
    daily_volume,
    forecast_of,
    growth_of,
    seasons_of,
    week_profile,
)

WINDOWS_S = (10, 60, 3600)
"""Widths at which peaks are looked for: what a queue absorbs, what a plan must carry, what a day looks like."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLANNING_WINDOW_S = 60
RECENT_DAYS = 28
MONTH_NAMES = tuple(month_name)[1:]
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

    place: the line, after the file's name where there are several files
    reason: what is wrong with it
    text: the row, shortened
    """

    place: str
    reason: str
    text: str


@dataclass(frozen=True, kw_only=True)
class RouteVolume:
    """One part of the traffic.

    name: as the log names it
    requests, input_tokens, output_tokens: in all
    """

    name: str
    requests: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, kw_only=True)
class CountedText:
    """Tokens of one side that the log does not state and that were counted from its text.

    side: input or output
    rows: requests
    tokens: of them together
    low_tokens, high_tokens: their interval; both are `tokens` where a tokenizer has counted them
    how: the tokenizer, or the class of the text and the characters taken for a token
    """

    side: str
    rows: int
    tokens: int
    low_tokens: int
    high_tokens: int
    how: str


@dataclass(frozen=True, kw_only=True)
class TraceSummary:
    """What a request log says.

    name: of the log
    format_id: which known columns it has
    files: how many files it was read from
    requests: rows that could be read and are counted
    broken_rows: rows that could not
    broken_examples: the first of them
    duplicates: rows whose request_id stood before; not counted again
    other_rows: rows that are no requests to a model, by the log's own word
    clock_jumps_back: rows whose time lies before that of the row above
    first, last: moments of the first and last request in UTC, None when the log counts from its own start
    span_s: from the first to the last request, seconds
    input_lengths, output_lengths: of prompts and answers
    peaks: per window width; widths of which fewer than two complete windows fit are left out
    gap_cv: standard deviation of the gaps between requests over their mean; 1 is a Poisson process, more is burstier
    cached_input_share: share of the input tokens that were billed as cached, None when the log does not say
    prefix_reuse_share: share of the input tokens that an endless prefix cache could save, None without hashes
    routes: the parts of the traffic, largest first; empty when the log has no such column
    hourly: complete hours one after the other, None when the log has no calendar
    zone: in which hours of the week and days are counted, "" when the log has no calendar
    counted_texts: tokens that were counted from text, by side and kind of text
    counted_with: the tokenizer of all its counts, where the names of its models say so or all were counted from text; else ""
    """

    name: str
    format_id: str
    files: int
    requests: int
    broken_rows: int
    broken_examples: tuple[BrokenRow, ...]
    duplicates: int
    other_rows: int
    clock_jumps_back: int
    first: datetime | None
    last: datetime | None
    span_s: float
    input_lengths: LengthDistribution
    output_lengths: LengthDistribution
    peaks: tuple[Peak, ...]
    gap_cv: float
    cached_input_share: float | None
    prefix_reuse_share: float | None
    routes: tuple[RouteVolume, ...]
    hourly: HourlyVolume | None
    zone: str = "UTC"
    counted_texts: tuple[CountedText, ...] = ()
    counted_with: str = ""

    @property
    def mean_requests_per_s(self) -> float:
        """Requests over the span, per second."""
        return self.requests / self.span_s

    @property
    def requests_per_day(self) -> float:
        """The mean rate over the whole log, kept up for 24 hours."""
        return self.mean_requests_per_s * SECONDS_PER_DAY

    @property
    def recent_requests_per_day(self) -> float | None:
        """Mean of the last four complete weeks, None when the log is not longer than them."""
        if self.hourly is None:
            return None
        daily = daily_volume(self.hourly).requests
        return float(daily[-RECENT_DAYS:].mean()) if daily.size > RECENT_DAYS else None

    @property
    def growth(self) -> Growth | None:
        """Growth of the daily tokens, None when the log is too short to say."""
        return None if self.hourly is None else growth_of(self.hourly)

    @property
    def seasons(self) -> Seasons | None:
        """Seasons of the year, None when the log is too short to say."""
        return None if self.hourly is None else seasons_of(daily_volume(self.hourly))

    @property
    def daily(self) -> DailyVolume | None:
        """Requests and tokens of each complete day in `zone`, None when the log has no calendar."""
        return None if self.hourly is None else daily_volume(self.hourly)

    def forecast(self, days: int) -> Forecast | None:
        """Tokens of the days after the log, None when the log is too short to say."""
        return None if self.hourly is None else forecast_of(self.hourly, days)

    @property
    def week(self) -> NDArray[np.float64] | None:
        """Mean requests in each hour of the week of `zone`, shape (7, 24), Monday 00:00 first; None when the log has no calendar."""
        return None if self.hourly is None else week_profile(self.hourly)

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
    """The workload that a log shows: its mean rate, that of the last four weeks if it is longer, its mean lengths, its busiest minute.

    Growth is taken over only when its interval leaves out zero, and seasons when they are clear: from the month after the log on, with the
    rate as that of a mean month.
    """
    where = f"the workload of {summary.name}"
    if summary.output_lengths.mean_tokens < 1 or summary.input_lengths.mean_tokens < 1:
        raise InputError(
            f"{where}: prompts have {summary.input_lengths.mean_tokens:.2f} and answers {summary.output_lengths.mean_tokens:.2f} tokens "
            "in the mean, and both must be at least 1: is this a log of text generation?"
        )
    stated = {
        "name": (name or summary.name)[:120],
        "requests_per_day": summary.recent_requests_per_day or summary.requests_per_day,
        "input_tokens_mean": summary.input_lengths.mean_tokens,
        "output_tokens_mean": summary.output_lengths.mean_tokens,
        "complexity": complexity or ASSUMED_COMPLEXITY,
    }
    if summary.planning_peak_to_mean is not None:
        stated["peak_to_mean"] = min(1000.0, summary.planning_peak_to_mean)
    if summary.counted_with:
        stated["tokens_counted_with"] = summary.counted_with
    if summary.cached_input_share:
        stated["cached_input_share"] = summary.cached_input_share
    stated |= _seasonal(summary, float(str(stated["requests_per_day"])))
    if summary.growth is not None and summary.growth.is_clear:
        stated["growth_per_month_share"] = min(1.0, max(-0.5, summary.growth.per_month_share))
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
        "files": summary.files,
        "broken_rows": summary.broken_rows,
        "broken_examples": [{"place": row.place, "reason": row.reason, "text": row.text} for row in summary.broken_examples],
        "duplicates": summary.duplicates,
        "other_rows": summary.other_rows,
        "clock_jumps_back": summary.clock_jumps_back,
        "first": summary.first.isoformat() if summary.first else None,
        "last": summary.last.isoformat() if summary.last else None,
        "span_s": summary.span_s,
        "mean_requests_per_s": summary.mean_requests_per_s,
        "requests_per_day": summary.requests_per_day,
        "recent_requests_per_day": summary.recent_requests_per_day,
        "input_share": summary.input_share,
        "cached_input_share": summary.cached_input_share,
        "prefix_reuse_share": summary.prefix_reuse_share,
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
        "routes": [
            {"name": route.name, "requests": route.requests, "input_tokens": route.input_tokens, "output_tokens": route.output_tokens}
            for route in summary.routes
        ],
        "counted_texts": [asdict(counted) for counted in summary.counted_texts],
        "counted_with": summary.counted_with,
        "zone": summary.zone,
        "growth": None if summary.growth is None else asdict(summary.growth),
        "seasons": None if summary.seasons is None else asdict(summary.seasons),
        "hour_of_week_requests": None if summary.week is None else _week_json(summary.week),
        "remarks": list(summary.remarks),
    }


def moment_of(microseconds: int) -> datetime | None:
    """A moment since 1970 in UTC; None for a year that the calendar of the standard library does not know."""
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None


# ---- below: how ----


def _seasonal(summary: TraceSummary, requests_per_day: float) -> dict[str, object]:
    """Seasons from the first month after the log on, and the rate without the season of the days it was taken from."""
    seasons, daily = summary.seasons, summary.daily
    if seasons is None or daily is None or not seasons.is_clear:
        return {}
    end = daily.first_day + timedelta(days=int(daily.requests.size))
    recent = [seasons.factors[(end - timedelta(days=number)).month - 1] for number in range(1, RECENT_DAYS + 1)]
    return {"month_factors": seasons.from_month(end.month), "requests_per_day": requests_per_day / (sum(recent) / RECENT_DAYS)}


def _lengths_json(lengths: LengthDistribution) -> dict[str, float]:
    quantiles = {f"p{share * 100:g}": lengths.quantile_tokens(share) for share in (0.5, 0.9, 0.95, 0.99)}
    return {"total": lengths.total_tokens, "mean": lengths.mean_tokens, **quantiles, "max": lengths.max_tokens}


def _week_json(week: NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if np.isnan(hour) else float(hour) for hour in day] for day in week]


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
    if summary.duplicates:
        remarks.append(f"{summary.duplicates} rows repeat a request id and are counted once.")
    if summary.other_rows:
        remarks.append(f"{summary.other_rows} rows are no requests to a model and are left out.")
    if summary.clock_jumps_back:
        remarks.append(f"The clock jumps back at {summary.clock_jumps_back} rows; times are used as they stand, sorted.")
    for counted in summary.counted_texts:
        what = "prompt" if counted.side == "input" else "answer"
        sure = counted.low_tokens == counted.high_tokens
        interval = "" if sure else f", may be {counted.low_tokens:,} to {counted.high_tokens:,}"
        remarks.append(
            f"{counted.tokens:,} {what} tokens of {counted.rows:,} requests are {'counted' if sure else 'estimated'} from their text"
            f"{interval} ({counted.how})."
        )
    if summary.recent_requests_per_day is not None:
        remarks.append(
            f"requests_per_day is the mean of the last {RECENT_DAYS} complete days, {summary.recent_requests_per_day:.0f}; "
            f"over the whole log it is {summary.requests_per_day:.0f}."
        )
    if summary.growth is not None:
        use = "is taken over" if summary.growth.is_clear else "cannot be told from none and is left at 0"
        remarks.append(
            f"Growth of {summary.growth.per_month_share:.1%} a month (95 % interval {summary.growth.low_share:.1%} to "
            f"{summary.growth.high_share:.1%}, from {summary.growth.days} days) {use}."
        )
    remarks += _said_of_seasons(summary)
    if summary.prefix_reuse_share is not None:
        remarks.append(
            f"An endless prefix cache could serve {summary.prefix_reuse_share:.1%} of the input tokens; how much is billed as cached "
            "depends on the provider, so cached_input_share stays 0."
        )
    return remarks


def _said_of_seasons(summary: TraceSummary) -> list[str]:
    seasons, daily = summary.seasons, summary.daily
    if daily is None or daily.requests.size < DAYS_FOR_GROWTH:
        return []
    if seasons is None:
        why = "days without tokens or months that only one year has" if daily.requests.size >= DAYS_FOR_SEASONS else "less than two years"
        return [f"Seasons of the year cannot be told from {daily.requests.size} complete days ({why}): month_factors stays even."]
    lowest, highest = (MONTH_NAMES[seasons.factors.index(end(seasons.factors))] for end in (min, max))
    found = (
        f"{min(seasons.factors):.2f} of a mean month in {lowest} to {max(seasons.factors):.2f} in {highest}, from {seasons.months} months"
    )
    if not seasons.is_clear:
        return [f"Seasons of the year ({found}) cannot be told from none: month_factors stays even."]
    return [f"Seasons of the year are taken over as month_factors ({found}); requests_per_day is that of a mean month."]
