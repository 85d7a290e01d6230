"""Tokens of another tokenizer: the bill is that of a workload whose own counts were so many; nothing is assumed where nothing is said."""

import json

import numpy as np
import pytest

from capacity.models import models
from facts.errors import InputError
from facts.records import Basis
from selector.catalog import load_catalog
from selector.public import to_json
from selector.ranges import ranges_of
from selector.recommendation import conclude, consider
from selector.reconcile import Actual, reconcile
from selector.results import Arm, Placement
from selector.token_counts import check_counted_with, tokens_of
from selector.worlds import worlds_at
from tests.selector.decisions import DAY, decide, scenario
from workloads.text_tokens import relative_tokens, tokenizer_of

GERMAN = {"tokens_counted_with": "openai:gpt-4o", "languages": ["German"]}
LLAMA = relative_tokens("llama3", "o200k_base", ["de"])
HOSTED = "small-untuned-8b-hosted"
API = "api-openai-gpt-4o"
TOKEN_LINES = ("tokens_input", "tokens_output")
VOCABULARY = {
    "cl100k_base": {100_352},
    "deepseek": {129_280},
    "llama3": {128_256},
    "mistral_tekken": {131_072},
    "mistral_v3": {32_000, 32_768},
    "o200k_base": {200_064, 201_088},
    "qwen2": {151_936, 152_064},
}
"""Rows of the embedding of models that count with it, control tokens and padding among them."""


def considered_of(**document):
    given = scenario(**document)
    return consider(given, load_catalog(DAY, given.prices))


def lines(decision, option_id, month=12):
    return {line.name: line.usd for line in decision.option(option_id).months[month - 1].lines}


def test_where_nothing_is_said_counts_mean_what_they_say_and_the_report_tells():
    decision = decide(languages=["German"])
    assert all(option.tokens is None for option in decision.options)
    assert any(said.startswith("tokenizers: your counts are taken as every option's own") for said in decision.not_counted)
    counted = decide(**GERMAN)
    assert lines(decision, API) == lines(counted, API)
    assert not any(said.startswith("tokenizers") for said in counted.not_counted)


def test_a_german_text_takes_more_tokens_of_llama_and_each_token_line_is_so_much_dearer():
    plain, counted = decide(languages=["German"]), decide(**GERMAN)
    assert LLAMA.factor == pytest.approx(1.292, abs=0.001)
    before, after = lines(plain, HOSTED), lines(counted, HOSTED)
    for line in TOKEN_LINES:
        assert after[line] == pytest.approx(before[line] * LLAMA.factor, rel=1e-12)
    assert {name: usd for name, usd in after.items() if name not in TOKEN_LINES} == {
        name: usd for name, usd in before.items() if name not in TOKEN_LINES
    }
    option = counted.option(HOSTED)
    assert (option.tokens.factor, option.tokens.low, option.tokens.high) == (LLAMA.factor, LLAMA.low, LLAMA.high)
    assert option.tokens.basis is Basis.MEASURED
    assert option.tokens.because in option.notes
    assert (
        "(llama3) makes 1.29 tokens (1.23 to 1.36) of a text of which that of your counts (o200k_base) makes one" in option.tokens.because
    )
    (line,) = [line for line in counted.sources if line.key == "tokens.llama-3.1-8b"]
    assert line.value == "1.29 tokens for one of your counts"
    assert line.url == "workloads/data/text_tokens.toml"


@pytest.mark.parametrize("option_id", ["self-hosted-70b-rented", "self-hosted-70b-owned", HOSTED, "hosted-llama-3.3-70b"])
def test_the_bill_is_that_of_a_workload_whose_counts_are_so_many(option_id):
    """The same requests, each length in the option's own tokens: the same servers, the same tokens, the same electricity."""
    given = {"requests_per_day": 500_000, "input_tokens_mean": 1_000, "output_tokens_mean": 200, "languages": ["de"]}
    counted = decide(**{**given, "tokens_counted_with": "o200k_base"}).option(option_id)
    longer = {"input_tokens_mean": 1_000 * LLAMA.factor, "output_tokens_mean": 200 * LLAMA.factor}
    same = decide(**{**given, **longer}).option(option_id)
    for one, other in zip(counted.months, same.months, strict=True):
        ours, theirs = ({line.name: line.usd for line in month.lines if line.name != "double_running"} for month in (one, other))
        assert ours == pytest.approx(theirs, rel=1e-12)
    if counted.plan is not None:
        assert (counted.plan.replicas, counted.plan.tpot_ms, counted.plan.ttft_ms) == (
            same.plan.replicas,
            same.plan.tpot_ms,
            same.plan.ttft_ms,
        )
        assert counted.energy_kwh == pytest.approx(same.energy_kwh, rel=1e-12)
        assert counted.plan.capacity_tokens_per_month * LLAMA.factor == pytest.approx(same.plan.capacity_tokens_per_month)


def test_a_factor_of_one_leaves_the_difference_out_and_ones_own_factor_stands_over_the_measured_one():
    plain = decide(languages=["de"])
    none = decide(**GERMAN, assumptions={"tokenizer_factor": 1.0})
    assert [option.total_usd for option in none.options] == [option.total_usd for option in plain.options]
    own = decide(**GERMAN, assumptions={"tokenizer_factor": 1.1})
    assert lines(own, HOSTED)["tokens_input"] == pytest.approx(lines(plain, HOSTED)["tokens_input"] * 1.1)
    assert lines(own, API) == lines(plain, API)  # it is the model whose tokens were counted
    assert own.option(HOSTED).tokens.because == "1.1 tokens of its tokenizer for one of your counts, as you state"


def test_counts_of_another_tokenizer_move_todays_model_and_what_a_cascade_sends_on_to_it():
    plain, counted = decide(), decide(tokens_counted_with="mistral_v3")
    back = relative_tokens("o200k_base", "mistral_v3").factor
    assert back < 0.9
    for option_id in (API, "cascade-gpt-6-luna"):
        for line in TOKEN_LINES:
            assert lines(counted, option_id)[line] == pytest.approx(lines(plain, option_id)[line] * back)
    months = [month for month in counted.option(HOSTED).months if any(line.name == "double_running" for line in month.lines)]
    running = {line.name: line.usd for line in months[0].lines}["double_running"]
    assert running == pytest.approx(counted.option(API).months[0].total_usd)


def test_training_and_the_teachers_labels_are_paid_in_their_own_tokens():
    given = {"labelled_examples": 500, "assumptions": {"teacher_labels_share": 1.0}}
    plain, counted = decide(**given), decide(**given, tokens_counted_with="llama3", languages=["de"])
    option_id = next(option.id for option in plain.options if option.arm is Arm.FINE_TUNED_7B and option.placement is Placement.MANAGED)
    ours, theirs = ({line.name: line.usd for line in one.option(option_id).upfront_lines} for one in (counted, plain))
    assert ours["finetune_runs"] == pytest.approx(theirs["finetune_runs"])  # a llama, as the counts
    back = relative_tokens("o200k_base", "llama3", ["de"]).factor
    each = (1_000 * 2.5 + 200 * 10.0) / 1e6  # gpt-4o's tokens of a prompt and an answer
    saved = 500 * each * (1.0 - back) * 1.15  # labels that are missing, and 15 % on top of labels
    assert theirs["labels"] - ours["labels"] == pytest.approx(saved, rel=1e-6)


def test_an_unknown_tokenizer_counts_as_the_same_and_says_so():
    claude = decide(baseline_model="anthropic:claude-sonnet-4-5", tokens_counted_with="anthropic:claude-sonnet-4-5")
    assert all(option.tokens.factor == 1.0 for option in claude.options if option.tokens)
    because = claude.option(HOSTED).tokens.because
    assert because.startswith("the tokenizer of anthropic:claude-sonnet-4-5 was not counted here: as many tokens are taken")
    assert claude.option("api-anthropic-claude-sonnet-4-5").tokens.basis is Basis.PUBLISHED
    gemma = tokens_of("gemma-3-4b", scenario(**GERMAN))
    assert (gemma.factor, gemma.basis) == (1.0, Basis.ASSUMED)
    assert "the tokenizer of gemma-3-4b was not counted here" in gemma.because


def test_a_name_that_is_neither_model_nor_tokenizer_is_one_sentence():
    with pytest.raises(InputError, match=r"tokens_counted_with 'o200k' is no tokenizer counted here.*or one of cl100k_base, deepseek"):
        check_counted_with(scenario(tokens_counted_with="o200k").workload)
    with pytest.raises(InputError, match="tokens_counted_with"):
        decide(tokens_counted_with="gpt-4o")


def test_code_is_compared_on_code():
    code = tokens_of("mistral-7b-instruct-v0.3", scenario(complexity="code", tokens_counted_with="o200k_base"))
    assert code.factor == relative_tokens("mistral_v3", "o200k_base", code=True).factor
    assert "programs and data" in code.because


def test_the_range_of_the_texts_is_doubted_and_its_ends_are_the_bill_with_the_end_as_factor():
    considered = considered_of(**GERMAN)
    (place,) = [one for one in ranges_of(considered.asked, considered.evaluations) if one.key == "tokens_place"]
    assert (place.low, place.base, place.high) == (-1.0, 0.0, 1.0)
    worlds = worlds_at(considered, {"tokens_place": np.array([[-1.0], [0.0], [1.0]])}, 3)
    for row, factor in enumerate((LLAMA.low, None, LLAMA.high)):
        document = dict(GERMAN) if factor is None else {**GERMAN, "assumptions": {"tokenizer_factor": factor}}
        decision = conclude(considered_of(**document))
        found = worlds.options[worlds.place(HOSTED)].total_usd[row]
        assert found == pytest.approx(decision.option(HOSTED).total_usd, rel=1e-9)
    plain = considered_of()
    assert not [one for one in ranges_of(plain.asked, plain.evaluations) if one.key == "tokens_place"]


def test_a_longer_text_in_its_own_tokens_may_not_fit_the_window():
    window = 131_072
    given = {"requests_per_day": 100, "input_tokens_mean": window / 1.2, "output_tokens_mean": 100, "languages": ["de"]}
    plain, counted = decide(**given), decide(**given, tokens_counted_with="o200k_base")
    reasons = [
        next(verdict for verdict in decision.option("hosted-llama-3.3-70b").verdicts if verdict.gate == "context")
        for decision in (plain, counted)
    ]
    assert [reason.passed for reason in reasons] == [True, False]
    assert f"{(window / 1.2 + 100) * LLAMA.factor:,.0f} tokens does not fit" in reasons[1].reason


def test_metered_tokens_are_compared_with_those_of_the_options_own_tokenizer():
    document = json.loads(json.dumps(to_json(decide(**GERMAN))))
    option = next(option for option in document["options"] if option["id"] == HOSTED)
    metered = 50e6 * 365 / 12 / 1.2 * LLAMA.factor
    month = option["months"][5]["lines"]
    found = reconcile(document, [Actual(month=6, line="tokens_input", usd=month["tokens_input"], tokens=metered)], option_id=HOSTED)
    assert found.volume_factor == pytest.approx(1.0)


def test_every_model_of_the_catalogue_with_a_counted_tokenizer_has_its_vocabulary():
    found = [(one.id, one.vocab, tokenizer_of(one.id)) for one in models() if tokenizer_of(one.id)]
    assert len(found) > 30
    for model_id, vocab, tokenizer in found:
        assert vocab in VOCABULARY[tokenizer], (model_id, vocab, tokenizer)
