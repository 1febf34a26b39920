"""A phone call moves to what the provider has reported."""

from __future__ import annotations

from scfm.models import call_reports
from scfm.models.call_reports import ReportedStatus
from scfm.models.references import confirm
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.models.stored_documents import CALLS, EventDocument, PhoneCallDocument
from scfm.storage.tenant_view import TenantView


async def move_call(
    view: TenantView, call: PhoneCallDocument, report: ReportedStatus, document: EventDocument | None = None
) -> None:
    """Move the call, never backwards, once it is kept who answered. DOCUMENT is the event recorded of the report.

    Raises Invalid, and takes the event back, if somebody deletes the call meanwhile.
    """
    if learned := call_reports.learn(call, report):
        await view.update_batched(CALLS, call["_id"], *learned)
    # The call is looked at after what refers to it is stored: see docs/decisions/0001.
    bookkeeping = await view.update_batched(CALLS, call["_id"], *(call_reports.report(call, report) or ()))
    if document is not None and (bookkeeping is None or bookkeeping.get("_deleting")):
        await confirm(REMOTE_PHONE_CALL_EVENTS, view, {**document})
