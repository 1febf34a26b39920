"""``/api/remote_phone_call_events``: the provider reports on calls, and asks what the caller is to hear."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from html import escape
from typing import Any
from weakref import WeakValueDictionary

from scfm.errors import Invalid, NotFound, TooLarge, Unavailable
from scfm.handlers import report, signature
from scfm.handlers.collection import CollectionHandler
from scfm.handlers.parameters import Limits
from scfm.handlers.senders import Sender
from scfm.models import reception
from scfm.models.query import Document
from scfm.models.store import View
from scfm.twiml.flow import CalloutView, CallView, ContactView, Flow, FlowSettings, Turn, copied, render

XML = "application/xml; charset=utf-8"
REFUSAL = "Twilio Request Validation Failed."
MOST_TRIES = 50
# Anybody may send one: the largest that a provider sends has some kilobytes.
MAX_WEBHOOK_BODY = 1 << 16

# The webhooks of one call wait for one another; those of different calls do not.
_TURNS: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


class Refused(Exception):
    """The request does not come from a provider that we know."""


class RemotePhoneCallEventsHandler(CollectionHandler):
    """``GET`` is a list like any other; ``POST`` is the provider's."""

    @property
    def largest_body(self) -> int:
        return min(MAX_WEBHOOK_BODY, super().largest_body)

    async def admit(self) -> None:
        if self.request.method != "POST":
            await super().admit()

    async def post(self) -> None:
        try:
            fields = self._fields()
            details = {name: values[-1] for name, values in fields.items()}
            reach, owner = await self._reach(fields, details.get("AccountSid", ""))
            turn = _TURNS.setdefault(details.get("CallSid", ""), asyncio.Lock())
            async with turn:
                with self.app.traffic.caller():
                    answer = await self._receive(reach, owner, details)
        except Refused:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.set_status(403)
            self.write_entity(REFUSAL.encode())
        except Invalid as invalid:
            self._answer_xml(422, _errors(invalid))
        else:
            self._answer_xml(201, answer)

    def _answer_xml(self, status: int, body: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", XML)
        self.write_entity(body.encode("utf-8", "replace"))

    async def _reach(self, fields: report.Fields, sid: str) -> tuple[View, Sender]:
        """Where the report's call is: with the account that has signed it, or, under the server's own sid, with any;
        and whose the call is unless it tells otherwise.

        Raises Refused.
        """
        try:
            if self._signed(self.app.platform.token_of_server(sid), fields):
                return self.app.store.everyone, await self.app.senders.heir(sid)
            owner = await self._own(sid, fields)
        except NotFound:
            raise Refused from None
        return self.app.store.for_account(owner.account_id), owner

    async def _own(self, sid: str, fields: report.Fields) -> Sender:
        """The account that has the sid and has signed the report; raises NotFound."""
        sender = await self.app.senders.own(sid)
        if not self._signed(sender.token, fields):
            # Another process may have changed the token just now.
            self.app.senders.forget(sid)
            sender = await self.app.senders.own(sid)
        if not self._signed(sender.token, fields):
            raise NotFound
        return sender

    def _signed(self, token: str, fields: report.Fields) -> bool:
        sent = self.request.headers.get("X-Twilio-Signature", "")
        return signature.valid(token, self._public_url(), fields, sent)

    def _fields(self) -> report.Fields:
        if self.size > self.largest_body:
            raise TooLarge
        content_type = self.request.headers.get("Content-Type", "")
        if not report.is_form(content_type):
            raise Refused
        return report.read(bytes(self.content), content_type, Limits(body=self.largest_body))

    def _public_url(self) -> str:
        """The URL that the provider used, as far as we can tell."""
        if self.app.settings.public_url:
            return self.app.settings.public_url + self.request.uri
        return self.request.full_url()

    async def _receive(self, reach: View, owner: Sender, details: dict[str, str]) -> str:
        """Keep the report, move the call, and let the flow take its turn; the TwiML. Raises Invalid."""
        reception.check(details, owner.country)
        for _ in range(reception.TRIES):
            if (answer := await self._received(reach, owner, details)) is not None:
                return answer
        raise Invalid(reception.UNKNOWN_CALL)

    async def _received(self, reach: View, owner: Sender, details: dict[str, str]) -> str | None:
        """The same; None where the report made a call that did not stand, and nothing of it was kept."""
        view, country = self.app.store.for_account(owner.account_id), owner.country
        # Whoever calls in is on hold: what can be looked for before it is needed is.
        known, number, contact = await asyncio.gather(
            reception.known(reach, details, country),
            reception.new_event(reach),
            reception.caller(view, details, country),
        )
        try:
            if new := known is None:
                known = await reception.new_call(view, details, self.app.flows.default.name, contact, country)
            elif reach.account_id is None:
                # Accounts without credentials of their own share the server's: the call tells whose report it is.
                view = self.app.store.for_account(int(known.call["account_id"]))
        except Invalid:
            await reception.no_event(view, number)
            raise
        call, flow = known.call, self.app.flows.get(known.flow)
        recording = reception.record(view, call, details, known.flow or flow.name, number)
        if new:
            event, stands = await asyncio.gather(recording, reception.stands(view, call), return_exceptions=True)
            if isinstance(event, BaseException):
                raise event
            if isinstance(stands, BaseException):
                raise stands
            if not stands:
                await reception.discard(view, call, event)
                return None
        else:
            event = await recording
        # What has been recorded moves the call, whatever becomes of the turn; and nothing goes on after the answer.
        moving = reception.move(view, call, details, event)
        turn = self._take_turn(view, replace(known, call=reception.moved(call, details)), event, flow)
        moved, answer = await asyncio.gather(moving, turn, return_exceptions=True)
        if isinstance(moved, BaseException):
            raise moved
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def _take_turn(self, view: View, known: reception.Known, event: Document, flow: type[Flow]) -> str:
        # The call's memory is saved before the contact's. When another call of the contact saves its own in between,
        # the turn is taken again from where it began: BEFORE and SAVED are the call's memory then and since.
        before: dict[str, Any] | None = None
        saved: dict[str, Any] | None = None
        for _ in range(MOST_TRIES):
            call, contact = known.call, known.contact
            if contact is None:
                raise NotFound
            turn = self._turn(event, call, contact, known.callout, flow.name)
            # Another process has gone on from what we saved: that stays, and only the contact's memory is missing.
            gone_on = saved is not None and turn.call_memory != saved
            if before is not None:
                turn.call_memory = copied(before)
            remembered = copied(turn.call_memory)
            answer = render(flow, turn)
            done = gone_on
            if not done and await reception.remember(view, "phone_calls", call, flow.name, turn.call_memory):
                before, saved, done = remembered, copied(turn.call_memory), True
            if done and await reception.remember(view, "contacts", contact, flow.name, turn.contact_memory):
                return answer
            again = await reception.call_by(view, "_id", call["_id"])
            if again is None:
                raise NotFound
            known = again
        raise Unavailable(f"the memory of phone call {known.call['_id']} cannot be saved")

    def _turn(self, event: Document, call: Document, contact: Document, callout: Document | None, flow: str) -> Turn:
        return Turn(
            event_id=event["_id"],
            url=self._public_url(),
            details=event["details"],
            call=CallView(
                id=call["_id"],
                msisdn=call["msisdn"],
                direction=event["remote_direction"],
                remote_call_id=call["remote_call_id"],
                status=call["status"],
                metadata=call["metadata"],
                callout=CalloutView(callout["_id"], callout["metadata"]) if callout else None,
            ),
            contact=ContactView(contact["_id"], contact["msisdn"], contact["metadata"]),
            settings=FlowSettings.of(self.app.settings),
            contact_memory=dict(reception.memory(contact, flow)),
            call_memory=dict(reception.memory(call, flow)),
        )


def _errors(invalid: Invalid) -> str:
    messages = [message for messages in invalid.errors.values() for message in messages]
    items = "".join(f"<error>{escape(message, quote=False)}</error>" for message in messages)
    return f'<?xml version="1.0" encoding="UTF-8"?><errors>{items}</errors>'
