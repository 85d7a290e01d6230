"""Saved: scenarios with their versions and approvals, request logs, portfolios, bills after going live, and everything as one file."""

from datetime import UTC, datetime

import streamlit as st

from dashboard import format as fmt
from dashboard import history_section, log_section, portfolio_section, reconcile_section, state, uploads
from facts.errors import InputError
from facts.settings import settings
from selector.transfer import export_text, import_text

UPLOAD_MB = 200


def page() -> None:
    st.title("Saved", anchor=False)
    views = {
        "Scenarios": history_section.section,
        "From a log": log_section.section,
        "Portfolio": portfolio_section.section,
        "After going live": reconcile_section.section,
        "Export and import": transfer,
    }
    shown = st.segmented_control(
        "What to see",
        list(views),
        default="Scenarios",
        required=True,
        key="saved.view",
        persist_state="session",
        label_visibility="collapsed",
    )
    try:
        views[shown]()
    except InputError as error:  # the database itself: nothing of this page works without it
        st.error(fmt.markdown_literal(str(error)), title="What is saved cannot be read")


def transfer() -> None:
    """Everything that is kept as one file, and back."""
    st.markdown("**Export**")
    st.caption("Workloads, scenarios with every version, approvals, links, decisions, tests, bills, prices, measurements; with a checksum.")
    if st.button("Prepare the file", key="saved.export"):
        state.keeper().settle()
        st.session_state["saved.exported"] = export_text(settings(), created=datetime.now(UTC))
    exported = st.session_state.get("saved.exported", "")
    if exported:
        st.download_button(
            f"Download ({len(exported.encode()) / 1e6:.1f} MB)",
            exported,
            file_name=f"rightsize-{datetime.now(UTC):%Y-%m-%d}.json",
            mime="application/json",
            on_click="ignore",
            key="saved.download",
            type="primary",
        )
    st.markdown("**Import**")
    st.caption("What is here stays as it is: only what is not here is added, all of it or nothing.")
    file = st.file_uploader("File of an export", type=["json"], key="saved.import", max_upload_size=UPLOAD_MB)
    if file is not None and st.button("Import it", type="primary", key="saved.import_now"):
        try:
            found = import_text(settings(), uploads.content(file, UPLOAD_MB), file.name)
        except InputError as error:
            st.error(fmt.markdown_literal(str(error)), title="Nothing was imported")
            return
        added = ", ".join(f"{count} {table.replace('_', ' ')}" for table, count in found.added) or "nothing new"
        st.success(fmt.markdown_literal(f"Added: {added}. Known already: {found.known} rows."))


page()
