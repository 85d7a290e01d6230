"""Prices as of a date, in layers: the user's own over an accepted live snapshot over the bundled catalogue over the bundled files.

API prices come from the genai-prices wheel, whose data lies inside it: no network. The wheel carries no date of its own, so the day it
was released stands for the day its prices were checked. Rents and servers come from the TOML files beside this module.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any, Final, Self

from genai_prices import data_snapshot, types
from pydantic import Field, model_validator

from facts.errors import InputError
from facts.records import Basis, Fact, Source, read_facts
from facts.units import HOURS_PER_DAY
from pricing.names import NAMED_CLASSES, ROUTER, ProviderClass, family_of, host_behind, is_provider, plain, provider_class
from pricing.price_rows import PriceRow, PriceSnapshot, PriceTier, Rent, RentalClass, ServerRow, rows_sha256

WHEEL = "genai-prices 0.2.3"
WHEEL_RELEASED = date(2026, 11, 4)
"""Release day of the pinned wheel: raise it together with the pin."""
PRICED_AT = time(12, 0, tzinfo=UTC)
"""Time of day at which time-dependent prices are read, always stated, so that the clock decides nothing."""
FRESH_DAYS, AGEING_DAYS = 30, 90
OWN = "entered by the user"


class Freshness(StrEnum):
    """How old a price is: to 30 days, to 90 days, older."""

    FRESH = "fresh"
    AGEING = "ageing"
    STALE = "stale"


class RentalTerm(StrEnum):
    """How GPUs are rented; the values are the catalogue's own terms."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"
    RESERVED = "reserved_from"


class PriceOverrides(Fact):
    """The user's own prices, over every catalogue; the API prices are those of the baseline model only."""

    api_blended_usd_per_mtok: float | None = Field(default=None, gt=0, le=1e6)
    """One price for input and output tokens alike, USD per million tokens; instead of the baseline's separate prices."""
    api_input_usd_per_mtok: float | None = Field(default=None, gt=0, le=1e6)
    """Price of the baseline's input tokens, USD per million."""
    api_output_usd_per_mtok: float | None = Field(default=None, gt=0, le=1e6)
    """Price of the baseline's output tokens, USD per million."""
    api_cached_input_usd_per_mtok: float | None = Field(default=None, gt=0, le=1e6)
    """Price of the baseline's cached input tokens, USD per million."""
    gpu_usd_per_hour: float | None = Field(default=None, gt=0, le=1e5)
    """Rent of one GPU, USD per hour, whichever GPU an option rents."""
    rental_term: RentalTerm = RentalTerm.ON_DEMAND
    """How GPUs are rented: by the hour, spot (cheaper, may be taken away any time), or reserved (a 'from' price with a commitment)."""
    commitment_months: int = Field(default=0, ge=0, le=60)
    """With reserved GPUs: months that the servers of the first live month are paid for, needed or not; 0 is no contract."""
    api_discount_share: float | None = Field(default=None, gt=0, lt=1)
    """Your discount on the baseline's list prices, 0.1 is 10 % off: input, cached, output and batch alike."""
    price_window_share: float | None = Field(default=None, ge=0, le=1)
    """Of models priced by the time of day: share of your traffic in the hours (UTC) that are priced apart; absent: as many as there are."""
    own_prices_from: date | None = None
    """First day on which your own prices count."""
    own_prices_until: date | None = None
    """Last day on which your own prices count; after it the list prices stand, and the page says so."""
    own_prices_note: str = Field(default="", max_length=200)
    """Where your own prices come from: an offer, a contract, who entered them."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.commitment_months and self.rental_term is not RentalTerm.RESERVED:
            raise ValueError(f"commitment_months {self.commitment_months} goes with rental_term 'reserved_from', not '{self.rental_term}'")
        apart = ("api_input_usd_per_mtok", "api_output_usd_per_mtok", "api_cached_input_usd_per_mtok", "api_discount_share")
        given = [key for key in apart if getattr(self, key) is not None]
        if self.api_blended_usd_per_mtok is not None and given:
            raise ValueError(
                f"api_blended_usd_per_mtok = {self.api_blended_usd_per_mtok:g} and {given[0]} = {getattr(self, given[0]):g} "
                "state the same price twice: keep the blended one or the separate ones"
            )
        if self.own_prices_from and self.own_prices_until and self.own_prices_from > self.own_prices_until:
            raise ValueError(f"own_prices_from {self.own_prices_from} lies after own_prices_until {self.own_prices_until}")
        return self

    @property
    def entered(self) -> tuple[str, ...]:
        """The prices and the discount that the user has entered, by key."""
        return tuple(key for key in OWN_PRICE_KEYS if getattr(self, key) is not None)

    def in_force(self, as_of: date) -> bool:
        """Whether the user's own prices count on a day."""
        after = self.own_prices_from is None or as_of >= self.own_prices_from
        return after and (self.own_prices_until is None or as_of <= self.own_prices_until)

    def on(self, as_of: date) -> PriceOverrides:
        """What counts on a day: outside their time the entered prices fall away, and the list prices stand."""
        return self if self.in_force(as_of) else self.model_copy(update=dict.fromkeys(OWN_PRICE_KEYS))


OWN_PRICE_KEYS: Final = (
    "api_blended_usd_per_mtok",
    "api_input_usd_per_mtok",
    "api_output_usd_per_mtok",
    "api_cached_input_usd_per_mtok",
    "api_discount_share",
    "gpu_usd_per_hour",
)
"""The keys of PriceOverrides that are prices, and end with their time."""
NO_OVERRIDES = PriceOverrides()


@dataclass(frozen=True, kw_only=True)
class ApiPrice:
    """A price resolved for one request size on one day.

    provider, model: who and what, the catalogue's own ids (an alias resolves to them)
    provider_class: vendor, cloud, host, aggregator or reseller
    input_usd_per_mtok, output_usd_per_mtok: list price
    cached_input_usd_per_mtok, cache_write_usd_per_mtok: None where the provider publishes none
    batch_input_usd_per_mtok, batch_output_usd_per_mtok, batch_cached_input_usd_per_mtok: None where there is no batch price
    blended_usd_per_mtok: one price for all tokens, only where the user entered one
    tier_above_input_tokens: the prompt-length tier in force; 0 is the base price
    context_tokens: longest prompt and answer together, or None
    deprecated: on its way out
    route: through whom the provider is reached, or ""
    time_rule: what the price does over the day, or ""
    source, basis: where it was read and how it was come by
    layer: which layer won
    hidden: the prices of lower layers, and of the same host's other offers, that this one stands over
    """

    provider: str
    model: str
    provider_class: ProviderClass
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None
    batch_input_usd_per_mtok: float | None = None
    batch_output_usd_per_mtok: float | None = None
    batch_cached_input_usd_per_mtok: float | None = None
    blended_usd_per_mtok: float | None = None
    tier_above_input_tokens: int = 0
    context_tokens: int | None = None
    deprecated: bool = False
    route: str = ""
    time_rule: str = ""
    source: Source
    basis: Basis = Basis.PUBLISHED
    layer: str
    hidden: tuple[ApiPrice, ...] = ()

    @property
    def ref(self) -> str:
        """provider:model."""
        return f"{self.provider}:{self.model}"

    @property
    def cached_or_input_usd_per_mtok(self) -> float:
        """What a cached token costs: the cached rate, the input rate where there is none."""
        return self.input_usd_per_mtok if self.cached_input_usd_per_mtok is None else self.cached_input_usd_per_mtok

    @property
    def cache_write_or_input_usd_per_mtok(self) -> float:
        """What a token written to the cache costs: the write rate, the input rate where there is none."""
        return self.input_usd_per_mtok if self.cache_write_usd_per_mtok is None else self.cache_write_usd_per_mtok

    def usd_per_mtok(self, input_share: float, cached_share: float = 0.0) -> float:
        """Price of a mix: `input_share` of all tokens is input, `cached_share` of the input is cached."""
        if self.blended_usd_per_mtok is not None:
            return self.blended_usd_per_mtok
        cached = self.cached_or_input_usd_per_mtok
        on_input = (1.0 - cached_share) * self.input_usd_per_mtok + cached_share * cached
        return input_share * on_input + (1.0 - input_share) * self.output_usd_per_mtok

    def in_batch(self) -> ApiPrice | None:
        """The same model as a batch job; None where no batch price is published (never the standard price under that name)."""
        if self.batch_input_usd_per_mtok is None or self.batch_output_usd_per_mtok is None:
            return None
        return replace(
            self,
            input_usd_per_mtok=self.batch_input_usd_per_mtok,
            output_usd_per_mtok=self.batch_output_usd_per_mtok,
            cached_input_usd_per_mtok=self.batch_cached_input_usd_per_mtok,
            batch_input_usd_per_mtok=None,
            batch_output_usd_per_mtok=None,
            batch_cached_input_usd_per_mtok=None,
        )


@dataclass(frozen=True, kw_only=True)
class RentalPrice:
    """What a GPU costs by the hour.

    id: of the rent in the data files, or "" for the user's own
    provider, provider_class: who rents it out
    instance: the provider's name for it
    device_id: the accelerator
    gpus: of the smallest instance at that price; 0 for a machine without GPU
    usd_per_gpu_hour: USD per GPU and hour (per machine and hour where there is no GPU)
    term: on_demand, spot, ...
    region: where, or ""
    source, basis: where it was read and how it was come by
    layer: which layer won
    hidden: what this price stands over
    """

    id: str
    provider: str
    provider_class: RentalClass
    instance: str
    device_id: str
    gpus: int
    usd_per_gpu_hour: float
    term: str
    region: str
    source: Source
    basis: Basis = Basis.PUBLISHED
    layer: str
    hidden: tuple[RentalPrice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ServerPrice:
    """What it costs to own one accelerator.

    device_id, device: which
    gpu_usd: the device
    host_usd_per_gpu: its share of the host
    power_kw_per_gpu: IT power of device, host and network at full load, without cooling
    price_kind: street_estimate, msrp, ...
    source, basis: of the price
    power_source, power_basis: of the power
    """

    device_id: str
    device: str
    gpu_usd: float
    host_usd_per_gpu: float
    power_kw_per_gpu: float
    price_kind: str
    source: Source
    basis: Basis
    power_source: Source
    power_basis: Basis

    @property
    def capex_usd_per_gpu(self) -> float:
        """Device and host, USD."""
        return self.gpu_usd + self.host_usd_per_gpu


@dataclass(frozen=True, kw_only=True)
class PriceBook:
    """Every price as of a day.

    as_of: the day; only rents read until then are known
    overrides: the user's own prices
    snapshot: accepted live prices, or None
    own_rents: the user's own rents, over the bundled ones
    own_servers: the user's own server prices, over the bundled ones
    """

    as_of: date
    overrides: PriceOverrides = NO_OVERRIDES
    snapshot: PriceSnapshot | None = None
    own_rents: tuple[Rent, ...] = ()
    own_servers: tuple[ServerRow, ...] = ()

    @cached_property
    def _known_offers(self) -> dict[str, list[tuple[PriceRow, str]]]:
        return {}

    @cached_property
    def _known_hosts(self) -> dict[tuple[str, frozenset[ProviderClass], int], tuple[ApiPrice, ...]]:
        return {}

    @classmethod
    def load(
        cls,
        as_of: date,
        overrides: PriceOverrides | None = None,
        *,
        snapshot: PriceSnapshot | None = None,
        own_rents: Iterable[Rent] = (),
        own_servers: Iterable[ServerRow] = (),
    ) -> Self:
        """The price book of a day; reads only what is installed, never the network."""
        return cls(
            as_of=as_of,
            overrides=(overrides or NO_OVERRIDES).on(as_of),
            snapshot=snapshot,
            own_rents=tuple(own_rents),
            own_servers=tuple(own_servers),
        )

    def api_price(self, ref: str, *, input_tokens: float) -> ApiPrice:
        """List price of `provider:model` for a request of `input_tokens`; InputError with the nearest ids for an unknown one."""
        provider, model = _split(ref)
        layers = [
            _resolved(row, input_tokens, layer, self.overrides.price_window_share)
            for layer, row in (
                ("accepted live snapshot", self._snapshot_row(provider, model)),
                (WHEEL, _wheel_row(provider, model, self.as_of)),
                ("bundled file", _file_row(provider, model, self.as_of)),
            )
            if row is not None
        ]
        if not layers:
            raise InputError(_unknown(provider, model, self.as_of))
        return replace(layers[0], hidden=tuple(layers[1:]))

    def baseline_price(self, ref: str, *, input_tokens: float) -> ApiPrice:
        """Price of the baseline: the list price with the user's own API prices over it.

        A model that no catalogue has is fine when the user enters a blended price, or both input and output. Where only the input price
        is entered, the cached and cache-write list prices stay, but never above it; batch prices of a replaced rate fall away. A discount
        lowers every list price, also those that an entered price does not name.
        """
        own = self.overrides
        entered = (own.api_blended_usd_per_mtok, own.api_input_usd_per_mtok, own.api_output_usd_per_mtok, own.api_cached_input_usd_per_mtok)
        if not any(price is not None for price in entered):
            return _discounted(self.api_price(ref, input_tokens=input_tokens), own.api_discount_share, self.as_of)
        try:
            listed = _discounted(self.api_price(ref, input_tokens=input_tokens), own.api_discount_share, self.as_of)
        except InputError:
            if own.api_blended_usd_per_mtok is None and (own.api_input_usd_per_mtok is None or own.api_output_usd_per_mtok is None):
                raise
            listed = None
        return _entered(own, listed, ref, self.as_of)

    def hosts(self, model_family: str, input_tokens: float, *, classes: Iterable[ProviderClass] = NAMED_CLASSES) -> tuple[ApiPrice, ...]:
        """Who sells an open model, one price per host, cheapest first at three input tokens to one output.

        `model_family` is the model's name as a slug ("llama-3.3-70b"); instruct, turbo and precision suffixes of the hosts' own ids are
        looked through, deprecated offers are left out. A host reached both directly and through a router is one host, priced directly;
        a host's dearer offers of the same model are in `hidden`. Resellers and aggregators appear only when `classes` asks for them.
        """
        family, wanted = family_of(model_family), frozenset(classes)
        rows = self._known_offers.get(family)
        if rows is None:
            rows = self._known_offers[family] = self._offers(family)
        # Every length between two tier edges has the same prices.
        edges = {tier.above_input_tokens for row, _ in rows for tier in (*row.tiers, *row.window_tiers)}
        key = (family, wanted, sum(edge < input_tokens for edge in edges))
        known = self._known_hosts.get(key)
        if known is None:
            known = self._known_hosts[key] = self._hosts(rows, input_tokens, wanted)
        return known

    def _hosts(self, rows: Iterable[tuple[PriceRow, str]], input_tokens: float, wanted: frozenset[ProviderClass]) -> tuple[ApiPrice, ...]:
        offers: dict[str, list[ApiPrice]] = defaultdict(list)
        for row, layer in rows:
            price = _resolved(row, input_tokens, layer, self.overrides.price_window_share)
            if price.provider_class in wanted:
                offers[price.provider].append(price)
        chosen = (_one_offer(prices) for prices in offers.values())
        return tuple(sorted(chosen, key=lambda price: (price.usd_per_mtok(0.75), price.provider)))

    def rentals(self, device_id: str) -> tuple[RentalPrice, ...]:
        """Every current rent of a device, all terms, cheapest first: the newest row of each offer that was known on the day."""
        return _bundled_rentals(device_id, self.as_of) if not self.own_rents else _current_rentals(device_id, self.as_of, self.own_rents)

    def rental(
        self,
        device_id: str,
        *,
        providers: Iterable[str] | None = None,
        gpus_per_replica: int | None = None,
        term: str = "on_demand",
    ) -> RentalPrice | None:
        """The rent that a plan is made with: the median-priced on-demand offer of a named cloud, None where there is none.

        From the on-demand rows of clouds and specialised clouds (marketplaces such as OpenRelay and published cost models excluded), of
        `providers` only if given (names compared without case and punctuation), and, with `gpus_per_replica`, in instances that fit one
        replica without GPUs left over (all sizes where none does: bill whole instances). Sorted by price per GPU, the middle one; of an
        even number, the lower of the two. The user's own GPU rent stands over whatever was found.
        """
        offers = self.rental_offers(device_id, providers=providers, gpus_per_replica=gpus_per_replica, term=term)
        listed = offers[(len(offers) - 1) // 2] if offers else None
        own = self.overrides.gpu_usd_per_hour
        if own is None or (listed is not None and listed.gpus == 0):
            return listed
        if listed is None:
            return None if providers is not None else _own_rental(device_id, own, self.as_of)
        entered = Source(url=OWN, checked=self.as_of, note=f"{OWN}; the list price is {listed.usd_per_gpu_hour:g} ({listed.provider})")
        return replace(listed, usd_per_gpu_hour=own, source=entered, basis=Basis.ASSUMED, layer=OWN, hidden=(listed,))

    def rental_offers(
        self,
        device_id: str,
        *,
        providers: Iterable[str] | None = None,
        gpus_per_replica: int | None = None,
        term: str = "on_demand",
    ) -> tuple[RentalPrice, ...]:
        """The list prices that `rental` takes the middle of, cheapest first: the first and the last are its range."""
        offers = [price for price in self.rentals(device_id) if price.term == term and price.provider_class in _RENTERS]
        if providers is not None:
            allowed = tuple(providers)
            offers = [price for price in offers if is_provider(price.provider, allowed)]
        if gpus_per_replica is not None:
            offers = [price for price in offers if price.gpus and gpus_per_replica % price.gpus == 0] or offers
        return tuple(offers)

    def server(self, device_id: str) -> ServerPrice | None:
        """What it costs to own a device, None where no price is known."""
        own = next((row for row in self.own_servers if row.id == device_id), None)
        row = own or _servers().get(device_id)
        if row is None:
            return None
        return ServerPrice(
            device_id=row.id,
            device=row.device,
            gpu_usd=row.gpu_usd,
            host_usd_per_gpu=row.host_usd_per_gpu,
            power_kw_per_gpu=row.it_power_kw_per_gpu,
            price_kind=row.price_kind,
            source=row.source,
            basis=Basis.ASSUMED if own else Basis.ESTIMATED,
            power_source=row.power_source,
            power_basis=row.power_basis,
        )

    def devices(self) -> tuple[str, ...]:
        """Ids of every device with a rent or a price to own, sorted."""
        return tuple(sorted({*_rents(), *_servers(), *(row.device_id for row in self.own_rents), *(row.id for row in self.own_servers)}))

    @property
    def identity(self) -> str:
        """Which prices these are, for replaying a decision: the pinned catalogue and the accepted live prices."""
        return WHEEL + (f" + live {self.snapshot.sha256[:16]}" if self.snapshot is not None else "")

    @cached_property
    def _snapshot_rows(self) -> dict[tuple[str, str], PriceRow]:
        rows = self.snapshot.rows if self.snapshot is not None else ()
        return {(row.provider, row.model.lower()): row for row in rows if not row.route}

    @cached_property
    def _snapshot_families(self) -> dict[str, list[PriceRow]]:
        found: dict[str, list[PriceRow]] = defaultdict(list)
        for row in self.snapshot.rows if self.snapshot is not None else ():
            found[family_of(row.model)].append(row)
        return found

    def _snapshot_row(self, provider: str, model: str) -> PriceRow | None:
        """The live row of a model; an alias is looked up under the id that the bundled catalogue resolves it to."""
        direct = self._snapshot_rows.get((provider, model.lower()))
        if direct is None and self.snapshot is not None:
            bundled = _wheel_row(provider, model, self.as_of)
            return self._snapshot_rows.get((bundled.provider, bundled.model.lower())) if bundled is not None else None
        return direct

    def _offers(self, family: str) -> list[tuple[PriceRow, str]]:
        """Rows of a family, highest layer first; a lower layer's row of the same provider, model and route is left out."""
        found: dict[str, tuple[PriceRow, str]] = {}
        for row in self._snapshot_families.get(family, ()):
            found.setdefault(row.id, (row, "accepted live snapshot"))
        for provider_id, model_id in _wheel_families().get(family, ()):
            if (provider_id, family) in _NOT_SOLD:
                continue
            wheel_row = _wheel_row(provider_id, model_id, self.as_of)
            if wheel_row is not None:
                found.setdefault(wheel_row.id, (wheel_row, WHEEL))
        for row in _file_rows():
            if family_of(row.model) == family and (row.valid_from is None or row.valid_from <= self.as_of):
                found.setdefault(row.id, (row, "bundled file"))
        return [(row, layer) for row, layer in found.values() if not row.deprecated]


def frozen_prices(prices: Iterable[ApiPrice], as_of: date) -> PriceSnapshot:
    """The list prices behind a decision, kept with it: a book loaded with them answers as it did, whatever the catalogue says later.

    Each price as resolved, so for the request size it was asked for; the user's own prices are not in it, they are in the scenario.
    """
    by_id: dict[str, PriceRow] = {}
    for price in prices:
        listed = price
        while listed.layer == OWN and listed.hidden:
            listed = listed.hidden[0]
        if listed.layer == OWN:
            continue
        rates = {name: getattr(listed, name) for name in PriceTier.model_fields if name != "above_input_tokens"}
        row = PriceRow(
            provider=listed.provider,
            model=listed.model,
            tiers=(PriceTier(**rates),),
            context_tokens=listed.context_tokens,
            deprecated=listed.deprecated,
            route=listed.route,
            time_rule=listed.time_rule,
            source=listed.source,
        )
        by_id[row.id] = row
    rows = tuple(by_id[row_id] for row_id in sorted(by_id))
    return PriceSnapshot(as_of=as_of, feed="the decision's own prices", sha256=rows_sha256(rows), rows=rows)


def age_days(source: Source, as_of: date) -> int:
    """Days from reading a price to using it; 0 for a price read later (an old decision computed again)."""
    return max((as_of - source.checked).days, 0)


def freshness(source: Source, as_of: date) -> Freshness:
    """fresh to 30 days, ageing to 90, then stale: confirm or enter your own."""
    age = age_days(source, as_of)
    return Freshness.FRESH if age <= FRESH_DAYS else Freshness.AGEING if age <= AGEING_DAYS else Freshness.STALE


def wheel_rows(as_of: date) -> tuple[PriceRow, ...]:
    """Every usable row of the bundled catalogue on a day, sorted by id: what a live refresh is compared with."""
    return rows_of(data_snapshot.get_snapshot().providers, as_of, _wheel_source_note())


def rows_of(providers: Iterable[Any], as_of: date, note: str, checked: date = WHEEL_RELEASED) -> tuple[PriceRow, ...]:
    """A genai-prices catalogue as canonical rows, sorted by id; models without a usable token price are left out."""
    rows = (_row(provider, model, as_of, note, checked) for provider in providers for model in provider.models)
    by_id = {row.id: row for row in rows if row is not None}
    return tuple(by_id[row_id] for row_id in sorted(by_id))


# ---- below: how ----

_RENTERS = (RentalClass.CLOUD, RentalClass.NEOCLOUD)
_NOT_SOLD = {("openai", "gpt-oss-120b"), ("openai", "gpt-oss-20b")}
"""Rows of the catalogue for models that their maker gives away and does not sell by the token."""


def _split(ref: str) -> tuple[str, str]:
    provider, colon, model = ref.partition(":")
    if not colon or not provider or not model:
        raise InputError(f"'{ref}' is no model reference: write provider:model, as in openai:gpt-4o")
    return provider.lower(), model


@lru_cache(maxsize=1)
def _bundled() -> dict[str, types.Provider]:
    return {provider.id: provider for provider in data_snapshot.get_snapshot().providers}


@lru_cache(maxsize=8192)
def _wheel_row(provider_id: str, model_ref: str, as_of: date) -> PriceRow | None:
    provider = _bundled().get(provider_id) or data_snapshot.find_provider_by_id(list(_bundled().values()), provider_id)
    if provider is None:
        return None
    # Only the provider's own models: the library would otherwise answer with another vendor's price under this provider's name.
    model = next((known for known in provider.models if known.id.lower() == model_ref.lower()), None) or provider.find_model(model_ref)
    return None if model is None else _row(provider, model, as_of, _wheel_source_note())


def _wheel_source_note() -> str:
    return f"{WHEEL}, released {WHEEL_RELEASED.isoformat()}: the release day stands for the day the price was checked"


def _row(provider: Any, model: Any, as_of: date, note: str, checked: date = WHEEL_RELEASED) -> PriceRow | None:
    if not model.prices:
        return None
    moment = datetime.combine(as_of, PRICED_AT)
    standard = model.get_prices(moment)
    batch = model.get_prices(moment, {"processing": "batch"}) if model.price_variants else standard
    tiers = _tiers(standard, None if batch == standard else batch)
    if not tiers:
        return None
    router = provider.id.startswith(ROUTER)
    window_tiers, window_hours = _windows(model)
    return PriceRow(
        provider=host_behind(provider.id),
        model=model.id,
        tiers=tiers,
        context_tokens=model.context_window or None,
        deprecated=bool(model.deprecated),
        route="via Hugging Face" if router else "",
        time_rule=_time_rule(model, tiers[0]),
        window_tiers=window_tiers,
        window_hours=window_hours,
        source=Source(url=(provider.pricing_urls or [provider.id])[0], checked=checked, note=note),
    )


def _tiers(standard: Any, batch: Any | None) -> tuple[PriceTier, ...]:
    keys = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
    prices = [getattr(standard, key) for key in keys]
    of_batch = [getattr(batch, key) for key in keys[:3]] if batch is not None else [None] * 3
    tiered = [price for price in (*prices, *of_batch) if isinstance(price, types.TieredPrices)]
    thresholds = sorted({0, *(tier.start for price in tiered for tier in price.tiers)})
    tiers = []
    for start in thresholds:
        given, answered, cached, written, batch_in, batch_out, batch_cached = (_at(price, start) for price in (*prices, *of_batch))
        if given is None or answered is None:
            return ()  # zero or absent is no price, so the model cannot be billed
        tiers.append(
            PriceTier(
                above_input_tokens=start,
                input_usd_per_mtok=given,
                output_usd_per_mtok=answered,
                cached_input_usd_per_mtok=cached,
                cache_write_usd_per_mtok=written,
                batch_input_usd_per_mtok=batch_in,
                batch_output_usd_per_mtok=batch_out,
                batch_cached_input_usd_per_mtok=batch_cached,
            )
        )
    return tuple(tiers)


def _at(price: Any, start: int) -> float | None:
    """A price for prompts just above `start` tokens; None for zero and absent alike."""
    if isinstance(price, types.TieredPrices):
        price = next((tier.price for tier in reversed(price.tiers) if start >= tier.start and start > 0), price.base)
    return float(price) if isinstance(price, Decimal) and price > 0 else None


def _time_rule(model: Any, stated: PriceTier) -> str:
    """In words: the dearer or cheaper hours with their prices, and the price of the rest of the day."""
    windows = (
        [price for price in model.prices if isinstance(price.constraint, types.TimeOfDateConstraint)]
        if isinstance(model.prices, list)
        else []
    )
    if not windows:
        return ""
    said = [
        f"{price.constraint.start_time:%H:%M}-{price.constraint.end_time:%H:%M} UTC {price.prices.input_mtok}/{price.prices.output_mtok}"
        for price in windows
    ]
    return f"priced by time of day: {', '.join(said)}, else {stated.input_usd_per_mtok:g}/{stated.output_usd_per_mtok:g}"


def _windows(model: Any) -> tuple[tuple[PriceTier, ...], float]:
    """Prices inside the windows of the day, the mean of several weighted by their hours, and the hours; nothing where there are none."""
    prices = model.prices if isinstance(model.prices, list) else []
    windows = [price for price in prices if isinstance(price.constraint, types.TimeOfDateConstraint)]
    found = [(_hours(price.constraint.start_time, price.constraint.end_time), _tiers(price.prices, None)) for price in windows]
    if not found or len({len(tiers) for _, tiers in found}) > 1 or not found[0][1]:
        return (), 0.0
    total = sum(hours for hours, _ in found)
    mixed = [_mixed(list(same), [hours / total for hours, _ in found]) for same in zip(*(tiers for _, tiers in found), strict=True)]
    return tuple(mixed), total


def _mixed(tiers: list[PriceTier], shares: list[float]) -> PriceTier:
    """One tier of several by their shares; a rate that one of them lacks falls away."""
    rates = [name for name in PriceTier.model_fields if name != "above_input_tokens"]
    mixed: dict[str, float | None] = {}
    for name in rates:
        values = [getattr(tier, name) for tier in tiers]
        whole = all(value is not None for value in values)
        mixed[name] = sum(value * share for value, share in zip(values, shares, strict=True)) if whole else None
    return tiers[0].model_copy(update=mixed)


def _hours(start: time, end: time) -> float:
    """Length of a window of the day, over midnight if need be."""
    minutes = (end.hour * 60 + end.minute) - (start.hour * 60 + start.minute)
    return (minutes % (24 * 60)) / 60


@lru_cache(maxsize=1)
def _wheel_families() -> dict[str, tuple[tuple[str, str], ...]]:
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for provider in _bundled().values():
        for model in provider.models:
            found[family_of(model.id)].append((provider.id, model.id))
    return {family: tuple(refs) for family, refs in found.items()}


@lru_cache(maxsize=1)
def _file_rows() -> tuple[PriceRow, ...]:
    folder = files("pricing") / "data" / "api"
    if not folder.is_dir():
        return ()
    paths = sorted((path for path in folder.iterdir() if path.name.endswith(".toml")), key=lambda path: path.name)
    return tuple(row for path in paths for row in read_facts(path, "price", PriceRow))


def _file_row(provider: str, model: str, as_of: date) -> PriceRow | None:
    rows = [row for row in _file_rows() if row.provider == provider and row.model.lower() == model.lower()]
    rows = [row for row in rows if row.valid_from is None or row.valid_from <= as_of]
    return max(rows, key=lambda row: row.valid_from or date.min, default=None)


def _resolved(row: PriceRow, input_tokens: float, layer: str, window_share: float | None = None) -> ApiPrice:
    tier, time_rule = _tier(row.tiers, input_tokens), row.time_rule
    if row.window_tiers:
        share = row.window_hours / HOURS_PER_DAY if window_share is None else window_share
        tier = _mixed([_tier(row.window_tiers, input_tokens), tier], [share, 1.0 - share])
        said = "even traffic round the clock" if window_share is None else "as you stated"
        mixed = f"{tier.input_usd_per_mtok:.3g}/{tier.output_usd_per_mtok:.3g}"
        time_rule += f"; billed with {share:.0%} of the traffic in those hours ({said}): {mixed}"
    return ApiPrice(
        provider=row.provider,
        model=row.model,
        provider_class=provider_class(row.provider),
        input_usd_per_mtok=tier.input_usd_per_mtok,
        output_usd_per_mtok=tier.output_usd_per_mtok,
        cached_input_usd_per_mtok=tier.cached_input_usd_per_mtok,
        cache_write_usd_per_mtok=tier.cache_write_usd_per_mtok,
        batch_input_usd_per_mtok=tier.batch_input_usd_per_mtok,
        batch_output_usd_per_mtok=tier.batch_output_usd_per_mtok,
        batch_cached_input_usd_per_mtok=tier.batch_cached_input_usd_per_mtok,
        tier_above_input_tokens=tier.above_input_tokens,
        context_tokens=row.context_tokens,
        deprecated=row.deprecated,
        route=row.route,
        time_rule=time_rule,
        source=row.source,
        layer=layer,
    )


def _tier(tiers: tuple[PriceTier, ...], input_tokens: float) -> PriceTier:
    return [tier for tier in tiers if input_tokens > tier.above_input_tokens or tier.above_input_tokens == 0][-1]


def _entered(own: PriceOverrides, listed: ApiPrice | None, ref: str, as_of: date) -> ApiPrice:
    provider, model = _split(ref)
    over = (
        f"; the list price is {listed.input_usd_per_mtok:g}/{listed.output_usd_per_mtok:g}" if listed else "; no catalogue has this model"
    )
    source = Source(url=OWN, checked=as_of, note=OWN + over + (f"; {own.own_prices_note}" if own.own_prices_note else ""))
    blended = own.api_blended_usd_per_mtok
    given = blended or own.api_input_usd_per_mtok or (listed.input_usd_per_mtok if listed else None)
    answered = blended or own.api_output_usd_per_mtok or (listed.output_usd_per_mtok if listed else None)
    assert given is not None
    assert answered is not None
    listed_cached, listed_write = (listed.cached_input_usd_per_mtok, listed.cache_write_usd_per_mtok) if listed else (None, None)
    batch_stays = listed is not None and own.api_input_usd_per_mtok is None and own.api_output_usd_per_mtok is None and blended is None
    keep = listed if batch_stays else None
    return ApiPrice(
        provider=listed.provider if listed else provider,
        model=listed.model if listed else model,
        provider_class=listed.provider_class if listed else provider_class(provider),
        input_usd_per_mtok=given,
        output_usd_per_mtok=answered,
        cached_input_usd_per_mtok=own.api_cached_input_usd_per_mtok or _at_most(None if blended else listed_cached, given),
        cache_write_usd_per_mtok=None if blended or own.api_input_usd_per_mtok else listed_write,
        batch_input_usd_per_mtok=keep.batch_input_usd_per_mtok if keep else None,
        batch_output_usd_per_mtok=keep.batch_output_usd_per_mtok if keep else None,
        batch_cached_input_usd_per_mtok=keep.batch_cached_input_usd_per_mtok if keep else None,
        blended_usd_per_mtok=blended,
        tier_above_input_tokens=listed.tier_above_input_tokens if listed else 0,
        context_tokens=listed.context_tokens if listed else None,
        deprecated=listed.deprecated if listed else False,
        source=source,
        basis=Basis.ASSUMED,
        layer=OWN,
        hidden=(listed,) if listed else (),
    )


def _discounted(listed: ApiPrice, share: float | None, as_of: date) -> ApiPrice:
    """Every published rate of a price, less the user's discount."""
    if share is None:
        return listed
    rates = [name for name in ApiPrice.__dataclass_fields__ if name.endswith("_usd_per_mtok") and getattr(listed, name) is not None]
    lower = {name: getattr(listed, name) * (1.0 - share) for name in rates}
    note = f"{OWN}: {share:.1%} off the list price {listed.input_usd_per_mtok:g}/{listed.output_usd_per_mtok:g}"
    source = Source(url=OWN, checked=as_of, note=note)
    return replace(listed, **lower, source=source, basis=Basis.ASSUMED, layer=OWN, hidden=(listed,))


def _at_most(price: float | None, limit: float) -> float | None:
    return None if price is None else min(price, limit)


def _one_offer(prices: list[ApiPrice]) -> ApiPrice:
    """One price of a host: its direct offers before routed ones, the cheapest of them; the rest is hidden."""
    ranked = sorted(prices, key=lambda price: (bool(price.route), price.usd_per_mtok(0.75), price.model))
    return replace(ranked[0], hidden=tuple(ranked[1:]))


def _unknown(provider: str, model: str, as_of: date) -> str:
    known = _bundled()
    nearby = difflib.get_close_matches(provider, known, n=3, cutoff=0.5)
    if provider not in known:
        if nearby:
            return f"no provider '{provider}' in {WHEEL}: nearest are {', '.join(nearby)}"
        return f"no provider '{provider}' in {WHEEL}: write provider:model, as in openai:gpt-4o"
    if provider in known and known[provider].find_model(model) is not None:
        return f"'{provider}:{model}' stands in {WHEEL} without a usable token price (zero is no price): enter one under [prices]"
    usable = [known_model.id for known_model in known[provider].models if _row(known[provider], known_model, as_of, "") is not None]
    nearest = [f"{provider}:{name}" for name in difflib.get_close_matches(model, usable, n=5, cutoff=0.3)]
    return f"no model '{model}' of {provider} in {WHEEL}: nearest are {', '.join(nearest or [f'{provider}:{name}' for name in usable[:5]])}"


@lru_cache(maxsize=1)
def _rents() -> dict[str, tuple[Rent, ...]]:
    folder = files("pricing") / "data" / "rental"
    found: dict[str, list[Rent]] = defaultdict(list)
    for path in sorted((path for path in folder.iterdir() if path.name.endswith(".toml")), key=lambda path: path.name):
        for row in read_facts(path, "rent", Rent):
            found[row.device_id].append(row)
    return {device: tuple(rows) for device, rows in found.items()}


@lru_cache(maxsize=1)
def _servers() -> dict[str, ServerRow]:
    return {row.id: row for row in read_facts(files("pricing") / "data" / "servers.toml", "server", ServerRow)}


def _current_rentals(device_id: str, as_of: date, own_rents: tuple[Rent, ...]) -> tuple[RentalPrice, ...]:
    newest: dict[tuple[str, ...], date] = {}
    known = [row for row in (*own_rents, *_rents().get(device_id, ())) if row.device_id == device_id]
    known = [row for row in known if row.source.checked <= as_of]
    for row in known:
        newest[_offer(row)] = max(row.source.checked, newest.get(_offer(row), row.source.checked))
    own = {_offer(row) for row in own_rents}
    current = [
        _rental(row, "own file" if row in own_rents else "bundled file")
        for row in known
        if row.source.checked == newest[_offer(row)] and (row in own_rents or _offer(row) not in own)
    ]
    return tuple(sorted(current, key=lambda price: (price.usd_per_gpu_hour, price.provider, price.id)))


@lru_cache(maxsize=1024)
def _bundled_rentals(device_id: str, as_of: date) -> tuple[RentalPrice, ...]:
    """Without the user's own rents they are the same for every decision of a day."""
    return _current_rentals(device_id, as_of, ())


def _offer(row: Rent) -> tuple[str, ...]:
    """What makes two rows the same offer on different days."""
    return (plain(row.provider), row.device_id, row.instance, str(row.gpus), row.term, row.region)


def _rental(row: Rent, layer: str) -> RentalPrice:
    return RentalPrice(
        id=row.id,
        provider=row.provider,
        provider_class=row.provider_class,
        instance=row.instance,
        device_id=row.device_id,
        gpus=row.gpus,
        usd_per_gpu_hour=row.usd_per_hour / max(row.gpus, 1),
        term=row.term,
        region=row.region,
        source=row.source,
        layer=layer,
    )


def _own_rental(device_id: str, usd_per_gpu_hour: float, as_of: date) -> RentalPrice:
    return RentalPrice(
        id="",
        provider="your own rate",
        provider_class=RentalClass.NEOCLOUD,
        instance="",
        device_id=device_id,
        gpus=1,
        usd_per_gpu_hour=usd_per_gpu_hour,
        term="on_demand",
        region="",
        source=Source(url=OWN, checked=as_of, note=f"{OWN}; no list price is known for {device_id}"),
        basis=Basis.ASSUMED,
        layer=OWN,
    )


__all__ = [
    "NAMED_CLASSES",
    "OWN",
    "WHEEL",
    "WHEEL_RELEASED",
    "ApiPrice",
    "Freshness",
    "PriceBook",
    "PriceOverrides",
    "PriceRow",
    "PriceSnapshot",
    "PriceTier",
    "ProviderClass",
    "Rent",
    "RentalClass",
    "RentalPrice",
    "ServerPrice",
    "ServerRow",
    "age_days",
    "family_of",
    "freshness",
    "frozen_prices",
    "is_provider",
    "provider_class",
    "rows_of",
    "rows_sha256",
    "wheel_rows",
]
