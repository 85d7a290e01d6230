"""Sources: every number in use with where it comes from; live prices; published claims recomputed; the method."""

from datetime import UTC, datetime

import streamlit as st

from dashboard import claims_section, method_section, parts, price_section, state, tables
from dashboard import format as fmt

OLD_DAYS = 90
NUMBERS, PRICES, CLAIMS, METHOD = "Numbers in use", "Price refresh", "Published claims", "Method"


def page() -> None:
    st.title("Sources", anchor=False)
    shown = st.segmented_control(
        "Show",
        [NUMBERS, PRICES, CLAIMS, METHOD],
        default=NUMBERS,
        required=True,
        key="sources.part",
        label_visibility="collapsed",
        persist_state="session",
    )
    if shown == PRICES:
        price_section.show()
    elif shown == CLAIMS:
        claims_section.show(datetime.now(UTC).date())
    elif shown == METHOD:
        method_section.show()
    else:
        numbers()


def numbers() -> None:
    recommendation = state.decided(datetime.now(UTC).date()).recommendation
    dated = [line for line in recommendation.sources if line.age_days is not None]
    oldest = max(dated, key=lambda line: line.age_days or 0, default=None)
    if oldest is not None:
        said = f"{len(recommendation.sources)} numbers are in use; the oldest was read {fmt.age(oldest.age_days)} ago: {oldest.label}."
        old = sum(1 for line in dated if (line.age_days or 0) > OLD_DAYS)
        parts.text(said + (f" {old} are older than {OLD_DAYS} days: check them before you sign." if old else ""))
    frame = tables.sources_overview(recommendation)
    if len(frame):
        bases = sorted({str(line.basis) for line in recommendation.sources})
        shown = st.pills("How it was come by", bases, selection_mode="multi", key="sources.basis", persist_state="session")
        frame = frame[frame["Basis"].isin(shown)] if shown else frame
        parts.table(frame, "Every number in use, with value, source, date, age and basis")
    st.subheader("What is not counted", anchor=False)
    parts.points(recommendation.not_counted)
    st.caption(
        f"Method version {fmt.markdown_literal(recommendation.method_version)}, inputs `{recommendation.inputs_sha256}`. "
        "Change a number under More assumptions; a change of your own stands here as assumed."
    )


page()
