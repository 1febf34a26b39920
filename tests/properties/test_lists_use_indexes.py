"""Over many documents of several accounts, every list and filter walks an index, in the order that it answers in.

The commands that a ``TenantView`` sends are recorded, and MongoDB is asked how it carries each of them out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from tornado.ioloop import IOLoop

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.models.batch_operation import TYPES
from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.operation_type import OperationType
from scfm.models.registry import RESOURCES, counted_fields, indexes
from scfm.models.webhook_delivery import WEBHOOK_DELIVERIES, deliveries_to
from scfm.storage import database as storage
from scfm.storage.change_log import BLOCK
from scfm.storage.driver import DriverClient
from scfm.storage.query import Query
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView

Document = dict[str, Any]

MANY, SOME, FEW = 100_000, 10_000, 300
ACCOUNTS = 3
DATABASE = "many"
RESOURCE = {resource.collection: resource for resource in RESOURCES}

# Documents are made inside MongoDB, from their number: expressions over $n.
N: Any = "$n"
STATUSES = ["created", "queued", "remotely_queued", "errored", "failed", "completed"]
TIME = {"$dateAdd": {"startDate": "$$NOW", "unit": "minute", "amount": {"$multiply": [-1, N]}}}


def cycle(values: Sequence[Any]) -> Document:
    return {"$arrayElemAt": [list(values), {"$mod": [N, len(values)]}]}


def spread(first: int) -> Document:
    """One of 30 ids from FIRST, a multiple of 3, so that it is in the account of the document that names it."""
    return {"$add": [first, {"$mod": [N, 30]}]}


COMMON: Document = {
    "_id": N,
    "account_id": {"$add": [1, {"$mod": [N, ACCOUNTS]}]},
    "metadata": {"n": {"$mod": [N, 100]}, "list": [{"k": {"$mod": [N, 7]}}]},
    "created_at": TIME,
    "updated_at": TIME,
    "_version": {"$literal": 1},
}
MSISDN = {"$concat": ["+2526", {"$toString": {"$add": [10_000_000, N]}}]}
PARENTS: Document = {
    "callout_participation_id": N,
    "contact_id": N,
    "callout_id": spread(30),
}
REMOTE_CALL_ID = {"$concat": ["CA", {"$toString": N}]}
SHAPES: dict[str, tuple[int, Document]] = {
    "accounts": (ACCOUNTS, {"settings": {}}),
    "users": (FEW, {"email": {"$toString": N}}),
    "access_tokens": (FEW, {"digest": {"$toString": N}}),
    "contacts": (MANY, {"msisdn": MSISDN}),
    "opt_outs": (SOME, {"msisdn": MSISDN, "reason": None, "source": cycle(["api", "flow"])}),
    "call_flows": (FEW, {"name": {"$toString": N}, "status": cycle(["draft", "published"]), "version": 1}),
    "audio_files": (
        FEW,
        {
            "name": {"$toString": N},
            "language": "km",
            "content_type": "audio/wav",
            "sha256": {"$toString": N},
        },
    ),
    "audit_events": (
        SOME,
        {
            "actor": {"type": "user", "id": cycle([1, 2]), "email": "a@b.org"},
            "action": cycle(["create", "update"]),
            "subject": {"type": "contact", "id": N},
            "changes": {"msisdn": [None, MSISDN]},
            "request_id": {"$toString": N},
            "address": "127.0.0.1",
        },
    ),
    "webhook_endpoints": (
        FEW,
        {"url": {"$toString": N}, "event_types": ["account.held"], "status": "enabled", "disabled_reason": None},
    ),
    "webhook_deliveries": (
        SOME,
        {
            "webhook_endpoint_id": spread(30),
            "webhook_id": {"$toString": N},
            "event_type": cycle(["account.held", "callout.started"]),
            "status": cycle(["pending", "delivered"]),
            "next_attempt_at": TIME,
            "_due": TIME,
        },
    ),
    "callouts": (FEW, {"status": cycle(["initialized", "running"]), "call_flow_logic": None}),
    "batch_operations": (
        FEW,
        {
            "callout_id": spread(30),
            "status": cycle(["preview", "finished"]),
            "type": cycle(list(TYPES)),
            "parameters": {},
        },
    ),
    "callout_participations": (
        MANY,
        {
            "callout_id": spread(30),
            "contact_id": N,
            "callout_population_id": spread(30),
            "msisdn": MSISDN,
            "call_flow_logic": None,
            "outcome": cycle(["pending", "unreached"]),
            "outcome_reason": cycle(["busy", "stopped"]),
            "attempts": cycle([0, 2]),
            "next_attempt_at": TIME,
            "last_attempt_at": TIME,
            "answers": {"safe": {"$toString": N}},
        },
    ),
    "phone_calls": (
        MANY,
        {
            **PARENTS,
            "create_batch_operation_id": spread(60),
            "queue_batch_operation_id": spread(90),
            "queue_remote_fetch_batch_operation_id": spread(120),
            "status": cycle(STATUSES),
            "msisdn": MSISDN,
            "remote_call_id": REMOTE_CALL_ID,
            "remote_status": cycle(["busy", "completed"]),
            "remote_direction": "outbound-api",
            "remote_error_message": None,
            "remote_response": {"sid": REMOTE_CALL_ID},
            "remote_queue_response": {"sid": REMOTE_CALL_ID},
            "remote_request_params": {"from": "1294"},
            "call_flow_logic": None,
            "remotely_queued_at": TIME,
        },
    ),
    "remote_phone_call_events": (
        SOME,
        {
            **PARENTS,
            "phone_call_id": N,
            "details": {"CallSid": REMOTE_CALL_ID},
            "remote_call_id": REMOTE_CALL_ID,
            "remote_direction": "outbound-api",
            "call_flow_logic": "CallFlowLogic::Application",
        },
    ),
}


def fill(database: Database[Document], collection: str, count: int, shape: Document) -> None:
    numbers = [{"$documents": [{"n": {"$range": [1, count + 1]}}]}, {"$unwind": "$n"}]
    made = {"$replaceRoot": {"newRoot": {**COMMON, **shape}}}
    database.aggregate([*numbers, made, {"$out": collection}])
    models = [index.model() for index in indexes().get(collection, ())]
    if models:
        database[collection].create_indexes(models)


@pytest.fixture(scope="module")
def many(mongod: PrivateMongod) -> Iterator[Database[Document]]:
    """100,000 documents of each of the large kinds, shared by three accounts."""
    with MongoClient[Document](mongod.uri) as client:
        for collection, (count, shape) in SHAPES.items():
            fill(client[DATABASE], collection, count, shape)
            if collection in counted_fields():
                kind = counted_fields()[collection].kind
                client[DATABASE].counters.insert_one({"_id": kind, "last": count})
        yield client[DATABASE]
        client.drop_database(DATABASE)


class Recorder(CommandListener):
    """The reads that were sent."""

    def __init__(self) -> None:
        self.commands: list[Document] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate") and event.command[event.command_name] != "counters":
            left_out = ("lsid", "$db", "$readPreference", "maxTimeMS", "$clusterTime")
            self.commands.append({name: value for name, value in event.command.items() if name not in left_out})

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


Asking = Callable[[TenantView], Awaitable[Query]]


def asked(
    mongod: PrivateMongod, io_loop: IOLoop, account: int | None, asking: Asking
) -> tuple[Query, list[Document]]:
    """A query, and the commands that made it, counted it, and fetched its second page, and one far behind."""
    recorder = Recorder()

    async def ask() -> Query:
        client = DriverClient(mongod.uri, event_listeners=[recorder], tz_aware=True)
        store = Store(storage.Database(client, DATABASE), counted_fields())
        view = store.all_tenants if account is None else store.for_account(account)
        query = await asking(view)
        await view.list_of(query).count()
        await view.list_of(query).page(25, 25)
        await view.list_of(query).page_with_total(2 * BLOCK, 25)
        await store.close()
        return query

    return io_loop.run_sync(ask), recorder.commands


def parts(explained: Any) -> Iterator[Document]:
    """Every document inside an explanation."""
    if isinstance(explained, dict):
        yield explained
        for name, inner in explained.items():
            if name not in ("rejectedPlans", "slotBasedPlan", "command"):
                yield from parts(inner)
    elif isinstance(explained, list):
        for inner in explained:
            yield from parts(inner)


class Plan:
    """How MongoDB carries a command out."""

    def __init__(self, database: Database[Document], command: Document, verbosity: str) -> None:
        self.command = command
        found = list(parts(database.command("explain", command, verbosity=verbosity)))
        self.stages = {one["stage"] for one in found if isinstance(one.get("stage"), str)}
        self.stages |= {name for one in found for name in one if name.startswith("$")}
        self.indexes = {one["indexName"] for one in found if "indexName" in one}
        self.whole_collections = sum(int(one.get("collectionScans", 0)) for one in found)
        self.examined = sum(
            int(one["executionStats"]["totalDocsExamined"]) for one in found if "executionStats" in one
        )

    @classmethod
    def of(cls, database: Database[Document], command: Document) -> Plan:
        # Only a join that is carried out tells how it reads the other collection.
        joins = any("$lookup" in stage for stage in command.get("pipeline", ()))
        return cls(database, command, "executionStats" if joins else "queryPlanner")

    def __repr__(self) -> str:
        return f"{self.command}: {sorted(self.stages)} with {sorted(self.indexes)}"


ACCOUNT = 2
FILTERS: dict[str, Document] = {
    "id": "4,7",
    "metadata": {"n": "5"},
    "details": {"CallSid": "CA4"},
    "parameters": {"limit": "1"},
    "remote_response": {"sid": "CA4"},
    "remote_queue_response": {"sid": "CA4"},
    "remote_request_params": {"from": "1294"},
    "msisdn": "+252610000004,+252610000007",
    "status": "created,failed,running,preview",
    "type": operation_links.QUEUE,
    "callout_id": "31,34",
    "contact_id": "4,7",
    "callout_population_id": "31,34",
    "callout_participation_id": "4,7",
    "phone_call_id": "4,7",
    "call_flow_logic": "CallFlowLogic::Application",
    "remote_call_id": "CA4,CA7",
    "remote_status": "busy",
    "remote_direction": "outbound-api",
    "remote_error_message": "no",
    "has_phone_calls": "true",
    "last_phone_call_attempt": "failed",
    "no_phone_calls_or_last_attempt": "failed",
    "outcome": "pending,unreached",
    "outcome_reason": "busy",
    "attempts": "0,2",
    "next_attempt_at": "2018-05-19",
    "last_attempt_at": "2018-05-19",
    "answers": {"safe": "4"},
    "answered_by": "human",
    "error_code": "21211",
    "reason": "asked",
    "source": "flow",
    "name": "4,7",
    "actor": {"type": "user", "id": "1,2"},
    "action": "create",
    "subject": {"type": "contact", "id": "4,7"},
    "request_id": "4,7",
    "approval": {"status": "submitted"},
    "address": "127.0.0.1",
    "version": "1,2",
    "language": "km,en",
    "content_type": "audio/mpeg",
    "sha256": "4,7",
    "url": "4,7",
    "event_types": "account.held",
    "disabled_reason": "was disabled by a client",
    "webhook_id": "4,7",
    "event_type": "account.held",
}


def value_for(name: str) -> Any:
    if name.endswith(("before", "after")):
        return "2100-01-01" if name.endswith("before") else "2018-05-19"
    return FILTERS[name]


# A parent of each kind that has children, all of account 2, whose ids are 1, 4, 7…
PARENT: dict[str, Document] = {
    "account": {"_id": ACCOUNT},
    "contact": {"_id": 4},
    "callout": {"_id": 31},
    "callout_participation": {"_id": 4},
    "phone_call": {"_id": 4},
}
OPERATIONS = {
    "population": {"_id": 31, "type": operation_links.POPULATION},
    "create": {"_id": 61, "type": operation_links.CREATE},
    "queue": {"_id": 91, "type": operation_links.QUEUE},
    "fetch": {"_id": 121, "type": operation_links.REMOTE_FETCH},
}


def lists() -> Iterator[Any]:
    """Every list of the contract, plain and with each of its filters, by what it is."""
    for resource in RESOURCES:
        if resource is WEBHOOK_DELIVERIES:  # they are listed under their endpoint alone
            for given in ({}, {"status": "pending"}, {"event_type": "account.held", "id": "4,7"}):
                yield pytest.param(deliveries_to(31, given, None), ACCOUNT, id=f"of an endpoint {' '.join(given)}")
            continue
        everyones = not resource.tenant
        yield pytest.param(resource.query(), None if everyones else ACCOUNT, id=resource.collection)
        # "or before" and "or after" ask MongoDB what "before" and "after" ask.
        for name in (name for name in resource.filters if "_or_before" not in name and "_or_after" not in name):
            query = resource.query({name: value_for(name)})
            yield pytest.param(query, None if everyones else ACCOUNT, id=f"{resource.collection} {name}")
        for parent in resource.parents:
            account = None if parent == "account" else ACCOUNT
            for kind, document in (
                OPERATIONS.items() if parent == "batch_operation" else [(parent, PARENT.get(parent))]
            ):
                yield pytest.param(resource.under(parent, document), account, id=f"{kind}/{resource.collection}")
                query = resource.under(parent, document, {"metadata": {"n": "5"}})
                yield pytest.param(query, account, id=f"{kind}/{resource.collection} metadata")


SORTED = {"SORT", "SORT_DEFAULT", "SORT_SIMPLE", "$sort"}
# They find one document at most for each number or name, or one in each callout: those few may be sorted.
UNIQUE = ({"unique_account_id_msisdn"}, {"unique_account_id_callout_id_msisdn"}, {"unique_account_id_name"})


def check(query: Query, plan: Plan) -> None:
    assert "COLLSCAN" not in plan.stages, plan
    assert not plan.whole_collections, plan
    assert plan.indexes or plan.stages & {"IDHACK", "EOF"}, plan
    if query.through is None:
        assert not plan.stages & SORTED or plan.indexes in UNIQUE, plan


@pytest.mark.parametrize(("query", "account"), lists())
def test_a_list_walks_an_index_in_its_order(
    many: Database[Document], mongod: PrivateMongod, io_loop: IOLoop, query: Query, account: int | None
) -> None:
    async def asking(view: TenantView) -> Query:
        return query

    _, commands = asked(mongod, io_loop, account, asking)
    assert len(commands) >= 3
    for command in commands:
        check(query, Plan.of(many, command))


METADATA = {"metadata": {"n": "5"}}
PARAMETERS: dict[str, Document] = {
    "all": {},
    "limited": {"limit": "40"},
    "per period": {"max_per_period": "40", "max_per_period_statuses": "failed,errored"},
    "contacts": {"contact_filter_params": METADATA},
    "callouts": {"callout_filter_params": {"status": "running"}},
    "participations": {"callout_participation_filter_params": METADATA},
    "attempts": {"callout_participation_filter_params": {"no_phone_calls_or_last_attempt": "failed"}, "limit": "40"},
    "phone calls": {"phone_call_filter_params": {"status": "created"}},
}
PREVIEWS = [
    pytest.param(kind, collection, parameters, id=f"{kind.name.rpartition(':')[2]} {collection} {name}")
    for kind in TYPES.values()
    for collection in kind.preview_collections
    for name, parameters in PARAMETERS.items()
]


@pytest.mark.parametrize(("kind", "collection", "parameters"), PREVIEWS)
def test_a_preview_walks_an_index_in_its_order(
    many: Database[Document],
    mongod: PrivateMongod,
    io_loop: IOLoop,
    kind: OperationType,
    collection: str,
    parameters: Document,
) -> None:
    async def asking(view: TenantView) -> Query:
        return await kind.preview(view, {"_id": 1, "type": kind.name, "parameters": parameters}, collection)

    query, commands = asked(mongod, io_loop, ACCOUNT, asking)
    for command in commands:
        check(query, Plan.of(many, command))


def test_a_run_reads_one_call_of_each_participation(
    many: Database[Document], mongod: PrivateMongod, io_loop: IOLoop
) -> None:
    async def asking(view: TenantView) -> Query:
        query = RESOURCE["callout_participations"].query({"no_phone_calls_or_last_attempt": "failed"})
        async for _ in view.list_of(query).batches(MANY - 5000, 1000):
            pass
        return query

    _, commands = asked(mongod, io_loop, ACCOUNT, asking)
    looks = [command for command in commands if command.get("aggregate") == "phone_calls"]
    assert len(looks) == 2
    for command in looks:
        plan = Plan(many, command, "executionStats")
        assert "DISTINCT_SCAN" in plan.stages and not plan.stages & {"COLLSCAN", *SORTED}, plan
        assert plan.examined <= 1000, plan


NARROW = [
    pytest.param(query, id=name)
    for name, query in {
        "contacts msisdn": RESOURCE["contacts"].query({"msisdn": "+252610000004"}),
        "participations of a contact": RESOURCE["callout_participations"].under("contact", PARENT["contact"]),
        "participations contact_id": RESOURCE["callout_participations"].query({"contact_id": "4,7"}),
        "phone calls of a contact": RESOURCE["phone_calls"].under("contact", PARENT["contact"]),
        "phone calls of a participation": RESOURCE["phone_calls"].under(
            "callout_participation", PARENT["callout_participation"]
        ),
        "phone calls participation": RESOURCE["phone_calls"].query({"callout_participation_id": "4,7"}),
        "phone calls remote_call_id": RESOURCE["phone_calls"].query({"remote_call_id": "CA4"}),
        "events of a phone call": RESOURCE["remote_phone_call_events"].under("phone_call", PARENT["phone_call"]),
        "callouts of a contact": RESOURCE["callouts"].under("contact", PARENT["contact"]),
    }.items()
]


@pytest.mark.parametrize("query", NARROW)
def test_a_narrow_list_reads_only_what_it_shows(
    many: Database[Document], mongod: PrivateMongod, io_loop: IOLoop, query: Query
) -> None:
    async def asking(view: TenantView) -> Query:
        return query

    _, commands = asked(mongod, io_loop, ACCOUNT, asking)
    for command in commands:
        plan = Plan(many, command, "executionStats")
        assert plan.examined <= 4, plan


BY_ID: dict[str, Document] = {
    "one": {"account_id": ACCOUNT, "_id": 4},
    "several": {"account_id": ACCOUNT, "_id": {"$in": [4, 7]}},
    "of several accounts": {"account_id": {"$in": [ACCOUNT, 3]}, "_id": {"$in": [4, 8]}},
}


@pytest.mark.parametrize("condition", BY_ID.values(), ids=BY_ID)
@pytest.mark.parametrize("collection", ["contacts", "callout_participations", "phone_calls"])
def test_a_document_is_found_by_its_id_beside_the_account(
    many: Database[Document], collection: str, condition: Document
) -> None:
    plan = Plan(many, {"find": collection, "filter": condition}, "executionStats")
    assert plan.indexes <= {"_id_", "account_id__id"}, plan
    assert plan.examined <= 2, plan


@pytest.mark.parametrize(
    ("collection", "field", "index"),
    [
        ("contacts", "_deleting.until", "deleting"),
        ("callout_participations", "_deleting.until", "deleting"),
        ("contacts", "_renumbered.due", "renumbered"),
    ],
)
def test_a_mark_is_found_among_an_accounts_many_documents(
    many: Database[Document], collection: str, field: str, index: str
) -> None:
    plan = Plan.of(many, {"find": collection, "filter": {"account_id": ACCOUNT, field: {"$exists": True}}})
    assert plan.indexes == {index}, plan
