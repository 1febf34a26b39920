"""The examples of the OpenAPI document: what a real server answers to real requests.

They are kept as scfm/handlers/openapi/examples.json. ``make examples`` writes that file anew; a test records them
once more, and compares.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from tests.page.alerts import free_port, scenario_carrier, settings_for
from tests.server import Answer, Server, wait_until
from tests.sounds import sound, tone, upload

FILE = Path(__file__).parents[2] / "scfm" / "handlers" / "openapi" / "examples.json"
PUBLIC_URL = "https://alerts.example.org"
SCENARIO = {"life_size": 0.05, "people": [{"pattern": ".*", "digits": ["1"], "after": 1}]}
TEXT_TYPES = ("text/csv", "text/plain", "application/xml")
PLAN = {
    "audience": {"contact_filter_params": {"metadata": {"district": "Stung Treng"}}},
    "remote_request_params": {"from": "1294"},
    "calls_per_second": 1,
    "retry": {"max_attempts": 2, "delays": [600], "on": ["busy", "not_answered"]},
}
DEFINITION = {
    "languages": ["en"],
    "start": "warning",
    "steps": {
        "warning": {
            "say": {"en": "The river is rising. Go to the school. Press 1 if you have understood."},
            "menu": {"digits": {"1": "understood"}, "repeat": 2, "otherwise": "bye"},
        },
        "understood": {"acknowledge": True, "next": "bye"},
        "bye": {"say": {"en": "Goodbye."}, "hang_up": True},
    },
}
CSV = b"msisdn,name,district\n+85512345679,Bopha,Stung Treng\n+85512345670,Chan,Kratie\nnobody,Dara,Kratie\n"

# What differs from one recording to the next, and what it is in the examples.
BY_NAME: dict[str, Any] = {
    "token": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "csrf_token": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    "duration": 12,
    "talk_seconds": 12,
    "CallDuration": "12",
    "Duration": "1",
    "address": "203.0.113.7",
    "date": "2026-01-31",
    "webhook_id": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
PATTERNS = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "2026-01-31T08:30:00.000Z"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d (\+0000|GMT)", "Sat, 31 Jan 2026 08:30:00 +0000"),
    # The duration at the end of a line of results.
    (r"(31T08:30:00.000Z),\d+\r\n", r"\1,12\r\n"),
    (r"\bCA[0-9a-f]{32}\b", "CA5ef8732a3c49700934481addd5ce1659"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "9b9d1a1e-9e5a-4a3c-8a50-5a51b5bd5b5f"),
)


class Recorder:
    """Sends requests, and keeps each with its answer by the name of its operation."""

    def __init__(self, server: Server, carrier: str) -> None:
        self._server = server
        self.hosts = {server.url: PUBLIC_URL, carrier: "https://api.twilio.com"}
        self.operations: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, Any] = {}

    def send(self, operation: str, method: str, path: str, json: Any = None, **options: Any) -> Any:
        """Send a request of OPERATION, and give the body of its answer; AssertionError for an error."""
        answer = self._server.request(method, path, json=json, **options)
        assert answer.status < 300, (operation, answer)
        self.keep(operation, json, answer)
        return answer.json

    def keep(self, operation: str, request: Any, answer: Answer) -> None:
        """Keep what was sent, if it was JSON, and what was answered, if that is JSON or text."""
        kept: dict[str, Any] = {} if request is None else {"request": self._settled(request, "request")}
        kind = answer.headers.get_content_type()
        if answer.json is not None and (kind == "application/json" or kind in TEXT_TYPES):
            kept |= {"status": str(answer.status), "type": kind, "answer": self._settled(answer.json)}
        assert operation not in self.operations, operation
        self.operations[operation] = kept

    def fail(self, component: str, method: str, path: str, **options: Any) -> None:
        """Send a request that is refused, and keep the answer under the name of the response."""
        answer = self._server.request(method, path, **options)
        assert answer.status >= 400, answer
        problem = {"errors": answer.json["errors"], "hints": answer.hints} if answer.hints else answer.json
        self.errors[component] = self._settled(problem)

    def _settled(self, value: Any, name: str = "") -> Any:
        """VALUE with what differs from one recording to the next replaced."""
        if isinstance(value, dict):
            return {name: self._settled(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [self._settled(one) for one in value]
        if value is not None and name in BY_NAME:
            return 0.1 if isinstance(value, float) else BY_NAME[name]
        if isinstance(value, str):
            for found, replaced in self.hosts.items():
                value = value.replace(found, replaced)
            for pattern, text in PATTERNS:
                value = re.sub(pattern, text, value)
        return value


class Taker(BaseHTTPRequestHandler):
    """A webhook endpoint that takes everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def record() -> dict[str, Any]:
    """What a new server answers to a request of each operation."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        with scenario_carrier(Path(folder), SCENARIO) as carrier:
            own = {"PUBLIC_URL": f"http://127.0.0.1:{port}", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.1"}
            # What the provider is asked of a call depends on how long that takes.
            own["STATUS_CHECK"] = "never"
            settings = {**settings_for(carrier), **own}
            with Server(Path(folder) / "data", settings, "--port", str(port)) as server:
                recorder = Recorder(server, carrier)
                _one_call(recorder, server)
                _flows_and_audio(recorder, server)
                _many(recorder, server)
                _administration(recorder, server)
                _webhooks(recorder, server)
                _lists(recorder)
                _changes(recorder, server)
    return {"operations": dict(sorted(recorder.operations.items())), "errors": dict(sorted(recorder.errors.items()))}


def _one_call(recorder: Recorder, server: Server) -> None:
    """Alice is called, and presses 1."""
    send = recorder.send
    send("health", "GET", "/health", token="")
    send("ready", "GET", "/ready", token="")
    alice = {"msisdn": "+85512345678", "metadata": {"name": "Alice", "district": "Stung Treng"}}
    send("create_contact", "POST", "/api/contacts", alice)
    message = {"message": "The river is rising. Press 1 if you have understood."}
    send(
        "create_callout", "POST", "/api/callouts", {"call_flow_logic": "CallFlowLogic::Message", "metadata": message}
    )
    send("create_callout_event", "POST", "/api/callouts/1/callout_events", {"event": "start"})
    path = "/api/callouts/1/callout_participations"
    send("create_callout_participation_of_callout", "POST", path, {"contact_id": 1})
    call = {"remote_request_params": {"from": "1294"}}
    send("create_phone_call_of_callout_participation", "POST", "/api/callout_participations/1/phone_calls", call)
    send("create_phone_call_event", "POST", "/api/phone_calls/1/phone_call_events", {"event": "queue"})
    wait_until(lambda: server.request("GET", "/api/phone_calls/1").json["status"] == "completed")
    wait_until(lambda: server.request("GET", "/api/callout_participations/1").json["outcome"] == "acknowledged")
    for path in ("/api/callouts/1/statistics", "/api/statistics"):
        wait_until(lambda path=path: _is_settled(server.request("GET", path).json))
    wait_until(lambda: re.search(r"Z,\d+\r\n", server.request("GET", "/api/callouts/1/results").json))
    for kind in ("callout_participation", "phone_call", "remote_phone_call_event"):
        send(f"show_{kind}", "GET", f"/api/{kind}s/1")
        send(f"list_{kind}s", "GET", f"/api/{kind}s?per_page=1")
    for parent, kinds in {
        "callout": ("contact", "callout_participation", "phone_call", "remote_phone_call_event"),
        "contact": ("callout", "callout_participation", "phone_call", "remote_phone_call_event"),
        "callout_participation": ("phone_call", "remote_phone_call_event"),
        "phone_call": ("remote_phone_call_event",),
    }.items():
        for kind in kinds:
            send(f"list_{kind}s_of_{parent}", "GET", f"/api/{parent}s/1/{kind}s?per_page=1")
    send("statistics_of_callout", "GET", "/api/callouts/1/statistics?group_by=metadata.district")
    send("statistics_of_account", "GET", "/api/statistics")
    send("results_of_callout", "GET", "/api/callouts/1/results")


def _is_settled(statistics: Any) -> bool:
    minutes = statistics.get("calls_per_minute", [["", 1, 1]])
    return [statistics["people"]["acknowledged"], statistics["calls"]["completed"], *minutes[0][1:]] == [1, 1, 1, 1]


def _flows_and_audio(recorder: Recorder, server: Server) -> None:
    send = recorder.send
    send("validate_call_flow", "POST", "/api/call_flows/validate", {"definition": DEFINITION})
    send("create_call_flow", "POST", "/api/call_flows", {"name": "flood", "definition": DEFINITION})
    send("publish_call_flow", "POST", "/api/call_flows/1/publish", {})
    send("rehearse_call_flow", "POST", "/api/call_flows/1/rehearsals", {"callee": [None, "1"]})
    for kind in ("versions", "graph", "coverage"):
        name = "list_versions_of_call_flow" if kind == "versions" else f"{kind}_of_call_flow"
        send(name, "GET", f"/api/call_flows/1/{kind}")
    uploaded = upload(server.client(), sound(tone(1.0)), "flood-en.wav", language="en")
    assert uploaded.status == 201, uploaded
    recorder.keep("create_audio_file", None, uploaded)


def _many(recorder: Recorder, server: Server) -> None:
    """Contacts by import, a population, calls for all: nobody is called."""
    send = recorder.send
    csv = {"Content-Type": "text/csv"}
    send("import_contacts", "POST", "/api/contacts/import", body=CSV, headers=csv)
    send("export_contacts", "GET", "/api/contacts/export")
    send("fields_of_contacts", "GET", "/api/contacts/fields")
    plan = {"call_flow_logic": "flood", "plan": PLAN}
    made = server.request("POST", "/api/callouts", json=plan)
    assert made.status == 201, made
    send("preflight_of_callout", "POST", "/api/callouts/2/preflight", {})
    path = "/api/callouts/2/callout_participations"
    assert server.request("POST", path, json={"contact_id": 1}).status == 201
    of_those = {"q": {"outcome": "pending"}}
    send("create_follow_up_of_callout", "POST", "/api/callouts/2/follow_ups", of_those)
    population = {
        "type": "BatchOperation::CalloutPopulation",
        "parameters": {"contact_filter_params": {"metadata": {"district": "Kratie"}}},
    }
    send("create_batch_operation_of_callout", "POST", "/api/callouts/1/batch_operations", population)
    send("preview_contacts_of_batch_operation", "GET", "/api/batch_operations/1/preview/contacts")
    send("create_batch_operation_event", "POST", "/api/batch_operations/1/batch_operation_events", {"event": "queue"})
    _await_finished(server, 1)
    calls = {
        "type": "BatchOperation::PhoneCallCreate",
        "parameters": {
            "callout_participation_filter_params": {"callout_id": 1, "has_phone_calls": False},
            "remote_request_params": {"from": "1294"},
        },
    }
    send("create_batch_operation", "POST", "/api/batch_operations", calls)
    participations = "/api/batch_operations/2/preview/callout_participations"
    send("preview_callout_participations_of_batch_operation", "GET", participations)
    event = {"event": "queue"}
    assert server.request("POST", "/api/batch_operations/2/batch_operation_events", json=event).status == 201
    _await_finished(server, 2)
    queue = {
        "type": "BatchOperation::PhoneCallQueue",
        "parameters": {"phone_call_filter_params": {"status": "created"}},
    }
    assert server.request("POST", "/api/batch_operations", json=queue).status == 201
    send("preview_phone_calls_of_batch_operation", "GET", "/api/batch_operations/3/preview/phone_calls")
    send("list_contacts_of_batch_operation", "GET", "/api/batch_operations/1/contacts")
    send("list_callout_participations_of_batch_operation", "GET", "/api/batch_operations/1/callout_participations")
    send("list_phone_calls_of_batch_operation", "GET", "/api/batch_operations/2/phone_calls")
    send("list_batch_operations_of_callout", "GET", "/api/callouts/1/batch_operations")


def _await_finished(server: Server, number: int) -> None:
    wait_until(lambda: server.request("GET", f"/api/batch_operations/{number}").json["status"] == "finished")


def _administration(recorder: Recorder, server: Server) -> None:
    send = recorder.send
    send("create_opt_out", "POST", "/api/opt_outs", {"msisdn": "+85512345671", "reason": "asked by phone"})
    body = b"msisdn,reason\n+85512345672,asked by phone\n"
    send("import_opt_outs", "POST", "/api/opt_outs/import", body=body, headers={"Content-Type": "text/csv"})
    send("show_server", "GET", "/api/server")
    send("create_server_event", "POST", "/api/server/server_events", {"event": "release"})
    send("create_account", "POST", "/api/accounts", {"metadata": {"name": "Kratie"}, "calls_per_second": 5})
    send("create_account_event", "POST", "/api/accounts/2/account_events", {"event": "hold"})
    send("show_own_account", "GET", "/api/account")
    token = {"role": "viewer", "metadata": {"for": "the map"}}
    viewer = send("create_access_token", "POST", "/api/access_tokens", token)
    person = {"email": "dara@example.org", "password": "correct horse battery", "role": "operator"}
    send("create_user", "POST", "/api/users", person)
    for kind in ("access_token", "user"):
        send(f"list_{kind}s_of_account", "GET", f"/api/accounts/1/{kind}s?per_page=1")
    credentials = {name: person[name] for name in ("email", "password")}
    signed_in = server.request("POST", "/session", json=credentials, token="")
    recorder.keep("create_session", credentials, signed_in)
    cookie = {"Cookie": signed_in.headers["Set-Cookie"].partition(";")[0]}
    send("show_session", "GET", "/session", token="", headers=cookie)
    write = {**cookie, "X-CSRF-Token": signed_in.json["csrf_token"]}
    changed = {"password": person["password"], "new_password": "battery horse correct"}
    send("change_password", "PATCH", "/session", changed, token="", headers=write)
    recorder.fail("BadRequest", "POST", "/api/contacts", body=b"{", headers={"Content-Type": "application/json"})
    recorder.fail("Forbidden", "POST", "/api/contacts", json={}, token=viewer["token"])
    recorder.fail("NotFound", "GET", "/api/contacts/999")
    recorder.fail("Invalid", "POST", "/api/contacts", json={"msisdn": "12345"})


def _webhooks(recorder: Recorder, server: Server) -> None:
    """An endpoint that is told of an opt-out."""
    send = recorder.send
    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as taker:
        threading.Thread(target=taker.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{taker.server_port}"
        recorder.hosts[url] = "https://dashboard.example.org"
        endpoint = {"url": f"{url}/alerts", "event_types": ["opt_out.created"]}
        send("create_webhook_endpoint", "POST", "/api/webhook_endpoints", endpoint)
        assert server.request("POST", "/api/opt_outs", json={"msisdn": "+85512345674"}).status == 201
        deliveries = "/api/webhook_endpoints/1/deliveries"
        wait_until(lambda: [one["status"] for one in server.request("GET", deliveries).json] == ["delivered"])
        send("list_webhook_deliveries_of_webhook_endpoint", "GET", deliveries)
        send("redeliver_webhook_delivery", "POST", f"{deliveries}/1/redeliver")
        wait_until(lambda: len(server.request("GET", deliveries).json[0]["attempts"]) == 2)
        send("list_webhook_endpoints", "GET", "/api/webhook_endpoints")
        send("show_webhook_endpoint", "GET", "/api/webhook_endpoints/1")
        send("update_webhook_endpoint", "PATCH", "/api/webhook_endpoints/1", {"status": "disabled"})
        send("rotate_webhook_endpoint", "POST", "/api/webhook_endpoints/1/rotate")
        taker.shutdown()


def _lists(recorder: Recorder) -> None:
    """A list and a member of each kind that has them no longer change."""
    for kind in ("contact", "callout", "batch_operation", "account", "access_token", "user", "opt_out", "call_flow"):
        recorder.send(f"list_{kind}s", "GET", f"/api/{kind}s?per_page=1")
        recorder.send(f"show_{kind}", "GET", f"/api/{kind}s/1")
    for kind in ("audio_file", "audit_event"):
        recorder.send(f"list_{kind}s", "GET", f"/api/{kind}s?per_page=1")
        recorder.send(f"show_{kind}", "GET", f"/api/{kind}s/1")


def _changes(recorder: Recorder, server: Server) -> None:
    """What is answered with nothing; and at last, while calls are held, one that would be recorded."""
    send = recorder.send
    send("update_contact", "PATCH", "/api/contacts/1", {"metadata": {"address": {"village": "Thala"}}})
    send("update_callout", "PATCH", "/api/callouts/2", {"plan": {**PLAN, "calls_per_second": 2}})
    send("update_callout_participation", "PATCH", "/api/callout_participations/1", {"metadata": {"visited": True}})
    send("update_phone_call", "PATCH", "/api/phone_calls/1", {"metadata": {"checked": True}})
    send(
        "update_remote_phone_call_event", "PATCH", "/api/remote_phone_call_events/1", {"metadata": {"checked": True}}
    )
    send("update_batch_operation", "PATCH", "/api/batch_operations/3", {"metadata": {"by": "Dara"}})
    send("update_account", "PATCH", "/api/accounts/2", {"default_country": "KH"})
    send("update_own_account", "PATCH", "/api/account", {"calls_per_second": 10, "dial_allow_list": ["115"]})
    send("update_access_token", "PATCH", "/api/access_tokens/2", {"metadata": {"for": "the map"}})
    send("update_user", "PATCH", "/api/users/2", {"role": "approver"})
    send("update_opt_out", "PATCH", "/api/opt_outs/1", {"reason": "asked twice"})
    send("update_call_flow", "PATCH", "/api/call_flows/1", {"metadata": {"by": "Dara"}})
    send("update_audio_file", "PATCH", "/api/audio_files/1", {"name": "flood-2026-en"})
    report = {
        "AccountSid": settings_for("")["TWILIO_ACCOUNT_SID"],
        "CallSid": "CA" + "1" * 32,
        "Direction": "inbound",
        "From": "+85512345673",
        "To": "1294",
        "CallStatus": "ringing",
    }
    path = "/api/remote_phone_call_events"
    signer = RequestValidator(settings_for("")["TWILIO_AUTH_TOKEN"])
    signature = {"X-Twilio-Signature": signer.compute_signature(server.url + path, report)}
    send("receive_remote_phone_call_event", "POST", path, form=report, headers=signature, token="")
    send("create_own_account_event", "POST", "/api/account/account_events", {"event": "hold"})
    send("export_contact", "GET", "/api/contacts/3/export")
    send("delete_contact", "DELETE", "/api/contacts/2?purge=true")
    recorded = {"msisdn": "+85512345678", "name": "all-clear", "remote_request_params": {"from": "1294"}}
    send("record_audio_file", "POST", "/api/audio_files/record", recorded)


def main() -> None:
    """Write the file anew."""
    FILE.write_text(json.dumps(record(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
