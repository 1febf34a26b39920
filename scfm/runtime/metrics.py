"""Every figure that ``GET /metrics`` shows, declared in one place, in a registry of our own: see docs/metrics.md.

A label takes few values, which the program knows beforehand: never an account, a callout, a number or a path. What is
counted is counted by this process since it began; what is read from the database at a scrape is the same in each.
"""

from __future__ import annotations

import math
import platform
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from scfm import __version__

# When a counter began is no use to Prometheus, and doubles what a scrape brings.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY: Final = CollectorRegistry(auto_describe=True)

# The standard methods; anybody can make up others.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
OTHER: Final = "(other)"

# Processes and Python: process_resident_memory_bytes, process_open_fds, python_gc_collections_total, python_info …
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


class LoopHistogram(Collector):
    """A histogram of values that the event loop alone observes, for each request or call.

    ``Histogram`` takes several locks for a value, as it is for many threads; that is half of what a value costs.
    """

    def __init__(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        self._about = name, text, labels
        self._bounds = buckets
        # By the values of the labels: how many were within each bound and beyond the one before it; and their sum.
        self._counts: defaultdict[tuple[object, ...], list[int]] = defaultdict(lambda: [0] * (len(buckets) + 1))
        self._sums: defaultdict[tuple[object, ...], float] = defaultdict(float)
        REGISTRY.register(self)

    def observe(self, value: float, *labels: object) -> None:
        """Count a value. LABELS are the values of the labels, in their order."""
        self._counts[labels][bisect_left(self._bounds, value)] += 1
        self._sums[labels] += value

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Called by the registry at each scrape."""
        name, text, labels = self._about
        family = HistogramMetricFamily(name, text, labels=labels)
        bounds = [
            floatToGoString(bound)  # type: ignore[no-untyped-call]
            for bound in (*self._bounds, math.inf)
        ]
        for values, counts in self._counts.items():
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric([str(value) for value in values], buckets, self._sums[values])
        yield family


BUILD_INFO = Gauge(
    "scfm_build_info",
    "Always 1: which version of scfm runs, and on which Python.",
    ["version", "python"],
    registry=REGISTRY,
)
BUILD_INFO.labels(__version__, platform.python_version()).set(1)

# Requests of clients and webhooks.

# The route is the name in the table of routes, the method one of METHODS or OTHER.
HTTP_REQUEST_SECONDS = LoopHistogram(
    "scfm_http_request_duration_seconds",
    "Seconds from the head of a request to the end of its answer, by route, method and status.",
    ["route", "method", "code"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
HTTP_CONNECTIONS_OPEN = Gauge(
    "scfm_http_connections_open", "Connections of clients that are open.", registry=REGISTRY
)
HTTP_CONNECTIONS_LIMIT = Gauge(
    "scfm_http_connections_limit", "Connections of clients that may be open at once.", registry=REGISTRY
)
HTTP_CONNECTIONS_CLOSED = Counter(
    "scfm_http_connections_closed",
    "Connections that the server closed, or could not accept, for want of room, or because they took too long.",
    ["reason"],
    registry=REGISTRY,
)
HTTP_REQUESTS_LIMITED = Counter(
    "scfm_http_requests_limited",
    "Requests that were refused with 429, by the limit: account, address, wrong_tokens.",
    ["limit"],
    registry=REGISTRY,
)
WEBHOOK_LAST_RECEIVED = Gauge(
    "scfm_webhook_last_received_timestamp_seconds",
    "When a provider's signed webhook last came to this process; when the process began, if none has.",
    registry=REGISTRY,
)
WEBHOOK_LAST_RECEIVED.set_to_current_time()

# Calls.

CALLS_PLACED = Counter("scfm_calls_placed", "Calls that a provider has accepted.", ["provider"], registry=REGISTRY)
CALLS_ENDED = Counter(
    "scfm_calls",
    "Calls that have ended, by how (completed, busy, not_answered, failed, canceled, errored) and by provider.",
    ["outcome", "provider"],
    registry=REGISTRY,
)
CALLS_UNKNOWN = Gauge(
    "scfm_calls_unknown",
    "Calls of which it is not known whether they were placed; the provider is asked.",
    registry=REGISTRY,
)
CALLS_IN_THE_AIR = Gauge(
    "scfm_calls_in_the_air",
    "Calls that a provider accepted in the last quarter of an hour, and that have not ended.",
    registry=REGISTRY,
)
ACCOUNTS_HELD = Gauge("scfm_accounts_held", "Accounts whose calls are held back by a hold.", registry=REGISTRY)
SERVER_HELD = Gauge("scfm_server_held", "1 while the calls of all accounts are held back.", registry=REGISTRY)

# What waits.

QUEUE_DEPTH = Gauge(
    "scfm_queue_depth",
    "What is due and not done, by kind, counted up to 100000.",
    ["kind"],
    registry=REGISTRY,
)
QUEUE_OLDEST_AGE = Gauge(
    "scfm_queue_oldest_age_seconds",
    "For how long the oldest of it has been due, by kind; 0 where nothing is.",
    ["kind"],
    registry=REGISTRY,
)

# Providers.

PROVIDER_REQUEST_SECONDS = LoopHistogram(
    "scfm_provider_request_duration_seconds",
    "Seconds of a request to a provider, by provider and by how it ended (ok, rejected, refused …).",
    ["provider", "result"],
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
PROVIDERS_FAILING = Gauge(
    "scfm_provider_accounts_failing",
    "Accounts whose provider does not answer this process (failing) or refuses them (refusing).",
    ["state"],
    registry=REGISTRY,
)

# The process and its database.

DATABASE_UP = Gauge(
    "scfm_database_up",
    "1 where the database answered the questions of the last scrape in time, else 0.",
    registry=REGISTRY,
)
PROCESS_READY = Gauge("scfm_ready", "1 where GET /ready would answer 200, else 0.", registry=REGISTRY)
EVENT_LOOP_LAG = Histogram(
    "scfm_event_loop_lag_seconds",
    "By how many seconds a timer of the event loop was late, measured twice a second.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
    registry=REGISTRY,
)
ASKED_TOGETHER = LoopHistogram(
    "scfm_batch_size",
    "How many requests went to the database together.",
    [],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
# ``job`` would be what Prometheus calls the targets of a configuration.
JOB_FAILURES = Counter(
    "scfm_job_failures",
    "Errors that a job of the background met, by its name; not that the database does not answer.",
    ["name"],
    registry=REGISTRY,
)
LEASE_LOSSES = Counter(
    "scfm_lease_losses",
    "Work that this process had, and that was no longer its own when it wanted to go on, by kind.",
    ["kind"],
    registry=REGISTRY,
)
DATA_FREE_BYTES = Gauge(
    "scfm_data_folder_free_bytes", "Bytes that are free where the data folder is.", registry=REGISTRY
)
DATA_SIZE_BYTES = Gauge(
    "scfm_data_folder_size_bytes", "Bytes of the file system where the data folder is.", registry=REGISTRY
)

BACKUP_INTERVAL = Gauge(
    "scfm_backup_interval_seconds",
    "How often this process makes a backup (BACKUP_EVERY); 0: never.",
    registry=REGISTRY,
)
BACKUP_TIMESTAMP = Gauge(
    "scfm_backup_newest_timestamp_seconds",
    "Since when the newest backup in this process's BACKUP_DIR lacks what was acknowledged; 0 where there is none.",
    registry=REGISTRY,
)
