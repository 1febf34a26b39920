"""Audio files that something plays: without one its plan cannot start, and one in use cannot go."""

from __future__ import annotations

from typing import Any

import pytest

from tests.resources.conftest import Documents, make
from tests.server import Client, Server
from tests.sounds import sound, upload

MESSAGE = "CallFlowLogic::Message"
PLAN = {"audience": {}, "remote_request_params": {"from": "1294"}}
DEFINITION = {
    "languages": ["km", "en"],
    "start": "warning",
    "steps": {"warning": {"play": {"km": "audio:flood.km"}, "or_say": {"en": "Water."}, "hang_up": True}},
}


@pytest.fixture
def api(server: Server) -> Client:
    """An account with credentials and a contact."""
    api = server.new_account(twilio_account_sid="AC1", twilio_auth_token="s3cret")
    make(api, "/api/contacts", msisdn="+85510000001")
    return api


def audio_file(api: Client, name: str) -> str:
    """The path of a new audio file."""
    answer = upload(api, sound(), name=name)
    assert answer.status == 201, answer
    return f"/api/audio_files/{answer.json['id']}"


def callout(api: Client, audio: Any, **fields: Any) -> str:
    given = {"metadata": {"audio": audio}, "call_flow_logic": MESSAGE, **fields}
    return f"/api/callouts/{make(api, '/api/callouts', **given)}"


def blockers(api: Client, path: str) -> list[str]:
    answer = api.post(f"{path}/preflight", json={"plan": PLAN})
    assert answer.status == 200, answer
    found: list[str] = answer.json["blockers"]
    return found


@pytest.mark.parametrize("audio", ["flood", {"km": "flood-km", "en": "flood"}])
def test_a_plan_whose_audio_file_there_is_not_cannot_start(api: Client, stranger: Client, audio: Any) -> None:
    audio_file(api, "flood-km")
    audio_file(stranger, "flood")
    path = callout(api, audio, plan=PLAN)
    problem = (
        "the callout has nothing to say: there is no audio file 'flood': send it to /api/audio_files, or name one; "
        "set metadata.message or metadata.audio"
    )
    assert blockers(api, path) == [problem]
    assert api.post(f"{path}/callout_events", {"event": "start"}).json == {"errors": {"plan": [problem]}}
    audio_file(api, "flood")
    assert blockers(api, path) == []


@pytest.mark.parametrize(
    "audio",
    [
        "flood-km",
        " audio:flood-km ",
        {"en": "https://example.org/flood.mp3", "km": "flood-km"},
        {"en": 1, "km": "audio:flood-km"},
    ],
)
def test_what_an_unfinished_callout_may_play_can_neither_be_deleted_nor_renamed(
    api: Client, database: Documents, audio: Any
) -> None:
    file, other = audio_file(api, "flood-km"), audio_file(api, "flood")
    path = callout(api, audio)
    number = int(path.rpartition("/")[2])
    for status in ("initialized", "running", "paused", "stopped"):
        database["callouts"].update_one({"_id": number}, {"$set": {"status": status}})
        player = f"because callout {number}, which is {status} may still play it"
        deleted, renamed = api.delete(file), api.patch(file, {"name": "all-clear"})
        assert (deleted.status, deleted.json) == (422, {"errors": {"base": [f"Cannot delete record {player}"]}})
        assert (renamed.status, renamed.json) == (422, {"errors": {"name": [f"cannot be changed {player}"]}})
    assert api.patch(file, {"language": "km"}).status == 204
    assert api.patch(other, {"name": "other"}).status == 204
    assert api.delete(other).status == 204
    database["callouts"].update_one({"_id": number}, {"$set": {"status": "completed"}})
    assert api.patch(file, {"name": "all-clear"}).status == 204
    assert api.delete(file).status == 204


def test_what_no_callout_plays_any_more_can_be_deleted(api: Client, stranger: Client) -> None:
    file = audio_file(api, "flood")
    callout(stranger, "flood")
    path = callout(api, "flood")
    assert api.delete(file).status == 422
    assert api.patch(path, {"metadata[audio]": "https://example.org/flood.mp3"}).status == 204
    assert api.delete(file).status == 204


def test_what_a_version_plays_can_neither_be_deleted_nor_renamed(api: Client, database: Documents) -> None:
    file = audio_file(api, "flood.km")
    flow = make(api, "/api/call_flows", name="flood", definition=DEFINITION)
    assert api.post(f"/api/call_flows/{flow}/publish").status == 201
    own = {"account_id": api.get("/api/account").json["id"]}
    database["call_flow_versions"].update_one(own, {"$set": {"audio": {"flood%2Ekm": "/audio/1.wav"}}})
    draft = {
        "languages": ["en"],
        "start": "warning",
        "steps": {"warning": {"say": {"en": "Water."}, "hang_up": True}},
    }
    assert api.patch(f"/api/call_flows/{flow}", json={"definition": draft}).status == 204
    assert api.post(f"/api/call_flows/{flow}/publish").status == 201
    player = "because version 1 of call flow flood may still play it"
    assert api.delete(file).json == {"errors": {"base": [f"Cannot delete record {player}"]}}
    assert api.patch(file, {"name": "other"}).json == {"errors": {"name": [f"cannot be changed {player}"]}}
    assert api.delete(f"/api/call_flows/{flow}").status == 204
    left = {"_id": "left", "call_flow_id": flow}
    database["call_flow_versions"].insert_one({**own, **left, "audio": {"flood%2Ekm": "/audio/1.wav"}})
    assert api.delete(file).status == 204
