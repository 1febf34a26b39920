"""Lists over HTTP: pages and their headers, and what each filter of each resource finds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from twilio.request_validator import RequestValidator

from tests.server import Client, Server

SID, TOKEN = "AC" + "0123456789abcdef" * 2, "fedcba9876543210" * 2
FLOW = "CallFlowLogic::Application"
EVENTS = "/api/remote_phone_call_events"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server


def create(api: Client, path: str, body: Any) -> int:
    answer = api.post(path, json=body)
    assert answer.status == 201, answer
    return int(answer.json["id"])


def msisdn(position: int) -> str:
    return f"+2526623456{position:02d}"


def report(server: Server, fields: dict[str, str]) -> None:
    """What the provider sends of a call."""
    signature = RequestValidator(TOKEN).compute_signature(server.url + EVENTS, fields)
    answer = server.request("POST", EVENTS, form=fields, headers={"X-Twilio-Signature": signature}, token="")
    assert answer.status == 201, answer


class Village:
    """An account with a little of everything. ``ids`` has what was made, by collection, in order."""

    def __init__(self, server: Server) -> None:
        self.api = server.new_account(twilio_account_sid=SID, twilio_auth_token=TOKEN)
        self.ids: dict[str, list[int]] = {"users": [self._user()], "access_tokens": self._tokens()}
        self.ids["contacts"] = [self._contact(position) for position in range(1, 31)]
        self.ids["callouts"] = [self._callout("start"), self._callout(None, call_flow_logic=FLOW)]
        self.ids["callout_participations"] = [
            *(self._participation(0, contact) for contact in range(5)),
            *(self._participation(1, contact) for contact in range(2)),
        ]
        self.ids["phone_calls"] = [self._call(0), self._call(0), self._call(1)]
        self.ids["batch_operations"] = [self._operation(limit) for limit in (2, 5)]
        report(server, {"AccountSid": SID, "CallSid": "CA1", "Direction": "inbound", "From": msisdn(1), "To": "1"})
        self.ids["phone_calls"] = self.found("/api/phone_calls")
        self.ids["remote_phone_call_events"] = self.found(EVENTS)

    def _user(self) -> int:
        return create(self.api, "/api/users", {"email": "a@example.org", "password": "secret", "metadata": {"n": 1}})

    def _tokens(self) -> list[int]:
        return [*self.found("/api/access_tokens"), create(self.api, "/api/access_tokens", {"metadata": {"n": 1}})]

    def _contact(self, position: int) -> int:
        return create(self.api, "/api/contacts", {"msisdn": msisdn(position), "metadata": {"n": position}})

    def _callout(self, event: str | None, **fields: Any) -> int:
        number = create(self.api, "/api/callouts", {"metadata": {"event": event}, **fields})
        if event:
            assert self.api.post(f"/api/callouts/{number}/callout_events", {"event": event}).status == 201
        return number

    def _participation(self, callout: int, contact: int) -> int:
        path = f"/api/callouts/{self.ids['callouts'][callout]}/callout_participations"
        body = {"contact_id": self.ids["contacts"][contact], "call_flow_logic": FLOW if contact == 4 else None}
        return create(self.api, path, body)

    def _call(self, participation: int) -> int:
        path = f"/api/callout_participations/{self.ids['callout_participations'][participation]}/phone_calls"
        return create(self.api, path, {"remote_request_params": {"from": "1294", "url": "http://localhost/"}})

    def _operation(self, limit: int) -> int:
        parameters = {"remote_request_params": {"from": "1294"}, "limit": limit}
        return create(
            self.api, "/api/batch_operations", {"type": "BatchOperation::PhoneCallCreate", "parameters": parameters}
        )

    def found(self, path: str) -> list[int]:
        """The ids that a list has, which must be as many as its total."""
        answer = self.api.get(path)
        assert answer.status == 200, answer
        ids = [one["id"] for one in answer.json]
        assert answer.headers["Total"] == str(len(ids))
        return ids

    def some(self, collection: str, positions: Sequence[int]) -> list[int]:
        """The ids of those at the positions, which count from 0."""
        return [self.ids[collection][position] for position in positions]

    def path(self, template: str) -> str:
        """``/api/callouts/0/contacts`` with the id of the first callout."""
        return re.sub(r"/api/(\w+)/(\d+)", lambda m: f"/api/{m[1]}/{self.ids[m[1]][int(m[2])]}", template)


@pytest.fixture(scope="module")
def village(server: Server) -> Village:
    return Village(server)


# Pages


@pytest.mark.parametrize(
    ("asked", "positions", "per_page"),
    [
        ("", range(25), 25),
        ("page=2", range(25, 30), 25),
        ("page=3", range(0), 25),
        ("page=99999999999999999999999", range(0), 25),
        ("per_page=7", range(7), 7),
        ("per_page=7&page=5", range(28, 30), 7),
        ("per_page=1000", range(30), 1000),
        ("per_page=1001", range(30), 1000),
        ("per_page=99999999999999999999999", range(30), 1000),
        ("per_page=0&page=0", range(25), 25),
        ("per_page=-1&page=-1", range(25), 25),
        ("per_page=x&page=1.5", range(25), 25),
        ("per_page[]=7&page[a]=2", range(25), 25),
        ("per_page&page=", range(25), 25),
    ],
)
def test_a_page_is_what_was_asked_for_and_nonsense_is_the_default(
    village: Village, asked: str, positions: range, per_page: int
) -> None:
    answer = village.api.get(f"/api/contacts?{asked}")
    assert answer.status == 200
    assert [one["id"] for one in answer.json] == village.some("contacts", positions)
    assert (answer.headers["Per-Page"], answer.headers["Total"]) == (str(per_page), "30")


def links(header: str | None) -> list[tuple[str, str]]:
    """(rel, URL) in their order."""
    found = re.findall(r'<([^>]*)>; rel="(\w+)"(?:, |$)', header or "")
    return [(rel, url) for url, rel in found]


@pytest.mark.parametrize(
    ("page", "related"),
    [
        (1, {"last": 3, "next": 2}),
        (2, {"first": 1, "prev": 1, "last": 3, "next": 3}),
        (3, {"first": 1, "prev": 2}),
        (9, {"first": 1, "prev": 3, "last": 3}),
    ],
)
def test_links_lead_to_the_pages_there_are(village: Village, page: int, related: dict[str, int]) -> None:
    answer = village.api.get(f"/api/contacts?per_page=10&page={page}")
    start = f"{village.api.server.url}/api/contacts?page="
    expected = [(rel, f"{start}{number}&per_page=10") for rel, number in related.items()]
    assert links(answer.headers["Link"]) == expected


def test_one_page_has_no_links(village: Village) -> None:
    assert village.api.get("/api/contacts?per_page=30").headers["Link"] is None
    assert village.api.get("/api/contacts?q[msisdn]=x").headers["Link"] is None


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("z=1&a=2", "a=2&page=2&per_page=10&z=1"),
        ("q[metadata][none]", "page=2&per_page=10&q%5Bmetadata%5D%5Bnone%5D"),
        ("q[metadata][none]&e=", "e=&page=2&per_page=10&q%5Bmetadata%5D%5Bnone%5D"),
        ("page[a]=3", "page=2&per_page=10"),
        ("x=a+b%20c%2B&%70age=1", "page=2&per_page=10&x=a%20b%20c%2B"),
        ("l[]=2&l[]=1", "l%5B%5D=2&l%5B%5D=1&page=2&per_page=10"),
        ("x=%C3%A9%3E%22", "page=2&per_page=10&x=%C3%A9%3E%22"),
    ],
)
def test_links_keep_the_other_parameters_sorted_and_encoded(village: Village, asked: str, kept: str) -> None:
    answer = village.api.get(f"/api/contacts?per_page=10&{asked}")
    assert dict(links(answer.headers["Link"]))["next"].partition("?")[2] == kept


def test_following_the_links_shows_everything_once(village: Village) -> None:
    path: str | None = "/api/contacts?per_page=7&q[metadata][none]"
    seen: list[int] = []
    for _ in range(10):
        answer = village.api.get(path)
        seen += [one["id"] for one in answer.json]
        following = dict(links(answer.headers["Link"])).get("next")
        if following is None:
            break
        path = following.removeprefix(village.api.server.url)
    assert seen == village.ids["contacts"]


def test_head_tells_the_same_as_get(village: Village) -> None:
    got, head = (village.api.get("/api/contacts?page=2"), village.api.head("/api/contacts?page=2"))
    assert head.json is None
    assert head.status == got.status
    for name in ("Total", "Per-Page", "Link", "ETag"):
        assert head.headers[name] == got.headers[name]


def test_parameters_may_stand_in_the_body(village: Village) -> None:
    body = {"per_page": 2, "page": 2, "q": {"metadata": {"n": None}}}
    assert village.api.get("/api/contacts", json=body).headers["Total"] == "0"
    answer = village.api.get("/api/contacts", json={"per_page": 2, "page": 2})
    assert [one["id"] for one in answer.json] == village.some("contacts", [2, 3])


# Values compare as text

METADATA = (
    {"v": 5},
    {"v": "5"},
    {"v": 5.0},
    {"v": "5.0"},
    {"v": True},
    {"v": "true"},
    {"v": None},
    {"v": ""},
    {"v": ["5", 7, {"k": "x", "1": "y"}]},
    {"v": {"k": "x", "1": 7}},
    {"v": [[5], None]},
    {"v": 9007199254740993},
    {"v": 1e-7},
    {"v": "null"},
    {},
    {"$where": "1", "a.b": "dot", "": "empty", "é": "accent", "%": "percent", "$ne": {"$gt": ""}},
)
NULL = [6, 14, 15]


@pytest.fixture(scope="module")
def values(server: Server) -> Village:
    """An account whose contacts have every kind of metadata."""
    village = Village.__new__(Village)
    village.api = server.new_account()
    village.ids = {
        "contacts": [
            create(village.api, "/api/contacts", {"msisdn": msisdn(position), "metadata": metadata})
            for position, metadata in enumerate(METADATA)
        ]
    }
    return village


@pytest.mark.parametrize(
    ("asked", "positions"),
    [
        ("[v]=5", [0, 1]),
        ("[v]=5.0", [2, 3]),
        ("[v]=05", []),
        ("[v]=%2B5", []),
        ("[v]=true", [4, 5]),
        ("[v]=1", []),
        ("[v]=null", [13]),
        ("[v]=", [7]),
        ("[v]", NULL),
        ("[v]=9007199254740993", [11]),
        ("[v]=9007199254740992", []),
        ("[v]=1e-7", [12]),
        ("[v]=1e-07", [12]),
        ("[v][0]=5", [8]),
        ("[v][1]=7", [8, 9]),
        ("[v][01]=7", []),
        ("[v][0][0]=5", [10]),
        ("[v][2][k]=x", [8]),
        ("[v][2][1]=y", [8]),
        ("[v][k]=x", [9]),
        ("[v][1]=y", []),
        ("[v][1]", [position for position in range(16) if position not in (8, 9)]),
        ("[v][k]", [position for position in range(16) if position != 9]),
        ("[v][99999999999999999999]", list(range(16))),
        ("[$where]=1", [15]),
        ("[$where]=0", []),
        ("[a.b]=dot", [15]),
        ("[a][b]=dot", []),
        ("[%C3%A9]=accent", [15]),
        ("[%25]=percent", [15]),
        ("[$ne][$gt]=", [15]),
        ("[v][$ne]=x", []),
        ("[v][$exists]=true", []),
        ("[v]=5&q[metadata][w]", [0, 1]),
        ("=x", list(range(16))),
    ],
)
def test_metadata_compares_as_text_at_its_path(values: Village, asked: str, positions: list[int]) -> None:
    assert values.found(f"/api/contacts?q[metadata]{asked}") == values.some("contacts", positions)


@pytest.mark.parametrize(
    ("filters", "positions"),
    [
        ({"metadata": {"": "empty"}}, [15]),
        ({"metadata": {"v": True}}, [4, 5]),
        ({"metadata": {"v": 5}}, [0, 1]),
        ({"metadata": {"v": None}}, NULL),
        ({"metadata": {"v": {"$gt": ""}}}, []),
        ({"metadata": {"v": {"$in": ["5"]}}}, []),
        ({"metadata": {"$expr": {"$eq": [1, 1]}}}, []),
        ({"msisdn": {"$gt": ""}}, []),
        ({"msisdn": [{"$gt": ""}]}, []),
        ({"$where": "true", "$or": [{}]}, range(16)),
        ({"created_at_before": {"$exists": True}}, range(16)),
    ],
)
def test_no_operator_comes_through_a_json_body(values: Village, filters: Any, positions: Sequence[int]) -> None:
    answer = values.api.get("/api/contacts", json={"q": filters})
    assert [one["id"] for one in answer.json] == values.some("contacts", positions)
    assert answer.headers["Total"] == str(len(positions))


# Every list

ALL_CONTACTS = range(30)
# By where the list is: its collection, and the position of one that is on it.
BY_ID: tuple[tuple[str, str, int], ...] = (
    *((f"/api/{name}", name, 0) for name in ("users", "access_tokens", "contacts", "callouts", "batch_operations")),
    *((f"/api/{name}", name, 0) for name in ("callout_participations", "phone_calls", "remote_phone_call_events")),
    ("/api/contacts/0/callouts", "callouts", 1),
    ("/api/contacts/0/callout_participations", "callout_participations", 5),
    ("/api/contacts/0/phone_calls", "phone_calls", 3),
    ("/api/contacts/0/remote_phone_call_events", "remote_phone_call_events", 0),
    ("/api/callouts/0/contacts", "contacts", 2),
    ("/api/callouts/0/phone_calls", "phone_calls", 1),
    ("/api/callouts/0/callout_participations", "callout_participations", 1),
    ("/api/callout_participations/0/phone_calls", "phone_calls", 1),
    ("/api/phone_calls/3/remote_phone_call_events", "remote_phone_call_events", 0),
    ("/api/batch_operations/1/preview/callout_participations", "callout_participations", 3),
    ("/api/batch_operations/1/preview/contacts", "contacts", 3),
)
LISTS: list[tuple[str, str, Sequence[int]]] = [
    *((path, f"q[id]={{{name}[{position}]}},x", [position]) for path, name, position in BY_ID),
    *((path, "q[id]=9999999", []) for path, _, _ in BY_ID),
    ("/api/users", "q[metadata][n]=1", [0]),
    ("/api/users", "q[metadata][n]=2", []),
    ("/api/access_tokens", "q[metadata][n]=1", [1]),
    ("/api/access_tokens", "q[created_at_after]=9999-12-31", []),
    ("/api/contacts", "q[msisdn]=252 66-(2)-345-603", [2]),
    ("/api/contacts", f"q[msisdn]={msisdn(3)}, {msisdn(1)}", [0, 2]),
    ("/api/contacts", "q[msisdn]=345", []),
    ("/api/contacts", "q[msisdn]=", []),
    ("/api/contacts", "q[msisdn][$ne]=x", []),
    ("/api/contacts", "q[metadata][n]=3&q[msisdn]=" + msisdn(3), [2]),
    ("/api/contacts", "q[metadata][n]=3&q[msisdn]=" + msisdn(4), []),
    ("/api/contacts", "q[created_at_after]=2018-05-19&q[created_at_or_after]=2018-05-19T06:49:24Z", ALL_CONTACTS),
    ("/api/contacts", "q[updated_at_before]=2018-05-19", []),
    ("/api/contacts", "q[updated_at_or_before]=0001-01-01", []),
    ("/api/contacts", "q[updated_at_or_before]=9999-12-31", ALL_CONTACTS),
    ("/api/contacts", "q[updated_at_before]=yesterday", ALL_CONTACTS),
    ("/api/contacts", "q[unheard_of]=x", ALL_CONTACTS),
    ("/api/callouts", "q[status]=running", [0]),
    ("/api/callouts", "q[status]=running , initialized", [0, 1]),
    ("/api/callouts", "q[status]=", []),
    ("/api/callouts", "q[status][$ne]=x", []),
    ("/api/callouts", f"q[call_flow_logic]={FLOW}", [1]),
    ("/api/batch_operations", "q[parameters][limit]=5", [1]),
    ("/api/batch_operations", "q[parameters][remote_request_params][from]=1294", [0, 1]),
    ("/api/batch_operations", "q[status]=preview", [0, 1]),
    ("/api/batch_operations", "q[type]=BatchOperation::PhoneCallQueue", []),
    ("/api/batch_operations", "type=BatchOperation::PhoneCallCreate", [0, 1]),
    ("/api/batch_operations", "type=BatchOperation::PhoneCallQueue", []),
    ("/api/callout_participations", "q[callout_id]={callouts[1]}", [5, 6]),
    ("/api/callout_participations", "q[contact_id]={contacts[0]},{contacts[2]}", [0, 2, 5]),
    ("/api/callout_participations", "q[contact_id]=0", []),
    ("/api/callout_participations", "q[callout_population_id]=1", []),
    ("/api/callout_participations", f"q[call_flow_logic]={FLOW}", [4]),
    ("/api/callout_participations", "q[msisdn]=" + msisdn(2), [1, 6]),
    ("/api/callout_participations", "q[has_phone_calls]=true", [0, 1]),
    ("/api/callout_participations", "q[has_phone_calls]=false", [2, 3, 4, 5, 6]),
    ("/api/callout_participations", "q[last_phone_call_attempt]=created,failed", [0, 1]),
    ("/api/callout_participations", "q[last_phone_call_attempt]=failed", []),
    ("/api/callout_participations", "q[no_phone_calls_or_last_attempt]=failed", [2, 3, 4, 5, 6]),
    ("/api/phone_calls", "q[callout_participation_id]={callout_participations[0]}", [0, 1]),
    ("/api/phone_calls", "q[contact_id]={contacts[1]}", [2]),
    ("/api/phone_calls", "q[status]=created", [0, 1, 2]),
    ("/api/phone_calls", "q[status]=in_progress", [3]),
    ("/api/phone_calls", "q[remote_call_id]=CA1", [3]),
    ("/api/phone_calls", "q[remote_direction]=inbound", [3]),
    ("/api/phone_calls", "q[remote_status]=busy", []),
    ("/api/phone_calls", "q[remote_error_message]=no", []),
    ("/api/phone_calls", "q[msisdn]=" + msisdn(1), [0, 1, 3]),
    ("/api/phone_calls", "q[remote_request_params][from]=1294", [0, 1, 2]),
    ("/api/phone_calls", "q[remote_response][sid]", [0, 1, 2, 3]),
    ("/api/phone_calls", "q[remote_queue_response][sid]=CA1", []),
    ("/api/phone_calls", "q[remotely_queued_at_before]=9999-12-31", []),
    (EVENTS, "q[details][From]=" + msisdn(1), [0]),
    (EVENTS, "q[details][From]", []),
    (EVENTS, "q[phone_call_id]={phone_calls[3]}", [0]),
    (EVENTS, f"q[call_flow_logic]={FLOW}", [0]),
    (EVENTS, "q[remote_call_id]=CA1&q[remote_direction]=inbound", [0]),
    ("/api/contacts/0/callouts", "", [0, 1]),
    ("/api/contacts/0/callouts", "q[status]=running", [0]),
    ("/api/contacts/0/callout_participations", "", [0, 5]),
    ("/api/contacts/0/callout_participations", "q[has_phone_calls]=true", [0]),
    ("/api/contacts/0/phone_calls", "", [0, 1, 3]),
    ("/api/contacts/0/remote_phone_call_events", "", [0]),
    ("/api/callouts/0/contacts", "", range(5)),
    ("/api/callouts/0/contacts", "q[metadata][n]=3", [2]),
    ("/api/callouts/0/phone_calls", "", [0, 1, 2]),
    ("/api/callouts/0/phone_calls", "q[status]=queued", []),
    ("/api/callouts/0/remote_phone_call_events", "", []),
    ("/api/callouts/1/callout_participations", "q[contact_id]={contacts[1]}", [6]),
    ("/api/callouts/1/batch_operations", "", []),
    ("/api/batch_operations/0/contacts", "", []),
    ("/api/batch_operations/0/callout_participations", "", []),
    ("/api/batch_operations/0/phone_calls", "", []),
    ("/api/callout_participations/0/phone_calls", "", [0, 1]),
    ("/api/callout_participations/0/remote_phone_call_events", "", []),
    ("/api/phone_calls/3/remote_phone_call_events", "", [0]),
    # A filter looks within what the limit leaves.
    ("/api/batch_operations/0/preview/callout_participations", "", [0, 1]),
    ("/api/batch_operations/0/preview/callout_participations", "q[msisdn]=" + msisdn(2), [1]),
    ("/api/batch_operations/0/preview/callout_participations", "q[msisdn]=" + msisdn(4), []),
    ("/api/batch_operations/1/preview/callout_participations", "q[msisdn]=" + msisdn(4), [3]),
    ("/api/batch_operations/1/preview/contacts", "q[metadata][n]=4", [3]),
    ("/api/batch_operations/0/preview/contacts", "q[metadata][n]=4", []),
]


@pytest.mark.parametrize(("path", "asked", "positions"), LISTS, ids=[f"{path}?{asked}" for path, asked, _ in LISTS])
def test_a_list_shows_what_its_filters_find(
    village: Village, path: str, asked: str, positions: Sequence[int]
) -> None:
    encoded = quote(asked.format(**village.ids), safe="=&[]$:,")
    found = village.found(f"{village.path(path)}?per_page=100&{encoded}")
    assert found == village.some(path.rpartition("/")[2], positions)


@pytest.mark.parametrize("path", sorted({path for path, _, _ in LISTS if re.search(r"\d", path) is None}))
def test_a_stranger_sees_none_of_it(server: Server, village: Village, path: str) -> None:
    stranger = server.new_account()
    own = {one["id"] for one in stranger.get(f"{path}?per_page=1000").json}
    assert not own & set(village.ids[path.rpartition("/")[2]])
    total = stranger.get(f"{path}?{urlencode({'q[metadata][n]': '1'})}").headers["Total"]
    assert total == "0"


def test_a_super_admin_lists_accounts_and_what_is_theirs(server: Server, village: Village) -> None:
    api, mark = server.client(), "list of accounts"
    made = [create(api, "/api/accounts", {"metadata": {"mark": mark}}) for _ in range(2)]
    answer = api.get(f"/api/accounts?{urlencode({'q[metadata][mark]': mark})}")
    assert ([one["id"] for one in answer.json], answer.headers["Total"]) == (made, "2")
    own = village.api.get("/api/account").json["id"]
    for collection in ("users", "access_tokens"):
        listed = api.get(f"/api/accounts/{own}/{collection}?q[created_at_after]=2018-05-19")
        assert [one["id"] for one in listed.json] == village.ids[collection]
        assert listed.headers["Total"] == str(len(village.ids[collection]))
        assert api.get(f"/api/accounts/{made[0]}/{collection}").json == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"callout_participation_filter_params": {"metadata": {"$where": "1"}}},
        {"callout_participation_filter_params": {"metadata": {"a": {"$ne": 1}}}},
        {"callout_filter_params": {"metadata": {"$expr": True}}},
        {"limit": 0},
        {"max": 0},
    ],
)
@pytest.mark.parametrize("collection", ["callout_participations", "contacts"])
def test_an_operation_whose_filters_name_operators_takes_nothing(
    village: Village, parameters: Any, collection: str
) -> None:
    body = {
        "type": "BatchOperation::PhoneCallCreate",
        "parameters": {"remote_request_params": {"from": "1294"}, **parameters},
    }
    refused = village.api.post("/api/batch_operations", json=body)
    assert (refused.status, refused.json) == (
        422,
        {"errors": {"callout_participations_preview": ["can't be blank"]}},
    )
    body["parameters"]["skip_validate_preview_presence"] = True
    number = create(village.api, "/api/batch_operations", body)
    assert village.found(f"/api/batch_operations/{number}/preview/{collection}") == []
    assert village.api.delete(f"/api/batch_operations/{number}").status == 204
