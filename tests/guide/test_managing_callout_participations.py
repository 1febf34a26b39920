"""The guide's chapter "Managing Callout Participations"."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.guide.provider import INVALID_FROM, Provider
from tests.guide.scenes import (
    FLOW,
    callout,
    contact,
    ids,
    in_status,
    listed,
    made,
    number,
    participation,
    phone_call,
    population,
    run,
    sent,
)
from tests.guide.shapes import keys
from tests.server import Client


def test_a_participation_has_the_number_of_its_contact(api: Client) -> None:
    flood, bob = callout(api), contact(api)
    path = f"/api/callouts/{flood['id']}/callout_participations"
    answer = api.post(path, {"contact_id": str(bob["id"])})
    assert answer.status == 201
    assert list(answer.json) == keys("callout_participations")
    assert (answer.json["callout_id"], answer.json["contact_id"]) == (flood["id"], bob["id"])
    assert answer.json["msisdn"] == bob["msisdn"]
    assert answer.json["callout_population_id"] is None
    assert answer.headers["Location"] == f"/api/callout_participations/{answer.json['id']}"


def test_a_participation_may_have_another_number(api: Client) -> None:
    other = number()
    assert participation(api, msisdn=other)["msisdn"] == other


def test_the_contact_must_exist_in_the_account(api: Client, stranger: Client) -> None:
    path = f"/api/callouts/{callout(api)['id']}/callout_participations"
    for given in ({}, {"contact_id": "0"}, {"contact_id": "Bob"}, {"contact_id": str(contact(stranger)["id"])}):
        answer = api.post(path, given)
        assert answer.status == 422, given
        assert answer.json["errors"]["contact"] == ["must exist"]
    assert listed(api, path) == []


def test_a_contact_takes_part_in_a_callout_once(api: Client) -> None:
    flood, bob = callout(api), contact(api)
    participation(api, flood, bob)
    path = f"/api/callouts/{flood['id']}/callout_participations"
    answer = api.post(path, {"contact_id": str(bob["id"])})
    taken = ["has already been taken"]
    assert (answer.status, answer.json) == (422, {"errors": {"contact_id": taken, "msisdn": taken}})
    participation(api, callout(api), bob)


def test_a_number_takes_part_in_a_callout_once(api: Client) -> None:
    flood, bob = callout(api), contact(api)
    participation(api, flood, bob)
    form = {"contact_id": str(contact(api)["id"]), "msisdn": bob["msisdn"]}
    answer = api.post(f"/api/callouts/{flood['id']}/callout_participations", form)
    assert (answer.status, answer.json) == (422, {"errors": {"msisdn": ["has already been taken"]}})


def test_of_many_who_add_a_contact_at_once_one_succeeds(api: Client) -> None:
    flood, bob = callout(api), contact(api)
    path = f"/api/callouts/{flood['id']}/callout_participations"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.post(path, {"contact_id": str(bob["id"])}).status, range(4)))
    assert sorted(answers) == [201, 422, 422, 422]
    assert len(listed(api, path)) == 1


def test_the_contacts_of_a_callout_are_its_participants(api: Client) -> None:
    alice, bob = contact(api), contact(api)
    flood = callout(api)
    participation(api, flood, bob)
    participation(api, flood, alice)
    participation(api)
    answer = api.get(f"/api/callouts/{flood['id']}/contacts")
    assert answer.json == [alice, bob]
    assert answer.headers["Total"] == "2"
    assert listed(api, f"/api/callouts/{flood['id']}/contacts?q[msisdn]={bob['msisdn'][1:]}") == ids(bob)


def test_participations_are_filtered_by_who_and_where(api: Client) -> None:
    flood, fire, alice = callout(api), callout(api), contact(api)
    by_hand = participation(api, fire, alice)
    people = population(api, flood)
    run(api, people)
    (populated,) = api.get(f"/api/callouts/{flood['id']}/callout_participations").json
    path = "/api/callout_participations"
    assert listed(api, path) == ids(by_hand, populated)
    assert listed(api, f"{path}?q[callout_id]={flood['id']}") == ids(populated)
    assert listed(api, f"{path}?q[contact_id]={alice['id']}") == ids(by_hand, populated)
    assert listed(api, f"{path}?q[callout_population_id]={people['id']}") == ids(populated)
    assert listed(api, f"{path}?q[msisdn]=%2B252%2066{alice['msisdn'][6:]}") == ids(by_hand, populated)
    assert listed(api, f"/api/callouts/{fire['id']}/callout_participations?q[contact_id]=0") == []


def test_participations_are_filtered_by_their_last_phone_call(api: Client, provider: Provider) -> None:
    flood = callout(api)
    never, tried, errored = (participation(api, flood) for _ in range(3))
    first = phone_call(api, errored, **{"remote_request_params[from]": INVALID_FROM})
    made(api, f"/api/phone_calls/{first['id']}/phone_call_events", {"event": "queue"})
    in_status(api, first, "errored")
    failed = phone_call(api, tried, **{"remote_request_params[from]": INVALID_FROM})
    made(api, f"/api/phone_calls/{failed['id']}/phone_call_events", {"event": "queue"})
    in_status(api, failed, "errored")
    sent(api, phone_call(api, tried))
    path = f"/api/callouts/{flood['id']}/callout_participations"
    assert listed(api, f"{path}?q[has_phone_calls]=true") == ids(tried, errored)
    assert listed(api, f"{path}?q[has_phone_calls]=false") == ids(never)
    assert listed(api, f"{path}?q[last_phone_call_attempt]=failed,errored") == ids(errored)
    assert listed(api, f"{path}?q[last_phone_call_attempt]=remotely_queued") == ids(tried)
    assert listed(api, f"{path}?q[no_phone_calls_or_last_attempt]=failed,errored") == ids(never, errored)


def test_a_participation_shows_the_call_flow_of_its_callout(api: Client) -> None:
    flood = callout(api, call_flow_logic=FLOW)
    long = "CallFlowLogic::AvfCapom::CapomLong"
    inherits = participation(api, flood)
    has_its_own = participation(api, flood, call_flow_logic=long)
    assert inherits["call_flow_logic"] == FLOW
    assert has_its_own["call_flow_logic"] == long
    path = "/api/callout_participations"
    assert [one["call_flow_logic"] for one in api.get(path).json] == [FLOW, long]
    assert listed(api, f"{path}?q[call_flow_logic]={FLOW}") == []
    assert listed(api, f"{path}?q[call_flow_logic]={long}") == ids(has_its_own)


def test_a_participation_is_updated(api: Client) -> None:
    flood, bob = callout(api), contact(api)
    path = f"/api/callout_participations/{participation(api, flood, bob)['id']}"
    form = {"metadata[note]": "ring late", "call_flow_logic": FLOW, "callout_id": "0"}
    assert api.patch(path, form).status == 204
    found = api.get(path).json
    assert found["metadata"] == {"note": "ring late"}
    assert found["call_flow_logic"] == FLOW
    assert (found["callout_id"], found["contact_id"]) == (flood["id"], bob["id"])


def test_deleting_a_participation_removes_the_contact_from_the_callout_only(api: Client) -> None:
    flood, alice = callout(api), contact(api)
    participant = participation(api, flood, alice)
    assert api.delete(f"/api/callout_participations/{participant['id']}").status == 204
    assert listed(api, f"/api/callouts/{flood['id']}/contacts") == []
    assert api.get(f"/api/contacts/{alice['id']}").json == alice
    assert api.delete(f"/api/contacts/{alice['id']}").status == 204


def test_a_participation_with_phone_calls_cannot_be_deleted(api: Client) -> None:
    participant = participation(api)
    call = phone_call(api, participant)
    path = f"/api/callout_participations/{participant['id']}"
    answer = api.delete(path)
    message = "Cannot delete record because dependent phone calls exist"
    assert (answer.status, answer.json) == (422, {"errors": {"base": [message]}})
    assert api.delete(f"/api/phone_calls/{call['id']}").status == 204
    assert api.delete(path).status == 204


def test_another_account_sees_nothing_of_a_participation(api: Client, stranger: Client) -> None:
    path = f"/api/callout_participations/{participation(api)['id']}"
    assert listed(stranger, "/api/callout_participations") == []
    assert stranger.get(path).status == 404
    assert stranger.delete(path).status == 404
    assert stranger.post(f"{path}/phone_calls", {}).status == 404
