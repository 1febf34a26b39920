"""How long the connections of clients may take, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TimeLimits:
    """How many seconds a connection may take.

    ``idle``: between requests. Proxies keep a connection for 60 s (nginx, AWS) and must be the first to close it:
    a request that meets our closing fails. ``head``: from the first byte of a request to the end of its headers,
    which fit in a few packets. ``window``: in each such time in which the server waits for more of a body, or for
    the client to take more of an answer, ``rate`` bytes a second must pass; a GPRS line has three times as many, and
    1 GiB may take as long as it does.
    """

    idle: float = 75.0
    head: float = 20.0
    window: float = 30.0
    rate: int = 1024


DEFAULT_TIMES = TimeLimits()
