"""The playbook's question "performance gap < 5 %?" as a paired non-inferiority test on the user's own cases.

Passing means that the lower end of the two-sided interval (90 % at alpha 0.05) lies above the limit: a difference that is merely not
significant never passes. The verdict is one of three, and an undecided one says how many more cases would settle it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date
from enum import Enum, StrEnum
from math import ceil, isfinite, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from facts.errors import InputError
from selector.case_scores import MINIMUM_ITEMS, CaseScores, Scores
from selector.paired import (
    Interval,
    PairedCounts,
    bootstrap_interval,
    clustered_interval,
    clustered_p_value,
    items_needed,
    mean_interval,
    mean_p_value,
    nam_interval,
    nam_z,
    newcombe_interval,
    paired_counts,
    probability_within,
    ratio_interval,
    tango_interval,
    tango_z,
)

ALPHA: Final = 0.05
"""One-sided: a model exactly at the limit passes in at most 5 % of the tests."""
POWER: Final = 0.8
MARGIN_SHARE: Final = 0.05
LOOKS_BOUND: Final = 1.75
"""O'Brien-Fleming-like bound at the planned end for looks every 100 items up to 2,000: 1.75 / sqrt(n / planned)."""
FEW_CLUSTERS, TOO_FEW_CLUSTERS = 30, 10
BOOTSTRAP_ITEMS: Final = 2_000
"""Above it Student's interval of a mean is exact enough and the bootstrap is left out."""
BOOTSTRAP_RESAMPLES: Final = 2_000
SHOWN_SLICES: Final = 50
SHOWN_WORST: Final = 20


class GateVerdict(StrEnum):
    """What the cases show."""

    WITHIN = "within"
    OUTSIDE = "outside"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Margin:
    """How much worse than the baseline is still good enough.

    share: 0.05 is five points (absolute) or five percent of the baseline's score (relative)
    relative: of the baseline's score; otherwise in points of the score
    """

    share: float = MARGIN_SHARE
    relative: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 0.5:
            raise InputError(f"a margin of {self.share:g} is no margin: give a share above 0 and below 0.5, as 0.05 for 5 %")

    @property
    def kept(self) -> float:
        """Share of the baseline's score that the option has to be above before the absolute part: 1 - share, or 1."""
        return 1.0 - self.share if self.relative else 1.0

    def points(self, baseline_mean: float) -> float:
        """The margin as a difference of scores."""
        return self.share * baseline_mean if self.relative else self.share

    @property
    def words(self) -> str:
        """'5 % of the baseline's score' or '5 points'."""
        amount = f"{self.share * 100:.3g}"
        return f"{amount} % of the baseline's score" if self.relative else f"{amount} points"


@dataclass(frozen=True, kw_only=True)
class SliceResult:
    """One slice of the cases; exploratory, never a verdict.

    name: of the slice
    n: items
    baseline_mean, option_mean: mean scores
    difference, low, high: option less baseline with its interval, not corrected for the number of slices
    """

    name: str
    n: int
    baseline_mean: float
    option_mean: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """What a test on the user's own cases shows. Scores and differences are shares, 0.05 is five points.

    verdict: within, outside or undecided
    name: what was compared, as in the file
    option_id, arm: the option or arm it is for, "" where the caller has not said
    as_of: day of the test, or None
    n: items
    margin: the limit asked for
    limit: the lowest difference that still is good enough, as a negative difference of scores
    confidence: of the two-sided interval, 1 - 2 alpha
    baseline_mean, option_mean: mean scores
    difference, low, high: option less baseline, with the interval that the verdict rests on (the widest of `intervals`)
    kept_share, kept_low, kept_high: option over baseline, with its interval (Nam-Blackwelder for right/wrong, Fieller otherwise)
    intervals: every interval that has to agree, as differences
    cross_check: a second method that the verdict does not use, or None
    p_value: one-sided, of a gap at least as bad as the limit
    counts: both right, one right, both wrong; None for graded scores
    probability: chance that the option is within the margin, from a Dirichlet prior; None for graded scores
    extra_items: more items that would settle it with 80 % chance if the gap is as it looks; None where decided or beyond reach
    clusters: clusters behind a cluster-robust interval, 0 without
    slices: exploratory
    seed_differences: difference by seed, empty for one
    worst: items with the largest loss
    notes: what a reader should know
    sentence: the result in one plain sentence
    """

    verdict: GateVerdict
    name: str
    option_id: str = ""
    arm: str = ""
    as_of: date | None = None
    n: int
    margin: Margin
    limit: float
    confidence: float
    baseline_mean: float
    option_mean: float
    difference: float
    low: float
    high: float
    kept_share: float
    kept_low: float
    kept_high: float | None
    intervals: tuple[Interval, ...]
    cross_check: Interval | None
    p_value: float
    counts: PairedCounts | None
    probability: float | None
    extra_items: int | None
    clusters: int = 0
    slices: tuple[SliceResult, ...] = ()
    seed_differences: tuple[tuple[str, float], ...] = ()
    worst: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sentence: str = ""


def gate(
    scores: CaseScores,
    margin: Margin | None = None,
    *,
    alpha: float = ALPHA,
    planned_items: int | None = None,
    option_id: str = "",
    arm: str = "",
    as_of: date | None = None,
    bootstrap_seed: int = 1,
) -> GateResult:
    """Whether the option is shown within the margin of the baseline, shown outside it, or not decided.

    Right/wrong: Tango's score interval for an absolute margin; for a relative one the t-test on z = s - (1 - m) r, and the
    Nam-Blackwelder score test has to agree. Graded and corpus scores: the t-test on s - r or z (corpus F1 by its influence per item),
    and a BCa bootstrap over items has to agree up to 2,000 items. With clusters a cluster-robust interval has to agree too.
    `planned_items` is the size at which the last of several looks is planned: until then the bound is stricter.
    """
    margin = margin or Margin()
    used = _alpha_of_look(_checked_alpha(alpha), scores.n, planned_items)
    return _gate(scores, margin, used, planned_items, bootstrap_seed, (option_id, arm, as_of))


def gate_counts(counts: PairedCounts, margin: Margin | None = None, *, alpha: float = ALPHA, name: str = "the candidate") -> GateResult:
    """The same from the four counts alone."""
    four = [counts.both, counts.option_only, counts.baseline_only, counts.neither]
    baseline = np.repeat([1.0, 0.0, 1.0, 0.0], four)
    option = np.repeat([1.0, 1.0, 0.0, 0.0], four)
    items = np.arange(counts.n).astype(np.str_)
    return gate(CaseScores(name=name, items=items, baseline=baseline, option=option), margin, alpha=alpha)


def gate_by_holm(
    candidates: Sequence[CaseScores], margin: Margin | None = None, *, alpha: float = ALPHA, as_of: date | None = None
) -> tuple[GateResult, ...]:
    """Several candidates on the same cases, in the order given: the most certain is held to alpha / k, the next to alpha / (k - 1), ...

    Once one is not shown, those less certain than it cannot pass either.
    """
    if not candidates:
        raise InputError("no candidate to gate: give at least one file of scores")
    margin = margin or Margin()
    order = sorted(range(len(candidates)), key=lambda place: gate(candidates[place], margin, alpha=alpha).p_value)
    results: dict[int, GateResult] = {}
    open_still = True
    for rank, place in enumerate(order):
        found = gate(candidates[place], margin, alpha=alpha / (len(order) - rank), as_of=as_of)
        if len(order) > 1:
            found = _with_notes(
                found, f"one of {len(order)} candidates: held to {alpha / (len(order) - rank):.3g} instead of {alpha:g} (Holm)"
            )
        if found.verdict is GateVerdict.WITHIN and not open_still:
            found = _blocked(found, "a more certain candidate is not shown, so this one cannot be")
        open_still = open_still and found.verdict is GateVerdict.WITHIN
        results[place] = found
    return tuple(results[place] for place in range(len(candidates)))


def gate_sealed(
    candidates: Sequence[CaseScores],
    margin: Margin | None = None,
    *,
    sealed_share: float = 0.5,
    split_seed: int = 1,
    alpha: float = ALPHA,
    as_of: date | None = None,
) -> GateResult:
    """Several candidates, one test: the best on an open part of the cases is gated once, on the sealed rest, at the full alpha."""
    if not candidates:
        raise InputError("no candidate to gate: give at least one file of scores")
    if not 0.1 <= sealed_share <= 0.9:
        raise InputError(f"a sealed share of {sealed_share:g} leaves too few cases on one side: give 0.1 to 0.9")
    first = candidates[0]
    for other in candidates[1:]:
        if set(other.items) != set(first.items):
            raise InputError(f"{other.name} and {first.name} were not run on the same items: a sealed split needs the same cases for all")
    labels = np.sort(first.items)
    sealed = labels[np.random.default_rng(split_seed).random(len(labels)) < sealed_share]
    parts = [(one.part(~np.isin(one.items, sealed)), one.part(np.isin(one.items, sealed))) for one in candidates]
    if min(parts[0][0].n, parts[0][1].n) < MINIMUM_ITEMS:
        raise InputError(f"{first.n} items split into {parts[0][0].n} open and {parts[0][1].n} sealed: give more, or one candidate without")
    chosen = max(range(len(parts)), key=lambda place: float(_means(parts[place][0])[1]))
    open_part, closed = parts[chosen]
    found = gate(closed, margin, alpha=alpha, as_of=as_of)
    return _with_notes(found, f"chosen among {len(candidates)} on {open_part.n} open cases, tested once on {closed.n} sealed ones")


@dataclass(frozen=True, kw_only=True)
class TestPlan:
    """How many cases a test takes, before it is run.

    items: for the true difference that was asked about; None where it is at the limit or beyond
    unpaired_items: per model, if each had its own cases
    clusters: clusters of the given size that hold the items, 0 without
    by_difference: (true difference, items) for a few differences
    margin, alpha, power: as asked
    baseline_mean: score of the baseline
    discordant_share: share of items where exactly one is right (psi)
    difference: the true difference asked about
    sentence: the plan in words
    """

    __test__ = False

    items: int | None
    unpaired_items: int | None
    clusters: int
    by_difference: tuple[tuple[float, int | None], ...]
    margin: Margin
    alpha: float
    power: float
    baseline_mean: float
    discordant_share: float
    difference: float
    sentence: str


def plan_test(
    *,
    baseline_share: float,
    discordant_share: float,
    difference: float = 0.0,
    margin: Margin | None = None,
    alpha: float = ALPHA,
    power: float = POWER,
    items_per_cluster: float = 1.0,
    cluster_correlation: float = 0.0,
) -> TestPlan:
    """Items that show the option within the margin with that power: n = (z_alpha + z_beta)^2 variance / (difference + margin)^2.

    Absolute: variance psi - D^2. Relative: that of z = s - (1 - m) r. Items in clusters count 1 / (1 + (size - 1) x correlation).
    Example: psi 0.20, D 0, five points: 495; psi 0.10: 248.
    """
    margin = margin or Margin()
    _checked_alpha(alpha)
    if not 0.5 <= power < 1.0:
        raise InputError(f"a power of {power:g} is no plan: give 0.5 to below 1, as 0.8")
    if items_per_cluster < 1.0 or not 0.0 <= cluster_correlation <= 1.0:
        raise InputError(
            f"{items_per_cluster:g} items per cluster at a correlation of {cluster_correlation:g}: give at least 1, and 0 to 1"
        )
    _possible(baseline_share, discordant_share, difference)
    design = 1.0 + (items_per_cluster - 1.0) * cluster_correlation

    def needed(true: float) -> int | None:
        if abs(true) > discordant_share or not 0.0 <= baseline_share + true <= 1.0:
            return None
        variance, distance = _planned(baseline_share, discordant_share, true, margin)
        return _up(items_needed(variance, distance, alpha=alpha, power=power), design)

    items = needed(difference)
    option = baseline_share + difference
    apart = baseline_share * (1.0 - baseline_share) + option * (1.0 - option)
    unpaired = _up(items_needed(apart, difference + margin.points(baseline_share), alpha=alpha, power=power), 1.0)
    plan = TestPlan(
        items=items,
        unpaired_items=unpaired,
        clusters=0 if items_per_cluster == 1.0 or items is None else ceil(items / items_per_cluster),
        by_difference=tuple((true, needed(true)) for true in (-0.04, -0.02, 0.0, 0.02, 0.04)),
        margin=margin,
        alpha=alpha,
        power=power,
        baseline_mean=baseline_share,
        discordant_share=discordant_share,
        difference=difference,
        sentence="",
    )
    return replace(plan, sentence=_plan_sentence(plan))


def items_with_repeats(
    *,
    between_variance: float,
    baseline_variance: float,
    baseline_answers: int,
    option_variance: float,
    option_answers: int,
    distance: float,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float:
    """Items when each is answered several times: (z_{a/2} + z_b)^2 (w^2 + s_A^2 / K_A + s_B^2 / K_B) / delta^2. Miller, arXiv:2411.00640.

    Repeating answers helps only until s^2 / K is small against the variance between items w^2.
    """
    if min(baseline_answers, option_answers) < 1 or distance <= 0.0:
        raise InputError(
            f"{baseline_answers} and {option_answers} answers per item over a distance of {distance:g}: all have to be above 0"
        )
    variance = between_variance + baseline_variance / baseline_answers + option_variance / option_answers
    needed = items_needed(variance, distance, alpha=alpha / 2.0, power=power)
    assert needed is not None
    return needed


def gate_json(result: GateResult | TestPlan) -> dict[str, Any]:
    """A result or a plan with the names of its attributes as keys; numbers are not rounded."""
    document: dict[str, Any] = _plain(result)
    return document


# ---- below: the test ----


def _gate(
    scores: CaseScores, margin: Margin, alpha: float, planned_items: int | None, bootstrap_seed: int, label: tuple[str, str, date | None]
) -> GateResult:
    confidence = 1.0 - 2.0 * alpha
    baseline_mean, option_mean = _means(scores)
    if baseline_mean <= 0.0:
        raise InputError(f"{scores.name}: the baseline scores 0 on all {scores.n} items, so there is nothing to hold")
    difference, limit = option_mean - baseline_mean, -margin.points(baseline_mean)
    counts = paired_counts(scores.baseline, scores.option) if scores.right_or_wrong else None
    values = _values(scores, margin)
    shift = limit if margin.relative else 0.0
    intervals = _intervals(scores, margin, counts, values, shift, confidence, bootstrap_seed)
    low, high = min(one.low for one in intervals), max(one.high for one in intervals)
    verdict = GateVerdict.WITHIN if low > limit else GateVerdict.OUTSIDE if high < limit else GateVerdict.UNDECIDED
    kept = nam_interval(counts, confidence) if counts is not None else _fieller(scores, confidence)
    clusters = 0 if scores.cluster is None else len(np.unique(scores.cluster))
    found = GateResult(
        verdict=verdict,
        name=scores.name,
        option_id=label[0],
        arm=label[1],
        as_of=label[2],
        n=scores.n,
        margin=margin,
        limit=limit,
        confidence=confidence,
        baseline_mean=baseline_mean,
        option_mean=option_mean,
        difference=difference,
        low=low,
        high=high,
        kept_share=option_mean / baseline_mean,
        kept_low=kept.low,
        kept_high=kept.high if isfinite(kept.high) else None,
        intervals=intervals,
        cross_check=newcombe_interval(counts, confidence) if counts is not None else None,
        p_value=_p_value(scores, margin, counts, values),
        counts=counts,
        probability=None if counts is None else probability_within(counts, margin_share=margin.share, relative=margin.relative),
        extra_items=_extra_items(values, margin, scores, verdict, alpha),
        clusters=clusters,
        slices=_slices(scores, confidence),
        seed_differences=scores.seed_differences,
        worst=_worst(scores),
        notes=_notes(scores, clusters, planned_items, verdict, intervals),
    )
    found = replace(found, sentence=_sentence(found))
    if clusters and clusters < TOO_FEW_CLUSTERS and verdict is GateVerdict.WITHIN:
        return _blocked(found, f"{clusters} clusters are too few to know how they differ: at least {TOO_FEW_CLUSTERS} are needed to pass")
    return found


def _means(scores: CaseScores) -> tuple[float, float]:
    if scores.baseline_counts is None or scores.option_counts is None:
        return float(scores.baseline.mean()), float(scores.option.mean())
    return float(_corpus_f1(scores.baseline_counts.sum(axis=0))), float(_corpus_f1(scores.option_counts.sum(axis=0)))


def _corpus_f1(sums: Scores) -> float:
    total = 2.0 * sums[0] + sums[1] + sums[2]
    return float(2.0 * sums[0] / total) if total > 0 else 1.0


def _influence(counts: Scores) -> Scores:
    """Each item's part in the corpus F1: F1 + (2 tp - F1 (2 tp + fp + fn)) / mean(2 tp + fp + fn); its mean is the corpus F1."""
    hits, total = 2.0 * counts[:, 0], 2.0 * counts[:, 0] + counts[:, 1] + counts[:, 2]
    f1, size = _corpus_f1(counts.sum(axis=0)), float(total.mean())
    return np.asarray(f1 + (hits - f1 * total) / size) if size > 0 else np.ones(len(counts))


def _items(scores: CaseScores) -> tuple[Scores, Scores]:
    """Per-item values whose means are the two scores."""
    if scores.baseline_counts is None or scores.option_counts is None:
        return scores.baseline, scores.option
    return _influence(scores.baseline_counts), _influence(scores.option_counts)


def _values(scores: CaseScores, margin: Margin) -> Scores:
    baseline, option = _items(scores)
    return np.asarray(option - margin.kept * baseline)


def _intervals(
    scores: CaseScores,
    margin: Margin,
    counts: PairedCounts | None,
    values: Scores,
    shift: float,
    confidence: float,
    bootstrap_seed: int,
) -> tuple[Interval, ...]:
    """Every interval that has to agree, as differences of the two scores; the mean of `values` plus `shift` is the difference."""
    found: list[Interval] = []
    if counts is not None and not margin.relative:
        found.append(tango_interval(counts, confidence))
    else:
        found.append(_shifted(mean_interval(values, confidence), shift))
    if counts is not None and margin.relative:
        kept, base = nam_interval(counts, confidence), counts.baseline_share
        found.append(Interval(method=kept.method, low=(kept.low - 1.0) * base, high=min((kept.high - 1.0) * base, 1.0)))
    if counts is None and scores.cluster is None and scores.n <= BOOTSTRAP_ITEMS and float(values.std()) > 1e-12:
        bootstrapped = _bootstrapped(scores, margin, values, confidence, bootstrap_seed)
        if bootstrapped is not None:
            found.append(_shifted(bootstrapped, shift))
    if scores.cluster is not None:
        found.append(_shifted(clustered_interval(values, scores.cluster, confidence), shift))
    return tuple(found)


def _bootstrapped(scores: CaseScores, margin: Margin, values: Scores, confidence: float, seed: int) -> Interval | None:
    if scores.baseline_counts is None or scores.option_counts is None:
        return bootstrap_interval(np.mean, (values,), confidence, resamples=BOOTSTRAP_RESAMPLES, seed=seed)

    def gap(*columns: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        sums = [column.sum(axis=axis) for column in columns]
        base = _ratio(2.0 * sums[0], 2.0 * sums[0] + sums[1] + sums[2])
        return np.asarray(_ratio(2.0 * sums[3], 2.0 * sums[3] + sums[4] + sums[5]) - margin.kept * base)

    columns = tuple(np.ascontiguousarray(column) for table in (scores.baseline_counts, scores.option_counts) for column in table.T)
    return bootstrap_interval(gap, columns, confidence, resamples=BOOTSTRAP_RESAMPLES, seed=seed)


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), 1.0))


def _shifted(interval: Interval, by: float) -> Interval:
    return Interval(method=interval.method, low=interval.low + by, high=interval.high + by)


def _p_value(scores: CaseScores, margin: Margin, counts: PairedCounts | None, values: Scores) -> float:
    """The largest of the one-sided p-values of a gap at least as bad as the limit."""
    above = values if margin.relative else values + margin.share
    if counts is not None and not margin.relative:
        found = [float(stats.norm.sf(tango_z(counts.option_only, counts.baseline_only, counts.n, -margin.share)))]
    else:
        found = [mean_p_value(above)]
    if counts is not None and margin.relative:
        score = nam_z(counts.both, counts.option_only, counts.baseline_only, counts.n, margin.kept)
        found.append(float(stats.norm.sf(score)))
    if scores.cluster is not None and float(above.std()) > 1e-12:
        found.append(clustered_p_value(above, scores.cluster))
    return max(found)


def _fieller(scores: CaseScores, confidence: float) -> Interval:
    baseline, option = _items(scores)
    return ratio_interval(baseline, option, confidence)


def _extra_items(values: Scores, margin: Margin, scores: CaseScores, verdict: GateVerdict, alpha: float) -> int | None:
    """More items until 80 % power, towards whichever side of the limit the gap looks to be on; clusters are counted by their variance."""
    if verdict is not GateVerdict.UNDECIDED:
        return None
    distance = float(values.mean()) + (0.0 if margin.relative else margin.share)
    variance = float(values.var())
    if scores.cluster is not None and variance > 0:
        interval = clustered_interval(values, scores.cluster, 0.9)
        error = (interval.high - interval.low) / 2.0 / float(stats.t.isf(0.05, max(len(np.unique(scores.cluster)) - 1, 1)))
        variance = max(variance, error**2 * scores.n)
    variance = max(variance, 1.0 / scores.n)  # items that never differed still may
    needed = items_needed(variance, abs(distance), alpha=alpha, power=POWER)
    return None if needed is None or needed > 1e9 else max(ceil(needed) - scores.n, 1)


def _slices(scores: CaseScores, confidence: float) -> tuple[SliceResult, ...]:
    if scores.slice is None:
        return ()
    sizes = np.bincount(scores.slice, minlength=len(scores.slices))
    shown = np.argsort(-sizes, kind="stable")[:SHOWN_SLICES]
    found = []
    for code in shown:
        part = scores.part(scores.slice == code)
        base, option = _means(part)
        interval = Interval(method="none", low=-1.0, high=1.0)
        if part.right_or_wrong:
            interval = tango_interval(paired_counts(part.baseline, part.option), confidence)
        elif part.n >= 2:
            baseline, other = _items(part)
            interval = mean_interval(other - baseline, confidence)
        found.append(
            SliceResult(
                name=scores.slices[int(code)],
                n=part.n,
                baseline_mean=base,
                option_mean=option,
                difference=option - base,
                low=max(interval.low, -1.0),
                high=min(interval.high, 1.0),
            )
        )
    return tuple(found)


def _worst(scores: CaseScores) -> tuple[str, ...]:
    loss = scores.baseline - scores.option
    order = np.argsort(-loss, kind="stable")[:SHOWN_WORST]
    return tuple(str(scores.items[place]) for place in order if loss[place] > 0)


# ---- below: words, and what is allowed ----


def _sentence(found: GateResult) -> str:
    seen = f"On {found.n:,} of your cases {found.name} is {_points(found.difference, unit='points ')}"
    between = f"the true gap is between {_points(found.low)} and {_points(found.high)} ({found.confidence * 100:.3g}%)"
    limit = f"your limit is {-found.limit * 100:.3g}" + (f" ({found.margin.words})" if found.margin.relative else "")
    return f"{seen}; {between}; {limit}: {_verdict_words(found)}."


def _verdict_words(found: GateResult) -> str:
    if found.verdict is GateVerdict.WITHIN:
        return "shown good enough"
    if found.verdict is GateVerdict.OUTSIDE:
        return "shown not good enough"
    if found.extra_items is None:
        return "not decided, and the gap looks to be at the limit, so no number of cases is likely to settle it"
    settle = "settle it" if found.difference > found.limit else "show that it is not good enough"
    return (
        f"not decided; about {_rounded(found.extra_items):,} more labelled cases would {settle} with 80% chance if the gap is as it looks"
    )


def _points(difference: float, unit: str = "") -> str:
    amount = f"{abs(difference) * 100:.1f}"
    if amount == "0.0":
        return "equal"
    return f"{amount} {unit}{'lower' if difference < 0 else 'higher'}"


def _rounded(count: int) -> int:
    """To two figures."""
    step = int(10 ** max(len(str(count)) - 2, 0))
    return round(count / step) * step


def _notes(
    scores: CaseScores, clusters: int, planned_items: int | None, verdict: GateVerdict, intervals: tuple[Interval, ...]
) -> tuple[str, ...]:
    notes = []
    if planned_items is not None and planned_items > scores.n:
        notes.append(f"a look at {scores.n:,} of {planned_items:,} planned cases: the bound is stricter until then")
    elif verdict is GateVerdict.UNDECIDED and planned_items is None:
        notes.append(
            "testing again after every 100 new cases passes a model that is exactly at the limit 22 % of the time instead of 5 %: "
            "decide on a total first and state it"
        )
    if 0 < clusters < FEW_CLUSTERS:
        notes.append(f"{clusters} clusters: their spread is poorly known below {FEW_CLUSTERS}")
    if not clusters:
        notes.append("items are taken as unrelated: give a column 'cluster' where several share a document, customer or template")
    if any(one.method == "unseen differences" for one in intervals):
        notes.append("the two never differ in the way that is tested, so the interval allows for differences not seen yet")
    if scores.seed_differences:
        low, high = min(scores.seed_differences, key=_second), max(scores.seed_differences, key=_second)
        spread = f"from {_points(low[1])} (seed {low[0]}) to {_points(high[1])} (seed {high[0]})"
        notes.append(f"mean over {len(scores.seed_differences)} seeds, {spread}: gate the seed that ships")
    if scores.slice is not None:
        hidden = len(scores.slices) - SHOWN_SLICES
        notes.append("slices are exploratory" + (f"; {hidden} smaller ones are not shown" if hidden > 0 else ""))
    return tuple(notes)


def _second(pair: tuple[str, float]) -> float:
    return pair[1]


def _with_notes(found: GateResult, note: str) -> GateResult:
    return replace(found, notes=(note, *found.notes))


def _blocked(found: GateResult, why: str) -> GateResult:
    head = found.sentence.rsplit(": ", 1)[0]
    sentence = f"{head}: not decided, because {why}."
    return replace(found, verdict=GateVerdict.UNDECIDED, extra_items=None, notes=(why, *found.notes), sentence=sentence)


def _checked_alpha(alpha: float) -> float:
    if not 0.0001 <= alpha <= 0.25:
        raise InputError(f"an alpha of {alpha:g} is no test: give 0.0001 to 0.25, as 0.05")
    return alpha


def _alpha_of_look(alpha: float, n: int, planned_items: int | None) -> float:
    """The one-sided level of a look at n of the planned items: the bound is 1.75 / 1.645 of the plain one over sqrt(n / planned)."""
    if planned_items is None:
        return alpha
    if planned_items < n:
        raise InputError(
            f"{n} items are more than the {planned_items} planned: a plan is not stretched after looking; test once, on new cases"
        )
    plain = float(stats.norm.isf(alpha))
    bound = LOOKS_BOUND / float(stats.norm.isf(ALPHA)) * plain / sqrt(n / planned_items)
    return max(float(stats.norm.sf(bound)), 1e-12)


def _possible(baseline_share: float, discordant_share: float, difference: float) -> None:
    if not 0.0 < baseline_share <= 1.0:
        raise InputError(f"a baseline score of {baseline_share:g} is no share: give above 0 to 1, as 0.8")
    if not 0.0 < discordant_share <= 1.0:
        raise InputError(f"a share of {discordant_share:g} items where exactly one is right is no share: give above 0 to 1, as 0.2")
    gained, lost = (discordant_share + difference) / 2.0, (discordant_share - difference) / 2.0
    if gained < 0 or lost < 0:
        raise InputError(f"a difference of {difference:g} cannot be larger than the {discordant_share:g} of items that differ")
    if lost > baseline_share + 1e-12 or gained > 1.0 - baseline_share + 1e-12:
        raise InputError(
            f"a baseline of {baseline_share:g} cannot differ on {discordant_share:g} of the items with a difference of {difference:g}: "
            f"the option would gain {gained:g} and lose {lost:g}"
        )


def _planned(baseline_share: float, discordant_share: float, difference: float, margin: Margin) -> tuple[float, float]:
    """Variance of one item's value, and the distance of its mean from 0: of s - r + m, or of s - (1 - m) r."""
    gained, lost = (discordant_share + difference) / 2.0, (discordant_share - difference) / 2.0
    both = max(baseline_share - lost, 0.0)
    if not margin.relative:
        return discordant_share - difference**2, difference + margin.share
    mean = both * (1.0 - margin.kept) + gained - lost * margin.kept
    square = both * (1.0 - margin.kept) ** 2 + gained + lost * margin.kept**2
    return square - mean * mean, mean


def _up(items: float | None, design: float) -> int | None:
    return None if items is None else ceil(items * design - 1e-9)


def _plan_sentence(plan: TestPlan) -> str:
    true = "equally good" if plan.difference == 0 else f"truly {_points(plan.difference)}"
    ask = f"a margin of {plan.margin.words}, a baseline at {plan.baseline_mean:.0%} and {plan.discordant_share:.0%} of the cases differing"
    if plan.items is None:
        return f"With {ask}, a model that is {true} is at the limit or beyond it: no number of cases would show it good enough."
    in_clusters = f" in {plan.clusters:,} clusters" if plan.clusters else ""
    return (
        f"With {ask}, it takes {plan.items:,} cases{in_clusters} to show with {plan.power:.0%} chance that a model that is {true} "
        f"is good enough; {plan.unpaired_items or 0:,} per model if each had its own."
    )


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    return value
