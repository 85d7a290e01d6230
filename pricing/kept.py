"""The prices of a decision, kept answer by answer, so that it can be made again with them whatever is listed later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from facts.errors import InputError
from pricing.prices import NAMED_CLASSES, ApiPrice, PriceBook, PriceOverrides, ProviderClass, RentalPrice, ServerPrice


@dataclass(frozen=True, kw_only=True)
class KeptPrices:
    """What a price book was asked, and what it answered.

    as_of: the book's day
    identity: which catalogue and live list it was
    api: by model reference and prompt length; a text is the sentence with which there was no price
    hosts: by family, prompt length and provider classes
    rents: every rent of a device
    servers: by device, None where none is known
    devices: every device with a rent or a price; empty where nobody asked
    """

    as_of: date
    identity: str
    api: dict[str, ApiPrice | str] = field(default_factory=dict)
    hosts: dict[str, tuple[ApiPrice, ...]] = field(default_factory=dict)
    rents: dict[str, tuple[RentalPrice, ...]] = field(default_factory=dict)
    servers: dict[str, ServerPrice | None] = field(default_factory=dict)
    devices: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class RecordingBook(PriceBook):
    """A price book that notes every answer it gives.

    book: the one that answers
    kept: the answers so far
    """

    book: PriceBook
    kept: KeptPrices

    @classmethod
    def of(cls, book: PriceBook) -> RecordingBook:
        """The same book, recording from now on."""
        kept = KeptPrices(as_of=book.as_of, identity=book.identity)
        return cls(
            as_of=book.as_of,
            overrides=book.overrides,
            snapshot=book.snapshot,
            own_rents=book.own_rents,
            own_servers=book.own_servers,
            book=book,
            kept=kept,
        )

    def api_price(self, ref: str, *, input_tokens: float) -> ApiPrice:
        """As in PriceBook; a refusal is noted too."""
        try:
            found = self.book.api_price(ref, input_tokens=input_tokens)
        except InputError as error:
            self.kept.api[_api_key(ref, input_tokens)] = str(error)
            raise
        self.kept.api[_api_key(ref, input_tokens)] = found
        return found

    def hosts(self, model_family: str, input_tokens: float, *, classes: Iterable[ProviderClass] = NAMED_CLASSES) -> tuple[ApiPrice, ...]:
        """As in PriceBook."""
        wanted = tuple(classes)
        found = self.book.hosts(model_family, input_tokens, classes=wanted)
        self.kept.hosts[_hosts_key(model_family, input_tokens, wanted)] = found
        return found

    def rentals(self, device_id: str) -> tuple[RentalPrice, ...]:
        """As in PriceBook."""
        found = self.book.rentals(device_id)
        self.kept.rents[device_id] = found
        return found

    def server(self, device_id: str) -> ServerPrice | None:
        """As in PriceBook."""
        found = self.book.server(device_id)
        self.kept.servers[device_id] = found
        return found

    def devices(self) -> tuple[str, ...]:
        """As in PriceBook."""
        found = self.book.devices()
        self.kept.devices[:] = found
        return found


@dataclass(frozen=True, kw_only=True)
class KeptBook(PriceBook):
    """A price book that gives the kept answers and knows no others: what nobody asked then is refused, not looked up today.

    kept: the answers
    """

    kept: KeptPrices

    @classmethod
    def of(cls, kept: KeptPrices, overrides: PriceOverrides) -> KeptBook:
        """The book of a kept decision, with its own prices over the list."""
        return cls(as_of=kept.as_of, overrides=overrides.on(kept.as_of), kept=kept)

    def api_price(self, ref: str, *, input_tokens: float) -> ApiPrice:
        """The kept answer."""
        found = self.kept.api.get(_api_key(ref, input_tokens))
        if found is None:
            raise InputError(f"no price of '{ref}' for prompts of {input_tokens:g} tokens was kept with this decision")
        if isinstance(found, str):
            raise InputError(found)
        return found

    def hosts(self, model_family: str, input_tokens: float, *, classes: Iterable[ProviderClass] = NAMED_CLASSES) -> tuple[ApiPrice, ...]:
        """The kept answer."""
        return self.kept.hosts.get(_hosts_key(model_family, input_tokens, tuple(classes)), ())

    def rentals(self, device_id: str) -> tuple[RentalPrice, ...]:
        """The kept answer."""
        return self.kept.rents.get(device_id, ())

    def server(self, device_id: str) -> ServerPrice | None:
        """The kept answer."""
        return self.kept.servers.get(device_id)

    def devices(self) -> tuple[str, ...]:
        """The kept answer."""
        return tuple(self.kept.devices)

    @property
    def identity(self) -> str:
        """Which prices these were."""
        return self.kept.identity


# ---- below: how ----


def _api_key(ref: str, input_tokens: float) -> str:
    return f"{ref} at {input_tokens!r}"


def _hosts_key(family: str, input_tokens: float, classes: Iterable[ProviderClass]) -> str:
    return f"{family} at {input_tokens!r} from {', '.join(sorted(str(one) for one in classes))}"
