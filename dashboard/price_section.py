"""Part of Sources: live prices, fetched only when the button is pressed, shown as a difference, used only once accepted."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from dashboard import format as fmt
from dashboard import parts
from dashboard.price_desk import Fetched, changes, price_desk
from facts.errors import InputError
from facts.settings import settings
from pricing.refresh import FEED_URLS, Feed, PriceDiff
from pricing.store import AcceptedList, accepted_lists

TICK_S = 1.0
MESSAGE = "prices.message"
SHOWN_FIRST, SHOWN_IN_ALL = 12, 500
FEED_NAMES = {
    Feed.GENAI_PRICES: "genai-prices: every vendor",
    Feed.OPENROUTER: "OpenRouter: its own prices",
    Feed.LITELLM: "LiteLLM: a second opinion",
}


def show() -> None:
    """Which prices are in use, the button, and what a fetched list would change."""
    now = datetime.now(UTC)
    said = st.session_state.pop(MESSAGE, None)
    if said is not None:
        (st.success if said[0] else st.error)(fmt.markdown_literal(said[1]))
    parts.text(in_use(now))
    st.caption(
        "Nothing is fetched unless you press the button, and nothing is used before you accept it. A decision keeps the prices it was "
        "made with."
    )
    desk = price_desk()
    running = desk.fetching is not None
    feeds = list(Feed)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        feed = st.selectbox(
            "Price list", feeds, index=0, format_func=FEED_NAMES.__getitem__, key="prices.feed", persist_state="session", disabled=running
        )
        if st.button("Fetch and compare", type="primary", key="prices.fetch", disabled=running):
            try:
                desk.fetch(feed, now)
            except InputError as error:
                st.session_state[MESSAGE] = (False, str(error))
            st.rerun()
    st.caption(f"It asks `{FEED_URLS[feed]}` and no other address.")
    if desk.fetching is not None:
        st.fragment(_waiting, run_every=TICK_S)()
    elif desk.fetched is not None:
        _ended(desk.fetched)


def in_use(now: datetime) -> str:
    """Which prices the decisions use, in a sentence."""
    try:
        lists = accepted_lists(settings(), now.date())
    except InputError as error:
        return f"Accepted prices cannot be read: {error}"
    newest: dict[str, AcceptedList] = {found.feed: found for found in lists}
    if not newest:
        return "In use: the prices that came with the program. No live list has been accepted."
    named = "; ".join(f"{found.feed}, fetched {fmt.day(found.as_of)}" for found in newest.values())
    return f"In use: accepted live prices ({named}) over those that came with the program."


# ---- below: how ----


def _waiting() -> None:
    desk = price_desk()
    if desk.fetching is None:
        st.rerun()
    st.info(f"Fetching {FEED_NAMES[desk.fetching]}. You may leave this page; the list waits here.")


def _ended(found: Fetched) -> None:
    if found.failed:
        st.error(fmt.markdown_literal(found.failed), title="The prices in use stay as they are")
        return
    if found.proposal is None:
        st.success(f"{found.feed.value} has nothing newer than what is kept here.")
        return
    with st.container(border=True, key="prices.proposal"):
        difference = found.proposal.diff
        st.subheader(fmt.markdown_literal(_headline(found, difference)), anchor=False)
        if found.agreements:
            _second_opinion(found)
            return
        if found.proposal.dropped:
            st.caption(f"{found.proposal.dropped} rows carried no usable price and are left out.")
        _changes(difference)
        _accept(found, difference)


def _headline(found: Fetched, difference: PriceDiff) -> str:
    assert found.proposal is not None
    if found.agreements:
        return f"{found.feed.value} lists {len(found.proposal.snapshot.rows):,} prices; as a second opinion they are compared, never used"
    moved = len(changes(difference))
    return (
        f"{moved:,} {'price' if moved == 1 else 'prices'} would change, {len(difference.added):,} new, "
        f"{len(difference.removed):,} not in the list, {difference.same + len(difference.changed) - moved:,} as before"
    )


def _second_opinion(found: Fetched) -> None:
    frame = pd.DataFrame([{"Prices in use": str(kind.value), "Models": f"{many:,}"} for kind, many in found.agreements])
    parts.table(frame, "How many prices in use a second source agrees with")
    if st.button("Put it away", key="prices.reject"):
        price_desk().put_away()
        st.rerun()


def _changes(difference: PriceDiff) -> None:
    names = ["Model", "USD per M tokens now", "Would be", "Move"]
    rows = changes(difference)
    if rows:
        parts.table(pd.DataFrame(rows[:SHOWN_FIRST], columns=names), "Prices that would change, those to look at first")
    if len(rows) > SHOWN_FIRST:
        with st.expander(f"{len(rows) - SHOWN_FIRST:,} more changes"):
            parts.table(pd.DataFrame(rows[SHOWN_FIRST:SHOWN_IN_ALL], columns=names), "The other prices that would change")
    rates = tuple(change.id for change in difference.changed if change.factor == 1.0)
    for label, ids in (
        ("Same price, other cached, batch or tiered rates", rates),
        ("New models", difference.added),
        ("Not in the fetched list; their price in use stays", difference.removed),
    ):
        if ids:
            with st.expander(f"{label} ({len(ids):,})"):
                parts.text(", ".join(ids[:SHOWN_IN_ALL]) + (" and more" if len(ids) > SHOWN_IN_ALL else ""))


def _accept(found: Fetched, difference: PriceDiff) -> None:
    confirmed = True
    if difference.to_confirm:
        many = len(difference.to_confirm)
        confirmed = st.checkbox(
            f"I have looked at the {many} vendor {'price' if many == 1 else 'prices'} that moved by more than 3 times", key="prices.confirm"
        )
    with st.container(horizontal=True):
        if st.button("Accept: use these prices from today", type="primary", key="prices.accept", disabled=not confirmed):
            _take(found, confirmed)
        if st.button("Reject: keep the prices in use", key="prices.reject"):
            price_desk().put_away()
            st.session_state[MESSAGE] = (True, "Rejected. The prices in use stay as they are.")
            st.rerun()


def _take(found: Fetched, confirmed: bool) -> None:
    try:
        price_desk().accept(confirmed=confirmed, now=datetime.now(UTC))
        st.session_state[MESSAGE] = (True, f"Accepted. Decide now uses the prices of {found.feed.value}.")
    except InputError as error:
        st.session_state[MESSAGE] = (False, str(error))
    st.rerun()
