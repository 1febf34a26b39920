"""Who asks, and within what a request of theirs is carried out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from scfm.models.audit_trail import UNAUDITED, AuditTrail
from scfm.models.fields import Rules
from scfm.models.roles import Role
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

PlanBlockers = Callable[[TenantView, Document], Awaitable[list[str]]]
"""From a callout with a plan to why that cannot be started, in full sentences."""


UrlError = Callable[[str], Awaitable[str | None]]
"""From the URL of a webhook endpoint to why it cannot be one, as an error says it behind "url"; None if it can."""


async def _none(view: TenantView, callout: Document) -> list[str]:
    return []


async def _no_error(url: str) -> str | None:
    return None


@dataclass(frozen=True)
class Client:
    """Who asks: the account, the access token it came with, and whether it may manage accounts.

    ``country`` is the account's ``default_country``, two capital letters, or None. ``role`` is that of the token, or
    of the user who has signed in; then ``token_id`` is None, and ``user_id`` and ``email`` say who it is.
    ``approval_required``: the account's setting, as it was a moment ago.
    """

    account_id: int
    token_id: int | None
    super_admin: bool = False
    country: str | None = None
    role: Role = Role.ADMIN
    user_id: int | None = None
    email: str | None = None
    approval_required: bool = False

    @property
    def name(self) -> str:
        """How it is called in what it leaves behind: ``access token 3``, ``user 5``."""
        return f"access token {self.token_id}" if self.user_id is None else f"user {self.user_id}"


@dataclass(frozen=True)
class Scope:
    """Within what a request is carried out: the account's documents, the rules of fields, and who asks.

    ``request``: the name of the IdempotentRequest, if it is one; ``is_retry``: it may have been carried out before.
    ``form``: the values that the client gives are texts, as there is no other type in a form and in a query.
    ``plan_blockers``: what the server, which knows its provider and its flows, has against the start of a plan.
    ``webhook_url_error``: what it has against the URL of a webhook endpoint.
    ``audit`` records what is done.
    """

    view: TenantView
    rules: Rules
    client: Client
    request: str | None = None
    is_retry: bool = False
    form: bool = False
    plan_blockers: PlanBlockers = _none
    webhook_url_error: UrlError = _no_error
    audit: AuditTrail = UNAUDITED
