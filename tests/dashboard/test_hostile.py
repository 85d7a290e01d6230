"""Hostile input through the pages: too large, packed too tight, an address inside, markup, a path, a formula; the page lives."""

from __future__ import annotations

import gzip
import io
import tomllib

import openpyxl
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import log_section, state
from dashboard.workbook import workbook
from facts.settings import settings
from selector.history import scenario_versions
from tests.dashboard.test_decide_page import example
from tests.dashboard.test_pages import ROOT, on, opened, plain, said

MB = 1_000_000


def given(app: AppTest, key: str, content: bytes, name: str) -> AppTest:
    """The file in the uploader of that key, or whose key begins so; the first without a key where `key` is empty."""
    field = next(field for field in app.file_uploader if (field.key or "") == key)
    return field.set_value([(name, content, "application/octet-stream")]).run()


@pytest.mark.parametrize(
    ("page", "view", "key", "folder", "allowed_mb", "ending"),
    [
        ("decide", "", "form.upload", "", 1, "toml"),
        ("decide", "", "decide.own_tree_file", "decide.own_tree.open", 1, "toml"),
        ("measure", "", "measure.upload", "", 20, "json"),
        ("evaluate", "", "evaluate.files", "", 64, "csv"),
        ("sources", "Published claims", "claims.upload", "", 1, "toml"),
        ("saved", "Portfolio", "saved.portfolio.file", "", 10, "csv"),
    ],
)
def test_a_file_above_what_its_field_allows_is_one_sentence(
    page: str, view: str, key: str, folder: str, allowed_mb: int, ending: str
) -> None:
    app = on(page, opened())
    if view:
        app.button_group(key="sources.part" if page == "sources" else "saved.view").set_value(view)
    if folder:
        app.session_state[folder] = True
    app.run()
    given(app, key, b"a" * int(allowed_mb * 1.2 * MB), f"large.{ending}")
    assert not app.exception
    assert f"{allowed_mb} MB are allowed here" in said(app)
    assert on("costs", app).table


def test_a_log_of_gigabytes_packed_into_a_megabyte_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    app = on("saved", opened())
    app.button_group(key="saved.view").set_value("From a log").run()
    line = b"2026-11-02T00:00:00Z,100,20\n"
    bomb = gzip.compress(b"TIMESTAMP,ContextTokens,GeneratedTokens\n" + b" " * (300 * MB) + line, 6)
    assert len(bomb) < MB
    app.file_uploader(key="saved.log.files").set_value([("bomb.csv.gz", bomb, "application/gzip")]).run()
    next(button for button in app.button if button.label == "Read the log").click()
    app.run()
    app.session_state[log_section.JOB].wait()
    app.run()
    assert not app.exception
    assert app.error


def test_the_server_takes_what_the_largest_field_promises() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["maxUploadSize"] == log_section.UPLOAD_MB


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://169.254.169.254/latest/meta-data", "the host '169.254.169.254' is not on the list of endpoints a page may call"),
        ("http://10.0.0.7:8000/v1", "the host '10.0.0.7' is not on the list of endpoints a page may call"),
        ("file:///secret", "'file:///secret' is not an address"),
    ],
)
def test_an_address_inside_is_not_asked(address: str, why: str) -> None:
    app = on("measure", opened())
    app.text_input(key="measure.url").set_value(address).run()
    for button in app.button:
        if button.key == "measure.server_start":
            button.click().run()
    assert not app.exception
    assert why in plain(" ".join(element.value for element in [*app.warning, *app.error]))
    assert not state.server_desk().running


@pytest.mark.parametrize("name", ['=HYPERLINK("http://evil.example")', "+1+1", "@SUM(A1)", "-2+3", "../../etc/passwd", "<b>x</b>"])
def test_a_name_is_text_in_every_file_and_no_place_on_the_disk(name: str) -> None:
    app = opened(name=name)
    assert not app.exception
    assert scenario_versions(settings(), name)[0].name == name
    decision = example(name=name)
    book = openpyxl.load_workbook(io.BytesIO(workbook(decision)))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if name in str(cell.value)]
    assert cells
    assert all(cell.data_type != "f" for cell in cells)
    shown = on("report", app)
    assert name in plain(said(shown))
    for button in shown.get("download_button"):
        assert "/" not in button.proto.label
