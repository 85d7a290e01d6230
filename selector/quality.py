"""How likely each option is good enough: within the margin of the baseline on the user's own task.

Weak priors from published cases until the user's own test replaces them. A chance is never read as a score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from scipy import special

from capacity.models import QuantizationQuality, quantization_quality
from facts.records import Basis
from selector.cascade import router_holds_share
from selector.evidence import Setting, Tried, Unit, examples_bucket, known_margin, study_sources, units_of_kind
from selector.rates import TUNED_STRENGTHS, UNTUNED_STRENGTHS, Count, Rates, fit, inverse_logit, logit, pulled
from selector.results import QualityPrior
from selector.tasks import Family, Task
from workloads.demand import TaskType, Workload

MARGIN_SHARE: Final = 0.05
"""Good enough means a score of at least 95 % of the baseline's."""
CASCADE_ESCALATION_SHARE: Final = 0.5
"""Share sent on to the large model behind the published chance; the bill's own share is an assumption."""
FLAGSHIP_BETA: Final = (4.5, 0.5)
ROUTING_SOURCE: Final = "RouteLLM (arXiv:2406.18665) and its raw items, in selector/data/routing; read 2026-11"
MOST_CASES: Final = 4
"""Published cases shown beside a chance."""
LEAST_LOSS_SHARE: Final = 0.001
"""A smaller rise of perplexity is not worth a note."""
ENCODER_STRENGTH: Final = 5.0
ENCODER_SETS_WITH_FEW_LABELS: Final = 4
ENCODER_NEAR_PARITY_WITH_FEW_LABELS: Final = {0.03: 1, 0.05: 2, 0.10: 2}
"""SetFit with at most 400 labels against full-data results: CR 0.99, AG News 0.94-0.95, SST-5 0.88, emotion 0.84 of them."""
ENCODER_START: Final = 0.66
"""Where encoders are drawn towards: the rate of the published tuned models."""

_PUBLISHED = "published units in selector/data/evidence, validated in docs/evidence.md; read 2026-11"
_TUNED_SOURCE = (
    f"LoRA Land (arXiv:2405.00732), FinLoRA (arXiv:2505.19819), TailorMatch (arXiv:2409.08185), OmniSQL and others: {_PUBLISHED}"
)
_UNTUNED_SOURCE = f"FinLoRA (arXiv:2505.19819), LLM-AggreFact, OmniSQL, FrugalGPT 2024 and others: {_PUBLISHED}"
_ENCODER_SOURCE = "SetFit results (arXiv:2209.11055); Pecher et al. (EMNLP 2025, arXiv:2402.12819); read 2026-11"


class Kind(StrEnum):
    """What is tried in place of the baseline."""

    BASELINE = "baseline"
    TUNED_SMALL = "tuned_small"
    TUNED_BY_VENDOR = "tuned_by_vendor"
    CHEAP_API = "cheap_api"
    PROMPTED_70B = "prompted_70b"
    PROMPTED_MID = "prompted_mid"
    SMALL_UNTUNED = "small_untuned"
    ENCODER = "encoder"
    CASCADE = "cascade"
    FLAGSHIP = "flagship"


@dataclass(frozen=True, kw_only=True)
class Prior:
    """A fitted chance as a Beta distribution.

    mean: the chance of being good enough
    beta_a, beta_b: its parameters; their sum is the strength in pseudo-observations
    of_type: published units of the same setting and type, any size
    of_cell: of these, of the same size class
    """

    mean: float
    beta_a: float
    beta_b: float
    of_type: Count
    of_cell: Count


def quality_of(kind: Kind, workload: Workload, task: Task, *, margin_share: float = MARGIN_SHARE) -> QualityPrior:
    """The chance that a kind of model is good enough for a workload, with its interval and its closest published cases.

    `margin_share` is 0.03, 0.05 or 0.10 of the baseline's score.
    """
    known_margin(margin_share)
    if kind is Kind.BASELINE:
        return QualityPrior(
            probability=1.0, low=1.0, high=1.0, because="it is what the others are held against", basis=Basis.ASSUMED, source="definition"
        )
    if kind in (Kind.TUNED_SMALL, Kind.TUNED_BY_VENDOR):
        return _tuned(kind, workload, task, margin_share)
    if kind is Kind.ENCODER:
        return _encoder(workload, margin_share)
    if kind is Kind.PROMPTED_MID:
        return _mid(task, margin_share)
    if kind is Kind.CASCADE:
        return _cascade(workload, task, margin_share)
    if kind is Kind.FLAGSHIP:
        return _flagship()
    return _prompted(Tried(kind), task, margin_share)


def _cascade(workload: Workload, task: Task, margin_share: float) -> QualityPrior:
    """The small model alone may do, else a router has to: p + (1 - p) x the share of published routers that hold at half escalated."""
    small = quality_of(Kind.CHEAP_API, workload, task, margin_share=margin_share)
    held = router_holds_share(CASCADE_ESCALATION_SHARE, margin_share)
    mean, low, high = (p + (1.0 - p) * held for p in (small.probability, small.low, small.high))
    because = (
        f"the small model alone: {small.because}; with {CASCADE_ESCALATION_SHARE:.0%} sent on, {held:.0%} of published routers and "
        "model pairs stay within the margin; a router needs examples of your own traffic"
    )
    return QualityPrior(
        probability=mean, low=low, high=high, because=because, basis=Basis.ASSUMED, source=ROUTING_SOURCE, cases=small.cases
    )


def _flagship() -> QualityPrior:
    """A current flagship in place of an older one: no published cases on users' tasks; nine in ten is assumed."""
    low, high = (float(special.betaincinv(FLAGSHIP_BETA[0], FLAGSHIP_BETA[1], p)) for p in (0.05, 0.95))
    because = "a vendor's current flagship is taken to hold on nine tasks of ten; prompts and formats may still need work"
    mean = FLAGSHIP_BETA[0] / sum(FLAGSHIP_BETA)
    return QualityPrior(probability=mean, low=low, high=high, because=because, basis=Basis.ASSUMED, source="own choice, 2026-11")


def setting_of(workload: Workload, task: Task) -> Setting:
    """Which published setting a workload is like."""
    if task.open_ended:
        return Setting.GENERAL_PURPOSE
    return Setting.IN_DOMAIN if workload.domain_specific else Setting.OUT_OF_DOMAIN


def tuned_prior(
    setting: Setting, task_type: TaskType, bucket: str = "unknown", *, family: Family | None = None, margin_share: float = MARGIN_SHARE
) -> Prior:
    """The prior of a tuned model of at most 13B by setting, type and size class; `family` overrules the type's own."""
    return _prior(_tuned_chance(setting, task_type, bucket, family, margin_share), setting, task_type, bucket, margin_share)


def priors() -> dict[tuple[str, TaskType, str], Prior]:
    """Every tuned prior by setting, type and size class ('any' outside the own domain, where sizes show no effect)."""
    buckets = ("under_1k", "1k_to_10k", "over_10k", "unknown")
    found = {
        (str(Setting.IN_DOMAIN), kind, bucket): tuned_prior(Setting.IN_DOMAIN, kind, bucket) for kind in TaskType for bucket in buckets
    }
    found |= {(str(Setting.OUT_OF_DOMAIN), kind, "any"): tuned_prior(Setting.OUT_OF_DOMAIN, kind) for kind in TaskType}
    open_ended = (TaskType.GENERATION, TaskType.CODE)
    return found | {(str(Setting.GENERAL_PURPOSE), kind, "any"): tuned_prior(Setting.GENERAL_PURPOSE, kind) for kind in open_ended}


def beta_interval(a: float, b: float) -> tuple[float, float]:
    """5 % and 95 % points of a Beta distribution."""
    return float(special.betaincinv(a, b, 0.05)), float(special.betaincinv(a, b, 0.95))


def untuned_chance(tried: Tried, task: Task, margin_share: float = MARGIN_SHARE) -> float:
    """Chance for a model that is not tuned: base rate -> family -> type; a 70B-class model never stands below an untuned 7B-9B.

    Where the cases say otherwise, both take their mean weighted by cases: two draws of one truth, as isotonic regression reads them.
    """
    own = _untuned_fit(tried, task, margin_share)
    if tried is Tried.CHEAP_API:
        return own
    small, large = (_untuned_fit(which, task, margin_share) for which in (Tried.SMALL_UNTUNED, Tried.PROMPTED_70B))
    if small <= large:
        return own
    weights = [_rates(which, margin_share).count(Setting.UNTUNED).units for which in (Tried.SMALL_UNTUNED, Tried.PROMPTED_70B)]
    return (weights[0] * small + weights[1] * large) / sum(weights)


def closest_cases(tried: Tried, task_type: TaskType, setting: Setting, examples: float | None = None) -> tuple[Unit, ...]:
    """The published units most like an option: same type, then setting, then size of the training set.

    At most two a source, and a success and a failure wherever both are known.
    """
    same_type = [unit for unit in units_of_kind(tried) if unit.task_type is task_type]
    found = [unit for unit in same_type if unit.setting is setting] or same_type
    found = found or [unit for unit in units_of_kind(tried) if unit.setting is setting]
    ordered = sorted(found, key=lambda unit: (unit.score is None, _size_distance(unit, examples), unit.rows == 1, unit.id))
    chosen = _at_most_two_a_source(ordered)[:MOST_CASES]
    other = next((unit for unit in ordered if unit.within_5pct != chosen[0].within_5pct), None) if chosen else None
    if other is not None and all(unit.within_5pct == chosen[0].within_5pct for unit in chosen):
        chosen = (*chosen[: MOST_CASES - 1], other)
    return tuple(chosen)


def case_line(unit: Unit) -> str:
    """One published case for the reader."""
    title = next(source.title for source in study_sources() if source.id == unit.read_in)
    verdict = "within 5 %" if unit.within_5pct else "not within 5 %"
    if unit.score is None or unit.reference_score is None:
        return f"{unit.dataset}: {verdict} of {unit.reference_model} ({title})"
    labels = f", {unit.examples:,.0f} training examples" if unit.examples else ""
    scores = f"{unit.model} {unit.score:.3g} against {unit.reference_model} {unit.reference_score:.3g}"
    return f"{unit.dataset}: {scores}{labels}, {verdict} ({title})"


def quantization_note(quantization: str, params_b: float | None = None) -> str:
    """What a precision was seen to cost, from the published measurement of the model nearest in size; '' where none was published."""
    perplexity = [row for row in _of_precision(quantization) if row.metric == "perplexity" and (row.change_share or 0.0) > LEAST_LOSS_SHARE]
    accuracy = [row for row in _of_precision(quantization) if row.metric != "perplexity" and row.change_share is not None]
    parts = []
    if perplexity:
        parts.append(_perplexity_words(min(perplexity, key=lambda row: (_size_gap(row, params_b), bool(row.importance_matrix), row.model))))
    if accuracy:
        worst = min(accuracy, key=lambda row: row.change_share or 0.0)
        parts.append(f"{worst.metric} down as far as {-(worst.change_share or 0.0):.0%} ({worst.model})")
    if not parts:
        return ""
    return f"{quantization} spends part of the margin: {'; '.join(parts)}. Test the very file that will be served."


# ---- each kind ----


def _tuned(kind: Kind, workload: Workload, task: Task, margin_share: float) -> QualityPrior:
    setting = setting_of(workload, task)
    bucket = examples_bucket(workload.labelled_examples) if setting is Setting.IN_DOMAIN else "unknown"
    kind_of_task = TaskType.GENERATION if setting is Setting.GENERAL_PURPOSE and task.type is not TaskType.CODE else task.type
    family = None if setting is Setting.GENERAL_PURPOSE else task.family
    prior = tuned_prior(setting, kind_of_task, bucket, family=family, margin_share=margin_share)
    low, high = beta_interval(prior.beta_a, prior.beta_b)
    where = {
        Setting.IN_DOMAIN: "tuned on their own traffic",
        Setting.OUT_OF_DOMAIN: "tuned elsewhere",
        Setting.GENERAL_PURPOSE: "tuned for open-ended use",
    }[setting]
    extrapolated = prior.of_type.units == 0 or (bucket != "unknown" and prior.of_cell.units == 0)
    because = (
        f"{prior.of_type.within} of {prior.of_type.units} published {_words(kind_of_task)} datasets "
        f"held within {_percent(margin_share)} when {where}"
        f"{'; this cell is extrapolated' if extrapolated else ''}; papers tend to flatter"
    )
    if kind is Kind.TUNED_BY_VENDOR:
        because += "; read for a model tuned by its vendor as well, which is assumed"
    return QualityPrior(
        probability=prior.mean,
        low=low,
        high=high,
        because=because,
        basis=Basis.PUBLISHED if kind is Kind.TUNED_SMALL else Basis.ASSUMED,
        source=_TUNED_SOURCE,
        cases=_case_lines(Tried.TUNED_SMALL, kind_of_task, setting, workload.labelled_examples or None),
    )


def _prompted(tried: Tried, task: Task, margin_share: float) -> QualityPrior:
    mean = untuned_chance(tried, task, margin_share)
    strength = UNTUNED_STRENGTHS[tried]
    low, high = beta_interval(strength * mean, strength * (1 - mean))
    what = {
        Tried.CHEAP_API: "a cheap API model",
        Tried.PROMPTED_70B: "a prompted 70B-class model",
        Tried.SMALL_UNTUNED: "an untuned 7B-9B model",
    }[tried]
    own = _rates(tried, margin_share).count(Setting.UNTUNED, task.family, task.type)
    because = (
        f"{what} held within {_percent(margin_share)} on {own.within} of {own.units} published {_words(task.type)} datasets, "
        f"pulled towards its {task.family} tasks"
        if own.units
        else f"read from {what}'s published {task.family} tasks; none of this kind"
    )
    return QualityPrior(
        probability=mean,
        low=low,
        high=high,
        because=because,
        basis=Basis.PUBLISHED,
        source=_UNTUNED_SOURCE,
        cases=_case_lines(tried, task.type, Setting.UNTUNED),
    )


def _mid(task: Task, margin_share: float) -> QualityPrior:
    """Halfway, on the log-odds, between an untuned 7B-9B and a prompted 70B: no published cases of its own."""
    small, large = (untuned_chance(tried, task, margin_share) for tried in (Tried.SMALL_UNTUNED, Tried.PROMPTED_70B))
    mean = inverse_logit((logit(small) + logit(large)) / 2)
    strength = UNTUNED_STRENGTHS[Tried.PROMPTED_70B]
    low, high = beta_interval(strength * mean, strength * (1 - mean))
    because = "halfway between an untuned 7B-9B and a prompted 70B; no published cases of its own"
    return QualityPrior(
        probability=mean,
        low=low,
        high=high,
        because=because,
        basis=Basis.ASSUMED,
        source=_UNTUNED_SOURCE,
        cases=_case_lines(Tried.PROMPTED_70B, task.type, Setting.UNTUNED)[:2],
    )


def _encoder(workload: Workload, margin_share: float) -> QualityPrior:
    """Small encoders: against full-data results with few labels, as the tuned small models with more."""
    few = workload.labelled_examples < 1_000
    seen = _encoder_count(margin_share, few=few)
    mean = pulled(seen, ENCODER_START, 4.0)
    low, high = beta_interval(ENCODER_STRENGTH * mean, ENCODER_STRENGTH * (1 - mean))
    if few:
        because = (
            f"small encoders come near full-data accuracy on {seen.within} of {seen.units} sets with at most 400 labels, "
            "and equal prompted large models at about 100 on average"
        )
    else:
        because = (
            f"read as the tuned small models on classification, {seen.within} of {seen.units} datasets; encoders are their older relatives"
        )
    return QualityPrior(
        probability=mean,
        low=low,
        high=high,
        because=because,
        basis=Basis.ASSUMED,
        source=_ENCODER_SOURCE,
        cases=() if few else _case_lines(Tried.TUNED_SMALL, TaskType.CLASSIFICATION, Setting.IN_DOMAIN, workload.labelled_examples),
    )


# ---- the fits ----


@cache
def _rates(tried: Tried, margin_share: float) -> Rates:
    return fit(units_of_kind(tried), margin_share)


def _untuned_fit(tried: Tried, task: Task, margin_share: float) -> float:
    return _rates(tried, margin_share).chance(Setting.UNTUNED, task.type, family=task.family)


def _tuned_chance(setting: Setting, task_type: TaskType, bucket: str, family: Family | None, margin_share: float) -> float:
    """The fitted chance; a wider margin never stands below a narrower one, which the size shift alone would not promise."""
    at = {
        margin: _rates(Tried.TUNED_SMALL, margin).chance(setting, task_type, bucket=bucket, family=family) for margin in (0.03, 0.05, 0.10)
    }
    return {0.03: min(at[0.03], at[0.05]), 0.05: at[0.05], 0.10: max(at[0.05], at[0.10])}[margin_share]


def _prior(mean: float, setting: Setting, task_type: TaskType, bucket: str, margin_share: float) -> Prior:
    of_type = [unit for unit in units_of_kind(Tried.TUNED_SMALL) if unit.setting is setting and unit.task_type is task_type]
    cell = of_type if bucket == "unknown" else [unit for unit in of_type if unit.bucket == bucket]
    strength = TUNED_STRENGTHS[setting]
    return Prior(
        mean=mean,
        beta_a=strength * mean,
        beta_b=strength * (1 - mean),
        of_type=_counted(of_type, margin_share),
        of_cell=_counted(cell, margin_share),
    )


def _counted(found: list[Unit], margin_share: float) -> Count:
    return Count(within=sum(unit.within(margin_share) for unit in found), units=len(found))


def _encoder_count(margin_share: float, *, few: bool) -> Count:
    if few:
        return Count(within=ENCODER_NEAR_PARITY_WITH_FEW_LABELS[margin_share], units=ENCODER_SETS_WITH_FEW_LABELS)
    own = [
        unit
        for unit in units_of_kind(Tried.TUNED_SMALL)
        if unit.setting is Setting.IN_DOMAIN and unit.task_type is TaskType.CLASSIFICATION and unit.within_5pct_8b is not None
    ]
    return _counted(own, margin_share)


# ---- the cases ----


def _case_lines(tried: Tried, task_type: TaskType, setting: Setting, examples: float | None = None) -> tuple[str, ...]:
    return tuple(case_line(unit) for unit in closest_cases(tried, task_type, setting, examples))


def _size_distance(unit: Unit, examples: float | None) -> float:
    """Orders of magnitude between two training sets; an unknown size counts as two."""
    if examples is None:
        return 0.0
    return 2.0 if not unit.examples else abs(math.log10(unit.examples / examples))


def _at_most_two_a_source(ordered: list[Unit]) -> tuple[Unit, ...]:
    seen: dict[str, int] = {}
    kept = []
    for unit in ordered:
        seen[unit.group] = seen.get(unit.group, 0) + 1
        if seen[unit.group] <= 2:
            kept.append(unit)
    return tuple(kept)


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _words(task_type: TaskType) -> str:
    return {TaskType.QA_CLOSED: "given-text QA", TaskType.QA_OPEN: "closed-book QA", TaskType.SQL: "SQL"}.get(task_type, task_type.value)


# ---- precision ----


def _of_precision(quantization: str) -> tuple[QuantizationQuality, ...]:
    wanted = {"int4": "int4", "gptq": "int4", "int8": "int8"}.get(quantization.casefold(), quantization.casefold())
    return tuple(row for row in quantization_quality() if row.quantization.casefold() == wanted)


def _size_gap(row: QuantizationQuality, params_b: float | None) -> float:
    if params_b is None or row.params_b is None:
        return 0.0
    return abs(math.log(row.params_b / params_b))


def _perplexity_words(row: QuantizationQuality) -> str:
    same = f", same next token in {row.same_top_token_share:.1%}" if row.same_top_token_share is not None else ""
    return f"perplexity {row.change_share:+.1%} on {row.model}{same}"
