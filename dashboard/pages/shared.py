"""Shared: one saved version behind a link, to be read and not changed: the verdict, its numbers, its inputs, who approved it."""

from datetime import date

import pandas as pd
import streamlit as st

from dashboard import format as fmt
from dashboard import history_section, parts, report, tables
from facts.errors import InputError
from facts.settings import settings
from selector.history import approval_status, shared_scenario
from selector.scenarios import Scenario
from selector.store import SavedScenario


def page() -> None:
    try:
        saved = shared_scenario(settings(), str(st.query_params.get("link", "")))
        recommendation = history_section.decision_on(saved)
        status = approval_status(settings(), saved.scenario)
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)), title="There is nothing to read here")
        return
    st.caption(fmt.markdown_literal(said(saved)))
    parts.verdict(recommendation)
    parts.cards(report.cards(recommendation))
    st.caption(fmt.markdown_literal(status.sentence))
    parts.table(
        tables.fixed_table_by_arm(recommendation),
        f"Cost over {saved.scenario.workload.horizon_months} months of a GPT-4-class API, a self-hosted 70B and a fine-tuned 7B",
    )
    st.subheader("Inputs", anchor=False)
    parts.table(inputs_table(saved.scenario), "Every input that was stated")


def said(saved: SavedScenario) -> str:
    """Which version this is, and that it is for reading only."""
    day = date.fromisoformat(saved.created[:10])
    by = f" by {saved.who}" if saved.who else ""
    return f"Version {saved.version} of {saved.name}, saved on {fmt.day(day)}{by}. For reading: nothing can be changed here."


def inputs_table(scenario: Scenario) -> pd.DataFrame:
    rows = []
    for record in (scenario.workload, scenario.prices, scenario.assumptions):
        stated = record.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        rows += [{"Input": fmt.field_label(key), "Value": fmt.field_value(value)} for key, value in stated.items()]
    return pd.DataFrame(rows)


page()
