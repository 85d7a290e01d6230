"""Pieces that several pages draw: text that is not Markdown, tables, charts, the verdict."""

from __future__ import annotations

import hashlib

import pandas as pd
import streamlit as st

from dashboard import format as fmt
from dashboard import state
from dashboard.charts import Chart
from dashboard.doubt_desk import Doubted
from dashboard.report import Card, heading
from selector.results import Recommendation
from selector.sensitivity import Doubt

TICK_S = 0.5
COLUMNS_OF_A_PHONE, LETTERS_OF_A_PHONE = 4, 80
PHONE_PX = 640
ACTION_COLOURS = {"stay": "gray", "test_first": "blue", "move": "green", "none_feasible": "red"}


def verdict(recommendation: Recommendation) -> None:
    """The workload, what to do, and the sentence with the amount."""
    choice, workload = recommendation.choice, recommendation.scenario.workload
    with st.container(border=True, key="verdict"):
        with st.container(horizontal=True, vertical_alignment="center"):
            action = str(choice.action)
            st.badge(fmt.ACTION_NAMES.get(action, fmt.words(action)), color=ACTION_COLOURS.get(action, "gray"))  # type: ignore[arg-type]
            st.caption(f"{fmt.markdown_literal(workload.name)} · prices as of {fmt.day(recommendation.as_of)}")
        st.subheader(fmt.markdown_literal(heading(recommendation)), anchor=False)
        text(choice.sentence)


def cards(found: tuple[Card, ...]) -> None:
    """The headline numbers, side by side."""
    if not found:
        return
    with st.grid(len(found), min_column_width=220, border=True):
        for number, card in enumerate(found):
            with st.container(key=f"card.{number}", gap="xsmall"):
                st.metric(fmt.markdown_literal(card.label), card.value)
                st.caption(fmt.markdown_literal(card.note))


def chart(drawn: Chart | None, nothing: str) -> None:
    """A chart under the sentence that says what it shows; `nothing` stands where there is none."""
    if drawn is None:
        st.caption(nothing)
        return
    st.markdown(f"**{fmt.markdown_literal(drawn.title)}**")
    st.plotly_chart(drawn.figure, key=f"chart.{drawn.key}", alt=drawn.alt, config={"displayModeBar": False})


def table(frame: pd.DataFrame, alt: str, key: str = "") -> None:
    """A table whose cells are text, never Markdown, addresses apart; on a phone a wide one is a list of its rows.

    `key` tells apart two tables of the same columns and `alt` on one page.
    """
    shown = frame.map(lambda cell: fmt.markdown_cell(str(cell)))
    shown.columns = pd.Index([fmt.markdown_literal(str(column)) for column in frame.columns])
    longest = max((len(str(cell)) for row in frame.itertuples(index=False) for cell in row), default=0)
    if len(frame.columns) <= (2 if longest > LETTERS_OF_A_PHONE else COLUMNS_OF_A_PHONE):
        st.table(shown, border="horizontal", hide_index=True, alt=alt)
        return
    columns = [str(column) for column in frame.columns]
    name = "table-" + hashlib.sha256("\n".join([key, alt, *columns]).encode()).hexdigest()[:12]
    with st.container(key=name):
        st.html(f"<style>{rows_as_cards(name, columns)}</style>")
        st.table(shown, border="horizontal", hide_index=True, alt=alt)


def rows_as_cards(key: str, columns: list[str]) -> str:
    """CSS by which the table in a container is, on a narrow screen, a card per row with the column's name before each value."""
    cells = f".st-key-{key} [data-testid=stTable]"
    names = "".join(
        f"{cells} td:nth-child({place}):before{{content:{css_text(name)}}}" for place, name in enumerate(columns, 1) if place > 1
    )
    return (
        f"@media (max-width:{PHONE_PX}px){{"
        f"{cells} table,{cells} tbody,{cells} tr,{cells} td{{display:block;width:auto}}{cells} thead{{display:none}}"
        f"{cells} tr{{padding:.5rem 0}}"
        f"{cells} td{{display:flex;justify-content:space-between;gap:1rem;border:0;padding:.15rem 0;text-align:right}}"
        f"{cells} td{{overflow-wrap:anywhere}}"
        f"{cells} td:first-child{{font-weight:600;text-align:left}}"
        f"{cells} td:before{{text-align:left;font-weight:400;opacity:.75;flex:none;max-width:45%}}"
        f"{names}}}"
    )


def css_text(text: str) -> str:
    """A text as a CSS string that nothing can break out of."""
    return '"' + "".join(sign if sign.isascii() and (sign.isalnum() or sign == " ") else f"\\{ord(sign):06x}" for sign in text) + '"'


def text(sentence: str) -> None:
    """A sentence that is not Markdown."""
    st.markdown(fmt.markdown_literal(sentence))


def points(sentences: tuple[str, ...] | list[str]) -> None:
    """A list of sentences that are not Markdown."""
    st.markdown("\n".join(f"- {fmt.markdown_literal(sentence)}" for sentence in sentences))


def doubt(decided: state.Decided) -> Doubted | None:
    """The doubt of a decision. None while it is computed: the page goes on without it and is drawn again when it is there."""
    found = state.doubt_of(decided)
    if found is None:
        st.fragment(_until_doubted, run_every=TICK_S)(decided)
    return found


def wider_doubt(decided: state.Decided, doubt: Doubt) -> Doubt:
    """A doubt with the numbers that need a decision of their own; as it is while they are computed, then drawn again."""
    found = state.wider_doubt_of(decided, doubt)
    if found is None:
        st.caption("Other lengths, cached shares and label counts are being tried; they join the bars below.")
        st.fragment(_until_wider, run_every=TICK_S)(decided, doubt)
    return doubt if found is None or found.doubt is None else found.doubt


def doubt_pending(found: Doubted | None, height: int = 120) -> None:
    """What stands in the place of a doubt that is not there yet, or cannot be."""
    if found is None:
        st.skeleton(height=height)
    elif found.problem:
        text(found.problem)


def _until_wider(decided: state.Decided, doubt: Doubt) -> None:
    if state.wider_doubt_of(decided, doubt) is not None:
        st.rerun()


def _until_doubted(decided: state.Decided) -> None:
    if state.doubt_of(decided) is not None:
        st.rerun()
