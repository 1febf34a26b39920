"""What stands in the place of what was erased of a person, where a unique index needs something to stand there.

A participation without its person names the contact ``-ID`` and the number ``erased-ID``, with its own id; a call has
no contact and no number, and the provider's name of it is ``erased-ID``. Clients see null, but of a call's name.
An opt-out whose number was erased has ``hmac-`` and a digest in its place: see ``opt_out_digest``.
"""

from __future__ import annotations

from typing import Any, Final

# On a participation or a phone call that does not tell whose it is any more.
ERASED: Final = "_erased"
ERASED_PREFIX: Final = "erased-"
DIGEST_PREFIX: Final = "hmac-"


def erased_name(document_id: int) -> str:
    """What a document has in place of what named a person."""
    return f"{ERASED_PREFIX}{document_id}"


def shown_msisdn(stored: Any) -> Any:
    """A stored phone number; None for what stands in the place of one."""
    return None if isinstance(stored, str) and stored.startswith((ERASED_PREFIX, DIGEST_PREFIX)) else stored


def shown_link(stored: Any) -> Any:
    """A stored id; None for what stands in the place of one."""
    return None if stored is None or stored < 0 else stored
