"""The statistics of two models on the same items: intervals and tests for a paired difference and a paired ratio.

Notation of right/wrong: a both right, b the option only, c the baseline only, d both wrong; D = (b - c) / n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from facts.errors import InputError

Numbers: TypeAlias = "float | NDArray[np.float64]"

_EDGE: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class PairedCounts:
    """Right and wrong of two models on the same items.

    both: both right
    option_only: the option alone right
    baseline_only: the baseline alone right
    neither: both wrong
    """

    both: int
    option_only: int
    baseline_only: int
    neither: int

    def __post_init__(self) -> None:
        if min(self.both, self.option_only, self.baseline_only, self.neither) < 0 or self.n == 0:
            raise InputError(f"counts {self.both}, {self.option_only}, {self.baseline_only}, {self.neither} describe no items")

    @property
    def n(self) -> int:
        """Items."""
        return self.both + self.option_only + self.baseline_only + self.neither

    @property
    def difference(self) -> float:
        """Option less baseline, as a share of the items."""
        return (self.option_only - self.baseline_only) / self.n

    @property
    def discordant_share(self) -> float:
        """Share of items where exactly one is right (psi)."""
        return (self.option_only + self.baseline_only) / self.n

    @property
    def baseline_share(self) -> float:
        """Share of items the baseline gets right."""
        return (self.both + self.baseline_only) / self.n

    @property
    def option_share(self) -> float:
        """Share of items the option gets right."""
        return (self.both + self.option_only) / self.n

    def swapped(self) -> PairedCounts:
        """The same items with the models exchanged."""
        return PairedCounts(both=self.both, option_only=self.baseline_only, baseline_only=self.option_only, neither=self.neither)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval by one method.

    method: its name
    low, high: its ends
    """

    method: str
    low: float
    high: float


def paired_counts(baseline: NDArray[np.float64], option: NDArray[np.float64]) -> PairedCounts:
    """The four counts of two columns of 0 and 1."""
    right, other = baseline == 1.0, option == 1.0
    return PairedCounts(
        both=int((right & other).sum()),
        option_only=int((~right & other).sum()),
        baseline_only=int((right & ~other).sum()),
        neither=int((~right & ~other).sum()),
    )


def tango_z(option_only: Numbers, baseline_only: Numbers, n: Numbers, difference: Numbers) -> Numbers:
    """Score statistic of a paired difference against a hypothesised one; broadcasts. Tango, Statistics in Medicine 17 (1998) 891.

    (b - c - n delta) / sqrt(n (2 q + delta (1 - delta))), q the likelihood estimate of the share of c under delta.
    Example: b 22, c 30, n 400, delta -0.05 gives 1.621.
    """
    b, c, delta = np.asarray(option_only, float), np.asarray(baseline_only, float), np.asarray(difference, float)
    count = np.asarray(n, float)
    linear = -b - c + (2.0 * count - b + c) * delta
    root = np.sqrt(np.maximum(linear**2 + 8.0 * count * c * delta * (1.0 - delta), 0.0))
    share = np.maximum((root - linear) / (4.0 * count), 0.0)
    variance = np.maximum(count * (2.0 * share + delta * (1.0 - delta)), 0.0)
    distance = b - c - count * delta
    return _over_spread(distance, np.sqrt(variance))


def tango_interval(counts: PairedCounts, confidence: float) -> Interval:
    """The differences that Tango's score test does not reject."""
    critical = float(stats.norm.isf((1.0 - confidence) / 2.0))
    here = min(max(counts.difference, -1.0 + _EDGE), 1.0 - _EDGE)

    def at(delta: float, sign: float) -> float:
        return float(tango_z(counts.option_only, counts.baseline_only, counts.n, delta)) - sign * critical

    low = _root(lambda delta: at(delta, 1.0), -1.0 + _EDGE, here, otherwise=-1.0)
    high = _root(lambda delta: at(delta, -1.0), here, 1.0 - _EDGE, otherwise=1.0)
    return Interval(method="Tango score", low=low, high=high)


def newcombe_interval(counts: PairedCounts, confidence: float) -> Interval:
    """Newcombe's method 10 for a paired difference: two Wilson intervals and the corrected correlation of the pairs.

    Statistics in Medicine 17 (1998) 2635. Example: (36, 12, 2, 0) at 95 % gives 0.0569 to 0.3404.
    """
    n = counts.n
    option, baseline = counts.option_share, counts.baseline_share
    option_low, option_high = wilson_interval(option, n, confidence)
    baseline_low, baseline_high = wilson_interval(baseline, n, confidence)
    phi = _corrected_phi(counts)
    below_option, above_option = option - option_low, option_high - option
    below_baseline, above_baseline = baseline - baseline_low, baseline_high - baseline
    low = sqrt(max(below_option**2 - 2.0 * phi * below_option * above_baseline + above_baseline**2, 0.0))
    high = sqrt(max(below_baseline**2 - 2.0 * phi * below_baseline * above_option + above_option**2, 0.0))
    return Interval(method="Newcombe 10", low=max(counts.difference - low, -1.0), high=min(counts.difference + high, 1.0))


def wilson_interval(share: float, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of one share."""
    z = float(stats.norm.isf((1.0 - confidence) / 2.0))
    centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n)
    half = z * sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n)) / (1.0 + z * z / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def nam_z(both: Numbers, option_only: Numbers, baseline_only: Numbers, n: Numbers, ratio: float) -> Numbers:
    """Score statistic of a paired ratio option / baseline against a hypothesised one; broadcasts.

    (x_s - theta x_r) / sqrt(n theta (b' + c')), b' and c' the likelihood estimates of the two discordant shares under theta.
    Nam and Blackwelder, Statistics in Medicine 21 (2002) 689.
    """
    a, b, c = (np.asarray(count, float) for count in (both, option_only, baseline_only))
    rights, grown = a + b + c, 1.0 + ratio
    seen = rights / np.asarray(n, float)
    slack = (1.0 - ratio) * seen
    middle = -a * grown * slack + b * (ratio * ratio * seen - grown * slack) + c * ratio * ratio * seen
    square = np.maximum(2.0 * ratio * grown * rights, _EDGE)
    gained = (middle + np.sqrt(np.maximum(middle * middle + 2.0 * square * b * ratio * seen * slack, 0.0))) / square
    gained = np.maximum(np.maximum(gained, -slack / ratio), 0.0)
    lost = np.maximum(ratio * gained + slack, 0.0)
    distance = a + b - ratio * (a + c)
    spread = np.sqrt(np.asarray(n, float) * ratio * (gained + lost))
    return _over_spread(distance, spread)


def nam_interval(counts: PairedCounts, confidence: float) -> Interval:
    """The ratios option / baseline that the Nam-Blackwelder score test does not reject."""
    critical = float(stats.norm.isf((1.0 - confidence) / 2.0))
    if counts.both + counts.baseline_only == 0:
        return Interval(method="Nam-Blackwelder", low=0.0, high=float("inf"))
    here = max(counts.option_share / counts.baseline_share, _EDGE)
    low = _root(lambda theta: _nam_of(counts, theta) - critical, _EDGE, here, otherwise=0.0)
    high = _root(lambda theta: _nam_of(counts, theta) + critical, here, max(here, 1.0) * 1e3, otherwise=float("inf"))
    return Interval(method="Nam-Blackwelder", low=low, high=high)


def mean_interval(values: NDArray[np.float64], confidence: float) -> Interval:
    """Student's interval of a mean; one sided it is the test of `evidence` part C on s - r or on z = s - 0.95 r.

    Values that never differ have no spread to estimate, so their interval is widened by the share of items that could differ unseen,
    1 - ((1 - confidence) / 2)^(1/n): about 3 / n at 90 %.
    """
    n = len(values)
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    if spread <= 1e-12:
        unseen = 1.0 - ((1.0 - confidence) / 2.0) ** (1.0 / n)
        return Interval(method="unseen differences", low=mean - unseen, high=mean + unseen)
    half = float(stats.t.isf((1.0 - confidence) / 2.0, n - 1)) * spread / sqrt(n)
    return Interval(method="paired t", low=mean - half, high=mean + half)


def clustered_interval(values: NDArray[np.float64], cluster: NDArray[np.int64], confidence: float) -> Interval:
    """Interval of a mean whose items come in clusters: least squares on a constant with cluster-robust errors, t with clusters - 1."""
    from statsmodels.regression.linear_model import OLS  # loads for a second, so only where clusters are given

    clusters = len(np.unique(cluster))
    if clusters < 2:
        raise InputError(f"{clusters} cluster: an interval between clusters needs at least 2; leave the column out if items are unrelated")
    if float(values.std()) <= 1e-12:
        return mean_interval(np.full(clusters, float(values.mean())), confidence)
    fitted = OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": cluster}, use_t=True)
    half = float(stats.t.isf((1.0 - confidence) / 2.0, clusters - 1)) * float(fitted.bse[0])
    return Interval(method="cluster-robust", low=float(values.mean()) - half, high=float(values.mean()) + half)


def clustered_p_value(values: NDArray[np.float64], cluster: NDArray[np.int64]) -> float:
    """One-sided p-value that the mean is not above 0, with cluster-robust errors."""
    interval = clustered_interval(values, cluster, 0.9)
    clusters = len(np.unique(cluster))
    error = (interval.high - interval.low) / 2.0 / float(stats.t.isf(0.05, clusters - 1))
    if error <= 1e-12:  # clusters that are all alike: the test that takes items as unrelated decides
        return 0.0 if float(values.mean()) > 0.0 else 1.0
    return float(stats.t.sf(float(values.mean()) / error, clusters - 1))


def mean_p_value(values: NDArray[np.float64]) -> float:
    """One-sided p-value that the mean is not above 0; values that never differ are read as in `mean_interval`."""
    n, mean, spread = len(values), float(values.mean()), float(values.std(ddof=1))
    if spread <= 1e-12:
        return float((1.0 - min(max(mean, 0.0), 1.0)) ** n)
    return float(stats.t.sf(mean / (spread / sqrt(n)), n - 1))


def ratio_interval(baseline: NDArray[np.float64], option: NDArray[np.float64], confidence: float) -> Interval:
    """Fieller's interval of mean(option) / mean(baseline): the ratios that the t-test on option - ratio x baseline does not reject."""
    n = len(baseline)
    critical = float(stats.t.isf((1.0 - confidence) / 2.0, n - 1))
    base, other = float(baseline.mean()), float(option.mean())
    (var_base, cov), (_, var_other) = np.cov(baseline, option) / n
    # (other - r base)^2 = t^2 (var_other - 2 r cov + r^2 var_base)
    square = base * base - critical**2 * var_base
    linear = base * other - critical**2 * cov
    constant = other * other - critical**2 * var_other
    inside = linear * linear - square * constant
    if square <= 0.0 or inside < 0.0:
        return Interval(method="Fieller", low=0.0, high=float("inf"))
    return Interval(method="Fieller", low=float((linear - sqrt(inside)) / square), high=float((linear + sqrt(inside)) / square))


def bootstrap_interval(
    statistic: Callable[..., Any], samples: tuple[NDArray[np.float64], ...], confidence: float, *, resamples: int, seed: int
) -> Interval | None:
    """BCa bootstrap that draws whole items, both models together; None where the statistic does not vary enough for it.

    `samples` are arrays over the same items; `statistic` takes them as arrays over the last axis. Efron, JASA 82 (1987) 171.
    """
    with np.errstate(all="ignore"):
        found = stats.bootstrap(
            samples,
            statistic,
            paired=True,
            vectorized=True,
            method="BCa",
            confidence_level=confidence,
            n_resamples=resamples,
            batch=max(1, 2_000_000 // len(samples[0])),
            rng=np.random.default_rng(seed),
        )
    low, high = float(found.confidence_interval.low), float(found.confidence_interval.high)
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    return Interval(method="BCa bootstrap", low=low, high=high)


def probability_within(counts: PairedCounts, *, margin_share: float, relative: bool, draws: int = 40_000, seed: int = 1) -> float:
    """Chance, given the data, that the option is within the margin: Dirichlet with 0.5 added to each of the four counts."""
    shapes = np.array([counts.both, counts.option_only, counts.baseline_only, counts.neither], float) + 0.5
    shares = np.random.default_rng(seed).dirichlet(shapes, draws)
    option, baseline = shares[:, 0] + shares[:, 1], shares[:, 0] + shares[:, 2]
    limit = (1.0 - margin_share) * baseline if relative else baseline - margin_share
    return float((option >= limit).mean())


def items_needed(variance: float, distance: float, *, alpha: float, power: float) -> float | None:
    """Items for a one-sided test: (z_alpha + z_beta)^2 variance / distance^2; None where the true gap is at the limit or beyond.

    `variance` is that of one item's difference (psi - D^2 for right/wrong), `distance` from the true gap to the limit.
    Example: psi 0.2, D 0, margin 0.05: 6.18 x 0.2 / 0.0025 = 495.
    """
    if distance <= _EDGE:
        return None
    constant = float(special.ndtri(1.0 - alpha) + special.ndtri(power)) ** 2
    return constant * variance / distance**2


def holm(p_values: tuple[float, ...], alpha: float) -> tuple[bool, ...]:
    """Which hypotheses Holm's step-down rejects: the smallest p against alpha / k, the next against alpha / (k - 1), until one fails."""
    rejected = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        if p_values[place] > alpha / (len(p_values) - rank):
            break
        rejected[place] = True
    return tuple(rejected)


# ---- below: how ----


def _over_spread(distance: NDArray[np.float64], spread: NDArray[np.float64]) -> Numbers:
    """A distance in standard errors; without any spread 0 where there is no distance, else beyond every bound."""
    some = spread > 1e-12
    z = np.where(some, distance / np.where(some, spread, 1.0), np.where(np.abs(distance) < 1e-12, 0.0, np.copysign(1e9, distance)))
    return z if z.ndim else float(z)


def _nam_of(counts: PairedCounts, ratio: float) -> float:
    return float(nam_z(counts.both, counts.option_only, counts.baseline_only, counts.n, ratio))


def _root(function: Callable[[float], float], low: float, high: float, *, otherwise: float) -> float:
    """Where a falling function crosses 0 between two points; `otherwise` where it does not."""
    if function(low) * function(high) > 0:
        return otherwise
    return float(optimize.brentq(function, low, high, xtol=1e-10))


def _corrected_phi(counts: PairedCounts) -> float:
    """Correlation of the pairs with Newcombe's continuity correction of n/2 where it is positive; 0 where a margin is empty."""
    option, baseline = counts.both + counts.option_only, counts.both + counts.baseline_only
    product = float(option * (counts.n - option) * baseline * (counts.n - baseline))
    if product == 0.0:
        return 0.0
    cross = float(counts.both * counts.neither - counts.option_only * counts.baseline_only)
    if cross > 0:
        cross = max(cross - counts.n / 2.0, 0.0)
    return cross / sqrt(product)
