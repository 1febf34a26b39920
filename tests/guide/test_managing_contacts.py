"""The guide's chapter "Managing Contacts"."""

from __future__ import annotations

import re

import pytest

from tests.guide.scenes import callout, contact, ids, listed, made, participation, phone_call, sent
from tests.guide.shapes import TIME, keys
from tests.server import Client, Server

LINK = re.compile(r'<([^>]*)>; rel="([a-z]+)"')
BOUNDARY = "a-boundary"
MULTIPART = "".join(
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    for name, value in {"msisdn": "+252662345678", "metadata[name]": "Alice"}.items()
)


def links(answer: object) -> dict[str, str]:
    found = getattr(answer, "headers")["Link"]  # noqa: B009
    return {rel: url for url, rel in LINK.findall(found or "")}


def test_a_contact_needs_only_a_phone_number(api: Client) -> None:
    answer = api.post("/api/contacts", {"msisdn": "+252662345678"})
    assert answer.status == 201
    assert list(answer.json) == keys("contacts")
    assert answer.json["msisdn"] == "+252662345678"
    assert answer.json["metadata"] == {}
    assert answer.json["created_at"] == answer.json["updated_at"]
    assert TIME.fullmatch(answer.json["created_at"])


def test_a_new_contact_is_found_at_its_location(api: Client) -> None:
    answer = api.post("/api/contacts", {"msisdn": "+252662345678"})
    assert answer.headers["Location"] == f"/api/contacts/{answer.json['id']}"
    assert api.get(answer.headers["Location"]).json == answer.json


@pytest.mark.parametrize("form", [{}, {"msisdn": ""}, {"msisdn": "nobody"}])
def test_a_contact_without_a_phone_number_is_refused(api: Client, form: dict[str, str]) -> None:
    answer = api.post("/api/contacts", form)
    assert (answer.status, answer.json) == (422, {"errors": {"msisdn": ["can't be blank"]}})


@pytest.mark.parametrize("msisdn", ["345", "252123456", "+25266234567812345"])
def test_a_phone_number_must_be_valid(api: Client, msisdn: str) -> None:
    answer = api.post("/api/contacts", {"msisdn": msisdn})
    assert (answer.status, answer.json) == (422, {"errors": {"msisdn": ["is an invalid number"]}})


def test_a_phone_number_must_be_unique(api: Client) -> None:
    contact(api, "+252662345678")
    answer = api.post("/api/contacts", {"msisdn": "252 66 234 5678"})
    assert (answer.status, answer.json) == (422, {"errors": {"msisdn": ["has already been taken"]}})


def test_two_accounts_may_have_the_same_phone_number(api: Client, stranger: Client) -> None:
    assert contact(api, "+252662345678")["account_id"] != contact(stranger, "+252662345678")["account_id"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("252 66-(2)-345-678", "+252662345678"),
        ("00252662345678", "+252662345678"),
        ("+855 0 12 345 678", "+85512345678"),
        ("+15551234567", "+15551234567"),
    ],
)
def test_a_phone_number_is_kept_in_one_form(api: Client, given: str, kept: str) -> None:
    assert contact(api, given)["msisdn"] == kept


def test_a_field_that_only_the_server_sets_is_ignored(api: Client) -> None:
    form = {"msisdn": "+252662345678", "id": "4711", "account_id": "1", "created_at": "x", "colour": "red"}
    alice = made(api, "/api/contacts", form)
    assert alice["id"] != 4711
    assert alice["account_id"] != 1
    assert "colour" not in alice


def test_json_says_the_same_as_a_form(api: Client) -> None:
    body = {"msisdn": "+252662345678", "metadata": {"name": "Alice", "age": 30}}
    answer = api.post("/api/contacts", json=body)
    assert answer.status == 201
    assert answer.json["metadata"] == {"name": "Alice", "age": 30}


def test_multipart_says_the_same_as_a_form(api: Client) -> None:
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    answer = api.post("/api/contacts", body=f"{MULTIPART}--{BOUNDARY}--\r\n".encode(), headers=kind)
    assert answer.status == 201
    assert answer.json["metadata"] == {"name": "Alice"}


def test_a_query_says_the_same_as_a_form(api: Client) -> None:
    answer = api.post("/api/contacts?msisdn=%2B252662345678&metadata[name]=Alice")
    assert answer.status == 201
    assert answer.json["metadata"] == {"name": "Alice"}


def test_an_update_answers_nothing_and_changes_the_contact(api: Client) -> None:
    alice = contact(api)
    answer = api.patch(f"/api/contacts/{alice['id']}", {"[metadata][name]": "Alice", "[metadata][gender]": "f"})
    assert (answer.status, answer.json) == (204, None)
    found = api.get(f"/api/contacts/{alice['id']}").json
    assert found["metadata"] == {"name": "Alice", "gender": "f"}
    assert found["created_at"] == alice["created_at"]
    assert found["updated_at"] > alice["updated_at"]


@pytest.mark.parametrize("verb", ["patch", "put"])
def test_a_put_is_a_patch(api: Client, verb: str) -> None:
    alice = contact(api, name="Alice")
    assert getattr(api, verb)(f"/api/contacts/{alice['id']}", {"msisdn": "+252662345670"}).status == 204
    found = api.get(f"/api/contacts/{alice['id']}").json
    assert (found["msisdn"], found["metadata"]) == ("+252662345670", {"name": "Alice"})


@pytest.mark.parametrize(
    ("mode", "metadata"),
    [
        (None, {"name": "Alice", "home": {"door": "7"}}),
        ("merge", {"name": "Alice", "home": {"door": "7"}}),
        ("nonsense", {"name": "Alice", "home": {"door": "7"}}),
        ("replace", {"home": {"door": "7"}}),
        ("deep_merge", {"name": "Alice", "home": {"street": "Hill", "door": "7"}}),
    ],
)
def test_metadata_is_merged_as_asked(api: Client, mode: str | None, metadata: dict[str, object]) -> None:
    first = {"msisdn": "+252662345678", "metadata[name]": "Alice", "metadata[home][street]": "Hill"}
    path = f"/api/contacts/{made(api, '/api/contacts', first)['id']}"
    update = {"metadata[home][door]": "7", **({"metadata_merge_mode": mode} if mode else {})}
    assert api.patch(path, update).status == 204
    assert api.get(path).json["metadata"] == metadata


def test_an_update_that_breaks_a_rule_changes_nothing(api: Client) -> None:
    alice = contact(api)
    answer = api.patch(f"/api/contacts/{alice['id']}", {"msisdn": "345", "metadata[name]": "Alice"})
    assert (answer.status, answer.json) == (422, {"errors": {"msisdn": ["is an invalid number"]}})
    assert api.get(f"/api/contacts/{alice['id']}").json == alice


def test_up_to_25_contacts_are_one_page_without_links(api: Client) -> None:
    made_ = [contact(api) for _ in range(25)]
    answer = api.get("/api/contacts")
    assert (answer.headers["Per-Page"], answer.headers["Total"]) == ("25", "25")
    assert answer.headers["Link"] is None
    assert ids(*answer.json) == ids(*made_)


def test_more_than_25_contacts_are_linked_pages(api: Client, server: Server) -> None:
    made_ = [contact(api) for _ in range(51)]
    first = api.get("/api/contacts")
    assert (first.headers["Per-Page"], first.headers["Total"]) == ("25", "51")
    assert list(links(first)) == ["last", "next"]
    second = api.get(links(first)["next"].removeprefix(server.url))
    assert list(links(second)) == ["first", "prev", "last", "next"]
    third = api.get(links(second)["next"].removeprefix(server.url))
    assert list(links(third)) == ["first", "prev"]
    assert ids(*first.json, *second.json, *third.json) == ids(*made_)


def test_a_page_is_linked_by_absolute_urls_that_keep_the_question(api: Client, server: Server) -> None:
    for _ in range(3):
        contact(api, gender="f")
    answer = api.get("/api/contacts?q[metadata][gender]=f&per_page=1&page=2")
    question = "per_page=1&q%5Bmetadata%5D%5Bgender%5D=f"
    assert links(answer) == {
        rel: f"{server.url}/api/contacts?page={page}&{question}"
        for rel, page in {"first": 1, "prev": 1, "last": 3, "next": 3}.items()
    }


@pytest.mark.parametrize("question", ["per_page=0", "per_page=-1", "per_page=many", "page=0", "page=x"])
def test_a_nonsense_page_is_the_default(api: Client, question: str) -> None:
    alice = contact(api)
    answer = api.get(f"/api/contacts?{question}")
    assert answer.headers["Per-Page"] == "25"
    assert ids(*answer.json) == ids(alice)


def test_a_page_past_the_end_is_empty(api: Client) -> None:
    contact(api)
    answer = api.get("/api/contacts?page=2")
    assert (answer.status, answer.json, answer.headers["Total"]) == (200, [], "1")


def test_a_head_has_the_headers_of_the_list(api: Client) -> None:
    contact(api)
    answer = api.head("/api/contacts")
    assert (answer.status, answer.json) == (200, None)
    assert answer.headers["Total"] == "1"


def test_an_unchanged_contact_need_not_be_sent_again(api: Client) -> None:
    path = f"/api/contacts/{contact(api)['id']}"
    known = {"If-None-Match": api.get(path).headers["ETag"]}
    unchanged = api.get(path, headers=known)
    assert (unchanged.status, unchanged.json) == (304, None)
    api.patch(path, {"metadata[name]": "Alice"})
    assert api.get(path, headers=known).status == 200


def test_contacts_are_filtered_by_their_metadata(api: Client) -> None:
    alice = contact(api, gender="f", town="Baidoa")
    bob = contact(api, gender="m", town="Baidoa")
    assert listed(api, "/api/contacts?q[metadata][gender]=f") == ids(alice)
    assert listed(api, "/api/contacts?q[metadata][town]=Baidoa") == ids(alice, bob)
    assert listed(api, "/api/contacts?q[metadata][town]=Baidoa&q[metadata][gender]=m") == ids(bob)
    assert listed(api, "/api/contacts?q[metadata][town]=Luuq") == []


def test_contacts_are_filtered_by_what_is_deep_in_their_metadata(api: Client) -> None:
    body = {"msisdn": "+252662345678", "metadata": {"a": {"b": [5, {"c": True}]}}}
    alice = api.post("/api/contacts", json=body).json
    contact(api)
    for question in ("[a][b][0]=5", "[a][b][1][c]=true"):
        assert listed(api, f"/api/contacts?q[metadata]{question}") == ids(alice), question


def test_contacts_without_a_name_are_found_by_a_name_without_a_value(api: Client) -> None:
    contact(api, name="Alice")
    nameless = contact(api)
    assert listed(api, "/api/contacts?q[metadata][name]") == ids(nameless)


def test_contacts_are_filtered_by_their_phone_number(api: Client) -> None:
    alice, bob, _ = (contact(api, f"+25266234567{last}") for last in (8, 9, 0))
    assert listed(api, "/api/contacts?q[msisdn]=252%2066%20234%205678") == ids(alice)
    assert listed(api, "/api/contacts?q[msisdn]=%2B252662345678%20,%20%2B252662345679") == ids(alice, bob)
    assert listed(api, "/api/contacts?q[msisdn]=345") == []
    assert listed(api, "/api/contacts?q[msisdn]=") == []


@pytest.mark.parametrize("question", ["[name][$ne]=x", "[$where]=1", "[name][$exists]=true", "[$or][0][name]=Alice"])
def test_a_filter_is_never_a_query_operator(api: Client, question: str) -> None:
    contact(api, name="Alice")
    answer = api.get(f"/api/contacts?q[metadata]{question}")
    assert answer.status == 422 or answer.json == []


def test_a_deleted_contact_is_gone_and_its_id_is_not_used_again(api: Client) -> None:
    ghostbusters = contact(api)
    path = f"/api/contacts/{ghostbusters['id']}"
    deleted = api.delete(path)
    assert (deleted.status, deleted.json) == (204, None)
    found = api.get(path)
    assert (found.status, found.json) == (404, {"status": 404, "error": "Not Found"})
    assert api.delete(path).status == 404
    assert contact(api)["id"] > ghostbusters["id"]


def test_a_participant_cannot_be_deleted(api: Client) -> None:
    alice = contact(api)
    participation(api, contact_=alice)
    answer = api.delete(f"/api/contacts/{alice['id']}")
    message = "Cannot delete record because dependent callout participations exist"
    assert (answer.status, answer.json) == (422, {"errors": {"base": [message]}})


def test_a_contact_that_was_called_cannot_be_deleted(api: Client) -> None:
    alice = contact(api)
    participant = participation(api, contact_=alice)
    sent(api, phone_call(api, participant))
    assert api.delete(f"/api/contacts/{alice['id']}").status == 422
    assert api.delete(f"/api/callout_participations/{participant['id']}").status == 422
    assert api.get(f"/api/contacts/{alice['id']}").json == alice


def test_a_contact_lists_what_belongs_to_it(api: Client) -> None:
    alice, flood = contact(api), callout(api)
    participant = participation(api, flood, alice)
    call = phone_call(api, participant)
    phone_call(api)
    path = f"/api/contacts/{alice['id']}"
    assert listed(api, f"{path}/callouts") == ids(flood)
    assert listed(api, f"{path}/callout_participations") == ids(participant)
    assert listed(api, f"{path}/phone_calls") == ids(call)
    assert listed(api, f"{path}/remote_phone_call_events") == []


def test_another_account_sees_nothing_of_a_contact(api: Client, stranger: Client) -> None:
    path = f"/api/contacts/{contact(api)['id']}"
    assert listed(stranger, "/api/contacts") == []
    assert stranger.get(path).status == 404
    assert stranger.patch(path, {"metadata[name]": "Mallory"}).status == 404
    assert stranger.delete(path).status == 404
    assert stranger.get(f"{path}/phone_calls").status == 404


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_without_the_right_access_token_nothing_is_answered(server: Server, token: str) -> None:
    answer = server.request("GET", "/api/contacts", token=token)
    assert (answer.status, answer.json) == (401, None)
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="')
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_the_access_token_may_be_a_bearer_token(api: Client, server: Server) -> None:
    bearer = {"Authorization": f"Bearer {api.token}"}
    assert server.request("GET", "/api/contacts", token="", headers=bearer).status == 200
    assert server.request("GET", f"/api/contacts?access_token={api.token}", token="").status == 401
