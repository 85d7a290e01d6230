"""The command line as a user types it."""

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from facts import commandline
from probes import __main__ as probes_main
from probes import lock
from probes.__main__ import app
from probes.build import BuildPhase, BuildState
from probes.llamacpp import REMEDY
from probes.lock import owner_of
from probes.measurement import Measurement, Status
from tests.probes.fake_server import Behaviour, FakeServer

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Done:
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def probes(tmp_path: Path, monkeypatch, capsys):
    """`python -m probes ...` in this process, with its own data folder and lock."""
    monkeypatch.setattr(lock, "lock_path", lambda: tmp_path / "lock")
    monkeypatch.setenv("RIGHTSIZE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(ROOT)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["probes", *arguments])
        with pytest.raises(SystemExit) as ended:
            commandline.run(app)
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


def test_the_program_itself_ends_with_one_line_and_exit_code_2(tmp_path):
    environ = {**os.environ, "RIGHTSIZE_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "probes", "llamacpp", "--model", "pyproject.toml"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: pyproject.toml is not a GGUF file")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("llamacpp", "--model", "missing.gguf"), "no such file: missing.gguf"),
        (("llamacpp", "--model", "pyproject.toml"), "is not a GGUF file"),
        (("llamacpp", "--synthetic", "qwen3-06b"), "unknown model 'qwen3-06b' (nearest known: 'qwen3-0.6b')"),
        (("llamacpp", "--synthetic", "qwen3-0.6b", "--quant", "Q9"), "'Q9'"),
        (("llamacpp", "--synthetic", "qwen3-0.6b", "--threads", "0"), "greater than or equal to 1"),
        (("endpoint", "not-an-address"), "is not an address"),
        (("send", "missing.json", "http://127.0.0.1:9"), "cannot be read"),
        (("show", "0123"), "no measurement's id begins with '0123'"),
        (("nonsense",), "nonsense"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments, says, probes):
    done = probes(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (BuildState(state=BuildPhase.ABSENT, message="llama-cpp-python is not installed.", remedy="Build it."), f"installed: {REMEDY}"),
        (
            BuildState(state=BuildPhase.FAILED, message="No compiler.", remedy="Install g++."),
            "could not be built: No compiler. Install g++.",
        ),
        (BuildState(state=BuildPhase.BUILDING, message="Compiled 4 of 140 files."), "being built: Compiled 4 of 140 files. Wait"),
    ],
)
def test_without_llama_cpp_one_sentence_says_why_and_what_to_do(state, says, probes, monkeypatch):
    monkeypatch.setattr(probes_main, "build_state", lambda: state)
    monkeypatch.setattr(probes_main.llamacpp, "installed", lambda: False)
    done = probes("llamacpp", "--synthetic", "qwen3-0.6b")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.count("not installed") <= 1
    assert says in done.stderr


@pytest.mark.probe
@pytest.mark.parametrize("target", ["/proc/x.json", "missing-folder/x.json", "."])
def test_a_path_that_cannot_be_written_is_said_before_anything_is_measured(target, tmp_path, probes):
    done = probes("llamacpp", "--synthetic", "qwen3-0.6b", "--out", target)
    assert done.returncode == 2
    assert "--out" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("*.gguf"))


@pytest.mark.probe
def test_a_database_that_cannot_be_written_is_said_before_anything_is_measured(tmp_path, probes, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:////proc/no.sqlite3")
    done = probes("llamacpp", "--synthetic", "qwen3-0.6b")
    assert done.returncode == 2
    assert "cannot be created" in done.stderr
    assert not list(tmp_path.rglob("*.gguf"))


def test_the_plan_is_exact_and_writes_nothing(tmp_path, probes):
    done = probes("synthesize", "llama-2-7b", "--quant", "Q4_K_M", "--plan")
    assert "4,080,281,216 bytes = 4.080 GB = 3.800 GiB" in done.stdout
    assert not list(tmp_path.rglob("*.gguf"))


def test_synthesize_asks_first_and_writes_nothing_on_no(tmp_path, probes, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    done = probes("synthesize", "qwen3-0.6b")
    assert done.returncode == 130
    assert not list(tmp_path.rglob("*.gguf*"))


def test_hardware_is_json_when_asked(tmp_path, probes):
    machine = json.loads(probes("hardware", "--json").stdout)
    assert machine["cpu"]
    assert machine["before"]["window_s"] >= 2.0


@pytest.mark.probe
def test_the_probe_of_the_readme_writes_keeps_and_lists_a_measurement(tmp_path, probes):
    out = tmp_path / "measurement.json"
    arguments = ("--synthetic", "qwen3-0.6b", "--seconds", "2", "--prompt", "32", "--output", "8", "--passive", "--delete")
    done = probes("llamacpp", *arguments, "--out", str(out))
    assert done.returncode == 0, done.stderr
    measurement = Measurement.from_json(out.read_bytes())
    assert measurement.model_id == "qwen3-0.6b"
    assert measurement.parameters == 596_049_920
    assert f"{measurement.generation_test.median:.2f}" in done.stdout
    assert "it says nothing about vLLM on a GPU" in done.stdout
    assert done.stdout.startswith("qwen3-0.6b Q4_K_M (random weights), llama.cpp (llama-cpp-python ")
    assert "596 M parameters; " in done.stdout  # with threads, batch, cache type, flash attention: what llama-bench's columns say
    assert ", batch 2048/512, KV f16, flash attention auto, mapped, repack on, on the processor" in done.stdout
    assert ", llama.cpp " in measurement.engine_version  # the commit of the sources
    assert measurement.id[:12] in probes("list").stdout
    assert not list(tmp_path.rglob("*.gguf*"))  # --delete


@pytest.mark.probe
def test_a_file_of_the_catalogue_is_recognised_and_random_weights_in_it_are_noticed(tmp_path, probes):
    out, folder = tmp_path / "measurement.json", tmp_path / "models"
    assert probes("synthesize", "qwen3-0.6b", "--yes", "--folder", str(folder)).returncode == 0
    file = next(folder.iterdir())
    arguments = ("--seconds", "2", "--prompt", "32", "--output", "0", "--repetitions", "1", "--passive", "--no-save", "--out", str(out))
    done = probes("llamacpp", "--model", str(file), *arguments)
    assert done.returncode == 0, done.stderr
    measurement = Measurement.from_json(out.read_bytes())
    assert (measurement.model_id, measurement.quantization) == ("qwen3-0.6b", "Q4_K_M")
    assert measurement.model_file.synthetic
    assert file.exists()  # a file given by name is the user's
    assert "no measurements yet" in probes("list").stdout  # --no-save


def test_an_endpoint_is_measured_from_the_command_line(tmp_path, probes):
    out = tmp_path / "endpoint.json"
    with FakeServer(Behaviour(itl_s=0.002)) as server:
        load = ("--concurrency", "2", "--seconds", "1", "--input-tokens", "64", "--output-tokens", "8")
        done = probes("endpoint", server.url, *load, "--out", str(out))
    assert done.returncode == 0, done.stderr
    measurement = Measurement.from_json(out.read_bytes())
    assert measurement.levels[0].name == "c2"
    assert measurement.settings.lengths_spread == 0.2  # unless told: equal answers march in step
    assert "TTFT" in done.stdout
    rate = next(figure.value for figure in measurement.derived if figure.name == "c2.output_rate")
    assert f"complete  vllm  fake-model  {rate:.1f} tokens/s out at c2" in probes("list").stdout


@pytest.mark.probe
def test_ctrl_c_keeps_what_was_measured_and_leaves_nobody_measuring(tmp_path):
    """A real SIGINT to the program: it says 130, and the file holds every repetition that was read."""
    target = tmp_path / "kept.json"
    environ = os.environ | {"RIGHTSIZE_DATA_DIR": str(tmp_path / "data"), "TMPDIR": str(tmp_path)}
    options = ["--synthetic", "qwen3-0.6b", "--proxy-layers", "1", "--prompt", "32", "--output", "4", "--threads", "1", "--passive"]
    command = [sys.executable, "-m", "probes", "llamacpp", *options, "--seconds", "600", "--repetitions", "10000", "--out", str(target)]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as program:
        assert program.stderr is not None
        for line in program.stderr:
            if line.startswith("pp32: "):  # no warm-up any more
                break
        program.send_signal(signal.SIGINT)
        said = program.stderr.read()
    assert program.returncode == 130, said
    assert "cancelled; the repetitions so far are kept" in said
    kept = Measurement.from_json(target.read_bytes())
    assert kept.status is Status.PARTIAL
    assert kept.tests[0].samples_tokens_per_s
    assert owner_of(tmp_path / "rightsize-probe.lock") is None
