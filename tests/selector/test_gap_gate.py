"""The gap gate: published test vectors to the printed digits, laws, false passes by simulation, and every file that is wrong."""

import json
import subprocess
import sys
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from facts.errors import InputError
from selector.__main__ import app
from selector.case_scores import MINIMUM_ITEMS, CaseScores, item_f1, read_scores, scores_from_csv
from selector.gap_gate import (
    GateVerdict,
    Margin,
    gate,
    gate_by_holm,
    gate_counts,
    gate_json,
    gate_sealed,
    items_with_repeats,
    plan_test,
)
from selector.paired import (
    PairedCounts,
    clustered_interval,
    holm,
    items_needed,
    mean_interval,
    nam_interval,
    newcombe_interval,
    ratio_interval,
    tango_interval,
    tango_z,
)
from tests.soak.gap_gate import drawn, pass_share_absolute, pass_share_relative, relative_passes

POINTS = Margin(share=0.05, relative=False)
PERCENT = Margin(share=0.05, relative=True)


def counts(a, b, c, d):
    return PairedCounts(both=a, option_only=b, baseline_only=c, neither=d)


def columns(a, b, c, d):
    return np.repeat([1.0, 0.0, 1.0, 0.0], [a, b, c, d]), np.repeat([1.0, 1.0, 0.0, 0.0], [a, b, c, d])


def scores(baseline, option, **more):
    baseline, option = np.asarray(baseline, float), np.asarray(option, float)
    return CaseScores(name="the small model", items=np.arange(len(baseline)).astype(str), baseline=baseline, option=option, **more)


def ends(interval):
    return round(interval.low, 4), round(interval.high, 4)


# ---- vectors of evidence.md C.5 ----


def test_the_published_example_at_95_percent():
    published = counts(36, 12, 2, 0)
    assert ends(newcombe_interval(published, 0.95)) == (0.0569, 0.3404)
    assert ends(tango_interval(published, 0.95)) == (0.0611, 0.3447)


@pytest.mark.parametrize(
    ("abcd", "newcombe", "tango", "z"),
    [
        ((150, 12, 18, 20), (-0.0764, 0.0160), (-0.0769, 0.0156), 0.723),
        ((330, 22, 30, 18), (-0.0504, 0.0101), (-0.0505, 0.0099), 1.621),
        ((95, 0, 0, 5), (-0.0287, 0.0287), (-0.0263, 0.0263), 2.294),
        ((20, 0, 0, 0), (-0.1192, 0.1192), (-0.1192, 0.1192), None),
        ((800, 60, 60, 80), (-0.0182, 0.0182), (-0.0182, 0.0182), 4.325),
        ((400, 30, 55, 15), (-0.0807, -0.0197), None, 0.000),
    ],
)
def test_vectors_at_90_percent(abcd, newcombe, tango, z):
    table = counts(*abcd)
    assert ends(newcombe_interval(table, 0.9)) == newcombe
    if tango:
        assert ends(tango_interval(table, 0.9)) == tango
    if z is not None:
        assert round(tango_z(table.option_only, table.baseline_only, table.n, -0.05), 3) == z


def test_ratio_vectors_of_nam_and_blackwelder():
    assert ends(nam_interval(counts(150, 12, 18, 20), 0.9)) == (0.9099, 1.0192)
    assert ends(nam_interval(counts(330, 22, 30, 18), 0.9)) == (0.9445, 1.0112)


def test_the_relative_lower_bound_of_the_z_mean():
    baseline, option = columns(330, 22, 30, 18)
    assert round(mean_interval(option - 0.95 * baseline, 0.9).low, 4) == -0.0041


@pytest.mark.parametrize(
    ("abcd", "verdict"),
    [
        ((150, 12, 18, 20), GateVerdict.UNDECIDED),
        ((330, 22, 30, 18), GateVerdict.UNDECIDED),
        ((400, 30, 55, 15), GateVerdict.UNDECIDED),
        ((400, 10, 75, 15), GateVerdict.OUTSIDE),
        ((95, 0, 0, 5), GateVerdict.WITHIN),
        ((20, 0, 0, 0), GateVerdict.UNDECIDED),
        ((800, 60, 60, 80), GateVerdict.WITHIN),
    ],
)
def test_three_verdicts_on_both_margins(abcd, verdict):
    assert gate_counts(counts(*abcd), POINTS).verdict is verdict
    assert gate_counts(counts(*abcd), PERCENT).verdict is verdict


def test_twenty_identical_items_pass_no_gate_although_the_two_never_differ():
    same = scores(np.ones(20), np.ones(20))
    assert gate(same, POINTS).verdict is GateVerdict.UNDECIDED
    assert gate(same, PERCENT).verdict is GateVerdict.UNDECIDED


# ---- the sentence ----


def test_the_sentence_of_an_undecided_gate_says_how_many_more():
    found = gate_counts(counts(330, 22, 30, 18), POINTS)
    # 6.18 x (52/400 - 0.02^2) / 0.03^2 = 891, less the 400 there are
    assert found.extra_items == 491
    assert found.sentence == (
        "On 400 of your cases the candidate is 2.0 points lower; the true gap is between 5.0 lower and 1.0 higher (90%); your limit is 5: "
        "not decided; about 490 more labelled cases would settle it with 80% chance if the gap is as it looks."
    )


def test_the_sentence_of_a_passed_gate():
    found = gate_counts(counts(800, 60, 60, 80), POINTS)
    assert found.sentence.endswith("is equal; the true gap is between 1.8 lower and 1.8 higher (90%); your limit is 5: shown good enough.")
    assert found.extra_items is None


def test_a_gap_at_the_limit_needs_no_number_of_cases():
    found = gate_counts(counts(400, 30, 55, 15), POINTS)
    assert found.extra_items is None
    assert "no number of cases" in found.sentence


def test_the_result_carries_what_a_ranking_needs():
    found = gate(scores(*columns(800, 60, 60, 80)), POINTS, option_id="tuned", arm="fine_tuned_7b", as_of=date(2026, 11, 22))
    assert (found.option_id, found.arm, found.as_of, found.n) == ("tuned", "fine_tuned_7b", date(2026, 11, 22), 1000)
    assert found.limit == -0.05
    assert found.low > found.limit
    document = json.loads(json.dumps(gate_json(found), allow_nan=False))
    assert document["verdict"] == "within"
    assert document["counts"] == {"both": 800, "option_only": 60, "baseline_only": 60, "neither": 80}


def test_the_bayesian_twin_is_near_the_bar_where_the_test_is_near_the_limit():
    assert gate_counts(counts(330, 22, 30, 18), POINTS).probability == pytest.approx(0.95, abs=0.01)
    assert gate_counts(counts(800, 60, 60, 80), POINTS).probability > 0.999


# ---- laws ----

tables = st.tuples(st.integers(0, 300), st.integers(0, 60), st.integers(0, 60), st.integers(0, 300)).filter(lambda t: sum(t) >= 10)


@given(tables)
@settings(max_examples=60, deadline=None)
def test_swapping_the_models_flips_the_signs(abcd):
    table = counts(*abcd)
    for interval in (tango_interval, newcombe_interval):
        here, there = interval(table, 0.9), interval(table.swapped(), 0.9)
        assert here.low == pytest.approx(-there.high, abs=1e-6)
        assert here.high == pytest.approx(-there.low, abs=1e-6)


@given(st.integers(0, 3000), st.integers(0, 3000))
@settings(max_examples=40, deadline=None)
def test_no_disagreement_never_yields_a_zero_width_interval(both, neither):
    if both + neither < 5:
        both += 5
    table = counts(both, 0, 0, neither)
    for interval in (tango_interval, newcombe_interval):
        found = interval(table, 0.9)
        assert found.low < 0 < found.high
        assert found.high - found.low > 1.0 / (10 * table.n)


@given(tables.filter(lambda t: t[0] + t[3] >= t[1] + t[2]))  # where nearly all items differ the interval touches the end of the scale
@settings(max_examples=60, deadline=None)
def test_an_agreeing_item_never_widens_tango(abcd):
    a, b, c, d = abcd
    before, after = tango_interval(counts(a, b, c, d), 0.9), tango_interval(counts(a + 1, b, c, d), 0.9)
    assert after.high - after.low <= before.high - before.low + 1e-6


@given(tables.filter(lambda t: t[0] + t[2] > 0 and sum(t) >= MINIMUM_ITEMS), st.sampled_from([POINTS, PERCENT]))
@settings(max_examples=60, deadline=None)
def test_the_verdict_is_the_interval_against_the_limit(abcd, margin):
    found = gate_counts(counts(*abcd), margin)
    assert (found.verdict is GateVerdict.WITHIN) == (found.low > found.limit)
    assert (found.verdict is GateVerdict.OUTSIDE) == (found.high < found.limit)
    assert found.low <= found.difference + 1e-9
    assert found.difference <= found.high + 1e-9


@given(tables.filter(lambda t: t[0] + t[2] > 0), st.sampled_from([0.02, 0.05, 0.1]))
@settings(max_examples=40, deadline=None)
def test_a_wider_margin_never_turns_a_pass_into_something_else(abcd, share):
    for relative in (True, False):
        narrow = gate_counts(counts(*abcd), Margin(share=share, relative=relative))
        wide = gate_counts(counts(*abcd), Margin(share=2 * share, relative=relative))
        if narrow.verdict is GateVerdict.WITHIN:
            assert wide.verdict is GateVerdict.WITHIN


def test_fieller_and_the_z_mean_agree_at_the_limit():
    generator = np.random.default_rng(4)
    for _ in range(20):
        baseline = generator.random(80)
        option = np.clip(baseline - 0.02 + generator.normal(0, 0.15, 80), 0, 1)
        above = mean_interval(option - 0.95 * baseline, 0.9).low > 0
        assert above == (ratio_interval(baseline, option, 0.9).low > 0.95)


# ---- simulated false passes and power: a small version of tests/soak/gap_gate.py ----


@pytest.mark.parametrize("n", [50, 200, 800])
def test_a_model_exactly_on_the_margin_passes_in_at_most_6_percent(n):
    assert pass_share_absolute(n, gap=-0.05, tables=6000, seed=n) <= 0.06
    assert pass_share_relative(n, gap=-0.04, tables=6000, seed=n) <= 0.06


def test_the_simulated_relative_gate_is_the_gate():
    found = drawn(120, gap=0.01, tables=40, seed=1)
    gated = [gate_counts(counts(*(int(count) for count in row)), PERCENT).verdict is GateVerdict.WITHIN for row in found]
    assert gated == relative_passes(found, 120).tolist()
    assert 0 < sum(gated) < 40


@pytest.mark.parametrize(("n", "gap", "published"), [(50, 0.0, 0.19), (200, 0.02, 0.71), (400, 0.0, 0.72), (800, -0.02, 0.61)])
def test_power_is_that_of_the_table(n, gap, published):
    assert pass_share_absolute(n, gap=gap, tables=6000, seed=n) == pytest.approx(published, abs=0.03)


# ---- graded scores, clusters, corpus metrics, seeds ----


def test_graded_scores_need_the_t_test_and_the_bootstrap_to_agree():
    generator = np.random.default_rng(7)
    baseline = generator.random(300)
    option = np.clip(baseline + generator.normal(0, 0.05, 300), 0, 1)
    found = gate(scores(baseline, option), PERCENT)
    assert {one.method for one in found.intervals} == {"paired t", "BCa bootstrap"}
    assert found.low == min(one.low for one in found.intervals)
    assert found.verdict is GateVerdict.WITHIN
    assert found.counts is None


def test_ten_thousand_graded_items_leave_the_bootstrap_out():
    baseline = np.random.default_rng(1).random(10_000)
    assert {one.method for one in gate(scores(baseline, baseline * 0.99), PERCENT).intervals} == {"paired t"}


def test_clusters_of_copies_count_once():
    generator = np.random.default_rng(3)
    baseline, option = (generator.random((2, 40)) < 0.8).astype(float)
    copied = np.arange(40).repeat(25)
    plain = gate(scores(baseline.repeat(25), option.repeat(25)), POINTS)
    clustered = gate(scores(baseline.repeat(25), option.repeat(25), cluster=copied), POINTS)
    assert clustered.clusters == 40
    assert clustered.high - clustered.low > 4 * (plain.high - plain.low)
    values = option - baseline
    once = mean_interval(values, 0.9)
    inflated = clustered_interval(values.repeat(25), copied, 0.9)
    assert inflated.high - inflated.low == pytest.approx(once.high - once.low, rel=0.02)


def test_five_clusters_never_pass():
    found = gate(scores(*columns(800, 60, 60, 80), cluster=np.arange(1000) % 5), POINTS)
    assert found.verdict is GateVerdict.UNDECIDED
    assert "5 clusters are too few" in found.sentence


def test_corpus_f1_is_that_of_the_sums():
    generator = np.random.default_rng(5)
    baseline = generator.integers(0, 6, (200, 3)).astype(float)
    option = baseline + np.array([0.0, 1.0, 0.0]) * (generator.random((200, 1)) < 0.5)
    found = gate(scores(item_f1(baseline), item_f1(option), baseline_counts=baseline, option_counts=option), POINTS)
    tp, fp, fn = baseline.sum(axis=0)
    assert found.baseline_mean == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert {one.method for one in found.intervals} == {"paired t", "BCa bootstrap"}
    student, bootstrap = found.intervals
    assert student.low == pytest.approx(bootstrap.low, abs=0.01)


def test_seeds_are_averaged_and_one_can_be_gated_alone():
    rows = ["item,seed,baseline,candidate"]
    for item in range(60):
        rows += [f"q{item},1,{item % 5 > 0:d},{item % 5 > 0:d}", f"q{item},2,{item % 5 > 0:d},{item % 4 > 0:d}"]
    both = scores_from_csv("\n".join(rows))
    assert both.n == 60
    assert dict(both.seed_differences)["1"] == 0.0
    alone = scores_from_csv("\n".join(rows), seed="2")
    assert alone.right_or_wrong
    assert alone.option.mean() == pytest.approx(0.75)
    with pytest.raises(InputError, match="no row has seed '3', there are 1, 2"):
        scores_from_csv("\n".join(rows), seed="3")


# ---- several candidates, several looks ----


def test_holm_rejects_step_by_step():
    assert holm((0.01, 0.04, 0.03), 0.05) == (True, False, False)
    assert holm((0.01, 0.02, 0.03), 0.05) == (True, True, True)
    assert holm((0.02, 0.5), 0.05) == (True, False)


def test_one_candidate_by_holm_is_the_plain_gate_and_five_are_stricter():
    hair = scores(*columns(330, 24, 30, 16))
    alone = gate(hair, POINTS)
    assert alone.verdict is GateVerdict.WITHIN
    assert gate_by_holm([hair], POINTS)[0].verdict is GateVerdict.WITHIN
    assert [one.verdict for one in gate_by_holm([hair] * 5, POINTS)] == [GateVerdict.UNDECIDED] * 5


def test_a_sealed_split_tests_one_candidate_once():
    generator = np.random.default_rng(9)
    baseline = (generator.random(3000) < 0.8).astype(float)
    good, bad = baseline.copy(), baseline * (generator.random(3000) < 0.8)
    found = gate_sealed([scores(baseline, bad), scores(baseline, good)], POINTS)
    assert found.verdict is GateVerdict.WITHIN
    assert found.difference == 0.0
    assert 1300 < found.n < 1700
    with pytest.raises(InputError, match="not run on the same items"):
        gate_sealed([scores(baseline, bad), scores(baseline[:100], good[:100])], POINTS)


def test_an_early_look_is_stricter_and_the_plan_is_not_stretched():
    found = scores(*columns(330, 24, 30, 16))
    assert gate(found, POINTS).verdict is GateVerdict.WITHIN
    assert gate(found, POINTS, planned_items=2000).verdict is GateVerdict.UNDECIDED
    with pytest.raises(InputError, match="400 items are more than the 300 planned"):
        gate(found, POINTS, planned_items=300)


# ---- the plan ----


@pytest.mark.parametrize(
    ("psi", "worse", "equal", "better"),
    [(0.05, 341, 124, 63), (0.10, 685, 248, 126), (0.20, 1372, 495, 252), (0.23, 1578, 569, 290), (0.36, 2471, 891, 454)],
)
def test_the_published_table_of_sample_sizes(psi, worse, equal, better):
    for true, items in ((-0.02, worse), (0.0, equal), (0.02, better)):
        assert plan_test(baseline_share=0.7, discordant_share=psi, difference=true, margin=POINTS).items == pytest.approx(items, abs=1)


@pytest.mark.parametrize(("share", "expected"), [(0.04, (3086, 773, 343)), (0.03, (12341, 1374, 494))])
def test_smaller_margins_of_the_table(share, expected):
    for true, items in zip((-0.02, 0.0, 0.02), expected, strict=True):
        assert items_needed(0.2 - true**2, true + share, alpha=0.05, power=0.8) == pytest.approx(items, abs=1)


def test_unpaired_and_relative_plans():
    assert plan_test(baseline_share=0.8, discordant_share=0.2, margin=POINTS).unpaired_items == pytest.approx(792, abs=1)
    relative = plan_test(baseline_share=0.8, discordant_share=0.2, margin=PERCENT)
    # z = s - 0.95 r: mean 0.04, mean square 0.7 x 0.05^2 + 0.1 + 0.1 x 0.95^2 = 0.192, so 6.18 x (0.192 - 0.0016) / 0.0016
    assert relative.items == pytest.approx(6.1826 * (0.192 - 0.0016) / 0.0016, abs=1)


def test_clusters_and_repeats_in_a_plan():
    plain = plan_test(baseline_share=0.8, discordant_share=0.2, margin=POINTS)
    clustered = plan_test(baseline_share=0.8, discordant_share=0.2, margin=POINTS, items_per_cluster=10, cluster_correlation=0.1)
    assert clustered.items == pytest.approx(plain.items * 1.9, abs=2)
    assert clustered.clusters == -(-clustered.items // 10)
    # (1.96 + 0.84)^2 x (0.1 + 0.1/1 + 0.1/4) / 0.05^2
    repeated = items_with_repeats(
        between_variance=0.1, baseline_variance=0.1, baseline_answers=1, option_variance=0.1, option_answers=4, distance=0.05
    )
    assert repeated == pytest.approx(7.849 * 0.225 / 0.0025, rel=1e-3)


def test_a_gap_at_the_limit_cannot_be_planned():
    plan = plan_test(baseline_share=0.8, discordant_share=0.2, difference=-0.05, margin=POINTS)
    assert plan.items is None
    assert "no number of cases" in plan.sentence


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"baseline_share": 80}, "80 is no share"),
        ({"discordant_share": 0}, "0 items where exactly one is right"),
        ({"difference": 0.3}, "cannot be larger than the 0.2"),
        ({"baseline_share": 0.95}, "cannot differ on 0.2 of the items"),
        ({"power": 1.0}, "power of 1"),
        ({"alpha": 0.5}, "alpha of 0.5"),
    ],
)
def test_an_impossible_plan_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        plan_test(**{"baseline_share": 0.8, "discordant_share": 0.2, "margin": POINTS, **given})


@pytest.mark.parametrize("share", [0.0, -0.05, 0.5, 5])
def test_a_margin_is_a_share(share):
    with pytest.raises(InputError, match="is no margin"):
        Margin(share=share)


# ---- files ----

HEADING = "item,baseline,candidate\n"
GOOD = HEADING + "".join(f"q{item},{item % 5 > 0:d},{item % 4 > 0:d}\n" for item in range(40))


def test_a_good_file_in_other_spellings():
    plain = scores_from_csv(GOOD)
    assert plain.n == 40
    assert plain.right_or_wrong
    other = scores_from_csv(
        "\ufeff".removeprefix("\ufeff") + GOOD.replace("item,baseline,candidate", "ID;Baseline score;candidate_score").replace(",", ";")
    )
    assert (other.baseline == plain.baseline).all()
    assert (other.option == plain.option).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("item,baseline\nq1,1\n", "column 'candidate' is missing; the heading has item, baseline"),
        ("item,baseline,candidat\nq1,1,1\n", r"unknown column 'candidat' \(nearest known: 'candidate'\)"),
        ("item,baseline,candidate,baseline\nq1,1,1,1\n", "column 'baseline' stands twice"),
        (GOOD + "q40,1,1.5\n", "line 42: score 1.5 is outside 0 to 1; divide percentages by 100"),
        (GOOD + "q40,1,-1\n", "line 42: score -1 is outside 0 to 1"),
        (GOOD + "q40,1,nan\n", "line 42: score nan is outside 0 to 1"),
        (GOOD + "q40,1,yes\n", "line 42: 'yes' is no number"),
        (GOOD + "q40,1,\n", "line 42: a score is empty"),
        (GOOD + ",1,1\n", "line 42: no item"),
        (GOOD + "q40,1\n", "line 42: 2 fields where the heading has 3"),
        (GOOD + "q3,1,1\n", "line 42: item 'q3' already stands in line 5; add a column 'seed'"),
        (HEADING + "a,1,1\nb,0,1\nc,1,0\n", "3 items, at least 20 are needed"),
        (HEADING + "".join(f"q{item},1,1\n" for item in range(50)), "both models score 1 on all 50 items"),
        (HEADING + "".join(f"q{item},0,{item % 2}\n" for item in range(50)), "the baseline scores 0 on all 50 items"),
        (GOOD + '"q40,1,1\n', "not a CSV row"),
        (GOOD.replace("candidate", "candidate_tp"), "state the same thing twice"),
    ],
)
def test_a_bad_file_is_answered_with_its_line(text, message):
    with pytest.raises(InputError, match=message):
        scores_from_csv(text)


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "latin.csv").write_bytes("item,baseline,candidate\n\xe9,1,1".encode("latin-1"))
    for name, message in (("none.csv", "no such file"), ("", "is a folder"), ("latin.csv", "not UTF-8")):
        with pytest.raises(InputError, match=message):
            read_scores(tmp_path / name if name else tmp_path)


def test_slices_are_shown_and_marked():
    text = "item,baseline,candidate,slice\n" + "".join(f"q{item},1,{item % 10 > 0:d},{'de' if item % 2 else 'en'}\n" for item in range(60))
    found = gate(scores_from_csv(text), POINTS)
    assert {one.name: one.n for one in found.slices} == {"de": 30, "en": 30}
    assert next(one for one in found.slices if one.name == "en").difference == pytest.approx(-6 / 30)
    assert "slices are exploratory" in found.notes
    assert found.worst == ("q0", "q10", "q20", "q30", "q40", "q50")


def test_many_items_are_read_and_gated():
    generator = np.random.default_rng(0)
    baseline = generator.random(200_000) < 0.8
    option = baseline ^ (generator.random(200_000) < 0.02)
    rows = "\n".join(f"q{item},{one:d},{two:d}" for item, (one, two) in enumerate(zip(baseline, option, strict=True)))
    found = gate(scores_from_csv(HEADING + rows), PERCENT)
    assert found.n == 200_000
    assert found.verdict is GateVerdict.WITHIN
    assert found.high - found.low < 0.002


# ---- the command ----


def test_the_commands(tmp_path):
    path = tmp_path / "small.csv"
    path.write_text(GOOD)
    gated = CliRunner().invoke(app, ["gate", str(path), "--absolute", "--json"])
    assert json.loads(gated.stdout)["verdict"] in {"within", "outside", "undecided"}
    shown = CliRunner().invoke(app, ["gate", str(path), str(path)])
    assert shown.stdout.count("On 40 of your cases small is") == 2
    planned = CliRunner().invoke(app, ["plan-test", "--p-ref", "0.8", "--psi", "0.2", "--absolute", "--json"])
    assert json.loads(planned.stdout)["items"] == 495


def test_a_wrong_file_is_one_line_and_exit_code_2(tmp_path):
    path = tmp_path / "small.csv"
    path.write_text("item,baseline\nq,1\n")
    ended = subprocess.run([sys.executable, "-m", "selector", "gate", str(path)], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
