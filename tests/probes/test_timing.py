import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from probes import timing

rates = st.floats(min_value=0.1, max_value=1e5, allow_nan=False)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 29, 100, 499])
def test_student_t_is_scipys(degrees):
    assert timing.student_t(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)


@given(st.lists(rates, min_size=1, max_size=50), st.floats(min_value=0, max_value=1))
def test_quantiles_are_numpys(samples, share):
    assert timing.quantile(samples, share) == pytest.approx(float(np.quantile(samples, share)), rel=1e-9)


def test_the_interval_of_the_mean_by_hand():
    # mean 10, sd 1, n 4: 10 +- 3.1824 x 1 / 2
    interval = timing.mean_interval([9.0, 9.5, 10.5, 11.0])
    assert timing.sample_sd([9.0, 9.5, 10.5, 11.0]) == pytest.approx((2.5 / 3) ** 0.5)
    assert interval.high - interval.centre == pytest.approx(3.182446 * (2.5 / 3) ** 0.5 / 2, rel=1e-6)


def test_one_sample_has_no_interval_and_is_never_settled():
    assert timing.mean_interval([5.0]).half_width_share == float("inf")
    assert not timing.settled([5.0], at_least=1)


def test_five_equal_repetitions_settle_and_four_do_not():
    assert timing.settled([5.0] * 5)
    assert not timing.settled([5.0] * 4)


def test_the_settling_limit_has_two_sides():
    # 5 samples around 100: half width = t(4) sd / sqrt(5), so the limit of 3 lies at sd = 3 x sqrt(5) / 2.7764 = 2.4161
    def around(sd):
        return [100.0 - sd * 2**0.5, 100.0, 100.0, 100.0, 100.0 + sd * 2**0.5]

    assert timing.sample_sd(around(2.0)) == pytest.approx(2.0)
    assert timing.settled(around(2.4160))
    assert not timing.settled(around(2.4163))


@pytest.mark.parametrize(("n", "low", "high"), [(5, 0, 4), (6, 0, 5), (8, 0, 7), (9, 1, 7), (20, 5, 14), (25, 7, 17)])
def test_the_interval_of_the_median_is_the_tables(n, low, high):
    interval = timing.median_interval([float(i) for i in range(n)])
    assert (interval.low, interval.high) == (low, high)


def test_thousands_of_samples_have_a_narrow_interval():
    interval = timing.median_interval([float(i) for i in range(5000)])
    assert interval.half_width_share == pytest.approx(1.96 * 5000**0.5 / 2 / 2500, rel=0.02)  # the normal limit of the binomial


@given(st.lists(rates, min_size=6, max_size=200))
def test_the_interval_of_the_median_covers_95_percent_and_holds_the_median(samples):
    interval = timing.median_interval(samples)
    assert interval.low <= timing.median(samples) <= interval.high
    rank = sorted(samples).index(interval.low)
    n = len(samples)
    if len(set(samples)) == n:
        assert 2 * stats.binom.cdf(rank, n, 0.5) <= 0.05 + 1e-12


@given(st.lists(rates, min_size=1, max_size=60), st.sampled_from([0.25, 2.0, 1024.0]))
def test_doubts_do_not_depend_on_the_unit(samples, factor):
    scaled = [sample * factor for sample in samples]  # powers of two: no rounding
    kinds = [doubt.blocks for doubt in timing.sample_doubts("x", samples)]
    assert kinds == [doubt.blocks for doubt in timing.sample_doubts("x", scaled)]


def test_quiet_samples_raise_no_doubt():
    assert timing.sample_doubts("tg128", [100.0, 101.0, 99.5, 100.2, 100.4, 99.9]) == ()


def test_a_wide_median_blocks_a_verdict():
    doubts = timing.sample_doubts("tg128", [100.0, 80.0, 121.0, 99.0, 101.0, 100.0])
    assert any("wider than" in doubt.text and doubt.blocks for doubt in doubts)


def test_an_outlier_is_listed_and_does_not_block():
    doubts = timing.sample_doubts("tg128", [100.0, 100.1, 99.9, 100.2, 99.8, 108.0])
    assert [doubt.blocks for doubt in doubts] == [False]
    assert "108" in doubts[0].text


def test_throttling_shows_in_the_last_third():
    doubts = timing.sample_doubts("tg128", [100.0] * 4 + [95.0] * 4 + [85.0] * 4)
    assert any("throttles" in doubt.text and doubt.blocks for doubt in doubts)
    assert not any("throttles" in doubt.text for doubt in timing.sample_doubts("x", [100.0] * 4 + [95.0] * 4 + [91.0] * 4))
