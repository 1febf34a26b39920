"""``/session/oidc``: sign in with an organisation's own accounts (OpenID Connect); off unless OIDC_ISSUER is set.

Nothing is stored meanwhile: the browser keeps a secret in a cookie, from which state, nonce and the verifier of PKCE
follow. A browser that comes from the issuer's page sends no session cookie (``SameSite=Strict``), so this one is
``Lax``; it is for these two paths alone, and for ten minutes.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING

from scfm.errors import NotFound, SignInRefused, Unavailable
from scfm.handlers.audit_log import SIGN_IN_REFUSED
from scfm.handlers.base import base_url
from scfm.handlers.index import prefers_html
from scfm.handlers.session import SigningInHandler, log_refused
from scfm.handlers.session_cookie import cookie_options
from scfm.models.session import derived
from scfm.models.user import normal_email

if TYPE_CHECKING:  # it takes 11 MB, and is loaded where an issuer is set
    from scfm.openid.issuer import Issuer

OIDC_COOKIE = "scfm_oidc"
OIDC_PATH = "/session/oidc"
OIDC_SECONDS = 600
MAX_CODE = 4096


class OidcHandler(SigningInHandler):
    """What both steps have in common."""

    @property
    def issuer(self) -> Issuer:
        """Raises NotFound where none is set."""
        if self.app.issuer is None:
            raise NotFound
        return self.app.issuer

    @property
    def redirect_uri(self) -> str:
        """Where the issuer sends people back to: it knows this address."""
        return f"{base_url(self)}{OIDC_PATH}/callback"

    def set_oidc_cookie(self, secret: str, seconds: int) -> None:
        """Give the browser the cookie of this way to sign in, for SECONDS; 0 takes it away."""
        options = cookie_options(self.app.settings.public_url, seconds, path=OIDC_PATH, same_site="Lax")
        self.set_cookie(OIDC_COOKIE, secret, **options)

    def _log_out_of_order(self, error: Exception) -> None:
        log_refused(self, "as OIDC_ISSUER is out of order", f"OIDC_ISSUER is out of order: {error}")

    def back_to_the_page(self, problem: str = "") -> None:
        """Send the browser to the page, which says what went wrong: ``?sign_in=refused`` or ``unavailable``."""
        query = f"?sign_in={problem}" if problem else ""
        self.redirect(f"{base_url(self)}/{query}")


class OidcStartHandler(OidcHandler):
    """``GET /session/oidc``: sends a browser to the issuer; tells a program where to send one."""

    async def get(self) -> None:
        issuer = self.issuer
        self.set_header("Vary", "Accept")
        if not prefers_html(self.request.headers.get("Accept", "")):
            self.answer(200, {"url": f"{base_url(self)}{OIDC_PATH}"})
            return
        self.set_header("Cache-Control", "no-store")
        secret = secrets.token_urlsafe(32)
        try:
            url = await issuer.authorization_url(
                self.redirect_uri,
                state=derived(secret, "state"),
                nonce=derived(secret, "nonce"),
                verifier=derived(secret, "verifier"),
            )
        except (SignInRefused, Unavailable) as error:
            self._log_out_of_order(error)
            self.back_to_the_page("unavailable")
            return
        self.set_oidc_cookie(secret, OIDC_SECONDS)
        self.redirect(url)

    head = get


class OidcCallbackHandler(OidcHandler):
    """``GET /session/oidc/callback``: somebody comes back from the issuer; the user with that email is signed in."""

    async def get(self) -> None:
        issuer = self.issuer
        self.set_header("Cache-Control", "no-store")
        cookie = self.request.cookies.get(OIDC_COOKIE)
        self.set_oidc_cookie("", 0)
        try:
            email = await self._email(issuer, cookie.value if cookie is not None else "")
            user = await self.app.store.all_tenants.find_one("users", {"email": normal_email(email)})
            if user is None:
                await self.record_sign_in(normal_email(email), None, SIGN_IN_REFUSED)
                raise SignInRefused("no user has that email")
            await self.begin_session(user)
        except SignInRefused as error:
            log_refused(self, "by OIDC_ISSUER", f"by OIDC_ISSUER: {error}")
            self.back_to_the_page("refused")
        except Unavailable as error:
            self._log_out_of_order(error)
            self.back_to_the_page("unavailable")
        else:
            self.back_to_the_page()

    async def _email(self, issuer: Issuer, secret: str) -> str:
        """The verified email of who comes back; raises SignInRefused, Unavailable."""
        state, code, iss = (self.get_query_argument(name, "") for name in ("state", "code", "iss"))
        if not secret or not hmac.compare_digest(state.encode(), derived(secret, "state").encode()):
            raise SignInRefused("the state is not that of this browser, or older than ten minutes")
        if error := self.get_query_argument("error", ""):
            raise SignInRefused(f"the issuer answers {error[:80]!r}")
        if not 0 < len(code) <= MAX_CODE:
            raise SignInRefused("the issuer gave no code")
        nonce, verifier = derived(secret, "nonce"), derived(secret, "verifier")
        return await issuer.email(code, self.redirect_uri, iss=iss or None, nonce=nonce, verifier=verifier)
