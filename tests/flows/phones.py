"""A path of a definition, walked by the simulator's phone; the application is the flow itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scfm.simulator.call import Call
from scfm.simulator.call_options import CallOptions
from scfm.simulator.callee import Callee
from scfm.simulator.debugger import Debugger
from scfm.simulator.phone import Phone
from scfm.simulator.webhook_client import Reply
from scfm.twiml.definition_paths import FlowPath
from scfm.twiml.flow import CallView, ContactView, FlowSettings, Turn, answer
from scfm.twiml.interpreter import NextRequest
from scfm.twiml.rehearsal import URL

CALLBACK = {"CallbackSource": "call-progress-events", "CallStatus": "in-progress", "Digits": "1"}
LOCAL = "http://127.0.0.1/api/remote_phone_call_events"


def callee_of(path: FlowPath) -> Callee:
    """The simulator's callee who does what the callee of a path does."""
    asked = [verb for turn in path.call.turns for verb in turn.verbs if verb.asks]
    digits: list[str | None] = []
    recordings: list[float] = []
    for verb, item in zip(asked, path.callee, strict=False):
        if verb.name == "Gather":
            digits.append(item if isinstance(item, str) else None)
        else:
            recordings.append(item["record"] if isinstance(item, dict) and "record" in item else 0.0)
    leaves = len(path.call.turns) if path.call.go_on else None
    return Callee(after=0.0, digits=tuple(digits), recordings=tuple(recordings), hangs_up_at=leaves)


def local(twiml: str, url: str = LOCAL) -> str:
    """A document of a rehearsal as it is for calls that are answered at URL."""
    origin = url.removesuffix("/api/remote_phone_call_events")
    return twiml.replace(URL.removesuffix("/api/remote_phone_call_events"), origin)


class Application:
    """Takes the turns of one call as the webhook does, in memory; ``twiml`` are its answers."""

    def __init__(self, path: FlowPath, settings: FlowSettings, metadata: Mapping[str, Any]) -> None:
        self.twiml: list[str] = []
        self._flow = path.call.flow
        self._settings = settings
        self._contact = ContactView(7, "+252662345678", metadata)
        self._memories: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        self._answers: dict[str, Any] = {}

    async def send(self, call: Call, url: str, method: str, parameters: Mapping[str, str]) -> Reply:
        """The answer to a request of the phone."""
        assert (url, method) == (LOCAL, "POST")
        event_id = 1000 + 7 * len(self.twiml)
        before = self._answers
        turn = self._turn(call, parameters, event_id, before)
        self.twiml.append(answer(self._flow, turn))
        self._memories = turn.contact_memory, turn.call_memory
        self._answers = {**before, **turn.replies.answers}
        # What comes again, late, or only reports, moves nothing.
        again = self._turn(call, parameters, event_id, before)
        assert answer(self._flow, again) == self.twiml[-1]
        assert again.replies == turn.replies
        late = self._turn(call, {**parameters, "Digits": "1"}, event_id - 3, self._answers)
        report = self._turn(call, {**parameters, **CALLBACK}, event_id + 3, self._answers)
        answer(self._flow, late)
        assert answer(self._flow, report).endswith("<Response />")
        for one in (again, late, report):
            assert (one.contact_memory, one.call_memory) == self._memories
        return Reply(200, {"Content-Type": "text/xml"}, self.twiml[-1].encode())

    def _turn(self, call: Call, parameters: Mapping[str, str], event_id: int, answers: Mapping[str, Any]) -> Turn:
        contact_memory, call_memory = self._memories
        return Turn(
            event_id=event_id,
            url=LOCAL,
            details=parameters,
            call=CallView(7, call.to, call.direction, call.sid),
            contact=self._contact,
            settings=self._settings,
            contact_memory=contact_memory,
            call_memory=call_memory,
            answers=answers,
        )


async def phoned(path: FlowPath, settings: FlowSettings, metadata: Mapping[str, Any]) -> list[str]:
    """The documents that the simulator's phone is answered with on a path, by a contact with METADATA."""
    application = Application(path, settings, metadata)
    call = Call("AC1", "secret", "+252662345678", "345", CallOptions(url=LOCAL), request=1)
    callee, debugger = callee_of(path), Debugger()
    phone = Phone(call, replace(callee), application, debugger, 0.0, "http://127.0.0.1:1")  # type: ignore[arg-type]
    assert await phone.talk(NextRequest(LOCAL)) == "completed"
    assert not phone.transcript.events("error"), list(phone.transcript)
    debugger.close()
    return application.twiml
