"""Many people at once: first draw, one change at a time, and 100 open sessions with a change each every 20 s; memory per session.

It drives the real server through Streamlit's agent API, without a browser: the times are the server's own, from request to finished page.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from tests.bench.timing import Timing
from tests.dashboard.served import Served, served

SESSIONS = int(os.environ.get("BENCH_SESSIONS", "100"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
EVERY_S = 20.0
CHANGES = 40


def main() -> list[Timing]:
    """First draws, single changes, then the crowd; p95 and memory are printed beside the table."""
    room = {"STREAMLIT_SERVER_AGENT_MAX_SESSIONS": str(SESSIONS + 20), "STREAMLIT_SERVER_AGENT_WAIT_TIMEOUT": "120"}
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), first_port=18_700, agent=True, **room) as dashboard:
        first = [timed(dashboard, {})[0] for _ in range(5)]
        alone = one_after_another(dashboard)
        before = memory_mb(dashboard)
        crowd, opened = together(dashboard)
        after = memory_mb(dashboard)
    say(f"a change alone: p50 {share(alone, 0.5):.3f} s, p95 {share(alone, 0.95):.3f} s (aim 0.25)")
    say(f"{SESSIONS} sessions, a change each {EVERY_S:.0f} s: p50 {share(crowd, 0.5):.3f} s, p95 {share(crowd, 0.95):.3f} s (aim 1.0)")
    say(f"memory: {before:.0f} MB before, {after:.0f} MB with {opened} more sessions: {(after - before) / opened:.2f} MB each")
    return [
        Timing(name="first draw of a session", seconds=tuple(first)),
        Timing(name="one change, one session", seconds=tuple(alone)),
        Timing(name=f"one change, {SESSIONS} sessions", seconds=tuple(crowd)),
    ]


def one_after_another(dashboard: Served) -> list[float]:
    """A slider moved again and again, each time to a value that was not seen before."""
    _, document = timed(dashboard, {})
    session = document["session_id"]
    found = []
    for number in range(CHANGES):
        took, _ = timed(dashboard, {"session_id": session, "widget_state": {"mtok_per_day": 10.0 + number}})
        found.append(took)
        time.sleep(0.5)  # as long as a hand rests between two steps
    return found


def together(dashboard: Served) -> tuple[list[float], int]:
    """Every session changes an input at its own moment of each 20 s; their values differ, so no cache answers for another."""
    found: list[float] = []
    guard = threading.Lock()
    sessions = [timed(dashboard, {})[1]["session_id"] for _ in range(SESSIONS)]
    start = time.monotonic()

    def one(number: int) -> None:
        session, chance = sessions[number], random.Random(number)
        begin = start + chance.random() * EVERY_S
        for turn in range(ROUNDS):
            time.sleep(max(0.0, begin + turn * EVERY_S - time.monotonic()))
            value = 1.0 + number + turn / 10.0
            took, _ = timed(dashboard, {"session_id": session, "widget_state": {"mtok_per_day": value}})
            with guard:
                found.append(took)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(found) < SESSIONS * ROUNDS:
        raise RuntimeError(f"only {len(found)} of {SESSIONS * ROUNDS} changes were answered: see above")
    return found, SESSIONS


def timed(dashboard: Served, request: dict[str, object]) -> tuple[float, dict[str, object]]:
    """Seconds from the request to the finished page."""
    start = time.perf_counter()
    document = dashboard.interact(request)
    if document.get("status") != "ready":
        raise RuntimeError(f"the server answered {str(document)[:300]}")
    return time.perf_counter() - start, document


def memory_mb(dashboard: Served) -> float:
    """Resident memory of the server and its children."""
    server = psutil.Process(dashboard.process.pid)
    return sum(process.memory_info().rss for process in [server, *server.children(recursive=True)]) / 1e6


def share(times_s: list[float], at: float) -> float:
    """The time that this share of all stays below."""
    ordered = sorted(times_s)
    return ordered[min(len(ordered) - 1, int(at * len(ordered)))]


def say(line: str) -> None:
    """Beside the table."""
    sys.stdout.write(f"    {line}\n")
    sys.stdout.flush()
