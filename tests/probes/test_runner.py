"""Real runs of llama.cpp on tiny models: to the end, aborted, killed, cancelled, out of time; nothing is left behind."""

import os
import random
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from gguf import GGUFWriter

from capacity.tensors import gguf_metadata, tensor_plan
from facts.errors import InputError
from probes import llamacpp, lock, synthetic
from probes.lock import ProbeBusyError, owner_of
from probes.measurement import LlamaCppSettings, Measurement, Status
from probes.progress import Repetition
from probes.runner import ProbeJob, ProbeRequest, State
from tests.probes.tiny import SHAPES, tiny, tiny_mixture

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
QUICK = LlamaCppSettings(seconds=2, prompt_tokens=64, output_tokens=8, repetitions=5, passive_wait=True, threads=1)
LONG = QUICK.model_copy(update={"seconds": 600.0, "repetitions": 10_000, "interval_share": 1e-9})


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch) -> Path:
    """These tests exclude each other, not a probe that someone else runs on this machine."""
    path = tmp_path / "lock"
    monkeypatch.setattr(lock, "lock_path", lambda: path)
    return path


def request(tmp_path: Path, **changes) -> ProbeRequest:
    values = {"settings": QUICK, "model": tiny(), "quantization": "Q4_K_M", "models_dir": tmp_path / "models", "watch_s": 0.0}
    return ProbeRequest(**(values | changes))


def run(tmp_path: Path, **changes) -> ProbeJob:
    job = ProbeJob.start(request(tmp_path, **changes), created=NOW)
    assert job.wait(60)
    return job


def until(condition, limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def measuring(job: ProbeJob) -> bool:
    return any(isinstance(event, Repetition) and not event.warmup for event in job.events)


def nothing_left(tmp_path: Path, job: ProbeJob) -> bool:
    children = [child for child in psutil.Process().children(recursive=True) if "probes.child" in " ".join(child.cmdline())]
    return not children and owner_of(tmp_path / "lock") is None and not list(tmp_path.rglob("*.part*"))


@pytest.mark.probe
def test_a_probe_measures_both_phases_and_seals_the_result(tmp_path):
    job = run(tmp_path)
    assert (job.state, job.progress) == (State.DONE, 1.0), job.message
    measurement = job.result
    assert measurement is not None
    assert measurement.status is Status.COMPLETE
    assert [test.name for test in measurement.tests] == ["pp64", "tg8"]
    assert all(test.median > 0 for test in measurement.tests)
    assert measurement.parameters == tensor_plan(tiny(), "Q4_K_M").n_elements
    assert measurement.model_file.synthetic
    assert measurement.threads == 1
    assert Measurement.from_json(measurement.to_json()) == measurement
    assert nothing_left(tmp_path, job)


@pytest.mark.probe
def test_depths_and_slots_are_tests_of_their_own(tmp_path):
    settings = QUICK.model_copy(update={"depths": (0, 100), "slots": (1, 3), "seconds": 4.0})
    job = run(tmp_path, settings=settings, model=SHAPES["qwen3"])
    assert job.state is State.DONE, job.message
    assert [test.name for test in job.result.tests] == ["pp64", "tg8", "tg8x3", "pp64@d100", "tg8@d100", "tg8@d100x3"]


@pytest.mark.probe
@pytest.mark.parametrize("shape", ["qwen2", "qwen3moe", "mixtral", "gemma2", "gemma3", "phi3", "gpt-oss"])
def test_every_layout_loads_and_runs(shape, tmp_path):
    job = run(tmp_path, model=SHAPES[shape], settings=QUICK.model_copy(update={"repetitions": 1}))
    assert job.state is State.DONE, job.message
    assert job.result.parameters == tensor_plan(SHAPES[shape], "Q4_K_M").n_elements


@pytest.mark.probe
def test_windowed_layers_keep_their_window_only_as_in_llama_bench(tmp_path):
    """With a whole cache gemma's windowed layers would read more than they do under llama-bench and llama-server."""
    job = run(tmp_path, model=SHAPES["gemma3"], settings=QUICK.model_copy(update={"depths": (2000,), "prompt_tokens": 0, "repetitions": 1}))
    assert job.state is State.DONE, job.message
    assert not [line for line in job._record.log if "full-size SWA cache" in line]


@pytest.mark.probe
def test_a_synthetic_file_goes_when_it_is_not_to_be_kept(tmp_path):
    run(tmp_path, keep=False, settings=QUICK.model_copy(update={"repetitions": 1}))
    assert not list((tmp_path / "models").iterdir())


@pytest.mark.probe
def test_a_changed_copy_of_a_shape_is_probed_in_the_same_process_and_no_file_stays(tmp_path):
    once = QUICK.model_copy(update={"repetitions": 1})
    whole = tiny()
    for layers in (2, 1, 2):
        job = run(tmp_path, keep=False, settings=once, model=whole.model_copy(update={"layers": layers}) if layers == 1 else whole)
        assert job.state is State.DONE, job.message
        assert not list(tmp_path.rglob("*.gguf"))


def aborting_gguf(path: Path) -> Path:
    """A mixture of experts whose header does not say how many: llama.cpp's loader stops the process on an assertion."""
    writer = GGUFWriter(path, "qwen3moe")
    for entry in gguf_metadata(tiny_mixture(), "Q4_K_M"):
        if entry.key not in ("general.architecture", "qwen3moe.expert_count"):
            synthetic._add(writer, entry)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@pytest.mark.probe
def test_a_native_abort_is_a_message_and_the_next_probe_runs(tmp_path):
    job = run(tmp_path, model=None, file=aborting_gguf(tmp_path / "bad.gguf"))
    assert job.state is State.FAILED
    assert "SIGABRT" in job.message
    assert "n_expert" in job.message  # the assertion's own words
    assert job.result is None
    assert nothing_left(tmp_path, job)
    assert run(tmp_path, settings=QUICK.model_copy(update={"repetitions": 1})).state is State.DONE


@pytest.mark.probe
@pytest.mark.parametrize("way", ["kill", "native abort", "cancel", "time-out"])
def test_whatever_ends_the_child_the_parent_lives_and_keeps_what_it_read(way, tmp_path):
    """Three times each; SOAK_ROUNDS=50 for a long soak."""
    synthetic.synthesize(tensor_plan(tiny(), "Q4_K_M"), tmp_path / "models")
    bad = aborting_gguf(tmp_path / "bad.gguf")
    files = sorted(tmp_path.rglob("*"))
    handles = psutil.Process().num_fds()
    for _ in range(int(os.environ.get("SOAK_ROUNDS", "3"))):
        if way == "native abort":
            job = run(tmp_path, model=None, file=bad)
        elif way == "time-out":
            job = run(tmp_path, settings=LONG, time_limit_s=2.5)
        else:
            job = ProbeJob.start(request(tmp_path, settings=LONG), created=NOW)
            until(lambda job=job: measuring(job))
            job.cancel() if way == "cancel" else os.kill(job._process.pid, signal.SIGKILL)
            assert job.wait(20)
        assert job.state is (State.CANCELLED if way == "cancel" else State.FAILED)
        assert {"kill": "SIGKILL", "native abort": "SIGABRT", "cancel": "cancelled", "time-out": "time limit of 2.5 s"}[way] in job.message
        measured = [event for event in job.events if isinstance(event, Repetition) and not event.warmup]
        kept = sum(len(test.samples_tokens_per_s) for test in job.result.tests) if job.result else 0
        assert kept == len(measured)
        assert kept > 0 or way in ("native abort", "time-out")
        assert job.result is None or job.result.status is Status.PARTIAL
        assert nothing_left(tmp_path, job)
    assert sorted(set(tmp_path.rglob("*")) - {tmp_path / "lock"}) == [file for file in files if file != tmp_path / "lock"]
    assert psutil.Process().num_fds() <= handles + 1


@pytest.mark.probe
def test_a_cancel_while_the_model_is_written_leaves_no_file(tmp_path):
    large = tiny(hidden=2048, ffn=8192, heads=16, kv_heads=8, head_dim=128, layers=40, vocab=32000)
    job = ProbeJob.start(request(tmp_path, model=large, settings=LONG), created=NOW)
    until(lambda: list(tmp_path.rglob("*.part-*")))
    job.cancel()
    assert job.wait(20)
    assert job.state is State.CANCELLED
    assert job.result is None
    assert nothing_left(tmp_path, job)


@pytest.mark.probe
def test_the_child_ends_with_its_parent(tmp_path):
    import subprocess
    import sys

    program = (
        "import sys, time, datetime, pathlib; from probes import lock; from tests.probes.test_runner import *;"
        "root = pathlib.Path(sys.argv[1]); lock.lock_path = lambda: root / 'lock';"
        "job = ProbeJob.start(request(root, settings=LONG), created=NOW); until(lambda: measuring(job));"
        "print(job._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not psutil.pid_exists(child))
    until(lambda: owner_of(tmp_path / "lock") is None)


@pytest.mark.probe
def test_a_second_probe_is_refused_or_waits_its_turn(tmp_path):
    first = ProbeJob.start(request(tmp_path, settings=LONG), created=NOW)
    with pytest.raises(ProbeBusyError, match="Tiny llama Q4_K_M"):
        ProbeJob.start(request(tmp_path), created=NOW)
    waiting = ProbeJob.start(request(tmp_path, wait=True, settings=QUICK.model_copy(update={"repetitions": 1})), created=NOW)
    assert waiting.state is State.WAITING
    assert "has been measuring" in waiting.message
    first.cancel()
    assert first.wait(20)
    assert waiting.wait(30)
    assert waiting.state is State.DONE


@pytest.mark.probe
def test_waiting_can_be_cancelled(tmp_path):
    first = ProbeJob.start(request(tmp_path, settings=LONG), created=NOW)
    waiting = ProbeJob.start(request(tmp_path, wait=True), created=NOW)
    waiting.cancel()
    assert waiting.wait(10)
    assert waiting.state is State.CANCELLED
    assert not first.state.over
    first.cancel()
    assert first.wait(20)


@pytest.mark.probe
def test_damaged_files_end_in_words(tmp_path):
    whole = synthetic.synthesize(tensor_plan(tiny(), "Q4_K_M"), tmp_path).path.read_bytes()
    rng = random.Random(3)
    for number in range(4):
        data = bytearray(whole)
        for _ in range(30):
            data[rng.randrange(24, 2000)] = rng.randrange(256)
        path = tmp_path / f"fuzzed-{number}.gguf"
        path.write_bytes(bytes(data[: rng.randrange(2000, len(data))]))
        job = run(
            tmp_path, model=None, file=path, settings=QUICK.model_copy(update={"repetitions": 1, "output_tokens": 0}), time_limit_s=30.0
        )
        assert job.state is State.FAILED
        assert job.message
        assert nothing_left(tmp_path, job)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not a GGUF file"),
        (b"GGUF", "is cut off"),
        (b"PK\x03\x04" * 20, "is not a GGUF file"),
        (b"GGUF" + (1).to_bytes(4, "little") + bytes(16), "GGUF version 1"),
        (b"GGUF" + (3).to_bytes(4, "little") + (10**9).to_bytes(8, "little") + bytes(8), "claims 1000000000 tensors"),
    ],
)
def test_what_is_no_gguf_is_refused_before_a_child_starts(content, says, tmp_path):
    path = tmp_path / "file.gguf"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        ProbeJob.start(request(tmp_path, model=None, file=path), created=NOW)
    assert owner_of(tmp_path / "lock") is None


@pytest.mark.parametrize("path", ["missing.gguf", "."])
def test_a_missing_file_or_a_folder_is_refused(path, tmp_path):
    with pytest.raises(InputError, match=r"no such file|is a folder"):
        ProbeJob.start(request(tmp_path, model=None, file=tmp_path / path), created=NOW)


def engine_at(prompt: float, output: float, seconds: float = 60.0) -> llamacpp._Engine:
    """An engine whose trial found these tokens/s, without a library."""
    engine = object.__new__(llamacpp._Engine)
    engine._settings, engine._token_rate = LlamaCppSettings(seconds=seconds), {"prompt": prompt, "output": output}
    return engine


def test_a_test_at_depth_is_expected_to_take_its_filling_once_and_eight_repetitions():
    """1,024 tokens at 512/s are 2 s, once for each of two sequences; 8 x 128 tokens at 64/s are 16 s, of two sequences 32."""
    engine = engine_at(512.0, 64.0)
    assert engine.expected_s(llamacpp.Plan(n_prompt=0, n_gen=128)) == 16.0
    assert engine.expected_s(llamacpp.Plan(n_prompt=0, n_gen=128, depth=1024)) == 2.0 + 16.0
    assert engine.expected_s(llamacpp.Plan(n_prompt=0, n_gen=128, depth=1024, slots=2)) == 4.0 + 32.0


def test_a_test_is_shortened_until_it_fits_beside_its_filling():
    """16 s fit 16 and not 15.9; with 2 s of filling 18 are needed; filling takes at most half of the time from the test."""
    engine, flat, deep = engine_at(512.0, 64.0), llamacpp.Plan(n_prompt=0, n_gen=128), llamacpp.Plan(n_prompt=0, n_gen=128, depth=1024)
    assert [engine._fitted(flat, share_s).n_gen for share_s in (16.0, 15.9, 7.9)] == [128, 64, 32]
    assert [engine._fitted(deep, share_s).n_gen for share_s in (18.0, 17.9)] == [128, 64]
    far = llamacpp.Plan(n_prompt=0, n_gen=128, depth=1024 * 100)  # 200 s of filling in a share of 32: 16 are left to it
    assert engine._fitted(far, 32.0).n_gen == 128
