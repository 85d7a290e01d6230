"""The article's own method beside ours: tokens times one price per million, for every arm, and why the two differ."""

from __future__ import annotations

from typing import Final

from pricing.bill import linear_usd_per_month
from selector.results import LinearRow, OptionResult, TableRow
from workloads.demand import Workload

ARTICLE_USD_PER_MTOK: Final = {"GPT-4-class API": 15.00, "Self-hosted 70B": 1.50, "Fine-tuned 7B": 0.15}
"""Prices per million tokens in the 12-month projection of 'The Small Model Revolution' (2026), input and output alike."""


def linear_rows(workload: Workload, table: tuple[TableRow, ...], options: tuple[OptionResult, ...]) -> tuple[LinearRow, ...]:
    """One row for each arm of the fixed table."""
    by_id = {option.id: option for option in options}
    return tuple(_row(workload, row, by_id.get(row.option_id or "")) for row in table)


def _row(workload: Workload, row: TableRow, option: OptionResult | None) -> LinearRow:
    price = ARTICLE_USD_PER_MTOK[row.label]
    month = linear_usd_per_month(workload.mean_tokens_per_day, price)
    return LinearRow(
        label=row.label,
        usd_per_mtok=price,
        usd_per_month=month,
        usd_per_year=month * 12,
        our_usd_per_mtok=None if option is None else option.usd_per_mtok,
        because=_because(row, option),
    )


def _because(row: TableRow, option: OptionResult | None) -> str:
    if option is None or option.usd_per_mtok is None:
        return "nothing to compare it with: " + (row.refused_because or "the option cannot be priced")
    if option.plan is None:
        return "ours is the dated list price of a named model at your mix of input and output, with the people who look after it"
    full = f"{option.plan.utilization_share:.0%}"
    return (
        f"the article's price holds for a server that is always full; yours would be {full} full on average, comes in whole replicas "
        f"({option.plan.replicas} with spares), and takes people and work before it runs"
    )
