"""Everything that is kept, as one file: written whole, checked by its hash, and read back without overwriting anything."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlmodel import SQLModel, col, select

from facts.errors import InputError
from facts.settings import Settings
from pricing.store import PriceSnapshotRow
from probes.store import AppliedRow, MeasurementRow
from selector.history import ApprovalRow, ShareLinkRow
from selector.store import ActualRow, DecisionInputsRow, DecisionRow, GateResultRow, ProjectRow, ScenarioEventRow, ScenarioRow
from workloads.store import WorkloadRow, session, utc_text

FORMAT = "rightsize export"
VERSION = 1
ROWS: tuple[type[SQLModel], ...] = (
    WorkloadRow,
    PriceSnapshotRow,
    MeasurementRow,
    AppliedRow,
    ScenarioRow,
    ScenarioEventRow,
    ApprovalRow,
    ShareLinkRow,
    DecisionRow,
    DecisionInputsRow,
    GateResultRow,
    ProjectRow,
    ActualRow,
)
"""Every table, those first that others speak of."""
MAY_DIFFER = {"created", "accepted", "note", "who", "ended", "draft"}
"""Columns in which two rows of the same content may differ: who kept it here, and when; the row that is here stays."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of a file.

    added: rows that were not here, by table
    known: rows that were here already
    """

    added: tuple[tuple[str, int], ...]
    known: int

    @property
    def added_rows(self) -> int:
        """All of them."""
        return sum(count for _, count in self.added)


def export_text(settings: Settings, *, created: datetime) -> str:
    """Everything that is kept as JSON text, with a SHA-256 over its tables; the same rows give the same tables and hash."""
    tables: dict[str, list[dict[str, Any]]] = {}
    with session(settings, read_only=True) as opened:
        for row_class in ROWS:
            rows = opened.exec(select(row_class).order_by(col(row_class.id))).all()  # type: ignore[attr-defined]
            tables[_table(row_class)] = [row.model_dump() for row in rows]
    document = {"format": FORMAT, "version": VERSION, "created": utc_text(created), "sha256": _sha256(tables), "tables": tables}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def export_file(settings: Settings, path: Path, *, created: datetime) -> int:
    """Write everything to a file, whole or not at all; gives the number of bytes."""
    content = export_text(settings, created=created).encode()
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    return len(content)


def import_file(settings: Settings, path: Path) -> Imported:
    """Add what a file holds and this database does not; all of it or nothing. The same file twice adds nothing."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return import_text(settings, content, str(path))


def import_text(settings: Settings, content: str | bytes, where: str = "the text") -> Imported:
    """The same from text; `where` begins every error."""
    rows = _rows(content, where)
    added: dict[str, int] = {}
    known = 0
    with session(settings) as opened:
        for row in rows:
            here = opened.get(type(row), row.id)  # type: ignore[attr-defined]
            if here is None:
                _refuse_taken(opened, row, where)
                opened.add(row)
                added[_table(type(row))] = added.get(_table(type(row)), 0) + 1
            elif _content(here) == _content(row):
                known += 1
            else:
                raise InputError(f"{where}: {_named(row)} is here with other content, so nothing was imported: {_WAY_OUT}")
    return Imported(added=tuple(added.items()), known=known)


# ---- below: how ----

_WAY_OUT = "import it into a database of its own (DATABASE_URL)"


def _rows(content: str | bytes, where: str) -> list[SQLModel]:
    """The rows of a file whose hash fits, each checked against its table."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"{where} is no export of this program: its 'format' is not '{FORMAT}'")
    if document.get("version") != VERSION:
        raise InputError(f"{where} has version {document.get('version')}, this program reads {VERSION}: install the newer program")
    tables = document.get("tables")
    if not isinstance(tables, dict) or document.get("sha256") != _sha256(tables):
        raise InputError(f"{where} was changed or cut after it was written: its content does not fit its sha256; export it again")
    known = {_table(row_class): row_class for row_class in ROWS}
    unknown = sorted(set(tables) - set(known))
    if unknown:
        raise InputError(f"{where} holds a table '{unknown[0]}' that this program does not know: install the newer program")
    return [_row(row_class, found, where) for name, row_class in known.items() for found in tables.get(name, [])]


def _row(row_class: type[SQLModel], found: Any, where: str) -> SQLModel:
    """One row; a table class does not check what it is given, so its columns are compared here."""
    columns = row_class.model_fields
    if isinstance(found, dict):  # a column that came with a later program has its default
        found = {name: column.default for name, column in columns.items() if not column.is_required()} | found
    if not isinstance(found, dict) or set(found) != set(columns):
        raise InputError(f"{where}: a row of '{_table(row_class)}' has not the columns of this program: export it with the same version")
    for name, column in columns.items():
        if not _fits(found[name], column.annotation):
            raise InputError(f"{where}: '{name}' of a row of '{_table(row_class)}' is {found[name]!r}, which does not fit")
    return row_class(**found)


def _fits(value: Any, annotation: Any) -> bool:
    kinds = getattr(annotation, "__args__", (annotation,))
    if isinstance(value, bool) or value is None:
        return type(value) in kinds
    return type(value) in kinds or (float in kinds and type(value) is int)


def _refuse_taken(opened: Any, row: SQLModel, where: str) -> None:
    """A row with another id, but in the place of one that is here: the same version of a scenario with other inputs."""
    for constraint in type(row).__table__.constraints:  # type: ignore[attr-defined]
        names = [column.name for column in getattr(constraint, "columns", ())]
        if not names or names == ["id"]:
            continue
        query = select(type(row))
        for name in names:
            query = query.where(getattr(type(row), name) == getattr(row, name))
        if opened.exec(query).first() is not None:
            raise InputError(f"{where}: {_named(row)} is here with other content, so nothing was imported: {_WAY_OUT}")


def _content(row: SQLModel) -> dict[str, Any]:
    return {key: value for key, value in row.model_dump().items() if key not in MAY_DIFFER}


def _named(row: SQLModel) -> str:
    if isinstance(row, ScenarioRow):
        return f"version {row.version} of scenario '{row.name}'"
    return f"{_table(type(row)).replace('_', ' ')} {row.id}"  # type: ignore[attr-defined]


def _table(row_class: type[SQLModel]) -> str:
    return str(row_class.__tablename__)


def _sha256(tables: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tables, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
