"""Signatures as Standard Webhooks has them: HMAC-SHA256 of ``ID.TIMESTAMP.BODY`` (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

SECRET_PREFIX: Final = "whsec_"
# Random bytes of a new secret; the specification takes 24 to 64.
SECRET_BYTES: Final = 32


def new_secret() -> str:
    """A new secret as its holder keeps it: ``whsec_`` and base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def endpoint_signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """``v1,`` and base64. TIMESTAMP is in seconds since 1970. Raises ValueError for a secret that is none."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    signed = hmac.digest(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


def signed_headers(secrets_in_use: Sequence[str], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one request: a signature by each secret, separated by spaces."""
    signatures = (endpoint_signature(secret, event_id, timestamp, body) for secret in secrets_in_use)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
