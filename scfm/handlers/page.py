"""The control room: ``/`` is its page for browsers. Needs no token.

What the page shows it fetches from the API, as any client does.
"""

from __future__ import annotations

from scfm.handlers.accepted import best_language
from scfm.handlers.base import FRESH
from scfm.handlers.index import IndexHandler, prefers_html
from scfm.handlers.page_files import LANGUAGES, PageFiles
from scfm.handlers.session_cookie import session_secret
from scfm.handlers.static_files import answer_with

# The page runs and loads nothing but its own files, posts no form, and stands in no frame.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
PERMISSIONS_POLICY = "microphone=(self), camera=(), geolocation=(), payment=(), usb=()"


class PageHandler(IndexHandler):
    """``GET /``: the page for browsers, the entrances of the API for programs."""

    async def get(self) -> None:
        if not prefers_html(self.request.headers.get("Accept", "")):
            await super().get()
            return
        self.set_header("Vary", "Accept, Accept-Encoding, Accept-Language, Cookie")
        self.set_header("Cache-Control", FRESH)
        self.set_header("Content-Security-Policy", PAGE_POLICY)
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Permissions-Policy", PERMISSIONS_POLICY)
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        language = best_language(self.request.headers.get("Accept-Language", ""), LANGUAGES)
        files: PageFiles = self.route_options["files"]
        # Whether the session holds is for /session to say: this only keeps the form from a moment on the screen.
        secret = session_secret(self.request, self.app.settings.public_url)
        answer_with(self, files.index(language, signed_in=secret is not None))

    head = get
