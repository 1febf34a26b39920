"""Which phone call a provider's webhook is about."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from scfm.calls.call_event import INBOUND, CallEvent
from scfm.calls.sender import Sender
from scfm.models import msisdn
from scfm.models.call_lifecycle import UNDER_WAY
from scfm.models.call_reports import ReportedStatus, being_placed, match_attempt
from scfm.models.plan_approval import flow_heard
from scfm.models.stored_documents import (
    CALLS,
    CalloutDocument,
    ContactDocument,
    ParticipationDocument,
    PhoneCallDocument,
)
from scfm.storage.tenant_view import TenantView

# What a phone call refers to.
REFERENCES = {
    "contact_id": "contacts",
    "callout_participation_id": "callout_participations",
    "callout_id": "callouts",
}
# How often, and how many seconds apart, we look whose an early report is. Twilio waits 15 seconds for our answer.
MAX_PENDING_LOOKS, PENDING_LOOK_SECONDS = 50, 0.1
# So many calls that are being placed to one number are looked at.
MAX_PLACED = 100


class FoundCall(NamedTuple):
    """A phone call, its contact, its callout and its participation, if it has one.

    A caller without a number has no contact, nor has a call whose contact somebody has just deleted. ``flow`` is the
    call's own call flow, else its participation's, else its callout's.
    """

    call: PhoneCallDocument
    contact: ContactDocument | None
    callout: CalloutDocument | None = None
    flow: str | None = None
    participation: ParticipationDocument | None = None

    @classmethod
    def of(
        cls,
        call: Mapping[str, Any],
        contact: Mapping[str, Any] | None,
        callout: Mapping[str, Any] | None = None,
        flow: str | None = None,
        participation: Mapping[str, Any] | None = None,
    ) -> FoundCall:
        """A call and what belongs to it, as they were read."""
        return cls(
            cast(PhoneCallDocument, call),
            cast(ContactDocument | None, contact),
            cast(CalloutDocument | None, callout),
            flow,
            cast(ParticipationDocument | None, participation),
        )

    @property
    def has_its_contact(self) -> bool:
        """Whether its contact is there, if it has one."""
        return self.contact is not None or self.call["contact_id"] is None

    def as_reported(self, report: ReportedStatus) -> FoundCall:
        """As a report most likely moves it: a flow is not told of a status that has come out of order."""
        if self.call["status"] not in UNDER_WAY:
            return self
        return self._replace(call=cast(PhoneCallDocument, {**self.call, **report.fields}))


async def find_call(view: TenantView, event: CallEvent) -> FoundCall | None:
    """The phone call that an event is about, among those that VIEW sees; None for one that we do not know."""
    found = await read_call(view, "remote_call_id", event.sid, event.sender)
    if found is None and event.direction and event.direction != INBOUND:
        matched = await match_pending_attempt(view, event)
        found = await read_call(view, "_id", matched) if matched else None
    return found


async def read_call(view: TenantView, name: str, value: Any, sender: Sender | None = None) -> FoundCall | None:
    """The first phone call with VALUE in the field NAME, among those that VIEW sees, or None.

    Only those that SENDER may report on, if it is given.
    """
    found = await view.all_with_references(CALLS, name, value, REFERENCES)
    if sender is not None:
        found = [one for one in found if sender.may_report(one[0])]
        if len(found) > 1:  # a provider's id is of one call, but any sender can report one of its own calls under it
            found = [one for one in found if await sender.may_place(one[0])] or found
    if not found:
        return None
    call, named = found[0]
    participation, callout = named["callout_participation_id"], named["callout_id"]
    flow = flow_heard(callout, call, participation, callout)
    return FoundCall.of(call, named["contact_id"], callout, flow, participation)


async def match_pending_attempt(view: TenantView, event: CallEvent) -> int | None:
    """The id of the call that an event is about which has come before the provider's answer to its request, or None.

    It is the call that is being placed to that number. Where there are several we wait until their answers tell
    which it is; a provider that answers none of them before it has ours gets the first.
    """
    sender = event.sender
    # What we have sent as ``To``, so it has its country code.
    msisdns = msisdn.stored_forms(event.details.get("To"))
    for look in range(MAX_PENDING_LOOKS if msisdns else 0):
        placed = await _being_placed(view, msisdns, sender)
        # In this order: a call that has no sid by now was among those, so that one alone is the one.
        named_since = await view.first_by(CALLS, "remote_call_id", event.sid)
        if named_since is not None and sender.may_report(named_since):
            return int(named_since["_id"])
        if not placed:
            return None
        if len(placed) == 1 or look == MAX_PENDING_LOOKS - 1:
            matched = match_attempt(placed[0], msisdns, event.sid, event.direction)
            if claimed := await view.update_one(CALLS, *matched):
                return int(claimed["_id"])
        await asyncio.sleep(PENDING_LOOK_SECONDS)
    found = await read_call(view, "remote_call_id", event.sid, sender)
    return found.call["_id"] if found else None


async def _being_placed(view: TenantView, msisdns: Sequence[str], sender: Sender) -> list[PhoneCallDocument]:
    """The first of the calls that are being placed to a number, in any of its forms, and may be the sender's."""
    fields = ["_id", "account_id", "created_at"]
    placed = await view.find(CALLS, being_placed(msisdns), fields=fields, limit=MAX_PLACED)
    return [call for call in placed if await sender.may_place(call)]
