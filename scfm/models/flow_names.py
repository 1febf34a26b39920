"""How other documents name a call flow of the account in ``call_flow_logic``: by its name, once it is published.

What is unfinished keeps the flow that it names from being deleted and renamed. As with references, two looks make
that sure without transactions: who deletes or renames a flow marks it first (``_deleting``) and looks for what names
it second; who names one stores the name first and looks for the mark second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

from scfm.errors import Invalid, Unavailable
from scfm.models import hints
from scfm.models.call_lifecycle import UNDER_WAY, CallStatus
from scfm.models.callout_status import COMPLETED
from scfm.models.fields import NOT_IN_LIST
from scfm.models.filters import text
from scfm.models.outcome import OPEN_OUTCOMES
from scfm.models.references import DELETION_LOOK_SECONDS, MAX_DELETION_LOOKS, live_ids
from scfm.models.scope import Scope
from scfm.storage.index import Index
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView

FLOW_COLLECTION = "call_flows"
DRAFT, PUBLISHED = "draft", "published"
FLOW_STATUSES = (DRAFT, PUBLISHED)
# The field by which other documents name a flow.
NAMING_FIELD = "call_flow_logic"
# Of those of which there are many, few name a flow of their own.
NAMED_FLOW_INDEX = Index("account_id", NAMING_FIELD, "_id", name="named_flow", only={NAMING_FIELD: {"$gt": ""}})
_NOT_OVER: Document = {"status": {"$ne": COMPLETED}}
_OPEN_CALL: Document = {"status": {"$in": [CallStatus.CREATED, *UNDER_WAY]}}
# So many names of published flows are told to who gives one that is not in the list.
MAX_LISTED = 100


async def with_published_flows(scope: Scope, given: Document) -> Scope:
    """SCOPE, whose rules know the account's published flows where GIVEN names a flow that is not registered."""
    name = given.get(NAMING_FIELD)
    name = None if isinstance(name, dict | list) else text(name)
    if name is None or name in scope.rules.flows:
        return scope
    found = await _named(scope.view, name)
    published = {"status": PUBLISHED}
    listed = await scope.view.find(FLOW_COLLECTION, published, fields=["name"], sort=(("name", 1),), limit=MAX_LISTED)
    names = {str(flow["name"]) for flow in listed} | ({name} if found else set())
    return replace(scope, rules=replace(scope.rules, flows=scope.rules.flows | names))


async def confirm_flow(scope: Scope, stored: Document) -> None:
    """Raise Invalid where the flow that a document names, which has just been stored, is gone.

    SCOPE is that of the request: its rules know the registered flows. Raises Unavailable where a deletion of the flow
    does not end.
    """
    name = stored.get(NAMING_FIELD)
    if not name or name in scope.rules.flows:
        return
    for _ in range(MAX_DELETION_LOOKS):
        flow = await _named(scope.view, name)
        if flow is None:
            raise Invalid({NAMING_FIELD: [NOT_IN_LIST]}, _hint(name, scope.rules.flows))
        if not flow.get("_deleting"):
            return
        await asyncio.sleep(DELETION_LOOK_SECONDS)
        await live_ids(scope.view, FLOW_COLLECTION, [flow["_id"]])  # takes a mark away that was abandoned
    raise Unavailable(f"the deletion of call flow {name} does not end")


async def unfinished_naming(view: TenantView, name: str) -> str | None:
    """Of what kind something unfinished is that names the flow, for people; None where there is no such thing."""
    naming: Document = {NAMING_FIELD: name}
    if await view.exists("callouts", {**naming, **_NOT_OVER}):
        return "callouts"
    participations = Query("callout_participations", (naming,))
    some = await _any(view, participations)
    if some and await _may_be_called(view, participations):
        return "callout participations"
    callouts = await view.find("callouts", naming, fields=["_id"], sort=())
    # A call that names no flow has its participation's, else its callout's.
    heirs: Document = {**_OPEN_CALL, NAMING_FIELD: None}
    of_callouts: Document = {**heirs, "callout_id": {"$in": [callout["_id"] for callout in callouts]}}
    through = Query("phone_calls", (heirs,))
    if (
        await view.exists("phone_calls", {**naming, **_OPEN_CALL})
        or (callouts and await view.exists("phone_calls", of_callouts))
        or (some and await _any(view, replace(participations, through=through, key="callout_participation_id")))
    ):
        return "phone calls"
    return None


async def _may_be_called(view: TenantView, participations: Query) -> bool:
    """Whether a person of one of them is to be called, or may be called again: the callout's plan is not over."""
    planned = Query("callouts", ({**_NOT_OVER, "plan": {"$ne": None}},), through=participations, key="callout_id")
    open_outcome = {"outcome": {"$in": [*OPEN_OUTCOMES, None]}}
    return await _any(view, participations.narrowed(open_outcome)) or await _any(view, planned)


async def _any(view: TenantView, query: Query) -> bool:
    return await view.list_of(query.limited(1)).count() > 0


async def _named(view: TenantView, name: str) -> Document | None:
    """The published flow of that name, as far as is asked here, or None."""
    published = {"name": name, "status": PUBLISHED}
    found = await view.find(FLOW_COLLECTION, published, fields=["_id", "_deleting"], sort=(), limit=1)
    return found[0] if found else None


def _hint(name: str, registered: Collection[str]) -> dict[str, str]:
    hint = hints.call_flow(name, registered)
    return {NAMING_FIELD: hint} if hint else {}
