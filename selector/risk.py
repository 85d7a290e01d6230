"""Attitude to risk: the same options ranked between what they are expected to cost and what they cost in one case of ten or more."""

from __future__ import annotations

from dataclasses import dataclass

from facts.errors import InputError
from selector.results import Recommendation
from selector.sensitivity import Simulation


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """One feasible option under an attitude to risk.

    option_id, title: which
    expected_usd: what the decision ranks by
    bad_case_usd: what is paid in the end in one draw of ten or more, a failed test and what is paid instead inside
    weighed_usd: between the two
    """

    option_id: str
    title: str
    expected_usd: float
    bad_case_usd: float
    weighed_usd: float


def weighed(recommendation: Recommendation, simulation: Simulation, caution_share: float) -> tuple[Weighed, ...]:
    """Feasible options by (1 - caution) x expected cost + caution x P90 of what is paid in the end, lowest first; at 0 as decided.

    caution_share: 0 for the expected cost, 1 for the bad case; InputError outside
    """
    if not 0.0 <= caution_share <= 1.0:
        raise InputError(f"a caution of {caution_share:g} is not between 0 (expected cost) and 1 (the bad case)")
    found = []
    for option in recommendation.options:
        drawn = simulation.option(option.id)
        if option.expected_usd is None or drawn is None or drawn.outcome_p90_usd is None:
            continue
        bad = drawn.outcome_p90_usd
        mixed = (1.0 - caution_share) * option.expected_usd + caution_share * bad
        found.append(
            Weighed(option_id=option.id, title=option.title, expected_usd=option.expected_usd, bad_case_usd=bad, weighed_usd=mixed)
        )
    return tuple(sorted(found, key=lambda one: (one.weighed_usd, one.option_id)))


def turning_point(recommendation: Recommendation, simulation: Simulation) -> float | None:
    """The least caution at which another option comes first than at none; None where none does. Exact: weighed costs are straight lines.

    Of every option that is cheaper in the bad case than the first, the caution at which the two lines cross.
    """
    at_none = weighed(recommendation, simulation, 0.0)
    if not at_none:
        return None
    first = at_none[0]
    crossings = []
    for other in at_none[1:]:
        ahead, behind = other.expected_usd - first.expected_usd, first.bad_case_usd - other.bad_case_usd
        if behind > 0.0:
            crossings.append(ahead / (ahead + behind))
    return min(crossings, default=None)
