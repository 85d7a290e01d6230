"""How well the endpoint probe reads a server's time to first token: against the server's own send stamps, on loopback.

The error of one request is (probe's first event with text - its send) - (server's first event - request read): connection, both
kernels and the probe's own delay. LOOPBACK_STREAMS chooses the loads, as 8,64.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Sequence
from typing import Any

from probes.caller import Budget, Caller, Manner, full_allowance
from probes.load import Level, LevelPlan
from probes.loopback import MODEL
from probes.measurement import EndpointSettings
from probes.selftest import client_limit, loopback_server
from probes.stream import Stream, open_client
from probes.timing import quantile
from tests.bench.timing import Timing

TTFT_S, GAP_S, TOKENS, HOLD_S = 0.05, 0.02, 16, 6.0
LIMIT_MS = 5.0
"""Largest p99 at 8 streams."""
FIRST = re.compile(rb'"id":"([\d.]+)","choices":\[{"delta":{"content":"([\d.]+)"')


class Keeping(Caller):
    """A caller that keeps every answer's bytes."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.streams: list[Stream] = []

    async def ask(self, *arguments: Any, **more: Any) -> Stream:
        """As a caller does."""
        self.streams.append(await super().ask(*arguments, **more))
        return self.streams[-1]


def main() -> list[Timing]:
    """Each load once; prints what the client can read, and the error at each load."""
    limit = client_limit()
    late = f", {limit.failed_events_per_s:,.0f} too late" if limit.failed_events_per_s else ""
    print(f"self-test: one process reads {limit.events_per_s:,.0f} events/s in time (p99 {limit.delay_p99_ms:.1f} ms){late}")
    return [one(int(streams)) for streams in os.environ.get("LOOPBACK_STREAMS", "8,64").split(",")]


def one(streams: int) -> Timing:
    """The error of every request at one load, warm-up left out."""
    with loopback_server(ttft_s=TTFT_S, gap_s=GAP_S) as url:
        heard = asyncio.run(held(url, streams))
    errors = sorted(ttft_errors_s(heard[streams:]))
    p99 = quantile(errors, 0.99) * 1000
    verdict = f" against {LIMIT_MS:g} ms: {'kept' if p99 <= LIMIT_MS else 'missed'}" if streams == 8 else ""
    print(f"{streams} streams, {len(errors)} requests: TTFT error p50 {quantile(errors, 0.5) * 1000:.2f} ms, p99 {p99:.2f} ms{verdict}")
    return Timing(name=f"TTFT error at {streams} streams, every request", seconds=tuple(errors))


async def held(url: str, streams: int) -> list[Stream]:
    """Every answer of a level, in the order asked."""
    settings = EndpointSettings(url=url, max_requests=1_000_000, max_tokens=1_000_000_000)
    plan = LevelPlan(name="x", hold_s=HOLD_S, input_tokens=32, output_tokens=TOKENS, concurrency=streams)
    async with open_client(url, key=None, timeout_s=60.0) as client:
        caller = Keeping(Manner(url=url, model=MODEL, extras=("include_usage",)), client, 1)
        await Level(caller, plan, Budget(full_allowance(settings)), cancel=threading.Event()).run()
        return sorted(caller.streams, key=lambda stream: stream.timing().sent_s)


def ttft_errors_s(heard: Sequence[Stream]) -> list[float]:
    """Probe's TTFT less the server's own, request by request."""
    found = []
    for stream in heard:
        first = FIRST.search(b"".join(piece for _, piece in stream.raw))
        if first is not None:
            read, sent = float(first[1]), float(first[2])
            found.append(stream.timing().ttft_s - (sent - read))
    return found
