"""Erases a person: one pass over everything that is stored of a contact, which may be cut off and done again.

First nothing leaves any more: what is queued is canceled, and who is still to be called is excluded. While a call
goes on, the rest waits. Then, in this order: recordings at the provider, events and calls, participations, stored
answers to requests, audit events, the opt-out, and last the contact. What is not there any more when a pass is done
again is in the record: the numbers, and the ids of the calls. See docs/decisions/0028.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from scfm.clock import later, now
from scfm.errors import Unavailable
from scfm.models.call_cancellations import cancel_erased_many
from scfm.models.contact import CONTACTS
from scfm.models.doomed_recording import doom_recordings
from scfm.models.erasure_record import ERASURES, ErasureRecord
from scfm.models.opt_out_digest import OptOutDigests
from scfm.models.outcome import MARK, OPTED_OUT_AT, Outcome, new_mark
from scfm.models.references import SWEEP_DELAY, try_withdraw
from scfm.models.renumbering import former_msisdns
from scfm.models.stored_documents import (
    CALLS,
    CONTACT_COLLECTION,
    EVENT_COLLECTION,
    OPT_OUT_COLLECTION,
    PARTICIPATIONS,
)
from scfm.privacy.erasure_log import Erased, append_erased
from scfm.privacy.mentions import forget_mentions
from scfm.privacy.scrub import CALL_IS_OVER, recording_urls, scrub_calls, scrub_participations
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView

log = logging.getLogger("scfm.privacy")

# When a person is looked at again whose call goes on.
CALL_ENDS_SECONDS = 2.0
NOT_CALLED_NOW = (Outcome.PENDING.value, Outcome.WAITING.value)
# Documents that are changed at once.
MAX_SCRUBBED = 500


class Eraser:
    """Carries erasures out. Every method raises Unavailable."""

    def __init__(self, store: Store, digests: OptOutDigests, data_dir: Path) -> None:
        """DATA_DIR has the log of who was erased."""
        self._store = store
        self._digests = digests
        self._data_dir = data_dir

    async def erase(self, records: Sequence[ErasureRecord]) -> None:
        """Go on with erasures that this process has claimed, and keep when each goes on, or that it is done.

        What has to be read through for them is read once for those of an account. One that fails is reported, and
        tried again when its lease has run out.
        """
        by_account: dict[int, list[ErasureRecord]] = defaultdict(list)
        for record in records:
            view = self._store.for_account(record["account_id"])
            try:
                scrubbed = await self._scrub(view, record)
            except Unavailable:
                raise
            except Exception:
                log.exception("contact %d of account %d is not erased", record["contact_id"], record["account_id"])
            else:
                by_account[record["account_id"]] += [] if scrubbed is None else [scrubbed]
        for account_id, together in by_account.items():
            view = self._store.for_account(account_id)
            msisdns = {msisdn for record in together for msisdn in record["msisdns"]}
            await forget_mentions(view, {record["contact_id"] for record in together}, msisdns)
            for record in together:
                await self._go_on(view, record)

    async def _go_on(self, view: TenantView, record: ErasureRecord) -> None:
        """Remove the contact, whose calls and participations do not tell of it any more."""
        if "scrubbed_at" in record:  # minutes after every process could see that somebody is erased here
            await self._keep_digests(view, record["msisdns"])
        if not await try_withdraw(CONTACTS, view, record["contact_id"]):
            # Something has just been made for the contact, by who had read it before.
            await self._put_off(view, record, {"due": later(CALL_ENDS_SECONDS)})
        elif "scrubbed_at" not in record:
            # What a request or a webhook that was under way has stored since is found in a second pass.
            await self._put_off(view, record, {"due": now() + SWEEP_DELAY, "scrubbed_at": now()})
        elif now() < record["scrubbed_at"] + SWEEP_DELAY - timedelta(seconds=1):
            await self._put_off(view, record, {"due": record["scrubbed_at"] + SWEEP_DELAY})
        else:
            await self._finish(view, record)

    async def _gather(self, view: TenantView, record: ErasureRecord) -> ErasureRecord:
        """Keep all numbers of the person, and the ids of the calls; the record with them."""
        of_contact = {"contact_id": record["contact_id"]}
        contact = await view.find_one(CONTACT_COLLECTION, {"_id": record["contact_id"]})
        calls = await view.find(CALLS, of_contact, fields=["msisdn"], sort=())
        participations = await view.find(PARTICIPATIONS, of_contact, fields=["msisdn"], sort=())
        msisdns = {one["msisdn"] for one in (*calls, *participations) if one.get("msisdn")}
        if contact is not None:
            msisdns |= {contact["msisdn"], *former_msisdns(contact)}
        msisdns.update(record["msisdns"])
        others = {"msisdn": {"$in": sorted(msisdns)}, "_id": {"$ne": record["contact_id"]}}
        of_others = await view.find(CONTACT_COLLECTION, others, fields=["msisdn"], sort=())
        # A client may have given a participation the number of somebody else, or the number has a new owner.
        msisdns -= {other["msisdn"] for other in of_others}
        # Such as one that recorded an audio file.
        to_number = {"contact_id": None, "msisdn": {"$in": sorted(msisdns)}}
        calls += await view.find(CALLS, to_number, fields=["msisdn"], sort=())
        ids = {"calls": {"$each": [one["_id"] for one in calls]}}
        return await self._keep(view, record, {"$set": {"msisdns": sorted(msisdns)}, "$addToSet": ids})

    async def _doom_recordings(self, view: TenantView, record: ErasureRecord) -> None:
        """Have the provider delete the person's recordings, to which events and answers lead."""
        about = {"phone_call_id": {"$in": record["calls"]}, "details.RecordingUrl": {"$gt": ""}}
        events = await view.find(EVENT_COLLECTION, about, fields=["details"], sort=())
        of_contact = {"contact_id": record["contact_id"]}
        answers = await view.find(PARTICIPATIONS, of_contact, fields=["answers"], sort=())
        await doom_recordings(view, recording_urls([one["details"] for one in events]))
        await doom_recordings(view, recording_urls([one.get("answers", {}) for one in answers]))

    async def _stop_calls(self, view: TenantView, record: ErasureRecord) -> None:
        """Nobody calls the person any more: neither a plan, nor a call that waits.

        Who is on the phone is counted by what the call comes to.
        """
        still_open = {
            "contact_id": record["contact_id"],
            "outcome": {"$in": [None, *NOT_CALLED_NOW]},
            OPTED_OUT_AT: None,
        }
        await view.update_many(PARTICIPATIONS, still_open, {"$set": {OPTED_OUT_AT: now(), MARK: new_mark()}})
        await view.update_many(CALLS, *cancel_erased_many(calls_of(record)))

    async def _scrub(self, view: TenantView, record: ErasureRecord) -> ErasureRecord | None:
        """Take the person out of calls and participations; the record as it is then, None while a call goes on."""
        record = await self._gather(view, record)
        await self._stop_calls(view, record)
        if await view.exists(CALLS, {**calls_of(record), "$nor": [CALL_IS_OVER]}):
            await self._put_off(view, record, {"due": later(CALL_ENDS_SECONDS)})
            return None
        await self._doom_recordings(view, record)
        for some in _parts(record["calls"]):
            await scrub_calls(view, some)
        of_contact = {"contact_id": record["contact_id"]}
        await view.remove(EVENT_COLLECTION, of_contact)
        while participations := await view.find(
            PARTICIPATIONS, of_contact, fields=["_id"], sort=(), limit=MAX_SCRUBBED
        ):
            await scrub_participations(view, [one["_id"] for one in participations])
        return record

    async def _keep_digests(self, view: TenantView, msisdns: Sequence[str]) -> None:
        """Put the digest in the place of each of the numbers that is opted out, and of what says why."""
        opt_outs = await view.find(OPT_OUT_COLLECTION, {"msisdn": {"$in": list(msisdns)}}, fields=["msisdn"], sort=())
        if not opt_outs:
            return
        digests = await self._digests.digests(view.account_id or 0, [one["msisdn"] for one in opt_outs])
        for one in opt_outs:
            digest = digests[one["msisdn"]]
            if await view.exists(OPT_OUT_COLLECTION, {"msisdn": digest}):  # erased before, and opted out again
                await view.remove(OPT_OUT_COLLECTION, {"_id": one["_id"], "msisdn": one["msisdn"]})
                continue
            change: Document = {"msisdn": digest, "reason": None, "metadata": {}, "updated_at": now()}
            await view.update_one(
                OPT_OUT_COLLECTION,
                {"_id": one["_id"], "msisdn": one["msisdn"]},
                {"$set": change, "$inc": {"_version": 1}},
            )

    async def _keep(self, view: TenantView, record: ErasureRecord, update: Document) -> ErasureRecord:
        kept = await view.update_one(ERASURES, {"_id": record["_id"]}, update)
        return record if kept is None else kept

    async def _put_off(self, view: TenantView, record: ErasureRecord, change: Document) -> None:
        await view.update_one(ERASURES, {"_id": record["_id"]}, {"$set": change})

    async def _finish(self, view: TenantView, record: ErasureRecord) -> None:
        """Keep only that the contact was erased, and when: neither a number, nor what led to it."""
        gone = dict.fromkeys(("due", "msisdns", "calls", "scrubbed_at"), "")
        moment = now()
        # First, as it may be done twice.
        append_erased(self._data_dir, Erased(record["account_id"], record["contact_id"], moment))
        await view.update_one(ERASURES, {"_id": record["_id"]}, {"$set": {"erased_at": moment}, "$unset": gone})
        log.info("contact %d of account %d: erased", record["contact_id"], record["account_id"])


def calls_of(record: ErasureRecord) -> Document:
    """The phone calls of the person, as far as they are known."""
    return {"$or": [{"contact_id": record["contact_id"]}, {"_id": {"$in": record["calls"]}}]}


def _parts(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[begin : begin + MAX_SCRUBBED] for begin in range(0, len(ids), MAX_SCRUBBED)]
