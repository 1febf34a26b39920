"""The socket that a server listens on."""

from __future__ import annotations

import errno
import socket

from scfm.errors import StartError

# Who listens on all addresses is reached on this one, from the same machine.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def open_listener(host: str, port: int) -> socket.socket:
    """A socket that listens there; clients wait in it until they are accepted. Raises StartError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        hint = (
            "stop what listens there, or choose another: scfm serve --port 3001, make run PORT=3001"
            if error.errno == errno.EADDRINUSE
            else "check --host"
        )
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror}; {hint}") from None
    listener.setblocking(False)
    return listener


def url_of(host: str, port: int) -> str:
    """The URL of a server that listens there, without a path."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def loopback_url(host: str, port: int) -> str:
    """The same, for those on the same machine."""
    return url_of(LOOPBACK.get(host, host), port)
