"""Call flows that are documents: what is said, asked and done on the phone, without Python.

``definition`` is the draft, as the schema ``call_flow`` has it. What calls hear are its versions, which never change:
see ``call_flow_version``; ``version`` is the newest one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from scfm.models import filters
from scfm.models.call_flow_check import read_definition
from scfm.models.call_flow_version import VERSION_COLLECTION, VERSIONS
from scfm.models.declaration import COMMON_FILTERS, Guard, Unique
from scfm.models.draft import Draft
from scfm.models.fields import (
    BLANK,
    Choice,
    Field,
    FieldError,
    Id,
    Link,
    Metadata,
    Number,
    Rules,
    Text,
    Time,
)
from scfm.models.flow_names import DRAFT, FLOW_COLLECTION, FLOW_STATUSES, unfinished_naming
from scfm.models.named_resource import NamedResource
from scfm.models.scope import Scope
from scfm.schemas import Schema
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

FLOW_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z", re.ASCII)
NAME_HINT = "up to 64 letters (A to Z), digits, hyphens, underscores and dots, such as flood-km"
IS_REGISTERED = "is the name of a registered call flow"


@dataclass(frozen=True)
class FlowName(Text):
    """The name of a call flow, which is not that of a registered one."""

    schema = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "examples": ["flood-km"]}

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        name = super().read(given, old, rules)
        if not name:
            raise FieldError(BLANK, hint=NAME_HINT)
        if not FLOW_NAME.match(name):
            raise FieldError("is invalid", hint=NAME_HINT)
        if name != old and name in rules.flows:
            raise FieldError(IS_REGISTERED)
        return name


@dataclass(frozen=True)
class DefinitionField(Field):
    """A definition, which an update replaces whole. ``CallFlows.complete`` reads what a client gives."""

    schema = {"$ref": "call_flow.json"}

    @property
    def accepts(self) -> dict[str, Schema]:
        return {self.name: self.schema}


class CallFlows(NamedResource):
    kind = "call_flow"
    collection = FLOW_COLLECTION
    fields = (
        Id("id"),
        FlowName("name"),
        Choice("status", DRAFT, FLOW_STATUSES),
        Number("version"),
        DefinitionField("definition", {}),
        Metadata("metadata", {}),
        Time("created_at"),
        Time("updated_at"),
        Link("account_id"),
    )
    unique = (Unique(("account_id", "name"), "name"),)
    owned = (Guard(VERSION_COLLECTION, "call_flow_id"),)
    filters = {
        **COMMON_FILTERS,
        "name": filters.text_field("name"),
        "status": filters.text_field("status"),
        "version": filters.id_field("version"),
    }
    required = ("name", "definition")
    max_parameters = 10_000
    indexes = (Index("account_id", "_id"),)

    async def complete(self, scope: Scope, draft: Draft) -> None:
        """Read the definition."""
        if draft.new:
            draft.document[VERSIONS] = []
        if not draft.new and "definition" not in draft.given:
            return
        try:
            given = draft.given.get("definition")
            draft.document["definition"], _ = await read_definition(scope.view, given, form=scope.form)
        except FieldError as error:
            draft.errors.add("definition", *error.args, hint=error.hint)

    async def _use_of(self, view: TenantView, name: str) -> str | None:
        noun = await unfinished_naming(view, name)
        return f"unfinished {noun} name it" if noun else None


CALL_FLOWS = CallFlows()
