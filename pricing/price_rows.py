"""The rows that prices are kept in: one form for the bundled catalogue, live lists, data files and the user's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date
from enum import StrEnum

from pydantic import Field

from facts.records import Basis, Fact, Source


class RentalClass(StrEnum):
    """Who rents out a GPU: a hyperscaler, a specialised cloud, strangers' machines, or nobody (a published cost model)."""

    CLOUD = "cloud"
    NEOCLOUD = "neocloud"
    MARKETPLACE = "marketplace"
    MODEL = "model"


class PriceTier(Fact):
    """Prices of requests whose prompt is longer than a threshold; 0 and absent both mean no price."""

    above_input_tokens: int = Field(default=0, ge=0)
    """The tier holds for prompts of more input tokens than this; 0 is the base price."""
    input_usd_per_mtok: float = Field(gt=0)
    """Uncached input, USD per million tokens."""
    output_usd_per_mtok: float = Field(gt=0)
    """Output, USD per million tokens."""
    cached_input_usd_per_mtok: float | None = Field(default=None, gt=0)
    """Input read from the provider's cache, USD per million tokens."""
    cache_write_usd_per_mtok: float | None = Field(default=None, gt=0)
    """Input written to the provider's cache, USD per million tokens."""
    batch_input_usd_per_mtok: float | None = Field(default=None, gt=0)
    """Uncached input of a batch job; absent where the provider publishes no batch price."""
    batch_output_usd_per_mtok: float | None = Field(default=None, gt=0)
    """Output of a batch job."""
    batch_cached_input_usd_per_mtok: float | None = Field(default=None, gt=0)
    """Cached input of a batch job."""


class PriceRow(Fact):
    """One model at one provider, in the form that every layer is brought to."""

    provider: str
    """Who is paid, as the catalogue's id."""
    model: str
    """The model's id at that provider."""
    tiers: tuple[PriceTier, ...] = Field(min_length=1)
    """Base price first, then the tiers by prompt length, rising."""
    context_tokens: int | None = Field(default=None, gt=0)
    """Longest prompt and answer together, where it is known."""
    deprecated: bool = False
    """Marked by the catalogue as on its way out."""
    route: str = ""
    """Through whom the provider is reached, where not directly."""
    time_rule: str = ""
    """What the price does over the day, where it changes, and for which time it is stated."""
    window_tiers: tuple[PriceTier, ...] = ()
    """Prices inside the hours of the day that are priced apart, in the order of `tiers`; `tiers` are those of the rest."""
    window_hours: float = Field(default=0.0, ge=0, le=24)
    """How many hours of the day that are."""
    valid_from: date | None = None
    """First day of the price, where it is known."""
    source: Source
    """Where it was read."""

    @property
    def id(self) -> str:
        """provider:model, with the route where there is one."""
        return f"{self.provider}:{self.model}" + (f" {self.route}" if self.route else "")


class PriceSnapshot(Fact):
    """Live prices that the user has accepted: a layer between the user's own and the bundled ones."""

    as_of: date
    """The day it was fetched."""
    feed: str
    """Address it came from."""
    sha256: str
    """Of its canonical rows."""
    etag: str = ""
    """The server's mark of this version of the list, sent along next time."""
    rows: tuple[PriceRow, ...]
    """Sorted by provider and model."""


class Rent(Fact):
    """One published rent of one instance on one day."""

    id: str
    """Unique, sorted."""
    provider: str
    """Who rents it out."""
    provider_class: RentalClass
    """What kind of provider."""
    instance: str = ""
    """The provider's name for it."""
    device_id: str
    """The accelerator's id, the same as in the spec sheets."""
    device: str
    """The accelerator as published."""
    gpu_memory_gb: float | None = Field(default=None, gt=0)
    """Memory of one GPU, GB = 1e9 bytes."""
    gpus: int = Field(ge=0)
    """GPUs of the instance; 0 for a machine without one."""
    usd_per_hour: float = Field(gt=0)
    """The whole instance, USD per hour."""
    term: str
    """on_demand, spot, community, reserved_from, ..."""
    region: str = ""
    """Where, if stated."""
    source: Source
    """Where it was read, and the day of the price."""


class ServerRow(Fact):
    """What it costs to own one accelerator and its share of a host."""

    id: str
    """The accelerator's id, the same as in the spec sheets."""
    device: str
    """Its name."""
    gpu_usd: float = Field(gt=0)
    """The device (or the whole machine, where it cannot be bought without), USD."""
    host_usd_per_gpu: float = Field(ge=0)
    """Chassis, CPU, memory, disks and network per device, USD."""
    price_kind: str
    """street_estimate, msrp, launch_msrp, ..."""
    it_power_kw_per_gpu: float = Field(gt=0)
    """Device, host and network at full load, kW, without cooling."""
    power_basis: Basis
    """How the power was come by."""
    source: Source
    """Of the price."""
    power_source: Source
    """Of the power."""


def rows_sha256(rows: Iterable[PriceRow]) -> str:
    """Hash of canonical rows: the same prices give the same hash, whatever the feed's order and spacing."""
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: row.id):
        digest.update(row.model_dump_json(exclude_defaults=True).encode())
    return digest.hexdigest()
