"""On every path of a definition, a rehearsal, the simulator and the webhook of a real server have the same TwiML."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

import orjson
import pytest

from scfm.simulator.call import Call
from scfm.simulator.callee import CalleeRule
from scfm.simulator.webhook_client import Reply, WebhookClient
from scfm.twiml.definition import Definition, audio_names
from scfm.twiml.definition_flow import DefinitionFlow
from scfm.twiml.definition_paths import FlowPath, PathWalk
from scfm.twiml.flow import ContactView, FlowSettings
from scfm.twiml.rehearsal import Rehearsal, rehearse
from tests.acceptance.alerts import await_finished, every, queue, total
from tests.flows.phone_line import PATH, environment
from tests.flows.phones import callee_of, local
from tests.flows.walked_flows import EXAMPLE_DEFINITIONS, WALKED, made
from tests.server import Client, Server, wait_until
from tests.sounds import sound, tone, upload
from tests.torture.carrier import Carrier
from tests.torture.databases import free_port

CALLOUT = {"river": "Mekong"}


class Walked:
    """A path as it is walked by who has a number of his own, and the call that it must come to."""

    def __init__(self, flow: type[DefinitionFlow], path: FlowPath, msisdn: str) -> None:
        self.flow, self.path, self.msisdn = flow, path, msisdn
        *outer, name = flow.language_path
        assert not outer
        self.metadata = {name: path.language, "district": "Kandal"}

    @property
    def rehearsed(self) -> Rehearsal:
        contact = ContactView(1, self.msisdn, self.metadata)
        return rehearse(self.flow, self.path.callee, contact=contact, callout=CALLOUT, settings=SETTINGS)


def steps_of(definition: Definition) -> Iterable[Any]:
    return definition["steps"].values()


DEFINITIONS = WALKED | EXAMPLE_DEFINITIONS
TONE = sound(tone(0.1))
# What is played has no or_say, but for one in the first: there the text is said.
PLAYED = {name for definition in DEFINITIONS.values() for name in audio_names(definition)}
AUDIO = dict.fromkeys(PLAYED - {"flood-en"}, f"/audio/{sha256(TONE).hexdigest()}.wav")
ALLOWED = sorted({step["dial"] for steps in map(steps_of, DEFINITIONS.values()) for step in steps if "dial" in step})
SETTINGS = FlowSettings(dial_allow_list=ALLOWED)
FLOWS = {name: made(name, definition, AUDIO) for name, definition in DEFINITIONS.items()}
numbers = itertools.count(10_000)
# Which paths are called: of the examples one in thirty, at most. All of them are walked by a phone without a server
# (test_definition_paths); make definitions calls every path of the other flows.
EVERY = int(os.environ.get("PATHS_EVERY", "4"))
PEOPLE = [
    Walked(flow, path, f"+8551{next(numbers)}")
    for name, flow in FLOWS.items()
    for path in itertools.islice(PathWalk(flow, SETTINGS).paths(), 0, None, EVERY if name in WALKED else 30)
]


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, str, dict[str, list[str]]]]:
    """All of PEOPLE called at once: a client, the webhook's URL, and by number the documents that were answered."""
    documents: dict[str, list[str]] = defaultdict(list)
    send = WebhookClient.send

    async def recorded(
        self: WebhookClient, call: Call, url: str, method: str, parameters: Mapping[str, str], seconds: float = 15.0
    ) -> Reply:
        reply = await send(self, call, url, method, parameters, seconds)
        if "CallbackSource" not in parameters:
            documents[call.to].append(reply.body.decode())
        return reply

    port = free_port()
    callees = [CalleeRule(callee_of(one.path), number=one.msisdn) for one in PEOPLE]
    told = environment(f"http://127.0.0.1:{port}")
    with (
        pytest.MonkeyPatch.context() as patch,
        Carrier(port, callees=callees, life_size=0.0001),
        Server(tmp_path_factory.mktemp("walked") / "data", told) as server,
    ):
        patch.setattr(WebhookClient, "send", recorded)
        client, url = server.client(), server.url + PATH
        prepare(client)
        for flow in FLOWS.values():
            publish(client, flow)
        ring(server, url)
        wait_until(lambda: total(server, "/api/phone_calls?q[status]=completed") == len(PEOPLE))
        yield client, url, documents


def prepare(client: Client) -> None:
    """Give the account the audio files, and the numbers to dial, that the flows name."""
    for name, path in AUDIO.items():
        kept = upload(client, TONE, name=name)
        assert (kept.status, kept.json["url"]) == (201, path), kept
    assert client.patch("/api/account", json={"dial_allow_list": ALLOWED}).status == 204


def publish(client: Client, flow: type[DefinitionFlow]) -> None:
    """Make the flow a published one of the account."""
    made = client.post("/api/call_flows", json={"name": flow.name, "definition": flow.definition})
    assert made.status == 201, made
    published = client.post(f"/api/call_flows/{made.json['id']}/publish", json={})
    assert published.status == 201, published


def ring(server: Server, url: str) -> None:
    """Call all of PEOPLE in one callout, each with their flow."""
    made = server.request("POST", "/api/callouts", json={"metadata": CALLOUT})
    callout = f"/api/callouts/{made.json['id']}"
    started = server.request("POST", f"{callout}/callout_events", json={"event": "start"})
    assert started.status == 201, started
    lines = (orjson.dumps({"msisdn": one.msisdn, "metadata": one.metadata}) for one in PEOPLE)
    kind = {"Content-Type": "application/x-ndjson"}
    imported = server.request("POST", "/api/contacts/import", body=b"\n".join(lines), headers=kind)
    assert imported.json["created"] == len(PEOPLE), imported
    ids = {contact["msisdn"]: contact["id"] for contact in every(server, "/api/contacts")}
    for one in PEOPLE:
        given = {"contact_id": ids[one.msisdn], "call_flow_logic": one.flow.name}
        joined = server.request("POST", f"{callout}/callout_participations", json=given)
        assert joined.status == 201, joined
    call = {"remote_request_params": {"from": "345", "url": url, "status_callback": url}}
    for kind_of_work, parameters in (("PhoneCallCreate", call), ("PhoneCallQueue", {})):
        work = {"type": f"BatchOperation::{kind_of_work}", "parameters": parameters}
        await_finished(server, queue(server, "/api/batch_operations", **work))


def test_each_of_the_paths_is_answered_as_rehearsed(heard: tuple[Client, str, dict[str, list[str]]]) -> None:
    _, url, documents = heard
    assert len(PEOPLE) == 141 or (EVERY > 1 and len(PEOPLE) > 40)
    for one in PEOPLE:
        expected = [local(twiml, url) for twiml in one.rehearsed.twiml]
        assert documents[one.msisdn] == expected, (one.flow.name, one.path.callee)


def test_a_rehearsal_by_the_api_gives_the_very_same_documents(
    heard: tuple[Client, str, dict[str, list[str]]],
) -> None:
    client, _, documents = heard
    flows = {flow["name"]: flow["id"] for flow in every(client.server, "/api/call_flows")}
    for one in PEOPLE[::7]:
        contact = {"msisdn": one.msisdn, "metadata": one.metadata}
        call = {"callee": one.path.callee, "contact": contact, "callout": {"metadata": CALLOUT}}
        rehearsed = client.post(f"/api/call_flows/{flows[one.flow.name]}/rehearsals", json=call)
        assert [turn["twiml"] for turn in rehearsed.json["turns"]] == documents[one.msisdn]


def test_each_of_the_paths_leaves_what_was_rehearsed(heard: tuple[Client, str, dict[str, list[str]]]) -> None:
    server = heard[0].server
    contacts = {one["msisdn"]: one for one in every(server, "/api/contacts")}
    participations = {one["contact_id"]: one for one in every(server, "/api/callout_participations")}
    opted_out = {one["msisdn"] for one in every(server, "/api/opt_outs")}
    for one in PEOPLE:
        call, contact = one.rehearsed, contacts[one.msisdn]
        kept = participations[contact["id"]]
        assert without_urls(kept["answers"]) == without_urls(call.replies.answers), one.path
        memory = contact["metadata"].get("call_flow_data", {}).get(one.flow.name, {})
        assert without_urls(memory) == without_urls(call.contact_memory)
        assert (one.msisdn in opted_out) is call.replies.opted_out
    acknowledged = {one.msisdn for one in PEOPLE if one.rehearsed.replies.acknowledged}
    assert 0 < len(opted_out) < len(acknowledged) < len(PEOPLE)
    noted = "/api/callout_participations?q[outcome]=acknowledged"
    wait_until(lambda: total(server, noted) == len(acknowledged))
    shown = {
        one["msisdn"] for one in every(server, "/api/callout_participations") if one["outcome"] == "acknowledged"
    }
    assert shown == acknowledged


def without_urls(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Answers without the URLs of recordings, which the provider gives."""
    return {name: value["seconds"] if isinstance(value, dict) else value for name, value in answers.items()}
