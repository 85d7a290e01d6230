"""The decision: with every draw, and for many workloads without; and the memory it takes at most."""

from __future__ import annotations

import resource
from datetime import date
from itertools import islice, product

from selector.catalog import Catalog, load_catalog
from selector.recommendation import conclude, consider, recommend
from selector.scenarios import Scenario, scenario_of
from selector.sensitivity import DRAWS, doubt, simulate
from tests.bench.timing import Timing, timed

DAY = date(2026, 11, 22)
WORKLOADS = 1_000
KB_PER_MB = 1_000.0 / 1.024


def main() -> list[Timing]:
    """One decision with and without draws, everything that the page shows of its doubt, and a thousand different workloads."""
    scenario = scenario_of({"tokens_per_day": 50e6, "complexity": "extraction", "labelled_examples": 20_000}, "the benchmark")
    catalog = load_catalog(DAY, scenario.prices)
    considered = consider(scenario, catalog)
    many = scenarios(WORKLOADS)
    timings = [
        timed("one decision without draws", lambda: recommend(scenario, catalog), times=11),
        timed(f"one decision with {DRAWS:,} draws", lambda: (conclude(found := consider(scenario, catalog)), simulate(found)), times=11),
        timed("all of its doubt: draws, tornado, flips, break-even, paths", lambda: doubt(considered), times=4),
        timed(f"{WORKLOADS:,} different workloads without draws", lambda: decide_all(many, catalog), times=1),
    ]
    return [*timings, Timing(name=f"peak memory of this process so far: {peak_mb():,.0f} MB", seconds=(0.0,))]


def decide_all(many: list[Scenario], catalog: Catalog) -> None:
    """Decide one after another, keeping none."""
    for one in many:
        recommend(one, catalog)


def scenarios(count: int) -> list[Scenario]:
    """Workloads of different volumes, lengths, tasks, labels and limits, no two the same."""
    tasks = ("extraction", "classification", "qa", "generation", "reasoning")
    labels = (0, 800, 20_000)
    volumes = (1e3, 2e4, 3e5, 4e6)
    inputs = tuple(200.0 + 173.0 * step for step in range(9))
    outputs = (40.0, 250.0)
    chosen = islice(product(inputs, outputs, volumes, labels, tasks), count)
    return [
        scenario_of(
            {
                "requests_per_day": requests + place,
                "input_tokens_mean": tokens_in,
                "output_tokens_mean": tokens_out,
                "complexity": task,
                "labelled_examples": labelled,
                "horizon_months": 12,
            },
            "the benchmark",
        )
        for place, (tokens_in, tokens_out, requests, labelled, task) in enumerate(chosen)
    ]


def peak_mb() -> float:
    """The most memory this process has held, in MB of 10^6 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KB_PER_MB
