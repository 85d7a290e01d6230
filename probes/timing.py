"""Samples to figures: median, mean, sample sd, quantiles, Student-t interval, and when not to believe them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

CONFIDENCE = 0.95
SETTLED_SHARE = 0.03
"""A test is settled when the half width of its interval is within this share of the mean."""
MIN_REPETITIONS = 5
VERDICT_SHARE = 0.10
"""A median whose interval is wider than this on either side is not used for a verdict without an explicit yes."""
OUTLIER_MADS = 5.0
MAD_TO_SD = 1.4826
"""Scale of the median absolute deviation that equals the standard deviation of a normal distribution."""
CV_LIMIT = 0.10
STEP_LIMIT = 3.0
"""Slowest step over median step above which a generation was disturbed."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval.

    low, high: its ends, in the unit of the samples
    centre: the estimate it stands around
    """

    low: float
    high: float
    centre: float

    @property
    def half_width_share(self) -> float:
        """The larger distance from the centre to an end, as a share of the centre; infinite around zero."""
        if self.centre == 0:
            return math.inf
        return max(self.high - self.centre, self.centre - self.low) / abs(self.centre)


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """Why a reader might not believe a measurement.

    text: one sentence
    blocks: whether it keeps the measurement from a verdict until someone says yes to it
    """

    text: str
    blocks: bool = False


def median(samples: Sequence[float]) -> float:
    """The middle sample, or the mean of the two middle ones."""
    return statistics.median(samples)


def mean(samples: Sequence[float]) -> float:
    """Arithmetic mean."""
    return statistics.fmean(samples)


def sample_sd(samples: Sequence[float]) -> float:
    """Standard deviation with n - 1, as llama-bench prints it; 0 for a single sample."""
    return statistics.stdev(samples) if len(samples) > 1 else 0.0


def variation_share(samples: Sequence[float]) -> float:
    """Coefficient of variation: sample sd over mean."""
    centre = mean(samples)
    return sample_sd(samples) / centre if centre else math.inf


def quantile(samples: Sequence[float], share: float) -> float:
    """Linear interpolation between the order statistics at (n - 1) x share (the default of numpy and R's type 7).

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.5
    """
    ordered = sorted(samples)
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def mean_interval(samples: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Student-t interval of the mean: mean +- t(n - 1) x sd / sqrt(n); infinite for fewer than two samples."""
    centre = mean(samples)
    if len(samples) < 2:
        return Interval(low=-math.inf, high=math.inf, centre=centre)
    half = student_t(len(samples) - 1, confidence) * sample_sd(samples) / math.sqrt(len(samples))
    return Interval(low=centre - half, high=centre + half, centre=centre)


def median_interval(samples: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Distribution-free interval of the median between two order statistics (binomial, conservative).

    Below six samples even the whole range covers less than 95 % (5 samples: 93.75 %); the range is given then.
    """
    ordered = sorted(samples)
    n = len(ordered)
    if n < 2:
        return Interval(low=-math.inf, high=math.inf, centre=ordered[0])
    outside, tail, ways = 0, 0, 1  # whole numbers: 2 to the power of some thousands is no float
    for rank in range((n - 1) // 2):
        tail += ways
        if 2 * tail / (1 << n) > 1.0 - confidence:
            break
        outside = rank + 1
        ways = ways * (n - rank) // (rank + 1)
    lowest = max(0, outside - 1)
    return Interval(low=ordered[lowest], high=ordered[n - 1 - lowest], centre=median(ordered))


def settled(samples: Sequence[float], share: float = SETTLED_SHARE, at_least: int = MIN_REPETITIONS) -> bool:
    """Whether the Student-t interval of the mean is within `share` of it, after at least `at_least` samples."""
    return len(samples) >= max(2, at_least) and mean_interval(samples).half_width_share <= share


def outliers(samples: Sequence[float]) -> tuple[float, ...]:
    """Samples further than five scaled median absolute deviations from the median; listed, never dropped."""
    if len(samples) < 3:
        return ()
    centre = median(samples)
    limit = OUTLIER_MADS * MAD_TO_SD * median([abs(sample - centre) for sample in samples])
    return tuple(sample for sample in samples if abs(sample - centre) > limit > 0)


@lru_cache(maxsize=256)
def student_t(degrees: int, confidence: float = CONFIDENCE) -> float:
    """The t with P(|T| <= t) = confidence for whole degrees of freedom, by bisection.

    >>> round(student_t(4), 3)
    2.776
    """
    low, high = 0.0, 2.0
    while student_t_within(high, degrees) < confidence:
        high *= 2.0
    for _ in range(80):
        middle = (low + high) / 2.0
        low, high = (middle, high) if student_t_within(middle, degrees) < confidence else (low, middle)
    return (low + high) / 2.0


def student_t_within(t: float, degrees: int) -> float:
    """P(|T| <= t) for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    theta = math.atan(t / math.sqrt(degrees))
    cosine, sine = math.cos(theta), math.sin(theta)
    odd = degrees % 2 == 1
    term = cosine if odd else 1.0
    total = 0.0 if degrees == 1 else term
    for k in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return 2.0 / math.pi * (theta + sine * total) if odd else sine * total


def sample_doubts(name: str, samples: Sequence[float], *, unit: str = "tokens/s") -> tuple[Doubt, ...]:
    """What a careful reader should know of these samples."""
    if not samples:
        return (Doubt(text=f"{name}: nothing was measured", blocks=True),)
    found = []
    if len(samples) < MIN_REPETITIONS:
        text = f"{name}: {len(samples)} of at least {MIN_REPETITIONS} repetitions, so there is no 95 % interval: give it more seconds"
        found.append(Doubt(text=text, blocks=len(samples) < 2))
    if len(samples) > 1:
        found += _spread_doubts(name, samples, unit)
    far = outliers(samples)
    if far:
        text = f"{name}: {len(far)} of {len(samples)} samples lie more than {OUTLIER_MADS:g} scaled MAD from the median: {_listed(far)}"
        found.append(Doubt(text=text))
    drift = first_to_last_third(samples)
    if drift is not None and drift < 1.0 - VERDICT_SHARE:
        text = f"{name}: the last third runs at {drift:.2f} of the first third: the machine throttles or fills with other work"
        found.append(Doubt(text=text, blocks=True))
    return tuple(found)


def _spread_doubts(name: str, samples: Sequence[float], unit: str) -> list[Doubt]:
    found = []
    variation = variation_share(samples)
    if variation > CV_LIMIT:
        text = f"{name}: the standard deviation is {variation:.0%} of the mean (limit {CV_LIMIT:.0%}): something else was running"
        found.append(Doubt(text=text, blocks=True))
    interval = median_interval(samples)
    if interval.half_width_share > VERDICT_SHARE:
        ends = f"{interval.low:.4g} to {interval.high:.4g} {unit}"
        text = f"{name}: the 95 % interval of the median, {ends}, is wider than +-{VERDICT_SHARE:.0%}: rerun on an idle machine"
        found.append(Doubt(text=text, blocks=True))
    return found


def first_to_last_third(samples: Sequence[float]) -> float | None:
    """Median of the last third over median of the first third, in the order measured; None below nine samples."""
    third = len(samples) // 3
    if third < 3:
        return None
    first = median(samples[:third])
    return median(samples[-third:]) / first if first else None


def _listed(samples: Sequence[float]) -> str:
    shown = ", ".join(f"{sample:.4g}" for sample in samples[:5])
    return shown + (", ..." if len(samples) > 5 else "")
