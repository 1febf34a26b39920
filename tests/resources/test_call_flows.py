"""Call flows that are documents: drafts, versions, and who names them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scfm.handlers.call_flows import MAX_VERSIONS_AT_ONCE
from tests.resources.conftest import Documents, make
from tests.server import Answer, Client, Server

KEYS = ["id", "name", "status", "version", "definition", "metadata", "created_at", "updated_at", "account_id"]
NAMED = "/api/call_flows"
NO_FLOW = {"call_flow_logic": None}
NOT_IN_LIST = {"errors": {"call_flow_logic": ["is not included in the list"]}}


@pytest.fixture
def large(settings: dict[str, str], tmp_path: Path) -> Iterator[Client]:
    """A new account of a server that takes large requests."""
    with Server(tmp_path / "data", {**settings, "MAX_BODY_SIZE": "1000000"}) as server:
        server.token = server.create_account()
        yield server.new_account()


def saying(words: str) -> dict[str, Any]:
    """A definition that says WORDS and hangs up."""
    steps = {"hello": {"say": {"en": words}, "next": "end"}, "end": {"hang_up": True}}
    return {"languages": ["en"], "start": "hello", "steps": steps}


def create(api: Client, name: str = "flood", words: str = "Go to high ground.", **fields: Any) -> str:
    """Create a flow, and give its path."""
    return f"{NAMED}/{make(api, NAMED, name=name, definition=saying(words), **fields)}"


def publish(api: Client, path: str, **given: Any) -> Answer:
    answer = api.post(f"{path}/publish", json=given)
    assert answer.status == 201, answer
    return answer


def published(api: Client, name: str = "flood") -> str:
    path = create(api, name)
    publish(api, path)
    return path


def test_a_draft_is_made_shown_changed_and_deleted(api: Client) -> None:
    made = api.post(NAMED, json={"name": "flood-km.2", "definition": saying("Go."), "metadata": {"by": "Alice"}})
    assert (made.status, list(made.json)) == (201, KEYS)
    path = f"{NAMED}/{made.json['id']}"
    assert made.headers["Location"] == path
    shown = [made.json[name] for name in ("name", "status", "version", "definition", "metadata", "account_id")]
    own = api.get("/api/account").json["id"]
    assert shown == ["flood-km.2", "draft", None, saying("Go."), {"by": "Alice"}, own]
    assert api.get(path).json == made.json
    assert api.patch(path, json={"name": "flood", "definition": saying("Run.")}).status == 204
    changed = api.get(path).json
    assert (changed["name"], changed["definition"]) == ("flood", saying("Run."))
    assert (api.delete(path).status, api.get(path).status) == (204, 404)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "can't be blank"),
        ("", "can't be blank"),
        ("two words", "is invalid"),
        ("a" * 65, "is invalid"),
        ("flot\n", "is invalid"),
        ("crue-é", "is invalid"),
        ("CallFlowLogic::Application", "is invalid"),
    ],
)
def test_a_name_is_short_and_plain(api: Client, name: str | None, message: str) -> None:
    given = {"definition": saying("Go.")} | ({} if name is None else {"name": name})
    answer = api.post(NAMED, json=given)
    assert (answer.status, answer.json) == (422, {"errors": {"name": [message]}})
    assert answer.hints is not None and "64 letters" in answer.hints["name"]
    assert make(api, NAMED, name="a" * 64, definition=saying("Go."))


def test_a_name_is_unique_in_the_account(api: Client, stranger: Client) -> None:
    create(api)
    second = create(api, "storm")
    taken = {"errors": {"name": ["has already been taken"]}}
    assert api.post(NAMED, json={"name": "flood", "definition": saying("Go.")}).json == taken
    assert api.patch(second, json={"name": "flood"}).json == taken
    assert api.get(second).json["name"] == "storm"
    create(stranger)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (None, "can't be blank"),
        ("hello", "must be an object"),
        ([], "must be an object"),
    ],
)
def test_a_flow_needs_a_definition(api: Client, definition: Any, message: str) -> None:
    answer = api.post(NAMED, json={"name": "flood", "definition": definition})
    assert (answer.status, answer.json) == (422, {"errors": {"definition": [message]}})
    assert api.get(NAMED).json == []


def test_all_that_is_wrong_with_a_definition_is_said_at_once_with_its_place(api: Client) -> None:
    wrong = {**saying("Go to {contact.nowhere}."), "start": "hlelo"}
    answer = api.post(NAMED, json={"name": "flood", "definition": wrong})
    assert answer.status == 422
    told = answer.json["errors"]["definition"]
    assert [one.partition(":")[0] for one in told] == ["/start", "/steps/hello/say/en"]
    assert answer.hints == {"definition": "what a definition may hold: GET /api/schemas/call_flow.json"}
    path = create(api)
    assert api.patch(path, json={"definition": wrong}).json == answer.json
    assert api.get(path).json["definition"] == saying("Go to high ground.")
    assert api.post(f"{NAMED}/validate", json={"definition": wrong}).json == answer.json


def test_a_definition_that_is_too_long_is_refused(large: Client) -> None:
    steps = {f"step-{number}": {"say": {"en": "x" * 4_000}, "next": "end"} for number in range(70)}
    definition = {"languages": ["en"], "start": "end", "steps": {**steps, "end": {"hang_up": True}}}
    answer = large.post(NAMED, json={"name": "flood", "definition": definition})
    assert answer.status == 422 and "262144 bytes" in answer.json["errors"]["definition"][0]


def test_a_definition_may_have_more_parts_than_other_requests(api: Client) -> None:
    steps = {f"step-{number}": {"say": {"en": "Go on."}, "next": f"step-{number + 1}"} for number in range(199)}
    definition = {"languages": ["en"], "start": "step-0", "steps": {**steps, "step-199": {"hang_up": True}}}
    padded = {**definition, "examples": [{"callee": [None] * 100} for _ in range(10)]}
    assert make(api, NAMED, name="flood", definition=padded)
    assert api.post("/api/callouts", json={"metadata": {"steps": [0] * 1001}}).status == 400


def test_in_a_form_a_definition_is_a_text(api: Client) -> None:
    made = api.post(NAMED, {"name": "flood", "definition": json.dumps(saying("Go."))})
    assert (made.status, made.json["definition"]) == (201, saying("Go."))
    for written, message in (
        ("{", "must be JSON"),
        ("[1]", "must be an object"),
        ("[" * 99 + "]" * 99, "too deeply"),
    ):
        refused = api.post(f"{NAMED}/validate", {"definition": written})
        assert refused.status == 422 and message in refused.json["errors"]["definition"][0]


def test_what_may_be_better_of_a_definition_is_a_warning(api: Client) -> None:
    assert api.post(f"{NAMED}/validate", json={"definition": saying("Go.")}).json == {"warnings": []}
    lacking = {**saying("Go."), "languages": ["en", "km"]}
    lacking["steps"]["end"]["say"] = {"km": "..."}
    told = api.post(f"{NAMED}/validate", json={"definition": lacking})
    assert told.status == 200
    assert [one.partition(":")[0] for one in told.json["warnings"]] == ["/steps/hello/say/km", "/steps/end/say/en"]
    assert api.get(NAMED).json == []


def test_drafts_are_listed_and_filtered(api: Client, stranger: Client) -> None:
    names = ["c", "b", "a"]
    paths = [create(api, name) for name in names]
    create(stranger, "z")
    publish(api, paths[1])
    for query, found in (
        ("per_page=2", ["c", "b"]),
        ("q[name]=a,c", ["c", "a"]),
        ("q[status]=draft", ["c", "a"]),
        ("q[version]=1", ["b"]),
        ("q[version]", ["c", "a"]),
    ):
        assert [flow["name"] for flow in api.get(f"{NAMED}?{query}").json] == found, query
    assert stranger.get(paths[0]).status == 404


# Versions.


def test_each_publish_makes_a_version_that_never_changes(api: Client) -> None:
    path = create(api, words="one")
    first = publish(api, path)
    assert (first.json["status"], first.json["version"]) == ("published", 1)
    assert first.headers["Location"] == path
    api.patch(path, json={"definition": saying("two")})
    assert (publish(api, path).json["version"], api.get(path).json["definition"]) == (2, saying("two"))
    api.patch(path, json={"definition": saying("three")})
    versions = api.get(f"{path}/versions")
    assert [list(one) for one in versions.json] == 2 * [["version", "definition", "published_at", "published_by"]]
    assert [(one["version"], one["definition"]) for one in versions.json] == [(2, saying("two")), (1, saying("one"))]
    assert versions.json[0]["published_at"] >= versions.json[1]["published_at"]
    assert versions.json[0]["published_by"].startswith("access token ")


def test_an_older_version_is_published_again_and_leaves_the_draft_as_it_is(api: Client) -> None:
    path = create(api, words="one")
    publish(api, path)
    api.patch(path, json={"definition": saying("two")})
    publish(api, path)
    back = publish(api, path, version=1)
    assert (back.json["version"], back.json["definition"]) == (3, saying("two"))
    assert [one["definition"]["steps"]["hello"]["say"]["en"] for one in api.get(f"{path}/versions").json] == [
        "one",
        "two",
        "one",
    ]


@pytest.mark.parametrize("version", [0, 2, -1, "x", "1.0", 10**30, [1], {"a": 1}, True])
def test_a_version_that_there_is_not_cannot_be_published(api: Client, version: Any) -> None:
    path = published(api)
    answer = api.post(f"{path}/publish", json={"version": version})
    assert (answer.status, answer.json) == (422, {"errors": {"version": ["is not a version of this call flow"]}})
    assert answer.hints == {"version": "from 1 to 1"}
    assert api.get(path).json["version"] == 1


def test_versions_come_in_pages(api: Client) -> None:
    path = create(api)
    for _ in range(5):
        publish(api, path)
    page = api.get(f"{path}/versions?per_page=2&page=2")
    assert (page.headers["Total"], page.headers["Per-Page"]) == ("5", "2")
    assert [one["version"] for one in page.json] == [3, 2]
    assert "page=3" in page.headers["Link"]
    assert api.get(f"{path}/versions?page=9").json == []
    for _ in range(25):
        publish(api, path)
    assert [one["version"] for one in api.get(f"{path}/versions?per_page=1000").json] == list(range(30, 0, -1))


def test_versions_that_go_while_they_are_listed_are_left_out(api: Client, database: Documents) -> None:
    path = create(api)
    for _ in range(MAX_VERSIONS_AT_ONCE + 1):
        publish(api, path)
    database["call_flow_versions"].delete_many({"call_flow_id": int(path.rpartition("/")[2])})
    assert api.get(f"{path}/versions").json == []


def test_what_is_left_over_is_found_by_an_index_alone(api: Client, database: Documents) -> None:
    flow = int(published(api).rpartition("/")[2])
    versions = database["call_flow_versions"]
    (version,) = versions.find({"call_flow_id": flow})
    leftovers = {"account_id": version["account_id"], "call_flow_id": flow, "_id": {"$nin": [version["_id"]]}}
    found = versions.find({**leftovers, "published_at": {"$lt": version["published_at"]}}).explain()
    assert found["executionStats"]["totalDocsExamined"] == 0


def test_who_publish_at_the_same_time_make_one_version_each(api: Client, database: Documents) -> None:
    path = create(api)
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: publish(api, path).json["version"], range(16)))
    assert sorted(answers) == list(range(1, 17))
    assert [one["version"] for one in api.get(f"{path}/versions").json] == list(range(16, 0, -1))
    flow = int(path.rpartition("/")[2])
    assert database["call_flow_versions"].count_documents({"call_flow_id": flow}) == 16


def test_a_publish_that_is_sent_again_makes_one_version(api: Client) -> None:
    path = create(api)
    key = {"Idempotency-Key": "once"}
    answers = [api.post(f"{path}/publish", json={}, headers=key) for _ in range(2)]
    assert [answer.json["version"] for answer in answers] == [1, 1]
    assert answers[1].headers["Idempotent-Replayed"] == "true"


def test_versions_go_with_their_flow(api: Client, stranger: Client, database: Documents) -> None:
    path = published(api)
    assert (stranger.get(f"{path}/versions").status, stranger.post(f"{path}/publish", {}).status) == (404, 404)
    assert api.delete(path).status == 204
    flow = int(path.rpartition("/")[2])
    assert database["call_flow_versions"].count_documents({"call_flow_id": flow}) == 0


# Publishing, rehearsals, and other forms of a definition.

QUESTION: dict[str, Any] = {
    "languages": ["en", "fr"],
    "start": "ask",
    "steps": {
        "ask": {
            "say": {"en": "Are you safe, {contact.metadata.name}?", "fr": "Vous allez bien ?"},
            "menu": {"digits": {"1": "safe"}, "repeat": 2, "otherwise": "end", "as": "key"},
        },
        "safe": {"set": {"safe": True}, "acknowledge": True, "say": {"en": "Thank you."}, "next": "end"},
        "end": {"hang_up": True},
    },
}


def asked(api: Client, **definition: Any) -> str:
    """The path of a draft that asks a question."""
    return f"{NAMED}/{make(api, NAMED, name='question', definition={**QUESTION, **definition})}"


def test_an_example_that_fails_refuses_a_publish_and_is_shown_as_a_transcript(api: Client) -> None:
    wrong = {"callee": ["1"], "hears": ["Thank you.", "Goodbye."], "acknowledged": False}
    path = asked(api, examples=[{"callee": ["1"], "answers": {"safe": True}}, wrong])
    answer = api.post(f"{path}/publish", {})
    assert answer.status == 422
    assert [one.partition(":")[0] for one in answer.json["errors"]["examples"]] == ["/1", "/1"]
    assert answer.hints is not None
    transcript = answer.hints["examples"]
    assert "says: Are you safe, ?" in transcript and "Goodbye." in transcript
    assert (api.get(path).json["version"], api.get(f"{path}/versions").json) == (None, [])
    assert api.patch(path, json={"definition": {**QUESTION, "examples": [{"callee": ["1"]}]}}).status == 204
    assert publish(api, path).json["version"] == 1


def test_a_number_that_may_not_be_dialled_any_more_refuses_a_publish(api: Client) -> None:
    assert api.patch("/api/account", json={"dial_allow_list": ["+855 12 345 678", "115"]}).status == 204
    definition = saying("Hold the line.")
    definition["steps"]["hello"] = {"say": {"en": "Hold the line."}, "dial": "+85512345678"}
    del definition["steps"]["end"]
    path = f"{NAMED}/{make(api, NAMED, name='hotline', definition=definition)}"
    publish(api, path)
    assert api.patch("/api/account", json={"dial_allow_list": ["115"]}).status == 204
    for given in ({}, {"version": 1}):
        refused = api.post(f"{path}/publish", json=given)
        assert refused.status == 422
        assert "dial_allow_list" in refused.json["errors"]["definition"][0]
    assert api.get(path).json["version"] == 1


def test_a_rehearsal_is_a_call_that_touches_nothing(api: Client, database: Documents) -> None:
    path = asked(api)
    before = {name: database[name].estimated_document_count() for name in database.list_collection_names()}
    told = api.post(f"{path}/rehearsals", json={"callee": ["9", "1"], "contact": {"metadata": {"name": "Dara"}}})
    assert told.status == 200
    assert list(told.json) == ["transcript", "turns", "answers", "acknowledged", "opted_out", "ending"]
    assert "says: Are you safe, Dara?" in told.json["transcript"]
    assert told.json["answers"] == {"key": "1", "safe": True}
    assert (told.json["acknowledged"], told.json["opted_out"]) == (True, False)
    assert [list(turn) for turn in told.json["turns"]] == 3 * [["twiml"]]
    assert told.json["ending"] == "The flow hung up."
    after = {name: database[name].estimated_document_count() for name in database.list_collection_names()}
    assert after == before


def test_a_rehearsal_is_of_the_draft_or_of_a_version(api: Client) -> None:
    path = create(api, words="one")
    publish(api, path)
    api.patch(path, json={"definition": saying("two")})
    for given, words in (({}, "two"), ({"version": 1}, "one"), ({"version": "1"}, "one"), ({"version": None}, "two")):
        assert f"says: {words}" in api.post(f"{path}/rehearsals", json=given).json["transcript"]
    assert api.post(f"{path}/rehearsals", json={"version": 2}).status == 422


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({"callee": "1"}, {"callee": ["must be a list of what the person does"]}),
        ({"callee": ["1", "x"]}, {"callee": ["/1: must be keys: 0 to 9, * and #"]}),
        ({"callee": [{"record": 5, "say": "Yes"}]}, {"callee": ["/0: must have one of say, record and hang_up"]}),
        ({"contact": {"name": "Dara"}}, {"contact": ["/name: is not a key of contact: it has msisdn and metadata"]}),
        ({"contact": [], "callout": 5}, {"contact": ["must be an object"], "callout": ["must be an object"]}),
        ({"callee": ["1"] * 101}, {"callee": ["must have at most 100 items"]}),
    ],
)
def test_a_call_that_cannot_be_is_not_rehearsed(api: Client, given: dict[str, Any], errors: dict[str, Any]) -> None:
    answer = api.post(f"{asked(api)}/rehearsals", json=given)
    assert (answer.status, answer.json) == (422, {"errors": errors})


def test_a_callee_who_is_silent_speaks_and_hangs_up(api: Client) -> None:
    path = asked(api)
    for callee, ending in (
        ([None, None], "The flow hung up."),
        ([{"hang_up": True}], "The callee hung up."),
        ([], "The callee hung up."),
        ([{"say": "yes"}, "1"], "The flow hung up."),
    ):
        assert api.post(f"{path}/rehearsals", json={"callee": callee}).json["ending"] == ending, callee


def test_a_flow_is_drawn_as_mermaid_has_it(api: Client) -> None:
    path = asked(api)
    drawn = api.get(f"{path}/graph")
    assert drawn.headers.get_content_type() == "text/plain"
    assert drawn.json.startswith("flowchart TD\n") and "Are you safe" in drawn.json
    assert api.get(f"{path}/graph?version=1").status == 422
    publish(api, path)
    assert api.get(f"{path}/graph?version=1").json == drawn.json


def test_the_coverage_tells_which_language_lacks_which_prompt(api: Client, stranger: Client) -> None:
    path = asked(api)
    table = api.get(f"{path}/coverage").json
    assert (table["prompts"], table["languages"]) == (2, {"en": 2, "fr": 1})
    assert table["steps"][1] == {
        "step": "safe",
        "heard": {"en": {"by": "say", "language": "en"}, "fr": {"by": "say", "language": "en"}},
    }
    for last in ("coverage", "graph"):
        assert stranger.get(f"{path}/{last}").status == 404


# Who names a flow.


def test_only_a_published_flow_is_in_the_list(api: Client, stranger: Client) -> None:
    path = create(api)
    for client in (api, stranger):
        refused = client.post("/api/callouts", {"call_flow_logic": "flood"})
        assert (refused.status, refused.json) == (422, NOT_IN_LIST)
    publish(api, path)
    callout = make(api, "/api/callouts", call_flow_logic="flood")
    assert api.get(f"/api/callouts/{callout}").json["call_flow_logic"] == "flood"
    assert stranger.post("/api/callouts", {"call_flow_logic": "flood"}).json == NOT_IN_LIST
    refused = api.post("/api/callouts", {"call_flow_logic": "storm"})
    assert refused.json == NOT_IN_LIST
    assert refused.hints is not None and ", flood; " in refused.hints["call_flow_logic"]


def test_whatever_names_a_flow_may_name_a_published_one(api: Client) -> None:
    published(api)
    contact = make(api, "/api/contacts", msisdn="+252662345678")
    callout = make(api, "/api/callouts")
    under = f"/api/callouts/{callout}/callout_participations"
    participation = make(api, under, contact_id=contact, call_flow_logic="flood")
    calls = f"/api/callout_participations/{participation}/phone_calls"
    call = make(api, calls, remote_request_params={"from": "1"}, call_flow_logic="flood")
    for path in (
        f"/api/callouts/{callout}",
        f"/api/callout_participations/{participation}",
        f"/api/phone_calls/{call}",
    ):
        assert api.patch(path, {"call_flow_logic": "flood"}).status == 204
        assert api.patch(path, {"call_flow_logic": "storm"}).json == NOT_IN_LIST
        assert api.get(path).json["call_flow_logic"] == "flood"


def named_by(api: Client, noun: str) -> str:
    """The path of something unfinished that names the flow ``flood``."""
    flow = {"call_flow_logic": "flood"}
    own = {noun: flow}
    contact = make(api, "/api/contacts", msisdn="+252662345678")
    callout = make(api, "/api/callouts", **own.get("callouts", {}))
    path = f"/api/callouts/{callout}"
    if noun != "callouts":
        under = f"{path}/callout_participations"
        participation = make(api, under, contact_id=contact, **own.get("callout participations", {}))
        path = f"/api/callout_participations/{participation}"
    if noun == "phone calls":
        path = f"/api/phone_calls/{make(api, f'{path}/phone_calls', remote_request_params={'from': '1'}, **flow)}"
    return path


@pytest.mark.parametrize("noun", ["callouts", "callout participations", "phone calls"])
def test_what_is_unfinished_keeps_the_flow_that_it_names(api: Client, noun: str) -> None:
    flow = published(api)
    naming = named_by(api, noun)
    because = f"because unfinished {noun} name it"
    assert api.delete(flow).json == {"errors": {"base": [f"Cannot delete record {because}"]}}
    assert api.patch(flow, json={"name": "storm"}).json == {"errors": {"name": [f"cannot be changed {because}"]}}
    assert api.patch(flow, json={"definition": saying("two"), "name": "flood"}).status == 204
    assert api.patch(naming, json=NO_FLOW).status == 204
    assert api.patch(flow, json={"name": "storm"}).status == 204
    assert api.post("/api/callouts", {"call_flow_logic": "flood"}).json == NOT_IN_LIST
    assert api.delete(flow).status == 204


def test_a_call_under_way_keeps_the_flow_of_its_participation_and_its_callout(
    api: Client, database: Documents
) -> None:
    flow = published(api)
    path = named_by(api, "callout participations")
    call = make(api, f"{path}/phone_calls", remote_request_params={"from": "1"})
    participation = {"_id": int(path.rpartition("/")[2])}
    database["callout_participations"].update_one(participation, {"$set": {"outcome": "reached"}})
    assert "unfinished phone calls" in str(api.delete(flow).json)
    made = database["phone_calls"].find_one({"_id": call})
    assert made is not None
    database["callouts"].update_one(
        {"_id": made["callout_id"]}, {"$set": {"status": "completed", "call_flow_logic": "flood"}}
    )
    database["callout_participations"].update_one(participation, {"$set": {"call_flow_logic": None}})
    assert "unfinished phone calls" in str(api.delete(flow).json)
    database["phone_calls"].update_one({"_id": call}, {"$set": {"status": "completed"}})
    assert api.delete(flow).status == 204


def test_who_may_be_called_again_by_a_plan_keeps_the_flow(api: Client, database: Documents) -> None:
    flow = published(api)
    path = named_by(api, "callout participations")
    participation = {"_id": int(path.rpartition("/")[2])}
    callout = api.get(path).json["callout_id"]
    assert api.patch(f"/api/callouts/{callout}", json={"plan": {"audience": {}}}).status == 204
    database["callout_participations"].update_one(participation, {"$set": {"outcome": "unreached"}})
    assert "unfinished callout participations" in str(api.delete(flow).json)
    database["callouts"].update_one({"_id": callout}, {"$set": {"status": "completed"}})
    assert api.delete(flow).status == 204


def test_of_many_that_name_a_flow_while_it_is_deleted_none_keeps_its_name(api: Client) -> None:
    for round_number in range(6):
        flow = published(api)
        other = make(api, "/api/callouts")
        with ThreadPoolExecutor(8) as clients:
            made = [
                clients.submit(api.post, "/api/callouts", {"call_flow_logic": "flood"}) for _ in range(round_number)
            ]
            changed = clients.submit(api.patch, f"/api/callouts/{other}", {"call_flow_logic": "flood"})
            gone = clients.submit(api.delete, flow)
            more = [clients.submit(api.post, "/api/callouts", {"call_flow_logic": "flood"}) for _ in range(4)]
            answers = [one.result() for one in (*made, *more)]
        named = api.get("/api/callouts?q[call_flow_logic]=flood&per_page=100").json
        assert len(named) == sum(one.status == 201 for one in answers) + (changed.result().status == 204)
        assert (gone.result().status == 204) is (named == [])
        for callout in named:
            assert api.patch(f"/api/callouts/{callout['id']}", json=NO_FLOW).status == 204
        assert api.delete(flow).status in (204, 404)
