"""Doubt in plain lines, as the command line prints it. It rounds; the results themselves are not rounded."""

from __future__ import annotations

from collections.abc import Mapping

from selector.sensitivity import Bar, BreakEven, Doubt, Flip, OptionDoubt, PricePath, Reached
from selector.sentences import percent, usd

BARS_SHOWN = 10
NEVER = "not within the horizon"


def doubt_lines(found: Doubt, titles: Mapping[str, str]) -> list[str]:
    """Everything in the order in which a reader asks: how much, what moves it, what would change it, from which volume on, price paths.

    titles: of the options, by id
    """
    simulation, tornado = found.simulation, found.tornado
    lines = ["", f"In {simulation.draws:,} draws (seed {simulation.seed}): 10 % to 90 % of the totals, and how often each is the cheapest"]
    lines.extend(_option(option) for option in simulation.options)
    if simulation.none_share:
        lines.append(f"  in {percent(simulation.none_share)} of the draws no option was good enough")
    lines.extend(["", f"What moves the saving of {tornado.title or 'no option'} ({usd(tornado.saving_usd)}) most"])
    lines.extend(_bar(bar) for bar in tornado.bars[:BARS_SHOWN])
    lines.extend(["", "What would change the recommendation, all else as it is", *_flips(found, titles)])
    lines.extend(["", "From which volume on each costs no more than today's model"])
    lines.extend(_break_even(one, titles) for one in found.break_evens)
    lines.extend(["", "Price paths: today's model / self-hosted 70B / fine-tuned 7B, and what is recommended"])
    lines.extend(_path(path, titles) for path in found.paths)
    return lines


def _option(option: OptionDoubt) -> str:
    spread = f"{usd(option.p10_usd)} to {usd(option.p90_usd)}, median {usd(option.p50_usd)}"
    if not option.feasible:
        return f"  {option.title}: {spread}; refused"
    cheapest = f"cheapest in {percent(option.cheapest_share)}"
    if option.pays_back_share is None:
        return f"  {option.title}: {spread}; {cheapest}"
    middle = NEVER if option.payback_p50_months is None else f"{option.payback_p50_months:.1f} months"
    return f"  {option.title}: {spread}; {cheapest}; pays back in {percent(option.pays_back_share)}, median {middle}"


def _bar(bar: Bar) -> str:
    return f"  {bar.label}: {usd(bar.saving_low_usd)} at {_number(bar.low)}, {usd(bar.saving_high_usd)} at {_number(bar.high)} ({bar.unit})"


def _flips(found: Doubt, titles: Mapping[str, str]) -> list[str]:
    lines = [_flip(flip, titles) for flip in found.flips if flip.status is Reached.REACHED]
    price = found.negotiation.below
    if price is not None:
        lines.append(f"  Staying wins if today's model costs less than {_number(price)} {found.negotiation.unit}")
    missed = [flip.label for flip in found.flips if flip.status is Reached.NOT_REACHED]
    unmoved = [flip.label for flip in found.flips if flip.status is Reached.NOT_COMPUTED]
    if missed:
        lines.append(f"  Not reached within the range looked at: {', '.join(missed)}")
    if unmoved:
        lines.append(f"  Not computed: {', '.join(unmoved)}")
    return lines


def _flip(flip: Flip, titles: Mapping[str, str]) -> str:
    sides = []
    for word, value, option_id in (("below", flip.below, flip.below_option_id), ("above", flip.above, flip.above_option_id)):
        if value is not None:
            sides.append(f"{word} {_number(value)}: {titles.get(option_id or '', option_id or 'nothing is possible')}")
    return f"  {flip.label} ({_number(flip.base)} {flip.unit}): {'; '.join(sides)}"


def _break_even(found: BreakEven, titles: Mapping[str, str]) -> str:
    title = titles.get(found.option_id, found.option_id)
    if found.status is Reached.NOT_COMPUTED:
        return f"  {title}: not computed, {found.because}"
    if found.status is Reached.NOT_REACHED:
        return f"  {title}: not reached up to {found.searched_to_tokens_per_day:,.0f} tokens a day"
    if found.tokens_per_day is None:
        return f"  {title}: only between {len(found.crossings)} crossings, not for good"
    return f"  {title}: {found.tokens_per_day:,.0f} tokens a day"


def _path(path: PricePath, titles: Mapping[str, str]) -> str:
    totals = " / ".join("-" if total is None else usd(total) for total in path.table_usd)
    advice = "nothing is possible" if path.option_id is None else titles.get(path.option_id, path.option_id)
    return f"  {path.label}: {totals}; {advice}{' (another than with prices that stay)' if path.changes_verdict else ''}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
