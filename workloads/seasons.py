"""What an hourly series of requests says about the week, about growth, and about the days to come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from facts.units import DAYS_PER_MONTH, SECONDS_PER_HOUR
from workloads.log_formats import known_zone

HOURS_PER_WEEK = 168
DAYS_FOR_GROWTH = 28
"""Four weeks: with fewer, a busy week and growth cannot be told apart."""
DAYS_FOR_SEASONS = 730
"""Two years: with fewer, a season and growth cannot be told apart."""
DAYS_OF_A_MONTH = 10
"""A month of which fewer days are there says nothing of its level."""
MONTHS_OF_A_YEAR = 12
SEASONS_WRONGLY_SEEN = 0.05
"""How often twelve equal months may look unequal."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class HourlyVolume:
    """Requests and tokens of each complete hour of a log, without gaps.

    first_hour: hours since 1970 in UTC of the first complete hour
    requests, tokens: of each hour, arrays of shape (hours,)
    zone: whose hours they are, by its IANA name
    begins_s: seconds past the UTC hour at which an hour begins there: 1800 in India, 0 nearly everywhere
    """

    first_hour: int
    requests: NDArray[np.float64]
    tokens: NDArray[np.float64]
    zone: str = "UTC"
    begins_s: int = 0


@dataclass(frozen=True, kw_only=True)
class DailyVolume:
    """Requests and tokens of each complete day of a log, without gaps.

    first_day: the first of them
    requests, tokens: of each day, arrays of shape (days,)
    """

    first_day: date
    requests: NDArray[np.float64]
    tokens: NDArray[np.float64]

    @property
    def weekdays(self) -> NDArray[np.int64]:
        """Day of the week of each day, Monday is 0."""
        return (self.first_day.weekday() + np.arange(self.requests.size)) % 7


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


@dataclass(frozen=True, kw_only=True)
class Seasons:
    """Volume of each month of the calendar over the mean of the twelve, growth and days of the week taken out; January first.

    factors: their mean is 1
    low, high: 95 % interval of all twelve together, from the scatter of the same month between years
    months: months of the log that were fitted
    """

    factors: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    months: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval of any month leaves out 1."""
        return any(low > 1.0 or high < 1.0 for low, high in zip(self.low, self.high, strict=True))

    def from_month(self, month: int) -> tuple[float, ...]:
        """The factors with that month (1 is January) first."""
        return (*self.factors[month - 1 :], *self.factors[: month - 1])


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Tokens of the days after a log, with the 80 % interval of a single day.

    first_day: the first day after the log's complete days
    mid, low, high: tokens of each day, arrays of shape (days,)
    """

    first_day: date
    mid: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def begin_of_hours_s(zone: str, moment_us: int) -> int:
    """Seconds past the UTC hour at which the hours of a zone begin at a moment."""
    offset = _local(EPOCH + timedelta(microseconds=moment_us), known_zone(zone)).utcoffset()
    assert offset is not None
    return int(-offset.total_seconds()) % int(SECONDS_PER_HOUR)


def week_profile(hourly: HourlyVolume) -> NDArray[np.float64]:
    """Mean requests in each hour of the week, shape (7, 24), Monday 00:00 first; NaN for hours that the log does not have.

    Where clocks are put forward an hour is missing, where they are put back one comes twice; each counts as the hour it reads.
    """
    hour_of_week = np.array([moment.weekday() * 24 + moment.hour for moment in _clock(hourly)], dtype=np.int64)
    total = np.bincount(hour_of_week, weights=hourly.requests, minlength=HOURS_PER_WEEK)
    times = np.bincount(hour_of_week, minlength=HOURS_PER_WEEK)
    mean: NDArray[np.float64] = np.divide(total, times, out=np.full(HOURS_PER_WEEK, np.nan), where=times > 0)
    return mean.reshape(7, 24)


def daily_volume(hourly: HourlyVolume) -> DailyVolume:
    """The complete days of the series in its zone; on two of them a year the clock is changed, and they have 23 or 25 hours."""
    clock = _clock(hourly)
    if not clock:
        return DailyVolume(first_day=EPOCH.date(), requests=np.zeros(0), tokens=np.zeros(0))
    before = _local(_moment(hourly, -1), known_zone(hourly.zone))
    after = _local(_moment(hourly, len(clock)), known_zone(hourly.zone))
    days = np.array([moment.date().toordinal() for moment in clock], dtype=np.int64)
    first = int(days[0]) + (before.date() == clock[0].date())
    end = int(days[-1]) + (after.date() != clock[-1].date())
    inside = (days >= first) & (days < end)
    number, size = days[inside] - first, max(0, end - first)
    return DailyVolume(
        first_day=date.fromordinal(first),
        requests=np.bincount(number, weights=hourly.requests[inside], minlength=size).astype(np.float64),
        tokens=np.bincount(number, weights=hourly.tokens[inside], minlength=size).astype(np.float64),
    )


def growth_of(hourly: HourlyVolume) -> Growth | None:
    """Growth of the daily tokens: a straight line through their logarithms, with a level for each day of the week.

    From two years on a season that is clear has its months' levels beside it. None with fewer than 28 complete days or a day without
    tokens. The interval takes the days as independent; real days are
    not quite, so it is rather too narrow.
    """
    fitted = _fitted(daily_volume(hourly))
    if fitted is None:
        return None
    error = float(np.sqrt(fitted.variance * fitted.covariance[0, 0]))
    slope, reach = float(fitted.slope_and_levels[0]), _student_quantile(0.975, fitted.freedom) * error
    low, mid, high = (float(np.expm1(rate * DAYS_PER_MONTH)) for rate in (slope - reach, slope, slope + reach))
    return Growth(per_month_share=mid, low_share=low, high_share=high, days=fitted.days)


def seasons_of(daily: DailyVolume) -> Seasons | None:
    """Seasons of the year: a level for each month of the calendar beside a straight line, through the mean logarithm of each month.

    None with fewer than two years of complete days, a day without tokens, or a calendar month that only one year has. Months of which
    fewer than 10 days are there are left out. A month counts as one observation, however alike its days are.
    """
    if daily.tokens.size < DAYS_FOR_SEASONS or not (daily.tokens > 0).all():
        return None
    plain = _line_through(daily, np.eye(7)[daily.weekdays])
    level = np.log(daily.tokens) - np.eye(7)[daily.weekdays] @ plain[1:]
    cell = _months(daily)
    _, place, days = np.unique(cell, return_inverse=True, return_counts=True)
    kept = days >= DAYS_OF_A_MONTH
    mean, middle = (np.bincount(place, weights=each)[kept] / days[kept] for each in (level, np.arange(cell.size, dtype=np.float64)))
    calendar = np.unique(cell)[kept] % MONTHS_OF_A_YEAR
    if np.bincount(calendar, minlength=MONTHS_OF_A_YEAR).min() < 2:
        return None
    design = np.column_stack([middle, np.eye(MONTHS_OF_A_YEAR)[calendar]])
    found, *_ = np.linalg.lstsq(design, mean, rcond=None)
    residual, freedom = mean - design @ found, mean.size - design.shape[1]
    apart = np.column_stack([np.zeros(MONTHS_OF_A_YEAR), np.eye(MONTHS_OF_A_YEAR) - 1.0 / MONTHS_OF_A_YEAR])
    effect = apart @ found
    spread = np.sqrt(residual @ residual / freedom * np.einsum("ij,jk,ik->i", apart, np.linalg.inv(design.T @ design), apart))
    reach = _student_quantile(1.0 - SEASONS_WRONGLY_SEEN / 2.0 / MONTHS_OF_A_YEAR, freedom) * spread
    one = np.exp(effect).mean()
    low, factors, high = (tuple((np.exp(each) / one).tolist()) for each in (effect - reach, effect, effect + reach))
    return Seasons(factors=factors, low=low, high=high, months=int(mean.size))


def forecast_of(hourly: HourlyVolume, days: int) -> Forecast | None:
    """Tokens of the days to come, along the same line and week as `growth_of`; None where that says nothing.

    The 80 % interval is that of one new day: the scatter of the days and what the line itself may be off.
    """
    daily = daily_volume(hourly)
    fitted = _fitted(daily)
    if fitted is None:
        return None
    ahead = DailyVolume(first_day=daily.first_day + timedelta(days=int(daily.tokens.size)), requests=np.zeros(days), tokens=np.zeros(days))
    number = daily.tokens.size + np.arange(days, dtype=np.float64)
    design = np.column_stack([number, _levels(ahead, seasonal=fitted.seasonal)])
    middle = design @ fitted.slope_and_levels
    spread = np.sqrt(fitted.variance * (1.0 + np.einsum("ij,jk,ik->i", design, fitted.covariance, design)))
    reach = _student_quantile(0.9, fitted.freedom) * spread
    return Forecast(
        first_day=ahead.first_day,
        mid=np.exp(middle),
        low=np.exp(middle - reach),
        high=np.exp(middle + reach),
    )


# ---- below: how ----


@dataclass(frozen=True, kw_only=True)
class _Fitted:
    """The line through the logarithms of the daily tokens: slope a day, then the levels of Monday to Sunday, and of the months' seasons."""

    slope_and_levels: NDArray[np.float64]
    covariance: NDArray[np.float64]
    variance: float
    freedom: int
    days: int
    seasonal: bool


def _fitted(daily: DailyVolume) -> _Fitted | None:
    days = daily.tokens.size
    if days < DAYS_FOR_GROWTH or not (daily.tokens > 0).all():
        return None
    seasons = seasons_of(daily)
    seasonal = seasons is not None and seasons.is_clear
    design = np.column_stack([np.arange(days, dtype=np.float64), _levels(daily, seasonal=seasonal)])
    slope_and_levels, *_ = np.linalg.lstsq(design, np.log(daily.tokens), rcond=None)
    residual = np.log(daily.tokens) - design @ slope_and_levels
    freedom = days - design.shape[1]
    return _Fitted(
        slope_and_levels=slope_and_levels,
        covariance=np.linalg.inv(design.T @ design),
        variance=float(residual @ residual / freedom),
        freedom=freedom,
        days=days,
        seasonal=seasonal,
    )


def _line_through(daily: DailyVolume, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slope and levels of the logarithms of the daily tokens."""
    design = np.column_stack([np.arange(daily.tokens.size, dtype=np.float64), levels])
    found, *_ = np.linalg.lstsq(design, np.log(daily.tokens), rcond=None)
    return np.asarray(found, dtype=np.float64)


def _levels(daily: DailyVolume, *, seasonal: bool) -> NDArray[np.float64]:
    """A column for each day of the week; with seasons one for each month but January, which the days of the week hold."""
    week = np.eye(7)[daily.weekdays]
    return np.column_stack([week, np.eye(MONTHS_OF_A_YEAR)[_months(daily) % MONTHS_OF_A_YEAR][:, 1:]]) if seasonal else week


def _months(daily: DailyVolume) -> NDArray[np.int64]:
    """The month of each day, counted from January 1970."""
    days = np.datetime64(daily.first_day) + np.arange(daily.tokens.size)
    return np.asarray(days.astype("datetime64[M]").astype(np.int64))


def _clock(hourly: HourlyVolume) -> list[datetime]:
    """What a clock in the zone shows as each hour begins."""
    zone = known_zone(hourly.zone)
    return [_local(_moment(hourly, number), zone) for number in range(hourly.requests.size)]


def _moment(hourly: HourlyVolume, number: int) -> datetime:
    return EPOCH + timedelta(hours=hourly.first_hour + number, seconds=hourly.begins_s)


def _local(moment: datetime, zone: tzinfo) -> datetime:
    try:
        return moment.astimezone(zone)
    except (OverflowError, ValueError):  # the first and the last day of the calendar
        return moment


def _student_quantile(share: float, freedom: int) -> float:
    """Quantile of Student's t, expanded around the normal one (Abramowitz and Stegun 26.7.5); within 0.001 from 20 degrees on."""
    z = NormalDist().inv_cdf(share)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
