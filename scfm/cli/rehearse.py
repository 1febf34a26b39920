"""Rehearses a flow with a scripted callee: what is heard, what is answered, which TwiML. It stores nothing.

``scfm rehearse NAME --digits 1,2`` prints it; a test does it in two lines:

    call = rehearse(FloodWarning, digits=["1"])
    assert call.said("You are safe")
"""

from __future__ import annotations

import argparse
import json
import os
import re
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scfm.errors import StartError
from scfm.settings import load
from scfm.twiml.flow import (
    CalloutView,
    CallView,
    ContactView,
    Flow,
    FlowSettings,
    Turn,
    answer,
    apology,
)
from scfm.twiml.registry import Registry, find_flow
from scfm.twiml.walk import Answer, End, Request, TwimlError, Verb, heard, parse, walk

URL = "https://scfm.example/api/remote_phone_call_events"
RECORDING_URL = "https://scfm.example/recordings/RE1"
MSISDN = "+252662345678"
SHORT_CODE = "345"

_HOW = "write: press 1, say WORDS, record SECONDS, silence, or hang up"


@dataclass(frozen=True)
class RehearsedTurn:
    """One webhook: what the provider sent, the flow's answer, and what was heard and done until the next."""

    details: Mapping[str, str]
    twiml: str
    lines: list[str] = field(default_factory=list)
    verbs: list[Verb] = field(default_factory=list)


@dataclass
class Rehearsal:
    """A rehearsed call.

    ``ending`` says how it ended. ``problem`` says what is wrong with the flow, None if nothing is; ``endless`` and
    ``fault``, the exception that a turn raised, tell two of the problems apart. ``unused`` are the answers that
    nobody asked for. The memories are as a real call would leave them.
    """

    flow: type[Flow]
    turns: list[RehearsedTurn] = field(default_factory=list)
    ending: str = ""
    problem: str | None = None
    endless: bool = False
    fault: BaseException | None = None
    unused: list[str] = field(default_factory=list)
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
    answers: Sequence[str] = (),
    *,
    digits: Sequence[str] = (),
    inbound: bool = False,
    contact: Mapping[str, Any] | None = None,
    callout: Mapping[str, Any] | None = None,
    contact_memory: Mapping[str, Any] | None = None,
    settings: FlowSettings | None = None,
    most_turns: int = 100,
) -> Rehearsal:
    """Runs FLOW in one call with a callee who gives ANSWERS, one at each Gather or Record, then stays silent.

    An answer is ``press 1``, ``say WORDS``, ``record SECONDS``, ``silence`` or ``hang up``; ``digits=["1"]`` is
    short for ``["press 1"]``. CONTACT and CALLOUT are metadata; CONTACT_MEMORY is what earlier calls left. What the
    flow raises is kept in the rehearsal. Raises StartError for an answer that cannot be read.
    """
    script = [*(f"press {keys}" if keys else "silence" for keys in digits), *answers]
    stage = _Stage(
        rehearsal=Rehearsal(flow, contact_memory=dict(contact_memory or {})),
        script=deque((line, read_answer(line)) for line in script),
        call=CallView(
            id=1,
            msisdn=MSISDN,
            direction="inbound" if inbound else "outbound-api",
            remote_call_id="CA1",
            callout=None if callout is None else CalloutView(1, callout),
        ),
        contact=ContactView(1, MSISDN, contact or {}),
        settings=settings or FlowSettings(),
    )
    stage.play(most_turns)
    return stage.rehearsal


def read_answer(line: str) -> Answer | None:
    """The answer that LINE of a script describes; None is hanging up. Raises StartError for any other line."""
    word, _, rest = " ".join(line.split()).partition(" ")
    if line.strip() in ("hang up", "hangup"):
        return None
    if word in ("", "silence") and not rest:
        return Answer()
    if word == "say" and rest:
        return Answer(speech=rest)
    if word == "record" and re.fullmatch("[0-9]*", rest):
        return Answer(recording_url=RECORDING_URL, seconds=int(rest or 5))
    keys = rest if word == "press" else line.strip()
    if re.fullmatch("[0-9*#]+", keys):
        return Answer(digits=keys)
    raise StartError(f"{line.strip()!r} is not an answer; {_HOW}")


@dataclass
class _Stage:
    """A rehearsal under way."""

    rehearsal: Rehearsal
    script: deque[tuple[str, Answer | None]]
    call: CallView
    contact: ContactView
    settings: FlowSettings
    seen: set[str] = field(default_factory=set)

    def play(self, most_turns: int) -> None:
        way: Request | End = Request(URL)
        while isinstance(way, Request):
            if way.url.partition("?")[0] != URL:
                way = End(f"The call goes on at {way.url}, where the rehearsal cannot follow.")
            elif way.method != "POST":
                way = self._failed(f"the flow asks for {way.method}, but the webhook takes POST only")
            elif self._goes_round(way) or len(self.rehearsal.turns) == most_turns:
                way = self._endless()
            else:
                way = self._turn(way)
        self.rehearsal.ending = way.reason
        self.rehearsal.unused = [line for line, _ in self.script]

    def _turn(self, request: Request) -> Request | End:
        turn = RehearsedTurn(self._details(request.params), self._answer(request))
        self.rehearsal.turns.append(turn)
        turn.lines.extend(f"{name}: {value}" for name, value in request.params.items())
        try:
            return self._listen(turn, request.url)
        except TwimlError as error:
            return self._failed(str(error))

    def _answer(self, request: Request) -> str:
        """The flow's answer, or, as in a real call, the apology and the memory of before."""
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
        )
        try:
            text = answer(rehearsal.flow, turn)
        except (Exception, SystemExit) as error:  # any fault of the flow is a finding
            rehearsal.fault = error
            self._failed(f"turn {turn.event_id} raised {type(error).__name__}: {error}")
            return apology()
        rehearsal.contact_memory, rehearsal.call_memory = turn.contact_memory, turn.call_memory
        return text

    def _details(self, params: Mapping[str, str]) -> dict[str, str]:
        ends = (MSISDN, SHORT_CODE) if self.call.direction == "inbound" else (SHORT_CODE, MSISDN)
        return {
            "CallSid": "CA1",
            "AccountSid": "AC1",
            "CallStatus": "in-progress",
            "Direction": self.call.direction,
            "From": ends[0],
            "To": ends[1],
            **params,
        }

    def _listen(self, turn: RehearsedTurn, url: str) -> Request | End:
        """Walks the turn's document, answering from the script, to where it leads."""
        walking = walk(parse(turn.twiml), url)
        given: Answer | None = None
        while True:
            try:
                verb = walking.send(given)
            except StopIteration as stop:
                return self._ended(stop.value)
            turn.verbs.append(verb)
            turn.lines.extend(_described(verb))
            given = None
            if verb.asks:
                given = self._next_answer()
                turn.lines.append(_told(verb, given))
                if given is None:
                    return End("The callee hung up.")

    def _next_answer(self) -> Answer | None:
        return self.script.popleft()[1] if self.script else Answer()

    def _ended(self, way: Request | End) -> Request | End:
        if isinstance(way, Request):
            return way
        return End(_ENDINGS[way.reason])

    def _goes_round(self, request: Request) -> bool:
        """Whether all that decides what comes next was there before: with no answer used since, it never ends."""
        memories = [self.rehearsal.contact_memory, self.rehearsal.call_memory]
        here = json.dumps([request.url, request.params, memories, len(self.script)], sort_keys=True)
        known = here in self.seen
        self.seen.add(here)
        return known

    def _endless(self) -> End:
        self.rehearsal.endless = True
        return self._failed(f"the flow never ends; it was stopped after turn {len(self.rehearsal.turns)}")

    def _failed(self, problem: str) -> End:
        self.rehearsal.problem = self.rehearsal.problem or problem
        return End("The rehearsal was stopped.")


_ENDINGS = {
    "hangup": "The flow hung up.",
    "rejected": "The flow rejected the call.",
    "busy": "The flow rejected the call as busy.",
    "end": "The document ended, and with it the call.",
}


_DONE: Mapping[str, Callable[[Verb], str]] = {
    "Say": lambda verb: f"says: {verb.text}",
    "Play": lambda verb: f"plays: {verb.text or verb['digits']}",
    "Pause": lambda verb: f"waits {verb.number('length')} s",
    "Gather": lambda _: "waits for an answer",
    "Record": lambda _: "records",
    "Redirect": lambda verb: f"goes on at {verb.text}",
    "Hangup": lambda _: "hangs up",
    "Reject": lambda _: "rejects the call",
}


def _described(verb: Verb) -> list[str]:
    """What the phone does, in words, and what is wrong with it."""
    done = [_DONE[verb.name](verb)] if verb.known else []
    return done + [f"({warning})" for warning in verb.warnings]


def _told(verb: Verb, given: Answer | None) -> str:
    """What the callee does, in words."""
    if given is None:
        return "> hangs up"
    if given.digits:
        taken = (heard(verb, given) or {}).get("Digits", "")
        return f"> presses {given.digits}" + ("" if taken == given.digits else f", {taken or 'nothing'} is taken")
    if given.speech:
        return f"> says: {given.speech}"
    return f"> speaks for {given.seconds} s" if given.seconds else "> stays silent"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``scfm rehearse``."""
    parser.add_argument("name", help="a registered flow, or a Python path such as flood.flows:FloodWarning")
    parser.add_argument(
        "--digits",
        dest="answers",
        action="extend",
        type=_digits,
        metavar="1,2",
        help="keys, one item at each question; an empty item is silence",
    )
    parser.add_argument("--answer", dest="answers", action="append", metavar="ANSWER", help=f"one answer; {_HOW}")
    parser.add_argument(
        "--script",
        dest="answers",
        action="extend",
        type=_script,
        metavar="FILE",
        help="a file of answers, one a line; lines that begin with // are comments",
    )
    parser.add_argument("--inbound", action="store_true", help="the contact calls, instead of being called")
    parser.add_argument("--contact", type=_metadata, metavar="JSON", help="the contact's metadata")
    parser.add_argument("--callout", type=_metadata, metavar="JSON", help="the callout's metadata")
    parser.set_defaults(answers=[])


def run(args: argparse.Namespace) -> int:
    """Rehearses and prints; 0 if the flow ended well, else 1. Raises StartError for what cannot be found or read."""
    settings = load(os.environ)
    registry = Registry.from_setting(settings.registered_call_flow_logic, settings.default_call_flow_logic)
    flow = registry.flows.get(args.name) or find_flow(args.name, "rehearse")
    call = rehearse(
        flow,
        args.answers,
        inbound=args.inbound,
        contact=args.contact,
        callout=args.callout,
        settings=FlowSettings.of(settings),
    )
    if call.fault:
        traceback.print_exception(call.fault)
    print(call.transcript())
    return 0 if call.problem is None else 1


def _digits(text: str) -> list[str]:
    return [f"press {keys.strip()}" if keys.strip() else "silence" for keys in text.split(",")]


def _script(path: str) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{path} cannot be read: {error}") from None
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("//")]


def _metadata(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('must be a JSON object, such as \'{"district": "kandal"}\'')
    return value
