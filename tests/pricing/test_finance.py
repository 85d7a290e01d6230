"""NPV, payback, IRR, ROI and annuities, with the arithmetic in the assert, against a textbook and against numpy's polynomial roots."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.costs import CashFlow
from pricing.finance import amortised_usd_per_month, annuity_factor, irr_per_year, monthly_rate, npv_usd, payback_months, roi

AMOUNTS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=36)


def flow(upfront, monthly):
    return CashFlow(upfront_usd=np.asarray(upfront, dtype=float), monthly_usd=np.asarray(monthly, dtype=float))


def test_npv_discounts_each_month_at_its_end_and_leaves_the_upfront_alone():
    rate = 1.08 ** (1 / 12) - 1
    assert float(npv_usd(flow(-1000, [600, 600]), 0.08)) == pytest.approx(-1000 + 600 / (1 + rate) + 600 / (1 + rate) ** 2)


def test_twelve_months_compound_to_the_yearly_rate():
    assert (1 + float(monthly_rate(0.08))) ** 12 == pytest.approx(1.08, abs=1e-15)
    assert float(npv_usd(flow(0, [0] * 11 + [108]), 0.08)) == pytest.approx(100.0)


@given(upfront=st.floats(-1e6, 1e6), monthly=AMOUNTS)
def test_npv_at_zero_percent_is_the_sum(upfront, monthly):
    assert float(npv_usd(flow(upfront, monthly), 0.0)) == pytest.approx(upfront + sum(monthly), abs=1e-4)


@given(upfront=st.floats(-1e6, 0), monthly=st.floats(1, 1e5), low=st.floats(0, 0.3), more=st.floats(0.01, 0.5))
def test_a_higher_rate_never_makes_later_savings_worth_more(upfront, monthly, low, more):
    cash = flow(upfront, [monthly] * 12)
    assert float(npv_usd(cash, low + more)) < float(npv_usd(cash, low))


def test_npv_of_draws_is_the_npv_of_each():
    draws = flow([-100.0, -200.0], [[60.0, 60.0], [90.0, 150.0]])
    each = [float(npv_usd(flow(u, m), 0.08)) for u, m in ((-100, [60, 60]), (-200, [90, 150]))]
    assert npv_usd(draws, 0.08).tolist() == pytest.approx(each)
    assert npv_usd(draws, np.array([0.08, 0.0])).tolist() == pytest.approx([each[0], -200 + 90 + 150])


@pytest.mark.parametrize(
    ("upfront", "monthly", "months"),
    [
        (-100, [40] * 12, 2.5),  # -100 + 40 + 40 + 40/2
        (-120, [40] * 12, 3.0),
        (-480, [40] * 12, 12.0),  # back on the last day
        (-480.01, [40] * 12, math.nan),  # a cent short
        (0, [40] * 12, 0.0),
        (0, [0] * 12, 0.0),
        (0, [-10, -10, 40], 2.5),  # nothing upfront, but two months of double running: -20 + 40/2
        (-10, [20, -20, 20], 2.5),  # a saving lost again does not count: 10 after month 1, -10 after 2
        (10, [-20, -20], math.nan),
        (-10, [0, 0, 10], 3.0),
    ],
)
def test_payback_on_both_sides_of_the_horizon(upfront, monthly, months):
    assert float(payback_months(flow(upfront, monthly))) == pytest.approx(months, nan_ok=True)


@given(upfront=st.floats(-1e5, 0), monthly=AMOUNTS)
def test_at_the_payback_the_running_sum_is_zero_and_stays_so(upfront, monthly):
    months = float(payback_months(flow(upfront, monthly)))
    running = upfront + np.concatenate([[0.0], np.cumsum(monthly)])
    if math.isnan(months):
        assert running[-1] < 0
    else:
        at_payback = np.interp(months, np.arange(running.size), running)
        assert at_payback >= -1e-3
        assert (running[math.ceil(months) :] >= -1e-3).all()


def test_payback_of_draws_keeps_their_shape():
    assert payback_months(flow([-100.0, -1e9], [[40.0] * 12, [40.0] * 12])).tolist() == pytest.approx([2.5, math.nan], nan_ok=True)


@given(upfront=st.floats(-1e5, 1e5), monthly=AMOUNTS)
def test_one_cash_flow_pays_back_as_it_does_among_draws(upfront, monthly):
    among = payback_months(flow([upfront, 0.0], [monthly, monthly]))[0]
    assert float(payback_months(flow(upfront, monthly))) == pytest.approx(float(among), nan_ok=True, abs=1e-12)


def test_irr_agrees_with_the_roots_of_the_polynomial():
    monthly = [100, 150, 120, 180, 90, 140] * 2
    roots = np.roots([-1000, *monthly])  # sum of cf_k x^(n-k) = 0, x = 1 + r
    rate = next(root.real for root in roots if abs(root.imag) < 1e-9 and root.real > 0) - 1
    assert irr_per_year(flow(-1000, monthly)) == pytest.approx((1 + rate) ** 12 - 1, rel=1e-9)


def test_the_npv_at_the_irr_is_zero():
    cash = flow(-5000, [-300, -300, *[1000.0] * 10])
    assert float(npv_usd(cash, irr_per_year(cash))) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("cash", [flow(0, [10] * 12), flow(-10, [-1] * 12), flow(-10, [30, -25] * 6)])
def test_no_irr_without_exactly_one_change_of_sign(cash):
    assert math.isnan(irr_per_year(cash))


def test_roi_is_null_without_an_investment():
    assert float(roi(300_000, 200_000, 50_000)) == (300_000 - 200_000) / 50_000
    assert math.isnan(float(roi(300_000, 200_000, 0)))


def test_annuity_against_the_textbook():
    assert float(annuity_factor(0.08, 4)) == pytest.approx(0.08 / (1 - 1.08**-4))
    assert float(annuity_factor(0.0, 4)) == 0.25
    assert float(annuity_factor(0.08, 1)) == pytest.approx(1.08)


def test_an_amortised_asset_pays_back_its_price_and_no_more():
    """Four year-end payments and the residual, discounted, are the price."""
    monthly = float(amortised_usd_per_month(37_500, life_years=4, residual_share=0.2, rate_per_year=0.08))
    assert sum(12 * monthly / 1.08**year for year in (1, 2, 3, 4)) + 0.2 * 37_500 / 1.08**4 == pytest.approx(37_500)
    assert float(amortised_usd_per_month(37_500, life_years=4, residual_share=0.2, rate_per_year=0.0)) == 37_500 * 0.8 / 48
