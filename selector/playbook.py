"""The six stages from an idea to a model in production, as a project: what is done, what comes next, and whether it is worth its money."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final

from pydantic import TypeAdapter
from scipy import stats

from facts.errors import InputError
from facts.records import Fact, read_facts
from pricing.assumptions import Assumptions
from selector.drift import Drift, drift_of
from selector.gap_gate import ALPHA, GateResult, GateVerdict
from selector.looks import FIRST_LOOK_ALPHA, ROUNDING, SECOND_LOOK_ALPHA, GateLook, Stage, alpha_spent, counted, latest_gates
from selector.results import Arm, Line, OptionResult, Recommendation
from selector.sentences import percent, usd
from workloads.demand import Complexity

COSTS: Final = frozenset(
    {"labels", "evaluation_cases", "evaluation_days", "finetune_runs", "finetune_engineering", "implementation", "servers"}
)
"""Every part of an upfront bill that a stage may cost; each stands at exactly one stage."""
TUNING_LINES: Final = frozenset({"finetune_runs", "finetune_engineering"})
UNTUNED_FORM: Final = {Arm.FINE_TUNED_7B: Arm.SMALL_UNTUNED, Arm.THIS_MACHINE: Arm.SMALL_UNTUNED, Arm.API_TUNED: Arm.API_SMALL}
"""What stage 4 tests where the option itself still has to be tuned; an encoder says nothing before it is trained."""
READERS: Final = 2.0
"""People who label each test case, as in the bill's evaluation line."""
MONTHS_PER_YEAR: Final = 12.0


class StageFact(Fact):
    """One entry of selector/data/playbook.toml."""

    stage: Stage
    """Which."""
    title: str
    """A few words."""
    question: str
    """What it answers."""
    done_when: str
    """What counts as done."""
    needs: str
    """What it takes."""
    costs: tuple[str, ...]
    """Parts of the option's upfront bill that it spends."""
    article: str
    """What the seed article says of it."""
    evidence: str
    """What public measurements add."""


class State(StrEnum):
    """Where a stage stands."""

    DONE = "done"
    NEXT = "next"
    WAITING = "waiting"
    NOT_NEEDED = "not_needed"
    STOPPED = "stopped"


class Advice(StrEnum):
    """Whether to go on."""

    RUN = "run"
    UNSURE = "unsure"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A note in a project.

    stage: which
    done: it was done; false where it was opened again
    created: when, ISO 8601 in UTC
    who: by whom, or ""
    note: in words, or ""
    """

    stage: Stage
    done: bool
    created: str
    who: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """One stage of a project.

    stage, number: which, 1 is the first
    title, question, done_when, needs, article, evidence: as in the playbook
    state: done, next, waiting, not_needed or stopped
    because: why it stands there, in a sentence
    cost_lines, cost_usd: what it costs for the pursued option, from that option's bill
    done: the entry that closed it, or None
    gate: the newest test result of this stage that counts, or None
    """

    stage: Stage
    number: int
    title: str
    question: str
    done_when: str
    needs: str
    article: str
    evidence: str
    state: State
    because: str
    cost_lines: tuple[Line, ...]
    cost_usd: float
    done: Entry | None
    gate: GateResult | None


@dataclass(frozen=True, kw_only=True)
class StepValue:
    """Whether going on is worth its money: value = P x saving - cost, over the horizon.

    probability, low, high: chance that the option is good enough, with its 5 % and 95 % points
    measured: the chance comes from the user's own test, not from published cases
    saving_usd: the fallback's total less the option's, testing and tuning not inside: what a success is worth
    cost_usd: what testing and tuning still cost; what was spent already does not count
    value_usd, value_low_usd, value_high_usd: at the three chances
    break_even_probability: cost / saving, None where nothing is saved or it exceeds 1
    advice: run when the value is above 0, stop when it is negative even at the 95 % point, unsure between
    sentence: the same in words
    """

    probability: float
    low: float
    high: float
    measured: bool
    saving_usd: float
    cost_usd: float
    value_usd: float
    value_low_usd: float
    value_high_usd: float
    break_even_probability: float | None
    advice: Advice
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Playbook:
    """A project as it stands.

    scenario_name: the workload's name
    option_id, option_title: the option that is pursued, None and "" where there is none
    fallback_title: what is paid for if it fails
    stages: the six, in order
    next: the stage to do next, None where the project is at its end or stopped
    next_cost_usd: what that stage costs, more test cases included where the test is not decided
    more_cases: labelled test cases that would settle an undecided test, 0 where none is waiting
    value: of going on, None where nothing can be compared
    saving_month_usd: the fallback's last month less the option's: what each month of waiting forgoes
    looks_rule: how the next test keeps its level, "" where none is ahead
    retraining_year_usd, retraining_once_usd: what the bill holds for keeping it good, 0 for an untuned option
    drift: the newest fresh sample against the test that was passed, or None
    tested: what the newest test of every option or arm said, the pursued one's among them, oldest first
    sentence: where the project stands, in words
    """

    scenario_name: str
    option_id: str | None
    option_title: str
    fallback_title: str
    stages: tuple[StageStatus, ...]
    next: Stage | None
    next_cost_usd: float
    more_cases: int
    value: StepValue | None
    saving_month_usd: float | None
    looks_rule: str
    retraining_year_usd: float
    retraining_once_usd: float
    drift: Drift | None
    tested: tuple[GateResult, ...]
    sentence: str

    def stage(self, stage: Stage) -> StageStatus:
        """One of the six."""
        return next(status for status in self.stages if status.stage is stage)


@cache
def stage_facts() -> tuple[StageFact, ...]:
    """The six stages in order; the file is refused when one is missing or a cost stands at no stage or at two."""
    path = resources.files("selector") / "data" / "playbook.toml"
    rows = read_facts(path, "stage", StageFact)
    if [row.stage for row in rows] != list(Stage):
        raise InputError(f"{path}: the stages are {', '.join(Stage)}, in this order")
    named = [cost for row in rows for cost in row.costs]
    if sorted(named) != sorted(COSTS):
        raise InputError(f"{path}: each of {', '.join(sorted(COSTS))} stands at exactly one stage")
    return rows


def playbook_of(
    recommendation: Recommendation, entries: Iterable[Entry] = (), looks: Iterable[GateLook] = (), *, option_id: str | None = None
) -> Playbook:
    """Where a project stands: its stages, the next one, its cost and its worth.

    The option is the given one; else the one in production; else the recommended one, or the best that is not today's model; else, once
    the untuned form has passed its test, that form. Entries close stages; a test is decided by its result alone, and production opens on
    a shown pass alone.
    """
    tests, scenario = counted(looks), recommendation.scenario
    option = _pursued(recommendation, tests, option_id)
    fallback = recommendation.option(recommendation.choice.fallback_option_id)
    decides = Stage.TUNING if is_tuned(option) else Stage.EXPERIMENT
    found = {stage: _newest(stage, option, decides, tests, recommendation) for stage in Stage}
    stages = _stages(option, stage_costs(option, scenario.assumptions, scenario.workload.complexity), _closed(entries), found, decides)
    ahead = next((status for status in stages if status.state is State.NEXT), None)
    more = 0 if ahead is None or ahead.gate is None else ahead.gate.extra_items or 0
    more_usd = READERS * more * scenario.assumptions.label_usd(scenario.workload.complexity)
    left_usd = sum(_left_usd(status) for status in stages if status.stage is not Stage.PRODUCTION) + more_usd
    verdict = None if (look := found[decides]) is None else look.result
    value = None if ahead is None else _value(option, fallback, verdict, left_usd, scenario.workload.horizon_months)
    retraining = _retraining_year_usd(option)
    times = scenario.assumptions.retrains_per_year
    drift = _drift(found[decides], found[Stage.PRODUCTION])
    next_cost_usd = 0.0 if ahead is None else _left_usd(ahead) + more_usd
    return Playbook(
        scenario_name=scenario.workload.name,
        option_id=None if option is None else option.id,
        option_title="" if option is None else option.title,
        fallback_title="" if fallback is None else fallback.title,
        stages=stages,
        next=None if ahead is None else ahead.stage,
        next_cost_usd=next_cost_usd,
        more_cases=more,
        value=value,
        saving_month_usd=_saving_month_usd(option, fallback),
        looks_rule=_looks_rule(ahead, decides, stages, tests),
        retraining_year_usd=retraining,
        retraining_once_usd=retraining / times if times > 0 else 0.0,
        drift=drift,
        tested=latest_gates(tests),
        sentence=_sentence(option, fallback, stages, ahead, next_cost_usd, more, value, drift),
    )


def pilot_value_usd(probability: float, saving_usd: float, cost_usd: float) -> float:
    """P x saving - cost: the expected gain of trying, where the saving does not hold the cost of the trial.

    The same as the fallback's total less the expected cost that ranks the options.

    >>> pilot_value_usd(0.8, 200.0, 10.0)
    150.0
    """
    return probability * saving_usd - cost_usd


def advice_of(value_usd: float, value_high_usd: float) -> Advice:
    """Run when the expected value is above 0; stop when it is negative even at the chance's 95 % point; unsure between."""
    if value_usd > 0.0:
        return Advice.RUN
    return Advice.STOP if value_high_usd < 0.0 else Advice.UNSURE


def is_tuned(option: OptionResult | None) -> bool:
    """Whether an option's bill holds training."""
    return option is not None and any(line.name in TUNING_LINES for line in option.upfront_lines)


def stage_costs(option: OptionResult | None, assumptions: Assumptions, complexity: Complexity) -> dict[Stage, tuple[Line, ...]]:
    """The option's upfront bill by stage: together exactly `upfront_usd`; up to tuning exactly `spent_if_it_fails_usd`.

    The evaluation is parted as its default is: cases x 2 readers x the price of a label, and engineer-days. Where stage 4 has nothing to
    test, its part falls to stage 5; a line that the playbook does not know falls to production.
    """
    costs: dict[Stage, tuple[Line, ...]] = dict.fromkeys(Stage, ())
    if option is None:
        return costs
    home = {cost: fact.stage for fact in stage_facts() for cost in fact.costs}
    if not _experiment_needed(option):
        home["evaluation_days"] = Stage.TUNING
    for line in option.upfront_lines:
        for part in _parted(line, assumptions, complexity):
            stage = home.get(part.name, Stage.PRODUCTION)
            costs[stage] = (*costs[stage], part)
    return costs


def next_test(playbook: Playbook, recommendation: Recommendation) -> tuple[Stage, str, str]:
    """What the next test would be of: its stage, and the option's id (or, for the untuned form of a tuned option, '' and its arm).

    Once the deciding test is passed, it is a fresh sample in production.
    """
    option = recommendation.option(playbook.option_id)
    if option is None:
        raise InputError("there is no option to test: every one but today's model is refused")
    decides = Stage.TUNING if is_tuned(option) else Stage.EXPERIMENT
    decided = playbook.stage(decides).gate
    if decided is not None and decided.verdict is GateVerdict.WITHIN:
        return Stage.PRODUCTION, option.id, option.arm.value
    if decides is Stage.TUNING and playbook.stage(Stage.EXPERIMENT).state in (State.NEXT, State.WAITING):
        return Stage.EXPERIMENT, "", UNTUNED_FORM[option.arm].value
    return decides, option.id, option.arm.value


def next_alpha(stage: Stage, playbook: Playbook, looks: Iterable[GateLook], cases: Sequence[str]) -> float:
    """Level of the next test: what its cases still hold, of which an untuned form takes 0.02 and leaves 0.03 for after tuning.

    Used-up cases get 0.05, and their pass will not count; a fresh sample in production gets 0.05.
    """
    left = ALPHA - alpha_spent(looks, cases)
    level = left if left > ROUNDING else ALPHA
    first = stage is Stage.EXPERIMENT and playbook.stage(Stage.TUNING).state is not State.NOT_NEEDED
    return min(level, FIRST_LOOK_ALPHA) if first else level


def chance_within(result: GateResult) -> float:
    """Chance that the true gap is within the limit, from a test alone: its own, or the normal one of its difference and interval."""
    if result.probability is not None:
        return result.probability
    error = (result.high - result.low) / 2.0 / float(stats.norm.isf((1.0 - result.confidence) / 2.0))
    if error <= 0.0:
        return float(result.difference > result.limit)
    return float(stats.norm.cdf((result.difference - result.limit) / error))


def playbook_json(playbook: Playbook) -> dict[str, Any]:
    """A project with the names of its attributes as keys; numbers are not rounded."""
    document: dict[str, Any] = TypeAdapter(Playbook).dump_python(playbook, mode="json")
    return document


# ---- below: which option, which tests ----


def _pursued(recommendation: Recommendation, tests: Sequence[GateLook], option_id: str | None) -> OptionResult | None:
    baseline_id = recommendation.choice.baseline_option_id
    if option_id is not None:
        return _asked(recommendation, option_id, baseline_id)
    running = [look.result.option_id for look in tests if look.stage is Stage.PRODUCTION and look.result.option_id]
    if running and (found := recommendation.option(running[-1])) is not None:
        return found
    best = recommendation.option(recommendation.choice.option_id)
    if best is None or best.id == baseline_id:
        best = next((one for one in recommendation.options if one.feasible and one.id != baseline_id), None)
    return _untuned_form(best, tests, recommendation) or best


def _asked(recommendation: Recommendation, option_id: str, baseline_id: str) -> OptionResult:
    found = recommendation.option(option_id)
    if found is None:
        raise InputError(f"no option '{option_id}': the decision has {', '.join(option.id for option in recommendation.options)}")
    if found.id == baseline_id:
        raise InputError(f"'{option_id}' is today's model, which needs no project: name another option")
    if found.total_usd is None:
        raise InputError(f"'{option_id}' cannot be priced ({found.refused_because}): name another option")
    return found


def _untuned_form(option: OptionResult | None, tests: Sequence[GateLook], recommendation: Recommendation) -> OptionResult | None:
    """The untuned form of a tuned option, once it has passed its own test: then tuning buys nothing."""
    if option is None or not is_tuned(option) or option.arm not in UNTUNED_FORM:
        return None
    look = _newest(Stage.EXPERIMENT, option, Stage.TUNING, tests, recommendation)
    if look is None or look.result.verdict is not GateVerdict.WITHIN:
        return None
    named = recommendation.option(look.result.option_id)
    forms = [one for one in recommendation.options if one.arm is UNTUNED_FORM[option.arm] and one.placement is option.placement]
    return next((one for one in (named, *forms) if one is not None and one.total_usd is not None and _allowed(one)), None)


def _allowed(option: OptionResult) -> bool:
    """No gate but the one on published quality refuses it."""
    return all(verdict.passed or verdict.gate == "quality" for verdict in option.verdicts)


def _experiment_needed(option: OptionResult | None) -> bool:
    return option is None or not is_tuned(option) or option.arm in UNTUNED_FORM


def _newest(
    stage: Stage, option: OptionResult | None, decides: Stage, tests: Sequence[GateLook], recommendation: Recommendation
) -> GateLook | None:
    """The newest look that speaks for a stage: of the option itself where it decides, of its untuned form before."""
    if option is None or stage not in (Stage.EXPERIMENT, Stage.TUNING, Stage.PRODUCTION):
        return None
    arm = option.arm if stage in (decides, Stage.PRODUCTION) else UNTUNED_FORM.get(option.arm)
    found = None
    for look in tests:
        result = look.result
        known = recommendation.option(result.option_id)
        before = (look.stage is Stage.PRODUCTION) == (stage is Stage.PRODUCTION)
        if stage in (decides, Stage.PRODUCTION) and result.option_id:
            speaks = before and result.option_id == option.id
        elif result.arm or known is not None:
            speaks = before and arm is not None and (known.arm.value if known is not None else result.arm) == arm.value
        else:
            speaks = look.stage is stage
        found = look if speaks else found
    return found


# ---- below: the stages ----


def _closed(entries: Iterable[Entry]) -> dict[Stage, Entry]:
    last = {entry.stage: entry for entry in entries}
    return {stage: entry for stage, entry in last.items() if entry.done}


def _stages(
    option: OptionResult | None,
    costs: dict[Stage, tuple[Line, ...]],
    closed: dict[Stage, Entry],
    found: dict[Stage, GateLook | None],
    decides: Stage,
) -> tuple[StageStatus, ...]:
    verdict = _verdict(found[decides])
    stopped = verdict is GateVerdict.OUTSIDE
    statuses: list[StageStatus] = []
    opened = False
    for number, fact in enumerate(stage_facts(), 1):
        look = found[fact.stage]
        state, because = _state(fact.stage, option, closed, found, decides)
        if state is State.NEXT and stopped:
            state, because = State.STOPPED, "the option is shown not good enough"
        elif state is State.NEXT and opened:
            state, because = State.WAITING, "" if fact.stage is not Stage.PRODUCTION else "opens when the test shows good enough"
        opened = opened or state is State.NEXT
        lines = costs[fact.stage]
        statuses.append(
            StageStatus(
                stage=fact.stage,
                number=number,
                title=fact.title,
                question=fact.question,
                done_when=fact.done_when,
                needs=fact.needs,
                article=fact.article,
                evidence=fact.evidence,
                state=state,
                because=because,
                cost_lines=lines,
                cost_usd=sum(line.usd for line in lines),
                done=closed.get(fact.stage),
                gate=None if look is None else look.result,
            )
        )
    return tuple(statuses)


def _state(
    stage: Stage, option: OptionResult | None, closed: dict[Stage, Entry], found: dict[Stage, GateLook | None], decides: Stage
) -> tuple[State, str]:
    """Done, not needed, or NEXT for open; which of the open ones is first is the caller's."""
    look, entry, verdict = found[stage], closed.get(stage), _verdict(found[stage])
    if stage is Stage.EXPERIMENT and not _experiment_needed(option):
        return State.NOT_NEEDED, "this kind of model says nothing before it is trained"
    if stage is Stage.TUNING and option is not None and not is_tuned(option):
        return State.NOT_NEEDED, "the option is used as it is"
    if stage is Stage.PRODUCTION:
        if _verdict(found[decides]) is not GateVerdict.WITHIN and option is not None:
            early = " although it is marked done" if entry is not None else ""
            return State.NEXT, f"opens when the test shows good enough{early}"
        return (State.DONE, _noted(entry)) if entry is not None else (State.NEXT, "")
    if look is not None and verdict in (GateVerdict.WITHIN, GateVerdict.OUTSIDE):
        return State.DONE, look.result.sentence
    if stage is decides and option is not None:
        if look is not None:
            return State.NEXT, look.result.sentence
        return State.NEXT, "marked done, but no test result is kept, and only a result decides" if entry is not None else ""
    if entry is not None:
        return State.DONE, _noted(entry)
    if look is not None:
        return State.NEXT, f"{look.result.sentence} Mark it done to go on without a decision."
    if _presupposed(stage, option, found, decides):
        return State.DONE, "a test on your own cases is kept, which presupposes it"
    return State.NEXT, ""


def _presupposed(stage: Stage, option: OptionResult | None, found: dict[Stage, GateLook | None], decides: Stage) -> bool:
    """A kept test presupposes the task and the baseline; one of the option itself the data too."""
    if stage is Stage.DATA:
        return found[decides] is not None and option is not None
    return stage in (Stage.TASK, Stage.BASELINE) and any(found[test] is not None for test in (Stage.EXPERIMENT, Stage.TUNING))


def _noted(entry: Entry) -> str:
    who = f" by {entry.who}" if entry.who else ""
    return f"done {entry.created[:10]}{who}" + (f": {entry.note}" if entry.note else "")


def _verdict(look: GateLook | None) -> GateVerdict | None:
    return None if look is None else look.result.verdict


def _parted(line: Line, assumptions: Assumptions, complexity: Complexity) -> tuple[Line, ...]:
    if line.name != "evaluation":
        return (line,)
    cases = READERS * assumptions.evaluation_cases * assumptions.label_usd(complexity)
    days = assumptions.evaluation_engineer_days * assumptions.engineer_day_usd
    share = cases / (cases + days) if cases + days > 0.0 else 1.0
    labelled = share * line.usd
    return Line(name="evaluation_cases", usd=labelled), Line(name="evaluation_days", usd=line.usd - labelled)


# ---- below: the money ----


def _left_usd(status: StageStatus) -> float:
    """What a stage still costs: nothing once it is done, or once it has been tested and only more cases are wanted."""
    return 0.0 if status.state is State.DONE or status.gate is not None else status.cost_usd


def _value(
    option: OptionResult | None, fallback: OptionResult | None, verdict: GateResult | None, left_usd: float, horizon_months: int
) -> StepValue | None:
    if option is None or fallback is None or fallback.id == option.id or option.total_usd is None or fallback.total_usd is None:
        return None
    spent = option.spent_if_it_fails_usd or 0.0
    saving = fallback.total_usd - (option.total_usd + (option.error_cost_usd or 0.0) - spent)
    chance, low, high = option.quality.probability, option.quality.low, option.quality.high
    if verdict is not None:
        chance = 1.0 if verdict.verdict is GateVerdict.WITHIN else chance_within(verdict)
        low = high = chance
    best, worst = (high, low) if saving >= 0.0 else (low, high)
    value, value_high = pilot_value_usd(chance, saving, left_usd), pilot_value_usd(best, saving, left_usd)
    even = left_usd / saving if saving > 0.0 and left_usd <= saving else None
    found = StepValue(
        probability=chance,
        low=low,
        high=high,
        measured=verdict is not None,
        saving_usd=saving,
        cost_usd=left_usd,
        value_usd=value,
        value_low_usd=pilot_value_usd(worst, saving, left_usd),
        value_high_usd=value_high,
        break_even_probability=even,
        advice=advice_of(value, value_high),
        sentence="",
    )
    return replace(found, sentence=_worth(found, verdict, horizon_months))


def _saving_month_usd(option: OptionResult | None, fallback: OptionResult | None) -> float | None:
    if option is None or fallback is None or option.run_rate_year_usd is None or fallback.run_rate_year_usd is None:
        return None
    return (fallback.run_rate_year_usd - option.run_rate_year_usd) / MONTHS_PER_YEAR


def _retraining_year_usd(option: OptionResult | None) -> float:
    if option is None or not option.months:
        return 0.0
    return MONTHS_PER_YEAR * sum(line.usd for line in option.months[-1].lines if line.name == "retraining")


def _drift(decided: GateLook | None, fresh: GateLook | None) -> Drift | None:
    if decided is None or fresh is None or decided.result.verdict is not GateVerdict.WITHIN or fresh.created < decided.created:
        return None
    return drift_of(decided, fresh)


# ---- below: words ----


def _worth(value: StepValue, verdict: GateResult | None, horizon_months: int) -> str:
    if verdict is not None and verdict.verdict is GateVerdict.WITHIN:
        gain = "saves" if value.value_usd > 0.0 else "does not pay: it costs"
        return f"Your own test has passed: going live {gain} {usd(abs(value.value_usd))} over {horizon_months} months, its start included."
    whose = "your own test so far" if value.measured else "published cases"
    chance = (
        percent(value.probability) if value.measured else f"{percent(value.probability)} ({percent(value.low)} to {percent(value.high)})"
    )
    odds = f"{whose} give it a chance of {chance}" if not value.measured else f"{whose} gives it a chance of {chance}"
    if value.advice is Advice.STOP:
        return (
            f"Not worth its money: {odds}, and even at the best of it trying would lose {usd(-value.value_high_usd)} "
            f"over {horizon_months} months."
        )
    pays = "" if value.break_even_probability is None else f"; it pays from a chance of {percent(value.break_even_probability)}"
    head = "Worth trying" if value.advice is Advice.RUN else "Worth trying only if you know more than the published cases"
    expected = f"expected to {'gain' if value.value_usd > 0 else 'lose'} {usd(abs(value.value_usd))} over {horizon_months} months"
    spread = "" if value.measured else f" (between {usd(value.value_low_usd)} and {usd(value.value_high_usd)})"
    return f"{head}: {odds}; what is left to spend before the answer is {usd(value.cost_usd)}, and it is {expected}{spread}{pays}."


def _looks_rule(ahead: StageStatus | None, decides: Stage, stages: Sequence[StageStatus], tests: Sequence[GateLook]) -> str:
    """How the next test keeps its level."""
    if ahead is None or ahead.stage is Stage.PRODUCTION:
        return ""
    two = decides is Stage.TUNING and stages[3].state is not State.NOT_NEEDED
    used = [look for look in tests if look.stage is not Stage.PRODUCTION]
    spent = alpha_spent(used, used[-1].cases) if used else 0.0
    if used:
        left = max(ALPHA - spent, 0.0)
        same = f"at {left:.3g} on the cases used so far, or " if left > ROUNDING else ""
        return (
            f"Of the {ALPHA:g} that a set of cases holds, {spent:.3g} is spent: test {same}at {ALPHA:g} on cases that no test has seen; "
            "never choose a checkpoint on them."
        )
    if two:
        return (
            f"Two tests are ahead: before tuning at {FIRST_LOOK_ALPHA:g} and after it at {SECOND_LOOK_ALPHA:g} on the same cases, "
            f"or seal a second set now and test at {ALPHA:g} each time."
        )
    return f"One test is ahead: decide on the number of cases first, then test once at {ALPHA:g}."


def _sentence(
    option: OptionResult | None,
    fallback: OptionResult | None,
    stages: Sequence[StageStatus],
    ahead: StageStatus | None,
    next_cost_usd: float,
    more: int,
    value: StepValue | None,
    drift: Drift | None,
) -> str:
    if option is None:
        return "There is nothing to try: every option but today's model is refused."
    if any(status.state is State.STOPPED for status in stages):
        stay = "" if fallback is None else f"; stay on {fallback.title}"
        return f"Stop here: {option.title} is shown not good enough{stay}."
    if ahead is None:
        return f"{option.title} is in production. " + (
            "No fresh sample has been tested yet: test one at the dates agreed." if drift is None else drift.sentence
        )
    needed = [status for status in stages if status.state is not State.NOT_NEEDED]
    done = sum(status.state is State.DONE for status in needed)
    what = f"label {more:,} more test cases and test again" if more else ahead.title[0].lower() + ahead.title[1:]
    cost = f", about {usd(next_cost_usd)}" if next_cost_usd > 0.0 else ", which the bill has no line for"
    worth = "" if value is None else f" {value.sentence}"
    return f"{option.title}: {done} of {len(needed)} stages done; next is {what}{cost}.{worth}"
