"""A server that has been told to stop is not ready, from that moment on, while it finishes what it was asked."""

from __future__ import annotations

from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import orjson
import pytest

import scfm.server
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.handlers.readiness import DRAINING
from tests.properties.test_shard_keys import ServerHere
from tests.server import wait_until

BODY = b"msisdn=%2B252662345678"


def ready(connection: HTTPConnection) -> tuple[int, Any]:
    connection.request("GET", "/ready")
    answer = connection.getresponse()
    return answer.status, orjson.loads(answer.read())


def test_while_the_last_requests_are_answered_it_is_not_ready(
    mongod: PrivateMongod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scfm.server, "MAX_REQUESTS_SECONDS", 100.0)  # a busy machine is no failure
    environment = {"MONGODB_URI": mongod.uri, "MONGODB_DATABASE": "draining"}
    with ServerHere(tmp_path / "data", environment) as server:
        kept, slow = (HTTPConnection(server.host, server.port, timeout=60) for _ in range(2))
        wait_until(lambda: ready(kept) == (200, {"status": "ready", "reasons": []}))
        slow.putrequest("POST", "/api/contacts")
        form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(BODY))}
        for name, value in {**form, "Authorization": f"Bearer {server.token}", "Expect": "100-continue"}.items():
            slow.putheader(name, value)
        slow.endheaders()
        assert slow.sock.recv(1000).startswith(b"HTTP/1.1 100")  # the request has begun
        server.stop()
        # It may have come before the stop, and on a busy machine the database may be late for once.
        drained = wait_until(lambda: answer if DRAINING in (answer := ready(kept))[1]["reasons"] else None)
        assert (drained[0], drained[1]["status"]) == (503, "not ready")
        slow.send(BODY)
        answer = slow.getresponse()
        assert (answer.status, orjson.loads(answer.read())["msisdn"]) == (201, "+252662345678")
        for connection in (kept, slow):
            connection.close()
