"""python -m pricing show PROVIDER:MODEL | rents DEVICE | assumptions | refresh [FEED] | accept ID."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from facts.commandline import run
from facts.errors import InputError
from facts.settings import settings
from pricing.assumptions import register
from pricing.own_files import read_rents
from pricing.prices import ApiPrice, PriceBook, age_days, freshness
from pricing.refresh import Agreement, Feed, agreement, check_acceptable, diff, propose
from pricing.store import accepted_prices, get_snapshot, newest_snapshot, prices_in_use, save_snapshot

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
    price = PriceBook.load(day, snapshot=accepted_prices(settings(), day)).api_price(model, input_tokens=input_tokens)
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
def rents(
    device: Annotated[str, typer.Argument(help="Id of an accelerator, as in nvidia-l40s")],
    own: Annotated[Path | None, typer.Option(help="Your own rents: a CSV file with the columns of the published table.")] = None,
    as_of: AsOf = "",
) -> None:
    """Every current rent of a device, cheapest first; the one that plans are made with is marked *."""
    day = _day(as_of)
    book = PriceBook.load(day, own_rents=read_rents(own) if own else ())
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


@app.command()
def assumptions() -> None:
    """Every assumption with its default, range and source, as a Markdown table."""
    print("| key | what | unit | default | low | high | basis | source |")
    print("|---|---|---|---|---|---|---|---|")
    for note in register():
        source = f"{note.source.url}, {note.source.checked}: {note.source.note}"
        print(
            f"| `{note.key}` | {note.label} | {note.unit} | {note.value} | {note.low:g} | {note.high:g} | {note.basis.value} | {source} |"
        )


@app.command()
def refresh(
    feed: Annotated[Feed, typer.Argument(help="Whose list to fetch.")] = Feed.GENAI_PRICES,
    url: Annotated[str, typer.Option(help="Another address of the same list, for a mirror.")] = "",
) -> None:
    """Fetch a live price list, show what it would change, and keep it for `accept`; the prices in use stay."""
    now = datetime.now(UTC)
    in_use = prices_in_use(settings(), now.date())
    kept = newest_snapshot(settings(), feed.value)
    proposal = propose(feed, now.date(), current=in_use, url=url or None, etag=kept[1].etag if kept else "")
    if proposal is None:
        print(f"{feed.value}: nothing newer than {kept[0] if kept else 'what is here'}")
        return
    print(f"{feed.value}: {len(proposal.snapshot.rows)} prices, {proposal.dropped} without one; {proposal.diff.sentence}")
    if feed is Feed.LITELLM:
        second = {row.id: row for row in proposal.snapshot.rows}
        found = [agreement(row, second) for row in in_use]
        print("; ".join(f"{kind.value}: {found.count(kind)}" for kind in Agreement))
        return
    for change in proposal.diff.changed:
        print(f"  {change.id}: {change.before[0]:g}/{change.before[1]:g} to {change.after[0]:g}/{change.after[1]:g}")
    snapshot_id = save_snapshot(settings(), proposal.snapshot, created=now, accepted=False)
    print(f"to use it: python -m pricing accept {snapshot_id}")


@app.command()
def accept(
    snapshot_id: Annotated[str, typer.Argument(help="Id that `refresh` printed.")],
    confirm: Annotated[bool, typer.Option("--confirm", help="Vendor prices that moved far were looked at.")] = False,
) -> None:
    """Use a fetched price list from today on."""
    now = datetime.now(UTC)
    snapshot = get_snapshot(settings(), snapshot_id)
    check_acceptable(snapshot, diff(prices_in_use(settings(), now.date()), snapshot.rows), confirmed=confirm)
    save_snapshot(settings(), snapshot, created=now, accepted=True)
    print(f"accepted: {len(snapshot.rows)} prices of {snapshot.feed}, fetched {snapshot.as_of}")


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
