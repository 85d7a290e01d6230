"""The command line, run in this process: a child for every call would cost a second each."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from facts.commandline import run
from pricing.__main__ import app

Answer = tuple[int, str, str]


@pytest.fixture
def pricing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path) -> Callable[..., Answer]:
    """`python -m pricing WORDS` with a data folder of its own -> exit code, stdout, stderr."""
    monkeypatch.setenv("RIGHTSIZE_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def command(*words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["pricing", *words])
        with pytest.raises(SystemExit) as ended:
            run(app)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return command
