"""What an hourly series of requests says about the week and about growth."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from facts.units import DAYS_PER_MONTH

HOURS_PER_WEEK = 168
EPOCH_HOUR_OF_WEEK = 72
"""1 January 1970, 00:00 UTC, was a Thursday: three days after Monday 00:00."""
DAYS_FOR_GROWTH = 28
"""Four weeks: with fewer, a busy week and growth cannot be told apart."""


@dataclass(frozen=True, kw_only=True)
class HourlyVolume:
    """Requests and tokens of each complete hour of a log, without gaps.

    first_hour: hours since 1970 in UTC of the first complete hour
    requests, tokens: of each hour, arrays of shape (hours,)
    """

    first_hour: int
    requests: NDArray[np.float64]
    tokens: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Growth of the daily tokens from month to month, with its 95 % interval.

    per_month_share: 0.05 is 5 % a month of 365/12 days
    low_share, high_share: the interval, from the scatter of the days around the fitted line
    days: complete days that were fitted
    """

    per_month_share: float
    low_share: float
    high_share: float
    days: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low_share > 0 or self.high_share < 0


def week_profile(hourly: HourlyVolume) -> NDArray[np.float64]:
    """Mean requests in each hour of the week, shape (7, 24), Monday 00:00 UTC first; NaN for hours that the log does not have."""
    hour_of_week = (hourly.first_hour + EPOCH_HOUR_OF_WEEK + np.arange(hourly.requests.size)) % HOURS_PER_WEEK
    total = np.bincount(hour_of_week, weights=hourly.requests, minlength=HOURS_PER_WEEK)
    times = np.bincount(hour_of_week, minlength=HOURS_PER_WEEK)
    mean: NDArray[np.float64] = np.divide(total, times, out=np.full(HOURS_PER_WEEK, np.nan), where=times > 0)
    return mean.reshape(7, 24)


def daily_volume(hourly: HourlyVolume) -> HourlyVolume:
    """The complete UTC days of the series: `first_hour` is their first midnight, the arrays have one value a day."""
    skipped = -hourly.first_hour % 24
    days = max(0, (hourly.requests.size - skipped) // 24)
    part = slice(skipped, skipped + 24 * days)
    return HourlyVolume(
        first_hour=hourly.first_hour + skipped,
        requests=hourly.requests[part].reshape(days, 24).sum(axis=1),
        tokens=hourly.tokens[part].reshape(days, 24).sum(axis=1),
    )


def growth_of(hourly: HourlyVolume) -> Growth | None:
    """Growth of the daily tokens: a straight line through their logarithms, with a level for each day of the week.

    None with fewer than 28 complete days or a day without tokens. The interval takes the days as independent; real days are
    not quite, so it is rather too narrow.
    """
    daily = daily_volume(hourly)
    days = daily.tokens.size
    if days < DAYS_FOR_GROWTH or not (daily.tokens > 0).all():
        return None
    number = np.arange(days, dtype=np.float64)
    weekday = (daily.first_hour // 24 + np.arange(days)) % 7
    design = np.column_stack([number, np.eye(7)[weekday]])
    slope_and_levels, *_ = np.linalg.lstsq(design, np.log(daily.tokens), rcond=None)
    residual = np.log(daily.tokens) - design @ slope_and_levels
    freedom = days - design.shape[1]
    error = float(np.sqrt(residual @ residual / freedom * np.linalg.inv(design.T @ design)[0, 0]))
    slope, reach = float(slope_and_levels[0]), _student_quantile(0.975, freedom) * error
    low, mid, high = (float(np.expm1(rate * DAYS_PER_MONTH)) for rate in (slope - reach, slope, slope + reach))
    return Growth(per_month_share=mid, low_share=low, high_share=high, days=days)


def _student_quantile(share: float, freedom: int) -> float:
    """Quantile of Student's t, expanded around the normal one (Abramowitz and Stegun 26.7.5); within 0.001 from 20 degrees on."""
    z = NormalDist().inv_cdf(share)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
