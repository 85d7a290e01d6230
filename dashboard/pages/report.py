"""Report: what the PDF says first, the files to take along, and the link that opens the same inputs again."""

import re
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlencode

import streamlit as st

from dashboard import format as fmt
from dashboard import forms, parts, state, tables
from dashboard.pdf import render_pdf
from dashboard.report import Report, report_of
from selector.public import dumps, to_json
from selector.scenarios import scenario_to_toml
from selector.sensitivity import Doubt
from selector.sensitivity import to_json as doubt_json
from selector.tree import load_tree


def page() -> None:
    decided = state.decided(datetime.now(UTC).date())
    recommendation = decided.recommendation
    doubted = state.doubt_of(decided, wait=True)  # on paper it stands or it does not: the same inputs give the same bytes
    doubt = doubted.doubt if doubted else None
    report = report_of(recommendation, load_tree(), decided.measurements, doubt)
    st.title("Report", anchor=False)
    parts.verdict(recommendation)
    parts.cards(report.cards)
    downloads(report, decided, doubt)
    st.subheader("Link to these inputs", anchor=False)
    st.code(link(), language=None, wrap_lines=True)
    st.caption("It opens the same inputs with the prices of the day it is opened.")
    contents(report)


def downloads(report: Report, decided: state.Decided, doubt: Doubt | None) -> None:
    recommendation = decided.recommendation
    name = file_name(report.title)
    with st.container(horizontal=True, vertical_alignment="center"):
        paper = st.segmented_control(
            "Paper", ["A4", "Letter"], default="A4", required=True, key="report.paper", label_visibility="collapsed"
        )
        size = "us-letter" if paper == "Letter" else "a4"
        # Made now, not at the click: a file that is made later has a name that the next rerun takes away.
        files: tuple[tuple[str, str, str | bytes, str, str], ...] = (
            (
                "pdf",
                "PDF for signing off",
                pdf(f"{key_of(decided)} {doubt is not None}", size, _report=report),
                f"{name}.pdf",
                "application/pdf",
            ),
            ("json", "Decision as JSON", dumps(to_json(recommendation)), f"{name}.json", "application/json"),
            ("csv", "Months as CSV", tables.months_csv(recommendation), f"{name}-months.csv", "text/csv"),
            ("toml", "Inputs as TOML", scenario_to_toml(recommendation.scenario), f"{name}.toml", "application/toml"),
        )
        if doubt is not None:
            files = (*files, ("doubt", "Doubt as JSON", dumps(doubt_json(doubt)), f"{name}-doubt.json", "application/json"))
        for kind, label, content, file, mime in files:
            look: Literal["primary", "secondary"] = "primary" if kind == "pdf" else "secondary"
            st.download_button(label, data=content, file_name=file, mime=mime, type=look, on_click="ignore", key=f"report.{kind}")


@st.cache_resource(max_entries=16, show_spinner=False)
def pdf(key: str, paper: str, *, _report: Report) -> bytes:
    return render_pdf(_report, paper=paper)


def key_of(decided: state.Decided) -> str:
    """What a report is made of, in one word."""
    parts = [decided.recommendation.inputs_sha256, decided.recommendation.scenario.workload.name]
    return " ".join([*parts, *(measurement.id for measurement in decided.measurements)])


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
