"""Live price feeds, fetched only when asked: bounded in time and size, checked, compared, and accepted by a person or not at all.

Three feeds. genai-prices' own list, through its own `fetch()` in a child process that is limited in time and memory, because it bounds
neither the size nor the parsing of what it is sent. OpenRouter's models, for OpenRouter's own prices. LiteLLM's price file as a second
opinion: it says which prices two sources agree on and is never a price itself (41 of 85 of its OpenRouter rows were once wrong).
A live list is not better because it is newer, so nothing is used before its differences were shown and accepted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import httpx

from facts.errors import InputError
from facts.records import Source, read_json
from pricing.prices import PriceRow, PriceSnapshot, PriceTier, ProviderClass, provider_class, rows_of, rows_sha256, wheel_rows

CONNECT_S, READ_S, WHOLE_S = 5.0, 10.0, 60.0
"""Longest waits for the connection, for the next bytes, and for everything."""
MAX_BYTES = 32 * 1024 * 1024
"""Largest payload that is read, after decompression."""
CHILD_MEMORY_BYTES = 1024 * 1024 * 1024
"""Address space of the child that fetches genai-prices' list."""
LARGEST_LOSS_SHARE = 0.20
"""A list that lost more rows than this is refused."""
LARGEST_MOVE = 3.0
"""A vendor's own price that moved by more than this factor, either way, must be confirmed."""
MAX_USD_PER_MTOK = 10_000.0
"""Dearer rows are per-token prices read as per-million or worse, and are dropped."""


class Feed(StrEnum):
    """Where live prices come from."""

    GENAI_PRICES = "genai-prices"
    OPENROUTER = "openrouter"
    LITELLM = "litellm"


FEED_URLS: Mapping[Feed, str] = {
    Feed.GENAI_PRICES: "https://raw.githubusercontent.com/pydantic/genai-prices/refs/heads/main/prices/new_data/v2/data.json",
    Feed.OPENROUTER: "https://openrouter.ai/api/v1/models",
    Feed.LITELLM: "https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json",
}


class Agreement(StrEnum):
    """Whether a second source has the same price."""

    YES = "two sources agree"
    NO = "two sources differ"
    ONE = "one source"


@dataclass(frozen=True, kw_only=True)
class PriceChange:
    """A model whose base price differs between two lists.

    id: provider:model
    before, after: input and output, USD per million tokens
    first_party: whether it is a vendor's own price
    """

    id: str
    before: tuple[float, float]
    after: tuple[float, float]
    first_party: bool

    @property
    def factor(self) -> float:
        """The larger of the two moves, as a factor of at least 1."""
        return max(max(new / old, old / new) for old, new in zip(self.before, self.after, strict=True))


@dataclass(frozen=True, kw_only=True)
class PriceDiff:
    """What accepting a list would change.

    changed, added, removed: by id
    same: how many rows stay as they are
    to_confirm: changes of first-party prices by more than LARGEST_MOVE
    """

    changed: tuple[PriceChange, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    same: int
    to_confirm: tuple[PriceChange, ...]

    @property
    def sentence(self) -> str:
        """In words."""
        said = f"{len(self.changed)} changed, {len(self.added)} new, {len(self.removed)} removed, {self.same} as before"
        if not self.to_confirm:
            return said
        far = "; ".join(f"{change.id} {_pair(change.before)} to {_pair(change.after)}" for change in self.to_confirm[:5])
        return f"{said}; moved by more than {LARGEST_MOVE:g}x: {far}"


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A fetched list that waits to be accepted.

    snapshot: its canonical rows and their hash
    diff: against the prices in use
    dropped: rows that carried no usable price
    """

    snapshot: PriceSnapshot
    diff: PriceDiff
    dropped: int


def propose(
    feed: Feed,
    as_of: date,
    *,
    current: Iterable[PriceRow] | None = None,
    url: str | None = None,
    etag: str = "",
    timeout_s: float = WHOLE_S,
) -> Proposal | None:
    """Fetch a feed and compare it; None when it has nothing newer. InputError says why a list is refused, and nothing has changed then.

    current: the rows in use, the bundled catalogue unless given; only its rows of the feed's own providers are compared
    etag: of the newest list that is kept, so that the server may answer "unchanged"; genai-prices' own fetch() does not ask
    """
    address = _checked_url(url or FEED_URLS[feed])
    in_use = wheel_rows(as_of) if current is None else tuple(current)
    if feed is Feed.GENAI_PRICES:
        rows, dropped, tag = _genai_rows(address, as_of, timeout_s), 0, ""
    else:
        fetched = fetch_json(address, etag=etag, timeout_s=timeout_s)
        if fetched is None:
            return None
        document, tag = fetched
        rows, dropped = (openrouter_rows if feed is Feed.OPENROUTER else litellm_rows)(document, as_of, address)
    providers = {row.provider for row in rows}
    compared = tuple(row for row in in_use if feed is Feed.GENAI_PRICES or row.provider in providers)
    difference = diff(compared, rows)
    _guard_size(feed, compared, rows)
    snapshot = PriceSnapshot(as_of=as_of, feed=feed.value, sha256=rows_sha256(rows), etag=tag, rows=rows)
    return Proposal(snapshot=snapshot, diff=difference, dropped=dropped)


def check_acceptable(snapshot: PriceSnapshot, difference: PriceDiff, *, confirmed: bool) -> None:
    """InputError where a list may not be used: LiteLLM's, a changed one, or one with far moves that nobody confirmed."""
    if snapshot.feed == Feed.LITELLM:
        raise InputError("LiteLLM's price file is a second opinion and is never used as a price: accept another feed")
    if rows_sha256(snapshot.rows) != snapshot.sha256:
        raise InputError("the price list was changed after it was fetched: its hash does not fit; fetch a new one")
    if difference.to_confirm and not confirmed:
        first = difference.to_confirm[0]
        raise InputError(
            f"{first.id} moved from {_pair(first.before)} to {_pair(first.after)} USD per Mtok, "
            f"and {len(difference.to_confirm) - 1} more vendor prices by over {LARGEST_MOVE:g}x: look at them, then accept with --confirm"
        )


def diff(before: Iterable[PriceRow], after: Iterable[PriceRow]) -> PriceDiff:
    """Base prices of two lists compared by provider, model and route."""
    old, new = {row.id: row for row in before}, {row.id: row for row in after}
    changed = tuple(
        PriceChange(
            id=row_id,
            before=_base(old[row_id]),
            after=_base(new[row_id]),
            first_party=provider_class(new[row_id].provider) is ProviderClass.VENDOR,
        )
        for row_id in sorted(old.keys() & new.keys())
        if old[row_id].tiers != new[row_id].tiers
    )
    return PriceDiff(
        changed=changed,
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        same=len(old.keys() & new.keys()) - len(changed),
        to_confirm=tuple(change for change in changed if change.first_party and change.factor > LARGEST_MOVE),
    )


def agreement(row: PriceRow, second: Mapping[str, PriceRow]) -> Agreement:
    """Whether a second source, by id, has the same input and output price."""
    other = second.get(row.id)
    if other is None:
        return Agreement.ONE
    return Agreement.YES if _base(row) == _base(other) else Agreement.NO


def openrouter_rows(document: Any, as_of: date, url: str) -> tuple[tuple[PriceRow, ...], int]:
    """OpenRouter's model list as canonical rows; its prices are strings in USD per token. Also how many had no usable price."""
    models = document.get("data") if isinstance(document, dict) else None
    if not isinstance(models, list) or not all(isinstance(model, dict) and "id" in model for model in models):
        raise InputError("OpenRouter's answer is not a list of models under 'data': nothing was changed")
    rows = []
    for model in models:
        pricing = model.get("pricing")
        given = pricing if isinstance(pricing, dict) else {}
        row = _row(
            "openrouter",
            str(model["id"]),
            {
                "input_usd_per_mtok": given.get("prompt"),
                "output_usd_per_mtok": given.get("completion"),
                "cached_input_usd_per_mtok": given.get("input_cache_read"),
                "cache_write_usd_per_mtok": given.get("input_cache_write"),
            },
            model.get("context_length"),
            Source(url=url, checked=as_of, note="OpenRouter's own model list; the day it was fetched"),
        )
        rows.append(row)
    return _usable(rows)


def litellm_rows(document: Any, as_of: date, url: str) -> tuple[tuple[PriceRow, ...], int]:
    """LiteLLM's price file as canonical rows under the catalogue's provider ids; other providers are left out."""
    if not isinstance(document, dict) or not all(isinstance(entry, dict) for entry in document.values()):
        raise InputError("LiteLLM's file is not a table of models: nothing was changed")
    rows = []
    for key, entry in document.items():
        provider = LITELLM_PROVIDERS.get(str(entry.get("litellm_provider", "")))
        if provider is None or "input_cost_per_token" not in entry:
            continue
        prefix, slash, rest = key.partition("/")
        row = _row(
            provider,
            rest if slash and prefix in LITELLM_PROVIDERS else key,
            {
                "input_usd_per_mtok": entry.get("input_cost_per_token"),
                "output_usd_per_mtok": entry.get("output_cost_per_token"),
                "cached_input_usd_per_mtok": entry.get("cache_read_input_token_cost"),
                "cache_write_usd_per_mtok": entry.get("cache_creation_input_token_cost"),
                "batch_input_usd_per_mtok": entry.get("input_cost_per_token_batches"),
                "batch_output_usd_per_mtok": entry.get("output_cost_per_token_batches"),
            },
            entry.get("max_input_tokens"),
            Source(url=url, checked=as_of, note="LiteLLM's price file; the day it was fetched"),
        )
        rows.append(row)
    return _usable(rows)


def fetch_json(url: str, *, etag: str = "", timeout_s: float = WHOLE_S) -> tuple[Any, str] | None:
    """A JSON document and its ETag; None when the server says it is unchanged. InputError for everything that went wrong."""
    fetched = _download(url, etag, timeout_s)
    if fetched is None:
        return None
    content, tag = fetched
    try:
        return json.loads(content), tag
    except (ValueError, RecursionError):
        raise InputError(f"{url} sent something that is not whole JSON: the prices in use stay") from None


# ---- below: how ----

LITELLM_PROVIDERS = {
    "anthropic": "anthropic",
    "azure": "azure",
    "cerebras": "cerebras",
    "deepseek": "deepseek",
    "gemini": "google",
    "groq": "groq",
    "mistral": "mistral",
    "novita": "novita",
    "openai": "openai",
    "together_ai": "together",
    "xai": "x-ai",
}
"""LiteLLM's provider names as the catalogue's ids, for those whose model ids agree."""


def _download(url: str, etag: str, timeout_s: float) -> tuple[bytes, str] | None:
    headers = {"Accept": "application/json"} | ({"If-None-Match": etag} if etag else {})
    limits = httpx.Timeout(min(READ_S, timeout_s), connect=min(CONNECT_S, timeout_s))
    deadline = time.monotonic() + timeout_s
    content = bytearray()
    try:
        with httpx.Client(timeout=limits, follow_redirects=False) as client, client.stream("GET", url, headers=headers) as answer:
            if answer.status_code == httpx.codes.NOT_MODIFIED:
                return None
            if answer.status_code != httpx.codes.OK:
                raise InputError(f"{url} answered {answer.status_code}: the prices in use stay")
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > MAX_BYTES:
                    raise InputError(f"{url} sent more than {MAX_BYTES} bytes: the prices in use stay")
                if time.monotonic() > deadline:
                    raise InputError(f"{url} took longer than {timeout_s:g} s: the prices in use stay")
            return bytes(content), answer.headers.get("etag", "")
    except httpx.TimeoutException:
        raise InputError(f"{url} did not answer in time: the prices in use stay") from None
    except httpx.HTTPError as error:
        raise InputError(f"{url} cannot be read ({type(error).__name__}: {error}): the prices in use stay") from None


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise InputError(f"'{url}' is no address for prices: give one that begins with https://")
    return url


def _guard_size(feed: Feed, before: tuple[PriceRow, ...], after: tuple[PriceRow, ...]) -> None:
    if not after:
        raise InputError(f"{feed.value} sent no usable price at all: the prices in use stay")
    if len(after) < (1.0 - LARGEST_LOSS_SHARE) * len(before):
        raise InputError(
            f"{feed.value} sent {len(after)} priced models where {len(before)} are in use, "
            f"more than {LARGEST_LOSS_SHARE:.0%} fewer: it looks cut off and the prices in use stay"
        )


def _genai_rows(url: str, as_of: date, timeout_s: float) -> tuple[PriceRow, ...]:
    """genai-prices' list as canonical rows, fetched and parsed by a child that may be killed."""
    command = [sys.executable, "-m", "pricing.refresh", url, as_of.isoformat()]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, stdin=subprocess.DEVNULL, check=False)  # noqa: S603 - our own module
    except subprocess.TimeoutExpired:
        raise InputError(f"{url} took longer than {timeout_s:g} s: the prices in use stay") from None
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()
        raise InputError(f"{url} cannot be read ({last[-1][:300] if last else f'exit code {done.returncode}'}): the prices in use stay")
    if len(done.stdout) > MAX_BYTES:
        raise InputError(f"{url} holds more than {MAX_BYTES} bytes of prices: the prices in use stay")
    lines = done.stdout.decode().splitlines()
    rows = tuple(read_json(PriceRow, line, f"price row of {url}") for line in lines)
    return tuple(row for row in rows if _plausible(row))


def _row(provider: str, model: str, usd_per_token: Mapping[str, Any], context: Any, source: Source) -> PriceRow | None:
    prices = {key: _per_mtok(value) for key, value in usd_per_token.items()}
    if prices["input_usd_per_mtok"] is None or prices["output_usd_per_mtok"] is None:
        return None
    tier = PriceTier.model_validate({key: value for key, value in prices.items() if value is not None})
    row = PriceRow(provider=provider, model=model, tiers=(tier,), context_tokens=_count(context), source=source)
    return row if _plausible(row) else None


def _per_mtok(usd_per_token: Any) -> float | None:
    """USD per token as USD per million; None for what is no price: absent, zero, negative, not a number."""
    if usd_per_token is None or isinstance(usd_per_token, bool):
        return None
    try:
        price = Decimal(str(usd_per_token)) * 1_000_000
    except InvalidOperation:
        return None
    return float(price) if price.is_finite() and price > 0 else None


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e12 else None


def _plausible(row: PriceRow) -> bool:
    return all(max(tier.input_usd_per_mtok, tier.output_usd_per_mtok) <= MAX_USD_PER_MTOK for tier in row.tiers)


def _usable(rows: list[PriceRow | None]) -> tuple[tuple[PriceRow, ...], int]:
    by_id = {row.id: row for row in rows if row is not None}
    return tuple(by_id[row_id] for row_id in sorted(by_id)), sum(row is None for row in rows)


def _base(row: PriceRow) -> tuple[float, float]:
    return row.tiers[0].input_usd_per_mtok, row.tiers[0].output_usd_per_mtok


def _pair(prices: tuple[float, float]) -> str:
    return f"{prices[0]:g}/{prices[1]:g}"


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (CHILD_MEMORY_BYTES, CHILD_MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        pass  # a system without this limit still has the time limit


def _child(url: str, as_of: date) -> int:
    """Fetch, parse, print one canonical row a line; every failure is one line on stderr."""
    _limit_memory()
    from genai_prices import UpdatePrices

    try:
        fetched = UpdatePrices(url=url).fetch()
        if fetched is None:
            raise ValueError("no list came back")
        rows = rows_of(fetched.providers, as_of, "genai-prices' live list; the day it was fetched", as_of)
        sys.stdout.write("".join(row.model_dump_json(exclude_defaults=True) + "\n" for row in rows))
        sys.stdout.flush()
    except MemoryError:
        sys.stderr.write(f"the list needs more than {CHILD_MEMORY_BYTES} bytes of memory\n")
        return 1
    except Exception as error:  # whatever a foreign parser raises on a foreign payload
        sys.stderr.write(f"{type(error).__name__}: {' '.join(str(error).split())}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_child(sys.argv[1], date.fromisoformat(sys.argv[2])))
