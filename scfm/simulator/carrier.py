"""The carrier: takes orders, rings phones, lets them talk, tells the application, keeps the books."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scfm.simulator.api_error import ApiError, not_in_progress, unauthorized
from scfm.simulator.call import ENDED, Call, Calls
from scfm.simulator.call_options import CallOptions, Form, method, read_from, read_to
from scfm.simulator.call_refusals import refuse
from scfm.simulator.callbacks import Callbacks
from scfm.simulator.callee import ANSWERED, FAILED, NO_ANSWER, Callee, CalleeRule, Directory
from scfm.simulator.debugger import Debugger
from scfm.simulator.faults import Faults
from scfm.simulator.journal import Journal
from scfm.simulator.ledger import CreateRequest, Ledger
from scfm.simulator.machine_detection import detect
from scfm.simulator.phone import Phone
from scfm.simulator.transcript import Transcript
from scfm.simulator.webhook_client import WebhookClient
from scfm.twiml.interpreter import NextRequest

log = logging.getLogger(__name__)

QUICK = 0.005
# With this seed the people of the guides answer.
SEED = 11
MAX_TRANSCRIPTS = 10_000
# Seconds of life that a call waits before it is dialled, and then before it rings.
QUEUEING, DIALLING = 0.2, 0.3
_NO_OPTIONS = CallOptions()


class Carrier:
    """Calls and their lives. Open and close it inside a running event loop.

    ``life_size``: real seconds per second of a call's life; 1.0 is life itself. With an ``account_sid`` only
    that account is served, with an ``auth_token`` only that token; else whatever a client brings is taken.
    """

    def __init__(
        self,
        *,
        account_sid: str | None = None,
        auth_token: str | None = None,
        seed: int = SEED,
        life_size: float = QUICK,
        faults: Faults | None = None,
        callees: Sequence[CalleeRule] = (),
        ledger: Path | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.seed = seed
        self.faults = faults or Faults()
        self.calls = Calls()
        self.ledger = Ledger(ledger)
        self._journal = journal or Journal()
        self.base_url = ""
        self._account_sid = account_sid
        self.auth_token = auth_token
        self.life_size = life_size
        self._directory = Directory(callees, seed)
        self._requests = self._inbound = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._phones: dict[Call, Phone] = {}
        self._transcripts: dict[str, Transcript] = {}
        self._client: WebhookClient
        self.callbacks: Callbacks
        self._debugger: Debugger
        self._closing: asyncio.Event

    def open(self, base_url: str) -> None:
        """Begin to take calls; ``base_url`` is where the API is. Raises StartError."""
        self.ledger.open()
        self.base_url = base_url
        self._client = WebhookClient()
        self.callbacks = Callbacks(self._client, self.ledger, self.faults, self.seed)
        self._debugger = Debugger()
        self._closing = asyncio.Event()
        for call in self._journal.calls():
            self.calls.add(call)

    def resume(self) -> None:
        """Go on with the calls that an earlier simulator left under way, and with the callbacks that it left undone.

        For when the application can be reached. Calls that had been answered are over; the others ring again.
        """
        for call in list(self.calls):
            if call.status == "in-progress":
                self._begin(call, self._end(call, "completed"))
            elif call.status not in ENDED:
                rings = call.direction != "inbound" and call.options.are_known
                self._begin(call, self._ring(call) if rings else self._end(call, FAILED))
            elif call.options.status_callback:
                self._begin(call, self._tell_end(call))

    def application_stops(self) -> None:
        """From now on it is no error where the application does not answer."""
        self._debugger.close()

    async def close(self) -> None:
        """End every call where it is, and let go of everything. What is on the books stays readable."""
        self._closing.set()
        self._debugger.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()
        self.ledger.close()
        self._journal.close()

    # What a client asks

    def authenticate(self, account_sid: str, username: str, password: str) -> None:
        """Check the credentials of a request about an account. Raises ApiError."""
        known = self._account_sid in (None, account_sid) and username == account_sid and password != ""
        token = password if self.auth_token is None else self.auth_token
        if not known or not hmac.compare_digest(token.encode(), password.encode()):
            raise unauthorized()

    def count_request(self, form: Form) -> CreateRequest:
        """Count a create request, and decide which fault it meets."""
        self._requests += 1
        fault = self.faults.of_request(self.seed, self._requests)
        return CreateRequest(self._requests, form["To"], form["From"], fault)

    def place(self, account_sid: str, token: str, form: Form, request: CreateRequest) -> Call:
        """Make the call that a create request asks for. Raises ApiError."""
        to, from_ = read_to(form), read_from(form)
        refuse(to, self._directory.callee(to, self.calls.next_attempt(to)))
        call = Call(
            account_sid,
            self.auth_token or token,
            to,
            from_,
            CallOptions.read(form),
            request.number,
            attempt=self.calls.next_attempt(to),
        )
        request.sid = call.sid
        if self.faults.comes_early(self.seed, request.number):
            call.first_webhook = asyncio.Event()
        self.calls.add(call)
        self._journal.write_created(call)
        self._begin(call, self._ring(call))
        return call

    def update(self, call: Call, form: Form) -> None:
        """Cancel a call, hang it up, or send it to another document. Raises ApiError."""
        status = form["Status"]
        if status not in ("", "canceled", "completed"):
            raise ApiError(400, 21218, f"Status is not valid: {status}")
        if status:
            return self._hang_up(call, status)
        phone = self._phones.get(call)
        if call.status != "in-progress" or phone is None:
            raise not_in_progress()
        if "Url" in form or "Twiml" in form:
            first = NextRequest(form["Url"], method(form, "Method"))
            self._begin(call, self._talk(call, phone, first, form["Twiml"]))
        return None

    def transcript(self, sid: str) -> Transcript | None:
        """What happened in a call that was answered, if it is one of the last ten thousand."""
        return self._transcripts.get(sid)

    async def wait_while_open(self, seconds: float) -> None:
        """Wait, but not longer than the carrier is open."""
        await _within(seconds, self._closing.wait())

    async def wait_for_first_webhook(self, call: Call, seconds: float = 2.0) -> None:
        """Wait until the call's first webhook was delivered, if the fault plan wants that."""
        if call.first_webhook is not None:
            await _within(seconds, call.first_webhook.wait())

    async def ring_in(
        self,
        from_number: str,
        to_number: str,
        url: str,
        script: Callee | None = None,
        *,
        status_callback: str = "",
        account_sid: str | None = None,
        auth_token: str | None = None,
    ) -> Transcript:
        """Somebody calls us: ``url`` is what the number called is set up with. Gives the transcript, whole.

        The account is the carrier's own unless another is named. ValueError if there is none, or no token.
        """
        sid, token = account_sid or self._account_sid, auth_token or self.auth_token
        if not sid or not token:
            raise ValueError("an inbound call needs an account and its token")
        self._inbound += 1
        options = CallOptions(url=url, status_callback=status_callback)
        call = Call(sid, token, to_number, from_number, options, -self._inbound, direction="inbound")
        self.calls.add(call)
        self._journal.write_created(call)
        call.set_status("ringing")
        phone = self._phone(call, script or self._directory.callee(from_number))
        self._begin(call, self._talk(call, phone, NextRequest(url)))
        while call.task is not None:
            await asyncio.wait({call.task})
        return phone.transcript

    # The life of a call

    async def _ring(self, call: Call) -> None:
        callee, options = self._directory.callee(call.to, call.attempt), call.options
        outcome = callee.outcome if callee.after <= options.timeout else NO_ANSWER
        await self._pass(QUEUEING)
        call.started = call.created
        await self.callbacks.tell(call, "initiated", "initiated")
        await self._pass(DIALLING)
        if outcome == FAILED:
            call.sip = callee.sip
            return await self._end(call, FAILED)
        call.set_status("ringing")
        await self.callbacks.tell(call, "ringing")
        await self._pass(options.timeout if outcome == NO_ANSWER else callee.after)
        if outcome != ANSWERED:
            return await self._end(call, outcome)
        call.set_status("in-progress")
        self._journal.write_answered(call)
        await self.callbacks.tell(call, "answered")
        if options.machine_detection:
            detecting = asyncio.create_task(detect(call, callee, self.callbacks, self.life_size))
            self._tasks.add(detecting)
            detecting.add_done_callback(self._tasks.discard)
            if not options.async_amd:
                await detecting
        first = NextRequest(options.url or f"application:{call.account_sid}", options.method)
        return await self._talk(call, self._phone(call, callee), first, options.twiml)

    async def _talk(self, call: Call, phone: Phone, first: NextRequest, twiml: str = "") -> None:
        await self._end(call, await phone.talk(first, twiml))

    async def _end(self, call: Call, status: str) -> None:
        call.end(status)
        self._phones.pop(call, None)
        self._journal.write_ended(call)
        self.ledger.add_outcome(call)
        await self._tell_end(call)

    async def _tell_end(self, call: Call) -> None:
        await self.callbacks.tell(call, "completed")
        self._journal.write_end_reported(call)
        call.options = _NO_OPTIONS

    def _hang_up(self, call: Call, status: str) -> None:
        """``canceled`` is for a call that is queued or ringing, ``completed`` for any that goes on."""
        if call.status in ENDED or (status == "canceled" and call.status == "in-progress"):
            raise not_in_progress()
        if call.transcript is not None:
            call.transcript.note(call.seconds, "hangup", by="client")
        self._begin(call, self._end(call, "completed" if call.status == "in-progress" else "canceled"))

    def _phone(self, call: Call, callee: Callee) -> Phone:
        phone = Phone(call, callee, self._client, self._debugger, self.life_size, self.base_url)
        self._phones[call] = phone
        self._transcripts[call.sid] = phone.transcript
        if len(self._transcripts) > MAX_TRANSCRIPTS:
            call_sid = next(iter(self._transcripts))
            del self._transcripts[call_sid]
        return phone

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self.life_size)

    def _begin(self, call: Call, life: Coroutine[Any, Any, None]) -> None:
        """Let the call go on with this, instead of what it was doing."""
        if call.task is not None:
            call.task.cancel()
        call.task = asyncio.create_task(life)
        self._tasks.add(call.task)
        call.task.add_done_callback(partial(self._reap, call))
        if self._closing.is_set():
            call.task.cancel()

    def _reap(self, call: Call, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if call.task is task:
            call.task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a simulated call broke off", exc_info=error)
            call.end(FAILED)
            self._phones.pop(call, None)


async def _within(seconds: float, event: Coroutine[Any, Any, Any]) -> None:
    """Wait for the event, but no longer than that."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event, seconds)
