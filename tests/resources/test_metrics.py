"""``GET /metrics``: what it shows, to whom, in which formats, and that no label names anybody."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, cast

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPServerRequest, RequestStartLine

from scfm.clock import now
from scfm.errors import Forbidden, NotFound, Unauthorized, Unavailable, Unreachable
from scfm.handlers.metrics import check_reader
from scfm.models.ended_calls import EndedCalls, outcome_of
from scfm.models.stored_documents import CALLS
from scfm.results import queue_figures
from scfm.results.queue_figures import QueueFigures
from scfm.runtime import metrics
from scfm.settings import Settings
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from tests.resources.conftest import Documents, make
from tests.server import Answer, Server, wait_until

OPEN_METRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
MSISDN = "+252662345678"

Samples = dict[str, float]


def shown(answer: Answer) -> Samples:
    """By ``name{label=value,…}``, every sample of an answer."""
    assert answer.status == 200, answer
    return {
        sample.name
        + "{"
        + ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
        + "}": sample.value
        for family in plain_text(answer.json)
        for sample in family.samples
    }


def scrape(server: Server) -> Samples:
    return shown(server.request("GET", "/metrics", token=""))


def test_it_is_text_as_prometheus_reads_it_without_a_token(server: Server) -> None:
    answer = server.request("GET", "/metrics", token="")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    wait_until(lambda: scrape(server)["scfm_database_up{}"] == 1)  # on a busy machine it may be late for once
    assert server.request("HEAD", "/metrics", token="").status == 200


def test_it_is_open_metrics_for_who_accepts_it(server: Server) -> None:
    answer = server.request("GET", "/metrics", token="", headers=OPEN_METRICS)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    names = {family.name for family in open_metrics(answer.json)}
    assert {"scfm_build_info", "scfm_calls", "scfm_http_request_duration_seconds"} <= names


def test_every_metric_that_is_declared_is_there_with_a_help_text(server: Server) -> None:
    families = {family.name: family for family in plain_text(server.request("GET", "/metrics", token="").json)}
    declared = {family.name for family in metrics.REGISTRY.collect()}
    assert declared <= families.keys()
    assert all(family.documentation for family in families.values())
    assert {"process_resident_memory_bytes", "python_gc_collections", "python_info"} <= families.keys()


def test_requests_are_counted_by_route_and_no_path_or_method_is_a_label(server: Server) -> None:
    api = server.client()
    contact = make(api, "/api/contacts", msisdn=MSISDN)
    before = scrape(server)
    for _ in range(3):
        assert api.get(f"/api/contacts/{contact}").status == 200
    assert api.get("/api/contacts/999999999").status == 404
    assert api.get("/no/such/path/+252662345678").status == 404
    assert server.request("BREW", "/api/contacts/1").status == 404
    after = scrape(server)

    def more(route: str, method: str, code: int) -> float:
        name = f"scfm_http_request_duration_seconds_count{{code={code},method={method},route={route}}}"
        return after.get(name, 0) - before.get(name, 0)

    assert more("/api/contacts/{id}", "GET", 200) == 3
    assert more("/api/contacts/{id}", "GET", 404) == 1
    assert more("(other)", "GET", 404) == 1
    assert sum(more(route, "(other)", 404) for route in ("/api/contacts/{id}", "(other)")) == 1
    assert not [name for name in after if "BREW" in name or "such" in name]


def test_no_label_is_an_account_a_callout_a_number_or_a_text_of_a_client(server: Server) -> None:
    account = server.new_account(**{"metadata[name]": "Alice"})
    callout = make(account, "/api/callouts")
    contact = make(account, "/api/contacts", msisdn="+252662345679")
    make(account, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
    account.get("/api/contacts?q[msisdn]=252662345679")
    text = server.request("GET", "/metrics", token="").json
    labels = set(re.findall(r'(\w+)="', text))
    known = {"route", "method", "code", "kind", "provider", "outcome", "result", "reason", "state", "name", "le"}
    python = {"version", "python", "generation", "implementation", "major", "minor", "patchlevel"}
    assert labels <= known | python
    assert not re.search(r"\d{7,}", " ".join(re.findall(r'="([^"]*)"', text)))
    assert "Alice" not in text


@pytest.fixture
def waiting(
    database: Documents, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of its own, with calls of an account that is held, each due for a while."""
    own_database = database.client["waiting"]
    with Server(tmp_path_factory.mktemp("waiting"), settings | {"MONGODB_DATABASE": own_database.name}) as server:
        _hold_calls(server, own_database)
        yield server
    database.client.drop_database(own_database.name)


def _hold_calls(server: Server, database: Documents) -> None:
    api = server.new_account()
    make(api, "/api/account/account_events", event="hold")
    own = {"account_id": api.get("/api/account").json["id"]}
    due = now() - timedelta(minutes=10)
    call = {**own, "status": "queued", "msisdn": MSISDN, "contact_id": 1}
    lease = {"lease": now() + timedelta(hours=1), "attempt": {"id": "a", "at": due, "log": None}}
    database["phone_calls"].insert_many(
        [
            {"_id": 10**12, **call, "_work": {"due": due}},
            {"_id": 10**12 + 1, **call, "_work": {**lease, "reason": "no answer"}},
            {"_id": 10**12 + 2, **call, "_work": lease},
            {"_id": 10**12 + 3, **call, "status": "in_progress", "remotely_queued_at": now()},
            {"_id": 10**12 + 4, **call, "status": "in_progress", "remotely_queued_at": now() - timedelta(hours=1)},
        ]
    )


def test_what_waits_is_counted_by_kind_with_the_age_of_the_oldest(waiting: Server) -> None:
    def as_expected() -> bool:
        found = scrape(waiting)
        return (
            found["scfm_queue_depth{kind=held_calls}"] == 1
            and 590 < found["scfm_queue_oldest_age_seconds{kind=held_calls}"] < 1200
            and found["scfm_calls_unknown{}"] == found["scfm_queue_depth{kind=unknown_calls}"] == 1
            and found["scfm_calls_in_the_air{}"] == 1
            and found["scfm_accounts_held{}"] == 1
            and found["scfm_queue_depth{kind=calls}"] == 0
        )

    wait_until(as_expected)  # what was read a moment ago is not read again


BY_PROXY = {"trusted_proxies": "127.0.0.1"}
ELSEWHERE, FROM_ELSEWHERE = {"metrics_allowed_networks": "203.0.113.0/24"}, {"X-Forwarded-For": "203.0.113.5"}
SECRET, WITH_SECRET = {"metrics_token": "secret"}, {"Authorization": "Bearer secret"}
ALLOWED: None = None


@pytest.mark.parametrize(
    ("told", "address", "headers", "refusal"),
    [
        ({}, "127.0.0.1", {}, ALLOWED),
        ({}, "::1", {}, ALLOWED),
        ({}, "::ffff:10.1.2.3", {}, ALLOWED),
        ({}, "192.168.1.7", {}, ALLOWED),
        ({}, "203.0.113.5", {}, Forbidden),
        ({}, "2001:db8::1", {}, Forbidden),
        # A proxy that nobody has named may pass on what anybody asks.
        ({}, "127.0.0.1", FROM_ELSEWHERE, Forbidden),
        ({}, "127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, Forbidden),
        (BY_PROXY, "127.0.0.1", FROM_ELSEWHERE, Forbidden),
        (BY_PROXY, "127.0.0.1", {"X-Forwarded-For": "10.2.3.4"}, ALLOWED),
        (ELSEWHERE, "127.0.0.1", {}, Forbidden),
        (ELSEWHERE, "203.0.113.5", {}, ALLOWED),
        (ELSEWHERE | BY_PROXY, "127.0.0.1", FROM_ELSEWHERE, ALLOWED),
        (SECRET, "127.0.0.1", {}, Unauthorized),
        (SECRET, "127.0.0.1", {"Authorization": "Bearer secre"}, Unauthorized),
        (SECRET, "127.0.0.1", {"Authorization": "Bearer s\xe9cret"}, Unauthorized),
        (SECRET, "203.0.113.5", WITH_SECRET, ALLOWED),
        (SECRET, "127.0.0.1", {**WITH_SECRET, **FROM_ELSEWHERE}, ALLOWED),
    ],
)
def test_who_may_read_them_is_a_matter_of_settings(
    told: dict[str, str], address: str, headers: dict[str, str], refusal: type[Exception] | None
) -> None:
    start_line = RequestStartLine("GET", "/metrics", "HTTP/1.1")
    connection = cast(HTTPConnection, object())
    request = HTTPServerRequest(
        headers=HTTPHeaders({"Host": "localhost", **headers}), connection=connection, start_line=start_line
    )
    request.remote_ip = address
    with pytest.raises(refusal) if refusal else nullcontext():
        check_reader(request, Settings(**cast(Any, told)))


def test_who_is_refused_is_told_which_setting_it_is(server: Server) -> None:
    refused = server.request("GET", "/metrics", token="", headers=FROM_ELSEWHERE)
    assert (refused.status, "METRICS_ALLOWED_NETWORKS" in refused.json["message"]) == (403, True)


class Ends(EndedCalls):
    """What was counted, without the metric."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int | None, str | None, int]] = []

    def written(self, account_id: int | None, update: Document, count: int) -> None:
        self.told.append((account_id, outcome_of(update), count))


@pytest.fixture
def ends(store: Store) -> Iterator[Ends]:
    """A watcher of the phone calls of a store."""
    ends = store.watchers[CALLS] = Ends()
    yield ends
    del store.watchers[CALLS]


def ended(status: str) -> Document:
    """An update as transitions that end a call have it, which no other write makes."""
    moment = now()
    return {"$set": {"status": status, "updated_at": moment, "_ended": moment}, "$unset": {"_work": ""}}


async def calls(store: Store, count: int) -> list[int]:
    """The ids of new calls that are queued, of account 1."""
    ids = list(await store.counters.ids("phone_call").allocate(count))
    await store.all_tenants.insert_many(
        CALLS, [{"_id": one, "account_id": 1, "status": "queued", "updated_at": now()} for one in ids]
    )
    return ids


async def test_an_end_is_counted_by_who_has_written_it_and_once(store: Store, ends: Ends) -> None:
    view = store.all_tenants
    first, second, *others = await calls(store, 6)
    queued = {"account_id": 1, "status": "queued"}
    for _ in range(2):  # the second time it fits no more
        await view.update_one(CALLS, {**queued, "_id": first}, ended("completed"))
        await store.for_account(1).update_batched(CALLS, second, queued, ended("busy"))
        await view.update_many(CALLS, {**queued, "_id": {"$in": others[:2]}}, ended("canceled"))
    assert ends.told == [(1, "completed", 1), (1, "busy", 1), (1, "canceled", 2)]


async def test_of_ends_that_go_together_those_are_counted_that_fitted(store: Store, ends: Ends) -> None:
    view, ids = store.all_tenants, await calls(store, 6)
    queued = {"account_id": 1, "status": "queued"}
    await view.bulk_update(CALLS, [({**queued, "_id": one}, ended("failed")) for one in ids[:2]])
    assert ends.told == [(1, "failed", 1)] * 2
    # Of these, two have ended already, and otherwise.
    await view.bulk_update(CALLS, [({**queued, "_id": one}, ended("errored")) for one in ids[1:4]])
    assert ends.told[2:] == [(1, "errored", 1)] * 2
    await asyncio.gather(*(view.update_batched(CALLS, one, queued, ended("busy")) for one in ids[2:]))
    assert ends.told[4:] == [(1, "busy", 1)] * 2


def test_a_report_that_corrects_an_end_is_no_second_one() -> None:
    moment = now()
    assert outcome_of(ended("completed")) == "completed"
    assert outcome_of({"$set": {"status": "failed", "updated_at": moment}}) is None
    assert outcome_of({"$set": {"status": "in_progress"}, "$unset": {"_work": ""}}) is None


async def test_what_has_ended_waits_for_a_provider_that_cannot_be_looked_up() -> None:
    ended_calls, reachable = EndedCalls(), False

    async def provider_of(account_id: int) -> str:
        if not reachable:
            raise Unavailable("gone")
        if account_id == 2:
            raise NotFound
        return "somleng"

    def counted(provider: str) -> float:
        told = {"outcome": "busy", "provider": provider}
        return metrics.REGISTRY.get_sample_value("scfm_calls_total", told) or 0.0

    before, before_other = counted("somleng"), counted("(other)")
    for account_id in (1, 2):
        ended_calls.written(account_id, ended("busy"), 3)
    with pytest.raises(Unavailable):
        await ended_calls.count(provider_of)
    reachable = True
    for _ in range(2):
        await ended_calls.count(provider_of)
    assert (counted("somleng") - before, counted("(other)") - before_other) == (3, 3)


async def test_a_database_that_is_given_up_after_the_scrape_is_over_leaves_no_trace_in_the_log(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = asyncio.Event()

    async def server_state(view: TenantView) -> Document:
        await given_up.wait()
        raise Unreachable("gone")

    async def provider_of(account_id: int) -> str:
        raise NotFound

    monkeypatch.setattr(queue_figures, "server_state", server_state)
    monkeypatch.setattr(queue_figures, "MAX_FIGURES_SECONDS", 0.01)
    await QueueFigures(store, EndedCalls(), provider_of).refresh()
    given_up.set()
    (reading,) = (task for task in asyncio.all_tasks() if task.get_name() == "read figures")
    await asyncio.wait({reading})
    assert reading.exception() is None, "asyncio logs one that nobody has asked for"
