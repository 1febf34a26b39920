"""Opt-outs: the numbers that an account does not call any more. One outlives the contact that had the number.

No call leaves to such a number: the dispatcher looks for it before (``opted_out``). What was created before the
opt-out is settled in the background, by the job ``SettleOptOuts``: a mark, ``_settle_from``, is stored with the
opt-out, or with its new number, in the same write, and goes when that is done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, cast

from scfm.clock import now
from scfm.errors import Invalid
from scfm.models import filters
from scfm.models.declaration import COMMON_FILTERS, Unique
from scfm.models.erasable_fields import ErasableMsisdn
from scfm.models.fields import Choice, Id, Link, Metadata, Text, Time
from scfm.models.resource import Beside, Resource
from scfm.models.stored_documents import OPT_OUT_COLLECTION, CalloutDocument, OptOutDocument
from scfm.models.webhook_event import OPT_OUT_CREATED, TO_TELL_INDEX, told_at_first
from scfm.schemas import Schema
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# Where an opt-out came from: a client, a turn of a call flow, a file.
SOURCES = ("api", "flow", "import")
# From when on a process may settle what was created before the opt-out; absent once that is done.
SETTLE_FROM: Final = "_settle_from"


@dataclass(frozen=True)
class OptOutMsisdn(ErasableMsisdn):
    """The number that is opted out: null where its person was erased, and only a digest is left."""

    @property
    def schema(self) -> Schema:
        return {**super().schema, "type": ["string", "null"]}


class OptOuts(Resource):
    kind = "opt_out"
    collection = OPT_OUT_COLLECTION
    fields = (
        Id("id"),
        OptOutMsisdn("msisdn"),
        Text("reason"),
        Choice("source", SOURCES[0], SOURCES),
        Metadata("metadata", {}),
        Time("created_at"),
        Time("updated_at"),
        Link("account_id"),
    )
    unique = (Unique(("account_id", "msisdn"), "msisdn"),)
    filters = {
        **COMMON_FILTERS,
        "msisdn": filters.msisdn_field("msisdn"),
        "reason": filters.text_field("reason"),
        "source": filters.text_field("source"),
    }
    required = ("msisdn",)
    indexes = (
        Index("account_id", "_id"),
        Index(SETTLE_FROM, name="to_settle", only={SETTLE_FROM: {"$exists": True}}),
        TO_TELL_INDEX,
    )

    async def insert(self, view: TenantView, document: Document, beside: Beside | None = None) -> Document:
        """Store it, with the mark that what was created before has yet to be settled, and that it is to be told."""
        marks = {SETTLE_FROM: now(), **told_at_first(OPT_OUT_CREATED, document["created_at"])}
        return await super().insert(view, {**document, **marks}, beside)

    async def replace(self, view: TenantView, old: Document, changes: Document) -> Document | None:
        """Store CHANGES; another number is opted out like that of a new opt-out, and the former no more."""
        mark = {SETTLE_FROM: now()} if "msisdn" in changes else {}
        return await super().replace(view, old, {**changes, **mark})


OPT_OUTS = OptOuts()


async def opt_out(view: TenantView, msisdn: str, *, source: str, reason: str | None = None) -> OptOutDocument:
    """Opt the account's number MSISDN (normalised) out; its opt-out, which may have been there before.

    SOURCE is one of SOURCES. Raises Invalid where the account is being deleted, and Unavailable.
    """
    found = await view.first_by(OPT_OUT_COLLECTION, "msisdn", msisdn)
    while found is None:
        moment = now()
        document = {
            field.name: field.initial() for field in OPT_OUTS.fields if field.name not in ("id", "account_id")
        }
        document |= {"msisdn": msisdn, "reason": reason, "source": source}
        stamps = {"created_at": moment, "updated_at": moment, "_version": 1}
        try:
            return cast(OptOutDocument, await OPT_OUTS.insert(view, {**document, **stamps}))
        except Invalid as error:
            if "msisdn" not in error.errors:
                raise
        # Somebody else has just opted it out, and perhaps taken that away again.
        found = await view.first_by(OPT_OUT_COLLECTION, "msisdn", msisdn)
    return found


async def opted_out(view: TenantView, msisdns: Collection[str], digests: Mapping[str, str] | None = None) -> set[str]:
    """Which of the numbers (normalised) are opted out of the account's calls, by one query. Raises Unavailable.

    DIGESTS: those of the numbers, where the account has opt-outs of which nothing else is left.
    """
    if not msisdns:
        return set()
    known = {digest: msisdn for msisdn, digest in (digests or {}).items()}
    condition = {"msisdn": {"$in": [*msisdns, *known]}}
    found = await view.find(OPT_OUT_COLLECTION, condition, fields=["msisdn"], sort=())
    return {known.get(one["msisdn"], one["msisdn"]) for one in found}


def goes_over_opt_outs(callout: CalloutDocument) -> bool:
    """Whether the callout's plan is an emergency."""
    return (callout.get("plan") or {}).get("emergency") is not None
