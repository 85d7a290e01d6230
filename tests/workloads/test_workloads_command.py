"""python -m workloads: a request log becomes a workload file; wrong input is one line and exit code 2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facts import commandline
from facts.settings import settings
from workloads.__main__ import app
from workloads.demand import Complexity, read_workload
from workloads.store import list_workloads

ROOT = Path(__file__).resolve().parents[2]
LOG = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n" + "\r\n".join(
    f"2026-11-01 10:{second // 60:02}:{second % 60:02}.0000000,{100 + second},{10}" for second in range(300)
)


@pytest.fixture
def log(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RIGHTSIZE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    path = tmp_path / "mail log.csv"
    path.write_text(LOG, encoding="utf-8")
    return path


@pytest.fixture
def call(monkeypatch, capsys):
    def called(*arguments):
        monkeypatch.setattr("sys.argv", ["python -m workloads", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            commandline.run(app)
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return called


def test_a_log_becomes_a_workload_that_can_be_read(log, call, tmp_path):
    out = tmp_path / "workload.toml"
    code, shown, _ = call("summarize", log, "--out", out, "--complexity", "qa", "--name", "Mail")
    assert code == 0
    assert "300" in shown
    stated = read_workload(out)
    assert (stated.name, stated.complexity) == ("Mail", Complexity.QA)
    assert stated.requests_per_day == pytest.approx(300 / 299 * 86_400)
    assert stated.input_tokens == 100 + 299 / 2
    assert stated.output_tokens == 10
    text = out.read_text(encoding="utf-8")
    assert text.startswith("# From the request log mail log (columns of azure-2023): 300 requests in 299 s")
    assert "0.08 hours" in text
    assert "CHECK complexity" not in text


def test_a_complexity_that_was_not_given_is_to_be_checked(log, call, tmp_path):
    out = tmp_path / "workload.toml"
    assert call("summarize", log, "--out", out)[0] == 0
    assert "# CHECK complexity: a log does not say what the answers are for" in out.read_text(encoding="utf-8")
    assert read_workload(out).complexity is Complexity.GENERATION


def test_the_figures_as_json(log, call):
    code, shown, _ = call("summarize", log, "--json")
    figures = json.loads(shown)
    assert (code, figures["requests"], figures["output_tokens"]["p99"], figures["broken_rows"]) == (0, 300, 10, 0)
    assert [peak["window_s"] for peak in figures["peaks"]] == [10, 60]


def test_a_workload_is_saved_when_asked(log, call):
    assert call("summarize", log, "--save", "--name", "Mail")[0] == 0
    (saved,) = list_workloads(settings())
    assert (saved.workload.name, saved.note) == ("Mail", "request log mail log")


def test_broken_rows_are_shown(log, call):
    log.write_text(LOG + "\r\n2026-11-01 11:00:00,[red],1", encoding="utf-8")
    _, shown, _ = call("summarize", log)
    assert "not read: line 302: 'ContextTokens' is missing or no such number or time: 2026-11-01 11:00:00,[red],1" in shown
    assert "1 of 301 rows could not be read and are not counted, the first at line 302." in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("summarize", "none.csv"), "no such file: none.csv"),
        (("summarize", "."), ". is a folder"),
        (("summarize", "notes.csv"), "has the columns a, b, and wanted are those of azure-2023"),
        (("summarize", "mail log.csv", "--complexity", "magic"), "'magic' is not one of"),
        (("summarize", "mail log.csv", "--out", "no/such/folder.toml"), "no/such/folder.toml cannot be written"),
        (("summarize", "mail log.csv", "--nope"), "No such option"),
        (("summarize",), "Missing argument"),
        (("sumarize",), "No such command"),
        ((), "Missing command"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(log, call, monkeypatch, arguments, message):
    monkeypatch.chdir(log.parent)
    (log.parent / "notes.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    code, _, err = call(*arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_database_that_cannot_be_written_is_one_line_and_exit_code_2(log):
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{log}/r.sqlite3"}
    command = [sys.executable, "-m", "workloads", "summarize", str(log), "--save"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr == (
        f"error: the database {log}/r.sqlite3 cannot be created ({log} is a file): "
        "set DATABASE_URL or RIGHTSIZE_DATA_DIR to a place you may write\n"
    )
