"""What an option means for the organisation beside its money: privacy, latency felt, ownership of the weights, leverage over the seller.

Stated for every option; a hard requirement or a tie-breaker where the user says so; never a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from capacity.models import model
from selector.options import Option
from selector.quality import Kind
from selector.results import Factor, Level, Placement, Plan
from workloads.demand import OrganisationalFactor, Residency, Workload

TIE_SHARE: Final = 0.05
"""Expected costs within 5 % of the lowest count as a tie: less than the doubt in any of them, and the article's own margin."""
ENOUGH_SELLERS: Final = 3
"""From this many sellers of the same weights on, none of them has a hold."""
RANK: Final = {Level.YES: 0, Level.PARTLY: 1, Level.NO: 2}


def factors_of(
    option: Option, workload: Workload, *, provider: str, sellers: int, plan: Plan | None, tokens_factor: float = 1.0
) -> tuple[Factor, ...]:
    """All four, in the order of OrganisationalFactor.

    provider: who would be paid, '' for own machines; sellers: how many sell the same thing; plan: its servers, None where tokens are bought
    """
    return (
        _privacy(option, workload, provider),
        _latency(option, workload.output_tokens * tokens_factor, workload, plan),
        _ownership(option),
        _leverage(option, provider, sellers),
    )


def unmet(factors: Sequence[Factor], workload: Workload) -> Factor | None:
    """The first hard requirement that an option does not meet in full; None where it meets them all."""
    wanted = (next(factor for factor in factors if factor.name is name) for name in workload.must_have)
    return next((factor for factor in wanted if factor.level is not Level.YES), None)


def preference(factors: Sequence[Factor], workload: Workload) -> tuple[int, ...]:
    """How well an option does by the tie-breakers, the most important first; lower is better."""
    return tuple(RANK[next(factor.level for factor in factors if factor.name is name)] for name in workload.tie_breakers)


def winner(costs_usd: Sequence[float], preferences: Sequence[tuple[int, ...]]) -> int:
    """Which of several options is taken: among expected costs within 5 % of the lowest the best preferred, then the cheapest.

    >>> winner([100.0, 104.0, 106.0], [(1,), (0,), (0,)])
    1
    """
    limit = min(costs_usd) + TIE_SHARE * abs(min(costs_usd))
    near = [place for place, usd in enumerate(costs_usd) if usd <= limit]
    return min(near, key=lambda place: (preferences[place], costs_usd[place]))


# ---- each ----


def _privacy(option: Option, workload: Workload, provider: str) -> Factor:
    name, who = OrganisationalFactor.PRIVACY, provider or "the provider"
    if option.placement in (Placement.OWNED, Placement.LOCAL):
        where = "your users' devices" if option.id.startswith("edge") else "your own machines"
        return Factor(name=name, level=Level.YES, because=f"requests stay on {where}; no third party processes them")
    if option.placement is Placement.RENTED:
        because = f"requests go to a server rented from {who}, which only you run: a processor all the same, so a contract is needed"
        return Factor(name=name, level=Level.PARTLY, because=because)
    cleared = workload.residency is Residency.REGION
    because = f"every request is sent to {who}" + (", which you have cleared" if cleared else "; its terms decide what is kept and where")
    return Factor(name=name, level=Level.PARTLY if cleared else Level.NO, because=because)


def _latency(option: Option, answer_tokens: float, workload: Workload, plan: Plan | None) -> Factor:
    name = OrganisationalFactor.LATENCY
    if plan is None:
        if option.placement in (Placement.API, Placement.MANAGED):
            because = "a list price promises no response time, under load least of all: measure it in the pilot at your own peak"
        else:
            because = "its response time cannot be computed without a plan of its servers"
        return Factor(name=name, level=Level.NO, because=because)
    answer = 1.0 if option.kind is Kind.ENCODER else answer_tokens
    whole_s = (plan.ttft_ms + plan.tpot_ms * max(answer - 1.0, 0.0)) / 1000.0
    words = "the label" if option.kind is Kind.ENCODER else f"an answer of {answer:,.0f} tokens"
    because = f"first token after {plan.ttft_ms:,.0f} ms, {words} after {whole_s:,.1f} s at the peak ({plan.basis})"
    if workload.ttft_p95_ms is None and workload.tpot_p95_ms is None:
        because += "; no limit is stated, so servers are filled: state ttft_p95_ms or tpot_p95_ms to have fewer requests share one"
        return Factor(name=name, level=Level.PARTLY, because=because)
    return Factor(name=name, level=Level.YES, because=f"{because}, within your limit; the capacity is yours to set")


def _ownership(option: Option) -> Factor:
    name = OrganisationalFactor.OWNERSHIP
    if option.placement is Placement.API:
        because = "the weights are the vendor's, who may change or retire them"
        if option.tuned:
            because = "what your labels taught it stays with the vendor: the tuned weights cannot be taken along"
        return Factor(name=name, level=Level.NO, because=because)
    licence = (model(option.model).licence or "unknown") if option.model else "unknown"
    if option.placement is Placement.MANAGED:
        kept = "the adapter is yours only if the host lets you download it: ask" if option.tuned else "the host runs its own copy"
        return Factor(name=name, level=Level.PARTLY, because=f"open weights ({licence}), but {kept}")
    kept = (
        "the tuned weights are a file of yours and do not change unless you change them"
        if option.tuned
        else "you hold the file: it does not change"
    )
    return Factor(name=name, level=Level.YES, because=f"{kept}; licence of the base: {licence}")


def _leverage(option: Option, provider: str, sellers: int) -> Factor:
    name = OrganisationalFactor.LEVERAGE
    if option.placement in (Placement.OWNED, Placement.LOCAL):
        return Factor(
            name=name, level=Level.YES, because="nobody can change the price of what you own; it also shows any vendor that you can leave"
        )
    if option.placement is Placement.API:
        because = f"{provider or 'its vendor'} alone decides its price and when it ends; to leave it is to change the model"
        return Factor(name=name, level=Level.NO, because=because)
    what = "hosts sell these weights" if option.placement is Placement.MANAGED else "providers rent such a server"
    level = Level.YES if sellers >= ENOUGH_SELLERS else Level.PARTLY if sellers == 2 else Level.NO
    count = (
        f"{sellers} {what}"
        if sellers > 1
        else f"one {'host sells these weights' if option.placement is Placement.MANAGED else 'provider rents such a server'}"
    )
    move = "the seller can be changed without changing the model" if sellers > 1 else "leaving it means another model or server"
    if option.tuned and option.placement is Placement.MANAGED:
        move += "; the tuned adapter may have to be trained again there"
    return Factor(name=name, level=level, because=f"{count} on this day: {move}")
