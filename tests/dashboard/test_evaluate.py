"""Evaluate: the result first, kept whatever it says, and what it does to the decision; bad files answered in a sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import charts, forms
from dashboard.chart_svg import chart_svg
from facts.settings import settings
from selector.case_scores import scores_from_csv
from selector.gap_gate import GateResult, GateVerdict, Margin, gate, gate_counts
from selector.looks import Stage
from selector.paired import PairedCounts
from selector.store import list_gates, save_gates
from tests.dashboard.test_charts import contrast

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = "Document analysis"
SMALL = "api-small-gpt-4o-mini"


def opened() -> AppTest:
    """The page with a volume at which moving would save a lot."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.query_params["mtok_per_day"] = "250"
    return app.run().switch_page("dashboard/pages/evaluate.py").run()


def said(app: AppTest) -> str:
    parts: list[str] = []
    for kind in (app.markdown, app.caption, app.subheader, app.title, app.warning, app.error, app.info):
        parts += [str(element.value) for element in kind]
    parts += [f"{metric.label} {metric.value}" for metric in app.metric]
    parts += [str(cell) for table in app.table for row in table.value.itertuples(index=False) for cell in row]
    return " ".join(parts).replace("\\", "")


def cases(both: int, option_only: int, baseline_only: int, neither: int, heading: str = "item,baseline,candidate", more: str = "") -> str:
    rows = ["1,1"] * both + ["0,1"] * option_only + ["1,0"] * baseline_only + ["0,0"] * neither
    return "\n".join([heading, *(f"case-{number},{row}{more}" for number, row in enumerate(rows))])


def result_of(both: int, option_only: int, baseline_only: int, neither: int) -> GateResult:
    counts = PairedCounts(both=both, option_only=option_only, baseline_only=baseline_only, neither=neither)
    return gate_counts(counts, Margin(share=0.05, relative=False))


PASSED, FAILED, UNDECIDED = (320, 40, 12, 28), (250, 10, 90, 50), (300, 26, 42, 32)


def with_cases(app: AppTest, text: str, option: str = SMALL) -> AppTest:
    app.selectbox(key="evaluate.option").set_value(option)
    app.text_area(key="evaluate.pasted").set_value(text)
    return app.run()


def run(app: AppTest) -> AppTest:
    return app.button(key="evaluate.run").click().run()


def test_an_empty_page_says_what_it_is_for_and_plans_a_test() -> None:
    app = opened()
    assert not app.exception
    assert "shown good enough, shown not good enough, or not decided" in said(app)
    assert "to show with 80% chance" in said(app)
    assert app.main[0].value == "Evaluate"  # nothing above the title
    assert "evaluate.run" not in [button.key for button in app.button]
    assert not list_gates(settings(), SCENARIO)


def test_a_passed_test_turns_the_decision_to_move() -> None:
    app = opened()
    before = app.session_state["state.scenario"].workload.name
    assert before == SCENARIO
    app = run(with_cases(app, cases(*PASSED)))
    assert not app.exception
    (look,) = list_gates(settings(), SCENARIO)
    assert look.result.verdict is GateVerdict.WITHIN
    assert look.result.option_id == SMALL
    assert look.stage is Stage.EXPERIMENT
    assert app.subheader[0].value.replace("\\", "") == look.result.sentence
    decide = app.switch_page("dashboard/pages/decide.py").run()
    assert not decide.exception
    assert decide.subheader[0].value.replace("\\", "").startswith("Move to Small API model (GPT-4o mini)")


def test_a_failed_test_refuses_the_option_on_decide() -> None:
    app = run(with_cases(opened(), cases(*FAILED)))
    assert list_gates(settings(), SCENARIO)[0].result.verdict is GateVerdict.OUTSIDE
    assert "shown not good enough" in said(app)
    text = said(app.switch_page("dashboard/pages/decide.py").run())
    assert "Move to Small API model (GPT-4o mini)" not in text


def test_an_undecided_test_is_kept_and_says_how_many_more_cases() -> None:
    app = run(with_cases(opened(), cases(*UNDECIDED)))
    (look,) = list_gates(settings(), SCENARIO)
    assert look.result.verdict is GateVerdict.UNDECIDED
    assert look.result.extra_items is not None
    assert f"More cases to settle it {look.result.extra_items:,}" in said(app)
    assert "Not decided: the bar crosses the limit" in said(app)
    assert not app.subheader[0].value.startswith("Move")


def test_the_counts_both_ways_are_on_the_page() -> None:
    app = run(with_cases(opened(), cases(*PASSED)))
    table = next(table.value for table in app.table if "On the same case" in table.value.columns)
    assert table["Cases"].tolist() == ["320", "12", "40", "28"]


def test_slices_are_exploratory_and_the_worst_cases_are_named() -> None:
    text = cases(*FAILED, heading="item,baseline,candidate,slice,cluster", more=",invoices,document-1")
    text = "\n".join(line.replace("document-1", f"document-{number % 40}") for number, line in enumerate(text.splitlines()))
    app = run(with_cases(opened(), text))
    assert not app.exception
    labels = [block.label for block in app.expander]
    assert "By slice (1): exploratory, never a verdict" in labels
    assert "Cases with the largest loss (20)" in labels
    assert "case-260" in said(app)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("item,baseline\na,1", "column 'candidate' is missing"),
        (cases(10, 1, 1, 1), "13 items, at least 20 are needed"),
        (cases(*PASSED).replace("case-3,1,1", "case-3,1,99"), "score 99 is outside 0 to 1; divide percentages by 100"),
        (cases(*PASSED).replace("case-3,", "case-4,"), "item 'case-4' already stands in line"),
        (cases(400, 0, 0, 0), "both models score 1 on all 400 items"),
        (cases(0, 200, 0, 200), "the baseline scores 0 on all 400 items"),
        ("<script>alert(1)</script>", "unknown column"),
    ],
)
def test_a_bad_file_is_one_sentence_and_nothing_is_kept(text: str, sentence: str) -> None:
    app = with_cases(opened(), text)
    assert not app.exception
    assert sentence in " ".join(error.value.replace("\\", "") for error in app.error)
    assert "evaluate.run" not in [button.key for button in app.button]
    assert not list_gates(settings(), SCENARIO)


def test_a_file_that_is_no_text_is_one_sentence() -> None:
    app = opened()
    app.file_uploader(key="evaluate.files").set_value([("scores.csv", b"\xff\xfe\x00\x01", "text/csv")]).run()
    assert not app.exception
    assert "is not UTF-8 text" in " ".join(error.value for error in app.error)


def test_two_files_are_held_to_each_other() -> None:
    app = opened()
    files = [("one.csv", cases(*PASSED).encode(), "text/csv"), ("two.csv", cases(*FAILED).encode(), "text/csv")]
    app.file_uploader(key="evaluate.files").set_value(files).run()
    assert not app.exception
    assert "2 files on the same cases" in said(app)
    run(app)
    looks = list_gates(settings(), SCENARIO)
    assert len({look.look for look in looks}) == 1
    assert len({look.result.option_id for look in looks}) == 2


def test_of_two_files_only_the_best_is_tested_on_the_half_that_nobody_saw() -> None:
    app = opened()
    files = [("one.csv", cases(*FAILED).encode(), "text/csv"), ("two.csv", cases(*PASSED).encode(), "text/csv")]
    app.file_uploader(key="evaluate.files").set_value(files).run()
    app.segmented_control(key="evaluate.several").set_value("only the best (sealed split)").run()
    assert "the best on one half of the cases is tested on the other" in said(app)
    best = app.selectbox(key="evaluate.option.1").value
    run(app)
    (look,) = list_gates(settings(), SCENARIO)
    assert look.result.option_id == best
    assert 150 < look.result.n < 250
    assert any("tested once on" in note for note in look.result.notes)


def test_a_second_look_at_the_same_cases_passes_nothing() -> None:
    scores, earlier = scores_from_csv(cases(*UNDECIDED)), datetime.now(UTC) - timedelta(hours=1)
    found = gate(scores, Margin(), option_id=SMALL, arm="api_small", as_of=earlier.date())
    save_gates(settings(), SCENARIO, [found], stage=Stage.EXPERIMENT, created=earlier, items=scores.items)
    app = run(with_cases(opened(), cases(*PASSED)))
    assert "these cases were used up by an earlier look" in said(app)
    assert not app.switch_page("dashboard/pages/decide.py").run().subheader[0].value.startswith("Move")


def test_seeds_ask_which_one_ships() -> None:
    rows = [f"case-{number},{seed},1,{int(number % 10 > seed)}" for number in range(60) for seed in (0, 1)]
    app = with_cases(opened(), "\n".join(["item,seed,baseline,candidate", *rows]))
    assert app.selectbox(key="evaluate.seed").options == ["mean over all seeds", "0", "1"]


def test_numbers_that_do_not_go_together_are_one_sentence() -> None:
    app = opened()
    app.number_input(key="evaluate.plan.difference").set_value(40.0).run()
    assert not app.exception
    assert "cannot be larger than the 0.2 of items that differ" in said(app)


def test_the_plan_says_what_the_labels_cost() -> None:
    assert "cases by 2 readers at $" in said(opened())


def test_a_difference_at_the_limit_needs_no_astronomical_number_of_cases() -> None:
    table = next(table.value for table in opened().table if "Cases needed" in table.value.columns)
    assert table["Cases needed"].iloc[0] == "cannot be shown"  # 4 points worse at a baseline of 80 % and a limit of 5 % of it
    assert all(len(cell) < 16 for cell in table["Cases needed"])


def test_tests_of_another_scenario_stay_away() -> None:
    app = run(with_cases(opened(), cases(*PASSED)))
    app.session_state[forms.MORE] = True
    app.run().text_input(key="name").set_value("Another scenario").run()
    assert "Tests kept with this scenario" not in said(app)


# ---- the chart ----


RESULTS = {"passed": result_of(*PASSED), "failed": result_of(*FAILED), "undecided": result_of(*UNDECIDED)}


@pytest.mark.parametrize("name", RESULTS)
def test_the_gap_can_be_drawn_on_paper_the_same_twice(name: str) -> None:
    svg = chart_svg(charts.gap(RESULTS[name]).figure)
    assert svg == chart_svg(charts.gap(RESULTS[name]).figure)
    ElementTree.fromstring(svg)
    assert f"limit {charts.signed_points(100 * RESULTS[name].limit)}" in svg


@pytest.mark.parametrize(("name", "verdict"), [("passed", "WITHIN"), ("failed", "OUTSIDE"), ("undecided", "UNDECIDED")])
def test_colour_title_and_text_say_the_verdict(name: str, verdict: str) -> None:
    found = RESULTS[name]
    assert found.verdict is GateVerdict[verdict]
    drawn = charts.gap(found)
    assert drawn.figure.data[0].line.color == charts.GATE_COLOURS[found.verdict]
    assert drawn.title == charts.gap_words(found)
    assert drawn.title in drawn.alt
    assert ("Shown good enough" in drawn.title) is (name == "passed")


def test_a_blocked_pass_is_never_drawn_as_one() -> None:
    blocked = replace(RESULTS["passed"], verdict=GateVerdict.UNDECIDED)
    drawn = charts.gap(blocked)
    assert drawn.title == "Not decided, although the bar lies above the limit: the notes say why"
    assert drawn.figure.data[0].line.color == charts.GATE_COLOURS[GateVerdict.UNDECIDED]


def test_the_bar_and_both_lines_lie_inside_the_axis() -> None:
    for found in RESULTS.values():
        left, right = charts.gap(found).figure.layout.xaxis.range
        for share in (found.low, found.high, found.limit, 0.0):
            assert left < 100 * share < right


def test_the_three_colours_stand_out_on_both_pages() -> None:
    for colour in charts.GATE_COLOURS.values():
        assert contrast(colour, "#FFFFFF") >= 3
        assert contrast(colour, "#10171F") >= 3


def test_graded_scores_are_drawn_too() -> None:
    rows = [f"case-{number},{0.5 + number % 5 / 10},{0.5 + number % 4 / 10}" for number in range(200)]
    scores = scores_from_csv("\n".join(["item,baseline,candidate", *rows]))
    drawn = charts.gap(gate(scores, Margin(), as_of=datetime.now(UTC).date()))
    ElementTree.fromstring(chart_svg(drawn.figure))
