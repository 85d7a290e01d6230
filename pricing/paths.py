"""How prices move over the horizon, each as a factor of today's price by month: (..., months), 1 in the first month.

The list price of a model stays for months and then moves in one step, down or, when a model is retired, to its successor's price;
prices at equal quality fall faster, but only for who moves. Rents rose in 2026. So nothing moves unless it is stated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facts.units import MONTHS_PER_YEAR
from pricing.costs import Amount


def drift_path(change_share_per_year: Amount, months: int) -> NDArray[np.float64]:
    """An even change: (1 + yearly change)^((month - 1) / 12), so that month 13 stands at exactly one year's change.

    >>> [round(float(factor), 4) for factor in drift_path(0.4, 13)[[0, 6, 12]]]
    [1.0, 1.1832, 1.4]
    """
    elapsed = np.arange(months, dtype=np.float64) / MONTHS_PER_YEAR
    return np.asarray((1.0 + np.asarray(change_share_per_year, dtype=np.float64)) ** elapsed)


def step_path(change_share: Amount, at_month: Amount, months: int, *, every_months: int = 0) -> NDArray[np.float64]:
    """A change by `change_share` from month `at_month` on, and again every `every_months` after it (0: once).

    -0.2 in month 7 is a cut by a fifth; a forced migration is the successor's price over today's, less one. Month 1 is already changed.

    >>> step_path(-0.5, 3, 6, every_months=2).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """
    since = np.arange(1, months + 1, dtype=np.float64) - np.asarray(at_month, dtype=np.float64)
    steps = np.where(since < 0, 0.0, 1.0 if every_months == 0 else np.floor(since / max(every_months, 1)) + 1.0)
    return np.asarray((1.0 + np.asarray(change_share, dtype=np.float64)) ** steps)
