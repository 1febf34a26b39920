"""A password from whoever runs a command: asked for twice at a terminal, else a line of standard input."""

from __future__ import annotations

import sys
from getpass import getpass

from scfm.errors import StartError


def read_password(email: str) -> str:
    """The password; raises StartError if there is none, or if it was typed in two ways."""
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise StartError("no password came from standard input: give it as one line, or run this at a terminal")
        return password
    try:
        password = getpass(f"Password of {email}: ")
        if password == getpass("The same again: "):
            return password
    except EOFError:
        raise StartError("no password was given") from None
    raise StartError("these were two different passwords; nothing has been changed")
