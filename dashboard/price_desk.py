"""One price refresh at a time, in the background, for every session of this server; it changes nothing before somebody accepts it."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import date, datetime

import streamlit as st

from facts.errors import InputError
from facts.settings import Settings, settings
from pricing.prices import PriceRow
from pricing.refresh import Agreement, Feed, PriceDiff, Proposal, agreement, check_acceptable, diff, propose
from pricing.store import get_snapshot, newest_snapshot, prices_in_use, save_snapshot

LOG = logging.getLogger(__name__)
BUSY = "a price list is being fetched already: wait for it, then look at what it would change"


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """How a fetch ended.

    feed: whose list
    proposal: what it would change, None where there is nothing newer or it failed
    snapshot_id: of the list that waits to be accepted, "" where there is none
    agreements: how many prices in use a second source agrees with, for a feed that is a second opinion only
    failed: why it failed, in a sentence, or ""
    """

    feed: Feed
    proposal: Proposal | None = None
    snapshot_id: str = ""
    agreements: tuple[tuple[Agreement, int], ...] = ()
    failed: str = ""


class PriceDesk:
    """Fetches a list when asked, and holds it until it is accepted or put away."""

    def __init__(self, environment: Settings) -> None:
        self.environment = environment
        self.fetching: Feed | None = None
        self.fetched: Fetched | None = None
        self._lock = threading.Lock()

    def fetch(self, feed: Feed, now: datetime) -> None:
        """Begin to fetch; InputError while another fetch runs."""
        with self._lock:
            if self.fetching is not None:
                raise InputError(BUSY)
            self.fetching, self.fetched = feed, None
        threading.Thread(target=self._run, args=(feed, now), name="price-fetch", daemon=True).start()

    def accept(self, *, confirmed: bool, now: datetime) -> None:
        """Use the list that waits from its day on; InputError says why it may not be used, and nothing has changed then."""
        waiting = self.fetched
        if waiting is None or not waiting.snapshot_id:
            raise InputError("no price list waits to be accepted: fetch one first")
        snapshot = get_snapshot(self.environment, waiting.snapshot_id)
        difference = diff(compared(self.environment, snapshot.rows, waiting.feed, now.date()), snapshot.rows)
        check_acceptable(snapshot, difference, confirmed=confirmed)
        save_snapshot(self.environment, snapshot, created=now, accepted=True)
        self.fetched = None

    def put_away(self) -> None:
        """The list that waits is not used; it stays in the database as fetched and not accepted."""
        self.fetched = None

    def _run(self, feed: Feed, now: datetime) -> None:
        try:
            found = _fetched(self.environment, feed, now)
        except InputError as error:
            found = Fetched(feed=feed, failed=str(error))
        except Exception:  # a mistake of the program must not leave the desk busy for ever
            LOG.exception("a price fetch failed")
            found = Fetched(feed=feed, failed="the list could not be fetched because of a mistake in the program: the prices in use stay")
        with self._lock:
            self.fetched, self.fetching = found, None


@st.cache_resource(show_spinner=False)
def price_desk() -> PriceDesk:
    """The server's desk."""
    return PriceDesk(settings())


def compared(environment: Settings, rows: tuple[PriceRow, ...], feed: Feed, as_of: date) -> tuple[PriceRow, ...]:
    """The prices in use that a list speaks of: all of them, or for one seller's list those of its own providers."""
    providers = {row.provider for row in rows}
    return tuple(row for row in prices_in_use(environment, as_of) if feed is Feed.GENAI_PRICES or row.provider in providers)


def changes(found: PriceDiff) -> tuple[tuple[str, str, str, str], ...]:
    """(model, before, after, note) of every price that moves, far moves of vendors' own prices first; USD per million tokens, in and out.

    A change of cached, batch or tiered rates alone is not among them.
    """
    far = {change.id for change in found.to_confirm}
    ordered = sorted(
        (change for change in found.changed if change.factor > 1.0),
        key=lambda change: (change.id not in far, not change.first_party, -change.factor, change.id),
    )
    return tuple(
        (
            change.id,
            f"{change.before[0]:g} in, {change.before[1]:g} out",
            f"{change.after[0]:g} in, {change.after[1]:g} out",
            _note(change.id in far, change.first_party, change.factor),
        )
        for change in ordered
    )


# ---- below: how ----


def _fetched(environment: Settings, feed: Feed, now: datetime) -> Fetched:
    in_use = prices_in_use(environment, now.date())
    kept = newest_snapshot(environment, feed.value)
    proposal = propose(feed, now.date(), current=in_use, etag=kept[1].etag if kept else "")
    if proposal is None:
        return Fetched(feed=feed)
    if feed is Feed.LITELLM:
        second = {row.id: row for row in proposal.snapshot.rows}
        found = [agreement(row, second) for row in in_use]
        return Fetched(feed=feed, proposal=proposal, agreements=tuple((kind, found.count(kind)) for kind in Agreement))
    snapshot_id = save_snapshot(environment, proposal.snapshot, created=now, accepted=False)
    return Fetched(feed=feed, proposal=proposal, snapshot_id=snapshot_id)


def _note(far: bool, first_party: bool, factor: float) -> str:
    whose = "vendor's own price" if first_party else "another seller's price"
    return f"{whose}, {factor:.3g} times" + (": look at it" if far else "")
