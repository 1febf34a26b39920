"""The steps of an alert over HTTP, each timed."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from benchmarks.ground import Documents, Ground
from tests.acceptance.alerts import REQUEST
from tests.server import Server

POPULATION = "BatchOperation::CalloutPopulation"
CREATE = "BatchOperation::PhoneCallCreate"
QUEUE = "BatchOperation::PhoneCallQueue"
LOOK_SECONDS = 0.02
MAX_SECONDS = 3600.0


def callout(server: Server, **metadata: str) -> int:
    """A new callout; its id."""
    return int(server.request("POST", "/api/callouts", json={"metadata": metadata}).json["id"])


def made(server: Server, path: str, kind: str, **parameters: Any) -> str:
    """A new batch operation; its path. AssertionError if it is refused."""
    answer = server.request("POST", path, json={"type": kind, "parameters": parameters})
    assert answer.status == 201, answer
    return f"/api/batch_operations/{answer.json['id']}"


def begin(server: Server, operation: str, event: str = "queue") -> float:
    """Queue the operation; when that was (time.time)."""
    began = time.time()
    answer = server.request("POST", f"{operation}/batch_operation_events", json={"event": event})
    assert answer.status == 201, answer
    return began


def run(server: Server, operation: str, event: str = "queue") -> float:
    """Run an operation; the seconds from the request to the end that the server wrote down."""
    began = begin(server, operation, event)
    deadline = time.monotonic() + MAX_SECONDS
    while (shown := server.request("GET", operation).json)["status"] != "finished":
        assert time.monotonic() < deadline, shown
        time.sleep(min(LOOK_SECONDS * 10, max(LOOK_SECONDS, (time.time() - began) / 50)))
    assert "failure" not in shown["metadata"], shown
    return datetime.fromisoformat(shown["updated_at"]).timestamp() - began


def populate(server: Server, number: int) -> float:
    """Everybody into the callout."""
    return run(server, made(server, f"/api/callouts/{number}/batch_operations", POPULATION))


def create(server: Server, **filters: Any) -> float:
    """A call for every participation that the filters let through."""
    return run(server, made(server, "/api/batch_operations", CREATE, remote_request_params=REQUEST, **filters))


def queue(server: Server) -> float:
    """Queue every call there is."""
    return run(server, made(server, "/api/batch_operations", QUEUE))


def queued_calls(ground: Ground, database: Documents, size: int) -> int:
    """Queue the calls of so many contacts, and leave no server; how many of them are free to be taken."""
    with ground.parked(database) as server:
        ground.fill(database, size)
        populate(server, callout(server))
        create(server)
        queue(server)
    return database["phone_calls"].count_documents({"status": "queued", "_work.due": {"$exists": True}})
