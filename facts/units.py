"""Conversion constants; the only place they are written."""

from typing import Final

HOURS_PER_DAY: Final = 24.0
DAYS_PER_YEAR: Final = 365.0
MONTHS_PER_YEAR: Final = 12.0
DAYS_PER_MONTH: Final = DAYS_PER_YEAR / MONTHS_PER_YEAR
"""365/12 days: every month is the same length, so twelve of them are a year."""
HOURS_PER_MONTH: Final = 730.0
"""365/12 days of 24 hours."""
SECONDS_PER_DAY: Final = 86_400.0
SECONDS_PER_HOUR: Final = 3_600.0
TOKENS_PER_MTOK: Final = 1_000_000.0
BYTES_PER_GB: Final = 1_000_000_000.0
BYTES_PER_GIB: Final = 1_073_741_824.0
FLOPS_PER_TFLOP: Final = 1e12
WATTS_PER_KW: Final = 1_000.0
MS_PER_S: Final = 1_000.0
