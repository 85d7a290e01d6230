"""A thousand workloads as one portfolio: verdicts, totals and pools, without draws."""

from __future__ import annotations

from selector.catalog import load_catalog
from selector.portfolio import decide_all
from selector.scenarios import Scenario, renamed, scenario_of
from tests.bench.decision import DAY, scenarios
from tests.bench.timing import Timing, timed

WORKLOADS = 1_000


def main() -> list[Timing]:
    """Workloads of all kinds, and as many that may only run on servers of their own, where nearly all share one."""
    catalog = load_catalog(DAY)
    mixed = [renamed(one, f"workload {place}") for place, one in enumerate(scenarios(WORKLOADS))]
    return [
        timed(f"portfolio of {WORKLOADS:,} different workloads", lambda: decide_all(mixed, lambda one: catalog), times=1),
        timed(
            f"portfolio of {WORKLOADS:,} workloads on premises",
            lambda: decide_all(at_home(), lambda one: catalog),
            times=1,
        ),
    ]


def at_home() -> list[Scenario]:
    """Workloads whose data may not leave."""
    return [
        scenario_of(
            {
                "name": f"workload {place}",
                "tokens_per_day": 1e6 + 5e4 * place,
                "complexity": "extraction",
                "labelled_examples": 20_000,
                "residency": "on_prem",
            },
            "the benchmark",
        )
        for place in range(WORKLOADS)
    ]
