"""docs/evidence.md: what was published, what the chances are, and how far to trust them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy import stats

from selector.cascade import cascade_savings, published_sharpness, router_points
from selector.evidence import Setting, Tried, Unit, study_sources, units_of_kind
from selector.quality import beta_interval, tuned_prior
from selector.rates import (
    FAMILY_PSEUDO_COUNT,
    SETTING_PSEUDO_COUNT,
    SIZE_PSEUDO_COUNT,
    TUNED_STRENGTHS,
    TYPE_PSEUDO_COUNT,
    UNTUNED_STRENGTHS,
)
from selector.tasks import Family
from selector.validation import (
    BAR_BY_DATASET,
    BAR_BY_SOURCE,
    Score,
    Unseen,
    between_source_strength,
    by_dataset,
    by_source,
    cross_validate,
    perturbations,
    score_of,
    sources_of,
)
from workloads.demand import TaskType

BUCKETS = (("under_1k", "<1K"), ("1k_to_10k", "1K-10K"), ("over_10k", ">10K"), ("unknown", "size unknown"))
WORDS = {
    Setting.IN_DOMAIN: "trained on the same task",
    Setting.OUT_OF_DOMAIN: "trained elsewhere",
    Setting.GENERAL_PURPOSE: "tuned for open-ended use",
    Tried.CHEAP_API: "cheap API model, no training",
    Tried.PROMPTED_70B: "prompted 70B-class model",
    Tried.SMALL_UNTUNED: "untuned 7B-9B model",
}


def report() -> str:
    """The whole document."""
    tuned = units_of_kind(Tried.TUNED_SMALL)
    dataset, source = (score_of(cross_validate(tuned, group)) for group in (by_dataset, by_source))
    parts = (
        _opening(tuned, dataset, source),
        _published(tuned),
        _predictors(tuned),
        _priors(),
        _validation(tuned, dataset, source),
        _untuned(),
        _perturbed(),
        _routing(),
        _method(tuned),
        _sources(),
    )
    return "\n\n".join(parts) + "\n"


def unseen_report(unseen: Unseen) -> str:
    """The score of a table of other studies, as text."""
    score = unseen.score
    lines = [
        f"{score.units} datasets scored; {unseen.also_fitted} units of the fit set aside because the table has their dataset or source",
        f"Brier {score.brier:.3f} (base rate {score.base_brier:.3f}), log-loss {score.log_loss:.3f} ({score.base_log_loss:.3f})",
        f"skill against the base rate {_signed(score.skill)}, Brier difference {_interval(score)} (90 %, sources resampled)",
        "",
        *(f"left out: {count} rows, {why}" for why, count in unseen.left_out_rows),
        "",
        "forecast   datasets  mean   held",
        *(f"{b.low:.1f} to {b.high:.1f} {b.units:9d}  {b.mean_forecast:.2f}   {b.within / b.units:.2f}" for b in score.reliability),
        "",
        *(
            f"{forecast.chance:.2f} {'held' if forecast.within else 'not '}  {forecast.unit.setting} {forecast.unit.task_type}: "
            f"{forecast.unit.dataset}"
            for forecast in unseen.forecasts
        ),
    ]
    return "\n".join(lines)


def _opening(tuned: Sequence[Unit], dataset: Score, source: Score) -> str:
    return f"""# The evidence behind "good enough"

Made by `make evidence` from `selector/data/evidence`; do not edit. How a chance is used: [method.md](method.md).

Good enough means within 5 % of a GPT-4-class reference's score. One unit is one dataset in one setting, with its median row's outcome:
{len(tuned)} units of tuned models of at most 13B, {sum(unit.within_5pct for unit in tuned)} of them within.

**How far to trust it.** This is a weak prior. A dataset left out is forecast with skill {_signed(dataset.skill)} against the base rate
(asked for: at least {_signed(BAR_BY_DATASET)}). A whole laboratory left out: {_signed(source.skill)} (asked for: at least
{_signed(BAR_BY_SOURCE)}), which is **no better than the base rate**: what one laboratory finds does not tell what the next one will. So
every chance is shown with its interval and its closest published cases, and your own test replaces it. Papers tend to flatter, the
references are models of 2023-24, and against a newer baseline all these chances are too high."""


def _published(tuned: Sequence[Unit]) -> str:
    rows = [_rate_row(f"{_words(kind)}, {WORDS[Setting.IN_DOMAIN]}", [u for u in _in(tuned) if u.task_type is kind]) for kind in TaskType]
    rows.append(_rate_row("all, " + WORDS[Setting.IN_DOMAIN], list(_in(tuned))))
    for setting in (Setting.OUT_OF_DOMAIN, Setting.GENERAL_PURPOSE):
        rows.append(_rate_row("all, " + WORDS[setting], [unit for unit in tuned if unit.setting is setting]))
    return _section(
        "What was published: tuned models of at most 13B",
        "Shares with Wilson 95 % intervals. Mock examinations are left out, LoRA Land counts once per task with the base model chosen in "
        "advance, and five of its GPT-4 scores are corrected.",
        _table(("task", "within 5 %", "beats the reference"), rows),
    )


def _predictors(tuned: Sequence[Unit]) -> str:
    inside, narrow = list(_in(tuned)), [unit for unit in _in(tuned) if unit.family is Family.NARROW]
    pairs = (
        ("trained on the same task / elsewhere", inside, [unit for unit in tuned if unit.setting is not Setting.IN_DOMAIN]),
        ("narrow / hard family, same task", narrow, [unit for unit in inside if unit.family is Family.HARD]),
        (
            "more than 10K / 1K-10K examples, narrow, same task",
            [unit for unit in narrow if unit.bucket == "over_10k"],
            [unit for unit in narrow if unit.bucket == "1k_to_10k"],
        ),
    )
    rows = [(name, _fraction(one), _fraction(other), f"{_fisher(one, other):.3g}") for name, one, other in pairs]
    few = [unit for unit in narrow if unit.bucket == "under_1k"]
    return _section(
        "What predicts success",
        "Training on the task's own distribution is the strongest and most portable sign, the family of the task the second. Above 1,000 "
        f"examples no threshold shows. Below 1,000 only {len(few)} narrow datasets are published ({_fraction(few)} within): unknown, "
        "not proven bad. "
        "Maths, general code, reasoning and closed-book knowledge do not improve with the number of examples in these tables.",
        _table(("comparison", "first", "second", "Fisher p"), rows),
    )


def _priors() -> str:
    rows = [
        (_words(kind), *(_cell(Setting.IN_DOMAIN, kind, bucket) for bucket, _ in BUCKETS), _cell(Setting.OUT_OF_DOMAIN, kind, "unknown"))
        for kind in TaskType
    ]
    general = _cell(Setting.GENERAL_PURPOSE, TaskType.GENERATION, "unknown")
    return _section(
        "The chances in use",
        "Chance that a tuned model of at most 13B is within 5 %, with its 90 % interval. A star: no published dataset in that cell, "
        f"extrapolated. Open-ended chat or general code: {general}. Below 1,000 labels these are generative models; a small encoder is an "
        "option of its own.",
        _table(("task", *(name for _, name in BUCKETS), "trained elsewhere"), rows),
    )


def _validation(tuned: Sequence[Unit], dataset: Score, source: Score) -> str:
    inside = list(_in(tuned))
    folds = ((by_dataset, "a dataset left out"), (by_source, "a laboratory left out"))
    only = [(name, score_of(cross_validate(inside, group))) for group, name in folds]
    rows = [
        _score_row("all settings, a dataset left out", dataset),
        _score_row("all settings, a laboratory left out", source),
        *(_score_row(f"same task only, {name}", score) for name, score in only),
    ]
    reliability = [
        (f"{b.low:g} to {b.high:g}", str(b.units), f"{b.mean_forecast:.2f}", f"{b.within / b.units:.2f} ({b.within}/{b.units})")
        for b in dataset.reliability
    ]
    return "\n\n".join(
        (
            _section(
                "Validation",
                "Each unit is forecast by a fit without its group. Skill is 1 - Brier / Brier of the base rate of the same fold. The last "
                "column is the 90 % interval of the Brier difference when whole groups are drawn again: below 0 beats the base rate.",
                _table(("forecasts", "units", "Brier", "log-loss", "base Brier", "base log-loss", "skill", "Brier difference"), rows),
            ),
            "Reliability, a dataset left out:",
            _table(("forecast", "units", "mean forecast", "held"), reliability),
            "A laboratory left out the forecasts are too sure of themselves:",
            _table(
                ("forecast", "units", "mean forecast", "held"),
                [
                    (f"{b.low:g} to {b.high:g}", str(b.units), f"{b.mean_forecast:.2f}", f"{b.within / b.units:.2f} ({b.within}/{b.units})")
                    for b in source.reliability
                ],
            ),
        )
    )


def _untuned() -> str:
    kinds = (Tried.CHEAP_API, Tried.PROMPTED_70B, Tried.SMALL_UNTUNED)
    rates = [
        (_words(kind), *(_fraction([unit for unit in units_of_kind(tried) if unit.task_type is kind]) for tried in kinds))
        for kind in TaskType
    ]
    rates.append(("all", *(_rate(units_of_kind(tried)) for tried in kinds)))
    rows = []
    for tried in kinds:
        found = units_of_kind(tried)
        scores = [score_of(cross_validate(found, group)) for group in (by_dataset, by_source)]
        strength = f"{between_source_strength(found):.1f}"
        rows.append((WORDS[tried], str(len(found)), str(sources_of(found)), *(_signed(score.skill) for score in scores), strength))
    return "\n\n".join(
        (
            _section(
                "Models that are not tuned",
                "The alternatives that tuning competes with, against the same references. Datasets within 5 %:",
                _table(("task", *(WORDS[tried] for tried in kinds)), rates),
            ),
            "The same shrinkage (base rate, family, type) and the same validation. Only the 70B-class rates beat their base rate across "
            "datasets; none does across laboratories, and for cheap APIs and untuned models the type of task adds nothing:",
            _table(("kind", "units", "sources", "skill, dataset out", "skill, laboratory out", "strength between sources"), rows),
        )
    )


def _perturbed() -> str:
    rows = [
        (found.name, str(found.units), f"{found.within}/{found.units}", _signed(found.by_dataset), _signed(found.by_source))
        for found in perturbations()
    ]
    return _section(
        "Other readings of the same evidence",
        "Skill under each. Across datasets it holds; across laboratories it falls below the bar at other margins and with exams counted.",
        _table(("reading", "units", "within", "skill, dataset out", "skill, laboratory out"), rows),
    )


def _routing() -> str:
    _, middle, high = published_sharpness()
    points = [
        (point.benchmark, point.router, f"{point.escalation_share:.0%}", f"{point.gap_recovered_share:.0%}", f"{point.sharpness:.1f}")
        for point in router_points()
    ]
    savings = [(saving.benchmark, str(saving.models_of), f"{saving.saving_share:.0%}") for saving in cascade_savings()]
    return "\n\n".join(
        (
            _section(
                "A small model first, the large one on doubt",
                "A coin flip recovers of the gap between the two models exactly the share of requests that it sends on (sharpness 1). "
                f"Published routers: median sharpness {middle:.1f}, best {high:.1f}, near 1 on traffic unlike what they were trained on.",
                _table(("benchmark", "router", "sent on", "gap recovered", "sharpness"), points),
            ),
            "Cost saved by learned cascades at the best single model's quality (FrugalGPT); nothing where the cheapest is also the best:",
            _table(("benchmark", "models of", "saved"), savings),
        )
    )


def _method(tuned: Sequence[Unit]) -> str:
    inside, outside = list(_in(tuned)), [unit for unit in tuned if unit.setting is not Setting.IN_DOMAIN]
    narrow = [unit for unit in inside if unit.family is Family.NARROW]
    strengths = ", ".join(f"{value:g} ({WORDS[key]})" for key, value in (*TUNED_STRENGTHS.items(), *UNTUNED_STRENGTHS.items()))
    return _section(
        "How the chances are fitted",
        f"Base rate (k + 1) / (n + 2), then setting, family and type, each pulled towards the one before by {SETTING_PSEUDO_COUNT:g}, "
        f"{FAMILY_PSEUDO_COUNT:g} and {TYPE_PSEUDO_COUNT:g} pseudo-units; for narrow tasks on their own traffic the size class shifts the "
        f"log-odds ({SIZE_PSEUDO_COUNT:g} pseudo-units). These numbers were set beforehand and are not tuned to the validation.",
        f"A beta-binomial fit between sources gives a + b = {between_source_strength(inside):.1f} over {sources_of(inside)} in-domain "
        f"sources ({between_source_strength(narrow):.1f} for narrow tasks) and {between_source_strength(outside):.1f} elsewhere. So a "
        f"chance is worth only so many pseudo-observations, however many datasets stand behind it: {strengths}.",
        "A size that a paper does not state is no class of its own: papers that omit sizes are the ones with losses, which is a "
        "fingerprint of the source and not knowledge.",
    )


def _sources() -> str:
    rows = [(source.title, "; ".join(source.citations).replace("|", "/"), source.licence) for source in study_sources()]
    return _section(
        "Sources",
        "Measured figures only, with attribution. Where a source does not let its scores be passed on, the outcome alone is kept.",
        _table(("source", "read in", "licence"), rows),
    )


def _section(title: str, *parts: str) -> str:
    return "\n\n".join((f"## {title}", *parts))


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join((*lines, *("| " + " | ".join(row) + " |" for row in rows)))


def _in(found: Sequence[Unit]) -> Iterable[Unit]:
    return (unit for unit in found if unit.setting is Setting.IN_DOMAIN)


def _rate_row(name: str, found: Sequence[Unit]) -> tuple[str, str, str]:
    return name, _rate(found), _rate(found, lambda unit: unit.beats)


def _rate(found: Sequence[Unit], held: Callable[[Unit], bool] = lambda unit: unit.within_5pct) -> str:
    if not found:
        return "none published"
    count = sum(held(unit) for unit in found)
    interval = stats.binomtest(count, len(found)).proportion_ci(method="wilson")
    return f"{count}/{len(found)} = {count / len(found):.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _fraction(found: Sequence[Unit]) -> str:
    return f"{sum(unit.within_5pct for unit in found)}/{len(found)}" if found else "-"


def _fisher(one: Sequence[Unit], other: Sequence[Unit]) -> float:
    """Two-sided p of Fisher's exact test on the two shares."""
    table = np.array([[sum(unit.within_5pct for unit in found), sum(not unit.within_5pct for unit in found)] for found in (one, other)])
    return float(stats.fisher_exact(table).pvalue)


def _cell(setting: Setting, kind: TaskType, bucket: str) -> str:
    prior = tuned_prior(setting, kind, bucket)
    low, high = beta_interval(prior.beta_a, prior.beta_b)
    star = "" if prior.of_cell.units else "*"
    return f"{prior.mean:.2f}{star} ({low:.2f}-{high:.2f})"


def _score_row(name: str, score: Score) -> tuple[str, ...]:
    losses = (score.brier, score.log_loss, score.base_brier, score.base_log_loss)
    return name, str(score.units), *(f"{loss:.3f}" for loss in losses), _signed(score.skill), _interval(score)


def _interval(score: Score) -> str:
    return f"[{_signed(score.difference_low, 3)}, {_signed(score.difference_high, 3)}]"


def _signed(number: float, digits: int = 2) -> str:
    text = f"{number:+.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def _words(kind: TaskType) -> str:
    return {
        TaskType.QA_CLOSED: "given-text QA",
        TaskType.QA_OPEN: "closed-book QA",
        TaskType.SQL: "SQL",
        TaskType.GENERATION: "constrained generation",
        TaskType.OTHER: "other (tool use, agents, regression)",
    }.get(kind, str(kind))
