"""A project's stages, the worth of its next step, the rule on repeated looks, drift, and what the store keeps."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from facts.errors import InputError
from facts.settings import settings
from pricing.assumptions import Assumptions
from selector.__main__ import app
from selector.case_scores import CaseScores
from selector.drift import Alarm, change_interval, drift_of
from selector.gap_gate import GateVerdict, Margin, gate, gate_counts
from selector.looks import (
    FIRST_LOOK_ALPHA,
    SECOND_LOOK_ALPHA,
    GateLook,
    Stage,
    alpha_spent,
    counted,
    latest_gates,
    latest_looks,
    shared_share,
    sketch,
)
from selector.paired import PairedCounts, tango_z
from selector.playbook import (
    COSTS,
    Advice,
    Entry,
    State,
    advice_of,
    chance_within,
    is_tuned,
    next_alpha,
    next_test,
    pilot_value_usd,
    playbook_json,
    playbook_of,
    stage_costs,
    stage_facts,
)
from selector.public import dumps
from selector.results import Arm
from selector.store import get_gate, list_entries, list_gates, save_entry, save_gates, stored_gates
from tests.selector.decisions import decide
from workloads.demand import Complexity

TUNED, SMALL, UNTUNED = "fine-tuned-8b-hosted", "api-small-gpt-4o-mini", "small-untuned-8b-hosted"
PASS = PairedCounts(both=800, option_only=60, baseline_only=60, neither=80)
UNDECIDED = PairedCounts(both=150, option_only=12, baseline_only=18, neither=20)
FAIL = PairedCounts(both=400, option_only=10, baseline_only=110, neither=80)
POINTS = Margin(share=0.05, relative=False)


@cache
def decision(**document):
    return decide(prices={"api_blended_usd_per_mtok": 15}, **document)


def result(counts, option_id=TUNED, *, arm="", alpha=0.05):
    return replace(gate_counts(counts, POINTS, alpha=alpha), option_id=option_id, arm=arm)


def look(found, stage, day=1, *, cases=None, alpha=0.05, planned=None, name=None):
    return GateLook(
        id=f"{day}",
        scenario_name="Workload",
        look=name or f"look-{day}",
        stage=stage,
        result=found,
        alpha=alpha,
        planned_items=planned,
        cases=sketch([f"{stage}-{day}-{number}" for number in range(50)] if cases is None else cases),
        created=f"2026-11-{day:02}T10:00:00+00:00",
    )


def entries(*stages):
    return [Entry(stage=stage, done=True, created=f"2026-11-0{number}T09:00:00+00:00") for number, stage in enumerate(stages, 1)]


def upfront(option):
    return {line.name: line.usd for line in option.upfront_lines}


def states(project):
    return {status.stage: status.state for status in project.stages}


# ---- the stages and their cost ----


def test_the_six_stages_of_the_article_stand_in_its_order_and_hold_every_cost_once():
    facts = stage_facts()
    assert [fact.stage for fact in facts] == ["task", "data", "baseline", "experiment", "tuning", "production"]
    assert sorted(cost for fact in facts for cost in fact.costs) == sorted(COSTS)


@pytest.mark.parametrize("evaluation", [{}, {"evaluation_usd": 1_000.0}, {"evaluation_cases": 0, "evaluation_engineer_days": 0.0}])
def test_the_stages_of_every_option_cost_what_its_bill_has_upfront_and_up_to_tuning_what_a_failure_costs(evaluation):
    found = decide(prices={"api_blended_usd_per_mtok": 15}, assumptions=evaluation)
    priced = [option for option in found.options if option.total_usd is not None]
    assert len(priced) > 10
    for option in priced:
        costs = stage_costs(option, found.scenario.assumptions, found.scenario.workload.complexity)
        by_stage = {stage: sum(line.usd for line in lines) for stage, lines in costs.items()}
        assert sum(by_stage.values()) == pytest.approx(option.upfront_usd, abs=1e-6)
        assert sum(usd for stage, usd in by_stage.items() if stage is not Stage.PRODUCTION) == pytest.approx(option.spent_if_it_fails_usd)


def test_an_evaluation_is_parted_into_its_cases_and_its_days():
    option = decision().option(TUNED)
    costs = stage_costs(option, Assumptions(), Complexity.EXTRACTION)
    assert {line.name: line.usd for line in costs[Stage.BASELINE]} == {"evaluation_cases": pytest.approx(600 * 2 * 0.10)}
    assert {line.name: line.usd for line in costs[Stage.EXPERIMENT]} == {"evaluation_days": pytest.approx(5 * 1_500)}
    assert {line.name: line.usd for line in costs[Stage.TUNING]} == {
        name: upfront(option)[name] for name in ("finetune_runs", "finetune_engineering")
    }
    assert {line.name: line.usd for line in costs[Stage.PRODUCTION]} == {"implementation": upfront(option)["implementation"]}


def test_an_option_that_is_not_trained_needs_no_tuning_and_an_encoder_no_experiment():
    small = playbook_of(decision(), option_id=SMALL)
    assert states(small)[Stage.TUNING] is State.NOT_NEEDED
    encoder = next(option for option in decision().options if option.arm is Arm.ENCODER and option.total_usd is not None)
    project = playbook_of(decision(), option_id=encoder.id)
    assert states(project)[Stage.EXPERIMENT] is State.NOT_NEEDED
    assert project.stage(Stage.EXPERIMENT).cost_usd == 0.0
    lines = upfront(encoder)
    assert project.stage(Stage.TUNING).cost_usd == pytest.approx(lines["finetune_runs"] + lines["finetune_engineering"] + 5 * 1_500)


def test_the_first_open_stage_is_next_and_the_others_wait():
    project = playbook_of(decision(), entries(Stage.TASK, Stage.BASELINE), option_id=TUNED)
    assert project.next is Stage.DATA
    assert list(states(project).values()) == ["done", "next", "done", "waiting", "waiting", "waiting"]
    assert project.next_cost_usd == pytest.approx(upfront(decision().option(TUNED))["labels"])


def test_a_stage_opened_again_is_next_again():
    again = [*entries(Stage.TASK, Stage.DATA), Entry(stage=Stage.TASK, done=False, created="2026-11-05T09:00:00+00:00")]
    assert playbook_of(decision(), again, option_id=TUNED).next is Stage.TASK


# ---- the tests decide ----


def test_a_test_marked_done_without_a_result_decides_nothing():
    all_marked = entries(*Stage)
    project = playbook_of(decision(), all_marked, option_id=TUNED)
    assert project.next is Stage.TUNING
    assert "only a result decides" in project.stage(Stage.TUNING).because
    assert states(project)[Stage.PRODUCTION] is State.WAITING


def test_a_shown_pass_opens_production_and_says_what_moving_saves():
    project = playbook_of(decision(), entries(Stage.TASK), [look(result(PASS), Stage.TUNING)], option_id=TUNED)
    assert list(states(project).values()) == ["done", "done", "done", "next", "done", "waiting"]
    closed = playbook_of(decision(), entries(Stage.EXPERIMENT), [look(result(PASS), Stage.TUNING)], option_id=TUNED)
    option, baseline = decision().option(TUNED), decision().option(decision().choice.baseline_option_id)
    assert closed.next is Stage.PRODUCTION
    assert closed.next_cost_usd == upfront(option)["implementation"]
    assert closed.value.probability == 1.0
    assert closed.value.cost_usd == 0.0
    assert closed.value.value_usd == pytest.approx(baseline.total_usd - (option.total_usd - option.spent_if_it_fails_usd))


def test_a_shown_failure_stops_the_project_whatever_is_marked_done():
    project = playbook_of(decision(), entries(*Stage), [look(result(FAIL), Stage.TUNING)], option_id=TUNED)
    assert project.next is None
    assert states(project)[Stage.PRODUCTION] is State.STOPPED
    assert project.value is None
    assert "shown not good enough; stay on" in project.sentence


def test_an_undecided_test_never_passes_and_asks_for_cases_at_their_price():
    found = replace(result(UNDECIDED), extra_items=490)
    assert found.verdict is GateVerdict.UNDECIDED
    project = playbook_of(decision(), entries(Stage.EXPERIMENT, Stage.PRODUCTION), [look(found, Stage.TUNING)], option_id=TUNED)
    assert project.next is Stage.TUNING
    assert states(project)[Stage.PRODUCTION] is State.WAITING
    assert project.more_cases == 490
    assert project.next_cost_usd == pytest.approx(490 * 2 * 0.10)
    assert project.value.measured
    assert project.value.probability == found.probability
    assert project.value.cost_usd == pytest.approx(490 * 2 * 0.10)


def test_the_untuned_form_is_pursued_once_it_has_passed_and_tuning_is_not_needed():
    hard = decide(prices={"api_blended_usd_per_mtok": 15}, tokens_per_day=5e9, labelled_examples=20_000)
    assert is_tuned(playbook_option := hard.option(TUNED))
    tuned = playbook_of(hard, [], [], option_id=TUNED)
    assert tuned.option_id == playbook_option.id
    chosen = replace(hard, choice=replace(hard.choice, option_id=TUNED))
    passed = look(result(PASS, UNTUNED), Stage.EXPERIMENT, alpha=0.02)
    project = playbook_of(chosen, [], [passed])
    assert project.option_id == UNTUNED
    assert states(project)[Stage.TUNING] is State.NOT_NEEDED
    assert project.next is Stage.PRODUCTION
    failed = playbook_of(chosen, [], [look(result(FAIL, UNTUNED), Stage.EXPERIMENT)])
    assert failed.option_id == TUNED
    assert states(failed)[Stage.EXPERIMENT] is State.DONE
    assert states(failed)[Stage.PRODUCTION] is State.WAITING


def test_a_test_of_another_option_says_nothing():
    project = playbook_of(decision(), [], [look(result(PASS, SMALL), Stage.EXPERIMENT)], option_id="fine-tuned-8b-rented")
    assert project.next is Stage.TASK
    assert all(status.gate is None for status in project.stages)


def test_an_option_that_is_not_there_or_is_todays_model_is_told():
    with pytest.raises(InputError, match="no option 'nothing'"):
        playbook_of(decision(), option_id="nothing")
    with pytest.raises(InputError, match="today's model"):
        playbook_of(decision(), option_id=decision().choice.baseline_option_id)


# ---- the worth of the next step ----


def test_the_worth_of_a_pilot_is_the_fallbacks_bill_less_the_expected_cost_that_ranks():
    found = decision()
    baseline = found.option(found.choice.baseline_option_id)
    for option in found.options:
        if option.feasible and option.id != baseline.id:
            value = playbook_of(found, option_id=option.id).value
            assert value.value_usd == pytest.approx(baseline.total_usd - option.expected_usd)
            assert value.cost_usd == pytest.approx(option.spent_if_it_fails_usd)
            assert value.value_low_usd <= value.value_usd <= value.value_high_usd


def test_what_was_spent_already_does_not_count():
    before = playbook_of(decision(), option_id=TUNED).value
    after = playbook_of(decision(), entries(Stage.TASK, Stage.DATA, Stage.BASELINE), option_id=TUNED).value
    assert before.cost_usd - after.cost_usd == pytest.approx(upfront(decision().option(TUNED))["labels"] + 600 * 2 * 0.10)
    assert after.value_usd - before.value_usd == pytest.approx(upfront(decision().option(TUNED))["labels"] + 600 * 2 * 0.10)
    assert after.break_even_probability == pytest.approx(after.cost_usd / after.saving_usd)


def test_a_small_workload_is_told_to_stop_and_a_large_one_to_run():
    small = playbook_of(decide(tokens_per_day=1e5), option_id=TUNED)
    assert small.value.advice is Advice.STOP
    assert small.value.value_high_usd < 0.0
    assert "even at the best of it" in small.sentence
    large = playbook_of(decide(tokens_per_day=20e9), option_id=TUNED)
    assert large.value.advice is Advice.RUN


@pytest.mark.parametrize(
    ("probability", "high", "saving", "cost", "advice"),
    [
        (0.5, 0.9, 100.0, 49.0, Advice.RUN),  # 0.5 x 100 - 49 = 1
        (0.5, 0.9, 100.0, 50.0, Advice.UNSURE),  # 0, and 40 at the high end
        (0.5, 0.9, 100.0, 90.0, Advice.UNSURE),  # -40, and exactly 0 at the high end
        (0.5, 0.9, 100.0, 91.0, Advice.STOP),  # -1 even at the high end
    ],
)
def test_stop_only_when_the_value_is_negative_even_at_the_high_end(probability, high, saving, cost, advice):
    assert advice_of(pilot_value_usd(probability, saving, cost), pilot_value_usd(high, saving, cost)) is advice


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1e7), st.floats(0, 1e6))
def test_a_likelier_success_is_worth_more_and_certain_success_the_saving_less_the_cost(one, other, saving, cost):
    low, high = sorted((one, other))
    assert pilot_value_usd(low, saving, cost) <= pilot_value_usd(high, saving, cost)
    assert pilot_value_usd(1.0, saving, cost) == saving - cost
    assert pilot_value_usd(0.0, saving, cost) == -cost


def test_the_chance_of_an_undecided_graded_test_is_the_normal_one():
    found = replace(result(UNDECIDED), probability=None, difference=-0.02, limit=-0.05, low=-0.02 - 0.0329, high=-0.02 + 0.0329)
    assert chance_within(found) == pytest.approx(0.933, abs=0.001)  # error 0.0329 / 1.645 = 0.02; Phi(0.03 / 0.02) = Phi(1.5)


def test_a_month_of_waiting_forgoes_the_difference_of_the_last_months_and_the_bill_holds_the_retraining():
    project = playbook_of(decision(), option_id=TUNED)
    option, baseline = decision().option(TUNED), decision().option(decision().choice.baseline_option_id)
    assert project.saving_month_usd == pytest.approx(baseline.months[-1].total_usd - option.months[-1].total_usd)
    monthly = next(line.usd for line in option.months[-1].lines if line.name == "retraining")
    assert project.retraining_year_usd == pytest.approx(12 * monthly)
    assert project.retraining_once_usd == pytest.approx(12 * monthly / 2)
    assert playbook_of(decision(), option_id=SMALL).retraining_year_usd == 0.0


def test_a_project_is_plain_json():
    text = dumps(playbook_json(playbook_of(decision(), entries(Stage.TASK), [look(result(PASS), Stage.TUNING)], option_id=TUNED)))
    assert '"verdict": "within"' in text
    assert '"advice": "run"' in text


# ---- repeated looks ----


def test_the_same_cases_hold_two_looks_at_two_and_three_hundredths_and_not_two_at_five():
    same = [f"case-{number}" for number in range(400)]
    first = look(result(UNDECIDED, UNTUNED, alpha=0.02), Stage.EXPERIMENT, 1, cases=same, alpha=0.02)
    assert counted([first, look(result(PASS, alpha=0.03), Stage.TUNING, 2, cases=same, alpha=0.03)])[1].result.verdict == "within"
    over = counted([first, look(result(PASS, alpha=0.031), Stage.TUNING, 2, cases=same, alpha=0.031)])[1].result
    assert over.verdict is GateVerdict.UNDECIDED
    assert "0.02 of their 0.05 is spent" in over.sentence
    full = look(result(UNDECIDED, UNTUNED), Stage.EXPERIMENT, 1, cases=same)
    assert "used up" in counted([full, look(result(PASS), Stage.TUNING, 2, cases=same)])[1].result.sentence


def test_a_sealed_second_set_holds_its_whole_level_and_unknown_cases_are_taken_as_the_same():
    first = look(result(UNDECIDED, UNTUNED), Stage.EXPERIMENT, 1)
    assert counted([first, look(result(PASS), Stage.TUNING, 2)])[1].result.verdict is GateVerdict.WITHIN
    assert counted([first, look(result(PASS), Stage.TUNING, 2, cases=[])])[1].result.verdict is GateVerdict.UNDECIDED


def test_a_failure_stays_a_failure_on_used_cases():
    same = ["a", "b"]
    looks = [look(result(UNDECIDED, UNTUNED), Stage.EXPERIMENT, 1, cases=same), look(result(FAIL), Stage.TUNING, 2, cases=same)]
    assert counted(looks)[1].result.verdict is GateVerdict.OUTSIDE


def test_candidates_of_one_look_and_looks_of_one_plan_spend_their_level_once():
    same = ["a", "b"]
    together = [
        look(result(PASS, TUNED), Stage.TUNING, 1, cases=same, name="holm"),
        look(result(PASS, SMALL), Stage.TUNING, 1, cases=same, name="holm"),
    ]
    assert [one.result.verdict for one in counted(together)] == ["within", "within"]
    assert alpha_spent(together, sketch(same)) == 0.05
    planned = [look(result(counts), Stage.TUNING, day, cases=same, planned=800) for day, counts in ((1, UNDECIDED), (2, PASS))]
    assert counted(planned)[1].result.verdict is GateVerdict.WITHIN


@given(st.sets(st.integers(0, 60), min_size=1), st.sets(st.integers(0, 60), min_size=1))
def test_the_shared_share_of_small_tests_is_exact(one, other):
    share = shared_share(sketch(map(str, one)), sketch(map(str, other)))
    assert share == len(one & other) / len(one | other)


def test_the_shared_share_of_large_tests_is_a_fair_estimate():
    one, other = sketch(f"{n}" for n in range(30_000)), sketch(f"{n}" for n in range(15_000, 45_000))
    assert shared_share(one, other) == pytest.approx(15_000 / 45_000, abs=0.03)


def test_the_newest_look_of_each_option_counts_until_the_day_and_a_fresh_sample_that_decides_nothing_undoes_no_pass():
    looks = [
        look(result(UNDECIDED), Stage.TUNING, 1),
        look(result(PASS), Stage.TUNING, 3),
        look(result(FAIL, "", arm="api_small"), Stage.EXPERIMENT, 4),
        look(result(UNDECIDED), Stage.PRODUCTION, 6),
    ]
    assert [one.verdict for one in latest_gates(looks, date(2026, 11, 2))] == ["undecided"]
    assert [(one.option_id, one.arm, one.verdict) for one in latest_gates(looks)] == [(TUNED, "", "within"), ("", "api_small", "outside")]
    gone = [*looks, look(result(FAIL), Stage.PRODUCTION, 8)]
    assert latest_looks(gone)[-1].result.verdict is GateVerdict.OUTSIDE


def test_the_rule_on_looks_is_told_before_the_first_test_and_after_it():
    assert "before tuning at 0.02 and after it at 0.03" in playbook_of(decision(), option_id=TUNED).looks_rule
    assert "test once at 0.05" in playbook_of(decision(), option_id=SMALL).looks_rule
    first = look(result(UNDECIDED, UNTUNED, alpha=0.02), Stage.EXPERIMENT, alpha=0.02)
    assert "0.02 is spent: test at 0.03 on the cases used so far" in playbook_of(decision(), [], [first], option_id=TUNED).looks_rule


# ---- drift ----


def test_the_interval_of_a_change_adds_the_two_half_widths_as_squares():
    before = replace(result(PASS), difference=0.0, low=-0.03, high=0.03)
    after = replace(result(PASS), difference=-0.06, low=-0.10, high=-0.02)
    assert change_interval(before, after) == pytest.approx((-0.06 - 0.05, -0.06 + 0.05))  # sqrt(0.04^2 + 0.03^2) = 0.05


@pytest.mark.parametrize(
    ("fresh", "cases", "alarm"),
    [
        (PASS, None, Alarm.NONE),
        (UNDECIDED, None, Alarm.NOT_SHOWN),
        (FAIL, None, Alarm.BELOW),
        (PairedCounts(both=800, option_only=120, baseline_only=20, neither=60), None, Alarm.CHANGED),
        (PASS, ["old"], Alarm.NOT_FRESH),
    ],
)
def test_a_fresh_sample_raises_the_gravest_alarm_that_applies(fresh, cases, alarm):
    passed = look(result(PASS), Stage.TUNING, 1, cases=["old", "older"])
    found = drift_of(passed, look(result(fresh), Stage.PRODUCTION, 9, cases=cases))
    assert found.alarm is alarm


def test_drift_is_held_against_the_test_that_was_passed_and_stands_in_the_sentence():
    looks = [look(result(PASS), Stage.TUNING, 1), look(result(FAIL), Stage.PRODUCTION, 9)]
    project = playbook_of(decision(), entries(*Stage), looks)
    assert project.option_id == TUNED  # it is in production, whatever is recommended today
    assert project.drift.alarm is Alarm.BELOW
    assert project.drift.change == pytest.approx(-100 / 600)
    assert project.next is None
    assert "retrain" in project.sentence


# ---- what is kept ----


def graded(n=400, seed=1):
    generator = np.random.default_rng(seed)
    baseline = generator.uniform(0.6, 1.0, n)
    option = np.clip(baseline + generator.normal(0.0, 0.05, n), 0.0, 1.0)
    labels = np.array([f"case-{number}" for number in range(n)])
    cluster = np.arange(n) // 4
    return CaseScores(
        name="small", items=labels, baseline=baseline, option=option, cluster=cluster, slice=np.arange(n) % 2, slices=("a", "b")
    )


def place(tmp_path):
    return settings({"RIGHTSIZE_DATA_DIR": str(tmp_path)})


def test_a_result_that_was_kept_comes_back_equal_and_the_same_look_is_kept_once(tmp_path):
    home, now = place(tmp_path), datetime(2026, 11, 22, 10, tzinfo=UTC)
    found = [gate(graded(), option_id=TUNED, as_of=date(2026, 11, 20)), gate_counts(UNDECIDED)]
    kept = save_gates(home, "Invoices", found, stage=Stage.TUNING, created=now, items=graded().items, who=" Ana ")
    again = save_gates(home, "Invoices", found, stage=Stage.TUNING, created=now.replace(hour=12), items=graded().items)
    assert again == kept == list_gates(home, "Invoices")
    assert kept[0].result == found[0]
    assert kept[1].result == replace(found[1], as_of=date(2026, 11, 22))
    assert (kept[0].who, kept[0].alpha, kept[0].look) == ("Ana", pytest.approx(0.05), kept[1].look)
    assert get_gate(home, kept[0].id) == kept[0]
    assert shared_share(kept[0].cases, sketch(graded().items)) == 1.0
    assert list_gates(home, "Other") == ()
    assert [one.option_id for one in stored_gates(home, "Invoices", date(2026, 11, 22))] == [TUNED, ""]
    assert stored_gates(home, "Invoices", date(2026, 11, 21)) == ()


def test_entries_are_kept_in_order_and_none_is_changed(tmp_path):
    home, now = place(tmp_path), datetime(2026, 11, 22, 10, tzinfo=UTC)
    save_entry(home, "Invoices", Stage.TASK, created=now, who="Ana", note="exact match")
    save_entry(home, "Invoices", Stage.TASK, created=now, done=False, note="the rule was wrong")
    save_entry(home, "Other", Stage.DATA, created=now)
    found = list_entries(home, "Invoices")
    assert [(entry.stage, entry.done, entry.who, entry.note) for entry in found] == [
        ("task", True, "Ana", "exact match"),
        ("task", False, "", "the rule was wrong"),
    ]
    assert playbook_of(decision(), found, option_id=TUNED).next is Stage.TASK


def test_an_unknown_result_and_an_empty_look_are_told(tmp_path):
    with pytest.raises(InputError, match="no kept test result has the id 'x'"):
        get_gate(place(tmp_path), "x")
    with pytest.raises(InputError, match="no result to keep"):
        save_gates(place(tmp_path), "Invoices", [], stage=Stage.TUNING, created=datetime(2026, 11, 22, tzinfo=UTC))


# ---- the next test ----


def test_the_next_test_is_of_the_untuned_form_then_of_the_option_then_of_a_fresh_sample():
    found = decision()
    before = playbook_of(found, option_id=TUNED)
    assert next_test(before, found) == (Stage.EXPERIMENT, "", "small_untuned")
    tried = look(result(FAIL, "", arm="small_untuned"), Stage.EXPERIMENT, 1, alpha=0.02)
    assert next_test(playbook_of(found, [], [tried], option_id=TUNED), found) == (Stage.TUNING, TUNED, "fine_tuned_7b")
    passed = look(result(PASS), Stage.TUNING, 2)
    assert next_test(playbook_of(found, [], [tried, passed], option_id=TUNED), found) == (Stage.PRODUCTION, TUNED, "fine_tuned_7b")
    assert next_test(playbook_of(found, option_id=SMALL), found) == (Stage.EXPERIMENT, SMALL, "api_small")


def test_the_level_of_the_next_test_is_what_its_cases_still_hold():
    tuned, small = playbook_of(decision(), option_id=TUNED), playbook_of(decision(), option_id=SMALL)
    same = sketch(["a", "b"])
    first = look(result(FAIL, "", arm="small_untuned"), Stage.EXPERIMENT, 1, cases=["a", "b"], alpha=0.02)
    assert next_alpha(Stage.EXPERIMENT, tuned, [], same) == 0.02
    assert next_alpha(Stage.EXPERIMENT, small, [], same) == 0.05
    assert next_alpha(Stage.TUNING, tuned, [first], same) == pytest.approx(0.05 - 0.02)
    assert next_alpha(Stage.TUNING, tuned, [first], sketch(["c"])) == 0.05


def test_the_command_keeps_entries_and_tests_and_says_what_is_next(tmp_path, monkeypatch):
    workload, scores = tmp_path / "w.toml", tmp_path / "scores.csv"
    workload.write_text('name = "Invoices"\ntokens_per_day = 50e6\ncomplexity = "extraction"\nlabelled_examples = 20000\n')
    rows = [f"case-{number},1,{int(number % 5 > 0)}" for number in range(400)]
    scores.write_text("\n".join(["item,baseline,candidate", *rows]))

    monkeypatch.setenv("RIGHTSIZE_DATA_DIR", str(tmp_path / "kept"))

    def run(*arguments):
        return CliRunner().invoke(app, ["playbook", str(workload), "--option", TUNED, *arguments])

    said = " ".join(run("--done", "task", "--note", "exact match", "--who", "Ana").stdout.split())
    assert "1 of 6 stages done; next is data audit" in said
    document = json.loads(run("--scores", str(scores), "--json").stdout)
    experiment = document["stages"][3]
    assert (experiment["state"], experiment["gate"]["verdict"], experiment["gate"]["n"]) == ("done", "outside", 400)
    assert experiment["gate"]["confidence"] == pytest.approx(1 - 2 * 0.02)
    assert document["stages"][0]["done"]["note"] == "exact match"
    refused = run("--note", "alone").exception
    assert isinstance(refused, InputError)
    assert str(refused).startswith("--note and --who are kept with a stage")


def test_two_looks_at_the_split_level_pass_a_model_at_the_limit_in_at_most_five_percent():
    rounds = 20_000
    cells = np.random.default_rng(7).multinomial(400, [0.675, 0.075, 0.125, 0.125], size=(rounds, 2))  # 0.075 - 0.125 = -0.05
    z = tango_z(cells[..., 1], cells[..., 2], 400, -0.05)
    passed = z > stats.norm.isf([FIRST_LOOK_ALPHA, SECOND_LOOK_ALPHA])
    assert passed.any(axis=1).mean() <= 0.055
    assert (z > stats.norm.isf(0.05)).any(axis=1).mean() > 0.08  # what the split prevents


def test_what_was_tested_before_stays_visible_whatever_is_pursued():
    failed = look(result(FAIL, SMALL), Stage.EXPERIMENT, 1)
    project = playbook_of(decision(), [], [failed], option_id=TUNED)
    assert [(one.option_id, one.verdict) for one in project.tested] == [(SMALL, "outside")]
