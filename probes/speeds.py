"""What this machine's memory and cores do, measured for a few seconds in a child process: copies, and a matrix product.

`python -m probes.speeds SECONDS THREADS` prints one JSON object. Copies need nothing but Python; the matrix product needs numpy
and is left out without it.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from facts.units import BYTES_PER_GB
from probes import environment
from probes.measurement import Environment
from probes.timing import median

BUFFER_BYTES = 64 * 1024 * 1024
"""Of each thread's source and target: larger than a core's share of any cache."""
ROUNDS = 5
MATRIX = 1024
CHILD_LIMIT_S = 60.0
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """Measured speeds.

    copy_gb_per_s: bytes read and written by copies of all threads together, median of five rounds
    matrix_gflops: float32 matrix product, median of five rounds; None without numpy
    """

    copy_gb_per_s: float | None
    matrix_gflops: float | None


def measure_speeds(seconds: float = 2.0) -> Speeds:
    """Both speeds with the usable physical cores, in a child; None for what it could not measure."""
    threads = environment.default_threads()
    room = environment.usable_memory_bytes() // 4 // (2 * BUFFER_BYTES)
    try:
        ended = subprocess.run(  # noqa: S603 - a module of this package with two numbers
            [sys.executable, "-m", "probes.speeds", str(seconds), str(max(1, min(threads, room)))],
            cwd=ROOT,
            capture_output=True,
            timeout=CHILD_LIMIT_S + seconds,
            check=True,
        )
        found = json.loads(ended.stdout)
        return Speeds(copy_gb_per_s=found["copy_gb_per_s"], matrix_gflops=found["matrix_gflops"])
    except (subprocess.SubprocessError, OSError, ValueError, KeyError):
        return Speeds(copy_gb_per_s=None, matrix_gflops=None)


def with_speeds(machine: Environment, speeds: Speeds) -> Environment:
    """The machine's facts with its measured speeds."""
    copy, matrix = speeds.copy_gb_per_s, speeds.matrix_gflops
    return machine.model_copy(
        update={
            "copy_gb_per_s": None if copy is None else round(copy, 2),
            "matrix_gflops": None if matrix is None else round(matrix, 1),
        }
    )


# ---- in the child ----


def copy_gb_per_s(seconds: float, threads: int, buffer_bytes: int = BUFFER_BYTES) -> float:
    """Median over the rounds of 2 x bytes copied / time: each byte is read once and written once (STREAM's Copy)."""
    workers = [_Copier(buffer_bytes) for _ in range(threads)]
    return median([_copy_round(workers, seconds / ROUNDS) for _ in range(ROUNDS)]) / BYTES_PER_GB


class _Copier:
    """A source, a target and how often one was copied to the other; copies run outside the interpreter's lock."""

    def __init__(self, size: int) -> None:
        self.size, self.copies = size, 0
        self._source, self._target = ctypes.create_string_buffer(size), ctypes.create_string_buffer(size)
        ctypes.memset(self._source, 1, size)
        ctypes.memset(self._target, 2, size)

    def run(self, until: float) -> None:
        self.copies = 0
        while time.perf_counter() < until:
            ctypes.memmove(self._target, self._source, self.size)
            self.copies += 1


def _copy_round(workers: list[_Copier], seconds: float) -> float:
    begun = time.perf_counter()
    threads = [threading.Thread(target=worker.run, args=(begun + seconds,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(2.0 * worker.size * worker.copies for worker in workers) / (time.perf_counter() - begun)


def matrix_gflops(seconds: float, size: int = MATRIX) -> float | None:
    """Median over at least five products of 2 n^3 / time, float32, with the threads that numpy's library takes."""
    if importlib.util.find_spec("numpy") is None:
        return None
    numpy = importlib.import_module("numpy")
    left = numpy.full((size, size), 0.5, dtype=numpy.float32)
    left @ left  # the first product starts the threads
    rates: list[float] = []
    end = time.perf_counter() + seconds
    while len(rates) < ROUNDS or time.perf_counter() < end:
        begun = time.perf_counter()
        left @ left
        rates.append(2.0 * size**3 / (time.perf_counter() - begun) / 1e9)
    return median(rates)


if __name__ == "__main__":
    budget, count = float(sys.argv[1]), int(sys.argv[2])
    sys.stdout.write(json.dumps({"copy_gb_per_s": copy_gb_per_s(budget / 2, count), "matrix_gflops": matrix_gflops(budget / 2)}))
