"""A file descriptor that is kept for when there are no others: with it those who cannot be served are told so."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

# How many are refused before other work has its turn; how much is read of what they have sent: a connection that is
# closed with something unread is reset, and may take the answer with it.
MAX_REFUSED, MAX_HEAD_READ = 64, 1 << 16
BODY = b'{"status":503,"error":"Service Unavailable","message":"the server has too many connections; try again"}'
ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


class SpareFile:
    """A descriptor in reserve. While it is given away, nothing else of this process runs that could take it."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self.take_back()

    def take_back(self) -> None:
        """Keep a descriptor in reserve, if none is and the process has one."""
        if self._descriptor is None:
            with suppress(OSError):
                self._descriptor = os.open(os.devnull, os.O_RDONLY)

    def close(self) -> None:
        """Give the descriptor away."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def refuse_waiting(self, listener: socket.socket) -> int:
        """Answer 503 to those who wait to be accepted, one after the other, in their order; how many there were."""
        refused = 0
        self.close()
        try:
            while refused < MAX_REFUSED:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    refused += 1
                    connection.setblocking(False)
                    with suppress(BlockingIOError):
                        connection.recv(MAX_HEAD_READ)
                    connection.send(ANSWER)
                    connection.shutdown(socket.SHUT_WR)
        except OSError:  # nobody waits any more, or there is still no descriptor
            pass
        finally:
            self.take_back()
        return refused
