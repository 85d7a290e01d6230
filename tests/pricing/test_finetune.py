"""What tuning costs, with the arithmetic in the assert."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.assumptions import Assumptions, register
from pricing.finetune import (
    finetune_costs,
    labels_usd,
    managed_tuning,
    own_training_usd_per_mtok,
    retraining_usd_per_month,
    teacher_labels_usd,
    training_gpu_hours,
    training_tokens,
)
from pricing.prices import PriceBook
from workloads.demand import Complexity


def costs(assumptions=Assumptions(), complexity=Complexity.CLASSIFICATION, labelled=10_000, tokens=500.0, price=0.50):  # noqa: B008
    return finetune_costs(assumptions, complexity=complexity, labelled_examples=labelled, tokens_per_example=tokens, run_usd_per_mtok=price)


def test_ten_thousand_examples_of_500_tokens_three_times():
    """15 M tokens at 0.50 are 7.50 USD; with 2.5 runs until one is good, 18.75."""
    assert training_tokens(10_000, 500, 3) == 15e6
    bill = costs()
    assert bill.training_tokens == 15e6
    assert bill.run_usd == 15 * 0.50 == 7.50
    assert bill.runs_usd == 7.50 * 2.5 == 18.75


def test_people_cost_more_than_computing():
    bill = costs()
    assert bill.engineering_usd == 40 * 1_500
    assert bill.evaluation_usd == pytest.approx(2 * 600 * 0.10 + 5 * 1_500)
    assert bill.engineering_usd + bill.labels_usd + bill.evaluation_usd > 1_000 * bill.runs_usd


@pytest.mark.parametrize(("params_b", "usd"), [(7, 0.50), (16, 0.50), (16.1, 3.00), (70, 3.00), (80, 3.00), (80.1, 6.00), (671, 10.00)])
def test_the_managed_price_follows_the_models_size(params_b, usd):
    row = managed_tuning(params_b)
    assert row is not None
    assert (row.provider, row.usd_per_mtok) == ("Fireworks", usd)


def test_the_managed_price_of_named_providers():
    together = managed_tuning(8.03, providers=["together"])
    assert together is not None
    assert (together.usd_per_mtok, together.usd_per_mtok_high) == (0.48, 1.35)
    assert managed_tuning(8.03, providers=["Nobody"]) is None
    full = managed_tuning(8.03, kind="full_sft")
    assert full is not None
    assert full.usd_per_mtok == 1.0


@pytest.mark.parametrize(
    ("labelled", "missing", "checked"),
    [(0, 1_000, 0), (999, 1, 999), (1_000, 0, 1_000), (10_000, 0, 10_000), (10_001, 0, 10_000), (10**9, 0, 10_000)],
)
def test_only_what_is_missing_is_labelled_and_the_rest_checked(labelled, missing, checked):
    assert costs(labelled=labelled).labels_usd == pytest.approx((missing + checked * 0.25) * 0.10 * 1.15)


def test_a_reasoned_label_costs_more_than_a_class():
    assert costs(complexity=Complexity.QA).labels_usd == pytest.approx(20 * costs().labels_usd)


def test_stated_amounts_win():
    stated = Assumptions(labels_usd=5_000, evaluation_usd=9_000, finetune_engineering_usd=80_000, finetune_usd_per_mtok=2.0)
    bill = costs(stated)
    assert (bill.labels_usd, bill.evaluation_usd, bill.engineering_usd, bill.run_usd) == (5_000, 9_000, 80_000, 30.0)
    assert bill.upfront_usd == 5_000 + 9_000 + 80_000 + 75.0 == sum(float(line.usd) for line in bill.upfront_lines)
    assert [line.name for line in bill.upfront_lines] == ["labels", "evaluation", "finetune_runs", "finetune_engineering"]


def test_four_retrainings_a_year_add_four_times_runs_evaluation_and_fresh_labels():
    bill = costs(Assumptions(retrains_per_year=4))
    each = 18.75 + (120 + 7_500) + 10_000 * 0.25 * 0.10 * 1.15
    assert bill.retrain_usd == pytest.approx(each)
    assert 12 * bill.retraining_usd_per_month == pytest.approx(4 * each)
    assert retraining_usd_per_month(each, 0) == 0.0


def test_zeroing_the_first_labels_leaves_the_retraining_alone():
    with_labels, without = costs(), costs(Assumptions(labels_usd=0.0))
    assert with_labels.upfront_usd - without.upfront_usd == pytest.approx(with_labels.labels_usd)
    assert with_labels.retraining_usd_per_month == without.retraining_usd_per_month


def test_training_on_an_h100_of_ones_own():
    """6 x 8.03e9 x 15e6 x 0.67 FLOP over 989e12 x 0.30 FLOP/s: 0.453 h; full tuning takes 1/0.67 of it."""
    hours = training_gpu_hours(15e6, 8.03, peak_tflops=989, mfu_share=0.30)
    assert hours == pytest.approx(6 * 8.03e9 * 15e6 * 0.67 / (989e12 * 0.30 * 3600))
    assert training_gpu_hours(15e6, 8.03, peak_tflops=989, mfu_share=0.30, lora=False) == pytest.approx(hours / 0.67)
    per_mtok = own_training_usd_per_mtok(8.03, peak_tflops=989, mfu_share=0.30, usd_per_gpu_hour=3.99)
    assert 15 * per_mtok == pytest.approx(hours * 3.99)


def test_labels_by_a_teacher_cost_its_tokens():
    """1,000 examples x (1,000 x 2.50 + 200 x 10.00) / 1e6 = 4.50."""
    teacher = PriceBook.load(date(2026, 11, 22)).api_price("openai:gpt-4o", input_tokens=1000)
    assert teacher_labels_usd(1_000, teacher, input_tokens=1_000, output_tokens=200) == pytest.approx(2.50 + 2.00)
    assert teacher_labels_usd(1_000, teacher, input_tokens=1_000, output_tokens=200, passes=3) == pytest.approx(13.50)


def test_a_teachers_labels_are_still_checked_by_a_person():
    """Nothing labelled, 1,000 needed: 1,000 x (0.0045 teacher + 0.25 x 0.10 check) x 1.15; retraining refreshes a quarter of that."""
    common = {"complexity": Complexity.CLASSIFICATION, "labelled_examples": 0, "tokens_per_example": 500.0, "run_usd_per_mtok": 0.50}
    taught = finetune_costs(Assumptions(teacher_labels_share=1.0), **common, teacher_usd_per_label=0.0045)
    assert taught.labels_usd == pytest.approx(1_000 * (0.0045 + 0.025) * 1.15)
    assert taught.label_refresh_usd == pytest.approx(taught.labels_usd / 4)
    assert taught.labels_usd < finetune_costs(Assumptions(), **common).labels_usd
    assert taught.evaluation_usd == finetune_costs(Assumptions(), **common).evaluation_usd  # the test set is labelled by people


@given(labelled=st.integers(0, 20_000), more=st.integers(0, 20_000), needed=st.integers(0, 20_000))
def test_more_existing_labels_never_cost_more(labelled, more, needed):
    def bill(existing):
        return labels_usd(existing, needed, usd_per_label=2.0, usd_per_check=0.5, overhead_share=0.15)

    assert bill(labelled + more) <= bill(labelled) + 1e-9


def test_the_placements_have_their_own_defaults_and_one_override():
    default = Assumptions()
    assert [default.implementation(place) for place in ("api", "managed", "rented", "owned", "local")] == [15e3, 15e3, 40e3, 50e3, 40e3]
    assert {Assumptions(implementation_usd=0).implementation(place) for place in ("api", "rented", "owned")} == {0.0}


def test_months_to_live_by_kind():
    default = Assumptions()
    assert default.live_after_months(tuned=True, self_hosted=True) == 3 == default.live_after_months(tuned=True, self_hosted=False)
    assert default.live_after_months(tuned=False, self_hosted=True) == 2
    assert default.live_after_months(tuned=False, self_hosted=False) == 1
    assert Assumptions(months_to_live=0).live_after_months(tuned=True, self_hosted=True) == 0


def test_running_costs_by_placement():
    default = Assumptions(monitoring_usd_per_month=100, on_call_usd_per_month=500)
    api, baseline, rented, owned, local = (
        default.running("api"),
        default.running("api", baseline=True),
        default.running("rented"),
        default.running("owned"),
        default.running("local"),
    )
    assert (api.staff_fte, rented.staff_fte, owned.staff_fte, local.staff_fte) == (0.05, 0.2, 0.25, 0.25)
    assert (api.supporting_infra_usd_per_month, rented.supporting_infra_usd_per_month, owned.supporting_infra_usd_per_month) == (
        0,
        1_800,
        1_500,
    )
    assert (api.on_call_usd_per_month, rented.on_call_usd_per_month) == (0, 500)
    assert (api.monitoring_usd_per_month, baseline.monitoring_usd_per_month) == (100, 0)


def test_the_register_says_what_the_user_changed():
    notes = {note.key: note for note in register(Assumptions(staff_fte_api=0.1, labels_usd=7))}
    assert (notes["staff_fte_api"].value, notes["staff_fte_api"].changed, notes["staff_fte_api"].source.url) == (
        "0.1",
        True,
        "entered by the user",
    )
    assert (notes["staff_fte_rented"].value, notes["staff_fte_rented"].changed) == ("0.2", False)
    assert notes["labels_usd"].value == "7"
