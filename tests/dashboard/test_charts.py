"""Charts say what the decision says, and every one of them can be drawn on paper."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import plotly.graph_objects as go
import pytest

from dashboard import charts
from dashboard import format as fmt
from dashboard.chart_svg import UnknownChartPart, chart_svg
from selector.results import Arm
from tests.dashboard import sample

EVERY_CHART = {
    "cumulative_cost": lambda: charts.cumulative_cost(sample.recommendation()),
    "monthly_lines": lambda: charts.monthly_lines(sample.options()[0]),
    "totals": lambda: charts.totals(sample.recommendation()),
}


@pytest.mark.parametrize("name", EVERY_CHART)
def test_every_chart_can_be_drawn_on_paper_the_same_twice(name: str) -> None:
    drawn, again = EVERY_CHART[name](), EVERY_CHART[name]()
    assert drawn is not None
    assert again is not None
    svg = chart_svg(drawn.figure)
    assert svg == chart_svg(again.figure)
    ElementTree.fromstring(svg)  # well-formed


@pytest.mark.parametrize("name", EVERY_CHART)
def test_every_chart_has_a_finding_an_alternative_text_and_no_colours_of_the_page(name: str) -> None:
    drawn = EVERY_CHART[name]()
    assert drawn is not None
    assert "$" in drawn.title or "%" in drawn.title
    assert "$" in drawn.alt
    layout = drawn.figure.to_plotly_json()["layout"]
    assert not {"paper_bgcolor", "plot_bgcolor", "font", "title"} & set(layout)


def test_the_test_covers_every_chart_of_the_module() -> None:
    made = {name for name, value in vars(charts).items() if getattr(value, "__annotations__", {}).get("return") == "Chart | None"}
    assert made == set(EVERY_CHART)


def test_running_total_ends_at_the_total() -> None:
    for option in sample.options():
        if option.total_usd is not None:
            assert charts.running_total_usd(option)[-1] == pytest.approx(option.total_usd)
            assert charts.running_total_usd(option)[0] == option.upfront_usd


def test_the_lines_are_the_options_of_the_fixed_table_and_the_recommended_one() -> None:
    drawn = charts.cumulative_cost(sample.recommendation())
    assert drawn is not None
    names = [trace.name for trace in drawn.figure.data]
    assert names == ["openai:gpt-4o, list price", "Llama 3.3 70B on 2 × H100", "Qwen3-8B fine-tuned on 1 × L40S", "Break-even"]


def test_the_break_even_mark_lies_on_the_baseline_at_the_payback_month() -> None:
    recommendation = sample.recommendation()
    drawn = charts.cumulative_cost(recommendation)
    assert drawn is not None
    mark = drawn.figure.data[-1]
    payback = recommendation.choice.payback_months
    assert payback is not None
    assert mark.x[0] == payback
    assert mark.y[0] == pytest.approx(payback * (22_812.5 + 900.0))


def test_a_stay_has_no_break_even_mark() -> None:
    recommendation = sample.recommendation()
    stay = replace(recommendation, choice=replace(recommendation.choice, option_id="api:gpt-4o", payback_months=None))
    drawn = charts.cumulative_cost(stay)
    assert drawn is not None
    assert "Break-even" not in [trace.name for trace in drawn.figure.data]
    assert fmt.usd(stay.options[2].total_usd) in drawn.title


def test_the_stack_of_a_month_is_its_total() -> None:
    option = sample.options()[0]
    drawn = charts.monthly_lines(option)
    assert drawn is not None
    for index, month in enumerate(option.months):
        assert sum(trace.y[index] for trace in drawn.figure.data) == pytest.approx(month.total_usd)


def test_no_cost_means_no_chart() -> None:
    recommendation = sample.recommendation()
    nothing = replace(recommendation, options=(recommendation.options[-1],), table=())
    assert charts.totals(nothing) is None
    assert charts.cumulative_cost(nothing) is None
    assert charts.monthly_lines(nothing.options[0]) is None


def test_every_arm_has_one_colour_that_stands_out_on_both_pages() -> None:
    assert set(charts.ARM_COLOURS) == {str(arm) for arm in Arm}
    assert len(set(charts.ARM_COLOURS.values())) == len(Arm)
    for colour in charts.ARM_COLOURS.values():
        assert contrast(colour, "#FFFFFF") >= 3
        assert contrast(colour, "#10171F") >= 3


@pytest.mark.parametrize(
    ("top", "ticks"), [(100.0, [0, 20, 40, 60, 80, 100]), (7.0, [0, 2, 4, 6]), (284_550.0, [0, 50e3, 100e3, 150e3, 200e3, 250e3])]
)
def test_ticks_are_round_numbers(top: float, ticks: list[float]) -> None:
    assert charts.nice_ticks(top) == ticks


@pytest.mark.parametrize(
    "figure",
    [
        go.Figure(go.Pie(values=[1, 2])),
        go.Figure(go.Scatter(x=[1], y=[1], mode="text")),
        go.Figure(go.Scatter(x=[1], y=[1], mode="lines", line={"dash": "longdashdot"})),
        go.Figure([go.Bar(x=[1], y=[1]), go.Bar(x=[1], y=[2])], layout={"barmode": "group"}),
        go.Figure(go.Scatter(x=[1], y=[1], mode="lines"), layout={"shapes": [{"type": "rect", "x0": 0, "x1": 1, "y0": 0, "y1": 1}]}),
        go.Figure(go.Scatter(x=[1], y=[1], mode="lines"), layout={"annotations": [{"text": "x", "x": 1, "y": 1, "showarrow": True}]}),
    ],
)
def test_what_cannot_be_drawn_is_an_error_not_a_gap(figure: go.Figure) -> None:
    axis = {"range": [0, 2], "tickvals": [0, 1], "ticktext": ["0", "1"]}
    figure.update_layout(xaxis=axis, yaxis=axis)
    with pytest.raises(UnknownChartPart):
        chart_svg(figure)


def test_an_axis_without_ticks_is_an_error() -> None:
    with pytest.raises(UnknownChartPart, match="xaxis"):
        chart_svg(go.Figure(go.Scatter(x=[1], y=[1], mode="lines")))


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG 2 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
