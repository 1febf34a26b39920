"""Flows that only tests have: one that counts what it hears, and one that fails."""

from __future__ import annotations

from twilio.twiml.voice_response import VoiceResponse

from scfm.twiml.flow import Flow


class Tally(Flow):
    """Writes every key down, in the memory of the call and in that of the contact."""

    name = "Tally"

    def run(self) -> VoiceResponse:
        for memory in (self.turn.call_memory, self.turn.contact_memory):
            if self.turn.digits:
                memory["keys"] = [*memory.get("keys", []), self.turn.digits]
        response = VoiceResponse()
        response.say(" ".join(self.turn.call_memory.get("keys", [])) or "nothing")
        return response


class Failing(Flow):
    """Remembers something and falls over, unless it is told to be well."""

    name = "Failing"

    def run(self) -> VoiceResponse:
        self.turn.contact_memory["half"] = "written"
        if self.turn.digits != "1":
            raise ValueError("the flow is out of order")
        response = VoiceResponse()
        response.say("well")
        return response


class Replying(Flow):
    """Notes what is pressed: every key as an answer, 1 as an acknowledgement, 9 as an opt-out; 0 breaks it."""

    name = "Replying"

    def run(self) -> VoiceResponse:
        turn, keys = self.turn, self.turn.digits
        if keys:
            pressed = turn.call_memory["pressed"] = turn.call_memory.get("pressed", 0) + 1
            turn.answer("keys", keys)
            turn.answer(f"key-{pressed}", keys)
        if keys == "1":
            turn.acknowledge()
        if keys == "9":
            turn.opt_out()
        if keys == "0":
            raise ValueError("the flow is out of order")
        response = VoiceResponse()
        response.say(f"{len(turn.answers)} before")
        return response
