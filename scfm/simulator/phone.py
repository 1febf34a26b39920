"""The phone at the other end: hears TwiML in its own time, presses, speaks, hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from scfm.errors import ScfmError
from scfm.simulator.application_reply import ApplicationError, placeholder, read_reply, read_twiml
from scfm.simulator.call import Call
from scfm.simulator.callee import Callee
from scfm.simulator.debugger import Debugger
from scfm.simulator.recordings import recording_sid
from scfm.simulator.transcript import Transcript
from scfm.simulator.webhook_client import ApplicationUnreachable, WebhookClient, is_local
from scfm.twiml.interpreter import CalleeAnswer, End, NextRequest, Verb, Walk, heard

MAX_DOCUMENTS = 200
MAX_LOOPS = 1000

T = TypeVar("T")


class HungUp(ScfmError):
    """The talk is over: who or what ended it, and the status that the call takes."""

    def __init__(self, by: str, status: str = "completed") -> None:
        super().__init__(by)
        self.by, self.status = by, status


class Phone:
    """Walks the documents of one call as its callee. It keeps its place when the call is redirected.

    ``pace``: real seconds per second of life. ``base_url``: where recordings are said to be.
    """

    def __init__(
        self, call: Call, callee: Callee, client: WebhookClient, debugger: Debugger, pace: float, base_url: str
    ) -> None:
        self._call = call
        self._callee = callee
        self._client = client
        self._debugger = debugger
        self._pace = pace
        self._base_url = base_url
        self._turn = self._gathers = self._records = 0
        self.transcript = call.transcript = Transcript()

    async def talk(self, first: NextRequest, twiml: str = "") -> str:
        """Go from document to document until the talk ends, and give the call's last status.

        ``twiml`` stands for the first document, which is then not asked for.
        """
        try:
            end = await self._converse(first, twiml)
        except HungUp as left:
            end = left
        self._note("hangup", by=end.by)
        return end.status

    async def _converse(self, way: NextRequest | End, twiml: str) -> HungUp:
        while isinstance(way, NextRequest):
            self._turn += 1
            if self._turn > MAX_DOCUMENTS:
                self._error(0, f"more than {MAX_DOCUMENTS} documents: a loop?", way.url)
                return HungUp("simulator")
            if way.last:
                return await self._leave_recording(way)
            way = await self._follow(await self._document(way, twiml))
            twiml = ""
        return self._ending(way.reason)

    def _ending(self, reason: str) -> HungUp:
        if reason == "end":
            self._leave_if_due()
            return HungUp("end of document")
        if reason == "hangup":
            return HungUp("application")
        if self._call.status == "ringing":
            return HungUp("application", "busy" if reason == "busy" else "no-answer")
        self._warn("Reject comes too late: the call is answered, so it hangs up")
        return HungUp("application")

    # Documents

    async def _document(self, request: NextRequest, twiml: str = "") -> Walk:
        try:
            document = read_twiml("Twiml", twiml) if twiml else await self._fetch(request)
        except ApplicationError as error:
            self._error(error.code, error.message, request.url)
            self._debugger.failed(error)
            options = self._call.options
            if not options.fallback_url or request.url == options.fallback_url:
                raise HungUp("application error") from error
            details = {"ErrorCode": str(error.code), "ErrorUrl": request.url}
            return await self._document(NextRequest(options.fallback_url, options.fallback_method, details))
        self._debugger.answered()
        return document

    async def _fetch(self, request: NextRequest) -> Walk:
        url = request.url
        if not url:
            raise ApplicationError(11100, "there is no URL to go on with")
        if not is_local(url):
            self._note("warning", code=0, message="not on this machine, so not fetched", url=url)
            return placeholder(url)
        self._note("requested", url=url, method=request.method, parameters=dict(request.params))
        parameters = {**self._call.parameters(), **request.params}
        try:
            return read_reply(url, await self._client.send(self._call, url, request.method, parameters))
        except ApplicationUnreachable as error:
            raise ApplicationError(11205, f"{url} cannot be reached: {error}") from error

    async def _leave_recording(self, request: NextRequest) -> HungUp:
        """Twilio still delivers a recording when the caller hangs up, and ignores the answer."""
        self._call.set_status("completed")
        try:
            await self._fetch(request)
        except ApplicationError as error:
            self._error(error.code, error.message, request.url)
        return HungUp("callee")

    # Verbs

    async def _follow(self, walking: Walk) -> NextRequest | End:
        """Meets every verb of a document, and gives where it leads."""
        answer: CalleeAnswer | None = None
        while True:
            try:
                verb = walking.send(answer)
            except StopIteration as stop:
                way: NextRequest | End = stop.value
                return way
            answer = await self._meet(verb)

    async def _meet(self, verb: Verb) -> CalleeAnswer | None:
        if self._call.status == "ringing" and verb.name != "Reject":
            self._call.set_status("in-progress")
        for warning in verb.warnings:
            self._warn(warning)
        meeting = self._meetings.get(verb.name)
        return await meeting(self, verb) if meeting is not None else None

    async def _say(self, verb: Verb) -> None:
        self._note("say", text=verb.text)
        await self._pass(len(verb.text.split()) * 0.4 * _loops(verb))

    async def _play(self, verb: Verb) -> None:
        self._note("play", url=verb.text, **({"digits": verb["digits"]} if verb["digits"] else {}))
        await self._pass(3.0 * _loops(verb))

    async def _pause(self, verb: Verb) -> None:
        self._note("pause", seconds=verb.number("length"))
        await self._pass(verb.number("length"))

    async def _redirect(self, verb: Verb) -> None:
        self._leave_if_due()
        self._note("redirect", url=verb.text)

    async def _gather(self, verb: Verb) -> CalleeAnswer:
        self._note("gather", attributes=dict(verb.attributes))
        self._leave_if_due()
        turn, self._gathers = self._gathers, self._gathers + 1
        answer = CalleeAnswer(_at(self._callee.digits, turn) or "", _at(self._callee.speech, turn) or "")
        taken = heard(verb, answer) or {}
        if digits := taken.get("Digits"):
            self._note("pressed", digits=digits)
            await self._pass(len(digits) * 0.5)
        elif speech := taken.get("SpeechResult"):
            self._note("spoken", text=speech)
            await self._pass(len(speech.split()) * 0.4)
        else:
            await self._silence(verb)
        return answer

    async def _record(self, verb: Verb) -> CalleeAnswer | None:
        self._note("record", attributes=dict(verb.attributes))
        turn, self._records = self._records, self._records + 1
        seconds = min(_at(self._callee.recordings, turn) or 0.0, verb.number("maxLength"))
        if seconds <= 0:
            self._leave_if_due()
            await self._silence(verb)
            return None
        await self._pass(seconds)
        path = f"2010-04-01/Accounts/{self._call.account_sid}/Recordings/{recording_sid(seconds)}"
        answer = CalleeAnswer(recording_url=f"{self._base_url}/{path}", seconds=seconds, hung_up=self._leaves)
        self._note("recorded", seconds=seconds, url=answer.recording_url)
        return answer

    # Of the class: bound methods in each phone would be a circle, and it would stay until it is collected.
    _meetings: dict[str, Callable[[Phone, Verb], Awaitable[CalleeAnswer | None]]] = {
        "Say": _say,
        "Play": _play,
        "Pause": _pause,
        "Gather": _gather,
        "Record": _record,
        "Redirect": _redirect,
    }

    # The callee, and time

    @property
    def _leaves(self) -> bool:
        return self._callee.hangs_up_at is not None and self._turn >= self._callee.hangs_up_at

    def _leave_if_due(self) -> None:
        if self._leaves:
            raise HungUp("callee")

    async def _silence(self, verb: Verb) -> None:
        self._note("silence", seconds=verb.number("timeout"))
        await self._pass(verb.number("timeout"))

    async def _pass(self, seconds: float) -> None:
        """Let so many seconds of life go by, but not more than the call may last."""
        left = self._call.options.time_limit - self._call.seconds
        self._call.seconds += min(seconds, left)
        await asyncio.sleep(min(seconds, left) * self._pace)
        if seconds >= left:
            raise HungUp("time limit")

    def _warn(self, message: str) -> None:
        self._note("warning", code=12200, message=message)

    def _error(self, code: int, message: str, url: str) -> None:
        self._note("error", code=code, message=message, url=url)

    def _note(self, event: str, **details: Any) -> None:
        self.transcript.note(self._call.seconds, event, **details)


def _at(script: Sequence[T | None], turn: int) -> T | None:
    return script[turn] if turn < len(script) else None


def _loops(verb: Verb) -> int:
    """How often a Say or Play is heard; 0 means until the caller has had enough."""
    return verb.number("loop") or MAX_LOOPS
