"""Files that browsers are sent: read, named and compressed once, when the server starts.

A set of files has a digest, which stands in the path of each, ``/static/DIGEST/lib/ui.js``: a file never changes
under its URL, so browsers keep it for a year. No token is needed.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources.abc import Traversable

from scfm.errors import NotFound
from scfm.handlers.accepted import takes_gzip
from scfm.handlers.base import FOREVER, BaseHandler

STATIC_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class StaticFile:
    """A file: its content as it is and compressed, and the start of its SHA-256, in hexadecimal digits."""

    content: bytes
    content_type: str

    @cached_property
    def gzip(self) -> bytes:
        """The content, compressed, the same from each process: without a time."""
        return gzip.compress(self.content, 9, mtime=0)

    @cached_property
    def digest(self) -> str:
        """What tells this content from any other."""
        return hashlib.sha256(self.content).hexdigest()[:16]


class StaticFiles:
    """Files by their names in their folder, such as ``lib/ui.js``; of a type in STATIC_CONTENT_TYPES.

    ``digest`` is that of them all, so that one version's files lead to one another.
    """

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.by_name = {
            name: StaticFile(content, STATIC_CONTENT_TYPES[ending])
            for name, content in contents.items()
            if (ending := name[name.rfind(".") :]) in STATIC_CONTENT_TYPES
        }
        listed = "".join(f"{name} {self.by_name[name].digest}\n" for name in sorted(self.by_name))
        self.digest = hashlib.sha256(listed.encode()).hexdigest()[:16]
        for file in self.by_name.values():
            file.gzip  # noqa: B018  it is made now, and not for the first who asks


def read_folder(folder: Traversable, path: str = "") -> dict[str, bytes]:
    """The contents of all files in FOLDER and the folders in it, by their names there, after PATH."""
    found: dict[str, bytes] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= read_folder(entry, f"{path}{entry.name}/")
        elif entry.is_file():
            found[path + entry.name] = entry.read_bytes()
    return found


class StaticFileHandler(BaseHandler):
    """``GET /static/DIGEST/lib/ui.js``: a file of the set with this digest, which never changes."""

    async def get(self, digest: str, _: str) -> None:
        # The path as it was sent: a route's ends without its .json.
        name = self.request.path.partition(f"/static/{digest}/")[2]
        sets: dict[str, StaticFiles] = self.route_options["sets"]
        file = sets[digest].by_name.get(name) if digest in sets else None
        if file is None:
            raise NotFound
        self.set_header("Vary", "Accept-Encoding")
        self.set_header("Cache-Control", FOREVER)
        answer_with(self, file)

    head = get


def answer_with(handler: BaseHandler, file: StaticFile) -> None:
    """Answer with FILE, compressed for those who take that."""
    handler.set_header("Content-Type", file.content_type)
    compressed = takes_gzip(handler.request.headers.get("Accept-Encoding", ""))
    if compressed:
        handler.set_header("Content-Encoding", "gzip")
    # Each encoding has its own ETag (RFC 9110, section 8.8.3).
    handler.etag = f'"{file.digest}-gzip"' if compressed else f'"{file.digest}"'
    handler.write(file.gzip if compressed else file.content)
