"""A Python client that openapi-python-client makes of the document, without a warning, walks through the guide."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.server import Server, wait_until

PACKAGE = "generated_scfm_client"
GENERATE_SECONDS = 300
ENDED = {"completed", "busy", "not_answered", "failed"}
# What the generator has no words for of its own is bytes, or text, to it.
BYTES, TEXT = "application/octet-stream", "text/plain"
KINDS = {
    **dict.fromkeys(("text/csv", "application/x-ndjson", "audio/wav", "audio/mpeg"), BYTES),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": BYTES,
    **dict.fromkeys(("application/xml", "text/event-stream"), TEXT),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"PLATFORM_PROVIDER": "simulator", "SWEEP_SECONDS": "0.2"}
    with Server(tmp_path_factory.mktemp("data"), settings) as server:
        yield server


@pytest.fixture(scope="module")
def generated(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The package of a client, made of the document as the server gives it."""
    folder = tmp_path_factory.mktemp("client")
    document = server.request("GET", "/api/openapi.json", token="").json
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "config.json").write_text(json.dumps({"post_hooks": [], "content_type_overrides": KINDS}))
    command = [Path(sys.executable).with_name("openapi-python-client"), "generate", "--fail-on-warning"]
    options = ["--path", "openapi.json", "--config", "config.json", "--meta", "none", "--output-path", PACKAGE]
    made = subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, timeout=GENERATE_SECONDS, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(PACKAGE)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def send(server: Server, generated: ModuleType) -> Iterator[Callable[..., Any]]:
    """Sends a request: the tag and the name of its operation, the body as a dict, and path and query parameters."""
    with generated.AuthenticatedClient(base_url=server.url, token=server.token) as client:
        models = importlib.import_module(f"{PACKAGE}.models")

        def sending(tag: str, operation: str, *path: int, body: dict[str, Any] | None = None, **query: Any) -> Any:
            module = importlib.import_module(f"{PACKAGE}.api.{tag}.{operation}")
            if body is not None:
                name = "".join(word.capitalize() for word in operation.split("_"))
                query["body"] = getattr(models, f"{name}JsonBody").from_dict(body)
            answer = module.sync_detailed(*path, client=client, **query)
            assert answer.status_code < 300, (operation, answer)
            return answer.parsed

        yield sending


def test_it_walks_through_the_guide(send: Callable[..., Any]) -> None:
    contact = send("contacts", "create_contact", body={"msisdn": "+252 66 2345680", "metadata": {"name": "Alice"}})
    assert (contact.id, contact.msisdn) == (1, "+252662345680")
    assert contact.metadata["name"] == "Alice"
    assert send("contacts", "update_contact", 1, body={"metadata": {"gender": "f"}}) is None
    assert send("contacts", "show_contact", 1).metadata.to_dict() == {"name": "Alice", "gender": "f"}
    assert [one.id for one in send("contacts", "list_contacts", per_page=10)] == [1]
    said = {"call_flow_logic": "CallFlowLogic::Message", "metadata": {"message": "This is a test."}}
    callout = send("callouts", "create_callout", body=said)
    assert callout.status == "initialized"
    assert callout.created_at.tzinfo is not None

    population = {"type": "BatchOperation::CalloutPopulation", "parameters": {}}
    operation = send("batch_operations", "create_batch_operation_of_callout", callout.id, body=population)
    assert [one.id for one in send("contacts", "preview_contacts_of_batch_operation", operation.id)] == [1]
    queued = send("batch_operations", "create_batch_operation_event", operation.id, body={"event": "queue"})
    assert queued.status == "queued"
    wait_until(lambda: send("batch_operations", "show_batch_operation", operation.id).status == "finished")
    (participation,) = send("callout_participations", "list_callout_participations_of_callout", callout.id)
    assert participation.outcome == "pending"

    assert send("callouts", "create_callout_event", callout.id, body={"event": "start"}).status == "running"
    asked = {"remote_request_params": {"from": "1234", "twiml": "<Response><Say>A test.</Say></Response>"}}
    call = send("phone_calls", "create_phone_call_of_callout_participation", participation.id, body=asked)
    assert send("phone_calls", "create_phone_call_event", call.id, body={"event": "queue"}).status == "queued"
    wait_until(lambda: send("phone_calls", "show_phone_call", call.id).remote_call_id)
    statistics = send("callouts", "statistics_of_callout", callout.id)
    assert statistics.people.total == 1

    assert send("callouts", "create_callout_event", callout.id, body={"event": "pause"}).status == "paused"
    assert send("callouts", "create_callout_event", callout.id, body={"event": "resume"}).status == "running"
    call_all(send, asked)
    assert send("callouts", "create_callout_event", callout.id, body={"event": "stop"}).status == "stopped"
    another = send("contacts", "create_contact", body={"msisdn": "+252662345682"})
    taking_part = send(
        "callout_participations",
        "create_callout_participation_of_callout",
        callout.id,
        body={"contact_id": another.id, "metadata": {"village": "Chhlong"}},
    )
    assert send("callout_participations", "delete_callout_participation", taking_part.id) is None
    assert send("contacts", "delete_contact", another.id) is None


def call_all(send: Callable[..., Any], asked: dict[str, Any]) -> None:
    """One more phone call for everybody who takes part, and what the provider says of it, by batch operations."""

    def carry_out(kind: str, **parameters: Any) -> int:
        said = {"type": f"BatchOperation::{kind}", "parameters": parameters}
        number: int = send("batch_operations", "create_batch_operation", body=said).id
        send("batch_operations", "create_batch_operation_event", number, body={"event": "queue"})
        wait_until(lambda: send("batch_operations", "show_batch_operation", number).status == "finished")
        return number

    made = carry_out("PhoneCallCreate", **asked)
    (call,) = send("phone_calls", "list_phone_calls_of_batch_operation", made)
    carry_out("PhoneCallQueue", phone_call_filter_params={"status": "created"})
    wait_until(lambda: send("phone_calls", "show_phone_call", call.id).remote_call_id)
    carry_out("PhoneCallQueueRemoteFetch", phone_call_filter_params={"status": "in_progress,remotely_queued"})
    wait_until(lambda: send("phone_calls", "show_phone_call", call.id).status in ENDED)


def test_it_carries_out_a_plan(send: Callable[..., Any]) -> None:
    send("contacts", "create_contact", body={"msisdn": "+252662345681", "metadata": {"district": "Kratie"}})
    plan = {
        "audience": {"contact_filter_params": {"metadata": {"district": "Kratie"}}},
        "remote_request_params": {"from": "1294"},
        "calls_per_second": 10,
    }
    said = {"call_flow_logic": "CallFlowLogic::Message", "metadata": {"message": "The river is rising."}}
    callout = send("callouts", "create_callout", body={**said, "plan": plan})
    assert callout.plan.audience.to_dict() == plan["audience"]
    preflight = send("callouts", "preflight_of_callout", callout.id, body={})
    assert (preflight.audience, preflight.blockers) == (1, [])


def test_it_fetches_a_file(send: Callable[..., Any]) -> None:
    assert send("contacts", "export_contacts").startswith(b"msisdn,")


def test_no_choice_of_objects_has_one_that_a_program_takes_for_a_later_one(server: Server) -> None:
    """Programs take the first whose required names are there, and may drop the others."""
    document = server.request("GET", "/api/openapi.json", token="").json

    def whole(schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def choices(value: Any) -> Iterator[list[dict[str, Any]]]:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if isinstance(value, dict):
            yield from (value[key] for key in ("anyOf", "oneOf") if isinstance(value.get(key), list))
        for part in parts:
            yield from choices(part)

    for offered in choices(document):
        objects = [one for one in map(whole, offered) if one.get("type") == "object"]
        needed = [set(one.get("required", ())) for one in objects]
        for position, first in enumerate(needed):
            assert not [later for later in needed[position + 1 :] if first <= later], offered


def test_it_tells_what_is_wrong(server: Server, generated: ModuleType) -> None:
    module = importlib.import_module(f"{PACKAGE}.api.contacts.create_contact")
    models = importlib.import_module(f"{PACKAGE}.models")
    with generated.AuthenticatedClient(base_url=server.url, token=server.token) as client:
        answer = module.sync_detailed(client=client, body=models.CreateContactJsonBody(msisdn="12345"))
    assert answer.status_code == 422
    assert answer.parsed.errors["msisdn"] == ["is an invalid number"]
