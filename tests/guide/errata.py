"""Where the guide contradicts itself, and what it means. The replay fails on an entry that is no longer needed."""

from __future__ import annotations

from typing import Any

from tests.guide.guide import Contradiction, Erratum, Misplaced, Misprint

NO_CREDENTIALS = "The command lacks the credentials that every request needs."
UPDATED_FROM = "Line 922 changed the caller of call 1 to 345; this answer still prints the old one."
CALLBACK_LOST = "Line 1465 sent a status_callback, and call 4 was created with it; this answer leaves it out."
CALL_1_ERRORED = "Call 1 was errored at line 1151, and a call once sent is never sent again; this list has it queued."

CALLBACK = "http://18a2c6b3.ngrok.io/api/remote_phone_call_events"
CALL_4_PARAMS = {"from": "345", "url": CALLBACK, "status_callback": CALLBACK}
CALL_1: dict[str, Any] = {
    "status": "errored",
    "remote_call_id": None,
    "remote_status": None,
    "remote_direction": None,
    "remote_error_message": (
        "Unable to create record: The requested resource /2010-04-01/Accounts//Calls.json was not found"
    ),
    "remote_queue_response": {},
}

ERRATA: list[Erratum] = [
    Misplaced(478, 479, below=481, reason="The headers are printed above their command."),
    Misprint(922, "=GET\"'", "=GET\" -u $ACCESS_TOKEN:'", NO_CREDENTIALS, refused=401),
    Contradiction(1078, (0, "remote_request_params", "from"), "345", UPDATED_FROM),
    Contradiction(1118, ("remote_request_params", "from"), "345", UPDATED_FROM),
    Contradiction(1151, ("remote_request_params", "from"), "345", UPDATED_FROM),
    Misprint(1486, '_events",', '_events"', "A comma too many: the answer as printed is no JSON."),
    Misprint(1500, "phone_calls/5", "phone_calls/4", "There is no call 5 yet; call 4 is meant.", refused=404),
    Contradiction(1534, ("remote_request_params",), CALL_4_PARAMS, CALLBACK_LOST),
    Contradiction(1566, ("remote_request_params",), CALL_4_PARAMS, CALLBACK_LOST),
    Misprint(1992, "=running\"'", "=running\" -u $ACCESS_TOKEN:'", NO_CREDENTIALS, refused=401),
    *(
        Contradiction(line, (0, name), value, CALL_1_ERRORED)
        for line in (2201, 2665)
        for name, value in CALL_1.items()
    ),
    Contradiction(2201, (2, "remote_request_params"), CALL_4_PARAMS, CALLBACK_LOST),
    Contradiction(2665, (2, "remote_request_params"), CALL_4_PARAMS, CALLBACK_LOST),
]
