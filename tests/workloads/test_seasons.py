"""The week's shape and growth, from an hourly series."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.seasons import DailyVolume, HourlyVolume, daily_volume, forecast_of, growth_of, seasons_of, week_profile
from workloads.trace_summary import workload_of
from workloads.traces import summarize

MONDAY = 20_395 * 24  # 3 November 2025, 00:00 UTC, in hours since 1970


def hourly(values, first_hour: int = MONDAY) -> HourlyVolume:
    series = np.asarray(values, dtype=np.float64)
    return HourlyVolume(first_hour=first_hour, requests=series, tokens=series * 100)


def test_monday_is_the_first_row():
    assert np.datetime64(MONDAY, "h").astype("datetime64[D]").item().isoweekday() == 1
    week = week_profile(hourly(range(168)))
    assert week[0, 0] == 0
    assert week[6, 23] == 167


def test_an_hour_that_comes_twice_is_averaged_and_one_that_never_comes_is_unknown():
    week = week_profile(hourly([1.0] * 168 + [3.0]))
    assert week[0, 0] == (1 + 3) / 2
    part = week_profile(hourly([5.0], first_hour=MONDAY + 25))
    assert part[1, 1] == 5
    assert np.isnan(part).sum() == 167


def test_only_complete_days_count():
    daily = daily_volume(hourly([1.0] * (5 + 48 + 7), first_hour=MONDAY + 19))
    assert (daily.first_day, daily.requests.tolist(), daily.tokens.tolist()) == (date(2025, 11, 4), [24.0, 24.0], [2400.0, 2400.0])
    assert daily_volume(hourly([1.0] * 30, first_hour=MONDAY + 1)).requests.size == 0


@given(
    growth=st.floats(-0.3, 0.5),
    weekday=st.lists(st.floats(0.2, 5), min_size=7, max_size=7),
    first_hour=st.integers(MONDAY, MONDAY + 167),
    days=st.integers(30, 90),
)
def test_growth_without_noise_is_found_exactly_whatever_the_week(growth, weekday, first_hour, days):
    hours = first_hour + np.arange(days * 24)
    series = np.asarray(weekday)[hours // 24 % 7] * (1 + growth) ** (hours // 24 * 12 / 365 - MONDAY / 24 * 12 / 365)
    found = growth_of(hourly(series, first_hour))
    assert found is not None
    assert found.per_month_share == pytest.approx(growth, abs=1e-6)
    assert found.low_share <= found.per_month_share + 1e-9
    assert found.high_share >= found.per_month_share - 1e-9


def test_the_interval_holds_the_truth_about_nineteen_times_in_twenty():
    random = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        days = np.exp(0.1 * 12 / 365 * np.arange(56) + random.normal(0, 0.2, 56))
        found = growth_of(hourly(np.repeat(days, 24)))
        assert found is not None
        held += found.low_share <= np.expm1(0.1) <= found.high_share
    assert 0.92 <= held / 400 <= 0.98


def test_less_than_four_weeks_or_a_day_without_traffic_says_nothing():
    assert growth_of(hourly([1.0] * 24 * 27)) is None
    assert growth_of(hourly([1.0] * 24 * 28)) is not None
    assert growth_of(hourly([1.0] * 24 * 40 + [0.0] * 24)) is None


def test_a_log_of_four_weeks_has_too_few_complete_days_for_growth(tmp_path):
    path = tmp_path / "flat.csv"
    rows = [f"2026-02-{1 + day:02} {hour:02}:30:00,100,10" for day in range(28) for hour in range(24)]
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]), encoding="utf-8")
    summary = summarize(path)
    assert summary.growth is None  # the first and the last day are not complete
    assert workload_of(summary).growth_per_month_share == 0
    assert summary.week is not None
    assert summary.week[2, 5] == 1


def test_requests_of_the_last_four_weeks_are_what_the_projection_starts_from(tmp_path):
    path = tmp_path / "step.csv"
    rows = [
        f"2026-01-{1 + day:02} {hour:02}:00:0{turn},100,10"
        for day in range(31)
        for hour in range(24)
        for turn in range(1 if day < 2 else 2)
    ]
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows, "2026-02-01 00:00:00,100,10"]), encoding="utf-8")
    summary = summarize(path)
    assert summary.recent_requests_per_day == 48
    assert summary.requests_per_day < 48
    assert workload_of(summary).requests_per_day == 48


# ---- seasons of the year ----

YEAR = (0.7, 0.75, 0.9, 1.0, 1.05, 1.1, 1.0, 0.8, 1.1, 1.2, 1.2, 1.2)
"""January to December, with a mean of 1."""


def seasonal(first: date, days: int, *, growth_per_month: float = 0.0, year=YEAR, noise: float = 0.0) -> HourlyVolume:
    """Every hour of a day alike; weekends half."""
    random = np.random.default_rng(7)
    dates = np.datetime64(first) + np.arange(days)
    months = dates.astype("datetime64[M]").astype(np.int64) % 12
    weekdays = (first.weekday() + np.arange(days)) % 7
    level = np.asarray(year)[months] * np.where(weekdays < 5, 1.0, 0.5) * (1 + growth_per_month) ** (np.arange(days) * 12 / 365)
    level = level * np.exp(random.normal(0.0, noise, days)) if noise else level
    return hourly(np.repeat(level * 100.0, 24), first_hour=int(dates[0].astype("datetime64[h]").astype(np.int64)))


@pytest.mark.parametrize(("first", "days"), [(date(2024, 1, 1), 731), (date(2023, 3, 17), 760), (date(2022, 1, 1), 1200)])
def test_a_season_and_a_growth_without_noise_are_both_found(first, days):
    found = seasons_of(daily_volume(seasonal(first, days, growth_per_month=0.03)))
    assert found is not None
    assert found.is_clear
    assert found.factors == pytest.approx(YEAR, rel=0.01)
    assert sum(found.factors) / 12 == pytest.approx(1.0)
    growth = growth_of(seasonal(first, days, growth_per_month=0.03))
    assert growth is not None
    assert growth.per_month_share == pytest.approx(0.03, abs=1e-6)


def test_noise_widens_the_interval_and_holds_the_truth():
    found = seasons_of(daily_volume(seasonal(date(2023, 1, 1), 1096, growth_per_month=0.02, noise=0.2)))
    assert found is not None
    assert found.is_clear
    assert all(low < true < high for low, true, high in zip(found.low, YEAR, found.high, strict=True))


def test_an_even_year_with_noise_is_not_taken_for_a_season():
    assert not any(
        seasons.is_clear
        for days in range(731, 771)
        if (seasons := seasons_of(daily_volume(seasonal(date(2024, 1, 1), days, year=(1.0,) * 12, noise=0.3)))) is not None
    )


def test_less_than_two_years_or_a_day_without_tokens_say_nothing():
    daily = daily_volume(seasonal(date(2024, 1, 1), 900))
    assert seasons_of(daily_volume(seasonal(date(2024, 1, 1), 729))) is None
    assert seasons_of(DailyVolume(first_day=daily.first_day, requests=daily.requests, tokens=np.r_[daily.tokens[:-1], 0.0])) is None


def test_the_forecast_of_a_seasonal_log_is_the_season_to_come():
    first, days = date(2024, 1, 1), 1000
    ahead = forecast_of(seasonal(first, days, growth_per_month=0.01), 200)
    truth = daily_volume(seasonal(first, days + 200, growth_per_month=0.01)).tokens[days:]
    assert ahead is not None
    assert ahead.mid == pytest.approx(truth, rel=1e-6)


def test_a_log_of_two_years_becomes_a_workload_of_a_mean_month_with_its_seasons(tmp_path):
    """A request every six hours, more in the months that have more."""
    path = tmp_path / "two_years.csv"
    first = date(2024, 1, 1)
    rows = []
    for day in (np.datetime64(first) + np.arange(800)).astype(object):
        count = round(20 * YEAR[day.month - 1])
        rows += [f"{day} {number * 24 // count:02}:{number * 1440 // count % 60:02}:00,100,10" for number in range(count)]
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(rows) + "\n")
    summary = summarize(path)
    found = workload_of(summary)
    end = first.fromordinal(first.toordinal() + 799).month  # its last day is no complete one, and the first ahead
    assert found.month_factors == summary.seasons.from_month(end)
    assert found.month_factors == pytest.approx([round(20 * one) / 20 for one in (*YEAR[end - 1 :], *YEAR[: end - 1])], rel=0.02)
    assert found.requests_per_day == pytest.approx(20, rel=0.03)
    assert any("Seasons of the year are taken over as month_factors" in remark for remark in summary.remarks)
    shorter = path.read_text().splitlines()[:6000]
    path.write_text("\n".join(shorter) + "\n")
    assert workload_of(summarize(path)).month_factors == ()
    assert any("less than two years" in remark for remark in summarize(path).remarks)
