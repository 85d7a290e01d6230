"""A measurement to a dashboard that asked for it."""

from __future__ import annotations

import httpx
from pydantic import SecretStr

from facts.errors import InputError
from probes.endpoint import check_url
from probes.measurement import MAX_BYTES, Measurement

PATH = "/api/measurements"
TOKEN_VARIABLE = "RIGHTSIZE_INTAKE_TOKEN"  # noqa: S105 - the name of a variable
MAX_ANSWER_BYTES = 100_000


def send_measurement(
    measurement: Measurement, url: str, token: SecretStr | None, *, transport: httpx.BaseTransport | None = None, timeout_s: float = 60.0
) -> str:
    """POST the measurement to the dashboard at `url`; what happened, in one sentence. InputError says why it was not taken.

    Sending the same measurement twice is harmless: its id is the hash of its content.
    """
    if token is None:
        raise InputError(f"no token: set {TOKEN_VARIABLE} to the dashboard's own")
    body = measurement.to_json().encode()
    if len(body) > MAX_BYTES:
        raise InputError(f"the measurement has {len(body)} bytes, a dashboard takes {MAX_BYTES}: measure fewer levels")
    address = check_url(url).removesuffix(PATH) + PATH
    headers = {"Authorization": f"Bearer {token.get_secret_value()}", "Content-Type": "application/json"}
    try:
        with (
            httpx.Client(transport=transport, timeout=timeout_s) as client,
            client.stream("POST", address, content=body, headers=headers) as reply,
        ):
            text = _limited(reply)
    except httpx.HTTPError as error:
        raise InputError(f"{address} does not answer ({type(error).__name__}: {error}): check the address") from None
    if reply.status_code in (200, 201):
        return f"{measurement.id[:12]} was {'taken' if reply.status_code == 201 else 'there already'}"
    raise InputError(f"{address} did not take it (HTTP {reply.status_code}): {_reason(reply.status_code, text)}")


def _limited(reply: httpx.Response) -> str:
    found = b""
    for piece in reply.iter_bytes():
        found += piece
        if len(found) > MAX_ANSWER_BYTES:
            break
    return found[:400].decode(errors="replace")


def _reason(status: int, text: str) -> str:
    known = {
        401: "the token is not the dashboard's",
        403: f"intake is switched off or the token is wrong: set {TOKEN_VARIABLE} on both sides",
        404: "there is no intake at this address: give the dashboard's own",
        413: "it is too large",
    }
    if 300 <= status < 400:
        return "it is redirected elsewhere, and a token is not sent on: give the final address"
    return known.get(status) or " ".join(text.split()) or "no reason was given"
