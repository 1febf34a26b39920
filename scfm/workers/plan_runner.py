"""Carries out the plans of callouts: takes the audience, calls those who are due, and ends the callout.

A callout that runs is taken by one process at a time, for one step: outcomes are worked out again, some
contacts become participations, some attempts are made. How far it is, is in ``_run`` (``CalloutRun``). Any step may
be cut off at any line, or be done twice.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from scfm.clock import later, now
from scfm.errors import Unavailable
from scfm.models.call_lifecycle import CallStatus
from scfm.models.call_work import DUE as CALL_DUE
from scfm.models.call_work import EXISTS, LANE, RANK
from scfm.models.callout_run import (
    AUDIENCE,
    ENDING,
    REVIEW,
    RUN,
    RUN_DUE,
    CalloutRun,
    complete_run,
    end_step,
    end_stopped_run,
    give_back_run,
    retry_step,
    run_due,
    take_run,
)
from scfm.models.outcome import ATTEMPT_DUE, OPEN_OUTCOMES
from scfm.models.plan import Plan
from scfm.models.plan_audience import take_audience
from scfm.models.planned_participation import UNSETTLED, due_by
from scfm.models.queue_place import place_waiting, queue_place
from scfm.models.stored_documents import (
    CALLOUT_COLLECTION,
    CALLS,
    PARTICIPATIONS,
    CalloutDocument,
    ParticipationDocument,
)
from scfm.results.callout_statistics import people_of
from scfm.results.people import outcome_words
from scfm.runtime.backoff import Backoff
from scfm.runtime.log_format import fields
from scfm.runtime.metrics import LEASE_LOSSES
from scfm.settings import Settings
from scfm.storage.query import Document, Query
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.claims import claim_each
from scfm.workers.outcome_writer import store_outcomes
from scfm.workers.plan_attempts import NEEDED_FIELDS, PlanAttempts
from scfm.workers.runner import Job

log = logging.getLogger("scfm.work")

# How many people one step acts on.
STEP_SIZE = 1000
# So many seconds of what leaves are queued ahead, but not fewer calls than this; without a known limit, so many.
QUEUED_SECONDS, MIN_AHEAD, DEFAULT_AHEAD = 20.0, 20, 1000
# While a plan waits for room among the queued calls; while calls are open; while nobody is called.
ROOM_SECONDS, OPEN_SECONDS, IDLE_SECONDS = 0.25, 1.0, 60.0
# After a step that failed. A callout is never given up: its people wait.
STEP_BACKOFF = Backoff(first=1.0, longest=60.0)
# No step is further off than this.
MAX_STEP_SECONDS = STEP_BACKOFF.longest
# How often outcomes are worked out anew where others do so at the same time.
MAX_TRIES = 20


class Step(NamedTuple):
    """What a step came to: when the next is to be taken, None for none, and the fields that change in the callout."""

    next_at: datetime | None
    changes: Mapping[str, Any] = {}
    removed: Sequence[str] = ()


class PlanRunner(Job):
    """Takes callouts whose plan can go on, and takes one step of each."""

    name = "run plans"
    slots = 4

    def __init__(
        self,
        store: Store,
        attempts: PlanAttempts,
        accounts: CallingAccounts,
        settings: Settings,
        wake_senders: Callable[[], None],
        log_id: str | None = None,
    ) -> None:
        """``wake_senders`` is called when calls have been queued. ``log_id``: that of the send journal."""
        self._store = store
        self._attempts = attempts
        self._accounts = accounts
        self._server_rate = settings.calls_per_second
        self._lease = settings.lease_seconds
        self._wake_senders = wake_senders
        self._log_id = log_id
        # By the callout's id, how many steps in a row have failed.
        self._failures: dict[int, int] = {}

    async def claim(self, limit: int) -> Sequence[CalloutDocument]:
        waiting = run_due(now())

        def claiming(found: CalloutDocument) -> tuple[Document, Document]:
            return {**found, **waiting}, take_run(
                uuid.uuid4().hex, self._log_id, later(IDLE_SECONDS), later(self._lease)
            )

        callouts = await claim_each(self._store.all_tenants, CALLOUT_COLLECTION, waiting, RUN_DUE, limit, claiming)
        self.next_claim_in = ROOM_SECONDS if callouts else math.inf
        return callouts

    async def process(self, item: CalloutDocument) -> None:
        view = self._store.for_account(item["account_id"])
        step = await self._step(view, item)
        self._failures.pop(item["_id"], None)
        if await view.update_one(CALLOUT_COLLECTION, *end_step(item, *step)) is None:
            await self._give_back(view, item)
        elif step.next_at is not None and step.next_at <= now():
            self.wake()

    async def on_error(self, item: CalloutDocument, error: Exception) -> None:
        """Try again after a while, for as long as it takes: people wait for it."""
        failures = self._failures[item["_id"]] = self._failures.get(item["_id"], 0) + 1
        view, again = self._store.for_account(item["account_id"]), later(STEP_BACKOFF.seconds(failures))
        if await view.update_one(CALLOUT_COLLECTION, *retry_step(item, again)) is None:
            await self._give_back(view, item)

    async def _give_back(self, view: TenantView, item: CalloutDocument) -> None:
        """Another process may take the callout at once: it was changed meanwhile."""
        if await view.update_one(CALLOUT_COLLECTION, *give_back_run(item)):
            self.wake()
        else:
            LEASE_LOSSES.labels("plan").inc()

    async def _step(self, view: TenantView, callout: CalloutDocument) -> Step:
        run: CalloutRun = callout[RUN]
        plan = Plan.of(callout)
        if "review" in run:
            return await self._review(view, callout, run["review"])
        if plan is not None and callout["status"] == "stopped":
            return await self._after_stop(view, callout)
        if plan is None or callout["status"] not in ("running", "paused"):
            return Step(None)
        if "audience" not in run:
            if callout["status"] == "paused":
                return Step(None)
            next_at = await self._call(view, callout, plan)
            return await self._end(view, callout) if next_at is None else Step(next_at, removed=[ENDING])
        cursor = await take_audience(view, callout, plan, run["audience"], STEP_SIZE)
        if callout["status"] == "running":
            await self._call(view, callout, plan)
        return Step(now(), removed=[AUDIENCE]) if cursor is None else Step(now(), {AUDIENCE: cursor})

    async def _review(self, view: TenantView, callout: CalloutDocument, cursor: int) -> Step:
        """Work out the outcomes of the participations after the one with the id CURSOR again."""
        if not cursor:
            await view.update_many(CALLS, *place_waiting(callout["_id"], queue_place(callout)))
        beyond = {"callout_id": callout["_id"], "_id": {"$gt": cursor}}
        found = await view.find(PARTICIPATIONS, beyond, fields=["_id"], limit=STEP_SIZE)
        ids = [participation["_id"] for participation in found]
        await _derive_all(view, ids)
        return Step(now(), removed=[REVIEW]) if len(ids) < STEP_SIZE else Step(now(), {REVIEW: ids[-1]})

    async def _call(self, view: TenantView, callout: CalloutDocument, plan: Plan) -> datetime | None:
        """Make attempts that are due; when to look again, None where nobody is left who is not settled."""
        moment = now()
        if plan.may_leave(moment):
            room = min(STEP_SIZE, await self._room(view, callout, plan))
            due = await self._due(view, callout["_id"], moment, room)
            if due:
                await self._attempts.make(view, callout, plan, due)
                self._wake_senders()
            if len(due) == room:
                return moment if room == STEP_SIZE else later(ROOM_SECONDS)
        elif due := await self._due(view, callout["_id"], moment, STEP_SIZE):
            # They are called when the window opens, or not any more.
            await _derive_all(view, [participation["_id"] for participation in due])
            return later(ROOM_SECONDS)
        return await self._next_look(view, callout["_id"], moment)

    async def _due(
        self, view: TenantView, callout_id: int, moment: datetime, limit: int
    ) -> list[ParticipationDocument]:
        """Those whose attempt has been due for longest."""
        if limit <= 0:
            return []
        due = due_by(callout_id, moment)
        return await view.find(PARTICIPATIONS, due, fields=NEEDED_FIELDS, sort=[(ATTEMPT_DUE, 1)], limit=limit)

    async def _room(self, view: TenantView, callout: CalloutDocument, plan: Plan) -> int:
        """How many calls more may be queued ahead, beside those that wait in the same place."""
        account_rate, _ = await self._accounts.limits(callout["account_id"])
        rates = [rate for rate in (plan.calls_per_second, account_rate, self._server_rate) if rate]
        ahead = max(MIN_AHEAD, int(QUEUED_SECONDS * min(rates))) if rates else DEFAULT_AHEAD
        place = queue_place(callout)
        waiting = {"status": CallStatus.QUEUED, LANE: place.get(LANE), RANK: place[RANK], CALL_DUE: EXISTS}
        return ahead - await view.list_of(Query(CALLS, (waiting,)).limited(ahead)).count()

    async def _next_look(self, view: TenantView, callout_id: int, moment: datetime) -> datetime | None:
        unsettled = {"callout_id": callout_id, **UNSETTLED}
        sort, later_on = [(ATTEMPT_DUE, 1)], {ATTEMPT_DUE: {"$gt": moment}}
        calling = await view.exists(PARTICIPATIONS, {**unsettled, ATTEMPT_DUE: None})
        first = await view.find(PARTICIPATIONS, {**unsettled, **later_on}, fields=[ATTEMPT_DUE], sort=sort, limit=1)
        if not calling and not first and not await view.exists(PARTICIPATIONS, unsettled):
            return None
        look = later(OPEN_SECONDS if calling else IDLE_SECONDS)
        return min(look, first[0][ATTEMPT_DUE]) if first else look

    async def _end(self, view: TenantView, callout: CalloutDocument) -> Step:
        """End a callout whose people are all settled, in two steps: see ``joining``."""
        if not callout[RUN].get("ending"):
            return Step(now(), {ENDING: True})
        if await _is_anybody_open(view, callout):
            return Step(now(), {REVIEW: 0}, [ENDING])  # the plan was given to the callout while somebody joined it
        if await view.update_one(CALLOUT_COLLECTION, *complete_run(callout, now())):
            await _tell_end(view, callout, "completed")
        return Step(None)

    async def _after_stop(self, view: TenantView, callout: CalloutDocument) -> Step:
        """Wait until what had left before the stop is over, and tell how the callout ended."""
        if await _is_anybody_open(view, callout):
            return Step(later(OPEN_SECONDS))
        if await view.update_one(CALLOUT_COLLECTION, *end_stopped_run(callout)):
            await _tell_end(view, callout, "stopped")
        return Step(None)


async def _is_anybody_open(view: TenantView, callout: CalloutDocument) -> bool:
    """Whether somebody of the callout is not settled."""
    return await view.exists(PARTICIPATIONS, {"callout_id": callout["_id"], "outcome": {"$in": OPEN_OUTCOMES}})


async def _tell_end(view: TenantView, callout: CalloutDocument, status: str) -> None:
    """Log what became of the people of a callout that has ended."""
    people = await people_of(view, callout["_id"])
    total, words = people["total"], outcome_words(people)
    log.info(
        "callout %d of account %d is %s: %d people (%s)",
        *(callout["_id"], view.account_id, status, total, words),
        extra=fields(callout_id=callout["_id"], account_id=view.account_id, becomes=status, people=total),
    )


async def _derive_all(view: TenantView, participation_ids: Sequence[int]) -> None:
    """Work the outcomes of these participations out anew, whoever else does so at the same time."""
    left: Collection[int] = participation_ids
    for _ in range(MAX_TRIES):
        left = set(left) - await store_outcomes(view, sorted(left))
        if not left:
            return
    raise Unavailable("outcomes change all the time")
