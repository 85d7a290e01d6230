"""Who asks: prompts of a wanted length, the request's body in the manner the server takes, and what may still be spent."""

from __future__ import annotations

import random
import time
from typing import Any

import httpx

from facts.records import Fact
from facts.units import TOKENS_PER_MTOK
from probes.measurement import EndpointSettings, most_requests
from probes.stream import MAX_BYTES_PER_TOKEN, MAX_EVENT_BYTES, Glance, Stream

_VOCABULARY = (
    "time year people way day man thing woman life child world school state family student group country problem hand part "
    "place case week company system program question work number night point home water room mother area money story fact month "
    "lot right study book eye job word business issue side kind head house service friend father power hour game line end member "
    "law car city name team minute idea body back parent face level office door health person art war history party result"
)
WORDS = tuple(_VOCABULARY.split())
"""Words that are one token in most vocabularies."""


class Manner(Fact):
    """How one server wants to be asked; found out once, handed to every process that asks."""

    url: str
    """Base address."""
    model: str
    """Model name that is sent."""
    extras: tuple[str, ...] = ()
    """Options beyond the common ones that it takes: include_usage, ignore_eos, max_completion_tokens."""
    tokens_per_word: float = 1.0
    """Tokens of a prompt word, by the server's own count."""
    tokens_before: float = 0.0
    """Tokens that its template adds to a prompt."""
    timeout_s: float = 120.0
    """Longest time one request may take."""


class Allowance(Fact):
    """What may still be sent."""

    requests: int
    """Requests left."""
    tokens: int
    """Tokens left, input and output."""
    usd: float | None = None
    """Money left, none without a cap."""
    input_usd_per_mtok: float = 0.0
    """Price of input."""
    output_usd_per_mtok: float = 0.0
    """Price of output."""
    stated: tuple[str, str, str]
    """The three caps as the user gave them, for the message."""

    def share(self, part: int, parts: int) -> Allowance:
        """The allowance of one of several processes."""
        usd = None if self.usd is None else self.usd / parts
        requests = self.requests // parts + (part < self.requests % parts)
        return self.model_copy(update={"requests": requests, "tokens": self.tokens // parts, "usd": usd})


def full_allowance(settings: EndpointSettings, output_tokens: float | None = None) -> Allowance:
    """What the settings allow at the start, for answers of so many tokens: no more requests than a measurement has room for."""
    room = most_requests(settings.output_tokens if output_tokens is None else output_tokens)
    stated = (
        f"{settings.max_requests} requests" if settings.max_requests <= room else f"{room} requests, all that a measurement has room for,"
    )
    return Allowance(
        requests=min(settings.max_requests, room),
        tokens=settings.max_tokens,
        usd=settings.max_usd,
        input_usd_per_mtok=settings.input_usd_per_mtok,
        output_usd_per_mtok=settings.output_usd_per_mtok,
        stated=(stated, f"{settings.max_tokens} tokens", f"{settings.max_usd or 0:g} USD"),
    )


class Budget:
    """An allowance that is being used up."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowed = allowance
        self.requests, self.tokens, self.usd = 0, 0, 0.0

    def book(self, input_tokens: int, output_tokens: int) -> str:
        """Empty when one more request of this size is within the caps, which is then booked; else the cap it would break."""
        allowed, size = self._allowed, input_tokens + output_tokens
        cost = (input_tokens * allowed.input_usd_per_mtok + output_tokens * allowed.output_usd_per_mtok) / TOKENS_PER_MTOK
        for broken, stated in zip(
            (
                self.requests + 1 > allowed.requests,
                self.tokens + size > allowed.tokens,
                allowed.usd is not None and self.usd + cost > allowed.usd,
            ),
            allowed.stated,
            strict=True,
        ):
            if broken:
                return f"the cap of {stated} was reached"
        self.add(1, size, cost)
        return ""

    def add(self, requests: int, tokens: int, usd: float) -> None:
        """Count what was used."""
        self.requests, self.tokens, self.usd = self.requests + requests, self.tokens + tokens, self.usd + usd

    @property
    def left(self) -> Allowance:
        """What remains, for another process."""
        allowed = self._allowed
        usd = None if allowed.usd is None else max(0.0, allowed.usd - self.usd)
        tokens = max(0, allowed.tokens - self.tokens)
        return allowed.model_copy(update={"requests": max(0, allowed.requests - self.requests), "tokens": tokens, "usd": usd})


class Prompts:
    """Random prompts, each different from its first word on, so that no prefix cache can answer for the server."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - prompts, not secrets

    def next(self, words: int) -> str:
        """A prompt of so many words."""
        return " ".join(self._random.choices(WORDS, k=max(1, words)))


class Caller:
    """Asks one server over one client."""

    def __init__(self, manner: Manner, client: httpx.AsyncClient, seed: int) -> None:
        self.manner = manner
        self._client, self._prompts = client, Prompts(seed)

    async def ask(
        self, scheduled: float, zero: float, *, input_tokens: int, output_tokens: int, words: int | None = None, keep_sizes: bool = False
    ) -> Stream:
        """One request, streamed to its end; stamps count from `zero`. Exactly so many words where given, else for the tokens."""
        manner = self.manner
        if words is None:
            words = round((input_tokens - manner.tokens_before) / manner.tokens_per_word)
        body = self._body(self._prompts.next(words), output_tokens)
        wanted = (input_tokens, output_tokens) if keep_sizes else None
        most = MAX_EVENT_BYTES + MAX_BYTES_PER_TOKEN * output_tokens
        stream = Stream(scheduled=scheduled, zero=zero, most_bytes=most, wanted=wanted)
        await stream.read(self._client, f"{manner.url}/chat/completions", body, manner.timeout_s)
        return stream

    async def ask_now(self, words: int, settings: EndpointSettings) -> Stream:
        """One request outside any level."""
        now = time.perf_counter()
        return await self.ask(now, now, input_tokens=settings.input_tokens, output_tokens=settings.output_tokens, words=words)

    def _body(self, prompt: str, output_tokens: int) -> dict[str, Any]:
        extras = self.manner.extras
        body: dict[str, Any] = {"model": self.manner.model, "messages": [{"role": "user", "content": prompt}], "stream": True}
        body["max_completion_tokens" if "max_completion_tokens" in extras else "max_tokens"] = output_tokens
        if "include_usage" in extras:
            body["stream_options"] = {"include_usage": True}
        if "ignore_eos" in extras:
            body |= {"ignore_eos": True, "min_tokens": output_tokens}
        return body


def tokens_beyond(glance: Glance, booked: int) -> int:
    """Tokens that the server counted beyond those booked; longer than asked for counts as well."""
    return max(0, (glance.tokens or 0) - booked)
