"""For teams: nobody comes in unasked, a proxy's word counts only from the proxy, and no secret reaches the log."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.__main__ import check_address, server_settings
from dashboard.access import allowed
from dashboard.logs import HIDDEN, Line, without_secrets
from dashboard.middleware import TrustedProxies, client_of, trusted
from dashboard.routes import RateLimit
from dashboard.state import Desk
from facts.errors import InputError
from facts.settings import Settings, settings
from tests.dashboard.identity_provider import CLIENT_ID, CLIENT_SECRET, identity_provider
from tests.dashboard.served import served, texts


def environment(**given: Any) -> Settings:
    return Settings(data_dir=Path("/nowhere"), database_url="sqlite://", **given)


# ---- whose word counts ----


@dataclass
class Seen:
    scope: dict[str, Any]


async def passed_on(peer: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope)

    await TrustedProxies(app)({"type": "websocket", "client": (peer, 1234), "headers": headers}, None, None)  # type: ignore[arg-type]
    return seen[0]


def sent(peer: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    import asyncio

    return asyncio.run(passed_on(peer, list(headers)))


USER = (b"X-Forwarded-Email", b"ada@example.com")
WAY = (b"x-forwarded-for", b"198.51.100.7, 203.0.113.9")


@pytest.fixture
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHTSIZE_TRUSTED_PROXIES", "10.0.0.0/24, ::1")


@pytest.mark.usefixtures("behind_a_proxy")
def test_the_proxys_word_counts_and_names_the_client() -> None:
    scope = sent("10.0.0.5", USER, WAY)
    assert USER in scope["headers"]
    assert scope["client"][0] == "203.0.113.9"


@pytest.mark.usefixtures("behind_a_proxy")
@pytest.mark.parametrize("peer", ["10.0.1.5", "127.0.0.1", "203.0.113.9", "", "unix"])
def test_anybody_elses_word_is_taken_away(peer: str) -> None:
    scope = sent(peer, USER, WAY, (b"cookie", b"kept"))
    assert scope["headers"] == [(b"cookie", b"kept")]
    assert scope["client"][0] == peer


@pytest.mark.usefixtures("behind_a_proxy")
def test_a_user_named_twice_is_nobody() -> None:
    assert sent("10.0.0.5", (b"x-forwarded-email", b"root@example.com"), USER)["headers"] == []


def test_without_a_stated_proxy_no_header_counts() -> None:
    assert sent("127.0.0.1", USER, WAY)["headers"] == []


@given(st.text(max_size=80), st.ip_addresses())
def test_no_chain_of_addresses_breaks_it(forwarded: str, peer: object) -> None:
    found = client_of(forwarded, str(peer), ("10.0.0.0/8", "fc00::/7"))
    assert found == str(peer) or not trusted(found, ("10.0.0.0/8", "fc00::/7"))


# ---- who may come in ----


@pytest.mark.parametrize(
    ("email", "users", "may"),
    [
        ("ada@example.com", (), True),
        ("Ada@Example.com", ("ada@example.com",), True),
        ("ada@example.com", ("@example.com",), True),
        ("ada@sub.example.com", ("@example.com",), False),
        ("ada@example.com.evil", ("@example.com",), False),
        ("evil@x@example.com", ("ada@example.com",), False),
        ("", ("@example.com",), False),
    ],
)
def test_the_list_of_allowed_users_is_kept(email: str, users: tuple[str, ...], may: bool) -> None:
    assert allowed(email, environment(allowed_users=users)) is may


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.5", "::", "2001:db8::1"])
def test_pages_are_not_opened_to_the_network_without_a_sign_in(address: str) -> None:
    with pytest.raises(InputError, match="RIGHTSIZE_SIGN_IN"):
        check_address(address, environment())
    check_address(address, environment(sign_in="oidc"))
    check_address(address, environment(sign_in="none"))


def test_loopback_asks_nobody_and_a_header_needs_its_proxy() -> None:
    check_address("127.0.0.1", environment())
    check_address("::1", environment())
    with pytest.raises(InputError, match="no IP address"):
        check_address("everywhere", environment())
    with pytest.raises(InputError, match="RIGHTSIZE_TRUSTED_PROXIES"):
        check_address("127.0.0.1", environment(sign_in="header"))
    check_address("127.0.0.1", environment(sign_in="header", trusted_proxies=("127.0.0.1",)))


def test_the_server_rewrites_no_address_and_hands_the_named_header_over() -> None:
    assert server_settings(environment()) == {"FORWARDED_ALLOW_IPS": ""}
    said = server_settings(environment(sign_in="header", user_header="X-User"))
    assert json.loads(said["STREAMLIT_SERVER_TRUSTED_USER_HEADERS"]) == {"X-User": "email"}


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        ({"RIGHTSIZE_SIGN_IN": "password"}, "known are none, oidc, header"),
        ({"RIGHTSIZE_TRUSTED_PROXIES": "proxy.local"}, "no IP address or network"),
        ({"RIGHTSIZE_LOG": "xml"}, "known are text, json"),
    ],
)
def test_a_setting_that_is_not_understood_is_one_sentence(given_settings: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        settings({"HOME": "/h", **given_settings})


def test_a_proxy_signs_its_users_in_and_nobody_else_can(tmp_path: Path) -> None:
    asked = {"RIGHTSIZE_SIGN_IN": "header", "RIGHTSIZE_TRUSTED_PROXIES": "127.0.0.1", "RIGHTSIZE_ALLOWED_USERS": "@example.com"}
    with served(tmp_path, first_port=18_640, agent=True, **asked) as dashboard:
        nobody = texts(dashboard.interact({}))
        known = texts(dashboard.interact({}, {"X-Forwarded-Email": "ada@example.com"}))
        stranger = texts(dashboard.interact({}, {"X-Forwarded-Email": "eve@evil.example"}))
    assert "You are not signed in" in nobody
    assert "Your workload" not in nobody
    assert "Signed in as ada@example" in known.replace("\\", "")
    assert "Your workload" in known
    assert "This account may not come in" in stranger
    assert "Your workload" not in stranger
    assert "eve@evil.example" not in dashboard.log.read_text()


def test_a_header_from_elsewhere_than_the_proxy_signs_nobody_in(tmp_path: Path) -> None:
    asked = {"RIGHTSIZE_SIGN_IN": "header", "RIGHTSIZE_TRUSTED_PROXIES": "10.99.0.1"}
    with served(tmp_path, first_port=18_650, agent=True, **asked) as dashboard:
        said = texts(dashboard.interact({}, {"X-Forwarded-Email": "ada@example.com", "X-Forwarded-For": "10.99.0.1"}))
    assert "You are not signed in" in said
    assert "Your workload" not in said


@pytest.mark.browser
def test_signing_in_and_out_at_an_openid_provider(browser: Any, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    with identity_provider() as provider:
        secrets = tmp_path / "secrets.toml"
        # The port is filled in by Streamlit.
        secrets.write_text(
            "[auth]\n"
            'redirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            f'cookie_secret = "a secret of thirty-two letters and more"\nclient_id = "{CLIENT_ID}"\nclient_secret = "{CLIENT_SECRET}"\n'
            f'server_metadata_url = "{provider.url}/.well-known/openid-configuration"\n'
        )
        asked = {"RIGHTSIZE_SIGN_IN": "oidc", "RIGHTSIZE_ALLOWED_USERS": "@example.com", "STREAMLIT_SECRETS_FILES": str(secrets)}
        with served(tmp_path, first_port=18_660, **asked) as dashboard:
            context = browser.new_context(viewport={"width": 1366, "height": 900})
            context.set_default_timeout(60_000)
            page = context.new_page()
            page.goto(dashboard.url)
            expect(page.get_by_role("button", name="Sign in")).to_be_visible()
            expect(page.get_by_text("Your workload")).to_have_count(0)
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_text("Signed in as ada@example.com")).to_be_visible()
            expect(page.get_by_text("Your workload")).to_be_visible()
            page.get_by_role("button", name="Sign out").click()
            expect(page.get_by_role("button", name="Sign in")).to_be_visible()
            provider.email = "eve@evil.example"
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_text("This account may not come in")).to_be_visible()
            expect(page.get_by_text("Your workload")).to_have_count(0)
            context.close()
        assert {"/authorization", "/token", "/jwks"} <= set(provider.asked)
        log = dashboard.log.read_text()
        assert CLIENT_SECRET not in log
        assert "an access token" not in log


# ---- the rate limit ----


def test_a_burst_passes_then_one_request_as_often_as_tokens_flow_back() -> None:
    now = [0.0]
    limit = RateLimit(burst=3, per_minute=60.0, clock=lambda: now[0])
    assert [limit.wait_s("a") for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(1.0)]
    assert limit.wait_s("b") == 0.0
    now[0] = 0.999
    assert limit.wait_s("a") > 0.0
    now[0] = 1.0
    assert limit.wait_s("a") == 0.0
    now[0] = 1_000.0
    assert [limit.wait_s("a") for _ in range(4)][:3] == [0.0, 0.0, 0.0]


def test_addresses_are_forgotten_before_they_fill_the_memory() -> None:
    limit = RateLimit(burst=1, per_minute=1.0, remembered=10, clock=lambda: 0.0)
    for number in range(1_000):
        limit.wait_s(f"2001:db8::{number:x}")
    assert len(limit._buckets) == 10


# ---- the log ----


@pytest.mark.parametrize(
    "said",
    [
        "cannot reach postgresql://rightsize:hunter22@db/rightsize",
        "Authorization: Bearer hunter22",
        "headers {'authorization': 'Bearer hunter22'}",
        "api_key=hunter22&x=1",
        '{"password": "hunter22"}',
        "token: hunter22",
        "a known one: hunter22",
    ],
)
def test_no_secret_reaches_a_line(said: str) -> None:
    line = without_secrets(said, ("hunter22",) if said.startswith("a known") else ())
    assert "hunter22" not in line
    assert HIDDEN in line


def test_a_sentence_without_a_secret_stays() -> None:
    for said in ("3 tokens of 12", "the database /srv/r.sqlite3 cannot be written: token bucket", "http://10.0.0.5:8000/v1 answered 404"):
        assert without_secrets(said) == said


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200), st.booleans())
def test_an_event_is_one_line_whatever_it_says(message: str, as_json: bool) -> None:
    record = logging.LogRecord("probes.store", logging.WARNING, "", 0, message, None, None)
    line = Line(as_json=as_json).format(record)
    assert len(line.splitlines()) == 1 or as_json
    if as_json:
        assert "\n" not in line
        assert json.loads(line)["message"] == without_secrets(message)


def test_a_traceback_stands_inside_the_json_and_hides_its_secrets_too() -> None:
    try:
        raise RuntimeError("postgresql://u:hunter22@db failed")
    except RuntimeError:
        record = logging.LogRecord("dashboard.state", logging.ERROR, "", 0, "a page failed", None, sys.exc_info())
    event = json.loads(Line(as_json=True).format(record))
    assert "RuntimeError" in event["trace"]
    assert "hunter22" not in json.dumps(event)


# ---- the end ----


class Job:
    """A probe that needs a moment to end."""

    def __init__(self) -> None:
        self.result = SimpleNamespace(id="kept")
        self.state = SimpleNamespace(over=False)
        self._ended = Event()

    def cancel(self) -> None:
        self.state.over = True
        self._ended.set()

    def wait(self) -> None:
        assert self._ended.wait(10)


def test_a_stop_ends_running_probes_and_waits_until_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    monkeypatch.setattr("probes.store.save_measurement", lambda _environment, result: kept.append(result.id))
    desk: Desk[Any] = Desk(environment())
    jobs = [Job(), Job()]
    for job in jobs:
        desk.hold(job)
    desk.close()
    assert [job.state.over for job in jobs] == [True, True]
    assert kept == ["kept", "kept"]
