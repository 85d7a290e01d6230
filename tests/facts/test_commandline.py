"""A command ends with 0, or with one line `error: ...` and exit code 2."""

import pytest
import typer

from facts.commandline import run
from facts.errors import InputError


def ended(monkeypatch, capsys, command, *arguments):
    """Exit code and stderr of a one-command app called with the arguments."""
    app = typer.Typer(add_completion=False)
    app.command()(command)
    monkeypatch.setattr("sys.argv", ["prog", *arguments])
    with pytest.raises(SystemExit) as end:
        run(app)
    return end.value.code, capsys.readouterr().err


def test_a_command_that_works_ends_with_0(monkeypatch, capsys):
    assert ended(monkeypatch, capsys, lambda: None) == (0, "")


def test_wrong_input_is_one_line_even_when_its_message_has_two(monkeypatch, capsys):
    def command():
        raise InputError("first\n  second")

    assert ended(monkeypatch, capsys, command) == (2, "error: first second\n")


def test_a_wrong_option_is_one_line(monkeypatch, capsys):
    code, text = ended(monkeypatch, capsys, lambda: None, "--nope")
    assert code == 2
    assert text.startswith("error: ")
    assert text.count("\n") == 1


def test_a_mistake_of_the_program_is_not_hidden(monkeypatch, capsys):
    def command():
        raise KeyError("a bug")

    monkeypatch.setattr("sys.argv", ["prog"])
    app = typer.Typer(add_completion=False)
    app.command()(command)
    with pytest.raises(KeyError, match="a bug"):
        run(app)


def test_a_cancelled_command_says_so(monkeypatch, capsys):
    def command():
        raise KeyboardInterrupt

    assert ended(monkeypatch, capsys, command) == (130, "cancelled\n")


def test_a_chosen_exit_code_is_kept(monkeypatch, capsys):
    def command():
        raise typer.Exit(3)

    assert ended(monkeypatch, capsys, command) == (3, "")
