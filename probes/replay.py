"""Traces to replay: when requests came and how long they were, from the public Azure and Mooncake files or ones like them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from facts.errors import InputError
from facts.units import MS_PER_S
from probes.load import Arrival

AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOONCAKE_KEYS = ("timestamp", "input_length", "output_length")
MAX_LINE = 10_000_000


def read_trace(path: Path, *, most: int, speed: float = 1.0) -> tuple[Arrival, ...]:
    """The first `most` requests of a trace, played `speed` times faster: the Azure 2023 CSV or the Mooncake JSON lines.

    Azure: TIMESTAMP, ContextTokens, GeneratedTokens. Mooncake: timestamp in ms, input_length, output_length. Either may be gzipped.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            first = file.readline(MAX_LINE)
            file.seek(0)
            rows = _mooncake(file, path.name) if first.lstrip().startswith("{") else _azure(file, path.name)
            found = [row for row, _ in zip(rows, range(most), strict=False)]
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (UnicodeDecodeError, EOFError, zlib.error):
        raise InputError(f"{path} is not a text file: a trace is the Azure CSV or the Mooncake JSON lines") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    if not found:
        raise InputError(f"{path} has no requests: a trace is the Azure CSV or the Mooncake JSON lines")
    found.sort(key=lambda row: row[0])
    start = found[0][0]
    return tuple(
        Arrival(due_s=(at - start) / speed, input_tokens=max(1, prompt), output_tokens=max(1, answer)) for at, prompt, answer in found
    )


def trace_name(path: Path) -> str:
    """File name and the beginning of its SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"{path.name} {digest.hexdigest()[:12]}"


# ---- below: how ----


def _azure(file: Iterator[str], name: str) -> Iterator[tuple[float, int, int]]:
    reader = csv.DictReader(file)
    missing = [column for column in AZURE_COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{name} has no column '{missing[0]}': a trace has {', '.join(AZURE_COLUMNS)}, or is in Mooncake's JSON lines")
    for number, row in enumerate(reader, 2):
        try:
            at = datetime.fromisoformat(_microseconds(row["TIMESTAMP"])).timestamp()
            yield at, int(float(row["ContextTokens"])), int(float(row["GeneratedTokens"]))
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(f"{name}, line {number}: {error}") from None


def _microseconds(text: str) -> str:
    """A time with at most six digits after the point: the trace has seven. Without a zone it is read as UTC."""
    whole, point, rest = text.strip().partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    zone = rest[digits:] if point else ""
    has_zone = zone or whole.endswith("Z") or "+" in whole[10:]
    return whole + (f".{rest[: min(digits, 6)]}" if point and digits else "") + (zone if has_zone else "+00:00")


def _mooncake(file: Iterator[str], name: str) -> Iterator[tuple[float, int, int]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield float(row["timestamp"]) / MS_PER_S, int(row["input_length"]), int(row["output_length"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            wanted = ", ".join(MOONCAKE_KEYS)
            raise InputError(f"{name}, line {number}: not a request with {wanted} ({type(error).__name__}: {error})") from None
