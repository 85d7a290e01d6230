import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facts.errors import InputError
from probes.lock import HostLock, ProbeBusyError, owner_of

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def test_the_second_is_told_who_and_since_when(tmp_path: Path):
    first, second = HostLock(tmp_path / "lock"), HostLock(tmp_path / "lock")
    first.take("Qwen3 0.6B", NOW)
    with pytest.raises(ProbeBusyError, match=rf"process {os.getpid()}\) has been measuring Qwen3 0.6B since 12:00:00 UTC \(3 min\)"):
        second.take("another", NOW + timedelta(minutes=3))
    first.release()
    second.take("another", NOW)
    second.release()


def test_nobody_holds_a_lock_that_was_released(tmp_path: Path):
    lock = HostLock(tmp_path / "lock")
    assert owner_of(tmp_path / "lock") is None
    lock.take("a model", NOW)
    owner = owner_of(tmp_path / "lock")
    assert owner is not None
    assert (owner.what, owner.pid, owner.since) == ("a model", os.getpid(), NOW)
    lock.release()
    assert owner_of(tmp_path / "lock") is None


def test_a_killed_owner_leaves_the_lock_free(tmp_path: Path):
    program = (
        "import sys, time, datetime, pathlib; from probes.lock import HostLock;"
        "HostLock(pathlib.Path(sys.argv[1])).take('x', datetime.datetime.now(datetime.UTC)); print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    assert owner_of(tmp_path / "lock") is not None
    other.kill()
    other.wait()
    other.stdout.close()
    lock = HostLock(tmp_path / "lock")
    lock.take("mine", NOW)
    lock.release()


def test_a_note_that_is_no_note_still_refuses_in_words(tmp_path: Path):
    first = HostLock(tmp_path / "lock")
    first.take("x", NOW)
    assert first.handle is not None
    os.pwrite(first.handle, b"\xff{not json", 0)
    with pytest.raises(ProbeBusyError, match="another process"):
        HostLock(tmp_path / "lock").take("y", NOW)
    first.release()


def test_a_link_in_the_place_of_the_lock_is_refused(tmp_path: Path):
    (tmp_path / "target").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(InputError, match="cannot be opened"):
        HostLock(tmp_path / "lock").take("x", NOW)
    assert (tmp_path / "target").read_text() == "precious"
