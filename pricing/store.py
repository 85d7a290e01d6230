"""Live prices that were fetched, and which of them the user has accepted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from sqlmodel import Field, SQLModel, col, select

from facts.errors import InputError
from facts.records import read_json
from facts.settings import Settings
from pricing.prices import PriceRow, PriceSnapshot, rows_sha256, wheel_rows
from workloads.store import session, utc_text


class PriceSnapshotRow(SQLModel, table=True):
    """A fetched price list."""

    __tablename__ = "price_snapshot"

    id: str = Field(primary_key=True)
    created: str
    as_of: str
    feed: str
    accepted: bool
    document: str


OLDEST_FIRST = (col(PriceSnapshotRow.as_of), col(PriceSnapshotRow.created), col(PriceSnapshotRow.id))


@dataclass(frozen=True, kw_only=True)
class AcceptedList:
    """A fetched price list that was accepted.

    id: of the list
    feed: where it came from
    as_of: the day it was fetched, from which on it counts
    created: when it was first kept, ISO 8601 in UTC
    """

    id: str
    feed: str
    as_of: date
    created: str


def save_snapshot(settings: Settings, snapshot: PriceSnapshot, *, created: datetime, accepted: bool) -> str:
    """Keep a fetched price list and return its id; the same prices of the same feed and day keep their first row."""
    snapshot_id = f"{snapshot.sha256[:16]}-{snapshot.as_of.isoformat()}"
    with session(settings) as opened:
        row = opened.get(PriceSnapshotRow, snapshot_id)
        if row is None:
            row = PriceSnapshotRow(
                id=snapshot_id,
                created=utc_text(created),
                as_of=snapshot.as_of.isoformat(),
                feed=snapshot.feed,
                accepted=accepted,
                document=snapshot.model_dump_json(exclude_defaults=True),
            )
        row.accepted = row.accepted or accepted
        opened.add(row)
    return snapshot_id


def get_snapshot(settings: Settings, snapshot_id: str) -> PriceSnapshot:
    """One fetched price list, accepted or not; InputError for an unknown id and for a document whose hash does not fit."""
    with session(settings, read_only=True) as opened:
        row = opened.get(PriceSnapshotRow, snapshot_id)
        if row is None:
            raise InputError(f"no fetched price list has the id '{snapshot_id}': `python -m pricing refresh` prints the id of a new one")
        return _snapshot(row)


def newest_snapshot(settings: Settings, feed: str) -> tuple[str, PriceSnapshot] | None:
    """The id and the list that was last fetched from a feed, accepted or not; None where there is none."""
    if not _exists(settings.database_url):
        return None
    with session(settings, read_only=True) as opened:
        of_feed = select(PriceSnapshotRow).where(col(PriceSnapshotRow.feed) == feed)
        row = opened.exec(of_feed.order_by(*(key.desc() for key in OLDEST_FIRST))).first()
        return None if row is None else (row.id, _snapshot(row))


def accepted_prices(settings: Settings, as_of: date) -> PriceSnapshot | None:
    """What was accepted until a day, newest row of each model; None where nothing was. Several feeds are one snapshot.

    Looking up a price makes no database: where there is none yet, nothing was accepted.
    """
    if not _exists(settings.database_url):
        return None
    with session(settings, read_only=True) as opened:
        wanted = select(PriceSnapshotRow).where(col(PriceSnapshotRow.accepted), col(PriceSnapshotRow.as_of) <= as_of.isoformat())
        found = opened.exec(wanted.order_by(*OLDEST_FIRST)).all()
        newest = {row.feed: row for row in found}
        snapshots = sorted((_snapshot(row) for row in newest.values()), key=lambda snapshot: (snapshot.as_of, snapshot.feed))
    if not snapshots:
        return None
    by_id: dict[str, PriceRow] = {}
    for snapshot in snapshots:
        by_id |= {row.id: row for row in snapshot.rows}
    rows = tuple(by_id[row_id] for row_id in sorted(by_id))
    feeds = ", ".join(snapshot.feed for snapshot in snapshots)
    return PriceSnapshot(as_of=snapshots[-1].as_of, feed=feeds, sha256=rows_sha256(rows), rows=rows)


def accepted_lists(settings: Settings, as_of: date) -> tuple[AcceptedList, ...]:
    """Every list accepted until a day, oldest first, without its prices: cheap enough to ask on every run of a page."""
    if not _exists(settings.database_url):
        return ()
    with session(settings, read_only=True) as opened:
        columns = select(PriceSnapshotRow.id, PriceSnapshotRow.feed, PriceSnapshotRow.as_of, PriceSnapshotRow.created)
        wanted = columns.where(col(PriceSnapshotRow.accepted), col(PriceSnapshotRow.as_of) <= as_of.isoformat())
        rows = opened.exec(wanted.order_by(*OLDEST_FIRST)).all()
        return tuple(AcceptedList(id=row[0], feed=row[1], as_of=date.fromisoformat(row[2]), created=row[3]) for row in rows)


def prices_in_use(settings: Settings, as_of: date) -> tuple[PriceRow, ...]:
    """The rows that a look-up would find on a day: accepted live ones over the bundled."""
    accepted = accepted_prices(settings, as_of)
    by_id = {row.id: row for row in wheel_rows(as_of)}
    if accepted is not None:
        by_id |= {row.id: row for row in accepted.rows}
    return tuple(by_id[row_id] for row_id in sorted(by_id))


def _exists(database_url: str) -> bool:
    path = database_url.removeprefix("sqlite:///")
    return path == database_url or path in ("", ":memory:") or Path(path).exists()


def _snapshot(row: PriceSnapshotRow) -> PriceSnapshot:
    snapshot = read_json(PriceSnapshot, row.document, f"price list {row.id}")
    if rows_sha256(snapshot.rows) != snapshot.sha256:
        raise InputError(f"price list {row.id} was changed after it was stored: its hash does not fit; fetch a new one")
    return snapshot
