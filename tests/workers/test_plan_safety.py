"""What keeps the calls of a plan from leaving: opt-outs, holds, and a stop that hangs up."""

from __future__ import annotations

import heapq

import pytest

from scfm.clock import now
from scfm.models.call_hold import hold_or_release
from scfm.models.call_work import new_hang_up
from scfm.models.opt_out import opt_out
from scfm.providers.answers import RemoteCall
from scfm.providers.credentials import Credentials
from scfm.workers.call_withdrawal import CallWithdrawal
from scfm.workers.hang_ups import HangUps
from scfm.workers.hang_ups_of_many import HangUpsOfMany
from scfm.workers.settle_opt_outs import SettleOptOuts
from tests.workers.background import pass_over
from tests.workers.planned import WORDS, Planned

NOWHERE = "http://127.0.0.1:9"
ANNA, BORA, CHAN = "+85510000001", "+85510000002", "+85510000003"
RETRY = {"max_attempts": 3, "delays": [60], "on": ["busy"]}
EMERGENCY = {"reason": "The dam breaks.", "severity": "extreme"}


async def opts_out(planned: Planned, msisdn: str) -> int:
    """The number is opted out, and what was there before is settled; the opt-out's id."""
    made = await opt_out(planned.view, msisdn, source="api")
    await pass_over(SettleOptOuts(planned.store))
    return int(made["_id"])


def rung(planned: Planned) -> list[str]:
    return [left.msisdn for left in planned.provider.left]


async def test_who_was_opted_out_before_is_excluded_and_the_plan_ends_without_him(planned: Planned) -> None:
    await planned.contacts(ANNA, BORA)
    await opts_out(planned, ANNA)
    callout = await planned.callout("start")
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "excluded, opted_out", BORA: "reached"}
    assert rung(planned) == [BORA]
    assert (await planned.people(callout))[ANNA]["attempts"] == 0


async def test_who_opts_out_between_two_attempts_is_not_called_again(planned: Planned) -> None:
    await planned.contacts(ANNA)
    planned.provider.script = {ANNA: ["busy", "answered"]}
    callout = await planned.callout("start", retry=RETRY)
    await planned.end_calls()
    assert await planned.outcomes(callout) == {ANNA: "waiting"}
    made = await opts_out(planned, ANNA)
    await planned.work()
    # To take it away brings nobody back into a plan that runs.
    await planned.view.remove("opt_outs", {"_id": made})
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "excluded, opted_out"}
    assert rung(planned) == [ANNA] and (await planned.people(callout))[ANNA]["attempts"] == 1


async def test_an_emergency_calls_everybody(planned: Planned) -> None:
    await planned.contacts(ANNA, BORA)
    await opts_out(planned, ANNA)
    callout = await planned.callout("start", emergency=EMERGENCY)
    await planned.work()
    await opts_out(planned, BORA)
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "reached", BORA: "reached"}


@pytest.mark.parametrize("whole_server", [False, True])
async def test_a_plan_goes_on_after_a_hold_and_calls_each_once(planned: Planned, whole_server: bool) -> None:
    await planned.contacts(ANNA, BORA, CHAN)
    held = None if whole_server else planned.view.account_id
    await hold_or_release(planned.store.all_tenants, held, "hold")
    planned.jobs.callout_hold.holds.on_changed(held)
    callout = await planned.callout("start")
    await planned.work()
    assert rung(planned) == []
    assert set((await planned.outcomes(callout)).values()) == {"calling"}
    await hold_or_release(planned.store.all_tenants, held, "release")
    planned.jobs.callout_hold.holds.on_changed(held)
    await planned.finish(callout)
    assert sorted(rung(planned)) == [ANNA, BORA, CHAN]
    assert set((await planned.outcomes(callout)).values()) == {"reached"}


async def test_whom_a_stop_has_cut_off_is_called_again_after_a_resume(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    await planned.contacts(ANNA)
    callout = await planned.callout("start", retry=RETRY)
    await planned.work()
    assert await planned.outcomes(callout) == {ANNA: "calling"}

    async def hang_up(credentials: Credentials, sid: str) -> RemoteCall:
        planned.provider.reports.clear()
        heapq.heappush(planned.provider.reports, (now(), 0, sid, "canceled"))
        return {"sid": sid, "status": "canceled"}

    monkeypatch.setattr(planned.provider, "hang_up", hang_up)
    monkeypatch.setitem(WORDS, "canceled", "canceled")
    await planned.fire(callout, "stop")
    await planned.view.update_one("callouts", {"_id": callout}, {"$set": {"_hang_up": new_hang_up()}})
    jobs = planned.jobs
    withdrawal = CallWithdrawal(planned.store, jobs.callout_hold, jobs.send_journal)
    await pass_over(HangUpsOfMany(planned.store, lambda: None))
    assert await pass_over(HangUps(planned.store, planned.provider, jobs.accounts, withdrawal, lease=30.0)) == 1
    await planned.work()
    assert await planned.outcomes(callout) == {ANNA: "unreached, canceled"}
    await planned.fire(callout, "resume")
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "reached"}
    assert rung(planned) == [ANNA, ANNA]
