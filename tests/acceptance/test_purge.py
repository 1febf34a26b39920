"""``scfm purge``, beside a server: it says how many, does it, and says what is wrong with how it is called."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from scfm.__main__ import main
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.privacy.erasure_log import Erased, append_erased
from tests.server import Server, wait_until

DATABASE = "purge"
OLD = datetime.now(UTC) - timedelta(days=400)


@pytest.fixture
def server(mongod: PrivateMongod, tmp_path: Path) -> Iterator[Server]:
    environment = {"MONGODB_URI": mongod.uri, "MONGODB_DATABASE": DATABASE, "PLATFORM_PROVIDER": "simulator"}
    with MongoClient[Any](mongod.uri) as client:
        try:
            with Server(tmp_path / "data", environment) as server:
                yield server
        finally:
            client.drop_database(DATABASE)


def test_a_kind_is_purged_by_its_age(server: Server, mongod: PrivateMongod, tmp_path: Path) -> None:
    api = server.new_account()
    contact = api.post("/api/contacts", {"msisdn": "+252662345678"}).json["id"]
    callout = api.post("/api/callouts").json["id"]
    joined = api.post(f"/api/callouts/{callout}/callout_participations", {"contact_id": str(contact)})
    for event in ("start", "stop"):
        assert api.post(f"/api/callouts/{callout}/callout_events", {"event": event}).status == 201
    account = api.get("/api/account").json["id"]
    asked = ("purge", "--kind", "callouts", "--older-than", "365d")
    with MongoClient[Any](mongod.uri) as client:
        client[DATABASE]["callouts"].update_one({"_id": callout}, {"$set": {"updated_at": OLD}})
        dry = server.run(*asked, "--dry-run")
        assert dry.stdout == "1 participations in finished callouts older than 365 days would be purged.\n"
        path = f"/api/callout_participations/{joined.json['id']}"
        assert api.get(path).json["contact_id"] == contact
        done = server.run(*asked)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "1 participations in finished callouts older than 365 days purged.\n"
        assert api.get(path).json["contact_id"] is None
        (event,) = server.client().get("/api/audit_events?q[action]=purge").json
        assert event["actor"]["name"] == "purge" and event["changes"]["purged"] == [None, 1]
        # After a restore: whoever was erased since is erased again, by the server.
        append_erased(tmp_path, Erased(account, contact, datetime.now(UTC) + timedelta(days=1)))
        again = server.run("purge", "--again", str(tmp_path / "erasures.jsonl"))
        assert again.stdout.startswith("1 contacts are erased again."), again
        wait_until(lambda: api.get(f"/api/contacts/{contact}").status == 404)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--kind", "calls"), "needs --older-than, such as --older-than 365d"),
        (("--again", "nothing", "--dry-run"), "takes neither --older-than nor --dry-run"),
    ],
)
def test_what_is_missing_is_said(wrong: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["purge", *wrong]) == 1
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1
