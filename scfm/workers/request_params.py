"""The parameters of the request that places a call: as stored, and this server's webhook where they name none."""

from __future__ import annotations

from collections.abc import Callable

from scfm.models.outcome import ATTEMPT_NUMBER
from scfm.models.plan import Plan
from scfm.models.stored_documents import PhoneCallDocument
from scfm.providers.abilities import Abilities
from scfm.providers.call_parameters import INSTRUCTIONS
from scfm.storage.query import Document
from scfm.twiml.flow import WEBHOOK_PATH


def params_of(public_url: str, own_url: Callable[[], str], call: PhoneCallDocument) -> Document:
    """The ``remote_request_params`` of a call as they are sent, with the addresses of this server as they are now.

    PUBLIC_URL is the setting, perhaps ''; OWN_URL gives where providers reach this server, which is the same or, for
    a provider on this machine, where it listens. Calls of a plan have that at least.
    """
    return sent_params(call["remote_request_params"], own_url() if call.get(ATTEMPT_NUMBER) else public_url)


def sent_params(stored: Document, server_url: str) -> Document:
    """The STORED ``remote_request_params`` as they are sent by a server at SERVER_URL, '' where that is not known.

    A default goes with POST, whatever method the client gave for the URL that it did not give.
    """
    if not server_url:
        return stored
    webhook, sent = f"{server_url}{WEBHOOK_PATH}", stored
    if all(stored.get(name) is None for name in INSTRUCTIONS):
        sent = {**sent, "url": webhook, "method": "POST"}
    if stored.get("status_callback") is None:
        sent = {**sent, "status_callback": webhook, "status_callback_method": "POST"}
    if stored.get("async_amd") == "true" and stored.get("async_amd_status_callback") is None:
        sent = {**sent, "async_amd_status_callback": webhook, "async_amd_status_callback_method": "POST"}
    return sent


def attempt_params(plan: Plan, abilities: Abilities, twiml: str | None = None) -> Document:
    """The ``remote_request_params`` of one attempt of a plan, for the provider that has ABILITIES.

    TWIML, if it is given, is sent in place of a ``url``. Where the plan must know whether a machine answers, the
    provider is asked to find out. Addresses of this server are not stored: they may be others when the call leaves.
    """
    given: Document = plan.remote_request_params
    if twiml is not None:
        given = {name: value for name, value in given.items() if name not in (*INSTRUCTIONS, "method")}
        given["twiml"] = twiml
    return {**given, **_detection_params(plan, abilities, inline=twiml is not None)}


def _detection_params(plan: Plan, abilities: Abilities, *, inline: bool) -> Document:
    """What asks for detection of answering machines, unless the plan does so itself, or does not need it.

    The verdict comes with the request for TwiML, whose answer hangs up. Where there will be no such request, it
    is told to the webhook while the call goes on.
    """
    asked = plan.remote_request_params.get("machine_detection") is not None
    if plan.answering_machine == "play" or asked or not abilities.machine_detection:
        return {}
    in_background = {"async_amd": "true"} if inline and abilities.asynchronous_detection else {}
    return {"machine_detection": "Enable", **in_background}
