"""Webhook endpoints and their deliveries: what lists and members do not do by themselves."""

from __future__ import annotations

import orjson

from scfm.handlers.client import ClientHandler
from scfm.handlers.collection import CollectionHandler
from scfm.handlers.idempotency import idempotent
from scfm.handlers.parameters import parse_id
from scfm.models.webhook_delivery import WEBHOOK_DELIVERIES, deliveries_to, redeliver
from scfm.models.webhook_endpoint import WEBHOOK_ENDPOINTS, create_endpoint, rotate_secret
from scfm.models.webhook_queue import ENDPOINT_COLLECTION
from scfm.storage.query import Document


def _answer_with_secret(handler: ClientHandler, shown: Document) -> None:
    """Answer with an endpoint that is SHOWN with its secret; who repeats the request by its key does not get that."""
    handler.answer(201, shown, f"/api/{WEBHOOK_ENDPOINTS.collection}/{shown['id']}")
    handler.replayable_body = orjson.dumps({**shown, "secret": None})


class WebhookEndpointsHandler(CollectionHandler):
    """``GET`` and ``POST /api/webhook_endpoints``."""

    @idempotent
    async def post(self) -> None:
        shown = await create_endpoint(self.own_scope(), self.parameters(), self.app.secret_box)
        _answer_with_secret(self, shown)


class RotateHandler(ClientHandler):
    """``POST /api/webhook_endpoints/1/rotate``: another secret."""

    @idempotent
    async def post(self, id_text: str) -> None:
        self.parameters()
        shown = await rotate_secret(self.own_scope(), parse_id(id_text), self.app.secret_box)
        _answer_with_secret(self, shown)


class DeliveriesHandler(ClientHandler):
    """``GET /api/webhook_endpoints/1/deliveries``."""

    async def get(self, id_text: str) -> None:
        parameters = self.parameters()
        scope = self.own_scope()
        endpoint = await scope.view.get(ENDPOINT_COLLECTION, parse_id(id_text))
        given, country = parameters.get("q"), self.client.country
        query = await self.filtered(lambda: deliveries_to(endpoint["_id"], given, country))
        await self.answer_page(scope, query, WEBHOOK_DELIVERIES, parameters)

    head = get


class RedeliverHandler(ClientHandler):
    """``POST /api/webhook_endpoints/1/deliveries/2/redeliver``: the event is told again."""

    @idempotent
    async def post(self, id_text: str, delivery_id_text: str) -> None:
        self.parameters()
        delivery = await redeliver(self.own_scope(), parse_id(id_text), parse_id(delivery_id_text))
        self.app.wake()
        endpoint_path = f"/api/{WEBHOOK_ENDPOINTS.collection}/{delivery['webhook_endpoint_id']}"
        self.answer(201, WEBHOOK_DELIVERIES.show(delivery), f"{endpoint_path}/deliveries")
