"""The bounds on the parameters of one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from scfm.errors import BadRequest


@dataclass(frozen=True)
class Limits:
    """The bounds of one request: far above any honest one, far below what would hold up the others.

    ``body``: bytes; the longest request of the guide has a few hundred. ``depth``: objects and lists inside
    one another; Rack's own bound, and well under MongoDB's 100. ``fields``: names and list elements at all
    levels; the bound of Django and PHP. ``value``: bytes of UTF-8 of one name or string.
    """

    body: int = 1 << 20
    depth: int = 32
    fields: int = 1000
    value: int = 1 << 16

    def too_deep(self) -> NoReturn:
        """Raise BadRequest for more than ``depth`` levels."""
        raise BadRequest(f"parameters are nested too deeply (maximum is {self.depth} levels)")

    def too_many(self) -> NoReturn:
        """Raise BadRequest for more than ``fields``."""
        raise BadRequest(f"too many parameters (maximum is {self.fields})")

    def too_long(self) -> NoReturn:
        """Raise BadRequest for a name or a string of more than ``value`` bytes."""
        raise BadRequest(f"a parameter is too long (maximum is {self.value} bytes)")


DEFAULT_LIMITS = Limits()
