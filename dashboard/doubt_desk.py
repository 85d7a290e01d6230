"""The doubt of a decision, computed beside the pages: a page asks, shows what it has, and draws the rest when it is there."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from facts.errors import InputError

if TYPE_CHECKING:
    from selector.catalog import Catalog
    from selector.results import Recommendation
    from selector.sensitivity import Doubt, Staircase

LOG = logging.getLogger(__name__)
PAUSE_S: Final = 0.4
"""From asking to beginning: the page that asked is drawn first, and a slider on its way is not followed."""
KEPT: Final = 64
"""Decisions whose doubt is kept: some 100 kB each."""
LOW_FACTOR, HIGH_FACTOR = 0.02, 10.0


@dataclass(frozen=True, kw_only=True)
class Doubted:
    """What came of it.

    doubt: bands, what moves the saving, what flips the verdict, price paths; None where it could not be computed
    staircase: cost against volume, likewise
    problem: why it could not be computed, or ""
    """

    doubt: Doubt | None = None
    staircase: Staircase | None = None
    problem: str = ""


class DoubtDesk:
    """Computes one doubt after the other, so that pages keep the rest of the machine; keeps the last ones.

    `run` is where: in the thread that waits for it, or in a process beside the pages.
    Who asks again before the answer is there gives up what was asked before, unless it is being computed already.
    """

    def __init__(self, kept: int = KEPT, pause_s: float = PAUSE_S, run: Callable[[Callable[[], Doubted]], Doubted] | None = None) -> None:
        self._kept, self._pause_s, self._run = kept, pause_s, run or _here
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="doubt")
        self._asked: OrderedDict[Hashable, Future[Doubted | None]] = OrderedDict()
        self._latest: OrderedDict[str, Hashable] = OrderedDict()

    def ask(self, key: Hashable, compute: Callable[[], Doubted], *, who: str = "") -> Doubted | None:
        """The answer where it is there, else None: then it is under way."""
        future = self._future(key, compute, who, self._pause_s)
        return future.result() if future.done() and not future.cancelled() else None

    def wait(self, key: Hashable, compute: Callable[[], Doubted], *, who: str = "") -> Doubted:
        """The answer, waited for."""
        return self._future(key, compute, who, 0.0).result() or compute()

    def _future(self, key: Hashable, compute: Callable[[], Doubted], who: str, pause_s: float) -> Future[Doubted | None]:
        with self._lock:
            before = self._latest.pop(who, key)
            self._latest[who] = key
            if before not in self._latest.values() and before in self._asked and self._asked[before].cancel():
                del self._asked[before]
            future = self._asked.pop(key, None)
            if future is None or _given_up(future):
                future = self._worker.submit(self._computed, key, compute, time.monotonic() + pause_s)
            self._asked[key] = future
            while len(self._asked) > self._kept and next(iter(self._asked.values())).done():
                self._asked.popitem(last=False)
            while len(self._latest) > 4 * self._kept:
                self._latest.popitem(last=False)
            return future

    def _computed(self, key: Hashable, compute: Callable[[], Doubted], begin_s: float) -> Doubted | None:
        """In the worker: the answer; None where nobody wants it any more when its time has come."""
        time.sleep(max(0.0, begin_s - time.monotonic()))
        with self._lock:
            wanted = key in self._latest.values()
        return self._run(compute) if wanted else None


def _here(compute: Callable[[], Doubted]) -> Doubted:
    return compute()


def _given_up(future: Future[Doubted | None]) -> bool:
    return future.cancelled() or (future.done() and future.exception() is None and future.result() is None)


def widened(recommendation: Recommendation, catalog: Catalog, found: Doubt) -> Doubted:
    """A doubt with the numbers for which the decision is made anew: lengths, cached share, labels."""
    from selector.recommendation import consider
    from selector.sensitivity import widened as wider

    try:
        return Doubted(doubt=wider(consider(recommendation.scenario, catalog), found))
    except InputError as error:
        return Doubted(doubt=found, problem=str(error))
    except Exception:
        LOG.exception("the doubt of a decision could not be widened")
        return Doubted(doubt=found, problem="What other lengths would change could not be computed; the server's log says more.")


def doubted(recommendation: Recommendation, catalog: Catalog) -> Doubted:
    """The doubt of a decision and the cost of its options against volume; what fails is a sentence and a line in the log."""
    from dashboard.doubt_charts import stair_ids
    from selector.recommendation import consider
    from selector.sensitivity import doubt, staircase

    try:
        considered = consider(recommendation.scenario, catalog)
        found = doubt(considered)
        stairs = staircase(considered, stair_ids(recommendation, found), low_factor=LOW_FACTOR, high_factor=HIGH_FACTOR)
    except InputError as error:
        return Doubted(problem=str(error))
    except Exception:
        LOG.exception("the doubt of a decision could not be computed")
        return Doubted(problem="The doubt could not be computed because of a mistake in the program; the server's log says more.")
    return Doubted(doubt=found, staircase=stairs)
