"""The routes beside the pages: GET /healthz, and POST /api/measurements for servers that report what they measured."""

from __future__ import annotations

import hmac
import logging
import threading

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

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


async def healthz(_request: Request) -> JSONResponse:
    """Whether the process answers; nothing about what it holds."""
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


async def take_measurement(request: Request) -> JSONResponse:
    """Keep a measurement: 201 when it is new, 200 when the same one came before, else a status with one sentence.

    403 while no token is set, 401 for another token, 413 above 20 MB, 422 for what is no measurement.
    """
    environment = settings()
    try:
        _check_token(request, environment)
        body = await _body(request)
        measurement, new = await run_in_threadpool(_keep, environment, body)
    except Refused as refused:
        headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
        return JSONResponse({"error": refused.sentence}, status_code=refused.status, headers=headers)
    except InputError as error:  # the database, not the sender: say so without its path
        LOG.warning("a measurement could not be kept: %s", error)
        return JSONResponse({"error": "the measurement is well-formed but cannot be kept here: see the server's log"}, status_code=503)
    return JSONResponse({"id": measurement.id, "status": "saved" if new else "already known"}, status_code=201 if new else 200)


routes = [
    Route("/healthz", healthz, methods=["GET"]),
    Route("/api/measurements", take_measurement, methods=["POST"]),
]
"""What `app.py` mounts beside the pages."""


# ---- below: how ----


def _check_token(request: Request, environment: Settings) -> None:
    if environment.intake_token is None:
        raise Refused(403, "measurements are not taken in here: set RIGHTSIZE_INTAKE_TOKEN on the dashboard first")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    wanted = environment.intake_token.get_secret_value().encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), wanted):
        raise Refused(401, "send the dashboard's token as 'Authorization: Bearer ...'")


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
