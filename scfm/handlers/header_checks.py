"""Requests that are refused by their headers alone, whatever they are for."""

from __future__ import annotations

from tornado.httputil import HTTPServerRequest

from scfm.errors import Forbidden, UnsupportedMediaType


def check_headers(request: HTTPServerRequest) -> None:
    """Raise Forbidden for a page of another site, UnsupportedMediaType for an encoded body."""
    # A page of another site must not change anything through its visitor's browser (W3C, Fetch Metadata).
    site = request.headers.get("Sec-Fetch-Site", "").strip().lower()
    if site == "cross-site" and request.method not in ("GET", "HEAD"):
        raise Forbidden("a page of another site may not send this request (Sec-Fetch-Site: cross-site)")
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType("a body with a Content-Encoding is not read: send it as it is")
