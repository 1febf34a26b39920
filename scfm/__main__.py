"""The program: ``scfm``, and ``python -m scfm``. What it needs is imported where Ctrl-C and errors are handled."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence

from scfm.errors import StartError

# As of a program that SIGINT has ended, and that SIGPIPE has: whoever read its output has gone.
INTERRUPTED, UNREAD = 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status: 0, 1 with one line on stderr where it could not go on, 2 for wrong usage."""
    try:
        status = _load(arguments)()
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is written as Python ends
        return UNREAD
    except StartError as error:
        print(f"scfm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _load(arguments: Sequence[str] | None) -> Callable[[], int]:
    """Import the command: it takes up to half a second, and may find a driver that will not do (StartError).

    Ctrl-C meanwhile ends the program at once: nothing has begun, and not every library lets its exception through.
    """
    before = signal.getsignal(signal.SIGINT)
    guarded = before is signal.default_int_handler  # and not ignored, as in a script's background
    if guarded:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from scfm.cli import main as command_line  # noqa: PLC0415

    command = command_line.parse_command(arguments)
    if guarded:
        signal.signal(signal.SIGINT, before)
    return command


if __name__ == "__main__":
    raise SystemExit(main())
