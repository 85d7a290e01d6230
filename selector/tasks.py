"""Which published task type a workload is like, and whether that family is narrow or hard."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from workloads.demand import Complexity, TaskType, Workload


class Family(StrEnum):
    """The two families that published results fall into."""

    NARROW = "narrow"
    HARD = "hard"


NARROW_TYPES = frozenset(
    {
        TaskType.CLASSIFICATION,
        TaskType.EXTRACTION,
        TaskType.QA_CLOSED,
        TaskType.SUMMARISATION,
        TaskType.GENERATION,
        TaskType.SQL,
        TaskType.OTHER,
    }
)
"""The answer lies in the input or in a fixed set; 'generation' means constrained generation (data to text, fixed style)."""

TYPES_OF: dict[Complexity, tuple[TaskType, ...]] = {
    Complexity.CLASSIFICATION: (TaskType.CLASSIFICATION,),
    Complexity.EXTRACTION: (TaskType.EXTRACTION,),
    Complexity.ROUTING: (TaskType.CLASSIFICATION,),
    Complexity.CODE: (TaskType.CODE, TaskType.SQL),
    Complexity.REASONING: (TaskType.REASONING, TaskType.MATH),
    Complexity.ANALYSIS: (TaskType.REASONING, TaskType.SUMMARISATION, TaskType.QA_OPEN),
    Complexity.QA: (TaskType.QA_OPEN, TaskType.QA_CLOSED),
    Complexity.GENERATION: (TaskType.GENERATION, TaskType.SUMMARISATION),
    Complexity.SYNTHESIS: (TaskType.GENERATION, TaskType.SUMMARISATION),
}
"""The task types that a complexity may mean."""

CAUTIOUS_TYPE: dict[Complexity, TaskType] = {
    Complexity.CLASSIFICATION: TaskType.CLASSIFICATION,
    Complexity.EXTRACTION: TaskType.EXTRACTION,
    Complexity.ROUTING: TaskType.CLASSIFICATION,
    Complexity.CODE: TaskType.CODE,
    Complexity.REASONING: TaskType.REASONING,
    Complexity.ANALYSIS: TaskType.QA_OPEN,
    Complexity.QA: TaskType.QA_OPEN,
    Complexity.GENERATION: TaskType.GENERATION,
    Complexity.SYNTHESIS: TaskType.GENERATION,
}
"""Of these, the one whose published cases go worst for a tuned small model (the tests recompute it from the priors)."""

ALWAYS_HARD = frozenset({Complexity.REASONING, Complexity.SYNTHESIS})
"""Hard at any task type: several steps, or several sources, are the task."""

OPEN_UNLESS_TYPED = frozenset({Complexity.GENERATION, Complexity.SYNTHESIS})
"""Without a task type this is open-ended generation, not the constrained kind."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A workload in the terms of the published evidence.

    type: the task type used
    family: narrow or hard
    open_ended: general-purpose generation rather than a bounded task
    assumed: the type was not given, the most cautious one was taken
    because: the family's reason in a few words
    """

    type: TaskType
    family: Family
    open_ended: bool
    assumed: bool
    because: str


def task_of(workload: Workload) -> Task:
    """The task type and family of a workload; an absent type is the most cautious of its complexity's types, and said so."""
    complexity, given = workload.complexity, workload.task_type
    kind = given or CAUTIOUS_TYPE[complexity]
    assumed = given is None and len(TYPES_OF[complexity]) > 1
    open_ended = complexity in OPEN_UNLESS_TYPED and (given is None or complexity is Complexity.SYNTHESIS)
    if complexity in ALWAYS_HARD:
        return Task(type=kind, family=Family.HARD, open_ended=open_ended, assumed=assumed, because=f"{complexity} is hard at any task type")
    if open_ended:
        return Task(
            type=kind,
            family=Family.HARD,
            open_ended=True,
            assumed=True,
            because="open-ended: no task type is given, the most cautious is taken",
        )
    family = Family.NARROW if kind in NARROW_TYPES else Family.HARD
    words = kind.replace("_", " ")
    because = f"{words}: no task type is given, the most cautious of {complexity} is taken" if assumed else words
    return Task(type=kind, family=family, open_ended=False, assumed=assumed, because=because)


def unusual_type(workload: Workload) -> str:
    """A doubt when the task type is not one that the complexity usually means; else ''."""
    if workload.task_type is None or workload.task_type in TYPES_OF[workload.complexity]:
        return ""
    usual = ", ".join(TYPES_OF[workload.complexity])
    return f"task_type {workload.task_type} is unusual for {workload.complexity} (usual: {usual}); the task type decides"
