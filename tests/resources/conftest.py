"""One server for the tests of the resources, over a database that a test may look into, and accounts of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from scfm.embedded_mongod.mongod import PrivateMongod
from tests.server import Client, Server, wait_until

FLOWS = "CallFlowLogic::Application,CallFlowLogic::AvfCapom::CapomShort"

Documents = Database[dict[str, Any]]


@pytest.fixture(scope="session")
def database(mongod: PrivateMongod) -> Iterator[Documents]:
    """The server's database."""
    with MongoClient[dict[str, Any]](mongod.uri, tz_aware=True) as client:
        yield client["resources"]
        client.drop_database("resources")


@pytest.fixture(scope="session")
def settings(mongod: PrivateMongod, database: Documents) -> dict[str, str]:
    """What a server on that database is told."""
    return {
        "MONGODB_URI": mongod.uri,
        "MONGODB_DATABASE": database.name,
        "REGISTERED_CALL_FLOW_LOGIC": FLOWS,
        "MAX_BODY_SIZE": "100000",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    }


@pytest.fixture(scope="session")
def server(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), settings) as server:
        yield server


def make(api: Client, path: str, **fields: Any) -> int:
    """Create one, and give its id."""
    answer = api.post(path, json=fields)
    assert answer.status == 201, answer
    return int(answer.json["id"])


def wait_for_outcomes(database: Documents) -> None:
    """Wait until what has happened is worked into the outcomes of all people."""
    wait_until(lambda: not database["callout_participations"].count_documents({"_settle": {"$exists": True}}))
