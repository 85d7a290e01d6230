"""python -m dashboard: the pages at a loopback port, and beside them the build of llama-cpp-python. `make run` calls it."""

from __future__ import annotations

import ctypes
import ipaddress
import json
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
from facts.settings import Settings, settings
from probes.build import attend

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "127.0.0.1"
ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 -- named, not bound
PORTS_TRIED = 100

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port on the loopback address; when it is taken, the next free one.")] = 8501,
    build: Annotated[bool, typer.Option("--build/--no-build", help="Build llama-cpp-python once the dashboard is healthy.")] = True,
    address: Annotated[str, typer.Option(help="Address to listen at. Another than loopback needs RIGHTSIZE_SIGN_IN.")] = ADDRESS,
    stop_with_parent: Annotated[
        bool, typer.Option("--stop-with-parent", help="End when the process that started it ends (Linux).")
    ] = False,
) -> None:
    """Open the dashboard."""
    if stop_with_parent:
        end_with_parent()
    environment = settings()
    check_address(address, environment)
    found = free_port(port, address)
    url = f"http://{ADDRESS if address in ANY_ADDRESS else address}:{found}"
    os.environ.update(server_settings(environment))
    print(f"Port {port} is taken, so " * (found != port) + f"Rightsize is at {url} (Ctrl-C stops it)", flush=True)
    if build:
        attend(url)
    os.chdir(ROOT)  # where .streamlit/config.toml is
    try:
        streamlit(["run", "app.py", "--server.port", str(found), "--server.address", address], standalone_mode=False)
    except Abort:  # Ctrl-C
        print("\nRightsize has stopped.")


def check_address(address: str, environment: Settings) -> None:
    """InputError where the pages would be open to the network without anyone being asked who they are."""
    try:
        inside = ipaddress.ip_address(address).is_loopback
    except ValueError:
        raise InputError(f"address {address!r} is no IP address: choose 127.0.0.1, or 0.0.0.0 behind a proxy") from None
    if not inside and not environment.sign_in:
        raise InputError(
            f"address {address} is open to the network: set RIGHTSIZE_SIGN_IN=oidc or header first, "
            "or RIGHTSIZE_SIGN_IN=none where the network keeps others out"
        )
    if environment.sign_in == "header" and not environment.trusted_proxies:
        raise InputError("RIGHTSIZE_SIGN_IN=header needs the proxy's address: set RIGHTSIZE_TRUSTED_PROXIES=127.0.0.1 or the like")


def server_settings(environment: Settings) -> dict[str, str]:
    """What Streamlit and its server must know, as variables of the environment.

    The server leaves the peer's address as it is: `dashboard.middleware` decides by it whose word counts.
    """
    said = {"FORWARDED_ALLOW_IPS": ""}
    if environment.sign_in == "header":
        said["STREAMLIT_SERVER_TRUSTED_USER_HEADERS"] = json.dumps({environment.user_header: "email"})
    return said


def free_port(first: int, address: str = ADDRESS) -> int:
    """The first port from `first` on that nobody listens at."""
    if not 1024 <= first <= 65535:
        raise InputError(f"port {first} is outside 1024 to 65535: choose one with PORT=8501")
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
            try:
                probe.bind((address, port))
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
