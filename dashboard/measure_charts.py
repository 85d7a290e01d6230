"""Charts of measurements: a server's throughput over its load with the knee, and how far predictions were off over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import plotly.graph_objects as go

from capacity.throughput import ServingCurve, Throughput
from dashboard import format as fmt
from dashboard.charts import Chart
from probes.curves import knee
from probes.ledger import LedgerLine

MEASURED_COLOUR, PREDICTED_COLOUR, KNEE_COLOUR = "#0072B2", "#D55E00", "#009E73"
QUANTITY_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#8A6BBE", "#A3781D", "#C2417C")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")


def load_curve(measured: ServingCurve, predicted: ServingCurve | None = None, *, key: str = "measure.load") -> Chart:
    """Output rate at each number of requests in flight, measured and, where it is known, predicted; the knee is marked."""
    points, top = measured.points, knee(measured.points)
    figure = go.Figure()
    if predicted is not None and predicted.points:
        reach = points[-1].concurrency
        shown = [point for point in predicted.points if point.concurrency <= reach]
        figure.add_trace(_line(shown, f"predicted for {measured.engine}", PREDICTED_COLOUR, "dash"))
    figure.add_trace(_line(points, "measured", MEASURED_COLOUR, "solid"))
    if top is not None:
        figure.add_trace(
            go.Scatter(
                x=[top.concurrency],
                y=[top.output_tokens_per_s],
                mode="markers+text",
                marker={"size": 15, "symbol": "circle-open", "color": KNEE_COLOUR, "line": {"width": 3}},
                text=[f"knee at {top.concurrency}"],
                textposition="top center",
                textfont={"color": KNEE_COLOUR},
                showlegend=False,
                hoverinfo="skip",
            )
        )
    loads = [point.concurrency for point in points]
    figure.update_xaxes(type="log", title_text="requests in flight", tickvals=loads, ticktext=[str(load) for load in loads])
    most = max([*(point.output_tokens_per_s for point in points), *(predicted_rates(predicted, points[-1].concurrency))])
    figure.update_yaxes(title_text="output tokens/s", range=[0, most * 1.2])
    figure.update_layout(height=340, margin={"l": 10, "r": 10, "t": 10, "b": 10}, legend={"orientation": "h", "y": 1.12, "x": 0})
    return Chart(key=f"{key}.load", title=knee_sentence(points, top), alt=_alt(points, predicted), figure=figure)


def knee_sentence(points: Sequence[Throughput], top: Throughput | None) -> str:
    """Where waiting begins to grow faster than throughput, in a sentence."""
    if top is None and points:
        only = points[0]
        at = f"{only.concurrency} in flight: {fmt.rate(only.output_tokens_per_s)}, TTFT {fmt.milliseconds(only.ttft_ms)}"
        return f"{at}; one level says nothing of a knee"
    if top is None:
        return "No level was held long enough to say where the knee is."
    at = f"{top.concurrency} in flight: {fmt.rate(top.output_tokens_per_s)}, TTFT {fmt.milliseconds(top.ttft_ms)}"
    if top is points[-1]:
        return f"No knee up to {at}; a higher load may still pay"
    return f"The knee is at {at}; beyond it answers wait more than throughput grows"


def error_history(lines: Sequence[LedgerLine]) -> Chart | None:
    """Predicted over measured, less 1, of every figure in the order measured; None without one."""
    kept = [line for line in lines if not line.doubtful] or list(lines)
    if not kept:
        return None
    figure = go.Figure()
    names = list(dict.fromkeys(line.quantity for line in kept))
    for number, name in enumerate(names):
        same = [line for line in kept if line.quantity == name]
        figure.add_trace(
            go.Scatter(
                x=[line.created for line in same],
                y=[line.error_share * 100 for line in same],
                mode="markers",
                name=name,
                marker={"size": 10, "color": QUANTITY_COLOURS[number % 6], "symbol": SYMBOLS[number % 6]},
                text=[f"{line.machine}, {line.model_id} {line.quantization}, {line.metric}" for line in same],
                hovertemplate="%{text}<br>%{y:+.0f}%<extra></extra>",
            )
        )
    figure.add_hline(y=0, line_width=1)
    room = max(kept[-1].created - kept[0].created, timedelta(days=1)) / 2  # points of one day would stretch its milliseconds
    figure.update_xaxes(range=[kept[0].created - room, kept[-1].created + room], tickformat="%-d %b %Y", nticks=6)
    figure.update_yaxes(title_text="predicted / measured - 1, %", ticksuffix="%")
    figure.update_layout(height=300, margin={"l": 10, "r": 10, "t": 10, "b": 10}, legend={"orientation": "h", "y": 1.15, "x": 0})
    offs = sorted(abs(line.error_share) for line in kept)
    middle = offs[len(offs) // 2]
    title = f"Half of {len(kept)} predictions were within {fmt.share(middle)} of what was measured afterwards"
    return Chart(key="measure.errors", title=title, alt=f"{title}; the worst was {fmt.share(offs[-1])} off", figure=figure)


# ---- below: how ----


def predicted_rates(predicted: ServingCurve | None, reach: int) -> list[float]:
    """Output rates of the predicted points up to a load."""
    return [] if predicted is None else [point.output_tokens_per_s for point in predicted.points if point.concurrency <= reach]


def _line(points: Sequence[Throughput], name: str, colour: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=[point.concurrency for point in points],
        y=[point.output_tokens_per_s for point in points],
        mode="lines+markers",
        name=name,
        line={"color": colour, "dash": dash, "width": 2.5},
        marker={"size": 8},
        customdata=[[point.ttft_ms, point.tpot_ms] for point in points],
        hovertemplate="%{x} in flight: %{y:.0f} tokens/s, TTFT %{customdata[0]:.0f} ms, TPOT %{customdata[1]:.1f} ms<extra></extra>",
    )


def _alt(points: Sequence[Throughput], predicted: ServingCurve | None) -> str:
    said = "; ".join(f"{point.concurrency} in flight {point.output_tokens_per_s:.0f} tokens/s" for point in points)
    return f"Output rate over requests in flight: {said}" + ("; the prediction stands beside it" if predicted is not None else "")
