"""Create phone calls: one for each matching participation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from scfm.models import hints
from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.linked import make_missing
from scfm.models.batch_operations.operation import NOBODY_SKIPPED, OperationType, Skipped, participations_of
from scfm.models.draft import Errors
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.renumbering import NUMBER_KIND, SET_ASIDE
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView


class PhoneCallCreate(OperationType):
    name = operation_links.CREATE
    schema = "phone_call_create"
    walks = "callout_participations"
    previews = ("callout_participations", "contacts")
    needs = ("callout_id", "contact_id", "msisdn", NUMBER_KIND)

    async def errors_in(self, parameters: Any, country: str | None) -> Errors:
        errors = await super().errors_in(parameters, country)
        if "remote_request_params" in errors:
            hint = hints.request_params(parameters.get("remote_request_params"))
            errors.hints |= {"remote_request_params": hint} if hint else {}
        return errors

    async def subject(self, view: TenantView, operation: Document) -> Query:
        """All but those whose contact's number is another participation's in the callout: nobody is called twice."""
        matching = await participations_of(view, operation["parameters"])
        return matching.narrowed({NUMBER_KIND: {"$ne": SET_ASIDE}})

    async def preview(self, view: TenantView, operation: Document, collection: str) -> Query:
        participations = await super().preview(view, operation, collection)
        if collection == "contacts":
            return Query("contacts", through=participations, key="contact_id")
        return participations

    async def act(
        self, view: TenantView, operation: Document, documents: Sequence[Document], turn: asyncio.Lock
    ) -> Skipped:
        empty = {one.name: one.initial() for one in PHONE_CALLS.fields if one.name != "id"}
        await make_missing(
            view,
            PHONE_CALLS,
            documents,
            turn,
            parent_collection="callout_participations",
            link="callout_participation_id",
            among={"create_batch_operation_id": operation["_id"]},
            common={**empty, "remote_request_params": operation["parameters"]["remote_request_params"]},
            copied=self.needs,
        )
        return NOBODY_SKIPPED
