"""Playbook: the six stages from an idea to production, what comes next, and whether it is worth its money."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from dashboard import format as fmt
from dashboard import parts, project, state
from dashboard.report import Card
from facts.errors import InputError
from facts.settings import settings
from selector.drift import Alarm, Drift
from selector.looks import Stage
from selector.playbook import Advice, Entry, Playbook, StageStatus, State, StepValue
from selector.store import save_entry

MESSAGE = "playbook.message"
ADVICE_NAMES = {Advice.RUN: "Worth trying", Advice.UNSURE: "Unsure", Advice.STOP: "Not worth its money"}
ADVICE_COLOURS = {Advice.RUN: "green", Advice.UNSURE: "orange", Advice.STOP: "red"}
STATE_NAMES = {
    State.DONE: "done",
    State.NEXT: "next",
    State.WAITING: "later",
    State.NOT_NEEDED: "not needed",
    State.STOPPED: "stopped",
}
STATE_COLOURS = {State.DONE: "green", State.NEXT: "blue", State.WAITING: "gray", State.NOT_NEEDED: "gray", State.STOPPED: "red"}
PART_NAMES = {"evaluation_cases": "Labelling the test cases", "evaluation_days": "Running and scoring the tests"}


def page() -> None:
    recommendation = state.decided(datetime.now(UTC).date()).recommendation
    name = recommendation.scenario.workload.name
    kept = project.kept(name)
    st.title("Playbook", anchor=False)
    problem = st.session_state.pop(MESSAGE, "")
    if problem:
        st.error(fmt.markdown_literal(problem), title="This was not kept")
    option = project.option_choice(recommendation, "Option that is pursued", "playbook.option", kept.playbook(recommendation).option_id)
    if option is None:
        return
    playbook = kept.playbook(recommendation, option.id)
    standing(playbook)
    parts.cards(cards(playbook))
    what_the_money_says(playbook)
    st.subheader("The six stages", anchor=False)
    for status in playbook.stages:
        stage(status, playbook, name)
    spent = sum(status.cost_usd for status in playbook.stages)
    st.caption(f"Together {fmt.usd(spent)}, the option's whole upfront bill: each of its lines stands at exactly one stage.")
    drift(playbook.drift)
    history(kept.entries)


# ---- where it stands ----


def standing(playbook: Playbook) -> None:
    """Where the project stands, in a sentence, and whether to go on."""
    with st.container(border=True, key="playbook.standing"):
        word, colour = standing_word(playbook)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(word, color=colour)  # type: ignore[arg-type]
            st.caption(fmt.markdown_literal(f"{playbook.scenario_name} · {playbook.option_title}"))
        st.subheader(fmt.markdown_literal(headline(playbook)), anchor=False)
        if playbook.value is not None:
            parts.text(playbook.value.sentence)


def standing_word(playbook: Playbook) -> tuple[str, str]:
    """A word for the standing, with its colour."""
    if any(status.state is State.STOPPED for status in playbook.stages):
        return "Stopped", "red"
    if playbook.drift is not None and playbook.drift.alarm is Alarm.BELOW:
        return "Drift alarm", "red"
    if playbook.next is None:
        watch = playbook.drift is not None and playbook.drift.alarm is not Alarm.NONE
        return ("In production, to watch", "orange") if watch else ("In production", "green")
    if playbook.value is None:
        return "Open", "gray"
    if playbook.next is Stage.PRODUCTION and playbook.value.advice is Advice.RUN:
        return "Ready to go live", "green"
    return ADVICE_NAMES[playbook.value.advice], ADVICE_COLOURS[playbook.value.advice]


def headline(playbook: Playbook) -> str:
    """The project's sentence without its worth, which stands below it."""
    worth = "" if playbook.value is None else playbook.value.sentence
    return playbook.sentence.removesuffix(worth).strip()


def cards(playbook: Playbook) -> tuple[Card, ...]:
    """What the next step costs, what going on is worth, the chance."""
    value, found = playbook.value, []
    if playbook.next is not None:
        left = 0.0 if value is None else value.cost_usd
        note = f"{fmt.usd(left)} until the answer" if left else "the answer is paid for"
        found.append(Card(label="Next step costs", value=fmt.usd(playbook.next_cost_usd), note=note))
    if value is not None:
        between = f"between {fmt.usd(value.value_low_usd)} and {fmt.usd(value.value_high_usd)}"
        found.append(Card(label="Going on is worth", value=fmt.usd(value.value_usd), note="as tested" if value.measured else between))
        found.append(chance(playbook, value))
    return tuple(found)


def chance(playbook: Playbook, value: StepValue) -> Card:
    """The chance, or that the option's own test is passed: then it is no chance any more."""
    if playbook.next is Stage.PRODUCTION:
        return Card(label="Its own test", value="passed", note="shown good enough on your own cases")
    even = "" if value.break_even_probability is None else f"; pays from {fmt.share(value.break_even_probability)}"
    spread = "from your own test" if value.measured else f"{fmt.share(value.low)} to {fmt.share(value.high)}"
    return Card(label="Chance that it is good enough", value=fmt.share(value.probability), note=f"{spread}{even}")


def what_the_money_says(playbook: Playbook) -> None:
    said = []
    if playbook.next is not None and playbook.saving_month_usd is not None and playbook.saving_month_usd > 0:
        good = "" if playbook.next is Stage.PRODUCTION else " if it turns out good enough"
        said.append(f"Each month of waiting forgoes {fmt.usd(playbook.saving_month_usd)}{good}.")
    if playbook.retraining_year_usd > 0:
        once = fmt.usd(playbook.retraining_once_usd)
        said.append(f"The bill holds {fmt.usd(playbook.retraining_year_usd)} a year for keeping it good, {once} each time.")
    if playbook.more_cases:
        said.append(f"The last test is not decided: {playbook.more_cases:,} more labelled cases would settle it.")
    if playbook.looks_rule:
        said.append(playbook.looks_rule)
    if said:
        parts.points(said)
    if playbook.next is not None:
        with st.container(horizontal=True):
            st.page_link("dashboard/pages/evaluate.py", label="Run a test, or plan one")


# ---- the stages ----


def stage(status: StageStatus, playbook: Playbook, scenario_name: str) -> None:
    with st.container(border=True, key=f"playbook.stage.{status.stage}", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{status.number}. {fmt.markdown_literal(status.title)}**")
            st.badge(STATE_NAMES[status.state], color=STATE_COLOURS[status.state])  # type: ignore[arg-type]
            st.caption(fmt.usd(status.cost_usd) if status.cost_usd else "no cost in the bill")
        if status.because:
            parts.text(sentence(status.because))
        if status.gate is not None and status.gate.sentence not in status.because:
            parts.text(status.gate.sentence)
        if status.state is State.NEXT:
            parts.text(status.question)
            about(status)
            if is_decided_by_a_test(status, playbook):
                st.caption("Only the result of its test decides: run it on Evaluate.")
            else:
                mark_done(status, scenario_name)
        else:
            with st.expander("What it is, and what it costs"):
                parts.text(status.question)
                about(status)
                reopen(status, scenario_name)


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def about(status: StageStatus) -> None:
    points = [
        ("Done when", status.done_when),
        ("Needs", status.needs),
        ("The article", status.article),
        ("Measured elsewhere", status.evidence),
    ]
    st.markdown("\n".join(f"- **{name}:** {fmt.markdown_literal(text)}." for name, text in points))
    if status.cost_lines:
        rows = [
            {"Costs": PART_NAMES.get(line.name, fmt.line_name(line.name)), "Amount": fmt.usd(line.usd)}
            for line in status.cost_lines
            if line.usd
        ]
        if rows:
            parts.table(pd.DataFrame(rows), f"What the stage {status.title} costs, from the option's bill")


def is_decided_by_a_test(status: StageStatus, playbook: Playbook) -> bool:
    """Whether a note cannot close the stage: the test of the option as it would ship."""
    tuned = playbook.stage(Stage.TUNING).state is not State.NOT_NEEDED
    return status.stage is (Stage.TUNING if tuned else Stage.EXPERIMENT)


def mark_done(status: StageStatus, scenario_name: str) -> None:
    """A note, a name, and the button."""
    with st.form(f"playbook.form.{status.stage}", border=False):
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        note = left.text_input("What was found (kept with the project)", key=f"playbook.note.{status.stage}", max_chars=400)
        who = right.text_input("By", key=f"playbook.who.{status.stage}", max_chars=80)
        if st.form_submit_button(f"Mark stage {status.number} as done", key=f"playbook.done.{status.stage}"):
            keep(status, scenario_name, done=True, note=note, who=who)


def reopen(status: StageStatus, scenario_name: str) -> None:
    """Undo of a stage that was marked done."""
    if status.done is not None and st.button("Open it again", key=f"playbook.reopen.{status.stage}"):
        keep(status, scenario_name, done=False, note="", who="")


def keep(status: StageStatus, scenario_name: str, *, done: bool, note: str, who: str) -> None:
    try:
        save_entry(settings(), scenario_name, status.stage, created=datetime.now(UTC), done=done, who=who, note=note)
    except InputError as error:
        st.session_state[MESSAGE] = str(error)
    st.rerun()


# ---- once it runs, and what was ----


def drift(found: Drift | None) -> None:
    st.subheader("Does it still hold?", anchor=False)
    if found is None:
        parts.text(
            "No fresh sample is kept yet. Once the option has passed and serves, score it and today's model on new cases at fixed dates: "
            "a fresh sample on Evaluate is held against the test that was passed, and a change is told here."
        )
        return
    shown = fmt.markdown_literal(found.sentence)
    if found.alarm is Alarm.NONE:
        st.success(shown)
    elif found.alarm is Alarm.BELOW:
        st.error(shown, title="Drift")
    else:
        st.warning(shown, title="Look closer")


def history(entries: Sequence[Entry]) -> None:
    st.subheader("History", anchor=False)
    if not entries:
        st.caption("Nothing has been marked yet. Tests are listed on Evaluate.")
        return
    rows = [
        {
            "When (UTC)": entry.created[:16].replace("T", " "),
            "Stage": fmt.words(str(entry.stage)),
            "What": "done" if entry.done else "opened again",
            "Note": entry.note or fmt.NOTHING,
            "By": entry.who or fmt.NOTHING,
        }
        for entry in reversed(entries)
    ]
    parts.table(pd.DataFrame(rows), "Stages marked done or opened again, newest first")


page()
