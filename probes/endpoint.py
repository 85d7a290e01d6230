"""Any server that speaks the OpenAI protocol, streamed over httpx: what a client sees at each load level.

While a stream runs only the clock and the bytes are kept; everything is read out of them afterwards. Prompts are random from
their first word on, so that no prefix cache can answer for the server; lengths are corrected by the server's own count.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from facts.errors import InputError
from facts.records import Fact
from facts.units import TOKENS_PER_MTOK
from probes import environment, goodput, timing
from probes.caller import Budget, Caller, Manner, full_allowance, tokens_beyond
from probes.doubts import with_doubts
from probes.goodput import LEAST_COUNTED
from probes.load import RAMP_SHARE, Arrival, Heard, Level, LevelPlan, LevelProgress, merged, schedule
from probes.measurement import ClientLimit, EndpointSettings, LevelResult, Measurement, RequestTiming, Status, output_tokens_between
from probes.power import PowerMeter
from probes.shard import Shards
from probes.stream import fetch_whole, is_loopback, open_client

KEY_VARIABLE = "RIGHTSIZE_ENDPOINT_KEY"
"""Environment variable with the key of the endpoint; it is sent and never stored."""
MAX_LIST_BYTES = 4_000_000
LIST_TIMEOUT_S, VERSION_TIMEOUT_S = 30.0, 5.0
VERSION_AT = {
    "vllm": ("/version", "version"),
    "sglang": ("/get_server_info", "version"),
    "llama.cpp": ("/props", "build_info"),
    "ollama": ("/api/version", "version"),
}
"""Engine -> where it tells its version (path beside /v1, name in the JSON)."""
LONGEST_VERSION = 80
GAIN_STOP_SHARE = 0.05
"""A sweep ends when doubling the load adds less than this to the output rate."""
CLIENT_ROOM_SHARE = 0.5
"""A process is given at most this share of the events it can read; more processes are started before."""
FINAL_REFUSALS = ("HTTP 401", "HTTP 403", "HTTP 404", "HTTP 429")
"""Refusals that no other choice of options would change."""
LONGEST_HOLD = 10.0
"""A level of a search is held so many times the stated length at most, to count enough requests."""
CALIBRATION_WORDS = (8, 208)
TRACE = "trace"
"""Name of the level that replays one."""


class ServerFacts(Fact):
    """What the server says of itself."""

    engine: str = "unknown server"
    """vllm, llama.cpp, ... as far as headers and the model list tell."""
    version: str = ""
    """Its version, where it tells."""
    model: str = ""
    """Model name that is asked for."""


def check_url(url: str, allowed_hosts: tuple[str, ...] | None = None) -> str:
    """The base address without a trailing slash; InputError unless it is http(s) and, where a list is given, on the list."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"'{url}' is not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(f"'{url}' is not an address: write http://host:port/v1 or https://host/v1")
    if parts.username or parts.password:
        raise InputError(f"an address with a name or password in it is stored with the measurement: put the key into {KEY_VARIABLE}")
    if allowed_hosts is not None and host not in allowed_hosts and f"{host}:{port}" not in allowed_hosts:
        known = ", ".join(allowed_hosts)
        raise InputError(
            f"the host '{host}' is not on the list of endpoints a page may call ({known}): add it to RIGHTSIZE_ALLOWED_ENDPOINTS"
        )
    return parts._replace(query="", fragment="").geturl().rstrip("/")


def closed_name(concurrency: int) -> str:
    """Name of a level of so many requests in flight, such as c8."""
    return f"c{concurrency}"


def open_name(rate_per_s: float) -> str:
    """Name of a level at so many requests a second, such as 2.5/s."""
    return f"{rate_per_s:.4g}/s"


def estimate_usd(settings: EndpointSettings, trace: tuple[Arrival, ...] = ()) -> float:
    """The most a run can cost at the given prices: every allowed request at its full lengths."""
    own = [round(settings.output_tokens * (1.0 + part * settings.lengths_spread)) for part in (-1.0, 1.0)]
    sizes = [(arrival.input_tokens, arrival.output_tokens) for arrival in trace] + [(settings.input_tokens, answer) for answer in own]
    dearest = max(prompt * settings.input_usd_per_mtok + answer * settings.output_usd_per_mtok for prompt, answer in sizes)
    smallest = min(prompt + answer for prompt, answer in sizes)
    return min(settings.max_requests, settings.max_tokens // smallest) * dearest / TOKENS_PER_MTOK


def measure_endpoint(
    settings: EndpointSettings,
    *,
    created: datetime,
    key: str | None = None,
    report: Callable[[LevelProgress], None] = lambda progress: None,
    cancel: threading.Event | None = None,
    client: ClientLimit | None = None,
    trace: tuple[Arrival, ...] = (),
) -> Measurement:
    """Every level of the settings, one after the other; what was measured is kept when it is cancelled or a level fails.

    `client` is the self-test's answer (probes.selftest): with it, more processes ask where one would be the bottleneck, and
    levels beyond what they can read are flagged. `trace` is replayed after the levels.
    """
    url = check_url(settings.url)
    settings = settings.model_copy(update={"url": url})
    check_settings(settings)
    before = environment.contention_over(1.0)
    machine = environment.read_environment(before)
    start = environment.processor_times()
    own = time.process_time()
    seed = prompt_seed(settings.seed, created)
    run = _Run(settings, seed, key if key is not None else os.environ.get(KEY_VARIABLE), report, cancel or threading.Event(), client, trace)
    meter = PowerMeter() if is_loopback(url) else None  # another machine's accelerators are not this one's
    with meter or contextlib.nullcontext():
        asyncio.run(run.all_levels())
    during = environment.contention_between(start, environment.processor_times(), time.process_time() - own)
    if not run.levels:
        raise InputError(run.message or "nothing was measured")
    draft = Measurement(
        kind="endpoint",
        created=created,
        status=Status.PARTIAL if run.message else Status.COMPLETE,
        message=run.message,
        model_name=run.server.model,
        engine=run.server.engine,
        engine_version=run.server.version,
        settings=run.settings,
        environment=machine.model_copy(update={"during": during}),
        levels=tuple(run.levels),
        client=client,
        power=meter.reading(float(sum(request.tokens for level in run.levels for request in level.requests))) if meter else None,
    )
    with_figures = draft.sealed()  # the doubts of an endpoint are read from its figures
    return with_doubts(with_figures).sealed()


# ---- one run ----


class _Run:
    """Everything that lasts over the levels: connection, manner, caps, processes."""

    def __init__(
        self,
        settings: EndpointSettings,
        seed: int,
        key: str | None,
        report: Callable[[LevelProgress], None],
        cancel: threading.Event,
        client: ClientLimit | None,
        trace: tuple[Arrival, ...],
    ) -> None:
        self.settings, self.report, self.cancel = settings, report, cancel
        self.levels: list[LevelResult] = []
        self.message = ""
        self.server = ServerFacts(model=settings.model)
        self._seed, self._key, self._limit, self._trace = seed, key, client, trace
        longest = max((timing.mean([one.output_tokens for one in trace]) if trace else 0.0, float(settings.output_tokens)))
        self._budget = Budget(full_allowance(settings, longest))
        self._answer_s = 1.0
        self._shards: Shards | None = None

    async def all_levels(self) -> None:
        """Ask who is there, fit the lengths, run the levels."""
        async with open_client(self.settings.url, key=self._key, timeout_s=self.settings.timeout_s) as client:
            self._client = client
            self._caller = Caller(self._manner(), client, self._seed)
            await self._introduce()
            await self._fit_lengths()
            try:
                async for plan in self._plans():
                    if any(level.name == plan.name for level in self.levels):
                        continue  # figures go by the level's name
                    result = await self._level(plan)
                    if result.requests:
                        self.levels.append(result)
                    if self.cancel.is_set():
                        break
            finally:
                if self._shards is not None:
                    await self._shards.__aexit__(None, None, None)
        if self.cancel.is_set():
            self.message = "cancelled; the levels so far are kept"

    async def _plans(self) -> AsyncIterator[LevelPlan]:
        """The levels in their order; each is planned when those before it are known."""
        settings = self.settings
        for count in settings.concurrencies:
            yield self._plan(name=closed_name(count), concurrency=count)
            if self._enough():
                break
        for rate in settings.rates_per_s:
            yield self._open(rate)
        top = max((_request_rate(level) for level in self.levels if level.concurrency), default=0.0)
        for share in settings.top_shares if top else ():
            yield self._open(share * top)
        if self._trace:
            yield self._replay()
        if settings.search:
            first = top * goodput.FIRST_SHARE_OF_TOP if top else 1.0 / self._answer_s
            held = [level for level in self.levels if level.rate_per_s and level.name != TRACE]
            tried = [(level.rate_per_s or 0.0, goodput.meets(level, settings)) for level in held]
            while (wanted := goodput.next_rate(tried, first)) is not None:
                before = len(self.levels)
                yield self._open(wanted, least=LEAST_COUNTED)
                if len(self.levels) == before:
                    break
                tried.append((wanted, goodput.meets(self.levels[-1], settings)))
                if self._capped():
                    break

    def _plan(self, *, name: str, concurrency: int | None = None, rate: float | None = None) -> LevelPlan:
        settings = self.settings
        return LevelPlan(
            name=name,
            hold_s=settings.seconds_per_level,
            input_tokens=settings.input_tokens,
            output_tokens=settings.output_tokens,
            concurrency=concurrency,
            rate_per_s=rate,
            lengths_spread=settings.lengths_spread,
            own_sizes=settings.lengths_spread > 0,
        )

    def _open(self, rate: float, least: int = 0) -> LevelPlan:
        """A level at a rate; held longer, up to ten times, where fewer than `least` requests would be counted in the usual time."""
        settings = self.settings
        hold_s = min(LONGEST_HOLD * settings.seconds_per_level, max(settings.seconds_per_level, least / rate / (1.0 - RAMP_SHARE)))
        arrivals = schedule(
            rate,
            hold_s,
            poisson=settings.arrivals == "poisson",
            seed=settings.seed,
            most=self._budget.left.requests,
            input_tokens=settings.input_tokens,
            output_tokens=settings.output_tokens,
            lengths_spread=settings.lengths_spread,
        )
        return self._plan(name=open_name(rate), rate=rate).model_copy(update={"arrivals": arrivals, "hold_s": hold_s})

    def _replay(self) -> LevelPlan:
        span = max(self._trace[-1].due_s, 1e-3)
        plan = self._plan(name=TRACE, rate=len(self._trace) / span)
        return plan.model_copy(update={"arrivals": self._trace, "hold_s": span * (1.0 + 1e-9), "own_sizes": True})

    async def _level(self, plan: LevelPlan) -> LevelResult:
        parts = self._parts(plan)
        if parts == 1:
            level = Level(self._caller, plan, self._budget, cancel=self.cancel, report=self.report)
            return merged(plan, [await level.run()])
        if self._shards is None or self._shards.count != parts:
            if self._shards is not None:
                await self._shards.__aexit__(None, None, None)
            self._shards = await Shards(parts, KEY_VARIABLE, self._key).__aenter__()
        seed = self._seed + 1000 * (len(self.levels) + 1)
        heard: list[Heard] = await self._shards.run(self._caller.manner, plan, self._budget.left, seed, self.cancel, self.report)
        for part in heard:
            self._budget.add(part.sent_requests, part.sent_tokens, part.sent_usd)
        return merged(plan, heard)

    def _parts(self, plan: LevelPlan) -> int:
        """Processes for a level: as told, else as many as its events need at half of what one can read."""
        most = plan.concurrency or len(plan.arrivals) or 1
        if self.settings.processes is not None:
            return min(self.settings.processes, most)
        if self._limit is None or self._limit.events_per_s <= 0:
            return 1
        cores = int(environment.usable_cores(environment.cpu_quota_cores()))
        needed = math.ceil(self._expected_events_per_s(plan) / (CLIENT_ROOM_SHARE * self._limit.events_per_s))
        return max(1, min(needed, cores, most))

    def _expected_events_per_s(self, plan: LevelPlan) -> float:
        if plan.rate_per_s is not None:
            tokens = sum(arrival.output_tokens for arrival in plan.arrivals) / max(1, len(plan.arrivals))
            return plan.rate_per_s * tokens
        before = [level for level in self.levels if level.concurrency]
        if not plan.concurrency:
            return 0.0
        if not before:  # as if every stream ran as fast as the one that fitted the lengths
            return self.settings.output_tokens / self._answer_s * plan.concurrency
        return _output_rate(before[-1]) * plan.concurrency / (before[-1].concurrency or 1)

    def _enough(self) -> bool:
        """Whether a sweep has found the top: the last doubling added less than 5 %, or the last level was stopped."""
        closed = [level for level in self.levels if level.concurrency]
        if not self.settings.sweep or not closed:
            return False
        if closed[-1].stopped_because:
            return True
        rates = [_output_rate(level) for level in closed[-2:]]
        return len(rates) == 2 and rates[1] < rates[0] * (1.0 + GAIN_STOP_SHARE)

    def _capped(self) -> bool:
        return self.levels[-1].stopped_because.startswith("the cap of")

    def _manner(self, **changes: Any) -> Manner:
        return Manner(url=self.settings.url, model=self.server.model or "-", timeout_s=self.settings.timeout_s, **changes)

    async def _introduce(self) -> None:
        """The model list tells who serves; a server without one is asked all the same."""
        try:
            listed, headers = await self._list_models()
            ids = [str(entry["id"]) for entry in listed]
            owner = str(listed[0].get("owned_by", "")) if listed else ""
        except ConnectionError as error:
            raise InputError(f"nobody answers at {self.settings.url} ({error}): start the server or correct the address") from None
        except (OSError, TimeoutError) as error:
            raise InputError(f"{self.settings.url} does not answer: {error or type(error).__name__}") from None
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            ids, owner, headers = [], "", {}
        model = self.settings.model or (ids[0] if ids else "")
        if not model:
            raise InputError(f"{self.settings.url}/models names no model: say which one with --model")
        if ids and model not in ids:
            raise InputError(f"{self.settings.url} has no model '{model}': it serves {', '.join(ids[:8])}")
        engine = {"vllm": "vllm", "llamacpp": "llama.cpp", "sglang": "sglang", "library": "ollama"}.get(owner, "")
        server = headers.get("server", "")
        self.server = ServerFacts(engine=engine or server or "unknown server", version=await self._version(engine), model=model)
        self.settings = self.settings.model_copy(update={"model": model})
        self._caller.manner = self._manner()

    async def _list_models(self) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
        url = self.settings.url
        try:
            text, headers = await fetch_whole(
                self._client, f"{url}/models", timeout_s=min(LIST_TIMEOUT_S, self.settings.timeout_s), most_bytes=MAX_LIST_BYTES
            )
        except ValueError:
            raise InputError(f"{url}/models sends more than {MAX_LIST_BYTES} bytes: this is no model server") from None
        return (json.loads(text)["data"] if text is not None else []), headers

    async def _version(self, engine: str) -> str:
        """What the engine says of its own version, beside the OpenAI paths; empty where it says nothing."""
        if engine not in VERSION_AT:
            return ""
        path, name = VERSION_AT[engine]
        try:
            address = self.settings.url.removesuffix("/v1") + path
            text, _ = await fetch_whole(self._client, address, timeout_s=VERSION_TIMEOUT_S, most_bytes=MAX_LIST_BYTES)
            told = json.loads(text or b"{}")[name]
        except (OSError, TimeoutError, ValueError, KeyError, TypeError, RecursionError):
            return ""
        return told if isinstance(told, str) and told.isprintable() and len(told) <= LONGEST_VERSION else ""

    async def _fit_lengths(self) -> None:
        """Find which options the server takes, then words per token from two prompts of different length."""
        answers: list[int | None] = []
        for words in CALIBRATION_WORDS:
            answer = await self._first_accepted(words) if not answers else await self._try(words)
            if answer.error:
                raise InputError(f"{self.settings.url} refuses a request: {answer.error}")
            answers.append(answer.input_tokens)
            self._answer_s = max(answer.done_s, 1e-3)
        short, long = answers
        if short is not None and long is not None and long > short:
            per_word = (long - short) / (CALIBRATION_WORDS[1] - CALIBRATION_WORDS[0])
            fitted = {"tokens_per_word": per_word, "tokens_before": short - CALIBRATION_WORDS[0] * per_word}
            self._caller.manner = self._caller.manner.model_copy(update=fitted)

    async def _try(self, words: int) -> RequestTiming:
        if refused := self._budget.book(self.settings.input_tokens, self.settings.output_tokens):
            raise InputError(f"nothing can be measured: {refused}")
        stream = await self._caller.ask_now(words, self.settings)
        self._budget.add(0, tokens_beyond(stream.glance(), self.settings.input_tokens + self.settings.output_tokens), 0.0)
        return stream.timing()

    async def _first_accepted(self, words: int) -> RequestTiming:
        last = RequestTiming(scheduled_s=0.0, sent_s=0.0, error="no request was sent")
        for extras in (("include_usage", "ignore_eos"), ("include_usage",), ("include_usage", "max_completion_tokens"), ()):
            self._caller.manner = self._manner(extras=extras)
            last = await self._try(words)
            if not last.error.startswith("HTTP 4") or last.error.startswith(FINAL_REFUSALS):
                return last
        return last


# ---- below: small things ----


def prompt_seed(seed: int, created: datetime) -> int:
    """Seed of a run's prompts, of its settings and its time: the same prompts again would be answered from a server's prefix cache."""
    return int.from_bytes(hashlib.sha256(f"{seed} {created.isoformat()}".encode()).digest()[:6])


def check_settings(settings: EndpointSettings) -> None:
    """InputError for settings that cannot work together."""
    if settings.max_usd is not None and not (settings.input_usd_per_mtok or settings.output_usd_per_mtok):
        raise InputError("a cap in USD needs the prices: give input_usd_per_mtok and output_usd_per_mtok")
    names = [closed_name(count) for count in settings.concurrencies] + [open_name(rate) for rate in settings.rates_per_s]
    if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
        raise InputError(f"the load {twice} is asked for {names.count(twice)} times, and figures go by its name: give each load once")
    if settings.search and not settings.has_limits:
        raise InputError("a search needs a service level to meet: give a limit for TTFT, for the time per token, or for the whole answer")


def _output_rate(level: LevelResult) -> float:
    start, end = level.window_s
    good = [request for request in level.requests if request.ok]
    return output_tokens_between(good, start, end) / (end - start) if end > start else 0.0


def _request_rate(level: LevelResult) -> float:
    start, end = level.window_s
    done = sum(request.ok and start <= request.done_s <= end for request in level.requests)
    return done / (end - start) if end > start else 0.0
