"""Costs: what each option has cost when, at which volume, why they differ, what moves it, and what is not counted."""

from datetime import UTC, datetime

import streamlit as st

from dashboard import assumptions_section, charts, doubt_charts, doubt_words, parts, state, tables
from dashboard import format as fmt
from dashboard.doubt_desk import Doubted
from pricing.assumptions import Assumptions
from selector.results import OptionResult, Recommendation


def page() -> None:
    decided = state.decided(datetime.now(UTC).date())
    recommendation = decided.recommendation
    doubted = parts.doubt(decided)
    st.title("Costs", anchor=False)
    alarms(recommendation)
    over_time(recommendation, doubted)
    over_volume(recommendation, doubted)
    differences(recommendation, doubted)
    option = chosen(recommendation)
    if option is not None:
        bill(option)
    levers(decided, doubted)
    assumptions_section.show(recommendation)
    other_views(recommendation)
    st.subheader("What is not counted", anchor=False)
    parts.points(recommendation.not_counted)
    st.caption(
        "Amounts in USD before tax; every month is 365/12 days. Prices, rents and speeds stand on Sources, each with its source and date."
    )


def alarms(recommendation: Recommendation) -> None:
    """What in the inputs cannot be right; an alarm about an assumption stands beside it, further down."""
    below = assumptions_section.alarms_about(recommendation.alarms, list(Assumptions.model_fields))
    for alarm in recommendation.alarms:
        if alarm not in below:
            st.warning(fmt.markdown_literal(alarm))


def over_time(recommendation: Recommendation, doubted: Doubted | None) -> None:
    """Running totals with their bands, and the same as numbers."""
    found = doubted.doubt if doubted else None
    simulation = found.simulation if found else None
    parts.chart(charts.cumulative_cost(recommendation, simulation), "No option has a cost: the refusals on Decide say why.")
    if found is None:
        parts.doubt_pending(doubted, height=60)
        return
    st.caption(
        f"The lines are the numbers as decided; behind each lies where 8 of 10 of {found.simulation.draws:,} draws of every "
        "uncertain number fall. A line low in its band: more can go wrong than right."
    )
    with st.expander("The bands as numbers", key="costs.bands"):
        parts.table(doubt_words.bands_table(found), "Each option over all draws: low, middle and high cost, how often it is the cheapest")


def over_volume(recommendation: Recommendation, doubted: Doubted | None) -> None:
    """Whole servers against tokens, with today's volume."""
    st.subheader("At another volume", anchor=False)
    if doubted is None or doubted.doubt is None or doubted.staircase is None:
        parts.doubt_pending(doubted, height=380)
        return
    parts.chart(doubt_charts.staircase(recommendation, doubted.doubt, doubted.staircase), "No option has a cost at any volume.")


def differences(recommendation: Recommendation, doubted: Doubted | None) -> None:
    """From today's bill to the other one, and every option's total."""
    st.subheader("Where the difference comes from", anchor=False)
    found = doubted.doubt if doubted else None
    parts.chart(
        doubt_charts.waterfall(recommendation, found), "There is nothing to compare today's bill with: no other option may be chosen."
    )
    st.subheader("Every option", anchor=False)
    parts.chart(charts.totals(recommendation), "No option has a cost: the refusals on Decide say why.")


def chosen(recommendation: Recommendation) -> OptionResult | None:
    with_bill = {option.id: option for option in recommendation.options if option.months}
    if not with_bill:
        return None
    first = recommendation.choice.option_id if recommendation.choice.option_id in with_bill else next(iter(with_bill))
    if st.session_state.get("costs.option") not in with_bill:
        st.session_state["costs.option"] = first
    st.subheader("One option, month by month", anchor=False)
    picked = st.selectbox(
        "Option",
        list(with_bill),
        format_func=lambda option_id: with_bill[option_id].title + tables.marks(recommendation, with_bill[option_id]),
        key="costs.option",
        persist_state="session",
    )
    return with_bill[picked]


def bill(option: OptionResult) -> None:
    if not option.feasible:
        st.warning(fmt.markdown_literal(f"Refused: {option.refused_because}"))
    parts.chart(charts.monthly_lines(option), "This option has no monthly bill.")
    upfront = tables.upfront_table(option)
    left, right = st.columns([2, 1])
    with left:
        parts.table(tables.months_table(option), f"The bill of {option.title}, month by month")
    with right:
        if len(upfront):
            st.markdown(f"**{fmt.markdown_literal(fmt.usd(option.upfront_usd))} is paid upfront**")
            parts.table(upfront, "What is paid before the first month")
        else:
            st.markdown("**Nothing is paid upfront**")
        parts.table(tables.key_figures(option), f"Key figures of {option.title}")
        if option.notes:
            parts.points(list(option.notes))


def levers(decided: state.Decided, doubted: Doubted | None) -> None:
    """What moves the saving, and what prices may do."""
    recommendation = decided.recommendation
    st.subheader("What moves it", anchor=False)
    if doubted is None or doubted.doubt is None:
        parts.doubt_pending(doubted, height=380)
        return
    found = parts.wider_doubt(decided, doubted.doubt)
    parts.chart(doubt_charts.tornado(found.tornado, recommendation), "No uncertain number moves the saving of an option.")
    st.caption(
        f"Saving against today's model, {fmt.markdown_literal(fmt.usd(found.tornado.saving_usd))} as decided, one number moved to either "
        "end of its range at a time: sand at its low end, blue at its high end. Left of the firm line the option costs more than today. "
        "*Flips*: at one end the advice is another."
    )
    st.subheader("If prices move", anchor=False)
    parts.chart(doubt_charts.price_paths(found.paths, recommendation), "None of the three arms has a bill.")
    parts.table(doubt_words.paths_table(found.paths, recommendation), "Totals and advice under each way that prices may go")


def other_views(recommendation: Recommendation) -> None:
    """The article's own arithmetic, and the views that are never ranked."""
    st.subheader("Other ways to count", anchor=False)
    linear = tables.linear_table(recommendation)
    if len(linear):
        st.markdown("**The article's method: tokens times one price per million**")
        parts.table(linear, "The three arms by the article's linear method, and what ours says")
        parts.points([f"{row.label}: {row.because}" for row in recommendation.article_method])
    views = tables.views_table(recommendation)
    if len(views):
        st.markdown("**Own servers written off over their life, electricity, emissions**")
        parts.table(views, "Amortised total, electricity and emissions of options with servers")
        st.caption("Beside the total, never in its ranking. Emissions need the grid's intensity, under More assumptions.")


page()
