"""Claims as somebody made them: a quote and its numbers, one strict record per kind, read from `[[claim]]` tables.

A number may be a range, `[low, high]` or `key_low` and `key_high`. What the quote states stands under a `stated_` key; where it states a
bound, `_at_most` ("under two months") or `_at_least` ("from $15K") is added to it. The same quantity may stand in another unit or under
another common word, see `claim_keys`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, PrivateAttr, model_validator

from facts.errors import InputError
from facts.records import Fact, nearest, read_toml, validated
from selector.claim_keys import Meant, meant_by


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

    low: float = Field(ge=0, allow_inf_nan=False)
    """Lower end; the number itself where there is no range."""
    high: float = Field(ge=0, allow_inf_nan=False)
    """Upper end."""
    bound: Bound = Bound.EXACT
    """For what the quote states: the value, at most, or at least."""
    factor: float = Field(default=1.0, gt=0)
    """What the number as given was multiplied by to stand in the unit of its key."""
    given: str = ""
    """The key as given, where it was another."""

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

    @property
    def as_given(self) -> Span:
        """The numbers that were written, in their own unit: their digits say how exactly they are meant."""
        return (
            self if self.factor == 1.0 else Span(low=_tidy(self.low / self.factor), high=_tidy(self.high / self.factor), bound=self.bound)
        )


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
    _asks_queries: bool = PrivateAttr(default=False)

    @property
    def rough(self) -> bool:
        """Whether the figure is marked as rough."""
        return bool(_ROUGH.search(self.quote)) if self.approximate is None else self.approximate

    def named(self, key: str) -> str:
        """A key in the claim's own words: its author's queries are requests here."""
        return key.replace("request", "query") if self._asks_queries else key

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

    input_tokens_per_request: Span | None = None
    """Input tokens of one request, with requests_per_day."""
    output_tokens_per_request: Span | None = None
    """Output tokens of one request, with requests_per_day."""

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
    examples: Span | None = None
    """Training examples; with tokens_per_example and epochs they give `tokens`."""
    tokens_per_example: Span | None = None
    """Tokens of one training example."""
    epochs: Span | None = None
    """Passes over the training examples; absent: 1."""
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
    baseline_usd_per_request: Span | None = None
    """Cost of one request the dearer way."""
    option_usd_per_request: Span | None = None
    """Cost of one request the cheaper way."""
    saving_usd_per_request: Span | None = None
    """Saving of one request."""
    saving_usd_per_month: Span | None = None
    """Saved per month, where the quote gives it as a fact."""
    saving_usd_per_year: Span | None = None
    """Saved per year."""


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
    stated_saving_share: Span | None = None
    """Stated saving over the dearer bill, 0.9 is 90 %."""


class PaybackClaim(_Saving):
    """Months until a saving has paid back what was spent first."""

    upfront_usd: Span | None = None
    """Spent before anything is saved."""
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
    tokens_per_s: Span | None = None
    """Speed of all GPUs together; with usd_per_mtok it gives what an hour earns."""
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
    stated_usd_per_hour: Span | None = None
    """Stated rent of one GPU at that speed and price."""
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
    overhead_share: Span | None = None
    """What comes on top of weights and cache, as a share of them; 0.2 is 20 %."""
    device: str | None = None
    """GPU by name that it is said to fit on."""
    gpus: Span | None = None
    """GPUs of that kind; absent: 1."""
    available_gb: Span | None = None
    """Memory that it is said to fit in, GB, where no device is named."""
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
    input_tokens: Span | None = None
    """Length of the prompt, with input_tokens_per_s."""
    input_tokens_per_s: Span | None = None
    """Speed at which the prompt is read; with input_tokens it gives ttft_ms where that is absent."""
    model: str | None = None
    """Model by name; gives params_b where that is absent."""
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
BESIDE: Final = ("id", "kind", "quote", "source", "note", "assumed", "approximate")
"""Keys that are not numbers of the claim."""


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A claim that cannot be read.

    id: its id, or its place in the file
    because: one sentence
    """

    id: str
    because: str


def shipped_claims() -> tuple[Claim, ...]:
    """The claims of five articles on small models."""
    return read_claims(resources.files("selector") / "data" / "claims.toml")


def read_claims(path: Path | Traversable) -> tuple[Claim, ...]:
    """Every `[[claim]]` of a TOML file, in its order."""
    return claims_of(read_toml(path), _name(path))


def read_each_claim(path: Path) -> tuple[Claim | Unreadable, ...]:
    """Every `[[claim]]` of a TOML file, in its order, those too that cannot be read: one wrong claim does not silence the others."""
    return each_claim(read_toml(path), _name(path))


def claims_of(document: Mapping[str, Any], where: str) -> tuple[Claim, ...]:
    """The claims of a parsed TOML document; `where` begins every error."""
    found = each_claim(document, where)
    wrong = next((one for one in found if isinstance(one, Unreadable)), None)
    if wrong is not None:
        raise InputError(wrong.because)
    return tuple(one for one in found if isinstance(one, Claim))


def each_claim(document: Mapping[str, Any], where: str) -> tuple[Claim | Unreadable, ...]:
    """The claims of a parsed TOML document one by one; InputError only where the document as a whole is none."""
    unknown = sorted(set(document) - {"claim"})
    if unknown:
        raise InputError(f"{where}: unknown table '{unknown[0]}', only [[claim]] is read")
    rows = document.get("claim", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{where}: claims are a list: write [[claim]] with two brackets above each")
    if not rows:
        raise InputError(f"{where}: no claim to audit: write [[claim]] with an id, a kind and the numbers")
    ids = [row.get("id") for row in rows]
    for claim_id in ids:
        if claim_id is not None and ids.count(claim_id) > 1:
            raise InputError(f"{where}: id '{claim_id}' stands twice")
    return tuple(_claim_or_why(row, number, where) for number, row in enumerate(rows, 1))


def claim_of(row: Mapping[str, Any], where: str = "the claim") -> Claim:
    """One claim from its table; `where` begins every error."""
    if "kind" not in row:
        raise InputError(f"{where}: 'kind' is missing; it is one of {', '.join(ClaimKind)}")
    known = [str(kind) for kind in ClaimKind]
    if row["kind"] not in known:
        raise InputError(f"{where}: unknown kind '{row['kind']}'{nearest(str(row['kind']), known)}")
    record = CLAIMS[ClaimKind(row["kind"])]
    try:
        claim = validated(record, _folded(row, record, where), where)
    except InputError as error:
        raise InputError(re.sub(r"\.(low|high)'", "'", str(error))) from None
    claim._asks_queries = any(re.search(r"quer(?:y|ies)", str(key)) for key in row)
    return claim


def keys_of(kind: ClaimKind) -> dict[str, str]:
    """Every key of a kind's numbers and what it means."""
    fields = CLAIMS[kind].model_fields
    return {key: str(found.description or "") for key, found in fields.items() if key not in BESIDE}


# ---- below: how ----

_ROUGH = re.compile(r"[~≈≃]|\b(?:about|roughly|approx\w*|around|nearly|almost|some)\b", re.IGNORECASE)
_ABOVE_ZERO = frozenset({"params_b", "bits_per_weight", "gpus", "hours_per_month", "concurrency", "tokens_per_s", "output_tokens", "years"})
_ENDINGS = ("_low", "_high", "_at_most", "_at_least")


def _name(path: Path | Traversable) -> str:
    return str(path) if isinstance(path, Path) else str(getattr(path, "name", path))


def _claim_or_why(row: Mapping[str, Any], number: int, where: str) -> Claim | Unreadable:
    name = str(row.get("id", number))
    try:
        return claim_of(row, f"{where} [[claim]] {name}")
    except InputError as error:
        return Unreadable(id=name, because=str(error))


def _folded(row: Mapping[str, Any], record: type[Claim], where: str) -> dict[str, Any]:
    """The table with `_low`/`_high` and `_at_most`/`_at_least` folded into their keys, every number in the unit of its key."""
    folded: dict[str, Any] = {}
    first: dict[str, str] = {}
    ends = {_meant(given, record)[:2]: (given, value) for given, value in row.items()}
    for given, value in row.items():
        key, ending, meant = _meant(given, record)
        if meant is None:
            folded[given] = value
            continue
        if ending in ("_low", "_high"):
            other = ends.get((key, "_high" if ending == "_low" else "_low"))
            if (key, "") in ends:
                raise InputError(f"{where}: '{given}' and '{ends[key, ''][0]}' give the same number twice")
            if other is None:
                raise InputError(
                    f"{where}: '{given}' without '{key}{'_high' if ending == '_low' else '_low'}': give both ends of the range"
                )
            if ending == "_high":
                continue
            value = [_number(value, meant), _number(other[1], _meant(other[0], record)[2])]
            folded[key], first[key] = (
                (value if meant.factor == 1.0 or not key.startswith("stated_") else _stated(value, meant, given)),
                given,
            )
            continue
        if key == "denominator" and _other_unit(first.get("numerator", ""), given):
            raise InputError(
                f"{where}: '{first['numerator']}' and '{given}' are not in the same unit: a ratio needs two numbers of one kind"
            )
        if key in first:
            same = "state the same figure" if key.startswith("stated_") else "give the same number"
            raise InputError(f"{where}: '{first[key]}' and '{given}' {same} twice")
        first[key] = given
        if ending:
            folded[key] = _bounded(_number(value, meant), Bound(ending[1:]), f"{where}: '{given}'") | _unit(meant, given)
        elif key.startswith("stated_") and meant.factor != 1.0:
            folded[key] = _stated(_number(value, meant), meant, given)
        else:
            folded[key] = _number(value, meant)
    return folded


def _meant(given: str, record: type[Claim]) -> tuple[str, str, Meant | None]:
    """The key of the record, the ending that makes it a range or a bound, and how it is meant; None for an unknown key."""
    known = frozenset(record.model_fields)
    if given in known:
        return given, "", Meant(key=given)
    ending = next((one for one in _ENDINGS if given.endswith(one)), "")
    if ending:
        meant = meant_by(given.removesuffix(ending), known)
        if meant is not None and not (ending.startswith("_at") and not meant.key.startswith("stated_")):
            return meant.key, ending, meant
    meant = meant_by(given, known - set(BESIDE))
    return (given, "", None) if meant is None else (meant.key, "", meant)


def _other_unit(one: str, other: str) -> bool:
    """Whether two sides of a ratio name different units: baseline_gb over option_tokens_per_s."""
    sides = [re.sub(r"^[a-z]+_|_(?:from|to|old|new|before|after)$", "", given, count=1) for given in (one, other)]
    return bool(one) and one != "numerator" and other != "denominator" and sides[0] != sides[1] and "_" in one and "_" in other


def _number(value: Any, meant: Meant | None) -> Any:
    """A number or a range in the unit of its key; anything else is left to be refused."""
    if meant is None or (meant.factor == 1.0 and not meant.inverse):
        return value
    numbers = value if isinstance(value, list) else [value]
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in numbers) or (meant.inverse and not all(numbers)):
        return value
    converted = [meant.factor / one if meant.inverse else one * meant.factor for one in numbers]
    if not isinstance(value, list):
        return converted[0]
    return converted[::-1] if meant.inverse else converted


def _stated(value: Any, meant: Meant, given: str) -> Any:
    """A stated figure that remembers the unit it was written in."""
    ends: Sequence[Any] = value if isinstance(value, list) else [value, value]
    if len(ends) != 2 or any(isinstance(one, bool) or not isinstance(one, int | float) for one in ends):
        return value
    if ends[0] > ends[1]:
        raise InputError(f"'{given}': the lower number of a range comes first")
    return {"low": ends[0], "high": ends[1]} | _unit(meant, given)


def _unit(meant: Meant, given: str) -> dict[str, Any]:
    if meant.factor == 1.0:
        return {}
    return {"factor": meant.factor, "given": given.removesuffix(next((one for one in _ENDINGS if given.endswith(one)), ""))}


def _tidy(value: float) -> float:
    """A number as it was written, before it was multiplied by a factor: without the last bit of rounding."""
    return float(f"{value:.12g}")


def _bounded(value: Any, bound: Bound, where: str) -> dict[str, Any]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}: a bound is one number")
    return {"low": value, "high": value, "bound": bound}
