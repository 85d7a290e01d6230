"""What the child process of a probe does: write the synthetic model if one is wanted, load, measure, and say each step.

The request comes as one JSON line on standard input, which then stays open: when it closes, the parent is gone and the child
ends at once. Events leave on what was standard output; anything the engine prints itself goes to standard error.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from capacity.models import ModelSpec
from capacity.tensors import tensor_plan
from facts.errors import InputError
from facts.records import Fact
from probes import llamacpp
from probes.measurement import LlamaCppSettings
from probes.progress import Event, Failed, Stage, Written
from probes.synthetic import check_memory, synthesize

REPORT_BYTES = 64 * 1024 * 1024
"""Progress of writing is said once per so many bytes."""


class ChildRequest(Fact):
    """What the child is to do."""

    settings: LlamaCppSettings
    """How to run llama.cpp."""
    model: ModelSpec | None = None
    """Shape to write with random weights; none means that `file` is a user's."""
    quantization: str = ""
    """Quantization of the synthetic file."""
    file: Path
    """The GGUF file: where the synthetic one is to be, or the user's."""


def main() -> int:
    """Serve one request; 0 when it was measured to the end, 1 when a Failed event says why not."""
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    request = ChildRequest.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def emit(event: Event) -> None:
        events.write(event.model_dump_json().encode() + b"\n")

    try:
        _serve(request, emit)
    except InputError as error:
        emit(Failed(message=str(error)))
        return 1
    except MemoryError:
        emit(Failed(message="out of memory: choose a smaller model or quantization"))
        return 1
    return 0


def _serve(request: ChildRequest, say: Callable[[Event], None]) -> None:
    if request.model is not None:
        plan = tensor_plan(request.model, request.quantization)
        say(Stage(text=f"writing {request.model.name} with random weights"))
        last = 0

        def report(done: int, total: int) -> None:
            nonlocal last
            if done - last >= REPORT_BYTES or done == total:
                last = done
                say(Written(done_bytes=done, total_bytes=total))

        synthesize(plan, request.file.parent, report)
    check_memory(request.file.stat().st_size, request.file.name, repack=request.settings.repack)
    llamacpp.measure(request.file, request.settings, say)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
