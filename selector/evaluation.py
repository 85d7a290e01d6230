"""One option, priced: its servers or tokens, its bill by month, before it is compared with the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import log

import numpy as np
from numpy.typing import NDArray

from capacity.accelerators import Accelerator, Server, accelerator, accelerators, find_accelerator
from capacity.models import ModelSpec, model
from capacity.plan import CapacityPlan, plan_capacity, replicas_needed
from capacity.roofline import Efficiency, memory_class
from capacity.throughput import ServingCurve, Throughput, serving_curve
from facts.errors import InputError
from facts.records import Basis, Source, nearest
from facts.units import SECONDS_PER_DAY, TOKENS_PER_MTOK
from pricing.assumptions import Assumptions
from pricing.costs import Amount, CostLine, MonthlyCosts, upfront_line
from pricing.finetune import FinetuneCosts, ManagedTuning, finetune_costs, managed_tuning, teacher_labels_usd, training_gpu_hours
from pricing.prices import OWN, ApiPrice, RentalPrice, RentalTerm, ServerPrice, is_provider
from pricing.tco import (
    NOTHING_BESIDE,
    Commitment,
    GoLive,
    RunningCosts,
    api_costs,
    billed_gpus,
    cascade_costs,
    local_costs,
    owed_after_usd,
    owned_costs,
    owned_servers,
    rental_usd_per_month,
    rented_costs,
    serving_kwh,
)
from selector.base_models import Tried, candidates, chosen, why_left_out
from selector.catalog import Catalog
from selector.factors import factors_of
from selector.gates import Candidate, refusal, screen
from selector.local import LocalMachine, local_curve, why_no_machine
from selector.options import Option
from selector.own_test import gate_of, passed, tested
from selector.quality import Kind, quality_of
from selector.results import Arm, Factor, Placement, Plan, QualityPrior, TokenCount, Verdict
from selector.scenarios import Scenario
from selector.tasks import Task
from selector.token_counts import UNSAID, tokens_of
from workloads.demand import Residency, TokenVolume, Workload
from workloads.requirements import Requirements

Z80 = 1.2815515655446004
"""Half an 80 % interval in standard errors."""
RENTED_HOW = {RentalTerm.ON_DEMAND: "on-demand", RentalTerm.SPOT: "spot", RentalTerm.RESERVED: "reserved"}
TERM_NOTES = {
    RentalTerm.SPOT: ("a spot server may be taken away at any time: keep spares, and do not promise a service level",),
    RentalTerm.RESERVED: ("a reserved rent is a 'from' price that wants a commitment: state its months as commitment_months",),
}
TEACHER_NOTE = (
    "labels by a teacher carry its errors and lean the test towards it: 10,000 unchecked ones reached 0.905 where 2,100 checked ones "
    "reached 0.920 (Jigsaw); keep labels by people for the test"
)
ENCODER_ANSWER_TOKENS = 1.0
"""A classifier answers with one label, whatever a generative model would write."""


@dataclass(frozen=True, kw_only=True)
class Supply:
    """One way to buy an option, looked up once: prices, and what one replica carries. `costs_of` makes it a bill.

    option: what is bought
    months_to_live: months in which the baseline still serves, before any delay
    provider: who is paid, or ""
    price: of tokens, or None
    escalated: price of the larger model that the escalated share of the requests goes on to, or None
    tokens, escalated_tokens: of its own tokenizer, and of that larger model's, for one of the user's counts
    rental, server: of servers, or None
    commitment: servers that are paid for a term, needed or not, or None
    low, high: the cheapest and the dearest comparable offer over the price taken
    sellers: who sell the same on that day, the one taken among them; 0 where nothing is bought
    device_id, server_title: the server, or ""
    at_most: how many of it there are; 0 for no limit
    gpus: of one replica
    power_kw: of one GPU of an owned server, or of this machine
    plan, curve: one replica's capacity and what it was read from, or None where tokens are bought
    speed_group: engine and memory kind, whose speed is off together
    speed_low, speed_high: 80 % interval of the speed as a factor of the estimate
    measured: id of the measurement behind the speed, or ""
    training_usd_per_mtok: managed training, 0 for an option that is not tuned
    training_gpu_hours_per_mtok: where it is trained on its own kind of server, else None
    tokens_per_example: input and output of one training example
    teacher_usd_per_label: today's model answering one training example, None where it may not or need not
    notes: what a reader should know
    """

    option: Option
    months_to_live: int
    provider: str = ""
    price: ApiPrice | None = None
    escalated: ApiPrice | None = None
    tokens: TokenCount = UNSAID
    escalated_tokens: TokenCount = UNSAID
    rental: RentalPrice | None = None
    server: ServerPrice | None = None
    commitment: Commitment | None = None
    low: float = 1.0
    high: float = 1.0
    sellers: int = 0
    device_id: str = ""
    server_title: str = ""
    at_most: int = 0
    gpus: int = 1
    power_kw: float = 0.0
    plan: CapacityPlan | None = None
    curve: ServingCurve | None = None
    speed_group: str = ""
    speed_low: float = 1.0
    speed_high: float = 1.0
    measured: str = ""
    training_usd_per_mtok: float = 0.0
    training_gpu_hours_per_mtok: float | None = None
    tokens_per_example: float = 0.0
    teacher_usd_per_label: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Every number of a bill that may be off: a scalar, or an array over rows, (rows, 1), or over rows and months, (rows, months).

    workload: what is asked; its own volume and peak are read only through the fields below
    assumptions: each of its numbers may be an array (rows, 1): the record's methods are arithmetic that broadcasts
    volume: tokens of each month
    peak_requests_per_s: of each month
    baseline_usd: the baseline's total of each month, paid as double running
    api_price: path of API and host prices over today's
    rent: path of rents over today's
    baseline_price: today's model's own price over the one looked up
    host_place: whose price a managed model is bought at: -1 the cheapest host's, 0 the one taken, 1 the dearest's
    landlord_place: the same of rents
    tokens_place: how many tokens other tokenizers make: -1 the fewest seen, 0 the median of the counted texts, 1 the most
    server_price: price of owned servers over the estimate
    implementation: one-off work over the assumed
    delay_months: of every option but the baseline
    speed_errors: of each speed group in standard errors, 0 for the estimate
    """

    workload: Workload
    assumptions: Assumptions
    volume: TokenVolume
    peak_requests_per_s: NDArray[np.float64]
    baseline_usd: Amount
    api_price: NDArray[np.float64]
    rent: NDArray[np.float64]
    baseline_price: Amount = 1.0
    host_place: Amount = 0.0
    landlord_place: Amount = 0.0
    tokens_place: Amount = 0.0
    server_price: Amount = 1.0
    implementation: Amount = 1.0
    delay_months: Amount = 0.0
    speed_errors: tuple[tuple[str, Amount], ...] = ()

    @cached_property
    def go_lives(self) -> dict[tuple[int | None, bool], GoLive]:
        """Filled by `go_live_of`."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Bill:
    """How one option would be bought, and what that costs; server options have several and the cheapest is taken.

    costs: by month
    provider: who is paid, or ""
    plan: servers, or None
    price, rental, server: what the costs rest on
    training: what tuning costs, or None
    refused_because: why it may not be taken although it can be priced, or None
    sellers: who sell the same, see `Supply`
    kwh: electricity of its servers in each month, None where tokens are bought or the power is not known; (months,)
    notes: what a reader should know
    """

    costs: MonthlyCosts
    provider: str = ""
    plan: Plan | None = None
    price: ApiPrice | None = None
    rental: RentalPrice | None = None
    server: ServerPrice | None = None
    training: FinetuneCosts | None = None
    refused_because: str | None = None
    sellers: int = 0
    kwh: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One option evaluated on its own: no other option's price is in it, except the baseline's while both run.

    option: which
    quality: chance of being good enough
    verdicts: of every gate
    bill: how it is bought, or None where nothing could be priced
    supplies: every way to buy it; the bill is the cheapest one's
    refused_because: the first refusal, or None
    live_after_months: months in which the baseline still serves
    gate_passed: the user's own test shows it good enough
    factors: what it means for the organisation
    tried: its base models that were priced, in their order; empty where it has only one
    untried: base models that pass the filters and were not priced, because none can cost less
    left_out: base models that a hard filter refused, with the reason
    """

    option: Option
    quality: QualityPrior
    verdicts: tuple[Verdict, ...]
    bill: Bill | None
    supplies: tuple[Supply, ...] = ()
    refused_because: str | None
    live_after_months: int
    gate_passed: bool = False
    factors: tuple[Factor, ...] = ()
    tried: tuple[Tried, ...] = ()
    untried: tuple[Option, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def feasible(self) -> bool:
        """No gate refused it and it has a bill."""
        return self.refused_because is None and self.bill is not None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What every option is evaluated for.

    scenario, requirements, task: the workload in its three forms
    catalog: prices and measurements
    baseline_usd: the baseline's total of each month, zeros where it may not run; (months,)
    machine: this machine as probed, or None
    last_resort: arms that any chance will do for, because nothing likelier is left
    """

    scenario: Scenario
    requirements: Requirements
    task: Task
    catalog: Catalog
    baseline_usd: NDArray[np.float64]
    machine: LocalMachine | None = None
    last_resort: frozenset[Arm] = frozenset()

    @cached_property
    def plans(self) -> dict[tuple[int, int, float, float, int], tuple[ServingCurve, CapacityPlan]]:
        """Filled by `_planned`."""
        return {}

    @cached_property
    def numbers(self) -> Numbers:
        """The numbers of the decision itself: every one as it was looked up or entered."""
        assumed, requirements = self.scenario.assumptions, self.requirements
        return Numbers(
            workload=self.scenario.workload,
            assumptions=assumed,
            volume=requirements.volume,
            peak_requests_per_s=np.array([load.requests_per_s for load in requirements.peak_loads]),
            baseline_usd=self.baseline_usd,
            api_price=assumed.api_price_path(requirements.horizon_months),
            rent=assumed.rent_path(requirements.horizon_months),
        )


def evaluate(option: Option, asked: Asked) -> Evaluation:
    """Gates, servers, bill: everything about an option that does not need the others.

    Of its base models one is taken: by the hard filters, then by cost.
    """
    if not option.also:
        return evaluate_model(option, asked)
    reasons = [(one, why_left_out(one, asked.scenario.workload)) for one in candidates(option)]
    passing = [one for one, why in reasons if why is None]
    left_out = tuple((one.model, why) for one, why in reasons if why is not None)
    if not passing:
        return replace(evaluate_model(reasons[0][0], asked), left_out=left_out)
    found = [evaluate_model(passing[0], asked)]
    if not _refused_whatever_the_model(found[0]) and not at_the_floor(found[0]):
        found += [evaluate_model(one, asked) for one in passing[1:]]
    tried = tuple(tried_of(one) for one in found)
    return replace(found[chosen(tried)], tried=tried, untried=tuple(passing[len(found) :]), left_out=left_out)


def with_all_tried(found: Evaluation, asked: Asked) -> Evaluation:
    """With the base models priced that did not have to be: for the option that a pilot is about."""
    return replace(found, tried=(*found.tried, *(tried_of(evaluate_model(one, asked)) for one in found.untried)), untried=())


def evaluate_model(option: Option, asked: Asked) -> Evaluation:
    """An option with the base model it names."""
    workload = asked.scenario.workload
    own_test = gate_of(option, asked.catalog.gates)
    quality = tested(_quality(option.kind, workload, asked.task), own_test)
    bill: Bill | None = None
    supplies: tuple[Supply, ...] = ()
    missing: str | None = None
    try:
        supplies = tuple(_counted(_taught(supply, asked), asked) for supply in supplies_of(option, asked))
        bill = _bill(supplies, asked)
    except InputError as error:
        missing = str(error)
    provider = bill.provider if bill else option.api.partition(":")[0]
    plan, sellers = (bill.plan, bill.sellers) if bill else (None, 0)
    factor = tokens_of(option.api or option.model, asked.scenario).factor
    factors = factors_of(option, workload, provider=provider, sellers=sellers, plan=plan, tokens_factor=factor)
    verdicts = screen(
        Candidate(
            option=option,
            quality=quality,
            workload=workload,
            task=asked.task,
            provider=provider,
            context_tokens=_context(option, bill),
            tokens_factor=factor,
            licence=_licence(option),
            total_usd=None if bill is None else float(bill.costs.total_usd),
            last_resort=option.arm in asked.last_resort,
            own_test=own_test,
            factors=factors,
        )
    )
    refused = refusal(verdicts) or (bill and bill.refused_because) or (missing and f"{_missing_gate(option)}: {missing}")
    return Evaluation(
        option=option,
        quality=quality,
        verdicts=verdicts,
        bill=bill,
        supplies=supplies if bill else (),
        refused_because=refused,
        live_after_months=_months_to_live(option, asked),
        gate_passed=passed(own_test),
        factors=factors,
    )


def tried_of(found: Evaluation) -> Tried:
    """An evaluation as one of several base models."""
    total = None if found.bill is None else float(found.bill.costs.total_usd)
    return Tried(option=found.option, total_usd=total, refused_because=found.refused_because)


def _refused_whatever_the_model(found: Evaluation) -> bool:
    """Whether the gate that refuses an option asks nothing of its base model; then no other is looked for."""
    gate = (found.refused_because or "").partition(":")[0]
    return gate in ("residency", "organisation", "labels", "knowledge", "task", "quality", "measurement")


def at_the_floor(found: Evaluation) -> bool:
    """Whether no other model of the class can cost less: every server carries this one, it takes the cheapest, and one working copy of it.

    Tokens are sold at prices of their own, and a machine at hand costs the same whatever runs on it.
    """
    plan = found.bill.plan if found.bill else None
    if plan is None:
        return False
    if found.option.placement is Placement.LOCAL:
        return True
    if plan.replicas - plan.spare_replicas > 1 or len(found.supplies) < len(found.option.servers):
        return False
    prices = {(supply.device_id, supply.gpus): _replica_price(supply) for supply in found.supplies}
    return prices[(plan.device_id, plan.gpus_per_replica)] <= min(prices.values())


def _replica_price(supply: Supply) -> float:
    """Of one copy's servers, to compare the servers of one option: a rent an hour or a price to own."""
    if supply.rental is not None:
        return supply.rental.usd_per_gpu_hour * supply.gpus
    return supply.server.capex_usd_per_gpu * supply.gpus if supply.server is not None else 0.0


def _bill(supplies: tuple[Supply, ...], asked: Asked) -> Bill:
    """The bill of the cheapest supply."""
    numbers = asked.numbers
    supply = supplies[0] if len(supplies) == 1 else min(supplies, key=lambda supply: float(differing_usd(supply, numbers)))
    plan = None if supply.plan is None else _plan(supply, asked, numbers)
    refused = None
    if supply.at_most and plan is not None and plan.replicas > supply.at_most:
        there = "one" if supply.at_most == 1 else f"{supply.at_most:,}"
        refused = f"capacity: the peak needs {plan.replicas:,} machines like this one, and there is {there}"
    return Bill(
        costs=costs_of(supply, numbers),
        provider=supply.provider,
        plan=plan,
        price=supply.price,
        rental=supply.rental,
        server=supply.server,
        training=_training(supply, numbers),
        refused_because=refused,
        sellers=supply.sellers,
        kwh=_kwh(supply, asked, numbers),
        notes=supply.notes,
    )


# ---- the bill as a function of numbers ----


def costs_of(supply: Supply, numbers: Numbers) -> MonthlyCosts:
    """The whole bill of one supply: its servers, and everything beside them; or its tokens."""
    if supply.price is not None:
        return _token_costs(supply, supply.price, numbers)
    return server_costs(supply, numbers) + costs_beside(supply, numbers)


def differing_usd(supply: Supply, numbers: Numbers) -> NDArray[np.float64]:
    """What differs between the supplies of one option, over the horizon, shape (...): servers, and training where it is done on them."""
    if supply.price is not None:
        return costs_of(supply, numbers).total_usd
    usd = servers_usd(supply, numbers).total_usd
    if supply.training_gpu_hours_per_mtok is None:
        return usd
    return np.asarray(usd + costs_beside(supply, numbers).total_usd)


def server_costs(supply: Supply, numbers: Numbers) -> MonthlyCosts:
    """The servers of a supply and their energy, nothing beside them."""
    return _on_servers(supply, numbers, replicas_of(supply, numbers), NOTHING_BESIDE, (), 0.0)


@dataclass(frozen=True, kw_only=True)
class ServersUsd:
    """What `server_costs` comes to, without its lines: most servers are only priced to be compared.

    upfront_usd: shape (...)
    months_usd: shape (..., months)
    """

    upfront_usd: NDArray[np.float64]
    months_usd: NDArray[np.float64]

    @property
    def total_usd(self) -> NDArray[np.float64]:
        """Upfront and all months, shape (...)."""
        return np.asarray(self.upfront_usd + self.months_usd.sum(axis=-1))


def servers_usd(supply: Supply, numbers: Numbers) -> ServersUsd:
    """The amounts of `server_costs`, by the same formulas and added up in the same order."""
    replicas = replicas_of(supply, numbers)
    go_live = go_live_of(supply, numbers)
    months = np.shape(numbers.volume.requests)[-1]
    if supply.rental is not None:
        rent = rental_usd_per_month(
            months=months,
            replicas=replicas,
            gpus_per_replica=supply.gpus,
            usd_per_gpu_hour=_rent_usd_per_gpu_hour(supply.rental, supply, numbers) * numbers.rent,
            instance_gpus=max(supply.rental.gpus, 1),
            commitment=supply.commitment if np.any(replicas) else None,
            go_live=go_live,
        )
        return ServersUsd(upfront_usd=np.asarray(0.0), months_usd=rent)
    if supply.server is None:
        costs = server_costs(supply, numbers)
        return ServersUsd(upfront_usd=costs.upfront_usd, months_usd=costs.month_totals_usd)
    owned = owned_servers(
        months=months,
        replicas=replicas,
        gpus_per_replica=supply.gpus,
        capex_usd_per_gpu=supply.server.capex_usd_per_gpu * np.asarray(numbers.server_price),
        power_kw_per_gpu=supply.power_kw,
        owning=numbers.assumptions.owning(),
        go_live=go_live,
    )
    return ServersUsd(
        upfront_usd=np.asarray(owned.purchase_usd[..., 0]),
        months_usd=np.asarray(owned.energy_usd + owned.hosting_usd + owned.maintenance_usd),
    )


def costs_beside(supply: Supply, numbers: Numbers) -> MonthlyCosts:
    """Everything of a server supply but its servers: people, infrastructure, work, training, double running."""
    training = _training(supply, numbers)
    running = numbers.assumptions.running(supply.option.placement.value)
    retraining = training.retraining_usd_per_month if training else 0.0
    nothing = np.zeros(np.shape(numbers.volume.requests)[-1])
    return _on_servers(supply, numbers, nothing, running, _upfront(supply, numbers, training), retraining, paying=True)


def replicas_of(supply: Supply, numbers: Numbers) -> NDArray[np.float64]:
    """Whole replicas of each month, (..., months): the peak over one replica's capacity, rounded up, plus spares."""
    assert supply.plan is not None
    one = supply.plan.capacity_requests_per_s * _speed_factor(supply, numbers) / _token_spread(supply.tokens, numbers)
    return np.asarray(replicas_needed(numbers.peak_requests_per_s, one) + supply.plan.spare_replicas)


def carries(supply: Supply, numbers: Numbers) -> NDArray[np.bool_]:
    """Whether the supply can carry the load at all, shape (...): servers are added as needed, of a machine at hand there are so many."""
    if not supply.at_most:
        return np.asarray(True)
    return np.asarray(replicas_of(supply, numbers).max(axis=-1) <= supply.at_most)


def live_after(supply: Supply, numbers: Numbers) -> NDArray[np.float64]:
    """Months in which the baseline still serves, (..., 1) or (): as assumed and delayed, never outside the horizon."""
    if supply.option.baseline:
        return np.asarray(0.0)
    months = np.shape(numbers.volume.requests)[-1]
    return np.asarray(np.minimum(np.maximum(supply.months_to_live + np.asarray(numbers.delay_months), 0.0), months))


def go_live_of(supply: Supply, numbers: Numbers, *, paying: bool = False) -> GoLive:
    """When a supply takes over; supplies that do so in the same month share one.

    paying: with the baseline's bill until then
    """
    key = (None if supply.option.baseline else supply.months_to_live, paying)
    known = numbers.go_lives.get(key)
    if known is None:
        baseline_usd = numbers.baseline_usd if paying else 0.0
        known = numbers.go_lives[key] = GoLive(months_to_live=live_after(supply, numbers), baseline_usd=baseline_usd)
    return known


def spent_if_it_fails_usd(costs: MonthlyCosts) -> NDArray[np.float64]:
    """What is gone when an option fails its test: everything upfront but what the test comes before, servers and implementation."""
    lines = [line.usd for line in costs.upfront_lines if line.name not in ("servers", "implementation")]
    return np.asarray(sum(lines, np.float64(0.0)), dtype=np.float64)


def _token_costs(supply: Supply, price: ApiPrice, numbers: Numbers) -> MonthlyCosts:
    option, assumed = supply.option, numbers.assumptions
    training = _training(supply, numbers)
    at_host = _between(numbers.host_place, supply.low, supply.high)
    costs = api_costs(
        _own_tokens(numbers.volume, supply.tokens, numbers),
        price,
        running=assumed.running(option.placement.value, baseline=option.baseline),
        upfront=_upfront(supply, numbers, training),
        go_live=go_live_of(supply, numbers, paying=True),
        retraining_usd_per_month=training.retraining_usd_per_month if training else 0.0,
        output_multiplier=assumed.output_multiplier,
        retry_share=assumed.retry_share,
        cache_write_share=assumed.cache_write_share,
        price_factor=numbers.api_price * (numbers.baseline_price if option.kind is Kind.BASELINE else at_host),
    )
    if supply.escalated is None:
        return costs
    return cascade_costs(
        costs,
        _own_tokens(numbers.volume, supply.escalated_tokens, numbers),
        supply.escalated,
        escalated_share=assumed.cascade_escalation_share,
        go_live=go_live_of(supply, numbers),
        output_multiplier=assumed.output_multiplier,
        retry_share=assumed.retry_share,
        price_factor=numbers.api_price * numbers.baseline_price,
    )


def _own_tokens(volume: TokenVolume, count: TokenCount, numbers: Numbers) -> TokenVolume:
    """The user's counts as a tokenizer of its own makes them; the same object where it makes as many."""
    if count.low == count.high == 1.0:
        return volume
    factor = count.factor * _token_spread(count, numbers)
    return TokenVolume(
        input_tokens=np.asarray(volume.input_tokens * factor),
        cached_input_tokens=np.asarray(volume.cached_input_tokens * factor),
        output_tokens=np.asarray(volume.output_tokens * factor),
        requests=volume.requests,
    )


def _token_spread(count: TokenCount, numbers: Numbers) -> Amount:
    """Tokens over those of the factor in use, by the place in the range of the counted texts."""
    if count.low == count.high:
        return 1.0
    return _between(numbers.tokens_place, count.low / count.factor, count.high / count.factor)


def _kwh(supply: Supply, asked: Asked, numbers: Numbers) -> NDArray[np.float64] | None:
    """Electricity of each month at the meter, rented servers too; None where tokens are bought or the device's power is not known."""
    if supply.plan is None:
        return None
    known = asked.catalog.prices.server(supply.device_id) if supply.rental is not None else None
    power_kw = supply.power_kw if supply.rental is None else known.power_kw_per_gpu if known is not None else 0.0
    if not power_kw:
        return None
    return serving_kwh(
        months=asked.requirements.horizon_months,
        gpus=replicas_of(supply, numbers) * supply.gpus,
        power_kw_per_gpu=power_kw,
        pue=numbers.assumptions.pue,
        go_live=go_live_of(supply, numbers),
    )


def _on_servers(
    supply: Supply,
    numbers: Numbers,
    replicas: NDArray[np.float64],
    running: RunningCosts,
    upfront: tuple[CostLine, ...],
    retraining_usd_per_month: Amount,
    *,
    paying: bool = False,
) -> MonthlyCosts:
    months, owning = np.shape(numbers.volume.requests)[-1], numbers.assumptions.owning()
    go_live = go_live_of(supply, numbers, paying=paying)
    if supply.rental is not None:
        return rented_costs(
            months=months,
            replicas=replicas,
            gpus_per_replica=supply.gpus,
            usd_per_gpu_hour=_rent_usd_per_gpu_hour(supply.rental, supply, numbers) * numbers.rent,
            instance_gpus=max(supply.rental.gpus, 1),
            running=running,
            upfront=upfront,
            go_live=go_live,
            retraining_usd_per_month=retraining_usd_per_month,
            commitment=supply.commitment if np.any(replicas) else None,
        )
    if supply.server is not None:
        return owned_costs(
            months=months,
            replicas=replicas,
            gpus_per_replica=supply.gpus,
            capex_usd_per_gpu=supply.server.capex_usd_per_gpu * np.asarray(numbers.server_price),
            power_kw_per_gpu=supply.power_kw,
            owning=owning,
            running=running,
            upfront=upfront,
            go_live=go_live,
            retraining_usd_per_month=retraining_usd_per_month,
        )
    return local_costs(
        months=months,
        machines=replicas,
        power_kw_per_machine=supply.power_kw,
        owning=owning,
        running=running,
        upfront=upfront,
        go_live=go_live,
        retraining_usd_per_month=retraining_usd_per_month,
    )


def _training(supply: Supply, numbers: Numbers) -> FinetuneCosts | None:
    """What tuning costs, None for an option that is not tuned."""
    if not supply.option.tuned:
        return None
    usd_per_mtok: Amount = supply.training_usd_per_mtok
    if supply.training_gpu_hours_per_mtok is not None:
        usd_per_mtok = np.asarray(supply.training_gpu_hours_per_mtok * _training_usd_per_gpu_hour(supply, numbers))
    return finetune_costs(
        numbers.assumptions,
        complexity=numbers.workload.complexity,
        labelled_examples=numbers.workload.labelled_examples,
        tokens_per_example=supply.tokens_per_example,
        encoder=supply.option.kind is Kind.ENCODER,
        run_usd_per_mtok=usd_per_mtok,  # type: ignore[arg-type]  # plain arithmetic inside, it broadcasts
        teacher_usd_per_label=supply.teacher_usd_per_label,
    )


def _training_usd_per_gpu_hour(supply: Supply, numbers: Numbers) -> Amount:
    """An hour of the option's own kind of GPU: its rent, or the energy of a server that is there anyway."""
    if supply.rental is not None:
        return _rent_usd_per_gpu_hour(supply.rental, supply, numbers)
    return supply.power_kw * numbers.assumptions.pue * numbers.assumptions.electricity_usd_per_kwh


def _rent_usd_per_gpu_hour(rental: RentalPrice, supply: Supply, numbers: Numbers) -> Amount:
    return rental.usd_per_gpu_hour * _between(numbers.landlord_place, supply.low, supply.high)


def _upfront(supply: Supply, numbers: Numbers, training: FinetuneCosts | None) -> tuple[CostLine, ...]:
    """Implementation and a test for every option but the baseline; labels, runs and engineering for a tuned one."""
    option, assumed = supply.option, numbers.assumptions
    if option.baseline:
        return ()
    lines = [upfront_line("implementation", assumed.implementation(option.placement.value) * np.asarray(numbers.implementation))]
    if option.kind is Kind.BASELINE:
        return tuple(lines)
    if training is None:
        lines.append(upfront_line("evaluation", assumed.evaluation(numbers.workload.complexity)))
    else:
        lines.extend(training.upfront_lines)
    return tuple(lines)


def _between(place: Amount, low: float, high: float) -> NDArray[np.float64]:
    """A factor by its place in a range: 1 at 0, `low` at -1, `high` at 1, straight lines between."""
    at = np.asarray(place, dtype=np.float64)
    return np.asarray(1.0 + at * np.where(at < 0.0, 1.0 - low, high - 1.0))


def _speed_factor(supply: Supply, numbers: Numbers) -> NDArray[np.float64]:
    """Speed over its estimate: the group's standard error in the supply's own 80 % interval, log-normal on either side."""
    drawn = next((error for group, error in numbers.speed_errors if group == supply.speed_group), None)
    if drawn is None:
        return np.asarray(1.0)
    errors = np.asarray(drawn, dtype=np.float64)
    low, high = log(supply.speed_low) / -Z80, log(supply.speed_high) / Z80
    return np.asarray(np.exp(errors * np.where(errors < 0.0, low, high)))


# ---- supplies: tokens bought ----


def supplies_of(option: Option, asked: Asked) -> tuple[Supply, ...]:
    """Every way to buy an option; an InputError says why there is none."""
    if option.placement is Placement.API:
        return (_api_supply(option, asked),)
    if option.placement is Placement.MANAGED:
        return (_managed_supply(option, asked),)
    if option.arm is Arm.EDGE:
        return (_edge_supply(option, asked),)
    if option.placement is Placement.LOCAL:
        return (_local_supply(option, asked),)
    return _server_supplies(option, asked)


def _api_supply(option: Option, asked: Asked) -> Supply:
    book, tokens = asked.catalog.prices, asked.scenario.workload.input_tokens * _tokens_factor(option, asked)
    own = option.kind is Kind.BASELINE
    price = book.baseline_price(option.api, input_tokens=tokens) if own else book.api_price(option.api, input_tokens=tokens)
    if option.kind is Kind.CASCADE:
        workload = asked.scenario.workload
        larger = workload.input_tokens * tokens_of(workload.baseline_model, asked.scenario).factor
        escalated = book.baseline_price(workload.baseline_model, input_tokens=larger)
        return replace(_token_supply(option, asked, price), escalated=escalated)
    if option.batch:
        price = _partly_in_batches(price, asked.scenario.workload.can_wait_share)
    return _token_supply(option, asked, price)


def _partly_in_batches(price: ApiPrice, share: float) -> ApiPrice:
    """The price with a share of the requests at the batch price; linear in the tokens, so one mixed price is exact."""
    batch = price.in_batch()
    if batch is None:
        raise InputError(f"no batch price of {price.ref} is known")

    def mixed(rate: float, batch_rate: float) -> float:
        return (1.0 - share) * rate + share * batch_rate

    cached = None
    if price.cached_input_usd_per_mtok is not None:
        cached = mixed(price.cached_input_usd_per_mtok, batch.cached_or_input_usd_per_mtok)
    return replace(
        price,
        input_usd_per_mtok=mixed(price.input_usd_per_mtok, batch.input_usd_per_mtok),
        output_usd_per_mtok=mixed(price.output_usd_per_mtok, batch.output_usd_per_mtok),
        cached_input_usd_per_mtok=cached,
    )


def _managed_supply(option: Option, asked: Asked) -> Supply:
    """Hosted open weights at the median host of those that are named and, with a region, cleared."""
    offers = asked.catalog.prices.hosts(option.hosted_as, asked.scenario.workload.input_tokens * _tokens_factor(option, asked))
    if option.hosts:
        offers = tuple(price for price in offers if is_provider(price.provider, option.hosts))
    if not offers:
        raise InputError(f"no named host sells {option.hosted_as} in the price book of {asked.catalog.as_of}")
    cleared = _cleared(asked)
    allowed = tuple(price for price in offers if cleared is None or is_provider(price.provider, cleared)) or offers
    share = asked.requirements.volume.output_tokens.sum() / asked.requirements.volume.total_tokens.sum()
    ranked = sorted(allowed, key=lambda price: (price.usd_per_mtok(1.0 - float(share)), price.provider))
    price = ranked[(len(ranked) - 1) // 2]
    low, middle, high = (offer.usd_per_mtok(1.0 - float(share)) for offer in (ranked[0], price, ranked[-1]))
    note = (
        f"{price.provider} is the median of {len(ranked)} hosts: {ranked[0].provider} "
        f"{low:.2f} to {ranked[-1].provider} {high:.2f} USD per Mtok at your mix"
    )
    supply = _token_supply(option, asked, price)
    return replace(supply, low=low / middle, high=high / middle, sellers=len(offers), notes=(note, *supply.notes))


def _token_supply(option: Option, asked: Asked, price: ApiPrice) -> Supply:
    return Supply(
        option=option,
        months_to_live=_months_to_live(option, asked),
        provider=price.provider,
        price=price,
        training_usd_per_mtok=_managed_usd_per_mtok(option, asked) if option.tuned else 0.0,
        tokens_per_example=_example_tokens(option, asked),
        notes=tuple(note for note in (price.time_rule, _same_vendor(option, asked)) if note),
    )


def _same_vendor(option: Option, asked: Asked) -> str:
    """A doubt about the one-off work of another model of today's own vendor; '' for any other option."""
    today = asked.scenario.workload.baseline_model.partition(":")[0]
    if option.baseline or option.placement is not Placement.API or option.api.partition(":")[0] != today:
        return ""
    return "implementation is counted as for a first integration; at the same vendor it may take days: state implementation_usd then"


# ---- supplies: servers ----


def _server_supplies(option: Option, asked: Asked) -> tuple[Supply, ...]:
    """The option's servers that carry the load, of allowed providers where there are any; if none does, the last reason."""
    supplies: list[Supply] = []
    reasons: list[str] = []
    for device_id, gpus in option.servers:
        try:
            supplies.append(_server_supply(option, asked, device_id, gpus))
        except InputError as error:
            reasons.append(str(error))
    if not supplies:
        raise InputError("; ".join(dict.fromkeys(reasons)))
    return tuple(supply for supply in supplies if _may_pay(supply.provider, asked)) or tuple(supplies)


def _server_supply(option: Option, asked: Asked, device_id: str, gpus: int) -> Supply:
    rental: RentalPrice | None = None
    owned: ServerPrice | None = None
    low, high, sellers = 1.0, 1.0, 0
    if option.placement is Placement.RENTED:
        rental, low, high, sellers = _rental(option, asked, device_id, gpus)
    else:
        owned = _owned(option, device_id, asked)
    device = accelerator(device_id)
    answer = _answer_tokens(option, asked)
    moved = asked.catalog.calibration.efficiency(device, option.engine)
    prompt = _prompt_tokens(option, asked)
    measured = asked.catalog.calibration.served(
        device,
        option.engine,
        model_id=option.model,
        quantization=option.quantization,
        gpus=gpus,
        input_tokens=prompt,
        output_tokens=answer,
    )
    curve = measured or _curve(option.model, option.quantization, device_id, gpus, option.engine, prompt, answer, moved)
    plan = _planned(curve, asked, gpus, prompt, answer, spare_replicas=asked.scenario.assumptions.spare_replicas)
    hours = _training_gpu_hours_per_mtok(option, asked, device_id, rental, owned)
    point = _operating_point(plan, curve)
    supply = Supply(
        option=option,
        months_to_live=_months_to_live(option, asked),
        provider=rental.provider if rental is not None else "",
        rental=rental,
        server=owned,
        low=low,
        high=high,
        sellers=sellers,
        device_id=device_id,
        server_title=f"{gpus} x {device.name}" if gpus > 1 else device.name,
        gpus=gpus,
        power_kw=owned.power_kw_per_gpu if owned is not None else 0.0,
        plan=plan,
        curve=curve,
        speed_group=_speed_group(curve, device),
        speed_low=point.low80 / point.output_tokens_per_s,
        speed_high=point.high80 / point.output_tokens_per_s,
        measured=next(iter(asked.catalog.calibration.behind(device, option.engine)), "") if moved is not None else "",
        training_usd_per_mtok=_managed_usd_per_mtok(option, asked) if option.tuned and hours is None else 0.0,
        training_gpu_hours_per_mtok=hours,
        tokens_per_example=prompt + answer,
        notes=TERM_NOTES.get(asked.scenario.prices.rental_term, ()) if rental is not None else (),
    )
    return supply if rental is None else _committed(supply, asked)


def _committed(supply: Supply, asked: Asked) -> Supply:
    """With the contract for a reserved rent: the GPUs of the first live month for its term; what is owed later stands in a note."""
    term = asked.scenario.prices.commitment_months
    if not term or supply.plan is None or supply.rental is None:
        return supply
    first = min(supply.months_to_live, asked.requirements.horizon_months - 1)
    replicas = replicas_needed(asked.requirements.peak_loads[first].requests_per_s, supply.plan.capacity_requests_per_s)
    gpus = float(billed_gpus(replicas + supply.plan.spare_replicas, supply.gpus, max(supply.rental.gpus, 1)))
    commitment = Commitment(gpus=gpus, usd_per_gpu_hour=supply.rental.usd_per_gpu_hour, months=term)
    owed = float(owed_after_usd(asked.requirements.horizon_months, commitment, GoLive(months_to_live=supply.months_to_live)))
    note = f"{gpus:.0f} GPUs are committed for {term} months; after the horizon ${owed:,.0f} of it is still owed"
    return replace(supply, commitment=commitment, notes=(*supply.notes, note))


def _rental(option: Option, asked: Asked, device_id: str, gpus: int) -> tuple[RentalPrice, float, float, int]:
    """The rent of a device, the cheapest and dearest of the same offers over it, and who makes them; the user's own rent has no range."""
    book = asked.catalog.prices
    stated = option.own.rent(_entered(asked)) if option.own is not None else None
    if stated is not None:
        return stated, 1.0, 1.0, 1
    providers, term = _cleared(asked), asked.scenario.prices.rental_term
    rental = book.rental(device_id, providers=providers, gpus_per_replica=gpus, term=term)
    if rental is None:
        providers = None
        rental = book.rental(device_id, gpus_per_replica=gpus, term=term)
    if rental is None:
        raise InputError(f"no {RENTED_HOW[term]} rent of {device_id} is known on {asked.catalog.as_of}")
    offers = book.rental_offers(device_id, providers=providers, gpus_per_replica=gpus, term=term)
    sellers = max(len({offer.provider for offer in offers}), 1)
    if rental.hidden or not offers:
        return rental, 1.0, 1.0, sellers
    return rental, offers[0].usd_per_gpu_hour / rental.usd_per_gpu_hour, offers[-1].usd_per_gpu_hour / rental.usd_per_gpu_hour, sellers


def _planned(
    curve: ServingCurve, asked: Asked, gpus: int, prompt_tokens: float, answer_tokens: float, *, spare_replicas: int
) -> CapacityPlan:
    """One server's plan; rented and owned ones of the same curve share it."""
    key = (id(curve), gpus, prompt_tokens, answer_tokens, spare_replicas)
    known = asked.plans.get(key)
    if known is None:
        plan = plan_capacity(
            replace(asked.requirements.peak_load, input_tokens=prompt_tokens, output_tokens=answer_tokens),
            asked.requirements.service_level,
            curve,
            utilization_ceiling_share=asked.scenario.assumptions.utilization_ceiling_share,
            spare_replicas=spare_replicas,
            gpus_per_replica=gpus,
        )
        known = asked.plans[key] = (curve, plan)  # the curve is held, so that its id stays its own
    _, plan = known
    if plan.refused_because:
        raise InputError(plan.refused_because)
    return plan


def _operating_point(plan: CapacityPlan, curve: ServingCurve) -> Throughput:
    return next(point for point in curve.points if point.concurrency == plan.concurrency)


def _plan(supply: Supply, asked: Asked, numbers: Numbers) -> Plan:
    """The servers of a supply in the decision itself, in the busiest month."""
    plan, curve = supply.plan, supply.curve
    assert plan is not None
    assert curve is not None
    workload = asked.scenario.workload
    # What one replica carries in a month of this workload: its capacity holds at the peak, the mean is below it by peak_to_mean.
    request_tokens = workload.input_tokens + workload.output_tokens
    replica_tokens = plan.capacity_requests_per_s / workload.peak_to_mean * SECONDS_PER_DAY * 365.0 / 12.0 * request_tokens
    replicas = replicas_of(supply, numbers)
    first = min(supply.months_to_live, asked.requirements.horizon_months - 1)
    load = asked.requirements.volume.total_tokens[first]
    working = float(replicas.max()) - plan.spare_replicas
    point = _operating_point(plan, curve)
    return Plan(
        replicas=int(replicas.max()),
        spare_replicas=plan.spare_replicas,
        gpus_per_replica=plan.gpus_per_replica,
        utilization_share=float(
            load / (replicas[first] * replica_tokens * workload.peak_to_mean / asked.scenario.assumptions.utilization_ceiling_share)
        ),
        basis=plan.basis,
        server=supply.server_title,
        device_id=supply.device_id,
        capacity_tokens_per_month=working * replica_tokens,
        replica_tokens_per_month=replica_tokens,
        output_tokens_per_s=point.output_tokens_per_s,
        concurrency=point.concurrency,
        ttft_ms=point.ttft_ms,
        tpot_ms=point.tpot_ms,
        speed_low=supply.speed_low,
        speed_high=supply.speed_high,
        measured=supply.measured,
    )


# ---- supplies: this machine ----


def _local_supply(option: Option, asked: Asked) -> Supply:
    """The probed machine itself: one machine, no spare."""
    machine = asked.machine
    if machine is None:
        raise InputError(why_no_machine(asked.catalog))
    prompt, answer = _prompt_tokens(option, asked), asked.scenario.workload.output_tokens * _tokens_factor(option, asked)
    load = replace(asked.requirements.peak_load, input_tokens=prompt, output_tokens=answer)
    curve = local_curve(machine, _served(option), option.quantization, load)
    plan = _planned(curve, asked, 1, prompt, answer, spare_replicas=0)
    point = _operating_point(plan, curve)
    return Supply(
        option=option,
        months_to_live=_months_to_live(option, asked),
        server_title=machine.title,
        at_most=1,
        power_kw=machine.power_kw,
        plan=plan,
        curve=curve,
        speed_group=f"{curve.engine}.this_machine",
        speed_low=point.low80 / point.output_tokens_per_s,
        speed_high=point.high80 / point.output_tokens_per_s,
        measured=machine.measurement_id,
        training_usd_per_mtok=_managed_usd_per_mtok(option, asked) if option.tuned else 0.0,
        tokens_per_example=_example_tokens(option, asked),
        notes=machine.notes,
    )


def _edge_supply(option: Option, asked: Asked) -> Supply:
    """Devices at the users' hands: as many as there are, their energy paid by their owners."""
    workload = asked.scenario.workload
    device = find_accelerator(workload.edge_device)
    if device is None:
        names = [found.name for found in accelerators()]
        raise InputError(f"edge_device '{workload.edge_device}' is not in the device catalogue{nearest(workload.edge_device, names)}")
    moved = asked.catalog.calibration.efficiency(device, option.engine)
    prompt, answer = _prompt_tokens(option, asked), workload.output_tokens * _tokens_factor(option, asked)
    curve = _curve(option.model, option.quantization, device.id, 1, option.engine, prompt, answer, moved)
    plan = _planned(curve, asked, 1, prompt, answer, spare_replicas=0)
    point = _operating_point(plan, curve)
    return Supply(
        option=option,
        months_to_live=_months_to_live(option, asked),
        device_id=device.id,
        server_title=device.name,
        at_most=workload.edge_devices,
        plan=plan,
        curve=curve,
        speed_group=_speed_group(curve, device),
        speed_low=point.low80 / point.output_tokens_per_s,
        speed_high=point.high80 / point.output_tokens_per_s,
        measured=next(iter(asked.catalog.calibration.behind(device, option.engine)), "") if moved is not None else "",
        training_usd_per_mtok=_managed_usd_per_mtok(option, asked) if option.tuned else 0.0,
        tokens_per_example=_example_tokens(option, asked),
        notes=("energy and wear are your users'; updates and support of their devices are not counted",),
    )


# ---- below: small parts ----


def _speed_group(curve: ServingCurve, device: Accelerator) -> str:
    """Whose speed is off together: an engine on one kind of memory, or on the one device where it was measured."""
    return f"{curve.engine}.{device.id if curve.basis in (Basis.MEASURED, Basis.CALIBRATED) else memory_class(device)}"


def _counted(supply: Supply, asked: Asked) -> Supply:
    """With the tokens that its tokenizers make of the user's counts, where it is said whose tokens those are."""
    option = supply.option
    own = tokens_of(option.api or option.model, asked.scenario)
    if own is UNSAID:
        return supply
    larger = tokens_of(asked.scenario.workload.baseline_model, asked.scenario) if supply.escalated is not None else UNSAID
    return replace(supply, tokens=own, escalated_tokens=larger)


def _taught(supply: Supply, asked: Asked) -> Supply:
    """With the price of a label by today's model, where a share of the missing labels is to be made by it."""
    workload = asked.scenario.workload
    if not supply.option.tuned or asked.scenario.assumptions.teacher_labels_share == 0.0:
        return supply
    if workload.residency is Residency.ON_PREM:
        raise InputError("labels by today's model would send data outside your premises: set teacher_labels_share to 0")
    factor = tokens_of(workload.baseline_model, asked.scenario).factor
    prompt, answer = workload.input_tokens * factor, workload.output_tokens * factor
    price = asked.catalog.prices.baseline_price(workload.baseline_model, input_tokens=prompt)
    each = teacher_labels_usd(1.0, price, input_tokens=prompt, output_tokens=answer)
    return replace(supply, teacher_usd_per_label=each, notes=(*supply.notes, TEACHER_NOTE))


def _managed_usd_per_mtok(option: Option, asked: Asked) -> float:
    """Training bought by the token: the vendor's own price, else a managed service that may be paid."""
    if option.training_usd_per_mtok is not None:
        return option.training_usd_per_mtok
    if asked.scenario.workload.residency is Residency.ON_PREM:
        raise InputError("training data may not leave your premises, and there is no owned server to train on")
    offer = _managed_tuning(params_b(option.model), _cleared(asked))
    if offer is None:
        raise InputError("none of your cleared providers is known to train models of this size")
    return offer.usd_per_mtok


@lru_cache(maxsize=1024)
def _managed_tuning(params_b: float, providers: tuple[str, ...] | None) -> ManagedTuning | None:
    return managed_tuning(params_b, providers=providers)


def _training_gpu_hours_per_mtok(
    option: Option, asked: Asked, device_id: str, rental: RentalPrice | None, owned: ServerPrice | None
) -> float | None:
    """GPU-hours of a million training tokens on the option's own kind of GPU; None where training is bought from a managed service."""
    residency = asked.scenario.workload.residency
    if not option.tuned or residency is Residency.ANY:
        return None
    if owned is None and (rental is None or residency is not Residency.REGION):
        return None
    return training_gpu_hours(
        TOKENS_PER_MTOK,
        params_b(option.model),
        peak_tflops=accelerator(device_id).need("fp16_tflops"),
        mfu_share=asked.scenario.assumptions.training_mfu_share,
    )


def _months_to_live(option: Option, asked: Asked) -> int:
    if option.baseline:
        return 0
    own = option.placement in (Placement.RENTED, Placement.OWNED, Placement.LOCAL)
    months = asked.scenario.assumptions.live_after_months(tuned=option.tuned, self_hosted=own)
    return min(months, asked.requirements.horizon_months)


def _served(option: Option) -> ModelSpec:
    return model(option.model)


@lru_cache(maxsize=512)
def _quality(kind: Kind, workload: Workload, task: Task) -> QualityPrior:
    """The same for all options of a kind."""
    return quality_of(kind, workload, task)


@lru_cache(maxsize=256)
def params_b(model_id: str) -> float:
    """Parameters of a model in billions; counting them tensor by tensor is slow enough to do it once."""
    return model(model_id).params_total / 1e9


def _tokens_factor(option: Option, asked: Asked) -> float:
    return tokens_of(option.api or option.model, asked.scenario).factor


def _prompt_tokens(option: Option, asked: Asked) -> float:
    """A prompt's mean length in the option's own tokens."""
    return asked.scenario.workload.input_tokens * _tokens_factor(option, asked)


def _answer_tokens(option: Option, asked: Asked) -> float:
    """An answer's mean length in the option's own tokens."""
    if option.kind is Kind.ENCODER:
        return ENCODER_ANSWER_TOKENS
    return asked.scenario.workload.output_tokens * _tokens_factor(option, asked)


def _example_tokens(option: Option, asked: Asked) -> float:
    """A training example in the option's own tokens."""
    return _prompt_tokens(option, asked) + _answer_tokens(option, asked)


def _context(option: Option, bill: Bill | None) -> float | None:
    if bill is not None and bill.price is not None:
        return bill.price.context_tokens
    if option.placement in (Placement.API,):
        return None
    return _served(option).context_tokens if option.model else None


def _licence(option: Option) -> str:
    """Licence of the weights that an option serves or has served; '' for an API."""
    if option.placement is Placement.API or not option.model:
        return ""
    return _served(option).licence or "unknown"


def _cleared(asked: Asked) -> tuple[str, ...] | None:
    """Providers that may be paid under a regional limit; None where there is no such limit."""
    workload = asked.scenario.workload
    return workload.allowed_providers if workload.residency is Residency.REGION else None


def _may_pay(provider: str, asked: Asked) -> bool:
    cleared = _cleared(asked)
    return not provider or cleared is None or is_provider(provider, cleared)


def _entered(asked: Asked) -> Source:
    return Source(url=OWN, checked=asked.catalog.as_of, note="stated with your own option")


def _owned(option: Option, device_id: str, asked: Asked) -> ServerPrice:
    """The price of an owned server, the user's own offer over the street estimate."""
    stated = option.own.price_to_own(_entered(asked)) if option.own is not None else None
    if stated is not None:
        return stated
    server, assumed = asked.catalog.prices.server(device_id), asked.scenario.assumptions
    if server is None:
        raise InputError(f"no price to own {device_id} is known; state server_usd_per_gpu with another device")
    if assumed.server_usd_per_gpu is not None:
        server = replace(server, gpu_usd=assumed.server_usd_per_gpu, host_usd_per_gpu=0.0, basis=Basis.ASSUMED)
    if assumed.server_kw_per_gpu is not None:
        server = replace(server, power_kw_per_gpu=assumed.server_kw_per_gpu, power_basis=Basis.ASSUMED)
    return server


def _missing_gate(option: Option) -> str:
    if option.placement is Placement.LOCAL:
        return "measurement"
    return "price" if option.placement in (Placement.API, Placement.MANAGED) else "servers"


@lru_cache(maxsize=4096)
def _curve(
    model_id: str,
    quantization: str,
    device_id: str,
    gpus: int,
    engine: str,
    input_tokens: float,
    output_tokens: float,
    efficiency: Efficiency | None = None,
) -> ServingCurve:
    return serving_curve(
        model(model_id),
        quantization,
        Server(accelerator=accelerator(device_id), gpus=gpus),
        engine=engine,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        efficiency=efficiency,
    )
