"""SQL that reads one log file: its table function, and each field of a request as an expression.

Pure text: nothing is opened here. Names of columns are quoted, column numbers and fixed words are put in as they are, and the
file's path is always a parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from workloads.log_formats import LogFormat, TimeUnit


class LogKind(StrEnum):
    """What a log file is."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """A log file that has been looked at.

    path: where it lies
    compression: as DuckDB names it
    kind: what it is
    delimiter: between the columns of a CSV
    columns: as the header names them, or the keys of the first JSON object
    types: of the columns of a Parquet file, as DuckDB names them; else empty
    format: which of them hold what
    """

    path: Path
    compression: str
    kind: LogKind
    delimiter: str
    columns: tuple[str, ...]
    types: tuple[str, ...] = ()
    format: LogFormat


def is_plain_csv(log: LogFile) -> bool:
    """Whether a CSV's own types do the checking: then DuckDB keeps each row it refuses with its line number."""
    needed = {column.casefold() for column in log.format.columns}
    return (
        log.kind is LogKind.CSV
        and log.format.only_column is None
        and not log.format.has_text
        and needed <= {column.casefold() for column in log.columns}
    )


def line_table(compression: str, on_error: str = "ignore_errors = true") -> str:
    """A table function that gives every line of a file as it stands; blank lines are NULL, lines that are not UTF-8 are left out."""
    return (
        f"read_csv(?, columns = {{'line': 'VARCHAR'}}, delim = '\x01', quote = '', escape = '', header = false, "
        f"auto_detect = false, strict_mode = false, compression = '{compression}', {on_error})"
    )


def csv_table(log: LogFile, types: dict[int, str]) -> str:
    """A table function that reads a CSV's columns as c0, c1, ...: those in `types` must hold what they say, the others are text."""
    columns = ", ".join(f"'c{number}': '{types.get(number, 'VARCHAR')}'" for number in range(len(log.columns)))
    needed = ", ".join(f"'c{number}'" for number in sorted(types))
    return (
        f"read_csv(?, delim = '{log.delimiter}', quote = '\"', escape = '\"', header = true, auto_detect = false, "
        f"columns = {{{columns}}}, force_not_null = [{needed}], store_rejects = true, rejects_limit = 0, "
        f"compression = '{log.compression}')"
    )


def row_table(log: LogFile, *, again: bool = False) -> str:
    """The table function for a file's rows; `again` leaves out what the first reading has refused, without a second record of it."""
    if log.kind is LogKind.PARQUET:
        return "read_parquet(?)"
    on_error = "ignore_errors = true" if again else "store_rejects = true, rejects_limit = 0"
    if log.kind is LogKind.JSON_LINES:
        return line_table(log.compression, on_error)
    return csv_table(log, {}).replace("store_rejects = true, rejects_limit = 0", on_error).replace("force_not_null = [], ", "")


READ_AS = "DOUBLE"
"""SQL type in which token counts are read: a whole number is exact in it, and 12.5 stays 12.5 instead of being rounded to 13."""
MOST_TOKENS = 2**32 - 1


def whole_tokens(expression: str) -> str:
    """SQL for a token count read as `READ_AS`: NULL where it is negative, broken or too large."""
    return (
        f"CASE WHEN {expression} BETWEEN 0 AND {MOST_TOKENS} AND {expression} = trunc({expression}) THEN CAST({expression} AS UINTEGER) END"
    )


def tokens_of(log: LogFile, name: str | None) -> str:
    """SQL for a field that holds tokens; NULL where there is none, or no whole number from 0 up."""
    if name is None or _is_absent(log, name):
        return "CAST(NULL AS UINTEGER)"
    value = field_value(log, name)
    if value == _stored(log, name):
        return f"TRY_CAST({value} AS UINTEGER)"
    return whole_tokens(f"TRY_CAST({value} AS {READ_AS})")


def time_type(unit: TimeUnit) -> str:
    """SQL type of a moment; one with a zone, so that a zone in the text is kept and the log's own is taken where there is none."""
    return "TIMESTAMPTZ" if unit is TimeUnit.DATETIME else "BIGINT" if unit.is_nanoseconds else "DOUBLE"


def time_in_us(expression: str, unit: TimeUnit) -> str:
    """SQL for a moment in whole microseconds, NULL for infinities; digits below the microsecond are cut off a date and of nanoseconds."""
    if unit is TimeUnit.DATETIME:
        return f"CASE WHEN isfinite({expression}) THEN epoch_us({expression}) END"
    if unit.is_nanoseconds:
        return f"CAST(floor({expression} // 1000) AS BIGINT)"
    return f"TRY_CAST(round({expression} * {unit.microseconds}) AS BIGINT)"


def field_text(log: LogFile, name: str) -> str:
    """SQL for a field as text: a column, or a field inside one; NULL when it is not there."""
    if log.kind is LogKind.JSON_LINES:
        return f"CASE WHEN json_valid(line) THEN json_extract_string(line, {_json_path(name.split('.'))}) END"
    found = [column.casefold() for column in log.columns]
    if name.casefold() in found:
        return f"CAST({_column(log, name)} AS VARCHAR)"
    outer, *inner = name.split(".")
    column = _column(log, outer)
    if log.kind is LogKind.PARQUET:
        whole = f"to_json({column})"
        inside = f"CASE WHEN json_type({whole}) = 'VARCHAR' THEN {whole} ->> '$' ELSE {whole} END"  # a struct, or JSON kept as text
        return f"json_extract_string({inside}, {_json_path(inner)})"
    return f"CASE WHEN json_valid({column}) THEN json_extract_string({column}, {_json_path(inner)}) END"


TYPED = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}
)
"""Types whose values mean the same as their text, so that no text need be made of them."""


def field_value(log: LogFile, name: str) -> str:
    """SQL for a field as it is stored where its type is plain, else as text."""
    return _stored(log, name) or field_text(log, name)


def _stored(log: LogFile, name: str) -> str:
    """SQL for a column whose type is plain, or ""."""
    found = [column.casefold() for column in log.columns]
    if log.types and name.casefold() in found and log.types[found.index(name.casefold())] in TYPED:
        return _column(log, name)
    return ""


def is_request(log: LogFile) -> str:
    """SQL for whether a row is a request; rows that cannot say are kept, so that they are counted as broken."""
    if log.format.only_column is None or log.format.only_value is None:
        return "true"
    return f"coalesce({field_text(log, log.format.only_column)} = {quoted_text(log.format.only_value)}, true)"


OPTIONAL_COLUMNS = {
    "cached_tokens": "UINTEGER",
    "route": "VARCHAR",
    "request_id": "VARCHAR",
    "hashes": "BIGINT[]",
    "input_kind": "UTINYINT",
    "output_kind": "UTINYINT",
}
"""Columns of the table of requests that only some logs fill, with their types; the kinds say how a text was counted."""


def optional_field(known: LogFormat, column: str) -> str | None:
    """The log's own column behind one of `OPTIONAL_COLUMNS`, None where this kind of log has none."""
    return {
        "cached_tokens": known.cached_input_tokens,
        "route": known.route,
        "request_id": known.request_id,
        "hashes": known.prefix_hashes,
        "input_kind": known.input_text,
        "output_kind": known.output_text,
    }[column]


def optional_columns(log: LogFile) -> str:
    """SQL for the columns that a log may have, each with a comma in front; a text comes as `input_text` or `output_text`."""
    found = []
    for column in OPTIONAL_COLUMNS:
        name = optional_field(log.format, column)
        if name is None:
            continue
        if column == "cached_tokens":
            found.append(f"{tokens_of(log, name)} AS cached_tokens")
        elif column == "hashes":
            found.append(f"TRY_CAST({text_of(log, name)} AS BIGINT[]) AS hashes")
        else:
            found.append(f"{text_of(log, name)} AS {column.replace('_kind', '_text')}")
    return "".join(f", {one}" for one in found)


def text_of(log: LogFile, name: str) -> str:
    """SQL for a field as text, NULL for one that this file does not have."""
    return "NULL" if _is_absent(log, name) else field_text(log, name)


def row_text(log: LogFile) -> str:
    """SQL for a row as it is shown when it is broken."""
    if log.kind is LogKind.JSON_LINES:
        return "line"
    if log.kind is LogKind.CSV:
        columns = ", ".join(f"coalesce(c{number}, '')" for number in range(len(log.columns)))
        return f"concat_ws({quoted_text(log.delimiter)}, {columns})"
    return "concat_ws(', ', " + ", ".join(field_text(log, name) for name in log.format.columns) + ")"


def is_json(log: LogFile) -> str:
    """SQL for whether a row is what its file is made of."""
    return "json_valid(line)" if log.kind is LogKind.JSON_LINES else "true"


def column_number(columns: tuple[str, ...], name: str) -> int:
    """Place of a column, counted from 0; letter case aside."""
    return [column.casefold() for column in columns].index(name.casefold())


def _is_absent(log: LogFile, name: str) -> bool:
    if log.kind is LogKind.JSON_LINES:
        return False  # the first object need not have every key
    found = [column.casefold() for column in log.columns]
    return name.casefold() not in found and name.split(".")[0].casefold() not in found


def _column(log: LogFile, name: str) -> str:
    number = column_number(log.columns, name)
    return f"c{number}" if log.kind is LogKind.CSV else '"' + log.columns[number].replace('"', '""') + '"'


def _json_path(steps: Sequence[str]) -> str:
    return quoted_text("$." + ".".join('"' + step.replace('"', "") + '"' for step in steps))


def quoted_text(value: str) -> str:
    """SQL for a text."""
    return "'" + value.replace("'", "''") + "'"
