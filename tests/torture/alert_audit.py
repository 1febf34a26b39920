"""Compares what the carrier got of an alert with its plan, and with what the database says of everybody."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pymongo import MongoClient

from scfm.clock import now
from scfm.models.call_work import REFUSAL
from scfm.models.outcome import ATTEMPT_DUE, OPEN_OUTCOMES
from scfm.models.registry import counted_fields
from scfm.simulator.call import Call
from scfm.storage.store import Store
from tests.torture.audit import OURS, Verdict
from tests.torture.carrier import Carrier
from tests.workers.campaign_checks import is_inside, wrong_outcomes

# From the last look at what keeps a call back until the carrier has its request, on a machine that is busy.
LEAVING_SECONDS = 3.0
REASONS = {"busy": "busy", "no-answer": "not_answered", "failed": "failed"}


@dataclass
class Events:
    """``closed``: from when to when nothing may leave, and why. ``opted_out``: by number, since when. By the clock.

    ``hung_up``: whether a stop has hung up what rang.
    """

    closed: list[tuple[float, float, str]] = field(default_factory=list)
    opted_out: dict[str, float] = field(default_factory=dict)
    hung_up: bool = False

    def close(self, why: str, seconds: float) -> None:
        """From now on nothing may leave, as the answer to a client said; so it stays for SECONDS and some more."""
        began = time.time()
        time.sleep(LEAVING_SECONDS + seconds)
        self.closed.append((began + LEAVING_SECONDS, time.time(), why))


class Looks:
    """The people by outcome, as they were counted again and again; ``wrong``: which of these cannot be."""

    def __init__(self, audience: int) -> None:
        self._audience = audience
        self._total = 0
        self.count = 0
        self.wrong: list[dict[str, int]] = []

    def add(self, people: dict[str, int]) -> None:
        """People come while the audience is taken; nobody goes."""
        self.count += 1
        total, outcomes = people["total"], sum(people.values()) - people["total"]
        if outcomes != total or not self._total <= total <= self._audience:
            self.wrong.append(people)
        self._total = max(self._total, total)


def examine_alert(
    uri: str,
    account_id: int,
    numbers: list[str],
    carrier: Carrier,
    plan: Mapping[str, Any],
    events: Events,
) -> Verdict:
    """The verdict on an alert that is over, in the database at URI; everybody in it has one of the numbers."""
    verdict = Verdict()
    account = {"account_id": account_id}
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        people = {one["msisdn"]: one for one in client.scfm.callout_participations.find(account)}
        found = list(client.scfm.phone_calls.find(account).sort("_id"))
        (callout,) = client.scfm.callouts.find(account)
    calls: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in found:
        calls[call["msisdn"]].append(call)
    rung = carrier.calls_by_number()
    verdict.blame("does not take part", set(numbers) ^ people.keys())
    for number in numbers:
        verdict.violations += violations_of_calls(number, rung.get(number, []), plan, events, carrier.acknowledged)
    for number, person in people.items():
        verdict.violations += _of_person(person, rung.get(number, []), calls[number], plan)
    refused = (number for number, its in calls.items() if any(REFUSAL in call for call in its[:-1]))
    verdict.blame("called again after its refusal", refused)
    verdict.blame("has not ended", [callout["_run"]] if callout["status"] != "completed" else [])
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as loop:  # asyncio.run would forget that of tests
        verdict.violations += loop.run(_wrong_outcomes(uri, account_id))
    outcomes = Counter(f"people {one['outcome']}" for one in people.values())
    requested = Counter(carrier.asked())
    requests, taken = (
        sum(requested[number] for number in numbers),
        sum(len(rung.get(number, ())) for number in numbers),
    )
    verdict.figures.update(requests=requests, rung=taken, **outcomes)
    verdict.figures.update(people=len(people), closed=len(events.closed), opted_out=len(events.opted_out))
    return verdict


async def _wrong_outcomes(uri: str, account_id: int) -> list[str]:
    store = Store.open(uri, "scfm", counted_fields())
    try:
        return await wrong_outcomes(store.for_account(account_id), now())
    finally:
        await store.close()


def violations_of_calls(
    number: str, calls: Sequence[Call], plan: Mapping[str, Any], events: Events, acknowledged: Callable[[str], bool]
) -> Iterator[str]:
    """What is wrong with the calls that the carrier took, in the order in which it did.

    ACKNOWLEDGED tells by a call's id whether somebody did so in it.
    """
    if len(calls) > plan["retry"]["max_attempts"]:
        yield f"{number} rang {len(calls)} times"
    settled_at: float | None = None
    for place, call in enumerate(calls):
        shown = f"{number} {call.sid} at {datetime.fromtimestamp(call.created, UTC)}"
        yield from (f"{why}: {shown}" for why in _too_early_or_late(call.created, plan))
        for began, ended, why in events.closed:
            if began < call.created < ended:
                yield f"while it is {why}: {shown}"
        if call.created > events.opted_out.get(number, call.created) + LEAVING_SECONDS:
            yield f"after an opt-out: {shown}"
        if settled_at is not None:
            yield f"after an acknowledgement: {shown}"
        if place:
            yield from (f"{why}: {shown}" for why in _against_retry(calls[place - 1], call, place, plan, events))
        if acknowledged(call.sid):
            settled_at = call.ended


def _too_early_or_late(moment: float, plan: Mapping[str, Any]) -> Iterator[str]:
    at, before = (datetime.fromtimestamp(seconds, UTC) for seconds in (moment, moment - LEAVING_SECONDS))
    window = plan["window"]
    if window is not None and not is_inside(window, at) and not is_inside(window, before):
        yield "outside the window"
    if plan["starts_at"] is not None and at < datetime.fromisoformat(plan["starts_at"]):
        yield "before starts_at"
    if plan["not_after"] is not None and before > datetime.fromisoformat(plan["not_after"]):
        yield "after not_after"


def _against_retry(before: Call, call: Call, ordinal: int, plan: Mapping[str, Any], events: Events) -> Iterator[str]:
    """Why CALL should not have followed the one before it, the ORDINAL-th to that person."""
    retry = plan["retry"]
    if before.ended is None or call.created < before.ended:
        yield "while another call is open"
        return
    ended_by_us = events.hung_up and before.status in ("canceled", "completed")
    delay = 0 if ended_by_us else retry["delays"][min(ordinal, len(retry["delays"])) - 1]
    if call.created < before.ended + delay:
        yield "sooner than the plan says"
    machine = before.answered_by not in (None, "human")
    if before.status == "completed":
        again = (machine and plan["answering_machine"] == "retry") or (
            plan["acknowledge"] and "not_acknowledged" in retry["on"]
        )
    else:
        again = REASONS.get(before.status) in retry["on"]
    if not again and not ended_by_us:
        yield f"again after a call that was {before.status}"


def _of_person(
    person: Mapping[str, Any], rung: list[Call], calls: list[dict[str, Any]], plan: Mapping[str, Any]
) -> Iterator[str]:
    """What the database says wrongly of a person, and of the calls to him, which RUNG so often."""
    number = person["msisdn"]
    if person["outcome"] in OPEN_OUTCOMES or person.get(ATTEMPT_DUE) is not None:
        yield f"forgotten: {person}"
    known = {call["remote_call_id"]: call for call in calls if call["remote_call_id"] is not None}
    for one in rung:
        if one.sid not in known:
            yield f"{number} rang as {one.sid} and nobody knows it: {calls}"
        elif known[one.sid]["status"] != OURS.get(one.status):
            yield f"{number} {one.sid} ended as {one.status}: {known[one.sid]['status']}"
    errored = sum(call["status"] == "errored" for call in calls)
    if not len(rung) <= person["attempts"] <= len(rung) + errored:
        yield f"{number} rang {len(rung)} times: {person['attempts']} attempts"
    statuses = [one.status for one in rung]
    if person["outcome"] in ("reached", "acknowledged") and "completed" not in statuses:
        yield f"{number} has answered no call: {person['outcome']}"
    answered = any(one.status == "completed" and one.answered_by in (None, "human") for one in rung)
    missed = person["outcome"] == "unreached" and person["outcome_reason"] != "machine"
    if answered and missed and not plan["acknowledge"]:
        yield f"{number} has answered a call: {person['outcome']} {person['outcome_reason']}"
