"""How long webhooks take while strangers hold connections and guess passwords, and before that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from benchmarks.ground import UNLIMITED, Generator, Ground, child
from benchmarks.measure import Figure, Plan, percentiles
from benchmarks.requests import SURVEYS, webhooks
from tests.server import Server

ABOUT = "webhooks during slow clients, idle connections and wrong passwords"
WEBHOOK_RATE = 50
CALM_SECONDS, ATTACK_SECONDS = 15.0, 60.0
# Those that a server has where nothing is set.
LIMITS = dict.fromkeys(UNLIMITED, "")
IDLE, SLOW, PASSWORDS_PER_SECOND = 5000, 1000, 200.0


def seconds(plan: Plan) -> float:
    return plan.repeat * (CALM_SECONDS + ATTACK_SECONDS + 20.0)


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """The 99th percentile of webhooks at a steady pace, under attack and before."""
    rounds = [_round(ground, plan) for _ in range(plan.repeat)]
    yield Figure(
        f"Webhook at {WEBHOOK_RATE}/s under attack, p99",
        "ms",
        tuple(one["attacked_ms"]["p99"] for one in rounds),
        plan.of(IDLE + SLOW, 60),
        goal="≤ 250",
        details={"rounds": rounds},
    )


def _round(ground: Ground, plan: Plan) -> dict[str, Any]:
    report = ground.folder / "attack.json"
    idle, slow = plan.of(IDLE, 50), plan.of(SLOW, 10)
    with ground.database() as database, ground.server(database, **SURVEYS, **LIMITS) as server:
        calm = _webhooks(server, 0, 1.0 if plan.short else CALM_SECONDS)
        options = ("--idle", str(idle), "--slow", str(slow), "--passwords", str(PASSWORDS_PER_SECOND))
        with child("-m", "benchmarks.attackers", str(server.port), str(report), *options):
            attacked = _webhooks(server, 10**6, 1.0 if plan.short else ATTACK_SECONDS)
        sent = sum(sum(one["statuses"].values()) for one in (calm, attacked))
        assert set(calm["statuses"]) | set(attacked["statuses"]) == {"201"}, attacked["statuses"]
        stored = database.remote_phone_call_events.count_documents({})
        assert stored == sent, f"of {sent} webhooks {stored} are stored"
    return {
        "calm_ms": percentiles(calm["latencies"]),
        "attacked_ms": percentiles(attacked["latencies"]),
        "webhooks": sent,
        "attack": json.loads(report.read_text()),
    }


def _webhooks(server: Server, first: int, seconds: float) -> dict[str, Any]:
    """What came of webhooks at the pace of WEBHOOK_RATE; FIRST is the number of the first."""
    requests = list(islice(webhooks(server, first), int(WEBHOOK_RATE * (seconds + 10))))
    stream = {"name": "webhook", "port": server.port, "clients": 8, "rate": WEBHOOK_RATE, "requests": requests}
    found: dict[str, Any] = Generator([stream]).after(seconds)["webhook"]
    return found
