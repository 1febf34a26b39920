"""Carries a campaign out: processes that work and die, deeds in the midst of that, looks at what is stored."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

from scfm.calls.find_call import read_call
from scfm.calls.move_call import move_call
from scfm.errors import Invalid
from scfm.models.call_lifecycle import UNDER_WAY
from scfm.models.call_reports import reported_status
from scfm.models.call_work import CHECK, LEASE
from scfm.models.call_work import DUE as CALL_DUE
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.fields import Rules
from scfm.models.opt_out import SETTLE_FROM, opt_out
from scfm.models.outcome import ACKNOWLEDGED_AT, ATTEMPT_DUE, MARK, OPEN_OUTCOMES, OPTED_OUT_AT, new_mark
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.plan_check import CHANGEABLE
from scfm.models.scope import Client, Scope
from scfm.models.stored_documents import CALLS, OPT_OUT_COLLECTION, PARTICIPATIONS
from scfm.results.callout_statistics import CALLOUT_TALLY
from scfm.results.people import counted, people_query
from scfm.settings import Settings
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.callout_hold import CalloutHold
from tests.workers.background import account, settings_for
from tests.workers.campaign import Campaign, Deed, History
from tests.workers.campaign_carrier import CampaignCarrier, CampaignClock, Report, sender
from tests.workers.campaign_process import NOWHERE, Process

MAX_MOMENTS = 3000
LEASE_SECONDS = 20.0
EVENTS = ("start", "pause", "resume", "stop")


class CampaignRun:
    """``violations``: what was seen that must not be, in words."""

    def __init__(self, store: Store, settings: Settings, account_id: int, campaign: Campaign) -> None:
        self._store, self._settings, self.campaign = store, settings, campaign
        # Whoever runs it has this clock take the place of the machine's.
        self.clock = CampaignClock(campaign.begins)
        self.view = store.for_account(account_id)
        self._scope = Scope(self.view, Rules(), Client(account_id, account_id))
        scripts = {
            (index, msisdn): script
            for index, of_callout in enumerate(campaign.scripts)
            for msisdn, script in zip(campaign.msisdns, of_callout, strict=True)
        }
        self.carrier = CampaignCarrier(self.clock, scripts)
        self.callouts: list[int] = []
        self.contacts: list[int] = []
        self.histories = [History() for _ in campaign.plans]
        self.violations: list[str] = []
        self.deaths = 0
        self._lives = list(campaign.lives)
        self.processes: list[Process] = []
        # Requests of clients are carried out by a process of their own.
        self._front = CalloutHold(store)
        self._deeds = list(campaign.deeds)
        self._began = self.clock.seconds

    @classmethod
    async def open(cls, store: Store, data_dir: Path, campaign: Campaign) -> CampaignRun:
        """Processes keep their files in DATA_DIR."""
        settings = settings_for(NOWHERE, data_dir, calls_per_second=0, lease_seconds=LEASE_SECONDS)
        return cls(store, settings, await account(store), campaign)

    async def run(self) -> None:
        """Carry it out to its end."""
        for msisdn in self.campaign.msisdns[: self.campaign.audience]:
            await self._add_contact(msisdn)
        for index, given in enumerate(self.campaign.plans):
            plan = {"audience": {}, "remote_request_params": {"from": sender(index)}, **given}
            callout = await CALLOUTS.create(self._scope, {"plan": plan})
            self.callouts.append(callout["_id"])
            self.histories[index].plans.append((self.clock.seconds, callout["plan"]))
            await self._fire(index, "start")
        self.processes = [self._process(dies=number == 0) for number in range(self.campaign.processes)]
        for _ in range(MAX_MOMENTS):
            await self._moment()
            if not self._deeds and await self._is_over():
                break
            await self._advance()
        else:
            self.violations.append("it does not end")
        for process in self.processes:
            await process.close()
        await self._store.quiesce()

    def _process(self, *, dies: bool) -> Process:
        dies_at = self._lives.pop(0) if dies and self._lives else None
        return Process(self._store, self._settings, self.carrier, dies_at)

    async def _moment(self) -> None:
        """Everything that is to be done at this moment."""
        elapsed = self.clock.seconds - self._began
        deeds = []
        while self._deeds and self._deeds[0].after.total_seconds() <= elapsed:
            deeds.append(self._deeds.pop(0))
        reports = []
        while self.carrier.reports and self.carrier.reports[0].due <= self.clock.seconds:
            reports.append(heapq.heappop(self.carrier.reports))
        for deed in deeds:
            if deed.name.startswith("clock"):
                self.clock.set_by(deed.by if deed.name == "clock forward" else -deed.by)
        for report in reports:
            await self._report(report)
        await asyncio.gather(
            *(self._work(number) for number in range(len(self.processes))), self._do(deeds), self._count()
        )
        # The deed may have come when everybody had finished; a process that died is started anew.
        for _ in range(2):
            for number in range(len(self.processes)):
                await self._work(number)
        await self._look()

    async def _work(self, number: int) -> None:
        while True:
            process = self.processes[number]
            await process.work()
            if not process.life.over:
                return
            self.deaths += 1
            await process.close()
            self.processes[number] = self._process(dies=True)

    async def _do(self, deeds: list[Deed]) -> None:
        for deed in deeds:
            for _ in range(deed.turns):
                await asyncio.sleep(0)
            with suppress(Invalid):  # it may not be done at that time
                await self._do_one(deed)

    async def _do_one(self, deed: Deed) -> None:
        msisdn, history = self.campaign.msisdns[deed.person], self.histories[deed.callout]
        callout_id = self.callouts[deed.callout]
        if deed.name in EVENTS:
            await self._fire(deed.callout, deed.name)
        elif deed.name == "change the plan":
            plan = (await self.view.get("callouts", callout_id))["plan"]
            changed = {name: deed.plan[name] for name in CHANGEABLE if name in deed.plan}
            callout = await CALLOUTS.update(self._scope, callout_id, {"plan": {**plan, **changed}})
            history.plans.append((self.clock.seconds, callout["plan"]))
        elif deed.name == "opt out":
            await self._opt_out(msisdn, "api")
        elif deed.name == "join":
            contact = await self._add_contact(msisdn)
            await CALLOUT_PARTICIPATIONS.create(self._scope, {"contact_id": contact}, callout_id=callout_id)
        elif deed.name == "call by hand":
            await self._call_by_hand(deed.callout, msisdn)

    async def _add_contact(self, msisdn: str) -> int:
        if (found := await self.view.first_by("contacts", "msisdn", msisdn)) is not None:
            return int(found["_id"])
        contact: int = (await CONTACTS.create(self._scope, {"msisdn": msisdn}))["_id"]
        return contact

    async def _fire(self, index: int, event: str) -> None:
        callout = await CALLOUTS.fire(self._scope, self.callouts[index], event)
        self.histories[index].statuses.append((self.clock.seconds, callout["status"]))
        await self._front.on_event(callout)

    async def _opt_out(self, msisdn: str, source: str) -> None:
        await opt_out(self.view, msisdn, source=source)
        for history in self.histories:
            history.opted_out.setdefault(msisdn, self.clock.seconds)

    async def _call_by_hand(self, index: int, msisdn: str) -> None:
        found = await self.view.find(PARTICIPATIONS, {"callout_id": self.callouts[index], "msisdn": msisdn})
        for one in found:
            links = {"callout_participation_id": one["_id"], "callout_id": one["callout_id"]}
            given = {"remote_request_params": {"from": sender(index, by_hand=True), "url": NOWHERE}}
            call = await PHONE_CALLS.create(self._scope, given, **links, contact_id=one["contact_id"])
            await PHONE_CALLS.fire(self._scope, call["_id"], "queue")

    async def _report(self, report: Report) -> None:
        """What the provider tells reaches the server, which may not know the call: then that is lost."""
        found = await read_call(self.view, "remote_call_id", report.sid)
        if found is None:
            return
        participation, msisdn = {"_id": found.call["callout_participation_id"]}, str(found.call["msisdn"])
        if report.due < self.carrier.ends(report.sid):
            name = ACKNOWLEDGED_AT if report.what == "acknowledged" else OPTED_OUT_AT
            if name == OPTED_OUT_AT:
                await self._opt_out(msisdn, "flow")
            else:
                index = self.callouts.index(int(found.call["callout_id"] or 0))
                self.histories[index].acknowledged.setdefault(msisdn, self.clock.seconds)
            change = {name: self.clock.moment, MARK: new_mark()}
            await self.view.update_one(PARTICIPATIONS, participation, {"$set": change})
            return
        details = {"CallStatus": self.carrier.fetch_call(report.sid)["status"], "CallDuration": "12"}
        if report.what == "machine":
            details["AnsweredBy"] = "machine_start"
        await move_call(self.view, found.call, reported_status(details))

    async def _count(self) -> None:
        """Look whether the people by outcome sum to those who are there, whatever is done at the same time."""
        for callout_id in self.callouts:
            before = len(await self.view.find(PARTICIPATIONS, {"callout_id": callout_id}, fields=[]))
            tallied = await self.view.list_of(people_query(callout_id)).tallied(CALLOUT_TALLY)
            after = len(await self.view.find(PARTICIPATIONS, {"callout_id": callout_id}, fields=[]))
            total = sum(count for _, count in counted(tallied.counts, "people"))
            if not min(before, after) <= total <= max(before, after):
                self.violations.append(f"{total} people are counted of {after} at {self.clock.moment}")

    async def _look(self) -> None:
        """Look at what is stored while nothing is done."""
        await self._count()
        for index, callout_id in enumerate(self.callouts):
            open_calls: dict[int, int] = defaultdict(int)
            under_way = {"callout_id": callout_id, "status": {"$in": list(UNDER_WAY)}}
            for call in await self.view.find(CALLS, under_way, fields=["callout_participation_id"]):
                open_calls[call["callout_participation_id"]] += 1
            if max(open_calls.values(), default=0) > 1:
                self.violations.append(f"two calls of one person are open at {self.clock.moment}")
            callout = await self.view.get("callouts", callout_id)
            if callout["status"] == "completed":
                self.histories[index].statuses.append((self.clock.seconds, "completed"))

    async def _is_over(self) -> bool:
        """Whether everything has come to rest; callouts that somebody has paused go on now."""
        rests = True
        for index, callout_id in enumerate(self.callouts):
            callout = await self.view.get("callouts", callout_id)
            if callout["status"] == "paused":
                await self._fire(index, "resume")
            rests &= callout["status"] not in ("paused", "running") and "due" not in callout["_run"]
        return (
            rests
            and not self.carrier.reports
            and not await self.view.exists(CALLS, {"status": {"$in": list(UNDER_WAY)}})
        )

    async def _advance(self) -> None:
        """Let time go on to the next moment at which something is due."""
        moment = self.clock.moment
        waits = [report.due - self.clock.seconds for report in self.carrier.reports[:1]]
        waits += [deed.after.total_seconds() - (self.clock.seconds - self._began) for deed in self._deeds[:1]]
        busy = False
        for collection, name in (
            (CALLS, CALL_DUE),
            (CALLS, LEASE),
            (CALLS, CHECK),
            (PARTICIPATIONS, ATTEMPT_DUE),
            (OPT_OUT_COLLECTION, SETTLE_FROM),
        ):
            after = await self._first(collection, name, {"$gt": moment})
            waits += [after] if after is not None else []
            busy |= after is not None and name == ATTEMPT_DUE
        open_calls = await self.view.exists(CALLS, {"status": {"$in": list(UNDER_WAY)}})
        due = await self.view.exists(PARTICIPATIONS, {ATTEMPT_DUE: {"$lte": moment}})
        if due or not (busy or open_calls):
            after = await self._first("callouts", "_run.due", {"$gt": moment})
            waits += [after] if after is not None else []
        # What a limit keeps back, or what is left alone for a while after the clock was set.
        overdue = [{CALL_DUE: {"$lte": moment}}, {LEASE: {"$lte": moment}}]
        if open_calls and await self.view.exists(CALLS, {"$or": overdue}):
            waits.append(1.0)
        if await self.view.exists("callouts", {"_run.due": {"$lte": moment}}):
            waits.append(1.0)  # an event has just moved it
        if not waits:
            left = await self.view.find(PARTICIPATIONS, {"outcome": {"$in": OPEN_OUTCOMES}})
            calls = await self.view.find(CALLS, {"status": {"$in": list(UNDER_WAY)}})
            runs = await self.view.find("callouts", {}, fields=["status", "_run"])
            raise AssertionError(f"nothing is due any more at {moment}: {runs}, {left}, {calls}")
        self.clock.advance(max(0.001, min(waits)))

    async def figures(self) -> Counter[str]:
        """What the campaign has come to, in numbers."""
        found = Counter(campaigns=1, deaths=self.deaths, calls=len(self.carrier.left), deeds=len(self.campaign.deeds))
        found.update(people=0, callouts=len(self.callouts))
        for person in await self.view.find(PARTICIPATIONS, {}):
            found["people"] += 1
            found[f"people {person['outcome']}"] += 1
        return found

    async def _first(self, collection: str, name: str, condition: Document) -> float | None:
        """In how many seconds the first is due."""
        found = await self.view.find(collection, {name: condition}, fields=[name], sort=[(name, 1)], limit=1)
        if not found:
            return None
        value: Any = found[0]
        for part in name.split("."):
            value = value[part]
        seconds: float = (value - self.clock.moment).total_seconds()
        return seconds
