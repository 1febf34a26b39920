"""Who calls in: how the ``From`` of a webhook is read (docs/api.md, "The provider's webhook")."""

from __future__ import annotations

import re
from urllib.parse import unquote

from scfm.models import msisdn

# What Twilio sends in place of a number that the caller's network keeps back, a word typed on a phone's keys:
# https://help.twilio.com/articles/223179988. RESTRICTED, ANONYMOUS, UNAVAILABLE, UNKNOWN, BLOCKED.
WITHHELD = frozenset({"+7378742833", "+266696687", "+86282452253", "+8656696", "+2562533"})

# USER in ``sip:USER:PASSWORD@HOST``, ``sip:USER;PARAMETERS@HOST`` and ``client:USER``.
_ADDRESS = re.compile(r"(?:sips?:([^@:;]*)[^@]*@.*|client:(.*))\Z", re.IGNORECASE | re.DOTALL)
# What RFC 3966 lets stand in a number with a country code.
_GLOBAL_NUMBER = re.compile(r"\+[0-9().-]+\Z")


def msisdn_of(sent: str, country: str | None = None) -> str | None:
    """The caller's number in its one form; None for a caller without one.

    ``sent`` is the webhook's ``From``, ``country`` the account's ``default_country``. Has no number: a word in place
    of one (``anonymous``, ``Restricted``, nothing at all), what Twilio sends for those, a ``client:`` or ``sip:``
    address whose user is no number with a ``+``, and whatever else cannot be a number. It raises nothing: somebody is
    on the phone.
    """
    sent = sent.strip()
    if address := _ADDRESS.match(sent):
        sent = unquote(address[1] or address[2] or "")
        if not _GLOBAL_NUMBER.match(sent):
            return None
    caller = msisdn.normalise(sent, country)
    return None if caller in WITHHELD else caller
