"""python -m tests.soak.probe_endings: end probes fifty times in every way a probe can end, and endpoint probes by cancel and time-out.

The tests themselves do it three times each; this runs the same ones for longer. Exit code 1 when one fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = "50"
CHOSEN = "whatever_ends_the_child or cancel_keeps or time_limit_ends or processes_end"


def main() -> int:
    """Run the endings with SOAK_ROUNDS, fifty unless it is set."""
    environ = {"SOAK_ROUNDS": ROUNDS} | dict(os.environ)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/probes", "-k", CHOSEN]
    return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
