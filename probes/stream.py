"""One streamed answer: while it runs only the clock and the bytes are kept, everything is read out of them afterwards."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from probes.measurement import RequestTiming

MAX_EVENT_BYTES = 1_000_000
MAX_BYTES_PER_TOKEN = 4_000
"""An answer may have so many bytes per wanted token, and MAX_EVENT_BYTES beside; a longer one is cut off as endless."""
PIECES_PER_BYTE_CAP = 1 / 16
"""An answer may come in so many pieces per byte it may have: one that drips byte by byte fills the memory long before its cap of bytes."""
MAX_ERROR_CHARACTERS = 200
MOST_CLOSED = 16
"""Kept connections that a request may find closed before that counts as its failure."""
MOST_TOKENS = 10**12
"""A count of tokens above this is none."""
LONGEST_MS = 1e9
"""A server's own time above this (eleven days) is no time."""
STAMP_DIGITS = 6
"""Stamps are kept to the microsecond."""
KEPT_OF_FAILED = 1_000
"""Stamps that are kept of an answer that failed."""
TAIL_BYTES = 4_096
"""End of an answer that is glanced at while others still run; the usage stands there."""
USAGE_COUNT = re.compile(rb'"(?:prompt|completion)_tokens"\s*:\s*(\d{1,12})')


@dataclass(frozen=True, kw_only=True)
class Glance:
    """What can be told of an ended answer without reading it: enough for caps and stops, not for figures.

    failed: whether it surely failed
    tokens: prompt and output tokens as the server counted them, or None
    latency_s: from its schedule to its end
    """

    failed: bool
    tokens: int | None
    latency_s: float


def open_client(url: str, *, key: str | None, timeout_s: float) -> httpx.AsyncClient:
    """A client without a limit on connections; proxies of the environment are used except on loopback."""
    headers = {"Accept-Encoding": "identity", "Accept": "text/event-stream"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    timeout = httpx.Timeout(timeout_s, connect=min(10.0, timeout_s), pool=None)
    return httpx.AsyncClient(headers=headers, limits=limits, timeout=timeout, trust_env=not is_loopback(url))


def is_loopback(url: str) -> bool:
    """Whether an address is of this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Stream:
    """The bytes of one answer and when each piece came; read out afterwards."""

    def __init__(self, *, scheduled: float, zero: float, most_bytes: int, wanted: tuple[int, int] | None = None) -> None:
        self._scheduled, self._zero, self._most_bytes, self._wanted = scheduled, zero, most_bytes, wanted
        self._sent = self._headers = self._done = 0.0
        self._pieces: list[tuple[float, bytes]] = []
        self._status = 0
        self._error = ""
        self._fresh = False
        self.size_bytes = 0

    @property
    def pieces(self) -> int:
        """Pieces that came, about one per event."""
        return len(self._pieces)

    @property
    def raw(self) -> list[tuple[float, bytes]]:
        """Each piece and when it came."""
        return self._pieces

    async def read(self, client: httpx.AsyncClient, url: str, body: dict[str, Any], timeout_s: float) -> None:
        """Send the request and keep what comes; whatever fails becomes this request's error.

        A kept connection that the server has closed meanwhile is no failure of it: the request goes out again over another, as curl does.
        llama-server closes after every streamed answer and says keep-alive all the same, which meets one request in seven.
        """
        try:
            async with asyncio.timeout(timeout_s):
                for last in [*[False] * MOST_CLOSED, True]:
                    if await self._attempt(client, url, body, last=last):
                        break
        except TimeoutError:
            self._error = f"no end within {timeout_s:g} s"
        except httpx.HTTPError as error:
            self._error = f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARACTERS]
        self._done = time.perf_counter()
        self.size_bytes = sum(len(piece) for _, piece in self._pieces)

    async def _attempt(self, client: httpx.AsyncClient, url: str, body: dict[str, Any], *, last: bool) -> bool:
        """One sending; False where a kept connection was closed before anything of an answer came."""
        clock, pieces, size = time.perf_counter, self._pieces, 0
        most_pieces = int(self._most_bytes * PIECES_PER_BYTE_CAP)
        self._sent, self._fresh = clock(), False
        try:
            async with client.stream("POST", url, json=body, extensions={"trace": self._follow}) as response:
                self._headers = clock()
                self._status = response.status_code
                async for piece in response.aiter_raw():
                    pieces.append((clock(), piece))
                    size += len(piece)
                    if size > self._most_bytes:
                        self._error = f"the answer is longer than {self._most_bytes} bytes: the server does not keep to max_tokens"
                        break
                    if len(pieces) > most_pieces:
                        self._error = f"the answer comes in more than {most_pieces} pieces: the server drips it"
                        break
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if last or self._fresh or self._headers or pieces:
                raise
            return False
        return True

    async def _follow(self, event: str, _info: dict[str, Any]) -> None:
        """The request leaves when its headers do: in a burst that is later than when it was asked for."""
        if event.startswith("connection.connect"):
            self._fresh = True
        if event.endswith("send_request_headers.started"):
            self._sent = time.perf_counter()

    def glance(self) -> Glance:
        """The outcome as far as the last bytes tell it."""
        tail = b"".join(piece for _, piece in self._pieces[-4:])[-TAIL_BYTES:]
        counts = [int(found) for found in USAGE_COUNT.findall(tail)]
        failed = bool(self._error) or self._status != 200 or not self._pieces or b'"error"' in tail
        return Glance(failed=failed, tokens=sum(counts[-2:]) if counts else None, latency_s=self._done - self._scheduled)

    def timing(self) -> RequestTiming:
        """What the stream says, as stamps from the level's start."""
        zero = self._zero
        found = Reading()
        if self._status and self._status != 200:
            self._error = self._error or self._refusal()
        elif not self._error:
            self._error = found.read(self._pieces)
        else:
            found.read(self._pieces)
        content = tuple(round(stamp - zero, STAMP_DIGITS) for stamp in found.content)
        if self._error:
            content = content[:KEPT_OF_FAILED]  # an endless answer has hundreds of thousands, and no figure counts them
        wanted_input, wanted_output = self._wanted or (None, None)
        return RequestTiming(
            scheduled_s=round(self._scheduled - zero, STAMP_DIGITS),
            sent_s=round(self._sent - zero, STAMP_DIGITS),
            headers_s=round(self._headers - zero, STAMP_DIGITS) if self._headers else -1.0,
            first_chunk_s=round(found.first - zero, STAMP_DIGITS) if found.first else -1.0,
            first_content_s=content[0] if content else -1.0,
            first_answer_s=round(found.first_answer - zero, STAMP_DIGITS) if found.first_answer else -1.0,
            content_s=content,
            done_s=round(self._done - zero, STAMP_DIGITS),
            input_tokens=found.input_tokens,
            cached_input_tokens=found.cached_input_tokens,
            output_tokens=found.output_tokens,
            reasoning_tokens=found.reasoning_tokens,
            finish_reason=found.finish_reason,
            error=self._error,
            wanted_input_tokens=wanted_input,
            wanted_output_tokens=wanted_output,
            engine_prompt_ms=found.engine_prompt_ms,
            engine_output_ms=found.engine_output_ms,
            wordless_tokens=found.wordless_tokens,
        )

    def _refusal(self) -> str:
        text = b"".join(piece for _, piece in self._pieces[:8])[:MAX_ERROR_CHARACTERS].decode(errors="replace")
        if 300 <= self._status < 400:
            return f"HTTP {self._status}: redirected elsewhere, which is not followed: give the final address"
        return f"HTTP {self._status}: {' '.join(text.split())}"


class Reading:
    """Server-sent events read out of stamped pieces; an event counts from the piece that ends it."""

    def __init__(self) -> None:
        self.first = self.first_answer = 0.0
        self.content: list[float] = []
        self.wordless_tokens: int | None = None
        self.input_tokens: int | None = None
        self.cached_input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.reasoning_tokens: int | None = None
        self.engine_prompt_ms: float | None = None
        self.engine_output_ms: float | None = None
        self.finish_reason = ""
        self._ended = False
        self._engine_counts: tuple[int | None, int | None, int | None] = (None, None, None)
        self._wordless: list[float] = []

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
        self._count_as_engine()
        self._take_wordless()
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
        self._timings(event.get("timings"))
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
        elif "role" not in parts and "" in (parts.get("content"), choice.get("text")):
            self._wordless.append(stamp)
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

    def _timings(self, timings: Any) -> None:
        """What llama-server says of its own work, in the last event or, so far, in each."""
        if not isinstance(timings, dict):
            return
        self.engine_prompt_ms = _time(timings.get("prompt_ms"), self.engine_prompt_ms)
        self.engine_output_ms = _time(timings.get("predicted_ms"), self.engine_output_ms)
        self._engine_counts = (
            _count(timings.get("prompt_n"), None),
            _count(timings.get("cache_n"), None),
            _count(timings.get("predicted_n"), None),
        )

    def _take_wordless(self) -> None:
        """Events with empty text count as tokens where each event of the answer is one by the server's own count.

        Random weights name tokens that have no text, and half a character has none yet. The last event may be only the end, and one
        alone a server's greeting.
        """
        if self._wordless and self.output_tokens:
            missing = self.output_tokens - len(self.content)
            if missing > 1 and 0 <= len(self._wordless) - missing <= 1:
                self.wordless_tokens = missing
                self.content = sorted([*self.content, *self._wordless[:missing]])

    def _count_as_engine(self) -> None:
        """The engine's counts stand in where the server sends no usage."""
        read, cached, written = self._engine_counts
        if self.cached_input_tokens is None:
            self.cached_input_tokens = cached
        if self.input_tokens is None and read is not None:
            self.input_tokens = read + (cached or 0)
        if self.output_tokens is None:
            self.output_tokens = written


def _time(value: Any, before: float | None) -> float | None:
    """A time in ms, to the microsecond; what is no time leaves the one before."""
    is_time = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LONGEST_MS
    return round(float(value), 3) if is_time else before


def _count(value: Any, before: int | None) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_TOKENS else before


async def fetch_whole(client: httpx.AsyncClient, url: str, *, timeout_s: float, most_bytes: int) -> tuple[bytes | None, Mapping[str, str]]:
    """(body of GET, headers); no body unless it was answered with 200; ValueError when it is larger than `most_bytes`.

    ConnectionError when nobody listens there, TimeoutError or OSError when nothing whole comes.
    """
    text = b""
    try:
        async with asyncio.timeout(timeout_s), client.stream("GET", url) as response:
            async for piece in response.aiter_raw():
                text += piece
                if len(text) > most_bytes:
                    raise ValueError("too long")
            return (text if response.status_code == 200 else None), response.headers
    except httpx.ConnectError as error:
        raise ConnectionError(str(error)) from None
    except httpx.HTTPError as error:
        raise OSError(f"{type(error).__name__}: {error}") from None
