"""The requests that are measured, whole, as the generator sends them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from benchmarks.ground import SID, TOKEN
from benchmarks.wire import request
from tests.server import Server

SURVEY = "CallFlowLogic::AvfCapom::CapomShort"
SURVEYS = {"REGISTERED_CALL_FLOW_LOGIC": SURVEY, "DEFAULT_CALL_FLOW_LOGIC": SURVEY}
FORM = "application/x-www-form-urlencoded"
CALLERS = 20  # at a time
# What one caller sends, from the first ring to the end.
STEPS: tuple[dict[str, str], ...] = (
    {},
    {},
    {"Digits": "1"},
    {"Digits": "2"},
    {"RecordingUrl": "https://example.org/recordings/RE1", "RecordingDuration": "4"},
    {"Digits": "1"},
    {"CallStatus": "completed", "CallbackSource": "call-progress-events", "SequenceNumber": "3"},
)


def get(server: Server, path: str) -> str:
    """A client's GET."""
    return request("GET", path, _credentials(server))


def new_contacts(server: Server, first: int, count: int) -> list[str]:
    """So many POSTs, each of a contact that is not there yet."""
    headers = {**_credentials(server), "Content-Type": FORM}
    return [
        request("POST", "/api/contacts", headers, urlencode({"msisdn": f"+85510{number:06}", "metadata[name]": "A"}))
        for number in range(first, first + count)
    ]


def webhooks(server: Server, number: int = 0) -> Iterator[str]:
    """The signed webhooks of people who call in and answer a survey, twenty at a time, from that one on."""
    url = f"{server.url}/api/remote_phone_call_events"
    sign = RequestValidator(TOKEN).compute_signature
    while True:
        parameters = _report(number)
        headers = {"X-Twilio-Signature": sign(url, parameters), "Content-Type": FORM}
        yield request("POST", "/api/remote_phone_call_events", headers, urlencode(parameters)).replace(
            "Host: 127.0.0.1\r\n", f"Host: {server.host}:{server.port}\r\n"
        )
        number += 1


def _credentials(server: Server) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{server.token}:".encode()).decode()}


def _report(number: int) -> dict[str, str]:
    group, position = divmod(number, CALLERS * len(STEPS))
    step, caller = divmod(position, CALLERS)
    caller += group * CALLERS
    return {
        "AccountSid": SID,
        "CallSid": f"CA{caller:032}",
        "CallStatus": "in-progress",
        "Direction": "inbound",
        "From": f"+85512{caller:06}",
        "To": "+85523000000",
        **STEPS[step],
    }
