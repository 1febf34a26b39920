"""``scfm check-numbers``: which stored phone numbers would be read otherwise today. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scfm.models import msisdn
from scfm.models.account import country_of
from scfm.models.call_work import UNSENT
from scfm.storage.query import Document, Query
from scfm.storage.store import Store

BATCH = 1000
CONTACTS = "contacts"
# What is looked at, by the noun that a line has: calls that have left cannot ring anybody any more.
LOOKED_AT = {
    "contact": Query(CONTACTS),
    "callout participation": Query("callout_participations"),
    "phone call": Query("phone_calls", ({"status": {"$in": ["created", "queued"]}, **UNSENT},)),
}


@dataclass(frozen=True)
class Finding:
    """A stored number that would be read otherwise: as ``today``, or, for None, not as a number at all."""

    id: int
    account_id: int
    stored: str
    today: str | None
    why: str


class NumberCheck:
    """Give a line for each finding to ``say``; ``run`` returns how many there were."""

    def __init__(self, store: Store, say: Callable[[str], None]) -> None:
        self._store = store
        self._say = say
        self._countries: dict[int, str | None] = {}
        # By account and number: the contact that would be read so, of those that are not stored so.
        self._contacts: dict[tuple[int, str], int] = {}
        self._pairs = 0

    async def run(self) -> int:
        """Look at everything, and say in the last line how much it was."""
        for account in await self._store.all_tenants.find("accounts", {}, fields=["settings"]):
            self._countries[account["_id"]] = country_of(account)
        looked, findings = [], 0
        for noun, query in LOOKED_AT.items():
            count = 0
            async for batch in self._store.all_tenants.batches(query, 0, BATCH, ["account_id", "msisdn"]):
                count += len(batch)
                found = [finding for one in batch if (finding := self._look_at(one)) is not None]
                findings += len(found)
                for one in found:
                    self._say(f"{noun} {one.id} of account {one.account_id}: {one.stored} {one.why}")
                if query.collection == CONTACTS:
                    await self._say_pairs(found)
            looked.append(f"{count} {noun}s")
        self._say(
            f"{', '.join(looked)} looked at: {findings} would be read otherwise today, "
            f"{self._pairs} pairs of contacts would be one"
        )
        return findings + self._pairs

    def _look_at(self, document: Document) -> Finding | None:
        stored, account_id = document["msisdn"], document["account_id"]
        if stored is None:  # a call from a withheld number
            return None
        today, messages = msisdn.check(stored)
        why = messages[0] if messages else f"would be {today}"
        country = self._countries.get(account_id)
        if today == stored and country is not None and (national := msisdn.national(stored, country)):
            today, why = national, f"is no valid number; without its + it would be {national} ({country})"
        return None if today == stored else Finding(document["_id"], account_id, stored, today, why)

    async def _say_pairs(self, found: Sequence[Finding]) -> None:
        """Name the contacts that would have the same number: as another one has it stored, or would have it too."""
        stored = await self._stored(found)
        for one in found:
            if one.today is None:
                continue
            key = (one.account_id, one.today)
            other = stored.get(key) or self._contacts.setdefault(key, one.id)
            if other != one.id:
                self._pairs += 1
                first, second = sorted((other, one.id))
                self._say(f"contacts {first} and {second} of account {one.account_id} would both be {one.today}")

    async def _stored(self, found: Iterable[Finding]) -> dict[tuple[int, str], int]:
        """By account and number, the contacts that are stored as FOUND would be read."""
        numbers: dict[int, list[str]] = {}
        for one in found:
            if one.today is not None:
                numbers.setdefault(one.account_id, []).append(one.today)
        return {
            (account_id, contact["msisdn"]): contact["_id"]
            for account_id, wanted in numbers.items()
            for contact in await self._store.for_account(account_id).find(
                CONTACTS, {"msisdn": {"$in": wanted}}, fields=["msisdn"]
            )
        }
