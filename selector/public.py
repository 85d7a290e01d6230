"""A decision as its public JSON: what the command line prints, the page shows and the store keeps."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from typing import Any

from pydantic import BaseModel

from selector.results import Line, Month, OptionResult, Recommendation


def to_json(recommendation: Recommendation) -> dict[str, Any]:
    """The decision with the keys of docs/method.md, section 'The JSON'; numbers are not rounded."""
    return {
        "as_of": recommendation.as_of.isoformat(),
        "method_version": recommendation.method_version,
        "inputs_sha256": recommendation.inputs_sha256,
        "workload": _plain(recommendation.scenario.workload),
        "path": _plain(recommendation.path),
        "leaf": recommendation.leaf.id,
        "leaf_advice": _plain(recommendation.leaf),
        "recommendation": _plain(recommendation.choice),
        "table": _plain(recommendation.table),
        "article_method": _plain(recommendation.article_method),
        "options": [option_json(option) for option in recommendation.options],
        "measured": _plain(recommendation.measured),
        "alarms": list(recommendation.alarms),
        "not_counted": list(recommendation.not_counted),
        "sources": _plain(recommendation.sources),
    }


def option_json(option: OptionResult) -> dict[str, Any]:
    """One option with the keys of the contract; cost lines as {name: USD}."""
    document: dict[str, Any] = _plain(option)
    quality = document.pop("quality")
    document["good_enough_probability"] = quality["probability"]
    document["good_enough_low"] = quality["low"]
    document["good_enough_high"] = quality["high"]
    document["good_enough_because"] = quality["because"]
    document["good_enough_basis"] = quality["basis"]
    document["good_enough_source"] = quality["source"]
    document["good_enough_cases"] = quality["cases"]
    document["upfront_lines"] = _lines(option.upfront_lines)
    document["months"] = [_month(month) for month in option.months]
    return document


def result_json(result: object) -> dict[str, Any]:
    """Any result of this room as JSON, keys as its attributes; numbers are not rounded."""
    document: dict[str, Any] = _plain(result)
    return document


def dumps(document: dict[str, Any]) -> str:
    """JSON text, keys in the order of the contract; NaN is a mistake and raises."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _month(month: Month) -> dict[str, Any]:
    return {"month": month.month, "lines": _lines(month.lines), "total_usd": month.total_usd}


def _lines(lines: tuple[Line, ...]) -> dict[str, float]:
    return {line.name: line.usd for line in lines}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} has no place in a decision")
    return value
