"""How a request to a provider can fail. A call that is sent twice rings twice, so the class says whether it may have.

``CallRejected``: nothing rang, and the same request would fail again.
``NotSent``: nothing rang, and the request may be sent again.
``Unknown``: it may have rung.
"""

from __future__ import annotations

from scfm.errors import ScfmError

# How the message of every failure begins, by what was asked for: the words of the guide.
CREATE_FAILED = "Unable to create record"
FETCH_FAILED = "Unable to fetch record"
HANG_UP_FAILED = "Unable to update record"
DELETE_FAILED = "Unable to delete record"
MAX_MESSAGE = 1000


class ProviderError(ScfmError):
    """The request failed. ``message`` is for the client: ``Unable to create record: …``."""

    def __init__(self, message: str) -> None:
        # A JSON string may hold half a character (a lone surrogate), which no database takes.
        self.message = message[:MAX_MESSAGE].encode("utf-8", "replace").decode()
        super().__init__(self.message)


class CallRejected(ProviderError):
    """The provider rejected the request (4xx), or would have: the same request would fail again. Nothing rang.

    ``code`` is the provider's code of the error, if it gave one: see ``refusals``.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class AccountRefused(CallRejected):
    """The provider refuses every request of the account (401, 403), or a setting of it is ``missing``.

    ``unreadable``: its auth token is there, but cannot be read, which is mended on this side.
    """

    def __init__(
        self, message: str, code: int | None = None, *, missing: bool = False, unreadable: bool = False
    ) -> None:
        super().__init__(message, code)
        self.missing = missing
        self.unreadable = unreadable


class NotSent(ProviderError):
    """The request provably never left, or was over the provider's rate limit (429): it may be sent again.

    ``retry_after``: the seconds that the provider asked for, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unknown(ProviderError):
    """It may have rung: no answer, one that cannot be read, or a failure of the provider's own (5xx)."""
