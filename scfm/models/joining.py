"""New participations of a callout whose plan goes on are called by it; a completed callout takes none any more.

The plan ends when every participation is settled. So that none is created unseen, the callout is marked before that
is looked at for the last time (``_run.ending``), and looked at again once a new participation is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from scfm.clock import now
from scfm.errors import Invalid, Unavailable
from scfm.models.callout_run import is_ending, look_soon
from scfm.models.callout_status import COMPLETED
from scfm.models.outcome import ATTEMPT_NUMBER
from scfm.models.planned_participation import new_outcome
from scfm.models.stored_documents import CALLOUT_COLLECTION, PARTICIPATIONS, CalloutDocument
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

IS_COMPLETED = "is completed"
# How often, and how many seconds apart, a callout is looked at that is about to be completed.
MAX_ENDING_LOOKS, ENDING_LOOK_SECONDS = 250, 0.02


class JoinedCallout:
    """The callout that new participations belong to, as it was read before they are stored."""

    def __init__(self, callout: CalloutDocument) -> None:
        self._callout = callout

    @classmethod
    async def read(cls, view: TenantView, callout_id: int) -> JoinedCallout:
        """Raises Invalid if it is completed."""
        callout = await _read(view, callout_id)
        _refuse_completed(callout)
        return cls(callout)

    def new_fields(self) -> Document:
        """What is known of the outcome of somebody who joins now; nothing without a plan that goes on."""
        return new_outcome(self._callout, now()) if self._goes_on else {}

    @property
    def _goes_on(self) -> bool:
        return self._callout.get("plan") is not None and self._callout["status"] != "initialized"

    async def confirm(self, view: TenantView, contact_ids: list[int]) -> None:
        """The participations of these contacts are stored. Raises Invalid, and removes them, if that was too late."""
        if not self._goes_on:
            return
        for _ in range(MAX_ENDING_LOOKS):
            callout = await _read(view, self._callout["_id"])
            if callout["status"] == COMPLETED:
                # Of a callout that is completed nobody else is unsettled.
                joined = {"callout_id": callout["_id"], "contact_id": {"$in": contact_ids}}
                await view.remove(PARTICIPATIONS, {**joined, ATTEMPT_NUMBER: {"$exists": True}})
                _refuse_completed(callout)
            if not is_ending(callout):
                await view.update_many(CALLOUT_COLLECTION, *look_soon([callout["_id"]], now()))
                return
            await asyncio.sleep(ENDING_LOOK_SECONDS)
        raise Unavailable("the callout is about to be completed")


async def _read(view: TenantView, callout_id: int) -> CalloutDocument:
    """What is needed of a callout; of one that is gone, that it is nothing."""
    found = await view.first_by(CALLOUT_COLLECTION, "_id", callout_id)
    return found or {"_id": callout_id, "status": "stopped", "plan": None}


def _refuse_completed(callout: Mapping[str, Any]) -> None:
    if callout["status"] == COMPLETED:
        raise Invalid({"callout": [IS_COMPLETED]})
