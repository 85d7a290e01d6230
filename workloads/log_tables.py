"""A request log that lies in a PostgreSQL table: the same summary, counted there; only the counts travel."""

# ruff: noqa: S608 - names of columns and tables are quoted here, and nothing else is put in
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from facts.errors import InputError
from workloads import log_counts as counts
from workloads.log_formats import LogFormat, TimeUnit, fitting_format, known_zone
from workloads.store import engine, reading
from workloads.text_tokens import common_tokenizer
from workloads.trace_summary import BrokenRow, TraceSummary, moment_of

WHOLE_NUMBERS = frozenset({"smallint", "integer", "bigint"})
NUMBERS = WHOLE_NUMBERS | {"numeric", "real", "double precision"}
TIMES = frozenset({"timestamp without time zone", "timestamp with time zone", "date"})
MOST_TOKENS = 2**32 - 1


def summarize_table(
    database_url: str, table: str, *, columns: LogFormat | None = None, route: str | None = None, zone: str = "UTC"
) -> TraceSummary:
    """The summary of a table or view, `name` or `schema.name`, read in one transaction that cannot write.

    columns: a mapping of the user's own, when the table is none that is known
    route: only the part of the traffic with this name
    zone: the time zone in which hours of the week and days are counted, by its IANA name
    """
    try:
        known_zone(zone)
    except ValueError as error:
        raise InputError(str(error)) from None
    if engine(database_url).dialect.name != "postgresql":
        raise InputError("only logs in PostgreSQL are summarised where they lie: give the log as a file")
    with reading(database_url) as connection:

        def ask(query: str) -> Sequence[Any]:
            return list(connection.exec_driver_sql(query))

        types = _columns(ask, table)
        known = fitting_format(tuple(types), f"the table {table}", columns)
        if known.input_tokens is None or known.output_tokens is None:
            raise InputError(f"tokens of the table {table} would have to be counted from text, which needs a file: export it and give that")
        ask(f"SELECT set_config('timezone', {_text(known.time_zone)}, true)")  # of a time that names no zone
        return _summary(ask, table, _requests(table, known, types), known, types, route, zone)


# ---- below: how ----


def _columns(ask: counts.Ask, table: str) -> dict[str, str]:
    """Names and types of a table's columns."""
    schema, dot, name = table.rpartition(".")
    where = f"table_name = {_text(name)} AND " + (
        f"table_schema = {_text(schema)}" if dot else "table_schema = ANY (current_schemas(false))"
    )
    found = ask(f"SELECT column_name, data_type FROM information_schema.columns WHERE {where} ORDER BY ordinal_position")
    if not found:
        raise InputError(f"there is no table '{table}', or it may not be read: name it as it is spelt, or as schema.table")
    return {str(column): str(kind) for column, kind in found}


def _summary(
    ask: counts.Ask, table: str, requests: str, known: LogFormat, types: dict[str, str], route: str | None, zone: str
) -> TraceSummary:
    complete = "time_us IS NOT NULL AND input_tokens IS NOT NULL AND output_tokens IS NOT NULL"
    source = f"(SELECT * FROM {requests} AS q WHERE {complete})"
    rows, ours, broken = (
        int(number)
        for number in ask(
            f"SELECT count(*), count(*) FILTER (WHERE is_request), count(*) FILTER (WHERE is_request AND NOT ({complete})) "
            f"FROM {requests} AS q"
        )[0]
    )
    source = f"(SELECT * FROM {requests} AS q WHERE is_request AND {complete})"
    duplicates = int(ask(f"SELECT count(request_id) - count(DISTINCT request_id) FROM {source} AS r")[0][0])
    if duplicates:
        turn = "row_number() OVER (PARTITION BY request_id ORDER BY time_us, input_tokens, output_tokens)"
        ranked = f"SELECT *, {turn} AS turn FROM {source} AS d"
        source = f"(SELECT * FROM ({ranked}) AS e WHERE request_id IS NULL OR turn = 1)"
    routes = counts.routes(ask, source) if known.route is not None and _has(types, known.route) else ()
    if route is not None:
        if not routes:
            raise InputError(f"the table {table} has no column by which its traffic could be split, so there is no route '{route}'")
        source = f"(SELECT * FROM {source} AS f WHERE coalesce(route, '') = {_text(route)})"
    number, first_us, last_us = counts.span(ask, source)
    if number == 0 or first_us == last_us:
        raise InputError(
            f"the table {table} holds {number} request(s) at one moment at most, and {broken} rows that cannot be read: "
            "a rate needs requests at two moments at least"
        )
    calendar = known.time_unit.has_calendar
    return TraceSummary(
        name=table + (f", {route}" if route is not None else ""),
        format_id=known.id,
        files=1,
        requests=number,
        broken_rows=broken,
        broken_examples=_examples(ask, requests, known, complete) if broken else (),
        duplicates=duplicates,
        other_rows=rows - ours,
        clock_jumps_back=0,  # a table has no order of its own
        first=moment_of(first_us) if calendar else None,
        last=moment_of(last_us) if calendar else None,
        span_s=(last_us - first_us) / counts.MICROSECONDS,
        input_lengths=counts.lengths(ask, source, "input_tokens"),
        output_lengths=counts.lengths(ask, source, "output_tokens"),
        peaks=counts.peaks(ask, source, first_us, last_us),
        gap_cv=counts.gap_cv(ask, source),
        cached_input_share=counts.cached_share(ask, source),
        prefix_reuse_share=None,
        routes=routes,
        hourly=counts.hourly(ask, source, first_us, last_us, zone) if calendar else None,
        zone=zone if calendar else "",
        counted_with=common_tokenizer(counts.models_of(routes, route)),
    )


def _examples(ask: counts.Ask, requests: str, known: LogFormat, complete: str) -> tuple[BrokenRow, ...]:
    found = ask(
        f"SELECT time_us IS NULL, input_tokens IS NULL, request_id FROM {requests} AS q WHERE is_request AND NOT ({complete}) LIMIT 5"
    )
    return tuple(
        BrokenRow(
            place="row not known" if request_id is None else f"row {request_id}",
            reason=f"'{known.time if no_time else known.input_tokens if no_input else known.output_tokens}' is missing or no such value",
            text="",
        )
        for no_time, no_input, request_id in found
    )


def _requests(table: str, known: LogFormat, types: dict[str, str]) -> str:
    """The table with the columns of a request."""
    only = "true"
    if known.only_column is not None and known.only_value is not None:
        only = f"coalesce({_as_text(known.only_column, types)} = {_text(known.only_value)}, true)"
    optional = {
        name: _as_text(column, types) if column is not None and _has(types, column) else "CAST(NULL AS text)"
        for name, column in (("route", known.route), ("request_id", known.request_id))
    }
    cached = known.cached_input_tokens
    return (
        f"(SELECT {_time(known, types)} AS time_us, {_tokens(known.input_tokens or '', types)} AS input_tokens, "
        f"{_tokens(known.output_tokens or '', types)} AS output_tokens, "
        f"{_tokens(cached, types) if cached is not None and _has(types, cached) else 'CAST(NULL AS bigint)'} AS cached_tokens, "
        f"{optional['route']} AS route, {optional['request_id']} AS request_id, {only} AS is_request FROM {_name(table)})"
    )


def _tokens(column: str, types: dict[str, str]) -> str:
    """Whole tokens, NULL for what is none: negative, broken, too many."""
    value, kind = _value(column, types)
    if kind not in WHOLE_NUMBERS:
        digits = f"CAST({value} AS text)"
        value = f"CASE WHEN {digits} ~ '^[0-9]{{1,10}}(\\.0+)?$' THEN CAST(CAST({digits} AS numeric) AS bigint) END"
    return f"(SELECT CASE WHEN n BETWEEN 0 AND {MOST_TOKENS} THEN n END FROM (SELECT CAST({value} AS bigint) AS n) AS one)"


def _time(known: LogFormat, types: dict[str, str]) -> str:
    """Whole microseconds; a time without a zone is UTC."""
    value, kind = _value(known.time, types)
    if known.time_unit is TimeUnit.DATETIME:
        if kind not in TIMES:
            raise InputError(f"the column '{known.time}' is {kind}, and a time is wanted: cast it in a view")
        moment = f"CAST({value} AS timestamptz)"
        return f"CASE WHEN isfinite({moment}) THEN CAST(extract(epoch FROM {moment}) * {counts.MICROSECONDS} AS bigint) END"
    if kind not in NUMBERS:
        raise InputError(f"the column '{known.time}' is {kind}, and a number is wanted: cast it in a view")
    if known.time_unit.is_nanoseconds:
        return f"CAST(floor(CAST({value} AS numeric) / 1000) AS bigint)"
    return f"CAST(round(CAST({value} AS numeric) * {known.time_unit.microseconds}) AS bigint)"


def _value(column: str, types: dict[str, str]) -> tuple[str, str]:
    """A column, or a field inside one, and its type."""
    spelt = {name.casefold(): name for name in types}
    if column.casefold() in spelt:
        name = spelt[column.casefold()]
        return _quoted(name), types[name]
    outer, *inner = column.split(".")
    path = ",".join(step.replace('"', "").replace("\\", "") for step in inner)
    return f"(CAST({_quoted(spelt[outer.casefold()])} AS jsonb) #>> {_text('{' + path + '}')})", "text"


def _as_text(column: str, types: dict[str, str]) -> str:
    return f"CAST({_value(column, types)[0]} AS text)"


def _has(types: dict[str, str], column: str) -> bool:
    found = {name.casefold() for name in types}
    return column.casefold() in found or column.split(".")[0].casefold() in found


def _name(table: str) -> str:
    return ".".join(_quoted(part) for part in table.rpartition(".") if part not in ("", "."))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''").replace("%", "%%") + "'"
