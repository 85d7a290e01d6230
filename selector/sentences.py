"""A verdict in plain words: amount, against what, payback, chance. The one place of this room that rounds."""

from __future__ import annotations

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


def verdict(action: Action, option: OptionResult | None, baseline: OptionResult, horizon: int) -> str:
    """The recommendation in one plain sentence."""
    if action is Action.NONE_FEASIBLE or option is None:
        why = reason(baseline.refused_because) or "every option is refused"
        return f"No option passes: {why}; relax one of the limits or name a server that may be used."
    total = usd(option.total_usd or 0.0)
    if action is Action.STAY:
        return (
            f"Stay on {option.title} at {total} over {span(horizon)}: once testing is paid for, no other option is expected to cost less."
        )
    cost = f"it would cost {total} over {span(horizon)}{_against_baseline(option, baseline, horizon)}"
    odds = f"with a {percent(option.quality.probability)} chance of being good enough"
    if action is Action.MOVE:
        return f"Move to {option.title}: {cost}."
    if not baseline.feasible:
        return f"Test {option.title} first: {cost}, {odds}; {baseline.title} is no fallback: {reason(baseline.refused_because)}."
    return f"Test {option.title} first; until it passes, stay on {baseline.title}: {cost}, {odds}."


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
