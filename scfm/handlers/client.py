"""What handlers for clients share: who asks, within which account, and pages of documents."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any, cast

import orjson
from tornado.iostream import StreamClosedError

from scfm.errors import Forbidden, Unauthorized
from scfm.handlers.base import FRESH, BaseHandler, base_url
from scfm.handlers.forms import media_type
from scfm.handlers.pagination import PageRequest
from scfm.handlers.parameters import JSON, is_json
from scfm.models.idempotency import IdempotentRequest
from scfm.models.masking import masked, masked_json, masked_text, names_a_number, shown_to
from scfm.models.resource import Resource
from scfm.models.roles import Role
from scfm.models.scope import Client, Scope
from scfm.runtime.offload import offload
from scfm.runtime.time_slice import TimeSlice
from scfm.storage.large_page import LargePage
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView

# Verbs that need what another does.
NO_NUMBERS = "a viewer is shown no full phone numbers, and may not look for one; an operator may"
SAME_ROLE = {"HEAD": "GET", "PUT": "PATCH"}


class ClientHandler(BaseHandler):
    """A handler for clients, known by an access token or a session, who see their own account."""

    client: Client
    # What is seen of an answer: of one that is given before the client is known, all.
    role = Role.ADMIN
    idempotent_request: IdempotentRequest | None = None

    async def admit(self) -> None:
        """Find the client by its token or session; raises Unauthorized, also for what is for super admins alone.

        Raises Forbidden where its role does not reach what the route needs for this verb.
        """
        self.client = await self.app.authenticator.client(self.request)
        for name, value in self.app.request_limits.take_of_account(self.client.account_id).items():
            self.set_header(name, value)
        self.role = self.client.role
        if self.route_options.get("super_admin") and not self.client.super_admin:
            raise Unauthorized(challenge=False)
        verb = str(self.request.method)
        await self.require(self.route_options["roles"][SAME_ROLE.get(verb, verb)])

    async def require(self, needed: Role) -> None:
        """Raise Forbidden where the client's role does not include NEEDED. Roles are refused nowhere else."""
        if not self.client.role.includes(needed):
            asked = f"{self.request.method} {self.route}"
            await self.app.audit.record_role_refused(self.own_scope(), needed, asked)
            raise Forbidden

    def scope_of(self, view: TenantView) -> Scope:
        """Within what documents of a view are read and written: the client, its country, its idempotent request."""
        rules = self.app.rules.for_country(self.client.country)
        request = self.idempotent_request
        name = None if request is None else request.name
        return Scope(
            view,
            rules,
            self.client,
            request=name,
            is_retry=request is not None and request.is_retry,
            form=not is_json(self.request.headers.get("Content-Type", "")),
            plan_blockers=self.app.preflight.blockers,
            webhook_url_error=self.app.endpoint_client.url_error,
            audit=self.app.audit.trail(self.request, self.request_id, self.client, name),
        )

    def own_scope(self) -> Scope:
        """The scope of the client's own account."""
        return self.scope_of(self.app.store.for_account(self.client.account_id))

    async def filtered(self, narrow: Callable[[], Query]) -> Query:
        """What NARROW makes of the request's filters; raises BadRequest, Forbidden."""
        refuse_numbers(self.role, self.parameters().get("q"))
        return await offload(len(self.request.query) + self.size, narrow)

    async def answer_page(self, scope: Scope, query: Query, resource: Resource, parameters: dict[str, Any]) -> None:
        """Answer with the page of QUERY that the client asks for."""
        page = PageRequest.of(parameters)
        view = scope.view
        found, total = await view.list_of(query).page_with_total(page.skip, page.size)
        for name, value in page.headers(total, base_url(self) + self.request.path, self.request.query).items():
            self.set_header(name, value)
        shown = 0 if self.request.method == "HEAD" else min(page.size, max(0, total - page.skip))
        await self.app.audit.record_numbers_read(scope, resource, shown, parameters)
        if isinstance(found, LargePage):
            await self._answer_large(self._presented(view, resource, found))
        elif self.client.role is Role.VIEWER:
            await self._answer_masked(await resource.present(view, found))
        else:
            self.answer(200, await resource.present(view, found))

    def write_entity(self, content: bytes) -> None:
        """Write the whole body, as the client may see it; whoever repeats the request gets it as its own role may."""
        if self.role is Role.VIEWER:
            content_type = media_type(self._headers.get("Content-Type", ""))
            super().write_entity(
                masked_json(content) if content_type == JSON else masked_text(content.decode()).encode()
            )
        else:
            super().write_entity(content)
        self.replayable_body = content

    async def _answer_masked(self, shown: list[Document]) -> None:
        """Answer with documents whose numbers are masked; others are served meanwhile."""
        time_slice = TimeSlice()
        parts = []
        for document in shown:
            parts.append(orjson.dumps(masked(document)))
            await time_slice.pause()
        self.set_header("Cache-Control", FRESH)
        super().write_entity(b"[" + b",".join(parts) + b"]")

    async def _answer_large(self, documents: AsyncGenerator[Document, None]) -> None:
        """Answer with the JSON array of DOCUMENTS, at the pace at which the client takes it."""
        self.set_header("Cache-Control", FRESH)
        stream = cast(Any, self.request.connection).stream
        parts = _json_array(documents, self.role)
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

    async def _presented(
        self, view: TenantView, resource: Resource, page: LargePage
    ) -> AsyncGenerator[Document, None]:
        """The documents of the page; raises StreamClosedError when nobody waits for them any more."""
        async with aclosing(page.pieces()) as pieces:
            async for documents in pieces:
                if cast(Any, self.request.connection).stream.closed():
                    raise StreamClosedError
                for document in await resource.present(view, documents):
                    yield document


def refuse_numbers(role: Role, given: Any) -> None:
    """Raise Forbidden where a viewer's filters name a phone number: what they find would tell whose it is."""
    if role is Role.VIEWER and names_a_number(given):
        raise Forbidden(NO_NUMBERS)


async def _json_array(documents: AsyncGenerator[Document, None], role: Role) -> AsyncGenerator[bytes, None]:
    """Documents as JSON, as who has ROLE sees them."""
    separator = b"["
    async with aclosing(documents):
        async for document in documents:
            yield separator + orjson.dumps(shown_to(role, document))
            separator = b","
    yield b"]" if separator == b"," else b"[]"
