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
from scfm.handlers.static_files import StaticFiles, read_folder

# The page runs and loads its own files alone, and speaks to this server and to nobody else. Swagger UI has its icons
# as data URLs in its style sheet; it runs no text, and sets styles by script only, which no policy restricts.
DOCUMENTATION_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
INDEX_FILE = "index.html"


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
        page: DocumentationFiles = self.route_options["files"]
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", DOCUMENTATION_POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", FRESH)
        self.write_entity(page.index(way_to_root(self)))

    head = get


class DocumentationFiles(StaticFiles):
    """The files of the page, which is Swagger UI and what shows this server's document in it."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        """CONTENTS are the files, with ``index.html``, which has places for ``{root}`` and ``{files}``."""
        super().__init__({name: content for name, content in contents.items() if name != INDEX_FILE})
        self._index = contents[INDEX_FILE].decode()

    def index(self, root: str) -> bytes:
        """The HTML, where ROOT leads from it to the server's root, such as ``..``."""
        filled = self._index.replace("{files}", f"{root}/static/{self.digest}").replace("{root}", root)
        return filled.encode()


@cache
def documentation_files() -> DocumentationFiles:
    """The files of this version of the page."""
    return DocumentationFiles(read_folder(files("scfm.handlers").joinpath("static", "documentation")))
