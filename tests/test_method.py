"""docs/method.md: its worked numbers execute, and every key and line of the code stands in it."""

import doctest
from pathlib import Path

from pricing.assumptions import Assumptions
from pricing.costs import LINE_NAMES, UPFRONT_NAMES
from pricing.prices import PriceOverrides
from selector.gates import SCREENING
from selector.own_options import OwnOption
from selector.results import METHOD_VERSION
from selector.scenarios import Scenario
from tests.selector.decisions import decide
from workloads.demand import Workload

METHOD = Path(__file__).parents[1] / "docs" / "method.md"
TEXT = METHOD.read_text(encoding="utf-8")


def test_every_worked_number_comes_out_as_printed():
    found = doctest.testfile(str(METHOD), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 20
    assert found.failed == 0


def test_every_key_of_a_workload_file_is_listed():
    for record in (Workload, PriceOverrides, Assumptions):
        for key in record.model_fields:
            assert f"`{key}`" in TEXT, key
    for key in OwnOption.model_fields:
        assert f"`{key}`" in TEXT or f"`[own.{key}]`" in TEXT, key
    assert set(Scenario.model_fields) == {"workload", "prices", "assumptions", "own"}


def test_every_cost_line_and_gate_is_listed():
    for name in (*LINE_NAMES, *UPFRONT_NAMES):
        assert f"`{name}`" in TEXT, name
    gates = TEXT[TEXT.index("Gates refuse, in this order") :][:300]
    decision = decide()
    names = [verdict.gate for verdict in decision.options[0].verdicts]
    assert len(names) == len(SCREENING)
    assert [gates.index(name) for name in names] == sorted(gates.index(name) for name in names)


def test_the_method_version_is_the_codes():
    assert f"Method version: {METHOD_VERSION};" in TEXT
