"""One probe at a time per machine: a lock file that says who holds it and since when.

The lock is the system's own (flock), so it is gone with its process; two threads of one process exclude each other too.
"""

from __future__ import annotations

import contextlib
import getpass
import itertools
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from facts.errors import InputError

LOCK_FILE = "rightsize-probe.lock"
MAX_NOTE_BYTES = 4096
POLL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who is measuring.

    user: login name
    pid: process
    what: what is measured
    since: when it began, in UTC
    """

    user: str
    pid: int
    what: str
    since: datetime

    def sentence(self, now: datetime) -> str:
        """Who measures what, and for how long."""
        minutes = max(0.0, (now - self.since).total_seconds()) / 60.0
        age = f"{minutes * 60:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
        return f"{self.user} (process {self.pid}) has been measuring {self.what} since {self.since:%H:%M:%S} UTC ({age})"


class ProbeBusyError(InputError):
    """Another probe is running on this machine."""

    def __init__(self, owner: Owner | None, now: datetime) -> None:
        self.owner = owner
        self.who = owner.sentence(now) if owner else "another process has been measuring on this machine"
        super().__init__(f"{self.who}: two probes at once would measure each other; wait for it or cancel it")


class HostLock:
    """The machine's probe lock, held from `take` to `release`."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or lock_path()
        self._handle: int | None = None

    @property
    def handle(self) -> int | None:
        """The open lock file, to hand on to a child so that the lock lasts as long as it."""
        return self._handle

    def take(self, what: str, now: datetime) -> None:
        """Hold the lock, or raise ProbeBusyError with its owner."""
        handle = _open(self._path)
        if not _lock(handle):
            owner = _read(handle)
            os.close(handle)
            raise ProbeBusyError(owner, now)
        os.ftruncate(handle, 0)
        os.pwrite(handle, _note(what, now), 0)
        self._handle = handle

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


class Place:
    """A place in the queue for the machine's lock: a file that is locked by whoever waits, so that it is gone with its process."""

    _numbers = itertools.count()

    def __init__(self, what: str, now: datetime, path: Path | None = None) -> None:
        folder = queue_folder(path)
        try:
            folder.mkdir(exist_ok=True)
            folder.chmod(0o1777)
        except PermissionError:
            pass  # another user made it, for all
        except OSError as error:
            raise InputError(f"the queue {folder} cannot be made ({error.strerror}): remove it or set TMPDIR") from None
        name = f"{now.timestamp():017.6f}-{os.getpid():010d}-{next(self._numbers):06d}"
        self._file = folder / name
        self._handle: int | None = _open(self._file)
        _lock(self._handle)
        os.pwrite(self._handle, _note(what, now), 0)

    def ahead(self) -> tuple[Owner, ...]:
        """Those that came before."""
        return tuple(owner for name, owner in _waiting(self._file.parent) if name < self._file.name)

    def leave(self) -> None:
        """Give the place up."""
        if self._handle is not None:
            self._file.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = None


def wait_for_lock(
    lock: HostLock, what: str, created: datetime, cancel: threading.Event, tell: Callable[[str], None], path: Path | None = None
) -> bool:
    """Wait in turn for the lock, telling who measures and how many are ahead; False when it was cancelled before."""
    began, place = time.monotonic(), Place(what, created, path)
    try:
        while not cancel.wait(POLL_S):
            ahead = place.ahead()
            try:
                if not ahead:
                    lock.take(what, created + timedelta(seconds=time.monotonic() - began))
                    return True
            except ProbeBusyError as error:
                tell(f"waiting, next in the queue: {error.who}")
                continue
            owner = owner_of(path)
            who = owner.sentence(created + timedelta(seconds=time.monotonic() - began)) if owner else "another probe is about to start"
            tell(f"{who}; {len(ahead)} ahead in the queue, the next is {ahead[0].what}")
        return False
    finally:
        place.leave()


def take_or_wait(lock: HostLock, what: str, now: datetime, *, wait: bool) -> str:
    """Take the lock: '' when it is held, or why to wait for it; ProbeBusyError when it is not to be waited for.

    Nobody passes those who wait already.
    """
    waiting = queue_of()
    try:
        if waiting:
            raise ProbeBusyError(owner_of() or waiting[0], now)
        lock.take(what, now)
    except ProbeBusyError as error:
        if not wait:
            raise
        return f"waiting: {error.who}"
    return ""


def queue_of(path: Path | None = None) -> tuple[Owner, ...]:
    """Who waits for the lock, in the order they came."""
    return tuple(owner for _, owner in _waiting(queue_folder(path)))


def queue_folder(path: Path | None = None) -> Path:
    """Where those who wait leave their note."""
    lock = path or lock_path()
    return lock.with_name(lock.name + ".queue")


def lock_path() -> Path:
    """The one lock of this machine, in the folder that all its users share."""
    return Path(tempfile.gettempdir()) / LOCK_FILE


def owner_of(path: Path | None = None) -> Owner | None:
    """Who is measuring now, or None when nobody is."""
    try:
        handle = os.open(path or lock_path(), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    try:
        return None if _lock(handle) else _read(handle)
    finally:
        os.close(handle)


# ---- below: how ----


def _note(what: str, now: datetime) -> bytes:
    note = {"user": _user(), "pid": os.getpid(), "what": what[:200], "since": now.astimezone(UTC).isoformat()}
    return json.dumps(note).encode()[:MAX_NOTE_BYTES]


def _waiting(folder: Path) -> list[tuple[str, Owner]]:
    """(name, owner) of every place whose process lives, in order; the others are removed."""
    found = []
    for file in sorted(folder.glob("*-*-*")):
        try:
            handle = os.open(file, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            continue
        try:
            if _lock(handle):
                with contextlib.suppress(OSError):
                    file.unlink()
            elif (owner := _read(handle)) is not None:
                found.append((file.name, owner))
        finally:
            os.close(handle)
    return found


def _open(path: Path) -> int:
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        try:
            return os.open(path, flags)  # without O_CREAT first: a system may refuse that on another user's file in /tmp
        except FileNotFoundError:
            handle = os.open(path, flags | os.O_CREAT, 0o666)
            os.fchmod(handle, 0o666)
            return handle
    except OSError as error:
        raise InputError(f"the probe lock {path} cannot be opened ({error.strerror}): remove that file or set TMPDIR") from None


def _lock(handle: int) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read(handle: int) -> Owner | None:
    try:
        note = json.loads(os.pread(handle, MAX_NOTE_BYTES, 0))
        since = datetime.fromisoformat(note["since"])
        return Owner(user=str(note["user"])[:64], pid=int(note["pid"]), what=str(note["what"])[:200], since=since)
    except (ValueError, KeyError, TypeError, OSError):
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "someone"
