"""What a plan would come to if it were started now: nobody is called, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import TypedDict

from scfm.calls.account_flows import AccountFlows, ChosenFlow
from scfm.calls.inline_twiml import NotInline, inline_twiml, next_call
from scfm.calls.plan_findings import Examined, blockers, warnings
from scfm.clock import iso, now
from scfm.models.call_hold import HELD_AT, server_state
from scfm.models.call_lifecycle import CallStatus
from scfm.models.call_work import RANK
from scfm.models.filters import text
from scfm.models.plan import Plan
from scfm.models.plan_audience import audience_of, count_audience
from scfm.models.plan_forecast import forecast
from scfm.models.plan_pace import Pace, ServerPace, pace_of
from scfm.models.platform import Platform
from scfm.models.queue_place import queue_place
from scfm.providers.abilities import Abilities, abilities_of
from scfm.storage.query import Document, Query
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.twiml.application import Unregistered
from scfm.twiml.flow import WEBHOOK_PATH

# For how long a phone rings unless the plan says otherwise: Twilio's default.
RING_SECONDS = 60.0
# By the name of the provider, how long a request for a call takes, until one has been measured.
REQUEST_SECONDS = {"twilio": 0.3, "somleng": 0.3, "simulator": 0.004}
# How long it takes to claim the next call where one has been accepted.
CLAIM_SECONDS = 0.008
# How long it takes until the end of a call is known, and the plan has looked at what follows from it.
SETTLE_SECONDS = 1.0
# No more are counted of the calls that wait.
MAX_WAITING = 100_000


class Excluded(TypedDict):
    """How many people of the audience are not called, and why."""

    opted_out: int
    duplicate_number: int


class PreflightReport(TypedDict):
    """What a preflight tells; times as JSON has them, None where there is none."""

    audience: int
    excluded: Excluded
    limited_by: str
    calls_per_second: float
    first_attempt_at: str | None
    last_first_attempt_at: str | None
    ends_at: str | None
    calls_at_most: int
    warnings: list[str]
    blockers: list[str]


class Preflight:
    """Looks at plans before they start. Every method that is awaited raises Unavailable."""

    def __init__(
        self,
        store: Store,
        platform: Platform,
        flows: AccountFlows,
        server_url: Callable[[], str],
        call_seconds: Callable[[], float],
        request_seconds: Callable[[str], float | None],
    ) -> None:
        """``server_url``: where providers reach this server. ``call_seconds``: what a call costs this process.

        ``request_seconds``: by the name of the provider, how long a request for a call was seen to take.
        """
        self._all_tenants = store.all_tenants
        self._platform = platform
        self._flows = flows
        self._server_url = server_url
        self._call_seconds = call_seconds
        self._request_seconds = request_seconds

    @property
    def webhook(self) -> str:
        """Where providers ask this server what to do, and report."""
        return self._server_url() + WEBHOOK_PATH

    async def report(self, view: TenantView, callout: Document) -> PreflightReport:
        """What the plan of CALLOUT, which must have one, would come to. Raises Invalid for filters that it lacks."""
        seen = await self._examine(view, callout)
        attempts = seen.headcount.people * seen.plan.retry.max_attempts
        return {
            "audience": seen.headcount.people,
            "excluded": {
                "opted_out": 0 if seen.plan.emergency else seen.headcount.opted_out,
                "duplicate_number": seen.headcount.duplicate_number,
            },
            "limited_by": seen.pace.limited_by,
            "calls_per_second": round(seen.pace.calls_per_second, 6),
            "first_attempt_at": iso(seen.forecast.first_attempt_at),
            "last_first_attempt_at": iso(seen.forecast.last_first_attempt_at),
            "ends_at": iso(seen.forecast.ends_at),
            "calls_at_most": attempts,
            "warnings": warnings(seen),
            "blockers": blockers(seen),
        }

    async def blockers(self, view: TenantView, callout: Document) -> list[str]:
        """Why the plan of CALLOUT, which must have one, cannot be started: full sentences, none where it can."""
        return blockers(await self._examine(view, callout))

    def pace(self, account: Document, plan: Plan | None) -> Pace:
        """How fast the calls of a plan of ACCOUNT may leave, or those without one, and by which limit."""
        provider = self._platform.credentials(account).provider
        return pace_of(plan, account["settings"], self._server_pace(provider))

    async def _examine(self, view: TenantView, callout: Document) -> Examined:
        plan, moment = Plan.of(callout), now()
        assert plan is not None
        account = await view.get("accounts", view.account_id or 0)
        credentials = self._platform.credentials(account)
        abilities = abilities_of(credentials)
        pace = self.pace(account, plan)
        headcount = await count_audience(view, callout["_id"], plan)
        waiting = await _count_waiting(view, callout)
        seconds = _ring_seconds(plan) * abilities.life_size + SETTLE_SECONDS
        chosen = await self._flows.of_call(view.account_id or 0, callout["call_flow_logic"])
        return Examined(
            account=account,
            callout=callout,
            plan=plan,
            moment=moment,
            server_held=(await server_state(self._all_tenants))[HELD_AT] is not None,
            headcount=headcount,
            pace=pace,
            forecast=forecast(plan, headcount.people, pace.calls_per_second, seconds, moment, waiting),
            waiting=waiting,
            credentials=credentials,
            abilities=abilities,
            flow=None if chosen.flow is Unregistered else chosen.flow,
            webhook=self.webhook,
            not_inline=await self._not_inline(view, callout, plan, chosen, abilities),
            audio=chosen.settings.audio,
        )

    def _server_pace(self, provider: str) -> ServerPace:
        """What the server does and allows now, for calls through PROVIDER."""
        settings, seconds = self._platform.settings, self._request_seconds(provider)
        return ServerPace(
            calls_per_second=settings.calls_per_second,
            calls_in_flight=settings.calls_in_flight,
            call_seconds=self._call_seconds(),
            request_seconds=CLAIM_SECONDS + (REQUEST_SECONDS[provider] if seconds is None else seconds),
        )

    async def _not_inline(
        self, view: TenantView, callout: Document, plan: Plan, chosen: ChosenFlow, abilities: Abilities
    ) -> str | None:
        """Why what the flow says first cannot be sent inside the call of the audience's first, if it should be."""
        if not plan.inline_twiml or chosen.flow is Unregistered:
            return None
        async with aclosing(view.list_of(await audience_of(view, plan)).batches(0, 1)) as batches:
            contacts: list[Document] = await anext(batches, [])
        if not contacts:
            return None
        contact, params = contacts[0], plan.remote_request_params
        found = next_call(callout, contact, contact["msisdn"], chosen.flow.name, params)
        try:
            inline_twiml(chosen.flow, chosen.settings, self.webhook, found, abilities)
        except NotInline as reason:
            return str(reason)
        return None


async def _count_waiting(view: TenantView, callout: Document) -> int:
    """How many queued calls of the account leave before those of the callout, which are queued behind them."""
    before = {"status": CallStatus.QUEUED.value, RANK: {"$not": {"$gt": queue_place(callout)[RANK]}}}
    others = Query("phone_calls", ({**before, "callout_id": {"$ne": callout["_id"]}},))
    return await view.list_of(others.limited(MAX_WAITING)).count()


def _ring_seconds(plan: Plan) -> float:
    """For how long a phone rings."""
    written = text(plan.remote_request_params.get("timeout")) or ""
    return float(written) if written.isascii() and written.isdigit() else RING_SECONDS
