"""What the batch operation types have in common: filters over related resources, and limits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from scfm.clock import now
from scfm.models import filters
from scfm.models.account import default_country
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.query import Document, Query
from scfm.models.resource import Errors, Resource
from scfm.models.store import View

NOT_A_NUMBER = "is not a number"
TIMESTAMPS = ("remotely_queued_at", "created_at", "updated_at")


Skipped = Mapping[str, int]
"""By reason, how many documents a run has left out: ``metadata.skipped`` shows it."""
NOBODY_SKIPPED: Skipped = {}


class OperationType:
    """One type of batch operation: what it previews is what its run walks and acts on."""

    name: ClassVar[str]
    # The collection that a run walks; the previews that the type has.
    walks: ClassVar[str]
    previews: ClassVar[tuple[str, ...]]
    # The parameters that are whole numbers.
    numbers: ClassVar[tuple[str, ...]] = ("limit", "max", "max_per_period", "max_per_period_hours")
    # What of a walked document ``act`` needs; None for all of it.
    needs: ClassVar[tuple[str, ...] | None] = None
    # Whether what has been acted on waits for other jobs of the background.
    queues: ClassVar[bool] = False

    def check(self, parameters: Document, errors: Errors) -> None:
        """Add what is wrong with the parameters to ``errors``."""
        for name in self.numbers:
            if not _is_count(parameters.get(name)):
                errors.add(name, NOT_A_NUMBER)
        attribute = parameters.get("max_per_period_timestamp_attribute")
        if attribute is not None and attribute not in TIMESTAMPS:
            errors.add("max_per_period_timestamp_attribute", "is not included in the list")

    async def subject(self, view: View, operation: Document) -> Query:
        """What a run would take, limit aside."""
        raise NotImplementedError

    async def preview(self, view: View, operation: Document, collection: str) -> Query:
        """The documents of COLLECTION (one of ``previews``) that a run would take, limit included."""
        return (await self.subject(view, operation)).limited(await self.limit(view, operation))

    async def limit(self, view: View, operation: Document) -> int | None:
        """How many documents a run that begins now may take; None for all."""
        return await limit_of(view, operation["parameters"])

    async def act(
        self, view: View, operation: Document, documents: Sequence[Document], turn: asyncio.Lock
    ) -> Skipped:
        """Do the operation's work on some of the documents, by id; done twice it does no more than once.

        Gives how many of them were left out, by reason. TURN is shared by those of one run that are acted on at the
        same time: whose turn it is comes in their order.
        """
        raise NotImplementedError


def _is_count(value: Any) -> bool:
    return value is None or re.fullmatch(r"[0-9]{1,18}\Z", filters.text(value) or "", re.ASCII) is not None


def number(parameters: Document, name: str) -> int | None:
    """A parameter that ``check`` let through, as a number."""
    value = parameters.get(name)
    return None if value is None else int(value)


async def limit_of(view: View, parameters: Document) -> int | None:
    """``limit``, else the smaller of ``max`` and what ``max_per_period`` leaves (CONTRACT, section 4)."""
    if (limit := number(parameters, "limit")) is not None:
        return limit
    most = number(parameters, "max")
    per_period = number(parameters, "max_per_period")
    if per_period is None:
        return most
    left = max(0, per_period - await _in_period(view, parameters))
    return left if most is None else min(most, left)


async def _in_period(view: View, parameters: Document) -> int:
    hours = number(parameters, "max_per_period_hours")
    attribute = parameters.get("max_per_period_timestamp_attribute") or TIMESTAMPS[0]
    since = now() - timedelta(hours=min(24 if hours is None else hours, 24 * 366 * 100))
    query = Query("phone_calls", ({attribute: {"$gte": since}},))
    if (statuses := parameters.get("max_per_period_statuses")) is not None:
        query = query.narrowed({"status": {"$in": filters.choices(statuses)}})
    return await view.count(query)


async def matching(view: View, resource: Resource, parameters: Any) -> Query:
    """The documents of RESOURCE that fit PARAMETERS; the account is read only if they need its country."""
    by_number = isinstance(parameters, Mapping) and "msisdn" in parameters
    return resource.query(parameters, await default_country(view) if by_number else None)


async def participations_of(view: View, parameters: Document) -> Query:
    """Matching participations of matching callouts."""
    query = await matching(view, CALLOUT_PARTICIPATIONS, parameters.get("callout_participation_filter_params"))
    return await _of_callouts(view, query, parameters)


async def phone_calls_of(view: View, parameters: Document) -> Query:
    """Matching phone calls of matching participations of matching callouts."""
    query = await matching(view, PHONE_CALLS, parameters.get("phone_call_filter_params"))
    query = await _of_callouts(view, query, parameters)
    wanted = await matching(view, CALLOUT_PARTICIPATIONS, parameters.get("callout_participation_filter_params"))
    if not wanted.where and not wanted.newest:
        return query
    return query.belonging(wanted, "callout_participation_id")


async def _of_callouts(view: View, query: Query, parameters: Document) -> Query:
    callouts = CALLOUTS.query(parameters.get("callout_filter_params"))
    if not callouts.where:
        return query
    found = await view.find("callouts", callouts.condition, fields=["_id"], sort=())
    return query.narrowed({"callout_id": {"$in": [callout["_id"] for callout in found]}})
