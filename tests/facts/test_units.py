"""The conversion constants, each against the arithmetic it stands for."""

from facts import units


def test_twelve_months_are_a_year():
    assert units.DAYS_PER_MONTH * 12 == 365
    assert units.HOURS_PER_MONTH == 365 / 12 * 24


def test_sizes():
    assert units.BYTES_PER_GB == 10**9
    assert units.BYTES_PER_GIB == 2**30
    assert units.TOKENS_PER_MTOK == 10**6
    assert units.FLOPS_PER_TFLOP == 10**12


def test_times():
    assert units.SECONDS_PER_DAY == 24 * 60 * 60 == units.HOURS_PER_DAY * units.SECONDS_PER_HOUR
    assert units.MS_PER_S == 1000
