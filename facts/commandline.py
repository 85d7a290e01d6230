"""How every `python -m` of the project ends: 0, or one line `error: ...` on stderr and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from facts.errors import InputError


def run(command: Callable[..., Any]) -> None:
    """Call a typer app; wrong input becomes one line and exit code 2, never a traceback or a box."""
    try:
        sys.exit(command(standalone_mode=False) or 0)
    except InputError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("cancelled\n")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:  # click's own usage errors, whichever copy of click typer brings
        message = getattr(error, "format_message", None)
        if message is None:
            if type(error).__name__ == "Abort":
                sys.stderr.write("cancelled\n")
                sys.exit(130)
            raise
        _fail(message())


def _fail(message: str) -> None:
    sys.stderr.write("error: " + " ".join(message.split()) + "\n")
    sys.exit(2)
