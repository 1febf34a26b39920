"""Holds: while an account's calls, or those of the whole server, are held, none of them leaves.

A hold is a time, ``calls_held_at``, in the account's document or in that of the server; each is lifted where it was
made. Calls that are queued stay so. The dispatcher looks at both before each call leaves: see ``workers/call_holds``.
"""

from __future__ import annotations

from contextlib import suppress

from scfm.clock import now
from scfm.errors import Invalid, NotFound
from scfm.models import hints
from scfm.models.call_work import HANG_UP_WISH, new_hang_up
from scfm.models.state_machine import NOT_AN_EVENT
from scfm.models.webhook_event import ACCOUNT_HELD, telling
from scfm.storage.errors import DuplicateKey
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# The collection with the one document of the whole server, and its id.
SERVER_STATES, SERVER_STATE_ID = "server", 1
HELD_AT = "calls_held_at"


async def server_state(view: TenantView) -> Document:
    """The document of the whole server: its ``calls_held_at``, a time or None. Raises Unavailable."""
    return await view.find_one(SERVER_STATES, {"_id": SERVER_STATE_ID}) or {"_id": SERVER_STATE_ID, HELD_AT: None}


async def hold_or_release(
    view: TenantView, account_id: int | None, event: object, *, hang_up: bool = False
) -> Document:
    """Carry out EVENT, ``hold`` or ``release``, for an account, or for the whole server where ACCOUNT_ID is None.

    The account or server as it then is: a hold that is there already keeps its time. With HANG_UP what rings or talks
    is to end: that is noted in the same write, see ``workers/hang_ups_of_many``. VIEW is that of all tenants. Raises
    Invalid for another event, NotFound for an account that is gone, Unavailable.
    """
    if not isinstance(event, str) or event not in HOLD_EVENTS:
        raise Invalid({"event": [NOT_AN_EVENT]}, {"event": hints.choice_of(HOLD_EVENTS)})
    collection, document_id = (SERVER_STATES, SERVER_STATE_ID) if account_id is None else ("accounts", account_id)
    if account_id is None and not await view.exists(SERVER_STATES, {"_id": SERVER_STATE_ID}):
        with suppress(DuplicateKey):  # another request has stored it
            await view.insert(SERVER_STATES, {"_id": SERVER_STATE_ID, HELD_AT: None})
    for condition, update in (
        _release() if event == "release" else _hold(hang_up=hang_up, tell=account_id is not None)
    ):
        updated = await view.update_one(collection, {"_id": document_id, **condition}, update)
        if updated is not None:
            return updated
    found = await view.find_one(collection, {"_id": document_id})
    if found is None:
        raise NotFound
    return found


# What the events change, by pairs of a condition and an update: the first that fits is carried out.


def _hold(*, hang_up: bool, tell: bool) -> list[tuple[Document, Document]]:
    moment = now()
    wanted: Document = {HANG_UP_WISH: new_hang_up()} if hang_up else {}
    change = {HELD_AT: moment, "updated_at": moment}
    held = (
        {HELD_AT: None},
        {"$set": {**change, **wanted}, **(telling(ACCOUNT_HELD, moment, change) if tell else {})},
    )
    return [held, ({HELD_AT: {"$ne": None}}, {"$set": wanted})] if wanted else [held]


def _release() -> list[tuple[Document, Document]]:
    change = {"$set": {HELD_AT: None, "updated_at": now()}, "$unset": {HANG_UP_WISH: ""}}
    return [({HELD_AT: {"$ne": None}}, change)]


HOLD_EVENTS = ("hold", "release")
