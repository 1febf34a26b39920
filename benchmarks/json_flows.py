"""A call through a call flow that is a document, beside the same call through a Python flow: the same TwiML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from benchmarks import steps
from benchmarks.ground import SID, TOKEN, Generator, Ground, person, pid_of
from benchmarks.loopback import sid_of
from benchmarks.machine import cpu_seconds
from benchmarks.measure import Figure, Plan, percentiles
from benchmarks.requests import CALLERS, FORM, STEPS, SURVEY, SURVEYS
from benchmarks.wire import request
from tests.flows.capom_definitions import SHORT_DEFINITION
from tests.server import Server

ABOUT = "webhooks through a flow as a document, beside a Python flow"
JSON_FLOW = "capom-short"
CLIENTS = 16
# In each run; of each caller there are as many requests as STEPS.
CALLS = 400


def seconds(plan: Plan) -> float:
    return 20.0 + plan.repeat * 0.04 * plan.of(CALLS, CALLERS)


class Load(NamedTuple):
    """Webhooks a second, and the processor's time of the server for one, in ms."""

    rate: float
    cost: float
    latencies: list[float]


def measure(ground: Ground, plan: Plan) -> Iterator[Figure]:
    """Both in turn, each on a server and a database of its own."""
    calls = plan.of(CALLS, CALLERS)
    loads: dict[str, list[Load]] = {JSON_FLOW: [], SURVEY: []}
    with ExitStack() as stack:
        webhooks = {flow: _webhooks(stack, ground, flow, calls * plan.repeat) for flow in loads}
        for turn in range(plan.repeat):
            for flow in loads if turn % 2 else reversed(loads):
                server, requests = webhooks[flow]
                loads[flow].append(_load(server, list(islice(requests, calls * len(STEPS)))))
    ours, python = loads[JSON_FLOW], loads[SURVEY]
    details: Mapping[str, Any] = {"latency_ms": percentiles(ours[-1].latencies)}
    rates = [tuple(load.rate for load in both) for both in (ours, python)]
    costs = [tuple(load.cost for load in both) for both in (ours, python)]
    yield Figure("Webhook of a JSON flow", "requests/s", rates[0], None, "Python flow", rates[1], "≥ 0.87", details)
    yield Figure("Processor for a webhook of a JSON flow", "ms", costs[0], None, "Python flow", costs[1], "≤ 1.15")


def _webhooks(stack: ExitStack, ground: Ground, flow: str, calls: int) -> tuple[Server, Iterator[str]]:
    """A server whose provider has so many calls that have FLOW, and the signed webhooks of these."""
    database, provider = stack.enter_context(ground.database()), stack.enter_context(ground.provider())
    server = stack.enter_context(ground.server(database, provider.url, **SURVEYS))
    ground.fill(database, calls)
    if flow == JSON_FLOW:
        made = server.request("POST", "/api/call_flows", json={"name": flow, "definition": SHORT_DEFINITION})
        published = server.request("POST", f"/api/call_flows/{made.json['id']}/publish", json={})
        assert published.status == 201, (made, published)
    callout = server.request("POST", "/api/callouts", json={"call_flow_logic": flow}).json["id"]
    steps.populate(server, callout)
    steps.create(server)
    steps.queue(server)
    provider.wait(calls)
    return server, _signed(server)


def _signed(server: Server) -> Iterator[str]:
    """All requests of the calls, CALLERS at a time."""
    url = f"{server.url}/api/remote_phone_call_events"
    sign, number = RequestValidator(TOKEN).compute_signature, 0
    while True:
        group, position = divmod(number, CALLERS * len(STEPS))
        step, caller = divmod(position, CALLERS)
        msisdn = person(group * CALLERS + caller + 1)["msisdn"]
        parameters = {
            "AccountSid": SID,
            "CallSid": sid_of(msisdn),
            "CallStatus": "in-progress",
            "Direction": "outbound-api",
            "From": "1234",
            "To": msisdn,
            **STEPS[step],
        }
        headers = {"X-Twilio-Signature": sign(url, parameters), "Content-Type": FORM}
        yield request("POST", "/api/remote_phone_call_events", headers, urlencode(parameters)).replace(
            "Host: 127.0.0.1\r\n", f"Host: {server.host}:{server.port}\r\n"
        )
        number += 1


def _load(server: Server, requests: list[str]) -> Load:
    before = cpu_seconds(pid_of(server))
    spec = {"name": "all", "port": server.port, "clients": CLIENTS, "requests": requests}
    result: dict[str, Any] = Generator([spec]).results()["all"]
    assert set(result["statuses"]) <= {"200", "201"}, result["statuses"]
    cost = 1000 * (cpu_seconds(pid_of(server)) - before) / len(requests)
    return Load(len(requests) / result["seconds"], cost, result["latencies"])
