"""What a cash flow is worth: NPV, payback, IRR, ROI, and the yearly cost of something bought."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from facts.units import MONTHS_PER_YEAR
from pricing.costs import Amount, CashFlow

SMALLEST_MONTHLY_RATE = -0.99
LARGEST_MONTHLY_RATE = 100.0


def monthly_rate(rate_per_year: Amount) -> NDArray[np.float64]:
    """Effective yearly rate turned monthly: (1 + r)^(1/12) - 1, so that twelve months compound to exactly r.

    >>> round(float(monthly_rate(0.08)), 6)
    0.006434
    """
    return np.asarray((1.0 + np.asarray(rate_per_year, dtype=np.float64)) ** (1.0 / MONTHS_PER_YEAR) - 1.0)


def npv_usd(cash_flow: CashFlow, discount_rate_per_year: Amount) -> NDArray[np.float64]:
    """Net present value, shape (...): the upfront stands at t = 0, each month's amount at the end of that month.

    NPV = upfront + sum over months m of amount_m / (1 + r_month)^m. A spreadsheet's NPV() discounts its first cell already: put the
    upfront outside. The rate may differ by draw, shape (...).

    >>> from pricing.costs import CashFlow
    >>> round(float(npv_usd(CashFlow(upfront_usd=np.float64(0), monthly_usd=np.full(12, 593.125 - 1387.0)), 0.08)), 2)
    -9139.77
    """
    months = np.arange(1, cash_flow.monthly_usd.shape[-1] + 1, dtype=np.float64)
    discount = (1.0 + monthly_rate(discount_rate_per_year))[..., np.newaxis] ** -months
    return np.asarray(cash_flow.upfront_usd + (cash_flow.monthly_usd * discount).sum(axis=-1))


def payback_months(cash_flow: CashFlow) -> NDArray[np.float64]:
    """Months from the start until the money spent is back for good, shape (...); NaN where that is not within the horizon.

    The running sum is taken as linear inside a month; the answer is the last moment at which it rises from below zero to zero, so a
    saving that is lost again does not count. 0 where the sum is never below zero. Undiscounted.

    >>> from pricing.costs import CashFlow
    >>> float(payback_months(CashFlow(upfront_usd=np.float64(-100), monthly_usd=np.full(12, 40.0))))
    2.5
    """
    start = np.broadcast_to(cash_flow.upfront_usd, cash_flow.monthly_usd.shape[:-1])[..., np.newaxis]
    running = np.concatenate([start, start + np.cumsum(cash_flow.monthly_usd, axis=-1)], axis=-1)
    # A hundredth of a cent is rounding of the sum, not a debt.
    below = running < -1e-4
    if running.ndim == 1:
        return np.asarray(_payback_of_one(running.tolist(), below.tolist()))
    last_below = running.shape[-1] - 1 - np.argmax(below[..., ::-1], axis=-1)
    index = np.minimum(last_below, running.shape[-1] - 2)[..., np.newaxis]
    low = np.take_along_axis(running, index, axis=-1)[..., 0]
    high = np.take_along_axis(running, index + 1, axis=-1)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.minimum(-low / (high - low), 1.0)
    never_below = ~below.any(axis=-1)
    return np.asarray(np.where(never_below, 0.0, np.where(below[..., -1], np.nan, index[..., 0] + inside)))


def _payback_of_one(running: list[float], below: list[bool]) -> float:
    """The same of a single cash flow, without arrays: decisions ask it for every option."""
    if below[-1]:
        return float("nan")
    last_below = next((place for place in reversed(range(len(below))) if below[place]), None)
    if last_below is None:
        return 0.0
    low, high = running[last_below], running[last_below + 1]
    return last_below + min(-low / (high - low), 1.0)


def irr_per_year(cash_flow: CashFlow) -> float:
    """Effective yearly internal rate of return of one cash flow; NaN where it has none, or more than one (several sign changes).

    The monthly rate at which the NPV is zero, compounded: (1 + r_month)^12 - 1. It says nothing on the size of the project.
    """
    flows = np.concatenate([np.atleast_1d(cash_flow.upfront_usd), cash_flow.monthly_usd])
    signs = np.sign(flows[np.abs(flows) > 0.0])
    if np.count_nonzero(np.diff(signs)) != 1:
        return float("nan")
    months = np.arange(flows.size, dtype=np.float64)

    def value(rate: float) -> float:
        return float((flows * (1.0 + rate) ** -months).sum())

    if value(SMALLEST_MONTHLY_RATE) * value(LARGEST_MONTHLY_RATE) > 0.0:
        return float("nan")
    rate = float(brentq(value, SMALLEST_MONTHLY_RATE, LARGEST_MONTHLY_RATE, xtol=1e-14))
    return float((1.0 + rate) ** MONTHS_PER_YEAR - 1.0)


def roi(baseline_total_usd: Amount, option_total_usd: Amount, upfront_usd: Amount) -> NDArray[np.float64]:
    """(baseline total - option total) / upfront, shape (...): what each dollar spent upfront saves net; NaN where nothing is upfront.

    >>> float(roi(300.0, 200.0, 50.0))
    2.0
    """
    upfront = np.asarray(upfront_usd, dtype=np.float64)
    saved = np.asarray(baseline_total_usd, dtype=np.float64) - np.asarray(option_total_usd, dtype=np.float64)
    return np.asarray(np.where(upfront == 0.0, np.nan, saved / np.where(upfront == 0.0, 1.0, upfront)))


def annuity_factor(rate_per_year: Amount, years: Amount) -> NDArray[np.float64]:
    """Equal payment at each year's end per dollar today (capital recovery): r / (1 - (1 + r)^-n); 1/n at a rate of 0.

    >>> round(float(annuity_factor(0.08, 4)), 6), float(annuity_factor(0.0, 4))
    (0.301921, 0.25)
    """
    rate, life = np.asarray(rate_per_year, dtype=np.float64), np.asarray(years, dtype=np.float64)
    safe = np.where(rate == 0.0, 1.0, rate)
    return np.asarray(np.where(rate == 0.0, 1.0 / life, safe / (1.0 - (1.0 + safe) ** -life)))


def amortised_usd_per_month(capex_usd: Amount, *, life_years: Amount, residual_share: Amount, rate_per_year: Amount) -> NDArray[np.float64]:
    """What owning costs a month over the asset's life: (price - present value of the residual) x annuity factor / 12.

    The annuity's year-end payment is spread evenly over its twelve months. Depreciation and capital charge are both inside: never add
    the purchase to it. At a rate of 0 it is straight-line: (price - residual) / months.

    >>> float(amortised_usd_per_month(48_000.0, life_years=4, residual_share=0.0, rate_per_year=0.0))
    1000.0
    """
    price, rate = np.asarray(capex_usd, dtype=np.float64), np.asarray(rate_per_year, dtype=np.float64)
    residual_today = price * np.asarray(residual_share) * (1.0 + rate) ** -np.asarray(life_years, dtype=np.float64)
    return np.asarray((price - residual_today) * annuity_factor(rate, life_years) / MONTHS_PER_YEAR)
