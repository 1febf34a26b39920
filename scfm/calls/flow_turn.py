"""One turn of a call's flow: what the caller is to hear, and what the flow goes on to remember."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]

from scfm.calls import deliveries
from scfm.calls.account_flows import ChosenFlow
from scfm.calls.deliveries import TakenTurn
from scfm.calls.find_call import FoundCall, read_call
from scfm.calls.flow_memory import Memory, joined, memory, remember
from scfm.calls.flow_replies import save_replies
from scfm.errors import NotFound, Unavailable
from scfm.models.call_endings import ends_for_machine
from scfm.models.stored_documents import EventDocument
from scfm.storage.tenant_view import TenantView
from scfm.twiml.document import document
from scfm.twiml.flow import CalloutView, CallView, ContactView, Flow, FlowSettings, Turn, render
from scfm.twiml.replies import Replies

MAX_TURN_TRIES = 50
CALL, CONTACT = "phone_calls", "contacts"
# What a report comes to that takes no turn: the provider does nothing with the answer.
NO_TWIML = TakenTurn(document(VoiceResponse()))


def _hang_up() -> str:
    response = VoiceResponse()
    response.hangup()
    return document(response)


HANG_UP = _hang_up()


class FlowTurn:
    """A turn, taken on the call and the contact as they were read, and saved if nobody has changed them since.

    Otherwise it is taken again. The call's memory is saved before the contact's: when another call of the contact
    saves its own in between, the turn begins again from the call's memory as it was before. What the person has
    replied is saved last, when the turn cannot be taken again any more.
    """

    def __init__(
        self,
        flow: type[Flow],
        settings: FlowSettings,
        url: str,
        choose: Callable[[FoundCall], Awaitable[ChosenFlow]] | None = None,
    ) -> None:
        """CHOOSE gives the flow of a call again, which may have begun with another version meanwhile."""
        self._flow = flow
        self._settings = settings
        self._choose = choose
        self._url = url
        self._answer = ""
        # The memories before the turn, and after it, by collection; and what we have saved of the call's.
        self._before: dict[str, Memory] = {}
        self._after: dict[str, Memory] = {}
        self._saved: Memory | None = None
        self._before_saved: Memory | None = None
        self._versions: dict[str, int] = {}
        self._replies = Replies()

    @property
    def taken(self) -> TakenTurn:
        """What the turn comes to, as it was taken last."""
        changes = [name for name, after in self._after.items() if after != self._before[name]]
        return TakenTurn(self._answer, changes, self._before.get(CALL), self._versions, self._replies.document())

    def take_turn(self, found: FoundCall, event: EventDocument) -> TakenTurn:
        """Take the turn of an event: its ``_id``, ``details`` and ``remote_direction``. Raises NotFound."""
        if not found.has_its_contact:
            raise NotFound
        name = self._flow.name
        # A turn holds copies of its memories, so these stay as they are.
        self._before = {CALL: memory(found.call, name) if self._before_saved is None else self._before_saved}
        self._versions = {CALL: found.call.get("_version", 1)}
        if found.contact is not None:
            self._before[CONTACT] = memory(found.contact, name)
            self._versions[CONTACT] = found.contact.get("_version", 1)
        turn = self._turn(found, event)
        # Of a machine the flow hears nothing, if the plan does not speak to it.
        may_end = not (turn.is_status_callback or turn.digits)
        ends = may_end and ends_for_machine(found.call, found.callout, turn.details)
        self._answer = HANG_UP if ends else render(self._flow, turn)
        self._replies = turn.replies
        if found.contact is not None:
            self._after = {CALL: turn.call_memory, CONTACT: turn.contact_memory}
        else:
            self._after = {CALL: joined(self._before[CALL], turn.contact_memory, turn.call_memory)}
        return self.taken

    async def save(self, view: TenantView, found: FoundCall, event: EventDocument) -> str:
        """Save what the turn changes; the TwiML of the turn that was saved. Raises NotFound, Unavailable.

        The turn has been taken on FOUND, unless EVENT is of a delivery that somebody else has begun.
        """
        for _ in range(MAX_TURN_TRIES):
            if self._after and await self._save(view, found, event):
                await save_replies(view, found, event, self._replies)
                return self._answer
            if self._after:
                again = await read_call(view, "_id", found.call["_id"])
                if again is None:
                    raise NotFound
                found = again
                if self._choose is not None:
                    self._flow, self._settings = await self._choose(found)
            if deliveries.FIELD in event:
                event = await deliveries.reread_event(view, event)
                if not deliveries.unsaved_collections(event, {CALL: found.call, CONTACT: found.contact}):
                    kept = event[deliveries.FIELD]
                    await save_replies(view, found, event, Replies.of(kept.get("replies", {})))
                    return str(kept["answer"])
                if self._saved is None and deliveries.is_saved(event, CALL, found.call):
                    self._before_saved = event[deliveries.FIELD]["before"]
            self.take_turn(found, event)
            if deliveries.FIELD in event:
                await deliveries.replace_turn(view, event, self.taken)
        raise Unavailable(f"the memory of phone call {found.call['_id']} cannot be saved")

    async def _save(self, view: TenantView, found: FoundCall, event: EventDocument) -> bool:
        """Save the call's memory, unless somebody has gone on from what is saved, and then the contact's."""
        event_id = event["_id"] if deliveries.FIELD in event else None
        if not self._gone_on(found):
            if not await remember(view, CALL, found.call, self._flow.name, self._after[CALL], event_id):
                return False
            self._before_saved, self._saved = self._before[CALL], self._after[CALL]
        if found.contact is None:
            return True
        return await remember(view, CONTACT, found.contact, self._flow.name, self._after[CONTACT], event_id)

    def _gone_on(self, found: FoundCall) -> bool:
        if self._before_saved is None:
            return False
        return self._saved is None or memory(found.call, self._flow.name) != self._saved

    def _turn(self, found: FoundCall, event: EventDocument) -> Turn:
        call, contact, callout = found.call, found.contact, found.callout
        return Turn(
            event_id=event["_id"],
            url=self._url,
            details=event["details"],
            call=CallView(
                id=call["_id"],
                msisdn=call["msisdn"],
                direction=event["remote_direction"] or "",
                remote_call_id=call["remote_call_id"],
                status=call["status"],
                metadata=call["metadata"],
                callout=CalloutView(callout["_id"], callout["metadata"]) if callout else None,
            ),
            contact=ContactView(contact["_id"], contact["msisdn"], contact["metadata"])
            if contact
            else ContactView(None, None),
            settings=self._settings,
            contact_memory=self._before[CONTACT if contact else CALL],
            call_memory=self._before[CALL],
            answers=(found.participation or {}).get("answers", {}),
        )
