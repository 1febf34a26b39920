"""No import and no export holds up other requests: no piece of work in the event loop takes more than 50 ms.

See tests/watchdog.py for how that is measured: by the processor's time, and as the best of several tries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from scfm.embedded_mongod.mongod import PrivateMongod
from tests.resources.test_import_xlsx import XLSX, workbook
from tests.server import Answer, Client
from tests.watchdog import Watched, watched_server

CSV, JSON_LINES = "text/csv", "application/x-ndjson"
LARGE = {f"k{number}": "x" * 60_000 for number in range(16)}
COUNT = 12


@pytest.fixture
def server(io_loop: IOLoop, mongod: PrivateMongod, tmp_path: Path) -> Iterator[Watched]:
    """A server in the test's own loop."""
    with watched_server(io_loop, mongod, "watched_bulk", tmp_path, MAX_BODY_SIZE="2000000") as server:
        yield server


def number(position: int) -> str:
    return f"+2526623{position:05}"


async def sent(server: Watched, content: bytes, kind: str = CSV, query: str = "") -> Answer:
    def send(client: Client) -> Answer:
        return client.post(f"/api/contacts/import{query}", body=content, headers={"Content-Type": kind})

    answer: Answer = await server.check(send)
    return answer


FILES = {
    "an open quote": (CSV, b'msisdn,name\n+252662345678,"open\n' + b"345,x\n" * 20_000),
    "an open quote and empty lines": (CSV, b'msisdn,name\n+252662345678,"open\n' + b"\n" * 60_000),
    "bad lines": (CSV, b"msisdn\n" + b"345\n" * 20_000),
    "newlines": (CSV, b"msisdn\n" + b"\n" * 3_000_000),
    "newlines in JSON lines": (JSON_LINES, b"\n" * 3_000_000),
    "bad JSON lines": (JSON_LINES, b"{}\n" * 20_000),
    "one very long line": (CSV, b"msisdn\n" + b"x" * 5_000_000),
    "a line of commas": (CSV, b"msisdn\n" + b"," * 2_000_000),
    "a line of lists": (JSON_LINES, b'{"x":[' + b"[]," * 600_000 + b"0]}"),
}


@pytest.mark.gen_test(timeout=300)
async def test_a_file_that_gives_nothing_is_read_in_small_pieces(server: Watched) -> None:
    for name, (kind, content) in FILES.items():
        answer = await sent(server, content, kind)
        assert answer.status == 200, name
        assert answer.json["created"] == 0, name


@pytest.mark.gen_test(timeout=300)
async def test_contacts_are_stored_and_changed_in_small_pieces(server: Watched) -> None:
    rows = [f"{number(position)},Name {position}" for position in range(2000)]
    await sent(server, "\n".join(["msisdn,name", *rows]).encode())
    book = workbook(["msisdn", "name"], *[row.split(",") for row in rows])
    assert (await sent(server, book, XLSX)).json["unchanged"] == 2000


@pytest.mark.gen_test(timeout=300)
async def test_large_contacts_are_changed_and_exported_in_small_pieces(server: Watched) -> None:
    lines = [json.dumps({"msisdn": number(position), "metadata": LARGE}) for position in range(COUNT)]
    await sent(server, "\n".join(lines).encode(), JSON_LINES)
    # Many small lines about large contacts.
    names = [f"{number(position % COUNT)},Name {position % COUNT}" for position in range(250)]
    await sent(server, "\n".join(["msisdn,name", *names]).encode())
    for chosen, lines_of in (("jsonl", COUNT), ("csv", COUNT + 1)):
        exported = await server.check(lambda client, f=chosen: client.get(f"/api/contacts/export?format={f}"))
        assert len(exported.json.splitlines()) == lines_of
        assert exported.json.count("x" * 60_000) == 16 * COUNT
