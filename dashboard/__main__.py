"""python -m dashboard: the pages at a loopback port, and beside them the build of llama-cpp-python. `make run` calls it."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
from click import Abort
from streamlit.web.cli import main as streamlit

from facts import commandline
from facts.errors import InputError
from probes.build import attend

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "127.0.0.1"
PORTS_TRIED = 100

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port on the loopback address; when it is taken, the next free one.")] = 8501,
    build: Annotated[bool, typer.Option("--build/--no-build", help="Build llama-cpp-python once the dashboard is healthy.")] = True,
    stop_with_parent: Annotated[
        bool, typer.Option("--stop-with-parent", help="End when the process that started it ends (Linux).")
    ] = False,
) -> None:
    """Open the dashboard."""
    if stop_with_parent:
        end_with_parent()
    found = free_port(port)
    url = f"http://{ADDRESS}:{found}"
    print(f"Port {port} is taken, so " * (found != port) + f"Rightsize is at {url} (Ctrl-C stops it)", flush=True)
    if build:
        attend(url)
    os.chdir(ROOT)  # where .streamlit/config.toml is
    try:
        streamlit(["run", "app.py", "--server.port", str(found), "--server.address", ADDRESS], standalone_mode=False)
    except Abort:  # Ctrl-C
        print("\nRightsize has stopped.")


def free_port(first: int) -> int:
    """The first port from `first` on that nobody listens at."""
    if not 1024 <= first <= 65535:
        raise InputError(f"port {first} is outside 1024 to 65535: choose one with PORT=8501")
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                continue
            return port
    raise InputError(f"ports {first} to {port} are all taken: choose another with PORT={port + 1}")


def end_with_parent() -> None:
    """Ask Linux for SIGTERM when the parent dies. Elsewhere nothing happens."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


if __name__ == "__main__":
    commandline.run(app)
