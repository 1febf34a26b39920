"""A plan is carried out: its audience is called, called again where it says so, and the callout is completed."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta

import pytest
from twilio.twiml.voice_response import VoiceResponse

from scfm.clock import now
from scfm.errors import Invalid
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.joining import JoinedCallout
from scfm.models.outcome import ACKNOWLEDGED_AT, ATTEMPT_NUMBER, MARK, new_mark
from scfm.models.phone_call import PHONE_CALLS
from scfm.settings import Settings
from scfm.storage.store import Store
from tests.flows.test_inline_twiml import DistrictWarning
from tests.workers.background import pass_over
from tests.workers.planned import CALL_SECONDS, Planned, set_wall

NOWHERE = "http://127.0.0.1:9"
ANNA, BORA, CHAN = "+85510000001", "+85510000002", "+85510000003"


def script(planned: Planned, **attempts: list[str]) -> None:
    """What becomes of the attempts to Anna, Bora and Chan."""
    numbers = {"anna": ANNA, "bora": BORA, "chan": CHAN}
    planned.provider.script = {numbers[name]: list(words) for name, words in attempts.items()}


async def test_a_start_calls_the_audience_and_the_callout_ends_by_itself(planned: Planned) -> None:
    await planned.contacts(ANNA, BORA, metadata={"district": "A"})
    await planned.contacts(CHAN, metadata={"district": "B"})
    callout = await planned.callout(audience={"contact_filter_params": {"metadata": {"district": "A"}}})
    await planned.work()
    assert planned.provider.left == []

    await planned.fire(callout, "start")
    await planned.work()
    assert await planned.outcomes(callout) == {ANNA: "calling", BORA: "calling"}
    await planned.finish(callout)

    assert await planned.outcomes(callout) == {ANNA: "reached", BORA: "reached"}
    assert sorted(left.msisdn for left in planned.provider.left) == [ANNA, BORA]
    stored = await planned.view.get("callouts", callout)
    assert stored["completed_at"] is not None and "due" not in stored["_run"]
    call = (await planned.view.find("phone_calls", {}))[0]
    assert call["remote_request_params"] == {"from": "1294"}
    sent = planned.provider.left[0].params
    assert sent["from"] == "1294"
    assert sent["url"].startswith(NOWHERE)
    assert sent["status_callback"].startswith(NOWHERE)


async def test_an_attempt_is_made_again_after_its_delay_as_often_as_the_plan_says(planned: Planned) -> None:
    await planned.contacts(ANNA, BORA, CHAN)
    script(planned, anna=["busy", "no-answer", "answered"], bora=["busy"], chan=["failed", "acknowledged"])
    callout = await planned.callout(
        "start", retry={"max_attempts": 3, "delays": [60, 300], "on": ["busy", "not_answered"]}
    )
    await planned.end_calls()
    people = await planned.people(callout)
    assert await planned.outcomes(callout) == {ANNA: "waiting", BORA: "waiting", CHAN: "unreached, failed"}
    assert people[ANNA]["next_attempt_at"] is not None and people[ANNA]["attempts"] == 1
    await planned.finish(callout)

    assert await planned.outcomes(callout) == {ANNA: "reached", BORA: "unreached, busy", CHAN: "unreached, failed"}
    for person, gaps in ((ANNA, [60, 300]), (BORA, [60, 300]), (CHAN, [])):
        times = planned.provider.attempts_of(person)
        assert len(times) == len(gaps) + 1
        for gap, before, after in zip(gaps, times, times[1:], strict=False):
            assert gap <= (after - before).total_seconds() - CALL_SECONDS < gap + 5


async def test_whom_no_call_reaches_is_called_no_more_than_the_plan_says_and_one_at_a_time(planned: Planned) -> None:
    await planned.contacts(ANNA)
    script(planned, anna=["no-answer"])
    callout = await planned.callout("start", retry={"max_attempts": 10, "delays": [1]})
    await planned.finish(callout)
    times = planned.provider.attempts_of(ANNA)
    assert len(times) == 10
    assert all((after - before).total_seconds() >= CALL_SECONDS for before, after in itertools.pairwise(times))
    assert (await planned.people(callout))[ANNA]["attempts"] == 10


async def test_with_acknowledge_an_answer_alone_is_not_enough(planned: Planned) -> None:
    await planned.contacts(ANNA, BORA)
    script(planned, anna=["answered", "acknowledged"], bora=["answered"])
    retry = {"max_attempts": 2, "delays": [60], "on": ["not_acknowledged"]}
    callout = await planned.callout("start", acknowledge=True, retry=retry)
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "acknowledged", BORA: "unreached, not_acknowledged"}
    assert len(planned.provider.left) == 4


async def test_an_empty_audience_ends_at_once(planned: Planned) -> None:
    callout = await planned.callout("start")
    await planned.finish(callout)
    assert planned.provider.left == []


@pytest.mark.parametrize("fails", [False, True])
async def test_an_event_in_the_midst_of_a_step_does_not_wait_for_the_lease_of_who_took_it(
    planned: Planned, fails: bool
) -> None:
    await planned.contacts(ANNA)
    script(planned, anna=["busy"])
    callout = await planned.callout("start", retry={"max_attempts": 2, "delays": [86400]})
    await planned.end_calls()
    await planned.view.update_one("callouts", {"_id": callout}, {"$set": {"_run.due": now()}})
    (taken,) = await planned.runner.claim(1)
    await planned.fire(callout, "stop")
    if fails:
        await planned.runner.on_error(taken, RuntimeError())
    else:
        await planned.runner.process(taken)
    await planned.work()
    assert await planned.outcomes(callout) == {ANNA: "unreached, busy"}


async def test_a_stop_settles_everybody_and_a_resume_goes_on_with_them(planned: Planned) -> None:
    await planned.contacts(ANNA, BORA)
    script(planned, anna=["busy", "answered"], bora=["answered"])
    callout = await planned.callout("start", retry={"max_attempts": 2, "delays": [60]})
    await planned.end_calls()
    await planned.contacts(CHAN)
    await planned.fire(callout, "stop")
    await planned.until(now() + timedelta(hours=1))
    assert await planned.outcomes(callout) == {ANNA: "unreached, busy", BORA: "reached"}
    assert len(planned.provider.left) == 2

    await planned.fire(callout, "resume")
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "reached", BORA: "reached"}
    assert len(planned.provider.left) == 3


async def test_a_pause_keeps_everybody_waiting(planned: Planned) -> None:
    await planned.contacts(ANNA)
    callout = await planned.callout("start", "pause")
    await planned.until(now() + timedelta(hours=1))
    assert planned.provider.left == []
    assert await planned.outcomes(callout) == {ANNA: "pending"}
    await planned.fire(callout, "resume")
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "reached"}


async def test_a_changed_plan_holds_for_those_who_wait(planned: Planned) -> None:
    await planned.contacts(ANNA)
    script(planned, anna=["busy"])
    callout = await planned.callout("start", retry={"max_attempts": 9, "delays": [600]})
    await planned.end_calls()
    plan = (await planned.view.get("callouts", callout))["plan"]
    await CALLOUTS.update(planned.scope, callout, {"plan": {**plan, "retry": {"max_attempts": 2, "delays": [60]}}})
    await planned.finish(callout)
    times = planned.provider.attempts_of(ANNA)
    assert len(times) == 2 and (times[1] - times[0]).total_seconds() < 120


def window(opens: timedelta, closes: timedelta) -> dict[str, str]:
    """A window of UTC from one time from now to another, to the minute."""
    begin, end = now() + opens, now() + closes
    return {"time_zone": "UTC", "from": f"{begin:%H:%M}", "to": f"{end:%H:%M}"}


async def test_nothing_leaves_outside_the_window(planned: Planned) -> None:
    await planned.contacts(ANNA, BORA)
    script(planned, anna=["busy", "answered"])
    shut = window(timedelta(hours=2), timedelta(hours=3))
    callout = await planned.callout("start", window=shut, retry={"max_attempts": 2, "delays": [3 * 3600]})
    await planned.work()
    people = await planned.people(callout)
    assert {one["outcome"] for one in people.values()} == {"pending"}
    opening = people[ANNA]["next_attempt_at"]
    assert f"{opening:%H:%M}" == shut["from"] and people[BORA]["next_attempt_at"] == opening
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "reached", BORA: "reached"}
    first, again = planned.provider.attempts_of(ANNA)
    # Three hours after the first the window has closed: it opens on the next day.
    assert timedelta() <= first - opening < timedelta(minutes=1)
    assert timedelta() <= again - opening - timedelta(days=1) < timedelta(minutes=1)


async def test_a_call_that_is_queued_when_the_window_closes_waits_for_the_next_one(planned: Planned) -> None:
    await planned.contacts(ANNA)
    callout = await planned.callout("start", window=window(-timedelta(hours=1), timedelta(minutes=30)))
    await pass_over(planned.runner)
    while not await planned.view.exists("phone_calls", {}):
        await pass_over(planned.runner)
    begin = now()
    set_wall(begin + timedelta(hours=1))
    await planned.work()
    assert planned.provider.left == []
    person = (await planned.people(callout))[ANNA]
    assert (person["outcome"], person["attempts"]) == ("pending", 0)
    assert timedelta(hours=22) < person["next_attempt_at"] - begin < timedelta(hours=23, minutes=1)
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "reached"}
    statuses = [call["status"] for call in await planned.view.find("phone_calls", {})]
    assert statuses == ["canceled", "completed"]


async def test_after_the_deadline_nobody_is_called(planned: Planned) -> None:
    await planned.contacts(ANNA, BORA)
    script(planned, anna=["busy"], bora=["answered"])
    deadline = (now() + timedelta(minutes=10)).isoformat()
    callout = await planned.callout("start", not_after=deadline, retry={"max_attempts": 9, "delays": [240]})
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "unreached, busy", BORA: "reached"}
    assert len(planned.provider.attempts_of(ANNA)) == 3


async def test_whom_the_deadline_finds_queued_is_too_late(planned: Planned) -> None:
    await planned.contacts(ANNA)
    deadline = now() + timedelta(minutes=10)
    callout = await planned.callout("start", not_after=deadline.isoformat())
    await planned.fire(callout, "pause")
    await planned.until(deadline + timedelta(minutes=1))
    await planned.fire(callout, "resume")
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "unreached, too_late"}
    assert planned.provider.left == []


async def test_nothing_leaves_before_it_is_to_start(planned: Planned) -> None:
    await planned.contacts(ANNA)
    begin = now() + timedelta(days=3)
    callout = await planned.callout("start", starts_at=begin.isoformat())
    await planned.finish(callout)
    assert timedelta() <= planned.provider.left[0].at - begin < timedelta(minutes=1)


async def test_who_joins_a_running_plan_is_called_and_one_that_is_completed_is_not_joined(planned: Planned) -> None:
    anna, bora, chan = await planned.contacts(ANNA, BORA, CHAN)
    callout = await planned.callout("start", audience={"contact_filter_params": {"metadata": {"district": "A"}}})
    joined = {"callout_id": callout, "contact_id": anna}
    person = await CALLOUT_PARTICIPATIONS.create(planned.scope, {"contact_id": anna}, callout_id=callout)
    assert (person["outcome"], person[ATTEMPT_NUMBER]) == ("pending", 1)
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "reached"}
    with pytest.raises(Invalid) as refused:
        await CALLOUT_PARTICIPATIONS.create(planned.scope, {"contact_id": bora}, callout_id=callout)
    assert refused.value.errors == {"callout": ["is completed"]}

    # The callout was completed between the first look at it and the participation.
    late = JoinedCallout({"_id": callout, "status": "running", "plan": {"audience": {}}})
    fields = {"msisdn": CHAN, "metadata": {}, "call_flow_logic": None, "callout_population_id": None}
    document = {**late.new_fields(), **fields, **joined, "contact_id": chan, "created_at": now(), "updated_at": now()}
    await planned.view.insert("callout_participations", {**document, "_version": 1}, "callout_participation")
    with pytest.raises(Invalid):
        await late.confirm(planned.view, [chan])
    assert await planned.outcomes(callout) == {ANNA: "reached"}


async def test_a_call_made_by_hand_is_an_attempt_and_the_plan_waits_for_its_end(planned: Planned) -> None:
    await planned.contacts(ANNA)
    script(planned, anna=["busy", "busy", "answered"])
    callout = await planned.callout("start", retry={"max_attempts": 2, "delays": [600]})
    await planned.end_calls()
    person = (await planned.people(callout))[ANNA]
    by_hand = {"callout_participation_id": person["_id"], "callout_id": callout, "contact_id": person["contact_id"]}
    given = {"remote_request_params": {"from": "1294", "url": NOWHERE}}
    first = await PHONE_CALLS.create(planned.scope, given, **by_hand)
    second = await PHONE_CALLS.create(planned.scope, given, **by_hand)
    await PHONE_CALLS.fire(planned.scope, first["_id"], "queue")
    with pytest.raises(Invalid) as refused:
        await PHONE_CALLS.fire(planned.scope, second["_id"], "queue")
    assert "callout_participation" in refused.value.errors
    await planned.finish(callout)
    assert await planned.outcomes(callout) == {ANNA: "unreached, busy"}
    assert len(planned.provider.left) == 2  # the plan's own, and the one by hand

    # Who is settled may be called again by hand all the same.
    await PHONE_CALLS.fire(planned.scope, second["_id"], "queue")
    await planned.end_calls()
    assert await planned.outcomes(callout) == {ANNA: "reached"}


async def test_who_is_settled_in_the_midst_of_a_call_gets_no_other_until_it_ends(planned: Planned) -> None:
    await planned.contacts(ANNA)
    callout = await planned.callout("start")
    await planned.work()
    person = (await planned.people(callout))[ANNA]
    acknowledged = {"$set": {ACKNOWLEDGED_AT: now(), MARK: new_mark()}}
    await planned.view.update_one("callout_participations", {"_id": person["_id"]}, acknowledged)
    await planned.work()
    assert await planned.outcomes(callout) == {ANNA: "acknowledged"}
    by_hand = {"callout_participation_id": person["_id"], "callout_id": callout, "contact_id": person["contact_id"]}
    call = await PHONE_CALLS.create(planned.scope, {"remote_request_params": {"url": NOWHERE}}, **by_hand)
    with pytest.raises(Invalid):
        await PHONE_CALLS.fire(planned.scope, call["_id"], "queue")
    await planned.end_calls()
    await PHONE_CALLS.fire(planned.scope, call["_id"], "queue")
    await planned.work()
    assert len(planned.provider.left) == 2


async def test_two_processes_make_no_attempt_twice(
    store: Store, planned_settings: Settings, planned: Planned
) -> None:
    people = [f"+8551100{number:04}" for number in range(60)]
    await planned.contacts(*people)
    planned.provider.script = {person: ["busy", "answered"] for person in people[::2]}
    account_id = planned.view.account_id
    assert account_id is not None
    other = Planned(store, planned_settings, account_id, planned.provider, store)
    callout = await planned.callout("start", retry={"max_attempts": 2, "delays": [60]})
    while await planned.status(callout) != "completed":
        await asyncio.gather(planned.work(), other.work())
        due = await planned.next_due()
        if due is not None:
            set_wall(due)
    assert set((await planned.outcomes(callout)).values()) == {"reached"}
    assert sorted(left.msisdn for left in planned.provider.left) == sorted([*people, *people[::2]])
    other.jobs.send_journal.close()


class SaysWhoCalls(DistrictWarning):
    name = "SaysWhoCalls"

    def run(self) -> VoiceResponse:
        response = VoiceResponse()
        response.say(f"This is {self.turn.details['From']}")
        return response


async def test_a_flow_whose_words_go_inside_the_call_knows_who_calls(planned: Planned) -> None:
    await planned.contacts(ANNA)
    planned.register(SaysWhoCalls)
    callout = await planned.callout(inline_twiml=True)
    await planned.view.update_one("callouts", {"_id": callout}, {"$set": {"call_flow_logic": SaysWhoCalls.name}})
    await planned.fire(callout, "start")
    await planned.finish(callout)
    (call,) = await planned.view.find("phone_calls", {})
    assert "This is 1294" in call["remote_request_params"]["twiml"]


async def test_what_the_flow_says_first_goes_inside_the_call_where_the_plan_wants_that(planned: Planned) -> None:
    await planned.contacts(ANNA, metadata={"district": "Kandal"})
    await planned.contacts(BORA, metadata={"district": "Takeo"})
    planned.register(DistrictWarning)
    callout = await planned.callout(inline_twiml=True)
    one_way = {"call_flow_logic": DistrictWarning.name, "metadata": {"message": "Water in"}}
    await planned.view.update_one("callouts", {"_id": callout}, {"$set": one_way})
    await planned.fire(callout, "start")
    await planned.finish(callout)
    sent = {left.msisdn: left.params for left in planned.provider.left}
    assert "Water in Kandal" in sent[ANNA]["twiml"] and "Water in Takeo" in sent[BORA]["twiml"]
    for params in sent.values():
        assert "url" not in params and params["status_callback"].startswith(NOWHERE)
    assert set((await planned.outcomes(callout)).values()) == {"reached"}
