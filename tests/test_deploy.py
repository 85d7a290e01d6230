"""The files for a server are what the code understands, and what a reader of docs/deploy.md is told."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from streamlit import config

from facts.settings import settings
from workloads.store import engine

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "docs" / "deploy"


def unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((DEPLOY / "rightsize.service").read_text())
    return parser


def env_file() -> dict[str, str]:
    lines = (DEPLOY / "rightsize.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_environment_file_holds_settings_that_are_understood() -> None:
    found = settings({"HOME": "/h", **env_file()})
    assert found.sign_in == "oidc"
    assert found.allowed_users == ("@example.com",)
    assert found.trusted_proxies == ("127.0.0.1",)
    assert found.log_format == "json"
    assert found.intake_token is None
    assert found.database_url.startswith("postgresql+psycopg://")


def test_every_variable_of_the_file_is_read_by_somebody() -> None:
    source = (ROOT / "facts" / "settings.py").read_text()
    lines = [line.lstrip("#") for line in (DEPLOY / "rightsize.env").read_text().splitlines()]
    names = [found[1] for line in lines if (found := re.match(r"([A-Z_]+)=", line))]
    assert len(names) >= 9
    spoken = [re.sub("([A-Z])", r"_\1", key).replace(".", "_").upper() for key in config.get_config_options()]
    options = {f"STREAMLIT_{name}" for name in spoken}
    for name in names:
        assert name in source or name in options, name


def test_the_unit_starts_what_there_is_and_leaves_time_to_keep_a_probe() -> None:
    service = unit()["Service"]
    assert re.search(r"python -m dashboard --no-build --port \d+$", service["ExecStart"])
    assert int(service["TimeoutStopSec"]) >= 20
    assert service["KillSignal"] == "SIGTERM"
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert "/var/lib/" + service["StateDirectory"] in service["Environment"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "rightsize.service").read_text().replace("/opt/rightsize/.venv/bin/python", "/bin/true")
    (tmp_path / "rightsize.service").write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "rightsize.service"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if "rightsize.service" in line]
    assert not said, said


def test_the_secrets_are_those_that_streamlits_login_reads() -> None:
    auth = tomllib.loads((DEPLOY / "secrets.toml").read_text())["auth"]
    assert set(auth) == {"redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url"}
    assert auth["redirect_uri"].endswith("/oauth2callback")
    assert "CHANGE-ME" in auth["client_secret"]


def test_the_proxy_overwrites_what_a_client_could_claim() -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    pages = text[text.index("location / {") : text.index("location = /api")]
    for header in ("Host $host", "X-Forwarded-For $remote_addr", f'{settings({"HOME": "/h"}).user_header} ""', "Upgrade $http_upgrade"):
        assert f"proxy_set_header {header};" in pages
    assert text.count("{") == text.count("}")
    assert "proxy_pass http://127.0.0.1:8501;" in pages


def test_the_container_takes_every_room_and_no_more_than_there_is() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    copied = {source for line in re.findall(r"^COPY (.+)$", text, flags=re.MULTILINE) for source in line.split()[:-1]}
    for source in copied:
        assert (ROOT / source).exists(), source
    assert {"facts", "workloads", "pricing", "capacity", "probes", "selector", "dashboard", "app.py", ".streamlit"} <= copied
    assert "USER rightsize" in text
    assert "/healthz" in text


def test_the_database_address_of_the_file_is_one_the_store_opens() -> None:
    assert engine(settings({"HOME": "/h", **env_file()}).database_url).dialect.name == "postgresql"


def test_no_example_holds_a_secret() -> None:
    for path in DEPLOY.iterdir():
        for line in path.read_text().splitlines():
            found = re.search(r"(?:secret|password|token)\s*[=:]\s*\"?([^\s\"]+)", line, flags=re.IGNORECASE)
            assert found is None or line.lstrip().startswith("#") or "CHANGE-ME" in line, (path.name, line)


def test_the_document_names_every_file() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text()
    for name in os.listdir(DEPLOY):
        assert f"deploy/{name}" in text, name
