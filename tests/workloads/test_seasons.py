"""The week's shape and growth, from an hourly series."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.seasons import HourlyVolume, daily_volume, growth_of, week_profile
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
