"""Stories with known right answers: what must hold by reason alone, and the whole advice as a snapshot in stories.toml."""

from pathlib import Path

import pytest

from facts.records import read_toml
from selector.results import Action, Arm, Placement
from tests.selector.decisions import decide

STORIES = {story["id"]: story for story in read_toml(Path(__file__).with_name("stories.toml"))["story"]}
AT_HOME = (Placement.OWNED, Placement.LOCAL)
BOUGHT = (Placement.API, Placement.MANAGED)
SMALL = (Arm.FINE_TUNED_7B, Arm.SMALL_UNTUNED, Arm.API_TUNED, Arm.API_SMALL, Arm.ENCODER)


def told(name):
    return decide(**STORIES[name]["asked"])


def chosen(decision):
    return decision.option(decision.choice.option_id)


@pytest.mark.parametrize("name", STORIES)
def test_the_advice_is_the_one_that_was_explained(name):
    story, decision = STORIES[name], told(name)
    choice = decision.choice
    found = (choice.action, choice.option_id, decision.leaf.id, choice.tree_option_id, choice.cheapest_option_id)
    assert found == (story["action"], story["option"], story["leaf"], story["tree"], story["cheapest"]), story["because"]
    assert sorted(option.id for option in decision.options if option.feasible) == story["feasible"]
    refused = {option.id: option.refused_because.partition(":")[0] for option in decision.options if not option.feasible}
    assert refused == story["refused"]
    assert story["because"].endswith(".")


@pytest.mark.parametrize("name", STORIES)
def test_every_verdict_is_one_sentence_with_amount_and_what_moves_it(name):
    decision = told(name)
    sentence, choice = decision.choice.sentence, decision.choice
    assert sentence.endswith(".")
    assert ". " not in sentence.replace("vs. ", "")
    assert f"${chosen(decision).total_usd:,.0f}" in sentence
    assert "what moves this most is" in sentence
    if choice.action is Action.TEST_FIRST:
        assert f"{choice.probability:.0%} chance" in sentence
        assert ("pays back" in sentence) == decision.option(choice.baseline_option_id).feasible
    for jargon in ("TTFT", "NPV", "P90", "prior", "Beta"):
        assert jargon not in sentence


def test_hospital_nothing_leaves_the_premises():
    decision = told("hospital")
    assert chosen(decision).placement in AT_HOME
    assert all(option.placement in AT_HOME for option in decision.options if option.feasible)
    assert all(option.refused_because for option in decision.options if option.placement is Placement.RENTED)


def test_at_list_price_tokens_are_bought():
    decision = told("list_price")
    assert chosen(decision).placement in BOUGHT
    own = [option.total_usd for option in decision.options if option.placement in (Placement.RENTED, Placement.OWNED)]
    assert min(own) > decision.option(decision.choice.baseline_option_id).total_usd


def test_at_fifteen_dollars_self_hosting_or_tuning_beats_the_api_within_the_year():
    decision = told("fifteen_dollars")
    base = decision.option(decision.choice.baseline_option_id)
    for arm in (Arm.SELF_HOSTED_70B, Arm.FINE_TUNED_7B):
        best = min((o for o in decision.options if o.arm is arm), key=lambda o: o.total_usd)
        assert best.total_usd < base.total_usd
        assert 2.0 < best.payback_months <= 12.0  # within the year, and not in the article's two months


def test_a_few_hundred_intents_go_to_an_encoder_or_into_a_prompt_and_are_tested_first():
    decision = told("intents")
    assert decision.leaf.id == "encoder_or_few_shot"
    assert decision.choice.action is Action.TEST_FIRST
    assert chosen(decision).arm in (Arm.ENCODER, Arm.API_SMALL, Arm.HOSTED_OPEN)


@pytest.mark.parametrize("labels", [0, 5_000, 1_000_000])
def test_maths_stays_with_a_larger_model_whatever_the_labels(labels):
    decision = decide(**{**STORIES["maths"]["asked"], "labelled_examples": labels})
    assert decision.leaf.id == "larger"
    assert chosen(decision).arm in (Arm.API, Arm.HOSTED_OPEN, Arm.SELF_HOSTED_70B)


def test_twenty_billion_tokens_go_to_a_small_model_and_never_the_flagship():
    decision = told("twenty_billion")
    assert chosen(decision).arm in SMALL
    assert chosen(decision).total_usd < 0.4 * decision.option(decision.choice.baseline_option_id).total_usd


@pytest.mark.parametrize("labels", [0, 300, 20_000])
@pytest.mark.parametrize("complexity", ["qa", "classification", "extraction", "code"])
def test_a_start_up_buys_tokens(complexity, labels):
    decision = decide(**{**STORIES["start_up"]["asked"], "complexity": complexity, "labelled_examples": labels})
    assert chosen(decision).placement in BOUGHT
