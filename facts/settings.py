"""The environment, read once: where data lies, the database, the intake token, the endpoints a page may call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from facts.records import Fact


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
    hosts = tuple(host.strip() for host in environ.get("RIGHTSIZE_ALLOWED_ENDPOINTS", "").split(",") if host.strip())
    return Settings(
        data_dir=data_dir,
        database_url=environ.get("DATABASE_URL") or f"sqlite:///{data_dir / 'rightsize.sqlite3'}",
        intake_token=SecretStr(token) if token else None,
        allowed_endpoints=hosts or Settings.model_fields["allowed_endpoints"].default,
    )


def _user_data_dir(environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME", "~")) / ".local" / "share")
    return str(Path(base) / "rightsize")
