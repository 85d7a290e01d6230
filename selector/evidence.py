"""The published evidence as data: one unit per dataset, with its outcome, its kind of task and where it was read.

A unit is one dataset in one setting, not one row of a table: most of the variance of score over reference lies between tasks, so the rows
of one task are near-copies. Its outcome is the median row's, and for LoRA Land the row of the one base model that a reader would have
chosen in advance.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from importlib import resources
from pathlib import Path
from statistics import median
from typing import Final

from pydantic import Field

from facts.errors import InputError
from facts.records import Fact, nearest, read_facts
from selector.tasks import NARROW_TYPES, Family
from workloads.demand import TaskType

MARGINS_SHARE: Final = (0.03, 0.05, 0.10)
"""The margins at which every published outcome is kept."""
LARGEST_TUNED_B: Final = 13.0
"""A tuned model counts as small up to this many billion parameters."""
LARGEST_8B: Final = 8.0
"""The narrower reading of small, for the perturbation check."""
ROUNDING: Final = 1e-9
"""A score on the margin counts as within it; binary fractions may miss it by this much."""

LORA_LAND: Final = "LoRA Land"
CHOSEN_IN_ADVANCE: Final = "zephyr-7b-beta"
"""LoRA Land reports ten base models per task; this is the one that the other tasks would have chosen (evidence of its Table 12)."""
CORRECTED_REFERENCES: Final[Mapping[str, float]] = {
    "gsm8k": 0.921,
    "hellaswag": 0.924,
    "winogrande": 0.871,
    "mmlu": 0.837,
    "arc_combined": 0.949,
}
"""GPT-4 with few examples as the same firm's distillation playbook lists it; the paper's zero-shot figures are format failures."""
WEAKER_REFERENCE: Final = "gpt-3.5"
"""Rows held against it say nothing about GPT-4-class models and are left out."""
EXAM_MARK: Final = "exam questions"
"""Mock examinations collected from the internet, where a tuned model may have seen the answers."""


class Tried(StrEnum):
    """What was held against the reference."""

    TUNED_SMALL = "tuned_small"
    CHEAP_API = "cheap_api"
    PROMPTED_70B = "prompted_70b"
    SMALL_UNTUNED = "small_untuned"


class Setting(StrEnum):
    """How the training data relates to the test."""

    IN_DOMAIN = "in_domain"
    OUT_OF_DOMAIN = "out_of_domain"
    GENERAL_PURPOSE = "general_purpose"
    UNTUNED = "untuned"


SETTINGS: Final[Mapping[str, Setting]] = {
    "in_domain": Setting.IN_DOMAIN,
    "near_domain": Setting.IN_DOMAIN,
    "out_of_domain": Setting.OUT_OF_DOMAIN,
    "general": Setting.GENERAL_PURPOSE,
    "general_purpose": Setting.GENERAL_PURPOSE,
}
"""The words of the tables; near-domain (same task, new split) is read as in-domain."""
COLUMNS: Final = (
    "task_type",
    "dataset",
    "train_examples",
    "base_model",
    "params_b",
    "finetuned_score",
    "reference_score",
    "setting",
    "source",
)
"""What a table of studies must have; metric, reference_model and notes are read where present."""


class StudySource(Fact):
    """Where published scores were read."""

    id: str
    """Names it in the units."""
    title: str
    """For the reader, short."""
    citations: tuple[str, ...]
    """Tables, papers and repositories, as written beside the rows."""
    licence: str
    """What is known of the licence; only measured figures are kept."""
    checked: date
    """The day it was read."""


class Unit(Fact):
    """One dataset in one setting: did the tried model come within the margin of a GPT-4-class reference?"""

    id: str
    """tried.setting.dataset"""
    tried: Tried
    """What was held against the reference."""
    setting: Setting
    """How the training data relates to the test."""
    dataset: str
    """The dataset, one name for all who used it."""
    task_type: TaskType
    """Its task type."""
    examples: float | None = Field(default=None, ge=0)
    """Training examples, median over the rows that state them."""
    params_b: float | None = Field(default=None, gt=0)
    """Parameters of the shown model, billions."""
    model: str = ""
    """The model of the shown row, the one nearest the median with the median's outcome."""
    metric: str = ""
    """What was measured."""
    score: float | None = None
    """Its score; absent where the source does not let its scores be passed on."""
    reference_model: str = ""
    """The GPT-4-class reference."""
    reference_score: float | None = None
    """The reference's score."""
    rows: int = Field(ge=1)
    """Published rows behind the median."""
    within_3pct: bool
    """Median score at least 97 % of the reference's."""
    within_5pct: bool
    """At least 95 %."""
    within_10pct: bool
    """At least 90 %."""
    beats: bool
    """Above the reference."""
    within_5pct_8b: bool | None = None
    """The same for models of at most 8B; absent where none was tried."""
    within_5pct_as_published: bool
    """The same against the reference scores as published, without the five corrections."""
    exam: bool = False
    """Mock examination with suspected leakage: kept, and left out of the rates."""
    sources: tuple[str, ...]
    """Ids of the sources; the first gave most rows and is the group in validation."""
    read_in: str
    """Of these, the one that the shown row was read in."""

    @property
    def family(self) -> Family:
        """Narrow or hard, from the task type."""
        return family_of(self.task_type)

    @property
    def group(self) -> str:
        """The laboratory that the unit belongs to."""
        return self.sources[0]

    @property
    def bucket(self) -> str:
        """Size class of the training set: under_1k, 1k_to_10k, over_10k or unknown."""
        return "unknown" if self.examples is None else examples_bucket(self.examples)

    def within(self, margin_share: float) -> bool:
        """Whether the outcome holds at a margin of 0.03, 0.05 or 0.10."""
        return {0.03: self.within_3pct, 0.05: self.within_5pct, 0.10: self.within_10pct}[known_margin(margin_share)]


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One published row of a table of studies.

    tried, setting, dataset, task_type: what was tried on what; the dataset as written
    examples: training examples, or None
    model, params_b: the model, and its parameters in billions or None
    metric, score, reference_model, reference_score: as published
    corrected_reference_score: the reference to hold it against, where the published one is a format failure
    exam: a mock examination
    source: citation as written
    """

    tried: Tried
    setting: Setting
    dataset: str
    task_type: TaskType
    examples: float | None
    model: str
    params_b: float | None
    metric: str
    score: float
    reference_model: str
    reference_score: float
    corrected_reference_score: float
    exam: bool
    source: str

    @property
    def ratio(self) -> float:
        """Score over the corrected reference's."""
        return self.score / self.corrected_reference_score


@dataclass(frozen=True, kw_only=True)
class Studies:
    """A table of studies, read.

    rows: the rows that count
    left_out: why other rows do not, with how many
    """

    rows: tuple[StudyRow, ...]
    left_out: tuple[tuple[str, int], ...]


def known_margin(margin_share: float) -> float:
    """The margin itself, when published outcomes are kept for it."""
    if margin_share not in MARGINS_SHARE:
        raise InputError(f"no published outcomes at a margin of {margin_share:g}: use 0.03, 0.05 or 0.1")
    return margin_share


def examples_bucket(examples: float) -> str:
    """The size class of a labelled set: fewer than 1,000, 1,000 to 10,000, more."""
    if examples < 1_000:
        return "under_1k"
    return "1k_to_10k" if examples <= 10_000 else "over_10k"


def family_of(task_type: TaskType) -> Family:
    """Narrow where the answer lies in the input or in a fixed set, else hard."""
    return Family.NARROW if task_type in NARROW_TYPES else Family.HARD


@cache
def units() -> tuple[Unit, ...]:
    """Every published unit, exams included."""
    folder = resources.files("selector") / "data" / "evidence"
    found = tuple(unit for name in ("tuned.toml", "untuned.toml") for unit in read_facts(folder / name, "unit", Unit))
    known = {source.id for source in study_sources()}
    for unit in found:
        for source in (*unit.sources, unit.read_in):
            if source not in known:
                raise InputError(f"evidence unit {unit.id} names the unknown source '{source}'")
    return found


@cache
def study_sources() -> tuple[StudySource, ...]:
    """Every source of the units."""
    return read_facts(resources.files("selector") / "data" / "evidence" / "sources.toml", "source", StudySource)


def units_of_kind(tried: Tried) -> tuple[Unit, ...]:
    """The units that count for one kind: exams are left out for tuned models, which may have seen them."""
    return tuple(unit for unit in units() if unit.tried is tried and not (unit.exam and tried is Tried.TUNED_SMALL))


# ---- from tables of studies ----


def read_studies(path: Path) -> Studies:
    """The rows of a CSV with the columns of `COLUMNS`; what cannot count is left out and said so."""
    rows: list[StudyRow] = []
    left_out: Counter[str] = Counter()
    for number, raw in _table(path):
        why = _unusable(raw)
        if why:
            left_out[why] += 1
        else:
            rows.append(_study_row(raw, f"{path}, row {number}"))
    return Studies(rows=tuple(rows), left_out=tuple(sorted(left_out.items())))


def units_of(rows: Iterable[StudyRow], *, sources: Mapping[str, str] | None = None) -> tuple[Unit, ...]:
    """One unit per dataset and setting from published rows, sorted by id; `sources` gives the id of a citation, else it stands itself."""
    groups: dict[tuple[Tried, Setting, str], list[StudyRow]] = {}
    for row in rows:
        groups.setdefault((row.tried, row.setting, dataset_name(row.dataset)), []).append(row)
    names = sources or {}
    return tuple(sorted((_unit(key, members, names) for key, members in groups.items()), key=lambda unit: unit.id))


def dataset_name(written: str) -> str:
    """One name for a dataset, whoever wrote it: prefixes of collections, training sets and stricter variants taken off."""
    name = re.sub(r" \(trained on .*\)$", "", written.strip())
    for prefix in ("FinLoRA ", "FLARE ", "FinGPT "):
        name = name.removeprefix(prefix)
    for family in ("FPB", "ToolBench", "sql-eval", "Spider dev"):
        if re.match(rf"{family}( |$)", name):
            return family
    name = name.removesuffix("+")
    return {"FiQA-SA": "FiQA SA", "Jellyfish EM Walmart-Amazon": "walmart-amazon", "gsm8k": "GSM8K"}.get(name, name)


def _table(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a CSV table: {error}") from None
    reader = csv.DictReader(text.splitlines())
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{path} lacks the column '{missing[0]}'; a table of studies has {', '.join(COLUMNS)}")
    return ((number, {key: (value or "").strip() for key, value in row.items() if key}) for number, row in enumerate(reader, 1))


def _unusable(raw: Mapping[str, str]) -> str:
    """Why a row does not count, or ''."""
    if not raw["finetuned_score"] or not raw["reference_score"]:
        return "no score or no reference score"
    if raw.get("reference_model", "").lower().startswith(WEAKER_REFERENCE):
        return "held against a GPT-3.5-class reference"
    if not raw["params_b"]:
        return "size of the model not given"
    if _number(raw["params_b"], "params_b", "") > LARGEST_TUNED_B:
        return f"more than {LARGEST_TUNED_B:g}B parameters"
    if LORA_LAND in raw["source"] and raw["base_model"] != CHOSEN_IN_ADVANCE:
        return "LoRA Land's other base models"
    return ""


def _study_row(raw: Mapping[str, str], where: str) -> StudyRow:
    reference = _number(raw["reference_score"], "reference_score", where)
    if reference <= 0:
        raise InputError(f"{where}: reference_score {reference:g} must be above 0, the margin is relative to it")
    corrected = CORRECTED_REFERENCES.get(raw["dataset"], reference) if LORA_LAND in raw["source"] else reference
    return StudyRow(
        tried=Tried.TUNED_SMALL,
        setting=_setting(raw["setting"], where),
        dataset=raw["dataset"],
        task_type=_task_type(raw["task_type"], where),
        examples=_number(raw["train_examples"], "train_examples", where) if raw["train_examples"] else None,
        model=raw["base_model"],
        params_b=_number(raw["params_b"], "params_b", where),
        metric=raw.get("metric", ""),
        score=_number(raw["finetuned_score"], "finetuned_score", where),
        reference_model=raw.get("reference_model", ""),
        reference_score=reference,
        corrected_reference_score=corrected,
        exam=EXAM_MARK in raw.get("notes", ""),
        source=raw["source"],
    )


def _number(text: str, column: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{where}: {column} '{text}' is not a number".removeprefix(": ")) from None


def _setting(text: str, where: str) -> Setting:
    if text not in SETTINGS:
        raise InputError(f"{where}: unknown setting '{text}'{nearest(text, dict(SETTINGS))}")
    return SETTINGS[text]


def _task_type(text: str, where: str) -> TaskType:
    known = {str(task_type): task_type for task_type in TaskType}
    if text not in known:
        raise InputError(f"{where}: unknown task_type '{text}'{nearest(text, known)}")
    return known[text]


def _unit(key: tuple[Tried, Setting, str], rows: list[StudyRow], names: Mapping[str, str]) -> Unit:
    tried, setting, dataset = key
    ratio = median(row.ratio for row in rows)
    shown = min(rows, key=lambda row: (_within(row.ratio, 0.05) != _within(ratio, 0.05), abs(row.ratio - ratio)))
    small = [row.ratio for row in rows if row.params_b is None or row.params_b <= LARGEST_8B]
    sizes = [row.examples for row in rows if row.examples is not None]
    by_source = Counter(names.get(row.source, row.source) for row in rows)
    return Unit(
        id=f"{tried}.{setting}.{_slug(dataset)}".replace("_", "-"),
        tried=tried,
        setting=setting,
        dataset=dataset,
        task_type=rows[0].task_type,
        examples=median(sizes) if sizes else None,
        params_b=shown.params_b,
        model=shown.model,
        metric=shown.metric,
        score=shown.score,
        reference_model=shown.reference_model,
        reference_score=shown.corrected_reference_score,
        rows=len(rows),
        within_3pct=_within(ratio, 0.03),
        within_5pct=_within(ratio, 0.05),
        within_10pct=_within(ratio, 0.10),
        beats=ratio > 1,
        within_5pct_8b=_within(median(small), 0.05) if small else None,
        within_5pct_as_published=_within(median(row.score / row.reference_score for row in rows), 0.05),
        exam=rows[0].exam,
        sources=tuple(name for name, _ in by_source.most_common()),
        read_in=names.get(shown.source, shown.source),
    )


def _within(ratio: float, margin_share: float) -> bool:
    return ratio >= 1 - margin_share - ROUNDING


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
