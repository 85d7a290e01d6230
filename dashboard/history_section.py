"""Part of Saved: the scenarios that are kept, their versions, what changed between them, approval, links to read by, and the archive."""

from __future__ import annotations

import platform
from datetime import UTC, date, datetime

import pandas as pd
import streamlit as st

from dashboard import format as fmt
from dashboard import forms, parts, state, undo
from facts.errors import InputError
from facts.settings import settings
from selector.comparison import Comparison, Side, compare
from selector.history import (
    approval_status,
    approve,
    archive_scenario,
    duplicate_scenario,
    end_share,
    list_approvals,
    list_shares,
    reopen_share,
    restore_scenario,
    scenario_versions,
    share_scenario,
)
from selector.recommendation import recommend
from selector.results import Recommendation
from selector.scenarios import Scenario, changes, renamed, scenario_to_toml
from selector.store import SavedScenario, list_scenarios, save_scenario, settled, stored_catalog

WHO = "saved.who"
TOLD = "saved.told"
NOTHING_YET = "Nothing is saved yet. Every decision keeps its inputs as a draft; open Decide once, or save the inputs at the left here."


def section() -> None:
    """The list, and what can be done with one of them."""
    told = st.session_state.pop(TOLD, "")
    if told:
        st.success(fmt.markdown_literal(told))
    _save_current()
    in_archive = st.toggle("Show the archive", key="saved.archive")
    kept = list_scenarios(settings(), archived=in_archive)
    if not kept:
        st.info("The archive is empty." if in_archive else NOTHING_YET)
        return
    _list(kept)
    names = [saved.name for saved in kept]
    if st.session_state.get("saved.name") not in names:
        st.session_state["saved.name"] = names[0]
    name = st.selectbox("Scenario", names, key="saved.name", persist_state="session")
    saved = next(one for one in kept if one.name == name)
    versions = scenario_versions(settings(), saved.name)
    st.subheader(fmt.markdown_literal(saved.name), anchor=False)
    st.caption(fmt.markdown_literal(approval_status(settings(), saved.scenario).sentence))
    _actions(saved, archived=in_archive)
    _versions(versions)
    if len(versions) > 1 or len(kept) > 1:
        _difference(versions, kept)
    _approval(saved)
    _links(versions)


# ---- saving ----


def _save_current() -> None:
    """Save the inputs at the left under a name of their own; a name that is taken by other inputs is not overwritten."""
    problem = st.session_state.get(state.PROBLEM, "")
    if problem or state.SCENARIO not in st.session_state:
        st.warning(fmt.markdown_literal(problem or "There are no inputs yet."), title="These inputs cannot be saved")
        return
    current: Scenario = st.session_state[state.SCENARIO]
    with st.form("saved.save", border=True):
        left, middle, right = st.columns(3)
        name = left.text_input("Save the inputs at the left as", value=current.workload.name, max_chars=120)
        who = middle.text_input("Your name", value=st.session_state.get(WHO, ""), max_chars=80)
        note = right.text_input("Note", max_chars=400, placeholder="why, in a few words")
        pressed = st.form_submit_button("Save as a new version", type="primary")
    if pressed:
        st.session_state[WHO] = who
        _do(lambda: _saved_words(_save(current, name, who, note)))


def _save(current: Scenario, name: str, who: str, note: str) -> SavedScenario:
    scenario = renamed(current, name.strip() or current.workload.name)
    now = datetime.now(UTC)
    catalog = stored_catalog(settings(), now.date(), scenario, host=platform.node())
    opened = st.session_state.get("saved.opened")
    expected = opened[1] if opened and opened[0] == scenario.workload.name else None
    saved = save_scenario(settings(), scenario, created=now, who=who, note=note, expected_version=expected, catalog=catalog)
    if opened and opened[0] == saved.name:
        st.session_state["saved.opened"] = (saved.name, saved.version)
    return saved


def _saved_words(saved: SavedScenario) -> str:
    return f"{saved.name} is kept as version {saved.version}, saved {saved.created[:10]}" + (f" by {saved.who}." if saved.who else ".")


def _list(kept: tuple[SavedScenario, ...]) -> None:
    rows = [
        {
            "Scenario": saved.name,
            "Version": _number(saved),
            "Saved": saved.created[:16].replace("T", " "),
            "By": saved.who or fmt.NOTHING,
            "Approved": _approved(saved),
        }
        for saved in kept
    ]
    parts.table(pd.DataFrame(rows), "Saved scenarios, the newest first")


def _number(saved: SavedScenario) -> str:
    return f"{saved.version}, draft" if saved.draft else str(saved.version)


def _approved(saved: SavedScenario) -> str:
    status = approval_status(settings(), saved.scenario)
    if status.approval is None:
        return "no"
    return f"{status.approval.who}, {status.approval.created[:10]}" if status.holds else "changed since"


# ---- one scenario ----


def _actions(saved: SavedScenario, *, archived: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Open in the form", type="primary", key="saved.open", on_click=_open, args=(saved,))
        with st.popover("Duplicate"):
            with st.form("saved.duplicate", border=False):
                name = st.text_input("Name of the copy", value=f"{saved.name}, copy"[:120], max_chars=120)
                copied = st.form_submit_button("Duplicate")
            if copied:
                who = st.session_state.get(WHO, "")
                _do(lambda: _saved_words(duplicate_scenario(settings(), saved.id, name, created=datetime.now(UTC), who=who)))
        word = "Restore" if archived else "Archive"
        if st.button(word, key="saved.put_away", help="Nothing is deleted: what is archived can be restored."):
            _do(lambda: _put_away(saved, archived=archived))
        st.download_button(
            "Inputs as TOML",
            scenario_to_toml(saved.scenario),
            file_name="workload.toml",
            mime="application/toml",
            on_click="ignore",
            key="saved.toml",
        )


def _put_away(saved: SavedScenario, *, archived: bool) -> str:
    move = restore_scenario if archived else archive_scenario
    move(settings(), saved.name, created=datetime.now(UTC), who=st.session_state.get(WHO, ""))
    if not archived:
        who = st.session_state.get(WHO, "")
        undo.offer(f"{saved.name} was archived.", lambda: restore_scenario(settings(), saved.name, created=datetime.now(UTC), who=who))
    return f"{saved.name} is {'back on the list' if archived else 'in the archive; nothing of it is lost'}."


def _open(saved: SavedScenario) -> None:
    """Fill the form, and remember which version was opened: a save in between is then noticed."""
    forms.fill(saved.scenario)
    try:
        saved = settled(settings(), saved, created=datetime.now(UTC))
    except InputError as error:
        st.session_state[TOLD] = f"{saved.name} stands in the form, but what you change cannot be saved: {error}"
        return
    st.session_state["saved.opened"] = (saved.name, saved.version)
    st.session_state[TOLD] = f"{saved.name}, version {saved.version}, stands in the form now."


def _versions(versions: tuple[SavedScenario, ...]) -> None:
    rows = []
    for number, saved in enumerate(versions):
        before = versions[number - 1] if number else None
        found = changes(before.scenario, saved.scenario) if before else ()
        changed = ", ".join(fmt.field_label(change.key) for change in found) if before else "first version"
        rows.append(
            {
                "Version": _number(saved),
                "Saved": saved.created[:16].replace("T", " "),
                "By": saved.who or fmt.NOTHING,
                "Note": saved.note or fmt.NOTHING,
                "Changed": changed or "nothing",
                "Prices": f"{saved.as_of} · {saved.prices}" if saved.as_of else fmt.NOTHING,
                "Method": saved.method_version or fmt.NOTHING,
            }
        )
    with st.expander(f"Versions ({len(versions)})", expanded=len(versions) <= 5, key="saved.versions"):
        parts.table(pd.DataFrame(rows[::-1]), "Every version, the newest first: who saved it, when, what changed, prices and method")


# ---- what changed ----


def _difference(versions: tuple[SavedScenario, ...], kept: tuple[SavedScenario, ...]) -> None:
    st.markdown("**Difference**")
    choices = {f"version {saved.version}": saved for saved in reversed(versions)}
    choices |= {f"{saved.name}, version {saved.version}": saved for saved in kept if saved.name != versions[0].name}
    labels = list(choices)
    left, right = st.columns(2)
    key = versions[-1].id
    before = left.selectbox("From", labels, index=min(1, len(labels) - 1), key=f"saved.before.{key}")
    after = right.selectbox("To", labels, index=0, key=f"saved.after.{key}")
    if before == after:
        st.caption("Choose two different versions or scenarios.")
        return
    try:
        found = compare(decision_on(choices[before]), decision_on(choices[after]))
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)))
        return
    parts.text(found.sentence)
    _difference_tables(found)


def _difference_tables(found: Comparison) -> None:
    if found.changes:
        rows = [(fmt.field_label(change.key), _value(change.before), _value(change.after)) for change in found.changes]
        parts.table(pd.DataFrame(rows, columns=["Input", "Before", "After"]), "Exactly the inputs that differ, before and after")
    sides = {"Before": found.before, "After": found.after}
    frame = pd.DataFrame(
        [
            {"": label, **{name: read(side) for name, side in sides.items()}}
            for label, read in (
                ("Verdict", lambda side: _verdict(side)),
                ("Total", lambda side: fmt.usd(side.total_usd)),
                ("Saving against today", lambda side: fmt.usd(side.saving_usd)),
                ("Prices of", lambda side: side.as_of),
            )
        ]
    )
    parts.table(frame, "The two verdicts side by side")


def _verdict(side: Side) -> str:
    return f"{fmt.ACTION_NAMES.get(str(side.action), fmt.words(str(side.action)))}: {side.title}"


def _value(value: object) -> str:
    return fmt.NOTHING if value is None or value == "" or value == [] else fmt.field_value(value)


def decision_on(saved: SavedScenario) -> Recommendation:
    """The decision on a version: with the prices of the day it was saved with, as far as they are still known."""
    day = date.fromisoformat(saved.as_of) if saved.as_of else datetime.now(UTC).date()
    return _decided(saved.id, day, state.stored_ids(saved.name, day), _saved=saved)


@st.cache_resource(max_entries=32, show_spinner="Deciding")
def _decided(saved_id: str, day: date, stored: tuple[str, ...], *, _saved: SavedScenario) -> Recommendation:
    return recommend(_saved.scenario, stored_catalog(settings(), day, _saved.scenario, host=platform.node()))


# ---- approval ----


def _approval(saved: SavedScenario) -> None:
    given = list_approvals(settings(), saved.name)
    with st.expander(f"Approval ({len(given)})" if given else "Approval", key="saved.approval"):
        for approval in reversed(given):
            st.markdown(
                f"**{fmt.markdown_literal(approval.who)}**, {approval.created[:10]}, version {approval.version}"
                + (f": {fmt.markdown_literal(approval.note)}" if approval.note else "")
            )
            st.caption(
                fmt.markdown_literal(f"{approval.sentence} Prices of {approval.as_of}, method {approval.method_version}, inputs ")
                + f"`{approval.inputs_sha256[:16]}`"
            )
        with st.form(f"saved.approve.{saved.id}", border=False):
            left, right = st.columns(2)
            who = left.text_input("Approved by", value=st.session_state.get(WHO, ""), max_chars=80)
            note = right.text_input("Note", max_chars=400)
            pressed = st.form_submit_button(f"Approve version {saved.version}")
        st.caption("Kept with name, date, note and the hash of the inputs as they are now: an input that changes later shows.")
        if pressed:
            _do(lambda: _approved_words(saved, who, note))


def _approved_words(saved: SavedScenario, who: str, note: str) -> str:
    now = datetime.now(UTC)
    catalog = stored_catalog(settings(), now.date(), saved.scenario, host=platform.node())
    approval = approve(settings(), saved, recommend(saved.scenario, catalog), catalog, created=now, who=who, note=note)
    return f"Version {approval.version} of {approval.scenario_name} is approved by {approval.who}: {approval.sentence}"


# ---- links ----


def _links(versions: tuple[SavedScenario, ...]) -> None:
    by_id = {saved.id: saved for saved in versions}
    open_links = [link for link in list_shares(settings(), tuple(by_id)) if not link.ended]
    with st.expander(f"Links to read by ({len(open_links)})" if open_links else "Links to read by", key="saved.links"):
        st.caption("Who has the link sees this version's verdict and inputs, and can change nothing. It holds until it is withdrawn.")
        for link in open_links:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.code(link_address(link.id), language=None, wrap_lines=True)
                version = by_id[link.scenario_id].version
                if st.button("Withdraw", key=f"saved.end.{link.id}", help=f"Version {version}, made on {link.created[:10]}"):
                    _do(lambda link_id=link.id: _ended(link_id))
        if st.button(f"Make a link to version {versions[-1].version}", key="saved.share"):
            _do(lambda: _shared(versions[-1]))


def _shared(saved: SavedScenario) -> str:
    share_scenario(settings(), saved, created=datetime.now(UTC), who=st.session_state.get(WHO, ""))
    return f"A link to version {saved.version} of {saved.name} stands under 'Links to read by'."


def _ended(link_id: str) -> str:
    end_share(settings(), link_id, ended=datetime.now(UTC))
    undo.offer("A link was withdrawn.", lambda: reopen_share(settings(), link_id))
    return "The link is withdrawn: it leads nowhere now."


def link_address(link_id: str) -> str:
    """The address of a shared version on this server."""
    base = (st.context.url or "").split("?")[0].rsplit("/", 1)[0]
    return f"{base}/shared?link={link_id}"


def _do(step: object) -> None:
    """One step that writes: what it did is said above the list on the next run; what it cannot do, here."""
    try:
        st.session_state[TOLD] = step()  # type: ignore[operator]
    except InputError as error:
        st.error(fmt.markdown_literal(str(error)))
        return
    st.rerun()
