"""A small model first, the large one on doubt: what the pair costs and how good it is, by the share of requests that goes on to the large.

The small model answers every request, so a pair that accepts nothing costs both models. Quality lies between a coin flip, which sends
requests on at random, and an oracle, which sends on exactly those that only the large model gets right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from statistics import median

from pydantic import Field

from facts.errors import InputError
from facts.records import Fact, Source, read_facts
from selector.results import Arm, Recommendation
from workloads.demand import token_volume

COIN_FLIP_SHARPNESS = 1.0
"""A router that knows nothing recovers of the gap exactly the share that it sends on."""


class ItemPair(Fact):
    """What two models got right on the same items, published."""

    id: str
    """benchmark"""
    benchmark: str
    """The items."""
    small_model: str
    """The small model."""
    large_model: str
    """The large model."""
    small_right_share: float = Field(ge=0, le=1)
    """Share of items that the small model gets right."""
    large_right_share: float = Field(ge=0, le=1)
    """Share that the large model gets right."""
    only_large_right_share: float = Field(ge=0, le=1)
    """Share that only the large model gets right."""
    source: Source
    """Where it was read."""


class RouterPoint(Fact):
    """One operating point of a published router."""

    id: str
    """benchmark.router.recovered"""
    benchmark: str
    """Where it was measured."""
    router: str
    """How it decides."""
    escalation_share: float = Field(gt=0, lt=1)
    """Share of requests sent to the large model."""
    gap_recovered_share: float = Field(gt=0, lt=1)
    """Share of the quality gap between the two models that this recovers."""
    source: Source
    """Where it was read."""

    @property
    def sharpness(self) -> float:
        """k with recovered = 1 - (1 - escalated)^k; 1 is a coin flip."""
        return math.log1p(-self.gap_recovered_share) / math.log1p(-self.escalation_share)


class CascadeSaving(Fact):
    """What a learned cascade saved where it matched the best single model."""

    id: str
    """benchmark.year"""
    benchmark: str
    """Where it was measured."""
    models_of: int
    """Year of the models it chose among."""
    saving_share: float = Field(le=1)
    """Cost saved against the best single model; below 0 it cost more."""
    quality_kept_share: float
    """Its quality over that model's."""
    source: Source
    """Where it was read."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A small and a large model that could serve the same requests.

    small_usd_per_request, large_usd_per_request: cost of one answer
    check_usd_per_request: cost of deciding whether the small answer is accepted
    small_right_share, large_right_share: how often each is right on the user's cases
    only_large_right_share: how often only the large one is; None where the same cases were not scored for both
    """

    small_usd_per_request: float
    large_usd_per_request: float
    small_right_share: float
    large_right_share: float
    only_large_right_share: float | None = None
    check_usd_per_request: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shares and costs that cannot be."""
        for name in ("small_usd_per_request", "large_usd_per_request", "check_usd_per_request"):
            if not getattr(self, name) >= 0:
                raise InputError(f"a cascade's {name} {getattr(self, name):g} is below 0")
        for name in ("small_right_share", "large_right_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"a cascade's {name} {getattr(self, name):g} is not between 0 and 1")
        if self.only_large_right_share is None:
            return
        least, most = max(0.0, self.gap_share), min(self.large_right_share, 1 - self.small_right_share)
        if not least - 1e-9 <= self.only_large_right_share <= most + 1e-9:
            raise InputError(
                f"only the large model right on {self.only_large_right_share:.1%} of the cases does not fit {self.large_right_share:.1%} "
                f"right for it and {self.small_right_share:.1%} for the small one: between {least:.1%} and {most:.1%} is possible"
            )

    @property
    def gap_share(self) -> float:
        """How much more often the large model is right."""
        return self.large_right_share - self.small_right_share

    @property
    def only_large_share(self) -> float:
        """How often only the large model is right: as given, else its least possible value, the gap."""
        return max(self.gap_share, 0.0) if self.only_large_right_share is None else self.only_large_right_share

    @property
    def only_small_share(self) -> float:
        """How often only the small model is right."""
        return self.only_large_share - self.gap_share


@dataclass(frozen=True, kw_only=True)
class CascadePoint:
    """The pair at one escalation share.

    escalation_share: requests that go on to the large model
    cost_usd_per_request: what a request costs on average
    saving_share: against the large model alone; below 0 the pair costs more
    right_low_share, right_share, right_high_share: how often the pair is right: a router no better than chance, the median and the sharpest
        published one
    coin_flip_right_share, oracle_right_share: the bounds: at random, and with hindsight
    """

    escalation_share: float
    cost_usd_per_request: float
    saving_share: float
    right_low_share: float
    right_share: float
    right_high_share: float
    coin_flip_right_share: float
    oracle_right_share: float


@dataclass(frozen=True, kw_only=True)
class CascadeNeed:
    """What it takes for the pair to stay within a margin of the large model.

    oracle_share: escalation needed with hindsight
    high_share, share: by the sharpest and by the median published router
    low_share, coin_flip_share: by a router that knows nothing of the traffic, and at random
    break_even_share: escalation above which the pair costs more than the large model alone; below 0 it always does
    sentence: the same in words
    """

    oracle_share: float
    high_share: float
    share: float
    low_share: float
    coin_flip_share: float
    break_even_share: float
    sentence: str


def pair_at(
    recommendation: Recommendation, small_right_share: float, large_right_share: float, only_large_right_share: float | None = None
) -> Pair | None:
    """Today's model behind the small one of the decision's cascade, at the token bills of the last month; None without such a pair."""
    large = recommendation.option(recommendation.choice.baseline_option_id)
    cascade = next((option for option in recommendation.options if option.arm is Arm.CASCADE and option.months), None)
    small = None
    if cascade is not None:
        small = next((option for option in recommendation.options if option.model == cascade.model and option.arm is Arm.API_SMALL), None)
    if large is None or small is None or not large.months or not small.months:
        return None
    workload = recommendation.scenario.workload
    requests = float(token_volume(workload).requests[-1])
    bills = [sum(line.usd for line in option.months[-1].lines if line.name.startswith("tokens")) / requests for option in (small, large)]
    if bills[1] <= 0.0:
        return None
    return Pair(
        small_usd_per_request=bills[0],
        large_usd_per_request=bills[1],
        small_right_share=small_right_share,
        large_right_share=large_right_share,
        only_large_right_share=only_large_right_share,
    )


def cascade_cost_usd(pair: Pair, escalation_share: float) -> float:
    """Mean cost of a request: small + check + e x large. At e = 1 nothing is accepted and both models are paid."""
    return pair.small_usd_per_request + pair.check_usd_per_request + _share(escalation_share) * pair.large_usd_per_request


def break_even_share(pair: Pair) -> float:
    """Escalation at which the pair costs as much as the large model alone: (large - small - check) / large."""
    if pair.large_usd_per_request == 0:
        raise InputError("a large model that costs 0 USD a request leaves nothing for a cascade to save")
    spared = pair.large_usd_per_request - pair.small_usd_per_request - pair.check_usd_per_request
    return spared / pair.large_usd_per_request


def routed_right_share(pair: Pair, escalation_share: float, sharpness: float) -> float:
    """How often the pair is right with a router that recovers 1 - (1 - e)^k of the gap, never above the oracle.

    k = 1 is a coin flip. Where the small model is the better one there is no gap to recover, and what is sent on is lost in proportion.
    """
    e = _share(escalation_share)
    recovered = e if pair.gap_share <= 0 else 1 - (1 - e) ** sharpness
    return min(pair.small_right_share + recovered * pair.gap_share, oracle_right_share(pair, e))


def coin_flip_right_share(pair: Pair, escalation_share: float) -> float:
    """Lower bound: (1 - e) x small + e x large."""
    return routed_right_share(pair, escalation_share, COIN_FLIP_SHARPNESS)


def oracle_right_share(pair: Pair, escalation_share: float) -> float:
    """Upper bound with hindsight: first the cases only the large model gets right, last those only the small one does."""
    e = _share(escalation_share)
    won = min(e, pair.only_large_share)
    lost = max(0.0, e - (1 - pair.only_small_share))
    return pair.small_right_share + won - lost


def cascade_point(pair: Pair, escalation_share: float) -> CascadePoint:
    """Cost, quality range and bounds at one escalation share."""
    low, middle, high = published_sharpness()
    cost = cascade_cost_usd(pair, escalation_share)
    alone = pair.large_usd_per_request
    return CascadePoint(
        escalation_share=escalation_share,
        cost_usd_per_request=cost,
        saving_share=1 - cost / alone if alone else -math.inf if cost else 0.0,
        right_low_share=routed_right_share(pair, escalation_share, low),
        right_share=routed_right_share(pair, escalation_share, middle),
        right_high_share=routed_right_share(pair, escalation_share, high),
        coin_flip_right_share=coin_flip_right_share(pair, escalation_share),
        oracle_right_share=oracle_right_share(pair, escalation_share),
    )


def cascade_curve(pair: Pair, points: int = 21) -> tuple[CascadePoint, ...]:
    """The pair from accepting everything to accepting nothing, at evenly spaced escalation shares."""
    if points < 2:
        raise InputError(f"a curve of {points} points has no two ends: ask for 2 or more")
    return tuple(cascade_point(pair, number / (points - 1)) for number in range(points))


def cascade_need(pair: Pair, margin_share: float = 0.05) -> CascadeNeed:
    """The escalation that keeps the pair within a relative margin of the large model, for every router and both bounds."""
    wanted = (1 - margin_share) * pair.large_right_share
    low, middle, high = (_least_share(pair, wanted, lambda e, k=k: routed_right_share(pair, e, k)) for k in published_sharpness())  # type: ignore[misc]
    coin = _least_share(pair, wanted, lambda e: coin_flip_right_share(pair, e))
    oracle = _least_share(pair, wanted, lambda e: oracle_right_share(pair, e))
    at_most = break_even_share(pair)
    return CascadeNeed(
        oracle_share=oracle,
        high_share=high,
        share=middle,
        low_share=low,
        coin_flip_share=coin,
        break_even_share=at_most,
        sentence=_sentence(margin_share, high, middle, low, at_most),
    )


@cache
def published_sharpness() -> tuple[float, float, float]:
    """No better than chance, as routers are on traffic unlike their training data; then the median and the sharpest published router."""
    found = sorted(point.sharpness for point in router_points())
    return COIN_FLIP_SHARPNESS, median(found), found[-1]


def router_holds_share(escalation_share: float, margin_share: float = 0.05) -> float:
    """Every published pair with a router no better than chance, the median and the sharpest one: the share of them within the margin."""
    held = [
        routed_right_share(pair, escalation_share, sharpness) >= (1.0 - margin_share) * pair.large_right_share
        for pair in map(_published_pair, item_pairs())
        for sharpness in published_sharpness()
    ]
    return sum(held) / len(held)


def _published_pair(found: ItemPair) -> Pair:
    return Pair(
        small_usd_per_request=0.0,
        large_usd_per_request=1.0,
        small_right_share=found.small_right_share,
        large_right_share=found.large_right_share,
        only_large_right_share=found.only_large_right_share,
    )


@cache
def item_pairs() -> tuple[ItemPair, ...]:
    """Every published pair with item-by-item results."""
    return read_facts(resources.files("selector") / "data" / "routing" / "pairs.toml", "pair", ItemPair)


@cache
def router_points() -> tuple[RouterPoint, ...]:
    """Every published operating point."""
    return read_facts(resources.files("selector") / "data" / "routing" / "routers.toml", "point", RouterPoint)


@cache
def cascade_savings() -> tuple[CascadeSaving, ...]:
    """What learned cascades saved at equal quality."""
    return read_facts(resources.files("selector") / "data" / "routing" / "savings.toml", "saving", CascadeSaving)


def _least_share(pair: Pair, wanted: float, right_share: Callable[[float], float]) -> float:
    """Smallest escalation at which a rising curve reaches what is wanted; 1 where it only does with everything sent on."""
    if right_share(0.0) >= wanted:
        return 0.0
    low, high = 0.0, 1.0 - max(pair.only_small_share, 0.0)
    if right_share(high) < wanted:
        low, high = high, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if right_share(middle) >= wanted else (middle, high)
    return high


def _sentence(margin_share: float, high: float, middle: float, low: float, break_even: float) -> str:
    need = (
        f"To stay within {100 * margin_share:g} % of the large model, a published router sends on about {middle:.0%} of the requests "
        f"({high:.0%} at best, {low:.0%} if it knows nothing of your traffic)"
    )
    if break_even <= 0:
        return f"{need}; the small model and its check already cost more than the large model alone."
    verdict = "saves" if middle < break_even else "costs more than the large model alone"
    return f"{need}; below {break_even:.0%} the pair costs less, so it {verdict}."


def _share(escalation_share: float) -> float:
    if not 0 <= escalation_share <= 1:
        raise InputError(f"an escalation share of {escalation_share:g} is not between 0 and 1")
    return escalation_share
