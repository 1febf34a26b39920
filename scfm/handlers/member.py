"""One document: fetch, update, delete, and what happens to it."""

from __future__ import annotations

import logging
from typing import Any

from scfm.errors import NotFound
from scfm.handlers.client import ClientHandler
from scfm.handlers.collection import ResourceHandler, resource_path
from scfm.handlers.hang_up import hang_up_changes
from scfm.handlers.idempotency import idempotent
from scfm.models import references
from scfm.models.account import ACCOUNTS
from scfm.models.callout import CALLOUTS
from scfm.models.contact import CONTACTS
from scfm.models.outcome import mark_participation
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.scope import Scope

log = logging.getLogger("scfm.http")


class MemberHandler(ResourceHandler):
    """``GET``, ``PATCH`` and ``DELETE /api/contacts/1``."""

    async def get(self, id_text: str) -> None:
        scope = self.scope_for(self.parameters())
        document = await scope.view.get(self.resource.collection, self.parse_id(id_text))
        shown = await self.resource.present(scope.view, [document])
        self.answer(200, shown[0])

    head = get

    async def patch(self, id_text: str) -> None:
        parameters = self.parameters()
        await self.update_and_answer(self.scope_for(parameters), self.parse_id(id_text), parameters)

    put = patch

    async def update_and_answer(self, scope: Scope, document_id: int, parameters: dict[str, Any]) -> None:
        """Update, and answer that it is done."""
        document = await self.resource.update(scope, document_id, parameters)
        if self.resource is CONTACTS and "msisdn" in parameters:
            self.app.contact_renumbered(document["_id"])
        self.tell_background()
        self.answer(204)

    async def delete(self, id_text: str) -> None:
        scope = self.scope_for(self.parameters())
        deleted = await references.delete(self.resource, scope, self.parse_id(id_text))
        if self.resource is PHONE_CALLS:
            await mark_participation(scope.view, deleted)
        self.tell_background()
        self.answer(204)


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
        wanted = hang_up_changes(parameters, self.resource is CALLOUTS and event == "stop")
        document = await self.resource.fire(scope, self.parse_id(id_text), event, wanted)
        if self.resource is PHONE_CALLS and event == "cancel":
            document = await self.app.call_withdrawn(document)
        if self.resource is CALLOUTS:
            details = (
                document["_id"],
                self.client.account_id,
                parameters["event"],
                document["status"],
                self.request_id,
            )
            log.info("callout %d of account %d: %s, and is %s (request %s)", *details)
            await self.app.callout_status_changed(document)
        self.app.wake()
        shown = await self.resource.present(scope.view, [document])
        self.answer(201, shown[0], resource_path(self.resource, document))
