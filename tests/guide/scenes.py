"""What a chapter begins with: contacts, callouts, participations and phone calls, made as the guide makes them."""

from __future__ import annotations

import itertools
from typing import Any

from tests.server import Client, wait_until

URL = "https://demo.twilio.com/docs/voice.xml"
PARAMS = {"remote_request_params[from]": "1234", "remote_request_params[url]": URL}
NESTED_PARAMS = {f"parameters[{name.replace('[', '][', 1)}": value for name, value in PARAMS.items()}
FLOW = "CallFlowLogic::AvfCapom::CapomShort"

_numbers = itertools.count(1)


def number() -> str:
    """A phone number that no other test has."""
    return f"+25266{next(_numbers):07d}"


def made(api: Client, path: str, form: dict[str, str] | None = None) -> Any:
    """What a POST to this path makes."""
    answer = api.post(path, form or {})
    assert answer.status == 201, answer
    return answer.json


def contact(api: Client, msisdn: str | None = None, **metadata: str) -> Any:
    fields = {f"metadata[{name}]": value for name, value in metadata.items()}
    return made(api, "/api/contacts", {"msisdn": msisdn or number(), **fields})


def callout(api: Client, **fields: str) -> Any:
    return made(api, "/api/callouts", fields)


def running_callout(api: Client, **fields: str) -> Any:
    flood = callout(api, **fields)
    return made(api, f"/api/callouts/{flood['id']}/callout_events", {"event": "start"})


def participation(api: Client, callout_: Any = None, contact_: Any = None, **fields: str) -> Any:
    callout_ = callout_ or callout(api)
    contact_ = contact_ or contact(api)
    form = {"contact_id": str(contact_["id"]), **fields}
    return made(api, f"/api/callouts/{callout_['id']}/callout_participations", form)


def phone_call(api: Client, participation_: Any = None, **fields: str) -> Any:
    participation_ = participation_ or participation(api)
    return made(api, f"/api/callout_participations/{participation_['id']}/phone_calls", {**PARAMS, **fields})


def population(api: Client, callout_: Any, **parameters: str) -> Any:
    form = {"type": "BatchOperation::CalloutPopulation", **parameters}
    return made(api, f"/api/callouts/{callout_['id']}/batch_operations", form)


def operation(api: Client, type_: str, parameters: dict[str, str] | None = None) -> Any:
    """A batch operation over phone calls: ``type_`` is the part after the colons."""
    form = {"type": f"BatchOperation::{type_}", **(parameters or {})}
    return made(api, "/api/batch_operations", form)


def run(api: Client, operation_: Any, event: str = "queue") -> Any:
    """Queue the batch operation and wait until it has finished."""
    path = f"/api/batch_operations/{operation_['id']}"
    made(api, f"{path}/batch_operation_events", {"event": event})
    return wait_until(lambda: _with_status(api, path, "finished"))


def in_status(api: Client, call: Any, status: str) -> Any:
    """The phone call once the background has brought it to this status."""
    try:
        return wait_until(lambda: _with_status(api, f"/api/phone_calls/{call['id']}", status))
    except AssertionError:
        raise AssertionError(api.get(f"/api/phone_calls/{call['id']}").json) from None


def sent(api: Client, call: Any = None) -> Any:
    """A phone call that the provider has accepted."""
    call = call or phone_call(api)
    made(api, f"/api/phone_calls/{call['id']}/phone_call_events", {"event": "queue"})
    return in_status(api, call, "remotely_queued")


def listed(api: Client, path: str) -> list[Any]:
    """The ids in a list."""
    answer = api.get(path)
    assert answer.status == 200, answer
    return [member["id"] for member in answer.json]


def ids(*members: Any) -> list[Any]:
    return [member["id"] for member in members]


def _with_status(api: Client, path: str, status: str) -> Any:
    found = api.get(path).json
    return found if found["status"] == status else None
