"""What a decision is made of: the records that `recommend()` returns and every page, report and file shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from facts.records import Basis
from selector.scenarios import Scenario
from workloads.demand import OrganisationalFactor

METHOD_VERSION = "1"
"""Raised, with a CHANGELOG line, when older reports no longer compare."""


class Arm(StrEnum):
    """The kinds of answer."""

    API = "api"
    API_SMALL = "api_small"
    API_TUNED = "api_tuned"
    HOSTED_OPEN = "hosted_open"
    SMALL_UNTUNED = "small_untuned"
    SELF_HOSTED_MID = "self_hosted_mid"
    SELF_HOSTED_70B = "self_hosted_70b"
    FINE_TUNED_7B = "fine_tuned_7b"
    ENCODER = "encoder"
    CASCADE = "cascade"
    THIS_MACHINE = "this_machine"
    EDGE = "edge"
    OWN = "own"


class Placement(StrEnum):
    """Where a model runs and how it is paid for."""

    API = "api"
    MANAGED = "managed"
    RENTED = "rented"
    OWNED = "owned"
    LOCAL = "local"


class Action(StrEnum):
    """What the recommendation asks its reader to do."""

    STAY = "stay"
    TEST_FIRST = "test_first"
    MOVE = "move"
    NONE_FEASIBLE = "none_feasible"


@dataclass(frozen=True, kw_only=True)
class PathStep:
    """One step of the walk through the decision tree.

    node: id of the question in the tree file
    question: as the page asks it
    value: the user's own value, as text
    answer: the branch taken
    because: why that value takes that branch, with the threshold
    source: where the rule comes from
    departs_from_article: what the seed article says instead, empty where they agree
    evidence: what the published cases say of the rule, or ""
    flips: how far the value is from taking another branch
    """

    node: str
    question: str
    value: str
    answer: str
    because: str
    source: str
    departs_from_article: str = ""
    evidence: str = ""
    flips: str = ""


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """Where the walk ends.

    id: in the tree file
    title: the advice in a few words
    advice: the advice in a sentence
    arms: the arms it names, best first
    source: where the rule comes from
    placements: where it would run them; empty means anywhere
    """

    id: str
    title: str
    advice: str
    arms: tuple[Arm, ...]
    source: str
    placements: tuple[Placement, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A gate's answer.

    gate: its name
    passed: whether the option may go on
    reason: why, either way
    """

    gate: str
    passed: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class QualityPrior:
    """The chance that an option is good enough: within 5 % of the baseline on the user's task.

    probability: mean of the prior, 0 to 1
    low, high: its 5 % and 95 % points
    because: the published cases behind it, in a sentence
    basis: published or assumed; measured after the user's own test
    source: where the cases were read
    cases: the published cases closest to the option, a line each
    """

    probability: float
    low: float
    high: float
    because: str
    basis: Basis
    source: str
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The servers that an option needs.

    replicas: copies of the model at the busiest month's peak, spares included
    spare_replicas: of these, kept for failure and updates
    gpus_per_replica: GPUs (or machines without one) that one copy takes
    utilization_share: mean load over the capacity of all replicas in the first live month, 0 to 1
    basis: how the speed behind it was come by
    server: the server in words
    device_id: its accelerator in the catalogue, or ""
    capacity_tokens_per_month: what the working replicas carry at the ceiling, input and output together
    replica_tokens_per_month: what one replica carries
    output_tokens_per_s: one replica's output speed at the planned concurrency
    concurrency: requests in flight per replica at that speed
    ttft_ms, tpot_ms: expected at the peak, median
    speed_low, speed_high: 80 % interval of the speed as a factor of the estimate
    measured: id of the measurement behind it, or ""
    """

    replicas: int
    spare_replicas: int
    gpus_per_replica: int
    utilization_share: float
    basis: Basis
    server: str
    device_id: str
    capacity_tokens_per_month: float
    replica_tokens_per_month: float
    output_tokens_per_s: float
    concurrency: float
    ttft_ms: float
    tpot_ms: float
    speed_low: float
    speed_high: float
    measured: str = ""


@dataclass(frozen=True, kw_only=True)
class BaseModelEntry:
    """A base model on the shortlist of an option's pilot.

    model, name: id in the catalogue, and what people call it
    licence: of its weights
    context_tokens: its window, None where it is not known
    languages: what its maker states, in a few words
    total_usd: the option's bill over the horizon with it
    """

    model: str
    name: str
    licence: str
    context_tokens: int | None
    languages: str
    total_usd: float | None


@dataclass(frozen=True, kw_only=True)
class BaseModelChoice:
    """Which base model an option is priced with, and which others a pilot should try.

    model, name: the one taken
    because: how many passed the hard filters, and what decided between them
    shortlist: the first three for the pilot, the one taken first
    left_out: those that a filter refused, each with the reason
    sentence: that quality does not separate them before a test; '' where there is nothing to separate
    """

    model: str
    name: str
    because: str
    shortlist: tuple[BaseModelEntry, ...]
    left_out: tuple[str, ...] = ()
    sentence: str = ""


class Level(StrEnum):
    """How far an organisational factor is met."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"


@dataclass(frozen=True, kw_only=True)
class Factor:
    """What an option means for the organisation, beside its money. Stated, never folded into a score.

    name: privacy, latency, ownership or leverage
    level: yes, partly or no
    because: why, in a sentence
    """

    name: OrganisationalFactor
    level: Level
    because: str


@dataclass(frozen=True, kw_only=True)
class TokenCount:
    """How many tokens an option makes of a text of which the user's counts have one.

    factor: in use
    low, high: range over the counted texts
    because: the tokenizers and the texts, or why it is 1, in a sentence; '' where nothing is said of whose tokens were counted
    basis: measured on texts, published (the same tokenizer), or assumed
    """

    factor: float
    low: float
    high: float
    because: str
    basis: Basis


@dataclass(frozen=True, kw_only=True)
class MovesMost:
    """The one number that moves a verdict most, each number moved alone to the ends of its range.

    key, label, unit: which number
    low, base, high: its range and the value in use
    option_id: about which option: the recommended one, or the best alternative where the advice is to stay
    moved: what is moved, 'expected saving' against today's model (chance x saving, less the other chance x what the test costs), or 'cost'
        over the horizon where today's model may not run
    usd, low_usd, high_usd: of it, as decided and with the number at either end
    option_id_low, option_id_high: what is recommended there, None where nothing is possible
    words: the clause that stands in the verdict
    """

    key: str
    label: str
    unit: str
    low: float
    base: float
    high: float
    option_id: str
    moved: str
    usd: float
    low_usd: float
    high_usd: float
    option_id_low: str | None
    option_id_high: str | None
    words: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One named amount.

    name: the cost line
    usd: the amount
    """

    name: str
    usd: float


@dataclass(frozen=True, kw_only=True)
class Month:
    """One month of a bill (365/12 days), without the upfront.

    month: 1 is the first
    lines: named amounts
    total_usd: their sum
    """

    month: int
    lines: tuple[Line, ...]
    total_usd: float


@dataclass(frozen=True, kw_only=True)
class OptionResult:
    """One option, evaluated. Amounts are None where nothing can be computed, and `refused_because` says what is missing.

    id: unique in the decision
    title: for the reader
    arm, placement, model: what runs where
    provider: who is paid, or ""
    quantization, engine: what is served and by what, or ""
    feasible: no gate refused it
    refused_because: the first refusing gate's sentence, or None
    verdicts: every gate it was shown to
    quality: chance of being good enough
    plan: servers, or None where tokens are bought
    upfront_lines, upfront_usd: paid before the first month
    months: the horizon, upfront not inside
    total_usd: upfront + months
    expected_usd: P x total + (1 - P) x (spent on the test + the fallback's total) + error cost
    spent_if_it_fails_usd: what testing and tuning cost if the option turns out not good enough
    error_cost_usd: from the user's USD per wrong case only
    usd_per_mtok: total over all tokens of the horizon
    usd_per_right_answer: total over the requests that are answered right, where the user's own right-or-wrong test measured how many are;
        None before such a test
    npv_usd, roi, payback_months: against the baseline; payback from the start of the project, None where not reached in the horizon
    payback_vs_70b_months: the same against the cheapest self-hosted 70B
    run_rate_year_usd: twelve times the last month, the bill once everything runs
    amortised_total_usd: an owned option with depreciation and capital charge instead of the purchase; beside the total, never ranked
    energy_kwh, kwh_per_mtok: electricity of its servers at the meter, whoever pays for it; None where tokens are bought
    co2e_kg: emissions of that, where the grid's intensity is stated
    live_after_months: months in which the baseline still serves
    gate_passed: the user's own test shows it good enough
    tree_pick: the decision tree's own choice
    base_model: which base model it is priced with and which the pilot should try; None for what is bought as an API
    factors: privacy, latency, ownership of the weights and leverage, each with a level and a reason
    tokens: of its tokenizer for one of the user's counts; None where it is not said whose tokens were counted
    notes: what a reader should know
    """

    id: str
    title: str
    arm: Arm
    placement: Placement
    model: str
    provider: str = ""
    quantization: str = ""
    engine: str = ""
    feasible: bool
    refused_because: str | None
    verdicts: tuple[Verdict, ...]
    quality: QualityPrior
    plan: Plan | None = None
    upfront_lines: tuple[Line, ...] = ()
    upfront_usd: float | None = None
    months: tuple[Month, ...] = ()
    total_usd: float | None = None
    expected_usd: float | None = None
    spent_if_it_fails_usd: float | None = None
    error_cost_usd: float | None = None
    usd_per_mtok: float | None = None
    usd_per_right_answer: float | None = None
    npv_usd: float | None = None
    roi: float | None = None
    payback_months: float | None = None
    payback_vs_70b_months: float | None = None
    run_rate_year_usd: float | None = None
    amortised_total_usd: float | None = None
    energy_kwh: float | None = None
    kwh_per_mtok: float | None = None
    co2e_kg: float | None = None
    live_after_months: float = 0.0
    gate_passed: bool = False
    tree_pick: bool = False
    base_model: BaseModelChoice | None = None
    factors: tuple[Factor, ...] = ()
    tokens: TokenCount | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The recommendation itself.

    action: stay, test_first, move or none_feasible
    option_id: what to stay on, test or move to; None when nothing is feasible
    baseline_option_id: the list-price API form of today's model
    fallback_option_id: what is paid for if the option fails its test (the baseline where it is allowed)
    tree_option_id: the decision tree's pick
    cheapest_option_id: the lowest total among feasible options, whatever its quality
    why_they_differ: when recommended, tree's pick and cheapest are not the same; else ""
    tie_broken: which preference of the organisation decided between options of nearly equal expected cost; else ""
    moves_most: the one number that moves the verdict most, None where nothing is recommended
    sentence: the verdict in one plain sentence
    saving_usd: baseline's total less the option's, over the horizon
    npv_usd, payback_months: of the option against the baseline
    probability: that the option is good enough
    """

    action: Action
    option_id: str | None
    baseline_option_id: str
    fallback_option_id: str | None
    tree_option_id: str | None
    cheapest_option_id: str | None
    why_they_differ: str
    sentence: str
    saving_usd: float | None
    npv_usd: float | None
    payback_months: float | None
    probability: float | None
    tie_broken: str = ""
    moves_most: MovesMost | None = None


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A row of the fixed table: GPT-4-class API, self-hosted 70B, fine-tuned 7B.

    label: the arm in the article's words
    option_id: the option that stands for it
    payback_vs_api_months, payback_vs_70b_months: None where not reached in the horizon or not applicable
    refused_because: why it may not be chosen, or None
    """

    label: str
    option_id: str | None
    total_usd: float | None
    upfront_usd: float | None
    roi: float | None
    payback_vs_api_months: float | None
    payback_vs_70b_months: float | None
    refused_because: str | None


@dataclass(frozen=True, kw_only=True)
class LinearRow:
    """An arm by the article's own method, tokens times one price per million: for comparison, never ranked.

    label: the arm in the article's words
    usd_per_mtok: the article's price
    usd_per_month, usd_per_year: at your volume, a month of 365/12 days
    our_usd_per_mtok: what the option that stands for the arm costs, everything in it; None where it cannot be priced
    because: why the two differ
    """

    label: str
    usd_per_mtok: float
    usd_per_month: float
    usd_per_year: float
    our_usd_per_mtok: float | None
    because: str


@dataclass(frozen=True, kw_only=True)
class SourceLine:
    """One number in use and where it comes from.

    key: what it is, machine-readable
    label: what it is, in words
    value: as text with its unit
    url, checked: where and when it was read
    basis: measured, calibrated, published, estimated or assumed
    note: what a reader should know
    age_days: from checked to the decision's date
    option_ids: the options whose bill or chance uses it; none named: all of them
    """

    key: str
    label: str
    value: str
    url: str
    checked: date | None
    basis: Basis
    note: str = ""
    age_days: int | None = None
    option_ids: tuple[str, ...] = field(default=(), repr=False)  # what uses a number is not what it is: not in the digest


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the recommendation owes to measurement.

    share: share of the recommended option's cost that rests on a measurement of its own server and engine, 0 to 1
    sentence: the same in words
    measurement_ids: the measurements used anywhere in the decision
    """

    share: float
    sentence: str
    measurement_ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A whole decision; `to_json()` in selector.recommendation is its public form.

    as_of: the day whose prices it uses
    method_version: raised when older reports no longer compare
    inputs_sha256: of the scenario, the date, the method and the prices and measurements used
    scenario: the inputs
    path, leaf: the walk through the decision tree
    choice: the recommendation
    options: the baseline, then the others ranked: feasible ones by expected cost, then the refused
    table: the fixed three rows
    article_method: the same three rows by the article's own method, for comparison
    measured: what rests on a measurement
    alarms: what looks wrong in the inputs
    not_counted: what the bill leaves out
    sources: every number in use
    """

    as_of: date
    method_version: str
    inputs_sha256: str
    scenario: Scenario
    path: tuple[PathStep, ...]
    leaf: Leaf
    choice: Choice
    options: tuple[OptionResult, ...]
    table: tuple[TableRow, ...]
    measured: Measured
    article_method: tuple[LinearRow, ...] = ()
    alarms: tuple[str, ...] = ()
    not_counted: tuple[str, ...] = ()
    sources: tuple[SourceLine, ...] = field(default_factory=tuple)

    def option(self, option_id: str | None) -> OptionResult | None:
        """The option with that id, or None."""
        return next((option for option in self.options if option.id == option_id), None)
