"""What the client can read, before it judges a server: events a second against a loop-back server that stamps each of them."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facts.errors import InputError
from facts.units import MS_PER_S
from probes.caller import Caller, Manner
from probes.loopback import MODEL
from probes.measurement import ClientLimit
from probes.stream import Stream, open_client
from probes.timing import quantile

STREAMS = (4, 16, 32, 64, 128, 256)
GAP_S = 0.01
SECONDS = 0.6
LEAD_SHARE = 0.3
"""First part of each step that is not counted: all streams begin at once there."""
DELAY_LIMIT_MS = 5.0
"""A p99 of (read - sent) above this means that the client is the bottleneck."""
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Step:
    """One load of the self-test.

    events_per_s: read
    delay_p99_ms: p99 of (read - sent)
    """

    events_per_s: float
    delay_p99_ms: float


def client_limit(*, streams: Sequence[int] = STREAMS, seconds: float = SECONDS, delay_limit_ms: float = DELAY_LIMIT_MS) -> ClientLimit:
    """The highest rate of events that this process reads in time; a few seconds on loopback."""
    return limit_of(steps(streams, seconds, delay_limit_ms), delay_limit_ms)


def limit_of(found: Sequence[Step], delay_limit_ms: float = DELAY_LIMIT_MS) -> ClientLimit:
    """The last step in time, and the first that was not; when even the first is late, its rate is the limit's upper end."""
    good = [step for step in found if step.delay_p99_ms <= delay_limit_ms]
    late = [step for step in found if step.delay_p99_ms > delay_limit_ms]
    best = max(good, key=lambda step: step.events_per_s, default=None)
    return ClientLimit(
        events_per_s=best.events_per_s if best else 0.0,
        delay_p99_ms=(best or late[0]).delay_p99_ms,
        failed_events_per_s=min((step.events_per_s for step in late), default=None),
    )


def steps(streams: Sequence[int], seconds: float, delay_limit_ms: float) -> list[Step]:
    """Each number of streams in turn, until one is late."""
    found: list[Step] = []
    with loopback_server(ttft_s=GAP_S, gap_s=GAP_S) as url:
        for count in streams:
            step = asyncio.run(_step(url, count, seconds))
            if step.delay_p99_ms > delay_limit_ms:  # a hiccup of the machine is not the client's limit: once more
                step = min(step, asyncio.run(_step(url, count, seconds)), key=lambda one: one.delay_p99_ms)
            found.append(step)
            if step.delay_p99_ms > delay_limit_ms:
                break
    return found


@contextmanager
def loopback_server(*, ttft_s: float, gap_s: float) -> Iterator[str]:
    """A loop-back server in a process of its own; its base address."""
    process = subprocess.Popen(  # noqa: S603 - a module of this package with two numbers
        [sys.executable, "-m", "probes.loopback", str(ttft_s), str(gap_s)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise InputError("the loop-back server of the client's self-test did not start")
        yield f"http://127.0.0.1:{int(port)}/v1"
    finally:
        process.kill()
        process.communicate()


# ---- below: how ----


async def _step(url: str, count: int, seconds: float) -> Step:
    manner = Manner(url=url, model=MODEL, extras=("include_usage",), timeout_s=seconds + 30.0)
    async with open_client(url, key=None, timeout_s=manner.timeout_s) as client:
        caller, zero = Caller(manner, client, seed=1), time.perf_counter()
        tokens = max(2, round(seconds / GAP_S))
        asked = (caller.ask(zero, zero, input_tokens=8, output_tokens=tokens) for _ in range(count))
        streams = await asyncio.gather(*asked)
    return step_of(streams)


def step_of(streams: Sequence[Stream]) -> Step:
    """Rate and delay of events, the lead left out."""
    pairs = sorted((read, sent) for stream in streams for read, sent in stamped(stream.raw))
    if len(pairs) < 2:
        return Step(events_per_s=0.0, delay_p99_ms=float("inf"))
    first, last = pairs[0][0], pairs[-1][0]
    begin = first + LEAD_SHARE * (last - first)
    counted = [(read, sent) for read, sent in pairs if read >= begin]
    delays = [(read - sent) * MS_PER_S for read, sent in counted]
    return Step(events_per_s=len(counted) / max(last - begin, 1e-9), delay_p99_ms=quantile(delays, 0.99))


STAMP = re.compile(rb'"content":"([\d.]+)"')


def stamped(pieces: Sequence[tuple[float, bytes]]) -> list[tuple[float, float]]:
    """(when read, when sent) of every event of a loop-back answer."""
    return [(read, float(sent)) for read, piece in pieces for sent in STAMP.findall(piece)]
