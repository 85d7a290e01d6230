"""A scenario: the workload with the user's own prices and assumptions, as one TOML file holds them."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from facts.errors import InputError
from facts.records import Fact, nearest, read_toml, validated
from pricing.assumptions import Assumptions
from pricing.prices import PriceOverrides
from workloads.demand import Workload

TABLES = ("prices", "assumptions")


class Scenario(Fact):
    """Everything a decision is asked with."""

    workload: Workload
    """What is asked."""
    prices: PriceOverrides = PriceOverrides()
    """The user's own prices, over every catalogue."""
    assumptions: Assumptions = Assumptions()
    """The user's own assumptions, over the defaults."""


def read_scenario(path: Path) -> Scenario:
    """A scenario from a TOML file: the workload's keys at the top, [prices] and [assumptions] below them."""
    return scenario_of(read_toml(path), str(path))


def scenario_from_toml(text: str, where: str = "the text") -> Scenario:
    """A scenario from TOML text."""
    try:
        return scenario_of(tomllib.loads(text), where)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{where} is not valid TOML: {error}") from None


def scenario_of(document: dict[str, Any], where: str) -> Scenario:
    """A scenario from a parsed TOML document; `where` begins every error."""
    tables = {name: document.get(name, {}) for name in TABLES}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(f"{where}: '{name}' is a table: write [{name}] above its keys")
    top = {key: value for key, value in document.items() if key not in TABLES}
    for key, value in top.items():
        if key not in Workload.model_fields:
            known = [*Workload.model_fields, *TABLES]
            what = f"table [{key}]" if isinstance(value, dict) else f"key '{key}'"
            raise InputError(f"{where}: unknown {what}{nearest(key, known)}")
    return Scenario(
        workload=validated(Workload, top, where),
        prices=validated(PriceOverrides, tables["prices"], f"{where} [prices]"),
        assumptions=validated(Assumptions, tables["assumptions"], f"{where} [assumptions]"),
    )


def scenario_to_toml(scenario: Scenario) -> str:
    """The scenario as TOML, defaults left out; `read_scenario` gives it back."""
    document = scenario.workload.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    for name, record in (("prices", scenario.prices), ("assumptions", scenario.assumptions)):
        table = record.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        if table:
            document[name] = table
    return tomli_w.dumps(document)


def scenario_sha256(scenario: Scenario) -> str:
    """SHA-256 of the inputs as TOML: two scenarios with the same one ask the same."""
    return hashlib.sha256(scenario_to_toml(scenario).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Change:
    """One input that two scenarios state differently.

    table: workload, prices or assumptions
    key: the field's name
    before, after: its values as JSON has them; None where none is stated and the default is none
    """

    table: str
    key: str
    before: Any
    after: Any


def changes(before: Scenario, after: Scenario) -> tuple[Change, ...]:
    """Exactly the inputs that differ, in the order of the fields.

    A size that only follows from another input is not one: with `tokens_per_day`, a changed `input_share` is one change, not three.
    """
    found = []
    for table in ("workload", *TABLES):
        old, new = _stated(getattr(before, table)), _stated(getattr(after, table))
        fields = type(getattr(before, table)).model_fields
        found += [Change(table=table, key=key, before=old.get(key), after=new.get(key)) for key in fields if old.get(key) != new.get(key)]
    return tuple(found)


def renamed(scenario: Scenario, name: str) -> Scenario:
    """The same scenario under another name."""
    stated = {**scenario.workload.model_dump(), "name": name}
    return scenario.model_copy(update={"workload": validated(Workload, stated, f"the name '{name}'")})


_SIZES = (("input_tokens_mean", "output_tokens_mean"), ("input_share",), ("input_tokens_mean",), ("output_tokens_mean",))
"""Inputs of a workload that may follow from its others, those looked at first in front."""


def _stated(record: Fact) -> dict[str, Any]:
    """A record's values, without those sizes that its other values imply."""
    values = record.model_dump(mode="json")
    if not isinstance(record, Workload) or record.tokens_per_day is None:
        return values
    for sizes in _SIZES:
        fewer = {key: value for key, value in values.items() if key not in sizes}
        if len(fewer) < len(values) and Workload.model_validate(fewer) == record:
            return fewer
    return values
