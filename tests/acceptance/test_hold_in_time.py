"""A hold against two processes at full speed: from its answer on nothing leaves, until it is released.

What leaves is told by the send journals, in which a process writes each call just before its request. The test is
small, and patient with the other process; ``make hold`` has the full size, and the 0.2 seconds that are promised.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scfm.simulator.faults import Faults
from tests.server import Client, Server, open_files, wait_until
from tests.torture.carrier import Carrier
from tests.torture.house import House, Shared

IN_FLIGHT = int(os.environ.get("HOLD_IN_FLIGHT", "40"))
CALLS = int(os.environ.get("HOLD_CALLS", "200"))
# How long after the answer the other process may go on.
PATIENCE = float(os.environ.get("HOLD_SECONDS", "2"))
WATCHED_SECONDS = PATIENCE + 1.0
SID, TOKEN = "AC" + "8" * 32, "secret"
ENVIRONMENT = {
    "TWILIO_ACCOUNT_SID": SID,
    "TWILIO_AUTH_TOKEN": TOKEN,
    "PROVIDER_TIMEOUT": "15",
    "LEASE_SECONDS": "60",
    "STATUS_CHECK": "never",
    "CALLS_IN_FLIGHT": str(IN_FLIGHT // 2),
}
NUMBERS = [f"+2526621{number:05}" for number in range(CALLS)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with Shared(tmp_path, 2, ENVIRONMENT) as house:
        yield house


@pytest.fixture
def carrier(house: House) -> Iterator[Carrier]:
    """It answers after two seconds, so that many requests are in flight; then the phones ring for ever."""
    faults = Faults(slow=1.0, slow_seconds=2.0)
    account = {"account_sid": SID, "auth_token": TOKEN}
    with Carrier(house.carrier_port, life_size=1000.0, faults=faults, **account) as carrier:
        yield carrier


class Journal:
    """The send journal of a server's process, as long as it lives."""

    def __init__(self, server: Server) -> None:
        assert server.process is not None
        (path,) = {one for one in open_files(server.process.pid) if "/departures/" in one}
        self._path = Path(path)

    def left(self) -> set[str]:
        """The calls that have left, each with its attempt."""
        return set(self._path.read_text().split())


def queue_all(client: Client) -> None:
    """A callout of everybody, all of whose calls wait: the account holds them."""
    lines = "msisdn\n" + "\n".join(NUMBERS)
    stored = client.post("/api/contacts/import", body=lines.encode(), headers={"Content-Type": "text/csv"})
    assert stored.status == 200, stored
    callout = client.post("/api/callouts").json["id"]
    assert client.post(f"/api/callouts/{callout}/callout_events", {"event": "start"}).status == 201
    params = {"from": "345", "url": "http://127.0.0.1:9/none"}
    run(client, f"/api/callouts/{callout}/batch_operations", "BatchOperation::CalloutPopulation")
    run(client, "/api/batch_operations", "BatchOperation::PhoneCallCreate", remote_request_params=params)
    run(client, "/api/batch_operations", "BatchOperation::PhoneCallQueue")
    assert count(client, "queued") == CALLS


def run(client: Client, path: str, kind: str, **parameters: Any) -> None:
    made = client.post(path, json={"type": kind, "parameters": parameters})
    assert made.status == 201, made
    operation = f"/api/batch_operations/{made.json['id']}"
    assert client.post(f"{operation}/batch_operation_events", {"event": "queue"}).status == 201
    wait_until(lambda: client.get(operation).json["status"] == "finished")


def count(client: Client, status: str) -> int:
    return int(client.get(f"/api/phone_calls?q[status]={status}&per_page=1").headers["Total"])


def event(client: Client, name: str) -> None:
    assert client.post("/api/account/account_events", {"event": name}).status == 201


def test_nothing_leaves_during_a_hold_and_a_release_goes_on(house: House, carrier: Carrier) -> None:
    asked, other = (server.client(house.token) for server in house.servers)
    event(asked, "hold")
    queue_all(asked)
    assert not carrier.asked()
    journals = [Journal(server) for server in house.servers]
    event(other, "release")
    wait_until(lambda: len(carrier.asked()) >= IN_FLIGHT and all(journal.left() for journal in journals), every=0.001)
    event(asked, "hold")
    answered, of_asked = time.monotonic(), journals[0].left()
    last, of_other = answered, journals[1].left()
    while time.monotonic() < answered + WATCHED_SECONDS:
        if (now := journals[1].left()) != of_other:
            last, of_other = time.monotonic(), now
        assert journals[0].left() <= of_asked
    print(f"\nof the other process the last call left {last - answered:.3f} s after the answer; {len(of_asked)} and "
          f"{len(of_other)} had left of {CALLS}")  # fmt: skip
    assert last - answered <= PATIENCE
    in_time = len(carrier.asked())
    assert IN_FLIGHT <= in_time == len(of_asked | of_other) < CALLS
    # Nor do new processes send anything, also those that find what dead ones have left.
    for server in house.servers:
        server.kill()
        server.start()
    asked, other = (server.client(house.token) for server in house.servers)
    wait_until(lambda: count(other, "remotely_queued") == in_time)
    assert other.get("/api/account").json["calls_held_at"] is not None
    assert len(carrier.asked()) == in_time and count(other, "queued") == CALLS - in_time
    event(other, "release")
    wait_until(lambda: count(asked, "remotely_queued") == CALLS, seconds=600)
    assert Counter(carrier.asked()) == Counter(NUMBERS)
