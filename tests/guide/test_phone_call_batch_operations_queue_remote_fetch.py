"""The guide's chapter "Phone Call Batch Operations (Queue Remote Status Fetch)"."""

from __future__ import annotations

from tests.guide.provider import Provider
from tests.guide.scenes import (
    ids,
    in_status,
    listed,
    made,
    operation,
    participation,
    phone_call,
    run,
    running_callout,
    sent,
)
from tests.server import Client

TYPE = {"type": "BatchOperation::PhoneCallQueueRemoteFetch"}
UNSETTLED = {"parameters[phone_call_filter_params][status]": "remotely_queued,in_progress"}
RUNNING = {"parameters[callout_filter_params][status]": "running"}


def test_without_a_filter_all_phone_calls_are_previewed(api: Client) -> None:
    done, waiting = sent(api), phone_call(api)
    fetch = operation(api, "PhoneCallQueueRemoteFetch")
    assert listed(api, f"/api/batch_operations/{fetch['id']}/preview/phone_calls") == ids(done, waiting)


def test_statuses_are_a_comma_separated_list(api: Client, provider: Provider) -> None:
    ringing, queued = sent(api), sent(api)
    phone_call(api)
    provider.statuses[ringing["remote_call_id"]] = "ringing"
    made(api, f"/api/phone_calls/{ringing['id']}/phone_call_events", {"event": "queue_remote_fetch"})
    in_status(api, ringing, "in_progress")
    fetch = operation(api, "PhoneCallQueueRemoteFetch", UNSETTLED)
    path = f"/api/batch_operations/{fetch['id']}"
    assert api.get(path).json["parameters"] == {"phone_call_filter_params": {"status": "remotely_queued,in_progress"}}
    assert listed(api, f"{path}/preview/phone_calls") == ids(ringing, queued)


def test_only_a_running_callouts_calls_can_be_taken(api: Client) -> None:
    flood = running_callout(api)
    wanted, _ = sent(api, phone_call(api, participation(api, flood))), sent(api)
    fetch = operation(api, "PhoneCallQueueRemoteFetch", {**UNSETTLED, **RUNNING})
    assert listed(api, f"/api/batch_operations/{fetch['id']}/preview/phone_calls") == ids(wanted)


def test_it_must_find_a_phone_call(api: Client) -> None:
    phone_call(api)
    answer = api.post("/api/batch_operations", {**TYPE, **UNSETTLED})
    assert (answer.status, answer.json) == (422, {"errors": {"phone_calls_preview": ["can't be blank"]}})


def test_a_run_updates_the_calls_with_their_outcome(api: Client, provider: Provider) -> None:
    busy, answered = sent(api), sent(api)
    provider.statuses[busy["remote_call_id"]] = "busy"
    provider.statuses[answered["remote_call_id"]] = "completed"
    fetch = operation(api, "PhoneCallQueueRemoteFetch", UNSETTLED)
    run(api, fetch)
    for call, status in ((busy, "busy"), (answered, "completed")):
        found = in_status(api, call, status)
        assert found["queue_remote_fetch_batch_operation_id"] == fetch["id"]
        assert found["remote_response"]["sid"] == call["remote_call_id"]
        assert found["remote_status"] == status
    assert listed(api, f"/api/batch_operations/{fetch['id']}/phone_calls") == ids(busy, answered)


def test_only_calls_that_may_still_change_are_fetched(api: Client, provider: Provider) -> None:
    final, open_, unsent = sent(api), sent(api), phone_call(api)
    provider.statuses[final["remote_call_id"]] = "completed"
    made(api, f"/api/phone_calls/{final['id']}/phone_call_events", {"event": "queue_remote_fetch"})
    final = in_status(api, final, "completed")
    fetch = operation(api, "PhoneCallQueueRemoteFetch")
    run(api, fetch)
    in_status(api, open_, "canceled")
    assert listed(api, f"/api/batch_operations/{fetch['id']}/phone_calls") == ids(open_)
    assert api.get(f"/api/phone_calls/{final['id']}").json == final
    assert api.get(f"/api/phone_calls/{unsent['id']}").json == unsent


def test_a_limit_holds_for_the_preview_and_the_run(api: Client) -> None:
    first, second = sent(api), sent(api)
    fetch = operation(api, "PhoneCallQueueRemoteFetch", {**UNSETTLED, "parameters[limit]": "1"})
    path = f"/api/batch_operations/{fetch['id']}"
    assert fetch["parameters"]["limit"] == "1"
    assert listed(api, f"{path}/preview/phone_calls") == ids(first)
    run(api, fetch)
    in_status(api, first, "canceled")
    assert listed(api, f"{path}/phone_calls") == ids(first)
    assert api.get(f"/api/phone_calls/{second['id']}").json == second


def test_an_update_without_the_filters_overrides_them(api: Client) -> None:
    sent(api)
    path = f"/api/batch_operations/{operation(api, 'PhoneCallQueueRemoteFetch', UNSETTLED)['id']}"
    assert api.patch(path, {"parameters[limit]": "1"}).status == 204
    assert api.get(path).json["parameters"] == {"limit": "1"}


def test_a_requeue_fetches_again_what_is_still_open(api: Client, provider: Provider) -> None:
    call = sent(api)
    provider.statuses[call["remote_call_id"]] = "in-progress"
    fetch = operation(api, "PhoneCallQueueRemoteFetch", UNSETTLED)
    run(api, fetch)
    in_status(api, call, "in_progress")
    provider.statuses[call["remote_call_id"]] = "completed"
    run(api, fetch, "requeue")
    in_status(api, call, "completed")
    assert listed(api, f"/api/batch_operations/{fetch['id']}/phone_calls") == ids(call)
