"""What a plan would come to, before it is started."""

from __future__ import annotations

from scfm.handlers.collection import ResourceHandler
from scfm.handlers.idempotency import idempotent
from scfm.models.callout import with_plan


class PreflightHandler(ResourceHandler):
    """``POST /api/callouts/1/preflight``: of the callout's plan, or of another, which is not stored."""

    @idempotent
    async def post(self, id_text: str) -> None:
        parameters = self.parameters()
        scope = self.own_scope()
        callout = await scope.view.get(self.resource.collection, self.parse_id(id_text))
        planned = await with_plan(scope, callout, parameters)
        self.answer(200, {**await self.app.preflight.report(scope.view, planned)})
