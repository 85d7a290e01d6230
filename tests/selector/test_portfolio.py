"""Many workloads at once: each verdict is the one it would get alone, sums are sums, and a pool is never dearer to a member."""

import math

import pytest
from hypothesis import given
from hypothesis import settings as law
from hypothesis import strategies as st

from facts.errors import InputError
from selector.catalog import load_catalog
from selector.portfolio import adapter_speed_share, decide_all, portfolio_from_csv, read_portfolio
from selector.recommendation import recommend
from selector.results import Action
from selector.scenarios import renamed
from tests.bench.decision import scenarios
from tests.selector.decisions import DAY, scenario
from tests.selector.test_recommendation import FREE_PEOPLE

DEAR = {"api_blended_usd_per_mtok": 15}
QUICK = {"finetune_engineering_usd": 2_000, "labels_usd": 0, "evaluation_usd": 500}


def all_of(workloads):
    return decide_all(workloads, lambda one: load_catalog(DAY, one.prices))


def team(count=12, **document):
    """Workloads too small for a server of their own, on a dear API, with labels."""
    base = {"tokens_per_day": 3e6, "prices": DEAR, "assumptions": QUICK, "tpot_p95_ms": 100}
    return [scenario(**{**base, "name": f"team {number}", **document}) for number in range(count)]


# ---- verdicts ----


def test_every_verdict_is_the_one_the_workload_gets_alone():
    many = scenarios(30)
    many = [scenario(**one.workload.model_dump(exclude_unset=True) | {"name": f"{place}"}) for place, one in enumerate(many)]
    for row, one in zip(all_of(many).rows, many, strict=True):
        alone = recommend(one, load_catalog(DAY, one.prices))
        best = alone.option(alone.choice.option_id)
        assert (row.action, row.option_id) == (alone.choice.action, alone.choice.option_id)
        assert row.total_usd == pytest.approx(best.total_usd, abs=1e-6)
        assert row.expected_usd == pytest.approx(best.expected_usd, abs=1e-6)
        assert row.saving_usd == pytest.approx(alone.choice.saving_usd, abs=1e-6)


def test_the_totals_are_the_sums_of_the_rows():
    found = all_of(scenarios(20))
    assert found.total_usd == pytest.approx(math.fsum(row.total_usd for row in found.rows))
    assert found.baseline_usd == pytest.approx(math.fsum(row.baseline_usd for row in found.rows))
    assert found.saving_usd == pytest.approx(found.baseline_usd - found.total_usd)
    assert found.failed == 0


def test_what_cannot_be_computed_stays_in_the_table_and_out_of_the_totals():
    alone = all_of([scenario(name="a")])
    found = all_of([scenario(name="a"), scenario(name="b", baseline_model="nobody:nothing")])
    assert found.failed == 1
    assert "nobody" in found.rows[1].error
    assert found.total_usd == alone.total_usd
    assert "1 could not be computed and are in no total" in found.sentence


def test_workloads_of_different_horizons_are_not_added_up():
    with pytest.raises(InputError, match="12 and 24 months"):
        all_of([scenario(name="a"), scenario(name="b", horizon_months=24)])
    with pytest.raises(InputError, match="no workload"):
        all_of([])


# ---- pools ----


def test_many_small_workloads_share_a_base_model_with_an_adapter_each():
    found = all_of(team(residency="on_prem"))
    assert {row.action for row in found.rows} == {Action.TEST_FIRST}
    (pool,) = found.pools
    assert (len(pool.members), pool.adapters) == (12, 12)
    assert pool.separate_replicas == 12 * 2  # one and a spare each
    assert pool.replicas == 2
    assert pool.total_usd < pool.separate_usd
    assert pool.saving_usd == pytest.approx(pool.verdicts_expected_usd - pool.expected_usd)
    assert {row.pool_id for row in found.rows} == {pool.id}
    assert found.pooled_saving_usd == pytest.approx(pool.saving_usd)


def test_where_only_servers_cost_money_a_pool_costs_its_share_of_the_replicas():
    many = team(5, residency="on_prem", assumptions=FREE_PEOPLE)
    (pool,) = all_of(many).pools
    alone = recommend(many[0], load_catalog(DAY, many[0].prices)).option(pool.option_id)
    training = 5 * sum(line.usd for line in alone.upfront_lines if line.name == "finetune_runs")
    servers = pool.separate_usd - training
    assert pool.total_usd == pytest.approx(training + servers * pool.replicas / pool.separate_replicas)


def test_people_and_infrastructure_are_paid_once_and_care_by_each():
    people = {**FREE_PEOPLE, "staff_fte_owned": 0.25, "staff_fte_api": 0.05}
    (with_people,) = all_of(team(5, residency="on_prem", assumptions=people)).pools
    (without,) = all_of(team(5, residency="on_prem", assumptions=FREE_PEOPLE)).pools
    assert with_people.total_usd - without.total_usd == pytest.approx((0.25 + 5 * 0.05) * 18_000 * 12)
    assert with_people.separate_usd - without.separate_usd == pytest.approx(5 * 0.25 * 18_000 * 12)


def test_one_workload_alone_has_nobody_to_share_with():
    assert all_of(team(1)).pools == ()


def test_where_sharing_saves_nothing_there_is_no_pool():
    assert all_of(team(2, tokens_per_day=1e4)).pools == ()


def test_different_service_levels_do_not_share_servers():
    strict, lax = team(4, residency="on_prem"), team(4, residency="on_prem", tpot_p95_ms=200)
    lax = [renamed(one, f"lax {place}") for place, one in enumerate(lax)]
    pools = all_of([*strict, *lax]).pools
    assert sorted({name.split()[0] for name in pool.members} == {"lax"} for pool in pools) == [False, True]


def test_adapters_cost_two_milliseconds_a_step():
    assert adapter_speed_share(18.0) == 18.0 / 20.0
    assert adapter_speed_share(2.0) == 0.5


@law(max_examples=8)
@given(st.lists(st.floats(1e5, 3e9), min_size=2, max_size=6))
def test_a_workload_is_in_one_pool_at_most_and_pools_save(volumes):
    many = [
        scenario(name=f"w{place}", tokens_per_day=volume, residency="on_prem", assumptions=QUICK) for place, volume in enumerate(volumes)
    ]
    found = all_of(many)
    members = [name for pool in found.pools for name in pool.members]
    assert len(members) == len(set(members))
    for pool in found.pools:
        assert pool.saving_usd > 0
        assert len(pool.members) >= 2
        assert pool.replicas <= pool.separate_replicas


# ---- the file ----

HEADER = (
    "name,requests_per_day,input_tokens_mean,output_tokens_mean,complexity,prices.gpu_usd_per_hour,assumptions.spare_replicas,languages"
)


def test_a_row_is_a_workload_with_its_own_prices_and_assumptions():
    first, second = portfolio_from_csv(f"{HEADER}\n123,1e3,1000,200,qa,2.5,0,de;en\nb,20,1000,200,qa,,,\n")
    assert first == scenario_of_row(name="123", requests_per_day=1000, languages=["de", "en"], gpu=2.5, spares=0)
    assert second == scenario_of_row(name="b", requests_per_day=20)


def scenario_of_row(gpu=None, spares=None, **document):
    return scenario(
        **document,
        input_tokens_mean=1000,
        output_tokens_mean=200,
        complexity="qa",
        labelled_examples=0,
        prices={} if gpu is None else {"gpu_usd_per_hour": gpu},
        assumptions={} if spares is None else {"spare_replicas": spares},
    )


def test_semicolons_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "all.csv"
    path.write_bytes('\ufeffname;tokens_per_day;complexity\r\n"Büro; 1";1e6;qa\r\n\r\n'.encode())
    (found,) = read_portfolio(path)
    assert (found.workload.name, found.workload.tokens_per_day) == ("Büro; 1", 1e6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column 'name'"),
        ("tokens_per_day\n1\n", "no column 'name'"),
        ("name,tokens_per_dya\n", r"unknown column 'tokens_per_dya'.*tokens_per_day"),
        ("name,name\n", "stands twice"),
        ("name,tokens_per_day,complexity\n", "holds no workload"),
        ("name,tokens_per_day,complexity\na,1e6,qa\nb,-1,qa\n", "line 3: 'tokens_per_day' = -1"),
        ("name,tokens_per_day,complexity\na,1e6,qa,9\n", "line 2 has 4 cells, the header 3 columns"),
        ("name,tokens_per_day,complexity\na,1e6,qa\na,1e6,qa\n", "the name 'a' stands twice"),
        ('name,tokens_per_day,complexity\n"a,1e6,qa\n', "is no CSV"),
        ("name,tokens_per_day,complexity,prices.gold\na,1e6,qa,1\n", r"line 2 \[prices\]: unknown key 'gold'"),
    ],
)
def test_what_is_wrong_names_its_line(text, words):
    with pytest.raises(InputError, match=words):
        portfolio_from_csv(text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_portfolio(tmp_path / "no.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_portfolio(tmp_path)
