"""A measurement: what was seen, on what, with which settings, and every figure derived from it by a named formula."""

from __future__ import annotations

import hashlib
import json
import math
import re
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AwareDatetime, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from facts.errors import InputError
from facts.records import Fact, sentence
from probes import goodput, timing

SCHEMA_VERSION = 1
"""1: first version, November 2026."""
MAX_BYTES = 20_000_000
"""The largest measurement that is read."""

ROW_OF_NUMBERS = re.compile(r"\[\n\s+(?:[-+.\deE]+,?\n\s+)+\]")
BYTES_PER_STAMP, BYTES_PER_REQUEST = 12, 900
"""Room that a measurement's text takes for an event with text, and for the rest of its request."""


class Status(StrEnum):
    """How far a probe came."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


class Grown(Fact):
    """A record with fields of later versions; they are left out while they say nothing, so that older files keep their hash."""

    ADDED: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_silence(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        silent = {name for name in self.ADDED if getattr(self, name) == fields[name].default}
        return {name: value for name, value in whole(self).items() if name not in silent}


class Gpu(Fact):
    """An accelerator of the probed machine."""

    name: str
    """As its driver names it."""
    memory_bytes: int
    """Memory of one device."""
    driver: str = ""
    """Driver version."""
    catalog_id: str | None = None
    """The accelerator of the catalogue with exactly these tokens in its name."""


class Contention(Fact):
    """What else the machine was doing."""

    window_s: float
    """How long was looked, in seconds."""
    idle_share: float
    """Share of all processor time that nobody used, 0 to 1."""
    steal_share: float = 0.0
    """Share that the host of this virtual machine gave to others, 0 to 1."""
    others_share: float = 0.0
    """Share that other processes used, 0 to 1."""
    load_1min: float | None = None
    """The one-minute load average."""


class Environment(Grown):
    """The machine a probe ran on."""

    ADDED = ("copy_gb_per_s", "matrix_gflops", "cache_bytes")

    host: str = ""
    """Name of the machine."""
    os: str = ""
    """Operating system and kernel."""
    python: str = ""
    """Python version."""
    cpu: str = ""
    """Processor, as it names itself."""
    cpu_flags: tuple[str, ...] = ()
    """Vector instructions the processor has, of those llama.cpp can use."""
    sockets_numa: int = 1
    """NUMA nodes."""
    physical_cores: int = 1
    """Cores, without hyper-threads."""
    logical_cores: int = 1
    """Processors the system counts."""
    usable_cores: float = 1.0
    """Processors this process may use: affinity and container quota."""
    quota_cores: float | None = None
    """The container's processor quota, none if there is none."""
    governor: str = ""
    """Frequency governor, where the system shows it."""
    virtual_machine: bool = False
    """Whether the processor says it is virtual."""
    memory_bytes: int = 0
    """Memory of the machine."""
    memory_available_bytes: int = 0
    """Of it, available when the probe began."""
    memory_limit_bytes: int | None = None
    """The container's memory limit, none if there is none."""
    gpus: tuple[Gpu, ...] = ()
    """Accelerators that the NVIDIA driver shows."""
    copy_gb_per_s: float | None = None
    """Measured memory bandwidth: bytes read and written by copies from all usable cores, GB/s; none when it was not measured."""
    matrix_gflops: float | None = None
    """Measured float32 matrix product, GFLOP/s; none when it was not measured."""
    cache_bytes: int | None = None
    """Last-level caches of the processors that may be used, together; none where the system does not say."""
    before: Contention | None = None
    """What else was running in the seconds before the probe."""
    during: Contention | None = None
    """What else was running while it measured."""


class ModelFile(Fact):
    """The file that was loaded."""

    name: str
    """File name without folder."""
    bytes: int
    """Size of the file."""
    sha256: str = ""
    """Of its first and last mebibyte and its size for a file of the user; of the plan for a synthetic one."""
    synthetic: bool = False
    """Whether its weights are random."""
    proxy_layers: int | None = None
    """Layers kept, when only a few stand for the whole."""


class ClientLimit(Fact):
    """What this machine's client can read, found against a server on loopback that writes its own clock into each event."""

    events_per_s: float
    """Highest rate of events that one process read with a p99 delay within the limit."""
    delay_p99_ms: float
    """p99 of (read - sent) at that rate."""
    failed_events_per_s: float | None = None
    """Lowest rate that was too much; none when the ladder ended before."""


class Power(Fact):
    """What the accelerators drew while the probe measured."""

    seconds: float
    """How long was watched."""
    energy_j: float
    """Energy of all devices together: the driver's counter where it has one, else mean power x time."""
    mean_w: float
    """Energy over time."""
    highest_w: float
    """Highest sample, all devices together."""
    samples: int
    """How many samples were taken."""
    output_tokens: float = 0.0
    """Output tokens in that time."""

    @property
    def tokens_per_j(self) -> float:
        """Output tokens per joule, prompts and idle gaps included."""
        return self.output_tokens / self.energy_j if self.energy_j > 0 else 0.0


class Proxy(Fact):
    """A few layers of a model at true width that stood for the whole; figures of the whole are extrapolated."""

    model_id: str
    """Model of the catalogue that is meant."""
    layers: int
    """Layers that were measured."""
    layers_of_model: int
    """Layers of the whole."""
    generation_share: float
    """Bytes that a generated token reads in the proxy over those in the whole."""
    prompt_share: float
    """Operations of a prompt token in the proxy over those in the whole."""


class LlamaCppSettings(Grown):
    """How llama.cpp was run; the defaults are llama-bench's."""

    ADDED = ("sweep",)

    kind: Literal["llamacpp"] = "llamacpp"
    """Which probe."""
    prompt_tokens: int = Field(default=512, ge=0, le=131_072)
    """Length of the prompt test; 0 leaves it out."""
    output_tokens: int = Field(default=128, ge=0, le=16_384)
    """Length of the generation test; 0 leaves it out."""
    depths: tuple[Annotated[int, Field(ge=0, le=1_048_576)], ...] = (0,)
    """Tokens already in the context before each test."""
    slots: tuple[Annotated[int, Field(ge=1, le=256)], ...] = (1,)
    """Sequences generated at once; each number above 1 adds a batched test."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """Threads for both phases; none means the usable physical cores."""
    batch: int = Field(default=2048, ge=1, le=65_536)
    """Logical batch, tokens."""
    ubatch: int = Field(default=512, ge=1, le=65_536)
    """Physical batch, tokens."""
    kv_type: Literal["f16", "q8_0", "q4_0"] = "f16"
    """Type of the key and value cache."""
    flash_attention: Literal["auto", "on", "off"] = "auto"
    """Flash attention."""
    repack: bool = True
    """Whether weights may be laid out anew for this processor at load."""
    mmap: bool = True
    """Whether the file is mapped instead of read."""
    gpu_layers: int = Field(default=-1, ge=-1, le=100_000)
    """Layers on the accelerator; -1 is all, 0 none."""
    seconds: float = Field(default=60.0, gt=0, le=86_400)
    """Time budget of the measuring itself, without loading."""
    repetitions: int = Field(default=50, ge=1, le=10_000)
    """Most repetitions of a test."""
    interval_share: float = Field(default=timing.SETTLED_SHARE, gt=0, lt=1)
    """A test ends when the half width of its 95 % interval is within this share of the mean."""
    passive_wait: bool = False
    """Whether OpenMP threads sleep while they wait; slower alone, far steadier beside other work."""
    seed: int = 1
    """Of the random token ids."""
    sweep: tuple[Literal["kv_type", "flash_attention", "repack"], ...] = ()
    """Settings that are measured at their other values too, one at a time."""


LENGTHS_SPREAD = 0.2
"""How much shorter and longer than their mean the answers of an endpoint's measurement are, unless told: with equal ones the next
prompts of those that began together come together again, and vLLM's first tokens were seen to come two to five times as late."""


class EndpointSettings(Grown):
    """How an endpoint was asked."""

    ADDED = (
        "top_shares",
        "search",
        "ttft_limit_ms",
        "tpot_limit_ms",
        "latency_limit_ms",
        "good_share",
        "trace",
        "trace_speed",
        "processes",
        "lengths_spread",
    )

    kind: Literal["endpoint"] = "endpoint"
    """Which probe."""
    url: str
    """Base address, such as http://127.0.0.1:8000/v1."""
    model: str = ""
    """Model name that is sent; empty means the first that the server lists."""
    input_tokens: int = Field(default=512, ge=1, le=1_000_000)
    """Prompt length that is asked for."""
    output_tokens: int = Field(default=128, ge=1, le=100_000)
    """Answer length that is asked for."""
    concurrencies: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = (1, 2, 4, 8)
    """Requests in flight at each level of the ladder."""
    rates_per_s: tuple[Annotated[float, Field(gt=0, le=10_000)], ...] = ()
    """Requests a second of the open-loop levels."""
    arrivals: Literal["poisson", "constant"] = "poisson"
    """Gaps between the requests of an open-loop level."""
    sweep: bool = False
    """Whether the ladder ends when a step adds less than 5 % to the output rate."""
    seconds_per_level: float = Field(default=30.0, gt=0, le=86_400)
    """How long a level is held."""
    max_requests: int = Field(default=2_000, ge=1, le=10_000_000)
    """Cap on all requests together."""
    max_tokens: int = Field(default=5_000_000, ge=1)
    """Cap on all tokens together, input and output."""
    max_usd: float | None = Field(default=None, gt=0)
    """Cap on what the run may cost at the given prices."""
    input_usd_per_mtok: float = Field(default=0.0, ge=0)
    """Price of input, for the cap."""
    output_usd_per_mtok: float = Field(default=0.0, ge=0)
    """Price of output, for the cap."""
    timeout_s: float = Field(default=120.0, gt=0, le=86_400)
    """Longest time one request may take."""
    seed: int = 1
    """Of the prompts and the Poisson gaps."""
    top_shares: tuple[Annotated[float, Field(gt=0, le=2)], ...] = ()
    """After the ladder, open-loop levels at these shares of the highest request rate that it reached."""
    search: bool = False
    """Whether to search for the highest rate that meets the limits."""
    ttft_limit_ms: float | None = Field(default=None, gt=0)
    """A good request has its first token within this; in an open loop from the time it was due."""
    tpot_limit_ms: float | None = Field(default=None, gt=0)
    """A good request's time per following token is within this."""
    latency_limit_ms: float | None = Field(default=None, gt=0)
    """A good request is whole within this."""
    good_share: float = Field(default=0.95, gt=0, le=1)
    """A level meets the limits when this share of its requests is good, failed ones in the denominator."""
    trace: str = ""
    """Name of the trace that was replayed, with its hash; empty for none."""
    trace_speed: float = Field(default=1.0, gt=0, le=1000)
    """How many times faster than recorded it was replayed."""
    processes: int | None = Field(default=None, ge=1, le=64)
    """Processes that ask; none means one, and more where the client alone would be the bottleneck."""
    lengths_spread: float = Field(default=0.0, ge=0, lt=1)
    """Answers are as much shorter and longer than `output_tokens`, evenly; equal ones that began together end and begin together again."""

    @property
    def has_limits(self) -> bool:
        """Whether there is a service level to meet."""
        return any(limit is not None for limit in (self.ttft_limit_ms, self.tpot_limit_ms, self.latency_limit_ms))


class TestResult(Grown):
    """One test of the llama.cpp probe: every repetition is kept, the rest is derived."""

    __test__ = False
    ADDED = ("variant",)

    name: str
    """As llama-bench writes it: pp512, tg128, with @d1024 at a depth and x4 for four sequences."""
    n_prompt: int = Field(ge=0)
    """Prompt tokens of a repetition."""
    n_gen: int = Field(ge=0)
    """Generated tokens of a repetition, of each sequence."""
    depth: int = Field(default=0, ge=0)
    """Tokens already in the context."""
    slots: int = Field(default=1, ge=1)
    """Sequences at once."""
    samples_tokens_per_s: tuple[float, ...] = ()
    """Tokens over wall time of each repetition, all sequences together, in the order measured."""
    warmup_tokens_per_s: tuple[float, ...] = ()
    """Repetitions before the machine had settled."""
    slowest_over_median_step: tuple[float, ...] = ()
    """Slowest generation step over the median one, of each repetition."""
    processor_share: tuple[float, ...] = ()
    """Processor time over wall time x threads, of each repetition; below 1 the threads had to wait for a core."""
    involuntary_switches: tuple[int, ...] = ()
    """Times the system took a core away, in each repetition."""
    settled: bool = False
    """Whether the Student-t interval came within the wanted share before the budget ended."""
    variant: str = ""
    """Setting that differs from the measurement's own, as kv_type=q8_0; empty for none."""

    @property
    def median(self) -> float:
        """Median tokens/s."""
        return timing.median(self.samples_tokens_per_s)

    @property
    def mean(self) -> float:
        """Mean tokens/s."""
        return timing.mean(self.samples_tokens_per_s)

    @property
    def sd(self) -> float:
        """Sample standard deviation of the tokens/s, n - 1."""
        return timing.sample_sd(self.samples_tokens_per_s)


class RequestTiming(Grown):
    """One request to an endpoint: monotonic stamps in seconds from the start of the level; -1 where nothing came."""

    ADDED = ("wanted_input_tokens", "wanted_output_tokens", "engine_prompt_ms", "engine_output_ms", "wordless_tokens")

    scheduled_s: float
    """When it should have left."""
    sent_s: float
    """When it left."""
    headers_s: float = -1.0
    """When the status line was there."""
    first_chunk_s: float = -1.0
    """First event of any kind, a role chunk included."""
    first_content_s: float = -1.0
    """First event with text of any kind: answer, reasoning or tool call."""
    first_answer_s: float = -1.0
    """First event with text of the answer itself."""
    content_s: tuple[float, ...] = ()
    """Every event with text, and every token whose text is empty."""
    done_s: float = -1.0
    """When the stream ended."""
    input_tokens: int | None = None
    """As the server counted them."""
    cached_input_tokens: int | None = None
    """Of these, found in the server's cache."""
    output_tokens: int | None = None
    """As the server counted them."""
    reasoning_tokens: int | None = None
    """Of these, reasoning."""
    finish_reason: str = ""
    """Why the server stopped."""
    error: str = ""
    """Empty, or what went wrong."""
    wanted_input_tokens: int | None = None
    """Prompt length that was asked for, where it is its own."""
    wanted_output_tokens: int | None = None
    """Answer length that was asked for, where it is its own."""
    engine_prompt_ms: float | None = None
    """Time that the engine itself says it read the prompt, as llama-server does in `timings.prompt_ms`."""
    engine_output_ms: float | None = None
    """Time that the engine itself says it wrote the answer, from its first token to its last, as in `timings.predicted_ms`."""
    wordless_tokens: int | None = None
    """Of the tokens, those that came without text, as random weights and halves of characters do; None where there were none."""

    @property
    def ok(self) -> bool:
        """Whether it ended well and carried text."""
        return not self.error and bool(self.content_s)

    @property
    def tokens(self) -> int:
        """Output tokens as the server counted them, else the number of events with text."""
        return self.output_tokens if self.output_tokens is not None else len(self.content_s)

    @property
    def ttft_s(self) -> float:
        """Time to first token: first event with text minus sent."""
        return self.first_content_s - self.sent_s

    @property
    def ttft_from_schedule_s(self) -> float:
        """The same from the scheduled time: what a user waits when the client itself queues."""
        return self.first_content_s - self.scheduled_s

    @property
    def tpot_s(self) -> float | None:
        """Time per output token: (last text - first text) / (tokens - 1); none for a single token."""
        return (self.content_s[-1] - self.content_s[0]) / (self.tokens - 1) if self.tokens > 1 else None

    @property
    def outside_engine_ms(self) -> float | None:
        """Of the time to first token, what the engine does not count as reading: queue, tokenising, network; none if it tells nothing."""
        return None if self.engine_prompt_ms is None else self.ttft_s * 1000.0 - self.engine_prompt_ms

    @property
    def engine_tpot_ms(self) -> float | None:
        """Time per output token by the engine's own clock: its writing time / (tokens - 1); none for a single token."""
        return self.engine_output_ms / (self.tokens - 1) if self.engine_output_ms is not None and self.tokens > 1 else None

    @property
    def lag_s(self) -> float:
        """How late the client was: sent minus scheduled."""
        return self.sent_s - self.scheduled_s


class LevelResult(Grown):
    """One load level of an endpoint probe: all its requests, warm-up apart."""

    ADDED = ("processes",)

    name: str
    """Such as 'c8' for eight in flight or '2.5/s' for an open loop."""
    concurrency: int | None = None
    """Requests held in flight, for a closed loop."""
    rate_per_s: float | None = None
    """Requests a second asked for, for an open loop."""
    duration_s: float
    """From the first request sent to the last one done."""
    window_s: tuple[float, float]
    """The part in which the wanted load was held; throughput counts only what happened inside."""
    requests: tuple[RequestTiming, ...]
    """Every request of the level, errors too."""
    warmup_requests: int = 0
    """Sent before it and not counted."""
    stopped_because: str = ""
    """Empty, or why the level ended early."""
    processes: int = 1
    """Processes that asked."""


class Figure(Fact):
    """A number derived from the samples, with the formula that made it."""

    name: str
    """What it is, such as tg128.median."""
    value: float
    """The number."""
    unit: str
    """Its unit."""
    formula: str
    """How it was computed."""
    samples: int
    """How many samples stand behind it."""


class Measurement(Grown):
    """What a probe saw on one machine, whole: nothing here is edited, a changed file does not match its id."""

    ADDED = ("client", "power", "proxy")

    schema_version: int = SCHEMA_VERSION
    """Version of this format."""
    id: str = ""
    """SHA-256 of everything else in it."""
    kind: Literal["llamacpp", "endpoint"]
    """Which probe."""
    created: AwareDatetime
    """When it was started."""
    status: Status
    """Complete, partial (cancelled, out of time, or ended by an error after some repetitions) or failed."""
    message: str = ""
    """Why it is not complete."""
    model_id: str | None = None
    """Model of the catalogue, or none for a file it does not know."""
    model_name: str = ""
    """As the file or the server names it."""
    model_file: ModelFile | None = None
    """The file, for a probe in process."""
    quantization: str = ""
    """Such as Q4_K_M."""
    engine: str
    """llama.cpp, vllm, or what the server says of itself."""
    engine_version: str = ""
    """Its version."""
    engine_system_info: str = ""
    """What llama.cpp says it was built with."""
    gpu_offload: bool = False
    """Whether the engine can use an accelerator."""
    settings: LlamaCppSettings | EndpointSettings = Field(discriminator="kind")
    """How it was asked."""
    threads: int | None = None
    """Threads that were used."""
    environment_variables: tuple[str, ...] = ()
    """Variables that change how the engine runs, as NAME=value."""
    environment: Environment
    """The machine."""
    weights_bytes: int | None = None
    """Bytes of all tensors, as the engine counts them."""
    parameters: int | None = None
    """Parameters, as the engine counts them."""
    load_s: float | None = None
    """Seconds to load the model."""
    tests: tuple[TestResult, ...] = ()
    """What was measured in process."""
    levels: tuple[LevelResult, ...] = ()
    """What was measured at an endpoint."""
    derived: tuple[Figure, ...] = ()
    """Figures made from the samples."""
    doubts: tuple[str, ...] = ()
    """Why a reader might not believe it."""
    verdict_doubts: tuple[str, ...] = ()
    """Those of them that keep it from a verdict until someone says yes: a wide interval, contention, throttling."""
    log: tuple[str, ...] = ()
    """Lines of the engine's own log that show what ran where."""
    client: ClientLimit | None = None
    """What the client can read, for an endpoint; none when it was not tested."""
    power: Power | None = None
    """What the accelerators drew while it measured."""
    proxy: Proxy | None = None
    """The model that a few layers stood for."""

    def sealed(self) -> Measurement:
        """The same with its figures derived and its id computed; the last step of every probe."""
        whole = self.model_copy(update={"derived": figures(self)})
        return whole.model_copy(update={"id": content_hash(whole)})

    def test(self, name: str) -> TestResult | None:
        """The test of this name, if it has samples."""
        return next((test for test in self.tests if test.name == name and test.samples_tokens_per_s), None)

    @property
    def prompt_test(self) -> TestResult | None:
        """The prompt test of one sequence at depth 0, or the shallowest there is."""
        return self._shallowest("n_prompt")

    @property
    def generation_test(self) -> TestResult | None:
        """The generation test of one sequence at depth 0, or the shallowest there is."""
        return self._shallowest("n_gen")

    def _shallowest(self, field: str) -> TestResult | None:
        found = [test for test in self.tests if getattr(test, field) and test.slots == 1 and not test.variant and test.samples_tokens_per_s]
        return min(found, key=lambda test: test.depth, default=None)

    @property
    def usable_for_verdict(self) -> bool:
        """Whether a verdict may rest on it without an explicit yes: complete, narrow intervals, nothing disturbing it."""
        return self.status is Status.COMPLETE and not self.verdict_doubts

    @property
    def supports(self) -> str:
        """What may be concluded from it and what not, in one sentence."""
        if self.kind == "endpoint":
            return f"These are figures of {self.engine} at this address under this load; they say nothing about another engine or server."
        weights = "random weights at the true shape, so its speed and memory but not its answers; " if self._synthetic else ""
        device = "with its accelerator" if self.gpu_offload and self.environment.gpus else "on its processor"
        return f"This is a llama.cpp figure on this machine {device}: {weights}it says nothing about vLLM on a GPU."

    @property
    def _synthetic(self) -> bool:
        return self.model_file is not None and self.model_file.synthetic

    def to_json(self) -> str:
        """As JSON text that `from_json` reads back to an equal value; a row of numbers stands on one line."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
        return ROW_OF_NUMBERS.sub(lambda row: re.sub(r"\s+", "", row[0]), text) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "measurement") -> Self:
        """A measurement from JSON text; InputError when it is not one, from a newer version, or changed after it was written."""
        if len(text) > MAX_BYTES:
            raise InputError(f"{where}: {len(text)} bytes, more than the {MAX_BYTES} that a measurement may have")
        try:
            data = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not a JSON measurement: {error}") from None
        return cls._checked(data, where)

    @classmethod
    def _checked(cls, data: Any, where: str) -> Self:
        if not isinstance(data, dict):
            raise InputError(f"{where}: a JSON object was expected, not a {type(data).__name__}")
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{where}: schema_version {version!r}, this program reads {SCHEMA_VERSION}: measure again or update the older side"
            )
        try:
            measurement = cls.model_validate(data)
        except ValidationError as error:
            raise InputError(f"{where}: {sentence(cls, error)[:400]}") from None
        expected = content_hash(measurement)
        if measurement.id != expected:
            raise InputError(
                f"{where}: its content has the hash {expected[:12]}, its id is {measurement.id[:12] or 'empty'}: "
                "it was changed after it was written"
            )
        if not _same(measurement.derived, figures(measurement)):
            raise InputError(f"{where}: its figures do not follow from its samples by the named formulas: it was not written by a probe")
        return measurement


def most_requests(output_tokens: float) -> int:
    """Requests of so long answers whose stamps fit into a measurement that is still read."""
    return max(1, int(0.9 * MAX_BYTES / (BYTES_PER_REQUEST + BYTES_PER_STAMP * output_tokens)))


def content_hash(measurement: Measurement) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces) of everything but the id."""
    content = measurement.model_dump(mode="json", exclude={"id"})
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def figures(measurement: Measurement) -> tuple[Figure, ...]:
    """Every figure of a measurement with the name of its formula."""
    found: list[Figure] = []
    for test in measurement.tests:
        if test.samples_tokens_per_s:
            found += _test_figures(test)
    for level in measurement.levels:
        found += _level_figures(level)
    found += _goodput_figures(measurement) + _power_figures(measurement) + _whole_model_figures(measurement)
    return tuple(found)


# ---- below: how ----


def _same(stated: tuple[Figure, ...], computed: tuple[Figure, ...]) -> bool:
    """Whether two lists of figures agree to the last digits that machines differ in."""
    if len(stated) != len(computed):
        return False
    same_kind = all(
        one.model_copy(update={"value": 0.0}) == other.model_copy(update={"value": 0.0})
        for one, other in zip(stated, computed, strict=True)
    )
    return same_kind and all(
        math.isclose(one.value, other.value, rel_tol=1e-9, abs_tol=1e-12) for one, other in zip(stated, computed, strict=True)
    )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _test_figures(test: TestResult) -> list[Figure]:
    samples, n = test.samples_tokens_per_s, len(test.samples_tokens_per_s)
    found = [
        _figure(f"{test.name}.median", timing.median(samples), "tokens/s", "median of tokens / wall time of each repetition", n),
        _figure(f"{test.name}.mean", timing.mean(samples), "tokens/s", "mean of tokens / wall time of each repetition", n),
        _figure(f"{test.name}.sd", timing.sample_sd(samples), "tokens/s", "sample standard deviation, n - 1", n),
    ]
    if n > 1:
        interval = timing.mean_interval(samples)
        found.append(
            _figure(
                f"{test.name}.mean_half_width", interval.high - interval.centre, "tokens/s", "Student-t, 95 %: t(n - 1) x sd / sqrt(n)", n
            )
        )
        around = timing.median_interval(samples)
        name = "order statistics of the binomial, 95 %; the range below six samples"
        found += [
            _figure(f"{test.name}.median_low", around.low, "tokens/s", name, n),
            _figure(f"{test.name}.median_high", around.high, "tokens/s", name, n),
        ]
    return found


def _level_figures(level: LevelResult) -> list[Figure]:
    found: list[Figure] = []
    good = [request for request in level.requests if request.ok]
    asked = len(level.requests)
    found.append(
        _figure(
            f"{level.name}.error_share",
            (asked - len(good)) / asked if asked else 0.0,
            "share",
            "requests without a whole answer / all requests",
            asked,
        )
    )
    held = [request for request in good if level.window_s[0] <= request.sent_s <= level.window_s[1]]
    ttft = [request.ttft_s * 1000.0 for request in held]
    tpot = [value * 1000.0 for request in held if (value := request.tpot_s) is not None]
    late = [request.lag_s * 1000.0 for request in level.requests]
    waited = [request.ttft_from_schedule_s * 1000.0 for request in held] if level.rate_per_s else []
    found += _quantiles(f"{level.name}.ttft", ttft, "first event with text - sent")
    found += _quantiles(f"{level.name}.ttft_from_schedule", waited, "first event with text - scheduled")
    found += _quantiles(f"{level.name}.tpot", tpot, "(last text - first text) / (tokens - 1), per request, unweighted")
    found += _quantiles(f"{level.name}.client_lag", late, "sent - scheduled")
    return found + _engine_figures(level.name, held) + _rates(level, good)


def _engine_figures(name: str, held: list[RequestTiming]) -> list[Figure]:
    """What the engine says of itself, beside what the client saw; nothing where it says nothing."""
    read = [request.engine_prompt_ms for request in held if request.engine_prompt_ms is not None]
    outside = [value for request in held if (value := request.outside_engine_ms) is not None]
    each = [value for request in held if (value := request.engine_tpot_ms) is not None]
    return [
        *_quantiles(f"{name}.engine_prompt", read, "the engine's own time for the prompt (timings.prompt_ms)"),
        *_quantiles(f"{name}.outside_engine", outside, "first event with text - sent - the engine's own time for the prompt"),
        *_quantiles(f"{name}.engine_tpot", each, "the engine's own time for the answer (timings.predicted_ms) / (tokens - 1)"),
    ]


def _rates(level: LevelResult, good: list[RequestTiming]) -> list[Figure]:
    start, end = level.window_s
    span = end - start
    if span <= 0:
        return []
    tokens, n = output_tokens_between(good, start, end), len(good)
    done = [request for request in good if start <= request.done_s <= end]
    read = sum(request.input_tokens or 0 for request in done)
    return [
        _figure(f"{level.name}.output_rate", tokens / span, "tokens/s", "output tokens that arrived inside the window / its length", n),
        _figure(f"{level.name}.input_rate", read / span, "tokens/s", "prompt tokens of requests done inside the window / its length", n),
        _figure(f"{level.name}.request_rate", len(done) / span, "requests/s", "requests done inside the window / its length", n),
    ]


def _goodput_figures(measurement: Measurement) -> list[Figure]:
    """Per level the share and rate of good requests, and the highest offered rate that met the limits."""
    settings = measurement.settings
    if not isinstance(settings, EndpointSettings) or not settings.has_limits:
        return []
    found: list[Figure] = []
    for level in measurement.levels:
        asked, share = goodput.counted(level), goodput.good_share(level, settings)
        span = level.window_s[1] - level.window_s[0]
        found.append(_figure(f"{level.name}.good_share", share, "share", "requests within every limit / all that were due", len(asked)))
        if span > 0:
            rate = share * len(asked) / span
            found.append(
                _figure(f"{level.name}.goodput", rate, "requests/s", "good requests due inside the window / its length", len(asked))
            )
    offered = [level for level in measurement.levels if level.rate_per_s and not settings.trace]
    met = [level.rate_per_s or 0.0 for level in offered if goodput.meets(level, settings)]
    if offered:
        name = f"highest offered rate whose level had a good_share of at least {settings.good_share:g}"
        found.append(_figure("goodput.highest_rate", max(met, default=0.0), "requests/s", name, len(offered)))
    return found


def _power_figures(measurement: Measurement) -> list[Figure]:
    power = measurement.power
    if power is None:
        return []
    return [
        _figure("power.mean", power.mean_w, "W", "energy of all accelerators / time", power.samples),
        _figure("power.tokens_per_j", power.tokens_per_j, "tokens/J", "output tokens / energy, prompts and gaps included", power.samples),
    ]


def _whole_model_figures(measurement: Measurement) -> list[Figure]:
    """The whole model's speed from its proxy's: extrapolated."""
    proxy = measurement.proxy
    if proxy is None:
        return []
    found = []
    for test in measurement.tests:
        if test.samples_tokens_per_s:
            share = proxy.prompt_share if test.n_prompt else proxy.generation_share
            name = "median x operations of the proxy / whole" if test.n_prompt else "median x bytes read per token, proxy / whole"
            value = timing.median(test.samples_tokens_per_s) * share
            found.append(_figure(f"{test.name}.extrapolated", value, "tokens/s", f"{name}: extrapolated", len(test.samples_tokens_per_s)))
    return found


def output_tokens_between(requests: list[RequestTiming], start_s: float, end_s: float) -> float:
    """Output tokens that arrived from start to end; a request's tokens are spread evenly over its events with text."""
    total = 0.0
    for request in requests:
        inside = sum(start_s <= stamp <= end_s for stamp in request.content_s)
        total += request.tokens * inside / len(request.content_s)
    return total


def _quantiles(name: str, values_ms: list[float], formula: str) -> list[Figure]:
    """Median, p95 and, from a hundred samples on, p99: below that p99 is only the maximum."""
    if not values_ms:
        return []
    n = len(values_ms)
    shares = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)) if n >= 100 else (("p50", 0.5), ("p95", 0.95))
    return [_figure(f"{name}.{label}", timing.quantile(values_ms, share), "ms", f"{label} of {formula}", n) for label, share in shares]


def _figure(name: str, value: float, unit: str, formula: str, samples: int) -> Figure:
    return Figure(name=name, value=value, unit=unit, formula=formula, samples=samples)
