"""What happens when the provider reports on a call: the report is kept, the call moves, and its flow takes a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from scfm.calls import deliveries, reception
from scfm.calls.caller import number_of
from scfm.calls.flow_turn import FlowTurn, NoTurn
from scfm.calls.reception import Known
from scfm.calls.sender import Sender
from scfm.calls.webhook_accounts import InvalidSignature
from scfm.errors import Invalid
from scfm.models.remote_phone_call_event import UNIQUE_DELIVERY
from scfm.settings import Settings
from scfm.storage.errors import Taken
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.twiml.flow import FlowSettings
from scfm.twiml.registry import Registry


@dataclass(frozen=True)
class CallReport:
    """A webhook whose signature is good.

    ``sender`` is in whose name it speaks, ``details`` what it says, ``url`` its own public address, and ``token``
    what names the delivery: see deliveries.
    """

    store: Store
    flows: Registry
    settings: Settings
    sender: Sender
    details: Mapping[str, str]
    url: str
    token: str | None = None

    async def handle(self) -> str:
        """Keep the report, move the call, and let the flow take its turn; the TwiML.

        Raises InvalidSignature where the signature does not prove enough, Invalid for a report that cannot be,
        NotFound where the call is deleted meanwhile, and Unavailable.
        """
        reception.check(self.details)
        for _ in range(reception.TRIES):
            if (answer := await self._handle()) is not None:
                return answer
        raise Invalid(reception.UNKNOWN_CALL)

    async def _handle(self) -> str | None:
        """The same; None where the report made a call that did not stand, and nothing of it was kept."""
        store, sender, details = self.store, self.sender, self.details
        owner = sender.owner
        reach = store.all_tenants if sender.only_account is None else store.for_account(sender.only_account)
        inbound = owner is not None and details.get("Direction") == reception.INBOUND
        caller = number_of(details.get("From", ""), owner.country) if owner and inbound else None
        view = store.for_account(owner.account_id) if owner else reach
        # Whoever calls in is on hold: what can be looked for before it is needed is.
        known, number, contact = await asyncio.gather(
            reception.known(reach, details, sender),
            reception.new_event(reach),
            reception.contact_with(view, caller),
        )
        new = known is None
        try:
            if known is not None:
                view = store.for_account(int(known.call["account_id"]))
            elif owner is None:
                raise InvalidSignature(
                    "it was signed with credentials that have been replaced, and is of no call placed with them"
                )
            else:
                known = await reception.new_call(view, details, self.flows.default.name, caller, contact)
        except (Invalid, InvalidSignature):
            await reception.no_event(view, number)
            raise
        event = reception.event_of(known.call, details, known.flow or self.flows.default.name, number)
        return await self._keep(view, known, event, new)

    async def _keep(self, view: TenantView, known: Known, event: Document, new: bool) -> str | None:
        """Keep the report as an event, and then move the call and save what its flow remembers.

        The flow takes its turn first, so that the event of a delivery can keep what it comes to.
        """
        turn, token = self._turn(event), self.token
        moved = reception.moved(known, event["details"])
        if known.whole:
            outcome = turn.take(moved, event)
            event |= deliveries.delivery(token, outcome) if token is not None else {}
        try:
            if new:
                kept = await reception.record_new(view, event, known.call)
            else:
                kept = await reception.record(view, event)
        except Taken as taken:
            if token is None or taken.index != UNIQUE_DELIVERY.name:
                raise
            return await self._again(view, known, token, new)
        if kept is None:
            return None
        if known.whole and kept["_id"] != event["_id"]:  # the database has died, and given the id again
            outcome = turn.take(moved, kept)
            if token is not None:
                await deliveries.replace(view, kept, outcome)
        return await self._finish(view, moved, known.call, kept, turn)

    async def _again(self, view: TenantView, known: Known, token: str, new: bool) -> str | None:
        """The same for a delivery whose event is there: do what is missing of it; None where it is taken back.

        KNOWN is the call that this request names; the delivery may have been of another.
        """
        event = await deliveries.find(view, token)
        if event is None:
            return None
        first = known if event["phone_call_id"] == known.call["_id"] else None
        if first is None:
            if new:
                await reception.discard(view, known.call)
            first = await reception.call_by(view, "_id", event["phone_call_id"])
        if first is None:
            return None
        moved = reception.moved(first, event["details"])
        return await self._finish(view, moved, first.call, event, self._turn(event))

    async def _finish(
        self, view: TenantView, moved: Known, call: Document, event: Document, turn: FlowTurn | NoTurn
    ) -> str:
        """Move the call, as it was before, and save the turn, which is taken on the call as it is MOVED; the TwiML.

        What has been recorded moves the call, whatever becomes of the turn; and nothing goes on after the answer.
        """
        moving, saving = reception.move(view, call, event["details"], event), turn.save(view, moved, event)
        done, answer = await asyncio.gather(moving, saving, return_exceptions=True)
        if isinstance(done, BaseException):
            raise done
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _turn(self, event: Document) -> FlowTurn | NoTurn:
        if not event["details"].get("Direction"):  # nobody asks what comes next: it is a report and no more
            return NoTurn()
        flow = self.flows.get(event["call_flow_logic"])
        return FlowTurn(flow, FlowSettings.of(self.settings), self.url)
