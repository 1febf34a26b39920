"""What a viewer sees of phone numbers: their last three digits, on whatever route, wherever anybody has put them."""

from __future__ import annotations

import io
import itertools
import re
import unicodedata
import urllib.request
import zipfile
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest

from scfm.clock import now
from scfm.handlers.client import ClientHandler
from scfm.handlers.routes import routes
from scfm.models.declaration import initial_fields
from scfm.models.masking import masked, masked_text
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.models.roles import Role
from tests.resources.conftest import Documents, make, wait_for_outcomes
from tests.server import Client, Server
from tests.sounds import sound, tone, upload

SID, DIGEST = "CA01234567890123456789012345678901", "0123456789abcdef" * 4
UUID = "12345678-1234-1234-1234-123456789012"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+252662345678", "+•••••••••678"),
        ("252662345678", "•••••••••678"),
        ("call +252 66-234 56 78 now", "call +••• ••-••• •6 78 now"),
        ("tel:+252(66)2345678, or 012.345.678", "tel:+•••(••)••••678, or •••.•••.678"),
        ("+44 (0)20 7946 0958", "+•• (•)•• •••• •958"),
        ("of252662345678x", "of•••••••••678x"),
        ("https://a.example/?To=%2B252662345678", "https://a.example/?To=%2B•••••••••678"),
        ("012345678,012345679;\n012345670", "••••••678,••••••679;\n••••••670"),
        ("ask 012345678 2026-11-30", "ask ••••••678 2026-11-30"),
        ("٢٥٢٦٦٢٣٤٥٦٧٨ or ＋២៥២៦៦២៣៤៥៦៧៨", "•••••••••٦٧٨ or ＋•••••••••៦៧៨"),
        ("252\N{NO-BREAK SPACE}662\N{ZERO WIDTH SPACE}345\N{EN DASH}678", "•••\xa0•••\u200b•••–678"),
        ("+12345", "+••345"),
        # A date behind a name is one; behind digits, or with more behind it, it may be a part of a number.
        ("855-2026-11-29", "•••-••••-•1-29"),
        ("a-2026-11-29-17051", "a-••••-••-••-••051"),
        ("a-2026-13-29", "a-••••-•3-29"),
        ("", ""),
    ],
)
def test_numbers_in_a_text_are_masked_with_a_dot_for_each_digit(text: str, shown: str) -> None:
    assert masked_text(text) == shown
    assert masked_text(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2026-11-30T07:00:00.000Z",
            "2026-11-30T07:00:00+07:00",
            "2026-11-30 07:00:00 UTC",
            "2026-11-30",
            "30/11/2026",
        ),
        *("Mon, 30 Nov 2026 07:00:00 +0000", "07:00", "20261130T070000Z", "123456", "1,234,567", "115"),
        *(
            SID,
            DIGEST,
            UUID,
            f"/2010-04-01/Accounts/{SID}.json",
            f"/audio/{DIGEST}.wav",
            "http://192.168.100.100:3000/x",
        ),
        *("recording-2026-11-29-1705", "recording_2026-11-29", "ទឹក-2026-11-29"),
        *("district 7 of 12", "-11.5", "chars 1 2 3"),
    ],
)
def test_times_digests_and_names_of_objects_are_no_numbers(text: str) -> None:
    assert masked({"metadata": {"a": text}, "text": text}) == {"metadata": {"a": text}, "text": text}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            {"id": 12345678, "contact_id": 1234567, "total": 7654321},
            {"id": 12345678, "contact_id": 1234567, "total": 7654321},
        ),
        ({"metadata": {"id": 252662345678, "n": 2026}}, {"metadata": {"id": "•••••••••678", "n": 2026}}),
        (
            {"metadata": {"f": 2.52662345678e11, "lat": 11.5563738}},
            {"metadata": {"f": "•••••••••678", "lat": 11.5563738}},
        ),
        ({"metadata": {"+252662345678": ["012345678"]}}, {"metadata": {"+•••••••••678": ["••••••678"]}}),
        ({"metadata": {"0123456": 1, "1123456": 2}}, {"metadata": {"••••456": 1, "••••456 (2)": 2}}),
        (
            {"msisdn": "1294", "dial_allow_list": ["115", "1294"]},
            {"msisdn": "•294", "dial_allow_list": ["115", "•294"]},
        ),
        (
            {"details": {"From": "1294", "ForwardedFrom": 12345}},
            {"details": {"From": "•294", "ForwardedFrom": "••345"}},
        ),
        ({"q": {"msisdn": 12345, "id": "1234567,7654321"}}, {"q": {"msisdn": "••345", "id": "1234567,7654321"}}),
        ({"window": {"from": "07:00", "to": "20:00"}}, {"window": {"from": "07:00", "to": "20:00"}}),
        ({"say": {"id": "Call 0123456.", "to": "In 2026."}}, {"say": {"id": "Call ••••456.", "to": "In 2026."}}),
        (
            {"metadata": {"message": {"to": "In 2026, 0123456."}, "to": "1294"}},
            {"metadata": {"message": {"to": "In 2026, ••••456."}, "to": "•294"}},
        ),
        ({"errors": {"a": ["+252662345678 is taken"]}}, {"errors": {"a": ["+•••••••••678 is taken"]}}),
        ([True, None, 1.5, "x"], [True, None, 1.5, "x"]),
    ],
)
def test_what_is_masked_depends_on_where_it_stands(value: Any, shown: Any) -> None:
    before = orjson.dumps(value)
    assert masked(value) == shown
    assert orjson.dumps(value) == before
    assert masked(shown) == shown


class House:
    """An account in which every place that a client, a caller or a provider fills holds a number of its own."""

    def __init__(self, server: Server, database: Documents) -> None:
        self.server, self.database = server, database
        self.api = server.new_account()
        self.account_id = self.api.get("/api/account").json["id"]
        self.numbers: list[str] = []
        self._digits = itertools.count(7_318_246, 13_579)
        self.ids: dict[str, int] = {"accounts": self.account_id}
        self._fill()

    def number(self) -> str:
        """Another number."""
        self.numbers.append(f"+25266{next(self._digits):07}"[:13])
        return self.numbers[-1]

    def metadata(self) -> dict[str, Any]:
        """Metadata with numbers in all the ways in which metadata may have them."""
        written = self.number()
        national = self.number().removeprefix("+252")
        return {
            "phone": self.number(),
            "as_integer": int(self.number()),
            "as_float": float(self.number()),
            "in words": f"call {written[:4]} ({written[4:6]}) {written[6:9]}-{written[9:]}, or 0{national}",
            "list": [{"of": {"objects": self.number()}}],
            self.number(): "a name",
            "id": int(self.number()),
            "created_at": self.number(),
        }

    def _fill(self) -> None:
        api, ids = self.api, self.ids
        params = {"from": self.number(), "url": f"https://a.example/?to={self.number()}"}
        hotline = self.number()
        account = {"metadata": self.metadata(), "dial_allow_list": [hotline]}
        assert api.patch("/api/account", json=account).status == 204
        contact = {"msisdn": self.number(), "metadata": self.metadata()}
        ids["contacts"] = make(api, "/api/contacts", **contact)
        user = {
            "email": f"{self.number()[1:]}-{uuid4()}@example.org",
            "password": "secret12",
            "metadata": self.metadata(),
        }
        ids["users"] = make(api, "/api/users", **user)
        ids["access_tokens"] = make(api, "/api/access_tokens", metadata=self.metadata())
        url = f"http://127.0.0.1:9/{self.number()}"
        ids["webhook_endpoints"] = make(api, "/api/webhook_endpoints", url=url, metadata=self.metadata())
        opt_out = {"msisdn": self.number(), "reason": f"asked by {self.number()}", "metadata": self.metadata()}
        ids["opt_outs"] = make(api, "/api/opt_outs", **opt_out)
        filters = {"msisdn": self.number(), "metadata": {"phone": self.number()}}
        plan = {"audience": {"contact_filter_params": filters}, "remote_request_params": params}
        ids["callouts"] = make(api, "/api/callouts", metadata=self.metadata(), plan=plan)
        path = f"/api/callouts/{ids['callouts']}"
        ids["callout_participations"] = make(
            api, f"{path}/callout_participations", contact_id=ids["contacts"], metadata=self.metadata()
        )
        ids["batch_operations"] = make(
            api,
            f"{path}/batch_operations",
            type="BatchOperation::CalloutPopulation",
            metadata=self.metadata(),
            parameters={"contact_filter_params": {"metadata": {"phone": contact["metadata"]["phone"]}}},
        )
        for kind in ("PhoneCallCreate", "PhoneCallQueue"):
            parameters = {"skip_validate_preview_presence": True}
            if kind == "PhoneCallCreate":
                parameters["remote_request_params"] = {"from": self.number()}
            ids[kind] = make(api, "/api/batch_operations", type=f"BatchOperation::{kind}", parameters=parameters)
        ids["phone_calls"] = make(
            api,
            f"/api/callout_participations/{ids['callout_participations']}/phone_calls",
            remote_request_params=params,
            metadata=self.metadata(),
        )
        self._report(ids["phone_calls"])
        definition = {
            "languages": ["en"],
            "start": "hello",
            "steps": {
                "hello": {
                    "say": {"en": f"Call {self.number()}."},
                    "set": {"line": int(self.number())},
                    "next": "call",
                },
                "call": {"dial": hotline},
            },
        }
        ids["call_flows"] = make(
            api, "/api/call_flows", name=f"flow-{self.number()[1:]}", definition=definition, metadata=self.metadata()
        )
        assert api.post(f"/api/call_flows/{ids['call_flows']}/publish").status == 201
        ids["audio_files"] = upload(api, sound(tone(0.1)), f"{self.number()}.wav").json["id"]
        path = f"/api/audio_files/{ids['audio_files']}"
        assert api.patch(path, json={"metadata": self.metadata()}).status == 204
        ids["audit_events"] = api.get("/api/audit_events?q[subject][type]=contact").json[0]["id"]

    def _report(self, call_id: int) -> None:
        """What the provider has told of the call."""
        names = ("From", "To", "Caller", "Called", "ForwardedFrom", "CallerName", "SipHeader_X")
        details = {"CallSid": SID, "AccountSid": SID, **{name: self.number() for name in names}}
        response = {"sid": SID, "to": self.number(), "to_formatted": f"({self.number()})", "raw": self.metadata()}
        told = {
            "remote_call_id": SID,
            "remote_response": response,
            "remote_queue_response": {
                **response,
                "from": self.number(),
                "date_created": "Mon, 30 Nov 2026 07:00:00 +0000",
            },
            "remote_error_message": f"The number {self.number()} is not verified",
        }
        wait_for_outcomes(self.database)
        self.database["phone_calls"].update_one({"_id": call_id}, {"$set": told})
        answers = {"callback": self.number()[1:], "extension": int(self.number())}
        of_callout = {
            name: self.ids[f"{name[:-3]}s"] for name in ("callout_id", "contact_id", "callout_participation_id")
        }
        participation = {"_id": of_callout["callout_participation_id"]}
        self.database["callout_participations"].update_one(participation, {"$set": {"answers": answers}})
        event = {
            **initial_fields(REMOTE_PHONE_CALL_EVENTS),
            "_id": 700_000_001,
            "account_id": self.account_id,
            "phone_call_id": call_id,
            **of_callout,
            "details": details,
            "metadata": self.metadata(),
            "remote_call_id": SID,
            "_version": 1,
            "created_at": now(),
            "updated_at": now(),
        }
        self.ids["remote_phone_call_events"] = event["_id"]
        self.database["remote_phone_call_events"].insert_one(event)

    def close(self) -> None:
        """Lists of other tests would not expect an event whose id was not allocated."""
        self.database["remote_phone_call_events"].delete_one({"_id": self.ids["remote_phone_call_events"]})

    def paths(self) -> Iterator[str]:
        """Every path that can be fetched, with a document of this account."""
        for route in routes():
            if "GET" not in route.kwargs.get("verbs", "GET") or not issubclass(route.handler_class, ClientHandler):
                continue
            if route.kwargs["roles"]["GET"] is not Role.VIEWER:  # everything of one person is not for viewers
                continue
            collection = route.name.split("/")[2]
            number = self.ids.get(collection, 0)
            if "/preview/" in route.name:
                previewed = route.kwargs["resource"].collection
                kinds = {"contacts": "batch_operations", "phone_calls": "PhoneCallQueue"}
                number = self.ids[kinds.get(previewed, "PhoneCallCreate")]
            assert number or "{id}" not in route.name, route.name
            path = route.name.replace("{id}", str(number))
            yield path
            if path.endswith("/export"):
                yield from (f"{path}?format=jsonl", f"{path}?format=csv")
            if path.endswith("/results"):
                yield from (f"{path}?format=jsonl", f"{path}?format=xlsx")
            if path.endswith(f"callouts/{number}/statistics"):
                yield from (f"{path}?group_by=metadata.{name}" for name in ("phone", "as_integer", "in%20words"))
            if path.endswith("/contacts/fields"):
                yield from (
                    f"{path}?path=metadata.{name}" for name in ("phone", "as_integer", "as_float", "in%20words")
                )

    def fetch(self, token: str, path: str) -> tuple[str, str]:
        """The content type, and the body as text; a stream's first event."""
        separator = "&" if "?" in path else "?"
        for_account = f"{separator}per_page=1000" + (
            f"&account_id={self.account_id}" if "/accounts" not in path else ""
        )
        request = urllib.request.Request(
            f"{self.server.url}{path}{for_account}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            kind = answer.headers.get_content_type()
            if kind == "text/event-stream":
                return kind, b"".join(itertools.takewhile(bytes.strip, answer)).decode()
            body = answer.read()
        if kind.startswith("audio/"):
            return kind, ""
        if body.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                body = b"\n".join(archive.read(name) for name in archive.namelist())
        return kind, body.decode()


@pytest.fixture(scope="module")
def house(server: Server, database: Documents) -> Iterator[House]:
    house = House(server, database)
    yield house
    house.close()


UUID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


def digits_of(body: str) -> str:
    """A text without what may stand between the digits of a number, and with all digits alike."""
    body = UUID.sub("", body)  # some have six digits of a number
    plain = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in body)
    return re.sub(r"[\s()./_-]", "", plain)


def hidden(number: str) -> str:
    """What must not be seen of a number: the digits before the last three, without the country's."""
    return number[4:-3]


def new_token(client: Client, role: str) -> str:
    return str(client.post("/api/access_tokens", json={"role": role}).json["token"])


def assert_alike(whole: Any, shown: Any, place: str = "") -> None:
    """Both are the same JSON, but for masked texts; ids and times are the same."""
    if isinstance(whole, dict):
        assert isinstance(shown, dict) and len(shown) == len(whole), place
        for (name, one), (_, other) in zip(whole.items(), shown.items(), strict=True):
            assert_alike(one, other, f"{place}/{name}")
    elif isinstance(whole, list):
        assert isinstance(shown, list) and len(shown) == len(whole), place
        for index, (one, other) in enumerate(zip(whole, shown, strict=True)):
            assert_alike(one, other, f"{place}/{index}")
    else:
        assert whole == shown or (isinstance(shown, str) and "•" in shown), place


def test_no_get_of_a_viewer_holds_a_number_that_others_see(house: House) -> None:
    clients = (house.api, house.server.client())
    operators, viewers = ([new_token(client, role) for client in clients] for role in ("operator", "viewer"))
    seen: set[str] = set()
    for path in house.paths():
        for_super_admin = path.startswith(("/api/accounts", "/api/server"))
        kind, whole = house.fetch(operators[for_super_admin], path)
        viewed_kind, viewed = house.fetch(viewers[for_super_admin], path)
        assert kind == viewed_kind, path
        shown = digits_of(viewed)
        told = [number for number in house.numbers if hidden(number) in shown]
        assert not told, (path, told)
        plain = digits_of(whole)
        seen |= {number for number in house.numbers if hidden(number) in plain}
        if kind == "application/json":
            assert_alike(orjson.loads(whole), orjson.loads(viewed), path)
    assert seen == set(house.numbers)


@pytest.mark.parametrize("path", ["phone", "phone.home"])
def test_a_short_number_of_a_field_for_numbers_is_masked_where_its_values_are_counted(
    server: Server, path: str
) -> None:
    api = server.new_account()
    viewer = server.client(new_token(api, "viewer"))
    metadata = {"phone": "662345"} if path == "phone" else {"phone": {"home": "662345"}}
    contact = make(api, "/api/contacts", msisdn="+252662345678", metadata=metadata)
    callout = f"/api/callouts/{make(api, '/api/callouts')}"
    make(api, f"{callout}/callout_participations", contact_id=contact)
    for client, shown in ((api, "662345"), (viewer, "•••345")):
        counted = client.get(f"/api/contacts/fields?path=metadata.{path}").json["values"]
        grouped = client.get(f"{callout}/statistics?group_by=metadata.{path}").json["groups"]
        assert [one["value"] for one in (*counted, *grouped)] == [shown, shown]


@pytest.mark.parametrize(
    "query",
    [
        "q[msisdn]=%2B252662345678",
        "q[msisdn]=252662345678,252662345679",
        "q[msisdn][]=252662345678",
        "q[msisdn]=2++++++5++++++2++++++662345678",
        "q[msisdn]=%D9%A2%D9%A5%D9%A2662345678",
        "q[metadata][msisdn]=66234",
        "q[metadata][phone]=662345",
        "q[metadata][phone][home]=662345",
        "q[metadata][note]=call+%2B252662345678",
        "q[metadata][%2B252662345678]=x",
    ],
)
def test_a_viewer_looks_for_nobody_by_a_number_that_is_not_shown(server: Server, api: Client, query: str) -> None:
    viewer, operator = (server.client(new_token(api, role)) for role in ("viewer", "operator"))
    contact = make(api, "/api/contacts", msisdn="+252662345678")
    callout = make(api, "/api/callouts")
    make(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
    for path in (
        "contacts",
        "contacts/export",
        "contacts/fields",
        "phone_calls",
        f"callouts/{callout}/callout_participations",
        f"callouts/{callout}/results",
        f"contacts/{contact}/phone_calls",
    ):
        answer = viewer.get(f"/api/{path}?{query}")
        assert (answer.status, "full phone numbers" in str(answer.json)) == (403, True), (path, answer)
        assert operator.get(f"/api/{path}?{query}").status == 200, path


@pytest.mark.parametrize(
    "query",
    [
        "q[id]=1234567,2345678",
        "q[created_at_after]=2018-05-19T06:49:24.294Z",
        "q[created_at_or_before]=2018-05-19+06:49:24+%2B02:00",
        "q[metadata][district]=Banadir",
        "q[metadata][year]=2026",
        "q[msisdn]=678",
        "q[msisdn]",
        "q=1",
    ],
)
def test_a_viewer_filters_by_all_else(server: Server, api: Client, query: str) -> None:
    assert server.client(new_token(api, "viewer")).get(f"/api/contacts?{query}").status == 200


def test_a_viewer_asks_no_preflight_whether_somebody_has_a_number(server: Server, api: Client) -> None:
    viewer = server.client(new_token(api, "viewer"))
    callout = make(api, "/api/callouts")
    path = f"/api/callouts/{callout}/preflight"
    for name, value, status in (("msisdn", "+252662345678", 403), ("metadata", {"district": "Banadir"}, 200)):
        plan = {"audience": {"contact_filter_params": {name: value}}}
        assert viewer.post(path, json={"plan": plan}).status == status
        assert api.post(path, json={"plan": plan}).status == 200


def test_a_viewer_who_signs_in_sees_no_numbers_of_the_account(house: House) -> None:
    email = f"{uuid4()}@example.org"
    user = {"email": email, "password": "secret12", "role": "viewer", "metadata": {"phone": "+252662345678"}}
    assert house.api.post("/api/users", json=user).status == 201
    given = {"email": email, "password": "secret12"}
    answer = house.server.request("POST", "/session", json=given, token="")
    shown = answer.json
    assert (answer.status, shown["user"]["email"], shown["user"]["role"]) == (201, email, "viewer")
    assert shown["user"]["metadata"] == {"phone": "+•••••••••678"}
    assert [number[:-3] for number in shown["account"]["settings"]["dial_allow_list"]] == ["+•••••••••"]
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    again = house.server.request("GET", "/session", headers={"Cookie": cookie}, token="")
    listed = house.server.request("GET", "/api/contacts", headers={"Cookie": cookie}, token="")
    assert again.json == shown
    assert {contact["msisdn"][:-3] for contact in listed.json} == {"+•••••••••"}


def test_a_refusal_that_repeats_a_number_masks_it(house: House) -> None:
    viewer = house.server.client(new_token(house.api, "viewer"))
    definition = {
        "languages": ["en"],
        "start": "a",
        "steps": {"a": {"say": {"en": "Hello"}, "next": "+252662345678"}},
    }
    answer = viewer.post("/api/call_flows/validate", json={"definition": definition})
    assert answer.status == 422
    assert "+•••••••••678" in str(answer.json)
    assert "252662345678" not in str(answer.json)


def test_what_a_viewer_and_an_operator_ask_for_under_one_key_each_gets_as_it_may_see_it(house: House) -> None:
    path = f"/api/call_flows/{house.ids['call_flows']}/rehearsals"
    operator, viewer = (house.server.client(new_token(house.api, role)) for role in ("operator", "viewer"))
    for clients in ((operator, viewer), (viewer, operator)):
        key = {"Idempotency-Key": str(uuid4())}
        answers = [client.post(path, json={"callee": []}, headers=key) for client in clients]
        assert [answer.headers["Idempotent-Replayed"] for answer in answers] == [None, "true"]
        hidden_in = {client.token: "•" in str(answer.json) for client, answer in zip(clients, answers, strict=True)}
        assert hidden_in == {operator.token: False, viewer.token: True}
