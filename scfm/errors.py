"""The errors, each by what it means; the handlers turn them into HTTP answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


class ScfmError(Exception):
    """The base of every error that this package raises on purpose."""


class StartError(ScfmError):
    """The program cannot start or go on. Its text is one line for the user: what is wrong, and what to do."""


class BadRequest(ScfmError):
    """The request cannot be read (400). Its text, if there is one, tells the client why."""


class Unauthorized(ScfmError):
    """No credentials, wrong ones, or ones that do not suffice (401).

    ``challenge``: whether the answer asks for credentials (WWW-Authenticate), which others would help.
    """

    def __init__(self, challenge: bool = True) -> None:
        super().__init__("Unauthorized")
        self.challenge = challenge


class NotFound(ScfmError):
    """The account has no such document (404)."""


class Conflict(ScfmError):
    """The same request is already being handled (409)."""


class Forbidden(ScfmError):
    """The request is not allowed, to this client or to anybody (403). Its text, if there is one, tells why."""


class UnsupportedMediaType(ScfmError):
    """The body is of a media type that is not supported (415). Its text tells the client why."""


class TooLarge(ScfmError):
    """The body is larger than the server accepts (413)."""


class Invalid(ScfmError):
    """The request is understood but breaks a rule (422).

    ``errors`` maps a field's name, or ``base``, to its messages, in the order they are shown; ``hints`` maps some of
    these names to a sentence that says what to do.
    """

    def __init__(self, errors: Mapping[str, Sequence[str]], hints: Mapping[str, str] | None = None) -> None:
        super().__init__(f"Invalid: {dict(errors)}")
        self.hints = dict(hints or {})
        self.errors = {field: list(messages) for field, messages in errors.items()}


class TooManyRequests(ScfmError):
    """It was tried too often (429). ``retry_after``: in how many seconds it may be tried again, at least one.

    ``fields``: header fields of the answer, by name, that tell of the limit.
    """

    def __init__(self, seconds: float, message: str = "", fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.retry_after = max(1, math.ceil(seconds))
        self.fields = dict(fields or {})


class SignInRefused(ScfmError):
    """An issuer of OpenID Connect, or what it says, signs nobody in. Its text is for the log."""


class Unavailable(ScfmError):
    """It cannot be done now, and may be later (503)."""


class SecretUnreadable(Unavailable):
    """A stored secret cannot be unsealed. Its text says what to do.

    ``key``: the fingerprint of the key that it needs. ``damaged``: the key is there, and what is stored is no text
    that was sealed with it. ``reason``: why the keys cannot be read.
    """

    def __init__(self, key: str, *, damaged: bool = False, reason: str = "") -> None:
        if reason:
            text = f"a stored secret cannot be read: {reason}"
        elif damaged:
            text = f"a stored secret is damaged, though its key {key} is here: set it anew"
        else:
            text = (
                f"a stored secret is sealed with the key {key}, which is not here: "
                "add that key to the secret keys, or set the secret anew"
            )
        super().__init__(text)
        self.key = key


class Unreachable(Unavailable):
    """The database does not answer. Its text is one short line of the driver's words."""


class Overloaded(Unavailable):
    """This process has too much of some work under way. Its text tells the client of what."""
