"""What the server writes about itself: a line per event, as text or as JSON, and never a secret."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final

from facts.settings import Settings

ROOMS: Final = ("facts", "workloads", "pricing", "capacity", "probes", "selector", "dashboard")
FIELDS: Final = ("status", "host", "measurement_id", "seconds")
"""What an event may say beside its sentence, by `extra=`."""
HIDDEN: Final = "[hidden]"
_SECRETS: Final = (
    re.compile(r"(?P<keep>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", re.IGNORECASE),  # the password of an address
    re.compile(r"(?P<keep>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{4,}", re.IGNORECASE),
    re.compile(
        r"(?P<keep>\b(?:authorization|api[_-]?key|token|secret|password|cookie)\b[\"']?\s*[:=]\s*[\"']?)(?!bearer\b|basic\b)[^\s\"',;&]{4,}",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<keep>)\b(?:sk|hf|pk|ghp)[-_][A-Za-z0-9_-]{16,}"),
)


def without_secrets(text: str, known: tuple[str, ...] = ()) -> str:
    """A sentence with passwords in addresses, bearer tokens, keys and the `known` secrets replaced."""
    for secret in known:
        text = text.replace(secret, HIDDEN)
    for pattern in _SECRETS:
        text = pattern.sub(lambda found: found["keep"] + HIDDEN, text)
    return text


class Line(logging.Formatter):
    """An event as one line: '2026-11-25T22:43:08Z WARNING probes.store: ...', or the same as JSON."""

    def __init__(self, *, as_json: bool, known_secrets: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.as_json, self.known = as_json, known_secrets

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback stands in its field `trace` in JSON, below the line in text."""
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        said = without_secrets(record.getMessage(), self.known)
        trace = without_secrets(self.formatException(record.exc_info), self.known) if record.exc_info else ""
        extra = {name: without_secrets(str(getattr(record, name)), self.known) for name in FIELDS if hasattr(record, name)}
        if self.as_json:
            event = {"time": moment, "level": record.levelname, "logger": record.name, "message": said, **extra}
            return json.dumps({**event, "trace": trace} if trace else event, ensure_ascii=False)
        details = "".join(f" {name}={value}" for name, value in extra.items())
        first = f"{moment} {record.levelname} {record.name}: {' '.join(said.splitlines())}{details}"
        return f"{first}\n{trace}" if trace else first


def begin(environment: Settings) -> None:
    """Send the events of every room to stderr in the format of the settings; calling it again changes nothing twice."""
    token = environment.intake_token.get_secret_value() if environment.intake_token else ""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Line(as_json=environment.log_format == "json", known_secrets=(token,) if token else ()))
    handler.set_name("rightsize")
    for room in ROOMS:
        logger = logging.getLogger(room)
        logger.handlers = [kept for kept in logger.handlers if kept.get_name() != "rightsize"] + [handler]
        logger.setLevel(logging.INFO)
    if environment.log_format == "json":  # then the lines of the server below the pages too
        for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] in ("streamlit", "uvicorn")]:
            below = logging.getLogger(name)
            if below.handlers:
                below.handlers = [handler]
