"""The cookie by which a browser shows its session, and the token beside it that no page of another site knows."""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from scfm.errors import Forbidden
from scfm.models.session import csrf_token

SESSION_COOKIE = "scfm_session"
# Browsers take a cookie with that prefix only over https, from this host itself and for all of it: so no page of
# another host of the same domain can put one in its place (RFC 6265bis, section 4.1.3.2).
HOST_PREFIX = "__Host-"
CSRF_HEADER = "X-CSRF-Token"
# Verbs that change nothing (RFC 9110, section 9.2.1).
SAFE_VERBS = frozenset({"GET", "HEAD"})


def session_cookie(public_url: str) -> str:
    """The name of the cookie: ``__Host-scfm_session`` where PUBLIC_URL is https, and has no path."""
    public = urlsplit(public_url)
    return HOST_PREFIX + SESSION_COOKIE if public.scheme == "https" and not public.path else SESSION_COOKIE


def session_secret(request: HTTPServerRequest, public_url: str) -> str | None:
    """The secret of the session that the request shows; None without one."""
    if "Cookie" not in request.headers:
        return None
    cookie = request.cookies.get(session_cookie(public_url))
    return (cookie.value or None) if cookie is not None else None


def cookie_options(public_url: str, seconds: int, *, path: str, same_site: str) -> dict[str, Any]:
    """With what a cookie is set that no script reads, for SECONDS; 0 takes it away. PATH: below PUBLIC_URL's."""
    public = urlsplit(public_url)
    options: dict[str, Any] = {
        "path": public.path + path or "/",
        "max_age": seconds,
        "httponly": True,
        "secure": public.scheme == "https",
        "samesite": same_site,
    }
    # Tornado leaves a max_age of 0 out.
    return options if seconds else {**options, "expires_days": -1}


def check_csrf(request: HTTPServerRequest, secret: str) -> None:
    """Raise Forbidden for a write without the token of the session with this secret."""
    if request.method in SAFE_VERBS:
        return
    shown = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), csrf_token(secret).encode()):
        raise Forbidden(f"a write by cookie needs the session's csrf_token in {CSRF_HEADER}; GET /session tells it")


def check_origin(request: HTTPServerRequest, public_url: str) -> None:
    """Raise Forbidden for a page of another origin (RFC 6454), as far as the browser tells; programs tell nothing."""
    site = request.headers.get("Sec-Fetch-Site", "").strip().lower()
    origin = request.headers.get("Origin")
    if site in ("same-origin", "none") or (origin is None and not site):
        return
    own = {urlsplit(public_url).netloc.lower(), request.host.lower()} - {""}
    if origin is None or urlsplit(origin).netloc.lower() not in own:
        raise Forbidden("a page of another site may not send this request; behind a proxy, set PUBLIC_URL")
