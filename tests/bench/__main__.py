"""python -m tests.bench [NAME ...]: run the benchmarks of that name, or all, and print a table."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_BENCHMARKS = {"__init__", "__main__", "small_model", "timing"}


def names() -> list[str]:
    """Every benchmark module of this folder."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_BENCHMARKS)


def run(chosen: list[str]) -> int:
    """Run them one after another, a line each as it comes."""
    unknown = sorted(set(chosen) - set(names()))
    if unknown:
        sys.stderr.write(f"error: no benchmark '{unknown[0]}', there are {', '.join(names())}\n")
        return 2
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; times in seconds, the median and slowest without the first")
    print(f"{'first':>9} {'median':>9} {'slowest':>9}")
    for name in chosen or names():
        for timing in importlib.import_module(f"tests.bench.{name}").main():
            print(f"{timing.first_s:9.4f} {timing.median_s:9.4f} {timing.slowest_s:9.4f}  {timing.name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
