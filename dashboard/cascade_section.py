"""Part of Decide: a small model first, the large one on doubt. What the pair costs and how good it is, by the share that is sent on."""

from __future__ import annotations

import streamlit as st

from dashboard import format as fmt
from dashboard import parts
from dashboard.charts import cascade, kept
from selector.cascade import (
    ItemPair,
    Pair,
    cascade_need,
    cascade_point,
    item_pairs,
    pair_at,
)
from selector.quality import MARGIN_SHARE
from selector.results import Recommendation

OWN = "your own two scores"
FOLDER = "decide.cascade.open"
"""Key of the folder: its content is drawn while it is open."""


def section(recommendation: Recommendation) -> None:
    """The pair of the decision, with the quality of a published pair or of the user's own two scores."""
    names = {found.id: f"{found.small_model} and {found.large_model} on {found.benchmark}" for found in item_pairs()}
    folder = st.expander("A small model first, the large one on doubt", key=FOLDER, on_change="rerun")
    if not folder.open:  # its chart costs a fifth of a rerun
        return
    with folder:
        chosen = st.selectbox(
            "How good the two models are",
            [*names, OWN],
            format_func=lambda name: names.get(name, "Your own two scores"),
            key="decide.cascade.pair",
            persist_state="session",
            help="Until both are scored on your own cases, a published pair stands in for them.",
        )
        published = next((found for found in item_pairs() if found.id == chosen), None)
        small, large = (published.small_right_share, published.large_right_share) if published else own_scores()
        pair = pair_at(recommendation, small, large, published.only_large_right_share if published else None)
        if pair is None:
            parts.text("No small API model with a price stands beside today's model here, so there is no pair to draw.")
            return
        drawn(pair, published)


def own_scores() -> tuple[float, float]:
    """Shares of right answers, as the user states them."""
    left, right = st.columns(2)
    small = left.slider("Small model right on", 0, 100, 75, format="%d%%", key="decide.cascade.small", persist_state="session")
    large = right.slider("Large model right on", 0, 100, 80, format="%d%%", key="decide.cascade.large", persist_state="session")
    return small / 100.0, large / 100.0


def drawn(pair: Pair, published: ItemPair | None) -> None:
    """The chart, the sentence, and the two ends."""
    if pair.gap_share <= 0:
        parts.text("The small model is right as often as the large one: there is nothing to send on.")
        return
    share = (
        st.slider("Sent on to the large model", 0, 100, 50, step=5, format="%d%%", key="decide.cascade.share", persist_state="session")
        / 100.0
    )
    here = cascade_point(pair, share)
    parts.chart(cascade(pair, share), "")
    money = "saves" if here.saving_share >= 0 else "costs"
    more = "" if here.saving_share >= 0 else " more"
    low, high = kept(here.right_low_share, pair), kept(here.right_high_share, pair)
    coin, oracle = kept(here.coin_flip_right_share, pair), kept(here.oracle_right_share, pair)
    parts.text(
        f"With {fmt.share(share)} sent on, the pair {money} {fmt.share(abs(here.saving_share))}{more} of what the large model "
        f"alone costs in tokens. It keeps {low} to {high} of its right answers, by how well the router knows your traffic; "
        f"at random {coin}, with hindsight {oracle}."
    )
    parts.text(cascade_need(pair, MARGIN_SHARE).sentence)
    nothing = cascade_point(pair, 1.0)
    parts.text(f"Where no small answer is accepted both models are paid: {fmt.share(-nothing.saving_share)} more than the large one alone.")
    if published is not None:
        st.caption(f"Quality of the pair: {fmt.markdown_literal(published.source.url)}, read {fmt.day(published.source.checked)}.")
