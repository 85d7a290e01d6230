"""What any option must satisfy, month by month; and the starting workloads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from facts.records import Fact, Source, read_toml, validated
from workloads.demand import Load, Modality, Residency, ServiceLevel, TokenVolume, Workload, peak_load, token_volume


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What any option must satisfy over the horizon.

    horizon_months: months that are looked at
    volume: tokens of each month, arrays of shape (horizon_months,)
    peak_loads: the load of the busiest minute of each month, horizon_months of them
    service_level: what a user will wait
    context_tokens: tokens that a model's window must hold for a mean request
    residency: where the data may go
    allowed_providers: the cleared providers, lower case, when residency is 'region'
    languages: that the model must know
    modality: that the model must take
    """

    horizon_months: int
    volume: TokenVolume
    peak_loads: tuple[Load, ...]
    service_level: ServiceLevel
    context_tokens: float
    residency: Residency
    allowed_providers: frozenset[str]
    languages: tuple[str, ...]
    modality: tuple[Modality, ...]

    @property
    def busiest_month(self) -> int:
        """The month with the highest peak, 1 is the first; the earliest when several are equal."""
        rates = [load.requests_per_s for load in self.peak_loads]
        return rates.index(max(rates)) + 1

    @property
    def peak_load(self) -> Load:
        """The highest peak of the horizon: what a plan of fixed size must carry."""
        return self.peak_loads[self.busiest_month - 1]

    def provider_allowed(self, provider: str) -> bool:
        """Whether data may go to a provider by name; under 'on_prem' to none."""
        if self.residency is Residency.ON_PREM:
            return False
        return self.residency is Residency.ANY or provider.strip().casefold() in self.allowed_providers


def requirements_of(workload: Workload) -> Requirements:
    """What follows from a workload for every option, whatever its price."""
    months = range(1, workload.horizon_months + 1)
    return Requirements(
        horizon_months=workload.horizon_months,
        volume=token_volume(workload),
        peak_loads=tuple(peak_load(workload, month) for month in months),
        service_level=workload.service_level,
        context_tokens=workload.input_tokens + workload.output_tokens,
        residency=workload.residency,
        allowed_providers=frozenset(provider.strip().casefold() for provider in workload.allowed_providers),
        languages=workload.languages,
        modality=workload.modality,
    )


class Preset(Fact):
    """A starting workload, with where its numbers come from."""

    id: str
    """Short name, a slug."""
    because: str
    """Why these numbers, in a sentence."""
    source: Source
    """Where the lengths and the peak come from."""
    workload: Workload
    """The workload itself."""


@lru_cache(maxsize=1)
def preset_records() -> tuple[Preset, ...]:
    """The starting workloads with their sources, sorted by id."""
    document = read_toml(files("workloads") / "data" / "presets.toml")
    return tuple(validated(Preset, table, f"preset {table.get('id')}") for table in document["preset"])


def presets() -> tuple[Workload, ...]:
    """The starting workloads: document analysis, customer support and code assistance, together 50 M tokens a day."""
    return tuple(record.workload for record in preset_records())
