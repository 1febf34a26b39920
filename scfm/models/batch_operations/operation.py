"""What the batch operation types have in common: filters over related resources, and limits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

import orjson

from scfm.clock import now
from scfm.models import filters
from scfm.models.account import default_country
from scfm.models.batch_operations.parameters import parameter_errors
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.draft import Errors
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.resource import Resource
from scfm.runtime.offload import offload
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView

# The time by which the calls of a period are counted, if the parameters name no other.
DEFAULT_TIMESTAMP = "remotely_queued_at"


Skipped = Mapping[str, int]
"""By reason, how many documents a run has left out: ``metadata.skipped`` shows it."""
NOBODY_SKIPPED: Skipped = {}


class OperationType:
    """One type of batch operation: what it previews is what its run walks and acts on."""

    name: ClassVar[str]
    # The collection that a run walks; the previews that the type has.
    walks: ClassVar[str]
    previews: ClassVar[tuple[str, ...]]
    # What the parameters may hold: the name of a schema.
    schema: ClassVar[str]
    # What of a walked document ``act`` needs; None for all of it.
    needs: ClassVar[tuple[str, ...] | None] = None
    # Whether what has been acted on waits for other jobs of the background.
    queues: ClassVar[bool] = False

    async def errors_in(self, parameters: Any, country: str | None) -> Errors:
        """What is wrong with parameters; ``country`` is the account's ``default_country``.

        They must be right before anything else is done with them: nothing in them is ignored.
        """
        return await offload(_size(parameters), partial(parameter_errors, self.schema, parameters, country))

    async def subject(self, view: TenantView, operation: Document) -> Query:
        """What a run would take, limit aside."""
        raise NotImplementedError

    async def preview(self, view: TenantView, operation: Document, collection: str) -> Query:
        """The documents of COLLECTION (one of ``previews``) that a run would take, limit included."""
        return (await self.subject(view, operation)).limited(await self.limit(view, operation))

    async def limit(self, view: TenantView, operation: Document) -> int | None:
        """How many documents a run that begins now may take; None for all."""
        return await limit_of(view, operation["parameters"])

    async def act(
        self, view: TenantView, operation: Document, documents: Sequence[Document], turn: asyncio.Lock
    ) -> Skipped:
        """Do the operation's work on some of the documents, by id; done twice it does no more than once.

        Gives how many of them were left out, by reason. TURN is shared by those of one run that are acted on at the
        same time: whose turn it is comes in their order.
        """
        raise NotImplementedError


def _size(parameters: Any) -> int:
    return len(orjson.dumps(parameters))


def number(parameters: Document, name: str) -> int | None:
    """A parameter that the schema let through, as a number."""
    value = parameters.get(name)
    return None if value is None else int(value)


async def limit_of(view: TenantView, parameters: Document) -> int | None:
    """``limit``, else the smaller of ``max`` and what ``max_per_period`` leaves (docs/api.md, "Batch operations")."""
    if (limit := number(parameters, "limit")) is not None:
        return limit
    most = number(parameters, "max")
    per_period = number(parameters, "max_per_period")
    if per_period is None:
        return most
    left = max(0, per_period - await _in_period(view, parameters))
    return left if most is None else min(most, left)


async def _in_period(view: TenantView, parameters: Document) -> int:
    hours = number(parameters, "max_per_period_hours")
    attribute = parameters.get("max_per_period_timestamp_attribute") or DEFAULT_TIMESTAMP
    since = now() - timedelta(hours=min(24 if hours is None else hours, 24 * 366 * 100))
    query = Query("phone_calls", ({attribute: {"$gte": since}},))
    if (statuses := parameters.get("max_per_period_statuses")) is not None:
        query = query.narrowed({"status": {"$in": filters.choices(statuses)}})
    return await view.count(query)


async def country_for(view: TenantView, parameters: Any) -> str | None:
    """The account's ``default_country`` if the parameters may need it: only then the account is read."""
    given = parameters.values() if isinstance(parameters, Mapping) else ()
    by_number = any(isinstance(one, Mapping) and "msisdn" in one for one in given)
    return await default_country(view) if by_number else None


async def matching(view: TenantView, resource: Resource, parameters: Document) -> Query:
    """The documents of RESOURCE that fit its ``…_filter_params``, all where there are none; raises Invalid."""
    name = f"{resource.kind}_filter_params"
    query = resource.query()
    if name not in parameters:
        return query
    country = await country_for(view, parameters)
    narrow = partial(filters.apply, query, resource.filters, parameters[name], country, strict=True)
    return await offload(_size(parameters[name]), narrow)


async def participations_of(view: TenantView, parameters: Document) -> Query:
    """Matching participations of matching callouts."""
    query = await matching(view, CALLOUT_PARTICIPATIONS, parameters)
    return await _of_callouts(view, query, parameters)


async def phone_calls_of(view: TenantView, parameters: Document) -> Query:
    """Matching phone calls of matching participations of matching callouts."""
    query = await matching(view, PHONE_CALLS, parameters)
    query = await _of_callouts(view, query, parameters)
    wanted = await matching(view, CALLOUT_PARTICIPATIONS, parameters)
    if not wanted.where and not wanted.newest:
        return query
    return query.belonging(wanted, "callout_participation_id")


async def _of_callouts(view: TenantView, query: Query, parameters: Document) -> Query:
    callouts = await matching(view, CALLOUTS, parameters)
    if not callouts.where:
        return query
    found = await view.find("callouts", callouts.condition, fields=["_id"], sort=())
    return query.narrowed({"callout_id": {"$in": [callout["_id"] for callout in found]}})
