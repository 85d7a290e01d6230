"""Alarms: what in the user's own inputs cannot be right, or makes the answer weaker than it looks."""

from __future__ import annotations

from typing import Final

from pricing.prices import Freshness, freshness
from selector.evaluation import Asked, Evaluation
from selector.input_slips import input_alarms
from selector.languages import code_of
from selector.tasks import unusual_type
from workloads.demand import Residency

EVIDENCE_REFERENCES: Final = ("gpt-4", "gpt-4o", "gpt-4-turbo", "gpt-4.1", "gpt-4o-mini")
"""The references of the published comparisons; a newer baseline is harder to reach."""
HIGH_BLENDED_USD_PER_MTOK: Final = 10.0
"""Above it a blended price is that of a 2023-24 flagship."""


def alarms_of(asked: Asked, evaluations: tuple[Evaluation, ...]) -> tuple[str, ...]:
    """Every alarm that applies, as sentences."""
    found = (
        unusual_type(asked.scenario.workload),
        _assumed_type(asked),
        *input_alarms(asked.scenario, asked.catalog),
        _old_blended_price(asked),
        _newer_reference(asked),
        _unknown_languages(asked),
        _own_prices_out_of_time(asked),
        _stale_prices(asked, evaluations),
        _nobody_to_run_it(asked),
        _no_double_running(asked),
    )
    return tuple(sentence for sentence in found if sentence)


def _assumed_type(asked: Asked) -> str:
    workload, task = asked.scenario.workload, asked.task
    if not task.assumed or workload.task_type is not None:
        return ""
    words = "open-ended generation" if task.open_ended else task.type.replace("_", " ")
    what = f"{workload.complexity} is read as {words}, the most cautious of its types"
    return f"no task_type is given: {what}; state it if your task is narrower"


def _old_blended_price(asked: Asked) -> str:
    own = asked.catalog.prices.overrides.api_blended_usd_per_mtok
    if own is None or own < HIGH_BLENDED_USD_PER_MTOK:
        return ""
    try:
        volume = asked.requirements.volume
        share = float(volume.output_tokens.sum() / volume.total_tokens.sum())
        listed = asked.catalog.prices.api_price(asked.scenario.workload.baseline_model, input_tokens=asked.scenario.workload.input_tokens)
    except ValueError:
        return ""
    blended = listed.usd_per_mtok(1.0 - share)
    name = asked.scenario.workload.baseline_model
    return (
        f"api_blended_usd_per_mtok {own:g} is {own / blended:.1f} times the list price of {name} at your mix ({blended:.2f}): "
        "check that it is today's bill"
    )


def _newer_reference(asked: Asked) -> str:
    name = asked.scenario.workload.baseline_model.partition(":")[2]
    if name in EVIDENCE_REFERENCES:
        return ""
    return f"the chances come from comparisons with GPT-4-class models of 2023-24; against {name} they flatter if it is better than those"


def _unknown_languages(asked: Asked) -> str:
    unknown = [text for text in asked.scenario.workload.languages if code_of(text) is None]
    if not unknown:
        return ""
    return f"language not known here: {', '.join(unknown)}; write a code such as 'de' or an English name, or ask each maker yourself"


def _own_prices_out_of_time(asked: Asked) -> str:
    own, day = asked.scenario.prices, asked.catalog.as_of
    if not own.entered or own.in_force(day):
        return ""
    limit = f"from {own.own_prices_from}" if own.own_prices_from and day < own.own_prices_from else f"until {own.own_prices_until}"
    return f"your own prices ({', '.join(own.entered)}) count {limit} and not on {day}: the list prices stand instead"


def _stale_prices(asked: Asked, evaluations: tuple[Evaluation, ...]) -> str:
    old = []
    for evaluation in evaluations:
        bill = evaluation.bill
        if bill is None or not evaluation.feasible:
            continue
        for price in (bill.price, bill.rental):
            if price is not None and freshness(price.source, asked.catalog.as_of) is Freshness.STALE:
                old.append(evaluation.option.title)
    return f"prices older than 90 days behind: {', '.join(dict.fromkeys(old))}; confirm them or enter your own" if old else ""


def _nobody_to_run_it(asked: Asked) -> str:
    assumed = asked.scenario.assumptions
    if min(assumed.staff_fte_rented, assumed.staff_fte_owned) > 0:
        return ""
    return "staff for self-hosting is set to 0: somebody has to keep the servers running, and leaving it out favours them"


def _no_double_running(asked: Asked) -> str:
    workload = asked.scenario.workload
    if workload.residency is not Residency.ON_PREM:
        return ""
    return (
        "data may not leave your premises, so today's API is no fallback and is not paid while an option is built; "
        "amounts against it are for comparison only"
    )
