"""The ordinal of a call that somebody queues by hand, where its callout carries a plan out: it is an attempt, too.

The plan's own attempt has the same ordinal, and a unique index lets one of both be queued: so never are two calls of
one person open, and the plan waits for the end of the one that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scfm.models.call_lifecycle import UNDER_WAY
from scfm.models.callout_run import has_started
from scfm.models.outcome import ATTEMPT_NUMBER
from scfm.models.stored_documents import CALLS, PARTICIPATIONS, CalloutDocument
from scfm.storage.tenant_view import TenantView

ANOTHER_IS_OPEN = "has another call that is queued or goes on: its plan waits for the end of that"


async def attempt_ordinals(
    view: TenantView, calls: Sequence[Mapping[str, Any]], callouts: Mapping[int, CalloutDocument]
) -> dict[int, int]:
    """By the call's id, the ordinal of each of the CALLS of whose CALLOUTS, by id, the plan has been started."""
    planned = {
        call["_id"]: call["callout_participation_id"]
        for call in calls
        if has_started(callouts.get(call["callout_id"] or 0, {})) and call["callout_participation_id"] is not None
    }
    if not planned:
        return {}
    among = sorted(set(planned.values()))
    unsettled = {"_id": {"$in": among}, ATTEMPT_NUMBER: {"$exists": True}}
    found = await view.find(PARTICIPATIONS, unsettled, fields=[ATTEMPT_NUMBER], sort=())
    ordinals: dict[int | None, int] = {participation["_id"]: participation[ATTEMPT_NUMBER] for participation in found}
    attempts = {"callout_participation_id": {"$in": among}, ATTEMPT_NUMBER: {"$exists": True}}
    fields = ["callout_participation_id", ATTEMPT_NUMBER, "status"]
    highest: dict[int | None, int] = {}
    for call in await view.find(CALLS, attempts, fields=fields, sort=()):
        participation_id, ordinal = call["callout_participation_id"], call[ATTEMPT_NUMBER]
        highest[participation_id] = max(highest.get(participation_id, 0), ordinal)
        if call["status"] in UNDER_WAY:  # also of somebody who is settled, as by a key pressed in it
            ordinals[participation_id] = ordinal
    return {
        call_id: ordinals.get(participation_id, highest.get(participation_id, 0) + 1)
        for call_id, participation_id in planned.items()
    }
