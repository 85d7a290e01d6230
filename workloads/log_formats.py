"""Which columns of a request log hold what: a table of known logs, and the one that fits a file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from facts.errors import InputError
from facts.records import Fact, Source, read_facts, read_toml, validated


class TimeUnit(StrEnum):
    """How a log writes the moment of a request."""

    DATETIME = "datetime"
    EPOCH_S = "epoch_s"
    EPOCH_MS = "epoch_ms"
    EPOCH_US = "epoch_us"
    EPOCH_NS = "epoch_ns"
    ELAPSED_S = "elapsed_s"
    ELAPSED_MS = "elapsed_ms"
    ELAPSED_US = "elapsed_us"
    ELAPSED_NS = "elapsed_ns"

    @property
    def has_calendar(self) -> bool:
        """Whether the log says which day it was, not only how long after its start."""
        return not self.value.startswith("elapsed")

    @property
    def is_nanoseconds(self) -> bool:
        """Whether a unit is finer than the microsecond that moments are kept in."""
        return self.value.endswith("_ns")

    @property
    def microseconds(self) -> int:
        """Microseconds in one unit of a numeric time; 0 for nanoseconds."""
        return {"_s": 1_000_000, "_ms": 1_000, "_us": 1, "_ns": 0}[self.value[self.value.rindex("_") :]]


class LogFormat(Fact):
    """The columns of one kind of request log; a dot steps into nested JSON."""

    id: str = Field(default="own mapping", min_length=1)
    """Short name, a slug."""
    title: str = ""
    """What writes such logs."""
    time: str = Field(min_length=1)
    """Column with the moment of the request."""
    time_unit: TimeUnit
    """How that moment is written."""
    time_zone: str = "UTC"
    """Zone of a moment that names none, as in Europe/Berlin."""
    input_tokens: str | None = Field(default=None, min_length=1)
    """Column with the prompt's tokens, cached ones included."""
    output_tokens: str | None = Field(default=None, min_length=1)
    """Column with the answer's tokens."""
    input_text: str | None = Field(default=None, min_length=1)
    """Column with the prompt itself, whose tokens are counted where `input_tokens` does not say them."""
    output_text: str | None = Field(default=None, min_length=1)
    """Column with the answer itself, likewise."""
    cached_input_tokens: str | None = None
    """Column with the prompt's tokens that were billed as cached."""
    request_id: str | None = None
    """Column by which a request that stands twice is known."""
    route: str | None = None
    """Column by which the traffic can be split: a route, a tenant, a model."""
    prefix_hashes: str | None = None
    """Column with a list of hashes of the prompt's blocks, each for its block and all before it."""
    prefix_block_tokens: int = Field(default=512, gt=0)
    """Tokens of one such block."""
    only_column: str | None = None
    """Column that says whether the row is a request to a model."""
    only_value: str | None = None
    """What it says then."""
    source: Source | None = None
    """Where the columns are described."""

    @model_validator(mode="after")
    def _only_needs_both(self) -> Self:
        if (self.only_column is None) != (self.only_value is None):
            raise ValueError("only_column and only_value belong together: give both or none")
        for side, tokens, text in (("input", self.input_tokens, self.input_text), ("output", self.output_tokens, self.output_text)):
            if tokens is None and text is None:
                raise ValueError(
                    f"neither {side}_tokens nor {side}_text is given: name the column with the tokens or the one with the text"
                )
        known_zone(self.time_zone)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a log must have; a text's only where the tokens are stated nowhere."""
        sides = ((self.input_tokens, self.input_text), (self.output_tokens, self.output_text))
        always = (self.time, *(tokens or text or "" for tokens, text in sides))
        return (*always, self.only_column) if self.only_column else always

    @property
    def has_text(self) -> bool:
        """Whether tokens may have to be counted from text."""
        return self.input_text is not None or self.output_text is not None

    def fits(self, columns: Sequence[str]) -> bool:
        """Whether a log with these columns can be read so."""
        return all(has_column(columns, column) for column in self.columns)


def known_zone(name: str) -> tzinfo:
    """A time zone by its name in the IANA database; a name that is none is a ValueError with the way out."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"'{name}' is no time zone: write it as in Europe/Berlin, Asia/Kolkata or UTC") from None


def has_column(columns: Sequence[str], wanted: str) -> bool:
    """Whether `wanted` is one of the columns, or a field inside one of them; letter case aside."""
    found = {column.strip().casefold() for column in columns}
    return wanted.casefold() in found or wanted.split(".")[0].casefold() in found


@lru_cache(maxsize=1)
def log_formats() -> tuple[LogFormat, ...]:
    """The known request logs."""
    return read_facts(files("workloads") / "data" / "log_formats.toml", "format", LogFormat)


def read_log_format(path: Path) -> LogFormat:
    """A mapping of the user's own, from a TOML file with the keys of a LogFormat."""
    return validated(LogFormat, read_toml(path), str(path))


def fitting_format(columns: Sequence[str], where: str, own: LogFormat | None = None) -> LogFormat:
    """The format whose columns all stand in `columns`: the user's own, else a known one; InputError names found and wanted."""
    candidates = (own,) if own is not None else log_formats()
    for candidate in candidates:
        if candidate.fits(columns):
            return candidate
    wanted = "; ".join(f"{candidate.id}: {', '.join(candidate.columns)}" for candidate in candidates)
    raise InputError(f"{where} is no request log that is known: it has the columns {_listed(columns)}, and wanted are those of {wanted}")


def _listed(columns: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(_short(column) for column in columns[:most])
    return shown + (f" and {len(columns) - most} more" if len(columns) > most else "") if columns else "(none)"


def _short(text: str, most: int = 40) -> str:
    printable = "".join(sign if sign.isprintable() else "?" for sign in text)
    return printable if len(printable) <= most else printable[:most] + "..."
