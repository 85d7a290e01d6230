"""Claims as somebody made them: a quote and its numbers, one strict record per kind, read from `[[claim]]` tables.

A number may be a range, `[low, high]` or `key_low` and `key_high`. What the quote states stands under a `stated_` key; where it states a
bound, `_at_most` ("under two months") or `_at_least` ("from $15K") is added to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, model_validator

from facts.errors import InputError
from facts.records import Fact, nearest, read_toml, validated


class ClaimKind(StrEnum):
    """What is claimed."""

    COST_PER_PERIOD = "cost_per_period"
    SAVING_PER_PERIOD = "saving_per_period"
    PAYBACK = "payback"
    IMPLIED_RENT = "implied_rent"
    IMPLIED_SPEED = "implied_speed"
    MEMORY = "memory"
    LATENCY = "latency"
    RATIO = "ratio"


class Bound(StrEnum):
    """Whether a stated figure is the value, its upper limit or its lower limit."""

    EXACT = "exact"
    AT_MOST = "at_most"
    AT_LEAST = "at_least"


class Span(Fact):
    """A number, or a range of numbers, as the claim gives it."""

    low: float = Field(ge=0)
    """Lower end; the number itself where there is no range."""
    high: float = Field(ge=0)
    """Upper end."""
    bound: Bound = Bound.EXACT
    """For what the quote states: the value, at most, or at least."""

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, given: Any) -> Any:
        if isinstance(given, bool | str):
            raise ValueError("give a number, or two of them as [low, high]")
        if isinstance(given, int | float):
            return {"low": given, "high": given}
        if isinstance(given, list | tuple):
            if len(given) != 2 or any(isinstance(end, bool) or not isinstance(end, int | float) for end in given):
                raise ValueError(f"a range has two numbers, [low, high], not {len(given)} entries like these")
            return {"low": given[0], "high": given[1]}
        return given

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"{self.low:g} to {self.high:g} is no range: the lower number comes first")
        return self

    @property
    def single(self) -> bool:
        """Whether it is one number."""
        return self.low == self.high


class Claim(Fact):
    """What every claim has."""

    id: str = Field(min_length=1, max_length=120)
    """Unique in its file."""
    kind: ClaimKind
    """What is claimed."""
    quote: str = Field(default="", max_length=500)
    """The claim in its author's words."""
    source: str = ""
    """Where it stands."""
    note: str = ""
    """What a reader should know."""
    assumed: tuple[str, ...] = ()
    """Keys that the quote does not give and somebody filled in."""
    approximate: bool | None = None
    """Whether the figure is marked as rough (~, about, roughly); absent: read off the quote."""

    @property
    def rough(self) -> bool:
        """Whether the figure is marked as rough."""
        return bool(_ROUGH.search(self.quote)) if self.approximate is None else self.approximate

    @property
    def stated(self) -> dict[str, Span]:
        """What the quote states, by key."""
        return {key: value for key in type(self).model_fields if key.startswith("stated_") and (value := getattr(self, key)) is not None}

    @model_validator(mode="after")
    def _counts_are_above_zero(self) -> Self:
        for key in _ABOVE_ZERO & set(type(self).model_fields):
            span = getattr(self, key)
            if span is not None and span.low <= 0.0:
                raise ValueError(f"'{key}' = {span.low:g}: a number above 0 is wanted")
        return self

    @model_validator(mode="after")
    def _assumed_are_given(self) -> Self:
        for key in self.assumed:
            if key not in type(self).model_fields or getattr(self, key) is None:
                raise ValueError(f"'{key}' is marked as assumed, but the claim does not give it")
        return self


class _Volume(Claim):
    """Tokens by day, month or request."""

    tokens_per_day: Span | None = None
    """Input and output tokens together."""
    tokens_per_month: Span | None = None
    """The same by month of 365/12 days."""
    requests_per_day: Span | None = None
    """Requests; with tokens_per_request they give the tokens."""
    tokens_per_request: Span | None = None
    """Input and output tokens of one request."""


class CostClaim(_Volume):
    """A bill for a period: tokens at a price, servers by the hour, power; their sum."""

    usd_per_mtok: Span | None = None
    """Price per million tokens, input and output alike."""
    model: str | None = None
    """provider:model whose list price is taken where no price is given."""
    input_tokens_per_output_token: Span | None = None
    """Mix of the tokens, for a list price; 3 is three input tokens to one output token."""
    input_tokens_per_day: Span | None = None
    """Input tokens, with input_usd_per_mtok."""
    output_tokens_per_day: Span | None = None
    """Output tokens, with output_usd_per_mtok."""
    input_usd_per_mtok: Span | None = None
    """Price of input tokens."""
    output_usd_per_mtok: Span | None = None
    """Price of output tokens."""
    tokens: Span | None = None
    """Tokens once, for a cost without a period (training)."""
    gpus: Span | None = None
    """GPUs rented or owned."""
    usd_per_hour: Span | None = None
    """Rent of one GPU."""
    hours_per_month: Span | None = None
    """Hours rented or running; absent: 730."""
    power_kw: Span | None = None
    """Power drawn, all GPUs together."""
    usd_per_kwh: Span | None = None
    """Price of electricity."""
    pue: Span | None = None
    """Power of the building over that of the servers; absent: 1."""
    stated_usd_per_hour: Span | None = None
    """Stated bill of an hour."""
    stated_usd_per_day: Span | None = None
    """Stated bill of a day."""
    stated_usd_per_month: Span | None = None
    """Stated bill of a month."""
    stated_usd_per_year: Span | None = None
    """Stated bill of a year."""
    stated_usd_per_request: Span | None = None
    """Stated cost of one request."""
    stated_usd_per_mtok: Span | None = None
    """Stated price per million tokens, checked against the list price of `model`."""
    stated_usd: Span | None = None
    """Stated cost of `tokens`, once."""


class _Saving(_Volume):
    """What the option costs less than the baseline."""

    baseline_usd_per_mtok: Span | None = None
    """Price of the dearer way."""
    option_usd_per_mtok: Span | None = None
    """Price of the cheaper way."""
    baseline_usd_per_month: Span | None = None
    """Bill of the dearer way."""
    option_usd_per_month: Span | None = None
    """Bill of the cheaper way."""
    baseline_usd_per_year: Span | None = None
    """The same by year."""
    option_usd_per_year: Span | None = None
    """The same by year."""
    saving_usd_per_request: Span | None = None
    """Saving of one request."""


class SavingClaim(_Saving):
    """A saving for a period: the dearer bill less the cheaper one."""

    stated_usd_per_day: Span | None = None
    """Stated saving of a day."""
    stated_usd_per_month: Span | None = None
    """Stated saving of a month."""
    stated_usd_per_year: Span | None = None
    """Stated saving of a year."""
    stated_usd_per_request: Span | None = None
    """Stated saving of one request."""


class PaybackClaim(_Saving):
    """Months until a saving has paid back what was spent first."""

    upfront_usd: Span | None = None
    """Spent before anything is saved."""
    saving_usd_per_month: Span | None = None
    """Saved per month."""
    saving_usd_per_year: Span | None = None
    """Saved per year."""
    stated_payback_months: Span | None = None
    """Stated months."""
    stated_payback_years: Span | None = None
    """Stated years."""


class RentClaim(_Volume):
    """What a monthly figure means per GPU and hour, against the cheapest rent listed."""

    usd_per_mtok: Span | None = None
    """Price per million tokens that is said to be the cost of one's own servers."""
    gpus: Span | None = None
    """GPUs that the figure pays for; absent: 1."""
    hours_per_month: Span | None = None
    """Hours they run; absent: 730, round the clock."""
    device: str | None = None
    """GPU by name; absent: any that holds the model."""
    params_b: Span | None = None
    """Parameters of the model, billions; leaves out GPUs that cannot hold it."""
    bits_per_weight: Span | None = None
    """Stored bits per weight."""
    term: str | None = None
    """Kind of rent; absent: on_demand."""
    usd_per_hour: Span | None = None
    """Rent of one GPU where the quote gives it, to be multiplied out."""
    usd_per_month: Span | None = None
    """Bill of a month where the quote gives it as a fact."""
    usd_per_year: Span | None = None
    """The same by year."""
    stated_usd_per_hour: Span | None = None
    """Stated rent of one GPU."""
    stated_usd_per_month: Span | None = None
    """Stated bill of a month."""
    stated_usd_per_year: Span | None = None
    """Stated bill of a year."""


class SpeedClaim(_Volume):
    """Tokens per second: what a price or a volume means, and whether a GPU can do it."""

    tokens_per_s: Span | None = None
    """Speed where the quote gives it as a fact."""
    usd_per_mtok: Span | None = None
    """Price per million tokens."""
    usd_per_hour: Span | None = None
    """Rent of one GPU."""
    gpus: Span | None = None
    """GPUs; absent: 1."""
    device: str | None = None
    """GPU by name."""
    model: str | None = None
    """Model by name; its shape replaces params_b."""
    params_b: Span | None = None
    """Parameters that a token passes through, billions."""
    bits_per_weight: Span | None = None
    """Stored bits per weight."""
    concurrency: Span | None = None
    """Requests at once; absent: as many as wanted."""
    stated_tokens_per_s: Span | None = None
    """Stated speed, all requests together."""
    stated_usd_per_mtok: Span | None = None
    """Stated price at that speed and rent."""
    stated_tokens_per_day: Span | None = None
    """Stated volume at that speed, or at that price and rent."""


class MemoryClaim(Claim):
    """Memory that a model takes, or that it is said to fit into."""

    params_b: Span | None = None
    """Parameters, billions; all experts of a mixture."""
    bits_per_weight: Span | None = None
    """Stored bits per weight."""
    model: str | None = None
    """Model by name, for its cache; gives params_b where that is absent."""
    quantization: str | None = None
    """Precision by name; gives bits_per_weight where that is absent."""
    kv_gb: Span | None = None
    """Cache, GB."""
    context_tokens: Span | None = None
    """Tokens held in the cache; with model, gives kv_gb where that is absent."""
    kv_bits: Span | None = None
    """Bits per cache element; absent: 16."""
    stated_gb: Span | None = None
    """Stated memory, GB (1e9 bytes)."""
    stated_gib: Span | None = None
    """Stated memory, GiB (2^30 bytes)."""


class LatencyClaim(Claim):
    """Time of one answer: first token, then one after another."""

    output_tokens: Span | None = None
    """Length of the answer."""
    tokens_per_s: Span | None = None
    """Speed of one stream."""
    ttft_ms: Span | None = None
    """Time to the first token."""
    device: str | None = None
    """GPU by name."""
    gpus: Span | None = None
    """GPUs that share the model; absent: 1."""
    params_b: Span | None = None
    """Parameters that a token passes through, billions."""
    bits_per_weight: Span | None = None
    """Stored bits per weight."""
    stated_latency_ms: Span | None = None
    """Stated time, ms."""
    stated_latency_s: Span | None = None
    """Stated time, seconds."""


class RatioClaim(Claim):
    """One number over another: '28 times cheaper', 'a 75 % saving', '30 times in three years'."""

    numerator: Span | None = None
    """The larger, older or dearer number."""
    denominator: Span | None = None
    """What it is divided by."""
    baseline_usd_per_mtok: Span | None = None
    """Price of the dearer way, as the numerator."""
    option_usd_per_mtok: Span | None = None
    """Price of the cheaper way, as the denominator."""
    baseline_usd_per_month: Span | None = None
    """Bill of the dearer way, as the numerator."""
    option_usd_per_month: Span | None = None
    """Bill of the cheaper way, as the denominator."""
    baseline_params_b: Span | None = None
    """Parameters of the larger model, as the numerator."""
    option_params_b: Span | None = None
    """Parameters of the smaller model, as the denominator."""
    years: Span | None = None
    """Years between the two, for a ratio per year."""
    stated_ratio: Span | None = None
    """Stated numerator / denominator."""
    stated_ratio_per_year: Span | None = None
    """Stated ratio from one year to the next."""
    stated_saving_share: Span | None = None
    """Stated 1 - denominator / numerator, 0.75 is 75 %."""


CLAIMS: Final[Mapping[ClaimKind, type[Claim]]] = {
    ClaimKind.COST_PER_PERIOD: CostClaim,
    ClaimKind.SAVING_PER_PERIOD: SavingClaim,
    ClaimKind.PAYBACK: PaybackClaim,
    ClaimKind.IMPLIED_RENT: RentClaim,
    ClaimKind.IMPLIED_SPEED: SpeedClaim,
    ClaimKind.MEMORY: MemoryClaim,
    ClaimKind.LATENCY: LatencyClaim,
    ClaimKind.RATIO: RatioClaim,
}
"""The record of each kind."""
ALIASES: Final[Mapping[str, str]] = {
    "queries_per_day": "requests_per_day",
    "tokens_per_query": "tokens_per_request",
    "saving_usd_per_query": "saving_usd_per_request",
    "stated_usd_per_query": "stated_usd_per_request",
    "stated_saving_usd_per_query": "stated_usd_per_request",
    "stated_saving_usd_per_day": "stated_usd_per_day",
    "stated_saving_usd_per_month": "stated_usd_per_month",
    "stated_saving_usd_per_year": "stated_usd_per_year",
    "gpu_usd_per_hour": "usd_per_hour",
}
"""Other spellings of the same keys."""


def shipped_claims() -> tuple[Claim, ...]:
    """The claims of five articles on small models."""
    return read_claims(resources.files("selector") / "data" / "claims.toml")


def read_claims(path: Path | Traversable) -> tuple[Claim, ...]:
    """Every `[[claim]]` of a TOML file, in its order."""
    return claims_of(read_toml(path), str(getattr(path, "name", path)) if not isinstance(path, Path) else str(path))


def claims_of(document: Mapping[str, Any], where: str) -> tuple[Claim, ...]:
    """The claims of a parsed TOML document; `where` begins every error."""
    unknown = sorted(set(document) - {"claim"})
    if unknown:
        raise InputError(f"{where}: unknown table '{unknown[0]}', only [[claim]] is read")
    rows = document.get("claim", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{where}: claims are a list: write [[claim]] with two brackets above each")
    if not rows:
        raise InputError(f"{where}: no claim to audit: write [[claim]] with an id, a kind and the numbers")
    claims = tuple(claim_of(row, f"{where} [[claim]] {row.get('id', number)}") for number, row in enumerate(rows, 1))
    ids = [claim.id for claim in claims]
    for claim_id in ids:
        if ids.count(claim_id) > 1:
            raise InputError(f"{where}: id '{claim_id}' stands twice")
    return claims


def claim_of(row: Mapping[str, Any], where: str = "the claim") -> Claim:
    """One claim from its table; `where` begins every error."""
    if "kind" not in row:
        raise InputError(f"{where}: 'kind' is missing; it is one of {', '.join(ClaimKind)}")
    known = [str(kind) for kind in ClaimKind]
    if row["kind"] not in known:
        raise InputError(f"{where}: unknown kind '{row['kind']}'{nearest(str(row['kind']), known)}")
    record = CLAIMS[ClaimKind(row["kind"])]
    try:
        return validated(record, _folded(row, record, where), where)
    except InputError as error:
        raise InputError(re.sub(r"\.(low|high)'", "'", str(error))) from None


# ---- below: how ----

_ROUGH = re.compile(r"[~≈≃]|\b(?:about|roughly|approx\w*|around|nearly|almost|some)\b", re.IGNORECASE)
_ABOVE_ZERO = frozenset({"params_b", "bits_per_weight", "gpus", "hours_per_month", "concurrency", "tokens_per_s", "output_tokens", "years"})
_ENDINGS = ("_low", "_high", "_at_most", "_at_least")


def _folded(row: Mapping[str, Any], record: type[Claim], where: str) -> dict[str, Any]:
    """The table with `_low`/`_high` and `_at_most`/`_at_least` folded into their keys."""
    folded: dict[str, Any] = {}
    for given, value in row.items():
        key = _spelt(given, record)
        ending = next((one for one in _ENDINGS if key.endswith(one)), "")
        base = key.removesuffix(ending) if ending else key
        if not ending or base not in record.model_fields or (ending.startswith("_at") and not base.startswith("stated_")):
            if key in folded:
                raise InputError(f"{where}: '{key}' is given twice, once as a range")
            folded[key] = value
            continue
        if ending.startswith("_at"):
            if base in row or base in folded:
                raise InputError(f"{where}: '{key}' and '{base}' state the same figure twice")
            folded[base] = _bounded(value, Bound(ending[1:]), f"{where}: '{key}'")
            continue
        other = f"{base}_{'high' if ending == '_low' else 'low'}"
        if base in row:
            raise InputError(f"{where}: '{key}' and '{base}' give the same number twice")
        ends = {_spelt(name, record): number for name, number in row.items()}
        if other not in ends:
            raise InputError(f"{where}: '{key}' without '{other}': give both ends of the range")
        folded[base] = [ends[f"{base}_low"], ends[f"{base}_high"]]
    return folded


def _spelt(key: str, record: type[Claim]) -> str:
    ending = next((one for one in _ENDINGS if key.endswith(one)), "")
    base = key.removesuffix(ending) if ending else key
    known = ALIASES.get(base, base)
    return known + ending if known in record.model_fields else key


def _bounded(value: Any, bound: Bound, where: str) -> dict[str, Any]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}: a bound is one number")
    return {"low": value, "high": value, "bound": bound}
