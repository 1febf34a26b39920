"""Many connections, slow ones and idle ones: each has its time, and all together leave room for the others."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from tornado.web import ErrorHandler

from scfm.handlers import connections as module
from scfm.handlers import lingering
from scfm.handlers.application import WebApplication
from scfm.handlers.base import BaseHandler
from scfm.handlers.body_budget import BodyBudget
from scfm.handlers.client_stream import MAX_HEADER_LINES
from scfm.handlers.connections import Connections
from scfm.handlers.request_limits import RequestLimits
from scfm.handlers.request_tracker import RequestTracker
from scfm.handlers.time_limits import TimeLimits
from scfm.runtime import metrics
from scfm.settings import Settings

TIMES = TimeLimits(idle=75, head=20, window=30, rate=1000)
LONG = b"x" * (32 << 20)  # more than the buffers of two sockets


class Handler(BaseHandler):
    """Answers as its path says."""

    async def get(self, kind: str) -> None:
        if kind == "waiting":
            await self.route_options["held"].wait()
        self.write(LONG if kind == "long" else b"hello")

    async def post(self, _kind: str) -> None:
        self.write(str(self.size).encode())


class Serving(NamedTuple):
    """A server in the test's own loop. ``held``: what requests for ``/waiting`` wait for."""

    connections: Connections
    address: tuple[str, int]
    held: asyncio.Event
    request_tracker: RequestTracker


@asynccontextmanager
async def serving(limit: int = 100, listener: socket.socket | None = None) -> AsyncIterator[Serving]:
    listener = listener or socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    held = asyncio.Event()
    settings: Any = SimpleNamespace(max_body_size=1 << 20)
    request_tracker = RequestTracker()
    collaborators: Any = SimpleNamespace(
        request_tracker=request_tracker,
        settings=settings,
        bodies=BodyBudget(1 << 20),
        request_limits=RequestLimits(Settings()),
    )
    routes = [("/(.*)", Handler, {"verbs": "GET POST", "held": held})]
    connections = Connections(WebApplication(routes, collaborators, ErrorHandler), listener, limit, TIMES)
    connections.start()
    try:
        yield Serving(connections, listener.getsockname(), held, request_tracker)
    finally:
        held.set()
        connections.stop()
        await connections.close()


class Peer:
    """A client's end of a connection."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.socket.setblocking(False)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def receive(self, size: int = 65536) -> bytes:
        """What the server sends next, b"" for its hanging up."""
        try:
            async with asyncio.timeout(120):
                return await asyncio.get_running_loop().sock_recv(self.socket, size)
        except ConnectionResetError:
            return b""

    async def is_open(self) -> bool:
        """Whether the server, which has nothing to say, has not hung up either."""
        for _ in range(5):
            await asyncio.sleep(0.01)
            try:
                return bool(self.socket.recv(1, socket.MSG_PEEK))
            except BlockingIOError:
                continue
            except ConnectionResetError:
                return False
        return True


@asynccontextmanager
async def peer(server: Serving, sent: bytes = b"") -> AsyncIterator[Peer]:
    client = Peer()
    with client.socket:
        await asyncio.get_running_loop().sock_connect(client.socket, server.address)
        await client.send(sent)
        yield client


async def seen(server: Serving, count: int) -> None:
    """Return when so many bytes have come in on all connections."""
    async with asyncio.timeout(120):
        while sum(stream.received for stream in server.connections._open) < count:
            await asyncio.sleep(0.001)


def now() -> float:
    return asyncio.get_running_loop().time()


def closed_for(reason: str) -> float:
    """How many connections the metrics say were closed for a reason."""
    return metrics.REGISTRY.get_sample_value("scfm_http_connections_closed_total", {"reason": reason}) or 0.0


GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_an_idle_connection_is_closed_later_than_a_proxy_would_close_it() -> None:
    async with serving() as server, peer(server, GET) as client:
        assert b"200 OK" in await client.receive()
        server.connections.close_overdue(now() + 74)
        assert await client.is_open()
        await client.send(GET)
        assert b"200 OK" in await client.receive()
        before = closed_for("idle")
        server.connections.close_overdue(now() + 76)
        assert await client.receive() == b""
        assert closed_for("idle") == before + 1


async def test_the_head_of_a_request_has_one_time_however_its_bytes_come() -> None:
    async with serving() as server, peer(server, b"GET /hello HTTP/1.1\r\n") as client:
        await seen(server, 21)
        began = now()
        for second in range(0, 21, 5):
            server.connections.close_overdue(began + second)
            assert await client.is_open()
            await client.send(b"a")
            await seen(server, 22 + second // 5)
        server.connections.close_overdue(began + 21)
        assert await client.receive() == b""


async def test_a_head_of_more_lines_than_any_client_sends_is_refused_before_it_is_parsed() -> None:
    async with serving() as server:
        for line in (b"a:\r\n", b"a: b\n", b"A%d: b\r\n"):
            lines = b"".join(line % number if b"%" in line else line for number in range(MAX_HEADER_LINES))
            async with peer(server, b"GET /hello HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n") as client:
                assert b"400 Bad Request" in await client.receive()
                assert await client.receive() == b""
        few = b"a: b\r\n" * (MAX_HEADER_LINES - 3)
        async with peer(server, b"GET /hello HTTP/1.1\r\nHost: x\r\n" + few + b"\r\n") as client:
            assert b"200 OK" in await client.receive()


async def test_requests_that_were_sent_in_advance_end_with_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = b"GET /waiting HTTP/1.1\r\nHost: x\r\n\r\n"
    begun = []
    async with serving() as server:
        async with peer(server, GET + waiting * 50) as client:
            await seen(server, len(GET) + len(waiting) * 50)
            assert await client.is_open()  # with an answer that is not taken, so that closing resets the connection
        began = server.request_tracker.began
        monkeypatch.setattr(
            server.request_tracker, "began", lambda connection: (begun.append(connection), began(connection))
        )
        server.held.set()
        async with asyncio.timeout(120):
            while server.connections._open:
                await asyncio.sleep(0.001)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not server.connections.waiting  # what is closed waits for nothing, and is not kept for ever
    assert len(begun) <= 2


async def test_the_heads_of_unfinished_requests_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HEADS_BYTES", 100_000)
    large = b"a: " + b"x" * 40_000
    unfinished = b"GET /hello HTTP/1.1\r\nHost: x\r\n" + large
    without_body = HEAD.replace(b"\r\n\r\n", b"\r\n" + large + b"\r\n\r\n")
    body = HEAD + b"x" * 80_000  # which is no part of a head, though it comes with it
    async with serving() as server, peer(server, unfinished) as first, peer(server, without_body) as second:
        await seen(server, len(unfinished) + len(without_body))
        server.connections.close_overdue()
        assert await first.is_open()
        async with peer(server, unfinished + b"x" * 10_000) as third, peer(server, body) as fourth:
            await seen(server, 2 * len(unfinished) + 10_000 + len(without_body) + len(body))
            server.connections.close_overdue()
            assert await third.receive() == b""
            assert await first.is_open()
            assert await second.is_open()
            assert await fourth.is_open()


HEAD = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"


async def test_a_body_may_take_long_while_it_goes_on_and_not_when_it_stops() -> None:
    async with serving() as server, peer(server, HEAD) as client:
        await seen(server, len(HEAD))
        began = now()
        server.connections.close_overdue(began)
        for window in range(1, 10):
            await client.send(b"x" * 40_000)
            await seen(server, len(HEAD) + window * 40_000)
            server.connections.close_overdue(began + window * 31)
            server.connections.close_overdue(began + window * 31)
            assert await client.is_open()
        await client.send(b"x" * 1000)
        await seen(server, len(HEAD) + 361_000)
        server.connections.close_overdue(began + 10 * 31)
        assert await client.receive() == b""


REFUSED_BODY = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(LONG)


async def test_a_client_that_still_sends_a_body_that_was_refused_reads_the_answer() -> None:
    async with serving() as server, peer(server) as client:
        await client.send(REFUSED_BODY)
        await client.send(LONG)  # a connection that is closed meanwhile is reset, which raises here
        answer = await client.receive()
        assert answer.startswith(b"HTTP/1.1 404 ") and b"\r\nConnection: close\r\n" in answer
        assert await client.receive() == b""


async def test_whoever_goes_on_sending_is_left_after_a_time_or_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "MAX_LINGERING", 1)
    async with serving() as server, peer(server, REFUSED_BODY) as first, peer(server) as second:
        assert b" 404 " in await first.receive()
        monkeypatch.setattr(lingering, "LINGER_SECONDS", 0.0)
        await second.send(REFUSED_BODY)
        assert b" 404 " in await second.receive()
        for client in (first, second):
            with pytest.raises(ConnectionError):
                while True:
                    await client.send(b"more")
                    await asyncio.sleep(0)


async def test_time_in_which_the_server_stood_still_counts_against_no_connection() -> None:
    async with serving() as server, peer(server, HEAD) as body, peer(server, b"GET") as head, peer(server) as idle:
        await seen(server, len(HEAD) + 3)
        began = now()
        server.connections.sweep(began)
        server.connections.sweep(began + 600)
        for client in (body, head, idle):
            assert await client.is_open()
        for second in range(601, 640):
            server.connections.sweep(began + second)
        for client in (body, head):
            assert await client.receive() == b""
        assert await idle.is_open()


async def test_a_reader_that_does_not_read_is_cut_off_and_one_that_reads_slowly_is_not() -> None:
    async with serving() as server, peer(server, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        assert await client.receive(1000)
        began = now()
        server.connections.close_overdue(began)
        for window in range(1, 4):
            taken = 0
            while taken < 1 << 20:
                taken += len(await client.receive())
            server.connections.close_overdue(began + window * 31)
            server.connections.close_overdue(began + window * 31)
            assert server.connections.unsent > 0
        server.connections.close_overdue(began + 200)
        assert server.connections.unsent == 0
        rest = 0
        while received := await client.receive():
            rest += len(received)
        assert rest < len(LONG)


async def test_answers_that_nobody_takes_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNSENT_BYTES", len(LONG))
    async with serving() as server, peer(server, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n") as first:
        assert await first.receive(1000)
        async with peer(server, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n") as second:
            assert await second.receive(1000)
            assert server.connections.unsent <= len(LONG)
            while await first.receive():
                pass  # and then it is cut off, for the sake of the second
            taken = 1000
            while taken < len(LONG):
                taken += len(await second.receive())


async def test_at_the_limit_the_connection_that_has_waited_longest_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MIN_WAIT_SECONDS", 0.0)
    async with serving(limit=2) as server, peer(server, GET) as first:
        assert b"200 OK" in await first.receive()
        async with peer(server, GET) as second:
            assert b"200 OK" in await second.receive()
            await first.send(GET)
            assert b"200 OK" in await first.receive()
            async with peer(server, GET) as third:
                assert b"200 OK" in await third.receive()
                assert await second.receive() == b""
                assert await first.is_open()


async def test_at_the_limit_new_connections_wait_while_all_others_are_at_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    waiting = b"GET /waiting HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with serving(limit=1) as server, peer(server, waiting) as first, peer(server, GET) as second:
        assert await second.is_open()
        server.held.set()
        assert b"200 OK" in await first.receive()
        assert b"200 OK" in await second.receive()
    assert len([line for line in caplog.records if "ulimit -n" in line.message]) == 1


async def test_at_the_limit_bodies_that_come_too_slowly_make_room_and_others_do_not() -> None:
    async with serving(limit=2) as server, peer(server, HEAD) as slow, peer(server, HEAD) as quick:
        await seen(server, 2 * len(HEAD))
        began = now()
        server.connections.close_overdue(began)
        await quick.send(b"x" * 3000)
        await seen(server, 2 * len(HEAD) + 3000)
        server.connections.close_overdue(began + 2)
        async with peer(server, GET.replace(b"hello", b"waiting")), peer(server, GET) as second:
            assert await slow.receive() == b""
            assert await quick.is_open()
            assert await second.is_open()
            server.held.set()


class Full(socket.socket):
    """A listening socket of a process that has no more files until it is told otherwise."""

    full = True

    def accept(self) -> Any:
        if self.full:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def test_a_process_that_is_out_of_files_says_so_once_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    listener = Full()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    async with serving(listener=listener) as server, peer(server, GET) as client:
        for _ in range(10):
            server.connections.close_overdue()
            await asyncio.sleep(0.001)
        listener.full = False
        server.connections.close_overdue()
        assert b"200 OK" in await client.receive()
    problems = [record.message for record in caplog.records if record.levelno > logging.INFO]
    assert problems == ["no connection can be accepted: Too many open files"]
