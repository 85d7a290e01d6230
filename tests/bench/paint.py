"""The first paint in a real browser: from the address to the verdict, in a new context each time, so that nothing is cached."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.timing import Timing
from tests.dashboard.served import served

TIMES = 6
AIM_S = 4.0


def main() -> list[Timing]:
    """Decide opened by a browser that was never there; nothing where no Chromium is."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stdout.write("    no Chromium on the PATH (Debian, Ubuntu: sudo apt-get install chromium)\n")
        return []
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    seconds, whole = [], []
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), first_port=18_720) as dashboard, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=args)
        for _ in range(TIMES):
            context = browser.new_context(viewport={"width": 1366, "height": 900})
            page = context.new_page()
            start = time.perf_counter()
            page.goto(dashboard.url)
            page.wait_for_selector(".st-key-verdict h3")
            seconds.append(time.perf_counter() - start)
            page.wait_for_selector("[data-testid=stPlotlyChart] svg.main-svg")
            whole.append(time.perf_counter() - start)
            context.close()
        browser.close()
    sys.stdout.write(f"    verdict in the browser: slowest {max(seconds):.2f} s of {TIMES} (aim {AIM_S:g})\n")
    return [
        Timing(name="browser: address to verdict", seconds=tuple(seconds)),
        Timing(name="browser: address to first chart", seconds=tuple(whole)),
    ]
