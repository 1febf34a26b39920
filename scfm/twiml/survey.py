"""A survey: a state machine that is a table. Each turn takes one arrow; the answer is the state reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]

from scfm.twiml.flow import Flow, Turn

ANY = "any"  # the arrow for every answer that has none of its own

INITIALIZED = "initialized"
FINISHED = "finished"

Arrows = Mapping[str, str | Mapping[str, str]]


class Survey(Flow):
    """The base of a survey: a subclass gives the arrows, and may give the words.

    ``arrows`` maps each state to the next one where no answer is needed, else to ``{answer: next}``. The
    first state is ``initialized``, the last ``finished``. A state's name says what it does:

    - ``gathering_…`` prompts and waits for keys, ``digits[state]`` of them, else one;
    - ``recording_…`` prompts and records;
    - ``playing_…`` prompts, and hangs up if ``finished`` is next, else goes on.

    The contact's memory keeps it: ``status``, with ``transitioned_to_STATE_by: EVENT_ID`` beside it.
    """

    arrows: ClassVar[Arrows] = {}
    digits: ClassVar[Mapping[str, int]] = {}

    def __init__(self, turn: Turn) -> None:
        super().__init__(turn)
        status = turn.contact_memory.get("status")
        self.state = status if isinstance(status, str) and status in self.arrows else INITIALIZED
        self.misunderstood = False

    def run(self) -> VoiceResponse:
        if self._may_step() and not self._applied():
            self.step()
        return self.respond()

    def step(self) -> None:
        """Takes the arrow that the answer fits; without one the state is repeated."""
        target = self._target()
        if target is None:
            self.misunderstood = True
            return
        self.state = target
        self.turn.contact_memory["status"] = target
        self.turn.contact_memory[f"transitioned_to_{target}_by"] = self.turn.event_id

    def respond(self) -> VoiceResponse:
        """The TwiML of the state."""
        response = VoiceResponse()
        kind = self.state.partition("_")[0]
        if kind == "gathering":
            self._gather(response)
        elif kind == "recording":
            self.prompt(response, self.state)
            response.record()
        elif kind == "playing":
            self._play(response)
        elif self.state == FINISHED:
            response.hangup()
        else:
            response.say("Sorry. The application has no response. Goodbye.")
        return response

    def prompt(self, verb: VoiceResponse, words: str) -> None:
        """Puts WORDS, a state's name or ``did_not_understand_response``, into VERB: the file of that name."""
        settings = self.turn.settings
        verb.play(f"{settings.play_file_base_url}/{words}{settings.play_file_extension}")

    def _may_step(self) -> bool:
        """A status callback answers no question; but when the call is over, so is a survey that has said its last."""
        if not self.turn.is_status_callback:
            return True
        return self.turn.details.get("CallStatus") == "completed" and self._target() == FINISHED

    def _applied(self) -> bool:
        """Whether this very event has made its step already: a webhook may be handled twice."""
        made = (self.turn.contact_memory.get(f"transitioned_to_{state}_by") for state in self.arrows)
        return self.turn.event_id in made

    def _target(self) -> str | None:
        arrows = self.arrows[self.state]
        if isinstance(arrows, str):
            return arrows
        answer = self.turn.digits
        return arrows.get(answer, arrows.get(ANY)) if answer else None

    def _gather(self, response: VoiceResponse) -> None:
        gather = response.gather(num_digits=self.digits.get(self.state, 1), timeout=self.turn.settings.gather_timeout)
        if self.misunderstood:
            self.prompt(gather, "did_not_understand_response")
        self.prompt(gather, self.state)

    def _play(self, response: VoiceResponse) -> None:
        self.prompt(response, self.state)
        if self.arrows[self.state] == FINISHED:
            response.hangup()
        else:
            response.redirect(self.turn.url)
