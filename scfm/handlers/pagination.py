"""A page of a list: ``page`` and ``per_page`` in, ``Per-Page``, ``Total`` and ``Link`` (RFC 8288) out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote_plus

from scfm.models.filters import text

DEFAULT_PER_PAGE, MOST_PER_PAGE = 25, 1000


@dataclass(frozen=True)
class Page:
    """Which page (from 1), of how many items at most."""

    number: int = 1
    size: int = DEFAULT_PER_PAGE

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> Page:
        """The page that a request asks for; nonsense means the default."""
        size = _count(parameters.get("per_page"), DEFAULT_PER_PAGE)
        return cls(_count(parameters.get("page"), 1), min(size, MOST_PER_PAGE))

    @property
    def skip(self) -> int:
        return (self.number - 1) * self.size

    def headers(self, total: int, url: str, query: str) -> dict[str, str]:
        """The headers of this page of TOTAL items, where the list is at URL and was asked for with QUERY."""
        headers = {"Per-Page": str(self.size), "Total": str(total)}
        links = [f'<{url}?{_with_page(query, page)}>; rel="{rel}"' for rel, page in self._related(total)]
        if links:
            headers["Link"] = ", ".join(links)
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
    return int(written) if re.fullmatch(r"0*[1-9][0-9]{0,11}\Z", written, re.ASCII) else default


def _with_page(query: str, page: int) -> str:
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "page"]
    pairs = sorted([*pairs, ("page", str(page))], key=lambda pair: pair[0])
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)
