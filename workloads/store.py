"""Where things are kept: the database engine, its schema, one session, and the saved workloads.

Every room keeps its own row class in its own `store.py`; the tables themselves are made by `migrations/`, and a test
compares the two. A row is the record as JSON text (`document`) plus the columns it is searched by. Times are ISO 8601
text in UTC (`utc_text`), so that they sort and read alike on SQLite and PostgreSQL. Columns are plain `str`, `int`, `bool`.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import alembic.command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DatabaseError, DataError, IntegrityError, NoSuchModuleError, ProgrammingError
from sqlalchemy.pool import NullPool
from sqlmodel import Field, Session, SQLModel, col, select

from facts.errors import InputError
from facts.records import read_json
from facts.settings import Settings
from workloads.demand import Workload

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another before it gives up."""
UPGRADE_LOCK = 727_001
"""PostgreSQL advisory lock that lets one process migrate at a time; SQLite has its write lock."""
WRITE_LOCK = 727_002
"""PostgreSQL advisory lock of a writing session: what it read is still true when it writes, as under SQLite's write lock."""


@contextmanager
def session(settings: Settings, *, read_only: bool = False) -> Iterator[Session]:
    """One transaction on the settings' database, its schema brought up to date first.

    Committed when the block ends, rolled back when it raises. A writing session takes the write lock at once, so what it read
    is still true when it writes: keep it short. What the database refuses (no space, read-only, damaged) is an InputError.
    """
    url = settings.database_url
    known = url in _CHECKED and _CHECKED[url] == _identity(url)
    if not known:
        upgrade(settings)
        _CHECKED[url] = _identity(url)
    bind = engine(url).execution_options(read_only=read_only)
    with _in_words(url), _turn(url, read_only=read_only), Session(bind, expire_on_commit=False) as opened:
        _begin_session(opened, read_only=read_only)
        if known and opened.connection().exec_driver_sql("SELECT version_num FROM alembic_version").scalar() != _head():
            opened.rollback()  # somebody changed the schema under this program
            upgrade(settings)
            _begin_session(opened, read_only=read_only)
        yield opened
        opened.commit()


@contextmanager
def reading(database_url: str) -> Iterator[Connection]:
    """A connection to any database, not only our own, in one transaction that cannot write; what it refuses is an InputError."""
    with _in_words(database_url), engine(database_url).connect() as connection:
        if connection.dialect.name == "postgresql":
            _begin_on_server(connection, read_only=True)
        yield connection


def upgrade(settings: Settings) -> None:
    """Bring the database to this code's schema, forward only; a schema that this code does not know is an InputError."""
    url = settings.database_url
    database = engine(url)
    with _in_words(url):
        with database.execution_options(read_only=True).connect() as connection:
            if _revision(connection, url) == _head():
                return
        with database.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")
            if _revision(connection, url) != _head():
                alembic.command.upgrade(_alembic_config(connection), "head")


def downgrade(settings: Settings, revision: str) -> None:
    """Take the database back to an earlier revision ('base' for empty); data of the dropped tables is lost."""
    url = settings.database_url
    _CHECKED.pop(url, None)
    with _in_words(url), engine(url).begin() as connection:
        alembic.command.downgrade(_alembic_config(connection), revision)


def engine(database_url: str) -> Engine:
    """The engine of a database URL; SQLite's file and folder are made, readable by their owner only."""
    try:
        url = make_url(database_url)
    except ArgumentError:
        raise InputError(
            "DATABASE_URL is not a database address: write sqlite:///path/to/file.sqlite3 or postgresql://user@host/name"
        ) from None
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise InputError("DATABASE_URL names a database in memory, which keeps nothing: give it the path of a file")
        _make_file(Path(url.database))
        return _sqlite_engine(url)
    return _server_engine(url)


def utc_text(moment: datetime) -> str:
    """An aware time as ISO 8601 text in UTC, as fine as its clock: the form of every `created` column.

    To the second alone, two rows of one second had no order among them. Sorted as text in byte order, a whole second
    stands before its parts.
    """
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone cannot be stored")
    return moment.astimezone(UTC).isoformat()


class WorkloadRow(SQLModel, table=True):
    """A saved workload."""

    __tablename__ = "workload"

    id: str = Field(primary_key=True)
    name: str
    created: str
    note: str
    document: str


@dataclass(frozen=True, kw_only=True)
class SavedWorkload:
    """A workload that was kept.

    id: first 16 hex digits of the SHA-256 of its JSON
    created: when it was first saved, ISO 8601 in UTC
    note: where it came from, in words
    workload: the workload
    """

    id: str
    created: str
    note: str
    workload: Workload


def save_workload(settings: Settings, workload: Workload, *, created: datetime, note: str = "") -> str:
    """Keep a workload and return its id; the same workload saved again keeps its first row."""
    document = workload.model_dump_json()
    workload_id = hashlib.sha256(document.encode()).hexdigest()[:16]
    with session(settings) as opened:
        if opened.get(WorkloadRow, workload_id) is None:
            row = WorkloadRow(id=workload_id, name=workload.name, created=utc_text(created), note=note, document=document)
            opened.add(row)
    return workload_id


def list_workloads(settings: Settings) -> tuple[SavedWorkload, ...]:
    """Every saved workload, newest first."""
    with session(settings, read_only=True) as opened:
        rows = opened.exec(select(WorkloadRow).order_by(col(WorkloadRow.created).desc(), col(WorkloadRow.id))).all()
        return tuple(_saved(row) for row in rows)


def get_workload(settings: Settings, workload_id: str) -> SavedWorkload:
    """One saved workload by its id."""
    with session(settings, read_only=True) as opened:
        row = opened.get(WorkloadRow, workload_id)
        if row is None:
            raise InputError(f"no saved workload has the id '{workload_id}': list_workloads shows the ids there are")
        return _saved(row)


# ---- below: how ----


def _saved(row: WorkloadRow) -> SavedWorkload:
    workload = read_json(Workload, row.document, f"saved workload {row.id}")
    return SavedWorkload(id=row.id, created=row.created, note=row.note, workload=workload)


def _make_file(path: Path) -> None:
    """The file exists, is a file, can be written, and only its owner may read it if it was made here."""
    if path.is_dir():
        raise InputError(f"the database path {path} is a folder: give DATABASE_URL the path of a file")
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        why = f"{path.parent} is a file" if isinstance(error, FileExistsError) else error.strerror
        raise InputError(
            f"the database {path} cannot be created ({why}): set DATABASE_URL or RIGHTSIZE_DATA_DIR to a place you may write"
        ) from None


_CHECKED: dict[str, tuple[int, int]] = {}
"""Databases that have had this program's schema, and which file it was: a session asks them for their revision itself, at a tenth of
what `upgrade` costs, and a page opens half a dozen sessions."""


def _identity(database_url: str) -> tuple[int, int]:
    """Which file an SQLite address names now; one that was moved away or replaced is another. The same for every server."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return (0, 0)
    try:
        found = os.stat(url.database)
    except OSError:
        return (-1, -1)
    return (found.st_dev, found.st_ino)


def _begin_session(opened: Session, *, read_only: bool) -> None:
    connection = opened.connection()
    if connection.dialect.name == "postgresql":
        _begin_on_server(connection, read_only=read_only)


@contextmanager
def _turn(database_url: str, *, read_only: bool) -> Iterator[None]:
    """The writers of this process come to an SQLite file one by one: SQLite itself lets them poll, and some starve for seconds."""
    if read_only or make_url(database_url).get_backend_name() != "sqlite":
        yield
        return
    lock = _writing(database_url)
    if not lock.acquire(timeout=BUSY_TIMEOUT_MS / 1000.0):
        raise InputError(f"the database {_shown(database_url)} cannot be used (locked): {_way_out('locked')}")
    try:
        yield
    finally:
        lock.release()


@lru_cache(maxsize=16)
def _writing(_database_url: str) -> threading.Lock:
    return threading.Lock()


@lru_cache(maxsize=16)
def _sqlite_engine(url: URL) -> Engine:
    # No pool: opening a file costs less than a stale handle on a file that was moved or replaced.
    created = create_engine(url, poolclass=NullPool, connect_args={"check_same_thread": False})

    @event.listens_for(created, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy begins and ends transactions, DDL included; not the driver
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA foreign_keys = ON")
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(created, "begin")
    def _begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return created


@lru_cache(maxsize=16)
def _server_engine(url: URL) -> Engine:
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    try:
        return create_engine(url, pool_pre_ping=True)
    except NoSuchModuleError:
        raise InputError(f"DATABASE_URL names the database kind '{url.drivername}': sqlite and postgresql are supported") from None
    except ImportError as error:
        raise InputError(
            f"the PostgreSQL driver is missing ({error.name}): install the extra 'postgres', or unset DATABASE_URL for SQLite"
        ) from None


def _begin_on_server(connection: Connection, *, read_only: bool) -> None:
    """One writer at a time, and no wait without an end; a reader sees one state of the database and waits for nobody."""
    if read_only:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {BUSY_TIMEOUT_MS}")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")


def _alembic_config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "workloads:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@lru_cache(maxsize=1)
def _revisions() -> tuple[str, ...]:
    """The revisions that this code knows, newest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_alembic_config()).walk_revisions())


def _head() -> str:
    return _revisions()[0]


def _revision(connection: Connection, database_url: str) -> str | None:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None and revision not in _revisions():
        raise InputError(
            f"the database {_shown(database_url)} has schema {revision}, newer than this program's {_head()}: "
            "install the newer program, or let DATABASE_URL name another database"
        )
    return revision


def _shown(database_url: str) -> str:
    """A database URL as messages may show it: a file's path, or the address without its password."""
    url = make_url(database_url)
    return str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


@contextmanager
def _in_words(database_url: str) -> Iterator[None]:
    """What the database itself refuses, as one sentence; a mistake of the program stays an exception of its own."""
    try:
        yield
    except (IntegrityError, ProgrammingError, DataError):
        raise
    except DatabaseError as error:
        reason = " ".join(str(error.orig).split())
        raise InputError(f"the database {_shown(database_url)} cannot be used ({reason}): {_way_out(reason)}") from error


def _way_out(reason: str) -> str:
    known = {
        "not a database": "it is no SQLite file; restore a backup or set DATABASE_URL to another path",
        "malformed": "the file is damaged; restore a backup or set DATABASE_URL to another path",
        "readonly": "it may not be written; set DATABASE_URL or RIGHTSIZE_DATA_DIR to a place you may write",
        "unable to open": "it may not be opened; set DATABASE_URL or RIGHTSIZE_DATA_DIR to a place you may write",
        "full": "the disk is full; nothing was changed, make room and try again",
        "lock timeout": f"another program has held it for {BUSY_TIMEOUT_MS / 1000:g} s; try again when it is done",
        "locked": f"another program has held it for {BUSY_TIMEOUT_MS / 1000:g} s; try again when it is done",
        "no such": "its tables are not those of this program; set DATABASE_URL to another path",
        "already exists": "its tables are not those of this program; set DATABASE_URL to another path",
    }
    return next((way for sign, way in known.items() if sign in reason), "check DATABASE_URL")


__all__ = [
    "SavedWorkload",
    "WorkloadRow",
    "downgrade",
    "engine",
    "get_workload",
    "list_workloads",
    "reading",
    "save_workload",
    "session",
    "upgrade",
    "utc_text",
]
