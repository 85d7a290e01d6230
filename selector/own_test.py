"""The user's own test in the ranking: a gate that was run replaces the published chance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from facts.records import Basis
from selector.gap_gate import GateResult, GateVerdict
from selector.options import Option
from selector.results import QualityPrior

WITHIN_AT_LEAST: Final = 0.95
"""Chance behind a passed gate of graded scores, whose one-sided 95 % bound lies above the limit; the mirror for a failed one."""


def gate_of(option: Option, gates: Iterable[GateResult]) -> GateResult | None:
    """The newest test that is for an option, or for its arm where it names no option; None where none was run."""
    own = [gate for gate in gates if gate.option_id == option.id or (not gate.option_id and gate.arm == option.arm.value)]
    dated = sorted(own, key=lambda gate: (gate.option_id == option.id, str(gate.as_of or "")))
    return dated[-1] if dated else None


def tested(prior: QualityPrior, gate: GateResult | None) -> QualityPrior:
    """The chance after the user's own test; the prior where there was none. An undecided test gives its chance and passes nothing."""
    if gate is None:
        return prior
    probability = gate.probability
    if probability is None:
        if gate.verdict is GateVerdict.UNDECIDED:
            return prior
        probability = WITHIN_AT_LEAST if gate.verdict is GateVerdict.WITHIN else 1.0 - WITHIN_AT_LEAST
    day = f" on {gate.as_of.isoformat()}" if gate.as_of else ""
    return QualityPrior(
        probability=probability,
        low=probability,
        high=probability,
        because=gate.sentence,
        basis=Basis.MEASURED,
        source=f"your own test of {gate.n:,} cases{day}",
    )


def right_share_of(option: Option, gates: Iterable[GateResult]) -> float | None:
    """How often an option was right on the user's own cases, or today's model in the newest test; None without right/wrong scores."""
    counted = [gate for gate in gates if gate.counts is not None]
    if option.baseline:
        newest = max(counted, key=lambda gate: str(gate.as_of or ""), default=None)
        return None if newest is None else newest.baseline_mean
    own = gate_of(option, counted)
    return None if own is None else own.option_mean


def passed(gate: GateResult | None) -> bool:
    """Whether a test shows the option good enough; an undecided one never does."""
    return gate is not None and gate.verdict is GateVerdict.WITHIN
