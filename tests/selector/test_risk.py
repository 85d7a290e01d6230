"""Attitude to risk: between the expected cost and the bad case, straight lines, and where the order turns."""

import pytest

from facts.errors import InputError
from selector.catalog import load_catalog
from selector.recommendation import conclude, consider
from selector.risk import turning_point, weighed
from selector.sensitivity import simulate
from tests.selector.decisions import DAY, scenario


@pytest.fixture(scope="module")
def case():
    given = scenario(prices={"api_blended_usd_per_mtok": 15})
    considered = consider(given, load_catalog(DAY, given.prices))
    return conclude(considered), simulate(considered, draws=2_000)


def test_without_caution_the_order_is_the_decisions_own(case):
    decided, simulation = case
    ranked = weighed(decided, simulation, 0.0)
    assert ranked[0].option_id == decided.choice.option_id
    assert [one.weighed_usd for one in ranked] == [one.expected_usd for one in ranked]
    feasible = sorted((o for o in decided.options if o.feasible), key=lambda o: (o.expected_usd, o.id))
    assert [one.option_id for one in ranked] == [o.id for o in feasible]


def test_with_full_caution_only_the_bad_case_counts(case):
    decided, simulation = case
    ranked = weighed(decided, simulation, 1.0)
    assert [one.weighed_usd for one in ranked] == sorted(one.bad_case_usd for one in ranked)
    for one in ranked:
        assert one.bad_case_usd == simulation.option(one.option_id).outcome_p90_usd
        assert one.bad_case_usd >= simulation.option(one.option_id).p10_usd


def test_the_order_at_the_top_turns_exactly_where_it_is_said_to(case):
    decided, simulation = case
    turn = turning_point(decided, simulation)
    first = decided.choice.option_id
    assert turn is not None  # a cheap model with a 57 % chance is worst in the bad case
    assert 0.0 < turn < 1.0
    assert weighed(decided, simulation, turn - 1e-6)[0].option_id == first
    assert weighed(decided, simulation, turn + 1e-6)[0].option_id != first


@pytest.mark.parametrize("caution", [-0.01, 1.01])
def test_a_caution_outside_its_scale_is_refused(case, caution):
    with pytest.raises(InputError, match="not between 0"):
        weighed(*case, caution)
