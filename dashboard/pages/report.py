"""Report: what the PDF says first, the files to take along, and the link that opens the same inputs again."""

import re
from datetime import UTC, datetime
from urllib.parse import urlencode

import streamlit as st

from dashboard import format as fmt
from dashboard import forms, parts, state, tables
from dashboard.pdf import render_pdf
from dashboard.report import Report, report_of
from selector.public import dumps, to_json
from selector.scenarios import scenario_to_toml
from selector.tree import load_tree


def page() -> None:
    decided = state.decided(datetime.now(UTC).date())
    recommendation = decided.recommendation
    report = report_of(recommendation, load_tree(), decided.measurements)
    st.title("Report", anchor=False)
    parts.verdict(recommendation)
    parts.cards(report.cards)
    downloads(report, decided)
    st.subheader("Link to these inputs", anchor=False)
    st.code(link(), language=None, wrap_lines=True)
    st.caption("It opens the same inputs with the prices of the day it is opened.")
    contents(report)


def downloads(report: Report, decided: state.Decided) -> None:
    recommendation = decided.recommendation
    name = file_name(report.title)
    with st.container(horizontal=True, vertical_alignment="center"):
        paper = st.segmented_control(
            "Paper", ["A4", "Letter"], default="A4", required=True, key="report.paper", label_visibility="collapsed"
        )
        size = "us-letter" if paper == "Letter" else "a4"
        st.download_button(
            "PDF for signing off",
            data=lambda: render_pdf(report, paper=size),
            file_name=f"{name}.pdf",
            mime="application/pdf",
            type="primary",
            on_click="ignore",
            key="report.pdf",
        )
        st.download_button(
            "Decision as JSON",
            data=lambda: dumps(to_json(recommendation)),
            file_name=f"{name}.json",
            mime="application/json",
            on_click="ignore",
            key="report.json",
        )
        st.download_button(
            "Months as CSV",
            data=lambda: tables.months_csv(recommendation),
            file_name=f"{name}-months.csv",
            mime="text/csv",
            on_click="ignore",
            key="report.csv",
        )
        st.download_button(
            "Inputs as TOML",
            data=lambda: scenario_to_toml(recommendation.scenario),
            file_name=f"{name}.toml",
            mime="application/toml",
            on_click="ignore",
            key="report.toml",
        )


def contents(report: Report) -> None:
    st.subheader("What the PDF holds", anchor=False)
    parts.points([section.heading for section in report.sections])
    st.caption(
        f"Method version {fmt.markdown_literal(report.method_version)}, inputs `{report.inputs_sha256[:16]}`. "
        "Tagged for screen readers (PDF/UA-1) and for the archive (PDF/A-2a); the same inputs give the same bytes."
    )


def link() -> str:
    """The address of this server's first page with every input that differs from its default."""
    base = (st.context.url or "").split("?")[0].rsplit("/", 1)[0]
    query = urlencode(forms.link_pairs(st.session_state.to_dict()), doseq=True)
    return f"{base}/?{query}" if query else f"{base}/"


def file_name(title: str) -> str:
    """A file name without any sign that a file system could take amiss."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-").lower()
    return f"rightsize-{plain[:60]}" if plain else "rightsize"


page()
