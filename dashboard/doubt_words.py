"""A decision's doubt in sentences and tables: what would flip it, the price to negotiate, bands, price paths."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dashboard import format as fmt
from selector.results import Recommendation
from selector.risk import Weighed, turning_point
from selector.sensitivity import Bar, BreakEven, Doubt, Flip, OptionDoubt, PricePath, Reached, Simulation

FLIPS_SHOWN = 6
QUALITY = "good_enough."
KINDS = {
    "cheap_api": "a small API model",
    "flagship": "a current flagship",
    "prompted_70b": "an open 70B as it is",
    "prompted_mid": "a mid-size open model as it is",
    "small_untuned": "a small model as it is",
    "tuned_small": "a fine-tuned small model",
    "tuned_by_vendor": "an API model tuned by its vendor",
    "encoder": "an encoder classifier",
    "cascade": "a cascade",
}
"""Kinds of model by the name of their chance of being good enough."""


def flip_sentences(doubt: Doubt, recommendation: Recommendation, *, shown: int = FLIPS_SHOWN) -> tuple[str, ...]:
    """Which value of which number changes the advice, the nearest first; the price of today's model stands in `negotiation_sentence`."""
    reached = [flip for flip in doubt.flips if flip.status is Reached.REACHED and flip.key != "baseline_price"]
    return tuple(_flip(flip, recommendation) for flip in sorted(reached, key=_distance)[:shown])


def negotiation_sentence(doubt: Doubt, recommendation: Recommendation) -> str:
    """What to ask the seller of today's model for."""
    price, baseline = doubt.negotiation, recommendation.option(recommendation.choice.baseline_option_id)
    name = baseline.title if baseline else "today's model"
    now = f"it costs {value(price.base, price.unit)} now"
    if price.status is Reached.NOT_COMPUTED:
        return f"No price to negotiate: {price.because}."
    if price.below is not None:
        cut = fmt.share(1.0 - price.below / price.base) if price.base else fmt.NOTHING
        return f"Price to negotiate: staying on {name} wins below {value(price.below, price.unit)}; {now}, so that is {cut} off."
    if price.above is not None:
        return f"Staying on {name} wins as long as it costs less than {value(price.above, price.unit)}; {now}."
    low, high = value(price.searched_low, price.unit), value(price.searched_high, price.unit)
    return f"No price of {name} between {low} and {high} changes the advice; {now}."


def unreached_sentence(doubt: Doubt) -> str:
    """The numbers that change nothing, each moved alone within its range, and those that were not tried."""
    missed = [label(flip) for flip in doubt.flips if flip.status is Reached.NOT_REACHED]
    untried = [label(flip) for flip in doubt.flips if flip.status is Reached.NOT_COMPUTED]
    parts = []
    if missed:
        parts.append(f"Moved alone within their ranges, {len(missed)} numbers change nothing: {', '.join(missed)}.")
    if untried:
        parts.append(f"Not tried, because other servers, prices and cases would apply: {', '.join(untried)}. Change them on the left.")
    return " ".join(parts)


def sure_sentence(doubt: Doubt, recommendation: Recommendation) -> str:
    """How often the recommended option is the cheapest of the good ones, and where its cost lies in 8 of 10 draws."""
    simulation = doubt.simulation
    found = simulation.option(recommendation.choice.option_id)
    if found is None:
        return f"In {fmt.share(simulation.none_share)} of {simulation.draws:,} draws no option was good enough."
    return (
        f"In {simulation.draws:,} draws of every uncertain number, {found.title} costs {fmt.usd(found.p10_usd)} to "
        f"{fmt.usd(found.p90_usd)} in 8 of 10, and is the cheapest of those good enough in {fmt.share(found.cheapest_share)}."
    )


def matters_most_sentence(doubt: Doubt, recommendation: Recommendation) -> str:
    """The number that changes the advice soonest; the one that moves the money most stands in the verdict itself."""
    flips = flip_sentences(doubt, recommendation, shown=1)
    if flips:
        return f"The number that changes the advice soonest: {flips[0]}"
    return "No single number, moved alone within its range, changes the advice."


def attitude_sentence(ranked: Sequence[Weighed], recommendation: Recommendation, simulation: Simulation, caution_share: float) -> str:
    """What comes first at an attitude to risk, and at which attitude that changes."""
    first, recommended = ranked[0], recommendation.choice.option_id
    turn = turning_point(recommendation, simulation)
    turning = (
        "no attitude to risk changes the order at the top" if turn is None else f"another option comes first from {fmt.share(turn)} on"
    )
    if caution_share == 0.0:
        return f"By expected cost {first.title} comes first; {turning}."
    same = "still comes first" if first.option_id == recommended else "comes first instead"
    return (
        f"With the bad case counted {fmt.share(caution_share)}, {first.title} {same}: expected {fmt.usd(first.expected_usd)}, "
        f"in one draw of ten {fmt.usd(first.bad_case_usd)} or more; {turning}."
    )


def attitude_table(ranked: Sequence[Weighed]) -> pd.DataFrame:
    """Options between their expected cost and their bad case."""
    return pd.DataFrame(
        [
            {
                "Option": one.title,
                "Weighed": fmt.usd(one.weighed_usd),
                "Expected": fmt.usd(one.expected_usd),
                "Bad case (P90)": fmt.usd(one.bad_case_usd),
            }
            for one in ranked
        ]
    )


def break_even(found: BreakEven, title: str, against: str) -> str:
    """From which volume on an option costs no more than another, without a full stop."""
    if found.status is Reached.NOT_COMPUTED:
        return f"No break-even volume for {title}: {found.because}"
    if found.status is Reached.NOT_REACHED:
        return f"{title} costs more than {against} at every volume up to {volume(found.searched_to_tokens_per_day)}"
    if found.tokens_per_day is None:
        return f"{title} costs less than {against} only in between, never for good"
    if not found.crossings:
        return f"{title} costs no more than {against} at any volume looked at"
    return f"{title} costs no more than {against} from {volume(found.tokens_per_day)} on"


def bands_table(doubt: Doubt, only: frozenset[str] | None = None) -> pd.DataFrame:
    """Each option over all draws: what is decided, 10 %, 50 % and 90 % points, and how often it is cheapest and pays back.

    `only` keeps the options with these ids.
    """
    return pd.DataFrame([_band(option) for option in doubt.simulation.options if only is None or option.option_id in only])


def paths_table(paths: tuple[PricePath, ...], recommendation: Recommendation) -> pd.DataFrame:
    """Each way that prices may go: the three totals and what is recommended then."""
    titles = {option.id: option.title for option in recommendation.options}
    return pd.DataFrame(
        [
            {
                "If": path.label,
                "GPT-4-class API": fmt.usd(path.table_usd[0]),
                "Self-hosted 70B": fmt.usd(path.table_usd[1]),
                "Fine-tuned 7B": fmt.usd(path.table_usd[2]),
                "Recommended then": titles.get(path.option_id or "", "nothing is possible")
                + (" (another than now)" if path.changes_verdict else ""),
                "Seen": path.because,
            }
            for path in paths
        ]
    )


def label(moved: Bar | Flip) -> str:
    """What was moved, in the reader's words."""
    kind = moved.key.removeprefix(QUALITY)
    return f"Chance that {KINDS[kind]} is good enough" if moved.key.startswith(QUALITY) and kind in KINDS else moved.label


def value(amount: float, unit: str, *, short: bool = False) -> str:
    """A number with its unit: '25 M tokens a day', '$3.52 per Mtok at your mix', '2.6% a month'; short: only what an axis needs."""
    if unit == "tokens a day":
        return volume(amount)
    if unit.startswith(("share", "chance")):
        rest = "" if short else unit.removeprefix("share").removeprefix("chance")
        return fmt.share(amount) + rest
    if unit.startswith("USD"):
        cents = abs(amount) < 100 and amount != round(amount)
        money = (
            f"${amount:,.3g}" if 0 < abs(amount) < 1 else fmt.usd(amount, cents=cents) if cents else f"${amount:,.0f}".replace("$-", "-$")
        )
        return money if short else money + unit.removeprefix("USD")
    if unit.startswith("standard errors"):
        return f"{amount:+.2g} standard errors"
    if unit.startswith("-1 the cheapest"):
        return _place(amount)
    if unit.startswith("times the"):
        what = unit.removeprefix("times ")
        return fmt.share(amount) if short else what if amount == 1 else f"{fmt.share(amount)} of {what}"
    plain = fmt.number(float(f"{amount:.3g}"))
    return f"{plain} {unit}"


def volume(tokens_per_day: float | None) -> str:
    """'25 M tokens a day'."""
    return f"{fmt.tokens(tokens_per_day)} a day"


# ---- below: how ----


def _flip(flip: Flip, recommendation: Recommendation) -> str:
    titles = {option.id: option.title for option in recommendation.options}
    sides = []
    for word, at, option_id in (("below", flip.below, flip.below_option_id), ("above", flip.above, flip.above_option_id)):
        if at is not None:
            instead = titles.get(option_id or "", "")
            what = f"the advice is {instead}" if instead else "nothing is possible"
            sides.append(f"{word} {value(at, flip.unit)} {what}")
    return f"{label(flip)}, {value(flip.base, flip.unit)} now: {'; '.join(sides)}."


def _distance(flip: Flip) -> float:
    """How far the nearest flip lies, as a share of the number in use, or of the range looked at where that is zero."""
    scale = abs(flip.base) or (flip.searched_high - flip.searched_low) or 1.0
    return min(abs(at - flip.base) / scale for at in (flip.below, flip.above) if at is not None)


def _band(option: OptionDoubt) -> dict[str, str]:
    return {
        "Option": option.title + ("" if option.feasible else " (refused)"),
        "Decided": fmt.usd(option.total_usd),
        "Low (P10)": fmt.usd(option.p10_usd),
        "Middle (P50)": fmt.usd(option.p50_usd),
        "High (P90)": fmt.usd(option.p90_usd),
        "Good enough": fmt.share(option.good_enough_share),
        "Cheapest of those": fmt.share(option.cheapest_share) if option.feasible else fmt.NOTHING,
        "Pays back": fmt.share(option.pays_back_share),
        "Payback, middle": fmt.months(option.payback_p50_months),
    }


def _place(amount: float) -> str:
    """Between the cheapest and the dearest of several sellers."""
    named = {-1.0: "the cheapest", 0.0: "the middle price", 1.0: "the dearest"}
    if amount in named:
        return named[amount]
    side = "cheapest" if amount < 0 else "dearest"
    return f"{fmt.share(abs(amount))} of the way to the {side}"
