"""What a flow says first, sent inside the call: only where it needs no answer, and is not too long."""

from __future__ import annotations

from typing import Any

import pytest
from twilio.twiml.voice_response import VoiceResponse

from scfm.calls.find_call import FoundCall
from scfm.calls.inline_twiml import NotInline, inline_twiml
from scfm.providers.abilities import TWILIO
from scfm.twiml.application import Application
from scfm.twiml.avf_capom import CapomShort
from scfm.twiml.definition import FlowStep
from scfm.twiml.definition_flow import definition_flow
from scfm.twiml.flow import Flow, FlowSettings
from scfm.twiml.message import Message
from tests.flows.odd_flows import Failing

WEBHOOK = "https://alerts.example.org/api/remote_phone_call_events"


class DistrictWarning(Flow):
    """Says what the callout and the contact have, and hangs up."""

    name = "DistrictWarning"

    def run(self) -> VoiceResponse:
        callout, response = self.turn.call.callout, VoiceResponse()
        assert callout is not None and self.turn.details["To"] == self.turn.contact.msisdn
        response.say(f"{callout.metadata['message']} {self.turn.contact.metadata['district']}")
        response.hangup()
        return response


class Counting(DistrictWarning):
    """Remembers that it was asked."""

    name = "Counting"

    def run(self) -> VoiceResponse:
        self.turn.call_memory["asked"] = True
        return super().run()


class Hasty(DistrictWarning):
    """Acknowledges before anybody has answered."""

    name = "Hasty"

    def run(self) -> VoiceResponse:
        self.turn.acknowledge()
        return super().run()


def document(step: FlowStep) -> type[Flow]:
    """A call flow as a document, with one step."""
    return definition_flow("Flood", {"languages": ["en"], "start": "a", "steps": {"a": step}}, 1, {})


def inline(flow: type[Flow], message: Any = "Water in") -> str:
    contact = {"_id": 2, "msisdn": "+85512345678", "metadata": {"district": "Kandal"}}
    call = {
        "_id": 1,
        "msisdn": "+85512345678",
        "remote_call_id": None,
        "status": "created",
        "contact_id": 2,
        "metadata": {},
        "remote_request_params": {"from": "1294"},
    }
    found = FoundCall(call, contact, {"_id": 3, "metadata": {"message": message}})
    return inline_twiml(flow, FlowSettings(), WEBHOOK, found, TWILIO)


def test_what_needs_no_answer_is_sent_inside_the_call() -> None:
    assert inline(DistrictWarning).endswith("<Response><Say>Water in Kandal</Say><Hangup /></Response>")
    assert "documentation" in inline(Application)
    assert inline(document({"say": {"en": "{callout.metadata.message}"}, "hang_up": True})).endswith(
        "<Response><Say>Water in</Say><Hangup /></Response>"
    )


@pytest.mark.parametrize(
    ("flow", "message", "why"),
    [
        (Message, "Water", "CallFlowLogic::Message begins with a <Gather>, after which the server is asked for more"),
        (CapomShort, "Water", "CapomShort begins with a <Redirect>, after which the server is asked for more"),
        (document({"menu": {"digits": {"1": "a"}}}), "Water", "Flood begins with a <Gather>, after which the"),
        (document({"acknowledge": True, "hang_up": True}), "Water", "Flood remembers something of its first turn"),
        (Counting, "Water", "Counting remembers something of its first turn, before anybody has answered"),
        (Hasty, "Water", "Hasty remembers something of its first turn, before anybody has answered"),
        (Failing, "Water", "Failing fails in its first turn: the log says why"),
        (DistrictWarning, "x" * 4000, "characters of TwiML, and Twilio takes at most 4000 inside a call"),
    ],
)
def test_what_cannot_be_sent_inside_the_call_says_why(flow: type[Flow], message: str, why: str) -> None:
    with pytest.raises(NotInline) as refused:
        inline(flow, message)
    assert why in str(refused.value)


def test_the_bound_is_of_characters() -> None:
    room = TWILIO.inline_twiml - len(inline(DistrictWarning, ""))
    assert len(inline(DistrictWarning, "\u1791" * room)) == TWILIO.inline_twiml
    with pytest.raises(NotInline):
        inline(DistrictWarning, "\u1791" * (room + 1))
