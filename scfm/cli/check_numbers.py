"""``scfm check-numbers``: which stored phone numbers would be read otherwise today. It changes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scfm.cli.database import with_store
from scfm.cli.options import add_database_options
from scfm.models import msisdn
from scfm.models.account import country_of
from scfm.models.call_lifecycle import CallStatus
from scfm.models.call_work import UNSENT
from scfm.storage.query import Document, Query
from scfm.storage.store import Store

BATCH_SIZE = 1000
# What is checked, by the noun that stands in a line: calls that were sent cannot ring anybody any more.
QUERIES = {
    "contact": Query("contacts"),
    "callout participation": Query("callout_participations"),
    "phone call": Query("phone_calls", ({"status": {"$in": [CallStatus.CREATED, CallStatus.QUEUED]}, **UNSENT},)),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``scfm check-numbers``."""
    add_database_options(parser)


def run(options: argparse.Namespace) -> int:
    """Print what is found; 0 if that is nothing, else 1. Raises StartError."""

    async def check(store: Store) -> int:
        return await NumberCheck(store, print).run()

    return 1 if with_store(options, check, read_only=True, may_create=False) else 0


@dataclass(frozen=True)
class Finding:
    """A stored number that would be read otherwise: as ``today``, or, for None, not as a number at all."""

    id: int
    account_id: int
    stored: str
    today: str | None
    why: str


class NumberCheck:
    """Checks the numbers of all accounts; each finding is a line that ``say`` gets."""

    def __init__(self, store: Store, say: Callable[[str], None]) -> None:
        self._store = store
        self._say = say
        self._countries: dict[int, str | None] = {}
        # By account and number: the contact that would be read so, of those that are not stored so.
        self._contacts: dict[tuple[int, str], int] = {}
        self._pairs = 0

    async def run(self) -> int:
        """Check every number; how many findings and pairs there were. The last line says how much was checked."""
        for account in await self._store.all_tenants.find("accounts", {}, fields=["settings"]):
            self._countries[account["_id"]] = country_of(account)
        counts, findings = [], 0
        for noun, query in QUERIES.items():
            count = 0
            documents = self._store.all_tenants.list_of(query)
            async for batch in documents.batches(0, BATCH_SIZE, ["account_id", "msisdn"]):
                count += len(batch)
                found = [finding for document in batch if (finding := self._check(document)) is not None]
                findings += len(found)
                for finding in found:
                    self._say(f"{noun} {finding.id} of account {finding.account_id}: {finding.stored} {finding.why}")
                if query.collection == "contacts":
                    await self._say_pairs(found)
            counts.append(f"{count} {noun}s")
        self._say(
            f"{', '.join(counts)} looked at: {findings} would be read otherwise today, "
            f"{self._pairs} pairs of contacts would be one"
        )
        return findings + self._pairs

    def _check(self, document: Document) -> Finding | None:
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
        for finding in found:
            if finding.today is None:
                continue
            key = (finding.account_id, finding.today)
            other = stored.get(key) or self._contacts.setdefault(key, finding.id)
            if other != finding.id:
                self._pairs += 1
                first, second = sorted((other, finding.id))
                self._say(f"contacts {first} and {second} of account {key[0]} would both be {finding.today}")

    async def _stored(self, found: Iterable[Finding]) -> dict[tuple[int, str], int]:
        """By account and number, the contacts that are stored as FOUND would be read."""
        msisdns: dict[int, list[str]] = {}
        for finding in found:
            if finding.today is not None:
                msisdns.setdefault(finding.account_id, []).append(finding.today)
        return {
            (account_id, contact["msisdn"]): contact["_id"]
            for account_id, wanted in msisdns.items()
            for contact in await self._store.for_account(account_id).find(
                "contacts", {"msisdn": {"$in": wanted}}, fields=["msisdn"]
            )
        }
