"""The build of llama-cpp-python, with a pip that is a few lines long."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from probes import build as build_module
from probes.build import Build, BuildPhase, BuildState, build, build_state, compiled_so_far, wanted_version
from probes.build_failure import explain

ROOT = Path(__file__).resolve().parents[2]
VERSION = "9.9.9"

# Notes how it was called, then does what the file `behaviour` beside it says; a wheel is an empty file.
FAKE_PIP = """
import json, os, pathlib, subprocess, sys, time
here = pathlib.Path(__file__).parent
with (here / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps({"argv": sys.argv[1:], "environ": dict(os.environ)}) + "\\n")
behaviour = here / "behaviour"
if behaviour.exists():
    exec(behaviour.read_text())
if sys.argv[1] == "wheel":
    print("[2/3] compiling")
    folder = pathlib.Path(sys.argv[sys.argv.index("--wheel-dir") + 1])
    (folder / "llama_cpp_python-9.9.9-py3-none-any.whl").touch()
"""


class Pip:
    """The stand-in: what it should do, and how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = (sys.executable, str(folder / "pip.py"))
        (folder / "pip.py").write_text(FAKE_PIP)

    def behave(self, code: str) -> None:
        (self.folder / "behaviour").write_text(code)

    def calls(self) -> list[dict]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def verbs(self) -> list[str]:
        return [call["argv"][0] for call in self.calls()]


@pytest.fixture
def pip(tmp_path: Path) -> Pip:
    folder = tmp_path / "pip"
    folder.mkdir()
    return Pip(folder)


@pytest.fixture
def job(tmp_path: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Build]:
    monkeypatch.setattr(build_module, "processor_flags", lambda: "x86_64 avx2")

    def make(**changes: object) -> Build:
        start = {"version": VERSION, "folder": tmp_path / "data", "pip": pip.command, "load": (sys.executable, "-c", "")}
        return Build(**(start | changes))

    return make


def test_a_build_makes_a_wheel_installs_it_and_what_it_needs_and_says_so(job: Callable[..., Build], pip: Pip) -> None:
    phases: list[BuildPhase] = []
    one = job(tell=lambda state: phases.append(state.state))
    state = build(one)
    assert state.state is BuildPhase.READY
    assert list(dict.fromkeys(phases)) == [BuildPhase.BUILDING, BuildPhase.INSTALLING, BuildPhase.READY]
    assert pip.verbs() == ["wheel", "install", "install"]
    (wheel,) = one.wheel_folder.iterdir()
    assert pip.calls()[1]["argv"] == ["install", "--force-reinstall", "--no-deps", str(wheel)]
    assert pip.calls()[2]["argv"] == ["install", f"llama-cpp-python=={VERSION}"]
    assert BuildState.model_validate_json(one.state_file.read_text()) == state


def test_the_state_file_has_the_agreed_keys(job: Callable[..., Build]) -> None:
    one = job()
    build(one)
    written = json.loads(one.state_file.read_text())
    assert set(written) == {"state", "started", "updated", "seconds", "message", "remedy", "log", "pid", "version"}
    assert written["pid"] == os.getpid()
    assert written["version"] == VERSION


def test_a_second_build_takes_the_wheel_of_the_first(job: Callable[..., Build], pip: Pip) -> None:
    build(job())
    assert build(job()).state is BuildPhase.READY
    assert pip.verbs() == ["wheel", "install", "install", "install", "install"]


@pytest.mark.parametrize(
    "change", [{"version": "9.9.10"}, {"environ": dict(os.environ) | {"CMAKE_ARGS": "-DGGML_CUDA=on"}}], ids=["version", "switches"]
)
def test_another_version_or_other_switches_are_another_wheel(job: Callable[..., Build], pip: Pip, change: dict) -> None:
    build(job())
    assert job(**change).wheel_folder != job().wheel_folder
    build(job(**change))
    assert pip.verbs().count("wheel") == 2


def test_another_processor_is_another_wheel(job: Callable[..., Build], monkeypatch: pytest.MonkeyPatch) -> None:
    here = job().wheel_folder
    monkeypatch.setattr(build_module, "processor_flags", lambda: "x86_64 avx512f")
    assert job().wheel_folder != here


def test_a_build_leaves_the_vision_library_out_and_keeps_the_processors_instructions(job: Callable[..., Build], pip: Pip) -> None:
    build(job(environ=dict(os.environ) | {"SOURCE_DATE_EPOCH": "0"}))
    environ = pip.calls()[0]["environ"]
    assert environ["CMAKE_ARGS"] == "-DLLAVA_BUILD=OFF"
    assert "SOURCE_DATE_EPOCH" not in environ, "with it llama.cpp is built for the oldest x86-64"


def test_switches_of_the_user_come_last_and_pass_pips_cache_by(job: Callable[..., Build], pip: Pip) -> None:
    build(job(environ=dict(os.environ) | {"CMAKE_ARGS": "-DGGML_CUDA=on"}))
    call = pip.calls()[0]
    assert call["environ"]["CMAKE_ARGS"] == "-DLLAVA_BUILD=OFF -DGGML_CUDA=on"
    assert "--no-cache-dir" in call["argv"], "pip's cache asks for the version alone"


def test_without_switches_of_the_user_pips_cache_is_used(job: Callable[..., Build], pip: Pip) -> None:
    build(job(environ={key: value for key, value in os.environ.items() if key != "CMAKE_ARGS"}))
    assert "--no-cache-dir" not in pip.calls()[0]["argv"]


def test_a_processor_with_a_matrix_unit_is_compiled_for_with_the_mended_header(
    job: Callable[..., Build], pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "processor_flags", lambda: "x86_64 amx_int8 amx_tile avx2")
    one = job(environ={key: value for key, value in os.environ.items() if key not in {"CMAKE_ARGS", "CXXFLAGS"}} | {"CFLAGS": "-g"})
    build(one)
    call = pip.calls()[0]
    header = f'-include "{build_module.AMX_TILES}"'
    assert (call["environ"]["CFLAGS"], call["environ"]["CXXFLAGS"]) == (f"{header} -g", header)
    assert "--no-cache-dir" in call["argv"], "pip's cache may hold a wheel without it"
    mended = one.wheel_folder
    monkeypatch.setattr(build_module, "AMX_TILES", Path(__file__))
    assert one.wheel_folder != mended, "another header, another wheel"


def test_without_a_matrix_unit_the_compiler_is_left_alone(job: Callable[..., Build], pip: Pip) -> None:
    build(job(environ={key: value for key, value in os.environ.items() if key not in {"CFLAGS", "CXXFLAGS"}}))
    assert not {"CFLAGS", "CXXFLAGS"} & pip.calls()[0]["environ"].keys()


def test_with_the_header_the_whole_tile_configuration_is_written_before_it_is_read(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None or platform.machine() != "x86_64":
        pytest.skip("needs g++ on x86-64")
    source = tmp_path / "tiles.cpp"
    source.write_text(
        "#include <immintrin.h>\n#include <cstdint>\n"
        "struct Tiles { uint8_t palette, row, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; };\n"
        "void configure() { alignas(64) Tiles tiles = {}; tiles.palette = 1;\n"
        "  for (int i = 0; i < 8; i++) { tiles.rows[i] = 16; tiles.bytes[i] = 64; } _tile_loadconfig(&tiles); }\n"
    )
    command = [compiler, "-O3", "-mamx-tile", "-include", str(build_module.AMX_TILES), "-S", "-o", "-", str(source)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    place = re.search(r"ldtilecfg\s+(-?\d*)\((%\w+)\)", told)
    assert place is not None
    stores = re.findall(rf"mov\w*\s+[^,]+, (-?\d*)\({place[2]}\)", told[: place.start()])
    assert int(place[1] or 0) + 48 in {int(offset or 0) for offset in stores}, "the rows stand 48 bytes into the 64"


def test_what_is_tried_is_a_prompt_and_an_answer_on_this_machine() -> None:
    pytest.importorskip("llama_cpp")
    done = subprocess.run([sys.executable, "-m", "probes.trial"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_wheel_that_does_not_load_is_built_once_more_from_source(job: Callable[..., Build], pip: Pip, tmp_path: Path) -> None:
    first_fails = f"import pathlib, sys; p = pathlib.Path({str(tmp_path / 'tried')!r}); there = p.exists(); p.touch(); sys.exit(not there)"
    assert build(job(load=(sys.executable, "-c", first_fails))).state is BuildPhase.READY
    wheels = [call["argv"] for call in pip.calls() if call["argv"][0] == "wheel"]
    assert ["--no-cache-dir" in argv for argv in wheels] == [False, True]


def test_a_wheel_that_kills_its_process_is_a_failure_that_says_how(job: Callable[..., Build]) -> None:
    state = build(job(load=(sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")))
    assert state.state is BuildPhase.FAILED
    assert "does not run: ended by signal 4 (Illegal instruction)" in state.message
    assert "GGML_NATIVE=off" in state.remedy


def test_a_failed_build_gives_the_reason_and_the_remedy_and_is_tried_again(job: Callable[..., Build], pip: Pip) -> None:
    pip.behave("print('CMake Error: CMAKE_CXX_COMPILER not set, after EnableLanguage'); sys.exit(1)")
    state = build(job())
    assert state.state is BuildPhase.FAILED
    assert state.message == "No C++ compiler was found."
    assert "build-essential" in state.remedy
    assert "CMAKE_CXX_COMPILER" in state.log.read_text()
    pip.behave("")
    assert build(job()).state is BuildPhase.READY


def test_half_a_wheel_never_counts(job: Callable[..., Build], pip: Pip) -> None:
    pip.behave("pathlib.Path(sys.argv[sys.argv.index('--wheel-dir') + 1], 'llama_cpp_python-9.9.9-py3-none-any.whl').touch(); sys.exit(1)")
    assert build(job()).state is BuildPhase.FAILED
    pip.behave("")
    build(job())
    assert pip.verbs() == ["wheel", "wheel", "install", "install"]


# A pip that goes on for ever, with a compiler in a process group of its own, as ninja starts them.
ENDLESS = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
(here / "compiler.pid").write_text(str(child.pid))
print("[2/3] compiling", flush=True)
time.sleep(600)
"""


def wait_for(what: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_build_that_is_stopped_ends_its_compilers_and_leaves_no_scratch(job: Callable[..., Build], pip: Pip) -> None:
    pip.behave(ENDLESS)
    one = job(stop=threading.Event())
    ended: list[BuildState] = []
    thread = threading.Thread(target=lambda: ended.append(build(one)))
    thread.start()
    wait_for(lambda: one.state_file.exists() and "Compiled 2 of 3 files." in one.state_file.read_text())
    assert one.scratch.is_dir()
    one.stop.set()
    thread.join(30)
    assert ended[0].state is BuildPhase.ABSENT
    assert ended[0].message.startswith("The build was stopped after ")
    assert gone(int((pip.folder / "compiler.pid").read_text()))
    assert not one.scratch.exists()
    assert not list(one.wheel_folder.glob("*.whl"))


def test_the_build_beside_a_dashboard_ends_when_that_process_is_killed(tmp_path: Path, pip: Pip) -> None:
    """The dashboard is a stand-in: it answers the health check, calls attend() and is then killed with no chance to tidy up."""
    pip.behave(ENDLESS)
    server = tmp_path / "server.py"
    server.write_text(
        "import http.server\n"
        "from probes.build import attend\n"
        "class Health(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        "served = http.server.HTTPServer(('127.0.0.1', 0), Health)\n"
        "attend(f'http://127.0.0.1:{served.server_port}')\n"
        "served.serve_forever()\n"
    )
    stand_in = older_package(pip_package(tmp_path, pip))
    root = str(Path(build_module.__file__).parents[1])
    environ = os.environ | {"RIGHTSIZE_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": f"{stand_in}:{root}"}
    dashboard = subprocess.Popen([sys.executable, str(server)], env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        state_file = tmp_path / "data" / "probe-build.json"
        wait_for(lambda: state_file.exists() and "Compiled 2 of 3 files." in state_file.read_text())
        running = BuildState.model_validate_json(state_file.read_text())
        assert running.state is BuildPhase.BUILDING
        assert psutil.Process(running.pid).nice() >= build_module.NICENESS
    finally:
        dashboard.kill()
        dashboard.wait()
    wait_for(lambda: gone(running.pid))
    assert gone(int((pip.folder / "compiler.pid").read_text()))
    assert BuildState.model_validate_json(state_file.read_text()).state is BuildPhase.ABSENT


def pip_package(tmp_path: Path, pip: Pip) -> Path:
    """A folder whose `python -m pip` is the stand-in."""
    package = tmp_path / "stand-in" / "pip"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(f"import runpy\nrunpy.run_path({pip.command[1]!r}, run_name='__main__')\n")
    return package.parent


def older_package(folder: Path) -> Path:
    """The same folder with a llama-cpp-python of long ago, so that there is something to build."""
    (folder / "llama_cpp").mkdir()
    (folder / "llama_cpp" / "__init__.py").touch()
    (folder / "llama_cpp_python-0.0.1.dist-info").mkdir()
    (folder / "llama_cpp_python-0.0.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: llama_cpp_python\nVersion: 0.0.1\n")
    return folder


# What the page reads


def written(tmp_path: Path, **changes: object) -> Path:
    now = datetime.now(UTC)
    start = {"state": "building", "started": now, "updated": now, "pid": os.getpid(), "version": wanted_version(), "message": "as written"}
    path = tmp_path / "state.json"
    path.write_text(BuildState(**(start | changes)).model_dump_json())
    return path


def test_without_a_file_and_without_the_package_it_is_absent_and_make_run_is_the_way(tmp_path: Path) -> None:
    state = build_state(tmp_path / "none.json", installed="")
    assert (state.state, state.remedy) == (BuildPhase.ABSENT, "Build it with `make run`.")


def test_without_a_file_but_with_the_package_it_is_ready(tmp_path: Path) -> None:
    assert build_state(tmp_path / "none.json", installed=wanted_version()).state is BuildPhase.READY


def test_a_build_at_work_is_shown_as_written(tmp_path: Path) -> None:
    state = build_state(written(tmp_path), installed="")
    assert (state.state, state.message) == (BuildPhase.BUILDING, "as written")


def test_a_build_whose_process_is_gone_has_failed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    state = build_state(written(tmp_path, pid=ended.pid), installed="")
    assert state.state is BuildPhase.FAILED
    assert str(ended.pid) in state.message
    assert "make run" in state.remedy


def test_a_build_whose_process_is_a_zombie_has_failed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    wait_for(lambda: psutil.Process(ended.pid).status() == psutil.STATUS_ZOMBIE)
    assert build_state(written(tmp_path, pid=ended.pid), installed="").state is BuildPhase.FAILED
    ended.wait()


def test_a_later_process_with_the_same_number_is_not_the_build(tmp_path: Path) -> None:
    """After a restart of the machine numbers come back."""
    before = datetime.fromtimestamp(psutil.Process().create_time(), UTC) - timedelta(hours=1)
    assert build_state(written(tmp_path, started=before), installed="").state is BuildPhase.FAILED


def test_ready_in_the_file_counts_for_nothing_when_this_environment_lacks_the_package(tmp_path: Path) -> None:
    state = build_state(written(tmp_path, state="ready"), installed="")
    assert state.state is BuildPhase.ABSENT
    assert "not installed in this environment" in state.message


def test_another_version_than_the_pinned_one_is_not_ready(tmp_path: Path) -> None:
    state = build_state(written(tmp_path, state="ready"), installed="0.0.1")
    assert state.state is BuildPhase.ABSENT
    assert f"version 0.0.1 is installed, {wanted_version()} is wanted" in state.message


def test_a_failure_stays_until_the_package_is_there(tmp_path: Path) -> None:
    path = written(tmp_path, state="failed", message="No C++ compiler was found.", remedy="Install one.")
    assert build_state(path, installed="").message == "No C++ compiler was found."
    ready = build_state(path, installed=wanted_version())
    assert (ready.state, ready.remedy) == (BuildPhase.READY, "")


def test_a_build_for_another_checkout_does_not_hide_what_is_installed_here(tmp_path: Path) -> None:
    assert build_state(written(tmp_path), installed=wanted_version()).state is BuildPhase.READY


def test_an_installation_at_work_is_not_yet_ready(tmp_path: Path) -> None:
    assert build_state(written(tmp_path, state="installing"), installed=wanted_version()).state is BuildPhase.INSTALLING


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "flying"}'])
def test_a_broken_file_is_absent_and_names_itself(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    state = build_state(path, installed="")
    assert state.state is BuildPhase.ABSENT
    assert str(path) in state.message


def test_the_pin_is_the_one_of_pyproject() -> None:
    pyproject = Path(build_module.__file__).parents[1] / "pyproject.toml"
    assert f'"llama-cpp-python=={wanted_version()}"' in pyproject.read_text()


# Why it failed


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("  CMake Error: CMAKE_C_COMPILER not set, after EnableLanguage", "No C++ compiler was found."),
        ("  No CMAKE_CXX_COMPILER could be found.", "No C++ compiler was found."),
        ("/bin/sh: 1: g++: not found", "No C++ compiler was found."),
        ("  *** CMake build failed\n  Could not find CMake with version >=3.21", "CMake was not found."),
        ("g++: fatal error: Killed signal terminated program cc1plus", "The compiler ran out of memory."),
        ("OSError: [Errno 28] No space left on device", "The disk is full."),
        ("python: No module named pip", "The environment has no pip."),
        ("ERROR: No matching distribution found for llama-cpp-python==9.9.9", "The package index could not be reached, or does not have"),
        ("Temporary failure in name resolution", "The package index could not be reached, or does not have"),
    ],
)
def test_a_known_cause_is_named_with_a_remedy(log: str, message: str) -> None:
    failure = explain(f"Collecting llama-cpp-python\n{log}\nERROR: Failed building wheel for llama-cpp-python", exit_code=1)
    assert failure.message.startswith(message)
    assert "make" in failure.remedy


def test_an_unknown_cause_is_told_in_the_logs_own_last_error_lines() -> None:
    log = """
  [36/127] g++ ggml.c
  ggml.c:12:3: error: 'x' undeclared
  ninja: build stopped: subcommand failed.
  *** CMake build failed
  error: subprocess-exited-with-error
  × Building wheel for llama-cpp-python (pyproject.toml) did not run successfully.
  │ exit code: 1
  ╰─> See above for output.
  note: This error originates from a subprocess, and is likely not a problem with pip.
  ERROR: Failed building wheel for llama-cpp-python
"""
    assert explain(log, exit_code=1).message == "ggml.c:12:3: error: 'x' undeclared"


def test_a_silent_failure_gives_the_exit_code() -> None:
    assert explain("", exit_code=7).message == "pip ended with exit code 7 and wrote nothing"


def test_progress_is_the_last_count_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("[1/127] a\n" + "x" * 10_000 + "\n[36/127] b\n[37/127] c\n")
    assert compiled_so_far(log) == "Compiled 37 of 127 files."
    log.write_text("nothing yet")
    assert compiled_so_far(log) == ""
