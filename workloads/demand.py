"""The demand: a workload as a manager states it, and the token volumes and peak load that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from facts.records import Fact, read_toml, validated
from facts.units import DAYS_PER_MONTH, SECONDS_PER_DAY

DEFAULT_INPUT_TOKENS = 1000.0
DEFAULT_OUTPUT_TOKENS = 200.0
SHARE_TOLERANCE = 0.01
MONTHS_OF_A_YEAR = 12


class Complexity(StrEnum):
    """How the article names what a model is asked to do."""

    CLASSIFICATION = "classification"
    EXTRACTION = "extraction"
    ROUTING = "routing"
    CODE = "code"
    REASONING = "reasoning"
    ANALYSIS = "analysis"
    QA = "qa"
    GENERATION = "generation"
    SYNTHESIS = "synthesis"


class TaskType(StrEnum):
    """The task types of the published evidence, finer than complexity."""

    CLASSIFICATION = "classification"
    EXTRACTION = "extraction"
    QA_CLOSED = "qa_closed"
    QA_OPEN = "qa_open"
    SUMMARISATION = "summarisation"
    GENERATION = "generation"
    SQL = "sql"
    CODE = "code"
    MATH = "math"
    REASONING = "reasoning"
    OTHER = "other"


class LabelQuality(StrEnum):
    """How far the labels can be trusted."""

    CHECKED = "checked"
    NOISY = "noisy"
    UNKNOWN = "unknown"


class KnowledgeChanges(StrEnum):
    """How often the facts behind the answers change."""

    STABLE = "stable"
    MONTHLY = "monthly"
    DAILY = "daily"


class Residency(StrEnum):
    """Where the data may go."""

    ANY = "any"
    REGION = "region"
    ON_PREM = "on_prem"


class Modality(StrEnum):
    """What goes in beside text."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"


class OrganisationalFactor(StrEnum):
    """What an organisation may care about beside money: where the data goes, how it feels to use, who owns the weights, who can be left."""

    PRIVACY = "privacy"
    LATENCY = "latency"
    OWNERSHIP = "ownership"
    LEVERAGE = "leverage"


class Workload(Fact):
    """One workload as its owner states it."""

    name: str = Field(default="Workload", min_length=1, max_length=120)
    """What the workload is called on the page and in the report."""
    requests_per_day: float | None = Field(default=None, gt=0, le=1e10)
    """Requests a day, averaged over the whole week."""
    tokens_per_day: float | None = Field(default=None, gt=0, le=1e14)
    """Input and output tokens a day together; the other way to state the volume."""
    input_share: float | None = Field(default=None, gt=0, lt=1)
    """Share of `tokens_per_day` that is input, 0 to 1."""
    input_tokens_mean: float | None = Field(default=None, ge=1, le=10_000_000)
    """Mean prompt length of a request, in tokens."""
    output_tokens_mean: float | None = Field(default=None, ge=1, le=1_000_000)
    """Mean answer length of a request, in tokens."""
    cached_input_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the input tokens that repeat an earlier prompt's beginning and are billed as cached, 0 to 1."""
    tokens_counted_with: str = Field(default="", max_length=120)
    """Whose tokens the volume and the lengths are: a model as provider:model, or a tokenizer as in o200k_base. Stated, an option whose
    tokenizer makes more or fewer of the same text is billed for those; empty takes the counts as every option's own."""
    complexity: Complexity
    """What the model is asked to do, in the words of the decision tree."""
    task_type: TaskType | None = None
    """The closest task type of the published evidence; absent means the most cautious of the complexity's types."""
    labelled_examples: int = Field(default=0, ge=0, le=1_000_000_000)
    """Examples with a known right answer, from your own traffic."""
    label_quality: LabelQuality = LabelQuality.UNKNOWN
    """Whether the labels have been checked by people (checked), come unchecked from a model or a log (noisy), or nobody knows."""
    domain_specific: bool = True
    """Whether those examples come from the same domain as the traffic."""
    knowledge_changes: KnowledgeChanges = KnowledgeChanges.STABLE
    """How often the knowledge behind the answers changes."""
    peak_to_mean: float = Field(default=3.0, ge=1, le=1000)
    """Requests a second in the busiest minute over the daily mean; 3 for round-the-clock use, 5 or more for office hours."""
    growth_per_month_share: float = Field(default=0.0, ge=-0.5, le=1.0)
    """Growth of the volume from one month to the next, 0.05 is 5 %."""
    month_factors: tuple[float, ...] = ()
    """Seasons: the volume of each month of a year over its mean, twelve numbers from the project's first month on; empty is even."""
    can_wait_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the requests that may wait up to a day for their answer, and so may be sent in batches, 0 to 1."""
    edge_device: str = Field(default="", max_length=80)
    """Device at your users' hands that could run a small model itself, by name, as in 'Apple M3'; empty means none."""
    edge_devices: int = Field(default=0, ge=0, le=1_000_000_000)
    """How many of them there are."""
    residency: Residency = Residency.ANY
    """Where the data may go: anywhere, to named providers in a region, or nowhere outside your own premises."""
    allowed_providers: tuple[str, ...] = ()
    """With residency 'region': the providers that have been cleared, by name."""
    budget_usd: float | None = Field(default=None, gt=0, le=1e12)
    """The most that an option may cost over the horizon, upfront inside; absent means no limit."""
    licences: tuple[str, ...] = ()
    """Licences of open weights that your organisation allows, by name as in Apache-2.0 or MIT; empty means any."""
    ttft_p95_ms: float | None = Field(default=None, gt=0, le=3_600_000)
    """Longest wait for the first token that 95 % of requests may see, in milliseconds."""
    tpot_p95_ms: float | None = Field(default=None, gt=0, le=3_600_000)
    """Longest time per following token that 95 % of requests may see, in milliseconds."""
    languages: tuple[str, ...] = ()
    """Languages of the traffic."""
    modality: tuple[Modality, ...] = (Modality.TEXT,)
    """What goes in: text, image, audio."""
    must_have: tuple[OrganisationalFactor, ...] = ()
    """Hard requirements: data stays on your machines (privacy), the stated response time is planned for (latency), the weights are yours
    (ownership), the seller can be left without changing the model (leverage)."""
    tie_breakers: tuple[OrganisationalFactor, ...] = ()
    """The same, most important first, where expected costs are nearly equal; they never outweigh money."""
    baseline_model: str = Field(default="openai:gpt-4o", pattern=r"^[A-Za-z0-9_.\-]+:\S+$")
    """The model used or considered today, as provider:model."""
    horizon_months: int = Field(default=12, ge=1, le=36)
    """Months that the projection covers."""

    @model_validator(mode="before")
    @classmethod
    def _one_volume_and_one_size(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = dict(data)
        by_requests = given.get("requests_per_day") is not None
        by_tokens = given.get("tokens_per_day") is not None
        if by_requests == by_tokens:
            what = "both are" if by_requests else "neither is"
            raise ValueError(f"{what} given: state the volume once, by requests_per_day or by tokens_per_day")
        share, mean_in, mean_out = (given.get(key) for key in ("input_share", "input_tokens_mean", "output_tokens_mean"))
        if by_requests:
            missing = [key for key in ("input_tokens_mean", "output_tokens_mean") if given.get(key) is None]
            if missing:
                raise ValueError(f"'{missing[0]}' is missing: requests_per_day needs the mean lengths of a request")
            if share is not None:
                raise ValueError("input_share belongs to tokens_per_day; with requests_per_day the two means say it")
            return given
        numbers = [number for number in (share, mean_in, mean_out) if number is not None]
        if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
            return given  # the fields themselves say what is wrong
        if share is not None and not 0 < share < 1:
            return given
        if any(number is not None and number <= 0 for number in (mean_in, mean_out)):
            return given
        given["input_tokens_mean"], given["output_tokens_mean"] = _sizes(share, mean_in, mean_out)
        return given

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.tokens_per_day is not None and self.input_share is not None:
            from_means = self.input_tokens / (self.input_tokens + self.output_tokens)
            if abs(from_means - self.input_share) > SHARE_TOLERANCE * self.input_share:
                raise ValueError(
                    f"input_share {self.input_share:g} and the means {self.input_tokens:g}/{self.output_tokens:g} "
                    f"(share {from_means:.4f}) differ by more than 1 %: change one of them or leave the means out"
                )
        if self.month_factors:
            count, mean = len(self.month_factors), sum(self.month_factors) / len(self.month_factors)
            if count != MONTHS_OF_A_YEAR or min(self.month_factors) < 0 or abs(mean - 1.0) > SHARE_TOLERANCE:
                raise ValueError(
                    f"month_factors are twelve numbers from 0 up with a mean of 1, these are {count} with a mean of {mean:.3f}"
                )
        if bool(self.edge_device) != bool(self.edge_devices):
            raise ValueError(
                f"edge_device {self.edge_device!r} and edge_devices {self.edge_devices} belong together: state both or neither"
            )
        if self.residency is Residency.REGION and not self.allowed_providers:
            raise ValueError("residency 'region' needs allowed_providers, the list of cleared provider names")
        return self

    @property
    def input_tokens(self) -> float:
        """Mean prompt length of a request, tokens."""
        assert self.input_tokens_mean is not None
        return self.input_tokens_mean

    @property
    def output_tokens(self) -> float:
        """Mean answer length of a request, tokens."""
        assert self.output_tokens_mean is not None
        return self.output_tokens_mean

    @property
    def mean_requests_per_day(self) -> float:
        """Requests a day, whichever way the volume was stated."""
        if self.requests_per_day is not None:
            return self.requests_per_day
        assert self.tokens_per_day is not None
        return self.tokens_per_day / (self.input_tokens + self.output_tokens)

    @property
    def mean_tokens_per_day(self) -> float:
        """Input and output tokens a day."""
        if self.tokens_per_day is not None:
            return self.tokens_per_day
        return self.mean_requests_per_day * (self.input_tokens + self.output_tokens)

    @property
    def service_level(self) -> ServiceLevel:
        """What a user will wait."""
        return ServiceLevel(ttft_p95_ms=self.ttft_p95_ms, tpot_p95_ms=self.tpot_p95_ms)


@dataclass(frozen=True, kw_only=True)
class ServiceLevel:
    """What a user will wait.

    ttft_p95_ms: for the first token, milliseconds, or None for no limit
    tpot_p95_ms: per following token, milliseconds, or None for no limit
    """

    ttft_p95_ms: float | None = None
    tpot_p95_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class TokenVolume:
    """Tokens of each month; arrays of shape (months,) or broadcastable.

    input_tokens: not cached
    cached_input_tokens: billed at the cached rate
    output_tokens: answers
    requests: requests
    """

    input_tokens: NDArray[np.float64]
    cached_input_tokens: NDArray[np.float64]
    output_tokens: NDArray[np.float64]
    requests: NDArray[np.float64]

    @property
    def total_tokens(self) -> NDArray[np.float64]:
        """All tokens of each month."""
        return self.input_tokens + self.cached_input_tokens + self.output_tokens


@dataclass(frozen=True, kw_only=True)
class Load:
    """The peak that a plan must carry.

    requests_per_s: in the busiest minute
    input_tokens, output_tokens: mean lengths of a request
    """

    requests_per_s: float
    input_tokens: float
    output_tokens: float


def volume_factor(workload: Workload, months: NDArray[np.int64]) -> NDArray[np.float64]:
    """Volume of months (1 is the first) over the stated mean: growth compounds from the second month on, times the season."""
    growth = (1.0 + workload.growth_per_month_share) ** (months - 1.0)
    if not workload.month_factors:
        return np.asarray(growth, dtype=np.float64)
    return np.asarray(growth * np.asarray(workload.month_factors)[(months - 1) % MONTHS_OF_A_YEAR], dtype=np.float64)


def token_volume(workload: Workload) -> TokenVolume:
    """Tokens month by month over the horizon: a month is 365/12 days, with growth and seasons."""
    growth = volume_factor(workload, np.arange(1, workload.horizon_months + 1))
    # From the stated total, not from requests: 50 M tokens a day at 15 USD must be 273,750.00 a year.
    total = workload.mean_tokens_per_day * DAYS_PER_MONTH * growth
    share = workload.input_share
    if share is None:
        share = workload.input_tokens / (workload.input_tokens + workload.output_tokens)
    cached = total * share * workload.cached_input_share
    return TokenVolume(
        input_tokens=total * share - cached,
        cached_input_tokens=cached,
        output_tokens=total - total * share,
        requests=workload.mean_requests_per_day * DAYS_PER_MONTH * growth,
    )


def peak_load(workload: Workload, month: int = 1) -> Load:
    """The load of the busiest minute in a month (1 is the first)."""
    growth = float(volume_factor(workload, np.array([month]))[0])
    return Load(
        requests_per_s=workload.mean_requests_per_day * growth * workload.peak_to_mean / SECONDS_PER_DAY,
        input_tokens=workload.input_tokens,
        output_tokens=workload.output_tokens,
    )


def read_workload(path: Path) -> Workload:
    """A workload from a TOML file without [prices] or [assumptions]."""
    return validated(Workload, read_toml(path), str(path))


def _sizes(share: float | None, mean_in: float | None, mean_out: float | None) -> tuple[float, float]:
    """Request size behind a stated daily total: what is not given follows from the share, else from 1000/200."""
    if share is None or (mean_in is not None and mean_out is not None):
        return mean_in or DEFAULT_INPUT_TOKENS, mean_out or DEFAULT_OUTPUT_TOKENS
    if mean_in is not None:
        return mean_in, max(1.0, mean_in * (1.0 - share) / share)
    if mean_out is not None:
        return max(1.0, mean_out * share / (1.0 - share)), mean_out
    # At least one token each way, or the means could not agree with the share.
    size = max(DEFAULT_INPUT_TOKENS + DEFAULT_OUTPUT_TOKENS, 1.0 / share, 1.0 / (1.0 - share))
    return max(1.0, size * share), max(1.0, size * (1.0 - share))


__all__ = [
    "Complexity",
    "KnowledgeChanges",
    "Load",
    "Modality",
    "Residency",
    "ServiceLevel",
    "TaskType",
    "TokenVolume",
    "Workload",
    "peak_load",
    "read_workload",
    "token_volume",
]
