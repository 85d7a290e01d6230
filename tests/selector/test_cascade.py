"""A small-first pair: its cost, its quality between the two bounds, and the published figures it rests on."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from facts.errors import InputError
from selector.cascade import (
    Pair,
    break_even_share,
    cascade_cost_usd,
    cascade_curve,
    cascade_need,
    cascade_point,
    cascade_savings,
    coin_flip_right_share,
    item_pairs,
    oracle_right_share,
    published_sharpness,
    routed_right_share,
    router_points,
)

shares = st.floats(0, 1)


@st.composite
def pairs(draw):
    only_large, only_small, both = (draw(st.floats(0, 1 / 3)) for _ in range(3))
    return Pair(
        small_usd_per_request=draw(st.floats(0, 0.01)),
        large_usd_per_request=draw(st.floats(0.001, 0.1)),
        check_usd_per_request=draw(st.floats(0, 0.001)),
        small_right_share=both + only_small,
        large_right_share=both + only_large,
        only_large_right_share=only_large,
    )


def pair_of(name, **costs):
    (items,) = (found for found in item_pairs() if found.id == name)
    return Pair(
        small_right_share=items.small_right_share,
        large_right_share=items.large_right_share,
        only_large_right_share=items.only_large_right_share,
        **{"small_usd_per_request": 0.001, "large_usd_per_request": 0.01, **costs},
    )


def test_the_small_model_answers_all_and_the_large_one_its_share():
    pair = pair_of("mmlu", check_usd_per_request=0.0005)
    assert cascade_cost_usd(pair, 0.0) == pytest.approx(0.001 + 0.0005)
    assert cascade_cost_usd(pair, 0.3) == pytest.approx(0.001 + 0.0005 + 0.3 * 0.01)


def test_at_zero_acceptance_it_costs_both_models_and_is_as_good_as_the_large_one():
    pair = pair_of("gsm8k")
    none_accepted = cascade_point(pair, 1.0)
    assert none_accepted.cost_usd_per_request == pytest.approx(0.001 + 0.01)
    assert none_accepted.saving_share == pytest.approx(-0.1)
    assert none_accepted.right_share == pytest.approx(pair.large_right_share)


def test_the_pair_costs_as_much_as_the_large_model_at_its_break_even():
    pair = pair_of("mmlu", check_usd_per_request=0.0005)
    assert break_even_share(pair) == pytest.approx((0.01 - 0.001 - 0.0005) / 0.01)
    assert cascade_cost_usd(pair, break_even_share(pair)) == pytest.approx(0.01)


@pytest.mark.parametrize(("name", "match_share", "best", "coin"), [("mmlu", 0.125, 0.8586, 0.6776), ("gsm8k", 0.2183, 0.9287, 0.8038)])
def test_published_bounds_come_out_again(name, match_share, best, coin):
    pair = pair_of(name)
    assert oracle_right_share(pair, match_share) == pytest.approx(pair.large_right_share, abs=2e-4)
    assert oracle_right_share(pair, pair.only_large_share) == pytest.approx(best, abs=2e-4)
    need = cascade_need(pair)
    assert need.coin_flip_share == pytest.approx(coin, abs=2e-4)
    assert coin_flip_right_share(pair, coin) == pytest.approx(0.95 * pair.large_right_share, abs=2e-4)


def test_published_routers_pass_through_their_own_points_and_beat_a_coin_flip():
    for point in router_points():
        assert point.sharpness > 1
        assert 1 - (1 - point.escalation_share) ** point.sharpness == pytest.approx(point.gap_recovered_share)
    low, middle, high = published_sharpness()
    assert (low, round(middle, 2), round(high, 2)) == (1.0, 1.66, 4.82)


def test_a_learned_cascade_saved_nothing_where_the_cheapest_model_was_also_the_best():
    savings = {saving.id: saving.saving_share for saving in cascade_savings()}
    assert savings["headlines.2023"] == 0.983
    assert savings["coqa.2024"] < 0


@given(pair=pairs(), share=shares)
def test_every_router_lies_between_the_bounds(pair, share):
    point = cascade_point(pair, share)
    assert point.right_low_share - 1e-12 <= point.right_share <= point.right_high_share + 1e-12 <= point.oracle_right_share + 2e-12
    assert point.coin_flip_right_share <= point.oracle_right_share + 1e-12
    assert 0 <= point.oracle_right_share <= 1 + 1e-12


@given(pair=pairs(), one=shares, other=shares)
def test_sending_on_more_never_costs_less(pair, one, other):
    low, high = sorted((one, other))
    assert cascade_cost_usd(pair, low) <= cascade_cost_usd(pair, high)


@given(pair=pairs(), sharpness=st.floats(1, 10))
def test_all_accepted_is_the_small_model_and_none_the_large(pair, sharpness):
    assert routed_right_share(pair, 0.0, sharpness) == pytest.approx(pair.small_right_share)
    assert routed_right_share(pair, 1.0, sharpness) == pytest.approx(pair.large_right_share)
    assert oracle_right_share(pair, 1.0) == pytest.approx(pair.large_right_share)


@given(pair=pairs(), margin=st.sampled_from([0.03, 0.05, 0.10]))
def test_better_routers_send_on_less_for_the_same_quality(pair, margin):
    assume(pair.gap_share > 0.01)
    need = cascade_need(pair, margin)
    assert need.oracle_share <= need.high_share + 1e-9 <= need.share + 2e-9 <= need.low_share + 3e-9 <= need.coin_flip_share + 4e-9
    assert routed_right_share(pair, need.low_share, 1.0) >= (1 - margin) * pair.large_right_share - 1e-9


def test_a_small_model_within_the_margin_needs_no_large_one():
    pair = Pair(small_usd_per_request=0.001, large_usd_per_request=0.01, small_right_share=0.80, large_right_share=0.82)
    assert cascade_need(pair).share == 0.0


def test_the_need_in_words():
    assert cascade_need(pair_of("mmlu")).sentence == (
        "To stay within 5 % of the large model, a published router sends on about 49% of the requests (21% at best, 68% if it knows "
        "nothing of your traffic); below 90% the pair costs less, so it saves."
    )
    dear = cascade_need(pair_of("mmlu", small_usd_per_request=0.02))
    assert "already cost more than the large model alone" in dear.sentence
    close = cascade_need(pair_of("mmlu", small_usd_per_request=0.006))
    assert close.sentence.endswith("below 40% the pair costs less, so it costs more than the large model alone.")


def test_a_curve_runs_from_all_accepted_to_none():
    curve = cascade_curve(pair_of("mmlu"), 5)
    assert [point.escalation_share for point in curve] == [0, 0.25, 0.5, 0.75, 1]
    with pytest.raises(InputError, match="1 points"):
        cascade_curve(pair_of("mmlu"), 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"small_usd_per_request": -1.0}, "below 0"),
        ({"large_right_share": 1.2}, "not between 0 and 1"),
        ({"only_large_right_share": 0.05}, "between 10.0% and 40.0% is possible"),
    ],
)
def test_impossible_pairs_are_refused(change, words):
    sound = {"small_usd_per_request": 0.001, "large_usd_per_request": 0.01, "small_right_share": 0.6, "large_right_share": 0.7}
    with pytest.raises(InputError, match=words):
        Pair(**{**sound, **change})


@pytest.mark.parametrize("share", [-0.01, 1.01])
def test_shares_outside_nothing_and_everything_are_refused(share):
    with pytest.raises(InputError, match="not between 0 and 1"):
        cascade_cost_usd(pair_of("mmlu"), share)


def test_a_free_large_model_leaves_nothing_to_save():
    with pytest.raises(InputError, match="nothing for a cascade to save"):
        break_even_share(pair_of("mmlu", large_usd_per_request=0.0))
