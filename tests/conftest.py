"""Which tests this machine can run: one that cannot is skipped with its reason, and fails where CI=true says all must run."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from facts.settings import Settings
from tests.postgres_server import new_database, postgres_server, programs

hypothesis.settings.register_profile("rightsize", deadline=None)  # a law holds on a slow machine too: nothing is judged by time
hypothesis.settings.load_profile("rightsize")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, missing in CHECKS.items():
        if item.get_closest_marker(marker) and (reason := missing()):
            if os.environ.get("CI") == "true":
                pytest.fail(f"{reason}; with CI=true every test must run", pytrace=False)
            pytest.skip(reason)


def missing_browser() -> str:
    """Why a browser test cannot run here, or ''."""
    return "" if shutil.which("chromium") else "no Chromium on the PATH (Debian, Ubuntu: sudo apt-get install chromium)"


def missing_probe() -> str:
    """Why a test that loads llama.cpp cannot run here, or ''."""
    if importlib.util.find_spec("llama_cpp"):
        return ""
    from probes.build import build_state

    state = build_state()
    return " ".join(f"llama-cpp-python is not installed: {state.message} {state.remedy}".split())


def missing_shared() -> str:
    """Why a test that reads the shared data folder cannot run here, or ''."""
    return "" if (SHARED / "data").is_dir() else "the project's shared data folder ../shared is not beside this checkout"


def missing_postgres() -> str:
    """Why a test that needs a PostgreSQL server cannot run here, or ''."""
    if programs() is None:
        return "no PostgreSQL server programs (Debian, Ubuntu: sudo apt-get install postgresql)"
    return "" if importlib.util.find_spec("psycopg") else "psycopg is not installed (pip install 'rightsize[postgres]')"


CHECKS = {"browser": missing_browser, "probe": missing_probe, "shared": missing_shared, "postgres": missing_postgres}


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a server that this run has started for itself."""
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with an empty database of their own, on either engine."""
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path / "data", database_url=f"sqlite:///{tmp_path / 'data' / 'r.sqlite3'}")
    url = new_database(request.getfixturevalue("postgres"), f"test_{next(_NUMBERS)}")
    return Settings(data_dir=tmp_path / "data", database_url=url)


_NUMBERS = itertools.count(1)
