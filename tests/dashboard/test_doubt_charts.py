"""The charts of a decision's doubt say what the numbers say, stand on paper too, and never hold the page up."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from xml.etree import ElementTree

import pytest
from pypdf import PdfReader
from streamlit.testing.v1 import AppTest

from dashboard import charts, doubt_charts, doubt_words, tables
from dashboard import format as fmt
from dashboard.chart_svg import chart_svg
from dashboard.charts import Chart
from dashboard.doubt_desk import DoubtDesk, Doubted, doubted
from dashboard.forms import example_workloads
from dashboard.pdf import render_pdf
from dashboard.report import FLIPS_SHOWN, report_of
from selector.catalog import load_catalog
from selector.recommendation import recommend
from selector.results import Recommendation
from selector.scenarios import Scenario
from selector.sensitivity import Doubt, Flip, Reached, Staircase
from selector.tree import load_tree
from tests.dashboard import sample
from tests.dashboard.test_charts import contrast
from tests.dashboard.test_pages import on, opened, said
from tests.dashboard.test_report import words_of

AS_OF = date(2026, 11, 22)


@dataclass(frozen=True)
class Doubtful:
    recommendation: Recommendation
    doubt: Doubt
    stairs: Staircase


def doubtful(place: int, **changes: float) -> Doubtful:
    scenario = Scenario(workload=example_workloads()[place].model_copy(update=changes))
    catalog = load_catalog(AS_OF, scenario.prices)
    recommendation = recommend(scenario, catalog)
    found = doubted(recommendation, catalog)
    assert found.doubt is not None, found.problem
    assert found.staircase is not None
    return Doubtful(recommendation, found.doubt, found.staircase)


@pytest.fixture(scope="module")
def stay() -> Doubtful:
    found = doubtful(0)
    assert found.recommendation.choice.option_id == found.recommendation.choice.baseline_option_id
    return found


@pytest.fixture(scope="module")
def move() -> Doubtful:
    found = doubtful(0, tokens_per_day=400e6)
    assert found.recommendation.choice.option_id != found.recommendation.choice.baseline_option_id
    return found


@pytest.fixture(params=["stay", "move"])
def either(request: pytest.FixtureRequest) -> Doubtful:
    found: Doubtful = request.getfixturevalue(request.param)
    return found


EVERY_CHART: dict[str, Callable[[Doubtful], Chart | None]] = {
    "staircase": lambda found: doubt_charts.staircase(found.recommendation, found.doubt, found.stairs),
    "waterfall": lambda found: doubt_charts.waterfall(found.recommendation, found.doubt),
    "tornado": lambda found: doubt_charts.tornado(found.doubt.tornado, found.recommendation),
    "price_paths": lambda found: doubt_charts.price_paths(found.doubt.paths, found.recommendation),
    "cumulative_cost": lambda found: charts.cumulative_cost(found.recommendation, found.doubt.simulation),
}


@pytest.mark.parametrize("name", EVERY_CHART)
def test_every_chart_can_be_drawn_on_paper_the_same_twice(name: str, either: Doubtful) -> None:
    drawn, again = EVERY_CHART[name](either), EVERY_CHART[name](either)
    assert drawn is not None
    assert again is not None
    svg = chart_svg(drawn.figure)
    assert svg == chart_svg(again.figure)
    ElementTree.fromstring(svg)  # well-formed


@pytest.mark.parametrize("name", EVERY_CHART)
def test_every_chart_has_a_finding_an_alternative_text_and_no_colours_of_the_page(name: str, either: Doubtful) -> None:
    drawn = EVERY_CHART[name](either)
    assert drawn is not None
    assert any(sign in drawn.title for sign in ("$", "M tokens", "ways that prices may go"))
    assert "$" in drawn.alt
    layout = drawn.figure.to_plotly_json()["layout"]
    assert not {"paper_bgcolor", "plot_bgcolor", "font", "title"} & set(layout)


def test_the_test_covers_every_chart_of_the_module() -> None:
    made = {name for name, value in vars(doubt_charts).items() if getattr(value, "__annotations__", {}).get("return") == "Chart | None"}
    assert made == set(EVERY_CHART) - {"cumulative_cost"}


def test_an_option_has_its_arms_colour_in_every_chart(either: Doubtful) -> None:
    stairs, fall = EVERY_CHART["staircase"](either), EVERY_CHART["waterfall"](either)
    assert stairs is not None
    assert fall is not None
    option = doubt_charts.subject(either.recommendation, either.doubt)
    assert option is not None
    line = next(trace for trace in stairs.figure.data if trace.name == option.title)
    assert line.line.color == charts.colour_of(option) == fall.figure.data[0].marker.color[-1]


def test_the_waterfall_leads_from_one_total_to_the_other_without_a_gap(either: Doubtful) -> None:
    recommendation = either.recommendation
    option, baseline = (
        doubt_charts.subject(recommendation, either.doubt),
        recommendation.option(recommendation.choice.baseline_option_id),
    )
    assert option is not None
    assert baseline is not None
    assert baseline.total_usd is not None
    steps = doubt_charts.cost_steps(baseline, option)
    assert baseline.total_usd + sum(usd for _, usd in steps) == pytest.approx(option.total_usd)
    assert len(steps) <= doubt_charts.STEPS_SHOWN + 1
    drawn = doubt_charts.waterfall(recommendation, either.doubt)
    assert drawn is not None
    bar = drawn.figure.data[0]
    ends = [foot + amount for foot, amount in zip(bar.base, bar.x, strict=True)]
    assert list(bar.base[1:-1]) == pytest.approx(ends[:-2])
    assert ends[-2] == pytest.approx(bar.x[-1])


def test_steps_of_one_dollar_amounts_by_hand() -> None:
    """The sample's API costs 22,812.50 of tokens and 900 of staff a month; the tuned 7B runs three months beside it, then nine alone."""
    api, tuned = sample.options()[2], sample.options()[0]
    steps = dict(doubt_charts.cost_steps(api, tuned))
    assert steps["Tokens"] == pytest.approx(-22_812.5 * 12)
    assert steps["Staff"] == pytest.approx(3_600.0 * 9 - 900.0 * 12)
    assert steps["Today's bill until it is live"] == pytest.approx(3 * 23_712.5)
    assert steps["Server rental"] == pytest.approx(1_387.0 * 9)


def test_nothing_to_compare_is_no_waterfall() -> None:
    recommendation = sample.recommendation()
    alone = replace(
        recommendation,
        options=(recommendation.options[2],),
        choice=replace(recommendation.choice, option_id="api:gpt-4o"),
    )
    assert doubt_charts.waterfall(alone) is None


def test_the_staircase_marks_todays_volume_inside_and_ends_at_the_costs_of_the_decision(either: Doubtful) -> None:
    drawn = EVERY_CHART["staircase"](either)
    assert drawn is not None
    mark, here = drawn.figure.layout.shapes[0], either.stairs.here_tokens_per_day / 1e6
    assert mark.x0 == mark.x1 == here
    assert drawn.figure.layout.xaxis.range[1] >= 2 * here
    for trace in drawn.figure.data:
        option = next(option for option in either.recommendation.options if option.title == trace.name)
        at_here = [usd for volume, usd in zip(trace.x, trace.y, strict=True) if volume == here]
        assert at_here == pytest.approx([option.total_usd])


def test_a_band_ends_at_the_tenth_and_ninetieth_percent_of_the_total(either: Doubtful) -> None:
    drawn = EVERY_CHART["cumulative_cost"](either)
    assert drawn is not None
    areas = [trace for trace in drawn.figure.data if trace.fill == "toself"]
    assert len(areas) == len(charts.compared_options(either.recommendation))
    for area in areas:
        found = next(option for option in either.doubt.simulation.options if area.name.startswith(option.title + ","))
        months = either.recommendation.scenario.workload.horizon_months
        assert area.y[months] == pytest.approx(found.p90_usd)
        assert area.y[months + 1] == pytest.approx(found.p10_usd)
        assert max(area.y) <= drawn.figure.layout.yaxis.range[1]


def test_the_widest_bar_stands_first_and_ends_are_what_was_computed(either: Doubtful) -> None:
    drawn = EVERY_CHART["tornado"](either)
    assert drawn is not None
    bar, tornado = drawn.figure.data[0], either.doubt.tornado
    ends = [foot + amount for foot, amount in zip(bar.base, bar.x, strict=True)]
    assert ends[:2] == pytest.approx([tornado.bars[0].saving_low_usd, tornado.bars[0].saving_high_usd])
    swings = [abs(high - low) for low, high in zip(ends[::2], ends[1::2], strict=True)]
    assert swings == sorted(swings, reverse=True)
    assert doubt_words.label(tornado.bars[0]) in drawn.title


def test_ends_of_a_range_are_told_apart_on_both_pages_and_in_greyscale() -> None:
    for colour in (doubt_charts.LOW_COLOUR, doubt_charts.HIGH_COLOUR, doubt_charts.SAVES_COLOUR, doubt_charts.ADDS_COLOUR):
        assert contrast(colour, "#FFFFFF") >= 3
        assert contrast(colour, "#10171F") >= 3
    assert contrast(doubt_charts.LOW_COLOUR, doubt_charts.HIGH_COLOUR) >= 1.5


def test_every_flip_that_was_reached_is_a_sentence_with_both_values_nearest_first(either: Doubtful) -> None:
    reached = [flip for flip in either.doubt.flips if flip.status is Reached.REACHED and flip.key != "baseline_price"]
    said = doubt_words.flip_sentences(either.doubt, either.recommendation, shown=100)
    assert len(said) == len(reached)
    for flip in reached:
        at = flip.below if flip.below is not None else flip.above
        assert at is not None
        assert any(doubt_words.value(flip.base, flip.unit) in line and doubt_words.value(at, flip.unit) in line for line in said)


def test_the_price_to_negotiate_is_stated_whatever_came_of_the_search(stay: Doubtful) -> None:
    flip = Flip(
        key="baseline_price",
        label="Price",
        unit="USD per Mtok",
        base=4.0,
        searched_low=1.0,
        searched_high=8.0,
        status=Reached.REACHED,
        below=3.0,
    )
    cases = {
        "staying on openai:gpt-4o (today's API) wins below $3 per Mtok; it costs $4 per Mtok now, so that is 25% off": flip,
        "as long as it costs less than $6 per Mtok; it costs $4 per Mtok now": replace(flip, below=None, above=6.0),
        "between $1 per Mtok and $8 per Mtok changes the advice": replace(flip, below=None, status=Reached.NOT_REACHED),
        "No price to negotiate: it may not be used": replace(flip, status=Reached.NOT_COMPUTED, because="it may not be used"),
    }
    for expected, price in cases.items():
        assert expected in doubt_words.negotiation_sentence(replace(stay.doubt, negotiation=price), stay.recommendation)


@pytest.mark.parametrize(
    ("amount", "unit", "said"),
    [
        (25e6, "tokens a day", "25 M tokens a day"),
        (0.026, "share a month", "2.6% a month"),
        (0.83, "chance", "83%"),
        (3.524, "USD per Mtok at your mix", "$3.52 per Mtok at your mix"),
        (0.144, "USD per kWh", "$0.144 per kWh"),
        (1500.0, "USD a day", "$1,500 a day"),
        (-20.0, "USD a month", "-$20 a month"),
        (0.721, "times the amount assumed", "72% of the amount assumed"),
        (1.0, "times the amount assumed", "the amount assumed"),
        (5.0, "times", "5 times"),
        (-1.0, "-1 the cheapest named host, 0 the median, 1 the dearest", "the cheapest"),
    ],
)
def test_a_value_is_said_with_its_unit(amount: float, unit: str, said: str) -> None:
    assert doubt_words.value(amount, unit) == said


def test_the_bands_as_numbers_hold_every_option_and_mark_the_refused(either: Doubtful) -> None:
    frame = doubt_words.bands_table(either.doubt)
    assert len(frame) == len(either.doubt.simulation.options)
    for row, option in zip(frame.to_dict("records"), either.doubt.simulation.options, strict=True):
        assert row["Low (P10)"] == fmt.usd(option.p10_usd)
        assert row["Option"].endswith("(refused)") is not option.feasible


# ---- on paper ----


def test_the_report_says_how_sure_it_is_the_same_twice(either: Doubtful) -> None:
    made = report_of(either.recommendation, load_tree(), (), either.doubt)
    pdf = render_pdf(made)
    assert pdf == render_pdf(report_of(either.recommendation, load_tree(), (), either.doubt))
    text = words_of(pdf)
    assert doubt_words.sure_sentence(either.doubt, either.recommendation) in text
    shown = tables.shown_ids(either.recommendation)
    assert {row.option_id for row in either.recommendation.table} <= shown
    for option in either.doubt.simulation.options:
        if option.option_id in shown:
            assert fmt.usd(option.p10_usd) in text
            assert fmt.usd(option.p90_usd) in text
    for sentence in doubt_words.flip_sentences(either.doubt, either.recommendation, shown=FLIPS_SHOWN):
        assert sentence in text
    assert doubt_words.matters_most_sentence(either.doubt, either.recommendation) in text
    assert 4 <= len(PdfReader(io.BytesIO(pdf)).pages) <= 6


# ---- the pages ----


def drawn_after_its_doubt(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page as it is when the doubt is there, which AppTest does not ask for by itself."""
    monkeypatch.setattr(DoubtDesk, "ask", DoubtDesk.wait)
    return app.run()


def test_decide_says_the_doubt_once_it_is_there_and_everything_else_before(stay: Doubtful, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = DoubtDesk.wait
    monkeypatch.setattr(DoubtDesk, "ask", lambda *_, **__: None)
    app = opened()
    assert not app.exception
    assert "What would flip this" in said(app)
    assert len(app.table) >= 2
    assert "10,000 draws" not in said(app)
    monkeypatch.setattr(DoubtDesk, "ask", waiting)
    text = said(app.run())
    assert not app.exception
    for sentence in (
        doubt_words.sure_sentence(stay.doubt, stay.recommendation),
        doubt_words.negotiation_sentence(stay.doubt, stay.recommendation),
        *doubt_words.flip_sentences(stay.doubt, stay.recommendation),
    ):
        assert sentence in text


def test_costs_shows_every_chart_once_the_doubt_is_there(stay: Doubtful, monkeypatch: pytest.MonkeyPatch) -> None:
    app = drawn_after_its_doubt(on("costs", opened()), monkeypatch)
    assert not app.exception
    text = said(app)
    for name, make in EVERY_CHART.items():
        drawn = make(stay)
        assert drawn is not None
        assert drawn.title in text, name
    assert len(app.get("plotly_chart")) == len(EVERY_CHART) + 2
    for row in stay.recommendation.article_method:
        assert row.because in text


def test_a_doubt_that_cannot_be_computed_leaves_the_pages_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DoubtDesk, "ask", lambda *_, **__: Doubted(problem="no draws *today*"))
    app = opened()
    assert not app.exception
    assert "no draws *today*" in said(app)
    assert not on("costs", app).exception


# ---- the desk ----


def test_a_page_does_not_wait_for_the_desk() -> None:
    desk, go = DoubtDesk(pause_s=0.0), threading.Event()
    answer = Doubted(problem="answered")
    compute = lambda: go.wait(30) and answer  # noqa: E731
    assert desk.ask("key", compute, who="page") is None
    go.set()
    assert desk.wait("key", compute, who="page") is answer
    assert desk.ask("key", lambda: Doubted(problem="computed again"), who="another") is answer


def test_who_asks_again_gives_up_what_was_not_begun() -> None:
    desk, go, begun = DoubtDesk(pause_s=0.0), threading.Event(), []

    def compute(name: str) -> Callable[[], Doubted]:
        def run() -> Doubted:
            begun.append(name)
            go.wait(30)
            return Doubted(problem=name)

        return run

    desk.ask("first", compute("first"), who="page")
    desk.ask("first", compute("first"), who="another")
    desk.ask("second", compute("second"), who="page")
    desk.ask("third", compute("third"), who="page")
    go.set()
    assert desk.wait("third", compute("third"), who="page").problem == "third"
    assert begun == ["first", "third"]


def test_what_another_page_waits_for_is_not_given_up() -> None:
    desk, go = DoubtDesk(pause_s=0.0), threading.Event()
    desk.ask("running", lambda: go.wait(30) and Doubted(), who="x")
    desk.ask("shared", lambda: Doubted(problem="shared"), who="one")
    desk.ask("shared", lambda: Doubted(problem="shared"), who="two")
    desk.ask("other", lambda: Doubted(problem="other"), who="one")
    go.set()
    assert desk.wait("shared", lambda: Doubted(problem="computed again"), who="two").problem == "shared"


def test_a_slider_on_its_way_is_not_followed() -> None:
    desk, begun = DoubtDesk(pause_s=0.2), []
    for key in "abc":
        desk.ask(key, lambda key=key: begun.append(key) or Doubted(problem=key), who="page")
    assert desk.wait("c", lambda: Doubted(problem="computed again"), who="page").problem == "c"
    assert begun == ["c"]


def test_only_the_last_answers_are_kept() -> None:
    desk = DoubtDesk(kept=2)
    for key in "abc":
        desk.wait(key, lambda key=key: Doubted(problem=key), who=key)
    assert desk.wait("a", lambda: Doubted(problem="a again"), who="a").problem == "a again"
    assert desk.wait("c", lambda: Doubted(problem="c again"), who="c").problem == "c"


def test_what_cannot_be_computed_is_a_sentence(stay: Doubtful, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("selector.recommendation.consider", broken)
    catalog = load_catalog(AS_OF, stay.recommendation.scenario.prices)
    assert "mistake in the program" in doubted(stay.recommendation, catalog).problem
