"""Ends connections whose clients still send a body that was refused (RFC 9112, 9.6).

A connection that is closed while data come is reset, and a client that is still sending may never read the answer. A
proxy takes the reset for a server that fails, and leaves it alone for a while: with it, whoever needs no token
could keep everybody out.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

# How many connections there may be at once; of more, those that have been there for longest are reset.
MAX_LINGERING: Final = 64
LINGER_SECONDS: Final = 5.0
DISCARDED_AT_ONCE: Final = 1 << 16


class LingeringConnections:
    """Connections over which all has been said, and whose clients have not noticed yet."""

    def __init__(self) -> None:
        # The longest first.
        self._timers: dict[socket.socket, asyncio.TimerHandle] = {}

    def take(self, connection: socket.socket) -> None:
        """Close CONNECTION when its client has stopped sending, and in LINGER_SECONDS in any case."""
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            connection.close()
            return
        if len(self._timers) >= MAX_LINGERING:
            self._end(next(iter(self._timers)))
        loop = asyncio.get_running_loop()
        self._timers[connection] = loop.call_later(LINGER_SECONDS, self._end, connection)
        loop.add_reader(connection, self._discard, connection)

    def close(self) -> None:
        """Close all of them."""
        for connection in list(self._timers):
            self._end(connection)

    def _discard(self, connection: socket.socket) -> None:
        try:
            if connection.recv(DISCARDED_AT_ONCE):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        self._timers.pop(connection).cancel()
        asyncio.get_running_loop().remove_reader(connection)
        connection.close()
