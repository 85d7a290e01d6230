"""Saved: what is kept is listed, changed, approved, shared and brought back; logs become workloads; bills meet their forecast."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import state
from facts.settings import settings
from selector.history import list_approvals, list_shares, scenario_versions
from selector.store import list_decisions, list_scenarios
from tests.dashboard.test_pages import on, opened, plain, said
from tests.workloads.test_text_tokens import write_vocabulary
from workloads.log_formats import TimeUnit
from workloads.store import list_workloads

START = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture
def saved() -> AppTest:
    """The page after Decide was opened once: one scenario is kept."""
    return on("saved", opened())


def view(app: AppTest, name: str) -> AppTest:
    return app.button_group(key="saved.view").set_value(name).run()


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click()
    return app.run()


def name_of(app: AppTest) -> str:
    return str(app.selectbox(key="saved.name").value)


def log_text(days: int = 3) -> bytes:
    """A request every ten minutes; longer by day."""
    rows = []
    for number in range(days * 144):
        at = START + timedelta(minutes=10 * number)
        rows.append(f"{at.isoformat()},{200 if 8 <= at.hour < 18 else 100},{20}")
    return ("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(rows) + "\n").encode()


def read(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    """Give files to the log view, press the button and wait for the child process."""
    app = view(app, "From a log")
    app.file_uploader(key="saved.log.files").set_value([(name, raw, "application/octet-stream") for name, raw in files]).run()
    press(app, "Read the log")
    app.session_state["saved.log.job"].wait()
    return app.run()


# ---- scenarios ----


def test_what_decide_has_computed_is_on_the_list(saved: AppTest) -> None:
    assert not saved.exception
    assert "Document analysis" in said(saved)
    assert "Not approved by anybody." in said(saved)


def test_a_version_is_saved_with_name_and_note_and_a_changed_input_is_its_difference(saved: AppTest) -> None:
    press(saved, "Save as a new version")
    saved.number_input(key="mtok_per_day").set_value(20.0).run()
    next(field for field in saved.text_input if field.label == "Your name").set_value("Ada")
    next(field for field in saved.text_input if field.label == "Note").set_value("less traffic")
    press(saved, "Save as a new version")
    assert not saved.exception
    versions = scenario_versions(settings(), name_of(saved))
    assert (versions[-1].who, versions[-1].note, versions[-1].version) == ("Ada", "less traffic", 2)
    assert versions[-1].as_of == datetime.now(UTC).date().isoformat()
    assert "is kept as version 2" in saved.success[0].value
    assert "1 input differs" in said(saved)
    assert [row.Input for table in saved.table if "Input" in table.value for row in table.value.itertuples()] == ["Tokens a day"]


def test_what_was_tried_on_decide_is_one_draft_until_somebody_saves_it(saved: AppTest) -> None:
    name = name_of(saved)
    for volume in (20.0, 30.0, 40.0, 30.0):
        on("decide", saved).number_input(key="mtok_per_day").set_value(volume).run()
    (draft,) = scenario_versions(settings(), name)
    assert (draft.draft, draft.version, draft.scenario.workload.tokens_per_day) == (True, 1, 30e6)
    assert "1, draft" in said(on("saved", saved))
    press(saved, "Save as a new version")
    assert [(one.draft, one.version) for one in scenario_versions(settings(), name)] == [(False, 1)]
    on("decide", saved).number_input(key="mtok_per_day").set_value(50.0).run()
    assert [(one.draft, one.version) for one in scenario_versions(settings(), name)] == [(False, 1), (True, 2)]


def test_two_who_change_the_same_version_do_not_overwrite_each_other(saved: AppTest) -> None:
    press(saved, "Open in the form")
    other = on("saved", opened())
    other.number_input(key="mtok_per_day").set_value(20.0).run()
    press(other, "Save as a new version")
    saved.number_input(key="mtok_per_day").set_value(30.0).run()
    press(saved, "Save as a new version")
    (error,) = saved.error
    assert "nothing was overwritten" in plain(error.value)
    assert len(scenario_versions(settings(), name_of(saved))) == 2


def test_duplicate_archive_and_restore(saved: AppTest) -> None:
    name = name_of(saved)
    press(saved, "Duplicate")
    assert [kept.name for kept in list_scenarios(settings())] == [f"{name}, copy", name]
    saved.selectbox(key="saved.name").set_value(f"{name}, copy").run()
    press(saved, "Archive")
    assert [kept.name for kept in list_scenarios(settings())] == [name]
    saved.button(key="undo.button").click().run()
    assert len(list_scenarios(settings())) == 2
    saved.selectbox(key="saved.name").set_value(f"{name}, copy").run()
    press(saved, "Archive")
    saved.toggle(key="saved.archive").set_value(True).run()
    assert name_of(saved) == f"{name}, copy"
    press(saved, "Restore")
    assert len(list_scenarios(settings())) == 2


def test_an_approval_needs_a_name_and_shows_when_an_input_changes(saved: AppTest) -> None:
    name = name_of(saved)
    press(saved, "Approve version 1")
    assert "an approval needs a name" in said(saved)
    next(field for field in saved.text_input if field.label == "Approved by").set_value("Grace")
    press(saved, "Approve version 1")
    (approval,) = list_approvals(settings(), name)
    assert (approval.who, approval.version) == ("Grace", 1)
    assert "Approved as version 1 by Grace" in said(saved)
    saved.number_input(key="mtok_per_day").set_value(20.0).run()
    press(saved, "Save as a new version")
    assert "Changed since version 1 was approved by Grace" in said(saved)


def test_a_link_shows_its_version_for_reading_until_it_is_withdrawn(saved: AppTest) -> None:
    press(saved, "Make a link to version 1")
    (version,) = scenario_versions(settings(), name_of(saved))
    (link,) = list_shares(settings(), (version.id,))
    reader = AppTest.from_file(str(Path(__file__).resolve().parents[2] / "app.py"), default_timeout=60)
    reader.query_params["link"] = link.id
    reader.switch_page("dashboard/pages/shared.py").run()
    assert not reader.exception
    text = said(reader)
    assert "Version 1 of Document analysis" in text
    assert "nothing can be changed here" in text
    assert not reader.sidebar.number_input
    assert not reader.button
    press(saved, "Withdraw")
    reader.run()
    assert "this link leads nowhere, or was withdrawn" in said(reader)
    saved.button(key="undo.button").click().run()
    assert "Version 1 of Document analysis" in said(reader.run())


def test_without_a_link_or_with_a_made_up_one_nothing_is_shown() -> None:
    app = AppTest.from_file(str(Path(__file__).resolve().parents[2] / "app.py"), default_timeout=60)
    app.query_params["link"] = "made-up"
    app.switch_page("dashboard/pages/shared.py").run()
    assert "this link leads nowhere" in said(app)
    assert not app.table


def test_an_empty_archive_and_a_database_that_cannot_be_read_are_one_sentence(
    saved: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.toggle(key="saved.archive").set_value(True).run()
    assert "The archive is empty." in said(saved)
    broken = tmp_path / "broken.sqlite3"
    broken.write_bytes(b"this is no database" * 100)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{broken}")
    saved.run()
    assert "it is no SQLite file; restore a backup" in said(saved)
    assert not saved.exception


# ---- logs ----


def test_a_gguf_file_is_asked_for_before_its_tokenizer_counts(saved: AppTest, tmp_path) -> None:
    pytest.importorskip("llama_cpp")
    app = view(saved, "From a log")
    rows = [{"t": number * 60, "n": None, "m": None, "prompt": "hello hello", "answer": "hello"} for number in range(3)]
    log = "".join(json.dumps(row) + "\n" for row in rows).encode()
    app.file_uploader(key="saved.log.files").set_value([("texts.jsonl", log, "application/json")]).run()
    app.selectbox(key="saved.log.tokenizer").select("a GGUF file's own").run()
    assert app.button(key="saved.log.read").disabled
    mapping = b'time = "t"\ntime_unit = "elapsed_s"\ninput_text = "prompt"\noutput_text = "answer"\n'
    app.file_uploader(key="saved.log.toml").set_value([("columns.toml", mapping, "application/toml")]).run()
    header = write_vocabulary(tmp_path / "tiny.gguf").read_bytes()
    app.file_uploader(key="saved.log.gguf").set_value([("llama-3.gguf", header, "application/octet-stream")]).run()
    press(app, "Read the log")
    app.session_state["saved.log.job"].wait()
    app.run()
    assert not app.exception
    assert "15 prompt tokens of 3 requests are counted from their text (tokenizer llama-3.gguf)." in said(app)


def test_a_log_becomes_a_workload_that_fills_the_form_and_is_kept(saved: AppTest) -> None:
    app = read(saved, ("office.csv.gz", gzip.compress(log_text())))
    assert not app.exception
    text = said(app)
    assert "432 requests in office, 02 Nov 2026 00:00 to 04 Nov 2026 23:50 UTC" in text
    assert len(app.get("plotly_chart")) == 3
    press(app, "Keep it")
    (kept,) = list_workloads(settings())
    assert kept.note == "request log office"
    assert kept.workload.input_tokens == pytest.approx((100 * 14 + 200 * 10) / 24)
    press(app, "Use it: fill the form")
    assert app.session_state["requests_per_day"] == pytest.approx(kept.workload.requests_per_day)
    assert app.session_state["volume_unit"] == "requests"


def test_columns_that_are_not_known_are_named_in_the_form(saved: AppTest) -> None:
    rows = b"".join(b'{"at": %d, "n_in": 100, "n_out": 10}\n' % (60 * number) for number in range(10))
    app = read(saved, ("own.jsonl", rows))
    assert "is no request log that is known: it has the columns at, n_in, n_out" in said(app)
    boxes = {box.label: box for box in app.selectbox}
    boxes["Moment of the request"].set_value("at")
    boxes["Prompt tokens"].set_value("n_in")
    boxes["Answer tokens"].set_value("n_out")
    app.selectbox(key="saved.log.unit").set_value(TimeUnit.ELAPSED_S).run()
    press(app, "Read the log")
    app.session_state["saved.log.job"].wait()
    app.run()
    assert not app.exception
    assert "10 requests in own" in said(app)


def test_a_usage_export_is_known_by_its_fields(saved: AppTest) -> None:
    result = {"input_tokens": 8640000, "output_tokens": 86400, "num_model_requests": 8640, "model": "gpt-4o"}
    bucket = {"start_time": 1_760_000_000, "end_time": 1_760_086_400, "results": [result]}
    app = read(saved, ("usage.json", json.dumps({"data": [bucket]}).encode()))
    assert not app.exception
    assert "8,640 requests in 1.0 days of usage" in said(app)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", "empty.csv is empty"),
        ("photo.csv", bytes(range(256)) * 50, "photo.csv"),
        ("../../etc/passwd", b"a,b\n1,2\n", "passwd is no request log that is known"),
    ],
)
def test_what_is_no_log_is_one_sentence_without_any_folder(saved: AppTest, name: str, content: bytes, words: str) -> None:
    app = read(saved, (name, content))
    assert not app.exception
    error = " ".join(plain(error.value) for error in app.error)
    assert words in error
    assert "rightsize-read-" not in error


# ---- portfolio, bills, export ----


def test_the_portfolio_adds_up_the_saved_scenarios_or_a_file(saved: AppTest) -> None:
    app = view(saved, "Portfolio")
    assert not app.exception
    assert "Document analysis" in said(app)
    text = "name,requests_per_day,input_tokens_mean,output_tokens_mean,complexity\nA,40000,600,10,classification\nB,3000,9000,300,qa\n"
    app.file_uploader(key="saved.portfolio.file").set_value([("two.csv", text.encode(), "text/csv")]).run()
    assert [row.Workload for row in app.table[0].value.itertuples()] == ["A", "B"]
    app.file_uploader(key="saved.portfolio.file").set_value([("bad.csv", b"name,wrong\nA,1\n", "text/csv")]).run()
    assert "This portfolio cannot be decided" in [error.proto.title for error in app.error]


def test_bills_are_compared_with_the_decision_line_by_line(saved: AppTest) -> None:
    app = view(saved, "After going live")
    assert "No bill is kept for this decision yet." in said(app)
    state.keeper().settle()
    (decision,) = list_decisions(settings())
    option = next(one for one in decision.document["options"] if one["id"] == decision.recommended_option_id)
    lines = option["months"][0]["lines"]
    text = "month,line,usd\n" + "".join(f"1,{name},{1.5 * usd}\n" for name, usd in lines.items())
    app.file_uploader[0].set_value([("bills.csv", text.encode(), "text/csv")])
    press(app, "Keep these bills")
    assert not app.exception
    frame: Any = next(table.value for table in app.table if "Billed" in table.value)
    assert len(frame) == len(lines)
    assert "1 of 12 months" in said(app)


def test_everything_travels_as_one_file(saved: AppTest) -> None:
    app = view(saved, "Export and import")
    press(app, "Prepare the file")
    exported = app.session_state["saved.exported"]
    assert json.loads(exported)["format"] == "rightsize export"
    app.file_uploader(key="saved.import").set_value([("all.json", exported.encode(), "application/json")]).run()
    press(app, "Import it")
    assert "Added: nothing new." in app.success[0].value
    changed = exported.replace("Document analysis", "Something else", 1)
    app.file_uploader(key="saved.import").set_value([("all.json", changed.encode(), "application/json")]).run()
    press(app, "Import it")
    assert "its content does not fit its sha256" in said(app)
