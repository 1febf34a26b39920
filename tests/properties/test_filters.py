"""Lists, filters and previews find exactly what a plain reading of the contract finds in the same documents.

Each example is a small world of two accounts with the same documents: what the other account has must never show.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from unicodedata import normalize
from urllib.parse import quote

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado.ioloop import IOLoop

from scfm.clock import now
from scfm.models.batch_operation import TYPES
from scfm.models.outcome import OUTCOMES
from scfm.models.registry import RESOURCES
from scfm.schemas import schema
from scfm.storage.query import Query
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from tests.server import Client, Server

Document = dict[str, Any]
Predicate = Callable[[Document], bool]

RESOURCE = {resource.collection: resource for resource in RESOURCES}
OURS, THEIRS = 1, 2
# The other account's documents have the same ids, so far away.
ELSEWHERE = 1000

# --- What worlds are made of. Few values, so that documents and filters meet often.

NAMES = st.sampled_from(
    ["a", "b", "0", "1", "01", "", "a.b", "$gt", "$where", "%", "%2E", "é", "e\u0301", "١", "n\0l", "-1", "_id"]
)
NUMBERS = st.sampled_from([0, 1, 5, -5, 5.0, 1.5, 1e16, 1e-7, 2**53 + 1, 2**63 - 1, -(2**63)])
PLAIN_TEXTS = ["", "0", "5", "5.0", "true", "null", "None", "1e16", "a,b", "x", "x\0y", "$gt", "-0"]
TEXTS = st.sampled_from([*PLAIN_TEXTS, " x ", " 5\n", "é", "e\u0301", " é\xa0", "\ufeff"])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS


def json_of(names: st.SearchStrategy[str], scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    inner = st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
    )
    return st.dictionaries(names, inner, max_size=3)


# Half of all free JSON is strange; the other half is alike, so that a filter for one document nearly fits another.
ALIKE = json_of(st.sampled_from(["a", "1"]), st.sampled_from([None, True, 5, 5.0, "5", "true"]))
OBJECT = ALIKE | json_of(NAMES, SCALARS)

MSISDNS = ("+252662345678", "+252662345679", "+85512345678", "+15551234567")
SPELLINGS = {
    "+252662345678": ["252 66-(2)-345-678", "00252662345678", "+252662345678"],
    "+252662345679": ["252662345679"],
    "+85512345678": ["+855 0 12 345 678"],
    "+15551234567": ["1 (555) 123-4567"],
}
MOMENTS = (
    datetime(2018, 5, 18, 23, 59, 59, 999000, UTC),
    datetime(2018, 5, 19, tzinfo=UTC),
    datetime(2018, 5, 19, 6, 49, 24, 294000, UTC),
    datetime(2018, 5, 19, 23, 59, 59, 999000, UTC),
    datetime(2018, 5, 20, tzinfo=UTC),
)
FLOWS = (None, "CallFlowLogic::Application", "CallFlowLogic::AvfCapom::CapomShort")
STATUSES = ("created", "queued", "remotely_queued", "errored", "failed", "completed")
TYPE_NAMES = tuple(TYPES)
CREATE, QUEUE, FETCH = (name for name in TYPE_NAMES if not name.endswith("Population"))


@dataclass
class World:
    """Every document of one account, by collection, as they are stored; ids from 1."""

    documents: dict[str, list[Document]]

    def __getitem__(self, collection: str) -> list[Document]:
        return self.documents[collection]

    def calls_of(self, participation: Document) -> list[Document]:
        return [call for call in self["phone_calls"] if call["callout_participation_id"] == participation["_id"]]


def numbered(documents: Sequence[Document]) -> list[Document]:
    return [{"_id": number, **document} for number, document in enumerate(documents, 1)]


def some(draw: st.DrawFn, least: int, most: int, **fields: st.SearchStrategy[Any]) -> list[Document]:
    common = {"metadata": OBJECT, "created_at": st.sampled_from(MOMENTS), "updated_at": st.sampled_from(MOMENTS)}
    return numbered(draw(st.lists(st.fixed_dictionaries({**common, **fields}), min_size=least, max_size=most)))


def one_of_ids(documents: Sequence[Document], *others: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([*others, *(document["_id"] for document in documents)])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    flow = st.sampled_from(FLOWS)
    contacts = [
        {**contact, "msisdn": msisdn}
        for contact, msisdn in zip(some(draw, 2, len(MSISDNS)), draw(st.permutations(MSISDNS)), strict=False)
    ]
    callouts = some(draw, 1, 3, status=st.sampled_from(["initialized", "running", "stopped"]), call_flow_logic=flow)
    operations = some(
        draw,
        0,
        4,
        callout_id=one_of_ids(callouts, None),
        parameters=OBJECT,
        status=st.sampled_from(["preview", "finished"]),
        type=st.sampled_from(TYPE_NAMES),
    )
    participations = draw_participations(draw, contacts, callouts, operations)
    calls = draw_calls(draw, contacts, participations, operations)
    return World(
        {
            "users": some(draw, 0, 2),
            "access_tokens": some(draw, 0, 2),
            "contacts": contacts,
            "callouts": callouts,
            "batch_operations": operations,
            "callout_participations": participations,
            "phone_calls": calls,
            "remote_phone_call_events": draw_events(draw, calls),
        }
    )


def draw_participations(
    draw: st.DrawFn, contacts: list[Document], callouts: list[Document], operations: list[Document]
) -> list[Document]:
    pairs = list(itertools.product(callouts, contacts))
    populations = [one for one in operations if one["type"].endswith("Population")]
    # Those of older versions have no outcome, and show the first of these.
    outcome = st.fixed_dictionaries(
        {"outcome": st.sampled_from(OUTCOMES[:4]), "attempts": st.integers(0, 2), "answers": OBJECT}
    ) | st.just({})
    made = some(
        draw,
        1,
        6,
        callout_population_id=one_of_ids(populations, None),
        call_flow_logic=st.sampled_from(FLOWS),
        outcome_reason=st.sampled_from([None, "busy", "stopped"]),
        next_attempt_at=st.none() | st.sampled_from(MOMENTS),
        last_attempt_at=st.none() | st.sampled_from(MOMENTS),
    )
    made = [{"answers": {}, **one, **draw(outcome)} for one in made]
    chosen = draw(st.permutations(pairs))
    return [
        {**one, "callout_id": callout["_id"], "contact_id": contact["_id"], "msisdn": contact["msisdn"]}
        for one, (callout, contact) in zip(made, chosen, strict=False)
    ]


def draw_calls(
    draw: st.DrawFn, contacts: list[Document], participations: list[Document], operations: list[Document]
) -> list[Document]:
    links = {
        f"{name}_batch_operation_id": one_of_ids([one for one in operations if one["type"] == kind], None)
        for name, kind in (("queue", QUEUE), ("queue_remote_fetch", FETCH))
    }
    calls = some(
        draw,
        2,
        8,
        **links,
        parent=st.sampled_from([*participations, *contacts[:1]]),
        status=st.sampled_from(STATUSES),
        remote_call_id=st.sampled_from([None, "CA1", "CA2"]),
        remote_status=st.sampled_from([None, "busy", "no-answer"]),
        remote_direction=st.sampled_from([None, "outbound-api"]),
        remote_error_message=st.sampled_from([None, "Unable to create record: no"]),
        remote_response=OBJECT,
        remote_queue_response=OBJECT,
        remote_request_params=OBJECT,
        call_flow_logic=st.sampled_from(FLOWS),
        remotely_queued_at=st.none() | st.sampled_from(MOMENTS),
    )
    creates = [one for one in operations if one["type"] == CREATE]
    created = set()
    for call in calls:
        parent = call.pop("parent")
        answers = "contact_id" in parent
        call["callout_participation_id"] = parent["_id"] if answers else None
        call["contact_id"] = parent["contact_id"] if answers else parent["_id"]
        call["callout_id"] = parent["callout_id"] if answers else None
        call["msisdn"] = parent["msisdn"]
        # An operation creates one call for a participation.
        operation = draw(one_of_ids(creates, None)) if answers else None
        call["create_batch_operation_id"] = None if (operation, parent["_id"]) in created else operation
        created.add((operation, parent["_id"]))
    return calls


def draw_events(draw: st.DrawFn, calls: list[Document]) -> list[Document]:
    events = some(
        draw,
        0,
        5,
        call=st.sampled_from(calls),
        details=st.dictionaries(NAMES, TEXTS, max_size=3),
        remote_direction=st.sampled_from(["inbound", "outbound-api"]),
        call_flow_logic=st.sampled_from(FLOWS[1:]),
    )
    for event in events:
        call = event.pop("call")
        event["phone_call_id"] = call["_id"]
        event["remote_call_id"] = call["remote_call_id"] or "CA9"
        event |= {name: call[name] for name in ("callout_participation_id", "contact_id", "callout_id")}
    return events


# --- What the contract says of a filter, read plainly. A filter is its name, its value, and what it must find.

Given = tuple[str, Any, Predicate]
Filters = Callable[[World, str], st.SearchStrategy[Given]]


def says_nothing(document: Document) -> bool:
    """What a filter finds that is ignored."""
    return True


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def reach(value: Any, path: Sequence[str]) -> Any:
    """What is at the path; None where nothing is. In an array a number is an index."""
    for name in path:
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and name == str(int(name)):
            value = value[int(name)] if int(name) < len(value) else None
        else:
            return None
    return value


def holds(found: Any, wanted: str | None) -> bool:
    if wanted is None or found is None or isinstance(found, (dict, list)):
        return found is None and wanted is None
    read = as_text(found)
    return read == wanted or normalize("NFC", read) == normalize("NFC", wanted.strip().strip("\ufeff"))


def holds_at(value: Any, path: Sequence[str], wanted: str | None) -> bool:
    """Whether it holds at the path, in one of the forms in which the names on it may be."""
    ways = [path, *([normalize(form, name) for name in path] for form in ("NFC", "NFD"))]
    return (all if wanted is None else any)(holds(reach(value, way), wanted) for way in ways)


def paths_in(value: Any) -> Iterator[tuple[str, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (str(name),)
        yield from ((str(name), *path) for path in paths_in(one))


def scalars_in(value: Any) -> Iterator[Any]:
    if not isinstance(value, (dict, list)):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from scalars_in(one)


def nested(field: str) -> Filters:
    @st.composite
    def strategy(draw: st.DrawFn, world: World, collection: str) -> Given:
        values = [one[field] for one in world[collection]]
        known = sorted({path for value in values for path in paths_in(value)})
        made = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
        path = draw(st.sampled_from(known) | made if known else made)
        if draw(st.booleans()):  # past the positions: the elements of an array are not looked into
            path = tuple(name for name in path if not name.isdigit()) or path
        texts = [as_text(one) for value in values for one in scalars_in(reach(value, path)) if one is not None]
        given = draw(st.sampled_from([None, "", *texts]) | SCALARS)
        wanted = None if given is None else as_text(given)
        parameters = given
        for name in reversed(path):
            parameters = {name: parameters}
        return field, parameters, lambda document: holds_at(document[field], path, wanted)

    return strategy


def choice(field: str) -> Filters:
    @st.composite
    def strategy(draw: st.DrawFn, world: World, collection: str) -> Given:
        values = sorted({str(one[field]) for one in world[collection] if one[field] is not None})
        wanted = draw(st.lists(st.sampled_from([*values, "nothing", "0", "$ne"]), max_size=3))
        given = draw(st.sampled_from([",", " , ", ", "])).join(wanted)
        if len(wanted) == 1 and wanted[0].isdigit() and draw(st.booleans()):
            return field, int(given), lambda document: str(document[field]) == given
        return field, given, lambda document: str(document[field]) in wanted

    return strategy


def shown(field: str, absent: str) -> Filters:
    """One of several values of a field, which is ABSENT where a document does not have it."""

    @st.composite
    def strategy(draw: st.DrawFn, world: World, collection: str) -> Given:
        values = sorted({absent, *(str(one[field]) for one in world[collection] if field in one)})
        wanted = draw(st.lists(st.sampled_from([*values, "nothing", "7", "$ne"]), max_size=3))
        given = draw(st.sampled_from([", ".join(wanted), wanted, None]))
        among = wanted if given is not None else []
        return field, given, lambda document: str(document.get(field, absent)) in among

    return strategy


def on(field: str) -> Filters:
    """At a moment, or on a day."""

    @st.composite
    def strategy(draw: st.DrawFn, world: World, collection: str) -> Given:
        moment = draw(st.sampled_from(MOMENTS))
        if draw(st.integers(0, 5)) == 0:
            return field, None, lambda document: document[field] is None
        if draw(st.booleans()):
            day = moment.date()
            return field, day.isoformat(), lambda document: bool(document[field]) and document[field].date() == day
        within = moment + timedelta(microseconds=draw(st.sampled_from([0, 1, 999])))
        return field, draw(st.sampled_from(spelt(within))), lambda document: document[field] == moment

    return strategy


def ids() -> Filters:
    @st.composite
    def strategy(draw: st.DrawFn, world: World, collection: str) -> Given:
        wanted = draw(st.lists(st.sampled_from([str(one["_id"]) for one in world[collection]] + ["0", "x", "99"])))
        return (
            "id",
            draw(st.sampled_from([",", " ,\xa0"])).join(wanted),
            lambda document: str(document["_id"]) in wanted,
        )

    return strategy


def nonsense(field: str) -> Filters:
    """Values that are no text at all: they find nothing, and no operator gets through."""
    values = st.sampled_from([{"$ne": "x"}, {"$gt": ""}, {"$exists": True}, [], {}, "", [{"$ne": 1}], {"$in": ["x"]}])
    return lambda world, collection: values.map(lambda value: (field, value, lambda document: False))


def number(field: str) -> Filters:
    @st.composite
    def strategy(draw: st.DrawFn, world: World, collection: str) -> Given:
        wanted = draw(st.sampled_from(MSISDNS))
        given = draw(st.sampled_from(SPELLINGS[wanted]))
        junk = draw(st.sampled_from([None, "345", "x", "+25266234567812345", "''", "+"]))
        if junk is not None and draw(st.booleans()):
            return field, junk, lambda document: False
        return field, given, lambda document: document[field] == wanted

    return strategy


RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "before": lambda one, other: one < other,
    "after": lambda one, other: one > other,
    "or_before": lambda one, other: one <= other,
    "or_after": lambda one, other: one >= other,
}
UNPARSEABLE = ["", "yesterday", "2018-13-01", "2018-05-19T25:00", 5, True, [], ["2018-05-19"], {"$gt": ""}, None]


def spelt(moment: datetime) -> list[str]:
    iso = moment.isoformat(timespec="microseconds")
    east = moment.astimezone(timezone(timedelta(hours=2))).isoformat(timespec="microseconds")
    return [
        iso,
        iso.replace("+00:00", "Z"),
        iso.replace("+00:00", ""),
        iso.replace("T", " ").replace("+00:00", " UTC"),
        east,
        east.replace("+", " "),
        east.replace("T", " ").replace("+", " +"),
    ]


def at(field: str) -> Filters:
    @st.composite
    def strategy(draw: st.DrawFn, world: World, collection: str) -> Given:
        relation = draw(st.sampled_from(sorted(RELATIONS)))
        name, holds = f"{field}_{relation}", RELATIONS[relation]
        moment = draw(st.sampled_from(MOMENTS))
        kind = draw(st.sampled_from(["date", "date", "time", "time", "far", "nonsense"]))
        if kind == "nonsense":
            return name, draw(st.sampled_from(UNPARSEABLE)), says_nothing
        if kind == "time":
            moment += timedelta(microseconds=draw(st.sampled_from([0, 0, 1, 500, 999, 1000, -1])))
            given = draw(st.sampled_from(spelt(moment)))
            return name, given, lambda document: document[field] is not None and holds(document[field], moment)
        day = draw(st.sampled_from([date.min, date.max])) if kind == "far" else moment.date()
        return (
            name,
            day.isoformat(),
            lambda document: document[field] is not None and holds(document[field].date(), day),
        )

    return strategy


def attempts() -> Filters:
    """The filters of participations that ask for their phone calls."""

    @st.composite
    def strategy(draw: st.DrawFn, world: World, collection: str) -> Given:
        wanted = draw(st.lists(st.sampled_from(STATUSES), max_size=2))
        asked = draw(st.sampled_from(["true", "false", True, False]))

        def newest(document: Document) -> str | None:
            calls = world.calls_of(document)
            return max(calls, key=lambda call: call["_id"])["status"] if calls else None

        return draw(
            st.sampled_from(
                [
                    ("has_phone_calls", asked, lambda one: bool(world.calls_of(one)) is (asked in ("true", True))),
                    ("has_phone_calls", "perhaps", says_nothing),
                    ("last_phone_call_attempt", ", ".join(wanted), lambda one: newest(one) in wanted),
                    ("no_phone_calls_or_last_attempt", ",".join(wanted), lambda one: newest(one) in [None, *wanted]),
                ]
            )
        )

    return strategy


COMMON = (nested("metadata"), ids(), at("created_at"), at("updated_at"))
FILTERS: Mapping[str, Sequence[Filters]] = {
    "users": COMMON,
    "access_tokens": COMMON,
    "contacts": (*COMMON, number("msisdn"), nonsense("msisdn")),
    "callouts": (*COMMON, choice("status"), choice("call_flow_logic"), nonsense("status")),
    "batch_operations": (*COMMON, nested("parameters"), choice("status"), choice("type"), nonsense("type")),
    "callout_participations": (
        *COMMON,
        *(choice(name) for name in ("callout_id", "contact_id", "callout_population_id", "call_flow_logic")),
        number("msisdn"),
        nonsense("contact_id"),
        attempts(),
        attempts(),
        shown("outcome", "pending"),
        shown("attempts", "0"),
        choice("outcome_reason"),
        nested("answers"),
        *(filter_of(name) for name in ("next_attempt_at", "last_attempt_at") for filter_of in (at, on)),
    ),
    "phone_calls": (
        *COMMON,
        at("remotely_queued_at"),
        *(
            choice(name)
            for name in (
                "callout_participation_id",
                "contact_id",
                "status",
                "call_flow_logic",
                "remote_call_id",
                "remote_status",
                "remote_direction",
                "remote_error_message",
            )
        ),
        number("msisdn"),
        nonsense("remote_call_id"),
        *(nested(name) for name in ("remote_response", "remote_queue_response", "remote_request_params")),
    ),
    "remote_phone_call_events": (
        *COMMON,
        nested("details"),
        *(choice(name) for name in ("phone_call_id", "call_flow_logic", "remote_call_id", "remote_direction")),
    ),
}


@st.composite
def filters(draw: st.DrawFn, world: World, collection: str, least: int = 0) -> tuple[Document, Predicate]:
    """What to give as ``q``, and what it must find: all of its filters must hold."""
    chosen = draw(st.lists(st.sampled_from(FILTERS[collection]), min_size=least, max_size=2))
    given = [draw(one(world, collection)) for one in chosen]
    parameters = {name: value for name, value, _ in given}
    last = {name: predicate for name, _, predicate in given}
    if draw(st.integers(0, 9)) == 0:
        parameters["unheard_of"] = {"$where": "1"}
    predicates = [predicate for predicate in last.values() if predicate is not says_nothing]
    if not predicates:
        return parameters, says_nothing
    return parameters, lambda document: all(predicate(document) for predicate in predicates)


# --- What is listed under what.

LINKS = {
    CREATE: "create_batch_operation_id",
    QUEUE: "queue_batch_operation_id",
    FETCH: "queue_remote_fetch_batch_operation_id",
}


def belongs(world: World, kind: str, parent: Document, collection: str) -> Predicate:
    """Whether a document is listed under its parent."""
    number = parent["_id"]

    def named(child: str, key: str, holds: Predicate) -> Predicate:
        return lambda one: one["_id"] in {other[key] for other in world[child] if holds(other)}

    def has(field: str) -> Predicate:
        return lambda one: one[field] == number

    if kind == "callout" and collection == "contacts":
        return named("callout_participations", "contact_id", has("callout_id"))
    if kind == "contact" and collection == "callouts":
        return named("callout_participations", "callout_id", has("contact_id"))
    if kind != "batch_operation":
        return has(f"{kind}_id")
    link = LINKS.get(parent["type"])
    if link is None:
        made: dict[str, Predicate] = {
            "callout_participations": has("callout_population_id"),
            "contacts": named("callout_participations", "contact_id", has("callout_population_id")),
            "phone_calls": lambda one: False,
        }
        return made[collection]
    return {
        "phone_calls": has(link),
        "callout_participations": named("phone_calls", "callout_participation_id", has(link)),
        "contacts": named("phone_calls", "contact_id", has(link)),
    }[collection]


NESTED = {
    "account": ("users", "access_tokens"),
    "contact": ("callouts", "callout_participations", "phone_calls", "remote_phone_call_events"),
    "callout": (
        "contacts",
        "phone_calls",
        "remote_phone_call_events",
        "callout_participations",
        "batch_operations",
    ),
    "batch_operation": ("contacts", "callout_participations", "phone_calls"),
    "callout_participation": ("phone_calls", "remote_phone_call_events"),
    "phone_call": ("remote_phone_call_events",),
}
LISTS: tuple[tuple[str, str | None], ...] = (
    *((collection, None) for collection in FILTERS),
    *((collection, parent) for parent, collections in NESTED.items() for collection in collections),
)


def test_every_nested_list_of_the_contract_is_among_these() -> None:
    declared = {(resource.collection, parent) for resource in RESOURCES for parent in resource.parents}
    assert declared == {(collection, parent) for collection, parent in LISTS if parent is not None}


# --- The comparison.


def of_account(document: Document, account: int) -> Document:
    """The document as that account has it: the other's ids are all elsewhere."""
    if account == OURS:
        return {**document, "account_id": account}
    moved = {
        name: value + ELSEWHERE if isinstance(value, int) and (name == "_id" or name.endswith("_id")) else value
        for name, value in document.items()
    }
    return {**moved, "account_id": account}


async def build(store: Store, world: World) -> TenantView:
    """Put the world into the database in place of the last one; our account's view."""
    for collection, documents in world.documents.items():
        await store.all_tenants.remove(collection, {})
        if documents:
            both = [of_account(one, account) for one in documents for account in (OURS, THEIRS)]
            # What only unique indexes over all accounts look at.
            unique = {"users": "email", "access_tokens": "digest"}.get(collection)
            if unique:
                both = [{**one, unique: str(one["_id"])} for one in both]
            await asyncio.gather(*(store.all_tenants.insert(collection, one) for one in both))
    return store.for_account(OURS)


async def listed(view: TenantView, query: Query, size: int) -> tuple[int, list[int]]:
    """The total, and the ids on all pages."""
    total = await view.list_of(query).count()
    pages = [await view.list_of(query).page(skip, size) for skip in range(0, total + 1, size)]
    return total, [document["_id"] for page in pages for document in page]


# ``make filters`` tries more.
EXAMPLES = int(os.environ.get("FILTERS", "5"))


def with_store(function: Callable[..., None]) -> Callable[..., None]:
    """One database for all examples of a property; each replaces what the last one left."""
    return settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))(function)


@with_store
@given(data=st.data())
def test_lists_find_what_the_contract_says(store: Store, io_loop: IOLoop, data: st.DataObject) -> None:
    world = data.draw(worlds())
    view = io_loop.run_sync(lambda: build(store, world))
    for collection, kind in data.draw(st.lists(st.sampled_from(LISTS), min_size=8, max_size=12)):
        parameters, fits = data.draw(filters(world, collection))
        resource, under, seen = RESOURCE[collection], None, view
        if kind == "account":
            under, seen = {"_id": OURS}, store.all_tenants
            query = resource.under(kind, under, parameters)
        elif kind is not None:
            parents = world[f"{kind}s"]
            if not parents:
                continue
            under = data.draw(st.sampled_from(parents))
            query = resource.under(kind, under, parameters)
        else:
            query = resource.query(parameters)
        listed_here = belongs(world, kind, under, collection) if under and kind != "account" else lambda one: True
        expected = [one["_id"] for one in world[collection] if listed_here(one) and fits(one)]
        size = data.draw(st.integers(1, 5))
        total, found = io_loop.run_sync(lambda: listed(seen, query, size))  # noqa: B023
        assert (total, found) == (len(expected), expected), (collection, kind, under, parameters)


FOCUSED_IDS = ["values", "times", "absent times", "attempts", "outcomes", "counts", "moments"]
FOCUSED = (
    ("contacts", nested("metadata")),
    ("contacts", at("created_at")),
    ("phone_calls", at("remotely_queued_at")),
    ("callout_participations", attempts()),
    ("callout_participations", shown("outcome", "pending")),
    ("callout_participations", shown("attempts", "0")),
    ("callout_participations", on("last_attempt_at")),
)


@pytest.mark.parametrize(("collection", "kind"), FOCUSED, ids=FOCUSED_IDS)
@with_store
@given(data=st.data())
def test_a_filter_finds_neither_more_nor_less(
    store: Store, io_loop: IOLoop, collection: str, kind: Filters, data: st.DataObject
) -> None:
    """One filter after another over documents that differ in little."""
    world = data.draw(worlds())
    world.documents = {name: world[name] for name in (collection, "phone_calls")}
    view = io_loop.run_sync(lambda: build(store, world))
    for _ in range(12):
        name, value, fits = data.draw(kind(world, collection))
        query = RESOURCE[collection].query({name: value})
        expected = [one["_id"] for one in world[collection] if fits(one)]
        assert io_loop.run_sync(lambda: listed(view, query, 5)) == (len(expected), expected), (name, value)  # noqa: B023


def limit_of(world: World, parameters: Document, moment: datetime) -> int | None:
    """How many a run may take, as section 4 has it."""
    if "limit" in parameters:
        return int(parameters["limit"])
    bounds = [int(parameters["max"])] if "max" in parameters else []
    if "max_per_period" in parameters:
        since = moment - timedelta(hours=int(parameters.get("max_per_period_hours", 24)))
        attribute = parameters.get("max_per_period_timestamp_attribute", "remotely_queued_at")
        statuses = [one.strip() for one in parameters.get("max_per_period_statuses", ",".join(STATUSES)).split(",")]
        made = [one for one in world["phone_calls"] if one[attribute] and one[attribute] >= since]
        counted = [one for one in made if one["status"] in statuses]
        bounds.append(max(0, int(parameters["max_per_period"]) - len(counted)))
    return min(bounds, default=None)


LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "limit": st.sampled_from(["0", "1", "2", 3, "9" * 18]),
        "max": st.sampled_from(["0", "1", 3]),
        "max_per_period": st.sampled_from(["2", 4, "8"]),
        "max_per_period_hours": st.sampled_from(["1", 24, 100]),
        "max_per_period_timestamp_attribute": st.sampled_from(["remotely_queued_at", "created_at", "updated_at"]),
        "max_per_period_statuses": st.sampled_from(["failed, errored", "completed", "created"]),
    },
)
PARAMS = {"remote_request_params": {"from": "1234"}}
PREVIEWS = [(kind.name, collection) for kind in TYPES.values() for collection in kind.preview_collections]
FILTERED_BY = {
    "contact_filter_params": "contacts",
    "callout_filter_params": "callouts",
    "callout_participation_filter_params": "callout_participations",
    "phone_call_filter_params": "phone_calls",
}


def previewed(world: World, operation: Document, fits: Mapping[str, Predicate], moment: datetime) -> list[Document]:
    """What a run would take: contacts, participations or phone calls."""

    def allowed(collection: str, number: int | None) -> bool:
        if collection not in fits:
            return True
        return any(one["_id"] == number and fits[collection](one) for one in world[collection])

    kind = operation["type"]
    if kind not in LINKS:
        return [one for one in world["contacts"] if allowed("contacts", one["_id"])]
    walked = "callout_participations" if kind == CREATE else "phone_calls"
    key = "_id" if kind == CREATE else "callout_participation_id"
    taken = [
        one
        for one in world[walked]
        if allowed("callouts", one["callout_id"])
        and allowed("callout_participations", one[key])
        and (kind == CREATE or allowed("phone_calls", one["_id"]))
    ]
    return taken[: limit_of(world, operation["parameters"], moment)]


def made_lately(world: World, moment: datetime) -> None:
    """Move the phone calls' times to hours that a period may or may not include, never near its edge."""
    for number, call in enumerate(world["phone_calls"]):
        for step, name in enumerate(("remotely_queued_at", "created_at", "updated_at")):
            if call[name] is not None:
                call[name] = moment - timedelta(hours=(0.5, 5, 23, 25, 101)[(number + step) % 5])


@with_store
@given(data=st.data())
def test_previews_are_what_a_run_would_take(store: Store, io_loop: IOLoop, data: st.DataObject) -> None:
    world, moment = data.draw(worlds()), now()
    made_lately(world, moment)
    view = io_loop.run_sync(lambda: build(store, world))
    for kind, collection in data.draw(st.lists(st.sampled_from(PREVIEWS), min_size=4, max_size=8)):
        parameters = {**(data.draw(LIMITS) if kind in LINKS else {}), **(PARAMS if kind == CREATE else {})}
        fits = {}
        own = sorted(FILTERED_BY.keys() & schema(TYPES[kind].schema)["properties"].keys())
        for name in data.draw(st.lists(st.sampled_from(own), max_size=2, unique=True)):
            given, predicate = data.draw(filters(world, FILTERED_BY[name]))
            # What `q` ignores, or finds nothing by, is refused here: see test_strict_filters.
            tried = {**(PARAMS if kind == CREATE else {}), name: given}
            if io_loop.run_sync(lambda: TYPES[kind].errors_in(tried, None)):  # noqa: B023
                continue
            parameters[name] = given
            if predicate is not says_nothing:
                fits[FILTERED_BY[name]] = predicate
        operation = {"_id": 99, "type": kind, "parameters": parameters}
        taken = previewed(world, operation, fits, moment)
        if kind == CREATE and collection == "contacts":
            named = {one["contact_id"] for one in taken}
            taken = [one for one in world["contacts"] if one["_id"] in named]
        narrower, also = data.draw(filters(world, collection, least=1))
        expected = [one["_id"] for one in taken if also(one)]
        size = data.draw(st.integers(1, 5))

        async def answer() -> tuple[int, list[int]]:
            query = await TYPES[kind].preview(view, operation, collection)  # noqa: B023
            return await listed(view, RESOURCE[collection].filtered(query, narrower), size)  # noqa: B023

        assert io_loop.run_sync(answer) == (len(expected), expected), (kind, collection, parameters, narrower)


# --- The same, from the outside.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def contacts(server: Server) -> Iterator[Client]:
    yield server.client()


HTTP_NAMES = st.sampled_from(["a", "b", "0", "1", "a.b", "$gt", "%", "é", "e\u0301", "a b", "x&y=z", "+"])
HTTP_METADATA = st.dictionaries(
    HTTP_NAMES, SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(HTTP_NAMES, SCALARS, max_size=2), max_size=3
)
WORLD_NUMBERS = itertools.count(1)


def spell(path: Sequence[str], value: Any) -> str:
    """The filter as it stands in a query string: Rails names; no ``=`` for None."""
    name = quote("q[metadata]" + "".join(f"[{step}]" for step in path))
    return name if value is None else f"{name}={quote(value)}"


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_server_finds_the_same_over_http(contacts: Client, data: st.DataObject) -> None:
    number = next(WORLD_NUMBERS)
    made: dict[int, Document] = {}
    for position, metadata in enumerate(data.draw(st.lists(HTTP_METADATA, min_size=1, max_size=3))):
        body = {"msisdn": f"+2526{number:05d}{position:03d}", "metadata": {**metadata, "world": number}}
        answer = contacts.post("/api/contacts", json=body)
        assert answer.status == 201, answer
        made[answer.json["id"]] = answer.json["metadata"]
        assert answer.json["metadata"] == body["metadata"]
    paths = sorted({path for metadata in made.values() for path in paths_in(metadata)} - {("world",)})
    for path in data.draw(st.lists(st.sampled_from(paths), max_size=4)) if paths else ():
        leaves = [reach(metadata, path) for metadata in made.values()]
        texts = [as_text(leaf) for leaf in leaves if leaf is not None and not isinstance(leaf, (dict, list))]
        wanted = data.draw(st.sampled_from([None, "", "5", "true", *texts]))
        expected = [one for one, metadata in made.items() if holds_at(metadata, path, wanted)]
        answer = contacts.get(f"/api/contacts?q[metadata][world]={number}&{spell(path, wanted)}")
        assert answer.status == 200, answer
        found = [contact["id"] for contact in answer.json]
        assert (found, answer.headers["Total"]) == (expected, str(len(expected))), (path, wanted)
