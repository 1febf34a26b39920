"""The flow of a call that records an audio file: who is called speaks, hears it, and keeps it with key 1."""

from __future__ import annotations

from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]

from scfm.twiml.flow import Flow

KEEP, AGAIN = "1", "2"
MAX_RECORDING_SECONDS = 300
# How often it is asked for, and played back, in all.
MAX_ASKED = 5
# In the call's memory: where the provider has the recording, and whether it is to be kept.
RECORDED_AT, IS_KEPT, TIMES_ASKED = "recorded_at", "kept", "asked"


class RecordAudio(Flow):
    """Records, plays back, keeps on 1, begins anew on 2: that of the calls of ``/api/audio_files/record``."""

    name = "CallFlowLogic::RecordAudio"

    def run(self) -> VoiceResponse:
        memory, response = self.turn.call_memory, VoiceResponse()
        recorded = memory.get(RECORDED_AT)
        if memory.get(IS_KEPT):
            response.say("It is kept. Goodbye.")
        elif self.turn.recording_url:
            memory[RECORDED_AT] = self.turn.recording_url
            self._play_back(response, self.turn.recording_url)
            return response
        elif recorded and self.turn.digits == KEEP:
            memory[IS_KEPT] = True
            response.say("It is kept. Goodbye.")
        elif (asked := memory.get(TIMES_ASKED, 0)) >= MAX_ASKED:
            response.say("Nothing is kept. Goodbye.")
        elif recorded and self.turn.digits != AGAIN:
            memory[TIMES_ASKED] = asked + 1
            self._play_back(response, recorded)
            return response
        else:
            memory.pop(RECORDED_AT, None)
            memory[TIMES_ASKED] = asked + 1
            self._record(response)
            return response
        response.hangup()
        return response

    def _record(self, response: VoiceResponse) -> None:
        response.say("Please speak after the tone. Press the hash key when you have finished.")
        response.record(action=self.turn.url, max_length=MAX_RECORDING_SECONDS, finish_on_key="#", play_beep=True)
        # Nobody has spoken: the provider goes on here.
        response.redirect(self.turn.url)

    def _play_back(self, response: VoiceResponse, recorded: str) -> None:
        gather = response.gather(num_digits=1, action=self.turn.url)
        gather.say("You have said:")
        gather.play(recorded)
        gather.say("Press 1 to keep it, or 2 to record it again.")
        response.redirect(self.turn.url)
