"""Part of Saved: after going live, bills against the decision that forecast them, and whether its verdict still holds."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from dashboard import format as fmt
from dashboard import parts, state, uploads
from facts.errors import InputError
from facts.settings import settings
from selector.reconcile import Reconciliation, actuals_from_csv, reconcile
from selector.store import SavedDecision, list_actuals, list_decisions, save_actuals

UPLOAD_MB = 10
TEMPLATE = "month,line,usd,tokens\n1,tokens_input,1234.50,610000000\n1,tokens_output,410.20,41000000\n"


def section() -> None:
    """Which decision, its bills, and what follows from them."""
    state.keeper().settle()
    decisions = {found.id: found for found in list_decisions(settings())}
    if not decisions:
        st.info("No decision is kept yet: open Decide once, and come back with the first invoice.")
        return
    chosen = st.selectbox(
        "Decision that was carried out", list(decisions), format_func=lambda key: _named(decisions[key]), key="saved.live.decision"
    )
    decision = decisions[chosen]
    options = {str(option["id"]): str(option["title"]) for option in decision.document["options"] if option.get("months")}
    advised = decision.recommended_option_id
    if not options:
        st.info("No option of this decision has a bill that could be compared.")
        return
    ids = list(options)
    used = st.selectbox(
        "What is in use",
        ids,
        index=ids.index(advised) if advised in ids else 0,
        format_func=lambda key: options[key] + (" (advised)" if key == advised else ""),
        key=f"saved.live.option.{chosen}",
    )
    _bills(decision)
    try:
        bills = list_actuals(settings(), decision.id)
        if not bills:
            st.caption("No bill is kept for this decision yet.")
            return
        _shown(reconcile(decision.document, bills, option_id=used))
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)), title="These bills cannot be compared")


def _named(decision: SavedDecision) -> str:
    return f"{decision.workload_name}, {decision.as_of}: {fmt.ACTION_NAMES.get(decision.action, fmt.words(decision.action))}"


def _bills(decision: SavedDecision) -> None:
    with st.form(f"saved.live.bills.{decision.id}", border=True):
        file = st.file_uploader(
            "Invoices or metered usage (CSV): month, line, usd and, if known, tokens",
            type=["csv"],
            max_upload_size=UPLOAD_MB,
            help="month is 1, 2, ... of the project, or YYYY-MM; line is a line of the bill as on Costs.",
        )
        left, right = st.columns(2)
        first = left.text_input("First month, where months are written YYYY-MM", max_chars=7, placeholder="2026-12")
        replace = right.toggle("Changed bills replace those kept before", help="Else a bill that differs from the one kept is refused.")
        pressed = st.form_submit_button("Keep these bills", type="primary")
    st.download_button("Template (CSV)", TEMPLATE, file_name="bills.csv", mime="text/csv", on_click="ignore", key="saved.live.template")
    if not pressed:
        return
    if file is None:
        st.error("No file is chosen.")
        return
    try:
        bills = actuals_from_csv(uploads.content(file, UPLOAD_MB).decode("utf-8-sig"), file.name, first_month=first.strip() or None)
        save_actuals(settings(), decision.id, bills, created=datetime.now(UTC), replace_changed=replace)
    except UnicodeDecodeError:
        st.error("The file is not UTF-8 text, so it is no CSV file.")
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)))


def _shown(found: Reconciliation) -> None:
    for alert in found.alerts:
        st.error(fmt.markdown_literal(alert), title="The verdict no longer holds")
    st.subheader(fmt.markdown_literal(found.sentence), anchor=False)
    months = len(found.months)
    with st.grid(4, min_column_width=200, border=True):
        for label, value, note in (
            ("Billed", fmt.usd(found.actual_usd), f"forecast {fmt.usd(found.forecast_usd)}, {months} of {found.horizon_months} months"),
            ("Whole horizon, forecast again", fmt.usd(found.recalibrated_total_usd), f"decided with {fmt.usd(found.forecast_total_usd)}"),
            ("Staying would cost", fmt.usd(found.baseline_total_usd), "today's model, at the measured volume"),
            (
                "Volume",
                fmt.NOTHING if found.volume_factor is None else f"{found.volume_factor:.2f} × forecast",
                "metered tokens over forecast ones",
            ),
        ):
            with st.container(gap="xsmall"):
                st.metric(label, value)
                st.caption(fmt.markdown_literal(note))
    rows = [
        {
            "Line": fmt.line_name(line.line),
            "Forecast": fmt.usd(line.forecast_usd),
            "Billed": fmt.usd(line.actual_usd),
            "Difference": fmt.usd(line.difference_usd),
            "of it volume": fmt.usd(line.volume_usd),
            "of it price": fmt.usd(line.price_usd),
        }
        for line in found.lines
    ]
    parts.table(pd.DataFrame(rows), "Every line of the bill: forecast, billed, and what of the difference is volume and what is price")
    parts.points(list(found.notes))
    if found.alternative is not None:
        parts.text(
            f"For the rest, {found.alternative.title} is expected to cost {fmt.usd(found.alternative.expected_usd)}, what is in use "
            f"{fmt.usd(found.alternative.stay_usd)}."
        )
