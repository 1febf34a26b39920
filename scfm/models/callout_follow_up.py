"""Follow-ups: a new callout for some of those who are in another, by default those whom it has not reached."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scfm.clock import now
from scfm.errors import Invalid
from scfm.models import hints
from scfm.models.callout import CALLOUTS
from scfm.models.fields import BLANK, FieldError
from scfm.models.plan import Plan
from scfm.models.plan_audience import audience_of
from scfm.models.plan_check import read_plan
from scfm.models.scope import Scope
from scfm.models.stored_documents import CALLOUT_COLLECTION, CalloutDocument
from scfm.storage.query import Document

UNREACHED: Document = {"outcome": "unreached"}
NOBODY = "matches nobody"
# In the metadata, the id of the callout that it follows.
FOLLOW_UP_OF = "follow_up_of"
IN_PLAN = "/audience/follow_up/q"


async def follow_up(
    scope: Scope, callout: CalloutDocument, filters: Any = UNREACHED, metadata: Any = None
) -> Document:
    """Create a callout that calls those of CALLOUT's participations that fit FILTERS when it is started.

    It has the same plan, but for a ``not_after`` that has passed, the same flow and the same metadata, to which
    METADATA is joined name by name; what is no object counts as none. Raises Invalid where nobody fits now, for
    filters that are not understood, and for a callout without a plan.
    """
    plan = callout.get("plan")
    if plan is None:
        raise Invalid({"plan": [BLANK]}, {"plan": hints.FOLLOW_UP})
    audience = {"follow_up": {"callout_id": callout["_id"], "q": filters}}
    read = Plan.of(callout)
    over = read is None or read.is_over(now())
    following = {**plan, "audience": audience, "not_after": None if over else plan["not_after"]}
    await _check(scope, following)
    added = metadata if isinstance(metadata, dict) else {}
    given = {
        "plan": following,
        "call_flow_logic": callout["call_flow_logic"],
        "metadata": {**callout["metadata"], **added, FOLLOW_UP_OF: callout["_id"]},
    }
    return await CALLOUTS.create(replace(scope, form=False), given)


async def _check(scope: Scope, plan: Document) -> None:
    """Raise Invalid where the filters are not understood, naming their places in ``q``, and where nobody fits."""
    try:
        checked = await read_plan(plan, scope.rules.country, form=False)
    except FieldError as error:
        if not all(message.startswith(IN_PLAN) for message in error.args):
            raise Invalid({"plan": list(error.args)}) from None
        raise Invalid({"q": [message.removeprefix(IN_PLAN).removeprefix(": ") for message in error.args]}) from None
    read = Plan.of({"plan": checked})
    assert read is not None
    created = scope.is_retry and await scope.view.exists(CALLOUT_COLLECTION, {"_request": scope.request})
    if not created and not await scope.view.list_of(await audience_of(scope.view, read)).count():
        raise Invalid({"q": [NOBODY]})
