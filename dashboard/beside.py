"""A child process in which the doubt of a decision is computed: the pages keep their interpreter, another core has the work."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final, TypeVar

LOG = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")
POLITENESS: Final = 5
"""Of the child to the pages, as `nice` counts it."""
ORPHAN_S: Final = 2.0
"""How often the child looks whether its parent is still there."""


class Beside:
    """Runs one piece of work after the other in a child process; what cannot travel there, or where it died, is run here."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False

    def run(self, work: Callable[[], ResultT]) -> ResultT:
        """What the work gives, waited for."""
        pool = self._opened()
        if pool is None:
            return work()
        try:
            return pool.submit(work).result()
        except (BrokenProcessPool, pickle.PicklingError, AttributeError, TypeError, RuntimeError) as error:
            LOG.warning("the process beside the pages could not do its work, so it is done in theirs: %s", error)
            with self._guard:
                if self._closed:
                    raise
                if isinstance(error, BrokenProcessPool) and self._pool is pool:
                    self._pool = None  # the next work gets a new child
            return work()

    def close(self) -> None:
        """End the child, in the middle of its work if need be."""
        with self._guard:
            pool, self._pool, self._closed = self._pool, None, True
        if pool is not None:
            children = list((pool._processes or {}).values())  # Python 3.14 has kill_workers(); before, nothing public ends them
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.terminate()

    def _opened(self) -> ProcessPoolExecutor | None:
        with self._guard:
            if self._pool is None and not self._closed:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(os.getpid(),))
            return self._pool


def warm() -> None:
    """In the child: what takes seconds to import."""
    import dashboard.doubt_charts  # noqa: F401 -- its import is the point
    import selector.sensitivity  # noqa: F401 -- likewise


def _begin(parent: int) -> None:
    """In the child: behind the pages, and gone with them."""
    os.nice(POLITENESS)
    threading.Thread(target=_leave_with, args=(parent,), name="parent-watch", daemon=True).start()


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHAN_S)
    os._exit(0)
