"""Rehearses a flow with a scripted callee: what is heard, what is answered, which TwiML. It stores nothing.

A test does it in two lines:

    call = rehearse(FloodWarning, digits=["1"])
    assert call.said("You are safe")

``scfm rehearse`` prints the transcript.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from scfm.twiml.definition import CalleeItem
from scfm.twiml.flow import CalloutView, CallView, ContactView, Flow, FlowSettings, Turn, answer, apology
from scfm.twiml.interpreter import CalleeAnswer, End, NextRequest, TwimlError, Verb, parse, walk
from scfm.twiml.rehearsal_text import describe_answer, describe_replies, describe_verb, item_text, read_answer
from scfm.twiml.replies import Replies

URL = "https://scfm.example/api/remote_phone_call_events"
CONTACT_MSISDN = "+252662345678"
SHORT_CODE = "345"
# A call through the most steps that a definition may have, each said as often as it may be, has as many.
MAX_REHEARSED_TURNS = 1000
# Bytes of a call's documents, after which it is taken for one that never ends.
MAX_TWIML_OF_CALL = 1 << 21

_ENDINGS = {
    "hangup": "The flow hung up.",
    "rejected": "The flow rejected the call.",
    "busy": "The flow rejected the call as busy.",
    "end": "The document ended, and with it the call.",
}


@dataclass(frozen=True)
class RehearsedTurn:
    """One webhook: what the provider sent, the flow's answer, and what was heard and done until the next.

    ``call_memory`` is the call's memory after it.
    """

    details: Mapping[str, str]
    twiml: str
    call_memory: Mapping[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    verbs: list[Verb] = field(default_factory=list)


@dataclass
class Rehearsal:
    """A rehearsed call.

    ``ending`` says how it ended. ``problem`` says what is wrong with the flow, None if nothing is; ``endless`` and
    ``fault``, the exception that a turn raised, tell two of the problems apart. ``unused`` are the answers that
    nobody asked for. Where one more was asked for than there are, ``go_on`` gives the call with that one more. The
    memories are as a real call would leave them, and ``replies`` what the flow has noted of the callee.
    """

    flow: type[Flow]
    turns: list[RehearsedTurn] = field(default_factory=list)
    ending: str = ""
    problem: str | None = None
    endless: bool = False
    fault: BaseException | None = None
    unused: list[str] = field(default_factory=list)
    go_on: Callable[[CalleeItem], Rehearsal] | None = field(default=None, repr=False, compare=False)
    replies: Replies = field(default_factory=Replies)
    contact_memory: dict[str, Any] = field(default_factory=dict)
    call_memory: dict[str, Any] = field(default_factory=dict)

    @property
    def twiml(self) -> list[str]:
        """The documents, one a turn."""
        return [turn.twiml for turn in self.turns]

    def said(self, words: str) -> bool:
        """Whether WORDS were part of something said."""
        return self._heard("Say", words)

    def played(self, words: str) -> bool:
        """Whether a file was played whose URL holds WORDS."""
        return self._heard("Play", words)

    def document(self) -> dict[str, Any]:
        """The rehearsal as the API shows it. The transcript has what is sent, noted, heard and done, line by line."""
        problem = [f"PROBLEM: {self.problem}"] if self.problem else []
        return {
            "transcript": [line for turn in self.turns for line in turn.lines] + problem,
            "turns": [{"twiml": twiml} for twiml in self.twiml],
            "answers": self.replies.answers,
            "acknowledged": self.replies.acknowledged,
            "opted_out": self.replies.opted_out,
            "ending": self.ending,
        }

    def transcript(self) -> str:
        """The whole call as text, with the TwiML of each turn."""
        lines = [self.flow.name]
        for number, turn in enumerate(self.turns, 1):
            lines += ["", f"Turn {number}", f"  {turn.twiml}", *(f"  {line}" for line in turn.lines)]
        lines += ["", self.ending]
        if self.unused:
            lines.append(f"Answers that were not asked for: {', '.join(self.unused)}")
        if self.problem:
            lines.append(f"PROBLEM: {self.problem}")
        return "\n".join(lines)

    def _heard(self, name: str, words: str) -> bool:
        return any(verb.name == name and words in verb.text for turn in self.turns for verb in turn.verbs)


def rehearse(
    flow: type[Flow],
    answers: Sequence[CalleeItem] = (),
    *,
    digits: Sequence[str] = (),
    inbound: bool = False,
    contact: ContactView | Mapping[str, Any] | None = None,
    callout: Mapping[str, Any] | None = None,
    contact_memory: Mapping[str, Any] | None = None,
    settings: FlowSettings | None = None,
    url: str = URL,
) -> Rehearsal:
    """Run FLOW in one call with a callee who gives ANSWERS, one at each Gather or Record, and then hangs up.

    An answer is ``press 1``, ``say WORDS``, ``record SECONDS``, ``silence`` or ``hang up``, or one as a definition's
    examples have it (``CalleeItem``); ``digits=["1"]`` is short for ``["press 1"]``, before the others. CONTACT,
    if it is no view of one, and CALLOUT are metadata; CONTACT_MEMORY is what earlier calls left; URL is the
    webhook's. What the flow raises is kept in the rehearsal, which is stopped after MAX_REHEARSED_TURNS webhooks.
    Raises StartError for an answer that cannot be read.
    """
    script: list[CalleeItem] = [*(keys or None for keys in digits), *answers]
    person = contact if isinstance(contact, ContactView) else ContactView(1, CONTACT_MSISDN, contact or {})
    run = _Run(
        rehearsal=Rehearsal(flow, contact_memory=dict(contact_memory or {})),
        script=deque((item_text(item), read_answer(item)) for item in script),
        call=CallView(
            id=1,
            msisdn=person.msisdn,
            direction="inbound" if inbound else "outbound-api",
            remote_call_id="CA1",
            callout=None if callout is None else CalloutView(1, callout),
        ),
        contact=person,
        settings=settings or FlowSettings(),
        webhook=url,
    )
    return run.run(NextRequest(url))


@dataclass
class _Run:
    """One rehearsed call, turn by turn; ``rehearsal`` holds what came of it so far."""

    rehearsal: Rehearsal
    # What is left of the script: each item as text, and the answer that it stands for (None is hanging up).
    script: deque[tuple[str, CalleeAnswer | None]]
    call: CallView
    contact: ContactView
    settings: FlowSettings
    webhook: str
    size: int = 0
    seen_states: set[bytes] = field(default_factory=set)
    # Of the last document: its URL, how many lines stand before what is heard, what of the script was used in it, and
    # whether more was asked for.
    url: str = ""
    preface: int = 0
    used: list[tuple[str, CalleeAnswer | None]] = field(default_factory=list)
    waits: bool = False

    def run(self, step: NextRequest | End) -> Rehearsal:
        """Take turns, from STEP on, until the call ends, or is seen never to end."""
        turns = self.rehearsal.turns
        while isinstance(step, NextRequest):
            if step.url.partition("?")[0] != self.webhook:
                step = End(f"The call goes on at {step.url}, where the rehearsal cannot follow.")
            elif step.method != "POST":
                step = self._stopped(f"the flow asks for {step.method}, but the webhook takes POST only")
            elif self._is_repetition(step) or self.size > MAX_TWIML_OF_CALL or len(turns) == MAX_REHEARSED_TURNS:
                self.rehearsal.endless = True
                step = self._stopped(f"the flow never ends; it was stopped after turn {len(turns)}")
            else:
                step = self._take_turn(step)
        self.rehearsal.ending = step.reason
        self.rehearsal.unused = [line for line, _ in self.script]
        self.rehearsal.go_on = self.go_on if self.waits else None
        return self.rehearsal

    def go_on(self, item: CalleeItem) -> Rehearsal:
        """The call as it goes on if the callee, who has hung up for want of an answer, gives ITEM."""
        last = self.rehearsal.turns[-1]
        turn = replace(last, lines=last.lines[: self.preface], verbs=[])
        run = replace(
            self,
            rehearsal=replace(self.rehearsal, turns=[*self.rehearsal.turns[:-1], turn]),
            script=deque([*self.used, (item_text(item), read_answer(item))]),
        )
        return run.run(run.walk_document(turn))

    def _take_turn(self, request: NextRequest) -> NextRequest | End:
        twiml, noted = self._render(request)
        turn = RehearsedTurn(self._details(request.params), twiml, self.rehearsal.call_memory)
        self.rehearsal.turns.append(turn)
        self.size += len(twiml.encode())
        turn.lines.extend(f"{name}: {value}" for name, value in request.params.items())
        turn.lines.extend(noted)
        self.url, self.preface = request.url, len(turn.lines)
        try:
            return self.walk_document(turn)
        except TwimlError as error:
            return self._stopped(str(error))

    def _render(self, request: NextRequest) -> tuple[str, list[str]]:
        """The flow's TwiML, and what it notes of the callee and cannot do, in words.

        If the flow raises, as in a real call, the apology and nothing: the memory stays as it was.
        """
        rehearsal = self.rehearsal
        turn = Turn(
            event_id=len(rehearsal.turns) + 1,
            url=request.url,
            details=self._details(request.params),
            call=self.call,
            contact=self.contact,
            settings=self.settings,
            contact_memory=rehearsal.contact_memory,
            call_memory=rehearsal.call_memory,
            answers=rehearsal.replies.answers,
        )
        try:
            twiml = answer(rehearsal.flow, turn)
        except (Exception, SystemExit) as error:  # whatever a flow raises is a finding
            rehearsal.fault = error
            self._stopped(f"turn {turn.event_id} raised {type(error).__name__}: {error}")
            return apology(), []
        rehearsal.contact_memory, rehearsal.call_memory = turn.contact_memory, turn.call_memory
        rehearsal.replies = rehearsal.replies.and_then(turn.replies)
        return twiml, [*describe_replies(turn.replies), *(f"({warning})" for warning in turn.warnings)]

    def _details(self, params: Mapping[str, str]) -> dict[str, str]:
        """The parameters of a webhook: those that every one has, and PARAMS."""
        called = self.call.msisdn or ""
        ends = (called, SHORT_CODE) if self.call.direction == "inbound" else (SHORT_CODE, called)
        return {
            "CallSid": "CA1",
            "AccountSid": "AC1",
            "CallStatus": "in-progress",
            "Direction": self.call.direction,
            "From": ends[0],
            "To": ends[1],
            **params,
        }

    def walk_document(self, turn: RehearsedTurn) -> NextRequest | End:
        """Walk the document of the last turn, with answers of the script, to where it leads. Raises TwimlError."""
        self.used = []
        walking = walk(parse(turn.twiml), self.url)
        reply: CalleeAnswer | None = None
        while True:
            try:
                verb = walking.send(reply)
            except StopIteration as stop:
                return End(_ENDINGS[stop.value.reason]) if isinstance(stop.value, End) else stop.value
            turn.verbs.append(verb)
            turn.lines.extend(describe_verb(verb))
            reply = None
            if verb.asks:
                self.waits = not self.script
                if self.script:
                    self.used.append(self.script.popleft())
                    self.seen_states = set()
                    reply = self.used[-1][1]
                turn.lines.append(describe_answer(verb, reply))
                if reply is None:
                    return End("The callee hung up.")

    def _is_repetition(self, request: NextRequest) -> bool:
        """Whether all that decides what comes next was so before, no answer used since: then the call never ends."""
        memories = [self.rehearsal.contact_memory, self.rehearsal.call_memory, self.rehearsal.replies.answers]
        state = orjson.dumps([request.url, request.params, memories], option=orjson.OPT_SORT_KEYS)
        seen = state in self.seen_states
        self.seen_states.add(state)
        return seen

    def _stopped(self, problem: str) -> End:
        """The end of a call that PROBLEM stops; the first problem is kept."""
        self.rehearsal.problem = self.rehearsal.problem or problem
        return End("The rehearsal was stopped.")
