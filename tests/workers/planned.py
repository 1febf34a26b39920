"""A callout that carries its plan out, with a provider and a clock of the test's own.

Whom the plan calls is in a script: what becomes of each attempt, by number. Time stands still while there is anything
to do, and then goes on to the next moment at which something is due.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from scfm import clock
from scfm.calls.account_flows import AccountFlows
from scfm.calls.find_call import read_call
from scfm.calls.move_call import move_call
from scfm.clock import now
from scfm.models.call_reports import reported_status
from scfm.models.callout import CALLOUTS
from scfm.models.contact import CONTACTS
from scfm.models.fields import Rules
from scfm.models.outcome import ACKNOWLEDGED_AT, ATTEMPT_DUE, MARK, new_mark
from scfm.models.scope import Client, Scope
from scfm.models.stored_documents import CALLS, PARTICIPATIONS
from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.settings import Settings
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.twiml.flow import Flow, FlowSettings
from scfm.twiml.registry import Registry
from scfm.workers.outcome_keeper import OutcomeKeeper
from scfm.workers.plan_attempts import PlanAttempts
from scfm.workers.plan_runner import OPEN_SECONDS, PlanRunner
from tests.workers.background import Background, account, pass_over, send_due

# What a provider says of an attempt, and how many seconds after it has taken the call.
WORDS = {"answered": "completed", "busy": "busy", "no-answer": "no-answer", "failed": "failed"}
CALL_SECONDS = 20.0
MAX_ROUNDS = 2000


class Left(NamedTuple):
    """A call that left: when, to which number, as which attempt of it, from 1, and what it was sent with."""

    at: datetime
    msisdn: str
    attempt: int
    params: Mapping[str, Any]


class ScriptedProvider(Provider):
    """Takes every call, and tells of it what the script has; the last of a number's attempts repeats."""

    def __init__(self, script: Mapping[str, Sequence[str]]) -> None:
        super().__init__(timeout=5)
        self.script = script
        self.left: list[Left] = []
        # Reports to come: when, a number to sort by, the provider's id, and what is told.
        self.reports: list[tuple[datetime, int, str, str]] = []

    async def create_call(
        self, credentials: Credentials, to: str, params: Mapping[str, Any], *leaving: Any
    ) -> RemoteCall:
        await leaving[0]()
        attempt = 1 + len(self.attempts_of(to))
        self.left.append(Left(now(), to, attempt, params))
        attempts = self.script.get(to, ["answered"])
        sid = f"CA{to}x{attempt}"
        at = now() + timedelta(seconds=CALL_SECONDS)
        heapq.heappush(self.reports, (at, len(self.left), sid, attempts[min(attempt, len(attempts)) - 1]))
        return {"sid": sid, "status": "queued"}

    def attempts_of(self, msisdn: str) -> list[datetime]:
        """When calls to a number left."""
        return [left.at for left in self.left if left.msisdn == msisdn]


class Planned:
    """The jobs of one process, and one account."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        account_id: int,
        provider: ScriptedProvider,
        process_store: Store,
        log_id: str | None = None,
    ) -> None:
        """PROCESS_STORE is the store as the process sees it, that of LOG_ID."""
        self.store = store
        self.provider = provider
        self.view: TenantView = store.for_account(account_id)
        self.scope = Scope(self.view, Rules(), Client(account_id, account_id))
        self.jobs = Background(process_store, settings, provider)
        self.flows: dict[str, type[Flow]] = dict(Registry.from_setting("", "").flows)
        flows = AccountFlows(process_store, Registry(self.flows), FlowSettings.of(settings))
        attempts = PlanAttempts(self.jobs.accounts, flows, lambda: "http://127.0.0.1:9")
        self.runner = PlanRunner(process_store, attempts, self.jobs.accounts, settings, lambda: None, log_id)
        self.keeper = OutcomeKeeper(process_store)
        # When the jobs looked last for what is due.
        self._looked_at = now()

    @classmethod
    async def open(
        cls, store: Store, settings: Settings, script: Mapping[str, Sequence[str]] | None = None
    ) -> Planned:
        return cls(store, settings, await account(store), ScriptedProvider(script or {}), store)

    async def contacts(self, *msisdns: str, **fields: Any) -> list[int]:
        """New contacts with these numbers; their ids."""
        return [(await CONTACTS.create(self.scope, {"msisdn": msisdn, **fields}))["_id"] for msisdn in msisdns]

    async def callout(self, *events: str, **plan: Any) -> int:
        """A new callout with a plan, which these events have moved; its id."""
        given = {"plan": {"audience": {}, "remote_request_params": {"from": "1294"}, **plan}}
        callout: int = (await CALLOUTS.create(self.scope, given))["_id"]
        for event in events:
            await self.fire(callout, event)
        return callout

    def register(self, flow: type[Flow]) -> None:
        """Have a flow among those that may be used."""
        self.flows[flow.name] = flow

    async def fire(self, callout: int, event: str) -> None:
        """Carry out an event, as a handler does."""
        await self.jobs.callout_hold.on_event(await CALLOUTS.fire(self.scope, callout, event))

    async def outcomes(self, callout: int) -> dict[str, str]:
        """By number, the outcome of each, with its reason if there is one."""
        return {
            one["msisdn"]: one["outcome"] + (f", {one['outcome_reason']}" if one["outcome_reason"] else "")
            for one in await self.view.find(PARTICIPATIONS, {"callout_id": callout})
        }

    async def people(self, callout: int) -> Mapping[str, Document]:
        """The participations by number."""
        return {one["msisdn"]: one for one in await self.view.find(PARTICIPATIONS, {"callout_id": callout})}

    async def status(self, callout: int) -> str:
        return str((await self.view.get("callouts", callout))["status"])

    async def work(self, planner: Planned | None = None) -> None:
        """Let every job do what is due now; PLANNER, if it is another, carries out plans and keeps outcomes."""
        planner = planner or self
        for _ in range(MAX_ROUNDS):
            self._looked_at = now()
            planner.keeper._next_at = 0.0  # it need not gather
            done = [
                await pass_over(planner.runner),
                await send_due(self.jobs),
                await self._report(),
                await pass_over(planner.keeper),
            ]
            if not any(done):
                return
        raise AssertionError("there is no end to it")

    async def _report(self) -> int:
        told = 0
        while self.provider.reports and self.provider.reports[0][0] <= now():
            _, _, sid, outcome = heapq.heappop(self.provider.reports)
            found = await read_call(self.view, "remote_call_id", sid)
            assert found is not None, sid
            word = WORDS.get(outcome, "completed")
            await move_call(self.view, found.call, reported_status({"CallStatus": word}))
            if outcome == "acknowledged":
                participation = {"_id": found.call["callout_participation_id"]}
                acknowledged = {ACKNOWLEDGED_AT: now(), MARK: new_mark()}
                await self.view.update_one(PARTICIPATIONS, participation, {"$set": acknowledged})
            told += 1
        return told

    async def until(self, moment: datetime) -> None:
        """Let time go on to that moment, and do what is due until then."""
        await self.work()
        while (due := await self.next_due()) is not None and due <= moment:
            set_wall(due)
            await self.work()
        set_wall(moment)
        await self.work()

    async def end_calls(self) -> None:
        """Let the calls that are due leave, and end."""
        await self.work()  # first: on a slow machine they leave late, and end as late
        await self.until(now() + timedelta(seconds=CALL_SECONDS + 1))

    async def finish(self, callout: int, planner: Planned | None = None) -> None:
        """Let time go on until the callout is completed; for PLANNER see ``work``."""
        await self.work(planner)
        for _ in range(MAX_ROUNDS):
            if await self.status(callout) == "completed":
                return
            due = await self.next_due()
            assert due is not None, "nothing is due any more"
            set_wall(due)
            await self.work(planner)
        raise AssertionError("it does not end")

    async def next_due(self) -> datetime | None:
        """When something will be due next: a report, a call, an attempt, or a step of a plan that has more to do.

        Now, if it has become due since the jobs looked.
        """
        moment = self._looked_at
        soon = moment + timedelta(seconds=OPEN_SECONDS)
        moments = [
            *(report[0] for report in self.provider.reports[:1]),
            *await self._first_due("callouts", "_run.due", {"$gt": moment, "$lte": soon}),
            *await self._first_due(CALLS, "_work.due", {"$gt": moment}),
            *await self._first_due(PARTICIPATIONS, ATTEMPT_DUE, {"$gt": moment}),
        ]
        # What nobody has asked to look at sooner is looked at all the same; a slow machine may be late for it.
        moments = moments or await self._first_due("callouts", "_run.due", {"$ne": None})
        return max(min(moments), now()) if moments else None

    async def _first_due(self, collection: str, field: str, condition: Document) -> list[datetime]:
        """The first of the moments in a field that fit; none where there is none."""
        found = await self.view.find(collection, {field: condition}, fields=[field], sort=[(field, 1)], limit=1)
        moments: list[Any] = list(found)
        for name in field.split("."):
            moments = [moment[name] for moment in moments]
        return moments

    async def close(self) -> None:
        await self.jobs.close()


def set_wall(moment: datetime) -> None:
    """Set the wall clock, which the test owns, to a moment that is not before its own."""
    wall: Any = vars(clock)["datetime"]
    wall.set(max(timedelta(), moment - now()))


def calls_by_person(calls: Sequence[Document]) -> Mapping[int, list[Document]]:
    """By the participation's id, its calls."""
    found: dict[int, list[Document]] = defaultdict(list)
    for call in calls:
        found[call["callout_participation_id"]].append(call)
    return found
