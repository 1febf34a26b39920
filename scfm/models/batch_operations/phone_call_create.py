"""Create phone calls: one for each matching participation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from scfm.models import hints
from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.create_missing import create_missing
from scfm.models.batch_operations.operation import Operation, Skipped
from scfm.models.batch_operations.operation_type import OperationType
from scfm.models.batch_operations.selection import participations_of
from scfm.models.declaration import initial_fields
from scfm.models.draft import Errors
from scfm.models.erased import ERASED
from scfm.models.outcome import MARK, new_mark
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.renumbering import MSISDN_KIND, SET_ASIDE
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView


class PhoneCallCreate(OperationType):
    name = operation_links.CREATE
    schema = "phone_call_create"
    subject_collection = "callout_participations"
    preview_collections = ("callout_participations", "contacts")
    needed_fields = ("callout_id", "contact_id", "msisdn", MSISDN_KIND)

    async def errors_in(self, parameters: Any, country: str | None) -> Errors:
        errors = await super().errors_in(parameters, country)
        if "remote_request_params" in errors:
            hint = hints.request_params(parameters.get("remote_request_params"))
            errors.hints |= {"remote_request_params": hint} if hint else {}
        return errors

    async def subjects(self, view: TenantView, operation: Operation) -> Query:
        """All but those whose contact's number is another participation's in the callout: nobody is called twice.

        Nor those whose person was erased.
        """
        participations = await participations_of(view, operation["parameters"])
        return participations.narrowed({MSISDN_KIND: {"$ne": SET_ASIDE}, ERASED: None})

    async def preview(self, view: TenantView, operation: Operation, collection: str) -> Query:
        participations = await super().preview(view, operation, collection)
        if collection == "contacts":
            return Query("contacts", through=participations, key="contact_id")
        return participations

    async def act(
        self, view: TenantView, operation: Operation, subjects: Sequence[Document], order_lock: asyncio.Lock
    ) -> Skipped:
        await create_missing(
            view,
            PHONE_CALLS,
            subjects,
            order_lock,
            parent_collection="callout_participations",
            link="callout_participation_id",
            scope={"create_batch_operation_id": operation["_id"]},
            common=initial_fields(PHONE_CALLS)
            | {"remote_request_params": operation["parameters"]["remote_request_params"], MARK: new_mark()},
            copy_fields=self.needed_fields,
        )
        return {}
