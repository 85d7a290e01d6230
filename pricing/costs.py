"""Costs as named lines by month, and cash flows as the difference of two of them.

Shapes: a monthly line has shape (..., months); what stands before `months` are draws. An upfront line has the shape of the draws
alone, () for a plain calculation. A parameter that differs by draw is given as (draws, 1), so that it broadcasts over the months.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facts.units import MONTHS_PER_YEAR

Amount: TypeAlias = float | NDArray[np.float64] | NDArray[np.int64]
"""A number, or an array of them that broadcasts over (draws, months)."""
LINE_NAMES: Final = (
    "tokens",
    "tokens_input",
    "tokens_cached_input",
    "tokens_cache_write",
    "tokens_output",
    "rental",
    "energy",
    "hosting",
    "maintenance",
    "supporting_infra",
    "monitoring",
    "staff",
    "on_call",
    "retraining",
    "double_running",
)
"""Every monthly line there is, in the order of a bill."""
UPFRONT_NAMES: Final = ("servers", "implementation", "labels", "evaluation", "finetune_runs", "finetune_engineering")
"""Every upfront line there is, in the order of a bill."""


@dataclass(frozen=True, kw_only=True)
class CostLine:
    """One named amount, positive for money that leaves.

    name: one of LINE_NAMES or UPFRONT_NAMES
    usd: (..., months) for a monthly line, (...) for an upfront one
    """

    name: str
    usd: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CashFlow:
    """What choosing an option instead of the baseline brings: signed, positive for money saved.

    upfront_usd: at the start, shape (...)
    monthly_usd: at the end of each month, shape (..., months)
    """

    upfront_usd: NDArray[np.float64]
    monthly_usd: NDArray[np.float64]

    @property
    def total_usd(self) -> NDArray[np.float64]:
        """Upfront and all months, undiscounted."""
        return np.asarray(self.upfront_usd + self.monthly_usd.sum(axis=-1))


@dataclass(frozen=True, kw_only=True)
class MonthlyCosts:
    """A bill: what is paid before the first month and what in each month (365/12 days).

    months: how many
    upfront_lines: paid at the start
    lines: paid by month, upfront not inside
    """

    months: int
    upfront_lines: tuple[CostLine, ...] = ()
    lines: tuple[CostLine, ...] = ()

    @cached_property
    def upfront_usd(self) -> NDArray[np.float64]:
        """All upfront lines, shape (...)."""
        return np.asarray(sum((line.usd for line in self.upfront_lines), np.float64(0.0)), dtype=np.float64)

    @cached_property
    def month_totals_usd(self) -> NDArray[np.float64]:
        """All monthly lines by month, shape (..., months)."""
        return np.asarray(sum((line.usd for line in self.lines), np.zeros(self.months)), dtype=np.float64)

    @cached_property
    def total_usd(self) -> NDArray[np.float64]:
        """Upfront and all months, shape (...)."""
        return np.asarray(self.upfront_usd + self.month_totals_usd.sum(axis=-1))

    @property
    def run_rate_year_usd(self) -> NDArray[np.float64]:
        """Twelve times the last month: the bill once everything runs, shape (...)."""
        return np.asarray(self.month_totals_usd[..., -1] * MONTHS_PER_YEAR)

    def line(self, name: str) -> NDArray[np.float64]:
        """A line by its name, monthly lines first; zeros where the bill has no such line."""
        found = next((line.usd for line in (*self.lines, *self.upfront_lines) if line.name == name), None)
        return np.zeros(() if name in UPFRONT_NAMES else self.months) if found is None else found

    def without(self, name: str) -> MonthlyCosts:
        """The same bill with one line left out: its total is lower by exactly that line."""
        return replace(
            self,
            upfront_lines=tuple(line for line in self.upfront_lines if line.name != name),
            lines=tuple(line for line in self.lines if line.name != name),
        )

    def __add__(self, other: MonthlyCosts) -> MonthlyCosts:
        """Both bills as one: lines of the same name are added up; `tokens` beside its parts takes them in, so none is counted twice."""
        lines = _summed((*self.lines, *other.lines))
        if any(line.name == "tokens" for line in lines):
            lines = _summed(tuple(replace(line, name="tokens") if line.name.startswith("tokens_") else line for line in lines))
        return MonthlyCosts(months=self.months, upfront_lines=_summed((*self.upfront_lines, *other.upfront_lines)), lines=lines)

    def __sub__(self, option: MonthlyCosts) -> CashFlow:
        """Baseline - option: the cash flow of choosing the option."""
        return CashFlow(upfront_usd=self.upfront_usd - option.upfront_usd, monthly_usd=self.month_totals_usd - option.month_totals_usd)


def upfront_line(name: str, usd: Amount) -> CostLine:
    """An upfront line; (draws, 1) becomes (draws,)."""
    amount = np.asarray(usd, dtype=np.float64)
    if amount.ndim and amount.shape[-1] == 1:
        amount = amount[..., 0]
    return CostLine(name=name, usd=amount)


def monthly_line(name: str, usd: Amount, months: int) -> CostLine:
    """A monthly line, broadcast to (..., months)."""
    amount = np.asarray(usd, dtype=np.float64)
    if amount.shape[-1:] == (months,):
        return CostLine(name=name, usd=amount)
    return CostLine(name=name, usd=np.broadcast_to(amount, np.broadcast_shapes(amount.shape, (months,))))


def nonzero(lines: tuple[CostLine, ...]) -> tuple[CostLine, ...]:
    """The lines that are not zero everywhere: what is not paid does not stand on the bill."""
    return tuple(line for line in lines if paid(line.usd))


def paid(usd: Amount) -> bool:
    """Whether an amount is not zero everywhere; its ends are looked at first, which settles nearly every line."""
    if not isinstance(usd, np.ndarray):
        return usd != 0.0
    return bool(usd.size and (usd.flat[0] or usd.flat[-1] or usd.any()))


def _summed(lines: tuple[CostLine, ...]) -> tuple[CostLine, ...]:
    """One line for each name, in the order of their first appearance."""
    found: dict[str, NDArray[np.float64]] = {}
    for line in lines:
        found[line.name] = line.usd if line.name not in found else np.asarray(found[line.name] + line.usd)
    return tuple(CostLine(name=name, usd=usd) for name, usd in found.items())
