"""Many workloads at once: a verdict each, what they cost together, and what sharing servers and a base model saves.

Sharing: workloads that one server option suits, of the same base model, server and service level, stand on one pool. Its replicas are
the sum of what each member's peak takes of one replica, rounded up once instead of once per workload, with one set of spares. Peaks are
taken to coincide, which is the dearest case. Several adapters on one base model cost speed (`adapter_speed_share`). The people and the
infrastructure that run servers are paid once; each member still pays the care that a bought API would take.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from capacity.plan import replicas_needed
from facts.errors import InputError
from facts.records import nearest
from pricing.costs import MonthlyCosts
from selector.catalog import Catalog
from selector.evaluation import Evaluation, Numbers, Supply, costs_beside, server_costs
from selector.quality import Kind
from selector.recommendation import Considered, action_of, best_of, consider, error_cost_usd, expected_of, expected_usd, spent_usd
from selector.results import Action, Placement
from selector.scenarios import TABLES, Scenario, scenario_of
from selector.sentences import usd
from workloads.demand import Workload

ADAPTER_STEP_MS: Final = 2.0
"""What many adapters on one base model add to a step: about 2 ms (Punica, MLSys 2024, https://arxiv.org/abs/2310.18547)."""
PLATFORM_LINES: Final = frozenset({"staff", "supporting_infra", "on_call", "monitoring", "implementation"})
"""The lines of a bill that run servers, whoever uses them."""
MOST_WORKLOADS: Final = 20_000


@dataclass(frozen=True, kw_only=True)
class PortfolioRow:
    """One workload's verdict; amounts over the horizon.

    name: of the workload
    action: stay, test_first, move or none_feasible; None where nothing can be computed
    option_id, title: on what
    baseline_usd: today's model, None where it may not run
    total_usd: of the recommended option
    saving_usd: baseline less recommended
    expected_usd: what it is ranked by
    probability: that it is good enough
    pool_id: the pool that would serve it for less, or ""
    error: why nothing can be computed, or ""
    """

    name: str
    action: Action | None = None
    option_id: str = ""
    title: str = ""
    baseline_usd: float | None = None
    total_usd: float | None = None
    saving_usd: float | None = None
    expected_usd: float | None = None
    probability: float | None = None
    pool_id: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Workloads on shared servers; amounts over the horizon.

    id: unique in the portfolio
    title: base model and server in words
    option_id, model, placement, provider: what is shared and who is paid
    members: names of the workloads
    adapters: how many of them have an adapter of their own on the base model
    replicas: of the pool in its busiest month, spares included
    separate_replicas: of the same workloads, each on servers of its own, in each one's busiest month
    total_usd: the pool, everything of its members in it
    separate_usd: the same workloads on the same servers, each on its own
    verdicts_usd: what the members' own verdicts cost
    expected_usd, verdicts_expected_usd: the same with the chance of not being good enough counted
    saving_usd: the members' verdicts less the pool, in expected cost
    sentence: the same in words
    """

    id: str
    title: str
    option_id: str
    model: str
    placement: Placement
    provider: str
    members: tuple[str, ...]
    adapters: int
    replicas: int
    separate_replicas: int
    total_usd: float
    separate_usd: float
    verdicts_usd: float
    expected_usd: float
    verdicts_expected_usd: float
    saving_usd: float
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Portfolio:
    """Many workloads at once; amounts over the horizon, workloads that could not be computed left out.

    rows: one per workload, in their order
    pools: what sharing saves, the largest saving first
    horizon_months: of every workload
    baseline_usd: today's models, where they may run
    total_usd: the verdicts
    saving_usd: of the workloads whose baseline may run, baseline less verdict
    expected_usd: the verdicts, with the chance of not being good enough counted
    pooled_saving_usd: what the pools save beyond the verdicts, in expected cost
    failed: workloads that could not be computed
    sentence: the whole in words
    """

    rows: tuple[PortfolioRow, ...]
    pools: tuple[Pool, ...]
    horizon_months: int
    baseline_usd: float
    total_usd: float
    saving_usd: float
    expected_usd: float
    pooled_saving_usd: float
    failed: int
    sentence: str


def decide_all(scenarios: Sequence[Scenario], catalog_of: Callable[[Scenario], Catalog]) -> Portfolio:
    """A verdict for each of many workloads, what they cost together, and the pools that would cost less.

    catalog_of: the catalogue for a workload, asked once for each: give the same one where the prices are the same
    """
    horizon = _one_horizon(scenarios)
    rows: list[PortfolioRow] = []
    candidates: dict[tuple[Any, ...], list[_Candidate]] = defaultdict(list)
    for place, scenario in enumerate(scenarios):
        try:
            considered = consider(scenario, catalog_of(scenario))
        except InputError as error:
            rows.append(PortfolioRow(name=scenario.workload.name, error=str(error)))
            continue
        best = best_of(considered)
        rows.append(_row(considered, best))
        for candidate in _candidates(place, considered, best):
            candidates[candidate.key].append(candidate)
    pools = _pools(candidates, rows)
    return _portfolio(rows, pools, horizon)


def adapter_speed_share(tpot_ms: float) -> float:
    """Speed of a base model with many adapters over that without: a step of `tpot_ms` takes 2 ms longer (Punica).

    >>> adapter_speed_share(18.0)
    0.9
    """
    return tpot_ms / (tpot_ms + ADAPTER_STEP_MS)


def read_portfolio(path: Path) -> tuple[Scenario, ...]:
    """Workloads from a CSV file: a row each, columns named as the workload's fields; also `prices.KEY` and `assumptions.KEY`.

    An empty cell leaves the default. Lists are separated by semicolons.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{path} cannot be read: {reason}") from None
    return portfolio_from_csv(text, str(path))


def portfolio_from_csv(text: str, where: str = "the text") -> tuple[Scenario, ...]:
    """The same from CSV text; `where` begins every error."""
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        _check_header(header, where)
        found = [_scenario(header, cells, f"{where}, line {reader.line_num}") for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num} is no CSV: {error}") from None
    if not found:
        raise InputError(f"{where} holds no workload: a header and a row per workload are wanted")
    if len(found) > MOST_WORKLOADS:
        raise InputError(f"{where} holds {len(found)} workloads, at most {MOST_WORKLOADS} are decided at once: split the file")
    names = [scenario.workload.name for scenario in found]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise InputError(f"{where}: the name '{twice}' stands twice: give each workload its own")
    return tuple(found)


# ---- reading ----


def _check_header(header: list[str], where: str) -> None:
    known = [
        *Workload.model_fields,
        *(f"{table}.{key}" for table in TABLES for key in Scenario.model_fields[table].default.model_fields_set),
    ]
    if not header or "name" not in header:
        raise InputError(f"{where} has no column 'name': the first line names the columns, and each workload has a name")
    for place, column in enumerate(header):
        table, dot, _ = column.partition(".")
        if column not in Workload.model_fields and not (dot and table in TABLES):
            raise InputError(f"{where}: unknown column '{column}'{nearest(column, known)}")
        if column in header[:place]:
            raise InputError(f"{where}: the column '{column}' stands twice")


def _scenario(header: list[str], cells: list[str], where: str) -> Scenario:
    if len(cells) > len(header):
        raise InputError(f"{where} has {len(cells)} cells, the header {len(header)} columns")
    document: dict[str, Any] = {}
    for column, cell in zip(header, cells, strict=False):
        if not cell.strip():
            continue
        table, dot, key = column.partition(".")
        if dot:
            document.setdefault(table, {})[key] = _value(cell.strip())
        else:
            document[column] = _field_value(column, cell.strip())
    return scenario_of(document, where)


def _field_value(column: str, cell: str) -> Any:
    kind = str(Workload.model_fields[column].annotation)
    if "tuple" in kind:
        return [_value(part.strip()) for part in cell.split(";") if part.strip()]
    return _value(cell) if "float" in kind or "int" in kind or "bool" in kind else cell


def _value(cell: str) -> Any:
    if cell.lower() in ("true", "false"):
        return cell.lower() == "true"
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell


def _one_horizon(scenarios: Sequence[Scenario]) -> int:
    horizons = sorted({scenario.workload.horizon_months for scenario in scenarios})
    if not horizons:
        raise InputError("no workload is given")
    if len(horizons) > 1:
        raise InputError(
            f"the workloads cover {horizons[0]} and {horizons[-1]} months and cannot be added up: give all the same horizon_months"
        )
    return horizons[0]


# ---- verdicts ----


def _row(considered: Considered, best: Evaluation | None) -> PortfolioRow:
    name, baseline = considered.asked.scenario.workload.name, considered.baseline
    baseline_usd = _total(baseline) if baseline.feasible else None
    if best is None:
        return PortfolioRow(name=name, action=Action.NONE_FEASIBLE, baseline_usd=baseline_usd)
    chance, total = best.quality.probability, _total(best)
    return PortfolioRow(
        name=name,
        action=action_of(
            option_id=best.option.id,
            arm=best.option.arm,
            probability=chance,
            gate_passed=best.gate_passed,
            baseline_id=baseline.option.id,
        ),
        option_id=best.option.id,
        title=best.option.title,
        baseline_usd=baseline_usd,
        total_usd=total,
        saving_usd=None if baseline_usd is None else baseline_usd - total,
        expected_usd=expected_of(best, considered.fallback, considered.asked),
        probability=chance,
    )


def _total(evaluation: Evaluation) -> float:
    assert evaluation.bill is not None
    return float(evaluation.bill.costs.total_usd)


def _portfolio(rows: list[PortfolioRow], pools: tuple[Pool, ...], horizon: int) -> Portfolio:
    named = {place: pool.id for pool in pools for place in _places(pool, rows)}
    shown = tuple(replace(row, pool_id=named.get(place, "")) for place, row in enumerate(rows))
    total = sum(row.total_usd or 0.0 for row in rows)
    saving = sum(row.saving_usd or 0.0 for row in rows)
    pooled = sum(pool.saving_usd for pool in pools)
    failed = sum(bool(row.error) for row in rows)
    decided = len(rows) - failed
    changed = sum(row.action in (Action.TEST_FIRST, Action.MOVE) for row in rows)
    parts = [f"{decided:,} workloads cost {usd(total)} over {horizon} months by their own verdicts, {usd(saving)} less than today"]
    parts.append(f"{changed:,} of them leave today's model, most after a test" if changed else "all of them stay on today's model")
    if pools:
        members = sum(len(pool.members) for pool in pools)
        parts.append(f"{members:,} on shared servers would save {usd(pooled)} more, with the chance of failing counted")
    if failed:
        parts.append(f"{failed:,} could not be computed and are in no total")
    return Portfolio(
        rows=shown,
        pools=pools,
        horizon_months=horizon,
        baseline_usd=sum(row.baseline_usd or 0.0 for row in rows),
        total_usd=total,
        saving_usd=saving,
        expected_usd=sum(row.expected_usd or 0.0 for row in rows),
        pooled_saving_usd=pooled,
        failed=failed,
        sentence="; ".join(parts) + ".",
    )


def _places(pool: Pool, rows: list[PortfolioRow]) -> Iterable[int]:
    members = set(pool.members)
    return (place for place, row in enumerate(rows) if row.name in members)


# ---- pools ----


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A workload that might share the servers of one supply.

    key: what candidates of one pool have in common
    place: of the workload in the portfolio
    supply, numbers: as in the decision
    load: replicas that the peak takes of each month, not rounded, (months,)
    beside: the bill beside the servers; platform: those of its lines that run servers
    own_usd: what it pays in any pool: its other lines, and the people and the work upfront that a bought API would take
    probability, spent_usd, error_usd, fallback_usd: for the expected cost
    verdict_usd, verdict_expected_usd: what the workload's own verdict costs
    """

    key: tuple[Any, ...]
    place: int
    name: str
    supply: Supply
    numbers: Numbers
    load: NDArray[np.float64]
    beside: MonthlyCosts
    platform: MonthlyCosts
    own_usd: float
    probability: float
    spent_usd: float
    error_usd: float
    fallback_usd: float
    verdict_usd: float
    verdict_expected_usd: float


def _candidates(place: int, considered: Considered, best: Evaluation | None) -> Iterable[_Candidate]:
    asked, fallback = considered.asked, considered.fallback
    if best is None or fallback is None:
        return
    verdict_expected = expected_of(best, fallback, asked)
    assert verdict_expected is not None
    numbers = asked.numbers
    for found in considered.evaluations:
        shared = found.option.placement in (Placement.RENTED, Placement.OWNED) and found.option.kind is not Kind.ENCODER
        if not (shared and found.feasible):
            continue
        is_fallback = found.option.id == fallback.option.id  # what is fallen back on is paid for whatever its chance
        beside: MonthlyCosts | None = None
        for supply in found.supplies:
            assert supply.plan is not None
            if beside is None or supply.training_gpu_hours_per_mtok is not None:  # all that differs by supply is training on its GPUs
                beside = costs_beside(supply, numbers)
                own, platform = _parted(beside)
                upfront, care = _care(platform, supply, numbers)
            candidate = _Candidate(
                key=_key(supply, numbers, asked.scenario),
                place=place,
                name=asked.scenario.workload.name,
                supply=supply,
                numbers=numbers,
                load=numbers.peak_requests_per_s / supply.plan.capacity_requests_per_s,
                beside=beside,
                platform=platform,
                own_usd=float(own.total_usd) + float(care.sum()) + upfront,
                probability=1.0 if is_fallback else found.quality.probability,
                spent_usd=spent_usd(beside),
                error_usd=error_cost_usd(found, asked),
                fallback_usd=_total(fallback),
                verdict_usd=_total(best),
                verdict_expected_usd=verdict_expected,
            )
            if _least(candidate) < verdict_expected:
                yield candidate


def _key(supply: Supply, numbers: Numbers, scenario: Scenario) -> tuple[Any, ...]:
    """What must be the same to share servers: model, precision, engine, server, its price, when it goes live, what a user will wait."""
    price = supply.rental.usd_per_gpu_hour if supply.rental is not None else supply.server and supply.server.capex_usd_per_gpu
    option, workload = supply.option, scenario.workload
    return (
        *(option.model, option.quantization, option.engine, option.placement, supply.provider, supply.device_id, supply.gpus),
        *(price, supply.power_kw, supply.months_to_live, tuple(numbers.rent.tolist()), scenario.assumptions.owning()),
        *(workload.ttft_p95_ms, workload.tpot_p95_ms),
    )


def _parted(beside: MonthlyCosts) -> tuple[MonthlyCosts, MonthlyCosts]:
    """A bill beside the servers in two: the workload's own lines, and those that run the servers."""
    months = beside.months
    own = [tuple(line for line in lines if line.name not in PLATFORM_LINES) for lines in (beside.upfront_lines, beside.lines)]
    run = [tuple(line for line in lines if line.name in PLATFORM_LINES) for lines in (beside.upfront_lines, beside.lines)]
    return (
        MonthlyCosts(months=months, upfront_lines=own[0], lines=own[1]),
        MonthlyCosts(months=months, upfront_lines=run[0], lines=run[1]),
    )


def _care(platform: MonthlyCosts, supply: Supply, numbers: Numbers) -> tuple[float, NDArray[np.float64]]:
    """What each member of a pool still pays for itself: the people and the work upfront that a bought API takes, never more than alone."""
    assumed, placement = numbers.assumptions, supply.option.placement.value
    staff = assumed.running(placement).staff_fte
    share = min(1.0, float(assumed.running("api").staff_fte) / float(staff)) if staff else 0.0
    upfront = min(float(platform.line("implementation")), assumed.implementation("api"))
    return upfront, platform.line("staff") * share


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """The cost of a set of candidates on one pool: what each pays and what comes together, (members,) and numbers."""

    total_usd: float
    expected_usd: NDArray[np.float64]
    replicas: int


def _pools(candidates: dict[tuple[Any, ...], list[_Candidate]], rows: list[PortfolioRow]) -> tuple[Pool, ...]:
    """Pools taken one after another, that of the largest saving first; a workload is in one pool at most."""
    taken: set[int] = set()
    pools: list[Pool] = []
    best: dict[tuple[Any, ...], tuple[list[_Candidate], _Shared, float]] = {}
    stale = set(candidates)
    while True:
        for key in sorted(stale, key=str):
            found = _stable([one for one in candidates[key] if one.place not in taken])
            if found is None:
                best.pop(key, None)
            else:
                best[key] = found
        if not best:
            return tuple(pools)
        key = max(best, key=lambda key: (best[key][2], str(key)))
        members, shared, saving = best.pop(key)
        pools.append(_pool(f"pool-{len(pools) + 1}", members, shared, saving))
        places = {member.place for member in members}
        taken |= places
        stale = {other for other, (found, _, _) in best.items() if places & {one.place for one in found}} | {key}


def _stable(members: list[_Candidate]) -> tuple[list[_Candidate], _Shared, float] | None:
    """The members for whom the pool costs less than their own verdict: who gains least leaves, until all who are left gain."""
    members = _one_each(members)
    while len(members) > 1:
        shared = _shared(members)
        gains = np.array([one.verdict_expected_usd for one in members]) - shared.expected_usd
        if gains.min() >= 0.0:
            saving = float(gains.sum())
            return (members, shared, saving) if saving > 0.0 else None
        leaving = max(1, int((gains < 0.0).sum()) // 8)  # several of many at once: a thousand are sorted out in some dozens of steps
        stay = np.sort(np.argsort(gains, kind="stable")[leaving:])
        members = [members[place] for place in stay]
    return None


def _one_each(members: list[_Candidate]) -> list[_Candidate]:
    """A workload that the same servers suit twice, tuned and untuned, comes with the form of lower cost to itself."""
    kept: dict[int, _Candidate] = {}
    for one in members:
        other = kept.get(one.place)
        if other is None or _least(one) < _least(other):
            kept[one.place] = one
    return list(kept.values())


def _least(one: _Candidate) -> float:
    """Expected cost in a pool whose servers and platform are paid by others: no pool is cheaper to this member."""
    return expected_usd(one.probability, one.own_usd + one.error_usd, one.spent_usd, one.fallback_usd)


def _shared(members: list[_Candidate]) -> _Shared:
    """One pool's bill, split: servers by load, the platform by head, and everything else as it falls."""
    count, reference = len(members), members[0]
    speed = _speed(members)
    loads = np.array([one.load for one in members]) / speed
    servers = _servers(members, loads.sum(axis=0))
    platform = _platform_usd(members)
    by_load = loads.sum(axis=1) / loads.sum()
    own = np.array([one.own_usd for one in members])
    totals = own + platform / count + float(servers.total_usd) * by_load
    chance, spent, errors, fallback = (
        np.array([getattr(one, name) for one in members]) for name in ("probability", "spent_usd", "error_usd", "fallback_usd")
    )
    assert reference.supply.plan is not None
    return _Shared(
        total_usd=float(totals.sum()),
        expected_usd=chance * (totals + errors) + (1.0 - chance) * (spent + fallback),
        replicas=int(replicas_needed(loads.sum(axis=0), 1.0).max()) + max(_spares(one) for one in members),
    )


def _servers(members: list[_Candidate], load: NDArray[np.float64]) -> MonthlyCosts:
    """The pool's servers: those of a single workload whose peak takes as many replicas as all together."""
    reference = max(members, key=_spares)
    assert reference.supply.plan is not None
    peak = load * reference.supply.plan.capacity_requests_per_s
    return server_costs(reference.supply, replace(reference.numbers, peak_requests_per_s=peak))


def _spares(one: _Candidate) -> int:
    assert one.supply.plan is not None
    return one.supply.plan.spare_replicas


def _speed(members: list[_Candidate]) -> float:
    """Speed with all adapters over that without: one workload's weights alone need no adapter."""
    plan = members[0].supply.plan
    assert plan is not None
    if not any(one.supply.option.tuned for one in members) or plan.tpot_ms is None:
        return 1.0
    return adapter_speed_share(min(one.supply.plan.tpot_ms for one in members if one.supply.plan and one.supply.plan.tpot_ms))


def _platform_usd(members: list[_Candidate]) -> float:
    """People, infrastructure and implementation of the servers, once: of each month the dearest member's."""
    upfront = max(float(one.platform.upfront_usd) for one in members)
    return upfront + float(np.max([one.platform.month_totals_usd for one in members], axis=0).sum())


def _pool(pool_id: str, members: list[_Candidate], shared: _Shared, saving: float) -> Pool:
    supply = members[0].supply
    separate = sum(float((server_costs(one.supply, one.numbers) + one.beside).total_usd) for one in members)
    replicas = sum(int(replicas_needed(one.load, 1.0).max()) + _spares(one) for one in members)
    adapters = sum(one.supply.option.tuned for one in members)
    where = f" at {supply.provider}" if supply.provider else ", own servers"
    title = f"{supply.option.model} on {supply.server_title}{where}"
    kind = f" with {adapters:,} adapters" if adapters else ""
    return Pool(
        id=pool_id,
        title=title,
        option_id=supply.option.id,
        model=supply.option.model,
        placement=supply.option.placement,
        provider=supply.provider,
        members=tuple(one.name for one in members),
        adapters=adapters,
        replicas=shared.replicas,
        separate_replicas=replicas,
        total_usd=shared.total_usd,
        separate_usd=separate,
        verdicts_usd=sum(one.verdict_usd for one in members),
        expected_usd=float(shared.expected_usd.sum()),
        verdicts_expected_usd=sum(one.verdict_expected_usd for one in members),
        saving_usd=saving,
        sentence=(
            f"{len(members):,} workloads share {title}{kind}: {shared.replicas:,} replicas instead of {replicas:,}, "
            f"{usd(shared.total_usd)} instead of {usd(separate)} on servers of their own; "
            f"{usd(saving)} less than their own verdicts are expected to cost."
        ),
    )
