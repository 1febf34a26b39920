"""What the parameters of a batch operation select: filters over related resources, and limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import orjson

from scfm.clock import now
from scfm.models import filters
from scfm.models.account import default_country
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.resource import Resource
from scfm.models.stored_documents import CALLOUT_COLLECTION
from scfm.runtime.offload import offload
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView

# The time by which the calls of a period are counted, if the parameters name no other.
DEFAULT_TIMESTAMP = "remotely_queued_at"


def json_size(parameters: Any) -> int:
    """Bytes of the parameters as JSON."""
    return len(orjson.dumps(parameters))


def _integer(parameters: Document, name: str) -> int | None:
    """A parameter that the schema let through, as a number."""
    value = parameters.get(name)
    return None if value is None else int(value)


async def limit_of(view: TenantView, parameters: Document) -> int | None:
    """``limit``, else the smaller of ``max`` and what ``max_per_period`` leaves (docs/api.md, "Batch operations")."""
    if (limit := _integer(parameters, "limit")) is not None:
        return limit
    most = _integer(parameters, "max")
    per_period = _integer(parameters, "max_per_period")
    if per_period is None:
        return most
    remaining = max(0, per_period - await _count_in_period(view, parameters))
    return remaining if most is None else min(most, remaining)


async def _count_in_period(view: TenantView, parameters: Document) -> int:
    """How many calls of the account the last ``max_per_period_hours`` hours had, by the time that is asked for."""
    hours = _integer(parameters, "max_per_period_hours")
    attribute = parameters.get("max_per_period_timestamp_attribute") or DEFAULT_TIMESTAMP
    since = now() - timedelta(hours=min(24 if hours is None else hours, 24 * 366 * 100))
    query = Query("phone_calls", ({attribute: {"$gte": since}},))
    if (statuses := parameters.get("max_per_period_statuses")) is not None:
        query = query.narrowed({"status": {"$in": filters.choices(statuses)}})
    return await view.list_of(query).count()


async def country_for(view: TenantView, parameters: Any) -> str | None:
    """The account's ``default_country`` if the parameters may need it: only then the account is read."""
    values = parameters.values() if isinstance(parameters, Mapping) else ()
    by_msisdn = any(isinstance(value, Mapping) and "msisdn" in value for value in values)
    return await default_country(view) if by_msisdn else None


async def matching(view: TenantView, resource: Resource, parameters: Document) -> Query:
    """The documents of RESOURCE that fit its ``…_filter_params``, all where there are none; raises Invalid."""
    name = f"{resource.kind}_filter_params"
    query = resource.query()
    if name not in parameters:
        return query
    country = await country_for(view, parameters)
    narrow = partial(filters.apply, query, resource.filters, parameters[name], country, strict=True)
    return await offload(json_size(parameters[name]), narrow)


async def participations_of(view: TenantView, parameters: Document) -> Query:
    """Matching participations of matching callouts."""
    query = await matching(view, CALLOUT_PARTICIPATIONS, parameters)
    return await _of_callouts(view, query, parameters)


async def phone_calls_of(view: TenantView, parameters: Document) -> Query:
    """Matching phone calls of matching participations of matching callouts."""
    query = await matching(view, PHONE_CALLS, parameters)
    query = await _of_callouts(view, query, parameters)
    participations = await matching(view, CALLOUT_PARTICIPATIONS, parameters)
    if not participations.where and not participations.newest:
        return query
    return query.belonging(participations, "callout_participation_id")


async def _of_callouts(view: TenantView, query: Query, parameters: Document) -> Query:
    callouts = await matching(view, CALLOUTS, parameters)
    if not callouts.where:
        return query
    found = await view.find(CALLOUT_COLLECTION, callouts.condition, fields=["_id"], sort=())
    return query.narrowed({"callout_id": {"$in": [callout["_id"] for callout in found]}})
