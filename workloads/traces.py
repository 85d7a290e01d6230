"""Reads request logs, CSV, JSON lines or Parquet, packed or not, one file or many, into a TraceSummary.

DuckDB does the reading and counting inside this process: no extension is downloaded, nothing is sent, memory is bounded and what
does not fit goes to a temporary folder that is removed afterwards.
"""

# ruff: noqa: S608 - the SQL is put together from fixed words, column numbers, and names that are quoted here; values are parameters
from __future__ import annotations

import csv
import glob
import gzip
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from facts.errors import InputError
from workloads import log_counts as counts
from workloads.log_formats import LogFormat, fitting_format, known_zone
from workloads.log_sql import (
    OPTIONAL_COLUMNS,
    READ_AS,
    LogFile,
    LogKind,
    column_number,
    csv_table,
    field_value,
    is_json,
    is_plain_csv,
    is_request,
    line_table,
    optional_columns,
    optional_field,
    quoted_text,
    row_table,
    row_text,
    text_of,
    time_in_us,
    time_type,
    tokens_of,
    whole_tokens,
)
from workloads.text_tokens import KINDS, TextCounter, common_tokenizer, text_counter
from workloads.trace_summary import BrokenRow, CountedText, RouteVolume, TraceSummary, moment_of

MEMORY_LIMIT = "1GiB"
PROGRESS_S = 0.2
"""Between two words on how far the reading is."""
EXAMPLES = 5
"""Broken rows that are shown."""
TEXT_SHOWN = 120
"""Characters of a broken row that are shown."""
INCOMPLETE = "time_us IS NULL OR input_tokens IS NULL OR output_tokens IS NULL"


def summarize(
    logs: Path | Sequence[Path],
    *,
    columns: LogFormat | None = None,
    route: str | None = None,
    zone: str = "UTC",
    tokenizer: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> TraceSummary:
    """Everything that a plan needs from a request log in one file or several; rows that cannot be read are counted and shown.

    columns: a mapping of the user's own, when the log is none that is known
    route: only the part of the traffic with this name
    zone: the time zone in which hours of the week and days are counted, by its IANA name
    tokenizer: with which tokens are counted where a log has text only (`workloads.text_tokens`); absent, they follow from characters
    progress: told several times a second which share of the bytes has been read, 0 to 1; what it raises ends the reading, and nothing
    of it is left
    """
    paths = (logs,) if isinstance(logs, Path) else tuple(logs)
    if not paths:
        raise InputError("no request log is given")
    try:
        known_zone(zone)
    except ValueError as error:
        raise InputError(str(error)) from None
    counter = text_counter(tokenizer)
    with _database() as database:
        read: list[_Read] = []
        with _told(database, paths, progress) as begin:
            for path in paths:
                database = begin(path)
                compression = _compression(path)
                with _in_words(path):
                    log = _look(database, path, compression, columns)
                    _same_format(read, log)
                    if not read:
                        _make_table(database, log.format, counter)
                    read.append(_read(database, log, alone=len(paths) == 1))
        with _in_words(paths[0]):
            return _summary(database, read, route, zone, counter)


def log_files(names: Sequence[str]) -> tuple[Path, ...]:
    """The files behind names that may hold wildcards, in the order of the names, each name's files sorted."""
    found: list[Path] = []
    for name in names:
        path = Path(name)
        matches = [path] if path.exists() else [Path(match) for match in sorted(glob.glob(name, recursive=True))]
        found += matches or [path]
    return tuple(dict.fromkeys(found))


def log_columns(path: Path) -> tuple[str, ...]:
    """The columns of a log, or the keys of its first JSON object; whether they are known or not."""
    compression = _compression(path)
    with _database() as database, _in_words(path):
        return _first_look(database, path, compression)[2]


# ---- progress ----


@contextmanager
def _told(
    database: duckdb.DuckDBPyConnection, paths: Sequence[Path], progress: Callable[[float], None] | None
) -> Iterator[Callable[[Path], duckdb.DuckDBPyConnection]]:
    """Says from a thread of its own how far the reading is; what `progress` raises there interrupts the query and is raised here."""
    sizes = {path: path.stat().st_size if path.is_file() else 0 for path in paths}
    total, before, now = sum(sizes.values()) or 1, 0, 0
    done, raised = threading.Event(), list[BaseException]()

    def begin(path: Path) -> duckdb.DuckDBPyConnection:
        nonlocal before, now
        before, now = before + now, sizes[path]
        return database

    def tell() -> None:
        assert progress is not None
        try:
            while not done.wait(PROGRESS_S):
                progress(min(1.0, (before + now * max(0.0, database.query_progress()) / 100.0) / total))
        except BaseException as error:
            raised.append(error)
            database.interrupt()

    teller = threading.Thread(target=tell, daemon=True)
    if progress is not None:
        teller.start()
    try:
        yield begin
    except (KeyboardInterrupt, duckdb.Error):
        if not raised:
            raise
    finally:
        done.set()
        if progress is not None:
            teller.join()
    if raised:
        raise raised[0]
    if progress is not None:
        progress(1.0)


# ---- the file ----


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What became of one file.

    log: the file
    broken_rows, other_rows: rows that are not in the table `request`
    examples: the first broken ones
    """

    log: LogFile
    broken_rows: int
    other_rows: int
    examples: tuple[BrokenRow, ...]


def _read(database: duckdb.DuckDBPyConnection, log: LogFile, *, alone: bool) -> _Read:
    """Append one file to the table `request`."""
    read = _load_typed_csv(database, log) if is_plain_csv(log) else _load(database, log)
    if alone:
        return read
    return replace(read, examples=tuple(replace(row, place=f"{log.path.name}, {row.place}") for row in read.examples))


def _look(database: duckdb.DuckDBPyConnection, path: Path, compression: str, own: LogFormat | None) -> LogFile:
    """Look at the beginning of a file: what kind it is, which columns it has, which known log has them."""
    kind, delimiter, columns, types = _first_look(database, path, compression)
    known = fitting_format(columns, str(path), own)
    return LogFile(path=path, compression=compression, kind=kind, delimiter=delimiter, columns=columns, types=types, format=known)


def _first_look(database: duckdb.DuckDBPyConnection, path: Path, compression: str) -> tuple[LogKind, str, tuple[str, ...], tuple[str, ...]]:
    """Kind, delimiter, columns, and the columns' types where the file states them."""
    if compression == "parquet":
        query = "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet(?))"
        described = database.execute(query, [str(path)]).fetchall()
        names, types = (tuple(str(row[place]) for row in described) for place in (0, 1))
        return LogKind.PARQUET, "", names, types
    row = database.execute(
        f"SELECT line FROM {line_table(compression)} WHERE trim(line) <> '' LIMIT 1",
        [str(path)],
    ).fetchone()
    if row is None:
        raise InputError(f"{path} has no line of UTF-8 text: a request log has a header and a row per request")
    first = str(row[0])
    if first.lstrip().startswith("["):
        raise InputError(f"{path} is one JSON array: write one object a line, for instance with jq -c '.[]', and give it again")
    if first.lstrip().startswith("{"):
        return LogKind.JSON_LINES, "", _keys(first, path), ()
    delimiter = max(",;\t|", key=first.count)
    return LogKind.CSV, delimiter, _header(first, delimiter, path), ()


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
    known = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PAR1": "parquet"}
    return known.get(magic[:2]) or known.get(magic) or "none"


def _header(line: str, delimiter: str, path: Path) -> tuple[str, ...]:
    try:
        return tuple(column.strip() for column in next(csv.reader([line], delimiter=delimiter)))
    except csv.Error as error:
        raise InputError(f"{path} has no header that can be read ({error}): a request log begins with the names of its columns") from None


def _keys(line: str, path: Path) -> tuple[str, ...]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise InputError(f"{path}, line 1 begins a JSON object that does not end on it: one whole object a line is wanted") from None
    return tuple(str(key) for key in document)


def _same_format(read: list[_Read], other: LogFile) -> None:
    if not read:
        return
    first = read[0].log
    if other.format.id != first.format.id:
        raise InputError(
            f"{first.path} has the columns of {first.format.id} and {other.path} those of {other.format.id}: summarise them apart"
        )
    if not other.format.time_unit.has_calendar:
        raise InputError(f"{first.path} and {other.path} each count from their own start and cannot be joined: summarise them apart")


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
            database.execute("SET enable_progress_bar = true")  # counted,
            database.execute("SET enable_progress_bar_print = false")  # and said by ourselves
            yield database


def _make_table(database: duckdb.DuckDBPyConnection, known: LogFormat, counter: TextCounter) -> None:
    """The table `request`, with the columns that this kind of log fills and no others: at 100 million rows each one counts."""
    optional = {name: f"{name} {kind}" for name, kind in OPTIONAL_COLUMNS.items() if optional_field(known, name) is not None}
    columns = ", ".join(["time_us BIGINT", "input_tokens UINTEGER", "output_tokens UINTEGER", *optional.values()])
    database.execute(f"SET TimeZone = {quoted_text(known.time_zone)}")  # of a time that names no zone
    database.execute(f"CREATE TEMP TABLE request ({columns})")
    if known.has_text:
        database.create_function("text_tokens", counter.counted, ["VARCHAR"], "BIGINT")


def _load_typed_csv(database: duckdb.DuckDBPyConnection, log: LogFile) -> _Read:
    time, *tokens = (column_number(log.columns, name) for name in log.format.columns)
    types = {time: time_type(log.format.time_unit), **dict.fromkeys(tokens, READ_AS)}
    moment = time_in_us(f"c{time}", log.format.time_unit)
    columns = f"{moment} AS time_us, {whole_tokens(f'c{tokens[0]}')} AS input_tokens, {whole_tokens(f'c{tokens[1]}')} AS output_tokens"
    _insert_csv(database, log, f"SELECT {columns}{optional_columns(log)} FROM {csv_table(log, types)}")
    refused = database.execute(
        "SELECT line, any_value(column_name), any_value(error_type::VARCHAR), any_value(csv_line) "
        "FROM reject_errors GROUP BY line ORDER BY line LIMIT ?",
        [EXAMPLES],
    ).fetchall()
    examples = [
        BrokenRow(place=f"line {line}", reason=_reason(error, column, log), text=_shown(text)) for line, column, error, text in refused
    ]
    count = _one(database, "SELECT count(DISTINCT line) FROM reject_errors")
    incomplete = _one(database, f"SELECT count(*) FROM request WHERE {INCOMPLETE}")
    if incomplete:
        database.execute(f"DELETE FROM request WHERE {INCOMPLETE}")
        database.execute("DELETE FROM reject_errors")
        moment = time_in_us(f"TRY_CAST(c{time} AS {time_type(log.format.time_unit)})", log.format.time_unit)
        tried = [whole_tokens(f"TRY_CAST(c{number} AS {READ_AS})") for number in tokens]
        columns = f"{moment} AS time_us, {tried[0]} AS input_tokens, {tried[1]} AS output_tokens"
        read_as_typed = f"TRY_CAST(c{time} AS {types[time]}) IS NOT NULL" + "".join(
            f" AND TRY_CAST(c{number} AS {READ_AS}) IS NOT NULL" for number in tokens
        )
        examples += _broken_examples(database, log, columns, read_as_typed, ())
    database.execute("DELETE FROM reject_errors")
    examples.sort(key=_place_number)
    return _Read(log=log, broken_rows=count + incomplete, other_rows=0, examples=tuple(examples[:EXAMPLES]))


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """What DuckDB cannot do with a file as one sentence, and Ctrl-C as what it is."""
    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except duckdb.Error as error:
        raise InputError(f"{path} cannot be read as CSV, JSON lines or Parquet: {_first_line(error)}") from None
    except RuntimeError as error:
        if "interrupted" in str(error):
            raise KeyboardInterrupt from None
        raise


def _insert_csv(database: duckdb.DuckDBPyConnection, log: LogFile, select: str) -> None:
    try:
        database.execute(f"INSERT INTO request {select}", [str(log.path)])
    except duckdb.InvalidInputException:  # line ends of both kinds in one file, which the strict reader refuses as a whole
        if log.kind is not LogKind.CSV:
            raise
        with tempfile.TemporaryDirectory(prefix="rightsize-log-") as folder:
            plain = Path(folder) / "log.csv"
            _one_kind_of_line_end(log, plain)
            unpacked = select.replace(f"compression = '{log.compression}'", "compression = 'none'")
            database.execute(f"INSERT INTO request {unpacked}", [str(plain)])


def _one_kind_of_line_end(log: LogFile, target: Path) -> None:
    """Copy a CSV with every line end as a newline."""
    if log.compression == "zstd":
        raise InputError(f"{log.path} mixes kinds of line ends: unpack it, make them one kind and give it again")
    opener = gzip.open if log.compression == "gzip" else open
    with (
        opener(log.path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=None) as source,
        target.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as copy,
    ):
        shutil.copyfileobj(source, copy)


def _load(database: duckdb.DuckDBPyConnection, log: LogFile) -> _Read:
    """Append JSON lines, Parquet or a CSV with nested fields: every value is tried, and what does not fit is counted."""
    known = log.format
    moment = f"TRY_CAST({field_value(log, known.time)} AS {time_type(known.time_unit)})"
    stated = {side: tokens_of(log, name) for side, name in (("input", known.input_tokens), ("output", known.output_tokens))}
    columns = f"{time_in_us(moment, known.time_unit)} AS time_us, {stated['input']} AS input_tokens, {stated['output']} AS output_tokens"
    is_row = "trim(line) <> ''" if log.kind is LogKind.JSON_LINES else "true"
    counts = f"{is_row} AND {is_request(log)}"
    rows = f"SELECT {columns}{optional_columns(log)} FROM {row_table(log)} WHERE {counts}"
    if known.has_text:
        rows = _with_counted_texts(rows, known)
        columns = ", ".join([columns.split(" AS time_us")[0] + " AS time_us", *(_tried(log, side, stated[side]) for side in stated)])
    _insert_csv(database, log, rows)
    refused = _refused_lines(database, log)
    label = "row" if log.kind is LogKind.PARQUET else "line"
    examples = [BrokenRow(place=f"{label} {line}", reason=reason, text="") for line, reason in refused[:EXAMPLES]]
    incomplete = _one(database, f"SELECT count(*) FROM request WHERE {INCOMPLETE}")
    if incomplete:
        database.execute(f"DELETE FROM request WHERE {INCOMPLETE}")
        examples += _broken_examples(database, log, columns, counts, [line for line, _ in refused])
    examples.sort(key=_place_number)
    return _Read(
        log=log,
        broken_rows=incomplete + len(refused),
        other_rows=_other_rows(database, log, is_row),
        examples=tuple(examples[:EXAMPLES]),
    )


def _with_counted_texts(rows: str, known: LogFormat) -> str:
    """The rows with tokens counted from text where none are stated; a count and its kind come in one number."""
    sides = [side for side, text in (("input", known.input_text), ("output", known.output_text)) if text is not None]
    asked = ", ".join(f"CASE WHEN {side}_tokens IS NULL THEN text_tokens({side}_text) END AS {side}_count" for side in sides)
    optional = [name for name in OPTIONAL_COLUMNS if optional_field(known, name) is not None]
    columns = ["time_us"]
    for side in ("input", "output"):
        columns.append(f"coalesce({side}_tokens, {side}_count // {KINDS}) AS {side}_tokens" if side in sides else f"{side}_tokens")
    columns += [f"{name[:-5]}_count % {KINDS} AS {name}" if name.endswith("_kind") else name for name in optional]
    return f"SELECT {', '.join(columns)} FROM (SELECT *, {asked} FROM ({rows}))"


def _tried(log: LogFile, side: str, stated: str) -> str:
    """SQL for a side's tokens when broken rows are looked for again: a text that is there counts as a number."""
    text = log.format.input_text if side == "input" else log.format.output_text
    there = f"CASE WHEN {text_of(log, text)} IS NOT NULL THEN 0 END" if text is not None else "NULL"
    return f"coalesce({stated}, {there}) AS {side}_tokens"


def _broken_examples(
    database: duckdb.DuckDBPyConnection, log: LogFile, columns: str, counts: str, refused: Sequence[int]
) -> list[BrokenRow]:
    """The first rows that were read and cannot be used, found in a second reading; `refused` lines are not in it.

    A CSV's row may span lines: its line is one more than the line ends of all rows above.
    """
    label = "row" if log.kind is LogKind.PARQUET else "line"
    number = "row_number() OVER ()"
    if log.kind is LogKind.CSV:
        ends = " + ".join(f"coalesce(length(c{place}) - length(replace(c{place}, chr(10), '')), 0)" for place in range(len(log.columns)))
        number = f"row_number() OVER () + coalesce(sum({ends}) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)"
    rows = database.execute(
        f"SELECT line_number, left({row_text(log)}, {10 * TEXT_SHOWN}), {is_json(log)}, time_us IS NULL, input_tokens IS NULL FROM "
        f"(SELECT {number} AS line_number, *, {columns} FROM {row_table(log, again=True)}) "
        f"WHERE {counts} AND ({INCOMPLETE}) ORDER BY line_number LIMIT {EXAMPLES}",
        [str(log.path)],
    ).fetchall()
    header = 1 if log.kind is LogKind.CSV else 0
    return [_broken_value(log, label, _true_line(int(row[0]) + header, refused), *row[1:]) for row in rows]


def _place_number(row: BrokenRow) -> int:
    return int(row.place.split()[1])


def _refused_lines(database: duckdb.DuckDBPyConnection, log: LogFile) -> list[tuple[int, str]]:
    if log.kind is LogKind.PARQUET:
        return []
    found = database.execute("SELECT line, any_value(error_type::VARCHAR) FROM reject_errors GROUP BY line ORDER BY line").fetchall()
    database.execute("DELETE FROM reject_errors")
    return [(int(line), "not UTF-8 text" if error == "INVALID ENCODING" else str(error).lower()) for line, error in found]


def _other_rows(database: duckdb.DuckDBPyConnection, log: LogFile, is_row: str) -> int:
    if log.format.only_column is None:
        return 0
    query = f"SELECT count(*) FROM {row_table(log, again=True)} WHERE {is_row} AND NOT {is_request(log)}"
    row = database.execute(query, [str(log.path)]).fetchone()
    assert row is not None
    return int(row[0])


def _reason(error: str, column: str | None, log: LogFile) -> str:
    if error == "CAST" and column is not None:
        return f"'{log.columns[int(column[1:])]}' is missing or no such number or time"
    return error.lower()


def _broken_value(log: LogFile, label: str, number: int, text: str, is_object: bool, no_time: bool, no_input: bool) -> BrokenRow:
    known = log.format
    inside, outside = known.input_tokens or known.input_text, known.output_tokens or known.output_text
    field = known.time if no_time else inside if no_input else outside
    reason = f"'{field}' is missing or no such number or time" if is_object else "not a JSON object"
    return BrokenRow(place=f"{label} {number}", reason=reason, text=_shown(text))


def _true_line(counted: int, refused: Sequence[int]) -> int:
    """The line in the file of the `counted`-th line that was not refused."""
    for line in refused:
        if line > counted:
            break
        counted += 1
    return counted


# ---- counting ----


def _summary(database: duckdb.DuckDBPyConnection, read: list[_Read], route: str | None, zone: str, counter: TextCounter) -> TraceSummary:
    log = read[0].log

    def ask(query: str) -> list[Any]:
        return database.execute(query).fetchall()

    broken = sum(one.broken_rows for one in read)
    examples = tuple(row for one in read for row in one.examples)[:EXAMPLES]
    jumps = _one(database, "SELECT count(*) FROM (SELECT time_us - lag(time_us) OVER () AS step_us FROM request) WHERE step_us < 0")
    duplicates = _drop_duplicates(database, log)
    routes = counts.routes(ask, "request") if log.format.route is not None else ()
    if route is not None:
        _keep_route(database, log, route, routes)
    requests, first_us, last_us = counts.span(ask, "request")
    if requests == 0:
        first = f"; the first, {examples[0].place}: {examples[0].reason}" if examples else ""
        raise InputError(f"{log.path} holds no request: 0 rows could be read and {broken} could not{first}")
    if first_us == last_us:
        raise InputError(f"{log.path} holds {requests} request(s) at one moment: a rate needs requests at two moments at least")
    calendar, texts = log.format.time_unit.has_calendar, _counted_texts(ask, log.format, counter)
    return TraceSummary(
        name=_name(read, route),
        format_id=log.format.id,
        files=len(read),
        requests=requests,
        broken_rows=broken,
        broken_examples=examples,
        duplicates=duplicates,
        other_rows=sum(one.other_rows for one in read),
        clock_jumps_back=jumps,
        first=moment_of(first_us) if calendar else None,
        last=moment_of(last_us) if calendar else None,
        span_s=(last_us - first_us) / counts.MICROSECONDS,
        input_lengths=counts.lengths(ask, "request", "input_tokens"),
        output_lengths=counts.lengths(ask, "request", "output_tokens"),
        peaks=counts.peaks(ask, "request", first_us, last_us),
        gap_cv=counts.gap_cv(ask, "request", order="ORDER BY time_us" if jumps else ""),
        cached_input_share=counts.cached_share(ask, "request") if log.format.cached_input_tokens is not None else None,
        prefix_reuse_share=_prefix_reuse(database, log) if log.format.prefix_hashes is not None else None,
        routes=routes,
        hourly=counts.hourly(ask, "request", first_us, last_us, zone) if calendar else None,
        zone=zone if calendar else "",
        counted_texts=texts,
        counted_with=_counted_with(texts, counts.models_of(routes, route), requests, counter.known_as),
    )


def _counted_with(texts: tuple[CountedText, ...], models: Sequence[str], requests: int, tokenizer: str) -> str:
    """The tokenizer of all counts: that of the models named, or the one that counted every text where the log has nothing else; else ''."""
    named = common_tokenizer(models)
    if not texts:
        return named
    from_text = {side: sum(text.rows for text in texts if text.side == side) for side in ("input", "output")}
    return tokenizer if named == tokenizer or set(from_text.values()) == {requests} else ""


def _counted_texts(ask: counts.Ask, known: LogFormat, counter: TextCounter) -> tuple[CountedText, ...]:
    """What was counted from text, by side and kind of text."""
    found = []
    for side, text in (("input", known.input_text), ("output", known.output_text)):
        if text is not None:
            query = f"SELECT {side}_kind, count(*), sum({side}_tokens) FROM request WHERE {side}_kind IS NOT NULL GROUP BY 1 ORDER BY 1"
            found += [counter.said(side, int(kind), int(rows), int(tokens)) for kind, rows, tokens in ask(query)]
    return tuple(found)


def _name(read: list[_Read], route: str | None) -> str:
    first = read[0].log.path.name.split(".")[0] or read[0].log.path.name
    more = f" and {len(read) - 1} more" if len(read) > 1 else ""
    return first + more + (f", {route}" if route is not None else "")


def _drop_duplicates(database: duckdb.DuckDBPyConnection, log: LogFile) -> int:
    """Rows whose id stood before are taken out; rows without an id are all kept."""
    if log.format.request_id is None:
        return 0
    duplicates = _one(database, "SELECT count(request_id) - count(DISTINCT request_id) FROM request")
    if duplicates:
        database.execute(
            "DELETE FROM request WHERE request_id IS NOT NULL AND rowid NOT IN "
            "(SELECT min(rowid) FROM request WHERE request_id IS NOT NULL GROUP BY request_id)"
        )
    return duplicates


def _keep_route(database: duckdb.DuckDBPyConnection, log: LogFile, route: str, routes: tuple[RouteVolume, ...]) -> None:
    if log.format.route is None:
        raise InputError(f"{log.path} has no column by which its traffic could be split, so there is no route '{route}'")
    database.execute("DELETE FROM request WHERE coalesce(route, '') <> ?", [route])
    if _one(database, "SELECT count(*) FROM request") == 0:
        known = ", ".join(f"'{one.name}'" for one in routes[:10])
        raise InputError(f"{log.path} has no route '{route}': the largest in its column '{log.format.route}' are {known}")


def _prefix_reuse(database: duckdb.DuckDBPyConnection, log: LogFile) -> float | None:
    """Share of input tokens in leading blocks that an earlier request had; a hash stands for its block and all before it."""
    row = database.execute(
        """
        WITH block AS (SELECT rowid AS request, input_tokens, unnest(hashes) AS hash FROM request WHERE hashes IS NOT NULL),
             first AS (SELECT hash, min(request) AS request FROM block GROUP BY hash),
             hit AS (SELECT any_value(input_tokens) AS input_tokens, count(*) AS blocks
                     FROM block JOIN first USING (hash) WHERE first.request < block.request GROUP BY block.request)
        SELECT (SELECT coalesce(sum(least(blocks * $block_tokens, input_tokens)), 0) FROM hit),
               (SELECT sum(input_tokens) FROM request WHERE hashes IS NOT NULL)
        """,
        {"block_tokens": log.format.prefix_block_tokens},
    ).fetchone()
    assert row is not None
    reused, total = row
    return int(reused) / int(total) if total else None


def _one(database: duckdb.DuckDBPyConnection, query: str) -> int:
    row = database.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _shown(text: str | None) -> str:
    one_line = "".join(sign if sign.isprintable() else " " for sign in (text or "").strip())
    return one_line if len(one_line) <= TEXT_SHOWN else one_line[:TEXT_SHOWN] + "..."


def _first_line(error: Exception) -> str:
    return _shown(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
