"""One document: fetch, update, delete, and what happens to it."""

from __future__ import annotations

import logging
from typing import Any, cast

from scfm.errors import Forbidden, NotFound
from scfm.handlers.client import ClientHandler
from scfm.handlers.collection import ResourceHandler, resource_path
from scfm.handlers.hang_up import hang_up_changes
from scfm.handlers.idempotency import idempotent
from scfm.handlers.parameters import boolean, parse_id
from scfm.models import references
from scfm.models.account import ACCOUNTS
from scfm.models.callout import CALLOUTS
from scfm.models.contact import CONTACTS
from scfm.models.erasure_record import request_erasure
from scfm.models.outcome import mark_participation
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.plan_approval import APPROVE, REJECT
from scfm.models.roles import Role
from scfm.models.scope import Scope
from scfm.models.stored_documents import PhoneCallDocument
from scfm.runtime.log_format import fields
from scfm.twiml.application import Application

log = logging.getLogger("scfm.http")

EXAMPLE_FLOW = "callout %d of account %d: people hear %s, the documentation's example; choose another call_flow_logic"


class MemberHandler(ResourceHandler):
    """``GET``, ``PATCH`` and ``DELETE /api/contacts/1``."""

    async def get(self, id_text: str) -> None:
        scope = self.scope_for(self.parameters())
        document = await scope.view.get(self.resource.collection, parse_id(id_text))
        shown = await self.resource.present(scope.view, [document])
        numbers = 0 if self.request.method == "HEAD" else 1
        await self.app.audit.record_numbers_read(scope, self.resource, numbers, {})
        self.answer(200, shown[0])

    head = get

    async def patch(self, id_text: str) -> None:
        parameters = self.parameters()
        await self.update_and_answer(self.scope_for(parameters), parse_id(id_text), parameters)

    put = patch

    async def update_and_answer(self, scope: Scope, document_id: int, parameters: dict[str, Any]) -> None:
        """Update, and answer that it is done."""
        document = await self.resource.update(scope, document_id, parameters)
        if self.resource is CONTACTS and "msisdn" in parameters:
            self.app.contact_renumbered(document["_id"])
        self.tell_background()
        self.answer(204)

    async def delete(self, id_text: str) -> None:
        parameters = self.parameters()
        scope = self.scope_for(parameters)
        if self.resource is CONTACTS and boolean(parameters, "purge"):
            await self._erase(scope, parse_id(id_text))
            return
        deleted = await references.delete(self.resource, scope, parse_id(id_text))
        if self.resource is PHONE_CALLS:
            await mark_participation(scope.view, deleted)
        self.tell_background()
        self.answer(204)

    async def _erase(self, scope: Scope, contact_id: int) -> None:
        """Begin to erase a person, which cannot be taken back: it is done when the contact is not found any more."""
        await self.require(Role.ADMIN)
        await request_erasure(scope, contact_id)
        self.app.wake()
        self.answer(202, {"id": contact_id, "status": "erasing"})


class OwnAccountHandler(ClientHandler):
    """``GET`` and ``PATCH /api/account``: the client's own."""

    async def get(self) -> None:
        self.parameters()
        document = await self.own_scope().view.get(ACCOUNTS.collection, self.client.account_id)
        self.answer(200, ACCOUNTS.show(document))

    head = get

    async def patch(self) -> None:
        await ACCOUNTS.update(self.own_scope(), self.client.account_id, self.parameters())
        self.app.forget_accounts()
        self.answer(204)

    put = patch


class EventsHandler(ResourceHandler):
    """``POST /api/callouts/1/callout_events``: an event moves the document's status."""

    @idempotent
    async def post(self, id_text: str) -> None:
        parameters = self.parameters()
        scope = self.own_scope()
        if self.resource.machine is None:
            raise NotFound
        event = parameters.get("event")
        if self.resource is CALLOUTS and event in (APPROVE, REJECT):
            await self.require(Role.APPROVER)
        wanted = hang_up_changes(parameters, self.resource is CALLOUTS and event == "stop")
        try:
            document = await self.resource.fire(scope, parse_id(id_text), event, wanted)
        except Forbidden:  # it needs an approver, and not the one who has written it
            await self.app.audit.record_role_refused(scope, Role.APPROVER, f"POST {self.route}")
            raise
        if self.resource is PHONE_CALLS and event == "cancel":
            document = {**await self.app.call_withdrawn(cast(PhoneCallDocument, document))}
        if self.resource is CALLOUTS:
            account_id, status = self.client.account_id, document["status"]
            log.info(
                "callout %d of account %d: %s, and is %s",
                *(document["_id"], account_id, event, status),
                extra=fields(callout_id=document["_id"], account_id=account_id, event=event, becomes=status),
            )
            if (
                event in ("start", APPROVE)
                and self.app.flows.registry.get(document["call_flow_logic"]) is Application
            ):
                log.warning(EXAMPLE_FLOW, document["_id"], self.client.account_id, Application.name)
            await self.app.callout_status_changed(document)
        self.app.wake()
        shown = await self.resource.present(scope.view, [document])
        self.answer(201, shown[0], resource_path(self.resource, document))
