"""Makes a database that was just restored safe: nobody in it is called, and nothing goes on, by itself.

What was acknowledged after the backup was made is not in it, calls that have rung among that. So whatever would call
somebody waits for a client who knows more. Each step may be done twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scfm.backups.restore_marker import RestoreMarker
from scfm.clock import now
from scfm.models.batch_operations.operation_run import stop_restored_runs
from scfm.models.call_hold import HELD_AT, hold_or_release
from scfm.models.call_restoration import WAITING, check_restored, doubt_restored, hold_restored
from scfm.models.callout_run import RUN, pause_restored, take_audience_again
from scfm.models.outcome import FIRST_ATTEMPT_AT, OPEN_OUTCOMES
from scfm.models.secret_keys_in_use import forget_keys_in_use
from scfm.models.session import SESSIONS
from scfm.models.stored_documents import CALLOUT_COLLECTION, CALLS, OPERATIONS, PARTICIPATIONS
from scfm.models.webhook_queue import ENDPOINT_COLLECTION, all_may_wait
from scfm.storage.query import ACCOUNT_COLLECTION, Document, Query
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView

STOPPED_RUN = "stopped: the database was restored from a backup while this waited or ran; queue it again"


@dataclass(frozen=True)
class PausedCallout:
    """A callout that ran. ``people``, ``uncalled``: all, and those of whom no call had left."""

    account_id: int
    callout_id: int
    people: int
    uncalled: int


@dataclass(frozen=True)
class HeldAccount:
    """An account whose calls are held, and how many of them wait that no paused callout keeps back."""

    account_id: int
    waiting: int


@dataclass
class Settled:
    """What was stopped. ``unknown``: calls that may have left; ``asked``: calls that the provider is asked about."""

    callouts: list[PausedCallout] = field(default_factory=list)
    accounts: list[HeldAccount] = field(default_factory=list)
    operations: list[tuple[int, int]] = field(default_factory=list)
    unknown: int = 0
    asked: int = 0


async def settle_restored(store: Store, new_callouts: Sequence[int], marker: RestoreMarker) -> Settled:
    """Stop whatever goes on. NEW_CALLOUTS: ids of those that were made while the backup was. Raises Unavailable."""
    settled = Settled()
    await store.all_tenants.remove(SESSIONS, {})  # some may have been ended since
    await forget_keys_in_use(store)
    for account in await store.all_tenants.find(ACCOUNT_COLLECTION, {}, fields=[HELD_AT]):
        view = store.for_account(account["_id"])
        await _settle_callouts(view, new_callouts, settled)
        marker.check()
        await _settle_operations(view, settled)
        await _settle_calls(store, view, account, settled)
        await view.update_many(ENDPOINT_COLLECTION, *all_may_wait(now()))
        marker.check()
    return settled


async def _settle_callouts(view: TenantView, new_callouts: Sequence[int], settled: Settled) -> None:
    account_id = view.account_id or 0
    new = {"_id": {"$in": list(new_callouts)}, RUN: {"$exists": True}}
    if new_callouts:
        await view.update_many(CALLOUT_COLLECTION, new, take_audience_again())
    moment = now()
    for callout in await view.find(CALLOUT_COLLECTION, {"status": "running"}, fields=["_id"]):
        of_callout = {"callout_id": callout["_id"]}
        open_people = {**of_callout, "outcome": {"$in": OPEN_OUTCOMES}, FIRST_ATTEMPT_AT: None}
        people = await _count(view, PARTICIPATIONS, of_callout)
        uncalled = await _count(view, PARTICIPATIONS, open_people)
        settled.callouts.append(PausedCallout(account_id, callout["_id"], people, uncalled))
        running = {"_id": callout["_id"], "status": "running"}
        await view.update_one(CALLOUT_COLLECTION, running, pause_restored(moment))
    paused = [one["_id"] for one in await view.find(CALLOUT_COLLECTION, {"status": "paused"}, fields=["_id"])]
    await view.update_many(CALLS, *hold_restored(account_id, paused))


async def _settle_operations(view: TenantView, settled: Settled) -> None:
    condition, update = stop_restored_runs(STOPPED_RUN)
    found = await view.find(OPERATIONS, condition, fields=["_id"])
    settled.operations += [(view.account_id or 0, operation["_id"]) for operation in found]
    await view.update_many(OPERATIONS, condition, update)


async def _settle_calls(store: Store, view: TenantView, account: Document, settled: Settled) -> None:
    account_id, moment = account["_id"], now()
    settled.unknown += await view.update_many(CALLS, *doubt_restored(account_id, moment))
    settled.asked += await view.update_many(CALLS, *check_restored(account_id, moment))
    waiting = await _count(view, CALLS, WAITING)
    if waiting and account.get(HELD_AT) is None:
        await hold_or_release(store.all_tenants, account_id, "hold")
    if waiting:
        settled.accounts.append(HeldAccount(account_id, waiting))


async def _count(view: TenantView, collection: str, condition: Document) -> int:
    return await view.list_of(Query(collection, (condition,))).count()
