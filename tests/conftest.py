"""Which tests this machine can run: one that cannot is skipped with its reason, and fails where CI=true says all must run."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("rightsize", deadline=None)  # a law holds on a slow machine too: nothing is judged by time
hypothesis.settings.load_profile("rightsize")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, missing in (("browser", missing_browser), ("probe", missing_probe), ("shared", missing_shared)):
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
