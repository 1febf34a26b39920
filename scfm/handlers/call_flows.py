"""Call flows that are documents: what there is beside the list and the members."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import cast

from scfm.handlers.base import FRESH, base_url
from scfm.handlers.collection import ResourceHandler, resource_path
from scfm.handlers.idempotency import idempotent
from scfm.handlers.pagination import PageRequest
from scfm.handlers.parameters import parse_id
from scfm.models.call_flow_check import audio_paths, read_definition
from scfm.models.call_flow_publication import chosen_version, publish
from scfm.models.call_flow_rehearsal import rehearse_flow
from scfm.models.call_flow_version import VERSIONS, shown_versions
from scfm.models.fields import FieldError
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView
from scfm.twiml.definition import Definition
from scfm.twiml.definition_coverage import coverage
from scfm.twiml.definition_diagram import diagram
from scfm.twiml.flow import WEBHOOK_PATH

# Each may have 256 KiB.
MAX_VERSIONS_AT_ONCE = 25


class PublishHandler(ResourceHandler):
    """``POST /api/call_flows/1/publish``: the draft, or ``version``, becomes the newest version."""

    @idempotent
    async def post(self, id_text: str) -> None:
        parameters = self.parameters()
        scope = self.own_scope()
        settings = await self.app.flows.settings(self.client.account_id)
        flow = await publish(scope, parse_id(id_text), settings, parameters.get("version"))
        self.tell_background()
        await self.app.flows.prepare(self.client.account_id, flow["name"])
        self.answer(201, self.resource.show(flow), resource_path(self.resource, flow))


class ValidateHandler(ResourceHandler):
    """``POST /api/call_flows/validate``: what is wrong with a ``definition``, and what may be better."""

    @idempotent
    async def post(self) -> None:
        given = self.parameters().get("definition")
        scope = self.own_scope()
        try:
            _, warnings = await read_definition(scope.view, given, form=scope.form)
        except FieldError as error:
            raise error.of("definition") from None
        self.answer(200, {"warnings": warnings})


class RehearsalsHandler(ResourceHandler):
    """``POST /api/call_flows/1/rehearsals``: a call through the draft, or through ``version``; nobody is called."""

    @idempotent
    async def post(self, id_text: str) -> None:
        parameters = self.parameters()
        scope = self.own_scope()
        flow = await scope.view.get(self.resource.collection, parse_id(id_text))
        settings = await self.app.flows.settings(self.client.account_id)
        webhook = base_url(self) + WEBHOOK_PATH
        self.answer(200, await rehearse_flow(scope, flow, settings, webhook, parameters))


class DefinitionHandler(ResourceHandler):
    """What shows the draft of a flow, or its ``version``, in another form."""

    async def definition(self, id_text: str) -> Definition:
        """The definition that is asked for. Raises NotFound, Invalid."""
        version = self.parameters().get("version")
        scope = self.own_scope()
        flow = await scope.view.get(self.resource.collection, parse_id(id_text))
        return cast(Definition, (await chosen_version(scope, flow, version)).definition)


class GraphHandler(DefinitionHandler):
    """``GET /api/call_flows/1/graph``: a flowchart, as Mermaid has it."""

    async def get(self, id_text: str) -> None:
        drawn = diagram(await self.definition(id_text))
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Cache-Control", FRESH)
        self.write_entity(drawn.encode())

    head = get


class CoverageHandler(DefinitionHandler):
    """``GET /api/call_flows/1/coverage``: which prompts there are in which language."""

    async def get(self, id_text: str) -> None:
        definition = await self.definition(id_text)
        audio = await audio_paths(self.own_scope().view, cast(Document, definition))
        self.answer(200, {**coverage(definition, audio)})

    head = get


class VersionsHandler(ResourceHandler):
    """``GET /api/call_flows/1/versions``: the newest first."""

    async def get(self, id_text: str) -> None:
        page = PageRequest.of(self.parameters())
        view = self.own_scope().view
        flow = await view.get(self.resource.collection, parse_id(id_text))
        named = flow[VERSIONS][::-1][page.skip : page.skip + page.size]
        total, url = len(flow[VERSIONS]), base_url(self) + self.request.path
        for name, value in page.headers(total, url, self.request.query).items():
            self.set_header(name, value)
        if len(named) <= MAX_VERSIONS_AT_ONCE:
            self.answer(200, await shown_versions(view, named))
        else:
            await self._answer_large(_few_at_once(view, named))

    head = get


async def _few_at_once(view: TenantView, named: Sequence[Document]) -> AsyncGenerator[Document, None]:
    """A page of versions, of which not all are held at once."""
    for begin in range(0, len(named), MAX_VERSIONS_AT_ONCE):
        for version in await shown_versions(view, named[begin : begin + MAX_VERSIONS_AT_ONCE]):
            yield version
