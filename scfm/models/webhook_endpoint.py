"""Webhook endpoints: URLs of others that are told what happens in an account, as Standard Webhooks has it.

The secret is shown when it is made, and kept sealed. What the background keeps of an endpoint is in
``webhook_queue``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from scfm.clock import now
from scfm.endpoint_client.client import MAX_URL_LENGTH, NOT_A_URL
from scfm.endpoint_client.signature import new_secret
from scfm.models import filters, hints
from scfm.models.audited_change import record_change
from scfm.models.declaration import COMMON_FILTERS, Guard
from scfm.models.draft import Draft
from scfm.models.fields import BLANK, NOT_IN_LIST, Choice, Field, FieldError, Id, Link, Metadata, Rules, Text, Time
from scfm.models.resource import Resource
from scfm.models.scope import Scope
from scfm.models.stored_secrets import nothing
from scfm.models.webhook_event import EVENT_TYPES
from scfm.models.webhook_queue import (
    DISABLED,
    ENABLED,
    ENDPOINT_COLLECTION,
    ENDPOINT_DUE_INDEX,
    ENDPOINT_STATUSES,
    FormerSecret,
    WebhookEndpointDocument,
    resumed,
)
from scfm.runtime.secret_box import SecretBox
from scfm.schemas import Schema
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# The fields of its secrets, which are sealed; the newest, and those before it.
SECRET: Final = "_secret"
FORMER_SECRETS: Final = "_former_secrets"
# How long a secret signs on after another has taken its place, and how many do.
FORMER_SECRET_LIFE: Final = timedelta(days=1)
MAX_FORMER_SECRETS: Final = 4
# Endpoints of an account.
MAX_ENDPOINTS: Final = 20
DISABLED_BY_CLIENT = "was disabled by a client"


@dataclass(frozen=True)
class EndpointUrl(Text):
    """Where events are sent to."""

    schema = {
        "type": "string",
        "format": "uri",
        "maxLength": MAX_URL_LENGTH,
        "description": "https, on a public address; what WEBHOOK_ALLOWED_NETWORKS has may be http, and private.",
        "examples": ["https://example.org/alerts"],
    }

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        url = (super().read(given, old, rules) or "").strip()
        if not url:
            raise FieldError(BLANK)
        if len(url) > MAX_URL_LENGTH:
            raise FieldError(f"is too long (maximum is {MAX_URL_LENGTH} characters)")
        if not url.isprintable() or " " in url:
            raise FieldError(NOT_A_URL)
        return url


@dataclass(frozen=True)
class EventTypes(Field):
    """Which events are told, in the order of EVENT_TYPES; null stands for all."""

    settable = True
    schema = {"type": "array", "items": {"enum": list(EVENT_TYPES)}, "minItems": 1, "uniqueItems": True}

    @property
    def accepts(self) -> Mapping[str, Schema]:
        about = "Which events are told; null stands for all."
        return {self.name: {**self.schema, "type": ["array", "null"], "uniqueItems": False, "description": about}}

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = given.get(self.name, old)
        if value is None:
            return list(EVENT_TYPES)
        if isinstance(value, str):
            value = [one.strip() for one in value.split(",") if one.strip()]
        if not value:
            raise FieldError(BLANK, hint=hints.choice_of(EVENT_TYPES))
        if not isinstance(value, list) or any(one not in EVENT_TYPES for one in value):
            raise FieldError(NOT_IN_LIST, hint=hints.choice_of(EVENT_TYPES))
        return [one for one in EVENT_TYPES if one in value]


@dataclass(frozen=True)
class EndpointStatus(Choice):
    """Whether it is told of events. The server disables one that is gone, or only fails."""

    settable = True

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = given.get(self.name, old)
        if value not in self.choices:
            raise FieldError(NOT_IN_LIST, hint=hints.choice_of(self.choices))
        return value


@dataclass(frozen=True)
class ShownOnce(Field):
    """The secret: null but in the answer that makes it."""

    schema = {
        "type": ["string", "null"],
        "description": "`whsec_` and base64. Null but in the answer to the request that makes it.",
    }


class WebhookEndpoints(Resource):
    kind = "webhook_endpoint"
    collection = ENDPOINT_COLLECTION
    fields = (
        Id("id"),
        EndpointUrl("url"),
        EventTypes("event_types"),
        EndpointStatus("status", ENABLED, ENDPOINT_STATUSES),
        Field("disabled_reason"),
        ShownOnce("secret"),
        Metadata("metadata", {}),
        Time("created_at"),
        Time("updated_at"),
        Link("account_id"),
    )
    owned = (Guard("webhook_deliveries", "webhook_endpoint_id"),)
    filters = {
        **COMMON_FILTERS,
        **{name: filters.text_field(name) for name in ("url", "event_types", "status", "disabled_reason")},
    }
    required = ("url",)
    secrets = {SECRET: "secret"}
    sealed = {SECRET: nothing, f"{FORMER_SECRETS}.secret": nothing}
    indexes = (Index("account_id", "_id"), ENDPOINT_DUE_INDEX)

    async def complete(self, scope: Scope, draft: Draft) -> None:
        """Look at where the URL leads, and begin anew with an endpoint that is enabled again."""
        document, old = draft.document, draft.old
        if draft.new:
            count = len(await scope.view.find(self.collection, {}, fields=["_id"], limit=MAX_ENDPOINTS))
            if count >= MAX_ENDPOINTS:
                draft.errors.add("base", f"an account has at most {MAX_ENDPOINTS} webhook endpoints")
        moved = "url" not in draft.errors and (old is None or document["url"] != old["url"])
        if moved and (error := await scope.webhook_url_error(document["url"])):
            draft.errors.add("url", error)
        if document["status"] != (ENABLED if old is None else old["status"]):
            if document["status"] == DISABLED:
                document["disabled_reason"] = DISABLED_BY_CLIENT
            else:
                draft.document |= resumed(now())


WEBHOOK_ENDPOINTS = WebhookEndpoints()


async def create_endpoint(scope: Scope, given: Document, box: SecretBox) -> Document:
    """A new endpoint, as it is shown: with its secret. Raises Invalid, Unavailable.

    A retry of an idempotent request gives the endpoint, and the secret, that the first try has made.
    """
    stored = await WEBHOOK_ENDPOINTS.create(scope, given, **{SECRET: box.seal(new_secret())})
    return with_secret(stored, box)


async def rotate_secret(scope: Scope, document_id: int, box: SecretBox) -> Document:
    """Give an endpoint another secret; it as it is shown, with that. The former one signs beside it for a day.

    Raises NotFound, Unavailable. A retry of an idempotent request gives the secret that the first try has made.
    """
    view, secret = scope.view, box.seal(new_secret())
    while True:
        old = await view.get(ENDPOINT_COLLECTION, document_id)
        if scope.is_retry and old.get("_rotated_by") == scope.request:
            await record_change(scope, WEBHOOK_ENDPOINTS, "rotate", cast(Document, {**old, SECRET: None}), {**old})
            return with_secret({**old}, box)
        moment = now()
        change: Document = {SECRET: secret, FORMER_SECRETS: _former_secrets(old, moment)}
        if scope.request is not None:
            change["_rotated_by"] = scope.request
        updated = await WEBHOOK_ENDPOINTS.replace(view, {**old}, change)
        if updated is not None:
            await record_change(scope, WEBHOOK_ENDPOINTS, "rotate", {**old}, updated)
            return with_secret(updated, box)


def _former_secrets(endpoint: WebhookEndpointDocument, moment: datetime) -> list[FormerSecret]:
    """The former secrets of an endpoint whose secret is replaced at MOMENT, the newest first."""
    earlier = [one for one in endpoint.get(FORMER_SECRETS, []) if one["until"] > moment]
    if SECRET in endpoint:  # unless `scfm rotate-keys` has forgotten it
        earlier.insert(0, {"secret": endpoint["_secret"], "until": moment + FORMER_SECRET_LIFE})
    return earlier[:MAX_FORMER_SECRETS]


def with_secret(endpoint: Document, box: SecretBox) -> Document:
    """An endpoint as it is shown when its secret is made."""
    return {**WEBHOOK_ENDPOINTS.show(endpoint), "secret": box.unseal(endpoint[SECRET])}


def secrets_in_use(endpoint: WebhookEndpointDocument, moment: datetime, box: SecretBox) -> list[str]:
    """What signs a request to an endpoint at MOMENT: its secret, and those that were replaced a short while ago.

    Nothing where they were forgotten, as their key was lost. Raises SecretUnreadable.
    """
    former = [one["secret"] for one in endpoint.get(FORMER_SECRETS, []) if one["until"] > moment]
    return [box.unseal(sealed) for sealed in (endpoint.get(SECRET), *former) if sealed is not None]


async def wants(view: TenantView, event_type: str) -> bool:
    """Whether an endpoint of the account is told of events of a type. Raises Unavailable."""
    return await view.exists(ENDPOINT_COLLECTION, {"status": ENABLED, "event_types": event_type})
