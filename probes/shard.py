"""A level in several processes, when one client would be the bottleneck: each asks with its part of the load.

A child reads one ShardRequest per line on standard input and answers with progress and, last, what it heard. When its input
closes it stops asking, says what it has and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from facts.errors import InputError
from facts.records import Fact
from probes.caller import Allowance, Budget, Caller, Manner
from probes.load import Heard, Level, LevelPlan, LevelProgress
from probes.stream import open_client

START_S = 0.1
"""Between telling the processes and the first request, so that all begin together."""
ANSWER_LIMIT_BYTES = 1 << 30
ROOT = Path(__file__).resolve().parent.parent


class ShardRequest(Fact):
    """What one process is to do."""

    manner: Manner
    """How the server is asked."""
    plan: LevelPlan
    """Its part of the level."""
    allowance: Allowance
    """Its part of what may be sent."""
    seed: int
    """Of its prompts."""
    zero: float
    """Start of the level on the machine's monotonic clock."""


class Said(Fact):
    """A line of a process: how far it is, or what it heard."""

    requests: int = 0
    """Done so far."""
    errors: int = 0
    """Of them failed."""
    output_tokens_per_s: float = 0.0
    """So far."""
    elapsed_s: float = 0.0
    """In the level."""
    expected_s: float = 0.0
    """How long the level is to last."""
    heard: Heard | None = None
    """Everything, on the last line of a level."""


class Shards:
    """Some processes that ask; made once, used for several levels."""

    def __init__(self, count: int, key_variable: str, key: str | None) -> None:
        self.count = count
        self._environ = {**os.environ, **({key_variable: key} if key else {})}
        self._key_variable = key_variable
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Shards:
        for _ in range(self.count):
            self._processes.append(
                await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "probes.shard",
                    self._key_variable,
                    cwd=ROOT,
                    env=self._environ,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    limit=ANSWER_LIMIT_BYTES,
                )
            )
        for process in self._processes:
            assert process.stdout is not None
            if not await process.stdout.readline():
                raise InputError("a second process of the client did not start: measure with --processes 1")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def run(
        self,
        manner: Manner,
        plan: LevelPlan,
        allowance: Allowance,
        seed: int,
        cancel: threading.Event,
        report: Callable[[LevelProgress], None],
    ) -> list[Heard]:
        """The level, a part in each process."""
        zero = time.perf_counter() + START_S
        for part, process in enumerate(self._processes):
            request = ShardRequest(
                manner=manner,
                plan=plan.share(part, self.count),
                allowance=allowance.share(part, self.count),
                seed=seed * self.count + part,
                zero=zero,
            )
            assert process.stdin is not None
            process.stdin.write(request.model_dump_json().encode() + b"\n")
            await process.stdin.drain()
        latest: dict[int, Said] = {}
        watcher = asyncio.create_task(self._pass_cancel_on(cancel))
        try:
            return await asyncio.gather(
                *(self._listen(part, process, latest, plan.name, report) for part, process in enumerate(self._processes))
            )
        finally:
            watcher.cancel()

    async def _pass_cancel_on(self, cancel: threading.Event) -> None:
        while not cancel.is_set():
            await asyncio.sleep(0.1)
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()

    async def _listen(
        self, part: int, process: asyncio.subprocess.Process, latest: dict[int, Said], name: str, report: Callable[[LevelProgress], None]
    ) -> Heard:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            said = Said.model_validate_json(line)
            if said.heard is not None:
                return said.heard
            latest[part] = said
            report(
                LevelProgress(
                    name=name,
                    requests=sum(entry.requests for entry in latest.values()),
                    errors=sum(entry.errors for entry in latest.values()),
                    output_tokens_per_s=sum(entry.output_tokens_per_s for entry in latest.values()),
                    elapsed_s=said.elapsed_s,
                    expected_s=said.expected_s,
                )
            )
        raise InputError(f"a process of the client ended in the level {name}: measure with --processes 1")


# ---- the process itself ----


def main() -> int:
    """Serve levels until the input closes."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    cancel = threading.Event()
    threading.Thread(target=_read_lines, args=(lines, cancel), daemon=True).start()
    key = os.environ.get(sys.argv[1]) if len(sys.argv) > 1 else None
    _say(Said())
    while line := lines.get():
        heard = asyncio.run(_level(ShardRequest.model_validate_json(line), key, cancel))
        _say(Said(heard=heard))
    return 0


async def _level(request: ShardRequest, key: str | None, cancel: threading.Event) -> Heard:
    manner = request.manner
    async with open_client(manner.url, key=key, timeout_s=manner.timeout_s) as client:
        caller, budget = Caller(manner, client, request.seed), Budget(request.allowance)
        return await Level(caller, request.plan, budget, cancel=cancel, report=_tell, zero=request.zero).run()


def _tell(now: LevelProgress) -> None:
    _say(
        Said(
            requests=now.requests,
            errors=now.errors,
            output_tokens_per_s=now.output_tokens_per_s,
            elapsed_s=now.elapsed_s,
            expected_s=now.expected_s,
        )
    )


def _say(said: Said) -> None:
    sys.stdout.write(said.model_dump_json() + "\n")
    sys.stdout.flush()


def _read_lines(lines: queue.SimpleQueue[bytes], cancel: threading.Event) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    cancel.set()
    lines.put(b"")


if __name__ == "__main__":
    sys.exit(main())
