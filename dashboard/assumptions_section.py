"""Part of Costs: every assumption behind the bill, with unit, source, date and age; each can be changed and taken back in place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import format as fmt
from dashboard import undo
from facts.errors import InputError
from facts.records import validated
from pricing.assumptions import AssumptionNote, Assumptions, register
from pricing.prices import age_days
from selector.results import Recommendation

EDITOR, VERSION, PROBLEM = "costs.assumptions", "costs.assumptions.version", "costs.assumptions.problem"
YOURS, USED = "Your value", "In use"


def show(recommendation: Recommendation) -> None:
    """The table, its button to take everything back, and what is wrong with the last change."""
    used = recommendation.scenario.assumptions
    notes = register(used)
    changed = [note for note in notes if note.changed]
    st.subheader("What the bill assumes", anchor=False)
    st.markdown(f"**{fmt.markdown_literal(finding(notes, recommendation.as_of))}**")
    for alarm in alarms_about(recommendation.alarms, [note.key for note in notes]):
        st.warning(fmt.markdown_literal(alarm))
    if problem := st.session_state.pop(PROBLEM, ""):
        st.error(fmt.markdown_literal(problem))
    st.caption(f"Type into *{YOURS}* to change a number; empty the cell to take it back. The whole decision follows at once.")
    key = f"{EDITOR}.{st.session_state.get(VERSION, 0)}"
    frame = table(notes, used, recommendation.as_of)
    st.data_editor(
        frame,
        key=key,
        on_change=_changed,
        args=(key, tuple(note.key for note in notes)),
        hide_index=True,
        width="stretch",
        height=420,
        placeholder="",
        alt="Every assumption with its value, unit, range seen, date, age, basis and source; the column Your value can be edited",
        disabled=[column for column in frame.columns if column != YOURS],
        column_config={
            "Assumption": st.column_config.TextColumn(width=250, pinned=True),
            YOURS: st.column_config.NumberColumn(help="Empty: the default counts", format="plain", width=100),
            USED: st.column_config.TextColumn(width=125),
            "Unit": st.column_config.TextColumn(width=110),
            "Seen between": st.column_config.TextColumn(width=140),
            "Read": st.column_config.TextColumn(width=140),
            "Age": st.column_config.TextColumn(width=75),
            "Source": st.column_config.TextColumn(width="large"),
        },
    )
    if changed:
        what = "1 value" if len(changed) == 1 else f"{len(changed)} values"
        st.button(
            f"Take back {what} of mine", key="costs.assumptions.reset", on_click=_take_back, args=(tuple(note.key for note in changed),)
        )


def finding(notes: tuple[AssumptionNote, ...], as_of: date) -> str:
    """'50 assumptions are in use, 2 of them your own: PUE, Staff (rented); the oldest default was read 3 months ago: ...'."""
    own = [note.label for note in notes if note.changed]
    said = f", {len(own)} of them your own: {', '.join(own)}" if own else ", all of them defaults"
    defaults = [note for note in notes if not note.changed]
    oldest = max(defaults, key=lambda note: age_days(note.source, as_of), default=None)
    days = age_days(oldest.source, as_of) if oldest else 0
    read = f"; the oldest source was read {fmt.age(days)} ago" if days else ""
    return f"{len(notes)} assumptions are in use{said}{read}"


def alarms_about(alarms: tuple[str, ...], keys: list[str]) -> list[str]:
    """The alarms that name one of these keys."""
    return [alarm for alarm in alarms if any(key in alarm for key in keys)]


def table(notes: tuple[AssumptionNote, ...], used: Assumptions, as_of: date) -> pd.DataFrame:
    """One row for each assumption; YOURS is a number where the user has set it, else empty."""
    return pd.DataFrame(
        [
            {
                "Assumption": note.label,
                YOURS: float(getattr(used, note.key)) if note.changed and getattr(used, note.key) is not None else None,
                USED: _in_use(note, getattr(used, note.key)),
                "Unit": note.unit,
                "Seen between": f"{_grouped(note.low)} and {_grouped(note.high)}",
                "Read": fmt.day(note.source.checked) if not note.changed else "",
                "Age": fmt.age(age_days(note.source, as_of)) if not note.changed else "",
                "Basis": str(note.basis),
                "Source": " · ".join(part for part in (note.source.url, note.source.note) if part),
                "Meaning": note.help,
            }
            for note in notes
        ]
    ).astype({YOURS: "float64"})


# ---- below: how ----


def _in_use(note: AssumptionNote, value: float | None) -> str:
    return note.value if value is None else _grouped(value)


def _grouped(value: float) -> str:
    """'18,000', '0.144': as short as exact."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def _changed(key: str, names: tuple[str, ...]) -> None:
    """What was typed becomes the value of the same field at the left, before anything is drawn; what the field refuses is said."""
    edits: dict[int, dict[str, Any]] = st.session_state[key]["edited_rows"]
    for row, cells in edits.items():
        if YOURS in cells:
            _set(names[int(row)], cells[YOURS])
    st.session_state[VERSION] = st.session_state.get(VERSION, 0) + 1


def _set(name: str, value: float | None) -> None:
    default = Assumptions.model_fields[name].default
    if value is None:
        st.session_state[name] = default
        return
    whole = float(value).is_integer()
    try:
        checked = validated(Assumptions, {name: int(value) if whole else value}, "Your assumptions")
    except InputError as error:
        st.session_state[PROBLEM] = str(error)
        return
    st.session_state[name] = getattr(checked, name)


def _take_back(names: tuple[str, ...]) -> None:
    before = undo.values_back(names)
    undo.offer("Your own assumptions were reset.", lambda: _again(before))
    for name in names:
        st.session_state[name] = Assumptions.model_fields[name].default
    st.session_state[VERSION] = st.session_state.get(VERSION, 0) + 1


def _again(before: Callable[[], None]) -> None:
    before()
    st.session_state[VERSION] = st.session_state.get(VERSION, 0) + 1
