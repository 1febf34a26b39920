"""Makes the attempts of a plan: a phone call for each participation that is due, queued as it is created.

An attempt has an ordinal in its participation, and a unique index allows one call of each. So whatever is cut off
here, or done twice, makes no attempt twice: what is made is found again, and the participation is told.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress

from scfm.calls.account_flows import AccountFlows
from scfm.calls.inline_twiml import NotInline, inline_twiml, next_call
from scfm.models.batch_operations.create_missing import create_missing
from scfm.models.call_lifecycle import queued_fields
from scfm.models.declaration import initial_fields
from scfm.models.outcome import ATTEMPT_NUMBER
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.plan import Plan
from scfm.models.plan_approval import flow_heard
from scfm.models.planned_participation import call_attempt
from scfm.models.queue_place import queue_place
from scfm.models.renumbering import MSISDN_KIND
from scfm.models.stored_documents import CONTACT_COLLECTION, PARTICIPATIONS, CalloutDocument, ParticipationDocument
from scfm.providers.abilities import Abilities, abilities_of
from scfm.storage.tenant_view import TenantView
from scfm.twiml.flow import WEBHOOK_PATH
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.request_params import attempt_params

# What a call copies from its participation.
COPIED = ("callout_id", "contact_id", "msisdn", MSISDN_KIND)
NEEDED_FIELDS = (*COPIED, "call_flow_logic", "metadata", ATTEMPT_NUMBER)


class PlanAttempts:
    """Every method that is awaited raises Unavailable."""

    def __init__(self, accounts: CallingAccounts, flows: AccountFlows, server_url: Callable[[], str]) -> None:
        """SERVER_URL gives the address at which providers reach this server."""
        self._accounts = accounts
        self._flows = flows
        self._server_url = server_url

    async def make(
        self, view: TenantView, callout: CalloutDocument, plan: Plan, participations: Sequence[ParticipationDocument]
    ) -> None:
        """Make the next attempt of each of the PARTICIPATIONS, which are due and whole."""
        abilities = abilities_of(await self._accounts.credentials(view.account_id or 0))
        common = {**initial_fields(PHONE_CALLS), **queued_fields(queue_place(callout))}
        lock = asyncio.Lock()
        inline = await self._inline(view, callout, plan, abilities, participations) if plan.inline_twiml else {}
        # By what their calls have in common, the ordinal and the TwiML inside; by id within that.
        groups: dict[tuple[int, str | None], list[ParticipationDocument]] = defaultdict(list)
        for participation in sorted(participations, key=lambda one: one["_id"]):
            groups[participation[ATTEMPT_NUMBER], inline.get(participation["_id"])].append(participation)
        for (ordinal, twiml), group in groups.items():
            await create_missing(
                view,
                PHONE_CALLS,
                group,
                lock,
                parent_collection=PARTICIPATIONS,
                link="callout_participation_id",
                scope={ATTEMPT_NUMBER: ordinal},
                common={**common, "remote_request_params": attempt_params(plan, abilities, twiml)},
                copy_fields=COPIED,
            )
            # Of those that are left out somebody else has made this attempt.
            await view.update_many(PARTICIPATIONS, *call_attempt([one["_id"] for one in group], ordinal))

    async def _inline(
        self,
        view: TenantView,
        callout: CalloutDocument,
        plan: Plan,
        abilities: Abilities,
        participations: Sequence[ParticipationDocument],
    ) -> dict[int, str]:
        """By the participation's id, what its flow says first; not of those that it cannot be sent to so."""
        among = {"_id": {"$in": [one["contact_id"] for one in participations]}}
        contacts = {contact["_id"]: contact for contact in await view.find(CONTACT_COLLECTION, among, sort=())}
        webhook = self._server_url() + WEBHOOK_PATH
        found: dict[int, str] = {}
        for participation in participations:
            contact = contacts.get(participation["contact_id"])
            if contact is None:
                continue
            name = flow_heard(callout, participation, callout)
            flow, settings = await self._flows.of_call(view.account_id or 0, name, callout=callout)
            about = next_call(callout, contact, participation["msisdn"], flow.name, plan.remote_request_params)
            # Where it cannot be sent inside, the provider asks for it when somebody answers.
            with suppress(NotInline):
                found[participation["_id"]] = inline_twiml(flow, settings, webhook, about, abilities)
            await asyncio.sleep(0)
        return found
