"""What more labels would buy: the chance at larger training sets, and published learning curves of the same kind of task."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from facts.records import Fact, Source, read_facts
from selector.evidence import Setting, examples_bucket, family_of
from selector.quality import MARGIN_SHARE, setting_of, tuned_prior
from selector.tasks import Family, Task
from workloads.demand import TaskType, Workload

STEPS_EXAMPLES: Final = (1_000, 10_001)
"""Where the published size classes begin."""
LEAST_GAIN: Final = 0.005
"""A smaller change of the chance is no gain."""
MOST_CURVES: Final = 2


class LearningCurve(Fact):
    """One published curve of quality against training examples."""

    id: str
    """dataset.method"""
    task_type: TaskType
    """Task type of the dataset."""
    dataset: str
    """The dataset."""
    metric: str
    """What was measured."""
    model: str
    """What was trained."""
    method: str
    """How it was trained."""
    points: tuple[tuple[int, float], ...]
    """(training examples, value), in rising order of examples."""
    source: Source
    """Where it was read."""


@dataclass(frozen=True, kw_only=True)
class LabelStep:
    """The chance at a larger training set.

    examples: labelled examples
    probability: chance of being good enough with them
    """

    examples: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class MoreLabels:
    """What more labels would buy a tuned small model.

    examples: labelled examples now
    probability: chance of being good enough now
    steps: the chance at the larger size classes of the published evidence
    own_domain_probability: for labels from elsewhere, the chance with as many from the own traffic; else None
    curves: published curves of the same kind of task, a line each
    sentence: the same in words
    """

    examples: int
    probability: float
    steps: tuple[LabelStep, ...]
    own_domain_probability: float | None
    curves: tuple[str, ...]
    sentence: str


def more_labels(workload: Workload, task: Task, *, margin_share: float = MARGIN_SHARE) -> MoreLabels:
    """What more labels would buy a tuned small model on a workload, by the published priors and learning curves."""
    setting, examples = setting_of(workload, task), workload.labelled_examples
    now = _chance(setting, task, examples, margin_share)
    steps = tuple(
        LabelStep(examples=step, probability=_chance(setting, task, step, margin_share)) for step in STEPS_EXAMPLES if step > examples
    )
    gains = tuple(step for step in steps if setting is Setting.IN_DOMAIN and step.probability > now + LEAST_GAIN)
    own = _chance(Setting.IN_DOMAIN, task, examples, margin_share) if setting is Setting.OUT_OF_DOMAIN else None
    lines = tuple(curve_line(curve) for curve in closest_curves(task))
    return MoreLabels(
        examples=examples,
        probability=now,
        steps=gains,
        own_domain_probability=own,
        curves=lines,
        sentence=_sentence(setting, task, examples, now, gains, own),
    )


@cache
def learning_curves() -> tuple[LearningCurve, ...]:
    """Every published curve."""
    return read_facts(resources.files("selector") / "data" / "learning_curves.toml", "curve", LearningCurve)


def closest_curves(task: Task) -> tuple[LearningCurve, ...]:
    """Curves of the same type with most points first, else of the same family; none where neither is published."""
    same = [curve for curve in learning_curves() if curve.task_type is task.type]
    found = same or [curve for curve in learning_curves() if family_of(curve.task_type) is task.family]
    tuned_first = sorted(found, key=lambda curve: ("LoRA" not in curve.method, -len(curve.points), curve.id))
    return tuple(tuned_first[:MOST_CURVES])


def curve_line(curve: LearningCurve) -> str:
    """One curve for the reader."""
    points = ", ".join(f"{value:.3g} at {examples:,}" for examples, value in curve.points)
    note = f" ({curve.source.note})" if curve.source.note else ""
    return f"{curve.dataset}, {curve.model}, {curve.method}: {curve.metric} {points}{note}"


def _chance(setting: Setting, task: Task, examples: int, margin_share: float) -> float:
    """The chance of the tuned small model with so many labels."""
    bucket = examples_bucket(examples) if setting is Setting.IN_DOMAIN else "unknown"
    family = None if setting is Setting.GENERAL_PURPOSE else task.family
    kind = TaskType.GENERATION if setting is Setting.GENERAL_PURPOSE and task.type is not TaskType.CODE else task.type
    return tuned_prior(setting, kind, bucket, family=family, margin_share=margin_share).mean


def _sentence(setting: Setting, task: Task, examples: int, now: float, gains: tuple[LabelStep, ...], own: float | None) -> str:
    if setting is Setting.GENERAL_PURPOSE:
        return "More labels do not help open-ended use: no published small model tuned for it came within the margin."
    if own is not None:
        return (
            f"Labels from your own traffic count before their number: with {examples:,} of them the chance reads {own:.0%}, "
            f"with labels from elsewhere {now:.0%}."
        )
    if task.family is Family.HARD:
        return f"More labels do not move the chance of {now:.0%}: in hard tasks the published cases show no effect of their number."
    if not gains:
        return f"With {examples:,} labels the chance reads {now:.0%}; the published cases show no further gain. Cleaner labels still help."
    steps = ", ".join(f"{step.probability:.0%} with {_from(step.examples)}" for step in gains)
    few = (
        " Below 1,000 labels only two such datasets are published: unknown rather than proven bad." if examples < STEPS_EXAMPLES[0] else ""
    )
    start = f"With {examples:,} labels the chance reads {now:.0%}" if examples else "Without labels nothing can be tuned"
    return f"{start}; it would read {steps}. Clean labels count before their number.{few}"


def _from(examples: int) -> str:
    return f"{examples:,}" if examples == STEPS_EXAMPLES[0] else f"more than {examples - 1:,}"
