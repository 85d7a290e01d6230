"""GGUF files that were tampered with: the header's reader and the probe end in words, in bounded time and memory."""

import os
import random
import struct
import tracemalloc
from datetime import date
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capacity.gguf_header import read_gguf_header
from capacity.tensors import tensor_plan
from facts.errors import InputError
from probes import lock, synthetic
from probes.llamacpp import check_gguf
from probes.runner import State
from tests.probes.test_runner import NOW, QUICK, nothing_left, request
from tests.probes.tiny import tiny

MOST_BYTES = 60_000_000
HUGE = struct.pack("<Q", 10_000_000_000)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sound file of two layers."""
    return synthetic.synthesize(tensor_plan(tiny(), "Q4_K_M"), tmp_path_factory.mktemp("gguf")).path.read_bytes()


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "lock_path", lambda: tmp_path / "lock")


def read_in_bounded_memory(path: Path) -> None:
    tracemalloc.start()
    try:
        check_gguf(path)
        read_gguf_header(path, as_of=date(2026, 11, 20))
    except InputError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST_BYTES


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_header_is_read_or_refused_in_words(whole, data, tmp_path_factory):
    content = bytearray(whole[: synthetic_header_bytes(whole) + 2000])
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(4, len(content) - 9))
        content[place : place + 8] = data.draw(st.sampled_from([HUGE, b"\xff" * 8, b"\0" * 8]) | st.binary(min_size=8, max_size=8))
    path = tmp_path_factory.mktemp("fuzz") / "m.gguf"
    path.write_bytes(bytes(content) if data.draw(st.booleans()) else bytes(content[: data.draw(st.integers(0, len(content)))]))
    read_in_bounded_memory(path)


@pytest.mark.parametrize("place", range(8, 200, 8))
def test_a_claim_of_ten_billion_anywhere_in_the_first_keys_takes_no_memory(whole, tmp_path, place):
    path = tmp_path / "m.gguf"
    path.write_bytes(whole[:place] + HUGE + whole[place + 8 :])
    read_in_bounded_memory(path)


@pytest.mark.probe
def test_whatever_the_header_says_the_probe_ends_in_words_and_leaves_nothing(whole, tmp_path):
    """Three files; SOAK_ROUNDS=50 for a long soak."""
    from probes.runner import ProbeJob

    chance, end = random.Random(20261125), synthetic_header_bytes(whole)
    for number in range(int(os.environ.get("SOAK_ROUNDS", "3"))):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(24, end - 8)
            content[place : place + 8] = chance.choice([HUGE, b"\xff" * 8, chance.randbytes(8)])
        file = tmp_path / f"m{number}.gguf"
        file.write_bytes(bytes(content))
        try:
            job = ProbeJob.start(
                request(tmp_path, model=None, file=file, settings=QUICK.model_copy(update={"repetitions": 1}), time_limit_s=30.0),
                created=NOW,
            )
        except InputError:
            continue
        assert job.wait(60)
        assert job.state in (State.DONE, State.FAILED)
        assert job.message
        assert nothing_left(tmp_path, job)
    assert psutil.Process().num_fds() < 200


def synthetic_header_bytes(content: bytes) -> int:
    """Bytes before the first tensor, about: the file less its weights."""
    return len(content) - tensor_plan(tiny(), "Q4_K_M").bytes
