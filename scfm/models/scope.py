"""Who asks, and within what a request of theirs is carried out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from scfm.models.fields import Rules
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

PlanBlockers = Callable[[TenantView, Document], Awaitable[list[str]]]
"""From a callout with a plan to why that cannot be started, in full sentences."""


async def _none(view: TenantView, callout: Document) -> list[str]:
    return []


@dataclass(frozen=True)
class Client:
    """Who asks: the account, the access token it came with, and whether it may manage accounts.

    ``country`` is the account's ``default_country``, two capital letters, or None.
    """

    account_id: int
    token_id: int
    super_admin: bool = False
    country: str | None = None


@dataclass(frozen=True)
class Scope:
    """Within what a request is carried out: the account's documents, the rules of fields, and who asks.

    ``request``: the name of the IdempotentRequest, if it is one; ``is_retry``: it may have been carried out before.
    ``form``: the values that the client gives are texts, as there is no other type in a form and in a query.
    ``plan_blockers``: what the server, which knows its provider and its flows, has against the start of a plan.
    """

    view: TenantView
    rules: Rules
    client: Client
    request: str | None = None
    is_retry: bool = False
    form: bool = False
    plan_blockers: PlanBlockers = _none
