"""Every dashboard test has a data folder of its own, and no cache of another test."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RIGHTSIZE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("RIGHTSIZE_INTAKE_TOKEN", raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()
    return tmp_path / "data"
