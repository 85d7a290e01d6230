"""A GGUF model in this process, through llama.cpp's C interface, measured the way llama-bench does.

Only for a child process: llama.cpp ends the process when an assertion of its own fails. The method is that of llama-bench
(tools/llama-bench in llama.cpp): random token ids, one decode per batch, one synchronise after a prompt and after each
generated token, memory cleared between repetitions, tokens over wall time. No sampler, no tokeniser, no Python callback
while the clock runs.
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import random
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from facts.errors import InputError
from probes import timing
from probes.environment import default_threads
from probes.measurement import LlamaCppSettings
from probes.progress import Done, Estimate, Event, Loaded, Repetition, Stage, TestDone

KV_TYPES = {"f16": 1, "q4_0": 2, "q8_0": 8}
"""Name -> ggml type number."""
FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}
DEBUG_LEVEL = 1
"""ggml's log levels: 1 debug, 2 info, 3 warning, 4 error, 5 goes on with the line before."""
CONTEXT_STEP = 256
"""Contexts are rounded up to this, as llama.cpp pads them."""
TRIAL_PROMPT, TRIAL_OUTPUT = 64, 8
WARMUP_MOST = 4
WARMUP_AGREE_SHARE = 0.05
"""Two warm-up repetitions this close to each other end the warm-up."""
REPETITIONS_PLANNED = 8
"""Three to warm up, five to measure."""
SHORTEST_PROMPT, SHORTEST_OUTPUT = 32, 8
SWEPT: dict[str, tuple[str | bool, ...]] = {
    "kv_type": ("f16", "q8_0", "q4_0"),
    "flash_attention": ("on", "off"),
    "repack": (True, False),
}
"""Values that a sweep goes through."""
REMEDY = "make run builds it in the background, or: pip install 'rightsize[probe]'"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One test to run.

    n_prompt, n_gen: tokens of a repetition; one of them is 0
    depth: tokens already in the context
    slots: sequences at once
    """

    n_prompt: int
    n_gen: int
    depth: int = 0
    slots: int = 1

    @property
    def name(self) -> str:
        """As llama-bench writes it, with x4 for four sequences."""
        base = f"pp{self.n_prompt}" if self.n_prompt else f"tg{self.n_gen}"
        return base + (f"@d{self.depth}" if self.depth else "") + (f"x{self.slots}" if self.slots > 1 else "")

    @property
    def tokens(self) -> int:
        """Tokens of one repetition, all sequences together."""
        return (self.n_prompt + self.n_gen) * self.slots


def installed() -> bool:
    """Whether llama-cpp-python can be imported, without loading it."""
    return importlib.util.find_spec("llama_cpp") is not None


def check_gguf(path: Path) -> None:
    """InputError unless the file begins as a GGUF of a version that llama.cpp reads, with believable counts."""
    try:
        with path.open("rb") as file:
            head = file.read(24)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, a GGUF file is wanted") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if head[:4] != b"GGUF":
        raise InputError(f"{path} is not a GGUF file: it begins with {head[:4]!r}, a GGUF file with b'GGUF'")
    if len(head) < 24:
        raise InputError(f"{path} is cut off: {size} bytes, a GGUF header alone has 24")
    version, tensors, keys = struct.unpack("<IQQ", head[4:24])
    if version not in (2, 3):
        raise InputError(f"{path} is GGUF version {version}, llama.cpp reads 2 and 3: convert it again")
    # A tensor's description takes at least 24 bytes, a key at least 13.
    if tensors * 24 + keys * 13 > size:
        raise InputError(f"{path} is damaged: its header claims {tensors} tensors and {keys} keys in {size} bytes")


def measure(path: Path, settings: LlamaCppSettings, emit: Callable[[Event], None]) -> None:
    """Load the file and measure every test of the settings, saying each repetition as soon as it is known."""
    check_gguf(path)
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    if settings.passive_wait:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    emit(Stage(text="loading the model"))
    others = variants(settings)
    with _Engine(path, settings) as engine:
        emit(engine.loaded)
        emit(Stage(text="trying a few tokens"))
        plans = engine.fitted_plans(len(others))
        again = _simple(plans)
        estimate_s = sum(engine.expected_s(plan) for plan in (*plans, *again * len(others)))
        names = [plan.name for plan in plans] + [f"{plan.name}/{label}" for label, _ in others for plan in again]
        emit(Estimate(seconds=min(estimate_s, settings.seconds), tests=tuple(names)))
        ends = time.monotonic() + settings.seconds
        _run_all(engine, plans, ends - settings.seconds * len(again) * len(others) / len(names), emit)
    for number, (label, changed) in enumerate(others):
        emit(Stage(text=f"loading the model with {label}"))
        with _Engine(path, changed) as engine:
            left = ends - time.monotonic()
            _run_all(engine, again, time.monotonic() + left / (len(others) - number), emit, label)
    emit(Done())


def test_names(settings: LlamaCppSettings) -> tuple[str, ...]:
    """Every test that the settings ask for, the repeated ones of a sweep with their setting."""
    plans = tuple(dict.fromkeys(_plans(settings)))
    swept = (f"{plan.name}/{label}" for label, _ in variants(settings) for plan in _simple(plans))
    return (*(plan.name for plan in plans), *swept)


def variants(settings: LlamaCppSettings) -> tuple[tuple[str, LlamaCppSettings], ...]:
    """The settings that a sweep measures beside the chosen ones, one change at a time, each with its name."""
    found: list[tuple[str, LlamaCppSettings]] = []
    for field in dict.fromkeys(settings.sweep):
        values: tuple[str | bool, ...] = SWEPT[field]
        for value in values:
            if value == getattr(settings, field):
                continue
            changes: dict[str, str | bool] = {field: value}
            if field == "kv_type" and value != "f16" and settings.flash_attention == "off":
                changes["flash_attention"] = "on"  # a quantised cache needs it
            found.append((",".join(f"{name}={_word(text)}" for name, text in changes.items()), settings.model_copy(update=changes)))
    return tuple(found)


def _word(value: str | bool) -> str:
    return value if isinstance(value, str) else "on" if value else "off"


def _simple(plans: tuple[Plan, ...]) -> tuple[Plan, ...]:
    """The tests that variants repeat: one sequence, at the first depth."""
    return tuple(plan for plan in plans if plan.slots == 1 and plan.depth == plans[0].depth)


def _run_all(engine: _Engine, plans: tuple[Plan, ...], deadline: float, emit: Callable[[Event], None], variant: str = "") -> None:
    for position, plan in enumerate(plans):
        emit(Stage(text=f"measuring {plan.name}{f' with {variant}' if variant else ''}"))
        share = (deadline - time.monotonic()) / (len(plans) - position)

        def say(event: Event) -> None:
            emit(event.model_copy(update={"variant": variant}) if isinstance(event, Repetition) else event)

        settled = engine.run(plan, time.monotonic() + share, say)
        emit(TestDone(name=plan.name, settled=settled, variant=variant))


# ---- below: how ----


class _Engine:
    """A loaded model; every call into the library stands here."""

    def __init__(self, path: Path, settings: LlamaCppSettings) -> None:
        self._api = _library()
        self._settings = settings
        self._threads = settings.threads or default_threads()
        self._random = random.Random(settings.seed)  # noqa: S311 - token ids, not secrets
        self._token_rate = {"prompt": 0.0, "output": 0.0}
        self._log = self._api.llama_log_callback(_write_log)  # kept: the library calls it until the process ends
        self._api.llama_log_set(self._log, ctypes.c_void_p(0))
        self._api.llama_backend_init()
        begun = time.monotonic()
        self._model = self._load(path)
        self._vocab = self._api.llama_model_get_vocab(self._model)
        self._vocab_size = max(1, int(self._api.llama_vocab_n_tokens(self._vocab)))
        self.loaded = self._describe(time.monotonic() - begun)

    def __enter__(self) -> _Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.llama_model_free(self._model)
        self._api.llama_backend_free()

    def fitted_plans(self, other_settings: int = 0) -> tuple[Plan, ...]:
        """The tests of the settings, with lengths halved until warm-up and five repetitions fit its share of the budget.

        Each of `other_settings` repeats the simple ones and takes its share too.
        """
        wanted = tuple(_plans(self._settings))
        self._trial(wanted)
        share_s = self._settings.seconds / max(1, len(wanted) + len(_simple(wanted)) * other_settings)
        return tuple(dict.fromkeys(self._fitted(plan, share_s) for plan in wanted))

    def expected_s(self, plan: Plan) -> float:
        """Seconds of a test, from the trial: its context filled once, then warm-up and five repetitions."""
        return self._filling_s(plan) + REPETITIONS_PLANNED * plan.tokens / self._token_rate["prompt" if plan.n_prompt else "output"]

    def _filling_s(self, plan: Plan) -> float:
        return plan.depth * plan.slots / self._token_rate["prompt"]

    def run(self, plan: Plan, deadline: float, emit: Callable[[Event], None]) -> bool:
        """Warm up, then repeat until the interval is narrow enough or the time is over; at least one repetition."""
        with self._context(plan) as context:
            samples: list[float] = []
            warmups: list[float] = []
            while len(samples) < self._settings.repetitions:
                started = time.monotonic()
                warmup = not samples and not _warm(warmups, started, deadline)
                repetition = self._repeat(context, plan, warmup)
                emit(repetition)
                (warmups if warmup else samples).append(repetition.tokens_per_s)
                took = time.monotonic() - started
                if timing.settled(samples, self._settings.interval_share):
                    return True
                if samples and time.monotonic() + took > deadline:
                    return False
            return timing.settled(samples, self._settings.interval_share)

    # -- one repetition --

    def _repeat(self, context: _Context, plan: Plan, warmup: bool) -> Repetition:
        context.prepare()
        before = _Usage.now()
        seconds, steps = context.prompt() if plan.n_prompt else context.generate()
        used = _Usage.now() - before
        return Repetition(
            name=plan.name,
            n_prompt=plan.n_prompt,
            n_gen=plan.n_gen,
            depth=plan.depth,
            slots=plan.slots,
            warmup=warmup,
            tokens_per_s=plan.tokens / seconds,
            slowest_over_median_step=max(steps) / timing.median(steps) if len(steps) > 2 else 1.0,
            processor_share=used.processor_s / (seconds * self._threads),
            involuntary_switches=used.involuntary_switches,
        )

    # -- loading --

    def _load(self, path: Path) -> Any:
        params = self._api.llama_model_default_params()
        params.n_gpu_layers = self._settings.gpu_layers
        params.use_extra_bufts = self._settings.repack
        if not self._settings.mmap:
            params.load_mode = self._api.LLAMA_LOAD_MODE_NONE
        model = self._api.llama_model_load_from_file(str(path).encode(), params)
        if not model:
            raise InputError(f"llama.cpp could not load {path.name}: the last lines of its log say why")
        return model

    def _describe(self, load_s: float) -> Loaded:
        buffer = ctypes.create_string_buffer(256)
        self._api.llama_model_desc(self._model, buffer, len(buffer))
        return Loaded(
            engine_version=_version(self._api),
            system_info=self._api.llama_print_system_info().decode(),
            gpu_offload=bool(self._api.llama_supports_gpu_offload()),
            model_name=buffer.value.decode(errors="replace"),
            parameters=int(self._api.llama_model_n_params(self._model)),
            weights_bytes=int(self._api.llama_model_size(self._model)),
            load_s=load_s,
            threads=self._threads,
        )

    # -- fitting the budget --

    def _trial(self, wanted: tuple[Plan, ...]) -> None:
        """Tokens/s of a short prompt and a few generated tokens, to plan the rest."""
        prompt = next((plan.n_prompt for plan in wanted if plan.n_prompt), TRIAL_PROMPT)
        for key, plan in (("prompt", Plan(n_prompt=min(prompt, TRIAL_PROMPT), n_gen=0)), ("output", Plan(n_prompt=0, n_gen=TRIAL_OUTPUT))):
            with self._context(plan) as context:
                self._repeat(context, plan, warmup=True)
                self._token_rate[key] = self._repeat(context, plan, warmup=True).tokens_per_s

    def _fitted(self, plan: Plan, share_s: float) -> Plan:
        """The test as long as its share of the time allows; filling its context takes no more than half of that from it."""
        most_s = share_s - min(self._filling_s(plan), share_s / 2.0)
        while self.expected_s(plan) - self._filling_s(plan) > most_s:
            shorter = replace(plan, n_prompt=plan.n_prompt // 2, n_gen=plan.n_gen // 2)
            if shorter.n_prompt < (SHORTEST_PROMPT if plan.n_prompt else 0) or shorter.n_gen < (SHORTEST_OUTPUT if plan.n_gen else 0):
                return plan
            plan = shorter
        return plan

    def _context(self, plan: Plan) -> _Context:
        return _Context(self._api, self._model, self._settings, plan, self._threads, self._ids)

    def _ids(self, count: int) -> Any:
        """Random token ids as a C array, from all of the vocabulary."""
        return (self._api.llama_token * count)(*(self._random.randrange(self._vocab_size) for _ in range(count)))


class _Context:
    """A fresh context for one test, as llama-bench makes one per test."""

    def __init__(
        self, api: ModuleType, model: Any, settings: LlamaCppSettings, plan: Plan, threads: int, ids: Callable[[int], Any]
    ) -> None:
        self._api, self._plan, self._ids, self._batch_tokens = api, plan, ids, settings.batch
        self._kept: list[Any] = []
        params = api.llama_context_default_params()
        params.n_ctx = _context_tokens(plan)
        params.n_batch, params.n_ubatch = settings.batch, settings.ubatch
        params.n_seq_max = plan.slots
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = KV_TYPES[settings.kv_type]
        params.flash_attn_type = FLASH_ATTENTION[settings.flash_attention]
        params.kv_unified = False
        params.swa_full = False  # as llama-bench and llama-server: the library's own default keeps a whole cache for windowed layers
        self._context = api.llama_init_from_model(model, params)
        if not self._context:
            raise InputError(
                f"llama.cpp could not make a context of {params.n_ctx} tokens for {plan.name}: see its log; there may be too little memory"
            )
        self._memory = api.llama_get_memory(self._context)

    def __enter__(self) -> _Context:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.llama_free(self._context)

    def prepare(self) -> None:
        """Clear the memory's bookkeeping and bring the context to the wanted depth, outside the clock."""
        self._api.llama_memory_clear(self._memory, False)
        if not self._plan.depth:
            return
        if self._kept and all(self._restore(slot, state) for slot, state in enumerate(self._kept)):
            return
        self._api.llama_memory_clear(self._memory, False)
        for slot in range(self._plan.slots):
            self._feed(self._plan.depth, slot)
        self._api.llama_synchronize(self._context)
        self._kept = [self._state(slot) for slot in range(self._plan.slots)]

    def prompt(self) -> tuple[float, list[float]]:
        """Seconds for the prompt of every slot, one synchronise at the end."""
        ids = self._ids(self._plan.n_prompt)
        begun = time.perf_counter()
        for slot in range(self._plan.slots):
            self._feed(self._plan.n_prompt, slot, ids, self._plan.depth)
        self._api.llama_synchronize(self._context)
        return time.perf_counter() - begun, []

    def generate(self) -> tuple[float, list[float]]:
        """Seconds for the output of every slot, and of each step; synchronised after every step.

        All batches are made before: a token streams the weights through the caches, so that every line of Python in between runs cold.
        """
        steps, ids = self._plan.n_gen, self._ids(self._plan.n_gen * self._plan.slots)
        batches = [self._one(ids, step) if self._plan.slots == 1 else self._many(ids, step) for step in range(steps)]
        stamps, code = [0.0] * (steps + 1), 0
        clock, decode, synchronize, context = time.perf_counter, self._api.llama_decode, self._api.llama_synchronize, self._context
        try:
            stamps[0] = clock()
            for step, batch in enumerate(batches, 1):
                if code := decode(context, batch):
                    break
                synchronize(context)
                stamps[step] = clock()
        finally:
            for batch in batches if self._plan.slots > 1 else ():
                self._api.llama_batch_free(batch)
        self._check(code)
        return stamps[-1] - stamps[0], [after - before for before, after in itertools.pairwise(stamps)]

    # -- calls into the library --

    def _one(self, ids: Any, step: int) -> Any:
        """The batch of one sequence's next token; it points into `ids`."""
        token = ctypes.cast(ctypes.byref(ids, step * ctypes.sizeof(self._api.llama_token)), ctypes.POINTER(self._api.llama_token))
        return self._api.llama_batch_get_one(token, 1)

    def _many(self, ids: Any, step: int) -> Any:
        """The batch of every sequence's next token; to be freed."""
        slots = self._plan.slots
        batch = self._api.llama_batch_init(slots, 0, 1)
        batch.n_tokens = slots
        for slot in range(slots):
            batch.token[slot] = ids[step * slots + slot]
            batch.pos[slot] = self._plan.depth + step
            batch.n_seq_id[slot] = 1
            batch.seq_id[slot][0] = slot
            batch.logits[slot] = 1
        return batch

    def _feed(self, count: int, slot: int, ids: Any = None, start: int = 0) -> None:
        """Decode `count` tokens of one slot in slices of the logical batch; only the last one gets logits."""
        ids = self._ids(count) if ids is None else ids
        for begin in range(0, count, self._batch_tokens):
            size = min(self._batch_tokens, count - begin)
            if self._plan.slots == 1:
                first = ctypes.cast(ctypes.byref(ids, begin * ctypes.sizeof(self._api.llama_token)), ctypes.POINTER(self._api.llama_token))
                self._check(self._api.llama_decode(self._context, self._api.llama_batch_get_one(first, size)))
            else:
                self._feed_slot(ids, begin, size, slot, start)

    def _feed_slot(self, ids: Any, begin: int, size: int, slot: int, start: int) -> None:
        batch = self._api.llama_batch_init(size, 0, 1)
        try:
            batch.n_tokens = size
            for index in range(size):
                batch.token[index] = ids[begin + index]
                batch.pos[index] = start + begin + index
                batch.n_seq_id[index] = 1
                batch.seq_id[index][0] = slot
                batch.logits[index] = index == size - 1
            self._check(self._api.llama_decode(self._context, batch))
        finally:
            self._api.llama_batch_free(batch)

    def _state(self, slot: int) -> Any:
        size = self._api.llama_state_seq_get_size(self._context, slot)
        state = (ctypes.c_uint8 * size)()
        written = self._api.llama_state_seq_get_data(self._context, state, size, slot)
        return state if written == size else None

    def _restore(self, slot: int, state: Any) -> bool:
        return state is not None and self._api.llama_state_seq_set_data(self._context, state, len(state), slot) > 0

    def _check(self, code: int) -> None:
        if code == 0:
            return
        reasons = {1: "no room in the key-value cache", 2: "aborted", -1: "an invalid batch"}
        raise InputError(f"llama.cpp stopped in {self._plan.name}: {reasons.get(code, 'a fatal error')} (code {code})")


@dataclass(frozen=True, kw_only=True)
class _Usage:
    """What this process has used.

    processor_s: processor time of all its threads
    involuntary_switches: times a core was taken away
    """

    processor_s: float
    involuntary_switches: int

    @classmethod
    def now(cls) -> _Usage:
        try:
            import resource
        except ImportError:  # not on Windows
            return cls(processor_s=time.process_time(), involuntary_switches=0)
        return cls(processor_s=time.process_time(), involuntary_switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw)

    def __sub__(self, earlier: _Usage) -> _Usage:
        switches = self.involuntary_switches - earlier.involuntary_switches
        return _Usage(processor_s=self.processor_s - earlier.processor_s, involuntary_switches=switches)


def _plans(settings: LlamaCppSettings) -> Iterator[Plan]:
    for depth in settings.depths:
        for slots in settings.slots:
            if settings.prompt_tokens and slots == 1:
                yield Plan(n_prompt=settings.prompt_tokens, n_gen=0, depth=depth)
            if settings.output_tokens:
                yield Plan(n_prompt=0, n_gen=settings.output_tokens, depth=depth, slots=slots)


def _context_tokens(plan: Plan) -> int:
    """Context for all sequences: each gets its own share of it, rounded up."""
    each = -(-(plan.depth + plan.n_prompt + plan.n_gen) // CONTEXT_STEP) * CONTEXT_STEP
    return each * plan.slots


def _warm(warmups: list[float], now: float, deadline: float) -> bool:
    """Whether the warm-up is over: two repetitions agree, four were run, or the time is short."""
    if not warmups:
        return False
    if len(warmups) >= WARMUP_MOST or now >= deadline:
        return True
    return len(warmups) >= 2 and abs(warmups[-1] / warmups[-2] - 1.0) <= WARMUP_AGREE_SHARE


def _library() -> ModuleType:
    try:
        from llama_cpp import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        raise InputError(f"llama-cpp-python cannot be used ({error}): {REMEDY}") from None
    api: ModuleType = llama_cpp
    return api


def _version(api: ModuleType) -> str:
    """Of the binding, and the commit of llama.cpp's sources that its library names."""
    import llama_cpp

    try:
        commit = api._lib.ggml_commit
    except AttributeError:
        return f"llama-cpp-python {llama_cpp.__version__}"
    commit.restype = ctypes.c_char_p
    return f"llama-cpp-python {llama_cpp.__version__}, llama.cpp {commit().decode(errors='replace')}"


def _write_log(level: int, text: bytes, _user_data: Any) -> None:
    if level == DEBUG_LEVEL:
        return
    sys.stderr.buffer.write(text)
    sys.stderr.buffer.flush()
