"""Alerts for the page: a carrier whose people do what a scenario says, and callouts with a plan for them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.page.browsing import HOSTILE
from tests.server import Client, wait_until

# What people do, by the last digit of their number.
ACKNOWLEDGES, LISTENS, BUSY, SILENT, BUSY_ONCE, RINGS_LONG = range(6)
SCENARIO = {
    "life_size": 0.1,
    "people": [
        {"pattern": rf".*{ACKNOWLEDGES}", "digits": ["1"], "after": 1},
        {"pattern": rf".*{LISTENS}", "after": 1},
        {"pattern": rf".*{BUSY}", "outcome": "busy"},
        {"pattern": rf".*{SILENT}", "outcome": "no-answer"},
        {"pattern": rf".*{BUSY_ONCE}", "attempts": [{"outcome": "busy"}, {"after": 1}]},
        # A minute, if the plan lets the phone ring for so long: no test waits for that.
        {"pattern": rf".*{RINGS_LONG}", "after": 600},
    ],
}
PLAN: dict[str, Any] = {
    "audience": {},
    "remote_request_params": {"from": "1294", "timeout": "5"},
    "retry": {"max_attempts": 2, "delays": [1], "on": ["busy", "not_answered"]},
}
LONG = {"from": "1294", "timeout": "600"}
FLOW = {"call_flow_logic": "CallFlowLogic::Message"}
NUMBERS = count(10_000)
# Contacts of one import: a busy machine takes its time.
MAX_LINES = 2000
# The rows of the page's table.
OUTCOMES = ("acknowledged", "reached", "calling", "waiting", "pending", "unknown", "unreached", "excluded")


@contextmanager
def scenario_carrier(
    folder: Path, scenario: dict[str, Any], *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A simulator of SCENARIO in a process of its own, which outlives servers; its URL."""
    path = folder / "scenario.json"
    path.write_text(json.dumps(scenario))
    command = [sys.executable, "-m", "scfm", "simulator", "--port", "0", "--scenario", str(path), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


def settings_for(carrier: str) -> dict[str, str]:
    """The settings of a server that calls by the simulator at this URL, and waits for nothing longer than it must."""
    return {
        "PLATFORM_PROVIDER": "twilio",
        "TWILIO_ACCOUNT_SID": "AC1",
        "TWILIO_AUTH_TOKEN": "secret",
        "TWILIO_CLIENT_REST_API_BASE_URL": carrier,
        "SWEEP_SECONDS": "0.2",
        "PROVIDER_TIMEOUT": "2",
        "LEASE_SECONDS": "8",
        # How calls ended while the server was away, the carrier is asked soon.
        "STATUS_CHECK": "always",
        "STATUS_CHECK_SECONDS": "1",
    }


def free_port() -> int:
    """A port that nobody listens on: a server that is started again keeps it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def add_people(api: Client, *behaviours: int, district: str | None = "Kratie") -> list[str]:
    """Contacts who behave so, by their last digits; their numbers. The first has a name that wishes ill."""
    numbers = [f"+85510{next(NUMBERS)}{behaviour}" for behaviour in behaviours]
    lines: list[dict[str, Any]] = []
    for place, number in enumerate(numbers):
        metadata = {"name": HOSTILE if place == 0 else f"Sok {number[-6:]}"}
        lines.append({"msisdn": number, "metadata": metadata | ({"district": district} if district else {})})
    import_lines(api, lines)
    return numbers


def import_people(api: Client, count: int) -> None:
    """So many contacts, in seven districts; their numbers end in all digits."""
    import_lines(
        api,
        [
            {
                "msisdn": f"+85512{number:06}",
                "metadata": {"name": f"Sok {number}", "district": f"District {number % 7}"},
            }
            for number in range(count)
        ],
    )


def import_lines(api: Client, lines: list[dict[str, Any]]) -> None:
    for begin in range(0, len(lines), MAX_LINES):
        some = lines[begin : begin + MAX_LINES]
        body = "".join(f"{json.dumps(line)}\n" for line in some).encode()
        answer = api.post("/api/contacts/import", body=body, headers={"Content-Type": "application/x-ndjson"})
        assert answer.status in (200, 201) and answer.json["created"] == len(some), answer


def make_alert(api: Client, metadata: dict[str, Any] | None = None, **plan: Any) -> int:
    """A callout with a plan, not started; its id."""
    given = {"plan": {**PLAN, **plan}, "metadata": {"message": "The river rises.", **(metadata or {})}, **FLOW}
    answer = api.post("/api/callouts", json=given)
    assert answer.status == 201, answer
    return int(answer.json["id"])


def send_event(api: Client, callout_id: int, event: str) -> None:
    answer = api.post(f"/api/callouts/{callout_id}/callout_events", json={"event": event})
    assert answer.status == 201, answer


def statistics(api: Client, callout_id: int) -> Any:
    return api.get(f"/api/callouts/{callout_id}/statistics").json


def await_people(api: Client, callout_id: int, **outcomes: int) -> None:
    """Wait until so many people have these outcomes."""
    wait_until(lambda: outcomes.items() <= statistics(api, callout_id)["people"].items())
