"""Compares the carrier's books with the database: who was rung, who was forgotten, and what we say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pymongo.database import Database

from tests.torture.carrier import Carrier

OURS = {
    "completed": "completed",
    "busy": "busy",
    "no-answer": "not_answered",
    "failed": "failed",
    "canceled": "canceled",
}
FINAL = {*OURS.values(), "errored"}


@dataclass
class Verdict:
    """What is wrong after a trial, and some figures about it."""

    violations: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)

    def blame(self, what: str, whom: Iterable[Any]) -> None:
        """Note a violation for each of these."""
        self.violations += [f"{what}: {one}" for one in whom]


def examine(database: Database[dict[str, Any]], account_id: int, numbers: list[str], carrier: Carrier) -> Verdict:
    """The verdict on a trial that has come to rest; everybody in it has one of the numbers."""
    verdict = Verdict()
    contacts = list(database.contacts.find({"account_id": account_id}))
    participations = list(database.callout_participations.find({"account_id": account_id}))
    calls = list(database.phone_calls.find({"account_id": account_id}))
    verdict.blame("not a contact once", _not_once(numbers, (one["msisdn"] for one in contacts)))
    verdict.blame("does not take part once", _not_once(numbers, (one["msisdn"] for one in participations)))
    verdict.blame("has not one call", _not_once(numbers, (one["msisdn"] for one in calls)))
    rung = carrier.rung()
    verdict.blame("rung twice", (f"{number} {sids}" for number, sids in rung.items() if len(sids) > 1))
    statuses = carrier.statuses()
    for call in calls:
        verdict.violations += _of_call(call, rung.get(call["msisdn"], []), statuses)
    asked = Counter(carrier.asked())
    never = [call for call in calls if not rung.get(call["msisdn"])]
    verdict.figures.update(
        calls=len(calls),
        requests=asked.total(),
        rung=sum(len(sids) for sids in rung.values()),
        errored=len(never),
        errored_unasked=sum(not asked[call["msisdn"]] for call in never),
    )
    return verdict


def _not_once(numbers: list[str], found: Iterable[str]) -> Iterator[str]:
    times = Counter(found)
    return (f"{number} ({times[number]} times)" for number in {*numbers, *times} if times[number] != 1)


def _of_call(call: dict[str, Any], sids: list[str], statuses: dict[str, str]) -> Iterator[str]:
    """What is wrong with one call, whose number was rung by calls with these ids."""
    shown = {name: call[name] for name in ("_id", "msisdn", "status", "remote_call_id", "remote_error_message")}
    if call["status"] not in FINAL:
        yield f"never ended: {shown} {call.get('_work')} {call.get('_check')}"
    elif sids and call["remote_call_id"] not in sids:
        yield f"rang as {sids} and does not know it: {shown}"
    elif not sids and call["status"] != "errored":
        yield f"never rang and is not errored: {shown}"
    elif sids and call["status"] != OURS.get(statuses[call["remote_call_id"]]):
        yield f"ended as {statuses[call['remote_call_id']]}: {shown}"
    if sids and call["remotely_queued_at"] is None:
        yield f"rang and has no time: {shown}"
