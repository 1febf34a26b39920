"""What the person on the phone has replied: it is kept on the call's participation, and as an opt-out."""

from __future__ import annotations

from scfm.calls import deliveries
from scfm.calls.find_call import FoundCall
from scfm.clock import now
from scfm.errors import Unavailable
from scfm.models.opt_out import opt_out
from scfm.models.outcome import ACKNOWLEDGED_AT, MARK, OPTED_OUT_AT, new_mark
from scfm.models.stored_documents import OPT_OUT_COLLECTION, PARTICIPATIONS, EventDocument, ParticipationDocument
from scfm.storage.compare_and_set import compare_and_set
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView
from scfm.twiml.replies import Replies

MAX_REPLY_TRIES = 50


async def save_replies(view: TenantView, found: FoundCall, event: EventDocument, replies: Replies) -> None:
    """Save the replies of a turn whose memories are saved, once for each delivery. Raises Unavailable.

    An opt-out of the call's number is made first. A participation that has been deleted meanwhile keeps nothing.
    """
    participation, named = found.participation, deliveries.FIELD in event
    if replies.opted_out:
        await _opt_out(view, found.call["msisdn"], event)
    if not replies or participation is None:
        return
    for _ in range(MAX_REPLY_TRIES):
        if named and deliveries.is_saved(event, PARTICIPATIONS, participation):
            return
        change = _change(participation, replies)
        if named:
            change[deliveries.TURNS] = await deliveries.turns_with(view, PARTICIPATIONS, participation, event["_id"])
        if await compare_and_set(view, PARTICIPATIONS, participation, change):
            return
        again = await view.first_by(PARTICIPATIONS, "_id", participation["_id"])
        if again is None:
            return
        participation = again
        # After the participation: a mark that makes room for others is noted in the event before.
        event = await deliveries.reread_event(view, event) if named else event
    raise Unavailable(f"the replies in participation {participation['_id']} cannot be saved")


async def _opt_out(view: TenantView, msisdn: str | None, event: EventDocument) -> None:
    """Opt the number out, once for each delivery: a client may have taken it away since. None is a hidden number."""
    named = deliveries.FIELD in event
    if msisdn is None or (named and OPT_OUT_COLLECTION in event[deliveries.FIELD]["saved"]):
        return
    await opt_out(view, msisdn, source="flow")
    if named:
        await deliveries.note_saved(view, [event["_id"]], OPT_OUT_COLLECTION)


def _change(participation: ParticipationDocument, replies: Replies) -> Document:
    """What the replies change of a participation; the first acknowledgement and opt-out count."""
    moment = now()
    change: Document = {f"answers.{name}": value for name, value in replies.answers.items()}
    for done, name in ((replies.acknowledged, ACKNOWLEDGED_AT), (replies.opted_out, OPTED_OUT_AT)):
        if done and participation.get(name) is None:
            change[name] = moment
    return {**change, "updated_at": moment, MARK: new_mark()}
