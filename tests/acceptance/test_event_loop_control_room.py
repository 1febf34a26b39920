"""What the control room asks for holds nobody up: the page, and an alert as it is made and watched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from scfm.embedded_mongod.mongod import PrivateMongod
from tests.server import Client
from tests.watchdog import Watched, watched_server

HTML = {"Accept": "text/html", "Accept-Language": "km, en;q=0.5"}
FLOW: dict[str, Any] = {
    "languages": ["en"],
    "start": "warning",
    "steps": {
        "warning": {
            "say": {"en": "Flood in {contact.metadata.district}."},
            "menu": {"digits": {"1": "safe"}, "repeat": 2, "otherwise": "end"},
        },
        "safe": {"acknowledge": True, "set": {"safe": True}, "say": {"en": "Thank you."}, "next": "end"},
        "end": {"hang_up": True},
    },
    "examples": [{"callee": ["1"], "hears": ["Thank you."], "acknowledged": True}],
}
PEOPLE = "Name,Phone,district\n" + "".join(f"P{number},+25266231{number:04},D{number % 3}\n" for number in range(30))
PLAN = {"audience": {}, "remote_request_params": {"from": "1294"}, "retry": {"max_attempts": 2}}


@pytest.fixture
def server(io_loop: IOLoop, mongod: PrivateMongod, tmp_path: Path) -> Iterator[Watched]:
    """A server with simulated phones in the test's own loop, with its calls held."""
    with watched_server(io_loop, mongod, "control_room", tmp_path, PLATFORM_PROVIDER="simulator") as server:
        yield server


def look_at(client: Client, *paths: str, **headers: Any) -> None:
    for path in paths:
        answer = client.get(path, **headers)
        assert answer.status == 200, (path, answer)


@pytest.mark.gen_test(timeout=300)
async def test_the_page_and_its_files(server: Watched) -> None:
    index = await server.check(lambda client: client.get("/", headers=HTML))
    files = index.json.partition('src="')[2].rpartition("/main.js")[0]
    names = ("main.js", "style.css", "vendor/preact.js")
    await server.check(lambda client: look_at(client, *(f"/{files}/{name}" for name in names)))
    await server.check(lambda client: look_at(client, "/", "/api", headers=HTML))
    await server.check(
        lambda client: look_at(client, "/api", "/api/docs", "/api/openapi.json", "/api/schemas/plan.json")
    )
    wrong = await server.check(lambda client: client.post("/session", json={"email": "a@b.org", "password": "x"}))
    assert wrong.status == 401


def once(name: str) -> dict[str, str]:
    """The header of a request that ``check`` may send again, and that is to be carried out once."""
    return {"Idempotency-Key": name}


@pytest.mark.gen_test(timeout=300)
async def test_an_alert_with_a_call_flow_of_its_own(server: Watched) -> None:
    csv = {"Content-Type": "text/csv"}
    await server.check(lambda client: client.post("/api/account/account_events", {"event": "hold"}))
    said = await server.check(
        lambda client: client.post("/api/contacts/import?preview=true", body=PEOPLE.encode(), headers=csv)
    )
    assert (said.json["msisdn_column"], said.json["created"]) == ("Phone", 30)
    stored = await server.check(
        lambda client: client.post("/api/contacts/import?msisdn_column=Phone", body=PEOPLE.encode(), headers=csv)
    )
    assert stored.status == 200
    await server.check(
        lambda client: look_at(client, "/api/contacts/fields", "/api/contacts/fields?path=metadata.district")
    )

    flow = await server.check(
        lambda client: client.post(
            "/api/call_flows", json={"name": "flood", "definition": FLOW}, headers=once("flow")
        )
    )
    path = f"/api/call_flows/{flow.json['id']}"
    for verb, body in (("validate", {"definition": FLOW}), (f"{flow.json['id']}/rehearsals", {"callee": ["1"]})):
        answer = await server.check(lambda client, v=verb, b=body: client.post(f"/api/call_flows/{v}", json=b))
        assert answer.status == 200, answer
    assert (await server.check(lambda client: client.post(f"{path}/publish", headers=once("publish")))).status == 201
    await server.check(lambda client: look_at(client, f"{path}/graph", f"{path}/coverage", f"{path}/versions"))

    made = await server.check(
        lambda client: client.post("/api/callouts", json={"call_flow_logic": "flood", "plan": PLAN}), seconds=1
    )
    callout = f"/api/callouts/{made.json['id']}"
    found = await server.check(lambda client: client.post(f"{callout}/preflight"))
    assert (found.json["audience"], found.json["blockers"]) == (30, [])
    assert (
        await server.check(
            lambda client: client.post(f"{callout}/callout_events", {"event": "start"}, headers=once("start"))
        )
    ).status == 201
    await server.check(
        lambda client: look_at(
            client,
            f"{callout}/statistics",
            f"{callout}/statistics?group_by=metadata.district",
            f"{callout}/results?q[outcome]=pending&bom=true",
            f"{callout}/results?format=jsonl",
            "/api/statistics",
            "/api/contacts/export?format=jsonl",
            "/api/audit_events?q[action]=create",
            "/api/callout_participations?per_page=2&page=2",
        ),
        seconds=0.2,
    )
    stopped = await server.check(
        lambda client: client.post(f"{callout}/callout_events", {"event": "stop"}, headers=once("stop"))
    )
    assert stopped.status == 201
    again = await server.check(
        lambda client: client.post(f"{callout}/follow_ups", json={"q": {"outcome": "unreached"}})
    )
    assert again.status in (201, 422), again
