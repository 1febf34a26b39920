"""The parameters of the request that places a call: as stored, and this server's webhook where they name none."""

from __future__ import annotations

from scfm.models.plan import Plan
from scfm.providers.abilities import Abilities
from scfm.providers.call_parameters import INSTRUCTIONS
from scfm.storage.query import Document
from scfm.twiml.flow import WEBHOOK_PATH


def sent_params(stored: Document, public_url: str) -> Document:
    """The STORED ``remote_request_params`` as they are sent; PUBLIC_URL is the server's setting, perhaps ''.

    A default goes with POST, whatever method the client gave for the URL that it did not give.
    """
    if not public_url:
        return stored
    webhook, sent = f"{public_url}{WEBHOOK_PATH}", stored
    if all(stored.get(name) is None for name in INSTRUCTIONS):
        sent = {**sent, "url": webhook, "method": "POST"}
    if stored.get("status_callback") is None:
        sent = {**sent, "status_callback": webhook, "status_callback_method": "POST"}
    return sent


def attempt_params(plan: Plan, abilities: Abilities, server_url: str, twiml: str | None = None) -> Document:
    """The ``remote_request_params`` of one attempt of a plan, for the provider that has ABILITIES.

    ``url`` and ``status_callback`` default to the webhook at SERVER_URL; TWIML, if it is given, is sent in place of a
    ``url``. Where the plan must know whether a machine answers, the provider is asked to find out.
    """
    given: Document = plan.remote_request_params
    if twiml is not None:
        given = {name: value for name, value in given.items() if name not in (*INSTRUCTIONS, "method")}
        given["twiml"] = twiml
    webhook = None if twiml is None else server_url + WEBHOOK_PATH
    return {**sent_params(given, server_url), **_detection_params(plan, abilities, webhook)}


def _detection_params(plan: Plan, abilities: Abilities, webhook: str | None) -> Document:
    """What asks for detection of answering machines, unless the plan does so itself, or does not need it.

    The verdict comes with the request for TwiML, whose answer hangs up. Where there will be no such request, it
    is told to WEBHOOK while the call goes on.
    """
    asked = plan.remote_request_params.get("machine_detection") is not None
    if plan.answering_machine == "play" or asked or not abilities.machine_detection:
        return {}
    if webhook is None or not abilities.asynchronous_detection:
        return {"machine_detection": "Enable"}
    callback = {"async_amd_status_callback": webhook, "async_amd_status_callback_method": "POST"}
    return {"machine_detection": "Enable", "async_amd": "true", **callback}
