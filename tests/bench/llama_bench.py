"""The probe beside llama-bench of the same llama.cpp: interleaved rounds on one file, and the interval of their median ratio.

LLAMA_BENCH is the path of the llama-bench program; without it nothing is run. The file is LLAMA_BENCH_MODEL (a GGUF, or a model of the
catalogue, of which LLAMA_BENCH_LAYERS may keep a few layers), the lengths LLAMA_BENCH_PROMPT and LLAMA_BENCH_OUTPUT, the rounds
LLAMA_BENCH_ROUNDS, the threads LLAMA_BENCH_THREADS; a length of 0 leaves that test out, so that more rounds of the other fit. With
LLAMA_BENCH_REALTIME=1 both programs run in the real-time class, which pushes other work aside (not out of the caches). Only on an idle
machine does the answer mean much; it says how noisy the machine was.
LLAMA_BENCH_KEEP is a file that keeps every round, and those of earlier runs on the same file and lengths count too, so that the rounds
may be run in pieces of LLAMA_BENCH_SECONDS each.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from capacity.models import model
from capacity.tensors import tensor_plan
from probes import environment, timing
from probes.measurement import LlamaCppSettings
from probes.runner import ProbeJob, ProbeRequest
from probes.synthetic import synthesize
from tests.bench.timing import Timing

LIMITS = {"pp": (0.97, 1.03), "tg": (0.98, 1.02)}
"""What the 95 % interval of the median ratio must lie in."""
REPETITIONS = 2


@dataclass(kw_only=True)
class Pairs:
    """One test, both programs.

    ours, theirs: tokens/s of each round
    """

    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [one / other for one, other in zip(self.ours, self.theirs, strict=True)]


def main() -> list[Timing]:
    """At least twenty rounds, the order turned round each time; prints a verdict per test."""
    program = os.environ.get("LLAMA_BENCH")
    if not program:
        print(f"{'':29}  LLAMA_BENCH is not set: llama-bench is not compared")
        return []
    rounds = int(os.environ.get("LLAMA_BENCH_ROUNDS", "20"))
    lengths = {"pp": int(os.environ.get("LLAMA_BENCH_PROMPT", "512")), "tg": int(os.environ.get("LLAMA_BENCH_OUTPUT", "128"))}
    pairs = {name: Pairs() for name, length in lengths.items() if length}
    if os.environ.get("LLAMA_BENCH_REALTIME"):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # both programs inherit it
    threads = int(os.environ.get("LLAMA_BENCH_THREADS", environment.default_threads()))
    seconds: list[float] = []
    ends = time.monotonic() + float(os.environ.get("LLAMA_BENCH_SECONDS", "86400"))
    before = environment.processor_times()
    with tempfile.TemporaryDirectory() as folder:
        file = the_file(Path(folder))
        kept = Kept(f"{file.name} {lengths} {threads} threads, {REPETITIONS} repetitions")
        for own, other in kept.rounds:
            add(pairs, own, other)
        for number in range(len(kept.rounds), rounds):
            if time.monotonic() > ends:
                break
            started = time.perf_counter()
            turns = [lambda: ours(file, lengths, threads), lambda: theirs(program, file, lengths, threads)]
            found = [turn() for turn in (turns if number % 2 == 0 else turns[::-1])]
            own, other = found if number % 2 == 0 else found[::-1]
            add(pairs, own, other)
            kept.keep(own, other)
            seconds.append(time.perf_counter() - started)
        size_gb = file.stat().st_size / 1e9
    own_s = sum(seconds) * threads  # both programs together used about this much processor time
    during = environment.contention_between(before, environment.processor_times(), own_s)
    done = max(len(pair.ours) for pair in pairs.values())
    if not done:
        print("no round was run: raise LLAMA_BENCH_SECONDS")
        return []
    print(f"{file.name}, {size_gb:.2f} GB, {threads} threads, {done} rounds of {REPETITIONS}; idle {during.idle_share:.0%}")
    for name, pair in pairs.items():
        print(f"{name}{lengths[name]}: {verdict(name, pair)}")
    return [Timing(name=f"a round of both programs on {file.name}", seconds=tuple(seconds))] if seconds else []


def add(pairs: dict[str, Pairs], own: dict[str, float], other: dict[str, float]) -> None:
    """One more round of each test."""
    for name, pair in pairs.items():
        pair.ours.append(own[name])
        pair.theirs.append(other[name])


class Kept:
    """The rounds of earlier runs of the same comparison, where LLAMA_BENCH_KEEP names a file."""

    def __init__(self, what: str) -> None:
        self._what, self._path = what, os.environ.get("LLAMA_BENCH_KEEP")
        lines = Path(self._path).read_text().splitlines() if self._path and Path(self._path).is_file() else []
        rows = [json.loads(line) for line in lines]
        self.rounds = [(row["ours"], row["theirs"]) for row in rows if row["what"] == what]

    def keep(self, own: dict[str, float], other: dict[str, float]) -> None:
        """Write one round down."""
        if self._path:
            with Path(self._path).open("a") as file:
                file.write(json.dumps({"what": self._what, "ours": own, "theirs": other}) + "\n")


def verdict(name: str, pair: Pairs) -> str:
    """Whether the interval of the median ratio lies in its limits, lies outside, or is too wide to tell."""
    low, high = LIMITS[name]
    interval = timing.median_interval(pair.ratios)
    spread = ", ".join(
        f"{who} {timing.median(rates):.2f} tokens/s, CV {timing.variation_share(rates):.1%}"
        for who, rates in (("probe", pair.ours), ("llama-bench", pair.theirs))
    )
    text = f"ratio {interval.centre:.3f}, 95 % interval {interval.low:.3f} to {interval.high:.3f} against {low} to {high} ({spread})"
    if low <= interval.low and interval.high <= high:
        return f"agrees: {text}"
    if interval.high < low or interval.low > high:
        return f"differs: {text}"
    return f"undecided, the noise is wider than the limits: {text}"


def the_file(folder: Path) -> Path:
    """The user's GGUF, or random weights at the shape of a model of the catalogue."""
    wanted = os.environ.get("LLAMA_BENCH_MODEL", "qwen3-0.6b")
    if wanted.endswith(".gguf"):
        return Path(wanted).absolute()
    shape, layers = model(wanted), os.environ.get("LLAMA_BENCH_LAYERS")
    if layers:
        shape = shape.model_copy(update={"layers": int(layers), "id": f"{shape.id}-{layers}-layers"})
    return synthesize(tensor_plan(shape, "Q4_K_M"), folder).path


def ours(file: Path, lengths: dict[str, int], threads: int) -> dict[str, float]:
    """Tokens/s by the probe, in its child process; lengths are never shortened and repetitions never saved."""
    settings = LlamaCppSettings(
        prompt_tokens=lengths["pp"],
        output_tokens=lengths["tg"],
        threads=threads,
        seconds=86_400,
        repetitions=REPETITIONS,
        interval_share=1e-9,
    )
    request = ProbeRequest(settings=settings, models_dir=file.parent, file=file, watch_s=0.0, wait=True)
    job = ProbeJob.start(request, created=datetime.now(UTC))
    job.wait()
    if job.result is None:
        raise RuntimeError(job.message)
    return {test.name[:2]: test.median for test in job.result.tests}


def theirs(program: str, file: Path, lengths: dict[str, int], threads: int) -> dict[str, float]:
    """Tokens/s by llama-bench."""
    options = ["-p", str(lengths["pp"]), "-n", str(lengths["tg"]), "-r", str(REPETITIONS), "-t", str(threads), "-o", "json"]
    told = subprocess.run([program, "-m", str(file), *options], check=True, capture_output=True, text=True).stdout
    return {"pp" if row["n_prompt"] else "tg": timing.median(row["samples_ts"]) for row in json.loads(told)}
