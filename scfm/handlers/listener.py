"""The socket that a server listens on."""

from __future__ import annotations

import errno
import socket

from scfm.errors import StartError


def open_listener(host: str, port: int) -> socket.socket:
    """A socket that listens there; clients wait in it until they are accepted. Raises StartError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        hint = (
            "stop what listens there, or choose another with --port"
            if error.errno == errno.EADDRINUSE
            else "check --host"
        )
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror}; {hint}") from None
    listener.setblocking(False)
    return listener
