"""The guide's chapter "Phone Call Batch Operations (Queue)"."""

from __future__ import annotations

from tests.guide.provider import Provider
from tests.guide.scenes import (
    ids,
    in_status,
    listed,
    operation,
    participation,
    phone_call,
    run,
    running_callout,
    sent,
)
from tests.server import Client

TYPE = {"type": "BatchOperation::PhoneCallQueue"}
CREATED = {"parameters[phone_call_filter_params][status]": "created"}
RUNNING = {"parameters[callout_filter_params][status]": "running"}


def test_without_a_filter_all_phone_calls_are_previewed(api: Client, stranger: Client) -> None:
    done, waiting = sent(api), phone_call(api)
    phone_call(stranger)
    queue = operation(api, "PhoneCallQueue")
    assert listed(api, f"/api/batch_operations/{queue['id']}/preview/phone_calls") == ids(done, waiting)


def test_the_preview_can_be_filtered_by_callout_participation_and_phone_call(api: Client) -> None:
    flood = running_callout(api)
    alice, bob = participation(api, flood), participation(api, flood)
    phone_call(api)
    hers, _, his = sent(api, phone_call(api, alice)), phone_call(api), phone_call(api, bob)
    path = f"/api/batch_operations/{operation(api, 'PhoneCallQueue')['id']}"
    preview = f"{path}/preview/phone_calls"
    api.patch(path, RUNNING)
    assert listed(api, preview) == ids(hers, his)
    api.patch(path, {**RUNNING, **CREATED})
    assert listed(api, preview) == ids(his)
    api.patch(path, {"parameters[callout_participation_filter_params][msisdn]": alice["msisdn"]})
    assert listed(api, preview) == ids(hers)


def test_it_previews_phone_calls_only(api: Client) -> None:
    phone_call(api)
    path = f"/api/batch_operations/{operation(api, 'PhoneCallQueue')['id']}/preview"
    assert api.get(f"{path}/contacts").status == 404
    assert api.get(f"{path}/callout_participations").status == 404


def test_it_must_find_a_phone_call(api: Client) -> None:
    sent(api)
    answer = api.post("/api/batch_operations", {**TYPE, **CREATED})
    assert (answer.status, answer.json) == (422, {"errors": {"phone_calls_preview": ["can't be blank"]}})
    skip = {"skip_validate_preview_presence": "true"}
    assert api.post("/api/batch_operations", {**TYPE, **CREATED, **skip}).status == 201


def test_a_run_queues_each_phone_call_once(api: Client, provider: Provider) -> None:
    flood = running_callout(api)
    calls = [phone_call(api, participation(api, flood)) for _ in range(5)]
    queue = operation(api, "PhoneCallQueue", {**RUNNING, **CREATED})
    run(api, queue)
    for call in calls:
        assert in_status(api, call, "remotely_queued")["queue_batch_operation_id"] == queue["id"]
        assert provider.rung(call["msisdn"]) == 1
    assert listed(api, f"/api/batch_operations/{queue['id']}/phone_calls") == ids(*calls)


def test_a_run_queues_the_phone_calls_of_matching_callout_participations(api: Client, provider: Provider) -> None:
    flood = running_callout(api)
    alice, bob = participation(api, flood), participation(api, flood)
    hers, his = phone_call(api, alice), phone_call(api, bob)
    wanted = {"parameters[callout_participation_filter_params][msisdn]": alice["msisdn"]}
    run(api, operation(api, "PhoneCallQueue", wanted))
    in_status(api, hers, "remotely_queued")
    assert in_status(api, his, "created")["queue_batch_operation_id"] is None
    assert provider.rung(bob["msisdn"]) == 0


def test_only_created_phone_calls_are_queued(api: Client, provider: Provider) -> None:
    done, waiting = sent(api), phone_call(api)
    queue = operation(api, "PhoneCallQueue")
    run(api, queue)
    in_status(api, waiting, "remotely_queued")
    assert listed(api, f"/api/batch_operations/{queue['id']}/phone_calls") == ids(waiting)
    assert api.get(f"/api/phone_calls/{done['id']}").json == done
    assert provider.rung(done["msisdn"]) == 1


def test_a_requeue_queues_what_is_new_and_rings_nobody_twice(api: Client, provider: Provider) -> None:
    first = phone_call(api)
    queue = operation(api, "PhoneCallQueue", CREATED)
    run(api, queue)
    in_status(api, first, "remotely_queued")
    second = phone_call(api)
    run(api, queue, "requeue")
    in_status(api, second, "remotely_queued")
    assert listed(api, f"/api/batch_operations/{queue['id']}/phone_calls") == ids(first, second)
    assert [provider.rung(call["msisdn"]) for call in (first, second)] == [1, 1]


def test_a_limit_holds_for_the_preview_and_the_run(api: Client) -> None:
    first, second, third = phone_call(api), phone_call(api), phone_call(api)
    queue = operation(api, "PhoneCallQueue", {**CREATED, "parameters[limit]": "2"})
    path = f"/api/batch_operations/{queue['id']}"
    assert listed(api, f"{path}/preview/phone_calls") == ids(first, second)
    run(api, queue)
    in_status(api, first, "remotely_queued")
    in_status(api, second, "remotely_queued")
    assert api.get(f"/api/phone_calls/{third['id']}").json == third
    assert listed(api, f"{path}/preview/phone_calls") == ids(third)


def test_a_limit_of_nothing_queues_nothing(api: Client) -> None:
    call = phone_call(api)
    zero = {"parameters[limit]": "0", "skip_validate_preview_presence": "true"}
    queue = operation(api, "PhoneCallQueue", zero)
    run(api, queue)
    assert api.get(f"/api/phone_calls/{call['id']}").json == call


def test_calls_are_limited_per_period(api: Client) -> None:
    calls = [phone_call(api) for _ in range(4)]
    period = {**CREATED, "parameters[max_per_period]": "3", "parameters[max]": "2"}
    queue = operation(api, "PhoneCallQueue", period)
    preview = f"/api/batch_operations/{queue['id']}/preview/phone_calls"
    assert listed(api, preview) == ids(*calls[:2])
    run(api, queue)
    for call in calls[:2]:
        in_status(api, call, "remotely_queued")
    assert listed(api, preview) == ids(calls[2])
    run(api, queue, "requeue")
    in_status(api, calls[2], "remotely_queued")
    assert listed(api, preview) == []


def test_calls_of_other_statuses_do_not_count_for_the_period(api: Client) -> None:
    sent(api)
    waiting = phone_call(api)
    period = {
        **CREATED,
        "parameters[max_per_period]": "1",
        "parameters[max_per_period_hours]": "1",
        "parameters[max_per_period_statuses]": "completed,busy",
    }
    queue = operation(api, "PhoneCallQueue", period)
    path = f"/api/batch_operations/{queue['id']}"
    assert listed(api, f"{path}/preview/phone_calls") == ids(waiting)
    api.patch(path, {**period, "parameters[max_per_period_statuses]": "remotely_queued"})
    assert listed(api, f"{path}/preview/phone_calls") == []


def test_another_accounts_phone_calls_are_never_queued(api: Client, stranger: Client, provider: Provider) -> None:
    theirs, mine = phone_call(stranger), phone_call(api)
    foreign = {
        "parameters[phone_call_filter_params][callout_participation_id]": str(theirs["callout_participation_id"])
    }
    assert api.post("/api/batch_operations", {**TYPE, **foreign}).status == 422
    run(api, operation(api, "PhoneCallQueue"))
    in_status(api, mine, "remotely_queued")
    assert stranger.get(f"/api/phone_calls/{theirs['id']}").json == theirs
