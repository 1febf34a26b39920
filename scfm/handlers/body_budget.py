"""How many bytes of request bodies the process holds, and whose request has to go when they are too many."""

from __future__ import annotations

import logging
from typing import Protocol

from scfm.runtime.log_limit import LogLimit

log = logging.getLogger("scfm.http")

# All bodies together: sixty-four of the largest there are by default. It is never less than two of the largest.
MAX_HELD_BYTES = 64 << 20


class BodyReader(Protocol):
    """A request whose body is held."""

    @property
    def body_is_unfinished(self) -> bool:
        """Whether more of its body is to come."""

    def refuse_body(self) -> None:
        """Answer at once that the server is overloaded, and let go of what has come (``BodyBudget.release``)."""


class BodyBudget:
    """The bytes of request bodies that are held, from when they come until the request is answered.

    When they are too many, the requests that have been sending their body for longest are refused, one after the
    other, so that a flood of bodies that never end does not keep out the ordinary ones, which come in one piece.
    """

    def __init__(self, max_body_size: int) -> None:
        self.limit = max(MAX_HELD_BYTES, 2 * max_body_size)
        self.held_bytes = 0
        self._sizes: dict[BodyReader, int] = {}
        self._refused = 0
        self._warning = LogLimit()

    def hold(self, reader: BodyReader, size: int) -> None:
        """SIZE more bytes (fewer, if negative) are held for a request. May refuse requests, this one too."""
        self._sizes[reader] = self._sizes.get(reader, 0) + size
        self.held_bytes += size
        if self.held_bytes > self.limit:
            self._make_room()

    def release(self, reader: BodyReader) -> None:
        """The request's body is not held any more."""
        self.held_bytes -= self._sizes.pop(reader, 0)

    def _make_room(self) -> None:
        for reader in [reader for reader in self._sizes if reader.body_is_unfinished]:
            if self.held_bytes <= self.limit:
                break
            reader.refuse_body()
            self._refused += 1
        if self._warning.allows():
            log.warning(
                "request bodies hold %d MiB: %d requests that were being sent have been refused with 503",
                self.limit >> 20,
                self._refused,
            )
            self._refused = 0
