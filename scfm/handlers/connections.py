"""The connections of clients: how many there may be, how long each may take, and which are closed for others."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.web import Application

from scfm.handlers.client_stream import ClientStream
from scfm.handlers.lingering import LingeringConnections
from scfm.handlers.request_tracker import RequestTracker
from scfm.handlers.spare_file import SpareFile
from scfm.handlers.time_limits import DEFAULT_TIMES, TimeLimits
from scfm.runtime import metrics
from scfm.runtime.log_limit import LogLimit
from scfm.runtime.outage import Outage

log = logging.getLogger("scfm.http")

MAX_HEADER_BYTES = 1 << 16
# Heads of all requests that are being sent, or whose bodies are. One is held several times: as text, path and query.
MAX_HEADS_BYTES = 16 << 20
# Answers that clients have not taken yet, of all of them together.
MAX_UNSENT_BYTES = 64 << 20
# How many connections are taken before other work has its turn.
MAX_ACCEPTS = 64
# A client that has just connected has had no chance to send a request.
MIN_WAIT_SECONDS = 1.0
SWEEP_SECONDS = 1.0
# When the server stops: in these seconds a client that is connected can still begin a request; how often it is seen
# whether the requests are answered.
FIRST_BYTE_SECONDS, REQUESTS_LOOK_SECONDS = 0.2, 0.01
# A sweep that comes later than this tells that the process stood still, with what clients sent meanwhile unread.
MAX_LATE_SECONDS = 2.0
# accept(2): there are no more files, or there is no memory, in this process or in the system.
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# Which connections are closed: as the metric names the reason, and as the log does.
CLOSED_FOR = {
    "idle": "idle",
    "limit": "without a whole request, for others",
    "slow_head": "that did not send the head of a request in time",
    "slow_body": "that sent a body too slowly",
    "slow_reader": "that took an answer too slowly",
    "unsent_answers": "that did not take an answer, for want of memory",
    "large_head": "with a large head, for want of memory",
    "no_room": "refused with 503, for want of files",
}
# Those who wait meanwhile are refused when there has been no room for so long.
MAX_FULL_SECONDS = 2.0


class Connections:
    """Accepts connections for APPLICATION on LISTENER, no more than LIMIT at once; closes those that take too long.

    At the limit the connection that has waited longest for a request is closed for each new one, else one that sends
    its body too slowly. Where there is none, new ones wait in the system's queue until a connection ends.

    So it is before the limit, too, if the process has no more files; but after MAX_FULL_SECONDS those who wait are
    refused with 503.
    """

    def __init__(
        self, application: Application, listener: socket.socket, limit: int, times: TimeLimits = DEFAULT_TIMES
    ) -> None:
        self._http = HTTPServer(application, max_header_size=MAX_HEADER_BYTES)
        self._http.conn_params.header_timeout = None  # the sweep does that, for less than a timer for each request
        self._listener = listener
        self._limit = limit
        self._times = times
        self._open: set[ClientStream] = set()
        # Those without a request since when, and those with an answer on its way; the longest first.
        self.waiting: dict[ClientStream, float] = {}
        self.writing: dict[ClientStream, None] = {}
        self.unsent = 0
        # Those that send a body too slowly, though not for so long yet that they are closed.
        self._slow: dict[ClientStream, None] = {}
        self._accepting = False
        self._closed: Counter[str] = Counter()
        self._summary, self._warning = LogLimit(), LogLimit()
        # That there are no files for more, and since when.
        self._full = Outage("no connection can be accepted", "connections can be accepted again")
        self._full_since: float | None = None
        self._spare = SpareFile()
        self._lingering = LingeringConnections()
        self.linger = self._lingering.take
        self._swept_at = time.monotonic()
        self._sweeping = PeriodicCallback(self.sweep, SWEEP_SECONDS * 1000)

    def start(self) -> None:
        """Begin to accept."""
        metrics.HTTP_CONNECTIONS_OPEN.set_function(lambda: len(self._open))
        metrics.HTTP_CONNECTIONS_LIMIT.set(self._limit)
        self._resume()
        self._swept_at = time.monotonic()
        self._sweeping.start()

    def stop(self) -> None:
        """Accept nobody any more but those whom the system has accepted already: it would break their connections."""
        self._pause()
        with suppress(OSError):
            while len(self._open) < self._limit:
                self._serve(*self._listener.accept())
        self._listener.close()
        self._http.conn_params.no_keep_alive = True

    async def close(self) -> None:
        """Close every connection."""
        self._sweeping.stop()
        self._full.close()
        self._spare.close()
        await self._http.close_all_connections()
        self._lingering.close()

    def forget(self, stream: ClientStream) -> None:
        """The connection has been closed."""
        self._open.discard(stream)
        self.waiting.pop(stream, None)
        self.writing.pop(stream, None)
        self._slow.pop(stream, None)
        self.unsent -= stream.unsent
        stream.unsent = 0
        if not self._accepting and self._sweeping.is_running() and len(self._open) < self._limit:
            self._resume()

    def hold_answer(self, stream: ClientStream) -> None:
        """A part of an answer has not been sent yet. Where that is too much, the slowest readers lose theirs."""
        self.writing.setdefault(stream)
        while self.unsent > MAX_UNSENT_BYTES and len(self.writing) > 1:
            self._count("unsent_answers")
            next(iter(self.writing)).abort()

    def _resume(self) -> None:
        if not self._accepting and self._listener.fileno() >= 0:
            IOLoop.current().add_handler(self._listener, self._accept, IOLoop.READ)
            self._accepting = True

    def _pause(self) -> None:
        if self._accepting:
            IOLoop.current().remove_handler(self._listener)
            self._accepting = False

    def _accept(self, _listener: Any, _events: int) -> None:
        for _ in range(MAX_ACCEPTS):
            full = len(self._open) >= self._limit
            if full:
                self._warn(f"{self._limit} connections are open, as many as there are files for: see ulimit -n")
                if (least := self._least_worthy()) is None:
                    self._pause()
                    return
            try:
                connection, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in NO_ROOM:
                    continue  # a connection that broke before it was accepted: accept(2), error handling
                if self._has_made_room(error):
                    continue
                self._pause()  # until one is closed, or the next sweep
                return
            if self._full_since is not None:
                self._full_since = None
                self._full.answered()
            if full and least is not None:
                self._count("limit")
                least.close()
            self._serve(connection, address)

    def _has_made_room(self, error: OSError) -> bool:
        """There are no files for another connection, says ERROR: whether one has been closed for it.

        Else those who wait go on waiting, or, where that has taken too long, are refused.
        """
        now = time.monotonic()
        self._lingering.close()  # they have their answers; none of them counts as a connection
        self._full.failed(str(error.strerror))
        self._full_since = now if self._full_since is None else self._full_since
        if (least := self._least_worthy()) is not None:
            self._count("limit")
            least.close()
            return True
        if now - self._full_since >= MAX_FULL_SECONDS and (refused := self._spare.refuse_waiting(self._listener)):
            self._count("no_room", refused)
        return False

    def _least_worthy(self) -> ClientStream | None:
        """What is closed for a new connection: the longest without a request, else one with a body that is slow."""
        waiting, since = next(iter(self.waiting.items()), (None, 0.0))
        if waiting is not None and time.monotonic() >= since + MIN_WAIT_SECONDS:
            return waiting
        slow = (stream for stream in self._slow if stream not in self.waiting and stream.reading())
        return next(slow, None)

    def _serve(self, connection: socket.socket, address: Any) -> None:
        stream = ClientStream(connection, self)
        self._open.add(stream)
        self._http.handle_stream(stream, address)

    def sweep(self, moment: float | None = None) -> None:
        """Every second, at MOMENT (of the monotonic clock; None is now): close what takes too long.

        Time in which this process did not run (its machine was suspended, or swapping) counts against nobody.
        """
        moment = time.monotonic() if moment is None else moment
        late = moment - self._swept_at - SWEEP_SECONDS
        self._swept_at = moment
        if late > MAX_LATE_SECONDS:
            self.waiting.update({stream: since + late for stream, since in self.waiting.items()})
            for stream in self._open:
                if stream.watched_since is not None:
                    stream.watched_since += late
        self.close_overdue(moment)

    def close_overdue(self, moment: float | None = None) -> None:
        """Close what takes too long at MOMENT (of the monotonic clock; None is now), and try again to accept."""
        moment = time.monotonic() if moment is None else moment
        self._slow.clear()
        for stream in list(self._open):
            if reason := self._overdue(stream, moment):
                self._count(reason)
                stream.abort() if stream.writing() else stream.close()
        self._close_large_heads()
        if self._closed and self._summary.allows(moment):
            closed = ", ".join(f"{count} {CLOSED_FOR[reason]}" for reason, count in self._closed.items())
            log.info("connections closed: %s", closed)
            self._closed.clear()
        self._spare.take_back()
        self._resume()

    def _close_large_heads(self) -> None:
        """Where the heads of unfinished requests hold too much, close those with the largest."""
        total = sum(map(self._held_head, self._open))
        held = sorted(self._open, key=self._held_head) if total > MAX_HEADS_BYTES else []
        while total > MAX_HEADS_BYTES:
            largest = held.pop()
            total -= self._held_head(largest)
            self._count("large_head")
            largest.close()

    def _held_head(self, stream: ClientStream) -> int:
        """The bytes of the head of a request that the client has not sent whole."""
        if stream in self.waiting:
            return stream.received - stream.received_before
        return stream.head_size if stream.reading() else 0

    def _overdue(self, stream: ClientStream, moment: float) -> str | None:
        """Why a connection is to be closed, as in CLOSED_FOR; None where it is not."""
        times = self._times
        if (since := self.waiting.get(stream)) is not None and stream.received == stream.received_before:
            return "idle" if moment - since > times.idle else None
        if since is None and not stream.reading() and not stream.writing():
            stream.watched_since = None  # the server is at work
            return None
        passed = stream.passed
        if stream.watched_since is None:
            stream.watched_since, stream.watched_bytes = moment, passed
        elapsed = moment - stream.watched_since
        if since is not None:
            return "slow_head" if elapsed > times.head else None
        slow = passed - stream.watched_bytes < times.rate * elapsed
        if elapsed < times.window:
            if slow and elapsed >= MIN_WAIT_SECONDS and not stream.writing():
                self._slow[stream] = None
            return None
        if slow:
            return "slow_reader" if stream.writing() else "slow_body"
        stream.watched_since = None
        return None

    def _count(self, reason: str, count: int = 1) -> None:
        self._closed[reason] += count
        metrics.HTTP_CONNECTIONS_CLOSED.labels(reason).inc(count)

    def _warn(self, message: str) -> None:
        """Log a warning, but not for every connection."""
        if self._warning.allows():
            log.warning("%s", message)


async def finish_requests(connections: Connections, request_tracker: RequestTracker, patience: float) -> None:
    """Accept no more connections, and give the requests of those that are open PATIENCE seconds to be answered."""
    connections.stop()
    try:
        async with asyncio.timeout(patience):
            await asyncio.sleep(FIRST_BYTE_SECONDS)
            while request_tracker.under_way:  # noqa: ASYNC110 (a client may go away, and nobody is told)
                await asyncio.sleep(REQUESTS_LOOK_SECONDS)
            await connections.close()
    except TimeoutError:
        log.warning("some clients did not finish their requests in time")
