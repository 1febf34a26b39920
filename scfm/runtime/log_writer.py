"""Writes the log in a thread: whoever reads it slowly (a pipe, a disk that is busy) never blocks the event loop.

Lines wait in memory, MAX_WAITING_BYTES at most. What comes beyond that is dropped, and counted; the count is logged
when the reader takes lines again. A line waits GATHER_SECONDS for others, a warning or an error for none: each wake
of the thread takes the interpreter from the event loop. At the end of the process what waits is written, if the
reader takes it within FLUSH_SECONDS. Only SIGKILL, or a crash of the interpreter itself, loses what waits.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Sequence

from scfm.runtime.log_format import AnsweredRequest, LineFormatter

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
        self._waiting: deque[bytes] = deque()
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
        self._hand_over(line)
        if record.levelno >= logging.WARNING:
            self._urgent.set()

    def add_requests(self, answered: Sequence[AnsweredRequest]) -> None:
        """Hand over the lines of requests, one or more."""
        try:
            lines = _encoded("\n".join(map(self._formatter.format_request, answered)))
        except Exception:
            self.handleError(answered[0].record())
            return
        self._hand_over(lines, len(answered))

    def _hand_over(self, text: bytes, lines: int = 1) -> None:
        """Put so many lines to what waits, if there is room, and let the thread know."""
        with self._handing_over:
            if self._bytes + len(text) > self._max_bytes:
                self._dropped += lines
                return
            self._waiting.append(text)
            self._bytes += len(text)
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
        chunk = self._take()
        written = self._write(chunk)
        with self._handing_over:
            self._bytes -= len(chunk)
            if not self._waiting:
                self._some.clear()
                self._empty.set()
        if written:
            self._tell_dropped()
        return len(chunk) >= MAX_WRITE_BYTES

    def _take(self) -> bytes:
        """The next lines."""
        with self._handing_over:
            taken: list[bytes] = []
            size = 0
            while self._waiting and size < MAX_WRITE_BYTES:
                taken.append(self._waiting.popleft())
                size += len(taken[-1])
        return b"".join(taken)

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
