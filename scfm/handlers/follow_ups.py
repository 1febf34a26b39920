"""Callouts that follow another."""

from __future__ import annotations

from scfm.handlers.collection import ResourceHandler, resource_path
from scfm.handlers.idempotency import idempotent
from scfm.handlers.parameters import parse_id
from scfm.models.callout_follow_up import UNREACHED, follow_up
from scfm.models.stored_documents import CALLOUT_COLLECTION


class FollowUpsHandler(ResourceHandler):
    """``POST /api/callouts/1/follow_ups``: create a callout for those of another who fit ``q``."""

    @idempotent
    async def post(self, id_text: str) -> None:
        parameters = self.parameters()
        scope = self.own_scope()
        callout = await scope.view.get(CALLOUT_COLLECTION, parse_id(id_text))
        created = await follow_up(scope, callout, parameters.get("q", UNREACHED), parameters.get("metadata"))
        shown = await self.resource.present(scope.view, [created])
        self.answer(201, shown[0], resource_path(self.resource, created))
