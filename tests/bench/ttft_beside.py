"""The endpoint probe beside guidellm on one loop-back server, in turn: whose time to first token is nearer to the server's own stamps.

GUIDELLM is the path of the guidellm program (0.8 or later); without it nothing is run. BESIDE_STREAMS is the load (64), BESIDE_ROUNDS the
rounds (3), BESIDE_SECONDS the length of each, BESIDE_PROCESSES the processes of the probe (2 at 64 streams, as it would choose itself).
The server writes into the first event when it read the request and when the event left, so each client's answers carry the truth.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from probes.caller import Budget, Manner, full_allowance
from probes.load import Level, LevelPlan
from probes.loopback import MODEL, LoopbackServer
from probes.measurement import EndpointSettings
from probes.stream import open_client
from probes.timing import quantile
from tests.bench.timing import Timing
from tests.bench.ttft import Keeping

TTFT_S, GAP_S, TOKENS, PROMPT_WORDS = 0.05, 0.02, 16, 32
FIRST = re.compile(r"B([\d.]+)S([\d.]+)E")
ROOT = Path(__file__).resolve().parents[2]


class Telling(LoopbackServer):
    """A server whose first text says when the request was read and when the text left, so that a client's own log carries both."""

    def text(self, began: float, now: float, number: int) -> str:
        return f"B{began:.6f}S{now:.6f}E" if number == 0 else "word "


def main() -> list[Timing]:
    """Each round both, the order turned round each time; prints p50 and p99 of each and who is nearer."""
    program = os.environ.get("GUIDELLM")
    if not program:
        print(f"{'':29}  GUIDELLM is not set: guidellm is not compared")
        return []
    streams, rounds = int(os.environ.get("BESIDE_STREAMS", "64")), int(os.environ.get("BESIDE_ROUNDS", "3"))
    seconds = float(os.environ.get("BESIDE_SECONDS", "8"))
    errors: dict[str, list[float]] = {"probe": [], "guidellm": []}
    with telling_server() as url:
        for number in range(rounds):
            turns = [("probe", lambda: ours(url, streams, seconds)), ("guidellm", lambda: theirs(program, url, streams, seconds))]
            for name, turn in turns if number % 2 == 0 else turns[::-1]:
                found = turn()
                errors[name] += found
                print(f"round {number + 1}, {name}: {len(found)} requests, {in_words(found)}", flush=True)
    ours_p99, theirs_p99 = (quantile(errors[name], 0.99) for name in ("probe", "guidellm"))
    verdict = "not worse" if ours_p99 <= theirs_p99 else "worse"
    print(
        f"{streams} streams, all rounds: probe {in_words(errors['probe'])}; guidellm {in_words(errors['guidellm'])}: the probe is {verdict}"
    )
    return [Timing(name=f"TTFT error of {name} at {streams} streams", seconds=tuple(sorted(found))) for name, found in errors.items()]


def in_words(errors_s: list[float]) -> str:
    return f"TTFT error p50 {quantile(errors_s, 0.5) * 1000:.2f} ms, p99 {quantile(errors_s, 0.99) * 1000:.2f} ms"


@contextmanager
def telling_server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.ttft_beside", "serve"], cwd=ROOT, stdin=-1, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.communicate()


def ours(url: str, streams: int, seconds: float) -> list[float]:
    """Errors in seconds, by so many processes of the probe's own level."""
    parts = int(os.environ.get("BESIDE_PROCESSES", "2" if streams >= 32 else "1"))
    share = [streams // parts + (part < streams % parts) for part in range(parts)]
    command = [sys.executable, "-m", "tests.bench.ttft_beside", "ask", url, str(seconds)]
    children = [subprocess.Popen([*command, str(count)], cwd=ROOT, stdout=subprocess.PIPE) for count in share]
    return [error for child in children for error in json.loads(child.communicate()[0])]


def theirs(program: str, url: str, streams: int, seconds: float) -> list[float]:
    """Errors in seconds of guidellm's own time_to_first_token_ms, its first answers of each stream left out as ours are."""
    with tempfile.TemporaryDirectory() as folder:
        prompts, report = Path(folder) / "prompts.jsonl", Path(folder) / "report.json"
        rows = ({"prompt": f"{number} " * PROMPT_WORDS, "output_tokens_count": TOKENS} for number in range(20_000))
        prompts.write_text("\n".join(json.dumps(row) for row in rows))
        backend = {"kind": "openai_http", "target": url.removesuffix("/v1"), "model": MODEL, "http2": False, "validate_backend": False}
        options = {
            "--backend": backend | {"max_tokens": TOKENS},
            "--profile": {"kind": "concurrent", "streams": [streams]},
            "--constraint": {"kind": "max_duration", "seconds": seconds},
            "--data": {"kind": "json_file", "path": str(prompts)},
            "--output": {"kind": "json", "path": str(report)},
        }
        command = [program, "run", "--disable-console", *(part for name, value in options.items() for part in (name, json.dumps(value)))]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"HF_HUB_OFFLINE": "1"})
        if not report.is_file():
            raise RuntimeError(f"guidellm wrote no report: {ended.stderr[-800:]}")
        requests = json.loads(report.read_text())["benchmarks"][0]["requests"]["successful"]
    found = []
    for request in sorted(requests, key=lambda one: one["request_start_time"])[streams:]:
        stamps = FIRST.search(request["output"] or "")
        if stamps:
            found.append(request["time_to_first_token_ms"] / 1000 - (float(stamps[2]) - float(stamps[1])))
    return found


async def asked(url: str, seconds: float, streams: int) -> list[float]:
    settings = EndpointSettings(url=url, max_requests=1_000_000, max_tokens=1_000_000_000)
    plan = LevelPlan(name="x", hold_s=seconds, input_tokens=PROMPT_WORDS, output_tokens=TOKENS, concurrency=streams)
    async with open_client(url, key=None, timeout_s=60.0) as client:
        caller = Keeping(Manner(url=url, model=MODEL, extras=("include_usage",)), client, os.getpid())
        await Level(caller, plan, Budget(full_allowance(settings)), cancel=threading.Event()).run()
    found = []
    for stream in sorted(caller.streams, key=lambda one: one.timing().sent_s)[streams:]:
        stamps = FIRST.search(b"".join(piece for _, piece in stream.raw).decode())
        if stamps:
            found.append(stream.timing().ttft_s - (float(stamps[2]) - float(stamps[1])))
    return found


async def serve() -> None:
    server = Telling(ttft_s=TTFT_S, gap_s=GAP_S)
    print(await server.listen(), flush=True)
    while True:
        await asyncio.sleep(3600)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve())
    else:
        time.sleep(0.2)  # so that all parts begin together
        print(json.dumps(asyncio.run(asked(sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))))
