"""Writes the log in a thread: whoever reads it slowly (a pipe, a disk that is busy) never blocks the event loop.

Lines wait in memory, MAX_WAITING_BYTES at most. What comes beyond that is dropped, and counted; the count is logged
when the reader takes lines again. A line waits GATHER_SECONDS for others, a warning or an error for none: each wake
of the thread takes the interpreter from the event loop. The thread makes the lines of requests, too. At the end of
the process what waits is written, if the reader takes it within FLUSH_SECONDS. Only SIGKILL, or a crash of the
interpreter itself, loses what waits.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque

from scfm.runtime.log_format import ANSWERED_REQUEST_BYTES, AnsweredRequest, LineFormatter

MAX_WAITING_BYTES = 4 << 20
GATHER_SECONDS = 0.2
FLUSH_SECONDS = 2.0
# Lines are written together until they have so many bytes.
MAX_WRITE_BYTES = 1 << 16
# After an error of the file: a pipe without a reader, a full disk.
FILE_RETRY_SECONDS = 1.0

DROPPED = "%d lines of the log were dropped: they were written faster than they were taken"


class ThreadedHandler(logging.Handler):
    """A handler that writes lines to the file descriptor FD in a thread of its own."""

    def __init__(self, fd: int, formatter: LineFormatter, max_bytes: int = MAX_WAITING_BYTES) -> None:
        super().__init__()
        self._fd = fd
        self._formatter = formatter
        self._max_bytes = max_bytes
        # Guards what is handed over. The handler's own lock will not do: at the end, logging holds it while it waits.
        self._handing_over = threading.Lock()
        self._waiting: deque[bytes | AnsweredRequest] = deque()
        self._bytes = 0
        self._dropped = 0
        self._closing = False
        # That lines wait; that they must not wait for others; that none does.
        self._some, self._urgent, self._empty = threading.Event(), threading.Event(), threading.Event()
        self._empty.set()
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over."""
        try:
            line = _encoded(self._formatter.format(record))
        except Exception:
            self.handleError(record)
            return
        self._hand_over(line, len(line))
        if record.levelno >= logging.WARNING:
            self._urgent.set()

    def add_request(self, answered: AnsweredRequest) -> None:
        """Hand over what the line of a request tells. The thread makes the line, for less than the loop can."""
        self._hand_over(answered, ANSWERED_REQUEST_BYTES)

    def _hand_over(self, item: bytes | AnsweredRequest, size: int) -> None:
        """Put it to what waits, if there is room, and let the thread know."""
        with self._handing_over:
            if self._bytes + size > self._max_bytes:
                self._dropped += 1
                return
            self._waiting.append(item)
            self._bytes += size
            if not self._some.is_set():
                self._empty.clear()
                self._some.set()

    def flush(self) -> None:
        """Return when all lines have been written, or after FLUSH_SECONDS."""
        self._urgent.set()
        if threading.current_thread() is not self._thread and self._thread.is_alive():
            self._empty.wait(FLUSH_SECONDS)

    def close(self) -> None:
        """End the thread. What ``flush`` has not seen written is lost."""
        self._closing = True
        self._some.set()
        super().close()

    def _write_all(self) -> None:
        """The thread."""
        while not self._closing:
            self._some.wait()
            self._urgent.wait(GATHER_SECONDS)
            self._urgent.clear()
            while self._write_some():
                pass

    def _write_some(self) -> bool:
        """Write the lines that wait, or as many as are written at once; whether these were not all."""
        items, size = self._take()
        written = self._write(b"".join(map(self._line, items)))
        with self._handing_over:
            self._bytes -= size
            if not self._waiting:
                self._some.clear()
                self._empty.set()
        if written:
            self._tell_dropped()
        return size >= MAX_WRITE_BYTES

    def _take(self) -> tuple[list[bytes | AnsweredRequest], int]:
        """The next lines, and how many bytes they have at most."""
        with self._handing_over:
            taken: list[bytes | AnsweredRequest] = []
            size = 0
            while self._waiting and size < MAX_WRITE_BYTES:
                item = self._waiting.popleft()
                taken.append(item)
                size += len(item) if isinstance(item, bytes) else ANSWERED_REQUEST_BYTES
        return taken, size

    def _line(self, item: bytes | AnsweredRequest) -> bytes:
        if isinstance(item, bytes):
            return item
        try:
            return _encoded(self._formatter.format_request(item))
        except Exception:  # it must not end the thread
            self.handleError(item.record())
            return b""

    def _write(self, chunk: bytes) -> bool:
        """Write all of it, however long that takes; False where the file refuses it: then the rest of it is lost."""
        view = memoryview(chunk)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:  # somebody else who has the same pipe wants it so
                select.select([], [self._fd], [], FILE_RETRY_SECONDS)
            except OSError:
                with self._handing_over:
                    self._dropped += bytes(view).count(b"\n")
                if not self._closing:
                    time.sleep(FILE_RETRY_SECONDS)
                return False
        return True

    def _tell_dropped(self) -> None:
        with self._handing_over:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            record = logging.LogRecord("scfm.log", logging.WARNING, __file__, 0, DROPPED, (dropped,), None)
            self.handle(record)


def _encoded(line: str) -> bytes:
    return line.encode("utf-8", "backslashreplace") + b"\n"
