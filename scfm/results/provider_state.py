"""What is known of an account's provider."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple


class ProviderState(NamedTuple):
    """What one process knows of the provider of an account.

    ``state``: it takes calls, it does not answer, or it refuses the account. ``answered_at``: when it last answered a
    request for a call, None if it was not asked since the process began.
    """

    state: Literal["ok", "failing", "refusing"] = "ok"
    answered_at: datetime | None = None
