"""Sourced records: the base of everything that comes from outside, and how files of them are read."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from facts.errors import InputError


class Basis(StrEnum):
    """How a number was come by, from strongest to weakest."""

    MEASURED = "measured"
    CALIBRATED = "calibrated"
    PUBLISHED = "published"
    ESTIMATED = "estimated"
    ASSUMED = "assumed"


class Fact(BaseModel):
    """A record from outside: frozen, strict about unknown fields, each field explained by the string under it.

    That string is also the form's help text and the glossary entry.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed, without what the record had worked out from the old ones and kept (cached properties)."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied


class Source(Fact):
    """Where a number was read, and when."""

    url: str
    """Address or publication."""
    checked: date
    """The day it was read."""
    note: str = ""
    """What a reader should know of it."""


FactT = TypeVar("FactT", bound=Fact)


def validated(cls: type[FactT], data: Mapping[str, Any], where: str) -> FactT:
    """`data` as a `cls`, or an InputError of one sentence that begins with `where`."""
    for key in data:
        if key not in cls.model_fields:  # before the rest: a misspelt key makes every other message misleading
            raise InputError(f"{where}: unknown key '{key}'{nearest(str(key), cls.model_fields)}")
    try:
        return cls.model_validate(dict(data))
    except ValidationError as error:
        raise InputError(f"{where}: {sentence(cls, error)}") from None


def sentence(cls: type[BaseModel], error: ValidationError) -> str:
    """The first thing wrong in a ValidationError, as one sentence that names the field, the value and the way out."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key '{field}'{nearest(field.rsplit('.', 1)[-1], cls.model_fields)}"
    if first["type"] == "missing":
        return f"'{field}' is missing"
    message = str(first.get("ctx", {}).get("error", "")) or first["msg"]
    if not field:
        return message
    message = message[0].lower() + message[1:]
    return f"'{field}' = {first['input']!r}: {message}"


def read_json(cls: type[FactT], text: str | bytes, where: str) -> FactT:
    """JSON text as a `cls`, or an InputError of one sentence that begins with `where`."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InputError(f"{where} is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise InputError(f"{where} is JSON, but not an object with named fields")
    return validated(cls, document, where)


FIRST_LETTER = 0.15
"""What the same first letter adds to the share of letters in common: it is seldom the one mistyped."""


def nearest(word: str, known: Mapping[str, Any] | list[str]) -> str:
    """ " (nearest known: '...')" with the known word of most letters in common whatever their case, its first one counted more; "" of none.

    Example: of q8_0 and awq, 'Q9' is nearer to q8_0, though a larger share of awq's letters are in it.
    """
    wanted = word.lower()

    def likeness(other: str) -> float:
        same_start = wanted[:1] == other[:1].lower()
        return difflib.SequenceMatcher(a=other.lower(), b=wanted).ratio() + FIRST_LETTER * same_start

    return f" (nearest known: '{max(known, key=likeness)}')" if known else ""


def read_toml(path: Path | Traversable) -> dict[str, Any]:
    """A TOML file as a dict; InputError names the file and what is wrong with it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, a TOML file is wanted") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text, so it is no TOML file") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def read_facts(path: Path | Traversable, key: str, cls: type[FactT]) -> tuple[FactT, ...]:
    """Every `[[key]]` table of a TOML file as a `cls`; a record with an `id` must be sorted by it and unique."""
    document = read_toml(path)
    unknown = set(document) - {key}
    if unknown:
        raise InputError(f"{path}: unknown table '{sorted(unknown)[0]}', only [[{key}]] is read")
    facts = tuple(validated(cls, row, f"{path} [[{key}]] {row.get('id', number)}") for number, row in enumerate(document.get(key, []), 1))
    ids = [str(fact.id) for fact in facts if hasattr(fact, "id")]
    for before, after in pairwise(ids):
        if before == after:
            raise InputError(f"{path}: id '{after}' stands twice")
        if before > after:
            raise InputError(f"{path}: entries are not sorted by id: move '{after}' before '{before}'")
    return facts
