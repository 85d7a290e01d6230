"""Published comparisons recomputed from their own inputs, and what the bills add beyond issue-sized examples."""

from __future__ import annotations

import doctest
import importlib
from datetime import date

import numpy as np
import pytest

from facts.records import Source
from pricing.assumptions import Assumptions
from pricing.bill import linear_usd_per_month
from pricing.costs import upfront_line
from pricing.finetune import finetune_costs, managed_tuning
from pricing.paths import drift_path, step_path
from pricing.prices import ApiPrice, PriceBook, ProviderClass
from pricing.tco import (
    Commitment,
    GoLive,
    OwningCosts,
    RunningCosts,
    amortised_view,
    api_costs,
    cascade_costs,
    co2e_kg,
    owed_after_usd,
    owned_costs,
    rented_costs,
    serving_kwh,
)
from workloads.demand import Complexity, TokenVolume, Workload, token_volume

DEFAULTS = Assumptions()
FIFTY_MTOK = Workload(name="50 M a day", tokens_per_day=50e6, input_share=5 / 6, complexity=Complexity.EXTRACTION)


def price(given, output, **rates):
    return ApiPrice(
        provider="p",
        model="m",
        provider_class=ProviderClass.VENDOR,
        input_usd_per_mtok=given,
        output_usd_per_mtok=output,
        source=Source(url="test", checked=date(2026, 11, 22)),
        layer="test",
        **rates,
    )


def thousands(costs):
    return round(float(costs.total_usd))


@pytest.mark.parametrize(
    ("given", "output", "compute", "year"),
    [(2.50, 10.00, 68_438, 94_238), (15.0, 15.0, 273_750, 299_550), (0.59, 0.79, 11_376, 37_176), (0.15, 0.15, 2_738, 28_538)],
)
def test_first_year_of_an_api_at_fifty_million_tokens_a_day(given, output, compute, year):
    """18,250 Mtok at 5:1; plus 0.05 people x 18,000 x 12 = 10,800 and 15,000 to put it in place."""
    costs = api_costs(
        token_volume(FIFTY_MTOK),
        price(given, output),
        running=DEFAULTS.running("api"),
        upfront=(upfront_line("implementation", DEFAULTS.implementation("api")),),
    )
    assert round(float(costs.line("tokens_input").sum() + costs.line("tokens_output").sum()), 0) == pytest.approx(compute, abs=1)
    assert thousands(costs) == pytest.approx(year, abs=1)


@pytest.mark.parametrize(
    ("per_replica", "rent", "tuning", "compute", "year"),
    [(2, 2.99, 0, 104_770, 209_570), (1, 0.99, 50_000, 17_345, 172_145), (1, 0.99, 150_000, 17_345, 272_145)],
)
def test_first_year_of_a_self_hosted_model(per_replica, rent, tuning, compute, year):
    """Two replicas: 2 x (2 x H100) at 2.99 or 2 x L40S at 0.99; 43,200 people, 21,600 beside the servers, 40,000 to put it in place."""
    costs = rented_costs(
        months=12,
        replicas=2,
        gpus_per_replica=per_replica,
        usd_per_gpu_hour=rent,
        running=DEFAULTS.running("rented"),
        upfront=(upfront_line("implementation", DEFAULTS.implementation("rented")), upfront_line("finetune_engineering", tuning)),
    )
    assert float(costs.line("rental").sum()) == pytest.approx(compute, abs=1)
    assert thousands(costs) == pytest.approx(year, abs=1)


def test_a_server_at_a_quarter_of_its_load_costs_four_times_its_usage_price():
    """1.00 per Mtok if full, 4.00 at 25 %: the API at 2.00 wins; at half load both cost the same."""
    capacity_mtok = 1_460.0  # one replica, a month, at 2.00 USD an hour: 1.00 USD per Mtok when full
    rent = float(rented_costs(months=1, replicas=1, gpus_per_replica=1, usd_per_gpu_hour=2.0).total_usd)
    for load, allocation in ((1.0, 1.0), (0.5, 2.0), (0.25, 4.0)):
        tokens = np.array([capacity_mtok * load * 1e6])
        volume = TokenVolume(input_tokens=tokens, cached_input_tokens=tokens * 0, output_tokens=tokens * 0, requests=tokens)
        assert rent / (capacity_mtok * load) == allocation
        api = float(api_costs(volume, price(2.0, 2.0)).total_usd)
        assert (api < rent) is (load < 0.5)
        assert (api == rent) is (load == 0.5)


def test_a_rented_server_is_paid_idle_or_not():
    """1.50 an hour is 1,095.00 a month; 30 % use does not make it 328.50."""
    assert float(rented_costs(months=1, replicas=1, gpus_per_replica=1, usd_per_gpu_hour=1.50).total_usd) == 1_095.0


def test_the_articles_linear_method_is_there_to_compare_with():
    assert linear_usd_per_month(50e6, 15.0) == 22_812.50
    assert linear_usd_per_month(50e6, 1.50) == 2_281.25
    assert linear_usd_per_month(50e6, 0.15) == pytest.approx(228.125)


def test_a_cascade_that_answers_nothing_itself_costs_both_models():
    volume = token_volume(FIFTY_MTOK)
    small, large = api_costs(volume, price(0.15, 0.15)), api_costs(volume, price(2.5, 10.0))
    s, c = float(small.total_usd), float(large.total_usd)
    for escalated in (1.0, 0.3, 0.0):
        costs = cascade_costs(small, volume, price(2.5, 10.0), escalated_share=escalated)
        answered = 1.0 - escalated
        assert float(costs.total_usd) == pytest.approx(answered * s + escalated * (s + c))
        assert [line.name for line in costs.lines] == ["tokens_input", "tokens_output"]


def test_a_cascade_with_one_blended_price_has_one_token_line():
    volume = token_volume(FIFTY_MTOK)
    small = api_costs(volume, price(0.15, 0.15))
    costs = cascade_costs(small, volume, price(5.0, 5.0, blended_usd_per_mtok=5.0), escalated_share=0.5)
    assert [line.name for line in costs.lines] == ["tokens"]
    assert float(costs.total_usd) == pytest.approx(float(small.total_usd) + 0.5 * 18_250 * 5.0)


def test_a_cascade_escalates_only_once_it_is_live():
    volume = token_volume(FIFTY_MTOK)
    live = GoLive(months_to_live=2, baseline_usd=100.0)
    costs = cascade_costs(api_costs(volume, price(0.15, 0.15), go_live=live), volume, price(2.5, 10.0), escalated_share=0.5, go_live=live)
    assert costs.line("double_running").tolist() == [100.0] * 2 + [0.0] * 10
    assert costs.line("tokens_input")[:2].tolist() == [0.0, 0.0]
    assert costs.line("tokens_input")[2] > 0.0


def test_a_commitment_is_paid_whether_needed_or_not_and_owes_its_rest():
    """4 GPUs reserved at 1.00 for 36 months; needed 2, 4, 6: 4 x 1.00, 4 x 1.00, 4 x 1.00 + 2 x 2.00."""
    reserved = Commitment(gpus=4, usd_per_gpu_hour=1.0, months=36)
    costs = rented_costs(months=3, replicas=np.array([2, 4, 6]), gpus_per_replica=1, usd_per_gpu_hour=2.0, commitment=reserved)
    assert costs.line("rental").tolist() == [730 * 4.0, 730 * 4.0, 730 * (4.0 + 2 * 2.0)]
    assert float(owed_after_usd(3, reserved)) == 33 * 4 * 1.0 * 730
    assert float(owed_after_usd(36, reserved)) == 0.0
    # Servers start in month 2 of 3, the term with them.
    assert float(owed_after_usd(3, reserved, GoLive(months_to_live=2))) == 34 * 4 * 1.0 * 730


def test_a_commitment_that_ends_inside_the_horizon_ends():
    reserved = Commitment(gpus=1, usd_per_gpu_hour=1.0, months=1)
    costs = rented_costs(months=3, replicas=1, gpus_per_replica=1, usd_per_gpu_hour=2.0, commitment=reserved)
    assert costs.line("rental").tolist() == [730.0, 1_460.0, 1_460.0]
    assert float(owed_after_usd(3, reserved)) == 0.0


def test_the_amortised_view_swaps_the_purchase_for_its_monthly_cost():
    owning = DEFAULTS.owning()
    cash = owned_costs(months=12, replicas=2, gpus_per_replica=2, capex_usd_per_gpu=37_500.0, power_kw_per_gpu=1.37, owning=owning)
    view = amortised_view(cash, owning)
    monthly = (150_000 - 0.2 * 150_000 / 1.08**4) * (0.08 / (1 - 1.08**-4)) / 12
    assert float(view.upfront_usd) == 0.0
    assert view.line("servers").tolist() == pytest.approx([monthly] * 12)
    assert float(cash.total_usd - view.total_usd) == pytest.approx(150_000 - 12 * monthly)


def test_energy_and_emissions_by_month():
    kwh = serving_kwh(months=3, gpus=np.array([2, 2, 4]), power_kw_per_gpu=1.37, pue=1.4, go_live=GoLive(months_to_live=2))
    assert kwh.tolist() == pytest.approx([0.0, 2 * 1.37 * 730 * 1.4, 4 * 1.37 * 730 * 1.4])
    assert co2e_kg(kwh, 0.4).tolist() == pytest.approx((kwh * 0.4).tolist())


def test_price_paths_both_ways():
    assert drift_path(0.0, 12).tolist() == [1.0] * 12
    assert drift_path(-0.5, 25)[[0, 12, 24]].tolist() == pytest.approx([1.0, 0.5, 0.25])
    assert step_path(-0.2, 7, 8).tolist() == pytest.approx([1.0] * 6 + [0.8] * 2)
    assert step_path(-0.2, 1, 2).tolist() == pytest.approx([0.8, 0.8])
    assert step_path(-0.2, 13, 12).tolist() == [1.0] * 12
    assert step_path(-0.1, 4, 12, every_months=4).tolist() == pytest.approx([1.0] * 3 + [0.9] * 4 + [0.81] * 4 + [0.729])
    assert step_path(np.array([[-0.2], [0.5]]), np.array([[2], [3]]), 3).tolist() == [[1.0, 0.8, 0.8], [1.0, 1.0, 1.5]]


def test_a_stated_path_reaches_the_bill():
    stated = Assumptions(api_price_step_share=-0.8, api_price_step_month=7, rent_change_share_per_year=0.4)
    assert stated.api_price_path(12).tolist() == pytest.approx([1.0] * 6 + [0.2] * 6)
    assert stated.rent_path(13)[12] == pytest.approx(1.4)
    assert DEFAULTS.api_price_path(36).tolist() == [1.0] * 36 == DEFAULTS.rent_path(36).tolist()
    api = api_costs(token_volume(FIFTY_MTOK), price(2.5, 10.0), price_factor=stated.api_price_path(12))
    assert float(api.total_usd) == pytest.approx(68_437.50 * (6 + 6 * 0.2) / 12)


def test_the_whole_bill_of_a_tuned_7b_by_hand():
    """Owned L40S x 2, live after 3 months, two retrainings a year; every line added up by hand."""
    managed = managed_tuning(7.0)
    assert managed is not None
    tuned = finetune_costs(
        DEFAULTS, complexity=Complexity.EXTRACTION, labelled_examples=5_000, tokens_per_example=1_200, run_usd_per_mtok=managed.usd_per_mtok
    )
    runs = 5_000 * 1_200 * 3 / 1e6 * 0.50 * 2.5
    labels, evaluation = 5_000 * 0.25 * 0.10 * 1.15, 2 * 600 * 0.10 + 5 * 1_500
    server = PriceBook.load(date(2026, 11, 22)).server("nvidia-l40s")
    assert server is not None
    costs = owned_costs(
        months=12,
        replicas=2,
        gpus_per_replica=1,
        capex_usd_per_gpu=server.capex_usd_per_gpu,
        power_kw_per_gpu=server.power_kw_per_gpu,
        owning=DEFAULTS.owning(),
        running=DEFAULTS.running("owned"),
        upfront=(upfront_line("implementation", DEFAULTS.implementation("owned")), *tuned.upfront_lines),
        go_live=GoLive(months_to_live=3, baseline_usd=5_703.125),
        retraining_usd_per_month=tuned.retraining_usd_per_month,
    )
    upfront = 2 * (8_500 + 2_125) + 50_000 + labels + evaluation + runs + 60_000
    serving = 2 * 0.63 * 730 * 1.4 * 0.144 + 2 * 0.63 * 184 + 21_250 * 0.05 / 12 + 1_500 + 0.25 * 18_000
    retraining = (runs + evaluation + 5_000 * 0.25 * 0.10 * 1.15) * 2 / 12
    assert float(costs.upfront_usd) == pytest.approx(upfront)
    assert float(costs.total_usd) == pytest.approx(upfront + 3 * 5_703.125 + 10 * serving + 9 * retraining)


def test_owning_nothing_beside_costs_its_energy_and_nothing_else():
    costs = owned_costs(
        months=1,
        replicas=1,
        gpus_per_replica=1,
        capex_usd_per_gpu=100.0,
        power_kw_per_gpu=1.0,
        owning=OwningCosts(electricity_usd_per_kwh=0.1),
        running=RunningCosts(),
    )
    assert [line.name for line in costs.lines] == ["energy"]
    assert costs.month_totals_usd.tolist() == pytest.approx([73.0])


@pytest.mark.parametrize("name", ["bill", "finance", "finetune", "names", "paths", "tco"])
def test_the_worked_numbers_in_the_docstrings_hold(name):
    found = doctest.testmod(importlib.import_module(f"pricing.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
