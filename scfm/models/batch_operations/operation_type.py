"""What the types of batch operations have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from scfm.models.batch_operations.operation import Operation, Skipped
from scfm.models.batch_operations.parameters import parameter_errors
from scfm.models.batch_operations.selection import json_size, limit_of
from scfm.models.draft import Errors
from scfm.runtime.offload import offload
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView


class OperationType:
    """One type of batch operation. Its preview and its run share ``subjects`` and ``limit``.

    ``name``: as clients give it, and it is stored. ``schema``: the name of the JSON Schema of its parameters.
    ``subject_collection``: what a run walks, of which ``act`` needs ``needed_fields``, None for all of them.
    ``preview_collections``: what can be previewed. ``wakes_jobs``: other jobs of the background can go on with what
    has been acted on.
    """

    name: ClassVar[str]
    schema: ClassVar[str]
    subject_collection: ClassVar[str]
    preview_collections: ClassVar[tuple[str, ...]]
    needed_fields: ClassVar[tuple[str, ...] | None] = None
    wakes_jobs: ClassVar[bool] = False

    async def errors_in(self, parameters: Any, country: str | None) -> Errors:
        """What is wrong with parameters; ``country`` is the account's ``default_country``.

        They must be right before anything else is done with them: nothing in them is ignored.
        """
        return await offload(json_size(parameters), partial(parameter_errors, self.schema, parameters, country))

    async def subjects(self, view: TenantView, operation: Operation) -> Query:
        """The documents that a run walks, however many. Raises Invalid for filters that are not understood."""
        raise NotImplementedError

    async def limit(self, view: TenantView, operation: Operation) -> int | None:
        """How many documents a run that begins now may act on; None for all."""
        return await limit_of(view, operation["parameters"])

    async def preview(self, view: TenantView, operation: Operation, collection: str) -> Query:
        """The documents of one of ``preview_collections`` that a run would act on, by its limit."""
        return (await self.subjects(view, operation)).limited(await self.limit(view, operation))

    async def act(
        self, view: TenantView, operation: Operation, subjects: Sequence[Document], order_lock: asyncio.Lock
    ) -> Skipped:
        """Do the operation's work on some subjects, sorted by id; done twice it does no more than once.

        ORDER_LOCK is shared by those of one run that are acted on at the same time, and taken in their order. Gives
        how many subjects were left out, by reason.
        """
        raise NotImplementedError
