"""An alert in a few steps over HTTP: contacts, a callout, its calls, and the carrier that gets them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.server import Server, wait_until

REQUEST = {"from": "1234", "url": "https://demo.twilio.com/docs/voice.xml"}


def lines(count: int) -> bytes:
    """Contacts as the bulk import takes them, each with a number of his own."""
    return b"".join(b'{"msisdn": "+2526%08d"}\n' % number for number in range(count))


def import_contacts(server: Server, count: int) -> None:
    answer = server.request(
        "POST",
        "/api/contacts/import",
        body=lines(count),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status in (200, 201), answer
    assert answer.json["created"] == count


def queue(server: Server, path: str, **fields: Any) -> str:
    """Make a batch operation and queue it; its path."""
    made = server.request("POST", path, json=fields)
    assert made.status == 201, made
    path = f"/api/batch_operations/{made.json['id']}"
    assert server.request("POST", f"{path}/batch_operation_events", json={"event": "queue"}).status == 201
    return path


def await_finished(server: Server, path: str, seconds: float = 60) -> None:
    wait_until(lambda: server.request("GET", path).json["status"] == "finished", seconds)


def total(server: Server, path: str) -> int:
    return int(server.request("GET", f"{path}{'&' if '?' in path else '?'}per_page=1").headers["Total"])


def every(server: Server, path: str) -> list[Any]:
    found: list[Any] = []
    while page := server.request("GET", f"{path}?per_page=1000&page={len(found) // 1000 + 1}").json:
        found += page
        if len(page) < 1000:
            break
    return found


@contextmanager
def carrier(ledger: Path, *options: str) -> Iterator[str]:
    """A simulator in a process of its own, which outlives the server; its URL."""
    command = [sys.executable, "-m", "scfm", "simulator", "--port", "0", "--ledger", str(ledger), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def rung(ledger: Path) -> Counter[str]:
    """By number, how many requests reached the carrier."""
    # The last line may be half written.
    written = ledger.read_text().rpartition("\n")[0] if ledger.exists() else ""
    told = [json.loads(line) for line in written.splitlines()]
    return Counter(line["to"] for line in told if line["kind"] == "request")


def queue_calls(server: Server, count: int) -> None:
    """Make so many contacts, a callout with all of them, a call to each, and queue the calls."""
    import_contacts(server, count)
    assert server.request("POST", "/api/callouts").status == 201
    population = "/api/callouts/1/batch_operations"
    await_finished(server, queue(server, population, type="BatchOperation::CalloutPopulation"))
    create = {"type": "BatchOperation::PhoneCallCreate", "parameters": {"remote_request_params": REQUEST}}
    await_finished(server, queue(server, "/api/batch_operations", **create))
    queue(server, "/api/batch_operations", type="BatchOperation::PhoneCallQueue")
