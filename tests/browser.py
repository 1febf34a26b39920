"""A browser, as far as signing in goes: it keeps the cookie that the server gives it, and shows it again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookies import Morsel, SimpleCookie
from typing import Any

from tests.server import Answer, Server

COOKIE = "scfm_session"


class Browser:
    """One that may sign in. ``csrf_token`` is that of its session; "" sends none with writes."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cookies: dict[str, str] = {}
        self.csrf_token = ""

    def sign_in(self, email: str, password: str, **options: Any) -> Answer:
        """Sign in, and remember the session."""
        answer = self.request("POST", "/session", json={"email": email, "password": password}, **options)
        if answer.status == 201:
            self.csrf_token = answer.json["csrf_token"]
        return answer

    def request(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> Answer:
        sent = (
            {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        )
        if self.csrf_token and method not in ("GET", "HEAD"):
            sent["X-CSRF-Token"] = self.csrf_token
        answer = self.server.request(method, path, headers={**sent, **(headers or {})}, **{"token": "", **options})
        for morsel in cookies_of(answer).values():
            self.cookies[morsel.key] = morsel.value
            if morsel["expires"] and parsedate_to_datetime(morsel["expires"]) < datetime.now(UTC):
                del self.cookies[morsel.key]
        return answer

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Answer:
        return self.request("POST", path, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        return self.request("DELETE", path, **options)


def cookies_of(answer: Answer) -> dict[str, Morsel[str]]:
    """The cookies that an answer sets, by name."""
    jar: SimpleCookie = SimpleCookie()
    for line in answer.headers.get_all("Set-Cookie") or ():
        jar.load(line)
    return dict(jar)
