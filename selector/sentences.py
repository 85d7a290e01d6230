"""A verdict in plain words: amount, against what, payback, chance. The one place of this room that rounds."""

from __future__ import annotations

from collections.abc import Sequence

from selector.results import Action, OptionResult


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


def verdict(action: Action, option: OptionResult | None, baseline: OptionResult, horizon: int, moves: str = "") -> str:
    """The recommendation in one plain sentence; `moves` is the clause on the number that moves it most."""
    rest = f"; {moves}" if moves else ""
    if action is Action.NONE_FEASIBLE or option is None:
        why = reason(baseline.refused_because) or "every option is refused"
        return f"No option passes: {why}; relax one of the limits or name a server that may be used."
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
        return f"Test {option.title} first: {cost}, {odds}; {baseline.title} is no fallback: {reason(baseline.refused_because)}."
    return f"Test {option.title} first; until it passes, stay on {baseline.title}: {cost}, {odds}{rest}."


def moves_most(
    moved: str, key: str, label: str, unit: str, at: tuple[float, float], ends_usd: tuple[float, float], instead: tuple[str | None, ...]
) -> str:
    """The clause that names the number which moves a verdict most, with its range and what the saving or the cost is at either end."""
    name = "its chance of being good enough" if key.startswith("good_enough.") else label[:1].lower() + label[1:]
    low, high = amount(at[0], unit), amount(at[1], unit)
    ends = f"from {low} to {high} the {moved} goes from {usd(ends_usd[0])} to {usd(ends_usd[1])}"
    other = [f"at {value} the advice is {title}" for value, title in zip((low, high), instead, strict=True) if title is not None]
    return f"what moves this most is {name}: {ends}" + (f", and {' and '.join(other)}" if other else "")


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
        return f"{100 * value:.3g} %" + unit.removeprefix("share").removeprefix("chance")
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
