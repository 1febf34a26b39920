"""What stands against the start of a plan, and what somebody should know before it: sentences that say what to do."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from scfm.clock import iso
from scfm.models.call_hold import HELD_AT
from scfm.models.plan import Plan
from scfm.models.plan_audience import Headcount
from scfm.models.plan_forecast import Forecast
from scfm.models.plan_pace import Pace
from scfm.models.plan_provider import provider_warnings
from scfm.providers.abilities import Abilities
from scfm.providers.call_parameters import INSTRUCTIONS
from scfm.providers.credentials import Credentials
from scfm.storage.query import Document
from scfm.twiml.application import Application
from scfm.twiml.flow import Flow
from scfm.twiml.message import Message, message_problem

# For so long Twilio keeps a call waiting; no alert should last longer, whoever queues it.
LONG = timedelta(hours=24)


@dataclass(frozen=True)
class Examined:
    """All that is looked at. ``flow``: the callout's, None for one that is not registered.

    ``server_held``: whether the calls of the whole server are held. ``webhook``: where the provider is told that this
    server is. ``not_inline``: why what the flow says first cannot be sent inside a call, where the plan wants that.
    ``audio``: what ``FlowSettings`` has of it for the flow.
    """

    account: Document
    callout: Document
    plan: Plan
    moment: datetime
    server_held: bool
    headcount: Headcount
    pace: Pace
    forecast: Forecast
    waiting: int
    credentials: Credentials
    abilities: Abilities
    flow: type[Flow] | None
    webhook: str
    not_inline: str | None
    audio: Mapping[str, str]


def blockers(seen: Examined) -> list[str]:
    """Why the plan cannot be started; none where it can."""
    return [*_audience_blockers(seen), *_time_blockers(seen), *_flow_blockers(seen), *_provider_blockers(seen)]


def warnings(seen: Examined) -> list[str]:
    """What may not be as it was meant; the plan can be started all the same."""
    return [
        *_time_warnings(seen),
        *_queue_warnings(seen),
        *_flow_warnings(seen),
        *_address_warnings(seen),
        *_parameter_warnings(seen),
        *provider_warnings(seen.plan, seen.abilities),
        *_emergency_warnings(seen),
    ]


# What keeps a plan from its start.


def _audience_blockers(seen: Examined) -> Iterator[str]:
    if seen.headcount.people:
        return
    excluded = seen.headcount.opted_out + seen.headcount.duplicate_number
    if excluded:
        yield f"the audience is empty: all who fit, {excluded}, are excluded; choose others in audience"
    else:
        yield "the audience is empty: no contact fits; import contacts, or choose others in audience"


def _time_blockers(seen: Examined) -> Iterator[str]:
    plan = seen.plan
    if plan.is_over(seen.moment):
        yield f"not_after, {_written(plan.not_after)}, is in the past: give a later one, or null"
    elif plan.next_moment(seen.moment) is None:
        yield f"the window does not open before not_after, {_written(plan.not_after)}: change either"


def _flow_blockers(seen: Examined) -> Iterator[str]:
    if seen.flow is None:
        name = seen.callout["call_flow_logic"]
        yield f"{name} is not registered: choose another call_flow_logic, or add it to REGISTERED_CALL_FLOW_LOGIC"
        return
    if (
        seen.flow is Message
        and _own_flow_is_heard(seen)
        and (problem := message_problem(seen.callout["metadata"], seen.audio))
    ):
        yield f"the callout has nothing to say: {problem}; set metadata.message or metadata.audio"
    if seen.not_inline is not None:
        yield f"inline_twiml is not possible: {seen.not_inline}; leave inline_twiml out, or change the flow"


def _provider_blockers(seen: Examined) -> Iterator[str]:
    if seen.credentials.unreadable:
        yield f"the account's auth token for {seen.abilities.name} cannot be read: {seen.credentials.unreadable}"
    elif not seen.credentials.account_sid or not seen.credentials.auth_token:
        provider = seen.credentials.provider
        fields = f"{provider}_account_sid and {provider}_auth_token"
        yield f"there are no credentials for {seen.abilities.name}: set {fields} of the account, or the server's"


# What somebody should know.


def _time_warnings(seen: Examined) -> Iterator[str]:
    plan, result = seen.plan, seen.forecast
    if plan.window is not None and plan.emergency is None and not plan.window.is_open(seen.moment):
        opens = plan.window.next_opening(seen.moment)
        yield f"the window is closed now: it opens at {_written(opens)}" if opens else "the window never opens again"
    if result.cut_off and plan.not_after is not None and not plan.is_over(seen.moment):
        missed = f"{result.uncalled} people are not called" if result.uncalled else "not all attempts are made"
        end = _written(plan.not_after)
        yield f"it is not finished before not_after, {end}: {missed}; raise {seen.pace.limited_by}, or not_after"
    elif result.ends_at is None and seen.headcount.people:
        yield "it does not end within ten years: look at starts_at, calls_per_second and the window"
    if result.first_attempt_at and result.last_first_attempt_at:
        lasts = result.last_first_attempt_at - result.first_attempt_at
        if lasts > LONG:
            limit = seen.pace.limited_by
            yield f"the first attempts alone take {_duration(lasts)}, which is more than 24 hours: raise {limit}"


def _queue_warnings(seen: Examined) -> Iterator[str]:
    """Of calls that are held, that leave before, and that the provider takes faster than it places them."""
    if seen.account.get(HELD_AT):
        yield "the calls of the account are held: none leaves until they are released"
    if seen.server_held:
        yield "the calls of the whole server are held: none leaves until a super admin releases them"
    if seen.waiting:
        yield f"{seen.waiting} calls of the account are queued already, and leave before"
    places, people = seen.abilities.calls_per_second, seen.headcount.people
    if places is None or seen.pace.calls_per_second <= places or people <= 1:
        return
    name, takes = seen.abilities.name, timedelta(seconds=people / places)
    rate = f"{name} places {places:g} call per second unless it has agreed to more"
    yield f"{rate}: {_duration(takes)} for {people}; set calls_per_second of the account to what it places for you"
    hours, queued = seen.abilities.queue_hours, seen.abilities.queue_calls
    if hours is not None and takes > timedelta(hours=hours):
        yield f"that is longer than {name} queues a call, {hours} hours: later ones would fail"
    if queued is not None and people > queued:
        yield f"{name} queues at most {queued} calls: it would refuse the others"


def _flow_warnings(seen: Examined) -> Iterator[str]:
    if seen.flow is Application and _own_flow_is_heard(seen):
        yield f"people hear {Application.name}, the documentation's example: choose another call_flow_logic"


def _address_warnings(seen: Examined) -> Iterator[str]:
    if seen.credentials.provider == "simulator":
        return
    params = seen.plan.remote_request_params
    url = None if any(params.get(name) for name in INSTRUCTIONS) else seen.webhook
    addresses = (params.get("url") or url, params.get("status_callback") or seen.webhook)
    for address in dict.fromkeys(address for address in addresses if address is not None):
        if is_out_of_reach(str(address)):
            yield f"{address} is local: {seen.abilities.name} cannot reach it; set PUBLIC_URL, or give another"


def _parameter_warnings(seen: Examined) -> Iterator[str]:
    if not seen.plan.remote_request_params.get("from"):
        yield "remote_request_params has no from, the number that calls: providers refuse a call without one"
    if "not_acknowledged" in seen.plan.retry.on and not seen.plan.acknowledge:
        yield "nobody is called again for not_acknowledged, as acknowledge is false: make it true, or leave that out"


def _emergency_warnings(seen: Examined) -> Iterator[str]:
    if seen.plan.emergency is not None and seen.headcount.opted_out:
        yield f"it is an emergency: {seen.headcount.opted_out} who have opted out are called all the same"


def _own_flow_is_heard(seen: Examined) -> bool:
    """Whether who answers hears this server's flow; else that of another address, or what stands in the request."""
    given: dict[str, Any] = seen.plan.remote_request_params
    return not any(given.get(name) for name in INSTRUCTIONS) or given.get("url") == seen.webhook


def is_out_of_reach(address: str) -> bool:
    """Whether a URL leads to a host that only this machine, or its network, knows."""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal", ".lan"))


def _written(moment: datetime | None) -> str:
    return iso(moment) or ""


def _duration(lasts: timedelta) -> str:
    """``3 d 4 h``, ``3 h 20 min`` or ``45 s``."""
    seconds = round(lasts.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    return f"{minutes // (24 * 60)} d {minutes // 60 % 24} h"
