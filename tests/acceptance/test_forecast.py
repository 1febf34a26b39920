"""Preflight's latest end is when a plan ends whom nobody answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.server import Client, Server, wait_until
from tests.slow import slow

# No phone is answered within a second.
NOBODY_ANSWERS = {"from": "1294", "timeout": "1"}
FLOW = {"call_flow_logic": "CallFlowLogic::Message", "metadata": {"message": "Go."}}
MAX_ERROR = 0.1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), {"PLATFORM_PROVIDER": "simulator"}) as server:
        yield server


def seconds(later: str, earlier: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


@pytest.mark.parametrize(
    ("people", "account", "plan"),
    [
        slow(150, {}, {"calls_per_second": 10}),
        # The second attempts wait until all have had their first.
        (40, {"calls_per_second": "5"}, {"retry": {"max_attempts": 2, "delays": [1]}}),
        # The last of the second attempts waits for its delay.
        slow(40, {}, {"calls_per_second": 20, "retry": {"max_attempts": 3, "delays": [8, 5]}}),
    ],
)
def test_a_plan_ends_when_preflight_says(
    server: Server, people: int, account: dict[str, str], plan: dict[str, Any]
) -> None:
    api = server.new_account(**account)
    add_contacts(api, people)
    given = {"audience": {}, "remote_request_params": NOBODY_ANSWERS, **plan}
    path = f"/api/callouts/{api.post('/api/callouts', json={'plan': given, **FLOW}).json['id']}"
    told = api.post(f"{path}/preflight").json

    assert api.post(f"{path}/callout_events", json={"event": "start"}).status == 201
    ended, delay = end_of(api, path)

    statistics = api.get(f"{path}/statistics").json
    assert statistics["people"]["unreached"] == people == told["audience"]
    assert sum(int(count) * some for count, some in statistics["attempts"].items()) == told["calls_at_most"]
    steps = told["calls_at_most"] // people + 1
    error = abs(seconds(ended, told["ends_at"]))
    assert error <= MAX_ERROR * seconds(ended, told["first_attempt_at"]) + steps * delay


def end_of(api: Client, path: str) -> tuple[str, float]:
    """When the callout is completed, and by how many seconds the machine delays what takes no time, at the most.

    A machine that has other things to do delays each step of a plan, too.
    """
    delays = []

    def ended() -> str | None:
        began = time.monotonic()
        found: str | None = api.get(path).json["completed_at"]
        delays.append(time.monotonic() - began)
        return found

    return wait_until(ended, every=0.1), max(delays)


def add_contacts(api: Client, count: int) -> None:
    lines = "".join(f"+85510{number:06d}\n" for number in range(count))
    imported = api.post(
        "/api/contacts/import", body=f"msisdn\n{lines}".encode(), headers={"Content-Type": "text/csv"}
    )
    assert imported.json["created"] == count
