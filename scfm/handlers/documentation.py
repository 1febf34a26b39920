"""The API explains itself: ``/api/openapi.json`` and ``/api/schemas`` for programs, ``/api/docs`` for people.

None of them needs a token.

Behind a proxy both may be under a path that is not known here, so the page's links lead from where it is.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from scfm import schemas
from scfm.errors import NotFound
from scfm.handlers.base import FRESH, BaseHandler, way_to_root

# The page may speak to this server and to nobody else.
DOCUMENTATION_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


class DocumentHandler(BaseHandler):
    """``GET /api/openapi.json``: the document that it was told."""

    async def get(self) -> None:
        servers = [{"url": self.app.settings.public_url or way_to_root(self)}]
        self.answer(200, {**self.route_options["document"], "servers": servers})

    head = get


class SchemaHandler(BaseHandler):
    """``GET /api/schemas/phone_call_queue.json``: a JSON Schema of what clients send."""

    async def get(self, name: str) -> None:
        if name not in schemas.NAMES:
            raise NotFound
        self.answer(200, schemas.schema(name))

    head = get


class DocumentationHandler(BaseHandler):
    """``GET /api/docs``: a page that shows the document, and tries it."""

    async def get(self) -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", DOCUMENTATION_POLICY)
        self.set_header("Cache-Control", FRESH)
        self.write_entity(documentation_page().replace(b"{root}", way_to_root(self).encode()))

    head = get


@cache
def documentation_page() -> bytes:
    """The page, in one file, which fetches nothing but the document; ``{root}`` is the way to the server's root."""
    return files("scfm.handlers").joinpath("static", "documentation.html").read_bytes()
