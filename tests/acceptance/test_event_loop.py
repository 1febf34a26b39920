"""No request holds up the others: no piece of work in the event loop takes more than 50 ms, whatever is sent."""

from __future__ import annotations

import gc
import json
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.handlers.base import BaseHandler
from tests.server import Client
from tests.watchdog import Watched, watched_server

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
MANY = 1_000_000
# Sixteen values, each nearly as long as a value may be: a megabyte.
LARGE = {f"k{number}": "x" * 64_000 for number in range(16)}
LARGE_CONTACTS = 20


@pytest.fixture
def server(io_loop: IOLoop, mongod: PrivateMongod, tmp_path: Path) -> Iterator[Watched]:
    """A server in the test's own loop."""
    with watched_server(io_loop, mongod, "watched", tmp_path, MAX_BODY_SIZE=str(MANY + 100_000)) as server:
        yield server


def make_large_contacts(client: Client) -> None:
    for number in range(LARGE_CONTACTS):
        answer = client.post("/api/contacts", json={"msisdn": f"+25266230{number:04}", "metadata": LARGE})
        assert answer.status == 201, answer


BODIES = {
    "many fields": (
        JSON,
        json.dumps({"metadata": {f"k{n}": "é" * 400 for n in range(998)}}, ensure_ascii=False).encode(),
    ),
    "many numbers": (JSON, b'{"a":[' + b"1," * 500_000 + b"1]}"),
    "deep arrays": (JSON, b"[" * MANY),
    "deep objects": (JSON, b'{"a":' * 200_000),
    "long number": (JSON, b'{"a":' + b"9" * MANY + b"}"),
    "quotes": (JSON, b'"' * MANY),
    "escapes": (JSON, b'{"a":"' + b"\\n" * 500_000 + b'"}'),
    "spaces": (JSON, b" " * MANY + b"{}"),
    "ampersands": (FORM, b"&" * MANY),
    "separators": (FORM, b"& " * 500_000),
    "percent signs": (FORM, b"a=" + b"%41" * 330_000),
    "many encoded fields": (FORM, b"&".join(b"metadata[k%d]=%s" % (n, b"%c3%a9" * 150) for n in range(999))),
    "brackets": (FORM, b"[" * MANY + b"=1"),
    "lists in a name": (FORM, b"a" + b"[]" * 500_000 + b"=1"),
    "list of objects": (FORM, b"&".join(b"l[][a%d]=1" % n for n in range(999))),
    "lines in a part": (MULTIPART, b"--x\r\n" + b"\r\n" * 500_000),
    "many parts": (MULTIPART, b"--x\r\n" * 200_000),
    "part with many parameters": (
        MULTIPART,
        b"--x\r\nContent-Disposition: form-data" + b'; a="b"' * 120_000 + b"\r\n\r\n1\r\n--x--",
    ),
}


@pytest.mark.gen_test(timeout=300)
async def test_an_odd_body_is_read_or_refused_in_small_pieces(server: Watched) -> None:
    for name, (headers, body) in BODIES.items():
        for path in ("/api/contacts", "/api/remote_phone_call_events"):
            answer = await server.check(lambda client, p=path, b=body, h=headers: client.post(p, body=b, headers=h))
            assert 400 <= answer.status < 500, (name, path, answer)


@pytest.mark.gen_test(timeout=300)
async def test_a_large_page_is_read_and_shown_in_small_pieces(server: Watched) -> None:
    await server.check(make_large_contacts, seconds=60)
    listed = await server.check(lambda client: client.get("/api/contacts?per_page=1000"))
    assert [one["metadata"] for one in listed.json] == [LARGE] * LARGE_CONTACTS
    assert (await server.check(lambda client: client.get("/api/contacts/1"))).json["metadata"] == LARGE
    changed = await server.check(lambda client: client.patch("/api/contacts/1", json={"metadata": LARGE}))
    assert changed.status == 204


QUERIES = (
    "&".join(f"q[metadata][k{number}]=v" for number in range(990)),
    "q[msisdn]=" + "," * 60_000,
    "q[msisdn]=" + ",".join(f"2526623{number:05}" for number in range(1000)),
    "q[msisdn]=" + ",".join(f"2526623{number:05}" for number in range(4600)),
    "q[id]=" + ",".join(str(number) for number in range(1000)),
    "page=" + "9" * 60_000,
    "&".join(f"a{number}=b" for number in range(990)),
)


@pytest.mark.gen_test(timeout=300)
async def test_an_odd_query_is_read_or_refused_in_small_pieces(server: Watched) -> None:
    for query in QUERIES:
        answer = await server.check(lambda client, q=query: client.get(f"/api/contacts?{q}"))
        assert answer.status in (200, 400), (query[:40], answer)


@pytest.mark.gen_test(timeout=300)
async def test_filters_of_operations_and_users_are_taken_in_small_pieces(server: Watched) -> None:
    numbers = [f"2526623{number:05}" for number in range(60_000)]
    deep: Any = "x"
    for _ in range(30):
        deep = {"a": deep}
    filters: tuple[Any, ...] = (
        {"msisdn": ",".join(numbers[:4600])},
        {"msisdn": ",".join(numbers)},
        {"msisdn": numbers[:990]},
        {"id": ",".join(numbers[:1000])},
        {"metadata": deep},
        {"metadata": {f"k{number}": "v" for number in range(900)}},
    )
    for asked in filters:
        given = {"type": "BatchOperation::CalloutPopulation", "parameters": {"contact_filter_params": asked}}
        await server.check(lambda client: client.post("/api/callouts", {}))
        answer = await server.check(lambda client, g=given: client.post("/api/callouts/1/batch_operations", json=g))
        assert answer.status in (201, 400, 422), answer
        if answer.status == 201:
            preview = f"/api/batch_operations/{answer.json['id']}/preview/contacts"
            assert (await server.check(lambda client, p=preview: client.get(p))).status == 200

    def make_users(client: Client) -> list[int]:
        with ThreadPoolExecutor(10) as pool:
            names = [f"{uuid.uuid4().hex}@example.org" for _ in range(30)]
            return [
                answer.status
                for answer in pool.map(
                    lambda name: client.post("/api/users", {"email": name, "password": "x" * 128}), names
                )
            ]

    assert await server.check(make_users) == [201] * 30


@pytest.mark.gen_test(timeout=300)
async def test_nothing_is_kept_of_bodies_that_were_broken_off(server: Watched) -> None:
    head = (
        b"POST /api/remote_phone_call_events HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )

    def break_off(client: Client) -> None:
        for _ in range(20):
            with socket.create_connection((client.server.host, client.server.port)) as connection:
                connection.sendall(head + b"x" * 50_000)
        assert client.get("/health").status == 200

    gc.collect()
    gc.disable()  # what is in a cycle stays
    try:
        await server.check(break_off)
        left = [
            one for one in gc.get_objects() if issubclass(type(one), BaseHandler) and one.request.method == "POST"
        ]
    finally:
        gc.enable()
    assert sum(len(handler.content) for handler in left) == 0
    assert left == []
