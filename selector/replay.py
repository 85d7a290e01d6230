"""A kept decision made again from what was kept with it: inputs, prices, tests, probes. The same program gives the same JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from facts.errors import InputError
from pricing.kept import KeptBook, KeptPrices, RecordingBook
from probes.measurement import Measurement
from selector.catalog import Catalog
from selector.gap_gate import GateResult
from selector.public import to_json
from selector.recommendation import recommend
from selector.results import METHOD_VERSION, Recommendation
from selector.scenarios import Scenario, scenario_from_toml, scenario_to_toml
from selector.tree import Tree, load_tree

SHOWN: Final = 20
"""Differences that are named; of more, the number is said."""


@dataclass(frozen=True, kw_only=True)
class KeptInputs:
    """Everything that a decision was made from.

    scenario: its TOML
    tree: the tree that was walked
    prices: every answer of its price book
    gates: the user's own tests as they stood
    measurement_ids: probes of this machine that were at hand, newest first
    accept_doubtful: whether a probe that doubts itself counted
    """

    scenario: str
    tree: Tree
    prices: KeptPrices
    gates: tuple[GateResult, ...] = ()
    measurement_ids: tuple[str, ...] = ()
    accept_doubtful: bool = False


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What came of making a decision again.

    recommendation: as it is now
    differences: where its JSON is another than the one kept, as `path: was -> is`; empty where it is the same in every number
    total_differences: how many there are in all
    because: what is known to have changed, or ""
    """

    recommendation: Recommendation
    differences: tuple[str, ...]
    total_differences: int
    because: str = ""

    @property
    def same(self) -> bool:
        """Whether it is the same in every number and word."""
        return self.total_differences == 0


def recording(catalog: Catalog) -> Catalog:
    """The same catalogue, noting every price it is asked for: what `kept_inputs` keeps after the decision was made with it."""
    return replace(catalog, prices=RecordingBook.of(catalog.prices))


def kept_inputs(scenario: Scenario, catalog: Catalog, tree: Tree | None = None) -> str:
    """What a decision was made from, as JSON text; `catalog` is the recording one that it was made with, no other."""
    if not isinstance(catalog.prices, RecordingBook):
        raise TypeError("a decision is kept with the recording catalogue that it was made with")
    inputs = KeptInputs(
        scenario=scenario_to_toml(scenario),
        tree=tree or load_tree(),
        prices=catalog.prices.kept,
        gates=catalog.gates,
        measurement_ids=tuple(found.id for found in catalog.measurements),
        accept_doubtful=catalog.accept_doubtful,
    )
    return _INPUTS.dump_json(inputs, exclude_defaults=True).decode()


def replayed(inputs: str, document: dict[str, Any], measurement_of: Callable[[str], Measurement]) -> Replay:
    """A decision made again from its inputs, compared with its kept JSON; `measurement_of` finds a probe by its id."""
    try:
        kept = _INPUTS.validate_json(inputs)
    except ValidationError as error:
        raise InputError(f"the inputs of this decision cannot be read: {error.errors(include_url=False)[0]['msg']}") from None
    scenario = scenario_from_toml(kept.scenario, "the kept scenario")
    catalog = Catalog(
        as_of=kept.prices.as_of,
        prices=KeptBook.of(kept.prices, scenario.prices),
        measurements=tuple(measurement_of(measurement_id) for measurement_id in kept.measurement_ids),
        accept_doubtful=kept.accept_doubtful,
        gates=kept.gates,
    )
    again = recommend(scenario, catalog, kept.tree)
    found = list(_differences("", document, to_json(again)))
    then = str(document.get("method_version", ""))
    because = f"it was decided by method version {then}, this is version {METHOD_VERSION}" if then != METHOD_VERSION else ""
    return Replay(recommendation=again, differences=tuple(found[:SHOWN]), total_differences=len(found), because=because)


# ---- below: how ----

_INPUTS: TypeAdapter[KeptInputs] = TypeAdapter(KeptInputs)


def _differences(path: str, was: Any, now: Any) -> Iterator[str]:
    if isinstance(was, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*was, *now]):
            yield from _differences(f"{path}.{key}" if path else str(key), was.get(key), now.get(key))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for number, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from _differences(f"{path}[{number}]", one, other)
    elif was != now:
        yield f"{path}: {_short(was)} -> {_short(now)}"


def _short(value: Any) -> str:
    text = f"{len(value)} entries" if isinstance(value, list | dict) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
