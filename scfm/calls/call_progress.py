"""Where the provider's reports move a call: never backwards, in whatever order they come."""

from __future__ import annotations

from collections.abc import Mapping

from scfm.models.call_reports import report, reported_status
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView


async def progress(view: TenantView, call: Document, details: Mapping[str, str]) -> Document | None:
    """Move the call to what CallStatus says, never backwards; its bookkeeping then, None if it has gone."""
    transition = report(call, reported_status(details)) or ()
    return await view.update_batched("phone_calls", call["_id"], *transition)


def reported_fields(details: Mapping[str, str]) -> Document:
    """What a report says of its call, as the call's fields."""
    return reported_status(details).fields
