"""The provider's side of the webhook: signed reports to a real server, and calls that a carrier has taken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from tests.server import Answer, Client, Server, wait_until
from tests.torture.carrier import Carrier
from tests.torture.databases import free_port

SID, TOKEN = "AC" + "1" * 32, "the server's token"
PATH = "/api/remote_phone_call_events"
FORM = "application/x-www-form-urlencoded"
FINAL = ("completed", "not_answered", "busy", "failed", "canceled", "errored")

_sids = count(1)


def new_sid() -> str:
    """The id of a call that nobody has had before."""
    return f"CA{next(_sids):032x}"


class _Fields(dict[str, Any]):
    """Form fields, of which one may have a list of values, as the validator wants them."""

    def getlist(self, name: str) -> list[str]:
        value = self[name]
        return value if isinstance(value, list) else [value]


def signature(url: str, fields: Mapping[str, Any], token: str = TOKEN) -> str:
    """What the provider sends as X-Twilio-Signature."""
    return str(RequestValidator(token).compute_signature(url, _Fields(fields)))


class PhoneLine:
    """Sends what a provider sends, from an account whose auth token is TOKEN, to the server's PUBLIC_URL."""

    def __init__(self, server: Server, sid: str = SID, token: str = TOKEN, public_url: str = "") -> None:
        self.server = server
        self.sid = sid
        self.token = token
        self.public_url = public_url

    @property
    def base(self) -> str:
        return self.public_url or self.server.url

    def report(self, call_sid: str | None = None, **fields: str) -> Answer:
        """A signed webhook about a call, an inbound one unless the fields say otherwise."""
        return self.send(self.fields(call_sid, **fields))

    def fields(self, call_sid: str | None = None, **fields: str) -> dict[str, str]:
        """The parameters of such a webhook."""
        return {
            "AccountSid": self.sid,
            "CallSid": call_sid or new_sid(),
            "CallStatus": "in-progress",
            "Direction": "inbound",
            "From": "+252662345678",
            "To": "+252661000000",
            **fields,
        }

    def send(self, fields: Mapping[str, Any], path: str = PATH, **changed: Any) -> Answer:
        """A signed form with these fields; ``body``, ``headers`` may be others than those that were signed."""
        headers = {
            "Content-Type": FORM,
            "X-Twilio-Signature": signature(self.base + path, fields, self.token),
            **changed.pop("headers", {}),
        }
        body = changed.pop("body", urlencode(fields, doseq=True).encode())
        return self.server.request("POST", path, body=body, headers=headers, token="")


@contextmanager
def standstill() -> Iterator[str]:
    """A carrier that takes every call, and with which no call gets any further by itself; its URL."""
    port = free_port()
    with Carrier(port, life_size=1000.0):
        yield f"http://127.0.0.1:{port}"


def environment(provider: str, token: str = TOKEN, **settings: str) -> dict[str, str]:
    """The settings of a server whose own credentials are those of the carrier at the URL PROVIDER."""
    return {
        "PLATFORM_PROVIDER": "twilio",
        "TWILIO_ACCOUNT_SID": SID,
        "TWILIO_AUTH_TOKEN": token,
        "TWILIO_CLIENT_REST_API_BASE_URL": provider,
        **settings,
    }


def at_once(*posts: Callable[[], Answer]) -> list[Answer]:
    """The answers to requests that are all sent at the same moment."""
    barrier = threading.Barrier(len(posts))

    def post(one: Callable[[], Answer]) -> Answer:
        barrier.wait(120)
        return one()

    with ThreadPoolExecutor(len(posts)) as pool:
        return list(pool.map(post, posts))


def participation(client: Client, msisdn: str, flow: str | None = None) -> str:
    """A contact with that number in a new callout; the path of his participation."""
    contact = client.post("/api/contacts", {"msisdn": msisdn})
    number = contact.json["id"] if contact.status == 201 else _contact(client, msisdn)["id"]
    callout = client.post("/api/callouts", {"call_flow_logic": flow} if flow else {}).json["id"]
    assert client.post(f"/api/callouts/{callout}/callout_events", {"event": "start"}).status == 201
    made = client.post(f"/api/callouts/{callout}/callout_participations", {"contact_id": str(number)})
    assert made.status == 201, made
    return f"/api/callout_participations/{made.json['id']}"


def place_call(client: Client, path: str, **params: str) -> str:
    """A call to a participation, queued; its path."""
    wanted = {"from": "345", "url": "http://127.0.0.1:9/none", **params}
    made = client.post(f"{path}/phone_calls", json={"remote_request_params": wanted})
    assert made.status == 201, made
    call = f"/api/phone_calls/{made.json['id']}"
    assert client.post(f"{call}/phone_call_events", {"event": "queue"}).status == 201
    return call


def outbound(client: Client, msisdn: str, flow: str | None = None) -> tuple[str, str]:
    """A call that the carrier has taken: its path, and the provider's id of it."""
    path = place_call(client, participation(client, msisdn, flow))
    call = wait_until(lambda: _taken(client, path))
    return path, call["remote_call_id"]


def call_with(client: Client, call_sid: str) -> Any:
    """The phone call that has the provider's id."""
    (call,) = client.get(f"/api/phone_calls?q[remote_call_id]={call_sid}").json
    return call


def events_of(client: Client, call: Any) -> Any:
    """All that has been reported of a phone call."""
    return client.get(f"/api/phone_calls/{call['id']}/remote_phone_call_events?per_page=1000").json


def contact_of(client: Client, msisdn: str) -> Any:
    """The contact with that number; None if there is none."""
    found = client.get(f"/api/contacts?q[msisdn]={msisdn.replace('+', '%2B')}").json
    assert len(found) < 2
    return found[0] if found else None


def _contact(client: Client, msisdn: str) -> Any:
    contact = contact_of(client, msisdn)
    assert contact is not None
    return contact


def _taken(client: Client, path: str) -> Any:
    call = client.get(path).json
    return call if call["remote_call_id"] else None
