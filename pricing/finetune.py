"""What a tuned model costs: labels, evaluation, training runs, engineering, and doing parts of it again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facts.records import Fact, Source, read_facts
from facts.units import FLOPS_PER_TFLOP, MONTHS_PER_YEAR, SECONDS_PER_HOUR, TOKENS_PER_MTOK
from pricing.assumptions import Assumptions
from pricing.bill import token_bill_usd
from pricing.costs import CostLine, nonzero, upfront_line
from pricing.prices import ApiPrice, is_provider
from workloads.demand import Complexity, TokenVolume

DEFAULT_TUNING_PROVIDER = "Fireworks"
"""Whose managed price is used unless the user clears others: the newest dated page that prices every size."""
TRAINING_FLOPS_PER_PARAM_TOKEN = 6.0
LORA_FLOPS_SHARE = 0.67
"""LoRA saves the gradients of the frozen weights, a third of the work: it saves memory, not much computing."""


class ManagedTuning(Fact):
    """A managed service's price of training."""

    id: str
    """Unique, sorted."""
    provider: str
    """Who is paid."""
    model_class: str
    """Models it holds for, as published."""
    method: str
    """Method, as published."""
    kind: str
    """lora, full_sft, lora_dpo, full_dpo."""
    params_b_above: float = Field(ge=0)
    """Holds for models of more parameters than this, in billions."""
    params_b_up_to: float = Field(gt=0)
    """Holds for models of at most this many parameters, in billions."""
    usd_per_mtok: float = Field(gt=0)
    """USD per million training tokens; of a published range, the low end."""
    usd_per_mtok_high: float | None = Field(default=None, gt=0)
    """High end of a published range."""
    source: Source
    """Where it was read."""


@dataclass(frozen=True, kw_only=True)
class FinetuneCosts:
    """The bill of a tuned model, before it serves and while it does.

    training_examples, training_tokens: of one run
    run_usd: one training run
    labels_usd, evaluation_usd, runs_usd, engineering_usd: before it serves
    label_refresh_usd: fresh labels of one retraining
    retrain_usd: one retraining: its runs, its evaluation and its fresh labels
    retraining_usd_per_month: spread evenly over the year
    """

    training_examples: int
    training_tokens: float
    run_usd: float
    labels_usd: float
    evaluation_usd: float
    runs_usd: float
    engineering_usd: float
    label_refresh_usd: float
    retrain_usd: float
    retraining_usd_per_month: float

    @property
    def upfront_usd(self) -> float:
        """Everything before it serves: what is lost if it turns out not good enough."""
        return self.labels_usd + self.evaluation_usd + self.runs_usd + self.engineering_usd

    @property
    def upfront_lines(self) -> tuple[CostLine, ...]:
        """labels, evaluation, finetune_runs, finetune_engineering."""
        amounts = (
            ("labels", self.labels_usd),
            ("evaluation", self.evaluation_usd),
            ("finetune_runs", self.runs_usd),
            ("finetune_engineering", self.engineering_usd),
        )
        return nonzero(tuple(upfront_line(name, usd) for name, usd in amounts))


def finetune_costs(
    assumptions: Assumptions,
    *,
    complexity: Complexity,
    labelled_examples: int,
    tokens_per_example: float,
    run_usd_per_mtok: float,
    encoder: bool = False,
    teacher_usd_per_label: float | None = None,
) -> FinetuneCosts:
    """The whole bill of tuning one model.

    labelled_examples: that exist; missing ones are labelled, existing ones checked
    tokens_per_example: input and output together
    run_usd_per_mtok: training price, managed (`managed_tuning`) or computed (`own_training_usd_per_mtok`); the user's own price wins
    encoder: whether it is a small classifier, which takes fewer engineer-days
    teacher_usd_per_label: tokens of a teacher model for one example (`teacher_labels_usd`), for the share of labels that it makes; a
        person still checks each
    """
    examples = assumptions.examples_to_train(labelled_examples)
    tokens = training_tokens(examples, tokens_per_example, assumptions.finetune_epochs)
    run = tokens / TOKENS_PER_MTOK * (assumptions.finetune_usd_per_mtok or run_usd_per_mtok)
    runs = run * assumptions.finetune_experiments_factor
    evaluation = assumptions.evaluation(complexity)
    label = assumptions.label_usd(complexity)
    new_label = label
    if teacher_usd_per_label is not None:
        by_teacher = assumptions.teacher_labels_share
        new_label = (1.0 - by_teacher) * label + by_teacher * (teacher_usd_per_label + label * assumptions.label_check_share)
    refresh = examples * assumptions.label_refresh_share * new_label * (1.0 + assumptions.label_overhead_share)
    labels = assumptions.labels_usd
    if labels is None:
        labels = labels_usd(
            labelled_examples,
            examples,
            usd_per_label=new_label,
            usd_per_check=label * assumptions.label_check_share,
            overhead_share=assumptions.label_overhead_share,
        )
    retrain = runs + evaluation + refresh
    return FinetuneCosts(
        training_examples=examples,
        training_tokens=tokens,
        run_usd=run,
        labels_usd=labels,
        evaluation_usd=evaluation,
        runs_usd=runs,
        engineering_usd=assumptions.finetune_engineering(encoder=encoder),
        label_refresh_usd=refresh,
        retrain_usd=retrain,
        retraining_usd_per_month=retraining_usd_per_month(retrain, assumptions.retrains_per_year),
    )


def training_tokens(examples: float, tokens_per_example: float, epochs: float) -> float:
    """examples x tokens x epochs.

    >>> training_tokens(10_000, 500, 3)
    15000000.0
    """
    return float(examples * tokens_per_example * epochs)


def labels_usd(labelled: float, needed: float, *, usd_per_label: float, usd_per_check: float, overhead_share: float) -> float:
    """Labels still to be paid: (missing x price + used existing x check) x (1 + schema and pilot).

    >>> round(labels_usd(400, 1000, usd_per_label=1.0, usd_per_check=0.25, overhead_share=0.10), 2)
    770.0
    """
    missing, existing = max(needed - labelled, 0.0), min(labelled, needed)
    return (missing * usd_per_label + existing * usd_per_check) * (1.0 + overhead_share)


def teacher_labels_usd(examples: float, price: ApiPrice, *, input_tokens: float, output_tokens: float, passes: float = 1.0) -> float:
    """Labels made by a teacher model (distillation): its tokens at its API price, `passes` answers per example.

    The evaluation set is never labelled by the teacher: that would lean the comparison towards it.
    """
    each = examples * passes
    volume = TokenVolume(
        input_tokens=_one(each * input_tokens), cached_input_tokens=_one(0.0), output_tokens=_one(each * output_tokens), requests=_one(each)
    )
    return float(token_bill_usd(volume, price).total_usd.sum())


def retraining_usd_per_month(retrain_usd: float, retrains_per_year: float) -> float:
    """One retraining times its number a year, over twelve months."""
    return retrain_usd * retrains_per_year / MONTHS_PER_YEAR


def managed_tuning(params_b: float, *, kind: str = "lora", providers: Iterable[str] | None = None) -> ManagedTuning | None:
    """A managed training price by model size, in billions of parameters; None where nobody allowed offers one.

    The default provider's unless `providers` names others; of several, the cheapest. Both bounds: 16 is "up to 16B", 16.1 is not.
    """
    allowed = (DEFAULT_TUNING_PROVIDER,) if providers is None else tuple(providers)
    fitting = [row for row in _managed() if row.kind == kind and row.params_b_above < params_b <= row.params_b_up_to]
    fitting = [row for row in fitting if is_provider(row.provider, allowed)]
    return min(fitting, key=lambda row: (row.usd_per_mtok, row.id), default=None)


def training_gpu_hours(tokens: float, params_b: float, *, peak_tflops: float, mfu_share: float, lora: bool = True) -> float:
    """GPU-hours of one run: 6 x parameters x tokens x method / (peak FLOP/s x MFU x 3600); dense 16-bit peak.

    >>> round(training_gpu_hours(15e6, 8.03, peak_tflops=989.0, mfu_share=0.30), 3)
    0.453
    """
    work = TRAINING_FLOPS_PER_PARAM_TOKEN * params_b * 1e9 * tokens * (LORA_FLOPS_SHARE if lora else 1.0)
    return work / (peak_tflops * FLOPS_PER_TFLOP * mfu_share * SECONDS_PER_HOUR)


def own_training_usd_per_mtok(
    params_b: float, *, peak_tflops: float, mfu_share: float, usd_per_gpu_hour: float, lora: bool = True
) -> float:
    """Training on rented or own GPUs, USD per million training tokens, comparable with a managed price."""
    hours = training_gpu_hours(TOKENS_PER_MTOK, params_b, peak_tflops=peak_tflops, mfu_share=mfu_share, lora=lora)
    return hours * usd_per_gpu_hour


# ---- below: how ----


@lru_cache(maxsize=1)
def _managed() -> tuple[ManagedTuning, ...]:
    return read_facts(files("pricing") / "data" / "finetune.toml", "managed", ManagedTuning)


def _one(value: float) -> NDArray[np.float64]:
    return np.array([value])
