"""What the log tells of the running code: the HTTP request that it works for, by its id (``X-Request-Id``).

It is kept in a context variable, so tasks that a request starts have it too. What outlives the request keeps it in
the document that says what is to be done (``REQUEST_ID``), and the background takes it up from there. What many
requests share, such as a batch of their queries, runs in a context of its own (``nobody``).
"""

from __future__ import annotations

from contextvars import Context, ContextVar, copy_context
from typing import Final

# The field of a document: the id of the request that had it queued, started or moved last.
REQUEST_ID: Final = "_request_id"

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_account_id: ContextVar[int | None] = ContextVar("account_id", default=None)


def request_id() -> str | None:
    """The id of the request that this code works for; None where it works for none, or for many."""
    return _request_id.get()


def work_for(request_id: str | None) -> None:
    """From here on this task, and those that it starts, work for the request with this id, or for none."""
    _request_id.set(request_id)
    _account_id.set(None)


def request_account() -> int | None:
    """The account that the request turned out to be about, where that is not its client's: of a webhook."""
    return _account_id.get()


def is_about(account_id: int | None) -> None:
    """The request is about this account; called in the task that answers it."""
    _account_id.set(account_id)


def stored() -> dict[str, str]:
    """By field, what a document keeps of the request that this code works for."""
    request_id = _request_id.get()
    return {} if request_id is None else {REQUEST_ID: request_id}


def nobody() -> Context:
    """A context for a task, or a timer, that works for no request, whichever starts it; else like the present one."""
    context = copy_context()
    context.run(work_for, None)
    return context
