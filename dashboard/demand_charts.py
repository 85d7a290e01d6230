"""Charts of a request log: the hours of the week, the lengths, the volume and where it goes. Results to figures, without streamlit."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import plotly.graph_objects as go

from dashboard import format as fmt
from dashboard.charts import Chart, nice_ticks
from workloads.trace_summary import LengthDistribution, TraceSummary

HOURS = (0, 6, 12, 18, 23)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
BLUE, ORANGE, GREEN = "#2F7DC8", "#D9652B", "#2E9E78"
HEAT = ((0.0, "rgba(47, 125, 200, 0.06)"), (1.0, "rgba(47, 125, 200, 1.0)"))
"""From nearly the page itself to the full colour, so that it reads on the light and on the dark page."""
FORECAST_DAYS = 28
BINS = 40


def week(summary: TraceSummary) -> Chart | None:
    """Mean requests of each hour of the week; None where the log has no calendar."""
    hours = summary.week
    if hours is None or np.isnan(hours).all():
        return None
    day, hour = divmod(int(np.nanargmax(hours)), 24)
    mean, most = float(np.nanmean(hours)), float(np.nanmax(hours))
    seen = int((~np.isnan(hours)).sum())
    figure = go.Figure(
        go.Heatmap(
            z=[[None if np.isnan(value) else float(value) for value in row] for row in hours],
            x=list(range(24)),
            y=list(DAYS),
            colorscale=HEAT,
            zmin=0,
            zmax=most,
            xgap=1,
            ygap=1,
            hovertemplate="%{y} %{x}:00: %{z:,.0f} requests<extra></extra>",
            colorbar={"thickness": 10, "title": {"text": "requests", "side": "right"}},
        )
    )
    figure.update_layout(
        height=280,
        margin={"l": 44, "r": 8, "t": 8, "b": 44},
        xaxis={"tickvals": HOURS, "ticktext": [f"{hour}:00" for hour in HOURS], "showgrid": False, "zeroline": False},
        yaxis={"autorange": "reversed", "showgrid": False, "zeroline": False},
    )
    title = f"The busiest hour is {DAYS[day]} {hour}:00 with {most / mean:.1f} times the mean hour" if mean else "No hour has a request"
    alt = (
        f"Heat map of the mean requests in each hour of the week, time zone {summary.zone}. "
        f"Busiest {DAYS[day]} {hour}:00 with {most:,.0f}, mean {mean:,.0f}; {seen} of 168 hours are in the log."
    )
    return Chart(key="log_week", title=title, alt=alt, figure=figure)


def lengths(summary: TraceSummary) -> Chart:
    """Lengths of prompts and answers on one logarithmic scale."""
    figure = go.Figure()
    parts = (("prompts", summary.input_lengths, BLUE, "solid"), ("answers", summary.output_lengths, ORANGE, "dot"))
    longest = max(part.max_tokens for _, part, _, _ in parts)
    edges = _edges(longest)
    for name, part, colour, dash in parts:
        shares = _shares(part, edges)
        figure.add_trace(
            go.Scatter(
                x=[float(edge) for edge in edges],
                y=[*shares, shares[-1]],
                name=name,
                mode="lines",
                line={"shape": "hv", "color": colour, "width": 2, "dash": dash},
                fill="tozeroy",
                fillcolor=_faint(colour),
                hovertemplate="from %{x:,.0f} tokens: %{y:.1%}<extra>" + name + "</extra>",
            )
        )
    ticks = [10**power for power in range(10) if 10**power <= edges[-1]]
    figure.update_layout(
        height=300,
        margin={"l": 52, "r": 16, "t": 8, "b": 48},
        legend={"orientation": "h", "y": 1.12, "x": 0},
        xaxis={
            "type": "log",
            "tickvals": ticks,
            "ticktext": [_short(tick) for tick in ticks],
            "title": {"text": "tokens"},
        },
        yaxis={"tickformat": ".0%", "rangemode": "tozero", "title": {"text": "of the requests"}},
    )
    asked, made = summary.input_lengths, summary.output_lengths
    title = (
        f"Half of the prompts have {asked.quantile_tokens(0.5):,} tokens or fewer, 1 % more than {asked.quantile_tokens(0.99):,}; "
        f"of the answers {made.quantile_tokens(0.5):,} and {made.quantile_tokens(0.99):,}"
    )
    longest_words = f"Longest {asked.max_tokens:,} and {made.max_tokens:,}"
    alt = f"Histogram of the lengths of prompts and answers on a logarithmic axis. {title}. {longest_words}."
    return Chart(key="log_lengths", title=title, alt=alt, figure=figure)


def volume(summary: TraceSummary) -> Chart | None:
    """Tokens of each day, and those of the days to come where the log is long enough; None for less than two complete days."""
    daily = summary.daily
    if daily is None or daily.tokens.size < 2:
        return None
    days = [daily.first_day + timedelta(days=number) for number in range(daily.tokens.size)]
    figure = go.Figure(go.Scatter(x=days, y=daily.tokens.tolist(), name="in the log", mode="lines", line={"color": BLUE, "width": 2}))
    ahead = summary.forecast(FORECAST_DAYS)
    top = float(daily.tokens.max())
    title = f"{fmt.tokens(float(daily.tokens.mean()))} a day over {daily.tokens.size} complete days"
    alt = f"Line chart of the tokens of each day. {title}."
    if ahead is not None and summary.growth is not None:
        coming = [ahead.first_day + timedelta(days=number) for number in range(FORECAST_DAYS)]
        top = max(top, float(ahead.high.max()))
        figure.add_trace(
            go.Scatter(
                x=[*coming, *reversed(coming)],
                y=[*ahead.high.tolist(), *reversed(ahead.low.tolist())],
                name="8 of 10 days",
                mode="lines",
                line={"width": 0},
                fill="toself",
                fillcolor=_faint(GREEN),
                hoverinfo="skip",
            )
        )
        figure.add_trace(
            go.Scatter(x=coming, y=ahead.mid.tolist(), name="forecast", mode="lines", line={"color": GREEN, "width": 2, "dash": "dash"})
        )
        growth = summary.growth
        said = f"{growth.per_month_share:+.1%} a month (95 %: {growth.low_share:+.1%} to {growth.high_share:+.1%})"
        title += f", {said}" if growth.is_clear else ", no growth that could be told from none"
        alt = (
            f"Line chart of the tokens of each day and {FORECAST_DAYS} days beyond. {title}. "
            f"The last day of the forecast: {fmt.tokens(float(ahead.mid[-1]))}, {fmt.tokens(float(ahead.low[-1]))} to "
            f"{fmt.tokens(float(ahead.high[-1]))} in 8 of 10 days."
        )
    ticks = nice_ticks(top)
    figure.update_layout(
        height=300,
        margin={"l": 60, "r": 16, "t": 8, "b": 40},
        legend={"orientation": "h", "y": 1.12, "x": 0},
        yaxis={
            "tickvals": ticks,
            "ticktext": [_short(tick) for tick in ticks],
            "range": [0, max(top * 1.05, ticks[-1])],
            "zeroline": False,
        },
    )
    return Chart(key="log_volume", title=title, alt=alt, figure=figure)


# ---- below: how ----


def _short(tokens: float) -> str:
    return fmt.tokens(tokens).removesuffix(" tokens")


def _edges(longest: int) -> np.ndarray:
    """Edges of the histogram: whole tokens, each about a fixed factor above the last, 0 counted with 1."""
    return np.unique(np.ceil(np.geomspace(1, max(2, longest + 1), BINS)).astype(np.int64))


def _shares(part: LengthDistribution, edges: np.ndarray) -> list[float]:
    place = np.clip(np.searchsorted(edges, np.maximum(1, part.lengths_tokens), side="right") - 1, 0, len(edges) - 2)
    counted = np.bincount(place, weights=part.counts, minlength=len(edges) - 1)
    return [float(share) for share in counted / counted.sum()]


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.16)"
