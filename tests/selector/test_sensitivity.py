"""Doubt: no doubt gives the decision back, moving one number is deciding again, and a step curve crosses where a brute-force scan says."""

import json
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from facts.errors import InputError
from selector.__main__ import app
from selector.catalog import load_catalog
from selector.evaluation import server_costs, servers_usd
from selector.quality import Kind
from selector.ranges import Shape, beta_of, between, drawn_values, known, ranges_of, workload_ranges
from selector.recommendation import conclude, consider
from selector.redecided import decide_at, nearest_changes, workload_at
from selector.results import Action
from selector.sensitivity import (
    Reached,
    break_even_volume,
    doubt,
    flips,
    negotiation,
    price_paths,
    quantiles,
    risk_adjusted_usd,
    simulate,
    staircase,
    to_json,
    tornado,
    widened,
)
from selector.worlds import BLOCK_ROWS, numbers_at, worlds_at
from tests.selector.decisions import DAY, scenario

DEAR = {"prices": {"api_blended_usd_per_mtok": 15}}
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
STORIES = {
    "dear": DEAR,
    "list": {},
    "german": {"tokens_counted_with": "openai:gpt-4o", "languages": ["de"]},
    "on_prem": {"residency": "on_prem"},
    "region": {"residency": "region", "allowed_providers": ["Together", "azure", "aws", "runpod"]},
    "growing": {"tokens_per_day": 2e9, "growth_per_month_share": 0.04, "horizon_months": 18},
    "small": {"tokens_per_day": 1e6, "labelled_examples": 300, "complexity": "classification"},
    "errors": {"assumptions": {"usd_per_wrong_case": 0.02, "months_to_live": 2, "rent_change_share_per_year": 0.3}},
    "one_month": {"horizon_months": 1, **DEAR},
    "reserved": {"tokens_per_day": 1e9, "prices": {"rental_term": "reserved_from", "commitment_months": 12}},
}


def considered_of(**document):
    given_scenario = scenario(**document)
    return consider(given_scenario, load_catalog(DAY, given_scenario.prices))


@cache
def story(name):
    return considered_of(**STORIES[name])


def ranges(considered):
    return ranges_of(considered.asked, considered.evaluations)


def totals(considered, key, values):
    column = np.array(values, dtype=float)[:, np.newaxis]
    worlds = worlds_at(considered, {key: column}, column.size)
    return {option.evaluation.option.id: option.total_usd for option in worlds.options}


# ---- no doubt ----


@pytest.mark.parametrize("name", STORIES)
def test_without_doubt_every_quantile_is_the_decisions_own_total(name):
    considered = story(name)
    decided = conclude(considered)
    simulation = simulate(considered, draws=7, ranges=[known(one) for one in ranges(considered)])
    for found in simulation.options:
        total = decided.option(found.option_id).total_usd
        assert [found.p10_usd, found.p50_usd, found.p90_usd] == pytest.approx([total] * 3, rel=1e-12)
        assert found.total_usd == total
        payback = decided.option(found.option_id).payback_months
        assert found.payback_p50_months == (None if payback is None else pytest.approx(payback, rel=1e-9))


@pytest.mark.parametrize("name", STORIES)
def test_servers_priced_only_to_be_compared_cost_what_their_bill_says(name):
    considered = story(name)
    values = {one.key: drawn_values(one, 5, seed=1) for one in ranges(considered)}
    for numbers in (considered.asked.numbers, numbers_at(considered, values)):
        supplies = [supply for found in considered.evaluations for supply in found.supplies if supply.price is None]
        assert supplies
        for supply in supplies:
            bill, compared = server_costs(supply, numbers), servers_usd(supply, numbers)
            np.testing.assert_array_equal(compared.total_usd, bill.total_usd)
            np.testing.assert_array_equal(compared.upfront_usd + 0.0 * bill.upfront_usd, bill.upfront_usd)
            np.testing.assert_array_equal(compared.months_usd, bill.month_totals_usd)


@pytest.mark.parametrize("name", STORIES)
def test_a_world_of_the_numbers_in_use_is_the_decision_itself(name):
    considered = story(name)
    decided = conclude(considered)
    values = {one.key: np.full((3, 1), one.base) for one in ranges(considered)}
    worlds = worlds_at(considered, values, 3)
    assert {worlds.recommended(row) for row in range(3)} == {decided.choice.option_id}
    for place, option in enumerate(worlds.options):
        shown = decided.option(option.evaluation.option.id)
        assert option.total_usd.tolist() == pytest.approx([shown.total_usd] * 3, rel=1e-12)
        assert bool(option.possible[0]) is shown.feasible
        if shown.expected_usd is not None:
            assert worlds.expected_usd[place].tolist() == pytest.approx([shown.expected_usd] * 3, rel=1e-12)


def test_a_range_without_doubt_draws_its_base_and_nothing_else():
    for one in ranges(story("dear")):
        assert set(drawn_values(known(one), 50, 3).ravel()) == {one.base}


# ---- draws ----


@given(
    low=st.floats(-5.0, 0.9),
    base=st.floats(1.0, 2.0),
    high=st.floats(2.1, 50.0),
    shares=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=9),
)
def test_draws_lie_between_the_ends_rise_with_their_share_and_have_the_base_as_their_median(low, base, high, shares):
    values = between(low, base, high, np.sort(np.array([*shares, 0.5])))
    assert (values >= low - 1e-9).all()
    assert (values <= high + 1e-9).all()
    assert (np.diff(values) >= -1e-9).all()
    assert between(low, base, high, np.array([0.0, 0.5, 1.0])).tolist() == pytest.approx([low, base, high])


@pytest.mark.parametrize(("mean", "low", "high"), [(0.57, 0.22, 0.88), (0.9, 0.63, 0.999), (0.06, 0.0, 0.28)])
def test_the_beta_behind_a_chance_keeps_its_mean_and_the_width_of_its_interval(mean, low, high):
    a, b = beta_of(mean, low, high)
    draws = np.random.default_rng(0).beta(a, b, 200_000)
    assert draws.mean() == pytest.approx(mean, abs=0.003)
    assert np.quantile(draws, 0.95) - np.quantile(draws, 0.05) == pytest.approx(high - low, abs=0.02)


def test_speeds_are_drawn_with_their_interval_as_eighty_percent():
    speed = next(one for one in ranges(story("dear")) if one.shape is Shape.NORMAL)
    draws = drawn_values(speed, 100_000, 5)
    assert np.mean((draws > speed.low) & (draws < speed.high)) == pytest.approx(0.80, abs=0.01)


def test_each_number_has_its_own_stream_and_the_seed_decides_it():
    volume, staff = (next(one for one in ranges(story("dear")) if one.key == key) for key in ("tokens_per_day", "fte_month_usd"))
    again = drawn_values(volume, 1_000, 1)
    assert (drawn_values(volume, 1_000, 1) == again).all()
    assert (drawn_values(volume, 1_000, 2) != again).any()
    assert abs(np.corrcoef(again[:, 0], drawn_values(staff, 1_000, 1)[:, 0])[0, 1]) < 0.1


def test_the_same_seed_gives_the_same_simulation_and_another_seed_another():
    considered = story("list")
    assert to_json(simulate(considered, draws=300, seed=4)) == to_json(simulate(considered, draws=300, seed=4))
    assert simulate(considered, draws=300, seed=4) != simulate(considered, draws=300, seed=5)


def test_permuting_the_options_changes_nothing():
    considered = story("dear")
    turned = replace(considered, evaluations=tuple(reversed(considered.evaluations)))
    assert to_json(simulate(considered, draws=200)) == to_json(simulate(turned, draws=200))
    assert to_json(tornado(considered)) == to_json(tornado(turned))


def test_rows_taken_in_blocks_are_the_rows_themselves():
    considered = story("growing")
    values = {one.key: drawn_values(one, BLOCK_ROWS + 5, 1) for one in ranges(considered) if one.shape is Shape.BETWEEN}
    worlds = worlds_at(considered, values, BLOCK_ROWS + 5)
    last = worlds_at(considered, {key: value[-3:] for key, value in values.items()}, 3)
    assert worlds.rows == BLOCK_ROWS + 5
    for option, alone in zip(worlds.options, last.options, strict=True):
        assert option.total_usd[-3:].tolist() == alone.total_usd.tolist()
    assert worlds.best[-3:].tolist() == last.best.tolist()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_quantiles_are_numpys(values):
    assert [float(point) for point in quantiles(np.array(values))] == pytest.approx(np.quantile(values, (0.1, 0.5, 0.9)).tolist())


@pytest.mark.parametrize("name", ["dear", "list", "on_prem"])
def test_quantiles_are_ordered_bands_rise_and_shares_add_up(name):
    simulation = simulate(story(name), draws=400)
    assert sum(found.cheapest_share for found in simulation.options) + simulation.none_share == pytest.approx(1.0)
    months = story(name).asked.requirements.horizon_months
    for found in simulation.options:
        assert found.p10_usd <= found.p50_usd <= found.p90_usd
        band = found.cumulative
        assert len(band.p50_usd) == months + 1
        for low, middle, high in zip(band.p10_usd, band.p50_usd, band.p90_usd, strict=True):
            assert low <= middle <= high
        assert all(later >= earlier for earlier, later in zip(band.p50_usd, band.p50_usd[1:], strict=False))
        assert band.p50_usd[-1] == pytest.approx(found.p50_usd, rel=1e-12)
        assert found.cheapest_share <= found.good_enough_share
        assert found.feasible or found.cheapest_share == 0.0


def test_the_share_of_good_enough_draws_is_the_chance_and_the_baseline_always_is():
    considered = story("dear")
    simulation = simulate(considered, draws=20_000)
    for evaluation in considered.evaluations:
        found = simulation.option(evaluation.option.id)
        if found is not None:
            assert found.good_enough_share == pytest.approx(evaluation.quality.probability, abs=0.015)
    assert simulation.option(considered.baseline.option.id).good_enough_share == 1.0


def test_options_share_what_they_share():
    considered = story("dear")
    draws = 2_000
    values = {one.key: drawn_values(one, draws, 1) for one in ranges(considered) if one.key in ("fte_month_usd", "tokens_per_day")}
    worlds = worlds_at(considered, values, draws)
    rented, owned = (worlds.options[worlds.place(name)].total_usd for name in ("fine-tuned-8b-rented", "fine-tuned-8b-owned"))
    assert np.corrcoef(rented, owned)[0, 1] > 0.9
    api, small = worlds.baseline.total_usd, worlds.options[worlds.place("api-small-gpt-4o-mini")].total_usd
    assert np.corrcoef(api, small)[0, 1] > 0.9
    speeds = {one.key: drawn_values(one, draws, 1) for one in ranges(considered) if one.shape is Shape.NORMAL}
    assert len({key.rpartition(".")[2] for key in speeds}) >= 2


def test_the_same_model_is_good_enough_in_all_its_placements_or_in_none():
    simulation = simulate(story("dear"), draws=500)
    rented, owned = simulation.option("fine-tuned-8b-rented"), simulation.option("fine-tuned-8b-owned")
    assert rented.good_enough_share == owned.good_enough_share


def test_risk_moves_the_ranking_cost_from_the_mean_to_one_case_in_ten():
    found = simulate(story("dear"), draws=500).options[0]
    assert risk_adjusted_usd(found, 0.0) == found.outcome_mean_usd
    assert risk_adjusted_usd(found, 1.0) == found.outcome_p90_usd
    assert risk_adjusted_usd(found, 0.25) == pytest.approx(0.75 * found.outcome_mean_usd + 0.25 * found.outcome_p90_usd)


def test_no_draws_is_wrong_input():
    with pytest.raises(InputError, match="0 draws are too few"):
        simulate(story("list"), draws=0)


# ---- one number at a time ----


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("fte_month_usd", lambda value: {"assumptions": {"fte_month_usd": value}}),
        ("api_price_change_share_per_year", lambda value: {"assumptions": {"api_price_change_share_per_year": value}}),
        ("retrains_per_year", lambda value: {"assumptions": {"retrains_per_year": value}}),
        ("engineer_day_usd", lambda value: {"assumptions": {"engineer_day_usd": value}}),
        ("label_usd_each", lambda value: {"assumptions": {"label_usd_each": value}}),
        ("rent_change_share_per_year", lambda value: {"assumptions": {"rent_change_share_per_year": value}}),
        ("tokens_per_day", lambda value: {"tokens_per_day": value}),
        ("peak_to_mean", lambda value: {"peak_to_mean": value}),
        ("growth_per_month_share", lambda value: {"growth_per_month_share": value}),
        ("baseline_price", lambda value: {"prices": {"api_blended_usd_per_mtok": value}}),
    ],
)
def test_a_bar_of_the_tornado_is_deciding_again_with_that_number(key, change):
    considered = story("dear")
    found = tornado(considered)
    bar = next(bar for bar in found.bars if bar.key == key)
    for value, saving, option_id in ((bar.low, bar.saving_low_usd, bar.option_id_low), (bar.high, bar.saving_high_usd, bar.option_id_high)):
        again = conclude(considered_of(**{**DEAR, **change(value)}))
        baseline, option = again.option(again.choice.baseline_option_id), again.option(found.option_id)
        assert saving == pytest.approx(baseline.total_usd - option.total_usd, rel=1e-9)
        assert option_id == again.choice.option_id


def test_every_option_moves_as_in_a_decision_of_its_own_for_region_and_growth():
    considered = story("region")
    moved = totals(considered, "electricity_usd_per_kwh", [0.30])
    again = conclude(considered_of(**{**STORIES["region"], "assumptions": {"electricity_usd_per_kwh": 0.30}}))
    for option in again.options:
        if option.total_usd is not None:
            assert moved[option.id][0] == pytest.approx(option.total_usd, rel=1e-12)


def test_the_tornado_is_widest_first_and_counts_from_the_decision():
    found = tornado(story("dear"))
    decided = conclude(story("dear")).choice
    assert found.option_id == decided.option_id
    assert found.saving_usd == pytest.approx(decided.saving_usd)
    swings = [bar.swing_usd for bar in found.bars]
    assert swings == sorted(swings, reverse=True)


def test_where_the_advice_is_to_stay_the_tornado_is_of_the_best_alternative():
    considered = story("small")
    decided = conclude(considered)
    assert decided.choice.action is Action.STAY
    assert tornado(considered).option_id not in (None, decided.choice.option_id)


@pytest.mark.parametrize("name", ["dear", "list"])
def test_the_verdict_changes_at_a_flip_and_not_before_it(name):
    considered = story(name)
    decided = conclude(considered).choice.option_id
    found = {flip.key: flip for flip in flips(considered)}
    assert {flip.status for flip in found.values()} == set(Reached)
    reached = [flip for flip in found.values() if flip.status is Reached.REACHED]
    assert reached
    for flip in reached:
        for value, inside, option_id in ((flip.below, 1e-6, flip.below_option_id), (flip.above, -1e-6, flip.above_option_id)):
            if value is None:
                continue
            assert flip.searched_low <= value <= flip.searched_high
            near = value + inside * max(abs(value), 1e-3)
            worlds = worlds_at(considered, {flip.key: np.array([[value], [near]])}, 2)
            assert worlds.recommended(0) == option_id != decided
            assert worlds.recommended(1) == decided


def test_not_reached_and_not_computed_are_told_apart():
    found = {flip.key: flip for flip in flips(story("dear"))}
    assert found["label_overhead_share"].status is Reached.NOT_REACHED
    assert found["label_overhead_share"].because == ""
    assert found["input_tokens_mean"].status is Reached.NOT_COMPUTED
    assert "decide again" in found["input_tokens_mean"].because
    assert found["tokens_per_day"].status is Reached.REACHED


def test_below_the_negotiated_price_staying_wins():
    found = negotiation(story("dear"))
    assert found.below_option_id == story("dear").baseline.option.id
    for price, action in ((found.below * 0.999, Action.STAY), (found.below * 1.001, Action.TEST_FIRST)):
        assert conclude(considered_of(prices={"api_blended_usd_per_mtok": price})).choice.action is action


def test_where_one_stays_the_negotiation_names_the_price_from_which_one_would_not():
    found = negotiation(story("small"))
    assert found.below is None
    assert found.above > found.base


def test_a_baseline_that_may_not_be_used_has_no_price_to_negotiate():
    found = negotiation(story("on_prem"))
    assert found.status is Reached.NOT_COMPUTED
    assert "may not be used" in found.because


# ---- the volume ----


@pytest.mark.parametrize("option_id", ["fine-tuned-8b-rented", "self-hosted-70b-rented", "api-small-gpt-4o-mini", "fine-tuned-8b-owned"])
def test_break_even_is_where_a_brute_force_scan_crosses(option_id):
    considered = story("dear")
    found = break_even_volume(considered, option_id)
    baseline = considered.baseline.option.id
    scan = np.geomspace(found.searched_from_tokens_per_day, found.searched_to_tokens_per_day, 20_000)
    total = totals(considered, "tokens_per_day", scan)
    wins = total[option_id] <= total[baseline]
    changes = np.flatnonzero(wins[1:] != wins[:-1])
    assert len(changes) == len(found.crossings)
    for place, crossing in zip(changes, found.crossings, strict=True):
        assert scan[place] <= crossing.tokens_per_day <= scan[place + 1]
        assert crossing.option_wins_above is bool(wins[place + 1])


SAW = "small-untuned-8b-rented"


def saw_tooth():
    """Nothing but one kind of server against tokens at 5 % over what a full one costs: the curves cross on every step and at its end."""
    assumptions = {**FREE_PEOPLE, "spare_replicas": 0}
    supply = next(one for one in considered_of(assumptions=assumptions).evaluations if one.option.id == SAW).supplies[0]
    step_mtok = supply.plan.capacity_requests_per_s / 3.0 * 86_400 * 365 / 12 * 1_200 / 1e6
    price = 1.05 * supply.rental.usd_per_gpu_hour * 730 / step_mtok
    considered = considered_of(assumptions=assumptions, prices={"api_blended_usd_per_mtok": price})
    return replace(considered, evaluations=tuple(_with_one_supply(found, supply) for found in considered.evaluations))


def test_step_curves_may_cross_many_times_and_every_crossing_is_exact():
    considered = saw_tooth()
    option_id, baseline = SAW, considered.baseline.option.id
    found = break_even_volume(considered, option_id)
    # On step k the server wins from k / 1.05 of a step on, until the next step begins at k: as long as k x 1.05 < k + 1, so for k < 20.
    ups = [crossing.tokens_per_day for crossing in found.crossings if crossing.option_wins_above]
    downs = [crossing.tokens_per_day for crossing in found.crossings if not crossing.option_wins_above]
    assert (len(ups), len(downs)) == (20, 19)
    assert [up / ups[0] for up in ups] == pytest.approx(list(range(1, 21)), rel=1e-9)
    assert [down / (1.05 * ups[0]) for down in downs] == pytest.approx(list(range(1, 20)), rel=1e-6)
    assert found.tokens_per_day == ups[-1]
    for crossing in found.crossings:
        at = crossing.tokens_per_day
        total = totals(considered, "tokens_per_day", [at * (1 - 1e-7), at * (1 + 1e-7)])
        below, above = (total[option_id] <= total[baseline]).tolist()
        assert below is not crossing.option_wins_above
        assert above is crossing.option_wins_above


def test_break_even_is_never_beyond_the_capacity_that_is_stated():
    considered = story("dear")
    found = break_even_volume(considered, "self-hosted-70b-rented")
    plan = next(one for one in considered.evaluations if one.option.id == "self-hosted-70b-rented").supplies
    most = max(64 * supply.plan.capacity_requests_per_s for supply in plan) * 86_400 / 3.0 * 1_200
    assert found.searched_to_tokens_per_day <= most * (1 + 1e-9)
    assert all(crossing.tokens_per_day <= found.searched_to_tokens_per_day for crossing in found.crossings)


def test_an_option_without_a_bill_has_no_break_even_and_says_why():
    found = break_even_volume(story("dear"), "this-machine")
    assert found.status is Reached.NOT_COMPUTED
    assert "has no bill" in found.because


def test_an_option_that_never_wins_is_not_reached():
    considered = considered_of(prices={"api_blended_usd_per_mtok": 0.001})
    found = break_even_volume(considered, "api-small-gpt-4o-mini")
    assert found.status is Reached.NOT_REACHED
    assert found.tokens_per_day is None
    assert found.crossings == ()


def test_an_unknown_option_is_named_with_those_there_are():
    with pytest.raises(InputError, match="no option 'gpt-9' in this decision, there are api-openai-gpt-4o"):
        break_even_volume(story("dear"), "gpt-9")


@settings(max_examples=25, deadline=None)
@given(factors=st.lists(st.floats(0.01, 50.0), min_size=2, max_size=6))
def test_tokens_are_linear_in_the_volume_and_servers_a_rising_step_function(factors):
    considered = story("dear")
    volumes = sorted(50e6 * factor for factor in factors)
    total = totals(considered, "tokens_per_day", [1e-3, *volumes])
    fixed, api = total[considered.baseline.option.id][0], total[considered.baseline.option.id][1:]
    assert (api - fixed).tolist() == pytest.approx([volume * 365 / 1e6 * 15 for volume in volumes], rel=1e-6)
    for of_option in total.values():
        assert (np.diff(of_option) >= -1e-6).all()


def test_a_rented_bill_stays_on_its_step_and_rises_by_one_replica_beyond_it():
    considered = considered_of(assumptions=FREE_PEOPLE)
    supply = next(one for one in considered.evaluations if one.option.id == "small-untuned-8b-rented").supplies[0]
    one = replace(considered, evaluations=tuple(_with_one_supply(found, supply) for found in considered.evaluations))
    step = 50e6 * supply.plan.capacity_requests_per_s / max(load.requests_per_s for load in considered.asked.requirements.peak_loads)
    total = totals(one, "tokens_per_day", [0.2 * step, 0.99 * step, step, step * (1 + 1e-9), 1.5 * step])["small-untuned-8b-rented"]
    replica = supply.rental.usd_per_gpu_hour * 730 * 12 * supply.gpus
    assert total[0] == total[1] == total[2] == pytest.approx(2 * replica)
    assert total[3] == total[4] == pytest.approx(3 * replica)


def _with_one_supply(found, supply):
    return replace(found, supplies=(supply,)) if found.option.id == supply.option.id else found


def test_no_options_cost_depends_on_anothers_price_except_through_double_running():
    considered = considered_of(assumptions={"months_to_live": 0})
    total = totals(considered, "baseline_price", [1.0, 40.0])
    uses_it = {one.option.id for one in considered.evaluations if one.option.kind in (Kind.BASELINE, Kind.CASCADE)}
    for option_id, usd in total.items():
        assert bool(usd[0] == usd[1]) is (option_id not in uses_it)
    waiting = totals(story("list"), "baseline_price", [1.0, 40.0])["api-small-gpt-4o-mini"]
    assert waiting[1] - waiting[0] == pytest.approx(39.0 * 50 * 365 / 12)


def test_the_staircase_shows_every_step_as_two_neighbours_and_where_one_stands():
    considered = story("dear")
    ids = ["api-openai-gpt-4o", "fine-tuned-8b-rented", "self-hosted-70b-rented"]
    found = staircase(considered, ids)
    assert [curve.option_id for curve in found.curves] == sorted(ids)
    assert found.here_tokens_per_day == 50e6
    here = found.tokens_per_day.index(50e6)
    decided = conclude(considered)
    for curve in found.curves:
        assert curve.total_usd[here] == pytest.approx(decided.option(curve.option_id).total_usd, rel=1e-12)
        assert len(curve.total_usd) == len(found.tokens_per_day)


# ---- prices over the months ----


def test_price_paths_move_what_they_are_about_and_nothing_else():
    considered = story("dear")
    paths = {path.id: path for path in price_paths(considered)}
    decided = conclude(considered)
    assert paths["flat"].table_usd == pytest.approx([row.total_usd for row in decided.table], rel=1e-12)
    assert paths["flat"].option_id == decided.choice.option_id
    assert not paths["flat"].changes_verdict
    fixed = paths["flat"].table_usd[0] - 12 * 22_812.50
    # Month 7 on, six months of twelve, at 80 % and at 20 % of the price.
    assert paths["step_20"].table_usd[0] == pytest.approx(fixed + 22_812.50 * (6 + 6 * 0.8))
    assert paths["step_80"].table_usd[0] == pytest.approx(fixed + 22_812.50 * (6 + 6 * 0.2))
    # Months 1-3, 4-6, 7-9, 10-12.
    assert paths["repeated"].table_usd[0] == pytest.approx(fixed + 22_812.50 * 3 * (1 + 0.8 + 0.64 + 0.512))
    # Twice the price from month 7 on, and 15,000 of work with a test of 2 x 600 labels at 0.10 and 5 days at 1,500.
    assert paths["migration"].table_usd[0] == pytest.approx(fixed + 22_812.50 * (6 + 6 * 2) + 15_000 + 2 * 600 * 0.10 + 5 * 1_500)
    assert paths["migration"].table_usd[1:] == paths["flat"].table_usd[1:]
    assert paths["rent_40"].table_usd[0] == paths["flat"].table_usd[0]
    assert paths["rent_40"].table_usd[1] > paths["rent_20"].table_usd[1] > paths["flat"].table_usd[1]


def test_rents_that_rise_are_the_decision_with_that_assumption():
    path = next(path for path in price_paths(story("dear")) if path.id == "rent_40")
    again = conclude(considered_of(**DEAR, assumptions={"rent_change_share_per_year": 0.4}))
    assert path.table_usd == pytest.approx([row.total_usd for row in again.table], rel=1e-12)
    assert path.option_id == again.choice.option_id


# ---- everything ----


def test_all_of_the_doubt_is_json_without_a_number_that_is_none():
    document = to_json(doubt(story("on_prem"), draws=100))
    text = json.dumps(document, allow_nan=False)
    assert set(document) == {"simulation", "tornado", "flips", "negotiation", "break_evens", "paths"}
    assert "NaN" not in text
    assert all(math.isfinite(found["p50_usd"]) for found in document["simulation"]["options"])


def test_the_command_line_says_the_same_as_json_and_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("RIGHTSIZE_DATA_DIR", str(tmp_path))
    path = tmp_path / "workload.toml"
    path.write_text('tokens_per_day = 50e6\ncomplexity = "extraction"\nlabelled_examples = 20000\nprices.api_blended_usd_per_mtok = 15\n')
    arguments = ["doubt", str(path), "--draws", "200", "--seed", "3", "--as-of", DAY.isoformat()]
    document = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert document == json.loads(json.dumps(to_json(widened(story("dear"), doubt(story("dear"), draws=200, seed=3)))))
    words = CliRunner().invoke(app, arguments).stdout
    negotiated = negotiation(story("dear"))
    assert f"Staying wins if today's model costs less than {negotiated.below:.4g} USD per Mtok at your mix" in words
    assert "Prompt length" in words  # moved too, in a decision of its own


# ---- numbers for which the decision is made anew ----


def test_longer_prompts_are_more_tokens_and_not_fewer_requests():
    workload = scenario(tokens_per_day=30e6, input_share=0.75).workload
    longer = workload_at(workload, "input_tokens_mean", workload.input_tokens * 2)
    assert longer.mean_requests_per_day == pytest.approx(workload.mean_requests_per_day)
    assert longer.output_tokens == workload.output_tokens
    assert longer.mean_tokens_per_day == pytest.approx(30e6 + 0.75 * 30e6)


def test_a_number_at_its_base_is_the_decision_itself():
    considered = story("dear")
    for one in workload_ranges(considered.asked):
        again = decide_at(considered, replace(one, base=-1.0), one.base, None)  # not taken for the base: made anew
        assert again.option_id == conclude(considered).choice.option_id


def test_lengths_join_the_tornado_and_the_flips():
    considered = story("dear")
    before = doubt(considered, draws=50)
    after = widened(considered, before)
    bars = {bar.key: bar for bar in after.tornado.bars}
    assert set(bars) - {bar.key for bar in before.tornado.bars} == {"input_tokens_mean", "output_tokens_mean", "cached_input_share"}
    swings = [bar.swing_usd for bar in after.tornado.bars]
    assert swings == sorted(swings, reverse=True)
    # At one end the decision made by hand: the saving of the same option with prompts of 1.6 times the length.
    bar = bars["input_tokens_mean"]
    changed = considered.asked.scenario.model_copy(
        update={"workload": workload_at(considered.asked.scenario.workload, "input_tokens_mean", bar.high)}
    )
    by_hand = conclude(consider(changed, considered.asked.catalog))
    option, today = by_hand.option(after.tornado.option_id), by_hand.option(by_hand.choice.baseline_option_id)
    assert bar.saving_high_usd == pytest.approx(today.total_usd - option.total_usd)
    assert bar.option_id_high == by_hand.choice.option_id
    keys = [flip.key for flip in after.flips]
    assert keys == [flip.key for flip in before.flips]
    assert {flip.key for flip in after.flips if flip.status is Reached.NOT_COMPUTED} <= {"labelled_examples"}


def test_a_flip_of_the_labels_changes_the_advice_and_its_neighbour_does_not():
    considered = considered_of(tokens_per_day=300e6, labelled_examples=20_000, prices={"api_blended_usd_per_mtok": 15.0})
    one = next(found for found in workload_ranges(considered.asked) if found.key == "labelled_examples")
    below, _ = nearest_changes(considered, one)
    decided = conclude(considered).choice.option_id
    assert below is not None
    assert below.value == int(below.value) < one.base
    assert below.option_id != decided
    assert decide_at(considered, one, one.base - (one.base - below.value) * 0.01, None).option_id == decided


def test_a_length_that_no_model_takes_is_no_saving():
    considered = story("dear")
    one = next(found for found in workload_ranges(considered.asked) if found.key == "input_tokens_mean")
    assert decide_at(considered, one, 9e6, conclude(considered).choice.option_id).saving_usd is None
