"""``/session``: sign in with an email and a password, see who has signed in, change one's password, and sign out."""

from __future__ import annotations

import logging

from scfm.errors import BadRequest, Forbidden, Invalid, TooManyRequests, Unauthorized
from scfm.handlers.audit_log import SIGN_IN, SIGN_IN_REFUSED, SIGN_OUT
from scfm.handlers.authentication import SignedIn
from scfm.handlers.base import BaseHandler
from scfm.handlers.remote_address import is_named_by_a_stranger, remote_address
from scfm.handlers.session_cookie import check_csrf, check_origin, cookie_options, session_cookie, session_secret
from scfm.models.account import ACCOUNTS
from scfm.models.fields import BLANK
from scfm.models.filters import text
from scfm.models.masking import shown_to
from scfm.models.own_password import change_own_password, check_passwords, wrong_password
from scfm.models.scope import Scope
from scfm.models.session import SESSION_LIFETIME, begin_session, csrf_token, end_session
from scfm.models.sign_in import SignInFailed, authenticate
from scfm.models.user import USERS, normal_email
from scfm.runtime.log_format import fields
from scfm.runtime.log_limit import LimitedLines, LogLimit
from scfm.storage.query import Document

log = logging.getLogger("scfm.http")

MAX_SIGN_IN_BYTES = 1 << 14
NO_TRUSTED_PROXY = (
    "somebody signs in through %s, which sends X-Forwarded-For but is not in TRUSTED_PROXIES: all who come "
    "through it count as one address, and are kept out for a while when too many passwords are wrong"
)
_proxy_warning = LogLimit()


class SigningInHandler(BaseHandler):
    """What the ways to sign in have in common."""

    @property
    def address(self) -> str:
        """Where the request comes from."""
        proxies = self.app.settings.trusted_proxies
        if is_named_by_a_stranger(self.request, proxies) and _proxy_warning.allows():
            log.warning(NO_TRUSTED_PROXY, self.request.remote_ip)
        return remote_address(self.request, proxies)

    async def begin_session(self, user: Document) -> tuple[str, SignedIn]:
        """A new session of USER, in the cookie; its secret. The one that the request shows is over."""
        await self.end_shown_session()
        secret = await begin_session(self.app.store, user)
        signed_in = await self.app.authenticator.signed_in(secret)
        self.set_session_cookie(secret, int(SESSION_LIFETIME.total_seconds()))
        await self.record_sign_in(user["email"], user, SIGN_IN)
        log.info("user %d of account %d signs in", user["_id"], user["account_id"])
        return secret, signed_in

    async def record_sign_in(self, email: str, user: Document | None, action: str) -> None:
        """Record that somebody signs in, is refused, or signs out; USER is None where the EMAIL is nobody's."""
        await self.app.audit.record_sign_in(self.address, self.request_id, email, user, action)

    async def end_shown_session(self) -> None:
        """End the session that the request shows, if it shows one."""
        secret = session_secret(self.request, self.app.settings.public_url)
        if secret is None:
            return
        try:
            signed_in = await self.app.authenticator.signed_in(secret)
        except Unauthorized:
            return
        await end_session(self.app.store, signed_in.client.account_id, secret)
        self.app.authenticator.forget_session(secret)

    def set_session_cookie(self, secret: str, seconds: int) -> None:
        """Give the browser the cookie, for SECONDS; 0 takes it away."""
        options = cookie_options(self.app.settings.public_url, seconds, path="", same_site="Strict")
        self.set_cookie(session_cookie(self.app.settings.public_url), secret, **options)


class SessionHandler(SigningInHandler):
    """``GET``, ``POST``, ``PATCH`` and ``DELETE /session``."""

    @property
    def _max_body_size(self) -> int:
        return min(MAX_SIGN_IN_BYTES, self.app.settings.max_body_size)

    async def get(self) -> None:
        secret = self._secret()
        self._answer(200, secret, await self.app.authenticator.shown_session(secret, self.request))

    head = get

    async def post(self) -> None:
        try:
            check_origin(self.request, self.app.settings.public_url)
        except Forbidden:
            log_refused(self, "of another origin", "the page is not this server's: see PUBLIC_URL")
            raise
        email, password = self._given("email", "password")
        blank = {name: [BLANK] for name, value in (("email", email), ("password", password)) if not value}
        if blank:
            raise Invalid(blank)
        try:
            user = await authenticate(self.app.store, email, password, self.address)
        except SignInFailed as failed:
            log_refused(self, "with a wrong password", _why(failed.user))
            await self.record_sign_in(normal_email(email), failed.user, SIGN_IN_REFUSED)
            raise
        except TooManyRequests:
            log_refused(self, "for too many tries", "too many wrong passwords were tried")
            raise
        self._answer(201, *await self.begin_session(user))

    async def patch(self) -> None:
        """Another password for who has signed in, whose other sessions end."""
        secret = self._secret()
        signed_in = await self.app.authenticator.shown_session(secret, self.request)
        check_csrf(self.request, secret)
        password, new_password = self._given("password", "new_password")
        check_passwords(password, new_password)
        user, client, store = signed_in.user, signed_in.client, self.app.store
        audit = self.app.audit.trail(self.request, self.request_id, client)
        scope = Scope(store.for_account(client.account_id), self.app.rules, client, audit=audit)
        try:
            await change_own_password(store, scope, user, secret, (password, new_password), self.address)
        except SignInFailed:
            log_refused(self, "with a wrong password", _why(user))
            await self.record_sign_in(user["email"], user, SIGN_IN_REFUSED)
            raise wrong_password() from None
        self.app.authenticator.forget()
        log.info("user %d of account %d changes the password", user["_id"], user["account_id"])
        self.answer(204)

    put = patch

    async def delete(self) -> None:
        secret = self._secret()
        signed_in = await self.app.authenticator.shown_session(secret, self.request)
        check_csrf(self.request, secret)
        await self.end_shown_session()
        client = signed_in.client
        await self.record_sign_in(signed_in.user["email"], signed_in.user, SIGN_OUT)
        log.info("user %d of account %d signs out", client.user_id, client.account_id)
        self.set_session_cookie("", 0)
        self.answer(204)

    def _given(self, *names: str) -> list[str]:
        """What the body gives by these names, "" where it does not; raises BadRequest for what is in the URL."""
        if self.request.query:
            raise BadRequest("an email and a password are not taken from a URL, which ends up in logs")
        parameters = self.parameters()
        return [text(parameters.get(name)) or "" for name in names]

    def _secret(self) -> str:
        """The secret that the request shows; raises Unauthorized. An access token has no session."""
        secret = session_secret(self.request, self.app.settings.public_url)
        if secret is None:
            raise Unauthorized(challenge=False)
        return secret

    def _answer(self, status: int, secret: str, signed_in: SignedIn) -> None:
        account = ACCOUNTS.show(signed_in.account)
        shown = {
            "user": USERS.show(signed_in.user),
            "account": {"id": account["id"], "settings": account["settings"]},
            "csrf_token": csrf_token(secret),
        }
        location = "/session" if status == 201 else None
        self.answer(status, shown_to(signed_in.client.role, shown), location)
        self.set_header("Cache-Control", "no-store")


def log_refused(handler: SigningInHandler, kind: str, reason: str) -> None:
    """Log why somebody is refused to sign in, but not for every try of a KIND. Of an email nothing is logged."""
    address = handler.address
    extra = fields(refused=kind, address=address)
    handler.app.sign_in_refusals.warn(kind, "sign-in refused: %s (from %s)", reason, address, extra=extra)


def sign_in_refusals() -> LimitedLines:
    """The lines in the log for those who are refused to sign in."""
    return LimitedLines(log, "%d more sign-ins were refused %s in the last %g s")


def _why(user: Document | None) -> str:
    """Why nobody is signed in with an email and a password; USER is the one with that email, None for nobody."""
    if user is None:
        return "no user has that email"
    return f"the password of user {user['_id']} of account {user['account_id']} is another"
