"""A scenario: the workload with the user's own prices and assumptions, as one TOML file holds them."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import tomli_w
from pydantic import Field, model_validator

from facts.errors import InputError
from facts.records import Fact, nearest, read_toml, validated
from pricing.assumptions import Assumptions
from pricing.prices import PriceOverrides
from selector.own_options import MOST, OwnOption
from workloads.demand import Workload

TABLES = ("prices", "assumptions")
OWN_OPTIONS = "own"


class Scenario(Fact):
    """Everything a decision is asked with."""

    workload: Workload
    """What is asked."""
    prices: PriceOverrides = PriceOverrides()
    """The user's own prices, over every catalogue."""
    assumptions: Assumptions = Assumptions()
    """The user's own assumptions, over the defaults."""
    own: tuple[OwnOption, ...] = Field(default=(), max_length=MOST)
    """Options of the user's own, beside every other."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        ids = [option.option_id for option in self.own]
        twice = next((option.name for option in self.own if ids.count(option.option_id) > 1), None)
        if twice is not None:
            raise ValueError(f"your own option '{twice}' stands there twice")
        return self


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
    rows = document.get(OWN_OPTIONS, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{where}: '{OWN_OPTIONS}' is a list of tables: write [[{OWN_OPTIONS}]] above the keys of each option")
    top = {key: value for key, value in document.items() if key not in (*TABLES, OWN_OPTIONS)}
    for key, value in top.items():
        if key not in Workload.model_fields:
            known = [*Workload.model_fields, *TABLES, OWN_OPTIONS]
            what = f"table [{key}]" if isinstance(value, dict) else f"key '{key}'"
            raise InputError(f"{where}: unknown {what}{nearest(key, known)}")
    stated = {
        "workload": validated(Workload, top, where),
        "prices": validated(PriceOverrides, tables["prices"], f"{where} [prices]"),
        "assumptions": validated(Assumptions, tables["assumptions"], f"{where} [assumptions]"),
        "own": tuple(validated(OwnOption, row, f"{where} [[{OWN_OPTIONS}]] {place}") for place, row in enumerate(rows, 1)),
    }
    return validated(Scenario, stated, where)


def scenario_to_toml(scenario: Scenario) -> str:
    """The scenario as TOML, defaults left out; `read_scenario` gives it back."""
    document = scenario.workload.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    for name, record in (("prices", scenario.prices), ("assumptions", scenario.assumptions)):
        table = record.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        if table:
            document[name] = table
    if scenario.own:
        document[OWN_OPTIONS] = [_own_document(option) for option in scenario.own]
    return tomli_w.dumps(document)


def own_to_toml(option: OwnOption) -> str:
    """One option of the user's own as TOML, to stand at the end of a workload file."""
    return tomli_w.dumps({OWN_OPTIONS: [_own_document(option)]})


def _own_document(option: OwnOption) -> dict[str, Any]:
    return option.model_dump(mode="json", exclude_defaults=True, exclude_none=True)


def scenario_sha256(scenario: Scenario) -> str:
    """SHA-256 of the inputs as TOML: two scenarios with the same one ask the same."""
    return hashlib.sha256(scenario_to_toml(scenario).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Change:
    """One input that two scenarios state differently.

    table: workload, prices, assumptions, or own
    key: the field's name, or an own option's
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
    return (*found, *_own_changes(before, after))


def _own_changes(before: Scenario, after: Scenario) -> tuple[Change, ...]:
    """Options of the user's own that came or went; one that was changed is another one."""
    old, new = ({option.option_id: option for option in scenario.own} for scenario in (before, after))
    gone = [Change(table=OWN_OPTIONS, key=option.name, before="held", after=None) for key, option in old.items() if key not in new]
    come = [Change(table=OWN_OPTIONS, key=option.name, before=None, after="held") for key, option in new.items() if key not in old]
    return (*gone, *come)


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
