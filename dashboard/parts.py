"""Pieces that several pages draw: text that is not Markdown, tables, charts, the verdict."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import format as fmt
from dashboard import state
from dashboard.charts import Chart
from dashboard.doubt_desk import Doubted
from dashboard.report import Card
from selector.results import Recommendation

TICK_S = 0.5
ACTION_COLOURS = {"stay": "gray", "test_first": "blue", "move": "green", "none_feasible": "red"}


def verdict(recommendation: Recommendation) -> None:
    """The workload, what to do, and the sentence with the amount."""
    choice, workload = recommendation.choice, recommendation.scenario.workload
    with st.container(border=True, key="verdict"):
        with st.container(horizontal=True, vertical_alignment="center"):
            action = str(choice.action)
            st.badge(fmt.ACTION_NAMES.get(action, fmt.words(action)), color=ACTION_COLOURS.get(action, "gray"))  # type: ignore[arg-type]
            st.caption(f"{fmt.markdown_literal(workload.name)} · prices as of {fmt.day(recommendation.as_of)}")
        st.subheader(fmt.markdown_literal(choice.sentence), anchor=False)


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


def table(frame: pd.DataFrame, alt: str) -> None:
    """A table whose cells are text, never Markdown, addresses apart."""
    shown = frame.map(lambda cell: fmt.markdown_cell(str(cell)))
    shown.columns = pd.Index([fmt.markdown_literal(str(column)) for column in frame.columns])
    st.table(shown, border="horizontal", hide_index=True, alt=alt)


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


def doubt_pending(found: Doubted | None, height: int = 120) -> None:
    """What stands in the place of a doubt that is not there yet, or cannot be."""
    if found is None:
        st.skeleton(height=height)
    elif found.problem:
        text(found.problem)


def _until_doubted(decided: state.Decided) -> None:
    if state.doubt_of(decided) is not None:
        st.rerun()
