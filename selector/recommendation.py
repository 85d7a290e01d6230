"""recommend(): the one door. A scenario and a catalogue in, a whole decision out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facts.errors import InputError
from facts.records import Basis
from pricing.costs import MonthlyCosts
from pricing.finance import npv_usd, payback_months, roi
from pricing.tco import amortised_view, co2e_kg
from selector import sentences
from selector.alarms import alarms_of
from selector.base_models import NOT_BY_QUALITY, SHORTLISTED, Tried, choice_of, entry_of
from selector.catalog import Catalog
from selector.evaluation import Asked, Bill, Evaluation, evaluate, params_b, spent_if_it_fails_usd, tried_of, with_all_tried
from selector.factors import RANK, preference, winner
from selector.gates import MIN_PROBABILITY
from selector.linear import linear_rows
from selector.local import local_machine
from selector.options import Option, list_options
from selector.own_options import keep
from selector.own_test import right_share_of
from selector.public import to_json
from selector.quality import MARGIN_SHARE, quantization_note
from selector.register import NOT_COUNTED, sources_of
from selector.results import (
    METHOD_VERSION,
    Action,
    Arm,
    BaseModelChoice,
    BaseModelEntry,
    Choice,
    Leaf,
    Line,
    Measured,
    Month,
    MovesMost,
    OptionResult,
    PathStep,
    Placement,
    Recommendation,
    SourceLine,
    TableRow,
    TokenCount,
)
from selector.scenarios import Scenario
from selector.tasks import task_of
from selector.token_counts import check_counted_with, unsaid
from selector.tree import Tree, load_tree, walk
from workloads.demand import Workload
from workloads.requirements import requirements_of

ERROR_SHARE_WITHIN_MARGIN = MARGIN_SHARE / 2.0
"""Extra wrong answers of an option that is good enough: half the margin, for want of a measurement."""
SERVER_LINES = frozenset({"servers", "rental", "energy", "hosting", "maintenance"})
"""The lines whose size follows from a server's measured speed."""

__all__ = ["recommend", "to_json"]


@dataclass(frozen=True, kw_only=True)
class Considered:
    """Every option evaluated on its own, before they are compared.

    asked: what they were evaluated for
    tree, path, leaf: the walk through the decision tree
    baseline: today's model
    fallback: what is paid for when an option fails its test: the baseline, or the likeliest option where that may not run
    evaluations: all options, the baseline first
    """

    asked: Asked
    tree: Tree
    path: tuple[PathStep, ...]
    leaf: Leaf
    baseline: Evaluation
    fallback: Evaluation | None
    evaluations: tuple[Evaluation, ...]


def recommend(scenario: Scenario, catalog: Catalog, tree: Tree | None = None) -> Recommendation:
    """Walk the tree, list, gate, price and rank every option, and say what to do.

    Ranked by expected cost: P x the option's total + (1 - P) x (what testing and tuning it cost + the fallback's total), plus the user's
    own cost of wrong answers. The fallback is the baseline; where the baseline may not run, the feasible option most likely good enough.
    """
    return conclude(consider(scenario, catalog, tree))


def consider(scenario: Scenario, catalog: Catalog, tree: Tree | None = None) -> Considered:
    """Gates, servers and bill of every option."""
    tree = tree or load_tree()
    workload = scenario.workload
    check_counted_with(workload)
    requirements = requirements_of(workload)
    path, leaf = walk(tree, workload)
    keep(scenario.own)
    options = list_options(workload, scenario.own, blended_price=catalog.prices.overrides.api_blended_usd_per_mtok is not None)
    nothing = np.zeros(requirements.horizon_months)
    asked = Asked(
        scenario=scenario,
        requirements=requirements,
        task=task_of(workload),
        catalog=catalog,
        baseline_usd=nothing,
        machine=local_machine(catalog),
    )
    baseline = evaluate(options[0], asked)
    if baseline.bill is None:
        raise InputError(str(baseline.refused_because).removeprefix("price: "))
    paid_meanwhile = baseline.bill.costs.month_totals_usd if baseline.feasible else nothing
    asked = replace(asked, baseline_usd=paid_meanwhile)
    evaluations = (baseline, *(evaluate(option, asked) for option in options[1:]))
    for last_resort in (frozenset(leaf.arms), frozenset(Arm)):
        if not any(evaluation.feasible for evaluation in evaluations):
            asked = replace(asked, last_resort=last_resort)
            evaluations = (baseline, *(evaluate(option, asked) for option in options[1:]))
    fallback = baseline if baseline.feasible else _likeliest(evaluations)
    return Considered(asked=asked, tree=tree, path=path, leaf=leaf, baseline=baseline, fallback=fallback, evaluations=evaluations)


def conclude(considered: Considered) -> Recommendation:
    """Rank what was considered, and say what to do."""
    asked, baseline, evaluations = considered.asked, considered.baseline, considered.evaluations
    scenario, catalog, leaf = asked.scenario, asked.catalog, considered.leaf
    evaluations = _shortlisted(considered)
    results = tuple(_result(evaluation, baseline, considered.fallback, asked) for evaluation in evaluations)
    results = _against_70b(results, evaluations)
    results = (results[0], *sorted(results[1:], key=_rank))
    results = _mark_tree_pick(results, leaf)
    models = [_base_model(result, evaluations, results) for result in results]
    results = tuple(result if found is None else replace(result, base_model=found) for result, found in zip(results, models, strict=True))
    choice = _choice(results, considered)
    table = _table(results, baseline.option.id)
    sources = sources_of(evaluations, asked, choice.option_id)
    return Recommendation(
        as_of=catalog.as_of,
        method_version=METHOD_VERSION,
        inputs_sha256=_digest(scenario, catalog, considered.tree, sources),
        scenario=scenario,
        path=considered.path,
        leaf=leaf,
        choice=choice,
        options=results,
        table=table,
        article_method=linear_rows(scenario.workload, table, results),
        measured=_measured(results, choice, asked),
        alarms=alarms_of(asked, evaluations),
        not_counted=(*NOT_COUNTED, *unsaid(scenario)),
        sources=sources,
    )


def expected_usd(probability: float, total_usd: float, spent_usd: float, fallback_usd: float) -> float:
    """P x total + (1 - P) x (spent on the test + the fallback's total).

    >>> expected_usd(0.8, 100.0, 10.0, 300.0)
    142.0
    """
    return probability * total_usd + (1.0 - probability) * (spent_usd + fallback_usd)


def expected_of(evaluation: Evaluation, fallback: Evaluation | None, asked: Asked) -> float | None:
    """What an option is ranked by; None where it is not feasible, or nothing is left to fall back on."""
    if not evaluation.feasible or evaluation.bill is None or fallback is None or fallback.bill is None:
        return None
    total = _total(evaluation) + error_cost_usd(evaluation, asked)
    if evaluation.option.id == fallback.option.id:
        return total
    return expected_usd(evaluation.quality.probability, total, spent_usd(evaluation.bill.costs), _total(fallback))


def best_of(considered: Considered) -> Evaluation | None:
    """The recommended option, without the rest of the decision; None where nothing is feasible."""
    feasible = sorted((found for found in considered.evaluations if found.feasible), key=lambda found: found.option.id)
    if not feasible:
        return None
    costs = [expected_of(found, considered.fallback, considered.asked) or 0.0 for found in feasible]
    workload = considered.asked.scenario.workload
    return feasible[winner(costs, [preference(found.factors, workload) for found in feasible])]


def action_of(*, option_id: str | None, arm: Arm | None, probability: float, gate_passed: bool, baseline_id: str) -> Action:
    """Stay on the baseline; move to what passed its test, or is the same model; test everything else first."""
    if option_id is None:
        return Action.NONE_FEASIBLE
    if option_id == baseline_id:
        return Action.STAY
    same_model = arm is Arm.API and probability >= 1.0
    return Action.MOVE if gate_passed or same_model else Action.TEST_FIRST


# ---- below: how ----


def _likeliest(evaluations: Iterable[Evaluation]) -> Evaluation | None:
    feasible = [evaluation for evaluation in evaluations if evaluation.feasible]
    return max(feasible, key=lambda found: (found.quality.probability, -_total(found)), default=None)


def _total(evaluation: Evaluation) -> float:
    assert evaluation.bill is not None
    return float(evaluation.bill.costs.total_usd)


def _result(evaluation: Evaluation, baseline: Evaluation, fallback: Evaluation | None, asked: Asked) -> OptionResult:
    option, bill = evaluation.option, evaluation.bill
    bare = OptionResult(
        id=option.id,
        title=option.title,
        arm=option.arm,
        placement=option.placement,
        model=option.model,
        quantization=option.quantization,
        engine=option.engine,
        feasible=evaluation.feasible,
        refused_because=evaluation.refused_because,
        verdicts=evaluation.verdicts,
        quality=evaluation.quality,
        live_after_months=float(evaluation.live_after_months),
        gate_passed=evaluation.gate_passed,
        factors=evaluation.factors,
        notes=tuple(note for note in (option.note,) if note),
    )
    if bill is None:
        return bare
    assert baseline.bill is not None
    costs, base = bill.costs, baseline.bill.costs
    flow = base - costs
    tokens = float(asked.requirements.volume.total_tokens.sum())
    total, spent, errors = float(costs.total_usd), spent_usd(costs), error_cost_usd(evaluation, asked)
    expected = expected_of(evaluation, fallback, asked)
    return replace(
        bare,
        provider=bill.provider,
        plan=bill.plan,
        upfront_lines=tuple(Line(name=line.name, usd=float(line.usd)) for line in costs.upfront_lines),
        upfront_usd=float(costs.upfront_usd),
        months=_months(costs),
        total_usd=total,
        expected_usd=expected,
        spent_if_it_fails_usd=spent,
        error_cost_usd=errors,
        usd_per_mtok=total / (tokens / 1e6),
        usd_per_right_answer=_usd_per_right_answer(evaluation, total, asked),
        npv_usd=0.0 if option.baseline else float(npv_usd(flow, asked.scenario.assumptions.discount_rate_per_year)),
        roi=None if option.baseline else _number(roi(base.total_usd, costs.total_usd, costs.upfront_usd)),
        payback_months=None if option.baseline else _number(payback_months(flow)),
        run_rate_year_usd=float(costs.run_rate_year_usd),
        amortised_total_usd=_amortised_usd(evaluation, asked),
        energy_kwh=None if bill.kwh is None else float(bill.kwh.sum()),
        kwh_per_mtok=None if bill.kwh is None else float(bill.kwh.sum() / (tokens / 1e6)),
        co2e_kg=_co2e_kg(bill, asked),
        tokens=_tokens(evaluation),
        notes=(*bare.notes, *bill.notes, *_what_the_weights_lose(option), *_other_tokens(evaluation)),
    )


def _tokens(evaluation: Evaluation) -> TokenCount | None:
    """Its tokenizer against that of the user's counts; None where it is not said whose those are."""
    count = evaluation.supplies[0].tokens
    return count if count.because else None


def _other_tokens(evaluation: Evaluation) -> tuple[str, ...]:
    """That its tokenizer is another than that of the user's counts, or is not known."""
    count = _tokens(evaluation)
    return (count.because,) if count is not None and count.basis is not Basis.PUBLISHED else ()


def _usd_per_right_answer(evaluation: Evaluation, total_usd: float, asked: Asked) -> float | None:
    """From measured rates only: total / (requests x share right on the user's own cases)."""
    right = right_share_of(evaluation.option, asked.catalog.gates)
    return None if not right else total_usd / (float(asked.requirements.volume.requests.sum()) * right)


def _what_the_weights_lose(option: Option) -> tuple[str, ...]:
    """What the precision it is served in was seen to cost."""
    note = quantization_note(option.quantization, params_b(option.model)) if option.quantization and option.model else ""
    return (note,) if note else ()


def _amortised_usd(evaluation: Evaluation, asked: Asked) -> float | None:
    """The total of an owned option with depreciation and capital charge instead of the purchase; shown beside, never ranked."""
    if evaluation.bill is None or evaluation.option.placement is not Placement.OWNED:
        return None
    return float(amortised_view(evaluation.bill.costs, asked.scenario.assumptions.owning()).total_usd)


def _co2e_kg(bill: Bill, asked: Asked) -> float | None:
    """Emissions of the electricity, where the user states the grid's intensity."""
    intensity = asked.scenario.assumptions.grid_kg_co2e_per_kwh
    return None if bill.kwh is None or intensity is None else float(co2e_kg(bill.kwh, intensity).sum())


def _months(costs: MonthlyCosts) -> tuple[Month, ...]:
    names, totals = [line.name for line in costs.lines], costs.month_totals_usd.tolist()
    by_month = np.array([line.usd for line in costs.lines]).reshape(-1, costs.months).T.tolist()
    found: list[Month] = []
    for month, (amounts, total) in enumerate(zip(by_month, totals, strict=True), start=1):
        # Most months are like the one before: they share its lines.
        same = month > 1 and amounts == by_month[month - 2]
        lines = found[-1].lines if same else tuple(Line(name=name, usd=usd) for name, usd in zip(names, amounts, strict=True))
        found.append(Month(month=month, lines=lines, total_usd=total))
    return tuple(found)


def spent_usd(costs: MonthlyCosts) -> float:
    """What is gone when an option fails its test, as a plain number."""
    return float(spent_if_it_fails_usd(costs))


def error_cost_usd(evaluation: Evaluation, asked: Asked) -> float:
    """USD per wrong case x requests once live x extra wrong answers of an option that is good enough; 0 for the baseline."""
    usd = asked.scenario.assumptions.usd_per_wrong_case
    if evaluation.option.baseline or usd == 0.0:
        return 0.0
    live = np.arange(asked.requirements.horizon_months) >= evaluation.live_after_months
    requests: NDArray[np.float64] = asked.requirements.volume.requests * live
    return float(requests.sum() * ERROR_SHARE_WITHIN_MARGIN * usd)


def _against_70b(results: tuple[OptionResult, ...], evaluations: tuple[Evaluation, ...]) -> tuple[OptionResult, ...]:
    """Every option's payback against the cheapest self-hosted 70B, feasible ones first."""
    bills = {evaluation.option.id: evaluation.bill for evaluation in evaluations}
    seventy = [result for result in results if result.arm is Arm.SELF_HOSTED_70B and result.total_usd is not None]
    if not seventy:
        return results
    best = bills[min(seventy, key=lambda result: (not result.feasible, result.total_usd or 0.0)).id]
    assert best is not None
    filled = []
    for result in results:
        bill = bills[result.id]
        same = bill is None or bill is best
        payback = None if bill is None or same else _number(payback_months(best.costs - bill.costs))
        filled.append(result if payback is None else replace(result, payback_vs_70b_months=payback))
    return tuple(filled)


def _rank(result: OptionResult) -> tuple[bool, float, str]:
    cost = result.expected_usd if result.expected_usd is not None else result.total_usd
    return not result.feasible, math.inf if cost is None else cost, result.id


def tree_pick(results: Sequence[OptionResult], leaf: Leaf) -> OptionResult | None:
    """The feasible option of lowest expected cost of the first arm of the leaf that has one; a refused one where none is feasible.

    None where the leaf names no arm. `results` stand in the order of a decision.
    """
    named = [result for arm in leaf.arms for result in results if result.arm is arm]
    named = [result for result in named if result.placement in leaf.placements] or named
    return next((result for result in named if result.feasible), named[0] if named else None)


def _mark_tree_pick(results: tuple[OptionResult, ...], leaf: Leaf) -> tuple[OptionResult, ...]:
    pick = tree_pick(results, leaf)
    return tuple(replace(result, tree_pick=True) if result is pick else result for result in results)


def _shortlisted(considered: Considered) -> tuple[Evaluation, ...]:
    """The evaluations, with every base model priced of the recommended option: the pilot is about that one."""
    best = best_of(considered)
    return tuple(
        with_all_tried(found, considered.asked) if best is not None and found.option.id == best.option.id else found
        for found in considered.evaluations
    )


def _base_model(result: OptionResult, evaluations: tuple[Evaluation, ...], results: tuple[OptionResult, ...]) -> BaseModelChoice | None:
    """The base model of an option, and a shortlist that other options of the same arm and placement may stand on too."""
    options = {found.option.id: found.option for found in evaluations}
    found = next(found for found in evaluations if found.option.id == result.id)
    peers = [
        entry_of(options[other.id], other.total_usd)
        for other in results
        if other.feasible and other.id != result.id and (other.arm, other.placement) == (result.arm, result.placement)
    ]
    if found.option.placement is Placement.API:
        return _api_shortlist(result, found, peers)
    priced = found.tried or (tried_of(found),)
    unpriced = [Tried(option=one, total_usd=None, refused_because=None) for one in found.untried]
    return choice_of(found.option, (*priced, *unpriced), found.left_out, peers)


def _api_shortlist(result: OptionResult, found: Evaluation, peers: list[BaseModelEntry]) -> BaseModelChoice | None:
    """Models of one kind of API beside each other; None where there is nothing beside it, and for today's model."""
    if not peers or not result.feasible or result.arm is Arm.API:
        return None
    entries = (entry_of(found.option, result.total_usd), *sorted(peers, key=lambda entry: entry.total_usd or 0.0))[:SHORTLISTED]
    return BaseModelChoice(
        model=result.model, name=result.model, because="models of this kind that may be used", shortlist=entries, sentence=NOT_BY_QUALITY
    )


def _choice(results: tuple[OptionResult, ...], considered: Considered) -> Choice:
    workload, fallback = considered.asked.scenario.workload, considered.fallback
    baseline_id, horizon = considered.baseline.option.id, workload.horizon_months
    by_id = {result.id: result for result in results}
    feasible = sorted((result for result in results if result.feasible), key=_rank)
    baseline = by_id[baseline_id]
    tree = next((result for result in results if result.tree_pick), None)
    cheapest = min(feasible, key=lambda result: (result.total_usd or 0.0, result.id), default=None)
    best, tie_broken = _taken(feasible, considered)
    action = _action(best, baseline_id)
    moved = None if best is None else _moves_most(considered, best, feasible)
    shown_fallback = by_id[fallback.option.id] if fallback is not None else None
    saving = None
    if best is not None and baseline.total_usd is not None and best.total_usd is not None:
        saving = baseline.total_usd - best.total_usd
    return Choice(
        action=action,
        option_id=None if best is None else best.id,
        baseline_option_id=baseline_id,
        fallback_option_id=None if shown_fallback is None else shown_fallback.id,
        tree_option_id=None if tree is None else tree.id,
        cheapest_option_id=None if cheapest is None else cheapest.id,
        why_they_differ=sentences.why_they_differ(best, tree, cheapest),
        sentence=sentences.verdict(
            action, best, baseline, horizon, "" if moved is None else moved.words, None if best else _nearest(results, workload)
        ),
        saving_usd=saving,
        npv_usd=None if best is None else best.npv_usd,
        payback_months=None if best is None else best.payback_months,
        probability=None if best is None else best.quality.probability,
        tie_broken=tie_broken,
        moves_most=moved,
    )


def _nearest(results: tuple[OptionResult, ...], workload: Workload) -> OptionResult:
    """Of refused options, the one that the fewest gates refuse; then a likely one, the one closest to what is a must, the cheapest."""

    def distance(result: OptionResult) -> tuple[int, bool, int, float]:
        refusing = max(sum(not verdict.passed for verdict in result.verdicts), 1)
        must = sum(RANK[factor.level] for factor in result.factors if factor.name in workload.must_have)
        unlikely = result.quality.probability < MIN_PROBABILITY
        return refusing, unlikely, must, math.inf if result.total_usd is None else result.total_usd

    return min(results, key=lambda result: (*distance(result), result.id))


def _taken(feasible: list[OptionResult], considered: Considered) -> tuple[OptionResult | None, str]:
    """The feasible option of lowest expected cost, or one nearly as cheap that the organisation prefers; and what decided then."""
    if not feasible:
        return None, ""
    workload = considered.asked.scenario.workload
    costs = [result.expected_usd or 0.0 for result in feasible]
    place = winner(costs, [preference(result.factors, workload) for result in feasible])
    return feasible[place], "" if place == 0 else sentences.tie_broken(feasible[place], feasible[0], workload.tie_breakers)


def _moves_most(considered: Considered, best: OptionResult, feasible: list[OptionResult]) -> MovesMost | None:
    """For the recommended option, or for the next best one where the advice is to stay."""
    from selector.moves import moves_most  # it reads what is decided here

    about = best if best.id != considered.baseline.option.id else next((one for one in feasible if one.id != best.id), None)
    return None if about is None else moves_most(considered, about.id)


def _action(best: OptionResult | None, baseline_id: str) -> Action:
    if best is None:
        return Action.NONE_FEASIBLE
    chance, passed = best.quality.probability, best.gate_passed
    return action_of(option_id=best.id, arm=best.arm, probability=chance, gate_passed=passed, baseline_id=baseline_id)


def _table(results: tuple[OptionResult, ...], baseline_id: str) -> tuple[TableRow, ...]:
    """The fixed three rows; each arm stands by its feasible option of lowest total, by a refused one where none is feasible."""
    rows = []
    for label, arm in (("GPT-4-class API", Arm.API), ("Self-hosted 70B", Arm.SELF_HOSTED_70B), ("Fine-tuned 7B", Arm.FINE_TUNED_7B)):
        named = [result for result in results if result.arm is arm and result.total_usd is not None]
        if arm is Arm.API:
            named = [result for result in named if result.id == baseline_id]
        refused = [result for result in results if result.arm is arm]
        best = min(named, key=lambda result: (not result.feasible, result.total_usd or 0.0), default=refused[0] if refused else None)
        rows.append(
            TableRow(
                label=label,
                option_id=None if best is None else best.id,
                total_usd=None if best is None else best.total_usd,
                upfront_usd=None if best is None else best.upfront_usd,
                roi=None if best is None else best.roi,
                payback_vs_api_months=None if best is None else best.payback_months,
                payback_vs_70b_months=None if best is None else best.payback_vs_70b_months,
                refused_because=None if best is None else best.refused_because,
            )
        )
    return tuple(rows)


def _measured(results: tuple[OptionResult, ...], choice: Choice, asked: Asked) -> Measured:
    """The share of the recommended option's cost that follows from a measurement of its own server and engine."""
    best = next((result for result in results if result.id == choice.option_id), None)
    behind = (asked.machine.measurement_id,) if asked.machine is not None else ()
    used = tuple(dict.fromkeys((*behind, *(result.plan.measured for result in results if result.plan and result.plan.measured))))
    share = 0.0
    if best is not None and best.plan is not None and best.plan.basis is Basis.MEASURED and best.total_usd:
        lines = [line for month in best.months for line in month.lines] + list(best.upfront_lines)
        share = sum(line.usd for line in lines if line.name in SERVER_LINES) / best.total_usd
    return Measured(share=share, sentence=_measured_sentence(best, share, asked), measurement_ids=used)


def _measured_sentence(best: OptionResult | None, share: float, asked: Asked) -> str:
    if best is None:
        return "Nothing is recommended, so nothing rests on a measurement."
    local = ""
    if asked.machine is not None:
        local = (
            f" The probe of this machine ({asked.machine.title}) supports the option that runs on it with llama.cpp; "
            "it says nothing of another server, of vLLM or of an API."
        )
    if best.plan is None:
        return f"{best.title} is paid by the token: its cost rests on a published price and your volume, not on a measured speed.{local}"
    if share > 0.0:
        return f"{sentences.percent(share)} of the cost of {best.title} rests on a measurement of its own server and engine.{local}"
    if best.placement is Placement.LOCAL:
        return (
            f"The speed of {best.title} is calculated from a probe of another model on the same machine, not measured with its own.{local}"
        )
    if best.plan.basis is Basis.CALIBRATED:
        engine = f"measurement {best.plan.measured[:12]}, taken with the same engine on the same device"
        return f"The speed of {best.title} is calculated from {engine}; it was not measured with its own model and load.{local}"
    return f"{best.title}: not measured on the server it would run on; its speed is estimated from data sheets.{local}"


def _number(value: NDArray[np.float64]) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _digest(scenario: Scenario, catalog: Catalog, tree: Tree, sources: tuple[SourceLine, ...]) -> str:
    """SHA-256 over everything that decides: inputs, day, method, tree, and the numbers in use with their sources."""
    document = {
        "scenario": scenario.model_dump(mode="json"),
        "as_of": catalog.as_of.isoformat(),
        "method": METHOD_VERSION,
        "prices": catalog.prices.identity,
        "tests": [str(gate) for gate in catalog.gates],
        "tree": [tree.id, tree.version],
        "sources": [str(line) for line in sources],
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
