"""python -m tests.soak.gap_gate [--tables N]: false passes and power of the gap gate by simulation, against the published table."""

from __future__ import annotations

import sys
import time

import numpy as np
from scipy import stats

from selector.case_scores import CaseScores, scores_from_csv
from selector.gap_gate import gate
from selector.paired import nam_z, tango_z

BASELINE, DISCORDANT = 0.80, 0.20
SIZES = (50, 100, 200, 400, 800)
POWER = {
    (50, -0.02): 0.10, (50, 0.0): 0.19, (50, 0.02): 0.27,
    (100, -0.02): 0.16, (100, 0.0): 0.28, (100, 0.02): 0.44,
    (200, -0.02): 0.22, (200, 0.0): 0.47, (200, 0.02): 0.71,
    (400, -0.02): 0.37, (400, 0.0): 0.72, (400, 0.02): 0.93,
    (800, -0.02): 0.61, (800, 0.0): 0.94, (800, 0.02): 1.00,
}  # fmt: skip
"""Items and true gap: published power at five points, baseline 0.80, 20 % of the items differing."""
RELATIVE_POWER = {100: 0.24, 200: 0.37, 400: 0.58, 800: 0.83, 1600: 0.98}
"""Items: published power at equal quality, five percent of the baseline."""
FALSE_PASSES_AT_MOST = 0.06
POWER_WITHIN = 0.03


def drawn(n: int, *, gap: float, tables: int, seed: int) -> np.ndarray:
    """Tables of (both, option only, baseline only, neither) for a true gap, one per row."""
    gained, lost = (DISCORDANT + gap) / 2, (DISCORDANT - gap) / 2
    both = BASELINE - lost
    return np.random.default_rng(seed).multinomial(n, [both, gained, lost, 1 - both - gained - lost], size=tables)


def pass_share_absolute(n: int, *, gap: float, tables: int, seed: int) -> float:
    """Share of simulated tests that pass five points by Tango's score test."""
    found = drawn(n, gap=gap, tables=tables, seed=seed)
    return float((tango_z(found[:, 1], found[:, 2], n, -0.05) > stats.norm.isf(0.05)).mean())


def pass_share_relative(n: int, *, gap: float, tables: int, seed: int) -> float:
    """Share of simulated tests that pass five percent of the baseline: the t-test on z = s - 0.95 r and Nam-Blackwelder's score test."""
    found = drawn(n, gap=gap, tables=tables, seed=seed)
    return float(relative_passes(found, n).mean())


def relative_passes(found: np.ndarray, n: int) -> np.ndarray:
    """The relative gate on many tables at once, from the counts: z is 0.05, 1, -0.95 or 0."""
    both, option_only, baseline_only = found[:, 0], found[:, 1], found[:, 2]
    mean = (0.05 * both + option_only - 0.95 * baseline_only) / n
    square = (0.05**2 * both + option_only + 0.95**2 * baseline_only) / n
    error = np.sqrt(np.maximum(square - mean**2, 0.0) / (n - 1))
    student = mean > stats.t.isf(0.05, n - 1) * error
    return student & (nam_z(both, option_only, baseline_only, n, 0.95) > stats.norm.isf(0.05))


def main(tables: int = 20_000) -> list[str]:
    """Print every share and give back the sentences of what is off."""
    wrong = []
    for n in SIZES:
        on_margin = pass_share_absolute(n, gap=-0.05, tables=tables, seed=n)
        relative = pass_share_relative(n, gap=-0.04, tables=tables, seed=n)
        print(f"n {n:5}: on the margin passes {on_margin:.1%} (five points), {relative:.1%} (five percent)", flush=True)
        for what, share in (("five points", on_margin), ("five percent", relative)):
            if share > FALSE_PASSES_AT_MOST:
                wrong.append(f"{share:.1%} false passes of {what} at {n} items, above {FALSE_PASSES_AT_MOST:.0%}")
    for (n, gap), published in POWER.items():
        share = pass_share_absolute(n, gap=gap, tables=tables, seed=n + 1)
        print(f"n {n:5}, gap {gap:+.0%}: passes {share:.1%}, published {published:.0%}", flush=True)
        if abs(share - published) > POWER_WITHIN:
            wrong.append(f"power {share:.1%} at {n} items and a gap of {gap:+.0%}, published {published:.0%}")
    for n, published in RELATIVE_POWER.items():
        share = pass_share_relative(n, gap=0.0, tables=tables, seed=n + 2)
        print(f"n {n:5}, five percent: passes {share:.1%}, published {published:.0%}", flush=True)
        if abs(share - published) > POWER_WITHIN:
            wrong.append(f"relative power {share:.1%} at {n} items, published {published:.0%}")
    started = time.perf_counter()
    print(f"{gate(a_million_cases()).n:,} cases read and gated in {time.perf_counter() - started:.1f} s")
    return wrong


def a_million_cases() -> CaseScores:
    """A million cases, read from CSV text."""
    chance = np.random.default_rng(0)
    baseline = chance.random(1_000_000) < BASELINE
    option = baseline ^ (chance.random(1_000_000) < 0.02)
    rows = "\n".join(f"q{item},{one:d},{two:d}" for item, (one, two) in enumerate(zip(baseline, option, strict=True)))
    return scores_from_csv("item,baseline,candidate\n" + rows)


if __name__ == "__main__":
    found = main(int(sys.argv[2]) if sys.argv[1:2] == ["--tables"] else 20_000)
    for sentence in found:
        print(f"error: {sentence}", file=sys.stderr)
    sys.exit(1 if found else 0)
