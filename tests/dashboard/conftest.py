"""The browser of the page tests: Debian's Chromium, started once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

WAIT_MS = 60_000


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        args = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=args)
        yield opened
        opened.close()
