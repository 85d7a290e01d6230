"""Reads request logs, CSV or JSON lines, packed or not, into a TraceSummary.

DuckDB does the reading and counting inside this process: no extension is downloaded, nothing is sent, memory is bounded and what
does not fit goes to a temporary folder that is removed afterwards.
"""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from facts.errors import InputError
from workloads.log_formats import LogFormat, TimeUnit, fitting_format
from workloads.trace_summary import WINDOWS_S, BrokenRow, LengthDistribution, Peak, TraceSummary

MEMORY_LIMIT = "1GiB"
EXAMPLES = 5
"""Broken rows that are shown."""
TEXT_SHOWN = 120
"""Characters of a broken row that are shown."""
MICROSECONDS = 1_000_000
INCOMPLETE = "time_us IS NULL OR input_tokens IS NULL OR output_tokens IS NULL"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def summarize(path: Path) -> TraceSummary:
    """Everything that a plan needs from a request log; rows that cannot be read are counted and shown, never guessed."""
    compression = _compression(path)
    try:
        with _database() as database:
            log = _look(database, path, compression)
            broken = _load_csv(database, log) if log.kind is _Kind.CSV else _load_json_lines(database, log)
            return _summary(database, log, broken)
    except duckdb.Error as error:
        raise InputError(f"{path} cannot be read as CSV or JSON lines: {_first_line(error)}") from None


# ---- the file ----


class _Kind(StrEnum):
    CSV = "csv"
    JSON_LINES = "jsonl"


@dataclass(frozen=True, kw_only=True)
class _Log:
    """A log file that has been looked at.

    path: where it lies
    compression: as DuckDB names it
    kind: CSV or JSON lines
    delimiter: between the columns of a CSV
    columns: as the header names them, or the keys of the first JSON object
    format: which of them hold what
    """

    path: Path
    compression: str
    kind: _Kind
    delimiter: str
    columns: tuple[str, ...]
    format: LogFormat


@dataclass(frozen=True, kw_only=True)
class _Broken:
    """Rows that could not be read.

    rows: how many
    examples: the first of them
    """

    rows: int
    examples: tuple[BrokenRow, ...]


def _look(database: duckdb.DuckDBPyConnection, path: Path, compression: str) -> _Log:
    """Look at the beginning of a file: what kind it is, which columns it has."""
    row = database.execute(
        f"SELECT line FROM {_lines(compression)} WHERE trim(line) <> '' LIMIT 1",  # noqa: S608 - fixed text
        [str(path)],
    ).fetchone()
    if row is None:
        raise InputError(f"{path} has no line of UTF-8 text: a request log has a header and a row per request")
    first = str(row[0])
    if first.lstrip().startswith("{"):
        kind, delimiter, columns = _Kind.JSON_LINES, "", _keys(first, path)
    else:
        kind, delimiter = _Kind.CSV, max(",;\t|", key=first.count)
        columns = _header(first, delimiter, path)
    known = fitting_format(columns, str(path))
    return _Log(path=path, compression=compression, kind=kind, delimiter=delimiter, columns=columns, format=known)


def _header(line: str, delimiter: str, path: Path) -> tuple[str, ...]:
    try:
        return tuple(column.strip() for column in next(csv.reader([line], delimiter=delimiter)))
    except csv.Error as error:
        raise InputError(f"{path} has no header that can be read ({error}): a request log begins with the names of its columns") from None


def _compression(path: Path) -> str:
    """How the file is packed, by its first bytes and not by its name."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, a request log is wanted") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not magic:
        raise InputError(f"{path} is empty: a request log has a header and a row per request")
    if magic[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path} is UTF-16 text: save it as UTF-8 and give it again")
    if magic[:2] == b"\x1f\x8b":
        return "gzip"
    return "zstd" if magic == b"\x28\xb5\x2f\xfd" else "none"


def _keys(line: str, path: Path) -> tuple[str, ...]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise InputError(f"{path}, line 1 begins a JSON object that does not end on it: one whole object a line is wanted") from None
    return tuple(str(key) for key in document)


# ---- reading ----


@contextmanager
def _database() -> Iterator[duckdb.DuckDBPyConnection]:
    with tempfile.TemporaryDirectory(prefix="rightsize-log-") as folder:
        config: dict[str, Any] = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": folder,
        }
        with duckdb.connect(":memory:", config=config) as database:
            database.execute("SET TimeZone = 'UTC'")  # a time without a zone is UTC
            yield database


def _lines(compression: str, on_error: str = "ignore_errors = true") -> str:
    """A table function that gives every line of a file as it stands; blank lines are NULL, lines that are not UTF-8 are left out."""
    return (
        f"read_csv(?, columns = {{'line': 'VARCHAR'}}, delim = '\x01', quote = '', escape = '', header = false, "
        f"auto_detect = false, strict_mode = false, compression = '{compression}', {on_error})"
    )


def _load_csv(database: duckdb.DuckDBPyConnection, log: _Log) -> _Broken:
    """Fill the table `request` from a CSV; DuckDB keeps each row it refuses with its line number."""
    try:
        _scan_csv(database, log, log.path)
    except duckdb.InvalidInputException:  # line ends of both kinds in one file, which the strict reader refuses as a whole
        with tempfile.TemporaryDirectory(prefix="rightsize-log-") as folder:
            plain = Path(folder) / "log.csv"
            _one_kind_of_line_end(log, plain)
            _scan_csv(database, replace(log, compression="none"), plain)
    refused = database.execute(
        "SELECT line, any_value(column_name), any_value(error_type::VARCHAR), any_value(csv_line) "
        "FROM reject_errors GROUP BY line ORDER BY line LIMIT ?",
        [EXAMPLES],
    ).fetchall()
    count = _one(database, "SELECT count(DISTINCT line) FROM reject_errors")
    timeless = _drop_timeless(database)
    examples = [
        BrokenRow(place=f"line {line}", reason=_reason(error, column, log), text=_shown(text)) for line, column, error, text in refused
    ]
    if timeless and len(examples) < EXAMPLES:
        examples.append(BrokenRow(place="line not known", reason=f"{timeless} rows have a time that is no moment", text=""))
    return _Broken(rows=count + timeless, examples=tuple(examples))


def _scan_csv(database: duckdb.DuckDBPyConnection, log: _Log, path: Path) -> None:
    time, *tokens = (_place(log.columns, name) for name in log.format.columns)
    types = {time: _time_type(log.format.time_unit), **dict.fromkeys(tokens, "UINTEGER")}
    columns = ", ".join(f"'c{number}': '{types.get(number, 'VARCHAR')}'" for number in range(len(log.columns)))
    needed = ", ".join(f"'c{number}'" for number in sorted(types))
    database.execute(
        f"""
        CREATE TEMP TABLE request AS
        SELECT {_time_us(f"c{time}", log.format.time_unit)} AS time_us, c{tokens[0]} AS input_tokens, c{tokens[1]} AS output_tokens
        FROM read_csv(?, delim = ?, quote = '"', escape = '"', header = true, auto_detect = false, columns = {{{columns}}},
                      force_not_null = [{needed}], store_rejects = true, rejects_limit = 0, compression = '{log.compression}')
        """,  # noqa: S608 - numbers and fixed words only
        [str(path), log.delimiter],
    )


def _one_kind_of_line_end(log: _Log, target: Path) -> None:
    """Copy a CSV with every line end as a newline."""
    if log.compression == "zstd":
        raise InputError(f"{log.path} mixes kinds of line ends: unpack it, make them one kind and give it again")
    opener = gzip.open if log.compression == "gzip" else open
    with (
        opener(log.path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=None) as source,
        target.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as copy,
    ):
        shutil.copyfileobj(source, copy)


def _load_json_lines(database: duckdb.DuckDBPyConnection, log: _Log) -> _Broken:
    """Fill the table `request` from JSON lines."""
    moment = f"TRY_CAST({_field(log.format.time)} AS {_time_type(log.format.time_unit)})"
    columns = (
        f"{_time_us(moment, log.format.time_unit)} AS time_us, "
        f"TRY_CAST({_field(log.format.input_tokens)} AS UINTEGER) AS input_tokens, "
        f"TRY_CAST({_field(log.format.output_tokens)} AS UINTEGER) AS output_tokens"
    )
    lines = _lines(log.compression, "store_rejects = true, rejects_limit = 0")
    database.execute(
        f"CREATE TEMP TABLE request AS SELECT {columns} FROM {lines} WHERE trim(line) <> ''",  # noqa: S608
        [str(log.path)],
    )
    refused = [int(line) for (line,) in database.execute("SELECT DISTINCT line FROM reject_errors ORDER BY line").fetchall()]
    examples = [BrokenRow(place=f"line {line}", reason="not UTF-8 text", text="") for line in refused[:EXAMPLES]]
    incomplete = _one(database, f"SELECT count(*) FROM request WHERE {INCOMPLETE}")  # noqa: S608
    if incomplete:
        database.execute(f"DELETE FROM request WHERE {INCOMPLETE}")  # noqa: S608
        rows = database.execute(
            f"SELECT line_number, left(line, {10 * TEXT_SHOWN}), json_valid(line), time_us IS NULL, input_tokens IS NULL FROM "  # noqa: S608
            f"(SELECT row_number() OVER () AS line_number, line, {columns} FROM {_lines(log.compression)}) "
            f"WHERE trim(line) <> '' AND ({INCOMPLETE}) ORDER BY line_number LIMIT {EXAMPLES}",
            [str(log.path)],
        ).fetchall()
        examples += [_broken_json(log, _true_line(int(row[0]), refused), *row[1:]) for row in rows]
    examples.sort(key=lambda row: int(row.place.split()[1]))
    return _Broken(rows=incomplete + len(refused), examples=tuple(examples[:EXAMPLES]))


def _broken_json(log: _Log, line_number: int, text: str, is_json: bool, no_time: bool, no_input: bool) -> BrokenRow:
    field = log.format.time if no_time else log.format.input_tokens if no_input else log.format.output_tokens
    reason = f"'{field}' is missing or no such number or time" if is_json else "not a JSON object"
    return BrokenRow(place=f"line {line_number}", reason=reason, text=_shown(text))


def _true_line(counted: int, refused: list[int]) -> int:
    """The line in the file of the `counted`-th line that was not refused."""
    for line in refused:
        if line > counted:
            break
        counted += 1
    return counted


def _place(columns: tuple[str, ...], name: str) -> int:
    return [column.casefold() for column in columns].index(name.casefold())


def _field(path: str) -> str:
    """SQL for a field of the JSON object in `line`, NULL when the line is no JSON."""
    steps = ".".join('"' + step.replace('"', "") + '"' for step in path.split("."))
    return "CASE WHEN json_valid(line) THEN json_extract_string(line, '$." + steps.replace("'", "''") + "') END"


def _time_type(unit: TimeUnit) -> str:
    return "TIMESTAMPTZ" if unit is TimeUnit.DATETIME else "DOUBLE"


def _time_us(expression: str, unit: TimeUnit) -> str:
    """SQL for a moment in whole microseconds, NULL for infinities."""
    if unit is TimeUnit.DATETIME:
        return f"CASE WHEN isfinite({expression}) THEN epoch_us({expression}) END"
    return f"TRY_CAST(round({expression} * {unit.seconds * MICROSECONDS:.0f}) AS BIGINT)"


def _drop_timeless(database: duckdb.DuckDBPyConnection) -> int:
    timeless = _one(database, "SELECT count(*) FROM request WHERE time_us IS NULL")
    if timeless:
        database.execute("DELETE FROM request WHERE time_us IS NULL")
    return timeless


def _reason(error: str, column: str | None, log: _Log) -> str:
    if error == "CAST" and column is not None:
        return f"'{log.columns[int(column[1:])]}' is missing or no such number or time"
    return error.lower()


# ---- counting ----


def _summary(database: duckdb.DuckDBPyConnection, log: _Log, broken: _Broken) -> TraceSummary:
    row = database.execute("SELECT count(*), min(time_us), max(time_us) FROM request").fetchone()
    assert row is not None
    requests, first_us, last_us = row
    if requests == 0:
        first = f"; the first, {broken.examples[0].place}: {broken.examples[0].reason}" if broken.examples else ""
        raise InputError(f"{log.path} holds no request: 0 rows could be read and {broken.rows} could not{first}")
    if first_us == last_us:
        raise InputError(f"{log.path} holds {requests} request(s) at one moment: a rate needs requests at two moments at least")
    calendar = log.format.time_unit.has_calendar
    return TraceSummary(
        name=log.path.name.split(".")[0] or log.path.name,
        format_id=log.format.id,
        requests=requests,
        broken_rows=broken.rows,
        broken_examples=broken.examples,
        clock_jumps_back=_one(
            database, "SELECT count(*) FROM (SELECT time_us - lag(time_us) OVER () AS step_us FROM request) WHERE step_us < 0"
        ),
        first=_moment(first_us) if calendar else None,
        last=_moment(last_us) if calendar else None,
        span_s=(last_us - first_us) / MICROSECONDS,
        input_lengths=_lengths(database, "input_tokens"),
        output_lengths=_lengths(database, "output_tokens"),
        peaks=tuple(peak for width in WINDOWS_S if (peak := _peak(database, first_us, last_us, width)) is not None),
        gap_cv=_gap_cv(database),
    )


def _lengths(database: duckdb.DuckDBPyConnection, column: str) -> LengthDistribution:
    counted = database.execute(f"SELECT {column} AS length, count(*) AS requests FROM request GROUP BY 1 ORDER BY 1").fetchnumpy()  # noqa: S608
    return LengthDistribution(
        lengths_tokens=np.asarray(counted["length"], dtype=np.int64),
        counts=np.asarray(counted["requests"], dtype=np.int64),
    )


def _peak(database: duckdb.DuckDBPyConnection, first_us: int, last_us: int, window_s: int) -> Peak | None:
    """Busiest over mean of the complete windows; an incomplete last window would lower the mean and is left out."""
    windows = (last_us - first_us) // (window_s * MICROSECONDS)
    if windows < 2:
        return None
    row = database.execute(
        """
        SELECT max(requests), sum(requests), max(tokens), sum(tokens) FROM (
            SELECT (time_us - $first) // $width AS window_number, count(*) AS requests,
                   sum(input_tokens::BIGINT + output_tokens::BIGINT) AS tokens
            FROM request GROUP BY 1) WHERE window_number < $windows
        """,
        {"first": first_us, "width": window_s * MICROSECONDS, "windows": windows},
    ).fetchone()
    assert row is not None
    most_requests, requests, most_tokens, tokens = (int(number) for number in row)
    return Peak(
        window_s=window_s,
        requests_to_mean=most_requests * windows / requests,
        tokens_to_mean=most_tokens * windows / tokens if tokens else 1.0,
        windows=windows,
    )


def _gap_cv(database: duckdb.DuckDBPyConnection) -> float:
    row = database.execute(
        "SELECT stddev_pop(gap_us) / avg(gap_us) FROM (SELECT time_us - lag(time_us) OVER (ORDER BY time_us) AS gap_us FROM request)"
    ).fetchone()
    assert row is not None
    return float(row[0])


def _one(database: duckdb.DuckDBPyConnection, query: str) -> int:
    row = database.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _moment(microseconds: int) -> datetime | None:
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:  # a year that the calendar of the standard library does not know
        return None


def _shown(text: str | None) -> str:
    one_line = "".join(sign if sign.isprintable() else " " for sign in (text or "").strip())
    return one_line if len(one_line) <= TEXT_SHOWN else one_line[:TEXT_SHOWN] + "..."


def _first_line(error: Exception) -> str:
    return _shown(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
