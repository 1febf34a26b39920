"""Whether a URL is of a recording at an account's own provider: nobody else may see the account's credentials."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, urlsplit

from scfm.providers.credentials import Credentials

TWILIO_URL = "https://api.twilio.com"
# Twilio's URLs have none, and give a WAV with it.
RECORDING_ENDING = r"(?:\.wav|\.mp3)?"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_recording_of(credentials: Credentials, url: str) -> bool:
    """Whether URL leads to a recording of the account, at the scheme, host and port that its calls are made at."""
    try:
        asked, own = urlsplit(url), urlsplit(credentials.base_url or TWILIO_URL)
        same = _origin(asked) == _origin(own)
    except ValueError:
        return False
    account = re.escape(quote(credentials.account_sid, safe=""))
    recordings = rf"{re.escape(own.path.rstrip('/'))}/2010-04-01/Accounts/{account}/Recordings"
    path = rf"{recordings}/[A-Za-z0-9-]{{1,64}}{RECORDING_ENDING}"
    plain = "@" not in asked.netloc and not asked.query and not asked.fragment
    return same and plain and re.fullmatch(path, asked.path) is not None


def file_url(url: str) -> str:
    """Where a recording is as a file."""
    return url if url.endswith((".wav", ".mp3")) else f"{url}.wav"


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
