"""Gates, in order: each says yes or no to an option, with its reason. The first no refuses it; all are kept and shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from selector.options import MIN_LABELS_TO_TUNE, Option
from selector.quality import Kind
from selector.results import Arm, Placement, QualityPrior, Verdict
from selector.tasks import Family, Task
from workloads.demand import KnowledgeChanges, Modality, Residency, TaskType, Workload

MIN_PROBABILITY: Final = 0.2
"""Below one chance in five an option is not worth a pilot, whatever it would save."""

SMALL_KINDS: Final = frozenset({Kind.TUNED_SMALL, Kind.TUNED_BY_VENDOR, Kind.CHEAP_API, Kind.SMALL_UNTUNED, Kind.ENCODER})
BOUGHT: Final = frozenset({Placement.API, Placement.MANAGED, Placement.RENTED})

Gate = Callable[[Option, Workload, Task, QualityPrior, str, float | None], Verdict]


def screen(
    option: Option, workload: Workload, task: Task, quality: QualityPrior, *, provider: str, context_tokens: float | None
) -> tuple[Verdict, ...]:
    """Every screening gate's verdict on an option; `provider` is who would be paid, '' for the user's own machines."""
    return tuple(gate(option, workload, task, quality, provider, context_tokens) for gate in SCREENING)


def residency(
    option: Option, workload: Workload, task: Task, quality: QualityPrior, provider: str, context_tokens: float | None
) -> Verdict:
    """May the data go there?"""
    name = "residency"
    if workload.residency is Residency.ANY:
        return Verdict(gate=name, passed=True, reason="data may go anywhere")
    if option.placement not in BOUGHT:
        return Verdict(gate=name, passed=True, reason="data stays on your own machines")
    if workload.residency is Residency.ON_PREM:
        return Verdict(gate=name, passed=False, reason=f"data may not leave your premises, and {_placement_words(option)} is outside them")
    if provider.casefold() in {allowed.casefold() for allowed in workload.allowed_providers}:
        return Verdict(gate=name, passed=True, reason=f"{provider} is on your list of cleared providers")
    cleared = ", ".join(workload.allowed_providers)
    who = provider or "the provider"
    return Verdict(
        gate=name,
        passed=False,
        reason=f"not shown that {who} keeps data in your region: it is not among your cleared providers ({cleared})",
    )


def modality(option: Option, workload: Workload, task: Task, quality: QualityPrior, provider: str, context_tokens: float | None) -> Verdict:
    """Can it take what goes in?"""
    beyond = [kind for kind in workload.modality if kind is not Modality.TEXT]
    if not beyond or option.arm in (Arm.API, Arm.API_SMALL, Arm.API_TUNED):
        return Verdict(
            gate="modality", passed=True, reason="takes what goes in" if not beyond else "taken as able to read it; check with the vendor"
        )
    return Verdict(gate="modality", passed=False, reason=f"reads text only, the workload has {' and '.join(beyond)}")


def context(option: Option, workload: Workload, task: Task, quality: QualityPrior, provider: str, context_tokens: float | None) -> Verdict:
    """Does a mean request fit its context window?"""
    need = workload.input_tokens + workload.output_tokens
    if not context_tokens:
        return Verdict(
            gate="context", passed=True, reason=f"its context window is not in the catalogue; a mean request takes {need:,.0f} tokens"
        )
    passed = need <= context_tokens
    words = "fits" if passed else "does not fit"
    return Verdict(
        gate="context", passed=passed, reason=f"a mean request of {need:,.0f} tokens {words} its window of {context_tokens:,.0f}"
    )


def labels(option: Option, workload: Workload, task: Task, quality: QualityPrior, provider: str, context_tokens: float | None) -> Verdict:
    """Is there enough to tune on?"""
    if not option.tuned:
        return Verdict(gate="labels", passed=True, reason="needs no training")
    have = workload.labelled_examples
    passed = have >= MIN_LABELS_TO_TUNE
    reason = f"{have:,} labelled examples, {MIN_LABELS_TO_TUNE} are the least to tune on"
    return Verdict(gate="labels", passed=passed, reason=reason)


def knowledge(
    option: Option, workload: Workload, task: Task, quality: QualityPrior, provider: str, context_tokens: float | None
) -> Verdict:
    """Does what it learned stay true?"""
    if option.tuned and workload.knowledge_changes is KnowledgeChanges.DAILY:
        return Verdict(
            gate="knowledge",
            passed=False,
            reason="the knowledge changes daily and a tuned model keeps what it was trained on; retrieval would be needed",
        )
    return Verdict(gate="knowledge", passed=True, reason=f"knowledge is {workload.knowledge_changes}")


def task_fit(option: Option, workload: Workload, task: Task, quality: QualityPrior, provider: str, context_tokens: float | None) -> Verdict:
    """Can this kind of model do this kind of task?"""
    if option.kind is Kind.ENCODER and (task.type is not TaskType.CLASSIFICATION or task.family is Family.HARD):
        return Verdict(gate="task", passed=False, reason=f"an encoder only chooses among labels, the task is {task.type.replace('_', ' ')}")
    if option.kind in SMALL_KINDS and task.family is Family.HARD:
        why = "small models hold on few such datasets, tuned or not, whatever the number of labels"
        reason = f"the task is of the hard family ({task.because}): {why}"
        return Verdict(gate="task", passed=False, reason=reason)
    return Verdict(gate="task", passed=True, reason=f"a {task.family} task")


def chance(option: Option, workload: Workload, task: Task, quality: QualityPrior, provider: str, context_tokens: float | None) -> Verdict:
    """Is a pilot worth running?"""
    passed = quality.probability >= MIN_PROBABILITY
    words = "at least" if passed else "below"
    reason = (
        f"chance of being good enough {quality.probability:.0%}, {words} the {MIN_PROBABILITY:.0%} that a pilot needs: {quality.because}"
    )
    return Verdict(gate="quality", passed=passed, reason=reason)


SCREENING: Final[tuple[Gate, ...]] = (residency, modality, context, labels, knowledge, task_fit, chance)
"""In the order in which they refuse."""


def refusal(verdicts: tuple[Verdict, ...]) -> str | None:
    """The first refusing gate's sentence, or None."""
    return next((f"{verdict.gate}: {verdict.reason}" for verdict in verdicts if not verdict.passed), None)


def _placement_words(option: Option) -> str:
    return {Placement.API: "an API", Placement.MANAGED: "a managed host", Placement.RENTED: "a rented server"}[option.placement]
