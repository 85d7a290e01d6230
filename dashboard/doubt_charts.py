"""Charts of a decision's doubt: results of selector.sensitivity to plotly figures, as in `charts`, and of what the options cost apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from dashboard import charts, doubt_words
from dashboard import format as fmt
from dashboard.charts import Chart
from selector.results import OptionResult, Recommendation
from selector.sensitivity import Bar, BreakEven, Curve, Doubt, PricePath, Staircase, Tornado

SAVES_COLOUR, ADDS_COLOUR = "#00875A", "#D1442F"
LOW_COLOUR, HIGH_COLOUR = "#A08A4B", "#2A6CA8"
"""Ends of a range: 3:1 against the light and the dark page, apart in greyscale."""
BARS_SHOWN: Final = 7
STEPS_SHOWN: Final = 7
ROW_PX: Final = 44
VOLUMES_SHOWN: Final = (2.0, 10.0)
"""The staircase is drawn up to between so many times the volume of today."""
PATH_ARMS: Final = ("api", "self_hosted_70b", "fine_tuned_7b")
"""The arms of `PricePath.table_usd`, in its order."""


def subject(recommendation: Recommendation, doubt: Doubt | None = None) -> OptionResult | None:
    """What is compared with today's model: the recommended option, or the best alternative where the advice is to stay."""
    choice = recommendation.choice
    if choice.option_id not in (None, choice.baseline_option_id):
        return recommendation.option(choice.option_id)
    if doubt is not None:
        return recommendation.option(doubt.tornado.option_id)
    rest = [option for option in recommendation.options if option.feasible and option.id != choice.baseline_option_id]
    return min(rest, key=lambda option: option.expected_usd or math.inf, default=None)


def stair_ids(recommendation: Recommendation, doubt: Doubt) -> tuple[str, ...]:
    """Options whose cost is drawn against volume: today's model, the other rows of the fixed table, and what it is compared with."""
    ids = [option.id for option in charts.compared_options(recommendation)]
    compared = subject(recommendation, doubt)
    return tuple(dict.fromkeys([recommendation.choice.baseline_option_id, *ids, *([compared.id] if compared else [])]))


def staircase(recommendation: Recommendation, doubt: Doubt, stairs: Staircase) -> Chart | None:
    """Cost of each option against volume: whole servers are steps, tokens a straight line; today's volume is marked."""
    shown = [(option, curve) for curve in stairs.curves if (option := recommendation.option(curve.option_id)) is not None]
    if not shown:
        return None
    limit = _volume_limit(recommendation, doubt, stairs)
    here = stairs.here_tokens_per_day
    lines = [(option, _within(stairs, curve, limit)) for option, curve in shown]
    lines = [(option, points) for option, points in lines if points]
    if not lines:
        return None
    top = max(usd for _, points in lines for _, usd in points)
    figure = go.Figure()
    for option, points in lines:
        figure.add_trace(
            go.Scatter(
                x=[volume / 1e6 for volume, _ in points],
                y=[usd for _, usd in points],
                mode="lines",
                name=option.title,
                line={
                    "color": charts.colour_of(option),
                    "width": 3.5 if option.id == recommendation.choice.option_id else 2,
                    "dash": charts.ARM_DASHES.get(str(option.arm), "solid"),
                },
                hovertemplate="%{x:,.3~f} M tokens a day: $%{y:,.0f}",
            )
        )
    tall = top * 1.16
    _mark_here(figure, here / 1e6, limit / 1e6, tall)
    for option, y in _labels_apart([(option, points[-1][1]) for option, points in lines], gap=tall * 0.075):
        figure.add_annotation(
            x=limit / 1e6, y=y, text=charts.short_name(option), showarrow=False, xanchor="left", yanchor="middle", xshift=8
        )
    charts.money_axis(figure, "yaxis", tall)
    ticks = charts.nice_ticks(limit / 1e6, 5)
    figure.update_layout(
        height=380,
        margin={"l": 64, "r": 104, "t": 16, "b": 48},
        showlegend=False,
        xaxis={
            "tickvals": ticks,
            "ticktext": [fmt.number(tick) for tick in ticks],
            "range": [0, limit / 1e6],
            "title": {"text": "million tokens a day"},
            "zeroline": False,
        },
    )
    today = "; ".join(f"{option.title} {fmt.usd(_at(points, here))}" for option, points in lines)
    horizon = recommendation.scenario.workload.horizon_months
    alt = (
        f"Lines of the cost over {horizon} months against the volume, up to {doubt_words.volume(limit)}; "
        f"whole servers make steps. At your {doubt_words.volume(here)}: {today}."
    )
    return Chart(key="staircase", title=_staircase_title(recommendation, doubt, stairs), alt=alt, figure=figure)


def waterfall(recommendation: Recommendation, doubt: Doubt | None = None) -> Chart | None:
    """From today's bill to the option's: what falls away and what comes on top, line by line, over the horizon."""
    baseline, option = recommendation.option(recommendation.choice.baseline_option_id), subject(recommendation, doubt)
    if baseline is None or option is None or baseline.total_usd is None or option.total_usd is None or option.id == baseline.id:
        return None
    steps = cost_steps(baseline, option)
    feet, running = [], baseline.total_usd
    for _, usd in steps:
        feet.append(running)
        running += usd
    amounts = [baseline.total_usd, *(usd for _, usd in steps), option.total_usd]
    bases = [0.0, *feet, 0.0]
    colours = [
        charts.colour_of(baseline),
        *(SAVES_COLOUR if usd < 0 else ADDS_COLOUR for _, usd in steps),
        charts.colour_of(option),
    ]
    labels = [
        f"Today, {baseline.title}: {fmt.usd(baseline.total_usd)}",
        *(f"{name}: {signed_usd(usd)}" for name, usd in steps),
        f"{option.title}: {fmt.usd(option.total_usd)}",
    ]
    ends = [base + amount for base, amount in zip(bases, amounts, strict=True)]
    figure = _rows(labels, amounts, bases, colours, low=min(0.0, *ends), high=max(ends))
    largest = max(steps, key=lambda step: abs(step[1]), default=("", 0.0))
    saving = baseline.total_usd - option.total_usd
    verb = f"saves {fmt.usd(saving)}" if saving >= 0 else f"costs {fmt.usd(-saving)} more"
    horizon = recommendation.scenario.workload.horizon_months
    unless = " if it is good enough" if saving >= 0 else ""
    title = f"{option.title} {verb} over {horizon} months{unless}; the largest step is {largest[0].lower()}, {signed_usd(largest[1])}"
    alt = f"Waterfall from {fmt.usd(baseline.total_usd)} for {baseline.title} to {fmt.usd(option.total_usd)} for {option.title}: " + (
        "; ".join(f"{name} {signed_usd(usd)}" for name, usd in steps) + "."
    )
    return Chart(key="waterfall", title=title, alt=alt, figure=figure)


def tornado(found: Tornado, recommendation: Recommendation) -> Chart | None:
    """The saving at either end of the numbers that move it most, widest first."""
    bars = [bar for bar in found.bars if bar.swing_usd > 0.5][:BARS_SHOWN]
    if not bars or found.option_id is None:
        return None
    base = found.saving_usd
    amounts = [end - base for bar in bars for end in (bar.saving_low_usd, bar.saving_high_usd)]
    ends = [base + amount for amount in amounts]
    figure = _rows(
        [_bar_label(bar, recommendation) for bar in bars],
        amounts,
        [base] * len(amounts),
        [LOW_COLOUR, HIGH_COLOUR] * len(bars),
        low=min(0.0, base, *ends),
        high=max(0.0, base, *ends),
        per_row=2,
    )
    for row in range(len(bars)):  # in pieces, so that no label is crossed
        for at, width, dash in ((0.0, 2, "solid"), (base, 1, "dot")):
            line = {"color": charts.OTHER_COLOUR, "width": width, "dash": dash}
            figure.add_shape(type="line", x0=at, x1=at, y0=row - 0.22, y1=row + 0.32, line=line)
    first = bars[0]
    title = (
        f"{doubt_words.label(first)} moves the saving of {found.title} most: "
        f"{fmt.usd(first.saving_low_usd)} at {doubt_words.value(first.low, first.unit)}, "
        f"{fmt.usd(first.saving_high_usd)} at {doubt_words.value(first.high, first.unit)}"
    )
    said = "; ".join(
        f"{doubt_words.label(bar)} {fmt.usd(bar.saving_low_usd)} at {doubt_words.value(bar.low, bar.unit)}, "
        f"{fmt.usd(bar.saving_high_usd)} at {doubt_words.value(bar.high, bar.unit)}"
        for bar in bars
    )
    alt = f"Bars of the saving of {found.title} against today's model, {fmt.usd(base)} as decided, one number moved at a time: {said}."
    return Chart(key="tornado", title=title, alt=alt, figure=figure)


def price_paths(paths: Sequence[PricePath], recommendation: Recommendation) -> Chart | None:
    """Totals of the three arms under each way that prices may go."""
    if not any(usd is not None for path in paths for usd in path.table_usd):
        return None
    figure = go.Figure()
    for place, arm in enumerate(PATH_ARMS):
        points = [(row, usd) for row, path in enumerate(paths) if (usd := path.table_usd[place]) is not None]
        if points:
            figure.add_trace(
                go.Scatter(
                    x=[usd for _, usd in points],
                    y=[row for row, _ in points],
                    mode="markers",
                    name=fmt.arm_name(arm),
                    marker={"size": 13, "color": charts.ARM_COLOURS[arm]},
                    hovertemplate="$%{x:,.0f}",
                )
            )
    for row, path in enumerate(paths):
        figure.add_annotation(x=0, y=row, text=path.label.partition(",")[0], showarrow=False, xanchor="left", yanchor="bottom", yshift=9)
    _row_layout(figure, len(paths), 0.0, max(usd for path in paths for usd in path.table_usd if usd is not None), legend=True)
    return Chart(key="price_paths", title=_paths_title(paths, recommendation), alt=_paths_alt(paths), figure=figure)


def cost_steps(baseline: OptionResult, option: OptionResult) -> list[tuple[str, float]]:
    """(name, USD) by which each cost line differs over the horizon, savings first, each by size; the small ones are one step."""
    before, after = _by_group(baseline), _by_group(option)
    names = list(dict.fromkeys([*before, *after]))
    found = [(name, after.get(name, 0.0) - before.get(name, 0.0)) for name in names]
    found = sorted(((name, usd) for name, usd in found if abs(usd) >= 0.005), key=lambda step: -abs(step[1]))
    kept, rest = found[:STEPS_SHOWN], found[STEPS_SHOWN:]
    if len(rest) == 1:
        kept, rest = found, []
    if rest:
        kept.append(("Everything else", sum(usd for _, usd in rest)))
    return sorted(kept, key=lambda step: (step[1] >= 0, -abs(step[1])))


def signed_usd(amount: float) -> str:
    """'+$4,300', '-$18,250'."""
    return fmt.usd(amount) if amount < 0 else f"+{fmt.usd(amount)}"


# ---- titles: the finding ----


def _staircase_title(recommendation: Recommendation, doubt: Doubt, stairs: Staircase) -> str:
    here = f"you are at {doubt_words.volume(stairs.here_tokens_per_day)}"
    baseline, option = recommendation.option(recommendation.choice.baseline_option_id), subject(recommendation, doubt)
    found = _break_even(doubt, option)
    if baseline is None or option is None or found is None:
        return f"What each option costs against the volume; {here}"
    sentence = doubt_words.break_even(found, option.title, baseline.title)
    return f"{sentence}; {here}"


def _paths_title(paths: Sequence[PricePath], recommendation: Recommendation) -> str:
    changed = [path for path in paths if path.changes_verdict]
    titles = {option.id: option.title for option in recommendation.options}
    if not changed:
        return f"The advice stays on each of {len(paths)} ways that prices may go"
    first = changed[0]
    instead = titles.get(first.option_id or "", "nothing")
    count = "one" if len(changed) == 1 else str(len(changed))
    return f"{count.capitalize()} of {len(paths)} ways that prices may go changes the advice: {first.label}, then {instead}"


def _paths_alt(paths: Sequence[PricePath]) -> str:
    said = "; ".join(
        f"{path.label}: "
        + ", ".join(f"{fmt.arm_name(arm)} {fmt.usd(usd)}" for arm, usd in zip(PATH_ARMS, path.table_usd, strict=True) if usd is not None)
        for path in paths
    )
    return f"Points of the totals of the three arms under each price path. {said}."


def _bar_label(bar: Bar, recommendation: Recommendation) -> str:
    decided = recommendation.choice.option_id
    flips = bar.option_id_low != decided or bar.option_id_high != decided
    ends = f"{doubt_words.value(bar.low, bar.unit, short=True)} to {doubt_words.value(bar.high, bar.unit, short=True)}"
    return f"{doubt_words.label(bar)}, {ends}" + (" (flips)" if flips else "")


# ---- below: how ----


def _rows(
    labels: Sequence[str],
    amounts: Sequence[float],
    bases: Sequence[float],
    colours: Sequence[str],
    *,
    low: float,
    high: float,
    per_row: int = 1,
) -> go.Figure:
    """Horizontal bars from a foot each, `per_row` of them in a row, the row's label above."""
    said = [label for label in labels for _ in range(per_row)]
    figure = go.Figure(
        go.Bar(
            y=[row for row in range(len(labels)) for _ in range(per_row)],
            x=list(amounts),
            base=list(bases),
            orientation="h",
            marker={"color": list(colours)},
            hovertext=[f"{text}: {fmt.usd(base + amount)}" for text, base, amount in zip(said, bases, amounts, strict=True)]
            if per_row > 1
            else said,
            hoverinfo="text",
        )
    )
    for row, label in enumerate(labels):
        figure.add_annotation(x=low, y=row, text=label, showarrow=False, xanchor="left", yanchor="bottom", yshift=7)
    _row_layout(figure, len(labels), low, high)
    return figure


def _row_layout(figure: go.Figure, rows: int, low: float, high: float, *, legend: bool = False) -> None:
    ticks = signed_ticks(low, high)
    figure.update_layout(
        height=72 + ROW_PX * rows + (64 if legend else 0),
        bargap=0.66,
        barmode="overlay",
        margin={"l": 16, "r": 24, "t": 16, "b": 40 + (64 if legend else 0)},
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "y": -0.12, "xanchor": "left", "yanchor": "top", "traceorder": "normal"},
        yaxis={"tickvals": [], "ticktext": [], "range": [rows - 0.5, -0.9], "showgrid": False, "zeroline": False},
        xaxis={
            "tickvals": ticks,
            "ticktext": [fmt.usd_short(tick) for tick in ticks],
            "range": [low, high + 0.02 * (high - low)],
            "zeroline": False,
        },
    )


def signed_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two ends, 0 among them where it lies between; five at most, so that they fit on a phone."""
    step = charts.nice_ticks(max(high - low, 1e-9), 4)[1]
    return [step * index for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _mark_here(figure: go.Figure, here: float, limit: float, top: float) -> None:
    figure.add_shape(type="line", x0=here, x1=here, y0=0, y1=top * 0.97, line={"color": charts.OTHER_COLOUR, "width": 1.5, "dash": "dash"})
    left = here < 0.6 * limit
    figure.add_annotation(
        x=here,
        y=top * 0.96,
        text=f"you are here: {fmt.number(float(f'{here:.3g}'))} M",
        showarrow=False,
        xanchor="left" if left else "right",
        yanchor="middle",
        xshift=8 if left else -8,
    )


def _volume_limit(recommendation: Recommendation, doubt: Doubt, stairs: Staircase) -> float:
    """Up to which volume to draw: past the break-even of the option in question, between two and ten times today's."""
    found = _break_even(doubt, subject(recommendation, doubt))
    here = stairs.here_tokens_per_day
    wanted = 1.4 * found.tokens_per_day if found is not None and found.tokens_per_day is not None else VOLUMES_SHOWN[1] * here
    return float(min(max(wanted, VOLUMES_SHOWN[0] * here), VOLUMES_SHOWN[1] * here, stairs.tokens_per_day[-1]))


def _break_even(doubt: Doubt, option: OptionResult | None) -> BreakEven | None:
    return next((found for found in doubt.break_evens if option is not None and found.option_id == option.id), None)


def _within(stairs: Staircase, curve: Curve, limit: float) -> list[tuple[float, float]]:
    """The curve up to a volume, a straight line between its points to the limit itself; nothing past what the option can carry."""
    points = [(volume, usd) for volume, usd in zip(stairs.tokens_per_day, curve.total_usd, strict=True) if usd is not None]
    inside = [point for point in points if point[0] <= limit]
    after = next((point for point in points if point[0] > limit), None)
    if inside and after is not None and inside[-1][0] < limit:
        inside.append((limit, _between(inside[-1], after, limit)))
    return inside


def _at(points: Sequence[tuple[float, float]], volume: float) -> float | None:
    """The cost at a volume that is among the points, or None past the end."""
    return next((usd for at, usd in points if at >= volume), None)


def _between(left: tuple[float, float], right: tuple[float, float], volume: float) -> float:
    return left[1] + (right[1] - left[1]) * (volume - left[0]) / (right[0] - left[0])


def _labels_apart(ends: Sequence[tuple[OptionResult, float]], gap: float) -> list[tuple[OptionResult, float]]:
    """End labels pushed up where they would overlap, lowest first."""
    placed: list[tuple[OptionResult, float]] = []
    last = -math.inf
    for option, usd in sorted(ends, key=lambda end: end[1]):
        last = max(usd, last + gap)
        placed.append((option, last))
    return placed


def _by_group(option: OptionResult) -> dict[str, float]:
    """What an option costs over the horizon by cost line, all tokens as one."""
    found: dict[str, float] = {}
    for line in [*option.upfront_lines, *(line for month in option.months for line in month.lines)]:
        name = "Tokens" if line.name.startswith("tokens") else fmt.line_name(line.name)
        found[name] = found.get(name, 0.0) + line.usd
    return found
