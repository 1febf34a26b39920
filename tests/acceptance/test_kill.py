"""``kill -9`` in the middle of the work, and what is there after a restart."""

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

import pytest

from tests.server import Server, wait_until

CONTACTS = 20_000
CALLS = 500
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
def carrier(ledger: Path) -> Iterator[str]:
    """A simulator in a process of its own, which outlives the server; its URL."""
    command = [sys.executable, "-m", "scfm", "simulator", "--port", "0", "--ledger", str(ledger)]
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


def test_a_population_of_20_000_goes_on_after_a_kill(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        import_contacts(server, CONTACTS)
        assert server.request("POST", "/api/callouts").status == 201
        path = queue(server, "/api/callouts/1/batch_operations", type="BatchOperation::CalloutPopulation")
        participations = "/api/callouts/1/callout_participations"
        wait_until(lambda: total(server, participations) > 1000, every=0.005)
        server.kill()
        server.start()
        assert total(server, participations) < CONTACTS or server.request("GET", path).json["status"] == "finished"
        await_finished(server, path, 120)
        assert total(server, participations) == CONTACTS
        contacts = Counter(one["contact_id"] for one in every(server, participations))
        assert len(contacts) == CONTACTS
        assert set(contacts.values()) == {1}


@pytest.mark.parametrize("moment", [20, 150, 350])
def test_of_500_queued_calls_each_is_sent_once_whenever_the_server_is_killed(tmp_path: Path, moment: int) -> None:
    ledger = tmp_path / "ledger"
    with carrier(ledger) as url:
        environment = {
            "PLATFORM_PROVIDER": "twilio",
            "TWILIO_ACCOUNT_SID": "AC1",
            "TWILIO_AUTH_TOKEN": "secret",
            "TWILIO_CLIENT_REST_API_BASE_URL": url,
            "UNKNOWN_GRACE_SECONDS": "0.5",
        }
        with Server(tmp_path / "data", environment) as server:
            import_contacts(server, CALLS)
            assert server.request("POST", "/api/callouts").status == 201
            population = "/api/callouts/1/batch_operations"
            await_finished(server, queue(server, population, type="BatchOperation::CalloutPopulation"))
            create = {"type": "BatchOperation::PhoneCallCreate", "parameters": {"remote_request_params": REQUEST}}
            await_finished(server, queue(server, "/api/batch_operations", **create))
            queue(server, "/api/batch_operations", type="BatchOperation::PhoneCallQueue")
            wait_until(lambda: rung(ledger).total() >= moment, every=0.005)
            server.kill()
            server.start()
            # The run that queues them may have been cut off, too: it goes on when its lease has run out, or at once.
            wait_until(lambda: total(server, "/api/phone_calls?q[status]=created,queued") == 0, 90)
            calls = every(server, "/api/phone_calls")
        requests = rung(ledger)
    assert len(calls) == CALLS
    assert set(requests.values()) == {1}
    unsent = [call for call in calls if call["msisdn"] not in requests]
    # Killed between its line in the log and the first byte on the wire: asked about, and never guessed. Many
    # connections may be opened at the same moment, so that there may be several.
    assert all(call["status"] == "errored" and "interrupted" in call["remote_error_message"] for call in unsent)
    assert len(unsent) <= 100
