"""A verdict in plain words: amount, against what, payback, chance. The one place of this room that rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from selector.results import Action, OptionResult

PHRASES: Final = {
    "api_price_change_share_per_year": "the change of API prices",
    "cascade_escalation_share": "the share sent on to the large model",
    "delay_months": "the delay of going live",
    "evaluation_engineer_days": "the engineer-days of a test",
    "fte_month_usd": "the cost of a person",
    "growth_per_month_share": "the growth of the volume",
    "host_place": "the price among hosts",
    "implementation": "the one-off implementation",
    "label_usd_each": "the price of a new label",
    "landlord_place": "the rent among providers",
    "peak_to_mean": "the peak over the mean",
    "rent_change_share_per_year": "the change of rents",
    "retry_share": "the share of requests that are repeated",
    "server_price": "the price of owned servers",
    "staff_fte_api": "the staff that an API takes",
    "staff_fte_owned": "the staff that owned servers take",
    "staff_fte_rented": "the staff that rented servers take",
    "supporting_infra_owned_usd_per_month": "the infrastructure beside owned servers",
    "supporting_infra_rented_usd_per_month": "the infrastructure beside rented servers",
    "tokens_per_day": "the volume",
    "tokens_place": "the tokens that other tokenizers make",
}
"""Numbers whose label does not read well inside a sentence."""


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What `moves_most` says in words.

    key, label, unit, low, high: the number and its range
    of: what is moved, 'expected saving' or 'cost'
    low_usd, high_usd: of it at either end
    next_best: the option meant, where it is not the recommended one; else ''
    instead: what is recommended at either end, None where that is the same as now
    """

    key: str
    label: str
    unit: str
    low: float
    high: float
    of: str
    low_usd: float
    high_usd: float
    next_best: str = ""
    instead: tuple[str | None, ...] = (None, None)


def usd(amount: float) -> str:
    """USD without cents: '$12,300' or '-$800'."""
    return f"-${-amount:,.0f}" if round(amount) < 0 else f"${amount:,.0f}"


def percent(share: float) -> str:
    """A share as whole percent."""
    return f"{share:.0%}"


def months(count: float | None, horizon: int) -> str:
    """A payback in words."""
    if count is None:
        return f"not within {span(horizon)}"
    return "at once" if count == 0 else f"after {count:.1f} months"


def span(horizon: int) -> str:
    """A horizon in words: '1 month', '12 months'."""
    return "1 month" if horizon == 1 else f"{horizon} months"


def reason(refusal: str | None) -> str:
    """A refusal without the name of its gate."""
    return (refusal or "").partition(": ")[2] or refusal or ""


def verdict(
    action: Action,
    option: OptionResult | None,
    baseline: OptionResult,
    horizon: int,
    moves: str = "",
    nearest: OptionResult | None = None,
) -> str:
    """The recommendation in one plain sentence.

    moves: the clause on the number that moves it most
    nearest: where nothing is possible, the option that fails on least
    """
    rest = f"; {moves}" if moves else ""
    if action is Action.NONE_FEASIBLE or option is None:
        near = nearest or baseline
        why = reason(near.refused_because) or "every option is refused"
        return f"No option passes; {near.title} comes nearest and is refused: {why}; relax that limit, or name a server that may be used."
    total = usd(option.total_usd or 0.0)
    if action is Action.STAY:
        return (
            f"Stay on {option.title} at {total} over {span(horizon)}: once testing is paid for, no other option is expected to cost less"
            f"{rest}."
        )
    cost = f"it would cost {total} over {span(horizon)}{_against_baseline(option, baseline, horizon)}"
    odds = f"with a {percent(option.quality.probability)} chance of being good enough"
    if action is Action.MOVE:
        return f"Move to {option.title}: {cost}{rest}."
    if not baseline.feasible:
        return f"Test {option.title} first: {cost}, {odds}; {baseline.title} is no fallback: {reason(baseline.refused_because)}{rest}."
    return f"Test {option.title} first; until it passes, stay on {baseline.title}: {cost}, {odds}{rest}."


def moves_most(moved: Moved) -> str:
    """The clause that names the number which moves a verdict most, with its range, and what the saving or the cost is at either end."""
    low, high = ends(moved.low, moved.high, moved.unit)
    name = "its chance of being good enough" if moved.key.startswith("good_enough.") else phrase(moved.key, moved.label)
    other = [
        f"at {value} {'it is the advice' if title == moved.next_best else f'the advice is {title}'}"
        for value, title in zip((low, high), moved.instead, strict=True)
        if title is not None
    ]
    return f"what moves this most is {name}: {_span_of(moved, low, high)}" + (f", and {' and '.join(other)}" if other else "")


def _span_of(moved: Moved, low: str, high: str) -> str:
    """From one end of its range to the other, what becomes of the money."""
    first = _without_unit(low, high)  # the unit is said once
    start, end = moved.low_usd, moved.high_usd
    if moved.next_best and max(start, end) < 0.0:
        return f"from {first} to {high} the next best, {moved.next_best}, is expected to cost {usd(-start)} to {usd(-end)} more"
    whose = f" of the next best, {moved.next_best}," if moved.next_best else ""
    return f"from {first} to {high} the {moved.of}{whose} goes from {usd(start)} to {usd(end)}"


def _without_unit(low: str, high: str) -> str:
    """The first of two amounts without the words that both end in: '30 M' of '30 M tokens a day', '80 M tokens a day'."""
    mine, theirs = low.split(" "), high.split(" ")
    while len(mine) > 1 and len(theirs) > 1 and mine[-1] == theirs[-1] and mine[-1] not in ("%", "M", "B", "K"):
        mine, theirs = mine[:-1], theirs[:-1]
    return " ".join(mine)


def ends(low: float, high: float, unit: str) -> tuple[str, str]:
    """Both ends of a range in words."""
    return amount(low, unit), amount(high, unit)


def phrase(key: str, label: str) -> str:
    """A number's name inside a sentence."""
    if key in PHRASES:
        return PHRASES[key]
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def tie_broken(taken: OptionResult, cheapest: OptionResult, tie_breakers: Sequence[str]) -> str:
    """Why an option is taken that is not quite the cheapest."""
    more = (taken.expected_usd or 0.0) - (cheapest.expected_usd or 0.0)
    return (
        f"{taken.title} is expected to cost {usd(more)} more than {cheapest.title}, which counts as a tie; "
        f"your preference for {', then '.join(str(name) for name in tie_breakers)} decides."
    )


def amount(value: float, unit: str) -> str:
    """A number with its unit: '25 M tokens a day', '$3.52 per Mtok at your mix', '2.6 % a month'."""
    if unit == "tokens a day":
        scale, word = next(((scale, word) for scale, word in ((1e9, " B"), (1e6, " M"), (1e3, " K")) if value >= scale), (1.0, ""))
        return f"{float(f'{value / scale:.3g}'):g}{word} {unit}"
    if unit.startswith(("share", "chance")):
        return f"{100 * value:.2g} %" + unit.removeprefix("share").removeprefix("chance")
    if unit.startswith("USD"):
        return (f"${value:,.0f}" if abs(value) >= 100 or value == round(value) else f"${value:,.3g}") + unit.removeprefix("USD")
    if unit.startswith("-1 the cheapest"):
        return {-1.0: "the cheapest", 0.0: "the middle price", 1.0: "the dearest"}.get(value, f"{value:+.2g}")
    if unit.startswith("standard errors"):
        return {True: "the slow end of its interval", False: "the fast end of its interval"}[value < 0.0]
    if unit.startswith("times the"):
        return f"{value:.0%} of {unit.removeprefix('times ')}"
    return f"{float(f'{value:.3g}'):,g} {unit}"


def _against_baseline(option: OptionResult, baseline: OptionResult, horizon: int) -> str:
    """', $X less than Y, paid back after N months'; nothing where the baseline may not run."""
    if not baseline.feasible or baseline.total_usd is None or option.total_usd is None:
        return ""
    saving = baseline.total_usd - option.total_usd
    if saving < 0:
        return f", {usd(-saving)} more than {baseline.title}"
    return f", {usd(saving)} less than {baseline.title}, and pays back {months(option.payback_months, horizon)}"


def why_they_differ(choice: OptionResult | None, tree: OptionResult | None, cheapest: OptionResult | None) -> str:
    """Why the recommended option, the tree's pick and the cheapest are not the same; '' when they are."""
    if choice is None:
        return ""
    parts = []
    if tree is not None and tree.id != choice.id:
        parts.append(f"The tree picks {tree.title}, which {_against(tree, choice)}")
    if cheapest is not None and cheapest.id != choice.id:
        parts.append(f"{cheapest.title} has the lowest bill, but {_against(cheapest, choice)}")
    return "; ".join(parts) + ("." if parts else "")


def _against(other: OptionResult, choice: OptionResult) -> str:
    if not other.feasible:
        return f"is refused: {reason(other.refused_because)}"
    if other.expected_usd is None or choice.expected_usd is None:
        return "cannot be priced"
    chance = percent(other.quality.probability)
    expected = f"{usd(other.expected_usd)} against {usd(choice.expected_usd)}"
    if other.quality.probability >= 1.0:
        return f"is expected to cost {expected}"
    return f"is expected to cost {expected} once its {chance} chance of being good enough is counted"
