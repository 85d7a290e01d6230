"""Costs: every option's total, one option's bill month by month, what is paid upfront and what is not counted."""

from datetime import UTC, datetime

import streamlit as st

from dashboard import charts, parts, state, tables
from dashboard import format as fmt
from selector.results import OptionResult, Recommendation


def page() -> None:
    recommendation = state.decided(datetime.now(UTC).date()).recommendation
    st.title("Costs", anchor=False)
    parts.chart(charts.totals(recommendation), "No option has a cost: the refusals on Decide say why.")
    option = chosen(recommendation)
    if option is not None:
        bill(option)
    st.subheader("What is not counted", anchor=False)
    parts.points(recommendation.not_counted)
    st.caption("Amounts in USD before tax; every month is 365/12 days. The defaults behind them, with source and date, stand on Sources.")


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


page()
