"""python -m tests.soak --minutes 10: sessions on a running dashboard, one after another, each with inputs of its own on every page.

It talks to the server through Streamlit's agent API, so no browser is needed: the same script runs, the same caches fill.
Exit code 1 when a page raised, when the server ended, or when memory still grows in the second half.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from dashboard.__main__ import free_port

ROOT = Path(__file__).resolve().parents[2]
VOLUMES_MTOK_PER_DAY = (0.5, 5000.0)
GROWTH_ALLOWED_SHARE = 0.25
"""Memory at the end over memory at half time, less 1: caches are bounded and full by then."""


@dataclass(kw_only=True)
class Tally:
    """What happened so far.

    sessions: opened
    seconds: of each request
    memory_bytes: (share of the time gone, resident memory of the server) after each session
    errors: one line each
    """

    sessions: int = 0
    seconds: list[float] = field(default_factory=list)
    memory_bytes: list[tuple[float, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def half_time_bytes(self) -> int:
        """Largest memory in the middle tenth of the time."""
        middle = [amount for share, amount in self.memory_bytes if 0.45 <= share <= 0.55]
        return max(middle or [self.memory_bytes[len(self.memory_bytes) // 2][1]])

    @property
    def growth_share(self) -> float:
        """How much the memory grew in the second half."""
        return self.memory_bytes[-1][1] / self.half_time_bytes - 1


def soak(minutes: float, seed: int) -> Tally:
    """Use a dashboard of our own for so long."""
    tally, chance = Tally(), random.Random(seed)
    port = free_port(18700)
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "server.log").open("w+") as log:
        environ = os.environ | {"RIGHTSIZE_DATA_DIR": folder, "STREAMLIT_SERVER_ENABLE_AGENT_API": "true"}
        command = [sys.executable, "-m", "dashboard", "--no-build", "--port", str(port)]
        server = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/_stcore", timeout=120) as client:
                wait_until_healthy(client, server)
                use(client, server, tally, chance, seconds=minutes * 60)
        finally:
            server.terminate()
            server.wait()
        log.seek(0)
        tally.errors += [f"server log: {line.strip()}" for line in log if "Traceback" in line or " ERROR " in line]
    return tally


def use(client: httpx.Client, server: subprocess.Popen[bytes], tally: Tally, chance: random.Random, *, seconds: float) -> None:
    """Session after session until the time is up."""
    start = time.monotonic()
    while (gone := time.monotonic() - start) < seconds:
        if server.poll() is not None:
            tally.errors.append(f"the server ended with exit code {server.returncode}")
            return
        session(client, tally, chance)
        tally.memory_bytes.append((gone / seconds, psutil.Process(server.pid).memory_info().rss))


def session(client: httpx.Client, tally: Tally, chance: random.Random) -> None:
    """One visitor: the first page, a volume and a kind of task of their own, then every other page."""
    tally.sessions += 1
    opened = ask(client, tally, {})
    if not opened:
        return
    visitor = {"session_id": opened["session_id"]}
    volume = round(chance.uniform(*VOLUMES_MTOK_PER_DAY), 1)
    ask(client, tally, visitor | {"widget_state": {"mtok_per_day": volume}})
    for page in opened["pages"][1:]:
        ask(client, tally, visitor | {"page": page["url_path"]})


def ask(client: httpx.Client, tally: Tally, request: dict) -> dict:
    """One request, timed; {} when it was answered by an error."""
    start = time.perf_counter()
    answer = client.post("/agent/interact", json=request)
    tally.seconds.append(time.perf_counter() - start)
    document = answer.json()
    if answer.status_code != 200 or document.get("status") != "ready":
        tally.errors.append(f"{request}: {answer.status_code} {str(document.get('error') or document.get('status'))[:200]}")
        return {}
    return document


def wait_until_healthy(client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    """Until the health check answers."""
    while server.poll() is None:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the dashboard ended with exit code {server.returncode} before it was healthy")


def main() -> int:
    """Soak, tell, judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tally = soak(options.minutes, options.seed)
    slow = sorted(tally.seconds)[int(0.95 * (len(tally.seconds) - 1))]
    print(f"{tally.sessions} sessions, {len(tally.seconds)} requests: median {statistics.median(tally.seconds):.2f} s, p95 {slow:.2f} s")
    if tally.memory_bytes:
        first, half, last = tally.memory_bytes[0][1], tally.half_time_bytes, tally.memory_bytes[-1][1]
        print(f"memory {first / 1e6:.0f} MB after the first session, {half / 1e6:.0f} MB at half time, {last / 1e6:.0f} MB at the end")
    for error in tally.errors[:20]:
        print(f"error: {error}", file=sys.stderr)
    if tally.memory_bytes and tally.growth_share > GROWTH_ALLOWED_SHARE:
        print(f"error: memory grew by {tally.growth_share:.0%} in the second half, {GROWTH_ALLOWED_SHARE:.0%} is allowed", file=sys.stderr)
        return 1
    return 1 if tally.errors else 0


if __name__ == "__main__":
    sys.exit(main())
