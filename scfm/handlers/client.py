"""What handlers for clients share: who asks, within which account, and pages of documents."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any, cast

import orjson
from tornado.iostream import StreamClosedError

from scfm.errors import NotFound, Unauthorized
from scfm.handlers.base import FRESH, BaseHandler, base_url
from scfm.handlers.pagination import PageRequest
from scfm.handlers.parameters import is_json
from scfm.models.filters import as_id
from scfm.models.idempotency import IdempotentRequest
from scfm.models.resource import Resource
from scfm.models.scope import Client, Scope
from scfm.runtime.offload import offload
from scfm.storage.large_page import LargePage
from scfm.storage.query import Query
from scfm.storage.tenant_view import TenantView


class ClientHandler(BaseHandler):
    """A handler for clients, who are known by an access token, and see their own account."""

    client: Client
    idempotent_request: IdempotentRequest | None = None

    async def admit(self) -> None:
        """Find the client by its access token; raises Unauthorized, also for what is for super admins alone."""
        self.client = await self.app.authenticator.client(self.request.headers.get("Authorization"))
        if self.route_options.get("super_admin") and not self.client.super_admin:
            raise Unauthorized(challenge=False)

    def scope_of(self, view: TenantView) -> Scope:
        """Within what documents of a view are read and written: the client, its country, its idempotent request."""
        rules = self.app.rules.for_country(self.client.country)
        request = self.idempotent_request
        return Scope(
            view,
            rules,
            self.client,
            request=None if request is None else request.name,
            is_retry=request is not None and request.is_retry,
            form=not is_json(self.request.headers.get("Content-Type", "")),
            plan_blockers=self.app.preflight.blockers,
        )

    def own_scope(self) -> Scope:
        """The scope of the client's own account."""
        return self.scope_of(self.app.store.for_account(self.client.account_id))

    def parse_id(self, id_text: str) -> int:
        """The id in a path; raises NotFound for what cannot be one."""
        document_id = as_id(id_text)
        if not document_id:
            raise NotFound
        return document_id

    async def filtered(self, narrow: Callable[[], Query]) -> Query:
        """What NARROW makes of the request's filters; raises BadRequest."""
        return await offload(len(self.request.query) + self.size, narrow)

    async def answer_page(self, scope: Scope, query: Query, resource: Resource, parameters: dict[str, Any]) -> None:
        """Answer with the page of QUERY that the client asks for."""
        page = PageRequest.of(parameters)
        view = scope.view
        found, total = await view.list_of(query).page_with_total(page.skip, page.size)
        for name, value in page.headers(total, base_url(self) + self.request.path, self.request.query).items():
            self.set_header(name, value)
        if isinstance(found, LargePage):
            await self._answer_large(self._json_array(view, resource, found))
        else:
            self.answer(200, await resource.present(view, found))

    async def _answer_large(self, parts: AsyncGenerator[bytes, None]) -> None:
        """Answer with the JSON that PARTS make, at the pace at which the client takes it."""
        self.set_header("Cache-Control", FRESH)
        stream = cast(Any, self.request.connection).stream
        with suppress(StreamClosedError):  # the client has gone
            async with self.app.large_answers.collected(parts, stream.abort) as answer:
                self.etag = f'W/"{answer.digest}"'
                self.set_etag_header()
                if self.check_etag_header():
                    self.set_status(304)
                    return
                self.set_header("Content-Length", answer.size)
                self.set_header("X-Runtime", f"{self.request.request_time():.6f}")
                if self.request.method == "HEAD":
                    return
                async for part in answer.parts():
                    self.write(part)
                    await self.flush()

    async def _json_array(self, view: TenantView, resource: Resource, page: LargePage) -> AsyncGenerator[bytes, None]:
        """The page as JSON; raises StreamClosedError when nobody waits for it any more."""
        separator = b"["
        async with aclosing(page.pieces()) as pieces:
            async for documents in pieces:
                if cast(Any, self.request.connection).stream.closed():
                    raise StreamClosedError
                for document in await resource.present(view, documents):
                    yield separator + orjson.dumps(document)
                    separator = b","
        yield b"]"
