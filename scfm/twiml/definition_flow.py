"""The flow of a definition: steps as data, which one class walks through, one document a turn.

A document has the prompt of a step and its question, recording or dialled number, and then goes on to what follows by
a ``<Redirect>`` to the turn's own URL. A step that only hangs up has no document: the one before it says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]

from scfm.twiml.definition import DEFAULT_LANGUAGE_FROM, Definition, Recording
from scfm.twiml.definition_prompt import chosen_language
from scfm.twiml.definition_state import CALL_ANSWERS, CallState, Place, call_answers
from scfm.twiml.definition_steps import CompiledStep, Question, compile_steps
from scfm.twiml.definition_text import value_at
from scfm.twiml.flow import Flow, Turn

OVER = Place(None)


class DefinitionFlow(Flow):
    """The base of the classes that ``definition_flow`` makes: one a version of a call flow.

    The call's memory keeps the state (``CallState``), the contact's memory the answers by their names. An event that
    is handled again comes to the same; one older than the call's last, and a status callback, move nothing. A call
    that is told all in its first document, and of which nothing is noted, leaves no state: so it can be sent inside
    the request for the call.
    """

    version: ClassVar[int]
    definition: ClassVar[Definition]
    audio: ClassVar[Mapping[str, str]]
    steps: ClassVar[Mapping[str, CompiledStep]]
    language_path: ClassVar[tuple[str, ...]]
    # Whether it may connect people with numbers, so that it needs the account's dial_allow_list.
    dials: ClassVar[bool]

    def __init__(self, turn: Turn) -> None:
        super().__init__(turn)
        self._answers: dict[str, Any] = {**turn.answers, **call_answers(turn.call_memory)}

    def run(self) -> VoiceResponse:
        turn, response = self.turn, VoiceResponse()
        if turn.is_status_callback:
            return response
        state = CallState.of(turn.call_memory)
        if state.place is not None and turn.event_id < state.event:
            return self._document(response, state.place)
        before = state.before if turn.event_id == state.event else state.place
        place = self._after(before)
        if before != OVER:
            self._remember(before, place)
        return self._document(response, place)

    # Where a turn leads

    def _after(self, before: Place | None) -> Place:
        """The place that the turn leads to from BEFORE; what it leaves behind and enters is noted."""
        if before == OVER:
            return OVER
        step = self.steps.get(before.step or "") if before is not None else None
        if before is None or step is None:
            return self._enter(self.definition["start"])
        if step.question is not None:
            return self._answered(step.question, before)
        if step.record is not None:
            return self._recorded(step.record, step.next)
        return self._enter(step.next)

    def _answered(self, question: Question, before: Place) -> Place:
        digits = self.turn.digits
        target = question.target(digits) if digits else None
        if target is None and before.times < question.repeat:
            return before._replace(times=before.times + 1)
        if target is None:
            return self._enter(question.otherwise)
        if question.name is not None:
            self._answer(question.name, digits)
        return self._enter(target)

    def _recorded(self, record: Recording, then: str | None) -> Place:
        url = self.turn.recording_url
        if url is None:
            return self._enter(record.get("otherwise"))
        seconds = self.turn.details.get("RecordingDuration", "")
        known = int(seconds) if re.fullmatch("[0-9]{1,9}", seconds) else None
        self._answer(record["as"], {"recording_url": url, "seconds": known})
        return self._enter(then)

    def _enter(self, name: str | None) -> Place:
        if name is None:
            return OVER
        step = self.steps[name]
        for answer, value in step.set.items():
            self._answer(answer, value)
        if step.acknowledge:
            self.turn.acknowledge()
        if step.opt_out:
            self.turn.opt_out()
        return Place(name)

    def _answer(self, name: str, value: Any) -> None:
        """Keep an answer: with the participation, and in the contact's memory.

        A call that is of no callout has no participation, and a caller without a number no contact: then the call's
        memory has it.
        """
        turn = self.turn
        turn.answer(name, value)
        self._answers[name] = value
        if turn.contact.id is not None:
            turn.contact_memory[name] = value
        if turn.call.callout is None:
            turn.call_memory[CALL_ANSWERS] = {**call_answers(turn.call_memory), name: value}

    def _remember(self, before: Place | None, place: Place) -> None:
        turn = self.turn
        told_all = before is None and not turn.replies and self._says_all(place)
        if not told_all:
            CallState(place, before, turn.event_id).remember(turn.call_memory, self.version)

    # What is heard

    def _document(self, response: VoiceResponse, place: Place) -> VoiceResponse:
        step = self.steps.get(place.step or "")
        if step is None:
            response.hangup()
        elif step.question is not None:
            self._gather(response, step, step.question, place.times)
        else:
            self._put(step, response)
            if step.record is not None:
                response.record(max_length=step.record.get("max_seconds"))
                self._go_on(response, step.record.get("otherwise"))
            elif step.hangs_up:
                response.hangup()
            else:
                self._dial(response, step.dial)
                self._go_on(response, step.next)
        return response

    def _gather(self, response: VoiceResponse, step: CompiledStep, question: Question, times: int) -> None:
        gather = response.gather(
            num_digits=question.num_digits,
            timeout=question.timeout or self.turn.settings.gather_timeout,
            finish_on_key=question.finish_on_key,
        )
        self._put(step, gather)
        if times < question.repeat:
            response.redirect(self.turn.url)
        else:
            self._go_on(response, question.otherwise)

    def _dial(self, response: VoiceResponse, number: str | None) -> None:
        """Connect with a number that the account allows now; it may have been allowed when the flow was published."""
        if number is None:
            return
        if self.turn.settings.may_dial(number):
            response.dial(number)
        else:
            self.turn.warnings.append(f"{number} is not dialled: it is not in the account's dial_allow_list")

    def _go_on(self, response: VoiceResponse, name: str | None) -> None:
        if name is None:
            return
        if self.steps[name].only_hangs_up:
            response.hangup()
        else:
            response.redirect(self.turn.url)

    def _put(self, step: CompiledStep, verb: Any) -> None:
        spoken = value_at(self.turn.contact.metadata, self.language_path)
        chosen = chosen_language(spoken, self.definition["languages"])
        step.prompt.put(verb, chosen, self.turn, self._answers)

    def _says_all(self, place: Place) -> bool:
        """Whether nobody is asked for more after the document of a place."""
        step = self.steps.get(place.step or "")
        if step is None or step.hangs_up:
            return True
        if step.question is not None or step.record is not None or step.dial is not None:
            return False
        return step.next is None or self.steps[step.next].only_hangs_up


def definition_flow(
    name: str, definition: Definition, version: int, audio: Mapping[str, str]
) -> type[DefinitionFlow]:
    """The class of one VERSION of the call flow NAME, whose DEFINITION has been checked.

    AUDIO has the path of each audio file of the account, by its name (``/audio/SHA256.wav``).
    """
    path = definition.get("language_from", DEFAULT_LANGUAGE_FROM).split(".")[1:]
    body = {
        "name": name,
        "version": version,
        "definition": definition,
        "audio": audio,
        "steps": compile_steps(definition, audio),
        "dials": any("dial" in step for step in definition["steps"].values()),
        "language_path": tuple(path),
    }
    return type("DefinitionFlow", (DefinitionFlow,), body)
