"""The start: each room and the heavy packages, imported in a fresh interpreter; and the dashboard until it answers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from dashboard.__main__ import free_port
from tests.bench.timing import Timing, timed

ROOT = Path(__file__).resolve().parents[2]
MODULES = ["numpy", "pandas", "streamlit", "workloads.demand", "pricing.tco", "capacity.plan", "selector.recommendation"]


def main() -> list[Timing]:
    """Imports three times each, the dashboard twice."""
    imports = [
        timed(f"import {module} (fresh interpreter)", lambda module=module: fresh(f"import {module}"), times=3) for module in MODULES
    ]
    return [
        timed("start an interpreter", lambda: fresh("pass"), times=3),
        *imports,
        timed("dashboard until healthy, and its end", serve, times=2),
    ]


def fresh(code: str) -> None:
    """Run a line of Python in an interpreter of its own."""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def serve() -> None:
    """Start the dashboard without a build, wait until it is healthy, stop it."""
    port = free_port(18600)
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | {"RIGHTSIZE_DATA_DIR": folder}
        command = [sys.executable, "-m", "dashboard", "--no-build", "--port", str(port)]
        server = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not healthy(port):
                if server.poll() is not None:
                    raise RuntimeError(f"the dashboard ended with exit code {server.returncode}")
                time.sleep(0.05)
        finally:
            server.terminate()
            server.wait()


def healthy(port: int) -> bool:
    """The server at a loopback port says that it is up."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False
