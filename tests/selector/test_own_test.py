"""The user's own test in the ranking replaces the prior: a pass turns 'test first' into 'move', an undecided one passes nothing."""

from dataclasses import replace
from datetime import date

import pytest

from selector.catalog import load_catalog
from selector.gap_gate import GateVerdict, gate_counts
from selector.paired import PairedCounts
from selector.recommendation import recommend
from selector.results import Action, Arm
from tests.selector.decisions import DAY, decide, scenario

PASS = PairedCounts(both=800, option_only=60, baseline_only=60, neither=80)
FAIL = PairedCounts(both=400, option_only=20, baseline_only=120, neither=60)
UNDECIDED = PairedCounts(both=150, option_only=12, baseline_only=18, neither=20)


def with_test(option_id, counts, day=DAY, arm=""):
    return replace(gate_counts(counts), option_id=option_id, arm=arm, as_of=day)


def decided(*gates, **document):
    given = scenario(**document)
    return recommend(given, load_catalog(DAY, given.prices, gates=gates))


def test_the_vectors_are_what_they_are_used_for():
    assert [gate_counts(counts).verdict for counts in (PASS, FAIL, UNDECIDED)] == [
        GateVerdict.WITHIN,
        GateVerdict.OUTSIDE,
        GateVerdict.UNDECIDED,
    ]


def test_a_passed_test_turns_test_first_into_move():
    before = decide()
    after = decided(with_test(before.choice.option_id, PASS))
    assert (before.choice.action, after.choice.action) == (Action.TEST_FIRST, Action.MOVE)
    assert after.choice.option_id == before.choice.option_id
    assert after.choice.sentence.startswith("Move to ")
    option = after.option(after.choice.option_id)
    assert option.gate_passed
    assert option.quality.basis == "measured"
    assert option.quality.probability == pytest.approx(gate_counts(PASS).probability)
    assert option.expected_usd < before.option(option.id).expected_usd
    assert before.inputs_sha256 != after.inputs_sha256


def test_a_failed_test_refuses_whatever_the_papers_say():
    before = decide()
    small = [o.id for o in before.options if o.arm is Arm.API_SMALL]
    after = decided(*(with_test(option_id, FAIL) for option_id in small))
    for option_id in small:
        assert not after.option(option_id).feasible
        assert after.option(option_id).refused_because.startswith("quality:")
    assert after.choice.option_id not in small


def test_an_undecided_test_never_passes():
    before = decide()
    after = decided(with_test(before.choice.option_id, UNDECIDED))
    assert after.choice.action is not Action.MOVE
    assert not after.option(before.choice.option_id).gate_passed
    assert after.option(before.choice.option_id).quality.probability == pytest.approx(gate_counts(UNDECIDED).probability)


def test_the_newest_test_counts_and_one_for_the_option_before_one_for_its_arm():
    option_id = decide().choice.option_id
    old_pass, new_fail = with_test(option_id, PASS, date(2026, 10, 1)), with_test(option_id, FAIL, date(2026, 11, 1))
    assert not decided(old_pass, new_fail).option(option_id).feasible
    arm_fail = with_test("", FAIL, date(2026, 11, 20), arm="api_small")
    assert decided(old_pass, arm_fail).option(option_id).gate_passed


def test_a_small_model_that_passes_on_a_hard_task_is_no_longer_refused_by_the_family():
    document = {"complexity": "reasoning", "tokens_per_day": 5e9}
    refused = next(o for o in decide(**document).options if o.arm is Arm.FINE_TUNED_7B and o.placement == "managed")
    assert refused.refused_because.startswith("task:")
    assert decided(with_test(refused.id, PASS), **document).option(refused.id).feasible


def test_the_cost_of_a_right_answer_comes_from_measured_rates_only():
    assert all(option.usd_per_right_answer is None for option in decided().options)
    counts = PairedCounts(both=310, option_only=14, baseline_only=10, neither=66)
    decision = decided(with_test("api-small-gpt-4o-mini", counts))
    small = decision.option("api-small-gpt-4o-mini")
    base = decision.option(decision.choice.baseline_option_id)
    requests = 50e6 / 1200 * 365
    assert small.usd_per_right_answer == pytest.approx(small.total_usd / (requests * 324 / 400))
    assert base.usd_per_right_answer == pytest.approx(base.total_usd / (requests * 320 / 400))
    assert decision.option("cascade-gpt-6-luna").usd_per_right_answer is None
