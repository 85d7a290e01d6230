"""Decisions for the tests: a scenario from keyword arguments, decided on one fixed day."""

from datetime import date

from probes.applying import NO_CALIBRATION
from selector.catalog import load_catalog
from selector.recommendation import recommend
from selector.scenarios import scenario_of
from selector.tree import load_tree

DAY = date(2026, 11, 22)


def scenario(**document):
    base = {"tokens_per_day": 50e6, "complexity": "extraction", "labelled_examples": 20_000}
    if "requests_per_day" in document:
        del base["tokens_per_day"]
    return scenario_of({**base, **document}, "the test")


def decide(*, measurements=(), accept_doubtful=False, calibration=NO_CALIBRATION, tree="corrected", **document):
    given = scenario(**document)
    catalog = load_catalog(DAY, given.prices, measurements, accept_doubtful=accept_doubtful, calibration=calibration)
    return recommend(given, catalog, load_tree(tree))
