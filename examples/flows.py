"""The worked examples of docs/writing-a-flow.md."""

from __future__ import annotations

from urllib.parse import quote

from twilio.twiml.voice_response import VoiceResponse

from scfm.twiml.flow import Flow
from scfm.twiml.survey import Survey


class FloodWarning(Flow):
    """Warns of a flood, and notes who is safe."""

    name = "FloodWarning"

    def run(self) -> VoiceResponse:
        if self.turn.digits == "1":
            return self.note()
        if self.turn.call_memory.get("warned", 0) == 3:
            return self.give_up()
        return self.warn()

    def note(self) -> VoiceResponse:
        self.turn.contact_memory["safe"] = True
        response = VoiceResponse()
        response.say("Thank you. You are safe. Goodbye.")
        response.hangup()
        return response

    def warn(self) -> VoiceResponse:
        if not self.turn.is_status_callback:
            self.turn.call_memory["warned"] = self.turn.call_memory.get("warned", 0) + 1
        response = VoiceResponse()
        gather = response.gather(num_digits=1)
        gather.say(f"Flood warning. {self.message()} Press 1 if you are safe.")
        response.redirect(self.turn.url)  # reached when nothing is pressed
        return response

    def message(self) -> str:
        callout = self.turn.call.callout
        return str(callout.metadata.get("message", "")) if callout else "The water is rising."

    def give_up(self) -> VoiceResponse:
        response = VoiceResponse()
        response.say("Go to higher ground now. We will call again. Goodbye.")
        response.hangup()
        return response


class WaterSurvey(Survey):
    """Asks whether the water is clean; if it is not, records what is wrong."""

    name = "WaterSurvey"
    arrows = {
        "initialized": "gathering_clean",
        "gathering_clean": {"1": "playing_thanks", "2": "recording_what_is_wrong"},
        "recording_what_is_wrong": "playing_thanks",
        "playing_thanks": "finished",
        "finished": {},
    }
    words = {
        "gathering_clean": "Is your water clean? Press 1 for yes, 2 for no.",
        "recording_what_is_wrong": "Please say what is wrong after the tone, then press any key.",
        "playing_thanks": "Thank you. Goodbye.",
        "did_not_understand_response": "Sorry, we did not understand.",
    }

    def prompt(self, verb: VoiceResponse, words: str) -> None:
        verb.say(self.words[words])

    def step(self) -> None:
        if self.state == "recording_what_is_wrong":
            self.turn.contact_memory["recording"] = self.turn.recording_url
        super().step()


class AlertHotline(Flow):
    """Plays the newest alert of the caller's district; asks a caller for whom we have none."""

    name = "AlertHotline"
    districts = {"1": "kandal", "2": "takeo"}

    def run(self) -> VoiceResponse:
        district = self.district()
        return self.alert(district) if district else self.ask()

    def district(self) -> str | None:
        if self.turn.digits in self.districts:
            self.turn.contact_memory["district"] = self.districts[self.turn.digits]
        known = self.turn.contact.metadata.get("district") or self.turn.contact_memory.get("district")
        return str(known) if known else None

    def alert(self, district: str) -> VoiceResponse:
        settings = self.turn.settings
        response = VoiceResponse()
        response.play(
            f"{settings.play_file_base_url}/alerts/{quote(district, safe='')}/newest{settings.play_file_extension}"
        )
        response.hangup()
        return response

    def ask(self) -> VoiceResponse:
        response = VoiceResponse()
        gather = response.gather(num_digits=1)
        gather.say("Press 1 if you live in Kandal, 2 if you live in Takeo.")
        response.say("Please call again. Goodbye.")
        return response
