"""Populate a callout: a participation for each matching contact that has none in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scfm.models.batch_operations import made
from scfm.models.batch_operations.linked import make_missing
from scfm.models.batch_operations.operation import OperationType, matching
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.query import Document, Query
from scfm.models.store import View


class CalloutPopulation(OperationType):
    name = made.POPULATION
    walks = "contacts"
    previews = ("contacts",)
    numbers = ()
    needs = ("msisdn",)

    async def subject(self, view: View, operation: Document) -> Query:
        return await matching(view, CONTACTS, operation["parameters"].get("contact_filter_params"))

    async def limit(self, view: View, operation: Document) -> int | None:
        return None

    async def act(self, view: View, operation: Document, documents: Sequence[Document], turn: asyncio.Lock) -> None:
        await make_missing(
            view,
            CALLOUT_PARTICIPATIONS,
            documents,
            turn,
            parent_collection="contacts",
            link="contact_id",
            among={"callout_id": operation["callout_id"]},
            common={"callout_population_id": operation["_id"], "call_flow_logic": None, "metadata": {}},
            copied=("msisdn",),
        )
