"""An endpoint probe as a page starts it, and the queue of those who wait for the machine."""

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from facts.errors import InputError
from probes import goodput, lock
from probes.endpoint_job import EndpointJob, EndpointProbe
from probes.lock import HostLock, Place, ProbeBusyError, owner_of, queue_of, wait_for_lock
from probes.measurement import EndpointSettings, Measurement, Status
from probes.runner import State
from tests.probes.fake_server import Behaviour, FakeServer

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(lock, "lock_path", lambda: tmp_path / "lock")
    return tmp_path / "lock"


def probe(url: str, **changes) -> EndpointProbe:
    more = {name: changes.pop(name) for name in ("wait", "time_limit_s", "allowed_hosts") if name in changes}
    values = {"url": url, "concurrencies": (1,), "seconds_per_level": 0.3, "input_tokens": 64, "output_tokens": 4, "timeout_s": 20.0}
    return EndpointProbe(settings=EndpointSettings(**(values | changes)), self_test=False, **({"allowed_hosts": LOOPBACK} | more))


def until(condition, limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def nothing_left(path: Path) -> bool:
    children = [child for child in psutil.Process().children(recursive=True) if "endpoint_child" in " ".join(child.cmdline())]
    return not children and owner_of(path) is None and queue_of(path) == ()


def test_a_page_measures_an_endpoint_and_gets_the_sealed_result(own_lock):
    with FakeServer(Behaviour(itl_s=0.005)) as server:
        job = EndpointJob.start(probe(server.url), created=NOW)
        assert job.wait(60)
    assert (job.state, job.progress, job.message) == (State.DONE, 1.0, "done")
    assert job.result.created == NOW
    assert Measurement.from_json(job.result.to_json()) == job.result
    assert nothing_left(own_lock)


def test_a_page_reaches_only_listed_hosts(own_lock):
    with pytest.raises(InputError, match="not on the list"):
        EndpointJob.start(probe("http://169.254.169.254/v1"), created=NOW)
    assert nothing_left(own_lock)


def test_nobody_there_is_a_failure_in_words(own_lock):
    job = EndpointJob.start(probe("http://127.0.0.1:9/v1"), created=NOW)
    assert job.wait(60)
    assert job.state is State.FAILED
    assert "nobody answers" in job.message
    assert nothing_left(own_lock)


@pytest.mark.parametrize("round_", range(min(int(os.environ.get("SOAK_ROUNDS", "1")), 50)))
def test_a_cancel_keeps_what_was_measured(own_lock, round_):
    with FakeServer(Behaviour(itl_s=0.005)) as server:
        job = EndpointJob.start(probe(server.url, seconds_per_level=60.0), created=NOW)
        until(lambda: job.now is not None and job.now.requests > 3)
        job.cancel()
        assert job.wait(30)
    assert job.state is State.CANCELLED
    assert job.result.status is Status.PARTIAL
    assert len(job.result.levels[0].requests) >= 3
    assert nothing_left(own_lock)


def test_the_time_limit_ends_a_server_that_does_not(own_lock):
    with FakeServer(Behaviour(ttft_s=30.0)) as server:
        job = EndpointJob.start(probe(server.url, time_limit_s=4.0), created=NOW)
        assert job.wait(30)
    assert job.state is State.FAILED
    assert "time limit of 4 s" in job.message
    assert nothing_left(own_lock)


# ---- the queue ----


def test_a_search_is_given_time_for_levels_that_are_held_longer():
    """A level of a search is held until twenty requests are counted, up to ten times the stated length."""
    settings = EndpointSettings(url="http://127.0.0.1:1/v1", concurrencies=(), search=True, ttft_limit_ms=1.0, seconds_per_level=600.0)
    assert EndpointProbe(settings=settings, allowed_hosts=None).limit_s > goodput.MOST_TRIES * 10 * 600.0


def test_those_who_wait_stand_in_the_order_they_came(own_lock):
    first, second = Place("one", NOW, own_lock), Place("two", NOW + timedelta(seconds=1), own_lock)
    assert [owner.what for owner in queue_of(own_lock)] == ["one", "two"]
    assert first.ahead() == ()
    assert [owner.what for owner in second.ahead()] == ["one"]
    first.leave()
    assert second.ahead() == ()
    second.leave()
    assert queue_of(own_lock) == ()


def test_a_place_of_a_dead_process_is_removed(own_lock):
    folder = lock.queue_folder(own_lock)
    folder.mkdir()
    (folder / "0000000001.000000-0000000001-000000").write_text("{}")
    assert queue_of(own_lock) == ()
    assert list(folder.iterdir()) == []


def test_the_one_who_came_first_is_served_first(own_lock):
    holder, order, cancel = HostLock(own_lock), [], threading.Event()
    holder.take("a long probe", NOW)
    said: dict[str, str] = {}

    def wait(name: str, seconds: int) -> None:
        mine = HostLock(own_lock)
        if wait_for_lock(mine, name, NOW + timedelta(seconds=seconds), cancel, lambda text: said.update({name: text}), own_lock):
            order.append(name)
            time.sleep(0.05)
            mine.release()

    threads = [threading.Thread(target=wait, args=(name, seconds)) for name, seconds in (("later", 9), ("earlier", 1))]
    for thread in threads:
        thread.start()
    until(lambda: len(said) == 2)
    assert "a long probe" in said["earlier"]
    until(lambda: "1 ahead in the queue, the next is earlier" in said["later"])
    holder.release()
    for thread in threads:
        thread.join(20)
    assert order == ["earlier", "later"]
    assert queue_of(own_lock) == ()


def test_nobody_passes_those_who_wait(own_lock):
    place = Place("someone before", NOW, own_lock)
    with pytest.raises(ProbeBusyError, match="someone before"):
        EndpointJob.start(probe("http://127.0.0.1:9/v1"), created=NOW)
    place.leave()


def test_without_waiting_the_second_is_refused(own_lock):
    holder = HostLock(own_lock)
    holder.take("a long probe", NOW)
    with pytest.raises(ProbeBusyError, match="a long probe"):
        EndpointJob.start(probe("http://127.0.0.1:9/v1"), created=NOW)
    holder.release()
