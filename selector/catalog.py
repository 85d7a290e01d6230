"""What a decision looks things up in: prices as of a day, and the measurements of this machine, in one value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pricing.prices import PriceBook, PriceOverrides, PriceSnapshot, Rent, ServerRow
from probes.applying import NO_CALIBRATION, Calibration
from probes.measurement import Measurement
from selector.gap_gate import GateResult


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Everything below the decision, read once.

    as_of: the day whose prices count
    prices: API prices, rents and servers as of that day, the user's own on top
    measurements: probes of this machine, newest first
    gates: the user's own tests of options
    accept_doubtful: use a probe for `this_machine` although it doubts itself (contention, a wide interval)
    calibration: what applied measurements say of engines on their devices
    """

    as_of: date
    prices: PriceBook
    measurements: tuple[Measurement, ...] = ()
    accept_doubtful: bool = False
    gates: tuple[GateResult, ...] = ()
    calibration: Calibration = NO_CALIBRATION


def load_catalog(
    as_of: date,
    overrides: PriceOverrides | None = None,
    measurements: tuple[Measurement, ...] = (),
    *,
    accept_doubtful: bool = False,
    host: str | None = None,
    snapshot: PriceSnapshot | None = None,
    gates: tuple[GateResult, ...] = (),
    own_rents: tuple[Rent, ...] = (),
    own_servers: tuple[ServerRow, ...] = (),
    calibration: Calibration = NO_CALIBRATION,
) -> Catalog:
    """The catalogue of a day; no network, no clock. With `host`, only that machine's own measurements are kept.

    `snapshot` is an accepted live price list; it stands over the bundled one and below the user's own prices. `own_rents` and
    `own_servers` come from the user's own files and stand over the bundled rows of the same offer or device.
    """
    kept = tuple(found for found in measurements if host is None or found.environment.host == host)
    return Catalog(
        as_of=as_of,
        prices=PriceBook.load(as_of, overrides, snapshot=snapshot, own_rents=own_rents, own_servers=own_servers),
        measurements=kept,
        accept_doubtful=accept_doubtful,
        gates=gates,
        calibration=calibration,
    )
