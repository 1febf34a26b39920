"""A server whose process may open few files: it says so, and goes on serving."""

from __future__ import annotations

import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from itertools import count
from pathlib import Path

import pytest

from tests.acceptance.alerts import carrier, queue_calls, rung, total
from tests.server import REQUEST_SECONDS, Server, wait_until

# What the limit may be raised to again.
_, HARD_LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)


class LimitedServer(Server):
    """A server that may open few files."""

    files = 300

    def _spawn(self, *arguments: str) -> subprocess.Popen[str]:
        limited = f'ulimit -n {self.files}; exec "$0" "$@"'
        return subprocess.Popen(
            ["sh", "-c", limited, sys.executable, "-m", "scfm", *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[LimitedServer]:
    with LimitedServer(tmp_path / "data") as server:
        yield server


def test_a_flood_of_idle_connections_does_not_make_a_server_deaf(limited: LimitedServer) -> None:
    flood = [socket.create_connection((limited.host, limited.port)) for _ in range(600)]
    try:
        assert limited.client().get("/api/account").status == 200
    finally:
        for connection in flood:
            connection.close()
    wait_until(lambda: limited.client().get("/api/account").status == 200)
    assert len([line for line in limited.stderr if " scfm.http: GET " not in line]) < 10, limited.output()
    assert not any("Traceback" in line for line in limited.stderr)


@contextmanager
def no_more_files(server: Server) -> Iterator[None]:
    """Within it the server can open no file that it has not open."""
    assert server.process is not None
    pid = server.process.pid
    opened = {int(descriptor.name) for descriptor in Path(f"/proc/{pid}/fd").iterdir()}
    lowest_free = next(number for number in count() if number not in opened)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, HARD_LIMIT))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def raw_request(server: Server, path: str) -> socket.socket:
    """A connection on which a request of the super admin has been sent."""
    connection = socket.create_connection((server.host, server.port), timeout=REQUEST_SECONDS)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n\r\n".encode())
    return connection


def answer_of(connection: socket.socket) -> bytes:
    """What the server answers until it hangs up."""
    answer = b""
    while more := connection.recv(1 << 16):
        answer += more
    return answer


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system does not let us limit another process")
def test_a_server_out_of_files_keeps_whom_it_serves_refuses_others_in_order_and_sends_its_calls_later(
    tmp_path: Path,
) -> None:
    with carrier(tmp_path / "ledger") as url:
        environment = {
            "TWILIO_ACCOUNT_SID": "AC1",
            "TWILIO_AUTH_TOKEN": "token",
            "TWILIO_CLIENT_REST_API_BASE_URL": url,
        }
        with Server(tmp_path / "data", environment) as server, ExitStack() as connections:
            events = "/api/account/account_events"
            assert server.request("POST", events, json={"event": "hold"}).status == 201
            queue_calls(server, 20)
            wait_until(lambda: total(server, "/api/phone_calls?q[status]=queued") == 20)
            served = [raw_request(server, "/api/callouts/1/progress") for _ in range(2)]
            for stream in served:
                connections.enter_context(stream)
                assert b"200 OK" in stream.recv(1 << 16)
            known = HTTPConnection(server.host, server.port, timeout=REQUEST_SECONDS)
            connections.callback(known.close)
            before = len(server.stderr)
            credentials = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
            known.connect()
            known.request("GET", "/api/account", headers=credentials)
            known.getresponse().read()
            with no_more_files(server):
                known.request("POST", events, b'{"event": "release"}', credentials)
                assert known.getresponse().read()

                def explained() -> bool:
                    known.request("GET", "/api/phone_calls/1", headers=credentials)
                    return b"Too many open files" in known.getresponse().read()

                wait_until(explained)
                known.request("GET", "/api/callouts/1/progress", headers=credentials)
                known.getresponse()
                flood = [connections.enter_context(raw_request(server, "/api/account")) for _ in range(20)]
                answers = [answer_of(connection) for connection in flood]
                assert {answer.partition(b"\r\n")[0] for answer in answers} == {
                    b"HTTP/1.1 503 Service Unavailable"
                }, answers
            assert server.request("GET", "/api/account").status == 200
            wait_until(lambda: total(server, "/api/phone_calls?q[status]=queued") == 0)
            for stream in served:
                assert stream.recv(1 << 16)
            problems = [line for line in server.stderr[before:] if not re.search(" (INFO|DEBUG) ", line)]
            assert set(rung(tmp_path / "ledger").values()) == {1}
    assert sum("no connection can be accepted: Too many open files" in line for line in problems) == 1, problems
    assert len(problems) <= 8, problems
    assert not any("Traceback" in line for line in server.stderr), server.output()


def test_a_limit_of_open_files_that_is_too_low_is_named_at_the_start(tmp_path: Path) -> None:
    server = LimitedServer(tmp_path / "data")
    server.files = 64
    process = server._spawn("serve", "--port", "0", "--data-dir", str(tmp_path / "data"))
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.count("\n") == 1
    assert said.startswith("scfm: this process may open 64 files")
    assert "ulimit -n" in said
    assert "MONGODB_URI" not in said
