"""What is kept is found again, by many at once; what cannot be kept is one clear sentence and nothing is lost."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from facts.errors import InputError
from facts.settings import Settings
from workloads.demand import Complexity, Workload
from workloads.store import WorkloadRow, downgrade, engine, get_workload, list_workloads, save_workload, session, upgrade, utc_text

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]

VERSIONS = Path(__file__).resolve().parents[2] / "workloads" / "migrations" / "versions"


def at(path: Path) -> Settings:
    return Settings(data_dir=path.parent, database_url=f"sqlite:///{path}")


def workload(name: str = "Mail") -> Workload:
    return Workload(name=name, tokens_per_day=5e7, input_share=0.8, complexity=Complexity.QA)


@pytest.fixture
def kept(tmp_path) -> Settings:
    return at(tmp_path / "data" / "r.sqlite3")


def test_a_saved_workload_is_found_again(kept):
    workload_id = save_workload(kept, workload(), created=NOON, note="by hand")
    found = get_workload(kept, workload_id)
    assert found.workload == workload()
    assert (found.created, found.note) == ("2026-11-01T12:00:00+00:00", "by hand")


def test_the_newest_stands_first_and_the_same_is_kept_once(kept):
    for hours, name in enumerate(("a", "b", "a")):
        save_workload(kept, workload(name), created=NOON + timedelta(hours=hours))
    assert [saved.workload.name for saved in list_workloads(kept)] == ["b", "a"]


def test_an_unknown_id_is_wrong_input(kept):
    with pytest.raises(InputError, match="'nope'"):
        get_workload(kept, "nope")


def test_times_are_kept_in_utc():
    assert utc_text(datetime(2026, 11, 1, 14, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-01T12:00:00+00:00"
    assert utc_text(NOON) < utc_text(NOON + timedelta(microseconds=1)) < utc_text(NOON + timedelta(seconds=1))
    with pytest.raises(ValueError, match="time zone"):
        utc_text(datetime(2026, 11, 1))


def test_file_and_folder_are_for_their_owner_only(kept):
    upgrade(kept)
    assert kept.data_dir.stat().st_mode & 0o777 == 0o700
    assert (kept.data_dir / "r.sqlite3").stat().st_mode & 0o777 == 0o600


def test_the_database_writes_ahead_and_keeps_foreign_keys(kept):
    with session(kept) as opened:
        assert opened.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert opened.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert opened.execute(text("PRAGMA busy_timeout")).scalar() == 30_000


def test_many_threads_of_one_server_write_at_once(kept):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: save_workload(kept, workload(f"{number}"), created=NOON), range(24)))
    assert len(list_workloads(kept)) == 24


def test_what_fails_half_way_leaves_nothing(kept):
    def broken_off():
        with session(kept) as opened:
            opened.add(WorkloadRow(id="half", name="n", created="c", note="", document="{}"))
            opened.flush()
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        broken_off()
    assert list_workloads(kept) == ()


def test_a_mistake_of_the_program_is_not_called_wrong_input(kept):
    row = "INSERT INTO workload VALUES ('1', 'n', 'c', '', '{}')"
    with session(kept) as opened:
        opened.execute(text(row))
    with pytest.raises(IntegrityError), session(kept) as opened:
        opened.execute(text(row))


def test_a_reader_does_not_wait_for_a_writer(kept):
    upgrade(kept)
    with session(kept) as writer:
        writer.add(WorkloadRow(id="1", name="n", created="c", note="", document="{}"))
        writer.flush()
        assert list_workloads(kept) == ()


def test_the_schema_goes_forward_and_back(kept):
    upgrade(kept)
    upgrade(kept)
    assert "workload" in inspect(engine(kept.database_url)).get_table_names()
    downgrade(kept, "base")
    assert inspect(engine(kept.database_url)).get_table_names() == ["alembic_version"]
    assert list_workloads(kept) == ()


def test_many_processes_write_at_once_and_nothing_is_lost(kept):
    program = (
        "import sys; from datetime import UTC, datetime; from facts.settings import settings\n"
        "from workloads.demand import Workload; from workloads.store import save_workload\n"
        "for turn in range(5):\n"
        "    w = Workload(name=f'{sys.argv[1]}-{turn}', tokens_per_day=5e7, complexity='qa')\n"
        "    save_workload(settings(), w, created=datetime(2026, 11, 1, tzinfo=UTC))\n"
    )
    environment = {"DATABASE_URL": kept.database_url, "HOME": str(kept.data_dir), "PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen([sys.executable, "-c", program, str(number)], env=environment) for number in range(3)]
    assert [process.wait(timeout=60) for process in running] == [0] * 3
    assert {saved.workload.name for saved in list_workloads(kept)} == {f"{number}-{turn}" for number in range(3) for turn in range(5)}


# ---- what cannot be used ----


def refusal(settings: Settings) -> str:
    with pytest.raises(InputError) as raised:
        save_workload(settings, workload(), created=NOON)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_folder_instead_of_a_file(tmp_path):
    assert "is a folder" in refusal(at(tmp_path))


def test_a_path_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    message = refusal(at(tmp_path / "file" / "r.sqlite3"))
    assert "cannot be created" in message
    assert "RIGHTSIZE_DATA_DIR" in message


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but notes that must stay as they are" * 20, encoding="utf-8")
    before = path.read_bytes()
    assert "it is no SQLite file" in refusal(at(path))
    assert path.read_bytes() == before


def test_a_damaged_database(kept):
    with session(kept) as opened:
        opened.add_all(WorkloadRow(id=f"{number}", name="n", created="c", note="", document="x" * 500) for number in range(200))
    path = Path(kept.database_url.removeprefix("sqlite:///"))
    content = bytearray(path.read_bytes())
    content[4096 : len(content) - 4096] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    assert "cannot be used" in refusal(kept)


def test_a_newer_schema_is_left_alone(kept):
    upgrade(kept)
    path = kept.database_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    message = refusal(kept)
    newest = max(path.name[1:5] for path in VERSIONS.glob("v*.py"))
    assert f"schema 9999, newer than this program's {newest}" in message
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    connection.close()


def test_tables_of_another_program(tmp_path):
    path = tmp_path / "other.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE workload (x)")
    connection.close()
    assert "not those of this program" in refusal(at(path))


def test_a_disk_that_is_full(kept):
    def write_too_much():
        with session(kept) as opened:
            pages = opened.execute(text("PRAGMA page_count")).scalar()
            opened.execute(text(f"PRAGMA max_page_count = {pages}"))
            opened.add(WorkloadRow(id="1", name="n", created="c", note="", document="x" * 1_000_000))

    with pytest.raises(InputError, match="the disk is full; nothing was changed"):
        write_too_much()
    assert list_workloads(kept) == ()


@pytest.mark.parametrize("url", ["nonsense", "mysql+nothing://host/name", "://", "sqlite://", "sqlite:///:memory:"])
def test_an_address_that_is_none(url, tmp_path):
    assert "DATABASE_URL" in refusal(Settings(data_dir=tmp_path, database_url=url))


def test_a_password_is_not_in_the_message(tmp_path):
    message = refusal(Settings(data_dir=tmp_path, database_url="postgresql://user:hunter2@127.0.0.1:1/name"))
    assert "hunter2" not in message
