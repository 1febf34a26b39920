"""What a plan would come to, before it is started."""

from __future__ import annotations

from scfm.handlers.client import refuse_numbers
from scfm.handlers.collection import ResourceHandler
from scfm.handlers.idempotency import idempotent
from scfm.handlers.parameters import parse_id
from scfm.models.callout import with_plan
from scfm.models.stored_documents import CALLOUT_COLLECTION


class PreflightHandler(ResourceHandler):
    """``POST /api/callouts/1/preflight``: of the callout's plan, or of another, which is not stored."""

    @idempotent
    async def post(self, id_text: str) -> None:
        parameters = self.parameters()
        refuse_numbers(self.role, parameters.get("plan"))
        scope = self.own_scope()
        callout = await scope.view.get(CALLOUT_COLLECTION, parse_id(id_text))
        planned = await with_plan(scope, callout, parameters)
        self.answer(200, {**await self.app.preflight.report(scope.view, planned)})
