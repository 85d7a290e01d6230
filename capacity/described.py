"""A model or device by whatever names or describes it: a catalogued name, or a file that the catalogue lacks."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path

from capacity.accelerators import Accelerator, accelerator, find_accelerator
from capacity.gguf_header import read_gguf_header
from capacity.hf_config import fetch_config, read_config
from capacity.models import ModelSpec, find_model, model
from facts.errors import InputError
from facts.records import read_toml, validated


def described_model(name: str) -> ModelSpec:
    """A catalogued model, a GGUF file's, a config.json's (a file, '-' for pasted text), or with hf:owner/name a repository's."""
    if name == "-":
        return read_config(sys.stdin.read(), name="pasted", as_of=_today())
    if name.startswith("hf:"):
        return fetch_config(name.removeprefix("hf:"), as_of=_today())
    path = Path(name)
    if path.suffix == ".gguf":
        return read_gguf_header(path, as_of=_today()).model
    if path.suffix == ".json":
        return read_config(_text_of(path), name=path.parent.name or path.stem, as_of=_today())
    return find_model(name) or model(name)


def described_device(name: str) -> Accelerator:
    """A catalogued device, or the one of a TOML file: a table [accelerator] with the fields of the catalogue."""
    path = Path(name)
    if path.suffix != ".toml":
        return find_accelerator(name) or accelerator(name)
    document = read_toml(path)
    table = document.get("accelerator", document)
    return validated(Accelerator, table[0] if isinstance(table, list) and table else table, name)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _today() -> date:
    return datetime.now(UTC).date()
