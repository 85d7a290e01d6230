"""A log summarised in a child process, for a page: live progress, cancel, and a crash that takes nothing else along.

The files and everything the child writes lie in one folder of its own, which goes when the job is closed. The child is
`python -m workloads.log_child`; its request goes in as JSON, its progress comes out as lines, its result is a file in that folder.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from facts.errors import InputError
from workloads.log_formats import LogFormat
from workloads.trace_summary import TraceSummary
from workloads.usage import UsageSummary

RESULT = "summary.pickle"
WEIGHTS_ROOM_BYTES = 2**42
"""Of a GGUF file of which only the beginning is there: more than any model's weights."""
STOP_S = 5.0
"""How long a child that was asked to stop may take before it is killed."""


class LogJob:
    """One reading of one log. `state` words: reading, done, failed, cancelled."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.state = "reading"
        self.share = 0.0
        self.problem = ""
        self.columns: tuple[str, ...] = ()
        self.summary: TraceSummary | UsageSummary | None = None
        self._folder, self._process = folder, process
        self._listener = threading.Thread(target=self._listen, name="log-reader", daemon=True)
        self._listener.start()

    @classmethod
    def start(
        cls,
        files: Sequence[tuple[str, bytes]],
        *,
        columns: LogFormat | None = None,
        route: str | None = None,
        zone: str = "UTC",
        tokenizer: str | tuple[str, bytes] | None = None,
    ) -> LogJob:
        """Write the files into the job's folder and begin; names are kept for messages, without any folder in them.

        tokenizer: one of the table, or a GGUF file by name and content, of which the beginning up to the weights is enough
        """
        if not files:
            raise InputError("no request log is given")
        folder = Path(tempfile.mkdtemp(prefix="rightsize-read-"))
        try:
            paths = []
            for number, (name, content) in enumerate(files):
                paths.append(str(_written(folder / str(number), name, content)))
            if isinstance(tokenizer, tuple):
                path = _written(folder / "tokenizer", *tokenizer)
                os.truncate(path, max(len(tokenizer[1]), WEIGHTS_ROOM_BYTES))  # a hole in place of the weights: it takes no space
                tokenizer = str(path)
            request = {
                "paths": paths,
                "columns": None if columns is None else columns.model_dump(mode="json"),
                "route": route,
                "zone": zone,
                "tokenizer": tokenizer,
                "result": str(folder / RESULT),
            }
            process = subprocess.Popen(
                [sys.executable, "-m", "workloads.log_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=Path(__file__).resolve().parents[1],
                env={**os.environ, "TMPDIR": str(folder)},
            )
            assert process.stdin is not None
            process.stdin.write(json.dumps(request))
            process.stdin.close()
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(f"the log cannot be read here: {error.strerror}; make room, or summarise it on the command line") from None
        return cls(folder, process)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state != "reading"

    def cancel(self) -> None:
        """End the reading; nothing of it is left."""
        if not self.over:
            self.state = "cancelled"
            self._process.terminate()

    def wait(self) -> None:
        """Until the child has ended and its result is read."""
        self._listener.join()

    # ---- below: how ----

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            self.share = float(said.get("share", self.share))
            self.problem = str(said.get("problem", self.problem))
            self.columns = tuple(said.get("columns", self.columns))
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self.state == "reading":
            self._end(code)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, code: int) -> None:
        result = self._folder / RESULT
        if code == 0 and result.exists():
            with result.open("rb") as file:
                self.summary = pickle.load(file)  # noqa: S301 - our own child's, in a folder that only we may write
            self.state = "done"
            return
        self.problem = self.problem or f"the reading ended by itself (code {code}): the log may be damaged, or the memory too small for it"
        self.state = "failed"


def _written(place: Path, name: str, content: bytes) -> Path:
    """A file by its own name, in a folder of its own."""
    place.mkdir()
    path = place / (Path(name.replace("\\", "/")).name or "log")
    path.write_bytes(content)
    return path
