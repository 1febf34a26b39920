"""A call flow is edited and published while hundreds of calls are on it, and its server is killed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.flows.phone_line import PhoneLine, environment, standstill
from tests.server import Client, Server, wait_until
from tests.slow import slow

MAX_CALLS, AFTERWARDS = 500, 20
FLOWS = "/api/call_flows"
OUTBOUND = {"Direction": "outbound-api", "From": "345"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with standstill() as provider:
        settings = environment(provider, CALLS_IN_FLIGHT=str(MAX_CALLS + AFTERWARDS), CALLS_PER_SECOND="500")
        with Server(tmp_path / "data", settings) as server:
            yield server


def asking(words: str) -> dict[str, Any]:
    """A definition that asks for key 1, and then says WORDS."""
    steps = {
        "ask": {
            "say": {"en": f"Press 1 for {words}."},
            "menu": {"digits": {"1": "told"}, "repeat": 5, "otherwise": "end"},
        },
        "told": {"set": {"told": words}, "say": {"en": words}, "next": "end"},
        "end": {"hang_up": True},
    }
    return {"languages": ["en"], "start": "ask", "steps": steps}


def start_callout(client: Client, people: int, first: int) -> dict[str, str]:
    """Call so many new people; once all calls have left, their numbers by the provider's ids."""
    lines = b"".join(
        b'{"msisdn": "+252662%06d", "metadata": {"wave": %d}}\n' % (number, first)
        for number in range(first, first + people)
    )
    kind = {"Content-Type": "application/x-ndjson"}
    assert client.post("/api/contacts/import", body=lines, headers=kind).json["created"] == people
    audience = {"contact_filter_params": {"metadata": {"wave": str(first)}}}
    plan = {"audience": audience, "remote_request_params": {"from": "345"}, "retry": {"max_attempts": 1}}
    made = client.post("/api/callouts", json={"call_flow_logic": "flood", "plan": plan})
    assert made.status == 201, made
    path = made.headers["Location"]
    assert client.post(f"{path}/callout_events", {"event": "start"}).status == 201
    taken = f"{path}/phone_calls?q[status]=remotely_queued&per_page=1000"
    wait_until(lambda: client.get(taken).headers["Total"] == str(people))
    return {call["remote_call_id"]: call["msisdn"] for call in client.get(taken).json}


def take_turns(line: PhoneLine, calls: dict[str, str], **fields: str) -> list[str]:
    """What all the calls hear next, in their order."""

    def turn(call: tuple[str, str]) -> str:
        answer = line.report(call[0], **OUTBOUND, To=call[1], **fields)
        assert answer.status == 201, answer
        return str(answer.json)

    with ThreadPoolExecutor(8) as phones:
        return list(phones.map(turn, calls.items()))


@pytest.mark.parametrize("count", [100, slow(MAX_CALLS)])
def test_each_call_ends_on_the_version_that_it_began_with(server: Server, count: int) -> None:
    client = server.client()
    made = client.post(FLOWS, json={"name": "flood", "definition": asking("the old words")})
    flow = made.headers["Location"]
    assert client.post(f"{flow}/publish", {}).status == 201
    calls = start_callout(client, count, 1)
    assert all("Press 1 for the old words." in heard for heard in take_turns(PhoneLine(server), calls))

    assert client.patch(flow, json={"definition": asking("the new words")}).status == 204
    published = publish_until_killed(server, flow)
    server.start()
    client = server.client()

    versions = client.get(f"{flow}/versions?per_page=1000").json
    numbers = [one["version"] for one in versions]
    assert numbers == list(range(numbers[0], 0, -1)) and numbers[0] >= published
    assert client.get(flow).json["version"] == numbers[0]
    assert client.post(f"{flow}/publish", {}).json["version"] == numbers[0] + 1
    heard = take_turns(PhoneLine(server), calls, Digits="1")
    assert all("<Say>the old words</Say>" in one for one in heard)
    later = start_callout(client, AFTERWARDS, 1001)
    assert all("Press 1 for the new words." in one for one in take_turns(PhoneLine(server), later))
    answers = client.get("/api/callouts/1/callout_participations?per_page=1000").json
    assert [one["answers"] for one in answers] == count * [{"told": "the old words"}]


def publish_until_killed(server: Server, flow: str) -> int:
    """Publish until the server is killed (SIGKILL) in the midst of it; the last version that was confirmed."""
    confirmed = 0

    def publish() -> None:
        nonlocal confirmed
        try:
            while (answer := server.client().post(f"{flow}/publish", {})).status == 201:
                confirmed = answer.json["version"]
        except (OSError, HTTPException):
            return

    with ThreadPoolExecutor(1) as publisher:
        publishing = publisher.submit(publish)
        wait_until(lambda: confirmed >= 5, every=0.001)
        server.kill()
        publishing.result()
    return confirmed
