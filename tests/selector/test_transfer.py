"""Everything as one file: what comes out goes in elsewhere, twice adds nothing, and what was touched is refused whole."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from facts.errors import InputError
from facts.settings import Settings
from selector.history import archive_scenario, list_approvals, scenario_versions, share_scenario, shared_scenario
from selector.store import list_decisions, list_scenarios, save_decision, save_scenario
from selector.transfer import ROWS, export_file, export_text, import_file, import_text
from tests.selector.decisions import decide, scenario
from tests.selector.test_history import approved
from workloads.store import list_workloads, save_workload

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 12, tzinfo=UTC)


def elsewhere(tmp_path, name="other"):
    return Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path / name}.sqlite3")


@pytest.fixture
def full(kept):
    save_scenario(kept, scenario(name="Mail", labelled_examples=1), created=NOON)
    approved(kept, scenario(name="Mail"), who="Ann")
    save_scenario(kept, scenario(name="Old"), created=NOON)
    archive_scenario(kept, "Old", created=NOON)
    save_decision(kept, decide(name="Mail"), created=NOON)
    save_workload(kept, scenario(name="Mail").workload, created=NOON)
    return kept


def test_what_comes_out_of_one_database_goes_into_another(full, tmp_path):
    link = share_scenario(full, list_scenarios(full)[0], created=NOON)
    path, other = tmp_path / "all.json", elsewhere(tmp_path)
    export_file(full, path, created=NOON)
    imported = import_file(other, path)
    assert dict(imported.added) == {
        "workload": 1,
        "scenario": 3,
        "scenario_event": 1,
        "approval": 1,
        "share_link": 1,
        "decision": 1,
    }
    assert scenario_versions(other, "Mail") == scenario_versions(full, "Mail")
    assert [saved.name for saved in list_scenarios(other, archived=True)] == ["Old"]
    assert list_approvals(other, "Mail") == list_approvals(full, "Mail")
    assert shared_scenario(other, link.id) == shared_scenario(full, link.id)
    assert list_decisions(other)[0].document == list_decisions(full)[0].document
    assert list_workloads(other) == list_workloads(full)
    assert export_text(other, created=NOON) == export_text(full, created=NOON)


def test_a_file_from_before_there_were_drafts_is_read(full, tmp_path):
    document, other = json.loads(export_text(full, created=NOON)), elsewhere(tmp_path)
    for row in document["tables"]["scenario"]:
        del row["draft"]
    document["sha256"] = hashlib.sha256(json.dumps(document["tables"], sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    import_text(other, json.dumps(document))
    assert [saved.draft for saved in scenario_versions(other, "Mail")] == [False, False]


def test_the_same_file_twice_adds_nothing(full, tmp_path):
    text, other = export_text(full, created=NOON), elsewhere(tmp_path)
    first, second = import_text(other, text), import_text(other, text)
    assert (second.added_rows, second.known) == (0, first.added_rows)
    assert import_text(full, text).added_rows == 0


def test_the_same_content_that_somebody_else_kept_later_is_no_conflict(full, tmp_path):
    other = elsewhere(tmp_path)
    save_scenario(other, scenario(name="Mail", labelled_examples=1), created=LATER, who="Bob")
    imported = import_text(other, export_text(full, created=NOON))
    assert dict(imported.added)["scenario"] == 2
    assert scenario_versions(other, "Mail")[0].who == "Bob"


def test_another_version_of_the_same_number_is_a_conflict_and_nothing_is_imported(full, tmp_path):
    other = elsewhere(tmp_path)
    save_scenario(other, scenario(name="Mail", labelled_examples=77), created=NOON)
    before = export_text(other, created=NOON)
    with pytest.raises(InputError, match="version 1 of scenario 'Mail' is here with other content, so nothing was imported"):
        import_text(other, export_text(full, created=NOON))
    assert export_text(other, created=NOON) == before


def sealed(document):
    tables = json.dumps(document["tables"], sort_keys=True, ensure_ascii=False)
    return json.dumps({**document, "sha256": hashlib.sha256(tables.encode()).hexdigest()})


def test_a_file_that_was_changed_or_is_another_is_refused(full, tmp_path):
    text, other = export_text(full, created=NOON), elsewhere(tmp_path)
    document = json.loads(text)
    for broken, words in (
        (text[: len(text) // 2], "not valid JSON"),
        (text.replace("Ann", "Eve"), "does not fit its sha256"),
        ("[]", "no export"),
        ("{}", "no export"),
        (json.dumps({**document, "version": 2}), "has version 2, this program reads 1"),
        (sealed({**document, "tables": {**document["tables"], "robots": []}}), "'robots'"),
        (sealed({**document, "tables": {"workload": [{"id": "1"}]}}), "not the columns"),
        (sealed({**document, "tables": {"workload": [{**document["tables"]["workload"][0], "name": 5}]}}), "'name' of a row"),
    ):
        with pytest.raises(InputError, match=words):
            import_text(other, broken)
    assert list_workloads(other) == ()


def test_a_file_is_written_whole_or_not_at_all(full, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        export_file(full, tmp_path / "no" / "all.json", created=NOON)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        export_file(full, tmp_path / "folder", created=NOON)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    with pytest.raises(InputError, match="no such file"):
        import_file(full, tmp_path / "no.json")


def test_every_table_is_exported():
    from sqlmodel import SQLModel

    assert sorted(row.__tablename__ for row in ROWS) == sorted(SQLModel.metadata.tables)  # each once
