"""How likely each option is good enough: within 5 % of the baseline on the user's own task.

Weak priors from published cases until the user's own test replaces them. A chance is never read as a score.
"""

from __future__ import annotations

import math
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Final

from pydantic import Field
from scipy import special

from facts.records import Basis, Fact, read_facts
from selector.results import QualityPrior
from selector.tasks import Family, Task
from workloads.demand import TaskType, Workload

MARGIN_SHARE: Final = 0.05
"""Good enough means a score of at least 95 % of the baseline's."""
FAMILY_PSEUDO_COUNT: Final = 4.0
TYPE_PSEUDO_COUNT: Final = 4.0
STRENGTH: Final = 5.0
"""Pseudo-observations behind a chance from several studies: they differ more than their datasets' number says."""
HARD_TYPES: Final = frozenset({TaskType.MATH, TaskType.CODE, TaskType.REASONING, TaskType.QA_OPEN})

_ALTERNATIVES_SOURCE = (
    "Published comparisons listed in selector/data/alternatives.toml (FinLoRA, MiniCheck, OmniSQL, FrugalGPT and others), read 2026-11"
)
_TUNED_SOURCE = (
    "121 published datasets, of them LoRA Land (arXiv:2405.00732), FinLoRA (arXiv:2505.19819), TailorMatch, OmniSQL; read 2026-11"
)


class Kind(StrEnum):
    """What is tried in place of the baseline."""

    BASELINE = "baseline"
    TUNED_SMALL = "tuned_small"
    TUNED_BY_VENDOR = "tuned_by_vendor"
    CHEAP_API = "cheap_api"
    PROMPTED_70B = "prompted_70b"
    PROMPTED_MID = "prompted_mid"
    SMALL_UNTUNED = "small_untuned"
    ENCODER = "encoder"


class Prior(Fact):
    """A published chance that a tuned model of at most 13B comes within 5 %."""

    id: str
    """setting.type.examples"""
    setting: str
    """in_domain, out_of_domain or general_purpose."""
    task_type: TaskType
    """Task type of the datasets."""
    family: Family
    """Narrow or hard."""
    examples: str
    """under_1k, 1k_to_10k, over_10k, unknown or any."""
    beta_a: float = Field(gt=0)
    """First parameter of the Beta prior."""
    beta_b: float = Field(gt=0)
    """Second parameter of the Beta prior."""
    type_datasets: int
    """Datasets of this type, any size."""
    type_within: int
    """Of these within 5 %."""
    cell_datasets: int
    """Datasets of this type and size."""
    cell_within: int
    """Of these within 5 %."""
    note: str = ""
    """Such as 'extrapolated'."""


class Cases(Fact):
    """Published datasets of one type for one kind of untuned model."""

    id: str
    """kind.type"""
    kind: Kind
    """What was tried."""
    task_type: TaskType
    """Task type of the datasets."""
    datasets: int = Field(ge=0)
    """How many."""
    within: int = Field(ge=0)
    """Of these within 5 % of the reference."""


def quality_of(kind: Kind, workload: Workload, task: Task) -> QualityPrior:
    """The chance that a kind of model is good enough for a workload, with its interval and its cases."""
    if kind is Kind.BASELINE:
        return QualityPrior(
            probability=1.0, low=1.0, high=1.0, because="it is what the others are held against", basis=Basis.ASSUMED, source="definition"
        )
    if kind in (Kind.TUNED_SMALL, Kind.TUNED_BY_VENDOR):
        return _tuned(kind, workload, task)
    if kind is Kind.ENCODER:
        return _encoder(workload)
    if kind is Kind.PROMPTED_MID:
        return _mid(task)
    return _prompted(kind, task)


def setting_of(workload: Workload, task: Task) -> str:
    """Which published setting a workload is like."""
    if task.open_ended:
        return "general_purpose"
    return "in_domain" if workload.domain_specific else "out_of_domain"


def examples_bucket(labelled_examples: int) -> str:
    """The size class of a labelled set: fewer than 1,000, 1,000 to 10,000, more."""
    if labelled_examples < 1_000:
        return "under_1k"
    return "1k_to_10k" if labelled_examples <= 10_000 else "over_10k"


@cache
def priors() -> dict[tuple[str, TaskType, str], Prior]:
    """Every published prior by setting, type and size."""
    rows = read_facts(resources.files("selector") / "data" / "priors.toml", "prior", Prior)
    return {(row.setting, row.task_type, row.examples): row for row in rows}


@cache
def cases() -> tuple[Cases, ...]:
    """Every count of published cases."""
    return read_facts(resources.files("selector") / "data" / "alternatives.toml", "cases", Cases)


def beta_interval(a: float, b: float) -> tuple[float, float]:
    """5 % and 95 % points of a Beta distribution."""
    return float(special.betaincinv(a, b, 0.05)), float(special.betaincinv(a, b, 0.95))


def shrunk(kind: Kind, task: Task) -> tuple[float, int, int]:
    """Chance for an untuned kind on a task: base rate -> family -> type, each worth four datasets; with the type's own counts."""
    of_kind = [row for row in cases() if row.kind is kind]
    base = (sum(row.within for row in of_kind) + 1) / (sum(row.datasets for row in of_kind) + 2)
    hard = task.family is Family.HARD
    family = [row for row in of_kind if (row.task_type in HARD_TYPES) == hard]
    in_family = _pulled(sum(row.within for row in family), sum(row.datasets for row in family), base, FAMILY_PSEUDO_COUNT)
    own = [row for row in family if row.task_type is task.type]
    within, datasets = sum(row.within for row in own), sum(row.datasets for row in own)
    return _pulled(within, datasets, in_family, TYPE_PSEUDO_COUNT), within, datasets


def _pulled(within: int, datasets: int, towards: float, pseudo_count: float) -> float:
    return (within + pseudo_count * towards) / (datasets + pseudo_count)


def _tuned(kind: Kind, workload: Workload, task: Task) -> QualityPrior:
    setting = setting_of(workload, task)
    bucket = examples_bucket(workload.labelled_examples) if setting == "in_domain" else "any"
    row = priors()[(setting, task.type if (setting, task.type, bucket) in priors() else TaskType.GENERATION, bucket)]
    low, high = beta_interval(row.beta_a, row.beta_b)
    where = {"in_domain": "tuned on their own traffic", "out_of_domain": "tuned elsewhere", "general_purpose": "tuned for open-ended use"}[
        setting
    ]
    because = (
        f"{row.type_within} of {row.type_datasets} published {_words(row.task_type)} datasets held within 5 % when {where}"
        f"{'; this cell is extrapolated' if row.note else ''}; papers tend to flatter"
    )
    if kind is Kind.TUNED_BY_VENDOR:
        because += "; read for a model tuned by its vendor as well, which is assumed"
    basis = Basis.PUBLISHED if kind is Kind.TUNED_SMALL else Basis.ASSUMED
    return QualityPrior(
        probability=row.beta_a / (row.beta_a + row.beta_b), low=low, high=high, because=because, basis=basis, source=_TUNED_SOURCE
    )


def _prompted(kind: Kind, task: Task) -> QualityPrior:
    mean, within, datasets = shrunk(kind, task)
    low, high = beta_interval(STRENGTH * mean, STRENGTH * (1 - mean))
    what = {Kind.CHEAP_API: "a cheap API model", Kind.PROMPTED_70B: "a prompted 70B model", Kind.SMALL_UNTUNED: "an untuned 7B-9B model"}[
        kind
    ]
    because = (
        f"{what} held within 5 % on {within} of {datasets} published {_words(task.type)} datasets, pulled towards its {task.family} tasks"
    )
    return QualityPrior(probability=mean, low=low, high=high, because=because, basis=Basis.PUBLISHED, source=_ALTERNATIVES_SOURCE)


def _mid(task: Task) -> QualityPrior:
    """Halfway, on the log-odds, between an untuned 7B-9B and a prompted 70B: no published cases of its own."""
    small, large = shrunk(Kind.SMALL_UNTUNED, task)[0], shrunk(Kind.PROMPTED_70B, task)[0]
    mean = 1 / (1 + math.exp(-(_logit(small) + _logit(large)) / 2))
    low, high = beta_interval(STRENGTH * mean, STRENGTH * (1 - mean))
    because = "halfway between an untuned 7B-9B and a prompted 70B; no published cases of its own"
    return QualityPrior(probability=mean, low=low, high=high, because=because, basis=Basis.ASSUMED, source=_ALTERNATIVES_SOURCE)


def _encoder(workload: Workload) -> QualityPrior:
    """Small encoders against full-data results: 2 of 4 sets near parity by 400 labels, 27 of 34 as tuned models with more."""
    within, datasets = (2, 4) if workload.labelled_examples < 1_000 else (27, 34)
    mean = _pulled(within, datasets, 0.66, TYPE_PSEUDO_COUNT)
    low, high = beta_interval(STRENGTH * mean, STRENGTH * (1 - mean))
    source = "SetFit results (arXiv:2209.11055); Pecher et al. (EMNLP 2025, arXiv:2402.12819); read 2026-11"
    if workload.labelled_examples < 1_000:
        because = (
            "small encoders come near full-data accuracy on 2 of 4 sets with at most 400 labels, "
            "and equal prompted large models at about 100 on average"
        )
    else:
        because = "read as the tuned small models on classification, 27 of 34 datasets; encoders are their older relatives"
    return QualityPrior(probability=mean, low=low, high=high, because=because, basis=Basis.ASSUMED, source=source)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _words(task_type: TaskType) -> str:
    return {TaskType.QA_CLOSED: "given-text QA", TaskType.QA_OPEN: "closed-book QA", TaskType.SQL: "SQL"}.get(task_type, task_type.value)
