"""What one document costs on disk and in indexes: the units of the estimate in docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import steps
from benchmarks.ground import Documents, Generator, Ground
from benchmarks.measure import Figure, Plan
from benchmarks.requests import SURVEYS, webhooks

ABOUT = "bytes of a document and of its indexes"
COLLECTIONS = ("contacts", "callout_participations", "phone_calls", "remote_phone_call_events")
MAX_DOCUMENTS = 10_000


def seconds(plan: Plan) -> float:
    return 10.0 + 0.003 * _count(plan)


def _count(plan: Plan) -> int:
    return plan.of(min(max(plan.sizes), MAX_DOCUMENTS), 100)


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """After a run of calls, and some surveys: per document, in bytes."""
    size = _count(plan)
    with ground.database() as database, ground.provider() as provider:
        with ground.server(database, provider.url, **SURVEYS) as server:
            ground.fill(database, size)
            steps.populate(server, steps.callout(server))
            steps.create(server)
            steps.queue(server)
            provider.wait(size)
            reports = webhooks(server)
            requests = [next(reports) for _ in range(size)]
            Generator([{"name": "all", "port": server.port, "clients": 16, "requests": requests}]).results()
        database.client.admin.command("fsync")  # sizes are those of the last checkpoint
        for name in COLLECTIONS:
            yield _figure(database, name)


def _figure(database: Documents, name: str) -> Figure:
    stats = database.command("collStats", name)
    per_document = {
        "document_bytes": stats["size"] / stats["count"],
        "stored_bytes": stats["storageSize"] / stats["count"],
        "index_bytes": {index: size / stats["count"] for index, size in stats["indexSizes"].items()},
    }
    total = stats["totalIndexSize"] / stats["count"]
    return Figure(f"Indexes of {name}", "bytes/document", (total,), details={"count": stats["count"], **per_document})
