"""Which columns of a request log hold what: a table of known logs, and the one that fits a file."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files

from facts.errors import InputError
from facts.records import Fact, Source, read_facts


class TimeUnit(StrEnum):
    """How a log writes the moment of a request."""

    DATETIME = "datetime"
    EPOCH_S = "epoch_s"
    EPOCH_MS = "epoch_ms"
    ELAPSED_S = "elapsed_s"
    ELAPSED_MS = "elapsed_ms"

    @property
    def has_calendar(self) -> bool:
        """Whether the log says which day it was, not only how long after its start."""
        return self not in (TimeUnit.ELAPSED_S, TimeUnit.ELAPSED_MS)

    @property
    def seconds(self) -> float:
        """Seconds in one unit of a numeric time."""
        return 0.001 if self in (TimeUnit.EPOCH_MS, TimeUnit.ELAPSED_MS) else 1.0


class LogFormat(Fact):
    """The columns of one kind of request log; a dot steps into nested JSON."""

    id: str
    """Short name, a slug."""
    title: str
    """What writes such logs."""
    time: str
    """Column with the moment of the request."""
    time_unit: TimeUnit
    """How that moment is written."""
    input_tokens: str
    """Column with the prompt's tokens."""
    output_tokens: str
    """Column with the answer's tokens."""
    source: Source | None = None
    """Where the columns are described."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a log must have."""
        return (self.time, self.input_tokens, self.output_tokens)


@lru_cache(maxsize=1)
def log_formats() -> tuple[LogFormat, ...]:
    """The known request logs."""
    return read_facts(files("workloads") / "data" / "log_formats.toml", "format", LogFormat)


def fitting_format(columns: Sequence[str], where: str) -> LogFormat:
    """The known format whose columns all stand in `columns` (letter case aside); InputError names those found and those wanted."""
    found = {column.strip().casefold() for column in columns}
    for known in log_formats():
        if all(column.casefold() in found for column in known.columns):
            return known
    wanted = "; ".join(f"{known.id}: {', '.join(known.columns)}" for known in log_formats())
    raise InputError(f"{where} is no request log that is known: it has the columns {_listed(columns)}, and wanted are those of {wanted}")


def _listed(columns: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(_short(column) for column in columns[:most])
    return shown + (f" and {len(columns) - most} more" if len(columns) > most else "") if columns else "(none)"


def _short(text: str, most: int = 40) -> str:
    printable = "".join(sign if sign.isprintable() else "?" for sign in text)
    return printable if len(printable) <= most else printable[:most] + "..."
