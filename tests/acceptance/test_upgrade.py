"""What an older version left when it was killed at work is read as it is, and goes on; nobody is rung twice.

Each dump in ``dumps/`` is named by the commit that left it, and was made with it by ``dumps/make_dump.py``.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import json_util
from pymongo import MongoClient

from scfm import __version__
from scfm.clock import iso
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.models.migrations.listed import PROGRAM
from scfm.models.outcome import MARK
from scfm.simulator.journal import KIND
from tests.server import Client, Server, wait_until

DUMPS = sorted((Path(__file__).parent / "dumps").glob("*.json.gz"))
DATABASE = "upgrade"
BOOT_ID, BOOT = Path("/proc/sys/kernel/random/boot_id"), "00000000-0000-4000-8000-000000000000"
# So long ago it was killed: leases have run out, and calls are due to be asked about, but are not too old for that.
SECONDS_AGO = 310.0
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z")
OUTCOME = {"outcome", "outcome_reason", "attempts", "next_attempt_at", "last_attempt_at"}
OVER = {"completed", "failed", "busy", "not_answered"}


class Dump:
    """What was left, with every time in it as if it had been left just now."""

    def __init__(self, path: Path) -> None:
        text = gzip.decompress(path.read_bytes()).decode().replace(BOOT, BOOT_ID.read_text().strip())
        self.kept: dict[str, Any] = json.loads(text)
        self._later = timedelta(milliseconds=round((time.time() - SECONDS_AGO - self.kept["at"]) * 1000))
        self.left = {what: number for number, what in self.kept["left"].items()}
        self.answers: dict[str, Any] = self._moved(self.kept["answers"])

    def load(self, database: Any, data_dir: Path) -> None:
        """Put the documents into a database, and into the data folder what was there."""
        documents = json_util.loads(json.dumps(self.kept["documents"]), json_options=json_util.CANONICAL_JSON_OPTIONS)
        for name, found in self._moved(documents).items():
            if found:
                database[name].insert_many(found)
        journals = data_dir / "departures"
        journals.mkdir(parents=True)
        for name, text in self.kept["journals"].items():
            (journals / name).write_text(text)
        calls = data_dir / "simulator" / "calls.jsonl"
        calls.parent.mkdir()
        calls.write_text("".join(f"{json.dumps(line)}\n" for line in self._carrier()))

    def _carrier(self) -> Iterator[dict[str, Any]]:
        """The carrier that the older version called through, as the simulator keeps its calls."""
        account = {"account_sid": self.kept["sid"], "auth_token": self.kept["token"]}
        yield {"kind": KIND, "account": account}
        new = {"account_sid": self.kept["sid"], "direction": "outbound-api", "status": "queued", "attempt": 1}
        for call in self.kept["accepted"]:
            yield {**new, **call, "created": call["created"] + self._later.total_seconds()}

    def _moved(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._moved(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._moved(one) for one in value]
        if isinstance(value, datetime):
            return value + self._later
        if isinstance(value, str) and TIME.fullmatch(value):
            return iso(datetime.fromisoformat(value) + self._later)
        return value


class Upgraded:
    """Today's server over what was left."""

    def __init__(self, dump: Dump, data_dir: Path, server: Server) -> None:
        self.dump = dump
        self.server = server
        self.client: Client = server.client(dump.kept["tokens"]["account"])
        self._calls = data_dir / "simulator" / "calls.jsonl"

    def call(self, what: str) -> dict[str, Any]:
        """The phone call of which that was left."""
        (call,) = self.client.get(f"/api/phone_calls?q[msisdn]=%2B{self.dump.left[what][1:]}").json
        return dict(call)

    def becomes(self, what: str, statuses: set[str]) -> dict[str, Any]:
        wait_until(lambda: self.call(what)["status"] in statuses)
        return self.call(what)

    def rung(self) -> Counter[str]:
        """How often each number has been rung, from the beginning on."""
        lines = [json.loads(line) for line in self._calls.read_text().splitlines()]
        made = {line["sid"]: line["to"] for line in lines if "to" in line}
        return Counter(made.values())

    def total(self, path: str) -> int:
        return int(self.client.get(f"{path}?per_page=1").headers["Total"])


@pytest.fixture(params=DUMPS, ids=lambda path: path.name.removesuffix(".json.gz"))
def upgraded(request: pytest.FixtureRequest, mongod: PrivateMongod, tmp_path: Path) -> Iterator[Upgraded]:
    dump, data_dir = Dump(request.param), tmp_path / "data"
    environment = {
        "MONGODB_URI": mongod.uri,
        "MONGODB_DATABASE": DATABASE,
        "PLATFORM_PROVIDER": "simulator",
        "UNKNOWN_GRACE_SECONDS": "0.2",
        "STATUS_CHECK_SECONDS": "0.2",
        "SWEEP_SECONDS": "0.1",
    }
    with MongoClient[Any](mongod.uri) as client:
        try:
            dump.load(client[DATABASE], data_dir)
            with Server(data_dir, environment) as server:
                server.token = dump.kept["tokens"]["super admin"]
                yield Upgraded(dump, data_dir, server)
        finally:
            client.drop_database(DATABASE)


def test_what_an_older_version_left_is_read_as_it_is_and_goes_on(upgraded: Upgraded) -> None:
    """Told once for all of it: a start over a dump is what takes time."""
    assert upgraded.dump.kept["inbound"][0]["msisdn"] in {
        call["msisdn"] for call in upgraded.server.client().get("/api/phone_calls").json
    }
    for path, answer in upgraded.dump.answers.items():
        assert (path, without_new_keys(upgraded.client.get(path).json, answer)) == (path, answer)
    an_idempotent_request_is_answered_again(upgraded)
    the_unfinished_operation_finishes(upgraded)
    every_call_goes_on(upgraded)
    the_data_have_the_new_version(upgraded)


def the_data_have_the_new_version(upgraded: Upgraded) -> None:
    with MongoClient[Any](upgraded.server.environment["MONGODB_URI"]) as client:
        schema = client[DATABASE]["schema"]
        wait_until(lambda: schema.find_one({})["version"] == PROGRAM.schema_version)
        without_outcome, participations = {"outcome": None}, client[DATABASE]["callout_participations"]
        # The migration marks those whose outcome is missing; a job derives it, after the migration too.
        assert participations.count_documents({**without_outcome, MARK: None}) == 0
        wait_until(lambda: participations.count_documents(without_outcome) == 0)


# Of the commands that open the database, one that writes, and one that only reads.
COMMANDS = (("serve", "--port", "0"), ("create-account",), ("check-numbers",))


def test_a_program_that_is_too_old_for_the_data_ends_with_what_to_do_and_changes_nothing(
    mongod: PrivateMongod, tmp_path: Path
) -> None:
    environment = {"MONGODB_URI": mongod.uri, "MONGODB_DATABASE": "newer", "PLATFORM_PROVIDER": "simulator"}
    told = f"scfm 99.1 (schema 99), and this program, scfm {__version__}, knows them only up to schema"
    with MongoClient[Any](mongod.uri) as client:
        database = client["newer"]
        try:
            with Server(tmp_path / "data", environment) as server:
                newer = {"$set": {"version": 98, "oldest_program": 99, "release": "99.1"}}
                database["schema"].update_one({}, newer)
                # It was started before the newer one: it ends by itself.
                assert server.process is not None
                assert server.process.wait(60) == 1
                wait_until(lambda: any(told in line for line in server.stderr))
                server.process = None
                before = {name: [*database[name].find({})] for name in database.list_collection_names()}
                for command in COMMANDS:
                    ended = server.run(*command)
                    assert ended.returncode == 1, ended
                    assert told in ended.stderr and "docs/upgrading.md" in ended.stderr
                    assert ended.stderr.count("\n") == 1, ended.stderr
                assert before == {name: [*database[name].find({})] for name in database.list_collection_names()}
        finally:
            client.drop_database("newer")


def without_new_keys(shown: Any, before: Any) -> Any:
    """An answer without the keys at the end of its objects that it did not have BEFORE."""
    if isinstance(shown, list) and isinstance(before, list):
        return [without_new_keys(*pair) for pair in zip(shown, before, strict=True)]
    if isinstance(shown, dict) and isinstance(before, dict):
        # What became of a person is worked out for a while after the server was killed.
        return {**dict(list(shown.items())[: len(before)]), **{name: before[name] for name in OUTCOME & {*before}}}
    return shown


def an_idempotent_request_is_answered_again(upgraded: Upgraded) -> None:
    asked = {"json": {"metadata": {"for": "whoever asks twice"}}, "headers": {"Idempotency-Key": "a key"}}
    before = upgraded.total("/api/callouts")
    again = upgraded.client.post("/api/callouts", **asked)
    assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
    # The answer itself was kept, with its times.
    assert again.json in upgraded.dump.kept["answers"]["/api/callouts"]
    assert upgraded.total("/api/callouts") == before


def the_unfinished_operation_finishes(upgraded: Upgraded) -> None:
    village = upgraded.dump.kept["village"]
    client = upgraded.server.client(village["token"])
    wait_until(lambda: client.get(village["operation"]).json["status"] == "finished")
    path, pages = f"{village['participations']}?per_page=1000", range(1, 2 + village["contacts"] // 1000)
    found = [one for page in pages for one in client.get(f"{path}&page={page}").json]
    assert len({one["contact_id"] for one in found}) == len(found) == village["contacts"]
    assert client.get(village["participations"]).headers["Total"] == str(village["contacts"])


def every_call_goes_on(upgraded: Upgraded) -> None:
    sids = {call["to"]: call["sid"] for call in upgraded.dump.kept["accepted"]}
    # What waits: its account's rate is a call in a quarter of an hour, or its callout is paused.
    assert [upgraded.call(what)["status"] for what in ("queued", "held")] == ["queued", "queued"]
    assert upgraded.client.patch("/api/account", {"calls_per_second": ""}).status == 204
    (paused,) = upgraded.client.get("/api/callouts?q[status]=paused").json
    event = upgraded.client.post(f"/api/callouts/{paused['id']}/callout_events", {"event": "resume"})
    assert event.status == 201
    for what in ("queued", "held"):
        assert upgraded.becomes(what, OVER)["remote_call_id"] not in sids.values()
    for what in ("remotely_queued", "in_progress", "unknown", "sent", "sent as the last", "being fetched"):
        call = upgraded.becomes(what, OVER)
        assert call["remote_call_id"] == sids[call["msisdn"]], what
    lost = upgraded.becomes("sent, and lost", {"errored"})
    assert lost["remote_call_id"] is None and "interrupted" in lost["remote_error_message"]
    assert upgraded.call("created")["status"] == "created"
    rung, left = upgraded.rung(), upgraded.dump.left
    assert set(rung) == {*sids, left["queued"], left["held"]}
    assert set(rung.values()) == {1}
