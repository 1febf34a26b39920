"""The phone at the other end: hears TwiML, presses, speaks, hangs up (https://www.twilio.com/docs/voice/twiml)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urljoin
from xml.etree.ElementTree import Element

from scfm.errors import ScfmError

from .call import Call, new_sid
from .callee import Callee
from .document import ApplicationError, Ask, Document, elsewhere, read_answer, read_twiml
from .line import Line, Unreachable, is_here
from .transcript import Transcript

MOST_TURNS = 200
MOST_LOOPS = 1000
# Verbs of TwiML that need more than one phone, or more than a phone.
NOT_SIMULATED = frozenset(
    {
        "Connect",
        "Dial",
        "Enqueue",
        "Leave",
        "Pay",
        "Prompt",
        "Refer",
        "Siprec",
        "Sms",
        "Start",
        "Stop",
        "Stream",
    }
)

T = TypeVar("T")
_Hearing = Callable[[Element, Document], Awaitable[Ask | None]]


class HungUp(ScfmError):
    """The talk is over: who or what ended it, and the status that the call takes."""

    def __init__(self, by: str, status: str = "completed") -> None:
        super().__init__(by)
        self.by, self.status = by, status


class Phone:
    """Walks the documents of one call as its callee. It keeps its place when the call is redirected.

    ``pace``: real seconds per second of life. ``base_url``: where recordings are said to be.
    """

    def __init__(self, call: Call, callee: Callee, line: Line, pace: float, base_url: str) -> None:
        self._call = call
        self._callee = callee
        self._line = line
        self._pace = pace
        self._base_url = base_url
        self._turn = self._gathers = self._records = 0
        self.transcript = call.transcript = Transcript()
        self._verbs: dict[str, _Hearing] = {
            "Say": self._say,
            "Play": self._play,
            "Pause": self._pause,
            "Gather": self._gather,
            "Record": self._record,
            "Redirect": self._redirect,
            "Hangup": self._hangup,
            "Reject": self._reject,
        }

    async def talk(self, first: Ask) -> str:
        """Go from document to document until the talk ends, and give the call's last status."""
        try:
            return await self._converse(first)
        except HungUp as end:
            self._note("hangup", by=end.by)
            return end.status

    async def _converse(self, ask: Ask | None) -> str:
        while ask is not None:
            self._turn += 1
            if self._turn > MOST_TURNS:
                self._note("error", code=0, message=f"more than {MOST_TURNS} documents: a loop?", url=ask.url)
                raise HungUp("simulator")
            ask = await self._perform(await self._document(ask))
        raise HungUp("end of document")

    # Documents

    async def _document(self, ask: Ask) -> Document:
        try:
            return await self._fetch(ask)
        except ApplicationError as error:
            self._note("error", code=error.code, message=error.message, url=ask.url)
            return await self._fallback(ask, error)

    async def _fallback(self, ask: Ask, error: ApplicationError) -> Document:
        order = self._call.order
        if not order.fallback_url or ask.url == order.fallback_url:
            raise HungUp("application error") from error
        details = {"ErrorCode": str(error.code), "ErrorUrl": ask.url}
        return await self._document(Ask(order.fallback_url, order.fallback_method, details))

    async def _fetch(self, ask: Ask) -> Document:
        if ask.twiml:
            return read_twiml(ask.url, ask.twiml)
        if not ask.url:
            raise ApplicationError(11100, "there is no URL to go on with")
        if not is_here(ask.url):
            self._note("warning", code=0, message="not on this machine, so not fetched", url=ask.url)
            return elsewhere(ask.url)
        self._note("requested", url=ask.url, method=ask.method, parameters=dict(ask.parameters))
        return read_answer(ask.url, await self._ask(ask))

    async def _ask(self, ask: Ask) -> Any:
        try:
            parameters = {**self._call.parameters(), **ask.parameters}
            return await self._line.send(self._call, ask.url, ask.method, parameters)
        except Unreachable as error:
            raise ApplicationError(11205, f"{ask.url} cannot be reached: {error}") from error

    # Verbs: each gives the document to go on with, or None for the next verb

    async def _perform(self, document: Document) -> Ask | None:
        for verb in document:
            if self._call.status == "ringing" and verb.tag != "Reject":
                self._call.move("in-progress")
            ask = await self._hear(verb, document)
            if ask is not None:
                return ask
        self._leave_if_due()
        return None

    async def _hear(self, verb: Element, document: Document) -> Ask | None:
        hearing = self._verbs.get(verb.tag)
        if hearing is not None:
            return await hearing(verb, document)
        if verb.tag in NOT_SIMULATED:
            self._warn(f"{verb.tag} is not simulated, and skipped")
        else:
            self._warn(f"{verb.tag} is not a verb of TwiML, and skipped")
        return None

    async def _say(self, verb: Element, document: Document) -> None:
        text = " ".join("".join(verb.itertext()).split())
        self._note("say", text=text)
        await self._pass(len(text.split()) * 0.4 * self._loops(verb))

    async def _play(self, verb: Element, document: Document) -> None:
        self._note("play", url=urljoin(document.url, _text(verb)), **_only(digits=verb.get("digits")))
        await self._pass(3.0 * self._loops(verb))

    async def _pause(self, verb: Element, document: Document) -> None:
        length = self._number(verb, "length", 1)
        self._note("pause", seconds=length)
        await self._pass(length)

    async def _gather(self, verb: Element, document: Document) -> Ask | None:
        self._note("gather", attributes=dict(verb.attrib))
        await self._hear_prompts(verb, document)
        self._leave_if_due()
        heard = await self._input(verb)
        if heard is None and verb.get("actionOnEmptyResult", "").lower() == "true":
            heard = {"Digits": ""}
        return None if heard is None else _action(verb, document, heard)

    async def _hear_prompts(self, gather: Element, document: Document) -> None:
        for prompt in gather:
            if prompt.tag in ("Say", "Play", "Pause"):
                await self._hear(prompt, document)
            else:
                self._warn(f"{prompt.tag} cannot be in a Gather, and is skipped")

    async def _input(self, gather: Element) -> dict[str, str] | None:
        """What the callee presses or says at this Gather, as Twilio reports it, or None for silence."""
        turn, self._gathers = self._gathers, self._gathers + 1
        wanted = gather.get("input", "dtmf").split()
        digits = _typed(_at(self._callee.digits, turn), gather) if "dtmf" in wanted else ""
        if digits:
            self._note("pressed", digits=digits)
            await self._pass(len(digits) * 0.5)
            return {"Digits": digits}
        speech = _at(self._callee.speech, turn) if "speech" in wanted else None
        if speech:
            self._note("spoken", text=speech)
            await self._pass(len(speech.split()) * 0.4)
            return {"SpeechResult": speech, "Confidence": "0.95"}
        await self._silence(gather)
        return None

    async def _record(self, verb: Element, document: Document) -> Ask | None:
        turn, self._records = self._records, self._records + 1
        self._note("record", attributes=dict(verb.attrib))
        seconds = min(_at(self._callee.recordings, turn) or 0.0, self._number(verb, "maxLength", 3600))
        if seconds <= 0:
            self._leave_if_due()
            await self._silence(verb)
            return None
        await self._pass(seconds)
        recording = self._recording(seconds)
        self._note("recorded", seconds=seconds, url=recording["RecordingUrl"])
        if self._leaves:
            await self._hang_up_recording(_action(verb, document, {**recording, "Digits": "hangup"}))
        return _action(verb, document, recording)

    def _recording(self, seconds: float) -> dict[str, str]:
        sid = new_sid("RE")
        url = f"{self._base_url}/2010-04-01/Accounts/{self._call.account_sid}/Recordings/{sid}"
        return {"RecordingUrl": url, "RecordingSid": sid, "RecordingDuration": str(round(seconds))}

    async def _hang_up_recording(self, ask: Ask) -> None:
        """Twilio still delivers a recording when the caller hangs up, and ignores the answer."""
        self._call.move("completed")
        try:
            await self._fetch(ask)
        except ApplicationError as error:
            self._note("error", code=error.code, message=error.message, url=ask.url)
        raise HungUp("callee")

    async def _redirect(self, verb: Element, document: Document) -> Ask:
        self._leave_if_due()
        url = urljoin(document.url, _text(verb))
        self._note("redirect", url=url)
        return Ask(url, _method(verb))

    async def _hangup(self, verb: Element, document: Document) -> None:
        raise HungUp("application")

    async def _reject(self, verb: Element, document: Document) -> None:
        if self._call.status != "ringing":
            self._warn("Reject comes too late: the call is answered, so it hangs up")
            raise HungUp("application")
        raise HungUp("application", "busy" if verb.get("reason") == "busy" else "no-answer")

    # The callee, and time

    @property
    def _leaves(self) -> bool:
        return self._callee.hangs_up_at is not None and self._turn >= self._callee.hangs_up_at

    def _leave_if_due(self) -> None:
        if self._leaves:
            raise HungUp("callee")

    async def _silence(self, verb: Element) -> None:
        seconds = 5.0 if verb.get("timeout") == "auto" else self._number(verb, "timeout", 5)
        self._note("silence", seconds=seconds)
        await self._pass(seconds)

    async def _pass(self, seconds: float) -> None:
        """Let so many seconds of life go by, but not more than the call may last."""
        left = self._call.order.time_limit - self._call.seconds
        self._call.seconds += min(seconds, left)
        await asyncio.sleep(min(seconds, left) * self._pace)
        if seconds >= left:
            raise HungUp("time limit")

    def _loops(self, verb: Element) -> float:
        """How often a Say or Play is heard; 0 means until the caller has had enough."""
        return self._number(verb, "loop", 1) or MOST_LOOPS

    def _number(self, verb: Element, name: str, default: float) -> float:
        text = verb.get(name)
        if text is None:
            return default
        if text.isascii() and text.isdigit() and len(text) < 10:
            return float(text)
        self._warn(f"{verb.tag} has {name}={text!r}, which is not a number")
        return default

    def _warn(self, message: str) -> None:
        self._note("warning", code=12200, message=message)

    def _note(self, event: str, **details: Any) -> None:
        self.transcript.note(self._call.seconds, event, **details)


def _at(script: tuple[T, ...], turn: int) -> T | None:
    return script[turn] if turn < len(script) else None


def _typed(keys: str | None, gather: Element) -> str:
    """The digits that a Gather takes of the keys: up to its finish key, and no more than numDigits."""
    finish = gather.get("finishOnKey", "#")
    most = gather.get("numDigits", "")
    digits = keys or ""
    if finish:
        digits = digits.partition(finish)[0]
    return digits[: int(most)] if most.isdigit() and int(most) > 0 else digits


def _action(verb: Element, document: Document, parameters: dict[str, str]) -> Ask:
    """Where the verb's result goes: its action, else the document it is in."""
    return Ask(urljoin(document.url, verb.get("action", "")), _method(verb), parameters)


def _method(verb: Element) -> str:
    return "GET" if verb.get("method", "").upper() == "GET" else "POST"


def _text(verb: Element) -> str:
    return (verb.text or "").strip()


def _only(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}
