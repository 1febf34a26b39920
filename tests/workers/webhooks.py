"""What a provider's webhook says, as the code of the calls gets it."""

from __future__ import annotations

from collections.abc import Mapping

from scfm.calls.call_event import CallEvent
from scfm.calls.sender import Owner, Sender


async def calls_with(_: int) -> bool:
    """Every account calls with these credentials."""
    return True


def webhook(account_id: int | None, details: Mapping[str, str]) -> CallEvent:
    """A webhook that the account's own credentials have signed."""
    assert account_id is not None
    sender = Sender(frozenset({account_id}), False, {}, Owner(account_id), calls_with)
    return CallEvent.read(sender, details, "https://a.example")
