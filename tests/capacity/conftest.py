"""Where the shared data folder would be; tests that use it carry the marker `shared`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def shared_data() -> Path:
    return Path(__file__).resolve().parents[3] / "shared" / "data"
