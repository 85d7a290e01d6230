"""Slips in the user's own inputs, found as in an audit: a rent nobody asks, a speed no GPU has, a year typed as a month."""

from __future__ import annotations

from typing import Final

from facts.errors import InputError
from facts.units import (
    HOURS_PER_MONTH,
    MONTHS_PER_YEAR,
)
from pricing.assumptions import register
from pricing.prices import PriceBook
from selector.catalog import Catalog
from selector.limits import (
    FEWEST_BITS,
    cheapest_rent,
    device_named,
    fastest_tokens_per_s,
)
from selector.recompute import LISTED_INPUT_TOKENS
from selector.scenarios import Scenario

NEAR: Final = 1.25
"""A twelfth that is so many times beyond the range seen is still in it: 250,000 a year is 20,833 a month, over 12,500 to 20,800."""


def input_alarms(scenario: Scenario, catalog: Catalog) -> tuple[str, ...]:
    """What in the user's own prices and assumptions looks like a slip of a unit or a period, as sentences."""
    found = (*period_alarms(scenario), *price_alarms(scenario, catalog.prices))
    own = catalog.prices.overrides.gpu_usd_per_hour
    return (*found, *((alarm,) if own is not None and (alarm := rent_alarm(own, catalog.prices)) else ()))


def rent_alarm(usd_per_gpu_hour: float, book: PriceBook, *, device_id: str | None = None) -> str:
    """A rent below the cheapest listed one, or one that looks like a month's; '' where it can be right."""
    cheapest = cheapest_rent(book, devices=None if device_id is None else [device_id])
    if cheapest is None:
        return ""
    what = "GPU" if device_id is None else device_id
    if usd_per_gpu_hour < cheapest.usd_per_gpu_hour:
        return (
            f"{usd_per_gpu_hour:g} USD an hour is below the cheapest on-demand {what} listed, {cheapest.usd_per_gpu_hour:g} at "
            f"{cheapest.provider}: check that it is per GPU and round the clock"
        )
    dearest = max((rent.usd_per_gpu_hour for device in book.devices() for rent in book.rentals(device) if rent.gpus), default=0.0)
    if usd_per_gpu_hour > 2.0 * dearest and usd_per_gpu_hour / HOURS_PER_MONTH >= cheapest.usd_per_gpu_hour:
        hourly = usd_per_gpu_hour / HOURS_PER_MONTH
        return f"{usd_per_gpu_hour:g} USD looks like a month's rent: over 730 hours it is {hourly:.2f} an hour"
    return ""


def speed_alarm(
    tokens_per_s: float,
    *,
    device: str,
    params_b: float,
    bits_per_weight: float = FEWEST_BITS,
    gpus: float = 1.0,
    concurrency: float | None = None,
) -> str:
    """A speed above what the device's bandwidth and arithmetic allow; '' where it is possible."""
    found = device_named(device, "speed")
    limit = fastest_tokens_per_s(found, params_b=params_b, bits_per_weight=bits_per_weight, gpus=gpus, concurrency=concurrency)
    if tokens_per_s <= limit:
        return ""
    where = f"{gpus:g} x {found.name}" if gpus != 1.0 else found.name
    return (
        f"{tokens_per_s:,.0f} tokens per second of {params_b:g} B parameters at {bits_per_weight:g} bits is above what {where} allows, "
        f"{limit:,.0f}: check the unit and how many requests it was for"
    )


def period_alarms(scenario: Scenario) -> tuple[str, ...]:
    """Monthly amounts that are a usual year's: above what is seen, and a twelfth of them is about in the range seen."""
    alarms = []
    for note in register(scenario.assumptions):
        if not note.changed or not (note.key.endswith("_per_month") or note.key.endswith("_month_usd")):
            continue
        value = float(getattr(scenario.assumptions, note.key))
        usual = max(note.low, 1e-9) / NEAR <= value / MONTHS_PER_YEAR <= note.high * NEAR
        if value > 1.5 * note.high and usual:
            alarms.append(
                f"{note.key} {value:,.0f} is above the {note.low:,.0f} to {note.high:,.0f} seen, and a twelfth of it is there: "
                "an annual figure typed as monthly?"
            )
    return tuple(alarms)


def price_alarms(scenario: Scenario, book: PriceBook) -> tuple[str, ...]:
    """API prices of the user's own that are a thousand times off the list: a price per 1,000 tokens typed as one per million."""
    own, baseline = book.overrides, scenario.workload.baseline_model
    try:
        listed = book.api_price(baseline, input_tokens=LISTED_INPUT_TOKENS)
    except InputError:
        return ()
    alarms = []
    for key, price in (
        ("api_input_usd_per_mtok", listed.input_usd_per_mtok),
        ("api_output_usd_per_mtok", listed.output_usd_per_mtok),
        ("api_blended_usd_per_mtok", listed.usd_per_mtok(0.75)),
    ):
        given = getattr(own, key)
        if given is not None and not 1 / 200 < given / price < 200:
            alarms.append(
                f"{key} {given:g} against a list price of {price:g} for {baseline}: is it per 1,000 tokens or for the whole bill?"
            )
    return tuple(alarms)
