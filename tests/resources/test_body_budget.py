"""What is held of request bodies is bounded in bytes: those that do not end are given up, and say so."""

from __future__ import annotations

import base64
import select
import socket
from collections.abc import Sequence
from contextlib import ExitStack

import pytest

from scfm.contacts_bulk.text_lines import MAX_LINE
from scfm.handlers.body_budget import MAX_HELD_BYTES, BodyBudget
from tests.resources.imports import counts, send
from tests.server import REQUEST_SECONDS, Client, Server, wait_until


class Reader:
    """A request with a body that is held in BUDGET."""

    def __init__(self, budget: BodyBudget, *, unfinished: bool = True) -> None:
        self.budget = budget
        self.body_is_unfinished = unfinished
        self.refused = False

    def refuse_body(self) -> None:
        self.refused = True
        self.budget.release(self)


def held(budget: BodyBudget, sizes: Sequence[int]) -> list[Reader]:
    readers = [Reader(budget) for _ in sizes]
    for reader, size in zip(readers, sizes, strict=True):
        budget.hold(reader, size)
    return readers


def test_the_bodies_that_have_been_coming_for_longest_are_refused_when_all_together_are_too_large() -> None:
    budget = BodyBudget(1 << 20)
    sixth = MAX_HELD_BYTES // 6
    readers = held(budget, [sixth] * 8)
    assert [reader.refused for reader in readers] == [True, True] + [False] * 6
    assert budget.held_bytes == 6 * sixth


def test_a_request_whose_body_has_come_whole_is_not_refused() -> None:
    budget = BodyBudget(1 << 20)
    whole = Reader(budget, unfinished=False)
    budget.hold(whole, MAX_HELD_BYTES)
    (late,) = held(budget, [1])
    assert not whole.refused
    assert late.refused
    assert budget.held_bytes == MAX_HELD_BYTES


def test_two_bodies_of_the_largest_size_can_be_read_at_once_however_large_that_is() -> None:
    budget = BodyBudget(MAX_HELD_BYTES)
    assert not any(reader.refused for reader in held(budget, [MAX_HELD_BYTES] * 2))


def test_what_was_held_of_a_request_is_free_when_it_has_been_answered() -> None:
    budget = BodyBudget(1 << 20)
    (reader,) = held(budget, [1000])
    budget.release(reader)
    budget.release(reader)
    assert budget.held_bytes == 0


@pytest.mark.parametrize(
    ("length", "statuses"),
    [
        ("9" * 5000, (413,)),
        ("0" * 5000 + "1", (400,)),
        ("9" * 20, (413,)),
        ("-1", (400,)),
        ("1e3", (400,)),
        ("1_000", (400,)),
        ("", (400,)),
        ("1, 2", (400,)),
        ("\xb2", (400,)),
    ],
)
@pytest.mark.parametrize(
    "path", ["/api/contacts", "/api/contacts/import", "/api/remote_phone_call_events", "/nowhere"]
)
def test_a_content_length_that_is_no_length_is_a_clear_error(
    server: Server, api: Client, path: str, length: str, statuses: tuple[int, ...]
) -> None:
    credentials = base64.b64encode(f"{api.token}:".encode()).decode()
    before = len(server.stderr)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\nContent-Length: {length}\r\n"
    answer = exchange(server, head.encode("latin-1") + b"Content-Type: text/csv\r\n\r\n")
    assert int(answer.split()[1]) in (*statuses, *((404,) if path == "/nowhere" else ()))
    assert not any("Traceback" in line for line in server.stderr[before:])


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\nHost: x:" + "9" * 5000,
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y",
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: \xff",
        "GET  / HTTP/9.9\r\nHost: x",
        "PRI * HTTP/2.0",
        "\x16\x03\x01",
        "POST /api/remote_phone_call_events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip",
        "GET / HTTP/1.1\r\nHost: x\r\nno header",
    ],
)
def test_a_head_that_is_malformed_is_a_bad_request_and_no_trace(server: Server, head: str) -> None:
    before = len(server.stderr)
    answer = exchange(server, (head + "\r\n\r\n").encode("latin-1"))
    assert answer.startswith("HTTP/1.1 400 "), answer
    assert server.request("GET", "/health").status == 200
    assert not [line for line in server.stderr[before:] if " INFO scfm.http: " not in line]


def test_a_webhook_of_more_than_64_kib_is_refused(server: Server, api: Client) -> None:
    for size, status in ((65_536, 403), (65_537, 413)):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = server.request(
            "POST", "/api/remote_phone_call_events", body=b"a=" + b"x" * (size - 2), headers=form, token=""
        )
        assert answer.status == status, answer


def test_who_is_refused_before_the_end_of_the_body_is_told_that_the_connection_ends(server: Server) -> None:
    assert server.request("GET", "/nowhere").headers["Connection"] == "close"
    assert server.request("POST", "/api/contacts", form={"a": "b"}, token="").headers["Connection"] == "close"
    assert server.request("GET", "/api/account").headers["Connection"] is None


def test_a_body_that_is_broken_off_changes_nothing(server: Server, api: Client) -> None:
    credentials = base64.b64encode(f"{api.token}:".encode()).decode()
    with socket.create_connection((server.host, server.port)) as client:
        client.sendall(
            f"POST /api/contacts HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n"
            "msisdn=%2B252662345678".encode()
        )
    wait_until(lambda: api.get("/api/contacts").json == [])


def test_lines_of_imports_that_do_not_end_are_bounded_in_bytes(server: Server, api: Client) -> None:
    credentials = base64.b64encode(f"{api.token}:".encode()).decode()
    head = (
        f"POST /api/contacts/import HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n"
        "Content-Type: text/csv\r\nContent-Length: 10000000\r\n\r\nmsisdn,name\n+252662345678,"
    ).encode()
    size = MAX_LINE - 1000
    with ExitStack() as held:
        clients = []
        for _ in range(MAX_HELD_BYTES // size + 2):
            client = held.enter_context(socket.create_connection((server.host, server.port), timeout=REQUEST_SECONDS))
            client.sendall(head + b"x" * size)
            clients.append(client)
        # Those whose bodies were begun first, which need not be those that connected first.
        refused, _, _ = select.select(clients, [], [], REQUEST_SECONDS)
        assert refused
        for client in refused:
            assert b"503 Service Unavailable" in client.recv(65536)
        assert api.get("/api/contacts").json == []
    assert counts(send(api, "msisdn\n+252662345678\n")) == [1, 0, 0, 0]


def exchange(server: Server, request: bytes) -> str:
    """What the server says to the bytes of REQUEST, until it hangs up or falls silent."""
    with socket.create_connection((server.host, server.port), timeout=REQUEST_SECONDS) as client:
        client.sendall(request)
        return client.recv(65536).decode("latin-1")
