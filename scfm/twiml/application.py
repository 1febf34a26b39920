"""The flow of a call that names none, and the flow of a call whose flow is gone."""

from __future__ import annotations

from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]

from scfm.twiml.flow import Flow


class Application(Flow):
    """Thanks the caller for trying the documentation, and plays a song."""

    name = "CallFlowLogic::Application"

    def run(self) -> VoiceResponse:
        response = VoiceResponse()
        response.say("Thanks for trying our documentation. Enjoy!")
        response.play("http://demo.twilio.com/docs/classic.mp3")
        return response


class Unregistered(Flow):
    """Stands for a flow that a call was given and that has since been taken off the list; it always fails."""

    def run(self) -> VoiceResponse:
        raise LookupError("the call's flow is not registered: see REGISTERED_CALL_FLOW_LOGIC")
