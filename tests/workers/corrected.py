"""An account with a callout, and contacts in it whose numbers are corrected."""

from __future__ import annotations

from typing import Any

from scfm.models.batch_operation import BATCH_OPERATIONS, TYPES
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.fields import Rules
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.scope import Client, Scope
from scfm.storage.store import Store
from tests.workers.background import (
    PARAMS,
    account,
)

OLD, NEW, OTHER = "+855125550001", "+855125550002", "+855125550003"
NOWHERE = "http://127.0.0.1:9"


class House:
    """An account with a callout, as its client sees it."""

    def __init__(self, store: Store, account_id: int, callout_id: int = 0) -> None:
        self.account_id, self.callout = account_id, callout_id
        self.within(store)

    def within(self, store: Store) -> House:
        """The same, as another process sees it."""
        self.view = store.for_account(self.account_id)
        self.scope = Scope(self.view, Rules(), Client(self.account_id, 1))
        return self

    @classmethod
    async def open(cls, store: Store) -> House:
        house = cls(store, await account(store))
        house.callout = (await CALLOUTS.create(house.scope, {}))["_id"]
        return house

    async def contact(self, msisdn: str) -> int:
        return int((await CONTACTS.create(self.scope, {"msisdn": msisdn}))["_id"])

    async def participation(self, contact: int, **given: Any) -> int:
        told = {"contact_id": contact, **given}
        return int((await CALLOUT_PARTICIPATIONS.create(self.scope, told, callout_id=self.callout))["_id"])

    async def call(self, participation: int, event: str | None = None, **given: Any) -> int:
        part = await self.view.get("callout_participations", participation)
        known = {
            "callout_participation_id": participation,
            **{name: part[name] for name in ("callout_id", "contact_id")},
        }
        made = await PHONE_CALLS.create(self.scope, {"remote_request_params": PARAMS, **given}, **known)
        if event:
            await PHONE_CALLS.fire(self.scope, made["_id"], event)
        return int(made["_id"])

    async def renumber(self, contact: int, msisdn: str) -> None:
        await CONTACTS.update(self.scope, contact, {"msisdn": msisdn})

    async def operation(self, kind: str, **parameters: Any) -> int:
        given = {"type": f"BatchOperation::{kind}", "parameters": parameters}
        known = {"callout_id": self.callout} if kind == "CalloutPopulation" else {}
        made = await BATCH_OPERATIONS.create(self.scope, given, **known)
        await BATCH_OPERATIONS.fire(self.scope, made["_id"], "queue")
        return int(made["_id"])

    async def numbers(self, collection: str) -> list[str]:
        return [one["msisdn"] for one in await self.view.find(collection, {})]

    async def preview(self, operation: int) -> list[int]:
        found = await self.view.get("batch_operations", operation)
        kind = TYPES[found["type"]]
        query = await kind.preview(self.view, found, "contacts")
        listed, total = await self.view.list_of(query).page_with_total(0, 100)
        assert len(listed) == total
        return [contact["_id"] for contact in listed]
