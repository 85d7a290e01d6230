"""How every `python -m` of the project ends: 0, or one line `error: ...` on stderr and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

from facts.errors import InputError

CANCELLED = 130
"""What shells give a command that Ctrl-C ended."""


def run(command: Callable[..., Any]) -> None:
    """Call a typer app; wrong input becomes one line and exit code 2, never a traceback or a box."""
    if hasattr(command, "pretty_exceptions_enable"):
        command.pretty_exceptions_enable = False  # a mistake of the program is a plain traceback that can be sent on
    try:
        code = command(standalone_mode=False) or 0
    except InputError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        code = CANCELLED
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:  # click's own usage errors, whichever copy of click typer brings
        message = getattr(error, "format_message", None)
        if type(error).__name__ == "NoArgsIsHelpError" and message is not None:
            sys.stdout.write(message() + "\n")
            sys.exit(0)
        if message is not None:
            _fail(message())
        if type(error).__name__ != "Abort":
            raise
        code = CANCELLED
    if code == CANCELLED:
        sys.stderr.write("cancelled\n")
    sys.exit(code)


def _fail(message: str) -> NoReturn:
    sys.stderr.write("error: " + " ".join(message.split()) + "\n")
    sys.exit(2)
