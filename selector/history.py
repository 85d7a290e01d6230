"""What becomes of a scenario after it was saved: its versions, the archive, approval, and links to read it by."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Field, Session, SQLModel, col, select

from facts.errors import InputError
from facts.records import nearest
from facts.settings import Settings
from selector.catalog import Catalog
from selector.results import Recommendation
from selector.scenarios import Change, Scenario, changes, renamed, scenario_sha256
from selector.store import SavedScenario, ScenarioEventRow, ScenarioRow, get_scenario, save_scenario, settled
from workloads.store import session, utc_text

LINK_BYTES = 16
"""Of chance in a shared link: 128 bits, so that none is guessed."""


class ApprovalRow(SQLModel, table=True):
    """Somebody has approved one version of a scenario. Nothing is changed afterwards."""

    __tablename__ = "approval"

    id: str = Field(primary_key=True)
    scenario_id: str
    scenario_name: str
    version: int
    created: str
    who: str
    note: str
    inputs_sha256: str
    as_of: str
    prices: str
    method_version: str
    decision_sha256: str
    sentence: str


class ShareLinkRow(SQLModel, table=True):
    """A link by which one version of a scenario may be read; `ended` is when it was withdrawn, or ''."""

    __tablename__ = "share_link"

    id: str = Field(primary_key=True)
    scenario_id: str
    created: str
    who: str
    ended: str


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Somebody has approved one version of a scenario.

    id: of the approval
    scenario_id, scenario_name, version: what was approved
    created: ISO 8601 in UTC
    who: the approver's name
    note: their words, or ""
    inputs_sha256: of the inputs as they stood, frozen
    as_of, prices, method_version: the numbers the verdict rested on
    decision_sha256: of inputs, prices, method and tree together
    sentence: the verdict that was approved
    """

    id: str
    scenario_id: str
    scenario_name: str
    version: int
    created: str
    who: str
    note: str
    inputs_sha256: str
    as_of: str
    prices: str
    method_version: str
    decision_sha256: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class ApprovalStatus:
    """Whether an approval still covers what is looked at.

    approval: the newest of this name, or None
    holds: it was given for exactly these inputs
    changes: the inputs that have changed since
    sentence: the same in words
    """

    approval: Approval | None
    holds: bool
    changes: tuple[Change, ...]
    sentence: str


@dataclass(frozen=True, kw_only=True)
class ShareLink:
    """A link by which one version of a scenario may be read, and nothing else.

    id: what stands in the address
    scenario_id: of the version
    created: ISO 8601 in UTC
    who: who gave it, or ""
    ended: when it was withdrawn, or ""
    """

    id: str
    scenario_id: str
    created: str
    who: str
    ended: str


def scenario_versions(settings: Settings, name: str) -> tuple[SavedScenario, ...]:
    """Every version of a scenario, oldest first."""
    with session(settings, read_only=True) as opened:
        ids = opened.exec(select(ScenarioRow.id).where(ScenarioRow.name == name).order_by(col(ScenarioRow.version))).all()
        if not ids:
            raise InputError(_unknown(opened, name))
    return tuple(get_scenario(settings, scenario_id) for scenario_id in ids)


def find_scenario(settings: Settings, reference: str) -> SavedScenario:
    """A saved scenario by its id, by its name (the newest version), or by NAME@VERSION."""
    with session(settings, read_only=True) as opened:
        if opened.get(ScenarioRow, reference) is not None:
            found: str | None = reference
        else:
            found = _newest(opened, reference)
            name, sign, version = reference.rpartition("@")
            if found is None and sign and version.isdecimal():
                query = select(ScenarioRow.id).where(ScenarioRow.name == name, ScenarioRow.version == int(version))
                found = opened.exec(query).first()
        if found is None:
            raise InputError(_unknown(opened, reference))
    return get_scenario(settings, found)


def duplicate_scenario(settings: Settings, reference: str, name: str, *, created: datetime, who: str = "") -> SavedScenario:
    """The inputs of a saved version as version 1 of a new name; a name that is taken is an InputError."""
    found = find_scenario(settings, reference)
    copy = renamed(found.scenario, name)
    with session(settings, read_only=True) as opened:
        taken = _newest(opened, name) is not None
    if taken:
        raise InputError(f"a scenario '{name}' is already there, and nothing was overwritten: choose another name")
    note = f"duplicate of {found.name}, version {found.version}"
    return save_scenario(settings, copy, created=created, who=who, note=note, expected_version=0)


def archive_scenario(settings: Settings, name: str, *, created: datetime, who: str = "", note: str = "") -> None:
    """Take a scenario off the list; nothing of it is deleted."""
    _note(settings, name, archived=True, created=created, who=who, note=note)


def restore_scenario(settings: Settings, name: str, *, created: datetime, who: str = "", note: str = "") -> None:
    """Put an archived scenario back on the list."""
    _note(settings, name, archived=False, created=created, who=who, note=note)


def approve(
    settings: Settings,
    saved: SavedScenario,
    recommendation: Recommendation,
    catalog: Catalog,
    *,
    created: datetime,
    who: str,
    note: str = "",
) -> Approval:
    """Note that somebody approved the verdict on a saved version: name, date, note, and the inputs' hash as it stands now."""
    if not who.strip():
        raise InputError("an approval needs a name: say who approves")
    if recommendation.scenario != saved.scenario:
        raise InputError(f"the decision was made on other inputs than {saved.name}, version {saved.version}: decide again and approve that")
    saved = settled(settings, saved, created=created)
    parts = (saved.id, recommendation.inputs_sha256, utc_text(created.replace(microsecond=0)), who.strip())  # a double click is one
    row = ApprovalRow(
        id=hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16],
        scenario_id=saved.id,
        scenario_name=saved.name,
        version=saved.version,
        created=utc_text(created),
        who=who.strip(),
        note=note.strip(),
        inputs_sha256=scenario_sha256(saved.scenario),
        as_of=recommendation.as_of.isoformat(),
        prices=catalog.prices.identity,
        method_version=recommendation.method_version,
        decision_sha256=recommendation.inputs_sha256,
        sentence=recommendation.choice.sentence,
    )
    with session(settings) as opened:
        if opened.get(ScenarioRow, saved.id) is None:
            raise InputError(f"{saved.name}, version {saved.version} is not saved here: save it before it is approved")
        if (kept := opened.get(ApprovalRow, row.id)) is not None:
            return _approval(kept)
        opened.add(row)
    return _approval(row)


def list_approvals(settings: Settings, name: str) -> tuple[Approval, ...]:
    """Every approval of a scenario, oldest first."""
    with session(settings, read_only=True) as opened:
        query = select(ApprovalRow).where(ApprovalRow.scenario_name == name)
        order = (col(ApprovalRow.created), col(ApprovalRow.version), col(ApprovalRow.id))
        return tuple(_approval(row) for row in opened.exec(query.order_by(*order)).all())


def approval_status(settings: Settings, scenario: Scenario) -> ApprovalStatus:
    """Whether the newest approval of a scenario's name was given for these very inputs, and what has changed since if not."""
    given = list_approvals(settings, scenario.workload.name)
    if not given:
        return ApprovalStatus(approval=None, holds=False, changes=(), sentence="Not approved by anybody.")
    last = given[-1]
    by = f"{last.who} on {last.created[:10]}" + (f": {last.note}" if last.note else "")
    if last.inputs_sha256 == scenario_sha256(scenario):
        return ApprovalStatus(approval=last, holds=True, changes=(), sentence=f"Approved as version {last.version} by {by}.")
    found = changes(get_scenario(settings, last.scenario_id).scenario, scenario)
    named = ", ".join(change.key for change in found)
    sentence = f"Changed since version {last.version} was approved by {last.who} on {last.created[:10]}: {named}."
    return ApprovalStatus(approval=last, holds=False, changes=found, sentence=sentence)


def share_scenario(settings: Settings, saved: SavedScenario, *, created: datetime, who: str = "") -> ShareLink:
    """A new link by which this version, and nothing else, may be read."""
    saved = settled(settings, saved, created=created)
    row = ShareLinkRow(id=secrets.token_urlsafe(LINK_BYTES), scenario_id=saved.id, created=utc_text(created), who=who.strip(), ended="")
    with session(settings) as opened:
        opened.add(row)
    return _link(row)


def list_shares(settings: Settings, scenario_ids: Sequence[str]) -> tuple[ShareLink, ...]:
    """Every link to one of these versions, the newest first, withdrawn ones too."""
    with session(settings, read_only=True) as opened:
        query = select(ShareLinkRow).where(col(ShareLinkRow.scenario_id).in_(list(scenario_ids)))
        return tuple(_link(row) for row in opened.exec(query.order_by(col(ShareLinkRow.created).desc(), col(ShareLinkRow.id))).all())


def shared_scenario(settings: Settings, link_id: str) -> SavedScenario:
    """What a link shows; an InputError for a link that there is not, or is no longer."""
    with session(settings, read_only=True) as opened:
        row = opened.get(ShareLinkRow, link_id)
        if row is None or row.ended:
            raise InputError("this link leads nowhere, or was withdrawn: ask its sender for a new one")
        scenario_id = row.scenario_id
    return get_scenario(settings, scenario_id)


def end_share(settings: Settings, link_id: str, *, ended: datetime) -> ShareLink:
    """Withdraw a link; one that is withdrawn already keeps its first end."""
    with session(settings) as opened:
        row = opened.get(ShareLinkRow, link_id)
        if row is None:
            raise InputError(f"there is no link '{link_id}' to withdraw")
        row.ended = row.ended or utc_text(ended)
        opened.add(row)
        return _link(row)


def reopen_share(settings: Settings, link_id: str) -> ShareLink:
    """Let a withdrawn link lead where it led; one that was not withdrawn stays as it is."""
    with session(settings) as opened:
        row = opened.get(ShareLinkRow, link_id)
        if row is None:
            raise InputError(f"there is no link '{link_id}' to open again")
        row.ended = ""
        opened.add(row)
        return _link(row)


# ---- below: how ----


def _note(settings: Settings, name: str, *, archived: bool, created: datetime, who: str, note: str) -> None:
    with session(settings) as opened:
        if _newest(opened, name) is None:
            raise InputError(_unknown(opened, name))
        query = select(ScenarioEventRow).where(ScenarioEventRow.scenario_name == name).order_by(col(ScenarioEventRow.number).desc())
        last = opened.exec(query).first()
        if (last.archived if last is not None else False) is archived:
            return
        number = 1 if last is None else last.number + 1
        event = ScenarioEventRow(
            id=hashlib.sha256(f"{name}\0{number}".encode()).hexdigest()[:16],
            scenario_name=name,
            number=number,
            created=utc_text(created),
            archived=archived,
            who=who.strip(),
            note=note.strip(),
        )
        opened.add(event)


def _newest(opened: Session, name: str) -> str | None:
    """Id of the newest version of a name."""
    return opened.exec(select(ScenarioRow.id).where(ScenarioRow.name == name).order_by(col(ScenarioRow.version).desc())).first()


def _unknown(opened: Session, reference: str) -> str:
    names = sorted(set(opened.exec(select(ScenarioRow.name)).all()))
    if not names:
        return f"no saved scenario is '{reference}': none has been saved here yet"
    hint = nearest(reference.rpartition("@")[0] or reference, names)
    return f"no saved scenario has the name or id '{reference}'{hint}"


def _approval(row: ApprovalRow) -> Approval:
    return Approval(**row.model_dump())


def _link(row: ShareLinkRow) -> ShareLink:
    return ShareLink(**row.model_dump())
