"""Playbook: the six stages with what comes next, its cost and its worth; done, undone, and stopped by a result."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from facts.settings import settings
from selector.case_scores import scores_from_csv
from selector.gap_gate import Margin, gate
from selector.looks import Stage
from selector.playbook import stage_facts
from selector.store import list_entries, save_entry, save_gates

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = "Document analysis"
SMALL = "api-small-gpt-4o-mini"


def opened(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.query_params["mtok_per_day"] = "250"
    for name, value in query.items():
        app.query_params[name] = value
    return app.run().switch_page("dashboard/pages/playbook_page.py").run()


def said(app: AppTest) -> str:
    parts: list[str] = []
    for kind in (app.markdown, app.caption, app.subheader, app.title, app.warning, app.error, app.info, app.success):
        parts += [str(element.value) for element in kind]
    parts += [f"{metric.label} {metric.value}" for metric in app.metric]
    parts += [str(cell) for table in app.table for row in table.value.itertuples(index=False) for cell in row]
    return " ".join(parts).replace("\\", "")


def keep_test(verdict: str, stage: Stage = Stage.EXPERIMENT, names: str = "case", when: datetime | None = None) -> None:
    """Keep a test of the small model: 400 cases of these names."""
    four = {"passed": (320, 40, 12, 28), "failed": (250, 10, 90, 50), "undecided": (300, 26, 42, 32)}[verdict]
    cells = [cell for cell, many in zip(("1,1", "0,1", "1,0", "0,0"), four, strict=True) for _ in range(many)]
    scores = scores_from_csv("\n".join(["item,baseline,candidate", *(f"{names}-{at},{cell}" for at, cell in enumerate(cells))]))
    created = when or datetime.now(UTC)
    found = gate(scores, Margin(), option_id=SMALL, arm="api_small", as_of=created.date())
    save_gates(settings(), SCENARIO, [found], stage=stage, created=created, items=scores.items)


def chosen(app: AppTest, option: str = SMALL) -> AppTest:
    return app.selectbox(key="playbook.option").set_value(option).run()


def test_every_stage_stands_with_its_state_and_what_makes_it_done() -> None:
    app = opened()
    assert not app.exception
    text = said(app)
    for fact in stage_facts():
        assert fact.title in text
        assert fact.done_when in text
    assert "Next step costs" in text
    assert "Nothing has been marked yet" in text


def test_marking_a_stage_done_moves_on_and_keeps_the_note() -> None:
    app = chosen(opened())
    app.text_input(key="playbook.note.task").set_value("Invoices, *exact* match")
    app.text_input(key="playbook.who.task").set_value("Ada")
    app.button(key="playbook.done.task").click().run()
    assert not app.exception
    (entry,) = list_entries(settings(), SCENARIO)
    assert (entry.stage, entry.done, entry.note, entry.who) == (Stage.TASK, True, "Invoices, *exact* match", "Ada")
    text = said(app)
    assert "Invoices, *exact* match" in text
    assert "next is data audit" in text
    assert "playbook.done.data" in [button.key for button in app.button]


def test_a_stage_marked_done_can_be_opened_again_and_both_stay_in_the_history() -> None:
    app = chosen(opened())
    app.button(key="playbook.done.task").click().run()
    app.button(key="playbook.reopen.task").click().run()
    assert [entry.done for entry in list_entries(settings(), SCENARIO)] == [True, False]
    text = said(app)
    assert "opened again" in text
    assert "next is task definition" in text


def test_a_passed_test_opens_production_and_is_worth_its_money() -> None:
    keep_test("passed")
    text = said(chosen(opened()))
    assert "Your own test has passed: going live saves" in text
    assert "next is production and monitoring" in text


def test_a_failed_test_stops_the_project() -> None:
    keep_test("failed")
    app = chosen(opened())
    assert not app.exception
    text = said(app)
    assert "Stop here" in text
    assert "Stopped" in text
    assert not [button for button in app.button if str(button.key).startswith("playbook.done.")]


def test_an_undecided_test_asks_for_more_cases() -> None:
    keep_test("undecided")
    assert "more labelled cases would settle it" in said(chosen(opened()))


@pytest.mark.parametrize(("fresh", "alarm"), [("failed", "Alarm:"), ("passed", "No drift:")])
def test_a_fresh_sample_is_held_against_the_test_it_passed(fresh: str, alarm: str) -> None:
    keep_test("passed", when=datetime(2026, 11, 1, 9, tzinfo=UTC))
    keep_test(fresh, Stage.PRODUCTION, names="fresh", when=datetime(2026, 11, 2, 9, tzinfo=UTC))
    save_entry(settings(), SCENARIO, Stage.PRODUCTION, created=datetime(2026, 11, 1, 12, tzinfo=UTC))
    app = chosen(opened())
    assert not app.exception
    assert alarm in said(app)
    assert ("red-badge[Drift alarm]" in said(app)) is (fresh == "failed")


def test_an_option_without_a_project_is_said_instead_of_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.project.testable", lambda recommendation: ())
    app = opened()
    assert not app.exception
    assert "There is nothing to try" in said(app)


def test_a_database_that_cannot_be_read_leaves_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.sqlite3"
    broken.write_bytes(b"this is no database at all, only text " * 100)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{broken}")
    app = opened()
    assert not app.exception
    assert "cannot be read" in " ".join(warning.proto.title for warning in app.warning)
    app.button(key="playbook.done.task").click().run()
    assert not app.exception
    assert [error.proto.title for error in app.error] == ["This was not kept"]
