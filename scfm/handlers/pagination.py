"""A page of a list: ``page`` and ``per_page`` in, ``Per-Page``, ``Total`` and ``Link`` (RFC 8288) out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from scfm.models.filters import text

DEFAULT_PER_PAGE, MAX_PER_PAGE = 25, 1000
# Of a page's number. Further than this there is nothing, and MongoDB can still skip so many.
MAX_PAGE_DIGITS = 12


@dataclass(frozen=True)
class PageRequest:
    """Which page (from 1), of how many items at most."""

    number: int = 1
    size: int = DEFAULT_PER_PAGE

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> PageRequest:
        """The page that a request asks for; nonsense means the default."""
        size = _count(parameters.get("per_page"), DEFAULT_PER_PAGE)
        return cls(_count(parameters.get("page"), 1), min(size, MAX_PER_PAGE))

    @property
    def skip(self) -> int:
        """How many items stand before the page."""
        return (self.number - 1) * self.size

    def headers(self, total: int, url: str, query: str) -> dict[str, str]:
        """The headers of this page of TOTAL items, where the list is at URL and was asked for with QUERY."""
        headers = {"Per-Page": str(self.size), "Total": str(total)}
        if related := self._related(total):
            before, after = _around_page(query)
            headers["Link"] = ", ".join(f'<{url}?{before}{page}{after}>; rel="{rel}"' for rel, page in related)
        return headers

    def _related(self, total: int) -> list[tuple[str, int]]:
        last = -(-total // self.size)
        if last < 2:
            return []
        related = []
        if self.number > 1:
            related += [("first", 1), ("prev", min(self.number - 1, last))]
        if self.number != last:
            related.append(("last", last))
        if self.number < last:
            related.append(("next", self.number + 1))
        return related


def _count(value: Any, default: int) -> int:
    written = text(value) or ""
    if not re.fullmatch(r"0*[1-9][0-9]*\Z", written, re.ASCII):
        return default
    digits = written.lstrip("0")
    return int(digits) if len(digits) <= MAX_PAGE_DIGITS else 10**MAX_PAGE_DIGITS


def _around_page(query: str) -> tuple[str, str]:
    """The query without its page, sorted by name: what comes before the number of another page, and after it."""
    kept = [pair for pair in query.split("&") if pair and _name(pair).partition(b"[")[0] != b"page"]
    pairs = sorted([*kept, "page="], key=_name)
    encoded = [_encoded(pair) for pair in pairs]
    place = pairs.index("page=") + 1
    return "&".join(encoded[:place]), "".join("&" + pair for pair in encoded[place:])


def _name(pair: str) -> bytes:
    return _decoded(pair.partition("=")[0])


def _encoded(pair: str) -> str:
    """NAME=VALUE, percent-encoded anew; a name without ``=`` stays without, since filters tell the two apart."""
    name, equals, value = pair.partition("=")
    return quote(_decoded(name), safe="") + equals + quote(_decoded(value), safe="")


def _decoded(written: str) -> bytes:
    """What was written in a query string, which Tornado hands over one character a byte."""
    return unquote_to_bytes(written.replace("+", " ").encode("latin-1"))
