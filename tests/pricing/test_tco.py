"""Whole bills by hand: the worked example, whole instances, double running, owned servers, zeroed lines, draws."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts.records import Source
from pricing.costs import CostLine, upfront_line
from pricing.finance import npv_usd, payback_months
from pricing.prices import ApiPrice, ProviderClass
from pricing.tco import (
    GoLive,
    OwningCosts,
    RunningCosts,
    amortised_server_usd_per_month,
    api_costs,
    billed_gpus,
    local_costs,
    owned_costs,
    rented_costs,
)
from workloads.demand import Complexity, TokenVolume, Workload, token_volume

SOURCE = Source(url="test", checked=date(2026, 11, 22))
STAFF = RunningCosts(staff_fte=0.2, fte_month_usd=18_000.0, supporting_infra_usd_per_month=1_800.0)
OWNING = OwningCosts(electricity_usd_per_kwh=0.144, pue=1.4, hosting_usd_per_kw_month=184.0, maintenance_share_per_year=0.05)


def price(given=0.25, output=2.0):
    return ApiPrice(
        provider="p",
        model="m",
        provider_class=ProviderClass.VENDOR,
        input_usd_per_mtok=given,
        output_usd_per_mtok=output,
        source=SOURCE,
        layer="test",
    )


def workload(**changes):
    given = {"requests_per_day": 20_000, "input_tokens_mean": 1500, "output_tokens_mean": 300, "complexity": Complexity.EXTRACTION}
    return Workload(**(given | changes))


def test_the_worked_example_to_the_cent():
    """912.5 Mtok x 0.25 + 182.5 x 2.00 = 593.125 a month; 730 h x 1.90 = 1,387.00; NPV over twelve months at 8 % -9,139.77."""
    api = api_costs(token_volume(workload()), price())
    rented = rented_costs(months=12, replicas=1, gpus_per_replica=1, usd_per_gpu_hour=1.90)
    assert api.line("tokens_input").tolist() == pytest.approx([912.5 * 0.25] * 12, rel=1e-14)
    assert api.line("tokens_output").tolist() == pytest.approx([182.5 * 2.00] * 12, rel=1e-14)
    assert api.month_totals_usd.tolist() == pytest.approx([593.125] * 12, rel=1e-14)
    assert rented.month_totals_usd.tolist() == [1_387.00] * 12
    assert round(float(npv_usd(api - rented, 0.08)), 2) == -9_139.77


@pytest.mark.parametrize(
    ("replicas", "per_replica", "instance", "gpus"),
    [(1, 1, 1, 1), (3, 2, 1, 6), (4, 2, 8, 8), (5, 2, 8, 16), (2, 3, 8, 8), (3, 3, 8, 16), (1, 16, 8, 16), (0, 2, 8, 0)],
)
def test_a_started_instance_is_paid_whole(replicas, per_replica, instance, gpus):
    assert float(billed_gpus(replicas, per_replica, instance)) == gpus


def test_replicas_by_month_are_paid_by_month():
    rented = rented_costs(months=3, replicas=np.array([2, 2, 3]), gpus_per_replica=2, usd_per_gpu_hour=2.0)
    assert rented.line("rental").tolist() == [2 * 2 * 2.0 * 730, 2 * 2 * 2.0 * 730, 3 * 2 * 2.0 * 730]


@pytest.mark.parametrize(
    ("live", "double", "rental"),
    [
        (0, [0, 0, 0, 0], [1, 1, 1, 1]),
        (1, [1, 0, 0, 0], [1, 1, 1, 1]),
        (2, [1, 1, 0, 0], [0, 1, 1, 1]),
        (3, [1, 1, 1, 0], [0, 0, 1, 1]),
        (4, [1, 1, 1, 1], [0, 0, 0, 1]),
        (9, [1, 1, 1, 1], [0, 0, 0, 0]),
    ],
)
def test_the_baseline_is_paid_until_live_and_servers_from_a_month_before(live, double, rental):
    baseline = np.array([100.0, 110.0, 120.0, 130.0])
    costs = rented_costs(
        months=4,
        replicas=1,
        gpus_per_replica=1,
        usd_per_gpu_hour=2.0,
        running=STAFF,
        go_live=GoLive(months_to_live=live, baseline_usd=baseline),
        retraining_usd_per_month=50.0,
    )
    assert costs.line("double_running").tolist() == (baseline * double).tolist()
    assert costs.line("rental").tolist() == (np.array(rental) * 1_460.0).tolist()
    assert costs.line("staff").tolist() == (np.array(rental) * 3_600.0).tolist()
    assert costs.line("supporting_infra").tolist() == (np.array(rental) * 1_800.0).tolist()
    assert costs.line("retraining").tolist() == ((1 - np.array(double)) * 50.0).tolist()


@pytest.mark.parametrize("live", [0, 1, 3])
def test_own_tokens_start_when_the_option_is_live(live):
    volume = token_volume(workload(horizon_months=4))
    costs = api_costs(
        volume, price(), running=RunningCosts(staff_fte=1.0, fte_month_usd=1.0), go_live=GoLive(months_to_live=live, baseline_usd=7.0)
    )
    on = np.array([0] * live + [1] * (4 - live))
    assert costs.line("tokens_input").tolist() == pytest.approx((228.125 * on).tolist())
    assert costs.line("staff").tolist() == on.tolist()
    assert costs.line("double_running").tolist() == (7.0 * (1 - on)).tolist()


def test_an_owned_server_by_hand():
    """Bought for the busiest month: 3 x 2 GPUs; energy of the month's replicas; hosting and maintenance of what was bought."""
    costs = owned_costs(
        months=2,
        replicas=np.array([2, 3]),
        gpus_per_replica=2,
        capex_usd_per_gpu=37_500.0,
        power_kw_per_gpu=1.37,
        owning=OWNING,
        running=STAFF,
    )
    assert float(costs.line("servers")) == 3 * 2 * 37_500.0 == float(costs.upfront_usd)
    assert costs.line("energy").tolist() == pytest.approx([4 * 1.37 * 730 * 1.4 * 0.144, 6 * 1.37 * 730 * 1.4 * 0.144])
    assert costs.line("hosting").tolist() == pytest.approx([6 * 1.37 * 184.0] * 2)
    assert costs.line("maintenance").tolist() == pytest.approx([225_000 * 0.05 / 12] * 2)
    assert costs.line("staff").tolist() == [3_600.0] * 2
    months = [
        4 * 1.37 * 730 * 1.4 * 0.144 + 6 * 1.37 * 184 + 937.5 + 3_600 + 1_800,
        6 * 1.37 * 730 * 1.4 * 0.144 + 6 * 1.37 * 184 + 937.5 + 5_400,
    ]
    assert costs.month_totals_usd.tolist() == pytest.approx(months)
    assert float(costs.total_usd) == pytest.approx(225_000 + sum(months))


def test_the_amortised_view_is_beside_the_cash_view():
    owning = OwningCosts(life_years=4.0, residual_share=0.2, capital_share_per_year=0.08)
    by_hand = (225_000 - 0.2 * 225_000 / 1.08**4) * (0.08 / (1 - 1.08**-4)) / 12
    assert float(amortised_server_usd_per_month(225_000.0, owning)) == pytest.approx(by_hand)


def test_a_machine_that_is_there_already_costs_its_energy():
    costs = local_costs(months=1, machines=1, power_kw_per_machine=0.3, owning=OWNING, running=STAFF)
    assert float(costs.upfront_usd) == 0.0
    assert costs.line("energy").tolist() == pytest.approx([0.3 * 730 * 1.4 * 0.144])


def a_full_bill():
    upfront = (upfront_line("implementation", 40_000.0), upfront_line("labels", 300.0))
    return owned_costs(
        months=6,
        replicas=2,
        gpus_per_replica=1,
        capex_usd_per_gpu=10_000.0,
        power_kw_per_gpu=0.63,
        owning=OWNING,
        running=RunningCosts(staff_fte=0.25, fte_month_usd=18_000.0, supporting_infra_usd_per_month=1_500.0, on_call_usd_per_month=100.0),
        upfront=upfront,
        go_live=GoLive(months_to_live=2, baseline_usd=5_000.0),
        retraining_usd_per_month=900.0,
    )


def every_line() -> list[CostLine]:
    bill = a_full_bill()
    return [*bill.upfront_lines, *bill.lines]


@pytest.mark.parametrize("line", every_line(), ids=lambda line: line.name)
def test_zeroing_a_line_changes_the_total_by_exactly_that_line(line):
    bill = a_full_bill()
    assert float(line.usd.sum()) > 0.0
    assert float(bill.total_usd) - float(bill.without(line.name).total_usd) == pytest.approx(float(line.usd.sum()), abs=1e-6)


def test_zeroing_staff_by_its_parameter_is_zeroing_its_line():
    common = {"months": 12, "replicas": 2, "gpus_per_replica": 1, "usd_per_gpu_hour": 1.99}
    with_staff = rented_costs(**common, running=STAFF)
    without = rented_costs(**common, running=RunningCosts(supporting_infra_usd_per_month=1_800.0))
    assert float(with_staff.total_usd) - float(without.total_usd) == pytest.approx(12 * 0.2 * 18_000.0)


def test_the_run_rate_year_is_twelve_times_the_last_month():
    assert float(a_full_bill().run_rate_year_usd) == pytest.approx(12 * float(a_full_bill().month_totals_usd[-1]))


def test_draws_give_each_draws_own_bill():
    """(draws, 1) parameters against (months,) replicas; the same code path as without draws."""
    rents, live = np.array([[1.5], [2.5]]), np.array([[0], [2]])
    together = rented_costs(
        months=3,
        replicas=np.array([1, 2, 2]),
        gpus_per_replica=1,
        usd_per_gpu_hour=rents,
        upfront=(upfront_line("labels", np.array([[100.0], [300.0]])),),
        go_live=GoLive(months_to_live=live, baseline_usd=np.array([10.0, 20.0, 30.0])),
    )
    apart = [
        rented_costs(
            months=3,
            replicas=np.array([1, 2, 2]),
            gpus_per_replica=1,
            usd_per_gpu_hour=float(rent),
            upfront=(upfront_line("labels", label),),
            go_live=GoLive(months_to_live=int(m), baseline_usd=np.array([10.0, 20.0, 30.0])),
        )
        for rent, m, label in ((1.5, 0, 100.0), (2.5, 2, 300.0))
    ]
    assert together.total_usd.tolist() == pytest.approx([float(one.total_usd) for one in apart])
    assert together.month_totals_usd.tolist() == [one.month_totals_usd.tolist() for one in apart]


@given(
    rent=st.floats(0.1, 50),
    fte=st.floats(0, 2),
    live=st.integers(0, 6),
    once=st.floats(0, 1e6),
    path=st.lists(st.floats(0.1, 2), min_size=12, max_size=12),
)
def test_draws_without_variance_are_exactly_the_plain_calculation(rent, fte, live, once, path):
    """Not nearly: the same numbers to the last bit, so that a median of equal draws is the deterministic result."""
    volume = token_volume(workload(growth_per_month_share=0.03))

    def numbers(as_draws):
        def draw(value):
            return np.full((5, 1), value) if as_draws else value

        api = api_costs(
            volume,
            price(),
            running=RunningCosts(staff_fte=draw(fte), fte_month_usd=18_000.0),
            price_factor=np.tile(path, (5, 1)) if as_draws else np.array(path),
        )
        rented = rented_costs(
            months=12,
            replicas=np.arange(12) // 3 + 1,
            gpus_per_replica=2,
            usd_per_gpu_hour=draw(rent),
            running=RunningCosts(staff_fte=draw(fte), fte_month_usd=18_000.0, supporting_infra_usd_per_month=1_800.0),
            upfront=(upfront_line("implementation", draw(once)), upfront_line("labels", draw(once * 0.3))),
            go_live=GoLive(months_to_live=draw(live), baseline_usd=api.month_totals_usd),
        )
        flow = api - rented
        return api.total_usd, rented.total_usd, npv_usd(flow, 0.08), payback_months(flow)

    for plain, drawn in zip(numbers(as_draws=False), numbers(as_draws=True), strict=True):
        assert np.array_equal(drawn, np.full(5, float(plain)), equal_nan=True)


def test_owned_servers_are_bought_for_each_draws_own_maximum():
    owned = owned_costs(
        months=2,
        replicas=np.array([[1, 2], [3, 1]]),
        gpus_per_replica=1,
        capex_usd_per_gpu=10.0,
        power_kw_per_gpu=0.0,
        owning=OwningCosts(),
    )
    assert owned.upfront_usd.tolist() == [20.0, 30.0]


@given(requests=st.floats(1, 1e8), more=st.floats(0, 1e8))
def test_tokens_are_linear_and_never_cheaper_by_more(requests, more):
    def tokens(per_day):
        return float(api_costs(token_volume(workload(requests_per_day=per_day)), price()).total_usd)

    assert tokens(requests + more) >= tokens(requests)
    assert tokens(requests + more) == pytest.approx(tokens(requests) * (requests + more) / requests)


@given(replicas=st.integers(0, 50), per_replica=st.integers(1, 16), instance=st.sampled_from([1, 2, 4, 8]))
def test_one_replica_more_never_costs_less_and_never_less_than_its_gpus(replicas, per_replica, instance):
    billed = float(billed_gpus(replicas, per_replica, instance))
    assert float(billed_gpus(replicas + 1, per_replica, instance)) >= billed >= replicas * per_replica
    assert billed % instance == 0


def test_a_volume_of_nothing_costs_nothing():
    empty = TokenVolume(input_tokens=np.zeros(3), cached_input_tokens=np.zeros(3), output_tokens=np.zeros(3), requests=np.zeros(3))
    assert float(api_costs(empty, price()).total_usd) == 0.0
