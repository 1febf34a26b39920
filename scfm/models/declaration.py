"""What a resource declares: its fields in the order they are shown, what is unique, what it refers to, what it can be
filtered by and listed under, what keeps it from being deleted, and where its status can go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from scfm.errors import Invalid
from scfm.models import filters
from scfm.models.draft import Draft
from scfm.models.fields import Field
from scfm.models.filters import Filter
from scfm.models.scope import Scope
from scfm.models.state_machine import StateMachine
from scfm.schemas import Schema
from scfm.storage.counted_fields import CountedFields
from scfm.storage.errors import DuplicateKey
from scfm.storage.index import Index
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView

TAKEN = "has already been taken"


@dataclass(frozen=True)
class Unique:
    """Fields whose values no two documents share; an error is reported under ``error_name``, with ``hint``.

    ``only``: a condition on the documents that it is about. ``everywhere``: over all accounts.
    """

    fields: tuple[str, ...]
    error_name: str
    only: Document | None = None
    everywhere: bool = False
    hint: str | None = None

    @property
    def index(self) -> Index:
        return Index(*self.fields, name="unique_" + "_".join(self.fields), unique=True, only=self.only)


@dataclass(frozen=True)
class Reference:
    """A field that holds the id of a document of ``collection``; an error is reported under ``error_name``."""

    field: str
    collection: str
    error_name: str


@dataclass(frozen=True)
class Guard:
    """What keeps a document from being deleted: documents of ``collection`` that hold its id in ``field``.

    ``created``: they were created under it, so one that is found after its deletion may be removed.
    """

    collection: str
    field: str
    created: bool = True

    @property
    def message(self) -> str:
        return f"Cannot delete record because dependent {self.collection.replace('_', ' ')} exist"


ChildQuery = Callable[[Document], Query]
"""From a parent document to the query of the children that are listed under it."""


class Declaration:
    """What a resource declares, and what it may add to what all resources do.

    ``kind`` is its noun, ``collection`` the plural, in routes and in MongoDB. ``fields`` are in the order in which
    they are shown. ``guards``: what keeps a document from being deleted; ``owned``: what goes with it. ``parents``:
    by kind, under what its documents are listed. ``machine``: where its status can go. ``told_statuses``:
    by status, the type of the webhook event that tells that a document has got it. ``accepts``: what a client
    may give beside the fields, always, and ``accepts_new`` for a new document only; ``required``: what it must give
    for a new one. ``counted``: for a collection that may become so large that its totals are remembered.
    ``conditions``: by field, under what condition, from the document as it was read, it may still be changed.
    ``secrets``: what no audit event tells, by the stored field the name that clients give it by.
    ``sealed``: by path, ``field``, or ``list.field`` of its objects, what is stored sealed, and what is shown of it:
    see ``stored_secrets``.
    ``audit_notes``: by action, from the document what its audit event tells beside: ``{name: [before, after]}``.
    ``tenant``: its documents belong to an account. ``max_parameters``: names and list elements of one request.
    """

    kind: ClassVar[str]
    collection: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]
    unique: ClassVar[tuple[Unique, ...]] = ()
    references: ClassVar[tuple[Reference, ...]] = ()
    guards: ClassVar[tuple[Guard, ...]] = ()
    owned: ClassVar[tuple[Guard, ...]] = ()
    filters: ClassVar[Mapping[str, Filter]] = {}
    parents: ClassVar[Mapping[str, ChildQuery]] = {}
    machine: ClassVar[StateMachine | None] = None
    told_statuses: ClassVar[Mapping[str, str]] = {}
    accepts: ClassVar[Mapping[str, Schema]] = {}
    accepts_new: ClassVar[Mapping[str, Schema]] = {}
    required: ClassVar[tuple[str, ...]] = ()
    indexes: ClassVar[tuple[Index, ...]] = ()
    counted: ClassVar[CountedFields | None] = None
    conditions: ClassVar[Mapping[str, Callable[[Document], Document]]] = {}
    secrets: ClassVar[Mapping[str, str]] = {}
    sealed: ClassVar[Mapping[str, Callable[[str], str]]] = {}
    audit_notes: ClassVar[Mapping[str, Callable[[Document], Document]]] = {}
    tenant: ClassVar[bool] = True
    max_parameters: ClassVar[int] = 1000

    # What a resource may add.

    async def complete(self, scope: Scope, draft: Draft) -> None:
        """Add what follows from other documents; put what is wrong into ``draft.errors``."""

    async def present(self, view: TenantView, documents: Sequence[Document]) -> list[Document]:
        """The documents as a client sees them."""
        return [self.show(document) for document in documents]

    async def event_changes(self, scope: Scope, document: Document, event: str) -> Document:
        """By field, what else changes when EVENT moves the status, which allows it. Raises Invalid if it may not."""
        return {}

    async def check_delete(self, scope: Scope, document: Document) -> None:
        """Raise Invalid if the document's own state forbids its deletion."""

    def delete_condition(self) -> Document:
        """The condition under which the document may still be deleted at the last moment."""
        return {}

    # What all have in common.

    def uniqueness_error(self, refusal: DuplicateKey) -> Invalid:
        """The error that says which field a unique index has refused; raises REFUSAL for an index of another kind."""
        for unique in self.unique:
            if unique.index.name == refusal.index:
                hints = {} if unique.hint is None else {unique.error_name: unique.hint}
                return Invalid({unique.error_name: [TAKEN]}, hints)
        raise refusal

    def show(self, document: Document) -> Document:
        """Every field in its order, and nothing else."""
        return {name: show(document) for name, show in self._shown}

    @cached_property
    def _shown(self) -> list[tuple[str, Callable[[Document], Any]]]:
        return [(field.name, field.show) for field in self.fields]

    def query(self, parameters: Any = None, country: str | None = None) -> Query:
        """All documents, narrowed by the filters that a client gave (the value of ``q``).

        ``country``, here and below: the ``default_country`` of the client's account.
        """
        return self.filtered(Query(self.collection), parameters, country)

    def under(self, parent: str, document: Document, parameters: Any = None, country: str | None = None) -> Query:
        """The documents listed under one of kind PARENT."""
        return self.filtered(self.parents[parent](document), parameters, country)

    def filtered(self, query: Query, parameters: Any, country: str | None = None) -> Query:
        """QUERY narrowed by filters."""
        return filters.apply(query, self.filters, parameters, country)


COMMON_FILTERS: Mapping[str, Filter] = {
    "id": filters.id_field("_id"),
    "metadata": filters.json_field("metadata"),
    **filters.time_fields("created_at"),
    **filters.time_fields("updated_at"),
}


def children_by(collection: str, name: str) -> ChildQuery:
    """Children of COLLECTION that name their parent in a field of their own."""
    return lambda parent: Query(collection, ({name: parent["_id"]},))


def children_through(collection: str, key: str, joined: ChildQuery) -> ChildQuery:
    """Children of COLLECTION that other children of the same parent name in KEY."""
    return lambda parent: Query(collection, through=joined(parent), key=key)


def initial_fields(resource: Declaration) -> Document:
    """The fields of a document of RESOURCE of which nothing is known yet, but for its id and its account's."""
    return {field.name: field.initial() for field in resource.fields if field.name not in ("id", "account_id")}
