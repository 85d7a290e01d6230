"""The environment, read once: where data lies, the database, the intake token, the endpoints a page may call, who may come in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

from pydantic import SecretStr

from facts.errors import InputError
from facts.records import Fact

SIGN_INS = ("none", "oidc", "header")
LOG_FORMATS = ("text", "json")


class Settings(Fact):
    """What the environment says."""

    data_dir: Path
    """Folder for the database, synthetic models and build state (RIGHTSIZE_DATA_DIR, default: the user's data folder)."""
    database_url: str
    """SQLAlchemy URL (DATABASE_URL, default: SQLite in the data folder)."""
    intake_token: SecretStr | None = None
    """Bearer token of POST /api/measurements (RIGHTSIZE_INTAKE_TOKEN); the route answers 403 while it is not set."""
    allowed_endpoints: tuple[str, ...] = ("127.0.0.1", "localhost", "::1")
    """Hosts that a page may send a probe to (RIGHTSIZE_ALLOWED_ENDPOINTS, comma separated)."""
    sign_in: str = ""
    """Who lets users in (RIGHTSIZE_SIGN_IN): 'oidc' Streamlit's own login, 'header' a proxy, 'none' or '' nobody."""
    user_header: str = "X-Forwarded-Email"
    """Header in which the proxy names the user (RIGHTSIZE_USER_HEADER)."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose word about the user and about forwarding counts (RIGHTSIZE_TRUSTED_PROXIES, comma separated)."""
    allowed_users: tuple[str, ...] = ()
    """E-mail addresses, or @domains, that may come in (RIGHTSIZE_ALLOWED_USERS, comma separated); none named: all who signed in."""
    log_format: str = "text"
    """'text' or 'json', a line of JSON per event (RIGHTSIZE_LOG)."""

    @property
    def probe_build_state(self) -> Path:
        """JSON file with the state of the llama-cpp-python build: see docs/method.md."""
        return self.data_dir / "probe-build.json"

    @property
    def models_dir(self) -> Path:
        """Folder of synthetic GGUF files."""
        return self.data_dir / "models"


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process."""
    data_dir = Path(environ.get("RIGHTSIZE_DATA_DIR") or _user_data_dir(environ)).expanduser()
    token = environ.get("RIGHTSIZE_INTAKE_TOKEN", "").strip()
    hosts = _listed(environ, "RIGHTSIZE_ALLOWED_ENDPOINTS")
    return Settings(
        data_dir=data_dir,
        database_url=environ.get("DATABASE_URL") or f"sqlite:///{data_dir / 'rightsize.sqlite3'}",
        intake_token=SecretStr(token) if token else None,
        allowed_endpoints=hosts or Settings.model_fields["allowed_endpoints"].default,
        sign_in=_one_of(environ, "RIGHTSIZE_SIGN_IN", SIGN_INS, ""),
        user_header=environ.get("RIGHTSIZE_USER_HEADER", "").strip() or Settings.model_fields["user_header"].default,
        trusted_proxies=_networks(environ, "RIGHTSIZE_TRUSTED_PROXIES"),
        allowed_users=tuple(user.lower() for user in _listed(environ, "RIGHTSIZE_ALLOWED_USERS")),
        log_format=_one_of(environ, "RIGHTSIZE_LOG", LOG_FORMATS, "text"),
    )


def _listed(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in environ.get(name, "").split(",") if part.strip())


def _one_of(environ: Mapping[str, str], name: str, known: tuple[str, ...], default: str) -> str:
    value = environ.get(name, "").strip().lower()
    if value and value not in known:
        raise InputError(f"{name} is {value!r}, known are {', '.join(known)}")
    return value or default


def _networks(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = _listed(environ, name)
    for network in found:
        try:
            ip_network(network, strict=False)
        except ValueError:
            raise InputError(f"{name} holds {network!r}, which is no IP address or network: write 10.0.0.5 or 10.0.0.0/24") from None
    return found


def _user_data_dir(environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME", "~")) / ".local" / "share")
    return str(Path(base) / "rightsize")
