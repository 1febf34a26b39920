"""One connection of a client, as Tornado reads and writes it."""

from __future__ import annotations

import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Any, Protocol

from tornado.httputil import HTTPInputError
from tornado.iostream import IOStream, StreamClosedError

try:
    import fcntl
    import termios
except ImportError:  # Windows
    fcntl = termios = None  # type: ignore[assignment]

# Lines of a head: to parse thousands of headers takes 20 ms, and a hundred bytes for each of them.
MAX_HEADER_LINES = 128
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: the system forgets at once what has not been sent


class ConnectionRegistry(Protocol):
    """What is told of each connection.

    ``waiting``: those without a request, since when (monotonic clock); ``writing``: those with an answer on its way;
    both with the longest first. ``unsent``: the bytes of answers that clients have not taken yet, of all of them.
    """

    waiting: dict[ClientStream, float]
    writing: dict[ClientStream, None]
    unsent: int

    def hold_answer(self, stream: ClientStream) -> None:
        """A part of an answer has not been sent yet. May close connections, this one too."""

    def forget(self, stream: ClientStream) -> None:
        """The connection has been closed."""

    def linger(self, connection: socket.socket) -> None:
        """Close a connection of which nobody hears any more, but whose client may still send."""


class ClientStream(IOStream):
    """A connection of a client. It counts the bytes that pass, and tells CONNECTIONS what it waits for."""

    def __init__(self, connection: socket.socket, connections: ConnectionRegistry) -> None:
        super().__init__(connection)
        self._connections = connections
        self.received = self.sent = self.unsent = 0
        # What had been received when the wait for a request began, and the size of the head that has come since.
        self.received_before = self.head_size = 0
        # Whether the client may still send a body when this is closed: its answer says that it is refused.
        self.lingers = False
        # Since when, and at how many bytes, the sweep watches it.
        self.watched_since: float | None = None
        self.watched_bytes = 0

    def await_request(self) -> None:
        """From now on nothing is under way on this connection. One that is closed already waits for nothing."""
        if self.closed():
            return
        self.received_before = self.received
        self.head_size = 0
        self.watched_since = None
        self._connections.waiting[self] = time.monotonic()

    def begin_request(self) -> None:
        """The head of a request has come."""
        self.watched_since = None
        self._connections.waiting.pop(self, None)

    async def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> bytes:
        """Tornado's way to the head of a request; raises HTTPInputError for one of too many lines, unparsed.

        Requests that were sent in advance end with the connection: nobody waits for their answers any more, and
        Tornado would begin all of them at once.
        """
        if self.closed():
            raise StreamClosedError
        head = await super().read_until_regex(regex, max_bytes)
        if head.count(b"\n") > MAX_HEADER_LINES:
            raise HTTPInputError(f"more than {MAX_HEADER_LINES} lines of headers")
        self.head_size = len(head)
        return head

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        size = super().read_from_fd(buf)
        self.received += size or 0
        return size

    def write(self, data: bytes | memoryview) -> Any:
        written = super().write(data)
        if not self.closed():
            self.unsent += len(data)
            self._connections.unsent += len(data)
            if self.unsent:
                self._connections.hold_answer(self)
        return written

    def write_to_fd(self, data: memoryview) -> int:
        size = super().write_to_fd(data)
        self.sent += size
        self.unsent -= size
        self._connections.unsent -= size
        if not self.unsent:
            self._connections.writing.pop(self, None)
        return size

    @property
    def passed(self) -> int:
        """How many bytes have come from the client, and how many have arrived there.

        What the system still holds of an answer, often megabytes, has not arrived: see SIOCOUTQ in tcp(7).
        """
        held = 0
        if fcntl is not None and self.writing():
            with suppress(OSError):
                held = int.from_bytes(fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        return self.received + self.sent - held

    def close_fd(self) -> None:
        if self.lingers:
            self._connections.linger(self.socket)
            self.socket = None  # type: ignore[assignment]
        else:
            super().close_fd()
        self._connections.forget(self)

    def abort(self) -> None:
        """Close it, and send nothing more of what the client does not take."""
        self.lingers = False
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.close()
