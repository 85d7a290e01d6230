"""One option, priced: its servers or tokens, its bill by month, before it is compared with the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from capacity.accelerators import Server, accelerator
from capacity.models import ModelSpec, model
from capacity.plan import CapacityPlan, plan_capacity, replicas_needed
from capacity.roofline import Efficiency
from capacity.throughput import ServingCurve, serving_curve
from facts.errors import InputError
from facts.records import Basis
from facts.units import SECONDS_PER_DAY
from pricing.costs import CostLine, MonthlyCosts, upfront_line
from pricing.finetune import FinetuneCosts, finetune_costs, managed_tuning, own_training_usd_per_mtok
from pricing.prices import ApiPrice, RentalPrice, ServerPrice, is_provider
from pricing.tco import GoLive, api_costs, local_costs, owned_costs, rented_costs
from selector.catalog import Catalog
from selector.gates import Candidate, refusal, screen
from selector.local import LocalMachine, local_curve, why_no_machine
from selector.options import Option
from selector.quality import Kind, quality_of
from selector.results import Arm, Placement, Plan, QualityPrior, Verdict
from selector.scenarios import Scenario
from selector.tasks import Task
from workloads.demand import Residency
from workloads.requirements import Requirements

ENCODER_ANSWER_TOKENS = 1.0
"""A classifier answers with one label, whatever a generative model would write."""


@dataclass(frozen=True, kw_only=True)
class Bill:
    """How one option would be bought, and what that costs; server options have several and the cheapest is taken.

    costs: by month
    provider: who is paid, or ""
    plan: servers, or None
    price, rental, server: what the costs rest on
    training: what tuning costs, or None
    refused_because: why it may not be taken although it can be priced, or None
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
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One option evaluated on its own: no other option's price is in it, except the baseline's while both run.

    option: which
    quality: chance of being good enough
    verdicts: of every gate
    bill: how it is bought, or None where nothing could be priced
    refused_because: the first refusal, or None
    live_after_months: months in which the baseline still serves
    """

    option: Option
    quality: QualityPrior
    verdicts: tuple[Verdict, ...]
    bill: Bill | None
    refused_because: str | None
    live_after_months: int

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


def evaluate(option: Option, asked: Asked) -> Evaluation:
    """Gates, servers, bill: everything about an option that does not need the others."""
    workload = asked.scenario.workload
    quality = quality_of(option.kind, workload, asked.task)
    months_to_live = _months_to_live(option, asked)
    bill: Bill | None = None
    missing: str | None = None
    try:
        bill = _bill(option, asked, months_to_live)
    except InputError as error:
        missing = str(error)
    verdicts = screen(
        Candidate(
            option=option,
            quality=quality,
            workload=workload,
            task=asked.task,
            provider=bill.provider if bill else option.api.partition(":")[0],
            context_tokens=_context(option, bill),
            last_resort=option.arm in asked.last_resort,
        )
    )
    refused = refusal(verdicts) or (bill and bill.refused_because) or (missing and f"{_missing_gate(option)}: {missing}")
    return Evaluation(
        option=option, quality=quality, verdicts=verdicts, bill=bill, refused_because=refused, live_after_months=months_to_live
    )


def _bill(option: Option, asked: Asked, months_to_live: int) -> Bill:
    if option.placement is Placement.API:
        return _api_bill(option, asked, months_to_live)
    if option.placement is Placement.MANAGED:
        return _managed_bill(option, asked, months_to_live)
    if option.placement is Placement.LOCAL:
        return _local_bill(option, asked, months_to_live)
    return _server_bill(option, asked, months_to_live)


# ---- tokens bought ----


def _api_bill(option: Option, asked: Asked, months_to_live: int) -> Bill:
    book, tokens = asked.catalog.prices, asked.scenario.workload.input_tokens
    price = book.baseline_price(option.api, input_tokens=tokens) if option.baseline else book.api_price(option.api, input_tokens=tokens)
    return _token_bill(option, asked, months_to_live, price)


def _managed_bill(option: Option, asked: Asked, months_to_live: int) -> Bill:
    """Hosted open weights at the median host of those that are named and, with a region, cleared."""
    offers = asked.catalog.prices.hosts(option.hosted_as, asked.scenario.workload.input_tokens)
    if option.hosts:
        offers = tuple(price for price in offers if is_provider(price.provider, option.hosts))
    if not offers:
        raise InputError(f"no named host sells {option.hosted_as} in the price book of {asked.catalog.as_of}")
    cleared = _cleared(asked)
    allowed = tuple(price for price in offers if cleared is None or is_provider(price.provider, cleared)) or offers
    share = asked.requirements.volume.output_tokens.sum() / asked.requirements.volume.total_tokens.sum()
    ranked = sorted(allowed, key=lambda price: (price.usd_per_mtok(1.0 - float(share)), price.provider))
    price = ranked[(len(ranked) - 1) // 2]
    low, high = (offer.usd_per_mtok(1.0 - float(share)) for offer in (ranked[0], ranked[-1]))
    note = (
        f"{price.provider} is the median of {len(ranked)} hosts: {ranked[0].provider} "
        f"{low:.2f} to {ranked[-1].provider} {high:.2f} USD per Mtok at your mix"
    )
    bill = _token_bill(option, asked, months_to_live, price)
    return replace(bill, notes=(note, *bill.notes))


def _token_bill(option: Option, asked: Asked, months_to_live: int, price: ApiPrice) -> Bill:
    assumed = asked.scenario.assumptions
    training = _training(option, asked)
    costs = api_costs(
        asked.requirements.volume,
        price,
        running=assumed.running(option.placement.value, baseline=option.baseline),
        upfront=_upfront(option, asked, training),
        go_live=_go_live(asked, months_to_live),
        retraining_usd_per_month=training.retraining_usd_per_month if training else 0.0,
        output_multiplier=assumed.output_multiplier,
        retry_share=assumed.retry_share,
        cache_write_share=assumed.cache_write_share,
        price_factor=_path(assumed.api_price_change_share_per_year, asked.requirements.horizon_months),
    )
    notes = (price.time_rule,) if price.time_rule else ()
    return Bill(costs=costs, provider=price.provider, price=price, training=training, notes=notes)


# ---- servers ----


def _server_bill(option: Option, asked: Asked, months_to_live: int) -> Bill:
    """The cheapest of the option's servers that carry the load; if none does, the last reason."""
    bills: list[Bill] = []
    reasons: list[str] = []
    for device_id, gpus in option.servers:
        try:
            bills.append(_on_server(option, asked, months_to_live, device_id, gpus))
        except InputError as error:
            reasons.append(str(error))
    if not bills:
        raise InputError("; ".join(dict.fromkeys(reasons)))
    allowed = [bill for bill in bills if _may_pay(bill.provider, asked)] or bills
    return min(allowed, key=lambda bill: float(bill.costs.total_usd))


def _on_server(option: Option, asked: Asked, months_to_live: int, device_id: str, gpus: int) -> Bill:
    rental: RentalPrice | None = None
    owned: ServerPrice | None = None
    book = asked.catalog.prices
    if option.placement is Placement.RENTED:
        rental = book.rental(device_id, providers=_cleared(asked), gpus_per_replica=gpus) or book.rental(device_id, gpus_per_replica=gpus)
        if rental is None:
            raise InputError(f"no on-demand rent of {device_id} is known on {asked.catalog.as_of}")
    else:
        owned = _owned(book.server(device_id), device_id, asked)
    replicas, plan = _servers(option, asked, months_to_live, device_id, gpus)
    training = _training(option, asked, _training_usd_per_mtok(option, asked, device_id, rental, owned))
    assumed, months = asked.scenario.assumptions, asked.requirements.horizon_months
    running, upfront = assumed.running(option.placement.value), _upfront(option, asked, training)
    go_live, retraining = _go_live(asked, months_to_live), training.retraining_usd_per_month if training else 0.0
    if rental is not None:
        path = _path(assumed.rent_change_share_per_year, months)
        costs = rented_costs(
            months=months,
            replicas=replicas,
            gpus_per_replica=gpus,
            usd_per_gpu_hour=rental.usd_per_gpu_hour * path,
            instance_gpus=max(rental.gpus, 1),
            running=running,
            upfront=upfront,
            go_live=go_live,
            retraining_usd_per_month=retraining,
        )
        return Bill(costs=costs, provider=rental.provider, plan=plan, rental=rental, training=training)
    assert owned is not None
    costs = owned_costs(
        months=months,
        replicas=replicas,
        gpus_per_replica=gpus,
        capex_usd_per_gpu=owned.capex_usd_per_gpu,
        power_kw_per_gpu=owned.power_kw_per_gpu,
        owning=assumed.owning(),
        running=running,
        upfront=upfront,
        go_live=go_live,
        retraining_usd_per_month=retraining,
    )
    return Bill(costs=costs, plan=plan, server=owned, training=training)


def _servers(option: Option, asked: Asked, months_to_live: int, device_id: str, gpus: int) -> tuple[NDArray[np.float64], Plan]:
    """Replicas of each month at its peak, spares included, and the plan of the busiest month."""
    device = accelerator(device_id)
    spec, answer = _served(option), _answer_tokens(option, asked)
    curve = _curve(spec.id, option.quantization, device_id, gpus, option.engine, asked.scenario.workload.input_tokens, answer)
    plan = _planned(curve, asked, gpus, answer)
    count = f"{gpus} x " if gpus > 1 else ""
    return _replicas(plan, asked), _plan(plan, curve, asked, months_to_live, f"{count}{device.name}", device_id)


def _planned(curve: ServingCurve, asked: Asked, gpus: int, answer_tokens: float) -> CapacityPlan:
    assumed = asked.scenario.assumptions
    plan = plan_capacity(
        replace(asked.requirements.peak_load, output_tokens=answer_tokens),
        asked.requirements.service_level,
        curve,
        utilization_ceiling_share=assumed.utilization_ceiling_share,
        spare_replicas=assumed.spare_replicas,
        gpus_per_replica=gpus,
    )
    if plan.refused_because:
        raise InputError(plan.refused_because)
    return plan


def _replicas(plan: CapacityPlan, asked: Asked) -> NDArray[np.float64]:
    """Whole replicas of each month: the peak over one replica's capacity, rounded up, plus spares."""
    return np.array(
        [
            replicas_needed(load.requests_per_s, plan.capacity_requests_per_s) + plan.spare_replicas
            for load in asked.requirements.peak_loads
        ],
        dtype=np.float64,
    )


def _plan(
    plan: CapacityPlan, curve: ServingCurve, asked: Asked, months_to_live: int, server: str, device_id: str, measured: str = ""
) -> Plan:
    workload = asked.scenario.workload
    # What one replica carries in a month of this workload: its capacity holds at the peak, the mean is below it by peak_to_mean.
    request_tokens = workload.input_tokens + workload.output_tokens
    replica_tokens = plan.capacity_requests_per_s / workload.peak_to_mean * SECONDS_PER_DAY * 365.0 / 12.0 * request_tokens
    replicas = _replicas(plan, asked)
    first = min(months_to_live, asked.requirements.horizon_months - 1)
    load = asked.requirements.volume.total_tokens[first]
    working = float(replicas.max()) - plan.spare_replicas
    point = next(point for point in curve.points if point.concurrency == plan.concurrency)
    return Plan(
        replicas=int(replicas.max()),
        spare_replicas=plan.spare_replicas,
        gpus_per_replica=plan.gpus_per_replica,
        utilization_share=float(
            load / (replicas[first] * replica_tokens * workload.peak_to_mean / asked.scenario.assumptions.utilization_ceiling_share)
        ),
        basis=plan.basis,
        server=server,
        device_id=device_id,
        capacity_tokens_per_month=working * replica_tokens,
        replica_tokens_per_month=replica_tokens,
        output_tokens_per_s=point.output_tokens_per_s,
        concurrency=point.concurrency,
        ttft_ms=point.ttft_ms,
        tpot_ms=point.tpot_ms,
        speed_low=point.low80 / point.output_tokens_per_s,
        speed_high=point.high80 / point.output_tokens_per_s,
        measured=measured,
    )


# ---- this machine ----


def _local_bill(option: Option, asked: Asked, months_to_live: int) -> Bill:
    """The probed machine itself: one machine, no spare, refused when the peak needs more than one."""
    machine = asked.machine
    if machine is None:
        raise InputError(why_no_machine(asked.catalog))
    assumed = asked.scenario.assumptions
    curve = local_curve(machine, _served(option), option.quantization, asked.requirements.peak_load)
    plan = plan_capacity(
        asked.requirements.peak_load,
        asked.requirements.service_level,
        curve,
        utilization_ceiling_share=assumed.utilization_ceiling_share,
        spare_replicas=0,
        gpus_per_replica=1,
    )
    if plan.refused_because:
        raise InputError(plan.refused_because)
    replicas = _replicas(plan, asked)
    training = _training(option, asked)
    costs = local_costs(
        months=asked.requirements.horizon_months,
        machines=replicas,
        power_kw_per_machine=machine.power_kw,
        owning=assumed.owning(),
        running=assumed.running(option.placement.value),
        upfront=_upfront(option, asked, training),
        go_live=_go_live(asked, months_to_live),
        retraining_usd_per_month=training.retraining_usd_per_month if training else 0.0,
    )
    shown = _plan(plan, curve, asked, months_to_live, machine.title, "", machine.measurement_id)
    needed = int(replicas.max())
    refused = None if needed <= 1 else f"capacity: the peak needs {needed:,} machines like this one, and there is one"
    return Bill(costs=costs, plan=shown, training=training, refused_because=refused, notes=machine.notes)


# ---- below: small parts ----


def _training(option: Option, asked: Asked, run_usd_per_mtok: float | None = None) -> FinetuneCosts | None:
    """What tuning costs, None for an option that is not tuned."""
    if not option.tuned:
        return None
    workload = asked.scenario.workload
    return finetune_costs(
        asked.scenario.assumptions,
        complexity=workload.complexity,
        labelled_examples=workload.labelled_examples,
        tokens_per_example=workload.input_tokens + _answer_tokens(option, asked),
        run_usd_per_mtok=_managed_usd_per_mtok(option, asked) if run_usd_per_mtok is None else run_usd_per_mtok,
    )


def _managed_usd_per_mtok(option: Option, asked: Asked) -> float:
    """Training bought by the token: the vendor's own price, else a managed service that may be paid."""
    if option.training_usd_per_mtok is not None:
        return option.training_usd_per_mtok
    if asked.scenario.workload.residency is Residency.ON_PREM:
        raise InputError("training data may not leave your premises, and there is no owned server to train on")
    offer = managed_tuning(_served(option).params_total / 1e9, providers=_cleared(asked))
    if offer is None:
        raise InputError("none of your cleared providers is known to train models of this size")
    return offer.usd_per_mtok


def _training_usd_per_mtok(
    option: Option, asked: Asked, device_id: str, rental: RentalPrice | None, owned: ServerPrice | None
) -> float | None:
    """Training on the option's own kind of GPU where it may not be bought; None means a managed service does it."""
    workload, assumed = asked.scenario.workload, asked.scenario.assumptions
    if not option.tuned or workload.residency is Residency.ANY:
        return None
    if owned is not None:
        usd_per_gpu_hour = owned.power_kw_per_gpu * assumed.pue * assumed.electricity_usd_per_kwh
    elif rental is not None and workload.residency is Residency.REGION:
        usd_per_gpu_hour = rental.usd_per_gpu_hour
    else:
        return None
    return own_training_usd_per_mtok(
        _served(option).params_total / 1e9,
        peak_tflops=accelerator(device_id).need("fp16_tflops"),
        mfu_share=assumed.training_mfu_share,
        usd_per_gpu_hour=usd_per_gpu_hour,
    )


def _upfront(option: Option, asked: Asked, training: FinetuneCosts | None) -> tuple[CostLine, ...]:
    """Implementation and a test for every option but the baseline; labels, runs and engineering for a tuned one."""
    if option.baseline:
        return ()
    assumed = asked.scenario.assumptions
    lines = [upfront_line("implementation", assumed.implementation(option.placement.value))]
    if training is None:
        lines.append(upfront_line("evaluation", assumed.evaluation(asked.scenario.workload.complexity)))
    else:
        lines.extend(training.upfront_lines)
    return tuple(lines)


def _go_live(asked: Asked, months_to_live: int) -> GoLive:
    return GoLive(months_to_live=months_to_live, baseline_usd=asked.baseline_usd)


def _months_to_live(option: Option, asked: Asked) -> int:
    if option.baseline:
        return 0
    own = option.placement in (Placement.RENTED, Placement.OWNED, Placement.LOCAL)
    months = asked.scenario.assumptions.live_after_months(tuned=option.tuned, self_hosted=own)
    return min(months, asked.requirements.horizon_months)


def _path(change_share_per_year: float, months: int) -> NDArray[np.float64]:
    """Price of each month over today's: even change from month to month, none in the first."""
    return np.asarray((1.0 + change_share_per_year) ** (np.arange(months, dtype=np.float64) / 12.0))


def _served(option: Option) -> ModelSpec:
    return model(option.model)


def _answer_tokens(option: Option, asked: Asked) -> float:
    return ENCODER_ANSWER_TOKENS if option.kind is Kind.ENCODER else asked.scenario.workload.output_tokens


def _context(option: Option, bill: Bill | None) -> float | None:
    if bill is not None and bill.price is not None:
        return bill.price.context_tokens
    if option.placement in (Placement.API,):
        return None
    return _served(option).context_tokens if option.model else None


def _cleared(asked: Asked) -> tuple[str, ...] | None:
    """Providers that may be paid under a regional limit; None where there is no such limit."""
    workload = asked.scenario.workload
    return workload.allowed_providers if workload.residency is Residency.REGION else None


def _may_pay(provider: str, asked: Asked) -> bool:
    cleared = _cleared(asked)
    return not provider or cleared is None or is_provider(provider, cleared)


def _owned(server: ServerPrice | None, device_id: str, asked: Asked) -> ServerPrice:
    """The price of an owned server, the user's own offer over the street estimate."""
    assumed = asked.scenario.assumptions
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
