"""``Idempotency-Key``: a POST that a client may send again over a bad line without its happening twice."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from functools import wraps

from scfm.errors import BadRequest, Invalid, NotFound
from scfm.handlers.base import FRESH, ClientHandler
from scfm.models import idempotency
from scfm.models.idempotency import Answer

REPLAYED = "Idempotent-Replayed"


def once(post: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Carry out a handler's POST once per Idempotency-Key, and replay its answer for 24 hours."""

    @wraps(post)
    async def carry_out(handler: ClientHandler, *arguments: str) -> None:
        key = handler.request.headers.get("Idempotency-Key")
        if key is None:
            await post(handler, *arguments)
        else:
            await _once(handler, _checked(key), lambda: post(handler, *arguments))

    return carry_out


def _checked(key: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?\Z", key):
        raise BadRequest("Idempotency-Key must be 1 to 255 printable ASCII characters")
    return key


async def _once(handler: ClientHandler, key: str, post: Callable[[], Awaitable[None]]) -> None:
    view = handler.app.store.for_account(handler.client.account_id)
    named = await idempotency.begin(view, key, _content(handler))
    if named.answer is not None:
        _replay(handler, named.answer)
        return
    handler.named = named
    try:
        await post()
    except (BadRequest, Invalid, NotFound) as error:
        handler.answer_error(error)
    except BaseException:
        await idempotency.give_up(view, named)
        raise
    answer = Answer(handler.get_status(), handler.lasting_entity, handler.location)
    await idempotency.end(view, named, answer)


def _content(handler: ClientHandler) -> bytes:
    """All that makes the request what it is; not, for one, the boundary that curl draws anew for each try."""
    return json.dumps([handler.request.path, handler.parameters()], sort_keys=True).encode()


def _replay(handler: ClientHandler, answer: Answer) -> None:
    handler.set_status(answer.status)
    handler.set_header(REPLAYED, "true")
    if answer.location is not None:
        handler.set_header("Location", answer.location)
    if answer.status < 400:
        handler.set_header("Cache-Control", FRESH)
    handler.write_entity(answer.body)
