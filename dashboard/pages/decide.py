"""Decide: the verdict, the fixed table, the walked tree, every other option with the reason it is not the one."""

from datetime import UTC, datetime

import streamlit as st

from dashboard import charts, components, doubt_words, parts, report, state, tables
from dashboard import format as fmt
from dashboard.doubt_desk import Doubted
from selector.results import Recommendation
from selector.tree import load_tree


def page() -> None:
    decided = state.decided(datetime.now(UTC).date())
    recommendation = decided.recommendation
    doubted = parts.doubt(decided)
    parts.verdict(recommendation)
    parts.cards(report.cards(recommendation))
    fixed_table(recommendation)
    what_it_rests_on(recommendation, decided.not_kept)
    what_would_flip(recommendation, doubted)
    path(recommendation)
    options(recommendation)


def fixed_table(recommendation: Recommendation) -> None:
    horizon = recommendation.scenario.workload.horizon_months
    parts.table(
        tables.fixed_table_by_arm(recommendation), f"Cost over {horizon} months of a GPT-4-class API, a self-hosted 70B and a fine-tuned 7B"
    )
    for note in tables.fixed_table_notes(recommendation):
        st.caption(fmt.markdown_literal(note))
    parts.chart(charts.cumulative_cost(recommendation), "No option has a cost that could be drawn: the refusals below say why.")


def what_it_rests_on(recommendation: Recommendation, not_kept: str) -> None:
    for alarm in recommendation.alarms:
        st.warning(fmt.markdown_literal(alarm))
    if not_kept:
        st.warning(fmt.markdown_literal(not_kept))
    if recommendation.choice.why_they_differ:
        parts.text(recommendation.choice.why_they_differ)
    parts.text(f"{recommendation.measured.sentence} {report.measured_share(recommendation)}")
    with st.container(horizontal=True):
        st.page_link("dashboard/pages/measure.py", label="Measure this machine")


def what_would_flip(recommendation: Recommendation, doubted: Doubted | None) -> None:
    """How sure the advice is, the price to negotiate, and the nearest values at which it is another."""
    st.subheader("What would flip this", anchor=False)
    if doubted is None or doubted.doubt is None:
        parts.doubt_pending(doubted)
        return
    found = doubted.doubt
    parts.text(doubt_words.sure_sentence(found, recommendation))
    parts.text(doubt_words.negotiation_sentence(found, recommendation))
    flips = doubt_words.flip_sentences(found, recommendation)
    if flips:
        st.markdown("**One number alone, the nearest first**")
        parts.points(flips)
    with st.expander("What does not flip it"):
        parts.text(doubt_words.unreached_sentence(found))


def path(recommendation: Recommendation) -> None:
    st.subheader("The path through the decision tree", anchor=False)
    tree = load_tree()
    pressed = components.clickable_tree(tree, recommendation.path, recommendation.leaf, key="decide.tree")
    if pressed:
        st.session_state["decide.node"] = pressed
    node_details(recommendation, st.session_state.get("decide.node", ""))
    steps = [
        f"**{fmt.markdown_literal(step.question)}** You: {fmt.markdown_literal(step.value)}. {answer(step)}" for step in recommendation.path
    ]
    end = f"**{fmt.markdown_literal(recommendation.leaf.title)}.** {fmt.markdown_literal(recommendation.leaf.advice)}"
    st.markdown("\n".join(f"{number}. {step}" for number, step in enumerate([*steps, end], 1)))
    st.caption(
        "The tree's pick is marked among the options, it is not binding: the ranking weighs cost by the chance of being good enough."
    )


def answer(step: object) -> str:
    said = fmt.markdown_literal(str(getattr(step, "answer", "")))
    because = fmt.markdown_literal(str(getattr(step, "because", "")))
    return f"{said}: {because}."


def node_details(recommendation: Recommendation, node_id: str) -> None:
    """What stands behind a question or an advice that was pressed in the tree."""
    if not node_id:
        st.caption("Press a question in the tree to see the rule and its source.")
        return
    tree = load_tree()
    node = tree.node_by_id(node_id)
    with st.container(border=True, key="decide.details"):
        if node is None:
            leaf = next((leaf for leaf in tree.leaf if leaf.id == node_id), None)
            if leaf is not None:
                st.markdown(f"**{fmt.markdown_literal(leaf.title)}.** {fmt.markdown_literal(leaf.advice)}")
                st.caption(f"Source: {fmt.markdown_literal(leaf.source)}")
            return
        step = next((step for step in recommendation.path if step.node == node_id), None)
        st.markdown(f"**{fmt.markdown_literal(node.question)}** " + (answer(step) if step else "It is not asked on your path."))
        if step and step.departs_from_article:
            st.markdown(f"This departs from the article: {fmt.markdown_literal(step.departs_from_article)}.")
        st.caption(f"Source: {fmt.markdown_literal(node.source)}")


def options(recommendation: Recommendation) -> None:
    st.subheader("Every option", anchor=False)
    allowed, refused = tables.options_table(recommendation), tables.refused_table(recommendation)
    if len(allowed):
        parts.table(allowed, "Options that may be chosen, best first by expected cost")
        st.caption("Expected: chance of being good enough × total, plus the other chance × what the test cost and what is paid instead.")
    if len(refused):
        st.markdown("**Refused, and why**")
        parts.table(refused, "Options that were refused, each with the reason")


page()
