"""A llama.cpp probe as a child process: one at a time per machine, live progress, cancel, time limit, nothing left behind."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import psutil
from pydantic import ValidationError

from capacity.models import ModelSpec, find_quantization
from capacity.tensors import TensorPlan, tensor_plan
from facts.errors import InputError
from probes import environment, llamacpp, proxy, synthetic
from probes.child import ChildRequest
from probes.doubts import with_doubts
from probes.lock import HostLock, take_or_wait, wait_for_lock
from probes.measurement import Contention, Environment, LlamaCppSettings, Measurement, ModelFile, Power, Status, TestResult
from probes.power import PowerMeter
from probes.progress import EVENT, MAX_LINE_BYTES, Done, Estimate, Event, Failed, Loaded, Repetition, Stage, TestDone, Written

DEFAULT_QUANTIZATION = "Q4_K_M"
KEPT_LINES = 60
LOG_LINES = 400
"""Lines of the engine's log that are kept while it runs."""
KEPT_LOG = re.compile(
    r"offload|buffer size|repack|flash_attn|n_ctx|n_batch|n_ubatch|n_threads|type_k|model type|model params|file (type|size)|OMP|n_seq_max"
)
"""Lines of the log that stay in the measurement: what ran where."""
ASSERTION = re.compile(r"GGML_ASSERT|GGML_ABORT|what\(\):|error loading model:")
CRASH_LINE = re.compile(r"terminate called|error|failed|unable|missing|not found", re.IGNORECASE)
START_LIMIT_S = 900.0
"""Time that writing and loading may take, beside three times the measuring budget."""
FRESH_PAGES = {"MALLOC_MMAP_THRESHOLD_": "131072"}
"""Keeps glibc from placing a later buffer where an earlier one was freed: the trial before the tests would move their buffers against
each other, and some probes then read a prompt 4 % faster than llama-bench, whose process makes each buffer once."""
WATCH_S = 2.0
"""How long the machine is watched before a probe, for contention."""


class State(StrEnum):
    """Where a probe stands."""

    WAITING = "waiting"
    BUILDING = "building"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self in (State.DONE, State.FAILED, State.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class ProbeRequest:
    """What to measure.

    settings: how to run llama.cpp
    file: a GGUF file of the user, or None for random weights
    model: shape of the random weights, or what the user's file is; None when the file alone says it
    quantization: of the random weights; of a user's file only where its header does not say it
    models_dir: folder of synthetic files
    keep: whether a synthetic file stays for the next probe
    proxy_layers: layers of the model that stand for the whole, None for all of them; only with random weights
    wait: whether to wait for another probe on this machine instead of refusing
    time_limit_s: after which the child is ended; None means three times the budget plus a quarter of an hour
    watch_s: how long the machine is watched before, for contention
    """

    settings: LlamaCppSettings
    models_dir: Path
    file: Path | None = None
    model: ModelSpec | None = None
    quantization: str = ""
    keep: bool = True
    proxy_layers: int | None = None
    wait: bool = False
    time_limit_s: float | None = None
    watch_s: float = WATCH_S

    @property
    def what(self) -> str:
        """What is measured, in a few words."""
        if self.file is not None:
            return self.file.name
        name = self.shape.name if self.shape else "?"
        return f"{name} {self.quantization or DEFAULT_QUANTIZATION} (random weights)"

    @property
    def shape(self) -> ModelSpec | None:
        """What is written with random weights: the model, or a few layers of it."""
        return self.model if self.model is None or self.proxy_layers is None else proxy.proxy_shape(self.model, self.proxy_layers)

    @property
    def limit_s(self) -> float:
        """After how many seconds the child is ended."""
        return self.time_limit_s if self.time_limit_s is not None else START_LIMIT_S + 3.0 * self.settings.seconds


class ProbeJob:
    """One probe, running in the background; every property may be read from any thread at any time."""

    def __init__(self, request: ProbeRequest, created: datetime, listen: Callable[[Event], None] | None = None) -> None:
        self.request = request
        self.created = created
        self._listen = listen or (lambda event: None)
        self._plan = _checked_plan(request)
        self._lock = HostLock()
        self._began = time.monotonic()
        self._cancel = threading.Event()
        self._over = threading.Event()
        self._guard = threading.Lock()
        self._record = _Record()
        self._state, self._message = State.WAITING, "waiting to start"
        self._result: Measurement | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._power: Power | None = None
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)

    @classmethod
    def start(cls, request: ProbeRequest, *, created: datetime, listen: Callable[[Event], None] | None = None) -> ProbeJob:
        """Check the request, take the machine's lock and begin; InputError says at once what cannot work.

        `listen` is called with each event, from the probe's own thread.
        """
        job = cls(request, created, listen)
        job._message = take_or_wait(job._lock, request.what, created, wait=request.wait) or job._message
        job._thread.start()
        return job

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    @property
    def message(self) -> str:
        """What it does now, or how it ended."""
        return self._message

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything the child has said so far."""
        with self._guard:
            return tuple(self._record.events)

    @property
    def tokens_per_s(self) -> float | None:
        """Of the last repetition, warm-up included."""
        last = next((event for event in reversed(self.events) if isinstance(event, Repetition)), None)
        return last.tokens_per_s if last else None

    @property
    def progress(self) -> float:
        """0 to 1: writing is the first fifth, loading ends at a quarter, measuring is the rest, by time."""
        if self._state is State.DONE:
            return 1.0
        with self._guard:
            return self._record.progress(self.request.settings.seconds)

    @property
    def result(self) -> Measurement | None:
        """The measurement: complete when done, partial after a cancel or failure that left repetitions, else None."""
        return self._result

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began

    def cancel(self) -> None:
        """End it: the child is killed, what was measured is kept as a partial measurement."""
        self._cancel.set()
        self._kill()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is over; False when the time-out came first."""
        return self._over.wait(timeout_s)  # not join: a Ctrl-C inside it makes Python take a running thread for an ended one

    # -- the probe's own thread --

    def _run(self) -> None:
        try:
            if self._lock.handle is None and not self._wait_for_lock():
                self._end(State.CANCELLED, "cancelled while it waited")
                return
            self._measure()
        except InputError as error:
            self._end(State.FAILED, str(error))
        except Exception as error:  # whatever it is, the dashboard lives and the user is told
            self._end(State.FAILED, f"the probe broke: {type(error).__name__}: {error}")
        finally:
            self._lock.release()
            self._over.set()

    def _wait_for_lock(self) -> bool:
        def tell(message: str) -> None:
            self._message = message

        return wait_for_lock(self._lock, self.request.what, self.created, self._cancel, tell)

    def _measure(self) -> None:
        self._state, self._message = State.RUNNING, "watching what else is running"
        before = environment.contention_over(self.request.watch_s) if self.request.watch_s > 0 else None
        machine = environment.read_environment(before)
        if self._cancel.is_set():
            self._end(State.CANCELLED, "cancelled before it measured")
            return
        file = self._file()
        meter = PowerMeter()
        try:
            with meter:
                code, timed_out = self._child(file)
        finally:
            self._clean(file)
        with self._guard:
            written = sum(event.n_gen * event.slots for event in self._record.events if isinstance(event, Repetition))
        self._power = meter.reading(float(written))
        status, state, message = self._verdict(code, timed_out)
        with self._guard:
            tests = self._record.tests()
        if status is Status.COMPLETE or any(test.samples_tokens_per_s for test in tests):
            machine = machine.model_copy(update={"during": self._record.during})
            self._result = self._measurement(machine, tests, status, message)
        self._end(state, message)

    def _file(self) -> Path:
        if self.request.file is not None:
            return self.request.file.absolute()
        assert self._plan is not None
        return synthetic.synthetic_path(self._plan, self.request.models_dir.absolute())

    def _child(self, file: Path) -> tuple[int, bool]:
        """Run the child to its end and read all it says; its exit code, and whether it ran out of time."""
        model = self.request.shape if self.request.file is None else None
        quantization = self._plan.quantization if self._plan else ""
        request = ChildRequest(settings=self.request.settings, model=model, quantization=quantization, file=file)
        keep = (self._lock.handle,) if self._lock.handle is not None else ()
        process = subprocess.Popen(
            [sys.executable, "-m", "probes.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).resolve().parent.parent,
            env={**FRESH_PAGES, **os.environ, "GGML_NO_BACKTRACE": "1"},
            start_new_session=True,
            pass_fds=keep,
        )
        self._process = process
        if self._cancel.is_set():
            self._kill()
        timed_out = threading.Event()

        def out_of_time() -> None:
            timed_out.set()
            self._kill()

        timer = threading.Timer(self.request.limit_s, out_of_time)
        log = threading.Thread(target=self._read_log, args=(process,), daemon=True)
        timer.start()
        log.start()
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # then its exit code says more
                process.stdin.write(request.model_dump_json().encode() + b"\n")
                process.stdin.flush()
            self._read_events(process)
            code = process.wait()
        finally:
            timer.cancel()
            self._kill()
            process.wait()
            log.join(5.0)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
        return code, timed_out.is_set()

    def _read_events(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        watched = _Watched(process.pid)
        while line := process.stdout.readline(MAX_LINE_BYTES):
            try:
                event = EVENT.validate_json(line)
            except ValidationError:
                continue  # not one of ours: something in the engine printed to it
            if isinstance(event, Repetition | Stage):
                watched.look()
            with self._guard:
                self._record.add(event, watched.contention)
            self._message = _said(event) or self._message
            self._listen(event)

    def _read_log(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        while line := process.stderr.readline(MAX_LINE_BYTES):
            self._record.log.append(line.decode(errors="replace").rstrip())
            last = self._record.log[-1][:300]
            if KEPT_LOG.search(last) and last not in self._record.kept_log and len(self._record.kept_log) < KEPT_LINES:
                self._record.kept_log.append(last)

    def _kill(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)  # its own session, so the group is the child and what it started
            else:
                process.kill()

    def _clean(self, file: Path) -> None:
        """Remove what an ended child left: the unfinished file, and the whole one when it is not to be kept."""
        if self.request.file is not None:
            return
        if self._process is not None:
            file.with_name(f"{file.name}.part-{self._process.pid}").unlink(missing_ok=True)
        if not self.request.keep:
            file.unlink(missing_ok=True)

    def _verdict(self, code: int, timed_out: bool) -> tuple[Status, State, str]:
        failed = next((event for event in reversed(self.events) if isinstance(event, Failed)), None)
        kept = any(isinstance(event, Repetition) and not event.warmup for event in self.events)
        status = Status.PARTIAL if kept else Status.FAILED
        if any(isinstance(event, Done) for event in self.events):
            return Status.COMPLETE, State.DONE, "done"  # whatever happened while it cleaned up
        if self._cancel.is_set():
            return status, State.CANCELLED, "cancelled; " + ("the repetitions so far are kept" if kept else "nothing was measured yet")
        if timed_out:
            return status, State.FAILED, f"ended after the time limit of {self.request.limit_s:g} s: give a smaller model or a longer limit"
        if failed:
            return status, State.FAILED, failed.message + self._why(failed.message)
        return status, State.FAILED, _died(code, list(self._record.log))

    def _why(self, message: str) -> str:
        line = _crash_line(list(self._record.log)) if "its log" in message else ""
        return f" ({line})" if line else ""

    def _measurement(self, machine: Environment, tests: tuple[TestResult, ...], status: Status, message: str) -> Measurement:
        loaded = self._record.loaded
        file, plan, model = self._file(), self._plan, self.request.model
        layers = self.request.proxy_layers
        part = proxy.proxy_of(model, plan.quantization, layers) if plan is not None and model is not None and layers is not None else None
        draft = Measurement(
            kind="llamacpp",
            created=self.created,
            status=status,
            message="" if status is Status.COMPLETE else message,
            model_id=self.request.model.id if self.request.model and part is None else None,
            model_name=loaded.model_name if loaded else "",
            model_file=_model_file(file, plan).model_copy(update={"proxy_layers": self.request.proxy_layers}),
            quantization=plan.quantization if plan else self.request.quantization or _quantization(loaded),
            engine="llama.cpp",
            engine_version=loaded.engine_version if loaded else "",
            engine_system_info=loaded.system_info if loaded else "",
            gpu_offload=loaded.gpu_offload if loaded else False,
            settings=self.request.settings,
            threads=loaded.threads if loaded else None,
            environment_variables=environment.engine_variables(os.environ.items()),
            environment=machine,
            weights_bytes=loaded.weights_bytes if loaded else None,
            parameters=loaded.parameters if loaded else None,
            load_s=loaded.load_s if loaded else None,
            tests=tests,
            log=tuple(self._record.kept_log),
            proxy=part,
            power=self._power,
        )
        return with_doubts(draft).sealed()

    def _end(self, state: State, message: str) -> None:
        self._message, self._state = message, state


# ---- below: how ----


class _Record:
    """What the child has said, gathered."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self.kept_log: list[str] = []
        self.loaded: Loaded | None = None
        self.during: Contention | None = None
        self._planned: tuple[str, ...] = ()
        self._done: set[str] = set()
        self._written = 0.0
        self._measuring_since: float | None = None

    def add(self, event: Event, contention: Contention | None) -> None:
        """Take one event in."""
        self.events.append(event)
        self.during = contention or self.during
        if isinstance(event, Loaded):
            self.loaded = event
        elif isinstance(event, Written):
            self._written = event.done_bytes / event.total_bytes
        elif isinstance(event, Estimate):
            self._planned, self._measuring_since = event.tests, time.monotonic()
        elif isinstance(event, TestDone):
            self._done.add(f"{event.name}/{event.variant}")

    def progress(self, budget_s: float) -> float:
        """0 to 1."""
        if self._measuring_since is None:
            return 0.25 if self.loaded else 0.2 * self._written
        by_tests = len(self._done) / max(1, len(self._planned))
        share_s = budget_s / max(1, len(self._planned))
        in_test = time.monotonic() - self._measuring_since - len(self._done) * share_s
        by_time = min(0.95, max(0.0, in_test / share_s)) / max(1, len(self._planned))
        return min(0.99, 0.25 + 0.75 * (by_tests + by_time))

    def tests(self) -> tuple[TestResult, ...]:
        """Each test with every repetition that was read, in the order measured."""
        names = dict.fromkeys((event.name, event.variant) for event in self.events if isinstance(event, Repetition))
        return tuple(self._test(name, variant) for name, variant in names)

    def _test(self, name: str, variant: str) -> TestResult:
        repetitions = [event for event in self.events if isinstance(event, Repetition)]
        all_of_it = [event for event in repetitions if (event.name, event.variant) == (name, variant)]
        measured = [event for event in all_of_it if not event.warmup]
        first = all_of_it[0]
        return TestResult(
            name=name + (f"/{variant}" if variant else ""),
            variant=variant,
            n_prompt=first.n_prompt,
            n_gen=first.n_gen,
            depth=first.depth,
            slots=first.slots,
            samples_tokens_per_s=tuple(event.tokens_per_s for event in measured),
            warmup_tokens_per_s=tuple(event.tokens_per_s for event in all_of_it if event.warmup),
            slowest_over_median_step=tuple(round(event.slowest_over_median_step, 3) for event in measured),
            processor_share=tuple(round(event.processor_share, 4) for event in measured),
            involuntary_switches=tuple(event.involuntary_switches for event in measured),
            settled=any(
                isinstance(event, TestDone) and (event.name, event.variant) == (name, variant) and event.settled for event in self.events
            ),
        )


class _Watched:
    """What else the machine does while a child measures."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid) if psutil.pid_exists(pid) else None
        self._start = environment.processor_times()
        self._own = self._used()
        self.contention: Contention | None = None

    def look(self) -> None:
        """Take a reading from the start to now."""
        own = self._used()
        if own is not None and self._own is not None:
            self.contention = environment.contention_between(self._start, environment.processor_times(), own - self._own)

    def _used(self) -> float | None:
        if self._process is None:
            return None
        try:
            times = self._process.cpu_times()
        except psutil.Error:
            return None
        return float(times.user + times.system)


def _checked_plan(request: ProbeRequest) -> TensorPlan | None:
    """The plan of the synthetic file, after everything that can be known before the child starts was checked."""
    if request.file is not None:
        if request.proxy_layers is not None:
            raise InputError("a proxy of few layers is made of random weights: name a model of the catalogue instead of a file")
        llamacpp.check_gguf(request.file)
        return None
    shape = request.shape
    if shape is None:
        raise InputError("neither a GGUF file nor a model to make up is given")
    plan = tensor_plan(shape, request.quantization or DEFAULT_QUANTIZATION)
    synthetic.check_types(plan)
    synthetic.check_memory(synthetic.file_bytes(plan), f"{shape.name} {plan.quantization}", repack=request.settings.repack)
    return plan


def _model_file(file: Path, plan: TensorPlan | None) -> ModelFile:
    if plan is not None:
        return ModelFile(name=file.name, bytes=synthetic.file_bytes(plan), sha256=synthetic.shape_sha256(plan), synthetic=True)
    size, digest = file.stat().st_size, hashlib.sha256()
    with file.open("rb") as opened:
        head = opened.read(1 << 20)
        digest.update(str(size).encode())
        digest.update(head)
        opened.seek(max(0, size - (1 << 20)))
        digest.update(opened.read(1 << 20))
    return ModelFile(name=file.name, bytes=size, sha256=digest.hexdigest(), synthetic=synthetic.RANDOM_KEY.encode() in head)


def _quantization(loaded: Loaded | None) -> str:
    """The file type in llama.cpp's description of a model, as 'qwen3 0.6B Q4_K - Medium' -> Q4_K_M."""
    words = loaded.model_name.replace(" - Small", "_S").replace(" - Medium", "_M").replace(" - Large", "_L").split() if loaded else []
    found = next((known for word in reversed(words) if (known := find_quantization(word))), None)
    return found.id.upper() if found else ""


def _said(event: Event) -> str:
    if isinstance(event, Stage):
        return event.text
    if isinstance(event, Written):
        return f"writing random weights: {event.done_bytes / 1e9:.2f} of {event.total_bytes / 1e9:.2f} GB"
    if isinstance(event, Repetition):
        return f"{'warming up' if event.warmup else 'measuring'} {event.name}: {event.tokens_per_s:.1f} tokens/s"
    return ""


def _died(code: int, log: list[str]) -> str:
    """Why a child without a word of its own ended."""
    line = _crash_line(log)
    why = f": {line}" if line else ""
    if code < 0:
        name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else f"signal {-code}"
        meaning = {
            "SIGABRT": "llama.cpp stopped itself on an assertion",
            "SIGILL": "llama.cpp was built for another processor, or wrongly for this one's matrix unit: `make run` builds one that fits",
            "SIGSEGV": "llama.cpp crashed",
            "SIGBUS": "the model file was cut off while it was read",
            "SIGKILL": "it was killed from outside, often because the machine had no memory left",
        }.get(name, "it was ended from outside")
        return f"the probe's process ended with {name}: {meaning}{why}"
    return f"the probe's process ended with code {code}{why}"


def _crash_line(log: list[str]) -> str:
    """The line of the log that says most: an assertion, else a named error, else the last one."""
    for pattern in (ASSERTION, CRASH_LINE):
        for line in reversed(log):
            if pattern.search(line):
                return line.strip()[-300:]
    return next((line.strip()[-300:] for line in reversed(log) if line.strip()), "")
