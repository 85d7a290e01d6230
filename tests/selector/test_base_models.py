"""Base models: hard filters, then cost, then the order of the file; what is left is the pilot's shortlist."""

import pytest

from capacity.models import model
from facts.errors import InputError
from selector.base_models import base_models
from selector.catalog import load_catalog
from selector.languages import NAMES, code_of
from selector.options import arms
from selector.public import to_json
from selector.recommendation import best_of, consider
from selector.results import Arm, Placement
from selector.sentences import Moved, moves_most
from selector.worlds import worlds_at
from tests.selector.decisions import DAY, decide, scenario

OWN = {"residency": "on_prem"}


def owned(decision, arm=Arm.FINE_TUNED_7B):
    return next(option for option in decision.options if option.arm is arm and option.placement is Placement.OWNED)


def test_every_base_model_of_every_arm_is_known_with_its_languages():
    for arm in arms():
        if arm.model:
            for model_id in (arm.model, *arm.also):
                assert model_id in base_models(), model_id
                assert model(model_id).licence


def test_languages_are_read_by_code_region_and_name():
    assert [code_of(text) for text in ("de", "de-AT", "de_CH", "German", "  GERMAN ", "nb", "Klingon", "", "xx-YY")] == [
        "de",
        "de",
        "de",
        "de",
        "de",
        "no",
        None,
        None,
        None,
    ]
    assert all(code_of(name) == code for code, name in NAMES.items())


def test_three_models_of_one_class_are_named_and_quality_does_not_separate_them():
    found = owned(decide(**OWN)).base_model
    assert found.model == "qwen3-8b"
    assert found.shortlist[0].model == "qwen3-8b"
    assert len(found.shortlist) == 3
    assert "Quality does not separate them before a test" in found.sentence
    totals = [entry.total_usd for entry in found.shortlist]
    assert None not in totals  # the recommended option's shortlist is priced
    assert totals[0] <= 1.01 * min(totals)


def test_of_models_within_one_percent_the_first_of_the_file_stands_and_a_cheaper_one_replaces_it():
    for volume in (50e6, 2e9, 20e9):
        decision = decide(tokens_per_day=volume, **OWN)
        option = owned(decision)
        assert decision.choice.option_id == option.id
        cheapest = min(entry.total_usd for entry in option.base_model.shortlist)
        assert option.total_usd == option.base_model.shortlist[0].total_usd <= 1.01 * cheapest


@pytest.mark.parametrize(
    ("asked", "taken", "left_out"),
    [
        ({"licences": ["Gemma"]}, "gemma-3-12b", "Qwen3 8B: its licence, Apache-2.0, is not among those you allow"),
        ({"modality": ["text", "image"]}, "gemma-3-12b", "Qwen3 8B: it does not read image"),
        ({"languages": ["de"], "licences": ["Llama 3.1 Community", "Gemma"]}, "llama-3.1-8b", "Mistral Nemo 12B: its licence"),
        ({"languages": ["Finnish"]}, "qwen3-8b", "Llama 3.1 8B: its maker does not name Finnish (8 languages named)"),
    ],
)
def test_a_hard_filter_takes_another_model_and_says_who_was_left_out(asked, taken, left_out):
    option = owned(decide(**OWN, **asked))
    assert option.model == taken
    assert model(taken).name in option.title
    assert any(said.startswith(left_out) for said in option.base_model.left_out)


def test_a_long_prompt_takes_a_model_with_a_wider_window():
    sizes = {"requests_per_day": 100, "input_tokens_mean": 60_000, "output_tokens_mean": 500}
    option = next(o for o in decide(**sizes).options if o.id == "fine-tuned-8b-rented")
    assert model(option.model).context_tokens >= 60_500
    assert any("60,500 tokens does not fit its window of 40,960" in said for said in option.base_model.left_out)


def test_a_language_that_no_maker_names_refuses_open_models_and_not_apis():
    decision = decide(languages=["Klingon"])
    for option in decision.options:
        if option.placement is Placement.API:
            assert not (option.refused_because or "").startswith("languages:")
        else:
            assert option.refused_because.startswith("languages: not shown that it knows Klingon")
    assert any("Klingon" in alarm for alarm in decision.alarms)
    assert not any("language" in alarm for alarm in decide(languages=["de", "pt-BR"]).alarms)


def test_an_encoder_for_english_gives_way_to_one_for_many_languages():
    asked = {"complexity": "classification", "labelled_examples": 300}
    english, german = (owned(decide(**asked, languages=[code]), Arm.ENCODER) for code in ("en", "de"))
    assert (english.model, german.model) == ("modernbert-large", "mmbert-base")


def test_the_json_carries_the_shortlist_and_the_factors():
    document = to_json(decide(**OWN))
    option = next(o for o in document["options"] if o["id"] == document["recommendation"]["option_id"])
    assert {"model", "name", "because", "shortlist", "left_out", "sentence"} == set(option["base_model"])
    assert {"model", "name", "licence", "context_tokens", "languages", "total_usd"} == set(option["base_model"]["shortlist"][0])
    assert [factor["name"] for factor in option["factors"]] == ["privacy", "latency", "ownership", "leverage"]


def test_small_api_models_stand_on_one_shortlist():
    decision = decide()
    chosen = decision.option(decision.choice.option_id)
    assert chosen.arm is Arm.API_SMALL
    assert {entry.model for entry in chosen.base_model.shortlist} == {"openai:gpt-6-luna", "openai:gpt-4o-mini"}


# ---- factors ----


def level(option, name):
    return next(factor.level for factor in option.factors if factor.name == name)


def test_each_option_states_privacy_latency_ownership_and_leverage():
    decision = decide(tpot_p95_ms=200.0)
    levels = {o.id: {factor.name.value: factor.level.value for factor in o.factors} for o in decision.options}
    assert levels["fine-tuned-8b-owned"] == {"privacy": "yes", "latency": "yes", "ownership": "yes", "leverage": "yes"}
    assert levels["fine-tuned-8b-rented"]["privacy"] == "partly"
    assert levels["api-tuned-gpt-4o-mini"] == {"privacy": "no", "latency": "no", "ownership": "no", "leverage": "no"}
    assert levels["hosted-gpt-oss-120b"] == {"privacy": "no", "latency": "no", "ownership": "partly", "leverage": "yes"}
    assert all(factor.because for o in decision.options for factor in o.factors)


def test_without_a_stated_limit_latency_is_met_in_part_only():
    assert level(owned(decide()), "latency") == "partly"


def test_a_must_have_refuses_what_meets_it_in_part_and_keeps_it_visible():
    decision = decide(must_have=["ownership"])
    assert {o.placement for o in decision.options if o.feasible} <= {Placement.RENTED, Placement.OWNED, Placement.LOCAL}
    managed = next(o for o in decision.options if o.id == "fine-tuned-8b-hosted")
    assert managed.refused_because.startswith("organisation: ownership is a must and is met in part only: open weights")
    assert decision.option(decision.choice.option_id).placement is Placement.RENTED


def test_a_tie_breaker_decides_among_near_equals_and_never_against_money():
    plain = decide()
    ordered = [o for o in plain.options if o.feasible]
    near = [o for o in ordered if o.expected_usd <= 1.05 * min(one.expected_usd for one in ordered)]
    for factor in ("privacy", "latency", "ownership", "leverage"):
        decision = decide(tie_breakers=[factor])
        assert decision.choice.option_id in {o.id for o in near}
        assert [o.expected_usd for o in decision.options] == [o.expected_usd for o in plain.options]


def test_a_tie_is_broken_towards_the_preference_and_says_what_it_costs():
    asked = {"residency": "region", "allowed_providers": ["RunPod"], "assumptions": {"staff_fte_owned": 0.20}}
    plain, private = decide(**asked), decide(**asked, tie_breakers=["privacy"])
    rented, owned_ = (plain.option(f"fine-tuned-8b-{where}") for where in ("rented", "owned"))
    assert rented.expected_usd < owned_.expected_usd <= 1.05 * rented.expected_usd
    assert (plain.choice.option_id, plain.choice.tie_broken) == (rented.id, "")
    assert private.choice.option_id == owned_.id
    assert f"${owned_.expected_usd - rented.expected_usd:,.0f} more" in private.choice.tie_broken
    assert "counts as a tie; your preference for privacy decides" in private.choice.tie_broken
    farther = decide(**{**asked, "assumptions": {"staff_fte_owned": 0.25}}, tie_breakers=["privacy"])  # 8 % dearer: no tie
    assert farther.choice.option_id == rented.id


def test_doubt_and_portfolio_take_the_same_option_when_a_tie_is_broken():
    asked = scenario(residency="region", allowed_providers=["RunPod"], tie_breakers=["privacy"], assumptions={"staff_fte_owned": 0.20})
    considered = consider(asked, load_catalog(DAY, asked.prices))
    assert best_of(considered).option.id == "fine-tuned-8b-owned"
    assert worlds_at(considered, {}, 1).recommended(0) == "fine-tuned-8b-owned"


# ---- the number that moves most ----


def test_the_verdict_names_the_number_that_moves_it_most():
    decision = decide()
    moved = decision.choice.moves_most
    assert moved.words in decision.choice.sentence
    assert decision.choice.sentence.endswith(".")
    assert moved.low <= moved.base <= moved.high
    chosen = decision.option(decision.choice.option_id)
    assert moved.option_id == chosen.id
    base = decision.option(decision.choice.baseline_option_id)
    assert moved.usd == pytest.approx(base.total_usd - chosen.expected_usd)


def test_at_its_ends_the_decision_made_again_gives_the_same_saving():
    decision = decide()
    moved = decision.choice.moves_most
    assert moved.key == "tokens_per_day"
    for value, usd, option_id in ((moved.low, moved.low_usd, moved.option_id_low), (moved.high, moved.high_usd, moved.option_id_high)):
        again = decide(tokens_per_day=value)
        chosen = again.option(moved.option_id)
        assert again.option(again.choice.baseline_option_id).total_usd - chosen.expected_usd == pytest.approx(usd)
        assert again.choice.option_id == option_id


def test_where_todays_model_may_not_run_the_cost_is_what_moves():
    decision = decide(**OWN)
    moved = decision.choice.moves_most
    assert moved.moved == "cost"
    assert moved.usd == pytest.approx(decision.option(decision.choice.option_id).total_usd)
    assert moved.low_usd != moved.high_usd


def test_a_stay_names_what_moves_the_best_alternative():
    decision = decide(tokens_per_day=1e5)
    assert decision.choice.action == "stay"
    assert decision.choice.moves_most.option_id != decision.choice.option_id


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        (
            {"key": "tokens_per_day", "unit": "tokens a day", "low": 3e7, "high": 8e7},
            "the volume: from 30 M to 80 M tokens a day the expected",
        ),
        (
            {"key": "good_enough.encoder", "unit": "chance", "low": 0.221, "high": 0.883},
            "its chance of being good enough: from 22 % to 88 % the",
        ),
        ({"key": "pue", "unit": "kWh per kWh", "low": 1.1, "high": 1.6, "label": "PUE"}, "PUE: from 1.1 to 1.6 kWh per kWh the expected"),
        (
            {"key": "host_place", "unit": "-1 the cheapest named host, 0 the median, 1 the dearest", "low": -1.0, "high": 1.0},
            "from the cheapest to the dearest",
        ),
        (
            {"key": "retry_share", "unit": "share", "low": 0.0, "high": 0.1},
            "repeated: from 0 % to 10 % the expected saving goes from $100 to $200",
        ),
        ({"key": "fte_month_usd", "unit": "USD a month", "low": 12_500.0, "high": 20_800.0}, "from $12,500 to $20,800 a month the"),
        (
            {"key": "speed.vllm.hbm", "label": "Speed", "unit": "standard errors, -1.28 is 0.68", "low": -1.28, "high": 1.28},
            "from the slow to the fast end of its interval the",
        ),
    ],
)
def test_the_clause_names_the_unit_once(moved, words):
    given = {"label": "Label", "of": "expected saving", "low_usd": 100.0, "high_usd": 200.0} | moved
    assert words in moves_most(Moved(**given))


def test_a_next_best_that_never_saves_is_said_to_cost_more():
    clause = moves_most(
        Moved(
            key="implementation",
            label="x",
            unit="times the amount assumed",
            low=0.5,
            high=2.0,
            of="expected saving",
            low_usd=-5.0,
            high_usd=-9.0,
            next_best="B",
        )
    )
    assert clause.endswith("the next best, B, is expected to cost $5 to $9 more")


def test_a_base_model_that_is_not_described_is_one_sentence():
    with pytest.raises(InputError, match="unknown model"):
        model("qwen9-8b")


def test_where_nothing_passes_the_option_that_fails_on_least_is_named_with_its_reason():
    decision = decide(must_have=["latency"])
    assert decision.choice.option_id is None
    assert "comes nearest and is refused: latency is a must and is met in part only" in decision.choice.sentence
    assert "state ttft_p95_ms or tpot_p95_ms" in decision.choice.sentence
    poor = decide(budget_usd=10)
    assert "is above the budget of $10" in poor.choice.sentence
    stated = decide(must_have=["latency"], tpot_p95_ms=200.0)
    assert stated.option(stated.choice.option_id).plan is not None
