"""``Idempotency-Key``: a POST that a client may send again over a bad line without its happening twice."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from functools import wraps

from scfm.errors import BadRequest, Invalid, NotFound, Unreachable
from scfm.handlers.base import FRESH, status_of
from scfm.handlers.client import ClientHandler
from scfm.models import idempotency
from scfm.models.idempotency import IdempotentRequest, ReplayedAnswer
from scfm.storage.tenant_view import TenantView

REPLAYED = "Idempotent-Replayed"


def idempotent(post: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Carry out a handler's POST once per Idempotency-Key, and replay its answer for 24 hours."""

    @wraps(post)
    async def idempotent_post(handler: ClientHandler, *arguments: str) -> None:
        key = idempotency_key(handler)
        if key is None:
            await post(handler, *arguments)
        else:
            # All that makes the request what it is; not, for one, the boundary that curl draws anew for each try.
            content = json.dumps([handler.request.path, handler.parameters()], sort_keys=True).encode()
            request = await handler.app.idempotency_keys.begin(own_view(handler), key, content)
            await carry_out(handler, request, lambda: post(handler, *arguments))

    return idempotent_post


def idempotency_key(handler: ClientHandler) -> str | None:
    """The request's Idempotency-Key, or None; raises BadRequest for one that cannot be used."""
    key = handler.request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?\Z", key):
        raise BadRequest("Idempotency-Key must be 1 to 255 printable ASCII characters")
    return key


def own_view(handler: ClientHandler) -> TenantView:
    """Where the client's keys are kept: no two accounts share one."""
    return handler.app.store.for_account(handler.client.account_id)


async def carry_out(
    handler: ClientHandler, request: IdempotentRequest, post: Callable[[], Awaitable[None]], body: str = ""
) -> None:
    """Carry out a request that has begun, and keep its answer, or replay the one that it had.

    BODY is the digest of a streamed body; raises Invalid if the answer is to another.
    """
    if request.answer is not None:
        if request.body != body:
            raise Invalid({"idempotency_key": [idempotency.OTHER_REQUEST]})
        _replay(handler, request.answer)
        return
    handler.idempotent_request = request
    keys, view = handler.app.idempotency_keys, own_view(handler)
    try:
        await _answer(handler, post)
        answer = ReplayedAnswer(handler.get_status(), handler.replayable_body, handler.location)
        await keys.end(view, request, answer, body)
    except Unreachable:  # another write would keep the client waiting
        keys.give_up_soon(view, request)
        raise
    except (Exception, asyncio.CancelledError):
        await keys.give_up(view, request)
        raise


async def _answer(handler: ClientHandler, post: Callable[[], Awaitable[None]]) -> None:
    """Carry out POST; what it refuses is an answer, too."""
    try:
        await post()
    except (BadRequest, Invalid, NotFound) as error:
        status = status_of(error) or 500
        handler.set_status(status)
        handler.write_error(status, exc_info=(type(error), error, None))


def _replay(handler: ClientHandler, answer: ReplayedAnswer) -> None:
    handler.set_status(answer.status)
    handler.set_header(REPLAYED, "true")
    handler.location = answer.location
    if answer.status < 400:
        handler.set_header("Cache-Control", FRESH)
    handler.write_entity(answer.body)
