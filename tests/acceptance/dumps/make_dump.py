"""Makes a dump of what a version leaves behind when it is killed at work; see test_upgrade.

Run in a checkout of that version, with its own Python, over HTTP alone::

    PYTHONPATH=. .venv/bin/python .../make_dump.py .../9f2aa5a.json.gz

The dump is JSON: ``documents`` by collection, as MongoDB's extended JSON; ``journals``, what was in the folder
``departures``; ``accepted``, the calls that the carrier has; ``answers``, what GET gave for paths of which nothing
changes any more; and ``left``, by number, what was to become of its call.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from bson import json_util
from pymongo import MongoClient
from twilio.request_validator import RequestValidator

from tests.server import Client, Server, wait_until

try:
    from scfm.embedded_mongod.mongod import PrivateMongod
except ImportError:  # of older versions
    from scfm.mongod import PrivateMongod

SID, TOKEN = "AC" + "1" * 32, "the server's token"
# Which start of the machine it was is not told.
BOOT_ID, BOOT = Path("/proc/sys/kernel/random/boot_id"), "00000000-0000-4000-8000-000000000000"
VILLAGERS = 2500
WEBHOOK = "/api/remote_phone_call_events"
REQUEST = {"from": "345", "url": "http://127.0.0.1:9/none"}
# What becomes of the calls, by the last digits of their numbers.
LEFT = {
    "created": 1,
    "remotely_queued": 2,
    "in_progress": 3,
    "completed": 4,
    "failed": 5,
    "errored": 6,
    "unknown": 7,
    "sent": 8,
    "sent, and lost": 9,
    "held": 10,
    "canceled": 11,
    "being fetched": 12,
    "sent as the last": 13,
    "queued": 14,
}


def number_of(what: str) -> str:
    return f"+8551255500{LEFT[what]:02}"


class Carrier(BaseHTTPRequestHandler):
    """A carrier that takes calls, and answers those to some numbers never."""

    accepted: list[dict[str, Any]] = []
    arrived: list[str] = []

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        to = form["To"][0]
        self.arrived.append(to)
        if to == number_of("errored"):
            self.answer(400, {"code": 21211, "message": "Not a phone number", "status": 400})
            return
        call = {"sid": f"CA{len(self.accepted) + 1:032x}", "to": to, "from": form["From"][0], "created": time.time()}
        if to != number_of("sent, and lost"):
            self.accepted.append(call)
        if to == number_of("unknown"):
            self.close_connection = True
            return
        if to in (number_of("sent"), number_of("sent, and lost")):
            threading.Event().wait()
        self.answer(201, self.shown(call))

    def do_GET(self) -> None:
        wanted = self.path.rpartition("/")[2].removesuffix(".json")
        call = next(one for one in self.accepted if one["sid"] == wanted)
        if call["to"] == number_of("being fetched"):
            self.arrived.append("fetch")
            threading.Event().wait()
        self.answer(200, self.shown(call))

    def shown(self, call: dict[str, Any]) -> dict[str, Any]:
        fields = {name: call[name] for name in ("sid", "to", "from")}
        created = formatdate(call["created"])
        return {
            **fields,
            "account_sid": SID,
            "status": "queued",
            "direction": "outbound-api",
            "date_created": created,
        }

    def answer(self, status: int, body: dict[str, Any]) -> None:
        written = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def log_message(self, *_: object) -> None:
        pass


class Past:
    """What happens until the server is killed."""

    def __init__(self, server: Server, database: Any) -> None:
        self.server = server
        self.database = database
        self.client: Client = server.client()

    def post(self, path: str, **fields: Any) -> dict[str, Any]:
        made = self.client.post(path, json=fields)
        assert made.status == 201, (path, made)
        return dict(made.json)

    def call(self, what: str, callout: int, queue: bool = True) -> int:
        contact = self.post("/api/contacts", msisdn=number_of(what), metadata={"what": what})
        part = self.post(f"/api/callouts/{callout}/callout_participations", contact_id=contact["id"])
        call = self.post(f"/api/callout_participations/{part['id']}/phone_calls", remote_request_params=REQUEST)
        if queue:
            self.post(f"/api/phone_calls/{call['id']}/phone_call_events", event="queue")
        return int(call["id"])

    def stored(self, number: int) -> dict[str, Any]:
        return dict(self.database.phone_calls.find_one({"_id": number}))

    def becomes(self, number: int, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        wait_until(lambda: condition(self.stored(number)))
        return self.stored(number)

    def accepted(self, what: str, callout: int) -> dict[str, Any]:
        return self.becomes(self.call(what, callout), lambda call: bool(call["remote_call_id"]))

    def report(self, sid: str, status: str, **details: str) -> None:
        fields = {"AccountSid": SID, "CallSid": sid, "CallStatus": status, "Direction": "outbound-api", **details}
        signature = RequestValidator(TOKEN).compute_signature(self.server.url + WEBHOOK, fields)
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(fields).encode()
        answer = self.server.request("POST", WEBHOOK, body=body, headers=headers, token="")
        assert answer.status == 201, answer

    def operation(self, path: str, kind: str, **parameters: Any) -> str:
        made = self.post(path, type=f"BatchOperation::{kind}", parameters=parameters)
        member = f"/api/batch_operations/{made['id']}"
        self.post(f"{member}/batch_operation_events", event="queue")
        return member


def happen(past: Past, kept: dict[str, Any]) -> None:
    """All that is finished when the server is killed, or waits."""
    past.client = past.server.new_account()
    kept["tokens"] = {"super admin": past.server.token, "account": past.client.token}
    past.post("/api/users", email="someone@example.com", password="a long enough password")
    callout = past.post("/api/callouts", metadata={"for": "single calls"})["id"]
    past.call("created", callout, queue=False)
    past.accepted("remotely_queued", callout)
    past.report(past.accepted("in_progress", callout)["remote_call_id"], "ringing")
    sid = past.accepted("completed", callout)["remote_call_id"]
    past.report(sid, "in-progress", SequenceNumber="1")
    past.report(sid, "completed", SequenceNumber="2", CallDuration="7")
    past.report(past.accepted("failed", callout)["remote_call_id"], "failed")
    past.becomes(past.call("errored", callout), lambda call: call["status"] == "errored")
    past.becomes(past.call("unknown", callout), lambda call: "reason" in call.get("_work", {}))
    paused, stopped = (past.post("/api/callouts", metadata={"for": what})["id"] for what in ("pause", "stop"))
    for number, event, what in ((paused, "pause", "held"), (stopped, "stop", "canceled")):
        past.post(f"/api/callouts/{number}/callout_events", event="start")
        past.post(f"/api/callouts/{number}/callout_events", event="pause")
        call = past.call(what, number)
        past.becomes(call, lambda call: "held" in call.get("_work", {}))
        if event == "stop":
            past.post(f"/api/callouts/{number}/callout_events", event="stop")
    past.report("CA" + "f" * 32, "ringing", Direction="inbound", From="+855125550090", To="+855125550099")
    finished = past.post("/api/callouts", metadata={"for": "a finished population"})["id"]
    population = past.operation(f"/api/callouts/{finished}/batch_operations", "CalloutPopulation")
    wait_until(lambda: past.client.get(population).json["status"] == "finished")
    request = {"json": {"metadata": {"for": "whoever asks twice"}}, "headers": {"Idempotency-Key": "a key"}}
    assert past.client.post("/api/callouts", **request).status == 201
    kept["inbound"] = past.server.client().get("/api/phone_calls").json
    assert kept["inbound"][0]["status"] == "in_progress"
    kept["population"] = population


def answers(past: Past, population: str) -> dict[str, Any]:
    """What GET gives for paths of which nothing changes any more."""
    paths = ["/api/account", "/api/contacts", "/api/callouts", "/api/callout_participations", "/api/users"]
    paths += ["/api/access_tokens", "/api/remote_phone_call_events", population, f"{population}/contacts"]
    for what in ("created", "completed", "failed", "errored", "canceled"):
        (call,) = past.database.phone_calls.find({"msisdn": number_of(what)})
        paths += [f"/api/phone_calls/{call['_id']}", f"/api/phone_calls/{call['_id']}/remote_phone_call_events"]
    return {path: past.client.get(path).json for path in paths}


def go_on(past: Past) -> None:
    """What the server has begun when it is killed."""
    (callout,) = past.database.callouts.find({"metadata.for": "single calls"})
    fetched = past.accepted("being fetched", callout["_id"])
    past.post(f"/api/phone_calls/{fetched['_id']}/phone_call_events", event="queue_remote_fetch")
    past.call("sent", callout["_id"])
    past.call("sent, and lost", callout["_id"])
    wait_until(lambda: {"fetch", number_of("sent"), number_of("sent, and lost")} <= set(Carrier.arrived))
    assert past.client.patch("/api/account", json={"calls_per_second": 0.001}).status == 204
    time.sleep(2)  # the rate is looked at again after a second
    past.accepted("sent as the last", callout["_id"])
    past.call("queued", callout["_id"])


def main() -> None:
    carrier = ThreadingHTTPServer(("127.0.0.1", 0), Carrier)
    carrier.daemon_threads = True
    threading.Thread(target=carrier.serve_forever, daemon=True).start()
    folder = Path(tempfile.mkdtemp(prefix="scfm-dump-"))
    kept: dict[str, Any] = {"left": {number_of(what): what for what in LEFT}, "sid": SID, "token": TOKEN}
    with PrivateMongod.start(folder / "mongod") as mongod, MongoClient[Any](mongod.uri, tz_aware=True) as client:
        database = client["scfm"]
        environment = {
            "MONGODB_URI": mongod.uri,
            "PLATFORM_PROVIDER": "twilio",
            "TWILIO_ACCOUNT_SID": SID,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_CLIENT_REST_API_BASE_URL": f"http://127.0.0.1:{carrier.server_port}",
            "UNKNOWN_GRACE_SECONDS": "600",
        }
        server = Server(folder / "data", environment).start()
        past = Past(server, database)
        happen(past, kept)
        go_on(past)
        kept["answers"] = answers(past, kept["population"])
        past.client = server.new_account()
        contacts = b"".join(b'{"msisdn": "+85512600%04d"}\n' % number for number in range(VILLAGERS))
        headers = {"Content-Type": "application/x-ndjson"}
        assert past.client.post("/api/contacts/import", body=contacts, headers=headers).status in (200, 201)
        kept["village"] = {"token": past.client.token, "contacts": VILLAGERS}
        callout = past.post("/api/callouts", metadata={"for": "an unfinished population"})["id"]
        kept["village"]["operation"] = past.operation(
            f"/api/callouts/{callout}/batch_operations", "CalloutPopulation"
        )
        kept["village"]["participations"] = f"/api/callouts/{callout}/callout_participations"
        wait_until(lambda: database.callout_participations.count_documents({"callout_id": callout}) > 0, every=0.001)
        server.kill()
        time.sleep(1)  # what it has asked of the database is carried out
        assert database.callout_participations.count_documents({"callout_id": callout}) < VILLAGERS
        kept["at"] = time.time()
        kept["accepted"] = Carrier.accepted
        kept["journals"] = {path.name: path.read_text() for path in (folder / "data" / "departures").iterdir()}
        names = sorted(database.list_collection_names())
        documents = {name: list(database[name].find({}, sort=[("_id", 1)])) for name in names}
        kept["documents"] = json.loads(json_util.dumps(documents, json_options=json_util.CANONICAL_JSON_OPTIONS))
    written = json.dumps(kept).replace(BOOT_ID.read_text().strip(), BOOT)
    Path(sys.argv[1]).write_bytes(gzip.compress(written.encode(), 9, mtime=0))


main()
