"""The credentials of an account at a provider."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Credentials:
    """An account at a provider: who it is there, and at which address.

    ``base_url`` may have a path, ``https://somleng.example/api``. None is https://api.twilio.com, for Twilio only.
    ``unreadable``: why the auth token, which is stored sealed, cannot be read; it is "" then.
    """

    provider: str  # twilio, somleng or simulator
    account_sid: str
    auth_token: str = field(repr=False)
    base_url: str | None = None
    unreadable: str = ""
