"""The commands over what is kept: scenarios, portfolio, reconcile, as a user types them."""

import json

import pytest
from typer.testing import CliRunner

from facts.errors import InputError
from selector.__main__ import app

MAIL = 'name = "Mail"\ntokens_per_day = 5e7\ncomplexity = "extraction"\nlabelled_examples = 20000\n'
DAY = ("--as-of", "2026-11-22")


@pytest.fixture
def typed(tmp_path, monkeypatch):
    monkeypatch.setenv("RIGHTSIZE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.chdir(tmp_path)

    def type_in(*words):
        ended = CliRunner().invoke(app, [str(word) for word in words])
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        assert ended.exit_code == 0, ended.output
        return ended.output

    return type_in


def saved(typed, tmp_path, text=MAIL):
    (tmp_path / "mail.toml").write_text(text, encoding="utf-8")
    return json.loads(typed("decide", "mail.toml", "--json", *DAY))


def test_a_saved_scenario_is_compared_copied_archived_approved_and_shared(typed, tmp_path):
    saved(typed, tmp_path)
    saved(typed, tmp_path, MAIL.replace("20000", "0"))
    assert "Mail" in typed("scenarios", "list")
    assert "labelled_examples: 20000 -> 0" in typed("scenarios", "diff", "Mail@1", "Mail", *DAY)
    assert [change["key"] for change in json.loads(typed("scenarios", "diff", "Mail@1", "Mail@2", "--json", *DAY))["changes"]] == [
        "labelled_examples"
    ]
    assert "Copy, version 1" in typed("scenarios", "duplicate", "Mail@1", "Copy")
    assert "approved by Ann: Mail, version 1" in typed("scenarios", "approve", "Mail@1", "--who", "Ann", "--note", "go", *DAY)
    assert "Changed since version 1 was approved by Ann" in typed("scenarios", "list")
    link = typed("scenarios", "share", "Mail@1").strip()
    assert "labelled_examples = 20000" in typed("scenarios", "show", link)
    typed("scenarios", "end-share", link)
    with pytest.raises(InputError, match="withdrawn"):
        typed("scenarios", "show", link)
    typed("scenarios", "archive", "Copy")
    assert "Copy" not in typed("scenarios", "list")
    assert "Copy" in typed("scenarios", "list", "--archived")
    typed("scenarios", "restore", "Copy")
    assert "Copy" in typed("scenarios", "list", "--name", "Copy")


def test_everything_goes_into_one_file_and_out_again(typed, tmp_path, monkeypatch):
    assert "nothing is saved here" in typed("scenarios", "list")
    saved(typed, tmp_path)
    assert "wrote" in typed("scenarios", "export", "all.json")  # the scenario, the decision, and the inputs that it replays from
    assert "0 rows are new, 3 were here already" in typed("scenarios", "import", "all.json")
    monkeypatch.setenv("RIGHTSIZE_DATA_DIR", str(tmp_path / "other"))
    assert "3 rows are new, 0 were here already" in typed("scenarios", "import", "all.json")
    assert "Mail" in typed("scenarios", "list")


def test_a_portfolio_from_a_file_and_from_what_is_saved(typed, tmp_path):
    with pytest.raises(InputError, match="no workload"):
        typed("portfolio", *DAY)
    decision = saved(typed, tmp_path)
    found = json.loads(typed("portfolio", "--json", *DAY))
    assert [row["option_id"] for row in found["rows"]] == [decision["recommendation"]["option_id"]]
    (tmp_path / "all.csv").write_text("name,tokens_per_day,complexity\na,1e6,qa\nb,2e6,qa\n", encoding="utf-8")
    printed = typed("portfolio", "all.csv", *DAY)
    assert printed.startswith("2 workloads cost")


def test_bills_are_compared_and_kept(typed, tmp_path):
    decision = saved(typed, tmp_path)
    (tmp_path / "decision.json").write_text(json.dumps(decision), encoding="utf-8")
    (tmp_path / "bills.csv").write_text("month,line,usd\n2026-12,staff,900\n", encoding="utf-8")
    with pytest.raises(InputError, match="project's first"):
        typed("reconcile", "decision.json", "bills.csv")
    by_file = typed("reconcile", "decision.json", "bills.csv", "--first-month", "2026-12", "--json")
    by_id = typed("reconcile", decision["inputs_sha256"][:12], "bills.csv", "--first-month", "2026-12", "--json")
    assert json.loads(by_file) == json.loads(by_id)
    (tmp_path / "bills.csv").write_text("month,line,usd\n2,staff,900\n", encoding="utf-8")
    assert json.loads(typed("reconcile", decision["inputs_sha256"][:12], "bills.csv", "--json"))["months"] == [1, 2]
    assert "The verdict" in typed("reconcile", decision["inputs_sha256"][:12], "bills.csv")
    with pytest.raises(InputError, match="no decision"):
        typed("reconcile", "bills.json", "bills.csv") if (tmp_path / "bills.json").write_text("{}") else None
