"""Keeps decisions in the database beside the page: the scenario was saved before, and the page need not wait for the rest."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from typing import TYPE_CHECKING, Final

from facts.errors import InputError
from facts.settings import Settings

if TYPE_CHECKING:
    from selector.results import Recommendation

LOG = logging.getLogger(__name__)
PAUSE_S: Final = 0.3
"""From asking to writing: the page that asked is drawn first."""
NOT_KEPT: Final = "This decision is not kept: the database cannot be written."


class Keeper:
    """Writes one decision after the other in one thread, in the order they were made.

    problem: why the last one could not be written, or ""
    """

    def __init__(self, pause_s: float = PAUSE_S) -> None:
        self.problem = ""
        self._pause_s = pause_s
        self._hurry = threading.Event()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")
        self._pending: set[Future[None]] = set()

    def keep(self, environment: Settings, recommendation: Recommendation, *, created: datetime, inputs: str) -> None:
        """Write this decision soon."""
        future = self._writer.submit(self._write, environment, recommendation, created, inputs)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)

    def settle(self, timeout_s: float | None = None) -> None:
        """Wait until all that was asked for is written: for whoever reads decisions, and at the end."""
        self._hurry.set()
        try:
            wait(set(self._pending), timeout_s)
        finally:
            self._hurry.clear()

    def _write(self, environment: Settings, recommendation: Recommendation, created: datetime, inputs: str) -> None:
        from selector.store import save_decision

        self._hurry.wait(self._pause_s)
        try:
            save_decision(environment, recommendation, created=created, inputs=inputs)
            self.problem = ""
        except InputError as error:
            LOG.warning("not kept: %s", error)
            self.problem = NOT_KEPT
        except Exception:
            LOG.exception("a decision could not be kept")
            self.problem = NOT_KEPT
