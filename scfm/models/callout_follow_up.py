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
from scfm.storage.query import Document

UNREACHED: Document = {"outcome": "unreached"}
NOBODY = "matches nobody"
# In the metadata, the id of the callout that it follows.
FOLLOW_UP_OF = "follow_up_of"
IN_PLAN = "/audience/follow_up/q"


async def follow_up(scope: Scope, callout: Document, filters: Any = UNREACHED) -> Document:
    """Create a callout that calls those of CALLOUT's participations that fit FILTERS when it is started.

    It has the same plan, but for a ``not_after`` that has passed, the same flow and the same metadata. Raises Invalid
    where nobody fits now, for filters that are not understood, and for a callout without a plan.
    """
    plan = callout.get("plan")
    if plan is None:
        raise Invalid({"plan": [BLANK]}, {"plan": hints.FOLLOW_UP})
    audience = {"follow_up": {"callout_id": callout["_id"], "q": filters}}
    following = {**plan, "audience": audience, "not_after": _still_to_come(callout)}
    await _check(scope, following)
    given = {
        "plan": following,
        "call_flow_logic": callout["call_flow_logic"],
        "metadata": {**callout["metadata"], FOLLOW_UP_OF: callout["_id"]},
    }
    return await CALLOUTS.create(replace(scope, form=False), given)


def _still_to_come(callout: Document) -> str | None:
    """The ``not_after`` of the callout's plan, unless it has passed."""
    plan = Plan.of(callout)
    written: str | None = callout["plan"]["not_after"]
    return None if plan is None or plan.is_over(now()) else written


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
    created = scope.is_retry and await scope.view.exists("callouts", {"_request": scope.request})
    if not created and not await scope.view.list_of(await audience_of(scope.view, read)).count():
        raise Invalid({"q": [NOBODY]})
