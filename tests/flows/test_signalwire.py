"""SignalWire: Twilio's API under another base URL, ids of another form, and a key that signs its webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.flows.phone_line import FORM, PATH, call_with, environment, new_sid, outbound, signature, standstill
from tests.server import Answer, Server

PROJECT, TOKEN, SIGNING_KEY = "b3877c40-da60-4998-90ad-b792e98472af", "PT-token", "PSK-signing-key"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("signalwire")
    with standstill() as provider:
        told = environment(f"{provider}/api/laml", TOKEN, TWILIO_ACCOUNT_SID=PROJECT, TWILIO_SIGNING_KEY=SIGNING_KEY)
        with Server(folder / "data", told) as server:
            yield server


def report(server: Server, key: str, header: str = "X-SignalWire-Signature", **fields: Any) -> Answer:
    told = {"AccountSid": PROJECT, "CallSid": new_sid(), "CallStatus": "ringing", "Direction": "inbound", **fields}
    told = {"From": "+252662370001", "To": "+252661000000", **told}
    headers = {"Content-Type": FORM, header: signature(server.url + PATH, told, key)}
    return server.request("POST", PATH, body=urlencode(told).encode(), headers=headers, token="")


def test_calls_go_out_under_the_path_of_its_api(server: Server) -> None:
    path, sid = outbound(server.client(), "+252662370002")
    answer = report(
        server,
        SIGNING_KEY,
        CallSid=sid,
        CallStatus="failed",
        Direction="outbound-api",
        To="+252662370002",
        SipResultCode="404",
    )
    assert answer.status == 201
    call = server.client().get(path).json
    assert (call["status"], call["error_code"]) == ("failed", "SIP 404")


@pytest.mark.parametrize("header", ["X-SignalWire-Signature", "X-Twilio-Signature"])
def test_webhooks_are_signed_with_the_signing_key(server: Server, header: str) -> None:
    sid = new_sid()
    assert report(server, SIGNING_KEY, header, CallSid=sid).status == 201
    assert call_with(server.client(), sid)["status"] == "in_progress"


@pytest.mark.parametrize(
    ("key", "fields"),
    [(TOKEN, {}), ("another", {}), (SIGNING_KEY, {"AccountSid": "00000000-0000-0000-0000-000000000000"})],
)
def test_another_key_or_project_signs_nothing(server: Server, key: str, fields: dict[str, str]) -> None:
    assert report(server, key, **fields).status == 403


def test_an_account_has_its_own_project(server: Server) -> None:
    project = "11111111-da60-4998-90ad-b792e98472af"
    own = server.new_account(twilio_account_sid=project, twilio_auth_token="its-token")
    assert own.patch("/api/account", {"twilio_signing_key": "its-signing-key"}).status == 204
    assert own.get("/api/account").json["twilio_signing_key"] == "********-key"
    sid = new_sid()
    assert report(server, "its-signing-key", AccountSid=project, CallSid=sid).status == 201
    assert call_with(own, sid)["status"] == "in_progress"
    assert report(server, "its-token", AccountSid=project).status == 403
