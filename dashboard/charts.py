"""Charts of a decision: results to plotly figures, without streamlit.

A figure sets trace colours, ticks and ranges only; fonts, background and grid come from the page's theme, or on paper from
`chart_svg`. The title states the finding and stands outside the figure, where it can wrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard import format as fmt
from selector.cascade import CascadePoint, Pair, cascade_curve, cascade_need
from selector.gap_gate import GateResult, GateVerdict
from selector.quality import MARGIN_SHARE
from selector.results import Choice, OptionResult, Recommendation
from selector.sensitivity import OptionDoubt, Simulation

ARM_COLOURS = {
    "api": "#5F6B7A",
    "api_small": "#D55E00",
    "api_tuned": "#B0602F",
    "hosted_open": "#C06C9B",
    "small_untuned": "#3D8F96",
    "self_hosted_mid": "#4C72D0",
    "self_hosted_70b": "#0072B2",
    "fine_tuned_7b": "#009E73",
    "encoder": "#8A6BBE",
    "cascade": "#A3781D",
    "this_machine": "#C2417C",
    "edge": "#7A8B2D",
    "own": "#B5524A",
}
"""One colour per arm, the same in every chart: apart for the colour-blind, 3:1 against the light and the dark page."""
ARM_DASHES = {
    "api": "solid",
    "api_small": "dashdot",
    "api_tuned": "dot",
    "hosted_open": "dot",
    "small_untuned": "dashdot",
    "self_hosted_mid": "dash",
    "self_hosted_70b": "dash",
    "fine_tuned_7b": "solid",
    "this_machine": "dashdot",
}
"""The second sign beside colour, so that a line is known in greyscale."""
ARM_SHORT_NAMES = {
    "api": "API",
    "api_small": "Small API",
    "api_tuned": "Tuned API",
    "hosted_open": "Hosted open",
    "small_untuned": "Small model",
    "self_hosted_mid": "Mid-size",
    "self_hosted_70b": "70B",
    "fine_tuned_7b": "Tuned 7B",
    "encoder": "Encoder",
    "cascade": "Cascade",
    "this_machine": "This machine",
    "edge": "Edge",
    "own": "Your own",
}
LINE_COLOURS = {
    "tokens": "#0072B2",
    "tokens_input": "#0072B2",
    "tokens_cached_input": "#6AAEDB",
    "tokens_output": "#00446B",
    "rental": "#009E73",
    "energy": "#C99A2E",
    "hosting": "#7FCBB4",
    "maintenance": "#8A6BBE",
    "supporting_infra": "#7A8B2D",
    "staff": "#D55E00",
    "retraining": "#C06C9B",
    "double_running": "#9AA3AF",
}
"""One colour per cost line, light and dark in turn so that neighbours differ in greyscale."""
OTHER_COLOUR = "#6B7280"
LABEL_SIGNS = 62
"""What stands above a bar on a phone; longer titles lose what follows their first comma."""
GATE_COLOURS = {GateVerdict.WITHIN: "#00875A", GateVerdict.OUTSIDE: "#D1442F", GateVerdict.UNDECIDED: "#A87900"}
"""Shown good enough, shown not, not decided."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure and what must be said with it.

    key: stable name, for the page's widget key
    title: the finding, in a sentence
    alt: the same chart for someone who cannot see it
    figure: the plotly figure
    """

    key: str
    title: str
    alt: str
    figure: go.Figure


def cumulative_cost(recommendation: Recommendation, simulation: Simulation | None = None) -> Chart | None:
    """Running total of the fixed table's options and the recommended one, with the month in which it breaks even.

    With a simulation, the 10 % to 90 % points of each lie behind its line.
    """
    options = compared_options(recommendation)
    if not options:
        return None
    horizon = len(options[0].months)
    running = [(option, running_total_usd(option)) for option in options]
    bands = [(option, found) for option in options if simulation is not None and (found := simulation.option(option.id)) is not None]
    top = max([*(max(totals) for _, totals in running), *(found.p90_usd for _, found in bands)])
    figure = go.Figure()
    for option, found in bands:
        figure.add_trace(_band(option, found))
    for option, totals in running:
        figure.add_trace(_running_line(option, totals, chosen=option.id == recommendation.choice.option_id))
    for option, totals, y in _apart([(option, totals) for option, totals in running], gap=top * 1.05 * 0.075):
        figure.add_annotation(
            x=horizon,
            y=y,
            text=short_name(option),
            showarrow=False,
            xanchor="left",
            yanchor="middle",
            xshift=8,
            hovertext=fmt.usd(totals[-1]),
        )
    mark = _break_even_point(recommendation)
    if mark is not None:
        _mark_break_even(figure, *mark, top)
    money_axis(figure, "yaxis", top * 1.05)
    _month_axis(figure, horizon, first=0)
    figure.update_layout(height=360, margin={"l": 64, "r": 104, "t": 16, "b": 48}, showlegend=False, hovermode="x unified")
    ends = "; ".join(f"{option.title} {fmt.usd(totals[-1])}" for option, totals in running)
    alt = f"Line chart of the running cost over {horizon} months, payments before the start included. At the end: {ends}."
    if bands:
        spread = "; ".join(f"{option.title} {fmt.usd(found.p10_usd)} to {fmt.usd(found.p90_usd)}" for option, found in bands)
        alt += f" In 8 of 10 draws the end lies in the band: {spread}."
    return Chart(key="cumulative_cost", title=_cumulative_title(recommendation), alt=alt, figure=figure)


def monthly_lines(option: OptionResult) -> Chart | None:
    """The bill of one option month by month, one colour per cost line; what is paid upfront is not in it."""
    if not option.months:
        return None
    names = list(dict.fromkeys(line.name for month in option.months for line in month.lines))
    amounts = {name: [_amount(month.lines, name) for month in option.months] for name in names}
    names = sorted((name for name in names if any(amounts[name])), key=lambda name: -sum(amounts[name]))
    figure = go.Figure()
    for name in names:
        figure.add_trace(
            go.Bar(
                x=[month.month for month in option.months],
                y=amounts[name],
                name=fmt.line_name(name),
                marker={"color": LINE_COLOURS.get(name, OTHER_COLOUR)},
                hovertemplate="month %{x}: $%{y:,.0f}",
            )
        )
    top = max(month.total_usd for month in option.months)
    money_axis(figure, "yaxis", top * 1.05)
    _month_axis(figure, len(option.months), first=1)
    figure.update_layout(
        height=360,
        barmode="stack",
        bargap=0.25,
        margin={"l": 64, "r": 16, "t": 16, "b": 112},
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": -0.26, "xanchor": "left", "yanchor": "top", "traceorder": "normal"},
    )
    parts = ", ".join(f"{fmt.line_name(name).lower()} {fmt.usd(sum(amounts[name]))}" for name in names)
    total = sum(month.total_usd for month in option.months)
    alt = f"Stacked bars of the monthly bill of {option.title} over {len(option.months)} months, {fmt.usd(total)} in all: {parts}."
    return Chart(key=f"monthly_lines_{option.id}", title=_monthly_title(option, names, amounts), alt=alt, figure=figure)


def totals(recommendation: Recommendation) -> Chart | None:
    """Total of every option over the horizon, cheapest first; refused ones are pale and said to be refused."""
    options = sorted(
        (option for option in recommendation.options if option.total_usd is not None), key=lambda option: option.total_usd or 0.0
    )
    if not options:
        return None
    figure = go.Figure()
    amounts = [option.total_usd or 0.0 for option in options]
    figure.add_trace(
        go.Bar(
            y=list(range(len(options))),
            x=amounts,
            orientation="h",
            marker={
                "color": [colour_of(option) for option in options],
                "opacity": [1.0 if option.feasible else 0.45 for option in options],
            },
            hovertext=[f"{option.title}: {fmt.usd(option.total_usd)}" for option in options],
            hoverinfo="text",
        )
    )
    for row, option in enumerate(options):
        # Above its bar, not beside it: a long name fits on a phone too.
        figure.add_annotation(
            x=0, y=row, text=_row_label(option, recommendation.choice), showarrow=False, xanchor="left", yanchor="bottom", yshift=7
        )
    money_axis(figure, "xaxis", max(amounts))
    figure.update_layout(
        height=72 + 42 * len(options),
        bargap=0.66,
        margin={"l": 16, "r": 24, "t": 16, "b": 40},
        showlegend=False,
        yaxis={"tickvals": [], "ticktext": [], "range": [len(options) - 0.5, -0.9], "showgrid": False, "zeroline": False},
    )
    said = "; ".join(f"{option.title} {fmt.usd(option.total_usd)}{'' if option.feasible else ' (refused)'}" for option in options)
    horizon = recommendation.scenario.workload.horizon_months
    alt = f"Bars of the total cost over {horizon} months, upfront included, cheapest first: {said}."
    return Chart(key="totals", title=_totals_title(recommendation, options), alt=alt, figure=figure)


def compared_options(recommendation: Recommendation) -> tuple[OptionResult, ...]:
    """The options of the fixed table and the recommended one, those with a cost, each once."""
    ids = [row.option_id for row in recommendation.table] + [recommendation.choice.option_id]
    found = [recommendation.option(option_id) for option_id in dict.fromkeys(ids)]
    return tuple(option for option in found if option is not None and option.months and option.upfront_usd is not None)


def running_total_usd(option: OptionResult) -> list[float]:
    """What has been paid by the end of each month, month 0 being the payment upfront."""
    paid = [option.upfront_usd or 0.0]
    for month in option.months:
        paid.append(paid[-1] + month.total_usd)
    return paid


def gap(result: GateResult) -> Chart:
    """What a test on the user's own cases shows: the interval of the gap as a bar, the limit and equality as lines; points of score."""
    low, middle, high, limit = (100.0 * share for share in (result.low, result.difference, result.high, result.limit))
    colour = GATE_COLOURS[result.verdict]
    figure = go.Figure()
    figure.add_trace(go.Scatter(x=[low, high], y=[0.5, 0.5], mode="lines", line={"color": colour, "width": 10}, hoverinfo="skip"))
    figure.add_trace(
        go.Scatter(
            x=[middle],
            y=[0.5],
            mode="markers",
            marker={"size": 20, "color": colour},
            hovertemplate=f"{signed_points(middle)} points on your cases",
        )
    )
    figure.add_shape(type="line", x0=limit, x1=limit, y0=0.3, y1=0.96, line={"color": OTHER_COLOUR, "width": 3, "dash": "dash"})
    figure.add_shape(type="line", x0=0.0, x1=0.0, y0=0.3, y1=0.96, line={"color": OTHER_COLOUR, "width": 1, "dash": "dot"})
    left, right = _room_for_labels(low, high, limit)
    narrow = high - low < 0.35 * (right - left)
    for at, y, text, side, shift in (
        (limit, 0.88, f"limit {signed_points(limit)}", "right", -8),
        (0.0, 0.88, "as good as today", "left", 8),
        (low, 0.18, signed_points(low), "right" if narrow else "left", 0),
        (high, 0.18, signed_points(high), "left" if narrow else "right", 0),
        (middle, 0.18, signed_points(middle), "center", 0),
    ):
        if at != middle or not narrow:
            figure.add_annotation(x=at, y=y, text=text, showarrow=False, xanchor=side, yanchor="middle", xshift=shift)
    ticks = _signed_ticks(left, right)
    figure.update_layout(
        height=190,
        margin={"l": 12, "r": 12, "t": 8, "b": 52},
        showlegend=False,
        xaxis={
            "tickvals": ticks,
            "ticktext": [signed_points(tick) for tick in ticks],
            "range": [left, right],
            "title": {"text": "points against today's model"},
            "zeroline": False,
        },
        yaxis={"tickvals": [], "ticktext": [], "range": [0.0, 1.0], "showgrid": False, "zeroline": False},
    )
    alt = (
        f"Bar of the gap to today's model on {result.n:,} cases: {signed_points(middle)} points, between {signed_points(low)} and "
        f"{signed_points(high)} with {result.confidence * 100:.3g} % confidence; the limit is {signed_points(limit)}. {gap_words(result)}."
    )
    return Chart(key="gap", title=gap_words(result), alt=alt, figure=figure)


def gap_words(result: GateResult) -> str:
    """Where the interval lies against the limit, in words: what the colour alone must not say."""
    if result.verdict is GateVerdict.WITHIN:
        return "Shown good enough: the whole bar lies above the limit"
    if result.verdict is GateVerdict.OUTSIDE:
        return "Shown not good enough: the whole bar lies below the limit"
    if result.low > result.limit:
        return "Not decided, although the bar lies above the limit: the notes say why"
    return "Not decided: the bar crosses the limit"


def signed_points(points: float) -> str:
    """'+1.2', '-4.3', '0': a difference in points."""
    return "0" if abs(points) < 0.05 else f"{points:+.1f}".removesuffix(".0")


def cascade(pair: Pair, share: float) -> Chart:
    """Right answers kept against the share sent on: the published range, between coin flip and oracle; and the saving."""
    points = cascade_curve(pair, 41)
    at = [100.0 * point.escalation_share for point in points]
    figure = go.Figure()
    band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure.add_trace(go.Scatter(x=at, y=_kept_at(points, "right_high_share", pair), **band))
    low = _kept_at(points, "right_low_share", pair)
    figure.add_trace(go.Scatter(x=at, y=low, fill="tonexty", fillcolor="rgba(163,120,29,0.22)", **band))
    colour = ARM_COLOURS["cascade"]
    for name, title, width, dash in (
        ("oracle_right_share", "with hindsight (oracle)", 1.5, "dot"),
        ("right_share", "median published router", 3.0, "solid"),
        ("coin_flip_right_share", "at random (coin flip)", 1.5, "dash"),
    ):
        line = {"color": colour if width > 2 else OTHER_COLOUR, "width": width, "dash": dash}
        hover = f"{title}: %{{y:.1f}}% kept with %{{x:.0f}}% sent on<extra></extra>"
        figure.add_trace(go.Scatter(x=at, y=_kept_at(points, name, pair), mode="lines", name=title, line=line, hovertemplate=hover))
    saved = [100.0 * point.saving_share for point in points]
    line = {"color": ARM_COLOURS["fine_tuned_7b"], "width": 2, "dash": "longdash"}
    hover = "%{y:.0f}% of the large model's tokens saved<extra></extra>"
    figure.add_trace(go.Scatter(x=at, y=saved, mode="lines", name="token cost saved", line=line, hovertemplate=hover))
    limit = 100.0 * (1.0 - MARGIN_SHARE)
    bottom = min(0.0, min(saved)) - 4.0
    figure.add_shape(type="line", x0=0, x1=100, y0=limit, y1=limit, line={"color": OTHER_COLOUR, "width": 1})
    figure.add_annotation(x=100, y=limit, text=f"limit {limit:.0f}%", showarrow=False, xanchor="right", yanchor="top")
    figure.add_shape(
        type="line", x0=100 * share, x1=100 * share, y0=bottom, y1=103, line={"color": OTHER_COLOUR, "width": 1, "dash": "dot"}
    )
    figure.update_layout(
        height=360,
        margin={"l": 56, "r": 16, "t": 16, "b": 112},
        xaxis={"title": {"text": "sent on to the large model"}, "range": [0, 100], "ticksuffix": "%"},
        yaxis={"range": [bottom, 103], "ticksuffix": "%"},
        legend={"orientation": "h", "x": 0, "y": -0.26, "xanchor": "left", "yanchor": "top"},
    )
    need = cascade_need(pair, MARGIN_SHARE)
    title = (
        f"A published router keeps {limit:.0f}% of the large model's right answers with about {fmt.share(need.share)} sent on "
        f"({fmt.share(need.oracle_share)} with hindsight, {fmt.share(need.coin_flip_share)} at random)"
    )
    ends = f"{kept(points[0].right_share, pair)} kept with nothing sent on, {fmt.share(points[0].saving_share)} saved"
    alt = f"Lines over the share sent on: right answers kept, and token cost saved. {title}. {ends}; with everything sent on both are paid."
    return Chart(key="cascade", title=title, alt=alt, figure=figure)


def kept(right_share: float, pair: Pair) -> str:
    """Of the large model's right answers."""
    return fmt.share(right_share / pair.large_right_share)


def _kept_at(points: tuple[CascadePoint, ...], name: str, pair: Pair) -> list[float]:
    return [100.0 * float(getattr(point, name)) / pair.large_right_share for point in points]


# ---- titles: the finding ----


def _cumulative_title(recommendation: Recommendation) -> str:
    choice, horizon = recommendation.choice, recommendation.scenario.workload.horizon_months
    option, baseline = recommendation.option(choice.option_id), recommendation.option(choice.baseline_option_id)
    if option is None or baseline is None or option.total_usd is None or baseline.total_usd is None:
        return f"What each option has cost after each of {horizon} months"
    if option.id == baseline.id:
        rivals = [other for other in compared_options(recommendation) if other.id != option.id and other.total_usd is not None]
        if not rivals:
            return f"{option.title}: {fmt.usd(option.total_usd)} after {horizon} months"
        best = min(rivals, key=lambda other: other.total_usd or 0.0)
        return f"After {horizon} months {option.title} has cost {fmt.usd(option.total_usd)}, {best.title} {fmt.usd(best.total_usd)}"
    spent = f"after {horizon} months it has cost {fmt.usd(option.total_usd)}, {baseline.title} {fmt.usd(baseline.total_usd)}"
    if choice.payback_months is None:
        return f"{option.title} does not pay back within {fmt.months(float(horizon))}: {spent}"
    when = "from the start" if choice.payback_months == 0 else f"after {fmt.months(choice.payback_months)}"
    return f"{option.title} pays back {when}: {spent}"


def _monthly_title(option: OptionResult, names: Sequence[str], amounts: dict[str, list[float]]) -> str:
    total = sum(month.total_usd for month in option.months)
    if not names or total <= 0:
        return f"{option.title}: no monthly bill"
    largest = names[0]
    portion = sum(amounts[largest]) / total
    verb = "are" if largest.startswith("tokens") else "is"
    return f"{fmt.line_name(largest)} {verb} {fmt.share(portion)} of the monthly bill of {option.title}"


def _totals_title(recommendation: Recommendation, options: Sequence[OptionResult]) -> str:
    horizon = recommendation.scenario.workload.horizon_months
    allowed = [option for option in options if option.feasible]
    if not allowed:
        return f"No option is allowed; what each would cost over {horizon} months"
    cheapest = allowed[0]
    tail = "" if cheapest.id == recommendation.choice.option_id else ", before counting the risk that it is not good enough"
    return f"{cheapest.title} is the cheapest allowed option: {fmt.usd(cheapest.total_usd)} over {horizon} months{tail}"


# ---- below: how ----


def _running_line(option: OptionResult, totals: list[float], *, chosen: bool) -> go.Scatter:
    return go.Scatter(
        x=list(range(len(totals))),
        y=totals,
        mode="lines",
        name=option.title,
        line={"color": colour_of(option), "width": 3.5 if chosen else 2, "dash": ARM_DASHES.get(str(option.arm), "solid")},
        hovertemplate="$%{y:,.0f}",
    )


def _band(option: OptionResult, found: OptionDoubt) -> go.Scatter:
    """The area between the 10 % and the 90 % points, from the start to the end of each month."""
    low, high = found.cumulative.p10_usd, found.cumulative.p90_usd
    months = list(range(len(low)))
    return go.Scatter(
        x=[*months, *reversed(months)],
        y=[*high, *reversed(low)],
        mode="lines",
        fill="toself",
        fillcolor=faded(colour_of(option)),
        line={"color": colour_of(option), "width": 0},
        name=f"{option.title}, 8 of 10 draws",
        hoverinfo="skip",
    )


def faded(colour: str) -> str:
    """'#0072B2' as the same colour at 16 %, for areas behind lines."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.16)"


def _break_even_point(recommendation: Recommendation) -> tuple[float, float] | None:
    choice = recommendation.choice
    baseline = recommendation.option(choice.baseline_option_id)
    if not choice.payback_months or choice.option_id in (None, choice.baseline_option_id) or baseline is None or not baseline.months:
        return None
    paid, at = running_total_usd(baseline), choice.payback_months
    month = min(int(at), len(paid) - 2)
    return at, paid[month] + (paid[month + 1] - paid[month]) * (at - month)


def _mark_break_even(figure: go.Figure, month: float, usd: float, top: float) -> None:
    figure.add_shape(type="line", x0=month, x1=month, y0=0, y1=usd, line={"color": OTHER_COLOUR, "width": 1, "dash": "dot"})
    figure.add_trace(
        go.Scatter(
            x=[month],
            y=[usd],
            mode="markers",
            marker={"size": 10, "color": OTHER_COLOUR, "symbol": "circle"},
            name="Break-even",
            hovertemplate=f"break-even after {fmt.months(month)}",
        )
    )
    low = usd < top * 0.75
    figure.add_annotation(
        x=month,
        y=usd,
        text=f"break-even: {fmt.months(month)}",
        showarrow=False,
        xanchor="right" if month > 4 else "left",
        yanchor="bottom" if low else "top",
        xshift=-8 if month > 4 else 8,
        yshift=8 if low else -8,
    )


def _apart(lines: Sequence[tuple[OptionResult, list[float]]], gap: float) -> list[tuple[OptionResult, list[float], float]]:
    """End labels pushed up where they would overlap, lowest first."""
    placed: list[tuple[OptionResult, list[float], float]] = []
    last = -math.inf
    for option, totals in sorted(lines, key=lambda line: line[1][-1]):
        y = max(totals[-1], last + gap)
        placed.append((option, totals, y))
        last = y
    return placed


def _row_label(option: OptionResult, choice: Choice) -> str:
    marks = [name for name, holds in (("recommended", option.id == choice.option_id), ("refused", not option.feasible)) if holds]
    tail = f": {fmt.usd(option.total_usd)}" + (f" ({', '.join(marks)})" if marks else "")
    title = option.title if len(option.title + tail) <= LABEL_SIGNS else option.title.partition(", ")[0]
    return title + tail


def short_name(option: OptionResult) -> str:
    """An option in a word or two, for the end of its line."""
    name = ARM_SHORT_NAMES.get(str(option.arm), fmt.arm_name(str(option.arm)))
    return name if option.feasible else f"{name} (refused)"


def colour_of(option: OptionResult) -> str:
    """The one colour of an option's arm."""
    return ARM_COLOURS.get(str(option.arm), OTHER_COLOUR)


def _amount(lines: Sequence[object], name: str) -> float:
    return sum(float(getattr(line, "usd", 0.0)) for line in lines if getattr(line, "name", "") == name)


def money_axis(figure: go.Figure, axis: str, top: float) -> None:
    """Round amounts from 0 to `top` USD on 'xaxis' or 'yaxis'."""
    ticks = nice_ticks(top)
    figure.update_layout(
        {
            axis: {
                "tickvals": ticks,
                "ticktext": [fmt.usd_short(tick) for tick in ticks],
                "range": [0, max(top, ticks[-1])],
                "zeroline": False,
            }
        }
    )


def _month_axis(figure: go.Figure, horizon: int, *, first: int) -> None:
    step = 1 if horizon <= 12 else 3
    ticks = sorted({first, *range(0 if first == 0 else step, horizon + 1, step)})
    span = [0, horizon] if first == 0 else [0.4, horizon + 0.6]
    figure.update_layout(
        xaxis={"tickvals": ticks, "ticktext": [str(tick) for tick in ticks], "range": span, "title": {"text": "month"}, "zeroline": False}
    )


def _room_for_labels(low: float, high: float, limit: float) -> tuple[float, float]:
    """A range that holds bar and lines, with 30 % of it left of the limit and 36 % right of equality, where their labels stand."""
    pad = 0.18 * (max(high, 0.0) - min(low, limit))
    before, after = limit - min(low, limit) + pad, max(high, 0.0) + pad
    for _ in range(20):
        before = max(before, 0.30 / 0.70 * (after - limit))
        after = max(after, 0.36 / 0.64 * (before - limit))
    return limit - before, after


def _signed_ticks(left: float, right: float) -> list[float]:
    step = nice_ticks(right - left, 8)[1]
    return [step * index for index in range(math.ceil(left / step), math.floor(right / step) + 1)]


def nice_ticks(top: float, wanted: int = 6) -> list[float]:
    """Round numbers from 0 up to `top`, about `wanted` of them: steps of 1, 2, 2.5 or 5 times a power of ten."""
    if top <= 0:
        return [0.0, 1.0]
    raw = top / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= raw * 0.999)
    return [step * index for index in range(math.floor(top / step + 1e-9) + 1)]
