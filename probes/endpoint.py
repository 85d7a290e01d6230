"""Any server that speaks the OpenAI protocol, streamed over httpx: what a client sees at each load level.

While a stream runs only the clock and the bytes are kept; everything is read out of them afterwards. Prompts are random from
their first word on, so that no prefix cache can answer for the server; lengths are corrected by the server's own count.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from facts.errors import InputError
from facts.records import Fact
from facts.units import TOKENS_PER_MTOK
from probes import environment
from probes.doubts import with_doubts
from probes.measurement import EndpointSettings, LevelResult, Measurement, RequestTiming, Status, output_tokens_between

KEY_VARIABLE = "RIGHTSIZE_ENDPOINT_KEY"
"""Environment variable with the key of the endpoint; it is sent and never stored."""
MAX_LIST_BYTES = 4_000_000
MAX_EVENT_BYTES = 1_000_000
MAX_BYTES_PER_TOKEN = 4_000
"""An answer may have so many bytes per wanted token, and MAX_EVENT_BYTES beside; a longer one is cut off as endless."""
MAX_ERROR_CHARACTERS = 200
ERROR_WINDOW = 20
ERROR_STOP_SHARE = 0.5
"""A level ends when this share of the last twenty requests failed."""
IN_FLIGHT_CAP = 1024
"""An open loop with more requests under way is beyond what the server carries."""
RAMP_SHARE = 0.1
"""First part of an open loop that is not counted."""
GAIN_STOP_SHARE = 0.05
"""A sweep ends when doubling the load adds less than this to the output rate."""
FINAL_REFUSALS = ("HTTP 401", "HTTP 403", "HTTP 404", "HTTP 429")
"""Refusals that no other choice of options would change."""
CALIBRATION_WORDS = (8, 208)
_VOCABULARY = (
    "time year people way day man thing woman life child world school state family student group country problem hand part "
    "place case week company system program question work number night point home water room mother area money story fact month "
    "lot right study book eye job word business issue side kind head house service friend father power hour game line end member "
    "law car city name team minute idea body back parent face level office door health person art war history party result"
)
WORDS = tuple(_VOCABULARY.split())
"""Words that are one token in most vocabularies."""


@dataclass(frozen=True, kw_only=True)
class LevelProgress:
    """How far a level is.

    name: of the level
    requests: done so far in it
    errors: of them
    output_tokens_per_s: so far in it
    elapsed_s, expected_s: time in the level, and how long it is to last
    """

    name: str
    requests: int
    errors: int
    output_tokens_per_s: float
    elapsed_s: float
    expected_s: float


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


def estimate_usd(settings: EndpointSettings) -> float:
    """The most a run can cost at the given prices: every allowed request at its full lengths."""
    per_request = settings.input_tokens * settings.input_usd_per_mtok + settings.output_tokens * settings.output_usd_per_mtok
    return _most_requests(settings) * per_request / TOKENS_PER_MTOK


def measure_endpoint(
    settings: EndpointSettings,
    *,
    created: datetime,
    key: str | None = None,
    report: Callable[[LevelProgress], None] = lambda progress: None,
    cancel: threading.Event | None = None,
) -> Measurement:
    """Every level of the settings, one after the other; what was measured is kept when it is cancelled or a level fails."""
    url = check_url(settings.url)
    settings = settings.model_copy(update={"url": url})
    if settings.max_usd is not None and not (settings.input_usd_per_mtok or settings.output_usd_per_mtok):
        raise InputError("a cap in USD needs the prices: give input_usd_per_mtok and output_usd_per_mtok")
    before = environment.contention_over(1.0)
    machine = environment.read_environment(before)
    start = environment.processor_times()
    own = time.process_time()
    run = _Run(settings, key if key is not None else os.environ.get(KEY_VARIABLE), report, cancel or threading.Event())
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
    )
    with_figures = draft.sealed()  # the doubts of an endpoint are read from its figures
    return with_doubts(with_figures).sealed()


# ---- one run ----


class _Run:
    """Everything that lasts over the levels: connection, prompts, caps."""

    def __init__(
        self, settings: EndpointSettings, key: str | None, report: Callable[[LevelProgress], None], cancel: threading.Event
    ) -> None:
        self.settings, self.report, self.cancel = settings, report, cancel
        self.levels: list[LevelResult] = []
        self.message = ""
        self.server = ServerFacts(model=settings.model)
        self._key = key
        self._prompts = _Prompts(settings.seed)
        self._extras: tuple[str, ...] = ()
        self._requests = 0
        self._tokens = 0

    async def all_levels(self) -> None:
        """Ask who is there, fit the lengths, run the levels."""
        headers = {"Accept-Encoding": "identity", "Accept": "text/event-stream"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        timeout = httpx.Timeout(self.settings.timeout_s, connect=min(10.0, self.settings.timeout_s), pool=None)
        proxies = not _is_loopback(self.settings.url)
        async with httpx.AsyncClient(headers=headers, limits=limits, timeout=timeout, trust_env=proxies) as self._client:
            await self._introduce()
            await self._fit_lengths()
            for level in self._plans():
                if self._stopped():
                    break
                result = await level.run()
                if result.requests:
                    self.levels.append(result)
                if self._enough():
                    break
        if self.cancel.is_set():
            self.message = "cancelled; the levels so far are kept"

    def _plans(self) -> list[_Level]:
        settings = self.settings
        closed = [_Level(self, name=f"c{count}", concurrency=count) for count in settings.concurrencies]
        return closed + [_Level(self, name=f"{rate:g}/s", rate_per_s=rate) for rate in settings.rates_per_s]

    def _stopped(self) -> bool:
        return self.cancel.is_set() or bool(self.message)

    def _enough(self) -> bool:
        """Whether a sweep has found the top: the last doubling added less than 5 %."""
        if not self.settings.sweep or len(self.levels) < 2:
            return False
        rates = [_output_rate(level) for level in self.levels[-2:]]
        return rates[1] < rates[0] * (1.0 + GAIN_STOP_SHARE)

    def may_send(self) -> str:
        """Empty when one more request is within the caps, else which cap it would break; the request is booked."""
        settings = self.settings
        size = settings.input_tokens + settings.output_tokens
        cost = settings.input_tokens * settings.input_usd_per_mtok + settings.output_tokens * settings.output_usd_per_mtok
        if self._requests + 1 > settings.max_requests:
            return f"the cap of {settings.max_requests} requests was reached"
        if self._tokens + size > settings.max_tokens:
            return f"the cap of {settings.max_tokens} tokens was reached"
        if settings.max_usd is not None and (self._requests + 1) * cost / TOKENS_PER_MTOK > settings.max_usd:
            return f"the cap of {settings.max_usd:g} USD was reached"
        self._requests += 1
        self._tokens += size
        return ""

    async def ask(self, scheduled: float, zero: float, words: int | None = None) -> RequestTiming:
        """One request, streamed; times count from `zero`."""
        prompt = self._prompts.next(self.settings.input_tokens, words)
        most = MAX_EVENT_BYTES + MAX_BYTES_PER_TOKEN * self.settings.output_tokens
        stream = _Stream(scheduled=scheduled, zero=zero, most_bytes=most)
        await stream.read(self._client, f"{self.settings.url}/chat/completions", self._body(prompt), self.settings.timeout_s)
        found = stream.timing()
        booked = self.settings.input_tokens + self.settings.output_tokens
        self._tokens += max(0, (found.input_tokens or 0) + found.tokens - booked)  # longer than asked for counts as well
        return found

    def _body(self, prompt: str, extras: tuple[str, ...] | None = None) -> dict[str, Any]:
        settings = self.settings
        body: dict[str, Any] = {"model": self.server.model, "messages": [{"role": "user", "content": prompt}], "stream": True}
        chosen = self._extras if extras is None else extras
        body["max_completion_tokens" if "max_completion_tokens" in chosen else "max_tokens"] = settings.output_tokens
        if "include_usage" in chosen:
            body["stream_options"] = {"include_usage": True}
        if "ignore_eos" in chosen:
            body |= {"ignore_eos": True, "min_tokens": settings.output_tokens}
        return body

    async def _introduce(self) -> None:
        """The model list tells who serves; a server without one is asked all the same."""
        try:
            listed, headers = await self._list_models()
            ids = [str(entry["id"]) for entry in listed]
            owner = str(listed[0].get("owned_by", "")) if listed else ""
        except httpx.ConnectError as error:
            raise InputError(f"nobody answers at {self.settings.url} ({error}): start the server or correct the address") from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise InputError(f"{self.settings.url} does not answer: {type(error).__name__}: {error}") from None
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            ids, owner, headers = [], "", {}
        model = self.settings.model or (ids[0] if ids else "")
        if not model:
            raise InputError(f"{self.settings.url}/models names no model: say which one with --model")
        if ids and model not in ids:
            raise InputError(f"{self.settings.url} has no model '{model}': it serves {', '.join(ids[:8])}")
        engine = {"vllm": "vllm", "llamacpp": "llama.cpp", "sglang": "sglang", "library": "ollama"}.get(owner, "")
        server = headers.get("server", "")
        self.server = ServerFacts(engine=engine or server or "unknown server", version=server if engine else "", model=model)
        self.settings = self.settings.model_copy(update={"model": model})

    async def _list_models(self) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
        text = b""
        async with (
            asyncio.timeout(min(30.0, self.settings.timeout_s)),
            self._client.stream("GET", f"{self.settings.url}/models") as response,
        ):
            async for piece in response.aiter_raw():
                text += piece
                if len(text) > MAX_LIST_BYTES:
                    raise InputError(f"{self.settings.url}/models sends more than {MAX_LIST_BYTES} bytes: this is no model server")
        return (json.loads(text)["data"] if response.status_code == 200 else []), response.headers

    async def _fit_lengths(self) -> None:
        """Find which options the server takes, then words per token from two prompts of different length."""
        answers: list[int | None] = []
        for words in CALIBRATION_WORDS:
            if refused := self.may_send():
                raise InputError(f"nothing can be measured: {refused}")
            answer = await self._first_accepted(words) if not answers else await self.ask(time.perf_counter(), time.perf_counter(), words)
            if answer.error:
                raise InputError(f"{self.settings.url} refuses a request: {answer.error}")
            answers.append(answer.input_tokens)
        short, long = answers
        if short is not None and long is not None and long > short:
            self._prompts.tokens_per_word = (long - short) / (CALIBRATION_WORDS[1] - CALIBRATION_WORDS[0])
            self._prompts.tokens_before = short - CALIBRATION_WORDS[0] * self._prompts.tokens_per_word

    async def _first_accepted(self, words: int) -> RequestTiming:
        last = RequestTiming(scheduled_s=0.0, sent_s=0.0, error="no request was sent")
        for extras in (("include_usage", "ignore_eos"), ("include_usage",), ("include_usage", "max_completion_tokens"), ()):
            self._extras = extras
            now = time.perf_counter()
            last = await self.ask(now, now, words)
            if not last.error.startswith("HTTP 4") or last.error.startswith(FINAL_REFUSALS):
                return last
        return last


# ---- one level ----


class _Level:
    """A load held for some time: so many in flight, or so many a second."""

    def __init__(self, run: _Run, *, name: str, concurrency: int | None = None, rate_per_s: float | None = None) -> None:
        self._run, self._name, self._concurrency, self._rate = run, name, concurrency, rate_per_s
        self._timings: list[RequestTiming] = []
        self._warmups = 0
        self._stopped = ""
        self._zero = 0.0
        self._full_since: float | None = None
        self._full_until: float | None = None

    async def run(self) -> LevelResult:
        self._zero = time.perf_counter()
        watcher = asyncio.create_task(self._watch())
        try:
            await (self._closed_loop(self._concurrency) if self._concurrency else self._open_loop(self._rate or 1.0))
        finally:
            watcher.cancel()
        return self._result()

    # -- closed loop --

    async def _closed_loop(self, count: int) -> None:
        """`count` workers; the first answer of each warms up, and the clock starts when all have one."""
        self._waiting_for = count
        workers = [asyncio.create_task(self._worker()) for _ in range(count)]
        await self._until_done(workers)

    async def _worker(self) -> None:
        warm = True
        while not self._over():
            refused = self._run.may_send()
            if refused:
                self._stop(refused)
                break
            timing_ = await self._run.ask(time.perf_counter(), self._zero)
            if warm:
                warm = False
                self._warmups += 1
                self._waiting_for -= 1
                if timing_.error:
                    self._stop(f"the warm-up failed: {timing_.error}")
                    self._timings.append(timing_)
                if self._waiting_for == 0:
                    self._full_since = time.perf_counter() - self._zero
                continue
            self._take(timing_)
        if self._full_until is None:
            self._full_until = time.perf_counter() - self._zero

    # -- open loop --

    async def _open_loop(self, rate: float) -> None:
        """Requests leave on schedule whatever the answers do; the first tenth of the time is not counted."""
        chance = random.Random(self._run.settings.seed)  # noqa: S311 - arrival gaps, not secrets
        hold = self._run.settings.seconds_per_level
        self._full_since, self._full_until = hold * RAMP_SHARE, hold
        under_way: set[asyncio.Task[None]] = set()
        due = 0.0
        while due < hold and not self._over():
            await asyncio.sleep(max(0.0, self._zero + due - time.perf_counter()))
            refused = self._run.may_send()
            if refused or len(under_way) >= IN_FLIGHT_CAP:
                self._stop(refused or f"{IN_FLIGHT_CAP} requests were under way at once: above what the server carries")
                self._full_until = min(due, hold)
                break
            task = asyncio.create_task(self._one(self._zero + due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            due += chance.expovariate(rate) if self._run.settings.arrivals == "poisson" else 1.0 / rate
        await self._until_done(list(under_way))

    async def _one(self, scheduled: float) -> None:
        self._take(await self._run.ask(scheduled, self._zero))

    # -- both --

    async def _until_done(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for all; a cancel ends them at once."""
        try:
            pending = set(tasks)
            while pending and not self._run.cancel.is_set():
                _, pending = await asyncio.wait(pending, timeout=0.1)
        finally:
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome

    def _over(self) -> bool:
        held = time.perf_counter() - self._zero - (self._full_since or 0.0)
        long_enough = self._full_since is not None and self._concurrency is not None and held >= self._run.settings.seconds_per_level
        return bool(self._stopped) or long_enough or self._run.cancel.is_set()

    def _take(self, timing_: RequestTiming) -> None:
        self._timings.append(timing_)
        last = self._timings[-ERROR_WINDOW:]
        failed = sum(bool(entry.error) for entry in last)
        if len(last) >= ERROR_WINDOW and failed > ERROR_STOP_SHARE * len(last):
            self._stop(f"{failed} of the last {len(last)} requests failed, the last with: {timing_.error or last[-2].error}")

    def _stop(self, why: str) -> None:
        self._stopped = self._stopped or why

    async def _watch(self) -> None:
        """Say how far it is, twice a second."""
        while True:
            await asyncio.sleep(0.5)
            elapsed = time.perf_counter() - self._zero
            good = [entry for entry in self._timings if entry.ok]
            tokens = sum(entry.tokens for entry in good)
            progress = LevelProgress(
                name=self._name,
                requests=len(self._timings),
                errors=len(self._timings) - len(good),
                output_tokens_per_s=tokens / elapsed,
                elapsed_s=elapsed,
                expected_s=self._run.settings.seconds_per_level + (self._full_since or 0.0),
            )
            self._run.report(progress)

    def _result(self) -> LevelResult:
        end = max((entry.done_s for entry in self._timings), default=0.0)
        start, until = self._full_since or 0.0, self._full_until if self._full_until is not None else end
        return LevelResult(
            name=self._name,
            concurrency=self._concurrency,
            rate_per_s=self._rate,
            duration_s=max(end, until),
            window_s=(start, max(start, until)),
            requests=tuple(sorted(self._timings, key=lambda entry: entry.sent_s)),
            warmup_requests=self._warmups,
            stopped_because=self._stopped,
        )


# ---- one request ----


class _Stream:
    """The bytes of one answer and when each piece came; read out afterwards."""

    def __init__(self, *, scheduled: float, zero: float, most_bytes: int) -> None:
        self._scheduled, self._zero, self._most_bytes = scheduled, zero, most_bytes
        self._sent = self._headers = self._done = 0.0
        self._pieces: list[tuple[float, bytes]] = []
        self._status = 0
        self._error = ""

    async def read(self, client: httpx.AsyncClient, url: str, body: dict[str, Any], timeout_s: float) -> None:
        """Send the request and keep what comes; whatever fails becomes this request's error."""
        clock, pieces, size = time.perf_counter, self._pieces, 0
        self._sent = clock()
        try:
            async with asyncio.timeout(timeout_s), client.stream("POST", url, json=body) as response:
                self._headers = clock()
                self._status = response.status_code
                async for piece in response.aiter_raw():
                    pieces.append((clock(), piece))
                    size += len(piece)
                    if size > self._most_bytes:
                        self._error = f"the answer is longer than {self._most_bytes} bytes: the server does not keep to max_tokens"
                        break
        except TimeoutError:
            self._error = f"no end within {timeout_s:g} s"
        except httpx.HTTPError as error:
            self._error = f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARACTERS]
        self._done = clock()

    def timing(self) -> RequestTiming:
        """What the stream says, as stamps from the level's start."""
        zero = self._zero
        found = _Reading()
        if self._status and self._status != 200:
            self._error = self._error or self._refusal()
        elif not self._error:
            self._error = found.read(self._pieces)
        else:
            found.read(self._pieces)
        content = tuple(stamp - zero for stamp in found.content)
        return RequestTiming(
            scheduled_s=self._scheduled - zero,
            sent_s=self._sent - zero,
            headers_s=self._headers - zero if self._headers else -1.0,
            first_chunk_s=found.first - zero if found.first else -1.0,
            first_content_s=content[0] if content else -1.0,
            first_answer_s=found.first_answer - zero if found.first_answer else -1.0,
            content_s=content,
            done_s=self._done - zero,
            input_tokens=found.input_tokens,
            cached_input_tokens=found.cached_input_tokens,
            output_tokens=found.output_tokens,
            reasoning_tokens=found.reasoning_tokens,
            finish_reason=found.finish_reason,
            error=self._error,
        )

    def _refusal(self) -> str:
        text = b"".join(piece for _, piece in self._pieces[:8])[:MAX_ERROR_CHARACTERS].decode(errors="replace")
        if 300 <= self._status < 400:
            return f"HTTP {self._status}: redirected elsewhere, which is not followed: give the final address"
        return f"HTTP {self._status}: {' '.join(text.split())}"


class _Reading:
    """Server-sent events read out of stamped pieces; an event counts from the piece that ends it."""

    def __init__(self) -> None:
        self.first = self.first_answer = 0.0
        self.content: list[float] = []
        self.input_tokens: int | None = None
        self.cached_input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.reasoning_tokens: int | None = None
        self.finish_reason = ""
        self._ended = False

    def read(self, pieces: list[tuple[float, bytes]]) -> str:
        """Take all events in; the first thing wrong, or an empty string."""
        rest = b""
        for stamp, piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > MAX_EVENT_BYTES:
                return f"an event is longer than {MAX_EVENT_BYTES} bytes"
            for line in lines:
                if wrong := self._line(stamp, line.strip()):
                    return wrong
        if rest.strip() and (wrong := self._line(pieces[-1][0], rest.strip())):
            return wrong
        if not self._ended and not self.finish_reason:
            return "the stream ended before the answer did"
        return "" if self.content else "an answer without text"

    def _line(self, stamp: float, line: bytes) -> str:
        if not line.startswith(b"data:"):
            return "" if not line or line.startswith((b":", b"event:", b"id:", b"retry:")) else "the answer is no event stream"
        data = line[5:].strip()
        if data == b"[DONE]":
            self._ended = True
            return ""
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return "an event is no JSON"
        if not isinstance(event, dict):
            return "an event is no JSON object"
        if event.get("error"):
            return f"the server says: {str(event['error'])[:MAX_ERROR_CHARACTERS]}"
        self.first = self.first or stamp
        self._usage(event.get("usage"))
        choices = event.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._choice(stamp, choices[0])
        return ""

    def _choice(self, stamp: float, choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        parts = delta if isinstance(delta, dict) else {}
        answer = parts.get("content") or choice.get("text")
        thought = parts.get("reasoning_content") or parts.get("reasoning")
        if answer or thought or parts.get("tool_calls"):
            self.content.append(stamp)
        if answer:
            self.first_answer = self.first_answer or stamp
        if choice.get("finish_reason"):
            self.finish_reason = str(choice["finish_reason"])[:40]

    def _usage(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            return
        self.input_tokens = _count(usage.get("prompt_tokens"), self.input_tokens)
        self.output_tokens = _count(usage.get("completion_tokens"), self.output_tokens)
        for part, name, field in (
            ("prompt_tokens_details", "cached_tokens", "cached_input_tokens"),
            ("completion_tokens_details", "reasoning_tokens", "reasoning_tokens"),
        ):
            details = usage.get(part)
            if isinstance(details, dict):
                setattr(self, field, _count(details.get(name), getattr(self, field)))


class _Prompts:
    """Random prompts of a wanted length in tokens, each different from its first word on."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - prompts, not secrets
        self.tokens_per_word = 1.0
        self.tokens_before = 0.0

    def next(self, tokens: int, words: int | None = None) -> str:
        """Words for so many tokens, template included, or exactly so many words."""
        count = words if words is not None else max(1, round((tokens - self.tokens_before) / self.tokens_per_word))
        return " ".join(self._random.choices(WORDS, k=count))


# ---- below: small things ----


def _count(value: Any, before: int | None) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else before


def _output_rate(level: LevelResult) -> float:
    start, end = level.window_s
    good = [request for request in level.requests if request.ok]
    return output_tokens_between(good, start, end) / (end - start) if end > start else 0.0


def _most_requests(settings: EndpointSettings) -> int:
    by_tokens = settings.max_tokens // (settings.input_tokens + settings.output_tokens)
    return min(settings.max_requests, by_tokens)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
