"""The help of every command says what its words say: brackets are no markup."""

from __future__ import annotations

import pytest
from rich.text import Text
from typer.main import get_command

import capacity.__main__
import dashboard.__main__
import pricing.__main__
import selector.__main__
import workloads.__main__

APPS = {
    room.__name__: room.app for room in (capacity.__main__, dashboard.__main__, pricing.__main__, selector.__main__, workloads.__main__)
}


def helps(command):
    """Every text of a command and of those below it."""
    yield command.help or ""
    yield from (getattr(parameter, "help", None) or "" for parameter in command.params)
    for below in getattr(command, "commands", {}).values():
        yield from helps(below)


@pytest.mark.parametrize("room", APPS)
def test_no_bracketed_word_of_a_help_text_is_lost_as_markup(room):
    texts = list(helps(get_command(APPS[room])))
    assert any(texts)
    assert [text for text in texts if Text.from_markup(text).plain != text.replace("\\[", "[")] == []
