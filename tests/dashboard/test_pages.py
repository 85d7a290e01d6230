"""Every page runs, shows what the decision says, and follows a changed input; nothing a user types breaks one."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from dashboard import format as fmt
from dashboard import forms, state, tables
from dashboard.parts import css_text
from dashboard.report import cards, heading
from dashboard.tree_svg import answer_text
from facts.errors import InputError
from facts.settings import settings
from pricing.assumptions import Assumptions
from probes.measurement import Environment, LlamaCppSettings, Measurement, TestResult
from probes.runner import State
from probes.store import save_measurement
from selector.catalog import load_catalog
from selector.recommendation import recommend
from selector.results import Recommendation
from selector.scenarios import Scenario, scenario_from_toml, scenario_to_toml
from selector.store import list_decisions, list_scenarios
from workloads.demand import Complexity, Residency, Workload

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("costs", "measure", "report", "sources")


def opened(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def unfolded(app: AppTest) -> AppTest:
    """With More assumptions open: only then its widgets are there."""
    app.session_state[forms.MORE] = True
    return app.run()


def on(page: str, app: AppTest) -> AppTest:
    return app.switch_page(f"dashboard/pages/{page}.py").run()


def plain(text: str) -> str:
    return text.replace("\\", "")


def said(app: AppTest) -> str:
    """Everything on the page as text, Markdown's backslashes dropped."""
    parts: list[str] = []
    for kind in (app.markdown, app.caption, app.subheader, app.title, app.warning, app.error, app.info, app.code):
        parts += [str(element.value) for element in kind]
    parts += [f"{metric.label} {metric.value}" for metric in app.metric]
    parts += [str(cell) for table in app.table for row in table.value.itertuples(index=False) for cell in row]
    return plain(" ".join(parts))


def first_total(app: AppTest) -> str:
    """The 12-month total of the GPT-4-class API."""
    return plain(app.table[0].value["GPT-4-class API"].iloc[0])


def decided(scenario: Scenario) -> Recommendation:
    return recommend(scenario, load_catalog(datetime.now(UTC).date(), scenario.prices))


def example(**changes: Any) -> Scenario:
    return Scenario(workload=forms.example_workloads()[0].model_copy(update=changes))


@pytest.fixture
def decide() -> AppTest:
    return opened()


def test_decide_begins_with_the_verdict_the_numbers_and_the_fixed_table(decide: AppTest) -> None:
    assert not decide.exception
    recommendation = decided(example())
    assert plain(decide.subheader[0].value) == heading(recommendation)
    assert len(heading(recommendation)) < 120
    assert recommendation.choice.sentence in said(decide)
    assert [metric.value for metric in decide.metric] == [card.value for card in cards(recommendation)]
    expected = tables.fixed_table_by_arm(recommendation).map(fmt.markdown_cell)
    assert decide.table[0].value.to_numpy().tolist() == expected.to_numpy().tolist()


def test_decide_shows_the_path_as_text_and_every_refusal(decide: AppTest) -> None:
    text, recommendation = said(decide), decided(example())
    for step in recommendation.path:
        assert plain(fmt.markdown_literal(step.question)) in text
        assert answer_text(step) in text
    for option in recommendation.options:
        assert option.refused_because is None or plain(fmt.markdown_cell(option.refused_because)) in text
    assert recommendation.measured.sentence in text
    assert "of the recommended option's cost rests on a measurement" in text


def test_ten_times_the_volume_changes_the_first_row(decide: AppTest) -> None:
    before = first_total(decide)
    decide.number_input(key="mtok_per_day").set_value(250.0).run()
    after = first_total(decide)
    assert after == fmt.usd(decided(example(tokens_per_day=250e6)).table[0].total_usd)
    assert after != before


def test_another_complexity_drops_the_task_type_of_the_first(decide: AppTest) -> None:
    assert decide.session_state["state.scenario"].workload.task_type == "extraction"
    decide.selectbox(key="complexity").set_value("reasoning").run()
    assert decide.session_state["state.scenario"].workload.task_type is None


def test_at_most_five_inputs_stand_outside_more_assumptions(decide: AppTest) -> None:
    folded = {block.label for block in decide.expander}
    assert "More assumptions" in folded
    inside = {
        widget.key
        for block in decide.sidebar.expander
        for widget in [*block.number_input, *block.selectbox, *block.text_input, *block.multiselect, *block.toggle]
    }
    outside = [
        widget.key
        for widget in [*decide.sidebar.number_input, *decide.sidebar.selectbox, *decide.sidebar.text_input, *decide.sidebar.multiselect]
        if widget.key not in inside
    ]
    assert outside == ["mtok_per_day", "labelled_examples", "complexity", "residency", "baseline_model"]


def test_an_example_fills_the_form_with_one_click(decide: AppTest) -> None:
    decide.button(key="form.example.Customer support").click().run()
    assert decide.selectbox(key="complexity").value == "qa"
    assert decide.number_input(key="mtok_per_day").value == 15.0
    assert "Customer support" in said(decide)


def test_an_example_survives_a_browser_that_sends_what_stood_before_it(decide: AppTest) -> None:
    """Typing while an example is being drawn sends the choices from before it, and a moment later the example's."""
    unfolded(decide)
    decide.button(key="form.example.Customer support").click().run()
    decide.selectbox(key="complexity").set_value("extraction")
    decide.number_input(key="input_share").set_value(0.9302)
    for name, value in (("input_tokens_mean", 4_000.0), ("output_tokens_mean", 300.0)):
        decide.number_input(key=name).set_value(value)
    decide.number_input(key="mtok_per_day").set_value(30.0).run()
    decide.selectbox(key="complexity").set_value("qa")
    decide.number_input(key="input_share").set_value(0.8455)
    for name, value in (("input_tokens_mean", 1_155.0), ("output_tokens_mean", 211.0)):
        decide.number_input(key=name).set_value(value)
    decide.run()
    workload = decide.session_state["state.scenario"].workload
    assert (workload.complexity, workload.task_type) == ("qa", "qa_closed")
    assert (workload.input_tokens, workload.output_tokens, workload.mean_tokens_per_day) == (1_155, 211, 30e6)


def test_a_choice_that_comes_back_brings_what_was_said_beside_it(decide: AppTest) -> None:
    unfolded(decide)
    decide.selectbox(key="complexity").set_value("qa").run()
    assert decide.selectbox(key="task_type").value == "none"
    decide.selectbox(key="complexity").set_value("extraction").run()
    assert decide.selectbox(key="task_type").value == "extraction"
    decide.number_input(key="input_share").set_value(0.5).run()
    assert decide.number_input(key="input_tokens_mean").value is None
    decide.number_input(key="input_share").set_value(0.9302).run()
    assert decide.number_input(key="input_tokens_mean").value == 4_000.0


def test_what_was_said_of_one_example_is_not_taken_for_another(decide: AppTest) -> None:
    decide.button(key="form.example.Customer support").click().run()
    decide.button(key="form.example.Document analysis").click().run()
    decide.selectbox(key="complexity").set_value("qa").run()
    assert decide.session_state["state.scenario"].workload.task_type is None


def test_own_blended_price_of_fifteen_dollars_for_fifty_million_tokens() -> None:
    app = opened(mtok_per_day="50", api_blended_usd_per_mtok="15", staff_fte_api="0")
    assert first_total(app) == "$273,750"
    on("costs", app)
    app.selectbox(key="costs.option").set_value(decided(example()).choice.baseline_option_id).run()
    bill = app.table[0].value.map(plain)
    assert list(bill["Tokens"]) == ["$22,812.50"] * 12 + ["$273,750.00"]


@pytest.mark.parametrize("page", PAGES)
def test_a_changed_input_reaches_every_page(decide: AppTest, page: str) -> None:
    decide.number_input(key="mtok_per_day").set_value(123.0).run()
    app = on(page, decide)
    assert not app.exception
    assert app.number_input(key="mtok_per_day").value == 123.0


def test_a_link_opens_the_inputs_it_names() -> None:
    app = opened(
        mtok_per_day="77", complexity="reasoning", labelled_examples="12", residency="on_prem", name="From a link", spare_replicas="0"
    )
    assert not app.exception
    assert app.number_input(key="mtok_per_day").value == 77.0
    assert app.selectbox(key="residency").value == "on_prem"
    assert "From a link" in said(app)
    scenario = app.session_state["state.scenario"]
    assert scenario.assumptions.spare_replicas == 0


def test_the_link_on_the_report_page_holds_every_changed_input(decide: AppTest) -> None:
    decide.number_input(key="mtok_per_day").set_value(77.0)
    decide.selectbox(key="complexity").set_value("code")
    unfolded(decide).number_input(key="fte_month_usd").set_value(20_000.0)
    decide.run()
    link = on("report", decide).code[0].value
    assert dict(parse_qsl(link.partition("?")[2])) == {
        "mtok_per_day": "77",
        "complexity": "code",
        "task_type": "none",
        "fte_month_usd": "20000",
    }
    again = opened(**dict(parse_qsl(link.partition("?")[2])))
    assert again.session_state["state.scenario"] == decide.session_state["state.scenario"]


def test_the_address_follows_an_example_and_a_changed_input(decide: AppTest) -> None:
    assert dict(decide.query_params) == {}
    decide.button(key="form.example.Customer support").click().run()
    assert decide.query_params["complexity"] in ("qa", ["qa"])
    assert decide.query_params["mtok_per_day"] in ("15", ["15"])
    decide.number_input(key="mtok_per_day").set_value(16.5).run()
    assert decide.query_params["mtok_per_day"] in ("16.5", ["16.5"])


def test_going_back_fills_the_form_again(decide: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    decide.number_input(key="mtok_per_day").set_value(16.5).run()
    monkeypatch.setattr("dashboard.forms.SETTLED_S", 0.0)
    decide.query_params["mtok_per_day"] = "99"
    decide.run()
    assert decide.number_input(key="mtok_per_day").value == 99.0
    decide.query_params.clear()
    decide.run()
    assert decide.number_input(key="mtok_per_day").value == 25.0


def test_a_request_that_crossed_the_new_address_changes_nothing(decide: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "SETTLED_S", 3600.0)  # the browser is still on its way, however slow this machine is
    decide.number_input(key="mtok_per_day").set_value(16.5).run()
    decide.query_params.clear()
    decide.run()
    assert decide.number_input(key="mtok_per_day").value == 16.5


@given(st.dictionaries(st.sampled_from(sorted(forms.defaults())), st.lists(st.text(max_size=12), min_size=1, max_size=3), max_size=6))
def test_no_query_of_a_link_breaks_the_form(query: dict[str, list[str]]) -> None:
    values = forms.read_link(query)
    assert set(values) == set(forms.defaults())
    with contextlib.suppress(InputError):
        forms.scenario_of_widgets(values)


def test_a_volume_in_requests_opens_from_a_link() -> None:
    app = opened(volume_unit="requests", requests_per_day="20000", input_tokens_mean="1500", output_tokens_mean="300")
    assert app.session_state["state.scenario"].workload.requests_per_day == 20_000
    assert app.number_input(key="requests_per_day").value == 20_000.0


@pytest.mark.parametrize(
    "changes",
    [
        {"input_tokens_mean": 900.0},
        {"input_tokens_mean": 900.0, "output_tokens_mean": 90.0},
        {"input_share": 0.5},
    ],
)
def test_a_link_of_a_changed_request_size_agrees_with_itself(decide: AppTest, changes: dict[str, Any]) -> None:
    unfolded(decide)
    for name, value in changes.items():
        decide.number_input(key=name).set_value(value).run()
    asked = decide.session_state["state.scenario"]
    link = on("report", decide).code[0].value
    again = opened(**dict(parse_qsl(link.partition("?")[2])))
    assert not again.warning or "differ" not in plain(again.warning[0].value)
    assert again.session_state["state.scenario"] == asked
    for name, value in changes.items():
        assert getattr(asked.workload, name) == value


def test_what_was_typed_under_more_assumptions_holds_when_they_are_folded_again(decide: AppTest) -> None:
    unfolded(decide).number_input(key="fte_month_usd").set_value(20_000.0)
    decide.text_input(key="name").set_value("Mail").run()
    decide.session_state[forms.MORE] = False
    decide.run()
    assert "fte_month_usd" not in {widget.key for widget in decide.number_input}
    decide.number_input(key="mtok_per_day").set_value(30.0).run()
    for page in ("costs", "decide"):
        asked = on(page, decide).session_state["state.scenario"]
        assert (asked.assumptions.fte_month_usd, asked.workload.name, asked.workload.tokens_per_day) == (20_000.0, "Mail", 30e6)
    assert decide.query_params["fte_month_usd"] in ("20000", ["20000"])
    assert unfolded(decide).number_input(key="fte_month_usd").value == 20_000.0
    decide.button(key="form.reset").click().run()
    assert decide.session_state["state.scenario"].assumptions == Assumptions()
    decide.button(key="undo.button").click().run()
    assert decide.session_state["state.scenario"].assumptions.fte_month_usd == 20_000.0
    assert "undo.button" not in {button.key for button in decide.button}


def test_nonsense_in_a_link_falls_back_to_the_defaults() -> None:
    app = opened(mtok_per_day="-5", complexity="bogus", horizon_months="abc")
    assert not app.exception
    assert app.number_input(key="mtok_per_day").value == 25.0


def test_inputs_that_cannot_be_used_are_one_sentence_and_the_page_lives(decide: AppTest) -> None:
    decide.selectbox(key="residency").set_value("region").run()
    assert not decide.exception
    assert "allowed_providers" in plain(decide.warning[0].value)
    assert not decide.metric
    decide.multiselect(key="allowed_providers").set_value(["aws"]).run()
    assert not decide.warning or "allowed_providers" not in plain(decide.warning[0].value)
    assert decide.table


def test_a_model_that_nobody_sells_is_one_sentence() -> None:
    app = opened(baseline_model="openai:no-such-model")
    assert not app.exception
    assert "no-such-model" in said(app)
    assert not app.metric


def test_two_ways_of_saying_one_price_are_one_sentence(decide: AppTest) -> None:
    unfolded(decide).number_input(key="api_blended_usd_per_mtok").set_value(15.0)
    decide.number_input(key="api_input_usd_per_mtok").set_value(2.0).run()
    assert not decide.exception
    assert "state the same price twice" in said(decide)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "[x](http://evil.example)", ":red[x] $a$ *b*", "# h", "../../etc/passwd", "=1+1"]
)
def test_markup_in_a_name_stays_text_on_every_page(name: str) -> None:
    app = opened(name=name)
    assert not app.exception
    shown = next(caption.value for caption in app.caption if "prices as of" in caption.value)
    assert shown.startswith(fmt.markdown_literal(name))
    for page in PAGES:
        assert not on(page, app).exception


def test_without_a_name_the_page_says_so(decide: AppTest) -> None:
    unfolded(decide).text_input(key="name").set_value("").run()
    assert not decide.exception


def test_costs_shows_the_chosen_option_to_the_cent(decide: AppTest) -> None:
    app = on("costs", decide)
    recommendation = decided(example())
    option = next(option for option in recommendation.options if option.months and option.id != recommendation.choice.option_id)
    app.selectbox(key="costs.option").set_value(option.id).run()
    assert (
        app.table[0].value.map(plain).to_numpy().tolist()
        == tables.months_table(option).map(fmt.markdown_cell).map(plain).to_numpy().tolist()
    )
    assert all(reason in said(app) for reason in map(plain, map(fmt.markdown_literal, recommendation.not_counted)))


def test_report_offers_the_six_files(decide: AppTest) -> None:
    app = on("report", decide)
    assert [button.proto.label for button in app.get("download_button")] == [
        "PDF for signing off",
        "Workbook (XLSX)",
        "Months as CSV",
        "Decision as JSON",
        "Inputs as TOML",
        "Doubt as JSON",
    ]
    assert plain(app.subheader[0].value) == heading(decided(example()))
    assert decided(example()).choice.sentence in said(app)


def test_sources_lists_every_number_in_use(decide: AppTest) -> None:
    app = on("sources", decide)
    assert len(app.table[0].value) == len(decided(example()).sources)
    app.button_group(key="sources.basis").set_value(["assumed"]).run()
    assert set(app.table[0].value["Basis"]) == {"assumed"}


def test_scenario_and_decision_are_kept(decide: AppTest) -> None:
    decide.number_input(key="mtok_per_day").set_value(42.0).run()
    assert [kept.scenario.workload.tokens_per_day for kept in list_scenarios(settings())] == [42e6]
    state.keeper().settle()
    assert len(list_decisions(settings())) == 2
    kept = {row.document["workload"]["tokens_per_day"]: row.action for row in list_decisions(settings())}
    assert set(kept) == {25e6, 42e6}


def test_a_database_that_cannot_be_written_is_a_warning_not_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}")
    app = opened()
    assert not app.exception
    assert "is not kept" in said(app)
    assert app.metric


# ---- measure ----


def measurement(host: str) -> Measurement:
    return Measurement(
        kind="llamacpp",
        created=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
        status="complete",
        model_id="qwen3-0.6b",
        quantization="Q4_K_M",
        engine="llama.cpp",
        settings=LlamaCppSettings(),
        environment=Environment(host=host, cpu="a processor", memory_bytes=32 * 10**9, physical_cores=16, usable_cores=16),
        tests=(
            TestResult(name="pp512", n_prompt=512, n_gen=0, samples_tokens_per_s=(1500.0, 1502.0, 1501.0, 1500.0, 1501.0), settled=True),
            TestResult(name="tg128", n_prompt=0, n_gen=128, samples_tokens_per_s=(130.0, 130.2, 130.1, 130.0, 130.1), settled=True),
        ),
    ).sealed()


def test_a_saved_measurement_of_this_machine_is_used_at_the_next_rerun(decide: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.state.platform.node", lambda: "this-host")
    before = said(decide)
    assert "not been measured" in before
    save_measurement(settings(), measurement("this-host"))
    assert "not been measured" not in said(decide.run())


def test_another_hosts_measurement_is_listed_but_not_used_for_this_machine(decide: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.state.platform.node", lambda: "this-host")
    save_measurement(settings(), measurement("elsewhere"))
    assert "not been measured" in said(decide.run())
    text = said(on("measure", decide))
    assert "elsewhere" in text
    assert "130 tokens/s" in text


@pytest.mark.parametrize(("ended", "title"), [("failed", "The probe ended before it was done"), ("cancelled", "The probe was cancelled")])
def test_a_probe_that_ends_badly_leaves_the_page_with_its_message(
    decide: AppTest, monkeypatch: pytest.MonkeyPatch, ended: str, title: str
) -> None:
    message = "llama.cpp ended by signal 6 (Aborted): GGML_ASSERT(n_dims <= 4) failed; try another precision"
    job = SimpleNamespace(state=State(ended), message=message, result=None)
    monkeypatch.setattr("dashboard.state.probe_desk", lambda: SimpleNamespace(job=job, running=(), not_saved="", saved_id=""))
    app = on("measure", decide)
    assert not app.exception
    assert message in said(app)
    assert title in [element.proto.title for element in [*app.error, *app.info]]
    assert not on("costs", app).exception


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The build state that a test sets instead of this environment's own."""
    from probes.build import BuildState

    state: dict[str, Any] = {}
    monkeypatch.setattr("probes.build.build_state", lambda path=None: BuildState(**state))
    return state


@pytest.mark.parametrize(
    ("phase", "message", "remedy"),
    [
        ("absent", "llama-cpp-python is not installed.", "Build it with `make run`."),
        ("building", "Compiled 37 of 127 files.", ""),
        ("failed", "There is no C++ compiler.", "sudo apt-get install g++"),
    ],
)
def test_the_build_of_the_engine_is_shown_with_reason_and_remedy(
    decide: AppTest, no_engine: dict[str, Any], phase: str, message: str, remedy: str
) -> None:
    no_engine.update(state=phase, message=message, remedy=remedy)
    app = on("measure", decide)
    assert not app.exception
    text = said(app)
    assert message in text
    assert remedy in text
    assert "measure.start" not in [button.key for button in app.button]


def test_the_expectation_names_what_it_rests_on(decide: AppTest, no_engine: dict[str, Any]) -> None:
    no_engine.update(state="ready")
    text = said(on("measure", decide))
    assert "Expected: reads" in text
    assert "this rests on" in text


# ---- the form itself ----


def test_form_and_toml_say_the_same_scenario() -> None:
    text = """
    name = "Round trip"
    tokens_per_day = 12_345_678
    input_share = 0.81
    complexity = "analysis"
    task_type = "qa_open"
    languages = ["en", "de"]
    modality = ["text", "image"]
    residency = "region"
    allowed_providers = ["aws"]
    ttft_p95_ms = 900
    growth_per_month_share = 0.05
    month_factors = [0.5, 1.5, 0.5, 1.5, 1, 1, 1, 1, 1, 1, 1, 1]
    can_wait_share = 0.25
    label_quality = "noisy"
    [prices]
    gpu_usd_per_hour = 2.5
    [assumptions]
    months_to_live = 4
    [[own]]
    model = "qwen3-8b"
    device = "nvidia-l4"
    placement = "rented"
    """
    scenario = scenario_from_toml(text)
    assert forms.scenario_of_widgets(forms.values_of(scenario)) == scenario
    assert scenario_from_toml(scenario_to_toml(scenario)) == scenario


@pytest.mark.parametrize("factors", ["1, 2", "one two", "1;1;1;1;1;1;1;1;1;1;1;-1"])
def test_seasons_that_are_no_year_are_one_sentence(decide: AppTest, factors: str) -> None:
    unfolded(decide).text_input(key="month_factors").set_value(factors).run()
    assert not decide.exception
    assert "month_factors" in said(decide)


def test_a_volume_in_requests_survives_the_form() -> None:
    workload = Workload(
        requests_per_day=20_000, input_tokens_mean=1_500, output_tokens_mean=300, complexity=Complexity.QA, residency=Residency.ON_PREM
    )
    assert forms.scenario_of_widgets(forms.values_of(Scenario(workload=workload))).workload == workload


def test_every_field_of_the_scenario_has_a_widget(decide: AppTest) -> None:
    unfolded(decide)
    keys = {
        widget.key
        for kind in (decide.number_input, decide.selectbox, decide.text_input, decide.multiselect, decide.toggle)
        for widget in kind
    }
    scenario = Scenario(workload=forms.example_workloads()[0])
    asked = set(forms.values_of(scenario)) - {"requests_per_day", "allowed_providers", "volume_unit", forms.state.OWN}
    assert asked <= keys


def test_every_input_explains_itself(decide: AppTest) -> None:
    unfolded(decide)
    for widget in [*decide.number_input, *decide.selectbox, *decide.text_input]:
        assert widget.proto.help, widget.key


def test_the_day_of_the_decision_is_read_on_the_page(decide: AppTest) -> None:
    assert fmt.day(datetime.now(UTC).date()) in said(decide)
    assert fmt.day(date(2026, 11, 22)) == "22 November 2026"


# ---- on a phone ----


def test_a_wide_table_is_a_list_of_its_rows_on_a_phone(decide: AppTest) -> None:
    styles = [element.proto.body for element in decide.get("html")]
    wide = next(style for style in styles if 'content:"Good enough"' in style)
    assert wide.startswith("<style>@media (max-width:640px)")
    assert wide.count("{") == wide.count("}")


@given(st.text(max_size=40))
def test_no_heading_breaks_out_of_the_style(text: str) -> None:
    said = css_text(text)
    assert said[0] == said[-1] == '"'
    assert not set(said[1:-1]) & set("\"'<>{};\n\r")
    back = re.sub(r"\\([0-9a-f]{6})", lambda found: chr(int(found[1], 16)), said[1:-1])
    assert back == text


# ---- what a hostile file could do ----


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"x" * 2_000_001, "the file has 2.0 MB and 1 MB are allowed here"),
        (b"PK\x03\x04" + b"\x00" * 900, "not valid TOML"),
        (b"\xff\xfe\x00\x01", "The file is not UTF-8 text"),
        (b"name = '../../etc/passwd'\ntokens_per_day = 1e6\ncomplexity = 'wrong'", "complexity"),
        (b"a = " + b"[" * 50_000, "The file"),
    ],
)
def test_a_hostile_workload_file_is_one_sentence_and_the_form_stays(decide: AppTest, raw: bytes, said: str) -> None:
    before = decide.number_input(key="mtok_per_day").value
    app = decide.file_uploader(key="form.upload").set_value(("../../evil.toml", raw, "application/toml")).run()
    assert not app.exception
    assert any(said.lower() in plain(error.value).lower() for error in app.error), [error.value for error in app.error]
    assert app.number_input(key="mtok_per_day").value == before
