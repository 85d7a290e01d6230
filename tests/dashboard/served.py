"""The dashboard as a process of its own, at a free loopback port, with a data folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.__main__ import free_port

ROOT = Path(__file__).resolve().parents[2]
TAKEN_AWAY = ("DATABASE_URL", "RIGHTSIZE_INTAKE_TOKEN", "RIGHTSIZE_SIGN_IN", "RIGHTSIZE_TRUSTED_PROXIES", "RIGHTSIZE_ALLOWED_USERS")


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running dashboard.

    url: its address
    process: the server
    log: what it wrote
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def interact(self, request: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        """One step of Streamlit's agent API: the page as JSON, drawn by the real app without a browser."""
        sent = urllib.request.Request(
            f"{self.url}/_stcore/agent/interact",
            data=json.dumps(request).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        try:
            with urllib.request.urlopen(sent, timeout=120) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{error.code}: {error.read().decode()[:500]}") from None
        return found


@contextmanager
def served(folder: Path, *, first_port: int = 18_600, agent: bool = False, **environ: str) -> Iterator[Served]:
    """Start `python -m dashboard`, wait until it is healthy, and stop it."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port(first_port)
    known = {name: value for name, value in os.environ.items() if name not in TAKEN_AWAY}
    known |= {"RIGHTSIZE_DATA_DIR": str(folder / "data"), **environ}
    if agent:
        known["STREAMLIT_SERVER_ENABLE_AGENT_API"] = "true"
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "dashboard", "--no-build", "--stop-with-parent", "--port", str(port)],
            cwd=ROOT,
            env=known,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    found = Served(url=f"http://127.0.0.1:{port}", process=process, log=log)
    try:
        for _ in range(480):
            if answers(f"{found.url}/healthz"):
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.25)
        yield found
    finally:
        process.terminate()
        process.wait(60)


def answers(url: str) -> bool:
    """Whether the address answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def texts(document: Any) -> str:
    """Every text in a page's JSON."""
    if isinstance(document, dict):
        return " ".join(texts(value) for value in document.values())
    if isinstance(document, list):
        return " ".join(texts(value) for value in document)
    return document if isinstance(document, str) else ""
