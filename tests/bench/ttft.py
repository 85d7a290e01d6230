"""How well the endpoint probe reads a server's time to first token: against the server's own send stamps, on loopback.

The error of one request is (probe's first event with text - its send) - (server's first event - request read): connection, both
kernels and the probe's own delay. LOOPBACK_STREAMS chooses the loads, as 8,64.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

from probes.endpoint import measure_endpoint
from probes.measurement import EndpointSettings, LevelResult
from probes.selftest import ROOT, client_limit
from probes.timing import quantile
from tests.bench.timing import Timing

TTFT_S, GAP_S, TOKENS, HOLD_S = 0.05, 0.02, 16, 6.0
LIMIT_MS = 5.0
"""Largest p99 at 8 streams."""


def main() -> list[Timing]:
    """Each load once; prints what the client can read, and the error at each load."""
    limit = client_limit()
    late = f", {limit.failed_events_per_s:,.0f} too late" if limit.failed_events_per_s else ""
    print(f"self-test: one process reads {limit.events_per_s:,.0f} events/s in time (p99 {limit.delay_p99_ms:.1f} ms){late}")
    return [timing for streams in os.environ.get("LOOPBACK_STREAMS", "8,64").split(",") for timing in one(int(streams))]


def one(streams: int) -> list[Timing]:
    """The error of every request at one load."""
    command = [sys.executable, "-m", "probes.loopback", str(TTFT_S), str(GAP_S)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        settings = EndpointSettings(
            url=f"http://127.0.0.1:{int(server.stdout.readline())}/v1",
            concurrencies=(streams,),
            input_tokens=32,
            output_tokens=TOKENS,
            seconds_per_level=HOLD_S,
            max_requests=1_000_000,
            max_tokens=1_000_000_000,
        )
        level = measure_endpoint(settings, created=datetime.now(UTC)).levels[0]
        told, _ = server.communicate()
    errors = sorted(ttft_errors_s(level, json.loads(told)))
    p99 = quantile(errors, 0.99) * 1000
    verdict = f" against {LIMIT_MS:g} ms: {'kept' if p99 <= LIMIT_MS else 'missed'}" if streams == 8 else ""
    print(f"{streams} streams, {len(errors)} requests: TTFT error p50 {quantile(errors, 0.5) * 1000:.2f} ms, p99 {p99:.2f} ms{verdict}")
    return [Timing(name=f"TTFT error at {streams} streams, every request", seconds=tuple(errors))]


def ttft_errors_s(level: LevelResult, stamps: list[list[float]]) -> list[float]:
    """Probe's TTFT less the server's, request by request: each answer is found by the order of its first event.

    The level's clock begins at an unknown point of the machine's; requests and answers are paired by their rank in time, from the
    last one backwards, because the calibration and the warm-up stand before the level.
    """
    served = sorted(stamps, key=lambda answer: answer[1])[-len(level.requests) :]
    asked = sorted(level.requests, key=lambda request: request.first_content_s)
    return [request.ttft_s - (answer[1] - answer[0]) for request, answer in zip(asked, served, strict=True)]


if __name__ == "__main__":
    main()
