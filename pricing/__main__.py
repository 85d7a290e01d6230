"""python -m pricing show PROVIDER:MODEL | rents DEVICE: what the price book says, and where it has it from."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

import typer

from facts.commandline import run
from facts.errors import InputError
from pricing.prices import ApiPrice, PriceBook, age_days, freshness

app = typer.Typer(add_completion=False, no_args_is_help=True, help="What a model or a GPU costs, with source and date.")

AsOf = Annotated[str, typer.Option("--as-of", help="Day of the prices, YYYY-MM-DD; today if not given.")]


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="provider:model, as in openai:gpt-4o")],
    input_tokens: Annotated[float, typer.Option("--input-tokens", min=1, help="Prompt length of one request, for prices in tiers.")] = 1000,
    as_of: AsOf = "",
) -> None:
    """The price of a model for one request size, and what it hides."""
    day = _day(as_of)
    price = PriceBook.load(day).api_price(model, input_tokens=input_tokens)
    print(f"{price.ref} ({price.provider_class.value}), USD per million tokens, prompts of {input_tokens:g} tokens, {day}")
    for label, usd in _rates(price):
        print(f"  {label:<16} {'none published' if usd is None else f'{usd:g}'}")
    if price.time_rule:
        print(f"  {price.time_rule}")
    if price.deprecated:
        print("  marked as deprecated")
    print(f"  source: {price.source.url}, {price.source.note} ({freshness(price.source, day).value}, {age_days(price.source, day)} days)")
    for hidden in price.hidden:
        print(f"  hides: {hidden.layer} {hidden.input_usd_per_mtok:g}/{hidden.output_usd_per_mtok:g}, {hidden.source.url}")


@app.command()
def rents(device: Annotated[str, typer.Argument(help="Id of an accelerator, as in nvidia-l40s")], as_of: AsOf = "") -> None:
    """Every current rent of a device, cheapest first; the one that plans are made with is marked *."""
    day = _day(as_of)
    book = PriceBook.load(day)
    if device not in book.devices():
        raise InputError(f"no rent and no price is known for '{device}': known are {', '.join(book.devices())}")
    chosen = book.rental(device)
    print(f"{device}, USD per GPU and hour, {day}")
    for rent in book.rentals(device):
        mark = "*" if chosen is not None and rent.id == chosen.id else " "
        size = f"{rent.gpus} GPU" if rent.gpus else "no GPU"
        age = f"{rent.source.checked} ({freshness(rent.source, day).value})"
        print(f"{mark} {rent.usd_per_gpu_hour:8.4f}  {rent.provider:<18} {rent.term:<20} {size:<7} {rent.instance:<24} {age}")
    owned = book.server(device)
    if owned is not None:
        print(f"to own: {owned.capex_usd_per_gpu:g} USD with its share of the host, {owned.power_kw_per_gpu:g} kW ({owned.source.note})")


def _rates(price: ApiPrice) -> tuple[tuple[str, float | None], ...]:
    return (
        ("input", price.input_usd_per_mtok),
        ("cached input", price.cached_input_usd_per_mtok),
        ("cache write", price.cache_write_usd_per_mtok),
        ("output", price.output_usd_per_mtok),
        ("batch input", price.batch_input_usd_per_mtok),
        ("batch output", price.batch_output_usd_per_mtok),
    )


def _day(text: str) -> date:
    if not text:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"'{text}' is no date: write it as YYYY-MM-DD") from None


if __name__ == "__main__":
    run(app)
