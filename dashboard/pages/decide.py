"""Decide: the verdict, the fixed table, the walked tree, every other option with the reason it is not the one."""

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from dashboard import cascade_section, charts, components, doubt_words, forms, parts, report, state, tables, undo, uploads
from dashboard import format as fmt
from dashboard.doubt_desk import Doubted
from dashboard.tree_svg import answer_text
from facts.errors import InputError
from facts.records import Basis
from selector import risk
from selector.labels import more_labels
from selector.recommendation import tree_pick
from selector.results import Arm, Leaf, OptionResult, PathStep, Recommendation
from selector.sensitivity import Simulation
from selector.sentences import reason
from selector.tasks import task_of
from selector.tree import Tree, load_tree, tree_from_toml, tree_ids, tree_toml, walk

OWN_TREE = "decide.own_tree"


def page() -> None:
    decided = state.decided(datetime.now(UTC).date())
    recommendation = decided.recommendation
    doubted = parts.doubt(decided)
    parts.verdict(recommendation)
    parts.cards(report.cards(recommendation))
    fixed_table(recommendation)
    what_it_rests_on(recommendation, decided.not_kept)
    what_would_flip(recommendation, doubted)
    meaning(recommendation)
    path(recommendation)
    cascade_section.section(recommendation)
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
    for option in recommendation.options:
        if option.arm is Arm.OWN:
            parts.text(own_sentence(option))
    for said in (recommendation.choice.why_they_differ, recommendation.choice.tie_broken):
        if said:
            parts.text(said)
    parts.text(f"{recommendation.measured.sentence} {report.measured_share(recommendation)}")
    with st.container(horizontal=True):
        st.page_link("dashboard/pages/measure.py", label="Measure this machine")


def own_sentence(option: OptionResult) -> str:
    """What became of an option of the user's own."""
    if option.total_usd is None:
        return f"Your own option, {option.title}, has no bill: {reason(option.refused_because)}."
    said = f"Your own option, {option.title}, costs {fmt.usd(option.total_usd)}"
    if option.plan is not None:
        said += f" with {option.plan.replicas} of {option.plan.server}"
    if not option.feasible:
        return f"{said}, and is refused: {reason(option.refused_because)}."
    chance = f"once its {fmt.share(option.quality.probability)} chance of being good enough is counted"
    return f"{said}; {fmt.usd(option.expected_usd)} are expected {chance}."


def what_would_flip(recommendation: Recommendation, doubted: Doubted | None) -> None:
    """How sure the advice is, the price to negotiate, the nearest values at which it is another, and the reader's attitude to risk."""
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
    with st.expander("What does not flip it", key="decide.unflipped"):
        parts.text(doubt_words.unreached_sentence(found))
    attitude(recommendation, found.simulation)


def attitude(recommendation: Recommendation, simulation: Simulation) -> None:
    """Between what an option is expected to cost and what it costs in one case of ten or more."""
    caution = st.slider(
        "How much the bad case counts",
        min_value=0.0,
        max_value=100.0,
        value=forms.OF_DECIDE["caution_percent"],
        step=5.0,
        format="%d%%",
        key="caution_percent",
        persist_state="session",
        help="0% ranks by expected cost, as the verdict does; 100% by the cost that is exceeded in one draw of ten (P90).",
    )
    ranked = risk.weighed(recommendation, simulation, caution / 100.0)
    if not ranked:
        return
    parts.text(doubt_words.attitude_sentence(ranked, recommendation, simulation, caution / 100.0))
    if caution > 0:
        parts.table(doubt_words.attitude_table(ranked), "Feasible options by how much the bad case counts, best first")


def meaning(recommendation: Recommendation) -> None:
    """Which base models the pilot tries, and what the option means for the organisation."""
    option = recommendation.option(recommendation.choice.option_id)
    if option is None:
        return
    st.subheader("What it means for you", anchor=False)
    parts.table(tables.factors_table(option), f"What {option.title} means for the organisation, beside its money")
    st.caption(
        "None of this is in the ranking. Under More assumptions, Must have makes one a requirement, and Tie breakers decide between "
        "options whose expected costs lie within 5%."
    )
    with st.expander("The same for every option", key="decide.factors"):
        parts.table(tables.factors_of_all(recommendation), "Privacy, latency, ownership and leverage of every option")
    with st.expander("What the chance of being good enough rests on", key="decide.chance"):
        chance(recommendation, option)
    if option.base_model is not None and option.base_model.shortlist:
        st.markdown("**Shortlist of the pilot**")
        parts.table(tables.shortlist_table(option.base_model), "Base models that the pilot tries")
        parts.text(f"{option.base_model.because[:1].upper()}{option.base_model.because[1:]}. {option.base_model.sentence}".strip())
        if option.base_model.left_out:
            with st.expander(f"Left out ({len(option.base_model.left_out)})", key="decide.left_out"):
                parts.points(option.base_model.left_out)


def chance(recommendation: Recommendation, option: OptionResult) -> None:
    """The prior of the option, or of the next best where the advice is to stay, with interval and closest cases; and what labels buy."""
    rivals = [one for one in recommendation.options if one.feasible and one.id != recommendation.choice.baseline_option_id]
    about = option if option.id != recommendation.choice.baseline_option_id else (rivals[0] if rivals else None)
    if about is None:
        parts.text("No option stands beside today's model, so there is no chance to weigh.")
        return
    quality = about.quality
    span = "" if quality.low == quality.high else f", {fmt.share(quality.low)} to {fmt.share(quality.high)} (9 of 10)"
    weak = (
        "" if quality.basis is Basis.MEASURED else " It is a weak prior: it says whether a test is worth running, and never replaces one."
    )
    parts.text(f"{about.title}: {fmt.share(quality.probability)}{span}, {quality.basis}. {quality.because}.{weak}")
    if quality.cases:
        st.markdown("**Closest published cases**")
        parts.points(quality.cases)
    st.caption(f"Source: {fmt.markdown_literal(quality.source)}")
    workload = recommendation.scenario.workload
    labels = more_labels(workload, task_of(workload))
    st.markdown("**What more labels would buy a tuned small model**")
    parts.text(labels.sentence)
    if labels.curves:
        parts.points(labels.curves)


def path(recommendation: Recommendation) -> None:
    st.subheader("The path through the decision tree", anchor=False)
    tree = tree_chosen()
    steps, leaf = walk(tree, recommendation.scenario.workload)
    pressed = components.clickable_tree(tree, steps, leaf, key="decide.tree")
    if pressed:
        st.session_state["decide.node"] = pressed
    node_details(tree, steps, st.session_state.get("decide.node", ""))
    lines = [
        f"**{fmt.markdown_literal(step.question)}** You: {fmt.markdown_literal(step.value)}. {fmt.markdown_literal(answer_text(step))}"
        for step in steps
    ]
    end = f"**{fmt.markdown_literal(leaf.title)}.** {fmt.markdown_literal(leaf.advice)}"
    st.markdown("\n".join(f"{number}. {line}" for number, line in enumerate([*lines, end], 1)))
    parts.text(pick_sentence(recommendation, leaf))
    own_tree()


def tree_chosen() -> Tree:
    """The corrected tree, the article's own, or the organisation's copy."""
    own: Tree | None = st.session_state.get(OWN_TREE)
    titles = {name: load_tree(name).title for name in tree_ids()}
    chosen = st.segmented_control(
        "Tree",
        list(titles),
        format_func=lambda name: titles[name],
        default=forms.OF_DECIDE["tree"],
        required=True,
        key="tree",
        persist_state="session",
        disabled=own is not None,
        help="The corrected tree marks the pick among the options. The article's tree stands beside it as it was printed.",
    )
    if own is not None:
        st.caption(f"Your own tree is drawn: {fmt.markdown_literal(own.title)}, version {fmt.markdown_literal(own.version)}.")
        return own
    return load_tree(chosen or "corrected")


def own_tree() -> None:
    """A copy to edit, and its way back, checked: every input must reach exactly one end."""
    folder = st.expander("Use your organisation's own tree", key="decide.own_tree.open", on_change="rerun")
    if not folder.open:
        return
    with folder:
        parts.text(
            "Take a copy, change questions, thresholds and advice, and open it here. It is refused with the reason if an input would "
            "reach no end or two, or if a question can never be asked."
        )
        with st.container(horizontal=True):
            for name in tree_ids():
                st.download_button(
                    f"Copy of: {load_tree(name).title}",
                    tree_toml(name),
                    file_name=f"tree-{name}.toml",
                    mime="application/toml",
                    on_click="ignore",
                    key=f"decide.copy.{name}",
                )
        st.file_uploader("Your tree (TOML)", type=["toml"], key="decide.own_tree_file", max_upload_size=1, on_change=_open_tree)
        problem = st.session_state.pop("decide.own_tree_problem", "")
        if problem:
            st.error(fmt.markdown_literal(problem), title="This tree was not taken")
        if st.session_state.get(OWN_TREE) is not None:
            st.button("Back to the trees that ship with this", key="decide.own_tree_off", on_click=_forget_tree)
        st.caption("The command line takes the same file: `python -m selector decide WORKLOAD.toml --tree TREE.toml`.")


def _open_tree() -> None:
    upload = st.session_state["decide.own_tree_file"]
    if upload is None:
        return
    st.session_state.pop(OWN_TREE, None)
    try:
        st.session_state[OWN_TREE] = tree_from_toml(uploads.content(upload, 1).decode("utf-8-sig"), "The file")
    except UnicodeDecodeError:
        st.session_state["decide.own_tree_problem"] = "The file is not UTF-8 text, so it is no TOML file"
    except InputError as error:
        st.session_state["decide.own_tree_problem"] = str(error)


def _forget_tree() -> None:
    own = st.session_state.pop(OWN_TREE, None)
    if own is not None:
        undo.offer(f"Your own tree, {own.title}, was put away.", lambda: st.session_state.update({OWN_TREE: own}))


def pick_sentence(recommendation: Recommendation, leaf: Leaf) -> str:
    """What the tree's end is among the options, and that it does not bind."""
    if not leaf.arms:
        return "This end names no model, so the tree picks nothing. The ranking weighs cost by the chance of being good enough."
    pick = tree_pick(recommendation.options, leaf)
    if pick is None:
        return "None of the options is of the kind that this end names."
    said = f"This tree's pick is {pick.title}"
    if not pick.feasible:
        said += f", which is refused: {reason(pick.refused_because)}"
    elif pick.id == recommendation.choice.option_id:
        said += ", which is also recommended"
    else:
        said += f", expected to cost {fmt.usd(pick.expected_usd)}"
    return f"{said}. It does not bind: the ranking weighs cost by the chance of being good enough."


def node_details(tree: Tree, steps: Sequence[PathStep], node_id: str) -> None:
    """What stands behind a question or an advice that was pressed in the tree."""
    node = tree.node_by_id(node_id) if node_id else None
    leaf = next((leaf for leaf in tree.leaf if leaf.id == node_id), None)
    if node is None and leaf is None:
        st.caption(
            "Press a question in the tree to see its rule and source, what the evidence says of it, and how far you are from a flip."
        )
        return
    with st.container(border=True, key="decide.details"):
        if node is None:
            assert leaf is not None
            st.markdown(f"**{fmt.markdown_literal(leaf.title)}.** {fmt.markdown_literal(leaf.advice)}")
            st.caption(f"Source: {fmt.markdown_literal(leaf.source)}")
            return
        step = next((step for step in steps if step.node == node_id), None)
        st.markdown(
            f"**{fmt.markdown_literal(node.question)}** "
            + (fmt.markdown_literal(answer_text(step)) if step else "It is not asked on your path.")
        )
        if step and step.flips:
            st.markdown(f"To take another branch: {fmt.markdown_literal(step.flips)}.")
        if step and step.departs_from_article:
            st.markdown(f"This departs from the article: {fmt.markdown_literal(step.departs_from_article)}.")
        if node.evidence:
            st.markdown(f"What the evidence says: {fmt.markdown_literal(node.evidence)}.")
        st.caption(f"Source: {fmt.markdown_literal(node.source)}")


def options(recommendation: Recommendation) -> None:
    st.subheader("Every option", anchor=False)
    allowed, refused = tables.options_table(recommendation), tables.refused_table(recommendation)
    if len(allowed):
        parts.table(allowed, "Options that may be chosen, best first by expected cost")
        st.caption("Expected: chance of being good enough × total, plus the other chance × what the test cost and what is paid instead.")
    if len(refused):
        with st.expander(f"Refused, and why ({len(refused)})", expanded=not len(allowed), key="decide.refused"):
            parts.table(refused, "Options that were refused, each with the reason")


page()
