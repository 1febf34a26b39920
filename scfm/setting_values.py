"""Readers of settings: each takes the text of a setting, and gives its value or raises ValueError.

The error's text goes on after "but", as in ``PORT is 'x', but must be a whole number from 0 to 65535``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """The reader of a whole number within these bounds."""

    def read(value: str) -> int:
        written = value.strip()
        if not re.fullmatch(r"[0-9]{1,18}", written, re.ASCII) or not minimum <= int(written) <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        return int(written)

    return read


def number(minimum: float, maximum: float) -> Callable[[str], float]:
    """The reader of a number within these bounds, with a decimal point or without."""

    def read(value: str) -> float:
        written = value.strip()
        if (
            not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{0,18})?", written, re.ASCII)
            or not minimum <= float(written) <= maximum
        ):
            raise ValueError(f"must be a number from {minimum:g} to {maximum:g}")
        return float(written)

    return read


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(minimum: int, maximum: int) -> Callable[[str], int]:
    """The reader of a time such as ``90s``, ``5m``, ``1h`` or ``1d``, within these bounds, in seconds; 0 for none."""

    def read(value: str) -> int:
        written = re.fullmatch(r"([0-9]{1,9})([smhd]?)", value.strip().lower(), re.ASCII)
        seconds = int(written[1]) * _SECONDS[written[2] or "s"] if written else -1
        if seconds and not minimum <= seconds <= maximum:
            raise ValueError(f"must be a time from {minimum}s to {maximum}s such as 5m, or 0 for never")
        return seconds

    return read


def optional_integer(value: str) -> int | None:
    """A whole number of seconds from 1 to 600, or None for an empty text."""
    return integer(1, 600)(value) if value.strip() else None


def choice(*choices: str) -> Callable[[str], str]:
    """The reader of one of these words, in upper or lower case."""

    def read(value: str) -> str:
        chosen = value.strip().lower()
        if chosen not in choices:
            raise ValueError(f"must be one of: {', '.join(name or '(empty)' for name in choices)}")
        return chosen

    return read


def http_url(value: str) -> str:
    """A URL without a slash at its end, or an empty text."""
    url = value.strip().rstrip("/")
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise ValueError("must be a URL such as https://example.org")
    return url


def issuer_url(value: str) -> str:
    """The issuer as it is, with the slash at the end that some issuers have in their name."""
    issuer = value.strip()
    parts = urlsplit(issuer)
    loopback = parts.hostname in ("127.0.0.1", "::1", "localhost")
    good = parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and loopback))
    if issuer and (not good or parts.query or parts.fragment):
        raise ValueError("must be an https URL without a query such as https://accounts.example.org")
    return issuer


@cache
def networks(value: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks in a list such as ``127.0.0.1, 10.0.0.0/8``; raises ValueError."""
    try:
        return tuple(ip_network(written.strip()) for written in value.split(",") if written.strip())
    except ValueError:
        raise ValueError(
            "must be addresses or networks, separated by commas, such as 127.0.0.1, 10.0.0.0/8"
        ) from None


def network_list(value: str) -> str:
    """A list that ``networks`` takes, as text."""
    networks(value)
    return value.strip()


def mongodb_address(value: str) -> str:
    """A URI of MongoDB, or an empty text."""
    uri = value.strip()
    if uri and not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must begin with mongodb:// or mongodb+srv://")
    return uri
