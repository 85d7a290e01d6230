"""llama-cpp-python compiled on this machine: one wheel in a cache folder, installed, and a JSON file that says how far it is.

It is built here because it comes as source only and is fastest when compiled for the very processor it runs on.
`make run` starts this as `python -m probes.build --attend` beside the dashboard, `make test` without it.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import psutil

from facts.records import Fact
from facts.settings import settings
from probes.build_failure import explain

PACKAGE = "llama-cpp-python"
MODULE = "llama_cpp"

CMAKE_ARGS = "-DLLAVA_BUILD=OFF"
"""Leaves out the vision library, which no probe uses: 29 % fewer files to compile."""

NICENESS = 15
"""How far a build beside a dashboard stands back from it."""

AMX_TILES = Path(__file__).parent / "data" / "amx_tiles.h"
"""Mends how GCC compiles llama.cpp for processors with a matrix unit; says why itself."""

LOG_TAIL_LINES = 80
"""Where in a log the cause of a failure is looked for: earlier lines may tell of troubles that were got over."""


class BuildPhase(StrEnum):
    """How far the build is."""

    ABSENT = "absent"
    BUILDING = "building"
    INSTALLING = "installing"
    READY = "ready"
    FAILED = "failed"


class BuildState(Fact):
    """What the state file says, and what a page shows."""

    state: BuildPhase
    """absent, building, installing, ready or failed."""
    started: datetime | None = None
    """When the build began."""
    updated: datetime | None = None
    """When this was last written."""
    seconds: float = 0.0
    """From the beginning to the last writing."""
    message: str = ""
    """What is happening, or why it failed, in one sentence."""
    remedy: str = ""
    """What to do about it; empty when there is nothing to do."""
    log: Path | None = None
    """Everything that pip, CMake and the compiler said."""
    pid: int | None = None
    """The process that builds."""
    version: str = ""
    """Of llama-cpp-python: the one being built, or the one installed."""

    @property
    def running(self) -> bool:
        """A build is at work."""
        return self.state in {BuildPhase.BUILDING, BuildPhase.INSTALLING}


def build_state(path: Path | None = None, *, installed: str | None = None) -> BuildState:
    """How far llama-cpp-python is in this environment. What is installed counts for more than what the file says.

    Without arguments it asks for both: the file that `settings()` names, the version that this environment holds ('' for none).

    The file is shared by every checkout of a user, the environment is not: "ready" in the file with nothing installed here is
    absent; "building" by a process that is gone is failed.
    """
    recorded = _recorded(path or settings().probe_build_state)
    alive = recorded.running and _alive(recorded)
    if alive and recorded.state is BuildPhase.INSTALLING:
        return recorded
    installed = installed_version() if installed is None else installed
    wanted = wanted_version()
    if installed and installed == wanted:
        return recorded.model_copy(
            update={"state": BuildPhase.READY, "version": installed, "message": f"{PACKAGE} {installed} is installed.", "remedy": ""}
        )
    if alive:
        return recorded
    if recorded.running:
        return recorded.model_copy(
            update={
                "state": BuildPhase.FAILED,
                "message": f"The build stopped before it was done: process {recorded.pid} is gone.",
                "remedy": "Start it again with `make run`.",
            }
        )
    if recorded.state is BuildPhase.READY:
        other = f"version {installed} is installed, {wanted} is wanted" if installed else "it is not installed in this environment"
        return recorded.model_copy(
            update={
                "state": BuildPhase.ABSENT,
                "message": f"{PACKAGE} was built, but {other}.",
                "remedy": "Install it with `make run`.",
            }
        )
    return recorded


def installed_version() -> str:
    """The llama-cpp-python of this environment, or ''; asked of its metadata, because loading it could abort the process."""
    importlib.invalidate_caches()
    if importlib.util.find_spec(MODULE) is None:
        return ""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return ""


def wanted_version() -> str:
    """The version that the extra `probe` pins: in pyproject.toml, or in the metadata of an installed Rightsize; '' when in neither."""
    pyproject = Path(__file__).resolve().parents[1] / "pyproject.toml"
    if pyproject.is_file():
        requirements = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["optional-dependencies"]["probe"]
    else:
        requirements = importlib.metadata.requires("rightsize") or []
    pins = (re.match(rf"{PACKAGE}==([^\s;]+)", requirement) for requirement in requirements)
    return next((pin[1] for pin in pins if pin), "")


# One build


@dataclass(frozen=True, kw_only=True)
class Build:
    """One build: what is wanted, and where things lie.

    version: of llama-cpp-python
    folder: holds the state, its lock, the log and the wheels
    environ: the environment that pip is started with
    pip: the command that pip is
    load: the command that tries what was built: a prompt and an answer of a tiny model
    stop: set from outside when the build has to end
    tell: takes every new state
    """

    version: str
    folder: Path
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    pip: tuple[str, ...] = (sys.executable, "-m", "pip")
    load: tuple[str, ...] = (sys.executable, "-m", "probes.trial")
    stop: threading.Event = field(default_factory=threading.Event)
    tell: Callable[[BuildState], None] = lambda state: None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def state_file(self) -> Path:
        """Where the state is kept: the file that `settings()` names."""
        return self.folder / settings().probe_build_state.name

    @property
    def log(self) -> Path:
        """Everything that pip said."""
        return self.folder / "probe-build.log"

    @property
    def scratch(self) -> Path:
        """pip's temporary folder: one of our own, because a pip that is stopped does not tidy up."""
        return self.folder / "probe-build.tmp"

    @property
    def cmake_args(self) -> str:
        """Ours, then the user's own (CMAKE_ARGS), which win."""
        return f"{CMAKE_ARGS} {self.environ.get('CMAKE_ARGS', '')}".strip()

    @property
    def compiler_switches(self) -> str:
        """What the C and C++ compilers are given beside their own: only where the processor needs it."""
        return f'-include "{AMX_TILES}"' if "amx_tile" in processor_flags().split() else ""

    @property
    def wheel_folder(self) -> Path:
        """Where the wheel of this version, these switches, this Python and this processor lies.

        pip's own cache asks for the version alone, so a wheel for another processor would be taken from it.
        """
        key = [self.version, self.cmake_args, sysconfig.get_platform(), str(sys.implementation.cache_tag), processor_flags()]
        if self.compiler_switches:
            key.append(AMX_TILES.read_text(encoding="utf-8"))
        digest = hashlib.sha256("\n".join(key).encode()).hexdigest()
        return self.folder / "wheels" / f"{self.version}-{digest[:16]}"


class Stopped(Exception):
    """The build was asked to end."""


class BuildFailed(Exception):
    """pip or the test import ended with an error; the state says why."""


def build(job: Build) -> BuildState:
    """Make the wheel unless the cache holds it, install it, load it once; the last state, also written to the file."""
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        with _alone(job):
            if _installed_from(job):
                ready = build_state(job.state_file)  # when and how long it was built stays as it was written
                job.tell(ready)
                return ready
            job.log.write_text("", encoding="utf-8")
            with _scratch(job):
                return _build_and_install(job)
    except Stopped:
        seconds = (datetime.now(UTC) - job.started).total_seconds()
        return _write(job, BuildPhase.ABSENT, f"The build was stopped after {seconds:.0f} s.", "Start it again with `make run`.")


def processor_flags() -> str:
    """What a native build depends on: the instruction sets of this processor, or its name where they are not told."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    flags = next((line for line in lines if line.split(":")[0].strip() in {"flags", "Features"}), "")
    return platform.machine() + " " + " ".join(sorted(flags.partition(":")[2].split()))


def _build_and_install(job: Build) -> BuildState:
    # A wheel from a cache may have been compiled for another processor (a home folder on a network): then once more, from source.
    for from_source in (False, True):
        try:
            wheel = _cached_wheel(job) or _make_wheel(job, from_source=from_source)
            _install(job, wheel)
        except BuildFailed as failed:
            tail = "\n".join(job.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:])
            failure = explain(tail, exit_code=int(failed.args[0]))
            return _write(job, BuildPhase.FAILED, failure.message, failure.remedy)
        if _loads(job):
            return _write(job, BuildPhase.READY, f"{PACKAGE} {job.version} is installed.")
        shutil.rmtree(job.wheel_folder, ignore_errors=True)
    return _write(
        job,
        BuildPhase.FAILED,
        f"{PACKAGE} {job.version} was built, but does not run: {_last_line(job.log)}",
        "Read the log; `CMAKE_ARGS=-DGGML_NATIVE=off make run` builds it for any processor.",
    )


def _make_wheel(job: Build, *, from_source: bool) -> Path:
    _write(job, BuildPhase.BUILDING, "Fetching the source.")
    partial = job.wheel_folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # pip's cache does not know CMAKE_ARGS and CFLAGS: with switches beside the usual it would hand out a wheel built without them.
    cache = ["--no-cache-dir"] if from_source or job.environ.get("CMAKE_ARGS") or job.compiler_switches else []
    _pip(job, BuildPhase.BUILDING, "wheel", "-v", "--no-deps", *cache, "--wheel-dir", str(partial), f"{PACKAGE}=={job.version}")
    made = next(partial.glob("*.whl"))
    wheel = made.replace(job.wheel_folder / made.name)
    shutil.rmtree(partial)
    return wheel


def _cached_wheel(job: Build) -> Path | None:
    return next(job.wheel_folder.glob("*.whl"), None)


def _install(job: Build, wheel: Path) -> None:
    _write(job, BuildPhase.INSTALLING, "Installing the wheel.")
    _pip(job, BuildPhase.INSTALLING, "install", "--force-reinstall", "--no-deps", str(wheel))
    _pip(job, BuildPhase.INSTALLING, "install", f"{PACKAGE}=={job.version}")  # there already: brings what it needs


def _loads(job: Build) -> bool:
    try:
        _child(job, BuildPhase.INSTALLING, job.load)
    except BuildFailed:
        return False
    return True


def _installed_from(job: Build) -> bool:
    """This version is installed, and not from another wheel of ours; how a user installs it is the user's own business."""
    if installed_version() != job.version:
        return False
    origin = json.loads(importlib.metadata.distribution(PACKAGE).read_text("direct_url.json") or "{}").get("url", "")
    return not origin.startswith(job.wheel_folder.parent.as_uri()) or origin.startswith(job.wheel_folder.as_uri())


# The file


def _recorded(path: Path) -> BuildState:
    try:
        return BuildState.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return BuildState(state=BuildPhase.ABSENT, message=f"{PACKAGE} is not installed.", remedy="Build it with `make run`.")
    except (OSError, ValueError):
        return BuildState(state=BuildPhase.ABSENT, message=f"{path} cannot be read.", remedy="Delete it, then `make run`.")


def _write(job: Build, phase: BuildPhase, message: str, remedy: str = "") -> BuildState:
    now = datetime.now(UTC)
    state = BuildState(
        state=phase,
        started=job.started,
        updated=now,
        seconds=round((now - job.started).total_seconds(), 1),
        message=message,
        remedy=remedy,
        log=job.log,
        pid=os.getpid(),
        version=job.version,
    )
    partial = job.state_file.with_suffix(f".{os.getpid()}")
    partial.write_text(state.model_dump_json(indent=1) + "\n", encoding="utf-8")
    partial.replace(job.state_file)  # a reader never sees half a file
    job.tell(state)
    return state


def _alive(state: BuildState) -> bool:
    """The process that wrote a state still is: alive, no zombie, and not a later one that was given the same number."""
    if state.pid is None or state.started is None:
        return False
    try:
        process = psutil.Process(state.pid)
        clock_slack_s = 60
        return _runs(process) and bool(process.create_time() < state.started.timestamp() + clock_slack_s)
    except psutil.Error:
        return False


@contextmanager
def _alone(job: Build) -> Iterator[None]:
    """One build per user at a time; the second waits, then finds the first one's wheel. The system frees the lock of a dead one."""
    with (job.folder / "probe-build.lock").open("w", encoding="utf-8") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                job.tell(_recorded(job.state_file))
                if job.stop.wait(0.5):
                    raise Stopped from None
        yield


@contextmanager
def _scratch(job: Build) -> Iterator[None]:
    shutil.rmtree(job.scratch, ignore_errors=True)  # of a build that was killed
    job.scratch.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(job.scratch, ignore_errors=True)


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it wrote nothing"


# The child


def _pip(job: Build, phase: BuildPhase, *arguments: str) -> None:
    _child(job, phase, (*job.pip, *arguments))


def _child(job: Build, phase: BuildPhase, command: tuple[str, ...]) -> None:
    """Run a command in a process group of its own, its output in the log, its progress in the state; BuildFailed, Stopped."""
    environ = {key: value for key, value in job.environ.items() if key != "SOURCE_DATE_EPOCH"}  # with it, a build for the oldest x86-64
    environ |= {"CMAKE_ARGS": job.cmake_args, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "TMPDIR": str(job.scratch)}
    for name in ("CFLAGS", "CXXFLAGS") if job.compiler_switches else ():
        environ[name] = f"{job.compiler_switches} {environ.get(name, '')}".strip()
    with job.log.open("ab") as log:
        child = subprocess.Popen(  # noqa: S603 -- our own arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environ,
            cwd=Path(__file__).resolve().parents[1],
            start_new_session=True,
        )
    told = ""
    while (exit_code := _wait(child, 1.0)) is None:
        if job.stop.is_set():
            _end(child)
            raise Stopped
        told = (phase is BuildPhase.BUILDING and compiled_so_far(job.log)) or told
        _write(job, phase, told or ("Fetching the source." if phase is BuildPhase.BUILDING else "Installing the wheel."))
    if exit_code < 0:
        with job.log.open("a", encoding="utf-8") as log_text:
            log_text.write(f"ended by signal {-exit_code} ({signal.strsignal(-exit_code)})\n")
    if exit_code:
        raise BuildFailed(exit_code)


def compiled_so_far(log: Path) -> str:
    """'Compiled 37 of 127 files.' from the last `[37/127]` of a log, or ''."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        counts = re.findall(rb"\[(\d+)/(\d+)\]", file.read())
    return f"Compiled {int(counts[-1][0])} of {int(counts[-1][1])} files." if counts else ""


def _wait(child: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and all it started: compilers run in process groups of their own, so they are found through their parents."""
    try:
        family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in family:
            try:
                end(process)
            except psutil.NoSuchProcess:
                continue
        family = _still_there_after(family, seconds=3)
    child.wait()


def _still_there_after(family: list[psutil.Process], *, seconds: float) -> list[psutil.Process]:
    for _ in range(int(seconds / 0.05)):
        family = [process for process in family if _runs(process)]
        if not family:
            break
        time.sleep(0.05)
    return family


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


# Beside a dashboard


def attend(url: str) -> None:
    """Start a process that builds once the dashboard at `url` is healthy, and stops when this process ends, however it ends.

    It holds the reading end of a pipe; the writing end is open in this process and in no other, so the system closes it at the end,
    and the reader sees that.
    """
    reading, _writing = os.pipe()
    command = [sys.executable, "-m", "probes.build", "--attend", url]
    subprocess.Popen(command, stdin=reading, stdout=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 -- our own arguments
    os.close(reading)


def _stop_at_end_of_input(stop: threading.Event) -> None:
    def watch() -> None:
        while os.read(0, 1024):
            pass
        stop.set()

    threading.Thread(target=watch, daemon=True).start()


def _wait_until_healthy(url: str, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:  # noqa: S310 -- loopback, ours
                if answer.status == 200:
                    return
        except OSError:
            pass
        stop.wait(0.5)


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m probes.build", description=f"Build and install {PACKAGE}.")
    parser.add_argument("--attend", metavar="URL", help="wait for the dashboard there, build at low priority, end when standard input ends")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    if options.attend:
        os.nice(NICENESS)
        _stop_at_end_of_input(stop)
        _wait_until_healthy(options.attend, stop)
        if stop.is_set():
            return 0
    said = ""

    def tell(state: BuildState) -> None:
        nonlocal said
        heading = {BuildPhase.BUILDING: "building (some minutes, once)", BuildPhase.INSTALLING: "installing"}.get(state.state)
        line = f"{PACKAGE} {state.version}: {heading or f'{state.message} {state.remedy}'.strip()}"
        if line != said:
            print(line, flush=True)  # noqa: T201 -- this is the command line
            said = line

    state = build(Build(version=wanted_version(), folder=settings().probe_build_state.parent, stop=stop, tell=tell))
    if stop.is_set():
        return 130
    if state.state is BuildPhase.FAILED:
        print(f"the log is {state.log}", flush=True)  # noqa: T201 -- likewise
    return 0 if state.state is BuildPhase.READY else 1


if __name__ == "__main__":
    sys.exit(_main())
