"""Gates, in order: each says yes or no to an option, with its reason. The first no refuses it; all are kept and shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pricing.prices import is_provider
from selector.base_models import languages_missing, languages_words, reads
from selector.factors import unmet
from selector.gap_gate import GateResult, GateVerdict
from selector.languages import code_of, name_of
from selector.options import MIN_LABELS_TO_TUNE, Option
from selector.own_test import passed
from selector.quality import Kind
from selector.results import Factor, Level, Placement, QualityPrior, Verdict
from selector.tasks import Family, Task
from workloads.demand import KnowledgeChanges, Modality, Residency, TaskType, Workload

MIN_PROBABILITY: Final = 1.0 / 3.0
"""Below one chance in three an option is not recommended, whatever it would save: two pilots of three would be for nothing."""
SMALL_KINDS: Final = frozenset({Kind.TUNED_SMALL, Kind.TUNED_BY_VENDOR, Kind.SMALL_UNTUNED, Kind.ENCODER})
"""Small models, which the corrected tree does not send hard tasks to."""
BOUGHT: Final = frozenset({Placement.API, Placement.MANAGED, Placement.RENTED})
"""Placements in which the data goes to somebody who is paid."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What a gate looks at.

    option, quality: the option and its chance of being good enough
    workload, task: what is asked of it
    provider: who would be paid, '' for the user's own machines
    context_tokens: its context window, None where it is not known
    tokens_factor: of its own tokens for one of the user's counts
    licence: of its weights, '' where none are served by or for the user
    total_usd: its bill over the horizon, None where it cannot be priced
    last_resort: nothing better is left, so that any chance will do
    own_test: the user's own test of it, or None
    factors: what it means for the organisation
    """

    option: Option
    quality: QualityPrior
    workload: Workload
    task: Task
    provider: str
    context_tokens: float | None
    tokens_factor: float = 1.0
    licence: str = ""
    total_usd: float | None = None
    last_resort: bool = False
    own_test: GateResult | None = None
    factors: tuple[Factor, ...] = ()


Gate = Callable[[Candidate], Verdict]


def screen(candidate: Candidate) -> tuple[Verdict, ...]:
    """Every gate's verdict on a candidate, in the order in which they refuse."""
    return tuple(gate(candidate) for gate in SCREENING)


def refusal(verdicts: tuple[Verdict, ...]) -> str | None:
    """The first refusing gate's sentence, or None."""
    return next((f"{verdict.gate}: {verdict.reason}" for verdict in verdicts if not verdict.passed), None)


def residency(candidate: Candidate) -> Verdict:
    """May the data go there?"""
    workload, option = candidate.workload, candidate.option
    if workload.residency is Residency.ANY:
        return Verdict(gate="residency", passed=True, reason="data may go anywhere")
    if option.placement not in BOUGHT:
        return Verdict(gate="residency", passed=True, reason="data stays on your own machines")
    if workload.residency is Residency.ON_PREM:
        outside = {Placement.API: "an API", Placement.MANAGED: "a managed host", Placement.RENTED: "a rented server"}[option.placement]
        return Verdict(gate="residency", passed=False, reason=f"data may not leave your premises, and {outside} is outside them")
    if candidate.provider and is_provider(candidate.provider, workload.allowed_providers):
        return Verdict(gate="residency", passed=True, reason=f"{candidate.provider} is on your list of cleared providers")
    cleared, who = ", ".join(workload.allowed_providers), candidate.provider or "the provider"
    reason = f"not shown that {who} keeps data in your region: it is not among your cleared providers ({cleared})"
    return Verdict(gate="residency", passed=False, reason=reason)


def modality(candidate: Candidate) -> Verdict:
    """Can it take what goes in?"""
    beyond = [kind for kind in candidate.workload.modality if kind is not Modality.TEXT]
    if not beyond:
        return Verdict(gate="modality", passed=True, reason="text only")
    able = reads(candidate.option)
    if able is None:
        return Verdict(gate="modality", passed=True, reason=f"taken as able to read {' and '.join(beyond)}; check with the vendor")
    unread = [kind for kind in beyond if kind not in able]
    if not unread:
        words = " and ".join(beyond)
        return Verdict(
            gate="modality", passed=True, reason=f"its maker says that it reads {words}; the encoder for that is not in the bill"
        )
    what = " and ".join(["text", *sorted(able)]) + (" only" if not able else "")
    return Verdict(gate="modality", passed=False, reason=f"reads {what}, the workload has {' and '.join(unread)}")


def languages(candidate: Candidate) -> Verdict:
    """Does its maker say that it knows the languages of the traffic?"""
    wanted = candidate.workload.languages
    if not wanted:
        return Verdict(gate="languages", passed=True, reason="no language is stated")
    stated = languages_words(candidate.option)
    if not stated:
        return Verdict(gate="languages", passed=True, reason=f"taken as knowing {', '.join(map(_language, wanted))}; check with the vendor")
    missing = languages_missing(candidate.option, wanted)
    if missing:
        reason = f"not shown that it knows {', '.join(map(_language, missing))}: its maker states {stated}"
        return Verdict(gate="languages", passed=False, reason=reason)
    reason = f"its maker states {stated}, {', '.join(map(_language, wanted))} among them; how well is for your own test to show"
    return Verdict(gate="languages", passed=True, reason=reason)


def organisation(candidate: Candidate) -> Verdict:
    """Does it meet what the organisation must have?"""
    if not candidate.workload.must_have:
        return Verdict(gate="organisation", passed=True, reason="no requirement beside the others is stated")
    missed = unmet(candidate.factors, candidate.workload)
    if missed is None:
        return Verdict(gate="organisation", passed=True, reason=f"meets what you must have: {', '.join(candidate.workload.must_have)}")
    return Verdict(gate="organisation", passed=False, reason=f"{missed.name} is a must and is met {_how_far(missed)}: {missed.because}")


def context(candidate: Candidate) -> Verdict:
    """Does a mean request fit its context window?"""
    need = (candidate.workload.input_tokens + candidate.workload.output_tokens) * candidate.tokens_factor
    window = candidate.context_tokens
    if not window:
        reason = f"its context window is not in the catalogue; a mean request takes {need:,.0f} tokens"
        return Verdict(gate="context", passed=True, reason=reason)
    words = "fits" if need <= window else "does not fit"
    return Verdict(
        gate="context", passed=need <= window, reason=f"a mean request of {need:,.0f} tokens {words} its window of {window:,.0f}"
    )


def licence(candidate: Candidate) -> Verdict:
    """Do its weights carry a licence that is allowed?"""
    allowed = candidate.workload.licences
    if not allowed:
        return Verdict(gate="licence", passed=True, reason="any licence is allowed")
    if not candidate.licence:
        return Verdict(gate="licence", passed=True, reason="no open weights are used")
    passed = candidate.licence.casefold() in {name.casefold() for name in allowed}
    words = "is" if passed else "is not"
    return Verdict(
        gate="licence", passed=passed, reason=f"its licence, {candidate.licence}, {words} among those you allow ({', '.join(allowed)})"
    )


def budget(candidate: Candidate) -> Verdict:
    """Does its bill stay within the budget?"""
    limit, total = candidate.workload.budget_usd, candidate.total_usd
    if limit is None or total is None:
        return Verdict(gate="budget", passed=True, reason="no budget is stated" if limit is None else "it cannot be priced")
    months = candidate.workload.horizon_months
    words = "within" if total <= limit else "above"
    reason = f"${total:,.0f} over {months} months is {words} the budget of ${limit:,.0f}"
    return Verdict(gate="budget", passed=total <= limit, reason=reason)


def labels(candidate: Candidate) -> Verdict:
    """Is there enough to tune on?"""
    if not candidate.option.tuned:
        return Verdict(gate="labels", passed=True, reason="needs no training")
    have = candidate.workload.labelled_examples
    reason = f"{have:,} labelled examples, {MIN_LABELS_TO_TUNE} are the least to tune on"
    return Verdict(gate="labels", passed=have >= MIN_LABELS_TO_TUNE, reason=reason)


def knowledge(candidate: Candidate) -> Verdict:
    """Does what it learned stay true?"""
    changes = candidate.workload.knowledge_changes
    if candidate.option.tuned and changes is KnowledgeChanges.DAILY:
        reason = "the knowledge changes daily and a tuned model keeps what it was trained on; retrieval would be needed"
        return Verdict(gate="knowledge", passed=False, reason=reason)
    return Verdict(gate="knowledge", passed=True, reason=f"the knowledge behind the answers changes: {changes}")


def task_fit(candidate: Candidate) -> Verdict:
    """Can this kind of model do this kind of task?"""
    kind, task = candidate.option.kind, candidate.task
    if passed(candidate.own_test):
        return Verdict(gate="task", passed=True, reason="shown on your own cases")
    if kind in SMALL_KINDS and task.family is Family.HARD:
        why = "small models hold on few such datasets, tuned or not, whatever the number of labels"
        return Verdict(gate="task", passed=False, reason=f"the task is of the hard family ({task.because}): {why}")
    if kind is Kind.ENCODER and task.type is not TaskType.CLASSIFICATION:
        words = task.type.replace("_", " ")
        return Verdict(gate="task", passed=False, reason=f"an encoder only chooses among labels, the task is {words}")
    return Verdict(gate="task", passed=True, reason=f"a {task.family} task")


def chance(candidate: Candidate) -> Verdict:
    """Did it pass the user's own test; before one decides, is a pilot worth running?

    Where today's model may not stay and nothing likelier is left, any chance will do.
    """
    quality = candidate.quality
    if candidate.own_test is not None and candidate.own_test.verdict is not GateVerdict.UNDECIDED:
        return Verdict(gate="quality", passed=passed(candidate.own_test), reason=candidate.own_test.sentence)
    enough = quality.probability >= MIN_PROBABILITY
    words = "at least" if enough else "below"
    reason = (
        f"chance of being good enough {quality.probability:.0%}, {words} the {MIN_PROBABILITY:.0%} that a pilot needs: {quality.because}"
    )
    if not enough and candidate.last_resort:
        reason += "; kept because today's model may not be used and nothing likelier is left"
    return Verdict(gate="quality", passed=enough or candidate.last_resort, reason=reason)


def _language(text: str) -> str:
    return name_of(code_of(text) or text)


def _how_far(factor: Factor) -> str:
    return "not at all" if factor.level is Level.NO else "in part only"


SCREENING: Final[tuple[Gate, ...]] = (
    residency,
    organisation,
    licence,
    languages,
    modality,
    context,
    labels,
    knowledge,
    task_fit,
    budget,
    chance,
)
"""In the order in which they refuse."""
