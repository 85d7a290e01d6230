"""What a probe says while it runs: one JSON object a line, from the child process to the one that started it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from facts.records import Fact


class Stage(Fact):
    """A new stage began."""

    event: Literal["stage"] = "stage"
    """Which event."""
    text: str
    """What is done now."""


class Written(Fact):
    """A part of the synthetic model file is on disk."""

    event: Literal["written"] = "written"
    """Which event."""
    done_bytes: int
    """Written so far."""
    total_bytes: int
    """Size of the whole file."""


class Loaded(Fact):
    """The engine has the model."""

    event: Literal["loaded"] = "loaded"
    """Which event."""
    engine_version: str
    """Of the binding, which pins the engine."""
    system_info: str
    """What the engine says it was built with."""
    gpu_offload: bool
    """Whether it can use an accelerator."""
    model_name: str
    """The engine's description of the model."""
    parameters: int
    """As the engine counts them."""
    weights_bytes: int
    """As the engine counts them."""
    load_s: float
    """Seconds that loading took."""
    threads: int
    """Threads used."""


class Estimate(Fact):
    """How long the measuring will take, after a few tokens of trial."""

    event: Literal["estimate"] = "estimate"
    """Which event."""
    seconds: float
    """Expected, without loading."""
    tests: tuple[str, ...]
    """Names of the tests, after prompt and output lengths were fitted to the budget."""


class Repetition(Fact):
    """One repetition of one test."""

    event: Literal["repetition"] = "repetition"
    """Which event."""
    name: str
    """Test, as in tg128."""
    n_prompt: int
    """Prompt tokens."""
    n_gen: int
    """Generated tokens of each sequence."""
    depth: int
    """Tokens already in the context."""
    slots: int
    """Sequences at once."""
    warmup: bool
    """Whether the machine was still settling."""
    tokens_per_s: float
    """All sequences together."""
    slowest_over_median_step: float
    """Slowest step over the median one; 1 for a prompt."""
    processor_share: float
    """Processor time over wall time x threads."""
    involuntary_switches: int
    """Times the system took a core away."""
    variant: str = ""
    """Setting that differs from the chosen ones, as kv_type=q8_0."""


class TestDone(Fact):
    """A test ended."""

    __test__ = False
    event: Literal["test_done"] = "test_done"
    """Which event."""
    name: str
    """Test."""
    settled: bool
    """Whether its interval came within the wanted share."""
    variant: str = ""
    """Setting that differs from the chosen ones."""


class Failed(Fact):
    """The child gave up, in words."""

    event: Literal["failed"] = "failed"
    """Which event."""
    message: str
    """Why."""


class Done(Fact):
    """Everything was measured."""

    event: Literal["done"] = "done"
    """Which event."""


Event = Annotated[Stage | Written | Loaded | Estimate | Repetition | TestDone | Failed | Done, Field(discriminator="event")]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads one line: EVENT.validate_json(line)."""
MAX_LINE_BYTES = 65_536
"""A longer line is not from a probe."""
