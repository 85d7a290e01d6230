"""Report: what the PDF says first, the files to take along, and the link that opens the same inputs again."""

import re
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlencode

import streamlit as st

from dashboard import format as fmt
from dashboard import forms, parts, state, tables
from dashboard.numerals import STYLES, report_in, style_of
from dashboard.pdf import render_pdf
from dashboard.report import Owners, Report, Signature, cards, report_of
from dashboard.workbook import workbook
from selector.public import dumps, to_json
from selector.scenarios import scenario_to_toml
from selector.sensitivity import Doubt
from selector.sensitivity import to_json as doubt_json
from selector.tree import load_tree

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SIGNERS = (("prepared", "Prepared by"), ("checked", "Checked by, finance"), ("approved", "Approved by"))
OWNED = (
    ("prices", "Prices and rents"),
    ("speeds", "Speeds and data sheets"),
    ("quality", "Chances of being good enough"),
    ("assumptions", "Other assumptions"),
)
LONGEST_NAME = 60
PAPERS = {"A4": "a4", "Letter": "us-letter"}


def page() -> None:
    decided = state.decided(datetime.now(UTC).date())
    recommendation = decided.recommendation
    doubted = state.doubt_of(decided, wait=True)  # on paper it stands or it does not: the same inputs give the same bytes
    doubt = doubted.doubt if doubted else None
    st.title("Report", anchor=False)
    parts.verdict(recommendation)
    parts.cards(cards(recommendation))
    st.subheader("Take it along", anchor=False)
    files = st.container()
    paper, style = layout()
    owners, signatures = names()
    address = "" if recommendation.scenario.own else link()
    report = report_of(recommendation, load_tree(), decided.measurements, doubt, link=address, owners=owners, signatures=signatures)
    with files:
        downloads(report, decided, doubt, owners, paper, style)
    st.subheader("Link to these inputs", anchor=False)
    if address:
        st.code(address, language=None, wrap_lines=True)
        st.caption("It opens the same inputs with the prices of the day it is opened. The PDF carries it as text and as a QR code.")
    else:
        st.caption(
            "Your own options do not fit into an address. Take the workload file along, or save the scenario and share that version: "
            "both hold them."
        )
    contents(report)


def layout() -> tuple[str, str]:
    """Paper, and how numbers are written."""
    with st.container(horizontal=True):
        paper = st.segmented_control("Paper", list(PAPERS), default="A4", required=True, key="report.paper", persist_state="session")
        style = st.segmented_control(
            "Numbers",
            list(STYLES),
            format_func=lambda name: STYLES[name].label,
            default=style_of(st.context.locale),
            required=True,
            key="report.numbers",
            persist_state="session",
            help="In the PDF and the CSV. A workbook shows numbers the way of the computer that opens it; the JSON never changes.",
        )
    return PAPERS[paper or "A4"], style or "en"


def names() -> tuple[Owners, tuple[Signature, ...]]:
    """Who signs, and who answers for which numbers of the register."""
    with st.expander("Names for the signatures and the register"):
        st.caption("They stand in the PDF and in the workbook, and are kept nowhere else.")
        left, right = st.columns(2)
        with left:
            signed = {key: _name(f"report.{key}", label, "to be filled in by hand") for key, label in SIGNERS}
        with right:
            default = Owners()
            owned = {key: _name(f"report.owner_{key}", f"Owner: {label}", getattr(default, key)) for key, label in OWNED}
    owners = Owners(**{key: name or getattr(default, key) for key, name in owned.items()})
    return owners, tuple(Signature(role=label, name=signed[key]) for key, label in SIGNERS)


def _name(key: str, label: str, placeholder: str) -> str:
    typed = st.text_input(label, key=key, max_chars=LONGEST_NAME, placeholder=placeholder, persist_state="session")
    return " ".join((typed or "").split())[:LONGEST_NAME]


def downloads(report: Report, decided: state.Decided, doubt: Doubt | None, owners: Owners, paper: str, style: str) -> None:
    recommendation = decided.recommendation
    name = file_name(report.title)
    made_of = f"{key_of(decided)} {doubt is not None} {style} {report.link} {owners} {report.signatures}"
    # Made now, not at the click: a file that is made later has a name that the next rerun takes away.
    files: list[tuple[str, str, str | bytes, str, str]] = [
        ("pdf", "PDF for signing off", pdf(made_of, paper, _report=report_in(report, style)), f"{name}.pdf", "application/pdf"),
        ("xlsx", "Workbook (XLSX)", xlsx(made_of, _decided=decided, _owners=owners, _link=report.link), f"{name}.xlsx", XLSX),
        ("csv", "Months as CSV", tables.months_csv(recommendation, style), f"{name}-months.csv", "text/csv"),
        ("json", "Decision as JSON", dumps(to_json(recommendation)), f"{name}.json", "application/json"),
        ("toml", "Inputs as TOML", scenario_to_toml(recommendation.scenario), f"{name}.toml", "application/toml"),
    ]
    if doubt is not None:
        files.append(("doubt", "Doubt as JSON", dumps(doubt_json(doubt)), f"{name}-doubt.json", "application/json"))
    with st.container(horizontal=True, vertical_alignment="center"):
        for kind, label, content, file, mime in files:
            look: Literal["primary", "secondary"] = "primary" if kind == "pdf" else "secondary"
            st.download_button(label, data=content, file_name=file, mime=mime, type=look, on_click="ignore", key=f"report.{kind}")


@st.cache_resource(max_entries=16, show_spinner=False)
def pdf(key: str, paper: str, *, _report: Report) -> bytes:
    return render_pdf(_report, paper=paper)


@st.cache_resource(max_entries=16, show_spinner=False)
def xlsx(key: str, *, _decided: state.Decided, _owners: Owners, _link: str) -> bytes:
    return workbook(_decided.recommendation, measurements=_decided.measurements, owners=_owners, link=_link)


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
