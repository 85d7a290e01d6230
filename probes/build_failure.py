"""Why a build of llama-cpp-python failed, in one sentence, and what to do about it: read from the end of its log."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST_MESSAGE = 300
"""Characters of the log that a page shows; the rest is in the log."""


@dataclass(frozen=True, kw_only=True)
class BuildFailure:
    """What went wrong and the way out.

    message: one sentence
    remedy: one sentence, an instruction
    """

    message: str
    remedy: str


def explain(log: str, *, exit_code: int) -> BuildFailure:
    """The failure a pip log tells of; a cause that is not known is given in the log's own last error lines."""
    for pattern, failure in KNOWN:
        if re.search(pattern, log, re.IGNORECASE):
            return failure
    told = " / ".join(error_lines(log)) or f"pip ended with exit code {exit_code} and wrote nothing"
    return BuildFailure(message=told[:LONGEST_MESSAGE], remedy="Read the log, mend the cause, then start again with `make run`.")


def error_lines(log: str, *, most: int = 2) -> list[str]:
    """The last lines that speak of an error, else the last line; pip's own frame around them is left out."""
    lines = [" ".join(line.split()).strip("×╰─>│ ") for line in log.splitlines()]
    lines = [line for line in lines if line and not FRAME.search(line)]
    speaking = list(dict.fromkeys(line for line in lines if re.search(r"\berror\b|\bfatal\b|not found", line, re.IGNORECASE)))
    return speaking[-most:] or lines[-1:]


# The frame that pip draws around the error of a build, and make's and ninja's echoes of it.
FRAME = re.compile(
    r"originates from a subprocess|likely not a problem with pip|subprocess-exited-with-error|did not run successfully|"
    r"exit code: \d|See above for output|metadata-generation-failed|Failed building wheel|Failed to build|\[end of output\]|"
    r"ninja: build stopped|^\*\*\* CMake build failed|^(full command|cwd): |^\[notice\]",
    re.IGNORECASE,
)

_AGAIN = "then start again with `make run`."

KNOWN: tuple[tuple[str, BuildFailure], ...] = (
    (
        r"no space left on device",
        BuildFailure(message="The disk is full.", remedy=f"Free 1 GB on the disk of the data folder, {_AGAIN}"),
    ),
    (
        r"no CMAKE_C(XX)?_COMPILER could be found|CMAKE_C(XX)?_COMPILER not set|unknown compiler"
        r"|(g\+\+|c\+\+|cc1plus): (command )?not found",
        BuildFailure(
            message="No C++ compiler was found.",
            remedy=f"Install one (Debian, Ubuntu: sudo apt-get install build-essential; macOS: xcode-select --install), {_AGAIN}",
        ),
    ),
    (
        r"could not find cmake|cmake: (command )?not found|cmake must be installed|no such file or directory: '?cmake",
        BuildFailure(
            message="CMake was not found.",
            remedy=f"Install it (Debian, Ubuntu: sudo apt-get install cmake; macOS: brew install cmake), {_AGAIN}",
        ),
    ),
    (
        r"fatal error: killed signal|signal 9|cannot allocate memory|virtual memory exhausted|out of memory",
        BuildFailure(
            message="The compiler ran out of memory.",
            remedy="Give the machine 4 GB of free memory, or compile one file at a time: `CMAKE_BUILD_PARALLEL_LEVEL=1 make run`.",
        ),
    ),
    (
        r"no module named pip",
        BuildFailure(message="The environment has no pip.", remedy="Make it anew: `make clean`, then `make run`."),
    ),
    (
        r"could not find a version that satisfies|no matching distribution|name resolution|connection (refused|reset|timed out|broken)"
        r"|network is unreachable|max retries exceeded|read timed out|failed to establish a new connection|proxyerror",
        BuildFailure(
            message="The package index could not be reached, or does not have this version.",
            remedy=f"Check the network and pip's proxy and index settings, {_AGAIN}",
        ),
    ),
)
"""What is known to go wrong: a pattern of the log, and what to say; the first that matches counts."""
