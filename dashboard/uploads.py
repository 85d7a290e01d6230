"""What was uploaded, within the size that its field allows: the browser keeps to it, a program that talks to the server need not."""

from __future__ import annotations

from typing import Protocol

from facts.errors import InputError


class Uploaded(Protocol):
    """A file as Streamlit holds it."""

    name: str
    size: int

    def getvalue(self) -> bytes:
        """All of it."""
        ...


def content(file: Uploaded, limit_mb: float) -> bytes:
    """The bytes of a file; an InputError where it has more than the field allows."""
    if file.size > limit_mb * 1_000_000 * 1.05:  # the field counts in MiB
        raise InputError(f"the file has {file.size / 1e6:,.1f} MB and {limit_mb:g} MB are allowed here: give a smaller one")
    return file.getvalue()
