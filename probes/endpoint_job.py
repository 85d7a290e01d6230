"""An endpoint probe as a child process, for a page: one probe at a time per machine, live progress, cancel that keeps the levels so far."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from facts.errors import InputError
from probes import endpoint, goodput
from probes.endpoint_child import EndpointRequest, EndpointSaid
from probes.load import Arrival
from probes.lock import HostLock, take_or_wait, wait_for_lock
from probes.measurement import MAX_BYTES, EndpointSettings, Measurement, Status
from probes.runner import State

CANCEL_LIMIT_S = 10.0
"""After a cancel the child has so long to say what it has, then it is killed."""
START_LIMIT_S = 120.0
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class EndpointProbe:
    """What to measure.

    settings: how to ask
    allowed_hosts: hosts that may be asked (from a page: those of facts.settings), None for any
    self_test: whether to measure the client first
    trace: schedule to replay
    wait: whether to wait in the queue for another probe on this machine instead of refusing
    time_limit_s: after which the child is ended; None follows from the settings
    """

    settings: EndpointSettings
    allowed_hosts: tuple[str, ...] | None
    self_test: bool = True
    trace: tuple[Arrival, ...] = ()
    wait: bool = False
    time_limit_s: float | None = None

    @property
    def what(self) -> str:
        """What is measured, in a few words."""
        return f"the endpoint {self.settings.url}"

    @property
    def limit_s(self) -> float:
        """After how many seconds the child is ended."""
        if self.time_limit_s is not None:
            return self.time_limit_s
        settings = self.settings
        levels = len(settings.concurrencies) + len(settings.rates_per_s) + len(settings.top_shares) + 1
        tries = goodput.MOST_TRIES if settings.search else 0
        span = self.trace[-1].due_s if self.trace else 0.0
        held_s = (levels + tries * endpoint.LONGEST_HOLD) * settings.seconds_per_level
        return START_LIMIT_S + span + held_s + (levels + tries) * 2.0 * settings.timeout_s


class EndpointJob:
    """One endpoint probe in the background; every property may be read from any thread at any time."""

    def __init__(self, probe: EndpointProbe, created: datetime) -> None:
        self.probe, self.created = probe, created
        self._lock = HostLock()
        self._cancel = threading.Event()
        self._over = threading.Event()
        self._began = time.monotonic()
        self._state, self._message = State.WAITING, "waiting to start"
        self._said: EndpointSaid | None = None
        self._levels: list[str] = []
        self._result: Measurement | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="endpoint-probe", daemon=True)

    @classmethod
    def start(cls, probe: EndpointProbe, *, created: datetime) -> EndpointJob:
        """Check the address and the caps, take the machine's lock and begin; InputError says at once what cannot work."""
        endpoint.check_url(probe.settings.url, probe.allowed_hosts)
        endpoint.check_settings(probe.settings)
        job = cls(probe, created)
        job._message = take_or_wait(job._lock, probe.what, created, wait=probe.wait) or job._message
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
    def now(self) -> EndpointSaid | None:
        """The last word on the level under way: requests, errors, rate."""
        return self._said

    @property
    def progress(self) -> float:
        """0 to 1, by levels begun; a sweep or a search may end before."""
        if self._state is State.DONE:
            return 1.0
        settings = self.probe.settings
        planned = len(settings.concurrencies) + len(settings.rates_per_s) + len(settings.top_shares) + bool(self.probe.trace)
        planned += 6 if settings.search else 0
        inside = min(1.0, self._said.elapsed_s / self._said.expected_s) if self._said and self._said.expected_s > 0 else 0.0
        return min(0.99, (max(0, len(self._levels) - 1) + inside) / max(1, planned))

    @property
    def result(self) -> Measurement | None:
        """The measurement: complete when done, partial after a cancel that left levels, else None."""
        return self._result

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began

    def cancel(self) -> None:
        """End it; the levels so far are kept."""
        self._cancel.set()
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                process.stdin.close()
            threading.Timer(CANCEL_LIMIT_S, self._kill).start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is over; False when the time-out came first."""
        return self._over.wait(timeout_s)  # not join: a Ctrl-C inside it makes Python take a running thread for an ended one

    # ---- the job's own thread ----

    def _run(self) -> None:
        try:
            if self._lock.handle is None and not wait_for_lock(self._lock, self.probe.what, self.created, self._cancel, self._tell):
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

    def _measure(self) -> None:
        self._state, self._message = State.RUNNING, "starting"
        failed, timed_out = self._child()
        if self._result is not None:
            cancelled = self._result.status is Status.PARTIAL and self._cancel.is_set()
            self._end(State.CANCELLED if cancelled else State.DONE, self._result.message or "done")
        elif self._cancel.is_set():
            self._end(State.CANCELLED, "cancelled; nothing was measured yet")
        elif timed_out:
            self._end(State.FAILED, f"ended after the time limit of {self.probe.limit_s:g} s: hold the levels for less time")
        else:
            self._end(State.FAILED, failed or "the probe's process ended without a word")

    def _child(self) -> tuple[str, bool]:
        """Run the child to its end; (why it failed, whether it ran out of time)."""
        probe = self.probe
        request = EndpointRequest(settings=probe.settings, created=self.created, self_test=probe.self_test, trace=probe.trace)
        keep = (self._lock.handle,) if self._lock.handle is not None else ()
        process = subprocess.Popen(
            [sys.executable, "-m", "probes.endpoint_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,
            pass_fds=keep,
        )
        self._process = process
        timed_out = threading.Event()

        def out_of_time() -> None:
            timed_out.set()
            self._kill()

        timer = threading.Timer(probe.limit_s, out_of_time)
        timer.start()
        try:
            assert process.stdin is not None
            with contextlib.suppress(OSError, ValueError):
                process.stdin.write(request.model_dump_json().encode() + b"\n")
                process.stdin.flush()
            if self._cancel.is_set():
                self.cancel()
            failed = self._read(process)
            process.wait()
        finally:
            timer.cancel()
            self._kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError, ValueError):
                        stream.close()
        return failed, timed_out.is_set()

    def _read(self, process: subprocess.Popen[bytes]) -> str:
        assert process.stdout is not None
        failed = ""
        while line := process.stdout.readline(4 * MAX_BYTES):
            try:
                said = EndpointSaid.model_validate_json(line)
            except ValidationError:
                continue
            if said.measurement:
                self._result = Measurement.from_json(said.measurement, "the probe's own measurement")
            elif said.failed:
                failed = said.failed
            elif said.level:
                self._said = said
                if said.level not in self._levels:
                    self._levels.append(said.level)
                rate = f"{said.output_tokens_per_s:.0f} tokens/s"
                self._message = f"{said.level}: {said.requests} done, {said.errors} failed, {rate}"
            else:
                self._message = said.stage or self._message
        return failed

    def _kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def _tell(self, message: str) -> None:
        self._message = message

    def _end(self, state: State, message: str) -> None:
        self._message, self._state = message, state
