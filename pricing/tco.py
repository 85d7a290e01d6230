"""The bill of each way to run a model: tokens bought, servers rented, servers owned, a machine that stands here already.

It knows no hardware and no plan: numbers of replicas, dollars and kilowatts come in. Amounts broadcast over (draws, months), see costs.
The headline is the pre-tax cash view: a server is paid for when it is bought and nothing is credited for what it is still worth at the
end; `amortised_server_usd_per_month` is the other view, shown beside it and never ranked with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facts.units import HOURS_PER_MONTH, MONTHS_PER_YEAR
from pricing.bill import token_bill_usd
from pricing.costs import Amount, CostLine, MonthlyCosts, monthly_line, nonzero, paid, upfront_line
from pricing.finance import amortised_usd_per_month
from pricing.prices import ApiPrice
from workloads.demand import TokenVolume


@dataclass(frozen=True, kw_only=True)
class RunningCosts:
    """What runs beside tokens and servers.

    staff_fte, fte_month_usd: people, and what one costs a month
    supporting_infra_usd_per_month: gateway, logs, storage, load balancer
    on_call_usd_per_month, monitoring_usd_per_month: where they are paid apart from staff and infrastructure
    """

    staff_fte: Amount = 0.0
    fte_month_usd: Amount = 0.0
    supporting_infra_usd_per_month: Amount = 0.0
    on_call_usd_per_month: Amount = 0.0
    monitoring_usd_per_month: Amount = 0.0


@dataclass(frozen=True, kw_only=True)
class OwningCosts:
    """What an owned server costs beside its price.

    electricity_usd_per_kwh, pue: energy and the building's overhead on it
    hosting_usd_per_kw_month: space and cooling capacity for one kW of IT power
    maintenance_share_per_year: of the purchase price
    life_years, residual_share, capital_share_per_year: for the amortised view only
    """

    electricity_usd_per_kwh: Amount = 0.0
    pue: Amount = 1.0
    hosting_usd_per_kw_month: Amount = 0.0
    maintenance_share_per_year: Amount = 0.0
    life_years: Amount = 4.0
    residual_share: Amount = 0.0
    capital_share_per_year: Amount = 0.0


@dataclass(frozen=True, kw_only=True)
class GoLive:
    """When an option takes over, and what is paid until then.

    months_to_live: m months in which the baseline still serves; the option's own tokens begin in month m + 1, its servers in month m
        (one month before, to test on them), with m = 0 both in month 1
    baseline_usd: the baseline's monthly total, (..., months), paid as `double_running` in months 1..m
    """

    months_to_live: Amount = 0
    baseline_usd: Amount = 0.0

    @cached_property
    def _known(self) -> dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        return {}

    def phases(self, months: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """1 in the months in which the option serves (from m + 1), and in which its servers stand (from m, at least 1); read-only."""
        known = self._known.get(months)
        if known is None:
            live = np.asarray(self.months_to_live)
            known = self._known[months] = _from_month(months, live + 1), _from_month(months, np.maximum(live, 1))
            for phase in known:
                phase.flags.writeable = False
        return known


AT_ONCE = GoLive()
NOTHING_BESIDE = RunningCosts()


def api_costs(
    volume: TokenVolume,
    price: ApiPrice,
    *,
    running: RunningCosts = NOTHING_BESIDE,
    upfront: tuple[CostLine, ...] = (),
    go_live: GoLive = AT_ONCE,
    retraining_usd_per_month: Amount = 0.0,
    output_multiplier: Amount = 1.0,
    retry_share: Amount = 0.0,
    cache_write_share: Amount = 0.0,
    price_factor: Amount = 1.0,
) -> MonthlyCosts:
    """Tokens bought from a provider, linear in the volume; `price_factor` (..., months) is a price path around today's price."""
    months = volume.requests.shape[-1]
    bill = token_bill_usd(
        volume,
        price,
        output_multiplier=output_multiplier,
        retry_share=retry_share,
        cache_write_share=cache_write_share,
        price_factor=price_factor,
    )
    live, _ = go_live.phases(months)
    tokens = tuple(monthly_line(line.name, line.usd * live, months) for line in bill.lines)
    rest = _running_lines(running, live, months, go_live, retraining_usd_per_month)
    return MonthlyCosts(months=months, upfront_lines=nonzero(upfront), lines=tokens + rest)


@dataclass(frozen=True, kw_only=True)
class Commitment:
    """GPUs reserved for a term: cheaper by the hour, and paid whether needed or not.

    gpus: reserved
    usd_per_gpu_hour: the reserved rate
    months: the term, from the month the servers start
    """

    gpus: Amount
    usd_per_gpu_hour: Amount
    months: int


def cascade_costs(
    small: MonthlyCosts,
    volume: TokenVolume,
    price: ApiPrice,
    *,
    escalated_share: Amount,
    go_live: GoLive = AT_ONCE,
    output_multiplier: Amount = 1.0,
    retry_share: Amount = 0.0,
    price_factor: Amount = 1.0,
) -> MonthlyCosts:
    """A small model first, a large one on doubt: the small one's whole bill, and the large one's tokens for the escalated share.

    Per request s x small + (1 - s) x (small + large) with s answered by the small one: at s = 0 it is both, never below the large one.
    """
    share = np.asarray(escalated_share, dtype=np.float64)
    escalated = TokenVolume(
        input_tokens=np.asarray(volume.input_tokens * share),
        cached_input_tokens=np.asarray(volume.cached_input_tokens * share),
        output_tokens=np.asarray(volume.output_tokens * share),
        requests=np.asarray(volume.requests * share),
    )
    large = api_costs(
        escalated,
        price,
        go_live=GoLive(months_to_live=go_live.months_to_live),
        output_multiplier=output_multiplier,
        retry_share=retry_share,
        price_factor=price_factor,
    )
    return small + large


def rented_costs(
    *,
    months: int,
    replicas: Amount,
    gpus_per_replica: int,
    usd_per_gpu_hour: Amount,
    instance_gpus: int = 1,
    commitment: Commitment | None = None,
    running: RunningCosts = NOTHING_BESIDE,
    upfront: tuple[CostLine, ...] = (),
    go_live: GoLive = AT_ONCE,
    retraining_usd_per_month: Amount = 0.0,
) -> MonthlyCosts:
    """Servers by the hour, 730 hours a month whether busy or not.

    replicas: of each month, (..., months) or one number, spares included
    instance_gpus: GPUs of the smallest thing that can be rented; a started instance is paid whole (see `billed_gpus`)
    commitment: GPUs reserved for a term; what is needed beyond them is rented by the hour. What the term still owes after the horizon is
        not on this bill: see `owed_after_usd`
    """
    serving, present = go_live.phases(months)
    rental = rental_usd_per_month(
        months=months,
        replicas=replicas,
        gpus_per_replica=gpus_per_replica,
        usd_per_gpu_hour=usd_per_gpu_hour,
        instance_gpus=instance_gpus,
        commitment=commitment,
        go_live=go_live,
    )
    rest = _running_lines(running, present, months, go_live, retraining_usd_per_month, serving=serving)
    return MonthlyCosts(months=months, upfront_lines=nonzero(upfront), lines=(monthly_line("rental", rental, months), *rest))


def rental_usd_per_month(
    *,
    months: int,
    replicas: Amount,
    gpus_per_replica: int,
    usd_per_gpu_hour: Amount,
    instance_gpus: int = 1,
    commitment: Commitment | None = None,
    go_live: GoLive = AT_ONCE,
) -> NDArray[np.float64]:
    """The rent alone, shape (..., months): see `rented_costs`."""
    _, present = go_live.phases(months)
    gpus = billed_gpus(replicas, gpus_per_replica, instance_gpus)
    hourly = gpus * np.asarray(usd_per_gpu_hour)
    if commitment is not None:
        term = _term(months, go_live, commitment)
        beyond = np.maximum(gpus - np.asarray(commitment.gpus) * term, 0.0)
        hourly = beyond * np.asarray(usd_per_gpu_hour) + np.asarray(commitment.gpus) * np.asarray(commitment.usd_per_gpu_hour) * term
    return np.asarray(hourly * HOURS_PER_MONTH * present)


@dataclass(frozen=True, kw_only=True)
class OwnedServers:
    """What servers of one's own cost, nobody beside them.

    purchase_usd: at the start, (..., 1)
    energy_usd, hosting_usd, maintenance_usd: of each month, (..., months)
    """

    purchase_usd: NDArray[np.float64]
    energy_usd: NDArray[np.float64]
    hosting_usd: NDArray[np.float64]
    maintenance_usd: NDArray[np.float64]


def owned_servers(
    *,
    months: int,
    replicas: Amount,
    gpus_per_replica: int,
    capex_usd_per_gpu: Amount,
    power_kw_per_gpu: Amount,
    owning: OwningCosts,
    go_live: GoLive = AT_ONCE,
) -> OwnedServers:
    """The servers alone: see `owned_costs`."""
    _, present = go_live.phases(months)
    count = np.asarray(replicas, dtype=np.float64) * gpus_per_replica
    # One number for all months stays one number: it is the busiest month's too.
    bought = count.max(axis=-1, keepdims=True) if count.ndim else count[np.newaxis]
    capex = bought * np.asarray(capex_usd_per_gpu)
    power = np.asarray(power_kw_per_gpu)
    return OwnedServers(
        purchase_usd=np.asarray(capex),
        energy_usd=np.asarray(energy_kwh_per_month(count, power, owning.pue) * owning.electricity_usd_per_kwh * present),
        hosting_usd=np.asarray(bought * power * owning.hosting_usd_per_kw_month * present),
        maintenance_usd=np.asarray(capex * owning.maintenance_share_per_year / MONTHS_PER_YEAR * present),
    )


def owned_costs(
    *,
    months: int,
    replicas: Amount,
    gpus_per_replica: int,
    capex_usd_per_gpu: Amount,
    power_kw_per_gpu: Amount,
    owning: OwningCosts,
    running: RunningCosts = NOTHING_BESIDE,
    upfront: tuple[CostLine, ...] = (),
    go_live: GoLive = AT_ONCE,
    retraining_usd_per_month: Amount = 0.0,
) -> MonthlyCosts:
    """Servers bought at the start for the busiest month of the horizon, and run.

    replicas: of each month, (..., months) or one number, spares included; what is bought is housed and maintained from the day it
        serves, energy is drawn by the replicas of the month
    capex_usd_per_gpu: device and its share of the host
    power_kw_per_gpu: IT power of device, host and network at full load; idle savings are not assumed
    """
    serving, present = go_live.phases(months)
    servers = owned_servers(
        months=months,
        replicas=replicas,
        gpus_per_replica=gpus_per_replica,
        capex_usd_per_gpu=capex_usd_per_gpu,
        power_kw_per_gpu=power_kw_per_gpu,
        owning=owning,
        go_live=go_live,
    )
    lines = (
        monthly_line("energy", servers.energy_usd, months),
        monthly_line("hosting", servers.hosting_usd, months),
        monthly_line("maintenance", servers.maintenance_usd, months),
    )
    rest = _running_lines(running, present, months, go_live, retraining_usd_per_month, serving=serving)
    bought = upfront_line("servers", servers.purchase_usd)
    return MonthlyCosts(months=months, upfront_lines=(bought, *nonzero(upfront)), lines=nonzero(lines) + rest)


def local_costs(
    *,
    months: int,
    machines: Amount,
    power_kw_per_machine: Amount,
    owning: OwningCosts,
    running: RunningCosts = NOTHING_BESIDE,
    upfront: tuple[CostLine, ...] = (),
    go_live: GoLive = AT_ONCE,
    retraining_usd_per_month: Amount = 0.0,
) -> MonthlyCosts:
    """A machine that is already there: its energy and the people, no purchase; `machines` of each month, (..., months)."""
    serving, present = go_live.phases(months)
    count = np.asarray(machines, dtype=np.float64)
    kwh = energy_kwh_per_month(count, power_kw_per_machine, owning.pue)
    energy = monthly_line("energy", kwh * owning.electricity_usd_per_kwh * present, months)
    rest = _running_lines(running, present, months, go_live, retraining_usd_per_month, serving=serving)
    return MonthlyCosts(months=months, upfront_lines=nonzero(upfront), lines=(*nonzero((energy,)), *rest))


def billed_gpus(replicas: Amount, gpus_per_replica: int, instance_gpus: int = 1) -> NDArray[np.float64]:
    """GPUs on the bill: replicas are packed into instances and a started instance is paid whole.

    A replica never spans two instances unless it is larger than one; then it takes as many whole instances as it needs.

    >>> float(billed_gpus(3, 2, 8)), float(billed_gpus(5, 2, 8)), float(billed_gpus(1, 3, 8))
    (8.0, 16.0, 8.0)
    """
    count = np.asarray(replicas, dtype=np.float64)
    if gpus_per_replica <= instance_gpus:
        per_instance = instance_gpus // gpus_per_replica
        return np.asarray(np.ceil(count / per_instance) * instance_gpus)
    return np.asarray(count * (-(-gpus_per_replica // instance_gpus)) * instance_gpus)


def owed_after_usd(months: int, commitment: Commitment, go_live: GoLive = AT_ONCE) -> NDArray[np.float64]:
    """What a commitment still costs after the horizon: the exit bill, shown beside the total and not inside it.

    >>> round(float(owed_after_usd(12, Commitment(gpus=2, usd_per_gpu_hour=2.0, months=36))), 2)
    70080.0
    """
    inside = _term(months, go_live, commitment).sum(axis=-1)
    return np.asarray((commitment.months - inside) * HOURS_PER_MONTH * commitment.gpus * commitment.usd_per_gpu_hour)


def amortised_view(costs: MonthlyCosts, owning: OwningCosts) -> MonthlyCosts:
    """An owned bill with its servers' depreciation and capital charge by month instead of the purchase; never ranked with cash bills."""
    capex = costs.line("servers")
    monthly = np.asarray(amortised_server_usd_per_month(capex, owning))[..., np.newaxis]
    rest = costs.without("servers")
    return MonthlyCosts(
        months=costs.months, upfront_lines=rest.upfront_lines, lines=(monthly_line("servers", monthly, costs.months), *rest.lines)
    )


def serving_kwh(*, months: int, gpus: Amount, power_kw_per_gpu: Amount, pue: Amount, go_live: GoLive = AT_ONCE) -> NDArray[np.float64]:
    """kWh of each month, (..., months), in the months in which the servers stand; any placement, whoever pays for it."""
    _, present = go_live.phases(months)
    return np.asarray(energy_kwh_per_month(gpus, power_kw_per_gpu, pue) * present)


def co2e_kg(kwh: Amount, grid_kg_co2e_per_kwh: Amount) -> NDArray[np.float64]:
    """Emissions of electricity, kg CO2e: kWh x the grid's intensity as the user states it; making the hardware is not in it."""
    return np.asarray(np.asarray(kwh, dtype=np.float64) * grid_kg_co2e_per_kwh)


def energy_kwh_per_month(gpus: Amount, power_kw_per_gpu: Amount, pue: Amount) -> NDArray[np.float64]:
    """kWh at the meter in a month: GPUs x IT kW x 730 h x PUE.

    >>> round(float(energy_kwh_per_month(8, 1.37, 1.4)), 2)
    11201.12
    """
    return np.asarray(np.asarray(gpus, dtype=np.float64) * power_kw_per_gpu * HOURS_PER_MONTH * pue)


def amortised_server_usd_per_month(capex_usd: Amount, owning: OwningCosts) -> NDArray[np.float64]:
    """Depreciation net of the residual and the capital charge of servers, a month, over their life; replaces `servers`."""
    return amortised_usd_per_month(
        capex_usd, life_years=owning.life_years, residual_share=owning.residual_share, rate_per_year=owning.capital_share_per_year
    )


# ---- below: how ----


def _from_month(months: int, first: Amount) -> NDArray[np.float64]:
    """1 from month `first` on, 0 before; (..., months)."""
    return (np.arange(1, months + 1) >= np.asarray(first)).astype(np.float64)


def _term(months: int, go_live: GoLive, commitment: Commitment) -> NDArray[np.float64]:
    """1 in the months of the commitment's term that lie in the horizon; (..., months)."""
    first = np.maximum(np.asarray(go_live.months_to_live), 1)
    return _from_month(months, first) * (1.0 - _from_month(months, first + commitment.months))


def _running_lines(
    running: RunningCosts,
    present: NDArray[np.float64],
    months: int,
    go_live: GoLive,
    retraining_usd_per_month: Amount,
    serving: NDArray[np.float64] | None = None,
) -> tuple[CostLine, ...]:
    if running is NOTHING_BESIDE and not paid(retraining_usd_per_month) and not paid(go_live.baseline_usd):
        return ()
    serving = present if serving is None else serving
    amounts = (
        ("supporting_infra", running.supporting_infra_usd_per_month, present),
        ("monitoring", running.monitoring_usd_per_month, present),
        ("staff", np.asarray(running.staff_fte) * np.asarray(running.fte_month_usd), present),
        ("on_call", running.on_call_usd_per_month, present),
        ("retraining", retraining_usd_per_month, serving),
    )
    lines = [monthly_line(name, np.asarray(usd) * when, months) for name, usd, when in amounts if paid(usd)]
    if paid(go_live.baseline_usd):
        waiting = 1.0 - go_live.phases(months)[0]
        lines.append(monthly_line("double_running", np.asarray(go_live.baseline_usd) * waiting, months))
    return nonzero(tuple(lines))
