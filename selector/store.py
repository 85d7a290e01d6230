"""Where decisions and scenarios are kept: the inputs before anything is computed, the decision after."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel, col, select

from facts.errors import InputError
from facts.settings import Settings
from pricing.prices import Rent, ServerRow
from pricing.store import accepted_prices
from probes.store import applied_calibration, list_measurements
from selector.catalog import Catalog, load_catalog
from selector.gap_gate import ALPHA, GateResult
from selector.looks import GateLook, Stage, latest_gates, sketch
from selector.playbook import Entry
from selector.public import to_json
from selector.reconcile import Actual
from selector.results import METHOD_VERSION, Recommendation
from selector.scenarios import Scenario, scenario_from_toml, scenario_to_toml
from workloads.store import session, utc_text


class ScenarioRow(SQLModel, table=True):
    """A version of a named scenario; the document is its TOML. A draft is the newest of its name, and the next takes its place."""

    __tablename__ = "scenario"
    __table_args__ = (UniqueConstraint("name", "version", name="uq_scenario_name_version"),)

    id: str = Field(primary_key=True)
    name: str
    version: int
    created: str
    who: str
    document: str
    note: str = ""
    as_of: str = ""
    prices: str = ""
    method_version: str = ""
    draft: bool = False


class ScenarioEventRow(SQLModel, table=True):
    """A scenario was put into the archive, or taken out again. Nothing is changed afterwards."""

    __tablename__ = "scenario_event"
    __table_args__ = (UniqueConstraint("scenario_name", "number", name="uq_scenario_event_scenario_name_number"),)

    id: str = Field(primary_key=True)
    scenario_name: str
    number: int
    created: str
    archived: bool
    who: str
    note: str


class DecisionRow(SQLModel, table=True):
    """A decision as its public JSON."""

    __tablename__ = "decision"

    id: str = Field(primary_key=True)
    created: str
    workload_name: str
    as_of: str
    method_version: str
    inputs_sha256: str
    action: str
    recommended_option_id: str | None = None
    document: str


class DecisionInputsRow(SQLModel, table=True):
    """What a decision was made from: its scenario, tree, tests and every price it was given, packed; see `replay`."""

    __tablename__ = "decision_inputs"

    id: str = Field(primary_key=True)
    document: str


class GateResultRow(SQLModel, table=True):
    """One candidate's result of one look at a set of cases; the document is the look."""

    __tablename__ = "gate_result"

    id: str = Field(primary_key=True)
    scenario_name: str
    created: str
    look: str
    stage: str
    option_id: str
    arm: str
    verdict: str
    document: str


class ProjectRow(SQLModel, table=True):
    """An entry of a project: a stage of the playbook was done, or opened again. Nothing is changed afterwards."""

    __tablename__ = "project"
    __table_args__ = (UniqueConstraint("scenario_name", "number", name="uq_project_scenario_name_number"),)

    id: str = Field(primary_key=True)
    scenario_name: str
    number: int
    created: str
    stage: str
    done: bool
    who: str
    note: str


class ActualRow(SQLModel, table=True):
    """What one line of a month was billed in the end, beside the decision that had forecast it."""

    __tablename__ = "actual"
    __table_args__ = (UniqueConstraint("decision_id", "month", "line", name="uq_actual_decision_id_month_line"),)

    id: str = Field(primary_key=True)
    decision_id: str
    month: int
    line: str
    usd: float
    tokens: float | None = None
    created: str


@dataclass(frozen=True, kw_only=True)
class SavedScenario:
    """A scenario that was kept.

    id: of this version
    name, version: the workload's name and the count of its versions
    created: ISO 8601 in UTC
    who: who saved it, or ""
    note: why, in words, or ""
    as_of: the day whose prices it was first decided with, or "" where none was named
    prices: which price book that was, as it names itself
    method_version: the method in use then
    scenario: the inputs
    draft: a page kept it by itself, and the next version takes its place
    """

    id: str
    name: str
    version: int
    created: str
    who: str
    note: str
    as_of: str
    prices: str
    method_version: str
    scenario: Scenario
    draft: bool = False


@dataclass(frozen=True, kw_only=True)
class SavedDecision:
    """A decision that was kept.

    id: of its inputs and day
    created: ISO 8601 in UTC
    workload_name, as_of, method_version, inputs_sha256, action, recommended_option_id: as in the document
    document: the decision's public JSON
    """

    id: str
    created: str
    workload_name: str
    as_of: str
    method_version: str
    inputs_sha256: str
    action: str
    recommended_option_id: str | None
    document: dict[str, Any]


def save_scenario(
    settings: Settings,
    scenario: Scenario,
    *,
    created: datetime,
    who: str = "",
    note: str = "",
    expected_version: int | None = None,
    catalog: Catalog | None = None,
    draft: bool = False,
) -> SavedScenario:
    """Keep a scenario as the next version of its name; the same inputs as the last version keep that one.

    A draft as the last version gives its place to what is kept now; saved on purpose with the same inputs, it is one no longer.

    expected_version: the version that was opened and changed, 0 for a name that is new; an InputError, and nothing kept, where
    somebody has saved other inputs since
    catalog: what it is decided with, so that the version names its price book
    draft: nobody asked for this version, a page keeps what it is about to compute
    """
    document = scenario_to_toml(scenario)
    name = scenario.workload.name
    with session(settings) as opened:
        last = opened.exec(select(ScenarioRow).where(ScenarioRow.name == name).order_by(col(ScenarioRow.version).desc())).first()
        if last is not None and last.document == document and (draft or not last.draft):
            return _scenario(last)
        version = 1 if last is None else last.version + (not last.draft)
        if expected_version is not None and expected_version != version - 1:
            raise InputError(_conflict(name, expected_version, last))
        if last is not None and last.draft:
            opened.delete(last)
            opened.flush()
        row = ScenarioRow(
            id=scenario_id(name, version, document),
            name=name,
            version=version,
            created=utc_text(created),
            who=who.strip(),
            document=document,
            note=note.strip(),
            as_of="" if catalog is None else catalog.as_of.isoformat(),
            prices="" if catalog is None else catalog.prices.identity,
            method_version=METHOD_VERSION,
            draft=draft,
        )
        opened.add(row)
        return _scenario(row)


def scenario_id(name: str, version: int, document: str) -> str:
    """Id of a version: it follows from name, number and inputs."""
    return hashlib.sha256(f"{name}\0{version}\0{document}".encode()).hexdigest()[:16]


def settled(settings: Settings, saved: SavedScenario, *, created: datetime) -> SavedScenario:
    """A version that somebody means: a draft is one no longer; a draft whose place another has taken is saved anew."""
    if not saved.draft:
        return saved
    with session(settings) as opened:
        row = opened.get(ScenarioRow, saved.id)
        if row is not None:
            row.draft = False
            opened.add(row)
            return _scenario(row)
    return save_scenario(settings, saved.scenario, created=created)


def list_scenarios(settings: Settings, *, archived: bool = False) -> tuple[SavedScenario, ...]:
    """The newest version of every saved scenario, newest first: those in use, or those in the archive."""
    with session(settings, read_only=True) as opened:
        order = (col(ScenarioRow.created).desc(), col(ScenarioRow.version).desc(), col(ScenarioRow.id))
        rows = opened.exec(select(ScenarioRow).order_by(*order)).all()
        events = opened.exec(select(ScenarioEventRow).order_by(col(ScenarioEventRow.number))).all()
        state = {event.scenario_name: event.archived for event in events}
        seen: dict[str, ScenarioRow] = {}
        for row in rows:
            kept = seen.get(row.name)
            if kept is None or row.version > kept.version:
                seen[row.name] = row
        return tuple(_scenario(row) for row in seen.values() if state.get(row.name, False) is archived)


def get_scenario(settings: Settings, scenario_id: str) -> SavedScenario:
    """One saved scenario by its id."""
    with session(settings, read_only=True) as opened:
        row = opened.get(ScenarioRow, scenario_id)
        if row is None:
            raise InputError(f"no saved scenario has the id '{scenario_id}'")
        return _scenario(row)


def stored_catalog(
    settings: Settings,
    as_of: date,
    scenario: Scenario,
    *,
    accept_doubtful: bool = False,
    host: str | None = None,
    own_rents: tuple[Rent, ...] = (),
    own_servers: tuple[ServerRow, ...] = (),
) -> Catalog:
    """The catalogue of a day with what is kept: live prices accepted until then, measurements, and the scenario's own tests."""
    return load_catalog(
        as_of,
        scenario.prices,
        list_measurements(settings, kind="llamacpp"),
        accept_doubtful=accept_doubtful,
        host=host,
        snapshot=accepted_prices(settings, as_of),
        gates=stored_gates(settings, scenario.workload.name, as_of),
        own_rents=own_rents,
        own_servers=own_servers,
        calibration=applied_calibration(settings),
    )


def save_decision(settings: Settings, recommendation: Recommendation, *, created: datetime, inputs: str = "") -> str:
    """Keep a decision and return its id; the same inputs decided again keep the first row.

    inputs: what it was made from, as `replay.kept_inputs` gives it, so that it can be made again with the same prices
    """
    document = json.dumps(to_json(recommendation), sort_keys=True)
    packed = base64.b64encode(zlib.compress(inputs.encode(), 9)).decode() if inputs else ""
    decision_id = recommendation.inputs_sha256[:32]
    with session(settings) as opened:  # all that takes time stands before it: other writers wait for this one
        if opened.get(DecisionRow, decision_id) is None:
            opened.add(
                DecisionRow(
                    id=decision_id,
                    created=utc_text(created),
                    workload_name=recommendation.scenario.workload.name,
                    as_of=recommendation.as_of.isoformat(),
                    method_version=recommendation.method_version,
                    inputs_sha256=recommendation.inputs_sha256,
                    action=recommendation.choice.action.value,
                    recommended_option_id=recommendation.choice.option_id,
                    document=document,
                )
            )
        if packed and opened.get(DecisionInputsRow, decision_id) is None:
            opened.add(DecisionInputsRow(id=decision_id, document=packed))
    return decision_id


def get_inputs(settings: Settings, decision_id: str) -> str:
    """What a kept decision was made from, as JSON text; `decision_id` is whole."""
    with session(settings, read_only=True) as opened:
        row = opened.get(DecisionInputsRow, decision_id)
        if row is None:
            raise InputError(f"decision {decision_id[:12]} was kept without its prices: it can be decided again, but not replayed")
        return zlib.decompress(base64.b64decode(row.document)).decode()


def list_decisions(settings: Settings, limit: int = 100) -> tuple[SavedDecision, ...]:
    """The newest decisions first."""
    with session(settings, read_only=True) as opened:
        order = (col(DecisionRow.created).desc(), col(DecisionRow.id))
        rows = opened.exec(select(DecisionRow).order_by(*order).limit(limit)).all()
        return tuple(_decision(row) for row in rows)


def get_decision(settings: Settings, decision_id: str) -> SavedDecision:
    """One kept decision by its id, or by the beginning of it."""
    query = select(DecisionRow).where(col(DecisionRow.id).startswith(decision_id, autoescape=True)).limit(2)
    with session(settings, read_only=True) as opened:
        rows = opened.exec(query).all() if decision_id else []
        if len(rows) != 1:
            what = "more than one kept decision's id begins" if rows else "no kept decision's id begins"
            raise InputError(f"{what} with '{decision_id}'")
        return _decision(rows[0])


def save_actuals(
    settings: Settings, decision_id: str, actuals: Sequence[Actual], *, created: datetime, replace_changed: bool = False
) -> tuple[Actual, ...]:
    """Keep bills beside a decision and give all that are kept for it; the same bills again change nothing.

    A line of a month that was kept with another amount is an InputError and nothing is kept, unless `replace_changed`.
    """
    with session(settings) as opened:
        if opened.get(DecisionRow, decision_id) is None:
            raise InputError(f"no kept decision has the id '{decision_id}'")
        for actual in actuals:
            row_id = f"{decision_id}-{actual.month}-{actual.line}"
            row = opened.get(ActualRow, row_id)
            if row is not None and (row.usd, row.tokens) == (actual.usd, actual.tokens):
                continue
            if row is not None and not replace_changed:
                raise InputError(
                    f"'{actual.line}' of month {actual.month} was kept as {row.usd:,.2f} USD on {row.created[:10]} and is "
                    f"{actual.usd:,.2f} now: nothing was kept; say that changed bills replace the old ones, or mend the file"
                )
            row = row or ActualRow(id=row_id, decision_id=decision_id, month=actual.month, line=actual.line, usd=0.0, created="")
            row.usd, row.tokens, row.created = actual.usd, actual.tokens, utc_text(created)
            opened.add(row)
    return list_actuals(settings, decision_id)


def list_actuals(settings: Settings, decision_id: str) -> tuple[Actual, ...]:
    """Every bill kept beside a decision, by month and line."""
    with session(settings, read_only=True) as opened:
        query = select(ActualRow).where(ActualRow.decision_id == decision_id)
        rows = opened.exec(query.order_by(col(ActualRow.month), col(ActualRow.line))).all()
        return tuple(Actual(month=row.month, line=row.line, usd=row.usd, tokens=row.tokens) for row in rows)


def save_gates(
    settings: Settings,
    scenario_name: str,
    results: Sequence[GateResult],
    *,
    stage: Stage,
    created: datetime,
    alpha: float | None = None,
    planned_items: int | None = None,
    items: Iterable[str] = (),
    who: str = "",
) -> tuple[GateLook, ...]:
    """Keep the results of one look at a set of cases: one, or all candidates that were gated together (Holm).

    alpha: one-sided level of the whole look; absent, that of the widest interval, or 0.05 with `planned_items`
    planned_items: the size at which the last of several looks is planned; these looks share their level
    items: names of the cases, so that a later look at the same ones is noticed
    The same look saved again keeps the first rows.
    """
    if not results:
        raise InputError("no result to keep: run the test first")
    if alpha is None:
        alpha = ALPHA if planned_items is not None else max((1.0 - result.confidence) / 2.0 for result in results)
    cases, day = sketch(items), created.date()
    parts = (scenario_name.encode(), stage.value.encode(), _RESULTS.dump_json(list(results)), "".join(cases).encode())
    look = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    kept = []
    with session(settings) as opened:
        for number, result in enumerate(results):
            row = opened.get(GateResultRow, f"{look}-{number}")
            if row is None:
                found = GateLook(
                    id=f"{look}-{number}",
                    scenario_name=scenario_name,
                    look=look,
                    stage=stage,
                    result=result if result.as_of is not None else replace(result, as_of=day),
                    alpha=alpha,
                    planned_items=planned_items,
                    cases=cases,
                    created=utc_text(created),
                    who=who.strip(),
                )
                row = _gate_row(found)
                opened.add(row)
            kept.append(_saved_look(row))
    return tuple(kept)


def list_gates(settings: Settings, scenario_name: str) -> tuple[GateLook, ...]:
    """Every kept result of the tests of a scenario, oldest first."""
    with session(settings, read_only=True) as opened:
        order = (col(GateResultRow.created), col(GateResultRow.id))
        rows = opened.exec(select(GateResultRow).where(GateResultRow.scenario_name == scenario_name).order_by(*order)).all()
        return tuple(_saved_look(row) for row in rows)


def get_gate(settings: Settings, gate_id: str) -> GateLook:
    """One kept result by its id."""
    with session(settings, read_only=True) as opened:
        row = opened.get(GateResultRow, gate_id)
        if row is None:
            raise InputError(f"no kept test result has the id '{gate_id}'")
        return _saved_look(row)


def stored_gates(settings: Settings, scenario_name: str, as_of: date | None = None) -> tuple[GateResult, ...]:
    """What the newest test of every option (or arm) of a scenario said until a day: what may stand in place of a prior."""
    return latest_gates(list_gates(settings, scenario_name), as_of)


def save_entry(
    settings: Settings, scenario_name: str, stage: Stage, *, created: datetime, done: bool = True, who: str = "", note: str = ""
) -> Entry:
    """Note that a stage was done, or (`done` false) that it is open again; earlier entries stay."""
    with session(settings) as opened:
        order = col(ProjectRow.number).desc()
        last = opened.exec(select(ProjectRow).where(ProjectRow.scenario_name == scenario_name).order_by(order)).first()
        number = 1 if last is None else last.number + 1
        digest = hashlib.sha256(f"{scenario_name}\0{number}".encode()).hexdigest()[:16]
        row = ProjectRow(
            id=digest,
            scenario_name=scenario_name,
            number=number,
            created=utc_text(created),
            stage=stage.value,
            done=done,
            who=who.strip(),
            note=note.strip(),
        )
        opened.add(row)
        return _entry(row)


def list_entries(settings: Settings, scenario_name: str) -> tuple[Entry, ...]:
    """Every entry of a scenario's project, oldest first."""
    with session(settings, read_only=True) as opened:
        rows = opened.exec(select(ProjectRow).where(ProjectRow.scenario_name == scenario_name).order_by(col(ProjectRow.number))).all()
        return tuple(_entry(row) for row in rows)


_LOOK: TypeAdapter[GateLook] = TypeAdapter(GateLook)
_RESULTS: TypeAdapter[list[GateResult]] = TypeAdapter(list[GateResult])


def _gate_row(found: GateLook) -> GateResultRow:
    return GateResultRow(
        id=found.id,
        scenario_name=found.scenario_name,
        created=found.created,
        look=found.look,
        stage=found.stage.value,
        option_id=found.result.option_id,
        arm=found.result.arm,
        verdict=found.result.verdict.value,
        document=_LOOK.dump_json(found).decode(),
    )


def _saved_look(row: GateResultRow) -> GateLook:
    try:
        return _LOOK.validate_json(row.document)
    except ValueError:
        raise InputError(f"the kept test result {row.id} cannot be read by this program: run the test again") from None


def _entry(row: ProjectRow) -> Entry:
    return Entry(stage=Stage(row.stage), done=row.done, created=row.created, who=row.who, note=row.note)


def _scenario(row: ScenarioRow) -> SavedScenario:
    scenario = scenario_from_toml(row.document, f"saved scenario {row.id}")
    return SavedScenario(
        id=row.id,
        name=row.name,
        version=row.version,
        created=row.created,
        who=row.who,
        note=row.note,
        as_of=row.as_of,
        prices=row.prices,
        method_version=row.method_version,
        scenario=scenario,
        draft=row.draft,
    )


def _conflict(name: str, expected: int, last: ScenarioRow | None) -> str:
    if last is None:
        return f"scenario '{name}' has no version {expected}: it was never saved here"
    by = f" by {last.who}" if last.who else ""
    opened = f"after you opened version {expected}" if expected else "before you saved it as a new one"
    day, time = last.created[:10], last.created[11:16]
    return (
        f"scenario '{name}' was saved as version {last.version}{by} on {day} at {time} UTC {opened}, and nothing was overwritten: "
        f"look at version {last.version}, or save yours under another name"
    )


def _decision(row: DecisionRow) -> SavedDecision:
    return SavedDecision(
        id=row.id,
        created=row.created,
        workload_name=row.workload_name,
        as_of=row.as_of,
        method_version=row.method_version,
        inputs_sha256=row.inputs_sha256,
        action=row.action,
        recommended_option_id=row.recommended_option_id,
        document=json.loads(row.document),
    )
