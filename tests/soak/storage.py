"""Nothing that was acknowledged is lost: `kill -9` at random moments while scenarios are saved and logs imported, on both engines.

`python -m tests.soak.storage --rounds 100`; the tests run three rounds of it. A worker prints a line after each thing is kept; once it
is killed, everything that it printed must be there, whole, the database must open, and a log counts whole or not at all.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facts.settings import Settings
from selector.history import scenario_versions
from selector.store import list_scenarios
from tests.postgres_server import postgres_server, programs
from workloads.store import list_workloads
from workloads.trace_summary import workload_of
from workloads.traces import summarize

ROOT = Path(__file__).resolve().parents[2]
LOG_ROWS = 4_000
WORKER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from facts.settings import Settings
from selector.scenarios import scenario_of
from selector.store import save_scenario
from workloads.store import save_workload
from workloads.trace_summary import workload_of
from workloads.traces import summarize

url, folder, name, log = sys.argv[1:]
settings = Settings(data_dir=Path(folder), database_url=url)
now = datetime(2026, 11, 22, tzinfo=UTC)
print("ready", flush=True)
turn = 0
while True:
    turn += 1
    given = scenario_of({"name": name, "tokens_per_day": 1e6 + turn, "complexity": "qa"}, "the soak")
    saved = save_scenario(settings, given, created=now, who="x" * 5_000)
    print(f"scenario {saved.name} {saved.version} {1e6 + turn}", flush=True)
    if turn % 5 == 0:
        kept = save_workload(settings, workload_of(summarize(Path(log)), name=f"{name} log {turn}"), created=now)
        print(f"log {kept}", flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What became of one worker that was killed.

    acknowledged: things it had said were kept
    errors: what of them is not there, or not whole
    """

    acknowledged: int
    errors: tuple[str, ...]


def soak(settings: Settings, rounds: int, seed: int) -> Iterator[Round]:
    """Kill a worker at a random moment, look, and go on with the same database."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        log = _log(Path(folder) / "log.csv")
        for number in range(rounds):
            yield _killed(settings, f"round {seed} {number}", log, chance.uniform(0.0, 1.5))


def _killed(settings: Settings, name: str, log: Path, seconds: float) -> Round:
    command = [sys.executable, "-c", WORKER, settings.database_url, str(settings.data_dir), name, str(log)]
    worker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    worker.stdout.readline()
    time.sleep(seconds)
    worker.kill()
    said, wrong = worker.communicate()
    lines = [line for line in said.split("\n")[:-1] if line]  # a line that was cut acknowledges nothing
    errors = [f"the worker ended by itself: {wrong.strip().splitlines()[-1]}"] if worker.returncode != -9 else []
    return Round(acknowledged=len(lines), errors=(*errors, *_missing(settings, name, log, lines)))


def _missing(settings: Settings, name: str, log: Path, lines: list[str]) -> list[str]:
    """Every acknowledged thing that is not there, and everything there that is not whole."""
    errors = []
    versions = {}
    if any(saved.name == name for saved in list_scenarios(settings)):
        versions = {saved.version: saved.scenario.workload.tokens_per_day for saved in scenario_versions(settings, name)}
    if sorted(versions) != list(range(1, len(versions) + 1)):
        errors.append(f"{name}: versions {sorted(versions)} have a gap")
    logs = {saved.id: saved.workload for saved in list_workloads(settings)}
    whole = workload_of(summarize(log)).model_dump(exclude={"name"})
    for line in lines:
        kind, *rest = line.split(" ")
        if kind == "scenario" and versions.get(int(rest[-2])) != float(rest[-1]):
            errors.append(f"acknowledged and not there: {line}")
        if kind == "log" and (rest[0] not in logs or logs[rest[0]].model_dump(exclude={"name"}) != whole):
            errors.append(f"acknowledged and not there, or not whole: {line}")
    errors += [f"half a log: {found.name}" for found in logs.values() if found.model_dump(exclude={"name"}) != whole]
    return errors


def _log(path: Path) -> Path:
    lines = [
        f"2026-11-01 {number // 3600:02}:{number // 60 % 60:02}:{number % 60:02},{100 + number % 7},{10 + number % 5}"
        for number in range(LOG_ROWS)
    ]
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@contextmanager
def engines() -> Iterator[dict[str, Settings]]:
    """An empty database of each kind; PostgreSQL only where its programs are."""
    with tempfile.TemporaryDirectory() as folder:
        found = {"SQLite": Settings(data_dir=Path(folder), database_url=f"sqlite:///{folder}/r.sqlite3")}
        if programs() is None:
            yield found
            return
        with postgres_server(durable=True) as url:
            yield found | {"PostgreSQL": Settings(data_dir=Path(folder), database_url=url)}


def main() -> int:
    """Soak both engines, tell, judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.storage")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = False
    with engines() as found:
        for name, settings in found.items():
            rounds = list(soak(settings, options.rounds, options.seed))
            errors = [error for one in rounds for error in one.errors]
            kept = sum(one.acknowledged for one in rounds)
            print(f"{name}: killed {len(rounds)} times, {kept:,} acknowledged, {len(errors)} lost or broken", flush=True)
            for error in errors[:10]:
                print(f"error: {error}", file=sys.stderr)
            failed = failed or bool(errors)
    if len(found) == 1:
        print("PostgreSQL was not tried: no server programs on this machine")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
