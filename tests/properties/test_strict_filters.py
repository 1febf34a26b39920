"""In a batch operation's parameters nothing is ignored, and filters select what they select in a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tornado.ioloop import IOLoop

from scfm.errors import Invalid
from scfm.models.batch_operation import TYPES
from scfm.models.batch_operations.parameters import parameter_errors
from scfm.models.call_lifecycle import CALL_STATUSES
from scfm.models.callout_status import STATUSES
from scfm.models.outcome import OUTCOMES
from scfm.models.registry import RESOURCES
from scfm.models.resource import Resource
from scfm.schemas import pointer, schema
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from tests.properties.test_filters import RESOURCE, build, worlds

Document = dict[str, Any]
Path = tuple[str | int, ...]

OF_KIND: Mapping[str, Resource] = {resource.kind: resource for resource in RESOURCES}
KINDS = tuple(TYPES)
COUNTS = st.integers(0, 5) | st.integers(0, 5).map(str)
TEXTS = st.sampled_from(
    ["CA1", "busy", "no", "CallFlowLogic::Application", "CA2, CA1", " busy\xa0", ["CA1", "x"], None]
)
TIMES = st.sampled_from(
    ["2018-05-19", "2018-05-19T06:49:24.294Z", "2018-05-19 06:49:24 +0200", "9999-12-31", " 2018-05-20"]
)
IDS = st.sampled_from([1, "2", "1, 3", [1, "3"], "99", "", []])
NUMBERS = st.sampled_from(
    ["+252662345678", "252 66-(2)-345-679, +85512345678", 252662345678, [252662345679, "1 (555) 123-4567"], ""]
)
NESTED = st.dictionaries(
    st.sampled_from(["a", "1", "é", "e\u0301", "a/b", "~"]),
    st.sampled_from(["5", 5, 5.0, True, "true", None, "", " é", ["x", None], {"a": "5"}, {"1": [{"a": "5"}]}]),
    min_size=1,
    max_size=2,
)


def statuses(among: tuple[str, ...], least: int = 0) -> st.SearchStrategy[Any]:
    some = st.lists(st.sampled_from(among), min_size=least, max_size=2)
    return some | some.map(", ".join)


NULLABLE = {("callout_participations", "callout_population_id")} | {
    ("phone_calls", name) for name in ("callout_participation_id", "contact_id", "msisdn")
}
# By what a filter's name ends in, what it understands; in order.
UNDERSTOOD: Mapping[str, st.SearchStrategy[Any]] = {
    "approval": TEXTS.map(lambda status: {"status": status}),
    "_before": TIMES,
    "_after": TIMES,
    "remote_call_id": TEXTS,
    "id": IDS,
    "msisdn": NUMBERS,
    "metadata": NESTED,
    "_response": NESTED,
    "remote_request_params": NESTED,
    "has_phone_calls": st.sampled_from(["true", "false", True, False]),
    "_attempt": statuses(CALL_STATUSES),
    "_attempt_at": TIMES | st.none(),
    "attempts": st.sampled_from([0, "1", "0, 2", [0, "1"], "", []]),
    "outcome": statuses(OUTCOMES),
    "answers": NESTED,
    "remote_status": TEXTS,
    "status": statuses(CALL_STATUSES),
    "": TEXTS,
}


def values(collection: str, name: str) -> st.SearchStrategy[Any]:
    """What is understood by a filter of that name."""
    if (collection, name) == ("callouts", "status"):
        return statuses(STATUSES)
    own = next(strategy for end, strategy in UNDERSTOOD.items() if name.endswith(end))
    return own | st.none() if (collection, name) in NULLABLE else own


@st.composite
def filter_params(draw: st.DrawFn, resource: Resource, least: int = 0) -> Document:
    names = draw(st.lists(st.sampled_from(sorted(resource.filters)), min_size=least, max_size=3, unique=True))
    return {name: draw(values(resource.collection, name)) for name in names}


@st.composite
def understood(draw: st.DrawFn, kind: str) -> Document:
    """Parameters that the type understands."""
    parameters: Document = {"remote_request_params": {"from": "1234"}} if kind.endswith("Create") else {}
    known = sorted(schema(TYPES[kind].schema)["properties"])
    for name in draw(st.lists(st.sampled_from(known), max_size=4, unique=True)):
        if name.endswith("_filter_params"):
            parameters[name] = draw(filter_params(OF_KIND[name.removesuffix("_filter_params")]))
        elif name == "max_per_period_timestamp_attribute":
            parameters[name] = draw(st.sampled_from(["created_at", "updated_at", "remotely_queued_at"]))
        elif name == "max_per_period_statuses":
            parameters[name] = draw(statuses(CALL_STATUSES, least=1))
        elif name == "skip_validate_preview_presence":
            parameters[name] = draw(st.sampled_from([True, False, "true", "1"]))
        elif name != "remote_request_params":
            parameters[name] = draw(COUNTS)
    return parameters


def objects(value: Any, path: Path = ()) -> Iterator[tuple[Path, Document]]:
    """The objects with names of ours: parameters and filters, and not the free JSON in them."""
    yield path, value
    if not path:
        for name in [name for name in value if name.endswith("_filter_params")]:
            yield from objects(value[name], (name,))


def errors(kind: str, parameters: Any) -> Mapping[str, list[str]]:
    return parameter_errors(TYPES[kind].schema, parameters, None)


@given(data=st.data())
def test_what_a_type_has_is_understood(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    parameters = data.draw(understood(kind))
    assert errors(kind, parameters) == {}


ODD_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "limits",
        "Limit",
        " limit",
        "limit ",
        "metdata",
        "contacts_filter_params",
        "$where",
        "a/b",
        "~",
        "status",
        "type",
    ]
)


@given(data=st.data())
def test_an_unknown_name_is_refused_wherever_it_stands(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    parameters = data.draw(understood(kind))
    path, place = data.draw(st.sampled_from(list(objects(parameters))))
    known = (
        OF_KIND[str(path[0]).removesuffix("_filter_params")].filters
        if path
        else schema(TYPES[kind].schema)["properties"]
    )
    name = data.draw(ODD_NAMES.filter(lambda name: name not in known))
    place[name] = data.draw(st.sampled_from(["1", {"a": "1"}, None, True, 1, [], {}]))
    (error,) = errors(kind, parameters)["parameters"]
    where, _, sentence = error.rpartition(": is not a ")
    assert where == pointer((*path, name))
    assert sentence in (
        f"parameter of {kind}",
        f"filter of {str(path[0]).removesuffix('_filter_params').replace('_', ' ')}s" if path else "",
    )


WRONG = st.sampled_from(
    [None, True, 5, -1, 1.5, "", "x", "village", [], {}, [None], [{"a": "1"}], {"a": "1"}, {"$gt": ""}]
)


@settings(max_examples=200)
@given(data=st.data())
def test_a_changed_value_is_refused_or_asks_something(data: st.DataObject) -> None:
    """Nothing that is accepted is ignored: each filter that is there asks something of what it finds."""
    resource = data.draw(st.sampled_from([one for one in RESOURCES if f"{one.kind}_filters" in FILTER_SCHEMAS]))
    name = data.draw(st.sampled_from(sorted(resource.filters)))
    value = data.draw(WRONG | values(resource.collection, name))
    kind = "BatchOperation::CalloutPopulation" if resource.kind == "contact" else "BatchOperation::PhoneCallQueue"
    parameters = {f"{resource.kind}_filter_params": {name: value}}
    listed = resource.query({name: value})
    if errors(kind, parameters):
        assert errors(kind, parameters)["parameters"][0].startswith(f"/{resource.kind}_filter_params/{name}")
    else:
        assert listed.where != () or listed.newest != (), (name, value)
        if name not in ("last_phone_call_attempt", "no_phone_calls_or_last_attempt", "has_phone_calls"):
            assert any(listed.where), (name, value)


FILTER_SCHEMAS = ("contact_filters", "callout_filters", "callout_participation_filters", "phone_call_filters")


async def found(view: TenantView, query: Any) -> list[int]:
    return [one["_id"] for one in await view.list_of(query).page(0, 100)]


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_accepted_selects_what_the_list_selects(store: Store, io_loop: IOLoop, data: st.DataObject) -> None:
    world = data.draw(worlds())
    view = io_loop.run_sync(lambda: build(store, world))
    for kind, collection in (
        ("BatchOperation::CalloutPopulation", "contacts"),
        ("BatchOperation::PhoneCallCreate", "callout_participations"),
        ("BatchOperation::PhoneCallQueue", "phone_calls"),
    ):
        resource = RESOURCE[collection]
        for _ in range(5):
            q = data.draw(filter_params(resource, least=1))
            own = {"remote_request_params": {"from": "1"}} if kind.endswith("Create") else {}
            parameters = {**own, f"{resource.kind}_filter_params": q}
            assert errors(kind, parameters) == {}
            operation = {"_id": 99, "type": kind, "parameters": parameters, "callout_id": None}

            async def both() -> tuple[list[int], list[int]]:
                preview = await TYPES[kind].preview(view, operation, collection)  # noqa: B023
                return await found(view, preview), await found(view, resource.query(q))  # noqa: B023

            taken, listed = io_loop.run_sync(both)
            assert taken == listed, (kind, q)


@given(data=st.data())
def test_a_name_with_a_letter_changed_never_widens_what_is_taken(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    parameters = data.draw(understood(kind))
    places = [(path, place, name) for path, place in objects(parameters) for name in place]
    assume(places)
    path, place, name = data.draw(st.sampled_from(places))
    position = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from(["", "x", " ", name[position].upper(), name[position] * 2, "\u200b"]))
    mistaken = name[:position] + letter + name[position + 1 :]
    assume(mistaken not in place and mistaken != name)
    known = (
        OF_KIND[str(path[0]).removesuffix("_filter_params")].filters
        if path
        else schema(TYPES[kind].schema)["properties"]
    )
    assume(mistaken not in known)
    before = deepcopy(parameters)
    place[mistaken] = place.pop(name)
    said = errors(kind, parameters)["parameters"]
    assert any(error.startswith(pointer((*path, mistaken)) + ": is not a ") for error in said), before


def test_a_filter_that_gets_past_the_schema_is_still_refused(store: Store, io_loop: IOLoop) -> None:
    view = store.for_account(1)
    kind = TYPES["BatchOperation::CalloutPopulation"]
    for q in ({"metdata": {"a": "1"}}, {"created_at_after": "x"}, {"metadata": "x"}, "village", None):
        operation = {"_id": 1, "type": kind.name, "callout_id": 1, "parameters": {"contact_filter_params": q}}
        with pytest.raises(Invalid):
            io_loop.run_sync(lambda: kind.subjects(view, operation))  # noqa: B023
