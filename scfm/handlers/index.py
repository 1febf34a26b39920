"""``/api``: where to go from here, as a page for browsers and as JSON for programs. Needs no token."""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape

from scfm import __version__
from scfm.handlers.base import FRESH, BaseHandler, base_url, way_to_root

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
)
# The page runs nothing, fetches nothing, and has this one style.
INDEX_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
ENTRANCES = {
    "docs": ("/api/docs", "The API, to read and to try"),
    "openapi": ("/api/openapi.json", "The same for programs (OpenAPI 3.1)"),
    "health": ("/health", "Whether the server and its database answer"),
}


class IndexHandler(BaseHandler):
    """``GET /api``, and ``GET /`` of programs."""

    async def get(self) -> None:
        self.set_header("Vary", "Accept")
        if not prefers_html(self.request.headers.get("Accept", "")):
            server = base_url(self)
            links = {name: server + path for name, (path, _) in ENTRANCES.items()}
            self.answer(200, {"name": "scfm", "version": __version__, **links})
            return
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", INDEX_POLICY)
        self.set_header("Cache-Control", FRESH)
        self.write_entity(_page(way_to_root(self)).encode())

    head = get


def _page(root: str) -> str:
    items = "".join(f'<li><a href="{escape(root + path)}">{about}</a></li>' for path, about in ENTRANCES.values())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>scfm</title><style>{STYLE}</style></head>'
        f"<body><h1>Simple Call Flow Manager {__version__}</h1><ul>{items}</ul>"
        "<p>Requests need an access token, which the first start has printed. To make another for account 1, where "
        "the server runs: <code>scfm create-account --token-for 1</code>.</p></body></html>"
    )


def prefers_html(accept: str) -> bool:
    """Whether an Accept header (RFC 9110, section 12.5.1) names HTML, and JSON no sooner. Programs name neither."""
    html = json = 0.0
    for item in accept.lower().split(","):
        kind, _, parameters = item.partition(";")
        quality = re.search(r"(?:^|;)\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|$)", parameters)
        weight = float(quality[1]) if quality else 1.0
        if kind.strip() in ("text/html", "application/xhtml+xml"):
            html = max(html, weight)
        elif kind.strip() == "application/json":
            json = max(json, weight)
    return html > 0 and html >= json
