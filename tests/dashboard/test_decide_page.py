"""Decide beyond the verdict: the attitude to risk, what it means, the trees, the cascade; and their place in the address."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import charts, forms
from selector.cascade import Pair, cascade_curve, item_pairs, pair_at
from selector.catalog import load_catalog
from selector.recommendation import recommend
from selector.results import Recommendation
from selector.scenarios import Scenario
from selector.tree import load_tree, tree_toml, walk
from tests.dashboard.test_pages import on, opened, said


def example(**changes: object) -> Recommendation:
    scenario = Scenario(workload=forms.example_workloads()[0].model_copy(update=changes))
    return recommend(scenario, load_catalog(datetime.now(UTC).date(), scenario.prices))


def until_doubted(app: AppTest) -> AppTest:
    for _ in range(60):
        if any(slider.key == "caution_percent" for slider in app.slider):
            return app
        app.run()
    raise AssertionError("the doubt never came")


def test_the_factors_and_the_shortlist_stand_on_the_page() -> None:
    app = opened(residency="on_prem", mtok_per_day="50", labelled_examples="20000")
    assert not app.exception
    text = said(app)
    assert "requests stay on your own machines" in text
    assert "Quality does not separate them before a test on your own cases" in text
    for name in ("Qwen3 8B", "Llama 3.1 8B"):
        assert name in text


def test_the_attitude_to_risk_ranks_again_and_stands_in_the_address() -> None:
    app = until_doubted(opened(mtok_per_day="50", labelled_examples="20000", api_blended_usd_per_mtok="15"))
    assert "By expected cost Small API model (GPT-6 luna) comes first; another option comes first from" in said(app)
    app.slider(key="caution_percent").set_value(100.0).run()
    app = until_doubted(app)
    assert "comes first instead: expected" in said(app)
    assert app.query_params["caution_percent"] in ("100", ["100"])


def test_a_link_sets_the_attitude_and_the_tree() -> None:
    app = until_doubted(opened(caution_percent="40", tree="seed-2026"))
    assert app.slider(key="caution_percent").value == 40.0
    tree = load_tree("seed-2026")
    _, leaf = walk(tree, forms.example_workloads()[0])
    assert leaf.id == "no_rule"
    text = said(app)
    assert "The article gives no rule" in text
    assert "This end names no model, so the tree picks nothing" in text


@pytest.mark.parametrize(("given", "kept"), [("140", 0.0), ("x", 0.0), ("55", 55.0)])
def test_an_attitude_that_makes_no_sense_in_a_link_is_the_default(given: str, kept: float) -> None:
    assert forms.read_link({"caution_percent": [given]})["caution_percent"] == kept
    assert forms.read_link({"tree": ["mine"]})["tree"] == "corrected"


def test_an_own_tree_is_taken_checked_and_left_again() -> None:
    app = opened()
    app.session_state["decide.own_tree.open"] = True
    app.run()
    text = tree_toml("corrected").replace('title = "Corrected tree"', 'title = "Our tree"').replace("from = 1000\n", "from = 6000\n")
    app.file_uploader(key="decide.own_tree_file").set_value(("own.toml", text.encode(), "application/toml")).run()
    assert "begins at 6000, 1000 is wanted" in said(app)
    app.file_uploader(key="decide.own_tree_file").set_value(
        ("own.toml", text.replace("below = 1000\n", "below = 6000\n").encode(), "application/toml")
    ).run()
    assert "Your own tree is drawn: Our tree" in said(app)
    assert "5,000 is at least 100 and below 1,000" in said(app)
    app.button(key="decide.own_tree_off").click().run()
    assert "Your own tree is drawn" not in said(app)
    app.button(key="undo.button").click().run()
    assert "Your own tree is drawn: Our tree" in said(app)


def test_the_cascade_is_priced_from_the_decisions_own_bills() -> None:
    decision = example()
    pair = pair_at(decision, 0.7, 0.8)
    assert pair is not None
    workload = decision.scenario.workload
    price = (workload.input_tokens * 2.50 + workload.output_tokens * 10.00) / 1e6  # GPT-4o
    assert pair.large_usd_per_request == pytest.approx(price, rel=1e-3)
    curve = cascade_curve(pair)
    assert curve[-1].cost_usd_per_request == pytest.approx(pair.small_usd_per_request + pair.large_usd_per_request)
    for point in curve:
        assert point.coin_flip_right_share <= point.right_share + 1e-12 <= point.oracle_right_share + 2e-12


def test_the_cascade_chart_draws_both_bounds_the_range_and_the_saving() -> None:
    found = item_pairs()[0]
    pair = Pair(
        small_usd_per_request=0.001,
        large_usd_per_request=0.01,
        small_right_share=found.small_right_share,
        large_right_share=found.large_right_share,
        only_large_right_share=found.only_large_right_share,
    )
    drawn = charts.cascade(pair, 0.5)
    names = [trace.name for trace in drawn.figure.data if trace.name]
    assert names == ["with hindsight (oracle)", "median published router", "at random (coin flip)", "token cost saved"]
    saved = next(trace for trace in drawn.figure.data if trace.name == "token cost saved")
    assert saved.y[0] == pytest.approx(90.0)
    assert saved.y[-1] == pytest.approx(-10.0)  # nothing accepted: both are paid
    assert "with hindsight" in drawn.title


def test_the_cascade_section_follows_its_slider_and_ones_own_scores() -> None:
    app = opened()
    app.session_state["decide.cascade.open"] = True
    app.run().slider(key="decide.cascade.share").set_value(100).run()
    assert "Where no small answer is accepted both models are paid" in said(app)
    app.selectbox(key="decide.cascade.pair").set_value("your own two scores").run()
    app.slider(key="decide.cascade.small").set_value(90).run()
    assert "there is nothing to send on" in said(app)
    assert not app.exception


def test_the_chance_stands_with_its_interval_its_cases_and_what_labels_would_buy() -> None:
    decision = example()
    text = said(opened())
    rival = next(option for option in decision.options[1:] if option.feasible)
    assert rival.quality.cases[0] in text
    assert "It is a weak prior" in text
    assert "(9 of 10)" in text
    assert "What more labels would buy" in text


def test_whose_tokens_were_counted_is_said_on_the_page_and_a_wrong_name_is_a_sentence() -> None:
    app = opened(languages="de")
    app.session_state[forms.MORE] = True
    app.run()
    app.text_input(key="tokens_counted_with").set_value("openai:gpt-4o").run()
    assert not app.exception
    assert app.query_params["tokens_counted_with"] in ("openai:gpt-4o", ["openai:gpt-4o"])
    app.text_input(key="tokens_counted_with").set_value("gpt-4o").run()
    assert not app.exception
    assert "tokens_counted_with 'gpt-4o' is no tokenizer counted here" in said(app)
    sources = said(on("sources", opened(languages="de", tokens_counted_with="openai:gpt-4o")))
    assert "(llama3) makes 1.29 tokens (1.23 to 1.36) of a text of which that of your counts (o200k_base) makes one" in sources
