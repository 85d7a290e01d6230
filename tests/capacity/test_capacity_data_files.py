"""Every data file loads, is sorted, has unique ids, a source and no date in the future."""

from __future__ import annotations

import tomllib
from datetime import date
from importlib import resources
from pathlib import Path

import pytest

from capacity.accelerators import accelerators
from capacity.accuracy import priors
from capacity.cases import COLUMNS, read_rows
from capacity.estimate import estimate_row
from capacity.intervals import interval_for, intervals
from capacity.models import models, quantization_quality, quantizations
from capacity.roofline import efficiencies

ROOT = Path(__file__).resolve().parents[2]
CHECKED_LAST = date(2026, 11, 26)


@pytest.mark.parametrize("records", [models, accelerators, quantizations, efficiencies, intervals, quantization_quality])
def test_every_record_has_a_source_checked_by_now(records):
    found = records()
    assert found
    assert all(record.source.url and record.source.checked <= CHECKED_LAST for record in found)


@pytest.mark.parametrize("records", [models, accelerators, quantizations, intervals])
def test_ids_are_unique_and_sorted(records):
    ids = [record.id for record in records()]
    assert ids == sorted(set(ids))


def test_every_field_of_a_model_file_survives_loading():
    by_id = {spec.id: spec for spec in models()}
    for file in (resources.files("capacity") / "data" / "models").iterdir():
        for row in tomllib.loads(file.read_text(encoding="utf-8"))["model"]:
            loaded = by_id[row["id"]].model_dump(mode="python", exclude_none=True)
            for key, stated in row.items():
                assert loaded[key] == (
                    tuple(stated) if isinstance(stated, list) else {**loaded[key], **stated} if isinstance(stated, dict) else stated
                )


def test_every_engine_and_memory_kind_of_the_priors_is_shipped():
    assert {(entry.engine, entry.memory_kind) for entry in efficiencies()} == set(priors())


def test_a_class_without_rows_falls_back_to_a_wider_one():
    assert interval_for("serving.prior.vllm.hbm.tp").id == "serving.prior"
    assert interval_for("nothing.like.this").id == "any"


def test_rows_of_our_own_are_answered_and_stand_in_the_accuracy_report():
    """One line per row of what the probe measured, none refused, none taken for a calibration row."""
    with resources.as_file(resources.files("capacity") / "data" / "own_rows.csv") as path:
        names, rows = read_rows(path)
    assert set(names) == {*COLUMNS, "value"}
    report = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    own = report.partition("## Measured by this project")[2].partition("\n## ")[0]
    lines = [line for line in own.splitlines() if line.startswith(tuple(f"| {row['model']} {row['quant']} |" for row in rows))]
    assert len(lines) == len(rows) >= 30
    for row, line in zip(rows, lines, strict=True):
        answer = estimate_row(row)
        assert answer.predicted is not None
        assert answer.low80 < answer.predicted < answer.high80
        assert f"| {answer.predicted / float(row['value']) - 1:+.0%} |" in line, "the report is of today's parameters"
