"""Resources that others mention by name instead of by id: the name stays as long as something may use it."""

from __future__ import annotations

from scfm.errors import Invalid
from scfm.models.references import mark_deleting, unmark
from scfm.models.resource import Resource
from scfm.models.scope import Scope
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView


class NamedResource(Resource):
    """A resource whose documents can be neither deleted nor renamed while something that is not over names them.

    A rename marks the document as a deletion does (``_deleting``): what names it is stored first, and then looks for
    the mark, so one of the two sees the other.
    """

    # A rename goes through only as long as its mark keeps others from naming the document.
    conditions = {"name": lambda document: {"_deleting.token": document["_deleting"]["token"]}}

    async def _use_of(self, view: TenantView, name: str) -> str | None:
        """What uses the document called NAME, as an error says it behind "because"; None if nothing does."""
        raise NotImplementedError

    async def replace(self, view: TenantView, old: Document, changes: Document) -> Document | None:
        """Store CHANGES; a new name only while nothing uses the old one. Raises Invalid."""
        if "name" not in changes:
            return await super().replace(view, old, changes)
        token = await mark_deleting(view, self.collection, old["_id"])
        try:
            if use := await self._use_of(view, old["name"]):
                raise Invalid({"name": [f"cannot be changed because {use}"]})
            return await super().replace(view, {**old, "_deleting": {"token": token}}, changes)
        finally:
            await unmark(view, self.collection, old["_id"], token)

    async def check_delete(self, scope: Scope, document: Document) -> None:
        """Raise Invalid where something uses the document."""
        if use := await self._use_of(scope.view, document["name"]):
            raise Invalid({"base": [f"Cannot delete record because {use}"]})
