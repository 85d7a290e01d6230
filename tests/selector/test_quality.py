"""The chances of being good enough: their values, their laws, their cases, and what labels and precisions do to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts.errors import InputError
from facts.records import Basis
from selector.evidence import Setting, Tried, units_of_kind
from selector.labels import learning_curves, more_labels
from selector.quality import Kind, case_line, closest_cases, priors, quality_of, quantization_note, tuned_prior, untuned_chance
from selector.tasks import Family, Task, task_of
from workloads.demand import Complexity, TaskType, Workload

tasks = st.builds(
    Task,
    type=st.sampled_from(TaskType),
    family=st.sampled_from(Family),
    open_ended=st.booleans(),
    assumed=st.just(False),
    because=st.just(""),
)
margins = st.sampled_from([0.03, 0.05, 0.10])


def workload(**given_fields):
    return Workload(**{"tokens_per_day": 1e6, "complexity": "extraction", "labelled_examples": 5_000, **given_fields})


def chance(kind, margin_share=0.05, **given_fields):
    asked = workload(**given_fields)
    return quality_of(kind, asked, task_of(asked), margin_share=margin_share)


# ---- values ----


def test_a_tuned_extraction_on_its_own_traffic_has_the_published_prior():
    quality = chance(Kind.TUNED_SMALL)
    assert (round(quality.probability, 3), round(quality.low, 2), round(quality.high, 2)) == (0.822, 0.5, 0.99)
    assert quality.because == (
        "10 of 12 published extraction datasets held within 5 % when tuned on their own traffic; papers tend to flatter"
    )
    assert quality.basis is Basis.PUBLISHED
    prior = tuned_prior(Setting.IN_DOMAIN, TaskType.EXTRACTION, "1k_to_10k")
    assert (round(prior.beta_a, 2), round(prior.beta_b, 2)) == (4.11, 0.89)
    assert (prior.of_cell.within, prior.of_cell.units) == (2, 2)


def test_an_empty_cell_says_that_it_is_extrapolated():
    assert "extrapolated" in chance(Kind.TUNED_SMALL, labelled_examples=500).because
    assert "extrapolated" not in chance(Kind.TUNED_SMALL, complexity="classification", labelled_examples=500).because


def test_a_model_tuned_by_its_vendor_is_read_as_a_tuned_one_and_says_so():
    one, other = chance(Kind.TUNED_SMALL), chance(Kind.TUNED_BY_VENDOR)
    assert one.probability == other.probability
    assert other.basis is Basis.ASSUMED
    assert "which is assumed" in other.because


def test_open_ended_use_of_a_tuned_small_model_is_unlikely_to_be_good_enough():
    assert round(chance(Kind.TUNED_SMALL, complexity="generation").probability, 3) == 0.095


def test_the_baseline_is_certain():
    assert chance(Kind.BASELINE).probability == 1.0


def test_margins_without_published_outcomes_are_refused():
    with pytest.raises(InputError, match=r"margin of 0\.07: use 0\.03, 0\.05 or 0\.1"):
        chance(Kind.TUNED_SMALL, margin_share=0.07)


def test_priors_cover_every_cell_once():
    found = priors()
    assert len(found) == 11 * 4 + 11 + 2
    assert all(0 < prior.mean < 1 for prior in found.values())


# ---- laws ----


@given(task=tasks, margin=margins)
def test_a_mid_size_model_lies_between_and_a_70b_never_below_an_untuned_small_one(task, margin):
    asked = workload()
    small, mid, large = (
        quality_of(kind, asked, task, margin_share=margin).probability
        for kind in (Kind.SMALL_UNTUNED, Kind.PROMPTED_MID, Kind.PROMPTED_70B)
    )
    assert small <= large + 1e-12
    assert small - 1e-12 <= mid <= large + 1e-12


def test_where_the_cases_would_turn_them_round_both_take_their_weighted_mean():
    task = Task(type=TaskType.QA_OPEN, family=Family.HARD, open_ended=False, assumed=False, because="")
    assert untuned_chance(Tried.SMALL_UNTUNED, task) == untuned_chance(Tried.PROMPTED_70B, task)
    easy = Task(type=TaskType.SQL, family=Family.NARROW, open_ended=False, assumed=False, because="")
    assert untuned_chance(Tried.SMALL_UNTUNED, easy) < untuned_chance(Tried.PROMPTED_70B, easy)


@given(task=tasks, kind=st.sampled_from(Kind), labels=st.integers(0, 100_000), own=st.booleans())
def test_a_wider_margin_is_never_less_likely_and_the_interval_holds_its_chance(task, kind, labels, own):
    asked = workload(labelled_examples=labels, domain_specific=own)
    found = [quality_of(kind, asked, task, margin_share=margin) for margin in (0.03, 0.05, 0.10)]
    chances = [quality.probability for quality in found]
    assert chances == sorted(chances)
    assert all(0 <= quality.low <= quality.high <= 1 for quality in found)


@given(task=tasks, few=st.integers(0, 100_000), more=st.integers(0, 100_000))
def test_more_labels_never_make_a_tuned_model_less_likely(task, few, more):
    low, high = sorted((few, more))
    one, other = (quality_of(Kind.TUNED_SMALL, workload(labelled_examples=n), task) for n in (low, high))
    assert one.probability <= other.probability + 1e-12


# ---- cases ----


@given(task=tasks, kind=st.sampled_from([Kind.TUNED_SMALL, Kind.CHEAP_API, Kind.PROMPTED_70B, Kind.SMALL_UNTUNED]))
def test_at_most_four_cases_of_at_most_two_a_source(task, kind):
    assert len(quality_of(kind, workload(), task).cases) <= 4


def test_closest_cases_are_of_the_same_task_near_in_size_with_a_failure_beside_the_successes():
    cases = closest_cases(Tried.TUNED_SMALL, TaskType.EXTRACTION, Setting.IN_DOMAIN, 12_000)
    assert {case.task_type for case in cases} == {TaskType.EXTRACTION}
    assert {case.within_5pct for case in cases} == {True, False}
    assert cases[0].examples in (10_100, 14_041)


def test_a_case_line_gives_scores_and_source_and_outcomes_alone_where_scores_are_not_passed_on():
    by_id = {unit.id: unit for unit in units_of_kind(Tried.TUNED_SMALL)}
    assert case_line(by_id["tuned-small.in-domain.bc5cdr"]) == (
        "bc5cdr: zephyr-7b-beta 0.969 against gpt-4 0.89, 5,228 training examples, within 5 % (LoRA Land (Zhao et al. 2024))"
    )
    hidden = case_line(by_id["tuned-small.general-purpose.alpacaeval-2-lc"])
    assert hidden.startswith("AlpacaEval 2 LC: not within 5 % of gpt-4")
    assert "0.3" not in hidden


def test_a_task_without_cases_of_its_type_shows_those_of_its_setting():
    cases = closest_cases(Tried.TUNED_SMALL, TaskType.CODE, Setting.OUT_OF_DOMAIN)
    assert cases
    assert {case.task_type for case in cases} <= {TaskType.CODE} or {case.setting for case in cases} == {Setting.OUT_OF_DOMAIN}


# ---- labels ----


def test_more_labels_buy_what_the_next_size_classes_promise():
    asked = workload(labelled_examples=300)
    found = more_labels(asked, task_of(asked))
    assert [step.examples for step in found.steps] == [1_000, 10_001]
    assert found.probability == chance(Kind.TUNED_SMALL, labelled_examples=300).probability
    assert found.steps[0].probability == chance(Kind.TUNED_SMALL, labelled_examples=1_000).probability
    assert found.sentence.startswith("With 300 labels the chance reads 56%; it would read 82% with 1,000, 90% with more than 10,000.")
    assert "unknown rather than proven bad" in found.sentence


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"complexity": "reasoning", "task_type": "math"}, "do not move the chance"),
        ({"complexity": "generation"}, "do not help open-ended use"),
        ({"domain_specific": False}, "Labels from your own traffic count before their number"),
        ({"labelled_examples": 50_000}, "no further gain"),
        ({"labelled_examples": 0}, "Without labels nothing can be tuned"),
    ],
)
def test_where_more_labels_do_not_help_it_says_so(fields, words):
    asked = workload(**fields)
    found = more_labels(asked, task_of(asked))
    assert words in found.sentence
    assert bool(found.steps) == (asked.labelled_examples == 0)


@pytest.mark.parametrize("complexity", Complexity)
def test_published_curves_rise_in_examples_and_some_stand_beside_every_task(complexity):
    asked = workload(complexity=complexity)
    assert more_labels(asked, task_of(asked)).curves
    for curve in learning_curves():
        examples = [point[0] for point in curve.points]
        assert examples == sorted(set(examples))
        assert curve.source.url


# ---- precision ----


def test_a_precision_shows_the_loss_measured_on_the_model_nearest_in_size():
    assert "perplexity +1.2% on Llama-2-70B" in quantization_note("Q4_K_M", 70)
    assert "Llama-3-8B" in quantization_note("Q4_K_M", 8)
    assert quantization_note("q2_K", 8).endswith("Test the very file that will be served.")


@pytest.mark.parametrize("quantization", ["F16", "FP8", "Q99"])
def test_without_a_published_loss_there_is_no_note(quantization):
    assert quantization_note(quantization, 8) == ""
