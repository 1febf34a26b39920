"""Somebody who is told by webhooks: an HTTP server in the test's own event loop, and the jobs that tell it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from scfm.endpoint_client.client import EndpointClient
from scfm.models.fields import Rules
from scfm.models.scope import Client, Scope
from scfm.models.webhook_delivery import DELIVERY_COLLECTION, WebhookDeliveryDocument
from scfm.models.webhook_endpoint import create_endpoint
from scfm.models.webhook_queue import ENDPOINT_COLLECTION, WebhookEndpointDocument
from scfm.runtime.secret_box import SecretBox, new_key
from scfm.setting_values import networks
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.deliver_webhooks import DeliverWebhooks
from scfm.workers.tell_endpoints import TellEndpoints
from tests.workers.background import account, pass_over

LOOPBACK = networks("127.0.0.0/8, ::1/128")
BOX = SecretBox.of_keys(new_key())

Answering = Callable[["Got"], Awaitable[web.StreamResponse]]


class Got(NamedTuple):
    """A request: its path, its headers, the body as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    request: web.Request

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> Document:
        return dict(orjson.loads(self.body))


class Receiver:
    """What it has ``got``, and how it answers: by ``status`` and ``headers``, unless ``answering`` says."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.at_once = self.most_at_once = 0
        self.status = 204
        self.headers: dict[str, str] = {}
        self.body = b""
        self.answering: Answering | None = None
        self.url = ""
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        got = Got(request.path, dict(request.headers), await request.read(), request)
        self.got.append(got)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.answering is not None:
                return await self.answering(got)
            return web.Response(status=self.status, headers=self.headers, body=self.body or None)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def receiver(host: str = "127.0.0.1", **options: Any) -> AsyncIterator[Receiver]:
    """A receiver that listens. OPTIONS are those of aiohttp's site, such as ``ssl_context``."""
    one = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", one.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, 0, **options)
    await site.start()
    one.port = runner.addresses[0][1]
    one.url = f"http://{f'[{host}]' if ':' in host else host}:{one.port}/hook"
    try:
        yield one
    finally:
        await runner.cleanup()


async def _no_pause() -> None:
    await asyncio.sleep(0)


class Teller:
    """One process that tells the endpoints of an account."""

    def __init__(self, store: Store, account_id: int) -> None:
        self.store = store
        self.account_id = account_id
        self.view = store.for_account(account_id)
        self.scope = Scope(self.view, Rules(), Client(account_id, account_id))
        self.client = EndpointClient(LOOPBACK, 100)
        self.woken = 0
        self.teller = TellEndpoints(store, self._wake)
        self.deliverer = DeliverWebhooks(store, self.client, BOX, _no_pause)

    def _wake(self) -> None:
        self.woken += 1

    async def endpoint(self, url: str, **given: Any) -> Document:
        """A new endpoint as its client is shown it, with its secret."""
        return await create_endpoint(self.scope, {"url": url, **given}, BOX)

    async def stored_endpoint(self, endpoint_id: int) -> WebhookEndpointDocument:
        return await self.view.get(ENDPOINT_COLLECTION, endpoint_id)

    async def deliveries(self, **condition: Any) -> list[WebhookDeliveryDocument]:
        return await self.view.find(DELIVERY_COLLECTION, condition)

    async def tell(self) -> int:
        """Make deliveries of what has happened; how many pieces of work that was."""
        self.teller._woken = True
        return await pass_over(self.teller)

    async def deliver(self) -> int:
        """Send what is due; how many endpoints were taken."""
        items = await self.deliverer.claim(self.deliverer.slots)
        await asyncio.gather(*(self.deliverer.process(item) for item in items))
        return len(items)

    async def both(self) -> None:
        await self.tell()
        await self.deliver()

    async def close(self) -> None:
        await self.client.close()


@asynccontextmanager
async def telling_process(store: Store, account_id: int | None = None) -> AsyncIterator[Teller]:
    """A process that tells the endpoints of that account, or of a new one."""
    one = Teller(store, await account(store) if account_id is None else account_id)
    try:
        yield one
    finally:
        await one.close()
