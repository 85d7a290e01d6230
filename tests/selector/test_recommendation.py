"""Whole decisions: the contract's keys, the arithmetic to the cent, the laws, and stories with known right answers."""

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.plan import replicas_needed
from facts.errors import InputError
from selector.catalog import load_catalog
from selector.gates import MIN_PROBABILITY
from selector.public import dumps, to_json
from selector.recommendation import expected_usd, recommend
from selector.results import Action, Arm, Placement
from tests.selector.decisions import DAY, decide, scenario

FREE_PEOPLE = {
    "staff_fte_api": 0.0,
    "staff_fte_rented": 0.0,
    "staff_fte_owned": 0.0,
    "implementation_usd": 0.0,
    "evaluation_usd": 0.0,
    "finetune_engineering_usd": 0.0,
    "labels_usd": 0.0,
    "months_to_live": 0,
    "retrains_per_year": 0,
    "supporting_infra_rented_usd_per_month": 0.0,
    "supporting_infra_owned_usd_per_month": 0.0,
}


def by_arm(decision, arm, placement=None):
    return [o for o in decision.options if o.arm is arm and (placement is None or o.placement is placement)]


def baseline_of(decision):
    return decision.option(decision.choice.baseline_option_id)


def lines_of(option, month):
    return {line.name: line.usd for line in option.months[month - 1].lines}


# ---- the arithmetic ----


def test_fifty_million_tokens_a_day_at_fifteen_dollars_is_273750_a_year_and_not_a_month():
    decision = decide(prices={"api_blended_usd_per_mtok": 15})
    api = baseline_of(decision)
    month = lines_of(api, 1)["tokens"]
    assert month == pytest.approx(50 * 15 * 365 / 12, abs=1e-6)
    assert month == pytest.approx(22_812.50, abs=1e-6)
    assert month * 12 / 365 == pytest.approx(750.00, abs=1e-6)
    assert sum(lines_of(api, m)["tokens"] for m in range(1, 13)) == pytest.approx(273_750.00, abs=1e-6)
    assert api.upfront_usd == 0.0
    assert api.roi is None
    assert len(by_arm(decision, Arm.API)) == 1
    assert not [line for m in api.months for line in m.lines if line.name.startswith("tokens_")]


def test_list_prices_bill_input_and_output_apart():
    decision = decide(requests_per_day=20_000, input_tokens_mean=1500, output_tokens_mean=300, complexity="qa")
    lines = lines_of(baseline_of(decision), 1)
    assert lines["tokens_input"] == pytest.approx(20_000 * 1500 * 365 / 12 / 1e6 * 2.50, abs=1e-6)  # GPT-4o, 2.50 in
    assert lines["tokens_output"] == pytest.approx(20_000 * 300 * 365 / 12 / 1e6 * 10.00, abs=1e-6)  # and 10.00 out
    assert "tokens" not in lines


def test_until_an_option_is_live_it_pays_the_baselines_bill_and_its_servers_from_one_month_before():
    decision = decide(prices={"api_blended_usd_per_mtok": 15})
    base = baseline_of(decision).months[0].total_usd
    (rented,) = by_arm(decision, Arm.FINE_TUNED_7B, Placement.RENTED)
    assert rented.live_after_months == 3
    assert [lines_of(rented, m)["double_running"] for m in (1, 2, 3, 4)] == pytest.approx([base, base, base, 0.0])
    assert [lines_of(rented, m)["rental"] > 0 for m in (1, 2, 3, 4)] == [False, False, True, True]
    (untuned,) = by_arm(decision, Arm.SELF_HOSTED_70B, Placement.RENTED)
    assert untuned.live_after_months == 2
    hosted = by_arm(decision, Arm.HOSTED_OPEN)[0]
    assert hosted.live_after_months == 1
    assert lines_of(hosted, 1)["tokens_input"] == 0.0
    assert lines_of(hosted, 2)["tokens_input"] > 0.0


def test_months_to_live_moves_every_option_but_the_baseline():
    decision = decide(assumptions={"months_to_live": 0})
    assert all("double_running" not in lines_of(option, 1) for option in decision.options if option.months)


def test_total_is_upfront_plus_months_and_every_ratio_follows_from_it():
    decision = decide()
    base = baseline_of(decision)
    tokens = 50e6 * 365 / 1e6
    for option in decision.options:
        if option.total_usd is None:
            continue
        assert option.total_usd == pytest.approx(option.upfront_usd + sum(m.total_usd for m in option.months))
        assert all(m.total_usd == pytest.approx(sum(line.usd for line in m.lines)) for m in option.months)
        assert option.upfront_usd == pytest.approx(sum(line.usd for line in option.upfront_lines))
        assert option.usd_per_mtok == pytest.approx(option.total_usd / tokens)
        assert option.run_rate_year_usd == pytest.approx(12 * option.months[-1].total_usd)
        if option.upfront_usd:
            assert option.roi == pytest.approx((base.total_usd - option.total_usd) / option.upfront_usd)


def test_expected_cost_weighs_success_against_the_test_and_staying():
    decision = decide()
    base = baseline_of(decision)
    for option in decision.options:
        if not option.feasible or option.id == base.id:
            continue
        p = option.quality.probability
        tested = {"labels", "evaluation", "finetune_runs", "finetune_engineering"}
        spent = sum(line.usd for line in option.upfront_lines if line.name in tested)
        assert option.spent_if_it_fails_usd == pytest.approx(spent)
        assert option.expected_usd == pytest.approx(p * option.total_usd + (1 - p) * (spent + base.total_usd))
    assert base.expected_usd == base.total_usd
    assert expected_usd(0.75, 100.0, 20.0, 400.0) == 0.75 * 100 + 0.25 * (20 + 400)


def test_wrong_cases_cost_only_what_the_user_says_and_only_in_the_expected_cost():
    free, dear = decide(), decide(assumptions={"usd_per_wrong_case": 0.10})
    one, other = by_arm(free, Arm.API_SMALL)[0], by_arm(dear, Arm.API_SMALL)[0]
    assert one.error_cost_usd == 0.0
    assert other.total_usd == one.total_usd
    requests = 50e6 / 1200 * 365 / 12 * 11  # live from the second month
    assert other.error_cost_usd == pytest.approx(requests * 0.025 * 0.10)
    p = one.quality.probability
    assert other.expected_usd - one.expected_usd == pytest.approx(p * other.error_cost_usd)
    assert baseline_of(dear).error_cost_usd == 0.0


def test_payback_counts_from_the_start_of_the_project():
    decision = decide(prices={"api_blended_usd_per_mtok": 15})
    base = baseline_of(decision)
    option = by_arm(decision, Arm.API_SMALL)[0]
    running, payback = -option.upfront_usd, None
    for month, (mine, theirs) in enumerate(zip(option.months, base.months, strict=True)):
        saved = theirs.total_usd - mine.total_usd
        if running < 0 <= running + saved:
            payback = month - running / saved
        running += saved
    assert option.payback_months == pytest.approx(payback)


def test_one_token_a_month_above_the_capacity_of_n_replicas_costs_exactly_one_replica_more():
    document = {"prices": {"gpu_usd_per_hour": 2.0}, "assumptions": FREE_PEOPLE, "tokens_per_day": 4e9}
    first = by_arm(decide(**document), Arm.SELF_HOSTED_70B, Placement.RENTED)[0]
    at_capacity = first.plan.capacity_tokens_per_month
    full = by_arm(decide(**{**document, "tokens_per_day": at_capacity * 12 / 365}), Arm.SELF_HOSTED_70B, Placement.RENTED)[0]
    over = by_arm(decide(**{**document, "tokens_per_day": (at_capacity + 1) * 12 / 365}), Arm.SELF_HOSTED_70B, Placement.RENTED)[0]
    assert full.plan.replicas == first.plan.replicas
    assert over.plan.server == full.plan.server
    assert over.plan.replicas == full.plan.replicas + 1
    assert over.total_usd - full.total_usd == pytest.approx(full.plan.gpus_per_replica * 2.0 * 730 * 12)


def test_replicas_follow_growth_month_by_month_and_spares_come_on_top():
    decision = decide(tokens_per_day=1e9, growth_per_month_share=0.10, assumptions={"spare_replicas": 2})
    option = by_arm(decision, Arm.SELF_HOSTED_70B, Placement.RENTED)[0]
    rental = [lines_of(option, month)["rental"] for month in range(3, 13)]
    assert rental == sorted(rental)
    assert rental[-1] > rental[0]
    per_replica = option.plan.replica_tokens_per_month
    last = 1e9 * 1.10**11 * 365 / 12
    assert option.plan.replicas == replicas_needed(last, per_replica) + 2
    assert option.plan.spare_replicas == 2


# ---- the contract ----


def test_the_json_has_every_key_of_the_contract_and_no_nan():
    document = json.loads(dumps(to_json(decide())))
    assert {"as_of", "method_version", "inputs_sha256", "path", "leaf", "recommendation", "options", "sources"} <= set(document)
    assert {"node", "question", "value", "answer", "because"} <= set(document["path"][0])
    assert isinstance(document["leaf"], str)
    wanted = "action option_id baseline_option_id tree_option_id cheapest_option_id why_they_differ sentence saving_usd npv_usd"
    assert {*wanted.split(), "payback_months", "probability"} <= set(document["recommendation"])
    wanted = (
        "id arm placement model feasible refused_because good_enough_probability plan upfront_usd months total_usd expected_usd "
        "usd_per_mtok npv_usd roi payback_months"
    )
    for option in document["options"]:
        assert set(wanted.split()) <= set(option)
        if option["plan"]:
            assert {"replicas", "gpus_per_replica", "utilization_share", "basis"} <= set(option["plan"])
        for month in option["months"]:
            assert set(month) == {"month", "lines", "total_usd"}
    assert [month["month"] for month in document["options"][0]["months"]] == list(range(1, 13))
    assert len({option["id"] for option in document["options"]}) == len(document["options"])


def test_the_same_inputs_give_the_same_bytes_and_another_input_another_hash():
    one, two, other = decide(), decide(), decide(labelled_examples=20_001)
    assert dumps(to_json(one)) == dumps(to_json(two))
    assert one.inputs_sha256 == two.inputs_sha256 != other.inputs_sha256


def test_a_decision_changes_its_hash_with_the_prices_of_its_day():
    given = scenario()
    later = recommend(given, load_catalog(DAY, given.prices))
    earlier = recommend(given, load_catalog(DAY.replace(month=6), given.prices))
    assert later.inputs_sha256 != earlier.inputs_sha256


def test_every_number_in_use_has_a_source_with_a_basis():
    decision = decide()
    keys = [line.key for line in decision.sources]
    assert len(keys) == len(set(keys))
    for line in decision.sources:
        assert line.basis
        assert line.url, line.key
        assert line.value, line.key
    used = {line.key for line in decision.sources}
    assert "price.openai:gpt-4o" in used
    assert any(key.startswith("rent.") for key in used)
    assert any(key.startswith("speed.") for key in used)
    assert "assumption.utilization_ceiling_share" in used


def test_the_fixed_table_has_its_three_rows_whatever_is_recommended():
    for decision in (decide(), decide(residency="on_prem"), decide(complexity="reasoning")):
        assert [row.label for row in decision.table] == ["GPT-4-class API", "Self-hosted 70B", "Fine-tuned 7B"]
        for row in decision.table:
            option = decision.option(row.option_id)
            assert (row.total_usd, row.upfront_usd, row.roi) == (option.total_usd, option.upfront_usd, option.roi)
            assert row.refused_because == option.refused_because


def test_the_articles_linear_method_stands_beside_with_the_difference_explained():
    decision = decide()
    api, seventy, tuned = decision.article_method
    assert api.usd_per_year == pytest.approx(273_750.00)  # printed in the article as a month
    assert seventy.usd_per_month == pytest.approx(50 * 1.50 * 365 / 12)
    assert tuned.usd_per_year == pytest.approx(50 * 0.15 * 365)
    assert "always full" in seventy.because
    for row, shown in zip(decision.article_method, decision.table, strict=True):
        assert row.label == shown.label
        assert row.our_usd_per_mtok == decision.option(shown.option_id).usd_per_mtok


def test_nothing_is_called_measured_that_is_not():
    decision = decide(residency="on_prem")
    assert decision.measured.share == 0.0
    assert "not measured on the server it would run on" in decision.measured.sentence
    assert all(option.plan is None or option.plan.basis in ("estimated", "calibrated") for option in decision.options)


# ---- gates ----


def test_on_prem_refuses_api_managed_and_rented_and_shows_them_still():
    decision = decide(residency="on_prem")
    for option in decision.options:
        outside = option.placement in (Placement.API, Placement.MANAGED, Placement.RENTED)
        assert outside == bool(option.refused_because and option.refused_because.startswith("residency:"))
    assert "double_running" not in lines_of(by_arm(decision, Arm.FINE_TUNED_7B, Placement.OWNED)[0], 1)


def test_region_refuses_a_provider_that_is_not_cleared_with_not_shown():
    decision = decide(residency="region", allowed_providers=["azure", "RunPod"])
    for option in decision.options:
        if option.placement in (Placement.API, Placement.MANAGED, Placement.RENTED) and option.provider.casefold() not in (
            "azure",
            "runpod",
        ):
            assert "not shown" in option.refused_because
    assert decision.option(decision.choice.option_id).provider in ("RunPod", "azure", "")
    assert any(option.feasible and option.provider == "RunPod" for option in decision.options)


def test_a_tuned_model_is_refused_when_the_knowledge_changes_daily():
    decision = decide(knowledge_changes="daily")
    assert all("daily" in o.refused_because for o in by_arm(decision, Arm.FINE_TUNED_7B))
    assert decision.choice.tree_option_id in {o.id for o in by_arm(decision, Arm.FINE_TUNED_7B)}
    assert "refused" in decision.choice.why_they_differ


@pytest.mark.parametrize(("labels", "refused"), [(0, True), (99, True), (100, False)])
def test_tuning_needs_a_hundred_labels(labels, refused):
    option = by_arm(decide(labelled_examples=labels), Arm.FINE_TUNED_7B, Placement.RENTED)[0]
    assert (option.refused_because or "").startswith("labels:") == refused


def test_a_prompt_beyond_the_window_is_refused_with_both_numbers():
    decision = decide(requests_per_day=100, input_tokens_mean=150_000, output_tokens_mean=500)
    option = by_arm(decision, Arm.FINE_TUNED_7B, Placement.RENTED)[0]
    assert "150,500" in option.refused_because
    assert "40,960" in option.refused_because
    assert len(option.base_model.left_out) == 4  # none of this class has a window that wide


def test_a_service_level_nothing_keeps_refuses_with_both_times():
    decision = decide(residency="on_prem", tpot_p95_ms=0.5)
    assert decision.choice.action is Action.NONE_FEASIBLE
    assert decision.choice.option_id is None
    assert decision.choice.sentence.startswith("No option passes")
    assert any("ms are allowed" in (option.refused_because or "") for option in decision.options)


def test_this_machine_asks_for_a_probe_before_it_is_offered():
    (machine,) = by_arm(decide(), Arm.THIS_MACHINE)
    assert not machine.feasible
    assert "python -m probes llamacpp" in machine.refused_because
    assert machine.total_usd is None


def test_an_unknown_baseline_names_the_nearest_and_own_prices_make_it_known():
    with pytest.raises(InputError, match="gpt-4o"):
        decide(baseline_model="openai:gpt-4oo")
    decision = decide(baseline_model="ourhost:in-house", prices={"api_blended_usd_per_mtok": 3.0})
    assert baseline_of(decision).total_usd == pytest.approx(50 * 365 * 3.0 + 0.05 * 18_000 * 12)


# ---- stories with known right answers ----


def test_hospital_only_owned_servers_or_this_machine():
    decision = decide(residency="on_prem")
    chosen = decision.option(decision.choice.option_id)
    assert chosen.placement in (Placement.OWNED, Placement.LOCAL)
    assert all(o.placement in (Placement.OWNED, Placement.LOCAL) for o in decision.options if o.feasible)


def test_at_todays_list_price_fifty_million_tokens_a_day_do_not_pay_for_ones_own_servers():
    decision = decide()
    chosen = decision.option(decision.choice.option_id)
    assert chosen.placement in (Placement.API, Placement.MANAGED)
    base = baseline_of(decision).total_usd
    assert all(o.total_usd > base for o in decision.options if o.placement in (Placement.RENTED, Placement.OWNED))


def test_at_fifteen_dollars_self_hosting_and_tuning_beat_the_api_within_the_year():
    decision = decide(prices={"api_blended_usd_per_mtok": 15})
    for arm in (Arm.SELF_HOSTED_70B, Arm.FINE_TUNED_7B):
        assert min(o.total_usd for o in by_arm(decision, arm)) < baseline_of(decision).total_usd
        assert min(o.payback_months for o in by_arm(decision, arm) if o.payback_months is not None) <= 12


def test_maths_goes_to_a_larger_model_whatever_the_labels():
    for labels in (0, 5_000, 1_000_000):
        decision = decide(complexity="reasoning", task_type="math", labelled_examples=labels)
        assert decision.leaf.id == "larger"
        assert decision.option(decision.choice.option_id).arm in (Arm.API, Arm.HOSTED_OPEN, Arm.SELF_HOSTED_70B)


def test_twenty_billion_tokens_a_day_never_stay_on_the_flagship():
    decision = decide(tokens_per_day=20e9)
    assert decision.choice.action is Action.TEST_FIRST
    assert decision.option(decision.choice.option_id).arm in (Arm.FINE_TUNED_7B, Arm.SMALL_UNTUNED, Arm.API_TUNED, Arm.API_SMALL)


@pytest.mark.parametrize("complexity", ["classification", "extraction", "qa", "code", "generation", "reasoning"])
@pytest.mark.parametrize("labels", [0, 300, 20_000])
def test_a_start_up_never_gets_its_own_gpu(complexity, labels):
    decision = decide(tokens_per_day=1e6, complexity=complexity, labelled_examples=labels)
    assert decision.option(decision.choice.option_id).placement in (Placement.API, Placement.MANAGED)


def test_before_a_gate_is_passed_the_sentence_says_test_first_and_stay():
    decision = decide()
    assert decision.choice.action is Action.TEST_FIRST
    assert "first; until it passes, stay on openai:gpt-4o" in decision.choice.sentence
    assert not [d for d in (decide(), decide(tokens_per_day=20e9)) if d.choice.action is Action.MOVE]


def test_where_today_may_not_stay_and_nothing_is_likely_the_trees_pick_is_kept_with_its_chance():
    decision = decide(residency="on_prem", complexity="reasoning")
    chosen = decision.option(decision.choice.option_id)
    assert chosen.arm is Arm.SELF_HOSTED_70B
    assert chosen.quality.probability < MIN_PROBABILITY
    assert any("nothing likelier is left" in verdict.reason for verdict in chosen.verdicts)


# ---- laws ----


@settings(max_examples=25, deadline=None)
@given(
    tokens=st.floats(1e5, 5e9),
    factor=st.floats(1.0, 20.0),
    complexity=st.sampled_from(["classification", "extraction", "qa", "generation"]),
)
def test_more_tokens_never_cost_less(tokens, factor, complexity):
    few, many = (decide(tokens_per_day=volume, complexity=complexity) for volume in (tokens, tokens * factor))
    for option in few.options:
        more = many.option(option.id)
        if option.total_usd is not None and more.total_usd is not None:
            assert more.total_usd >= option.total_usd - 1e-6


@settings(max_examples=25, deadline=None)
@given(
    tokens=st.floats(1e4, 1e10),
    labels=st.integers(0, 100_000),
    complexity=st.sampled_from(
        ["classification", "extraction", "routing", "code", "reasoning", "analysis", "qa", "generation", "synthesis"]
    ),
    residency=st.sampled_from(["any", "on_prem"]),
    peak=st.floats(1, 20),
    growth=st.floats(-0.1, 0.2),
    horizon=st.integers(1, 36),
)
def test_the_recommended_is_the_feasible_option_of_lowest_expected_cost(tokens, labels, complexity, residency, peak, growth, horizon):
    decision = decide(
        tokens_per_day=tokens,
        labelled_examples=labels,
        complexity=complexity,
        residency=residency,
        peak_to_mean=peak,
        growth_per_month_share=growth,
        horizon_months=horizon,
    )
    feasible = [o for o in decision.options if o.feasible]
    assert feasible
    assert decision.choice.option_id == min(feasible, key=lambda o: (o.expected_usd, o.id)).id
    assert decision.choice.cheapest_option_id == min(feasible, key=lambda o: (o.total_usd, o.id)).id
    assert all(math.isfinite(o.total_usd) for o in feasible)
    assert all(len(o.months) == horizon for o in feasible)
    dumps(to_json(decision))


# ---- the command line ----


def run_selector(*arguments, data_dir, **environ):
    return subprocess.run(
        [sys.executable, "-m", "selector", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "HOME": str(data_dir), "RIGHTSIZE_DATA_DIR": str(data_dir), "PYTHONPATH": ".", **environ},
    )


WORKLOAD = 'tokens_per_day = 50_000_000\ncomplexity = "extraction"\nlabelled_examples = 20_000\n'


def test_the_command_line_prints_the_same_json_as_the_library_and_keeps_it(tmp_path):
    file = tmp_path / "w.toml"
    file.write_text(WORKLOAD)
    done = run_selector("decide", str(file), "--json", "--as-of", DAY.isoformat(), data_dir=tmp_path / "data")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads(dumps(to_json(decide())))
    again = run_selector("decide", str(file), "--as-of", DAY.isoformat(), data_dir=tmp_path / "data")
    assert again.returncode == 0
    assert document["recommendation"]["sentence"] in " ".join(again.stdout.split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (WORKLOAD + "tokens_per_dy = 1\n", "unknown key 'tokens_per_dy' (nearest known: 'tokens_per_day')"),
        (WORKLOAD.replace("50_000_000", "-1"), "'tokens_per_day' = -1"),
        (WORKLOAD.replace('"extraction"', '"extracting"'), "'complexity' = 'extracting'"),
        (WORKLOAD + "[assumptions]\nstaff = 1\n", "[assumptions]: unknown key 'staff'"),
        (WORKLOAD + "[prices]\ngpu_usd_per_hour = 'two'\n", "'gpu_usd_per_hour'"),
        ("tokens_per_day = ", "not valid TOML"),
        (None, "no such file"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_two(tmp_path, text, words):
    file = tmp_path / "w.toml"
    if text is not None:
        file.write_text(text)
    done = run_selector("decide", str(file), data_dir=tmp_path / "data")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_a_database_that_cannot_be_written_is_one_line(tmp_path):
    file = tmp_path / "w.toml"
    file.write_text(WORKLOAD)
    done = run_selector("decide", str(file), data_dir=tmp_path, DATABASE_URL="sqlite:////proc/nowhere/x.sqlite3")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the database /proc/nowhere/x.sqlite3 cannot be created")
    assert done.stderr.count("\n") == 1


# ---- batches, energy, the amortised view ----


def test_the_baseline_stands_first_and_the_others_are_ranked_behind_it():
    for decision in (decide(), decide(tokens_per_day=20e9), decide(can_wait_share=0.5), decide(residency="on_prem")):
        assert decision.options[0].id == decision.choice.baseline_option_id
        expected = [o.expected_usd for o in decision.options[1:] if o.feasible]
        assert expected == sorted(expected)
        feasible = [o.feasible for o in decision.options[1:]]
        assert feasible == sorted(feasible, reverse=True)


def test_what_can_wait_is_billed_at_half_and_never_under_a_blended_price():
    decision = decide(can_wait_share=0.5)
    batch = decision.option("api-openai-gpt-4o-batch")
    base = baseline_of(decision)
    assert batch.arm is Arm.API
    assert batch.quality.probability == 1.0
    assert lines_of(batch, 2)["tokens_input"] == pytest.approx(lines_of(base, 2)["tokens_input"] * (0.5 + 0.5 * 0.5))
    assert [line.name for line in batch.upfront_lines] == ["implementation"]
    assert decide().option("api-openai-gpt-4o-batch") is None
    blended = decide(can_wait_share=0.5, prices={"api_blended_usd_per_mtok": 15})
    assert len(by_arm(blended, Arm.API)) == 1


def test_a_model_without_a_batch_price_says_so():
    decision = decide(can_wait_share=0.5, baseline_model="groq:llama-3.3-70b-versatile")
    assert "no batch price" in decision.option("api-groq-llama-3.3-70b-versatile-batch").refused_because


def test_energy_is_gpus_times_kilowatts_times_hours_times_pue():
    decision = decide(residency="on_prem", assumptions={"server_kw_per_gpu": 0.5, "pue": 1.2, "grid_kg_co2e_per_kwh": 0.4})
    option = by_arm(decision, Arm.SELF_HOSTED_70B, Placement.OWNED)[0]
    gpus = option.plan.replicas * option.plan.gpus_per_replica
    months = 12 - 2 + 1  # untuned: live after two months, servers from the second
    assert option.energy_kwh == pytest.approx(gpus * 0.5 * 730 * 1.2 * months)
    assert option.co2e_kg == pytest.approx(option.energy_kwh * 0.4)
    assert option.kwh_per_mtok == pytest.approx(option.energy_kwh / (50 * 365))
    assert baseline_of(decision).energy_kwh is None
    assert decide().option(option.id).co2e_kg is None


def test_the_amortised_view_of_an_owned_server_stands_beside_its_cash_total():
    assumed = {"life_years": 4, "residual_share": 0.0, "capital_share_per_year": 0.0}
    decision = decide(residency="on_prem", assumptions=assumed)
    option = by_arm(decision, Arm.SELF_HOSTED_70B, Placement.OWNED)[0]
    servers = next(line.usd for line in option.upfront_lines if line.name == "servers")
    assert option.amortised_total_usd == pytest.approx(option.total_usd - servers + servers / 48 * 12)
    assert by_arm(decision, Arm.SELF_HOSTED_70B, Placement.RENTED)[0].amortised_total_usd is None


# ---- a small model first ----


def test_a_cascade_pays_the_small_model_for_every_request_and_the_large_one_for_the_escalated():
    decision = decide(assumptions={"cascade_escalation_share": 0.25})
    (cascade,) = by_arm(decision, Arm.CASCADE)
    small = decision.option("api-small-gpt-6-luna")
    base = baseline_of(decision)
    for line in ("tokens_input", "tokens_output"):
        assert lines_of(cascade, 5)[line] == pytest.approx(lines_of(small, 5)[line] + 0.25 * lines_of(base, 5)[line])
    assert lines_of(cascade, 1)["double_running"] == pytest.approx(base.months[0].total_usd)
    assert small.quality.probability < cascade.quality.probability < 1.0


def test_a_cascade_that_accepts_nothing_pays_both_models():
    decision = decide(assumptions={"cascade_escalation_share": 1.0})
    (cascade,) = by_arm(decision, Arm.CASCADE)
    assert lines_of(cascade, 5)["tokens_input"] > lines_of(baseline_of(decision), 5)["tokens_input"]


def test_a_current_flagship_stands_beside_todays_model_unless_that_is_it():
    assert [o.id for o in by_arm(decide(), Arm.API)] == ["api-openai-gpt-4o", "api-flagship-gpt-6-sol"]
    assert len(by_arm(decide(baseline_model="openai:gpt-6-sol"), Arm.API)) == 1


def test_published_cases_stand_beside_each_chance():
    document = to_json(decide())
    small = next(option for option in document["options"] if option["id"] == "api-small-gpt-4o-mini")
    assert small["good_enough_cases"]


# ---- on the users' devices ----


def test_the_edge_is_an_option_only_where_devices_are_named_and_enough_of_them():
    assert not by_arm(decide(), Arm.EDGE)
    few, many = (decide(edge_device="Apple M3 Pro", edge_devices=count) for count in (1, 100_000))
    (refused,), (offered,) = by_arm(few, Arm.EDGE), by_arm(many, Arm.EDGE)
    assert f"needs {refused.plan.replicas:,} machines like this one, and there is one" in refused.refused_because
    assert offered.feasible
    assert offered.placement is Placement.LOCAL
    assert offered.plan.replicas == refused.plan.replicas
    assert "energy" not in {line.name for line in offered.months[-1].lines}


def test_an_edge_device_that_nobody_knows_is_named_with_the_nearest():
    (option,) = by_arm(decide(edge_device="Apple M33", edge_devices=10), Arm.EDGE)
    assert "M33" in option.refused_because


def test_a_device_without_its_number_is_refused():
    with pytest.raises(InputError, match="belong together"):
        decide(edge_device="Apple M3")


def test_the_term_of_the_rent_is_the_users_choice_and_says_what_it_risks():
    by_hour, spot = decide(), decide(prices={"rental_term": "spot"})
    (dear,), (cheap,) = (by_arm(d, Arm.SELF_HOSTED_70B, Placement.RENTED) for d in (by_hour, spot))
    assert lines_of(cheap, 5)["rental"] < lines_of(dear, 5)["rental"]
    assert any("taken away" in note for note in cheap.notes)
    assert not any("taken away" in note for note in dear.notes)


def test_ones_own_rents_and_servers_stand_over_the_bundled_ones(tmp_path):
    rents, file = tmp_path / "rents.csv", tmp_path / "w.toml"
    rents.write_text("provider,device_id,gpus,usd_per_hour,term,as_of\nOurCloud,nvidia-l4,1,0.10,on_demand,2026-11-01\n")
    file.write_text(WORKLOAD)
    arguments = ("decide", str(file), "--json", "--no-save", "--as-of", DAY.isoformat(), "--rents", str(rents))
    done = run_selector(*arguments, data_dir=tmp_path / "data")
    assert done.returncode == 0, done.stderr
    option = next(o for o in json.loads(done.stdout)["options"] if o["id"] == "fine-tuned-8b-rented")
    assert option["months"][5]["lines"]["rental"] <= 2 * 0.44 * 730


def test_a_teachers_labels_are_priced_from_its_tokens_and_never_leave_the_premises():
    document = {"complexity": "qa", "task_type": "qa_closed", "labelled_examples": 200}
    people, taught = decide(**document), decide(**document, assumptions={"teacher_labels_share": 1.0})
    labels = [
        next(line.usd for line in by_arm(d, Arm.FINE_TUNED_7B, Placement.RENTED)[0].upfront_lines if line.name == "labels")
        for d in (people, taught)
    ]
    each = (1000 * 2.50 + 200 * 10.00) / 1e6  # GPT-4o on one example
    assert labels[0] == pytest.approx((800 * 2.00 + 200 * 2.00 * 0.25) * 1.15)
    assert labels[1] == pytest.approx((800 * (each + 2.00 * 0.25) + 200 * 2.00 * 0.25) * 1.15)
    at_home = decide(**document, residency="on_prem", assumptions={"teacher_labels_share": 1.0})
    assert "teacher_labels_share" in by_arm(at_home, Arm.FINE_TUNED_7B, Placement.OWNED)[0].refused_because


# ---- budget and licence ----


def test_a_bill_above_the_budget_is_refused_with_both_amounts_and_one_at_it_is_not():
    total = by_arm(decide(), Arm.FINE_TUNED_7B, Placement.MANAGED)[0].total_usd
    at, below = (by_arm(decide(budget_usd=limit), Arm.FINE_TUNED_7B, Placement.MANAGED)[0] for limit in (total, total - 1))
    assert at.feasible
    assert below.refused_because == f"budget: ${total:,.0f} over 12 months is above the budget of ${total - 1:,.0f}"


def test_a_licence_that_is_not_allowed_refuses_the_weights_and_no_api():
    decision = decide(licences=["apache-2.0"])
    for option in decision.options:
        if option.model == "llama-3.3-70b":
            assert option.refused_because.startswith("licence:")
        elif option.placement is Placement.API or option.model.startswith("qwen"):
            assert not (option.refused_because or "").startswith("licence:")


def test_a_commitment_is_paid_through_a_falling_volume_and_says_what_it_still_owes():
    falling = {"tokens_per_day": 20e9, "growth_per_month_share": -0.2}
    free, bound = (
        by_arm(decide(**falling, prices={"rental_term": "reserved_from", **more}), Arm.SELF_HOSTED_70B, Placement.RENTED)[0]
        for more in ({}, {"commitment_months": 12})
    )
    assert lines_of(free, 12)["rental"] < lines_of(free, 3)["rental"]
    assert lines_of(bound, 12)["rental"] == pytest.approx(lines_of(bound, 3)["rental"])
    (note,) = [note for note in bound.notes if "committed" in note]
    owed = lines_of(bound, 12)["rental"] * (12 - 11)  # servers from month 2: eleven months of the term lie inside the year
    assert f"${owed:,.0f} of it is still owed" in note


def test_a_commitment_without_a_reserved_rent_is_refused():
    with pytest.raises(InputError, match="goes with rental_term 'reserved_from'"):
        decide(prices={"commitment_months": 12})
