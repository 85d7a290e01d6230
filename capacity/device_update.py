"""The most probable parameters of one device, given what was measured on it and how far devices of an engine lie apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from capacity.roofline import Efficiency

STEPS = 4
"""Gauss-Newton steps: the times are sums of the parameters' inverses, so few are enough."""
DIFFERENCE = 0.02
"""Step of a numerical derivative, in the parameter's logarithm."""
PRIOR_WIDER = 2.5
"""How much further devices may lie from parameters that were not fitted."""
ROW_SPREAD = 0.05
"""Scatter of one published row of a model around right parameters of its device: repetitions (2-4 %) and what models differ by."""
PROMPT_ROW_SPREAD = 0.10
"""The same of a prompt rate, 0.07 to 0.15 by engine and memory: one prompt says less of a device than one generation."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """Parameters that change together from device to device.

    fields: of Efficiency
    spread: standard deviation of their logarithm between devices of one engine and memory kind
    """

    fields: tuple[str, ...]
    spread: float


DECODE_MOVES = (
    Move(fields=("bandwidth_share", "packed_bandwidth_share", "kv_bandwidth_share"), spread=0.15),
    Move(fields=("packed_bandwidth_share",), spread=0.05),
    Move(fields=("unpack_flops",), spread=0.30),
    Move(fields=("layer_s", "expert_layer_s", "linear_layer_s", "step_s"), spread=0.15),
    Move(fields=("kv_bandwidth_share",), spread=0.20),
    Move(fields=("expert_share",), spread=0.12),
)
"""What a generation rate of one sequence tells: bandwidth, unpacking, fixed times, cache, and of a mixture how fast its experts are."""
PREFILL_MOVES = (
    Move(fields=("prefill_factor",), spread=0.15),
    Move(fields=("flops_share", "packed_flops_share"), spread=0.15),
    Move(fields=("packed_flops_share",), spread=0.10),
    Move(fields=("attention_share",), spread=0.20),
    Move(fields=("prefill_layer_s",), spread=0.15),
)
"""What a prompt rate tells: what slows all of it, operations reached, those in attention, fixed times per pass."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One measured time.

    time: the estimate for given parameters, in any unit
    measured: the measurement, in the same unit
    spread: scatter of the logarithm of such a measurement around right parameters of the device
    """

    time: Callable[[Efficiency], float]
    measured: float
    spread: float


def most_probable(
    base: Efficiency, moves: Sequence[Move], observations: Sequence[Observation], *, wider: float = 1.0
) -> Mapping[str, float]:
    """Field -> change of its logarithm that minimises sum (ln(estimate / measured) / spread)^2 + sum (change / its spread)^2.

    This is the mean of a normal posterior by Gauss-Newton. One row cannot tell bandwidth from the time per layer: each then takes
    the part that its own spread and its share of the time make likely. With equal spreads and half of the time each, the two
    share the error evenly; with spreads 0.15 and 0.30 the second takes 0.30^2 / (0.15^2 + 0.30^2) = 80 % of it.
    """
    spreads = np.array([move.spread for move in moves]) * wider
    weights = np.array([1.0 / entry.spread for entry in observations])
    point = np.zeros(len(moves))
    for _ in range(STEPS):
        errors = _errors(base, moves, point * spreads, observations)
        slopes = np.empty((len(observations), len(moves)))
        for column in range(len(moves)):
            nudged = point * spreads
            nudged[column] += DIFFERENCE
            slopes[:, column] = (_errors(base, moves, nudged, observations) - errors) / DIFFERENCE * spreads[column]
        rows = slopes * weights[:, None]
        normal = rows.T @ rows + np.eye(len(moves))
        point = point - np.linalg.solve(normal, rows.T @ (errors * weights) + point)
    return _changes(moves, point * spreads)


def changed(efficiency: Efficiency, changes: Mapping[str, float], share: float = 1.0) -> Efficiency:
    """The parameters with each named one multiplied by e^(share x change)."""
    update = {name: float(getattr(efficiency, name) * np.exp(share * change)) for name, change in changes.items()}
    return efficiency.model_copy(update=update)


def _errors(
    base: Efficiency, moves: Sequence[Move], shifts: NDArray[np.float64], observations: Sequence[Observation]
) -> NDArray[np.float64]:
    candidate = changed(base, _changes(moves, shifts))
    return np.array([log(entry.time(candidate) / entry.measured) for entry in observations])


def _changes(moves: Sequence[Move], shifts: NDArray[np.float64]) -> Mapping[str, float]:
    total: dict[str, float] = {}
    for move, shift in zip(moves, shifts, strict=True):
        for name in move.fields:
            total[name] = total.get(name, 0.0) + float(shift)
    return total
