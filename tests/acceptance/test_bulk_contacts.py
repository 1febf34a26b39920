"""Contacts go in and come out by the hundred thousand, and the server grows by little."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import IO

import pytest

from tests.server import Server

# A first file takes what any import takes, a second, longer one shows what each further line adds: from the two
# follows what so many lines would take, in a fraction of the time.
FIRST_LINES, LINES = 2_000, 12_000
BULK = 100_000
MAX_MEGABYTES = 60
PATIENCE_SECONDS = 300.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "data", {"PLATFORM_PROVIDER": "simulator"}) as server:
        yield server


def village(path: Path, lines: int) -> Path:
    """A file of so many contacts."""
    with path.open("w", newline="") as file:
        file.write("msisdn,name,address.city,address.zone\r\n")
        file.writelines(f"+25261{number:07d},Name {number},Baidoa,{number % 30}\r\n" for number in range(lines))
    return path


def peak_megabytes(server: Server) -> float:
    """The most memory that the server has had."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


@contextmanager
def asked(
    server: Server, method: str, path: str, body: IO[bytes] | None = None, **headers: str
) -> Iterator[HTTPResponse]:
    """The answer, while it is being read."""
    token = base64.b64encode(f"{server.token}:".encode()).decode()
    connection = HTTPConnection(server.host, server.port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body, {"Authorization": f"Basic {token}", **headers})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        yield answer
    finally:
        connection.close()


def send(server: Server, path: Path, kind: str) -> list[int]:
    """Created, updated, unchanged, failed."""
    size = {"Content-Length": str(path.stat().st_size), "Content-Type": kind}
    with path.open("rb") as file, asked(server, "POST", "/api/contacts/import", file, **size) as answer:
        return list(json.loads(answer.read()).values())[:4]


def fetch(server: Server, chosen: str, path: Path) -> Path:
    with asked(server, "GET", f"/api/contacts/export?format={chosen}") as answer, path.open("wb") as file:
        shutil.copyfileobj(answer, file)
    return path


def in_and_out(server: Server, folder: Path, lines: int, known: int) -> None:
    """Import so many contacts, of which the server knows the first few; export them, and import what came out."""
    file = village(folder / "contacts.csv", lines)
    assert send(server, file, "text/csv") == [lines - known, 0, known, 0]
    assert fetch(server, "csv", folder / "out.csv").read_bytes() == file.read_bytes()
    exported = fetch(server, "jsonl", folder / "out.jsonl")
    assert send(server, exported, "application/x-ndjson") == [0, 0, lines, 0]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
def test_a_hundred_thousand_contacts_in_and_out_take_little_memory(server: Server, tmp_path: Path) -> None:
    before = peak_megabytes(server)
    in_and_out(server, tmp_path, FIRST_LINES, 0)
    first = peak_megabytes(server)
    in_and_out(server, tmp_path, LINES, FIRST_LINES)
    by_line = (peak_megabytes(server) - first) / (LINES - FIRST_LINES)
    assert first - before + by_line * (BULK - FIRST_LINES) < MAX_MEGABYTES
