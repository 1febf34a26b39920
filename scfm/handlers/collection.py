"""Lists: of a resource, of what belongs to a parent, of what a batch operation would take; and creation."""

from __future__ import annotations

from typing import Any, cast

import orjson

from scfm.errors import NotFound
from scfm.handlers.client import ClientHandler
from scfm.handlers.idempotency import idempotent
from scfm.handlers.parameters import parse_id
from scfm.models.access_token import ACCESS_TOKENS
from scfm.models.account import ACCOUNTS
from scfm.models.audio_file import AUDIO_FILES
from scfm.models.batch_operation import BATCH_OPERATIONS, TYPES, validated_type
from scfm.models.call_flow import CALL_FLOWS
from scfm.models.filters import as_id, text
from scfm.models.opt_out import OPT_OUTS
from scfm.models.resource import Resource
from scfm.models.scope import Scope
from scfm.models.stored_documents import OPERATIONS
from scfm.models.user import USERS
from scfm.models.webhook_endpoint import WEBHOOK_ENDPOINTS
from scfm.storage.query import Document, Query


def resource_path(resource: Resource, document: Document) -> str:
    """Where a document is."""
    return f"/api/{resource.collection}/{document['_id']}"


class ResourceHandler(ClientHandler):
    """A handler of one resource. ``for_any_account``: a super admin may name the account it is about."""

    @property
    def resource(self) -> Resource:
        return cast(Resource, self.route_options["resource"])

    @property
    def _max_parameters(self) -> int:
        return self.resource.max_parameters

    def scope_for(self, parameters: dict[str, Any]) -> Scope:
        """The scope of the request: all accounts, the one that a super admin names, else the client's own."""
        if not self.resource.tenant:
            return self.scope_of(self.app.store.all_tenants)
        account_id = parameters.get("account_id")
        if self.route_options.get("for_any_account") and self.client.super_admin and account_id is not None:
            return self.scope_of(self.app.store.for_account(as_id(text(account_id) or "")))
        return self.own_scope()

    def tell_background(self) -> None:
        """A document has been created, changed or deleted: drop what is cached of it, and begin what follows."""
        if self.resource in (ACCOUNTS, ACCESS_TOKENS):
            self.app.forget_accounts()
        if self.resource is USERS:
            self.app.authenticator.forget()
        if self.resource in (OPT_OUTS, WEBHOOK_ENDPOINTS):
            self.app.wake()
        if self.resource in (CALL_FLOWS, AUDIO_FILES):
            self.app.flows.forget(self.client.account_id)


class CollectionHandler(ResourceHandler):
    """``GET`` and ``POST /api/contacts``."""

    async def get(self) -> None:
        parameters = self.parameters()
        given, country = parameters.get("q"), self.client.country
        query = await self.filtered(lambda: self._by_type(self.resource.query(given, country), parameters))
        await self.answer_page(self.scope_for(parameters), query, self.resource, parameters)

    head = get

    def _by_type(self, query: Query, parameters: dict[str, Any]) -> Query:
        """QUERY narrowed by ``?type=``, which batch operations have beside ``?q[type]=``."""
        if self.resource is BATCH_OPERATIONS and "type" in parameters:
            return self.resource.filtered(query, {"type": parameters["type"]})
        return query

    @idempotent
    async def post(self) -> None:
        parameters = self.parameters()
        await self.create_and_answer(self.scope_for(parameters), parameters)

    async def create_and_answer(self, scope: Scope, parameters: dict[str, Any], **known: Any) -> None:
        """Create, and answer with what was created."""
        document = await self.resource.create(scope, parameters, **known)
        self.tell_background()
        shown = await self.resource.present(scope.view, [document])
        self.answer(201, shown[0], resource_path(self.resource, document))
        if shown[0].get("token"):
            self.replayable_body = orjson.dumps({**shown[0], "token": None})


class NestedHandler(CollectionHandler):
    """``GET`` and ``POST /api/callouts/1/callout_participations``."""

    @property
    def _parent(self) -> Resource:
        return cast(Resource, self.route_options["parent"])

    def scope_for(self, parameters: dict[str, Any]) -> Scope:
        return self.scope_of(self.app.store.all_tenants) if self._parent is ACCOUNTS else self.own_scope()

    async def get(self, id_text: str) -> None:  # type: ignore[override]
        parameters = self.parameters()
        scope = self.scope_for(parameters)
        parent = await scope.view.get(self._parent.collection, parse_id(id_text))
        kind, given, country = self._parent.kind, parameters.get("q"), self.client.country
        query = await self.filtered(
            lambda: self._by_type(self.resource.under(kind, parent, given, country), parameters)
        )
        await self.answer_page(scope, query, self.resource, parameters)

    head = get  # type: ignore[assignment]

    @idempotent
    async def post(self, id_text: str) -> None:
        parameters = self.parameters()
        scope = self.scope_for(parameters)
        parent = await scope.view.get(self._parent.collection, parse_id(id_text))
        # A child takes from its parent the ids that the parent itself was made with, too.
        inherited = {reference.field: parent[reference.field] for reference in self._parent.references}
        await self.create_and_answer(scope, parameters, **{f"{self._parent.kind}_id": parent["_id"], **inherited})


class PreviewHandler(ResourceHandler):
    """``GET /api/batch_operations/1/preview/contacts``."""

    async def get(self, id_text: str) -> None:
        parameters = self.parameters()
        scope = self.own_scope()
        operation = await scope.view.get(OPERATIONS, parse_id(id_text))
        if self.resource.collection not in TYPES[operation["type"]].preview_collections:
            raise NotFound
        operation_type = await validated_type(scope.view, operation)
        previewed = await operation_type.preview(scope.view, operation, self.resource.collection)
        given, country = parameters.get("q"), self.client.country
        query = await self.filtered(lambda: self.resource.filtered(previewed, given, country))
        await self.answer_page(scope, query, self.resource, parameters)

    head = get
