"""A decision made by hand, as `recommend()` would return it: ten options, twelve months, one refused by each kind of gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from facts.records import Basis
from selector.results import (
    Action,
    Arm,
    Choice,
    Leaf,
    Line,
    Measured,
    Month,
    OptionResult,
    PathStep,
    Placement,
    Plan,
    QualityPrior,
    Recommendation,
    SourceLine,
    TableRow,
    Verdict,
)
from selector.scenarios import Scenario
from workloads.demand import Complexity, Workload

HORIZON = 12
TOKENS_PER_MONTH = 50e6 * 365 / 12


def workload(name: str = "Document analysis") -> Workload:
    return Workload(name=name, tokens_per_day=50e6, input_share=0.8, complexity=Complexity.EXTRACTION, labelled_examples=3200)


def quality(probability: float) -> QualityPrior:
    return QualityPrior(
        probability=probability,
        low=max(0.0, probability - 0.2),
        high=min(1.0, probability + 0.1),
        because="59 of 76 narrow datasets came within 5 % of GPT-4-class",
        basis=Basis.PUBLISHED,
        source="121 published datasets",
    )


def plan(replicas: int, gpus: int, server: str, *, basis: Basis = Basis.ESTIMATED, measured: str = "") -> Plan:
    return Plan(
        replicas=replicas,
        spare_replicas=1,
        gpus_per_replica=gpus,
        utilization_share=0.31,
        basis=basis,
        server=server,
        device_id="h100-sxm",
        capacity_tokens_per_month=9.1e9,
        replica_tokens_per_month=9.1e9,
        output_tokens_per_s=1834.5,
        concurrency=64,
        ttft_ms=240.0,
        tpot_ms=21.0,
        speed_low=0.6,
        speed_high=1.5,
        measured=measured,
    )


def option(
    option_id: str,
    title: str,
    arm: Arm,
    placement: Placement,
    monthly: dict[str, float],
    *,
    upfront: dict[str, float] | None = None,
    live_after: int = 0,
    probability: float = 0.9,
    refused: str | None = None,
    servers: Plan | None = None,
    baseline_usd: float = 22_812.5 + 900.0,
    provider: str = "",
    tree_pick: bool = False,
) -> OptionResult:
    """An option whose bill is `monthly` from the month it goes live on and the baseline's until then."""
    months = []
    for number in range(1, HORIZON + 1):
        lines = {"double_running": baseline_usd} if number <= live_after else monthly
        months.append(
            Month(month=number, lines=tuple(Line(name=name, usd=usd) for name, usd in lines.items()), total_usd=sum(lines.values()))
        )
    paid = upfront or {}
    upfront_usd = sum(paid.values())
    total = upfront_usd + sum(month.total_usd for month in months)
    baseline_total = baseline_usd * HORIZON
    running, payback = upfront_usd, None
    for month in months:
        before, running = running, running + month.total_usd
        if payback is None and running <= baseline_usd * month.month and upfront_usd:
            gap, step = before - baseline_usd * (month.month - 1), baseline_usd - month.total_usd
            payback = month.month - 1 + gap / step
    return OptionResult(
        id=option_id,
        title=title,
        arm=arm,
        placement=placement,
        model=option_id.split(":")[0],
        provider=provider,
        feasible=refused is None,
        refused_because=refused,
        verdicts=(Verdict(gate="residency", passed=refused is None, reason=refused or "the data may go anywhere"),),
        quality=quality(probability),
        plan=servers,
        upfront_lines=tuple(Line(name=name, usd=usd) for name, usd in paid.items()),
        upfront_usd=upfront_usd,
        months=tuple(months),
        total_usd=total,
        expected_usd=probability * total + (1 - probability) * (upfront_usd + baseline_total),
        spent_if_it_fails_usd=upfront_usd,
        error_cost_usd=0.0,
        usd_per_mtok=total / (TOKENS_PER_MONTH * HORIZON / 1e6),
        npv_usd=(baseline_total - total) * 0.95,
        roi=(baseline_total - total) / upfront_usd if upfront_usd else None,
        payback_months=payback,
        payback_vs_70b_months=None if payback is None else payback / 2,
        run_rate_year_usd=12 * months[-1].total_usd,
        live_after_months=live_after,
        tree_pick=tree_pick,
    )


def options() -> tuple[OptionResult, ...]:
    upfront_70b = {"implementation": 40_000.0}
    upfront_7b = {
        "implementation": 15_000.0,
        "labels": 6_400.0,
        "evaluation": 3_000.0,
        "finetune_runs": 210.0,
        "finetune_engineering": 18_000.0,
    }
    return (
        option(
            "ft7b:rented",
            "Qwen3-8B fine-tuned on 1 × L40S",
            Arm.FINE_TUNED_7B,
            Placement.RENTED,
            {"rental": 1_387.0, "staff": 3_600.0, "retraining": 350.0},
            upfront=upfront_7b,
            live_after=3,
            probability=0.78,
            servers=plan(2, 1, "1 × L40S"),
            provider="RunPod",
            tree_pick=True,
        ),
        option(
            "api_small:nano",
            "openai:gpt-5-nano, list price",
            Arm.API_SMALL,
            Placement.API,
            {"tokens_input": 60.83, "tokens_output": 121.67, "staff": 900.0},
            upfront={"implementation": 15_000.0, "evaluation": 3_000.0},
            live_after=1,
            probability=0.31,
        ),
        option("api:gpt-4o", "openai:gpt-4o, list price", Arm.API, Placement.API, {"tokens": 22_812.5, "staff": 900.0}, probability=1.0),
        option(
            "70b:rented",
            "Llama 3.3 70B on 2 × H100",
            Arm.SELF_HOSTED_70B,
            Placement.RENTED,
            {"rental": 11_680.0, "staff": 3_600.0},
            upfront=upfront_70b,
            live_after=2,
            probability=0.83,
            servers=plan(2, 2, "2 × H100 SXM"),
            provider="Lambda",
        ),
        option(
            "hosted:llama-3.3-70b",
            "Llama 3.3 70B, hosted by Together",
            Arm.HOSTED_OPEN,
            Placement.MANAGED,
            {"tokens_input": 1_070.5, "tokens_output": 267.6, "staff": 900.0},
            upfront={"implementation": 15_000.0, "evaluation": 3_000.0},
            live_after=1,
            probability=0.8,
            provider="Together",
        ),
        option(
            "mid:rented",
            "Qwen3-32B on 1 × H100",
            Arm.SELF_HOSTED_MID,
            Placement.RENTED,
            {"rental": 4_380.0, "staff": 3_600.0},
            upfront=upfront_70b,
            live_after=2,
            probability=0.6,
            servers=plan(2, 1, "1 × H100 SXM"),
        ),
        option(
            "70b:owned",
            "Llama 3.3 70B on own 4 × H100",
            Arm.SELF_HOSTED_70B,
            Placement.OWNED,
            {"energy": 510.0, "hosting": 820.0, "maintenance": 1_040.0, "staff": 4_500.0},
            upfront={"servers": 250_000.0, "implementation": 50_000.0},
            live_after=2,
            probability=0.83,
            servers=plan(2, 2, "2 × H100 SXM"),
        ),
        option(
            "encoder:deberta",
            "DeBERTa-v3 on 1 × L4",
            Arm.ENCODER,
            Placement.RENTED,
            {"rental": 460.0, "staff": 3_600.0},
            upfront=upfront_7b,
            live_after=3,
            probability=0.2,
            refused="an encoder classifies; this workload extracts free text",
        ),
        option(
            "this_machine:qwen3-0.6b",
            "Qwen3-0.6B Q4_K_M on this machine",
            Arm.THIS_MACHINE,
            Placement.LOCAL,
            {"energy": 42.0, "staff": 4_500.0},
            upfront={"implementation": 50_000.0},
            live_after=2,
            probability=0.12,
            refused="38 machines are needed at the peak; more than 8 are not planned for",
            servers=plan(38, 1, "2 cores, 8 GB", basis=Basis.MEASURED, measured="9f2c41d07be1" + "0" * 52),
        ),
        replace(
            option(
                "edge:phone",
                "Gemma 3 1B on a phone",
                Arm.EDGE,
                Placement.LOCAL,
                {"staff": 0.0},
                refused="no speed is known for this device",
            ),
            months=(),
            total_usd=None,
            expected_usd=None,
            upfront_usd=None,
            usd_per_mtok=None,
            npv_usd=None,
            roi=None,
            run_rate_year_usd=None,
        ),
    )


def path() -> tuple[PathStep, ...]:
    source = "Seed article, node B"
    return (
        PathStep(
            node="complexity",
            question="What is the model asked to do?",
            value="extraction",
            answer="Simple: classification, extraction, routing (1B-7B range)",
            because="extraction is one of the article's simple tasks",
            source=source,
        ),
        PathStep(
            node="family",
            question="Is the answer narrow, or open?",
            value="narrow (extraction)",
            answer="Narrow: the answer lies in the input or in a fixed set",
            because="tuned small models reach GPT-4-class on 59 of 76 such datasets",
            source="121 published datasets",
            departs_from_article="The article does not ask; it is the best predictor after a matching distribution",
        ),
        PathStep(
            node="domain",
            question="Do labelled examples come from the same domain as the traffic?",
            value="yes",
            answer="Yes",
            because="training and traffic match",
            source=source,
        ),
        PathStep(
            node="examples",
            question="How many labelled examples are there?",
            value="3,200",
            answer="1,000 or more",
            because="3,200 is at least 1,000",
            source=source,
        ),
    )


def table(found: tuple[OptionResult, ...]) -> tuple[TableRow, ...]:
    by_id = {option.id: option for option in found}
    rows = (("GPT-4-class API", "api:gpt-4o"), ("Self-hosted 70B", "70b:rented"), ("Fine-tuned 7B", "ft7b:rented"))
    return tuple(
        TableRow(
            label=label,
            option_id=option_id,
            total_usd=by_id[option_id].total_usd,
            upfront_usd=by_id[option_id].upfront_usd,
            roi=by_id[option_id].roi,
            payback_vs_api_months=by_id[option_id].payback_months,
            payback_vs_70b_months=by_id[option_id].payback_vs_70b_months if option_id == "ft7b:rented" else None,
            refused_because=by_id[option_id].refused_because,
        )
        for label, option_id in rows
    )


def recommendation(name: str = "Document analysis") -> Recommendation:
    found = options()
    best, baseline = found[0], found[2]
    assert best.total_usd is not None
    assert baseline.total_usd is not None
    return Recommendation(
        as_of=date(2026, 11, 22),
        method_version="1",
        inputs_sha256="4b" * 32,
        scenario=Scenario(workload=workload(name)),
        path=path(),
        leaf=Leaf(
            id="tune_small_model",
            title="Fine-tune a small model",
            advice="Fine-tune a 7B-class model on the labelled examples and gate it against today's model before it goes live.",
            arms=(Arm.FINE_TUNED_7B,),
            source="Seed article",
        ),
        choice=Choice(
            action=Action.TEST_FIRST,
            option_id=best.id,
            baseline_option_id=baseline.id,
            fallback_option_id=baseline.id,
            tree_option_id=best.id,
            cheapest_option_id="api_small:nano",
            why_they_differ="gpt-5-nano is cheaper, but its chance of being good enough is 31 %.",
            sentence=(
                "Test the fine-tuned Qwen3-8B first; until it passes, stay on openai:gpt-4o: it would save "
                f"${baseline.total_usd - best.total_usd:,.0f} over 12 months and pay back after {best.payback_months:.1f} months."
            ),
            saving_usd=baseline.total_usd - best.total_usd,
            npv_usd=best.npv_usd,
            payback_months=best.payback_months,
            probability=best.quality.probability,
        ),
        options=found,
        table=table(found),
        measured=Measured(share=0.0, sentence="Nothing here was measured on the server it would run on.", measurement_ids=()),
        alarms=("The peak is 3 times the mean: office hours are usually 5 times or more.",),
        not_counted=("Taxes", "Contracts and their exit fees", "What the team could have built instead"),
        sources=(
            SourceLine(
                key="price.gpt-4o.input",
                label="openai:gpt-4o, input",
                value="2.50 USD per M tokens",
                url="https://platform.openai.example/docs/pricing",
                checked=date(2026, 11, 4),
                basis=Basis.PUBLISHED,
                age_days=18,
            ),
            SourceLine(
                key="rent.l40s",
                label="L40S, RunPod, on demand",
                value="0.86 USD per GPU and hour",
                url="https://www.runpod.example/pricing/gpu-cloud/on-demand",
                checked=date(2026, 9, 30),
                basis=Basis.PUBLISHED,
                age_days=53,
            ),
            SourceLine(
                key="fte_month_usd",
                label="Cost of one FTE",
                value="18,000 USD a month",
                url="",
                checked=None,
                basis=Basis.ASSUMED,
                note="Loaded cost of an engineer in the United States; change it under More assumptions",
            ),
        ),
    )
