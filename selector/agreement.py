"""Whether a recomputed figure is the stated one, and by which known factor it is not.

A recomputed figure agrees with a stated one within the rounding of the stated figure's own digits: half a unit of its last digit that is
not a trailing zero, or a unit above where it was cut off; one digit alone stands for 15 % at least; a figure marked as rough (~, about,
roughly) for 10 % at least. A range agrees when it holds the recomputed one and neither end is more than twice away.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Final

from facts.units import (
    DAYS_PER_MONTH,
    DAYS_PER_YEAR,
    MONTHS_PER_YEAR,
    MS_PER_S,
    TOKENS_PER_MTOK,
)
from selector.claims import (
    Bound,
    Span,
)

NEXT_TO_SHARE: Final = 1e-3
ROUGH_SHARE: Final = 0.10
ONE_DIGIT_SHARE: Final = 0.15
WIDER_THAN: Final = 2.0
"""A stated range whose end is more than this factor beyond the recomputed one claims more than its numbers give."""


def agrees(stated: Span, low: float, high: float, *, rough: bool = False) -> bool:
    """Whether a recomputed figure (or range) agrees with a stated one, by the rule at the head of this file."""
    if stated.bound is Bound.AT_MOST:
        return high <= stated.high * (1.0 + 1e-9)
    if stated.bound is Bound.AT_LEAST:
        return low >= stated.low * (1.0 - 1e-9)
    if not (isfinite(low) and isfinite(high)):
        return False
    below, _ = rounding(stated.low, rough=rough)
    _, above = rounding(stated.high, rough=rough)
    if low < stated.low - below or high > stated.high + above:
        return False
    if low == high:
        return True
    return (low <= stated.low * WIDER_THAN or low <= stated.low + above) and (high * WIDER_THAN >= stated.high)


def next_to(stated: Span, low: float, high: float) -> bool:
    """Whether a figure that is meant exactly is a tenth of a percent away at most: what it was computed from had been rounded too."""
    if stated.bound is not Bound.EXACT or not (isfinite(low) and isfinite(high)):
        return False
    return abs(low - stated.low) <= NEXT_TO_SHARE * stated.low and abs(high - stated.high) <= NEXT_TO_SHARE * stated.high


def rounding(stated: float, *, rough: bool = False) -> tuple[float, float]:
    """How far below and above a stated figure its own digits reach. 28 reaches 0.5 down and 1 up: 28.85 was cut off."""
    if stated == 0.0:
        return 1e-9, 1e-9
    digits = Decimal(repr(float(stated))).normalize()
    unit = float(Decimal(1).scaleb(int(digits.as_tuple().exponent)))
    exact = abs(stated) * 1e-9
    if len(digits.as_tuple().digits) == 1:
        half = min(unit / 2.0, ONE_DIGIT_SHARE * stated) if unit > 1.0 or stated < 1.0 else unit / 2.0
        below = above = max(half, ONE_DIGIT_SHARE * stated)
    else:
        below, above = unit / 2.0, unit
    least = ROUGH_SHARE * stated if rough else exact
    return max(below, least) + exact, max(above, least) + exact


SLIPS: Final[Mapping[str, tuple[tuple[float, str, str], ...]]] = {
    "_per_month": (
        (MONTHS_PER_YEAR, "12 x", "an annual figure labelled monthly"),
        (1.0 / DAYS_PER_MONTH, "12/365 of it", "a daily figure labelled monthly"),
        (1.0 / MONTHS_PER_YEAR, "a twelfth of it", "a monthly figure divided by twelve once more"),
    ),
    "_per_year": (
        (MONTHS_PER_YEAR, "12 x", "an annual figure taken for a monthly one and multiplied by twelve again"),
        (1.0 / MONTHS_PER_YEAR, "a twelfth of it", "a monthly figure labelled annual"),
        (1.0 / DAYS_PER_YEAR, "1/365 of it", "a daily figure labelled annual"),
    ),
    "_per_day": (
        (DAYS_PER_MONTH, "365/12 x", "a monthly figure labelled daily"),
        (DAYS_PER_YEAR, "365 x", "an annual figure labelled daily"),
        (MONTHS_PER_YEAR, "12 x", "a factor of twelve that no day has"),
    ),
    "_months": (
        (1.0 / MONTHS_PER_YEAR, "a twelfth of it", "years labelled months"),
        (MONTHS_PER_YEAR, "12 x", "a saving per year taken for one per month"),
    ),
    "": (
        (MS_PER_S, "1,000 x", "a prefix (thousand, milli, giga) that slipped"),
        (1.0 / MS_PER_S, "a thousandth of it", "a prefix (thousand, milli, giga) that slipped"),
        (TOKENS_PER_MTOK, "1,000,000 x", "a prefix that slipped twice"),
        (1.0 / TOKENS_PER_MTOK, "a millionth of it", "a prefix that slipped twice"),
        (8.0, "8 x", "bits labelled bytes"),
        (1.0 / 8.0, "an eighth of it", "bytes labelled bits"),
    ),
}


def slip_of(key: str, stated: Span, low: float, high: float) -> str:
    """A known factor between the stated and the recomputed figure, in words; '' for none."""
    if stated.bound is not Bound.EXACT or not isfinite(high) or low <= 0.0:
        return ""
    ending = next((one for one in SLIPS if one and key.endswith(one)), "")
    for factor, times, meaning in (*(SLIPS[ending] if ending else ()), *SLIPS[""]):
        below, above = rounding(stated.low), rounding(stated.high)
        fits_low = stated.low - below[0] <= low * factor <= stated.low + below[1]
        fits_high = stated.high - above[0] <= high * factor <= stated.high + above[1]
        if fits_low and fits_high:
            return f"the stated figure is exactly {times}: {meaning}"
    return ""
