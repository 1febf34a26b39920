"""The guide's chapter "Populating a Callout"."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.guide.scenes import callout, contact, ids, listed, participation, population, run
from tests.guide.shapes import keys
from tests.server import Client, wait_until

FEMALE = {"parameters[contact_filter_params][metadata][gender]": "f"}
NOT_AN_EVENT = {"errors": {"event": ["is not included in the list"]}}


def test_a_new_population_is_a_preview(api: Client) -> None:
    flood = callout(api)
    path = f"/api/callouts/{flood['id']}/batch_operations"
    answer = api.post(path, {"type": "BatchOperation::CalloutPopulation"})
    assert answer.status == 201
    assert list(answer.json) == keys("batch_operations")
    assert answer.json["callout_id"] == flood["id"]
    assert answer.json["status"] == "preview"
    assert answer.json["type"] == "BatchOperation::CalloutPopulation"
    assert answer.headers["Location"] == f"/api/batch_operations/{answer.json['id']}"


@pytest.mark.parametrize("form", [{}, {"type": ""}, {"type": "BatchOperation::Base"}])
def test_a_batch_operation_needs_a_type(api: Client, form: dict[str, str]) -> None:
    answer = api.post(f"/api/callouts/{callout(api)['id']}/batch_operations", form)
    assert answer.status == 422
    assert answer.json["errors"]["type"] == ["can't be blank"]


def test_a_population_needs_a_callout_of_the_account(api: Client, stranger: Client) -> None:
    form = {"type": "BatchOperation::CalloutPopulation"}
    for given in ({}, {"callout_id": str(callout(stranger)["id"])}):
        answer = api.post("/api/batch_operations", {**form, **given})
        assert (answer.status, answer.json) == (422, {"errors": {"callout": ["must exist"]}})
    assert api.post(f"/api/callouts/{callout(stranger)['id']}/batch_operations", form).status == 404


def test_without_a_filter_all_contacts_of_the_account_are_previewed(api: Client, stranger: Client) -> None:
    alice, bob = contact(api, gender="f"), contact(api, gender="m")
    contact(stranger)
    people = population(api, callout(api))
    answer = api.get(f"/api/batch_operations/{people['id']}/preview/contacts")
    assert answer.json == [alice, bob]
    assert (answer.headers["Per-Page"], answer.headers["Total"]) == ("25", "2")


def test_a_filter_limits_who_is_previewed(api: Client) -> None:
    alice, _ = contact(api, gender="f"), contact(api, gender="m")
    people = population(api, callout(api))
    path = f"/api/batch_operations/{people['id']}"
    assert api.patch(path, FEMALE).status == 204
    assert api.get(path).json["parameters"] == {"contact_filter_params": {"metadata": {"gender": "f"}}}
    assert listed(api, f"{path}/preview/contacts") == ids(alice)


def test_a_filter_may_name_phone_numbers(api: Client) -> None:
    alice, bob, _ = contact(api), contact(api), contact(api)
    wanted = {"parameters[contact_filter_params][msisdn]": f"{alice['msisdn']}, {bob['msisdn']}"}
    people = population(api, callout(api), **wanted)
    assert listed(api, f"/api/batch_operations/{people['id']}/preview/contacts") == ids(alice, bob)


def test_an_update_replaces_the_parameters_whole(api: Client) -> None:
    people = population(api, callout(api), **FEMALE)
    path = f"/api/batch_operations/{people['id']}"
    api.patch(path, {"parameters[contact_filter_params][metadata][town]": "Luuq"})
    assert api.get(path).json["parameters"] == {"contact_filter_params": {"metadata": {"town": "Luuq"}}}
    api.patch(path, {"metadata[name]": "Luuq"})
    assert api.get(path).json["parameters"] == {"contact_filter_params": {"metadata": {"town": "Luuq"}}}


def test_a_preview_changes_nothing(api: Client) -> None:
    contact(api)
    flood = callout(api)
    people = population(api, flood)
    listed(api, f"/api/batch_operations/{people['id']}/preview/contacts")
    assert listed(api, f"/api/callouts/{flood['id']}/callout_participations") == []
    assert api.get(f"/api/batch_operations/{people['id']}").json == people


@pytest.mark.parametrize("preview", ["phone_calls", "callout_participations", "callouts"])
def test_a_population_has_no_other_preview(api: Client, preview: str) -> None:
    people = population(api, callout(api))
    assert api.get(f"/api/batch_operations/{people['id']}/preview/{preview}").status == 404


def test_a_queued_population_runs_in_the_background_until_it_is_finished(api: Client) -> None:
    people = population(api, callout(api))
    path = f"/api/batch_operations/{people['id']}"
    queued = api.post(f"{path}/batch_operation_events", {"event": "queue"})
    assert (queued.status, queued.json["status"]) == (201, "queued")
    assert queued.headers["Location"] == path
    assert wait_until(lambda: api.get(path).json["status"] == "finished")


def test_a_participation_remembers_its_population(api: Client) -> None:
    alice, _ = contact(api, gender="f"), contact(api, gender="m")
    flood = callout(api)
    people = population(api, flood, **FEMALE)
    run(api, people)
    (made,) = api.get(f"/api/callouts/{flood['id']}/callout_participations").json
    assert list(made) == keys("callout_participations")
    assert made["callout_population_id"] == people["id"]
    assert (made["contact_id"], made["msisdn"]) == (alice["id"], alice["msisdn"])
    assert listed(api, f"/api/batch_operations/{people['id']}/contacts") == ids(alice)
    assert listed(api, f"/api/batch_operations/{people['id']}/callout_participations") == ids(made)


def test_many_contacts_are_populated_each_once_and_in_order(api: Client) -> None:
    people_ = [contact(api) for _ in range(60)]
    flood = callout(api)
    run(api, population(api, flood))
    answer = api.get(f"/api/callouts/{flood['id']}/callout_participations?per_page=100")
    assert [one["contact_id"] for one in answer.json] == ids(*people_)


def test_who_takes_part_already_is_not_populated_again(api: Client) -> None:
    alice, bob = contact(api), contact(api)
    flood = callout(api)
    by_hand = participation(api, flood, bob)
    people = population(api, flood)
    run(api, people)
    assert listed(api, f"/api/batch_operations/{people['id']}/contacts") == ids(alice)
    assert listed(api, f"/api/callouts/{flood['id']}/contacts") == ids(alice, bob)
    assert api.get(f"/api/callout_participations/{by_hand['id']}").json == by_hand


def test_a_requeue_adds_who_is_new_and_nobody_twice(api: Client) -> None:
    alice, flood = contact(api), callout(api)
    people = population(api, flood)
    run(api, people)
    bob = contact(api)
    run(api, people, "requeue")
    assert listed(api, f"/api/callouts/{flood['id']}/contacts") == ids(alice, bob)
    run(api, people, "requeue")
    assert len(listed(api, f"/api/callouts/{flood['id']}/callout_participations")) == 2


def test_a_requeue_brings_back_who_was_deleted(api: Client) -> None:
    contact(api)
    flood = callout(api)
    people = population(api, flood)
    run(api, people)
    path = f"/api/callouts/{flood['id']}/callout_participations"
    (first,) = listed(api, path)
    api.delete(f"/api/callout_participations/{first}")
    run(api, people, "requeue")
    (second,) = listed(api, path)
    assert second > first


@pytest.mark.parametrize("event", ["requeue", "start", "finish", ""])
def test_a_preview_can_only_be_queued(api: Client, event: str) -> None:
    people = population(api, callout(api))
    answer = api.post(f"/api/batch_operations/{people['id']}/batch_operation_events", {"event": event})
    assert (answer.status, answer.json) == (422, NOT_AN_EVENT)


def test_a_finished_operation_can_only_be_requeued(api: Client) -> None:
    people = population(api, callout(api))
    run(api, people)
    answer = api.post(f"/api/batch_operations/{people['id']}/batch_operation_events", {"event": "queue"})
    assert (answer.status, answer.json) == (422, NOT_AN_EVENT)


def test_of_two_who_queue_at_once_one_is_refused(api: Client) -> None:
    people = population(api, callout(api))
    path = f"/api/batch_operations/{people['id']}/batch_operation_events"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.post(path, {"event": "queue"}).status, range(4)))
    assert sorted(answers) == [201, 422, 422, 422]


def test_batch_operations_are_filtered(api: Client) -> None:
    flood = callout(api)
    people, women = population(api, flood), population(api, flood, **FEMALE)
    run(api, people)
    assert listed(api, "/api/batch_operations?q[status]=finished") == ids(people)
    assert listed(api, "/api/batch_operations?q[parameters][contact_filter_params][metadata][gender]=f") == ids(women)
    for question in ("q[type]=", "type="):
        found = listed(api, f"/api/batch_operations?{question}BatchOperation::CalloutPopulation")
        assert found == ids(people, women)


def test_a_population_with_participations_cannot_be_deleted(api: Client) -> None:
    contact(api)
    people = population(api, callout(api))
    run(api, people)
    answer = api.delete(f"/api/batch_operations/{people['id']}")
    message = "Cannot delete record because dependent callout participations exist"
    assert (answer.status, answer.json) == (422, {"errors": {"base": [message]}})


def test_an_unused_population_can_be_deleted(api: Client) -> None:
    people = population(api, callout(api))
    assert api.delete(f"/api/batch_operations/{people['id']}").status == 204
    assert api.get(f"/api/batch_operations/{people['id']}").status == 404


def test_another_account_can_neither_see_nor_queue_a_population(api: Client, stranger: Client) -> None:
    path = f"/api/batch_operations/{population(api, callout(api))['id']}"
    assert stranger.get(path).status == 404
    assert stranger.get(f"{path}/preview/contacts").status == 404
    assert stranger.post(f"{path}/batch_operation_events", {"event": "queue"}).status == 404
