"""The routes beside the pages: GET /healthz, and POST /api/measurements for servers that report what they measured."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from facts.errors import InputError
from facts.settings import Settings, settings
from probes.measurement import MAX_BYTES, Measurement
from probes.store import get_measurement, save_measurement

LOG = logging.getLogger(__name__)
_SAVING = threading.Lock()


class Refused(Exception):
    """The request gets this status and sentence instead of being taken in."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers or {}


class RateLimit:
    """So many requests at once and so many a minute from one address: a bucket of tokens each, the oldest buckets forgotten.

    burst: requests that a full bucket allows at once
    per_minute: tokens that flow back in a minute
    remembered: addresses that are kept
    """

    def __init__(self, *, burst: int, per_minute: float, remembered: int = 4096, clock: Callable[[], float] = time.monotonic) -> None:
        self.burst, self.per_minute, self.remembered, self.clock = burst, per_minute, remembered, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._guard = threading.Lock()

    def wait_s(self, address: str) -> float:
        """0 when the request may pass, which takes a token; else the seconds until one is there."""
        with self._guard:
            now = self.clock()
            tokens, seen = self._buckets.pop(address, (float(self.burst), now))
            tokens = min(float(self.burst), tokens + (now - seen) * self.per_minute / 60.0)
            passes = tokens >= 1.0
            self._buckets[address] = (tokens - 1.0 if passes else tokens, now)
            while len(self._buckets) > self.remembered:
                self._buckets.popitem(last=False)
            return 0.0 if passes else (1.0 - tokens) * 60.0 / self.per_minute


INTAKE_LIMIT = RateLimit(burst=60, per_minute=60.0)
"""A server sends a handful of measurements a day; a guesser of tokens many a second."""


async def healthz(_request: Request) -> JSONResponse:
    """Whether the process answers; nothing about what it holds."""
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


async def take_measurement(request: Request) -> JSONResponse:
    """Keep a measurement: 201 when it is new, 200 when the same one came before, else a status with one sentence.

    429 with Retry-After for too many from one address, 403 while no token is set, 401 for another token, 413 above 20 MB, 422 for what
    is no measurement.
    """
    environment = settings()
    host = request.client.host if request.client else ""
    try:
        _check_rate(host)
        _check_token(request, environment)
        body = await _body(request)
        measurement, new = await run_in_threadpool(_keep, environment, body)
    except Refused as refused:
        LOG.info("a measurement was refused", extra={"status": refused.status, "host": host})
        return JSONResponse({"error": refused.sentence}, status_code=refused.status, headers=refused.headers)
    except InputError as error:  # the database, not the sender: say so without its path
        LOG.warning("a measurement could not be kept: %s", error)
        return JSONResponse({"error": "the measurement is well-formed but cannot be kept here: see the server's log"}, status_code=503)
    LOG.info("a measurement was taken in", extra={"status": 201 if new else 200, "host": host, "measurement_id": measurement.id})
    return JSONResponse({"id": measurement.id, "status": "saved" if new else "already known"}, status_code=201 if new else 200)


routes = [
    Route("/healthz", healthz, methods=["GET"]),
    Route("/api/measurements", take_measurement, methods=["POST"]),
]
"""What `app.py` mounts beside the pages."""


# ---- below: how ----


def _check_rate(host: str) -> None:
    wait_s = INTAKE_LIMIT.wait_s(host)
    if wait_s:
        seconds = max(1, round(wait_s + 0.5))
        raise Refused(429, f"too many measurements from this address: try again in {seconds} s", {"Retry-After": str(seconds)})


def _check_token(request: Request, environment: Settings) -> None:
    if environment.intake_token is None:
        raise Refused(403, "measurements are not taken in here: set RIGHTSIZE_INTAKE_TOKEN on the dashboard first")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    wanted = environment.intake_token.get_secret_value().encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), wanted):
        raise Refused(401, "send the dashboard's token as 'Authorization: Bearer ...'", {"WWW-Authenticate": "Bearer"})


async def _body(request: Request) -> bytes:
    """The whole body, given up as soon as it is over the limit, whatever its declared length says."""
    too_large = Refused(413, f"a measurement may have {MAX_BYTES} bytes, this one has more")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BYTES:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise too_large
    return bytes(body)


def _keep(environment: Settings, body: bytes) -> tuple[Measurement, bool]:
    try:
        measurement = Measurement.from_json(body, "request body")
    except InputError as error:
        raise Refused(422, str(error)) from None
    with _SAVING:  # so that the same one sent twice at once is new only once
        known = _known(environment, measurement)
        save_measurement(environment, measurement)
    return measurement, not known


def _known(environment: Settings, measurement: Measurement) -> bool:
    try:
        get_measurement(environment, measurement.id)
    except InputError:
        return False
    return True
