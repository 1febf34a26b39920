"""What happens when the provider reports on a call: the report is kept, the call moves, and its flow takes a turn."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

from scfm.calls import deliveries
from scfm.calls.account_flows import AccountFlows, ChosenFlow
from scfm.calls.call_event import CallEvent
from scfm.calls.create_inbound_call import MAX_CREATE_TRIES, UNKNOWN_CALL, create_inbound_call, find_contact
from scfm.calls.find_call import FoundCall, find_call, read_call
from scfm.calls.flow_turn import NO_TWIML, FlowTurn
from scfm.calls.move_call import move_call
from scfm.calls.record_event import event_document, record_with_new_call, withdraw_new_call
from scfm.calls.webhook_accounts import InvalidSignature
from scfm.errors import Invalid
from scfm.models.call_reports import ReportedStatus, reported_status
from scfm.models.references import insert_unconfirmed
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS, UNIQUE_DELIVERY
from scfm.models.stored_documents import EventDocument, PhoneCallDocument
from scfm.runtime import log_context
from scfm.storage.errors import DuplicateKey
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView

REPLACED = "it was signed with credentials that have been replaced, and is of no call placed with them"


async def handle_call_event(store: Store, flows: AccountFlows, event: CallEvent) -> str:
    """Keep the report, move the call, and let the flow take its turn; the TwiML.

    Raises InvalidSignature where the signature does not prove enough, Invalid for a report that cannot be, NotFound
    where the call is deleted meanwhile, and Unavailable.
    """
    handling = _Handling(store, flows, event)
    for _ in range(MAX_CREATE_TRIES):
        if (answer := await handling.try_once()) is not None:
            return answer
    raise Invalid(UNKNOWN_CALL)


@dataclass(frozen=True, slots=True)
class _Handling:
    """One try. None, in place of TwiML, says that the call that it made did not stand, and that nothing is kept."""

    store: Store
    flows: AccountFlows
    event: CallEvent

    async def try_once(self) -> str | None:
        store, event, owner = self.store, self.event, self.event.sender.owner
        only_account = event.sender.only_account
        reach = store.all_tenants if only_account is None else store.for_account(only_account)
        view = store.for_account(owner.account_id) if owner else reach
        ids = reach.counters.ids(REMOTE_PHONE_CALL_EVENTS.kind)
        finding, allocating = find_call(reach, event), ids.allocate(1)
        # An inbound caller waits on the line: what can be looked for before it is needed is.
        contact = None
        if event.caller is None:
            found, event_ids = await asyncio.gather(finding, allocating)
        else:
            found, event_ids, contact = await asyncio.gather(finding, allocating, find_contact(view, event.caller))
        new = found is None
        try:
            if found is not None:
                view = store.for_account(int(found.call["account_id"]))
            elif owner is None:
                raise InvalidSignature(REPLACED)
            else:
                found = await create_inbound_call(view, event, self.flows.registry.default.name, contact)
        except (Invalid, InvalidSignature):
            await ids.release(event_ids[0])
            raise
        document = event_document(event, found.call, found.flow or self.flows.registry.default.name, event_ids[0])
        return await self._record(view, found, document, new)

    async def _record(self, view: TenantView, found: FoundCall, document: EventDocument, new: bool) -> str | None:
        """Keep the report as an event, and then move the call and save what its flow remembers.

        The flow takes its turn first, so that the event of a delivery can keep what it comes to.
        """
        log_context.is_about(view.account_id)
        turn, token = await self._turn(found, document), self.event.token
        report = self.event.report
        call_after = found.as_reported(report)
        if found.has_its_contact:
            taken = turn.take_turn(call_after, document) if turn else NO_TWIML
            if token is not None:
                document["_delivery"] = deliveries.delivery(token, taken)
        try:
            if new:
                kept = await record_with_new_call(view, document, found.call)
            else:
                stored = await insert_unconfirmed(REMOTE_PHONE_CALL_EVENTS, view, document)
                kept = cast(EventDocument, stored)
        except DuplicateKey as duplicate:
            if token is None or duplicate.index != UNIQUE_DELIVERY.name:
                raise
            return await self._repeat(view, found, token, new)
        if kept is None:
            return None
        if found.has_its_contact and kept["_id"] != document["_id"]:  # the database died, and gave the id again
            taken = turn.take_turn(call_after, kept) if turn else NO_TWIML
            if token is not None:
                await deliveries.replace_turn(view, kept, taken)
        return await self._finish(view, found.call, call_after, report, kept, turn)

    async def _repeat(self, view: TenantView, found: FoundCall, token: str, new: bool) -> str | None:
        """Finish a delivery that another request began; None if its event was withdrawn.

        FOUND is the call that this webhook names; the delivery may have been of another.
        """
        document = await deliveries.find_event(view, token)
        if document is None:
            return None
        first = found if document["phone_call_id"] == found.call["_id"] else None
        if first is None:
            if new:
                await withdraw_new_call(view, found.call)
            first = await read_call(view, "_id", document["phone_call_id"])
        if first is None:
            return None
        report = reported_status(document["details"])
        call_after = first.as_reported(report)
        turn = await self._turn(first, document)
        return await self._finish(view, first.call, call_after, report, document, turn)

    async def _finish(
        self,
        view: TenantView,
        call: PhoneCallDocument,
        call_after: FoundCall,
        report: ReportedStatus,
        document: EventDocument,
        turn: FlowTurn | None,
    ) -> str:
        """Move the call by the report, and save the turn; the TwiML.

        CALL is as it was before, CALL_AFTER as the report most likely moves it: the turn is taken on that.
        What has been recorded moves the call, whatever becomes of the turn; and nothing goes on after the answer.
        """
        if turn is None:
            await move_call(view, call, report, document)
            return NO_TWIML.answer
        moving, saving = move_call(view, call, report, document), turn.save(view, call_after, document)
        done, answer = await asyncio.gather(moving, saving, return_exceptions=True)
        if isinstance(done, BaseException):
            raise done
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def _turn(self, found: FoundCall, document: EventDocument) -> FlowTurn | None:
        """The turn of an event of a call; None for a mere report, as nobody asks what comes next."""
        if not document["details"].get("Direction"):
            return None

        async def choose(found: FoundCall) -> ChosenFlow:
            call, name = found.call, document["call_flow_logic"]
            return await self.flows.of_call(call["account_id"], name, call, found.callout)

        return FlowTurn(*await choose(found), self.event.url, choose)
