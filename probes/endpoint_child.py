"""What the child process of an endpoint probe does: test the client, measure, say how far it is, and last what was measured.

The request is one JSON line on standard input, which then stays open: when it closes, the probe is cancelled and what was
measured so far is said.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from datetime import datetime

from facts.errors import InputError
from facts.records import Fact
from probes import endpoint
from probes.load import Arrival, LevelProgress
from probes.measurement import EndpointSettings, Measurement
from probes.selftest import client_limit


class EndpointRequest(Fact):
    """What the child is to do."""

    settings: EndpointSettings
    """How to ask."""
    created: datetime
    """When it was started."""
    self_test: bool = True
    """Whether to measure the client first."""
    trace: tuple[Arrival, ...] = ()
    """Schedule to replay."""


class EndpointSaid(Fact):
    """A line of the child."""

    stage: str = ""
    """What is done now."""
    level: str = ""
    """Name of the level under way."""
    requests: int = 0
    """Done in it."""
    errors: int = 0
    """Failed of them."""
    output_tokens_per_s: float = 0.0
    """So far in it."""
    elapsed_s: float = 0.0
    """In it."""
    expected_s: float = 0.0
    """How long it is to last."""
    failed: str = ""
    """Why nothing was measured."""
    measurement: str = ""
    """The measurement as JSON text, on the last line."""


def main() -> int:
    """Serve one request; 0 when something was measured."""
    lines = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    request = EndpointRequest.model_validate_json(sys.stdin.buffer.readline())
    cancel = threading.Event()
    threading.Thread(target=_cancel_at_the_end, args=(cancel,), daemon=True).start()

    def say(said: EndpointSaid) -> None:
        lines.write(said.model_dump_json().encode() + b"\n")

    try:
        say(EndpointSaid(stage="testing the client itself" if request.self_test else "asking who is there"))
        say(EndpointSaid(measurement=_measured(request, cancel, say).to_json()))
    except InputError as error:
        say(EndpointSaid(failed=str(error)))
        return 1
    return 0


def _measured(request: EndpointRequest, cancel: threading.Event, say: Callable[[EndpointSaid], None]) -> Measurement:
    def report(now: LevelProgress) -> None:
        say(
            EndpointSaid(
                level=now.name,
                requests=now.requests,
                errors=now.errors,
                output_tokens_per_s=now.output_tokens_per_s,
                elapsed_s=now.elapsed_s,
                expected_s=now.expected_s,
            )
        )

    limit = client_limit() if request.self_test else None
    return endpoint.measure_endpoint(
        request.settings, created=request.created, report=report, cancel=cancel, client=limit, trace=request.trace
    )


def _cancel_at_the_end(cancel: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    cancel.set()


if __name__ == "__main__":
    sys.exit(main())
