"""The assumptions on the Costs page: every one is there, a change reaches the decision, what is refused is said."""

from datetime import date

import pytest
import streamlit as st

from dashboard import assumptions_section
from dashboard.assumptions_section import PROBLEM, USED, YOURS, alarms_about, finding, table
from pricing.assumptions import Assumptions, register

DAY = date(2026, 11, 22)


@pytest.fixture
def session(monkeypatch):
    values = {}
    monkeypatch.setattr(st, "session_state", values)
    return values


def test_every_assumption_has_a_row_with_its_source_and_age():
    used = Assumptions(pue=1.2)
    frame = table(register(used), used, DAY)
    assert list(frame.index) == list(range(len(Assumptions.model_fields)))
    row = frame[frame["Assumption"] == "PUE"].iloc[0]
    assert (row[YOURS], row[USED], row["Basis"], row["Age"]) == (1.2, "1.2", "assumed", "")
    assert "entered by the user" in row["Source"]
    rest = frame[frame["Assumption"] != "PUE"]
    assert rest[YOURS].isna().all()
    assert all(text for column in ("Unit", "Seen between", "Read", "Age", "Basis", "Source", "Meaning") for text in rest[column])


def test_the_title_says_what_is_your_own():
    assert finding(register(Assumptions()), DAY).startswith(f"{len(Assumptions.model_fields)} assumptions are in use, all of them defaults")
    assert "1 of them your own: PUE" in finding(register(Assumptions(pue=1.2)), DAY)


def test_a_typed_value_is_kept_and_an_emptied_one_taken_back(session):
    names = tuple(Assumptions.model_fields)
    row = names.index("pue")
    session["editor"] = {"edited_rows": {row: {YOURS: 1.15}, str(names.index("evaluation_cases")): {YOURS: 900.0}}}
    assumptions_section._changed("editor", names)
    assert (session["pue"], session["evaluation_cases"]) == (1.15, 900)
    session["editor"] = {"edited_rows": {row: {YOURS: None}}}
    assumptions_section._changed("editor", names)
    assert session["pue"] == 1.4
    assumptions_section._take_back(("evaluation_cases",))
    assert session["evaluation_cases"] == Assumptions().evaluation_cases
    assert session["costs.assumptions.version"] == 3


def test_what_a_field_refuses_is_said_and_changes_nothing(session):
    assumptions_section._set("pue", 0.5)
    assert "pue" not in session
    assert "'pue' = 0.5" in session[PROBLEM]
    assumptions_section._set("spare_replicas", 1.5)
    assert "spare_replicas" not in session


def test_an_alarm_stands_beside_what_it_names():
    alarms = ("fte_month_usd 250,000 is above", "prices older than 90 days")
    assert alarms_about(alarms, list(Assumptions.model_fields)) == ["fte_month_usd 250,000 is above"]
