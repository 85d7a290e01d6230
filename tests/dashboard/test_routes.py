"""The intake takes a measurement once, from whoever knows the token, and nothing else; every answer carries the headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from dashboard.middleware import SecurityHeaders, content_security_policy, inline_script_hashes
from dashboard.routes import RateLimit, routes
from facts.settings import settings
from probes.measurement import MAX_BYTES, Environment, LlamaCppSettings, Measurement, TestResult
from probes.store import list_measurements

TOKEN = "a token of the tests"


def measurement(host: str = "server-1") -> Measurement:
    return Measurement(
        kind="llamacpp",
        created=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
        status="complete",
        model_id="qwen3-0.6b",
        quantization="Q4_K_M",
        engine="llama.cpp",
        settings=LlamaCppSettings(),
        environment=Environment(host=host, cpu="a processor"),
        tests=(
            TestResult(name="pp512", n_prompt=512, n_gen=0, samples_tokens_per_s=(150.0, 152.0, 151.0)),
            TestResult(name="tg128", n_prompt=0, n_gen=128, samples_tokens_per_s=(30.0, 31.0, 30.5)),
        ),
    ).sealed()


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(Starlette(routes=routes, middleware=[Middleware(SecurityHeaders)])) as opened:
        yield opened


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("RIGHTSIZE_INTAKE_TOKEN", TOKEN)
    return {"Authorization": f"Bearer {TOKEN}"}


def test_healthz_says_ok_and_nothing_else(client: TestClient) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_without_a_token_set_nothing_is_taken(client: TestClient) -> None:
    answer = client.post("/api/measurements", content=measurement().to_json(), headers={"Authorization": "Bearer "})
    assert answer.status_code == 403
    assert "RIGHTSIZE_INTAKE_TOKEN" in answer.json()["error"]


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic YTpi", f"Bearer {TOKEN}x", "Bearer", "Bearer \u00fc"])
def test_another_token_is_refused(client: TestClient, token: dict[str, str], header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("utf-8")}
    answer = client.post("/api/measurements", content=measurement().to_json(), headers=headers)
    assert answer.status_code == 401
    assert TOKEN not in answer.text


def test_a_measurement_is_kept_once_however_often_it_is_sent(client: TestClient, token: dict[str, str]) -> None:
    sent = measurement()
    first = client.post("/api/measurements", content=sent.to_json(), headers=token)
    again = client.post("/api/measurements", content=sent.to_json(), headers=token)
    assert (first.status_code, first.json()) == (201, {"id": sent.id, "status": "saved"})
    assert (again.status_code, again.json()["status"]) == (200, "already known")
    assert [kept.id for kept in list_measurements(settings())] == [sent.id]


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"schema_version": 2}', b"[" * 200_000])
def test_what_is_no_measurement_gets_one_sentence(client: TestClient, token: dict[str, str], body: bytes) -> None:
    answer = client.post("/api/measurements", content=body, headers=token)
    assert answer.status_code == 422
    assert "Traceback" not in answer.text


def test_a_measurement_that_was_edited_is_refused(client: TestClient, token: dict[str, str]) -> None:
    edited = measurement().to_json().replace("30.5", "90.5")
    answer = client.post("/api/measurements", content=edited, headers=token)
    assert answer.status_code == 422
    assert "changed after it was written" in answer.json()["error"]


def test_one_byte_more_than_the_limit_is_too_large(client: TestClient, token: dict[str, str]) -> None:
    assert client.post("/api/measurements", content=b" " * (MAX_BYTES + 1), headers=token).status_code == 413
    assert client.post("/api/measurements", content=b" " * MAX_BYTES, headers=token).status_code == 422


def test_a_body_without_a_declared_length_is_cut_off_too(client: TestClient, token: dict[str, str]) -> None:
    chunks = (b" " * 1_000_000 for _ in range(MAX_BYTES // 1_000_000 + 2))
    assert client.post("/api/measurements", content=chunks, headers=token).status_code == 413


def test_a_database_that_cannot_be_written_is_said_without_its_path(
    client: TestClient, token: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}")
    answer = client.post("/api/measurements", content=measurement().to_json(), headers=token)
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    for answer in (client.get("/healthz"), client.post("/api/measurements"), client.get("/nowhere")):
        assert answer.headers["content-security-policy"] == content_security_policy()
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"


def test_scripts_come_from_this_server_only() -> None:
    policy = dict(rule.split(" ", 1) for rule in content_security_policy().split("; "))
    assert policy["default-src"] == "'self'"
    assert "unsafe-inline" not in policy["script-src"]
    assert "http" not in content_security_policy()
    assert re.search(r"'sha256-[A-Za-z0-9+/=]{44}'", policy["script-src"])


def test_only_scripts_inside_the_page_are_hashed() -> None:
    assert inline_script_hashes('<script src="x.js"></script><p>') == []
    # the example of the CSP specification
    assert inline_script_hashes("<script>alert('Hello, world.');</script>") == ["qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="]


def test_too_many_from_one_address_wait_whatever_their_token(
    client: TestClient, token: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.routes.INTAKE_LIMIT", RateLimit(burst=2, per_minute=30.0, clock=lambda: 0.0))
    statuses = [client.post("/api/measurements", content=b"{}", headers={"Authorization": "Bearer guess"}).status_code for _ in range(2)]
    answer = client.post("/api/measurements", content=measurement().to_json(), headers=token)
    assert statuses == [401, 401]
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    assert client.get("/healthz").status_code == 200
