"""What a flow says first, to be sent inside the request for a call: then nobody need ask this server for it.

The flow takes its first turn when the call is made, not when somebody answers. So it must need no answer, remember
nothing of that turn, and fit the provider's bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scfm.calls.find_call import FoundCall
from scfm.calls.flow_turn import FlowTurn
from scfm.errors import NotFound, ScfmError
from scfm.models.declaration import initial_fields
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.stored_documents import EventDocument, PhoneCallDocument
from scfm.providers.abilities import Abilities
from scfm.storage.query import Document
from scfm.twiml.flow import Flow, FlowSettings, apology
from scfm.twiml.interpreter import parse

# The verbs after which nobody is asked for more.
ONE_WAY = frozenset({"Say", "Play", "Pause", "Hangup", "Reject"})


class NotInline(ScfmError):
    """What the flow says first cannot be sent inside a call; the text says why, for people."""


def inline_twiml(
    flow: type[Flow], settings: FlowSettings, webhook: str, found: FoundCall, abilities: Abilities
) -> str:
    """The TwiML that FLOW answers a call with that is about to be made, with its contact and its callout.

    WEBHOOK is the address at which the flow would be asked. Raises NotInline.
    """
    event: EventDocument = {"_id": 0, "details": _details(found.call), "remote_direction": "outbound-api"}
    try:
        taken = FlowTurn(flow, settings, webhook).take_turn(found, event)
    except NotFound:
        raise NotInline("the contact is gone") from None
    if taken.answer == apology():
        raise NotInline(f"{flow.name} fails in its first turn: the log says why")
    if asking := [verb.name for verb in parse(taken.answer) if verb.name not in ONE_WAY]:
        raise NotInline(f"{flow.name} begins with a <{asking[0]}>, after which the server is asked for more")
    if taken.changes or taken.replies:
        raise NotInline(f"{flow.name} remembers something of its first turn, before anybody has answered")
    if len(taken.answer) > abilities.inline_twiml:
        bound = f"{abilities.name} takes at most {abilities.inline_twiml} inside a call"
        raise NotInline(f"{flow.name} begins with {len(taken.answer)} characters of TwiML, and {bound}")
    return taken.answer


def next_call(
    callout: Mapping[str, Any], contact: Mapping[str, Any], msisdn: str | None, flow: str, params: Document
) -> FoundCall:
    """A call of CALLOUT to CONTACT's number MSISDN that is about to be made, with the flow that it will have.

    PARAMS are its ``remote_request_params``.
    """
    call = {"contact_id": contact["_id"], "callout_id": callout["_id"], "msisdn": msisdn, "_id": 0}
    return FoundCall.of(
        {**initial_fields(PHONE_CALLS), **call, "remote_request_params": params}, contact, callout, flow
    )


def _details(call: PhoneCallDocument) -> dict[str, str]:
    """What the provider would send when somebody answers, as far as it is known."""
    params = call.get("remote_request_params") or {}
    return {
        "CallStatus": "in-progress",
        "Direction": "outbound-api",
        "From": str(params.get("from") or ""),
        "To": call["msisdn"],
    }
