"""Waiting for a slot: Erlang's delay formula, and its goodput."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf

from facts.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue for equal slots.

    waits_share: share of requests that wait at all
    mean_wait_s: mean over all requests; infinite when the load exceeds the slots
    drain_per_s: rate at which a wait ends, so P(wait > t) = waits_share exp(-drain t)
    """

    waits_share: float
    mean_wait_s: float
    drain_per_s: float

    def within(self, limit_s: float) -> float:
        """Share of requests that wait at most that long, 0 to 1."""
        if limit_s < 0 or self.mean_wait_s == inf:
            return 0.0
        return 1.0 - self.waits_share * exp(-self.drain_per_s * limit_s)


def slot_queue(rate_per_s: float, service_s: float, slots: int) -> Queue:
    """M/M/k: Poisson arrivals, exponential service, k slots (Erlang 1917): W = C(k, a) / (k/s - rate), a = rate x s.

    Answers of equal length make the real wait about half of it, bursts make it longer: the tests hold it against a simulation.
    Example: one slot, 0.5 requests a second of 1 s each: half of them wait, 1 s on average.
    """
    if slots < 1 or service_s <= 0 or rate_per_s < 0:
        raise InputError(
            f"a queue of {slots} slots, {service_s:g} s service and {rate_per_s:g} requests a second makes no sense: give positive numbers"
        )
    offered = rate_per_s * service_s
    if offered >= slots:
        return Queue(waits_share=1.0, mean_wait_s=inf, drain_per_s=0.0)
    waits = erlang_c(slots, offered)
    drain = slots / service_s - rate_per_s
    return Queue(waits_share=waits, mean_wait_s=waits / drain, drain_per_s=drain)


def erlang_c(slots: int, offered: float) -> float:
    """Share of requests that find all slots busy: B / (1 - (a/k)(1 - B)), with Erlang's loss B by its recursion a B / (j + a B)."""
    loss = 1.0
    for number in range(1, slots + 1):
        loss = offered * loss / (number + offered * loss)
    used = offered / slots
    return loss / (1.0 - used * (1.0 - loss)) if used < 1.0 else 1.0
