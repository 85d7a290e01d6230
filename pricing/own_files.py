"""The user's own rents and server prices, from CSV files with the columns of the published tables."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

from facts.errors import InputError
from facts.records import Basis, Source, nearest, validated
from pricing.prices import Rent, RentalClass, ServerRow

RENT_COLUMNS = (
    "provider",
    "instance",
    "device_id",
    "gpu",
    "gpu_memory_gb",
    "gpus",
    "usd_per_hour",
    "usd_per_gpu_hour",
    "term",
    "region",
    "as_of",
    "source",
    "via",
    "notes",
)
RENT_NEEDED = ("provider", "device_id", "gpus", "usd_per_hour", "term", "as_of")
SERVER_COLUMNS = ("device_id", "device", "price_usd", "host_usd", "power_kw", "price_kind", "as_of", "source", "notes")
SERVER_NEEDED = ("device_id", "price_usd", "power_kw", "as_of")
HOURLY_TOLERANCE = 0.01
"""The price of the instance and the price per GPU may differ by this share, for rounding."""


def read_rents(path: Path) -> tuple[Rent, ...]:
    """Rents from a CSV file, in its order; a rent of your own counts as a specialised cloud's, so that plans may use it.

    Where both prices are given, the instance's must be the GPU's times their number.
    """
    rents = []
    for number, row in enumerate(_rows(path, RENT_COLUMNS, RENT_NEEDED), 2):
        where = f"{path} line {number}"
        per_gpu = row.get("usd_per_gpu_hour") or ""
        rent = validated(
            Rent,
            {
                "id": f"own-{number:05d}",
                "provider": row["provider"],
                "provider_class": RentalClass.NEOCLOUD,
                "instance": row.get("instance", ""),
                "device_id": row["device_id"],
                "device": row.get("gpu") or row["device_id"],
                "gpu_memory_gb": row.get("gpu_memory_gb") or None,
                "gpus": row["gpus"],
                "usd_per_hour": row["usd_per_hour"],
                "term": row["term"],
                "region": row.get("region", ""),
                "source": _source(row, where),
            },
            where,
        )
        if per_gpu:
            _check_per_gpu(rent, per_gpu, where)
        rents.append(rent)
    return tuple(rents)


def read_servers(path: Path) -> tuple[ServerRow, ...]:
    """Prices to own from a CSV file: device and host in USD per GPU, IT power in kW per GPU without cooling."""
    servers = []
    for number, row in enumerate(_rows(path, SERVER_COLUMNS, SERVER_NEEDED), 2):
        where = f"{path} line {number}"
        source = _source(row, where)
        servers.append(
            validated(
                ServerRow,
                {
                    "id": row["device_id"],
                    "device": row.get("device") or row["device_id"],
                    "gpu_usd": row["price_usd"],
                    "host_usd_per_gpu": row.get("host_usd") or 0,
                    "price_kind": row.get("price_kind") or "own",
                    "it_power_kw_per_gpu": row["power_kw"],
                    "power_basis": Basis.ASSUMED,
                    "source": source,
                    "power_source": source,
                },
                where,
            )
        )
    return tuple(servers)


# ---- below: how ----


def _rows(path: Path, columns: tuple[str, ...], needed: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            header = reader.fieldnames or []
            unknown = [name for name in header if name not in columns]
            if unknown:
                raise InputError(f"{path}: unknown column '{unknown[0]}'{nearest(unknown[0], list(columns))}")
            missing = [name for name in needed if name not in header]
            if missing:
                raise InputError(f"{path}: column '{missing[0]}' is missing; needed are {', '.join(needed)}")
            rows = list(reader)
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text, so it is no CSV file") from None
    except (OSError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from None
    if not rows:
        raise InputError(f"{path} holds no row below its header")
    for number, row in enumerate(rows, 2):
        if "" in row:
            raise InputError(f"{path} line {number} has more values than the {len(header)} columns of the header")
    return [{name: value.strip() for name, value in row.items()} for row in rows]


def _source(row: dict[str, str], where: str) -> Source:
    try:
        checked = date.fromisoformat(row["as_of"])
    except ValueError:
        raise InputError(f"{where}: as_of '{row['as_of']}' is no date: write it as YYYY-MM-DD") from None
    note = "; ".join(text for text in ("your own file", row.get("via", ""), row.get("notes", "")) if text)
    return Source(url=row.get("source") or "entered by the user", checked=checked, note=note)


def _check_per_gpu(rent: Rent, per_gpu: str, where: str) -> None:
    try:
        stated = float(per_gpu) * max(rent.gpus, 1)
    except ValueError:
        raise InputError(f"{where}: usd_per_gpu_hour '{per_gpu}' is no number") from None
    if not abs(stated - rent.usd_per_hour) <= HOURLY_TOLERANCE * rent.usd_per_hour:
        raise InputError(
            f"{where}: usd_per_hour {rent.usd_per_hour:g} is for the whole instance, but {rent.gpus} GPUs at usd_per_gpu_hour {per_gpu} "
            f"are {stated:g}: correct one of them"
        )
