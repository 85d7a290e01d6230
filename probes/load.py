"""One load level: so many requests in flight, or a schedule that does not wait for answers."""

from __future__ import annotations

import asyncio
import collections
import gc
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from facts.records import Fact
from probes import saturation
from probes.caller import Budget, Caller, tokens_beyond
from probes.measurement import LevelResult, RequestTiming
from probes.stream import Stream

ERROR_WINDOW = 20
ERROR_STOP_SHARE = 0.5
"""A level ends when this share of the last twenty requests failed."""
IN_FLIGHT_CAP = 1024
"""An open loop with more requests under way is beyond what the server carries."""
RAMP_SHARE = 0.1
"""First part of an open loop that is not counted."""
UNREAD_BYTES = 64 * 1024 * 1024
"""Answers are read out after the level; when more than this waits, the older half is read out at once."""
WATCH_S = 0.5


@dataclass(frozen=True, kw_only=True)
class LevelProgress:
    """How far a level is.

    name: of the level
    requests: done so far in it
    errors: of them
    output_tokens_per_s: so far in it, about: events counted as tokens
    elapsed_s, expected_s: time in the level, and how long it is to last
    """

    name: str
    requests: int
    errors: int
    output_tokens_per_s: float
    elapsed_s: float
    expected_s: float


class Arrival(Fact):
    """One request of a schedule."""

    due_s: float
    """When it is to leave, from the start of the level."""
    input_tokens: int
    """Prompt length."""
    output_tokens: int
    """Answer length."""


class LevelPlan(Fact):
    """A level to run; exactly one of `concurrency` and `arrivals` decides what is sent."""

    name: str
    """Such as c8 or 2.5/s."""
    hold_s: float
    """How long the load is held."""
    input_tokens: int
    """Prompt length of a closed loop."""
    output_tokens: int
    """Answer length of a closed loop."""
    concurrency: int | None = None
    """Requests in flight."""
    rate_per_s: float | None = None
    """Mean rate of the schedule."""
    arrivals: tuple[Arrival, ...] = ()
    """The schedule, in order."""
    own_sizes: bool = False
    """Whether each request has a size of its own, which is then kept with it."""
    lengths_spread: float = 0.0
    """How much shorter and longer than `output_tokens` the answers of a closed loop are."""
    part: int = 0
    """Which of several processes this is."""

    def share(self, part: int, parts: int) -> LevelPlan:
        """The part of one of several processes."""
        count = None if self.concurrency is None else self.concurrency // parts + (part < self.concurrency % parts)
        return self.model_copy(update={"concurrency": count, "arrivals": self.arrivals[part::parts], "part": part})


class Heard(Fact):
    """What one process heard in a level."""

    requests: tuple[RequestTiming, ...]
    """Every request, warm-up apart."""
    warmups: int = 0
    """Requests that warmed up."""
    full_since_s: float | None = None
    """When the wanted load was there."""
    full_until_s: float | None = None
    """When it was last there."""
    stopped: str = ""
    """Why it ended early."""
    sent_requests: int = 0
    """Requests booked."""
    sent_tokens: int = 0
    """Tokens booked or counted."""
    sent_usd: float = 0.0
    """Money booked."""


def schedule(
    rate_per_s: float,
    hold_s: float,
    *,
    poisson: bool,
    seed: int,
    most: int,
    input_tokens: int,
    output_tokens: int,
    lengths_spread: float = 0.0,
) -> tuple[Arrival, ...]:
    """Arrivals at a rate for some time: exponential gaps (Poisson) or equal ones, at most `most` of them."""
    chance, due = random.Random(seed), 0.0  # noqa: S311 - arrival gaps, not secrets
    lengths = answer_lengths(output_tokens, lengths_spread, seed)
    found: list[Arrival] = []
    while due < hold_s and len(found) <= most:
        found.append(Arrival(due_s=due, input_tokens=input_tokens, output_tokens=next(lengths)))
        due = due + chance.expovariate(rate_per_s) if poisson else len(found) / rate_per_s
    return tuple(found)


def answer_lengths(mean_tokens: int, spread: float, seed: int) -> Iterator[int]:
    """Answer lengths from (1 - spread) to (1 + spread) of their mean, evenly and in any order; all the same where it is 0."""
    chance = random.Random(seed)  # noqa: S311 - lengths, not secrets
    while True:
        yield max(1, round(mean_tokens * (1.0 + spread * chance.uniform(-1.0, 1.0)))) if spread else mean_tokens


def merged(plan: LevelPlan, heard: list[Heard]) -> LevelResult:
    """The level as all processes together heard it: the window is where every one of them held its part."""
    requests = sorted((request for part in heard for request in part.requests), key=lambda request: request.sent_s)
    end = max((request.done_s for request in requests), default=0.0)
    start = max((part.full_since_s or 0.0) for part in heard)
    until = min((part.full_until_s if part.full_until_s is not None else end) for part in heard)
    return LevelResult(
        name=plan.name,
        concurrency=plan.concurrency,
        rate_per_s=plan.rate_per_s,
        duration_s=max(end, until),
        window_s=(start, max(start, until)),
        requests=tuple(requests),
        warmup_requests=sum(part.warmups for part in heard),
        stopped_because=next((part.stopped for part in heard if part.stopped), ""),
        processes=len(heard),
    )


class Level:
    """A level in this process."""

    def __init__(
        self,
        caller: Caller,
        plan: LevelPlan,
        budget: Budget,
        *,
        cancel: threading.Event,
        report: Callable[[LevelProgress], None] = lambda progress: None,
        zero: float | None = None,
    ) -> None:
        self._caller, self._plan, self._budget, self._cancel, self._report = caller, plan, budget, cancel, report
        self._zero = time.perf_counter() if zero is None else zero
        self._read: list[RequestTiming] = []
        self._unread: list[Stream] = []
        self._unread_bytes = 0
        self._last: collections.deque[bool] = collections.deque(maxlen=ERROR_WINDOW)
        self._done = self._failed = self._events = self._warmups = self._under_way = 0
        self._in_flight: list[tuple[float, float]] = []
        self._latencies: list[tuple[float, float]] = []
        self._stopped = ""
        self._lengths = answer_lengths(plan.output_tokens, plan.lengths_spread, plan.part)
        self._full_since: float | None = None
        self._full_until: float | None = None

    async def run(self) -> Heard:
        """Hold the load, then read out what was heard; the collector of garbage rests meanwhile."""
        used = (self._budget.requests, self._budget.tokens, self._budget.usd)
        await asyncio.sleep(max(0.0, self._zero - time.perf_counter()))
        collecting = gc.isenabled()
        gc.disable()
        watcher = asyncio.create_task(self._watch())
        try:
            await (self._closed_loop(self._plan.concurrency) if self._plan.concurrency else self._open_loop())
        finally:
            watcher.cancel()
            if collecting:
                gc.enable()
        self._read_out(len(self._unread))
        return Heard(
            requests=tuple(self._read),
            warmups=self._warmups,
            full_since_s=self._full_since,
            full_until_s=self._full_until,
            stopped=self._stopped,
            sent_requests=self._budget.requests - used[0],
            sent_tokens=self._budget.tokens - used[1],
            sent_usd=self._budget.usd - used[2],
        )

    # -- closed loop --

    async def _closed_loop(self, count: int) -> None:
        """`count` workers; the first answer of each warms up, and the clock starts when all have one."""
        self._waiting_for = count
        await self._until_done([asyncio.create_task(self._worker()) for _ in range(count)])

    async def _worker(self) -> None:
        plan, warm = self._plan, True
        while not self._over():
            length = next(self._lengths)
            if refused := self._budget.book(plan.input_tokens, length):
                self._stop(refused)
                break
            stream = await self._ask(time.perf_counter(), plan.input_tokens, length)
            if warm:
                warm = False
                self._warmed_up(stream)
                continue
            self._take(stream)
        if self._full_until is None:
            self._full_until = time.perf_counter() - self._zero

    def _warmed_up(self, stream: Stream) -> None:
        self._warmups += 1
        self._waiting_for -= 1
        if stream.glance().failed:
            timing_ = stream.timing()
            self._stop(f"the warm-up failed: {timing_.error}")
            self._read.append(timing_)
        if self._waiting_for == 0:
            self._full_since = time.perf_counter() - self._zero

    # -- open loop --

    async def _open_loop(self) -> None:
        """Requests leave on schedule whatever the answers do; the first tenth of the time is not counted."""
        hold = self._plan.hold_s
        self._full_since, self._full_until = hold * RAMP_SHARE, hold
        under_way: set[asyncio.Task[None]] = set()
        for arrival in self._plan.arrivals:
            if not await self._wait_until(arrival.due_s):
                break
            refused = self._budget.book(arrival.input_tokens, arrival.output_tokens)
            if refused or len(under_way) >= IN_FLIGHT_CAP:
                self._stop(refused or f"{IN_FLIGHT_CAP} requests were under way at once: above what the server carries")
                break
            task = asyncio.create_task(self._one(arrival))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if self._stopped:
            self._full_until = min(time.perf_counter() - self._zero, hold)
        await self._until_done(list(under_way))

    async def _wait_until(self, due_s: float) -> bool:
        """Whether the time has come, False when the level is over before."""
        while (left := self._zero + due_s - time.perf_counter()) > 0:
            if self._over():
                return False
            await asyncio.sleep(min(left, WATCH_S))
        return not self._over()

    async def _one(self, arrival: Arrival) -> None:
        self._take(await self._ask(self._zero + arrival.due_s, arrival.input_tokens, arrival.output_tokens))

    # -- both --

    async def _ask(self, scheduled: float, input_tokens: int, output_tokens: int) -> Stream:
        self._under_way += 1
        try:
            stream = await self._caller.ask(
                scheduled, self._zero, input_tokens=input_tokens, output_tokens=output_tokens, keep_sizes=self._plan.own_sizes
            )
        finally:
            self._under_way -= 1
        self._budget.add(0, tokens_beyond(stream.glance(), input_tokens + output_tokens), 0.0)
        return stream

    async def _until_done(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for all; a cancel ends them at once."""
        try:
            pending = set(tasks)
            while pending and not self._cancel.is_set():
                _, pending = await asyncio.wait(pending, timeout=0.1)
        finally:
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome

    def _over(self) -> bool:
        held = time.perf_counter() - self._zero - (self._full_since or 0.0)
        long_enough = self._full_since is not None and self._plan.concurrency is not None and held >= self._plan.hold_s
        return bool(self._stopped) or long_enough or self._cancel.is_set()

    def _take(self, stream: Stream) -> None:
        glance = stream.glance()
        self._last.append(glance.failed)
        self._done += 1
        self._failed += glance.failed
        self._events += stream.pieces
        self._latencies.append((time.perf_counter() - self._zero, glance.latency_s))
        self._unread.append(stream)
        self._unread_bytes += stream.size_bytes
        if self._unread_bytes > UNREAD_BYTES:
            self._read_out(len(self._unread) // 2)
        failed = sum(self._last)
        if len(self._last) >= ERROR_WINDOW and failed > ERROR_STOP_SHARE * len(self._last):
            self._stop(f"{failed} of the last {len(self._last)} requests failed, the last with: {stream.timing().error or 'another error'}")

    def _read_out(self, count: int) -> None:
        for stream in self._unread[:count]:
            self._unread_bytes -= stream.size_bytes
            self._read.append(stream.timing())
        del self._unread[:count]

    def _stop(self, why: str) -> None:
        self._stopped = self._stopped or why

    async def _watch(self) -> None:
        """Twice a second: say how far it is, and end an open loop that the server cannot follow."""
        while True:
            await asyncio.sleep(WATCH_S)
            elapsed = time.perf_counter() - self._zero
            if self._plan.arrivals:
                self._in_flight.append((elapsed, float(self._under_way)))
                if not self._stopped and saturation.over_saturated(self._in_flight, self._latencies):
                    self._stop(f"requests under way ({self._under_way}) and waits kept rising: above what the server carries")
            self._report(
                LevelProgress(
                    name=self._plan.name,
                    requests=self._done,
                    errors=self._failed,
                    output_tokens_per_s=self._events / elapsed,
                    elapsed_s=elapsed,
                    expected_s=self._plan.hold_s + (self._full_since or 0.0 if self._plan.concurrency else 0.0),
                )
            )
