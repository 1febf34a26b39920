"""The processes of deploy/compose started by hand: a replica set of three, two servers, nginx with TLS; and an alert.

One server is killed in the middle of it, and then the leading mongod. ``make stack`` does so with many people.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.alerts import rung
from tests.acceptance.nginx import BINARY, Nginx, own_site, upstream_of
from tests.page.alerts import scenario_carrier
from tests.server import Server, wait_until
from tests.torture.databases import ReplicaSet, free_port
from tests.torture.house import QUICK

PEOPLE = int(os.environ.get("STACK_PEOPLE", "40"))
RATE = max(PEOPLE / 4, 10)
# A busy machine is no failure.
SECONDS = 240 + PEOPLE / 10
# Everybody answers after a moment, and acknowledges.
SCENARIO = {"life_size": 0.1, "people": [{"pattern": ".*", "digits": ["1"], "after": 2}]}
SID, TOKEN = "AC" + "7" * 32, "secret"


class Stack:
    """All of it. ``ask`` is what somebody outside can do: by HTTPS, through nginx."""

    def __init__(self, nginx: Nginx, servers: list[Server], database: ReplicaSet, ledger: Path) -> None:
        self.nginx, self.servers, self.database, self.ledger = nginx, servers, database, ledger
        self.token = servers[0].token

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The body of an answer: asked again while a server or the database is missing, a POST by the same key."""
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": f"{time.monotonic_ns()}"}
        data = body if isinstance(body, bytes | None) else json.dumps(body)
        headers["Content-Type"] = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        answers: list[tuple[int, bytes]] = []

        def answered() -> bool:
            connection = self.nginx.connection()
            try:
                connection.request(method, path, data, headers)
                answer = connection.getresponse()
                answers.append((answer.status, answer.read()))
            except (OSError, HTTPException):
                return False
            finally:
                connection.close()
            return answers[-1][0] < 500

        wait_until(answered, SECONDS)
        status, content = answers[-1]
        assert status < 300, (method, path, status, content)
        return json.loads(content) if content else None


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with ExitStack() as parts:
        database = parts.enter_context(ReplicaSet(tmp_path / "set"))
        ports = (free_port(), free_port())
        nginx = Nginx(tmp_path / "nginx", upstream_of(ports), own_site())
        parts.enter_context(nginx.running())
        ledger = tmp_path / "ledger"
        trust = {"SSL_CERT_FILE": str(nginx.certificate)}
        account = ("--account-sid", SID, "--auth-token", TOKEN)
        carrier = scenario_carrier(tmp_path, SCENARIO, "--ledger", str(ledger), *account, environment=trust)
        settings = {
            **QUICK,
            "TWILIO_CLIENT_REST_API_BASE_URL": parts.enter_context(carrier),
            "TWILIO_ACCOUNT_SID": SID,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "MONGODB_URI": database.uri,
            "PUBLIC_URL": nginx.url,
            "TRUSTED_PROXIES": "127.0.0.1",
            "STATUS_CHECK": "never",  # what is known of calls comes through nginx
        }
        servers = [Server(tmp_path / f"data{port}", settings, "--port", str(port)) for port in ports]
        for server in servers:
            parts.enter_context(server)
        yield Stack(nginx, servers, database, ledger)


@pytest.mark.skipif(BINARY is None, reason="no nginx")
def test_an_alert_calls_nobody_twice_and_forgets_nobody_though_a_server_and_a_mongod_are_killed(stack: Stack) -> None:
    numbers = [f"+85512{number:06}" for number in range(PEOPLE)]
    lines = "".join(json.dumps({"msisdn": number}) + "\n" for number in numbers).encode()
    assert stack.ask("POST", "/api/contacts/import", lines)["created"] == PEOPLE
    plan = {"audience": {}, "remote_request_params": {"from": "1294"}, "calls_per_second": RATE}
    said = {"call_flow_logic": "CallFlowLogic::Message", "metadata": {"message": "The river is rising."}}
    callout = f"/api/callouts/{stack.ask('POST', '/api/callouts', {**said, 'plan': plan})['id']}"
    stack.ask("POST", f"{callout}/callout_events", {"event": "start"})

    wait_until(lambda: len(rung(stack.ledger)) > PEOPLE / 4, SECONDS)
    stack.servers[0].kill()
    wait_until(lambda: len(rung(stack.ledger)) > PEOPLE / 2, SECONDS)
    stack.database.kill_primary()
    wait_until(lambda: stack.ask("GET", callout)["status"] == "completed", SECONDS)

    called = rung(stack.ledger)
    assert set(called) <= set(numbers) and max(called.values()) == 1
    people = stack.ask("GET", f"{callout}/statistics")["people"]
    # What the server had let go when it was killed may have rung: it is not called again, and is told.
    assert PEOPLE * 3 / 4 < people["acknowledged"] <= len(called), people
    assert people["acknowledged"] + people["unknown"] + people["unreached"] == people["total"] == PEOPLE, people
