"""Beside the pages: decisions are written by a thread, doubts computed by a child process; neither is lost, neither stays."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from dashboard.beside import Beside
from dashboard.keeper import NOT_KEPT, Keeper
from facts.settings import Settings
from selector.store import list_decisions
from tests.selector.decisions import decide
from tests.selector.test_history import NOON


def at(folder: Path) -> Settings:
    return Settings(data_dir=folder, database_url=f"sqlite:///{folder / 'r.sqlite3'}")


def test_what_is_asked_for_is_written_in_its_order_when_somebody_waits(tmp_path: Path) -> None:
    keeper = Keeper(pause_s=60.0)
    for labels in (1, 2):
        keeper.keep(at(tmp_path), decide(labelled_examples=labels), created=NOON, inputs="{}")
    keeper.settle()
    assert sorted(found.document["workload"]["labelled_examples"] for found in list_decisions(at(tmp_path))) == [1, 2]
    assert keeper.problem == ""


def test_a_decision_that_cannot_be_written_is_a_sentence_until_one_can(tmp_path: Path) -> None:
    keeper = Keeper(pause_s=0.0)
    keeper.keep(Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path}"), decide(), created=NOON, inputs="")
    keeper.settle()
    assert keeper.problem == NOT_KEPT
    keeper.keep(at(tmp_path), decide(), created=NOON, inputs="")
    keeper.settle()
    assert keeper.problem == ""


def test_work_is_done_in_another_process_which_ends_when_told() -> None:
    beside = Beside()
    child = beside.run(os.getpid)
    assert child != os.getpid()
    assert beside.run(os.getpid) == child
    beside.close()
    _, alive = psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=30)
    assert not alive
    with pytest.raises(ZeroDivisionError):
        beside.run(partial(divmod, 1, 0))  # closed: done here


def test_work_that_cannot_travel_or_kills_the_child_is_done_here() -> None:
    beside, here = Beside(), os.getpid()
    try:
        assert beside.run(lambda: os.getpid()) == here
        assert beside.run(partial(_dies_unless, here)) == "done here"
        assert beside.run(os.getpid) != here  # the next work has a new child
    finally:
        beside.close()


def _dies_unless(parent: int) -> str:
    if os.getpid() != parent:
        time.sleep(0.01)
        os._exit(3)
    return "done here"
