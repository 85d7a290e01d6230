"""A PostgreSQL server of our own: in a temporary folder, at a Unix socket in it, as a user that is not root, gone afterwards."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
"""The user that owns nothing; PostgreSQL refuses to run as root."""
STOP_S = 60


def programs() -> Path | None:
    """Folder of `initdb` and `postgres`, None where there is none: Debian keeps them off the PATH, by version."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda path: float(path.split("/")[4]))
    on_path = shutil.which("postgres")
    return Path(found[-1]).parent if found else Path(on_path).resolve().parent if on_path else None


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[str]:
    """Start a server and give the address of its database `rightsize`; `durable` waits for the disk, which tests need not."""
    folder = programs()
    assert folder is not None, "no PostgreSQL server programs"
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        home = Path(name)
        as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if as_user:
            os.chown(home, NOBODY, NOBODY)
        made = [folder / "initdb", "-D", home / "data", "-U", "rightsize", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        options = {"cwd": home, "env": {"PATH": os.environ["PATH"], "LANG": "C"}, "stdin": subprocess.DEVNULL, **as_user}
        subprocess.run([*made, "--no-sync"], check=True, capture_output=True, **options)
        speed = [] if durable else ["-c", "fsync=off", "-c", "synchronous_commit=off"]
        command = [folder / "postgres", "-D", home / "data", "-k", home, "-h", "", "-c", "max_connections=100", *speed]
        with (home / "log").open("w") as log:
            server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **options)
            try:
                _wait(server, home)
                yield _created(home, "rightsize")
            finally:
                server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown: open sessions are ended
                server.wait(STOP_S)


def new_database(server_url: str, name: str) -> str:
    """Another, empty database of the same server: its address."""
    home = Path(server_url.partition("host=")[2])
    return _created(home, name)


def _created(home: Path, name: str) -> str:
    import psycopg

    with psycopg.connect(f"host={home} user=rightsize dbname=postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"postgresql://rightsize@/{name}?host={home}"


def _wait(server: subprocess.Popen, home: Path) -> None:
    import psycopg

    for _ in range(600):
        if server.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended with exit code {server.returncode}: {(home / 'log').read_text()}")
        try:
            psycopg.connect(f"host={home} user=rightsize dbname=postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise RuntimeError("PostgreSQL did not answer within 30 s")
