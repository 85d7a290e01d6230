"""What goes wrong with a disk or a neighbour: clear words, and nothing lost."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from facts.errors import InputError
from facts.settings import Settings
from selector.history import scenario_versions
from selector.store import list_scenarios, save_scenario
from tests.postgres_server import NOBODY
from tests.selector.decisions import scenario
from tests.soak.storage import soak
from workloads.store import engine, upgrade

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]
SAVE = """
import os, sys
parent = os.getpid()
from datetime import UTC, datetime
from facts.commandline import run
from pathlib import Path
from facts.settings import Settings, settings
from selector.scenarios import scenario_of
from selector.store import save_scenario

def main(standalone_mode=False):
    for turn in range(int(sys.argv[2])):
        given = scenario_of({"name": sys.argv[1], "tokens_per_day": 1e6 + turn, "complexity": "qa"}, "the test")
        save_scenario(settings(), given, created=datetime(2026, 11, 1, tzinfo=UTC), who="w" * int(sys.argv[3]))
        print("kept", turn, flush=True)

if len(sys.argv) > 5:  # everything is loaded first, then the process becomes another user
    warm = Settings(data_dir=Path(sys.argv[5]), database_url=f"sqlite:///{sys.argv[5]}/warm.sqlite3")
    save_scenario(warm, scenario_of({"tokens_per_day": 1e6, "complexity": "qa"}, "the test"), created=datetime(2026, 11, 1, tzinfo=UTC))
    if sys.argv[6] != "None":
        os.setgroups([])
        os.setgid(int(sys.argv[6]))
        os.setuid(int(sys.argv[6]))
children = []
for _ in range(int(sys.argv[4]) if int(sys.argv[4]) > 1 else 0):
    if os.getpid() == parent:
        children.append(os.fork())
if os.getpid() == parent and children:
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children))
run(main)
"""


def saving(kept, name, times, who=1, processes=1, warm=None, user=None, **options):
    environ = {"DATABASE_URL": kept.database_url, "HOME": str(kept.data_dir), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", SAVE, name, str(times), str(who), str(processes)]
    command += [str(warm), str(user)] if warm else []
    return subprocess.Popen(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_killed_at_random_moments_nothing_acknowledged_is_lost(kept):
    rounds = list(soak(kept, 3, seed=5))
    assert [error for one in rounds for error in one.errors] == []
    assert sum(one.acknowledged for one in rounds) > 0


def test_twenty_processes_write_one_scenario_at_once(kept):
    upgrade(kept)
    said, wrong = saving(kept, "Mail", 2, processes=20).communicate(timeout=300)
    assert wrong == ""
    assert said.count("kept") == 20 * 2
    versions = scenario_versions(kept, "Mail")
    assert [saved.version for saved in versions] == list(range(1, len(versions) + 1))
    assert {saved.scenario.workload.tokens_per_day for saved in versions} == {1e6, 1e6 + 1}


def at(folder):
    return Settings(data_dir=folder, database_url=f"sqlite:///{folder / 'r.sqlite3'}")


def test_a_disk_that_fills_up_loses_nothing_that_was_acknowledged(tmp_path):
    kept = at(tmp_path)
    save_scenario(kept, scenario(name="before"), created=NOON)
    limit = 3_000_000

    def small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = saving(kept, "Mail", 200, 100_000, preexec_fn=small_disk)
    said, wrong = process.communicate(timeout=120)
    acknowledged = said.count("kept")
    assert process.returncode == 2, wrong
    assert wrong.startswith("error: the database ")
    assert wrong.count("\n") == 1
    assert 0 < acknowledged < 200
    assert len(scenario_versions(kept, "Mail")) == acknowledged
    assert save_scenario(kept, scenario(name="after"), created=NOON).version == 1  # room again: it goes on
    assert {saved.name for saved in list_scenarios(kept)} == {"before", "Mail", "after"}


def test_a_folder_that_may_only_be_read(tmp_path):
    # Root may write everywhere, so the process becomes nobody; its folder then lies where nobody may go.
    root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp()) if root else tmp_path / "read-only"
    folder.mkdir(exist_ok=True)
    try:
        save_scenario(at(folder), scenario(name="Mail"), created=NOON)
        for path in (*folder.iterdir(), folder):
            path.chmod(0o555 if path.is_dir() else 0o444)
        process = saving(at(folder), "Mail", 1, warm=tmp_path, user=NOBODY if root else None)
        said, wrong = process.communicate(timeout=120)
        assert (process.returncode, said) == (2, ""), wrong
        assert "to a place you may write" in wrong
        assert wrong.count("\n") == 1
        folder.chmod(0o755)
        assert [saved.version for saved in list_scenarios(at(folder))] == [1]
    finally:
        shutil.rmtree(folder)


def test_a_newer_schema_and_an_unknown_one_are_left_alone(kept):
    save_scenario(kept, scenario(name="Mail"), created=NOON)
    with engine(kept.database_url).begin() as connection:
        current = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(InputError, match="schema 9999, newer than this program's"):
        list_scenarios(kept)
    with engine(kept.database_url).begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{current}'")
    assert [saved.name for saved in list_scenarios(kept)] == ["Mail"]


@pytest.mark.parametrize("what", ["header", "middle", "cut"])
def test_a_corrupted_file_is_said_and_not_touched(tmp_path, what):
    kept = at(tmp_path)
    for turn in range(40):
        save_scenario(kept, scenario(name="Mail", labelled_examples=turn), created=NOON, who="w" * 3_000)
    path = tmp_path / "r.sqlite3"
    content = bytearray(path.read_bytes())
    if what == "header":
        content[:16] = b"\0" * 16
    elif what == "middle":
        content[4096:-4096] = b"\xff" * (len(content) - 8192)
    else:
        content = content[: len(content) // 3]
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be used") as raised:
        save_scenario(kept, scenario(name="Mail"), created=NOON)
    assert "\n" not in str(raised.value)
    assert path.read_bytes()[: len(content)][4096:8192] == bytes(content)[4096:8192]
