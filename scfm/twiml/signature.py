"""``X-Twilio-Signature``, as https://www.twilio.com/docs/usage/security#validating-requests has it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping


def signature(auth_token: str, url: str, fields: Mapping[str, str]) -> str:
    """What one who has ``auth_token`` signs a form sent to ``url`` with, whose fields have one value each.

    Twilio's library gives the same, but looks for other kinds of fields first: six times the work. Raises ValueError
    for text that is not Unicode.
    """
    text = url + "".join([name + fields[name] for name in sorted(fields)])
    return base64.b64encode(hmac.digest(auth_token.encode(), text.encode(), "sha1")).decode()
