"""Two decisions side by side: exactly the inputs that differ, and what becomes of the verdict."""

from __future__ import annotations

from dataclasses import dataclass

from selector.results import Action, Recommendation
from selector.scenarios import Change, changes
from selector.sentences import usd


@dataclass(frozen=True, kw_only=True)
class Side:
    """A verdict in short.

    action: what its reader is asked to do
    option_id, title: on what; None where nothing is feasible
    total_usd: over the horizon
    saving_usd: against the baseline
    as_of, method_version: with which prices and method
    sentence: the whole verdict
    """

    action: Action
    option_id: str | None
    title: str
    total_usd: float | None
    saving_usd: float | None
    as_of: str
    method_version: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is different between two decisions.

    changes: the inputs that differ, no others
    other_numbers: what decides besides the inputs and differs too: the day of the prices, the method
    before, after: the verdicts
    verdict_changed: another action, or another option
    sentence: the change in one sentence
    """

    changes: tuple[Change, ...]
    other_numbers: tuple[str, ...]
    before: Side
    after: Side
    verdict_changed: bool
    sentence: str


def compare(before: Recommendation, after: Recommendation) -> Comparison:
    """Two decisions, the earlier one first."""
    old, new = _side(before), _side(after)
    changed = (old.action, old.option_id) != (new.action, new.option_id)
    found = changes(before.scenario, after.scenario)
    return Comparison(
        changes=found,
        other_numbers=tuple(_other_numbers(old, new)),
        before=old,
        after=new,
        verdict_changed=changed,
        sentence=_sentence(found, old, new, changed),
    )


def _side(decision: Recommendation) -> Side:
    option = decision.option(decision.choice.option_id)
    return Side(
        action=decision.choice.action,
        option_id=decision.choice.option_id,
        title="nothing" if option is None else option.title,
        total_usd=None if option is None else option.total_usd,
        saving_usd=decision.choice.saving_usd,
        as_of=decision.as_of.isoformat(),
        method_version=decision.method_version,
        sentence=decision.choice.sentence,
    )


def _other_numbers(old: Side, new: Side) -> list[str]:
    found = []
    if old.as_of != new.as_of:
        found.append(f"prices of {old.as_of} before, of {new.as_of} after")
    if old.method_version != new.method_version:
        found.append(f"method {old.method_version} before, {new.method_version} after")
    return found


def _sentence(found: tuple[Change, ...], old: Side, new: Side, changed: bool) -> str:
    count = f"{len(found)} input{'' if len(found) == 1 else 's'} differ{'s' if len(found) == 1 else ''}"
    verdict = f"{_words(old)} becomes {_words(new)}" if changed else f"the verdict stays: {_words(new)}"
    if old.total_usd is None or new.total_usd is None:
        return f"{count}; {verdict}."
    return f"{count}; {verdict}; its total goes from {usd(old.total_usd)} to {usd(new.total_usd)}."


def _words(side: Side) -> str:
    return {
        Action.STAY: f"stay on {side.title}",
        Action.TEST_FIRST: f"test {side.title}",
        Action.MOVE: f"move to {side.title}",
        Action.NONE_FEASIBLE: "nothing is feasible",
    }[side.action]
