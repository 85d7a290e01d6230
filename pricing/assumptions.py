"""What is assumed where nobody has said better: every default with its range, its source and how it was come by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facts.records import Basis, Fact, Source, read_facts
from pricing.paths import drift_path, step_path
from pricing.tco import OwningCosts, RunningCosts
from workloads.demand import Complexity

SIMPLE_LABELS: Final = frozenset({Complexity.CLASSIFICATION, Complexity.EXTRACTION, Complexity.ROUTING})
"""Tasks whose label is a word or a span; all others need a reasoned answer."""
SIMPLE_LABEL_USD: Final = 0.10
REASONED_LABEL_USD: Final = 2.00
IMPLEMENTATION_USD: Final = {"api": 15_000.0, "managed": 15_000.0, "rented": 40_000.0, "owned": 50_000.0, "local": 40_000.0}
"""By placement; a machine that is there already needs no purchase, but the same serving stack as a rented one."""
MIN_TRAINING_EXAMPLES: Final = 1_000
MAX_TRAINING_EXAMPLES: Final = 10_000


class Assumptions(Fact):
    """The [assumptions] table: everything a bill takes for granted unless its reader says otherwise."""

    staff_fte_api: float = Field(default=0.05, ge=0, le=100)
    """People who look after a bought API (also a managed or tuned one), in full-time equivalents."""
    staff_fte_rented: float = Field(default=0.2, ge=0, le=100)
    """People who run a model on rented servers, in full-time equivalents, from the month the servers start."""
    staff_fte_owned: float = Field(default=0.25, ge=0, le=100)
    """People who run a model on your own servers or this machine, in full-time equivalents."""
    fte_month_usd: float = Field(default=18_000.0, ge=0, le=1e6)
    """What one full-time person costs a month, with everything on top of the salary."""
    on_call_usd_per_month: float = Field(default=0.0, ge=0, le=1e7)
    """Allowances for being on call, with rented, owned or local servers, where they are not inside the staff line already."""
    monitoring_usd_per_month: float = Field(default=0.0, ge=0, le=1e7)
    """Monitoring and quality sampling of any option but the baseline, where not inside supporting infrastructure already."""
    supporting_infra_rented_usd_per_month: float = Field(default=1_800.0, ge=0, le=1e7)
    """Gateway, logs, storage and load balancer beside rented servers, a month."""
    supporting_infra_owned_usd_per_month: float = Field(default=1_500.0, ge=0, le=1e7)
    """Gateway, logs, storage and platform beside your own servers or this machine, a month."""
    implementation_usd: float | None = Field(default=None, ge=0, le=1e9)
    """One-off work to put an option into production; absent: 15,000 for an API, 40,000 on rented or existing machines, 50,000 owned."""
    finetune_engineering_usd: float | None = Field(default=None, ge=0, le=1e9)
    """One-off engineering of a tuned model (data preparation, training, comparison, release); absent: engineer-days times their price."""
    finetune_engineer_days: float = Field(default=40.0, ge=0, le=10_000)
    """Engineer-days of a first tuned model, where no amount is stated."""
    encoder_engineer_days: float = Field(default=12.0, ge=0, le=10_000)
    """Engineer-days of a first encoder classifier, where no amount is stated; it trains in minutes and needs no serving engine."""
    engineer_day_usd: float = Field(default=1_500.0, ge=0, le=100_000)
    """What an engineer's day costs."""
    labels_usd: float | None = Field(default=None, ge=0, le=1e9)
    """What the first training set still costs; absent: missing examples are labelled, existing ones only checked. Refreshes are apart."""
    label_usd_each: float | None = Field(default=None, ge=0, le=10_000)
    """One new label; absent: 0.10 for a class or a span, 2.00 for a reasoned answer."""
    teacher_labels_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the missing labels that today's model makes as a teacher, at its token price, each answer checked by people."""
    label_check_share: float = Field(default=0.25, ge=0, le=1)
    """Cost of checking a label that exists, as a share of making it."""
    label_overhead_share: float = Field(default=0.15, ge=0, le=5)
    """Schema, guidelines and pilot on top of the labels."""
    training_examples: int | None = Field(default=None, ge=1, le=100_000_000)
    """Examples to train on; absent: the labelled ones there are, at least 1,000 and at most 10,000."""
    finetune_epochs: float = Field(default=3.0, gt=0, le=100)
    """Passes over the training examples."""
    finetune_experiments_factor: float = Field(default=2.5, ge=1, le=100)
    """Training runs until one is good, counted in full runs."""
    finetune_usd_per_mtok: float | None = Field(default=None, gt=0, le=10_000)
    """Managed training price, USD per million training tokens; absent: the provider's list price by model size."""
    training_mfu_share: float = Field(default=0.30, gt=0, le=1)
    """Share of the accelerator's peak that training on your own or rented servers reaches."""
    evaluation_usd: float | None = Field(default=None, ge=0, le=1e9)
    """Testing an option on your own cases before it may replace the baseline; absent: cases read twice, and engineer-days."""
    evaluation_cases: int = Field(default=600, ge=0, le=10_000_000)
    """Cases of the evaluation set, where no amount is stated."""
    evaluation_engineer_days: float = Field(default=5.0, ge=0, le=10_000)
    """Engineer-days of one evaluation, where no amount is stated."""
    retrains_per_year: float = Field(default=2.0, ge=0, le=365)
    """How often a tuned model is trained again; each time pays its runs, its evaluation and its fresh labels."""
    label_refresh_share: float = Field(default=0.25, ge=0, le=1)
    """Share of the training examples that is labelled anew for each retraining."""
    months_to_live: int | None = Field(default=None, ge=0, le=36)
    """Months until an option replaces the baseline, which is paid until then; absent: 3 tuned, 2 self-hosted untuned, 1 hosted."""
    discount_rate_per_year: float = Field(default=0.08, gt=-0.5, le=1)
    """Effective yearly rate at which later money is worth less."""
    spare_replicas: int = Field(default=1, ge=0, le=1000)
    """Copies of the model kept for failures and updates."""
    utilization_ceiling_share: float = Field(default=0.85, gt=0, le=1)
    """Share of a replica's measured or estimated capacity that a plan may use at the peak."""
    usd_per_wrong_case: float = Field(default=0.0, ge=0, le=1e7)
    """What one wrong answer more than the baseline's costs you; 0 leaves errors out of the money."""
    output_multiplier: float = Field(default=1.0, ge=1, le=1000)
    """Output tokens billed per visible output token; above 1 for models that think before they answer."""
    tokenizer_factor: float | None = Field(default=None, gt=0, le=10)
    """Tokens that an option of another tokenizer makes of a text of which today's counts have one; absent: measured on texts, where
    tokens_counted_with says whose tokens were counted; 1 leaves the difference out."""
    retry_share: float = Field(default=0.0, ge=0, le=10)
    """Requests sent again, as a share of all; their tokens are billed again."""
    cache_write_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the uncached input tokens that is written to the provider's cache, at its cache-write price."""
    cascade_escalation_share: float = Field(default=0.5, ge=0, le=1)
    """With a small model first: share of the requests that go on to today's model, which then answers them too."""
    server_usd_per_gpu: float | None = Field(default=None, gt=0, le=1e7)
    """Your own offer for an owned server, per GPU with its share of the host; absent: street estimates."""
    server_kw_per_gpu: float | None = Field(default=None, gt=0, le=1000)
    """IT power of an owned server per GPU at full load, without cooling; absent: published or estimated from the device's TDP."""
    life_years: float = Field(default=4.0, gt=0, le=50)
    """Useful life of an owned server, for the amortised view."""
    residual_share: float = Field(default=0.2, ge=0, le=1)
    """What an owned server is still worth at the end of its life, as a share of its price, for the amortised view."""
    capital_share_per_year: float = Field(default=0.08, ge=0, le=1)
    """Cost of the capital bound in owned servers, for the amortised view."""
    maintenance_share_per_year: float = Field(default=0.05, ge=0, le=1)
    """Support and repair of owned servers a year, as a share of their price."""
    electricity_usd_per_kwh: float = Field(default=0.144, ge=0, le=10)
    """Price of electricity."""
    pue: float = Field(default=1.4, ge=1, le=5)
    """Power usage effectiveness: energy at the building's meter over energy of the servers."""
    hosting_usd_per_kw_month: float = Field(default=184.0, ge=0, le=100_000)
    """Space, cooling capacity and connection in a data centre, per kW of server power and month, energy apart."""
    grid_kg_co2e_per_kwh: float | None = Field(default=None, ge=0, le=5)
    """Emissions of your electricity; stated, the report shows kg CO2e."""
    api_price_change_share_per_year: float = Field(default=0.0, gt=-1, le=10)
    """Change of API list prices over a year, even from month to month; -0.2 is a fall by 20 %."""
    api_price_step_share: float = Field(default=0.0, gt=-1, le=10)
    """One step of API list prices: -0.2 is a cut by a fifth; a forced migration is the successor's price over today's, less 1."""
    api_price_step_month: int = Field(default=7, ge=1, le=36)
    """First month at the stepped price."""
    api_price_step_every_months: int = Field(default=0, ge=0, le=36)
    """The step is repeated after this many months; 0 for once."""
    rent_change_share_per_year: float = Field(default=0.0, gt=-1, le=10)
    """Change of GPU rents over a year, even from month to month; rents rose in 2026."""

    def implementation(self, placement: str) -> float:
        """One-off implementation of a placement (api, managed, rented, owned, local), USD."""
        return IMPLEMENTATION_USD[placement] if self.implementation_usd is None else self.implementation_usd

    def live_after_months(self, *, tuned: bool, self_hosted: bool) -> int:
        """Months in which the baseline still serves."""
        if self.months_to_live is not None:
            return self.months_to_live
        return 3 if tuned else 2 if self_hosted else 1

    def label_usd(self, complexity: Complexity) -> float:
        """One new label of a task, USD."""
        if self.label_usd_each is not None:
            return self.label_usd_each
        return SIMPLE_LABEL_USD if complexity in SIMPLE_LABELS else REASONED_LABEL_USD

    def evaluation(self, complexity: Complexity) -> float:
        """One evaluation, USD: every case labelled by two readers, and the engineer-days."""
        if self.evaluation_usd is not None:
            return self.evaluation_usd
        return 2.0 * self.evaluation_cases * self.label_usd(complexity) + self.evaluation_engineer_days * self.engineer_day_usd

    def finetune_engineering(self, *, encoder: bool = False) -> float:
        """Engineering of a first tuned model, or of a first encoder classifier, USD."""
        if self.finetune_engineering_usd is not None:
            return self.finetune_engineering_usd
        return (self.encoder_engineer_days if encoder else self.finetune_engineer_days) * self.engineer_day_usd

    def examples_to_train(self, labelled_examples: int) -> int:
        """Training examples, given how many are labelled."""
        if self.training_examples is not None:
            return self.training_examples
        return min(max(labelled_examples, MIN_TRAINING_EXAMPLES), MAX_TRAINING_EXAMPLES)

    def running(self, placement: str, *, baseline: bool = False) -> RunningCosts:
        """Staff, supporting infrastructure, on-call and monitoring of a placement (api, managed, rented, owned, local)."""
        monitoring = 0.0 if baseline else self.monitoring_usd_per_month
        if placement in ("api", "managed"):
            return RunningCosts(staff_fte=self.staff_fte_api, fte_month_usd=self.fte_month_usd, monitoring_usd_per_month=monitoring)
        rented = placement == "rented"
        return RunningCosts(
            staff_fte=self.staff_fte_rented if rented else self.staff_fte_owned,
            fte_month_usd=self.fte_month_usd,
            supporting_infra_usd_per_month=self.supporting_infra_rented_usd_per_month
            if rented
            else self.supporting_infra_owned_usd_per_month,
            on_call_usd_per_month=self.on_call_usd_per_month,
            monitoring_usd_per_month=monitoring,
        )

    def api_price_path(self, months: int) -> NDArray[np.float64]:
        """API prices of each month over today's, (months,)."""
        drift = drift_path(self.api_price_change_share_per_year, months)
        step = step_path(self.api_price_step_share, self.api_price_step_month, months, every_months=self.api_price_step_every_months)
        return np.asarray(drift * step)

    def rent_path(self, months: int) -> NDArray[np.float64]:
        """Rents of each month over today's, (months,)."""
        return drift_path(self.rent_change_share_per_year, months)

    def owning(self) -> OwningCosts:
        """What an owned server costs beside its price."""
        return OwningCosts(
            electricity_usd_per_kwh=self.electricity_usd_per_kwh,
            pue=self.pue,
            hosting_usd_per_kw_month=self.hosting_usd_per_kw_month,
            maintenance_share_per_year=self.maintenance_share_per_year,
            life_years=self.life_years,
            residual_share=self.residual_share,
            capital_share_per_year=self.capital_share_per_year,
        )


class _Note(Fact):
    """One entry of data/assumptions.toml."""

    id: str
    """Key in Assumptions."""
    label: str
    """Its name on the page."""
    unit: str
    """Of the number."""
    low: float
    """Low end of what is seen."""
    high: float
    """High end of what is seen."""
    usual: str = ""
    """The default in words, where it depends on the option."""
    basis: Basis
    """How the default was come by."""
    source: Source
    """Where."""


@dataclass(frozen=True, kw_only=True)
class AssumptionNote:
    """One assumption as it stands in a decision.

    key, label, unit: which
    help: what it means, in a sentence
    value: in use, as text with no unit
    base: the default as a number, None where it depends on the option
    low, high: range of what is seen
    source, basis: of the default, or "entered by the user"
    changed: whether the user set it
    """

    key: str
    label: str
    unit: str
    help: str
    value: str
    base: float | None
    low: float
    high: float
    source: Source
    basis: Basis
    changed: bool


def register(assumptions: Assumptions | None = None) -> tuple[AssumptionNote, ...]:
    """Every assumption with its value in use, range and source, in the order of the record."""
    used = assumptions or Assumptions()
    return tuple(_note(key, used) for key in Assumptions.model_fields)


@lru_cache(maxsize=1)
def _notes() -> dict[str, _Note]:
    return {note.id: note for note in read_facts(files("pricing") / "data" / "assumptions.toml", "assumption", _Note)}


def _note(key: str, used: Assumptions) -> AssumptionNote:
    default = _defaults()[key]
    value = getattr(used, key)
    if value == default.base:
        return default
    was = default.base if default.base is not None else default.value
    source = default.source.model_copy(update={"url": "entered by the user", "note": f"default: {was}"})
    return replace(default, value=default.value if value is None else f"{value:g}", source=source, basis=Basis.ASSUMED, changed=True)


@lru_cache(maxsize=1)
def _defaults() -> dict[str, AssumptionNote]:
    """Every note as it stands where nothing was entered."""
    return {key: _default(key) for key in Assumptions.model_fields}


def _default(key: str) -> AssumptionNote:
    note, field = _notes()[key], Assumptions.model_fields[key]
    return AssumptionNote(
        key=key,
        label=note.label,
        unit=note.unit,
        help=field.description or "",
        value=note.usual if field.default is None else f"{field.default:g}",
        base=field.default,
        low=note.low,
        high=note.high,
        source=note.source,
        basis=note.basis,
        changed=False,
    )
