"""An issuer of OpenID Connect that says what a test tells it to."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT_ID, CLIENT_SECRET = "scfm", "secret:of the client"


class Issuer:
    """``url`` is its name. A test changes ``claims`` (None leaves one out), ``metadata``, ``header`` and ``key``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.published = self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        self.unsigned = False
        self.token_status = 200
        self.requests: list[str] = []
        # By code, what the authorization request asked for.
        self.codes: dict[str, Mapping[str, str]] = {}

    def rotate_key(self) -> None:
        """Sign with another key, and publish that one alone."""
        self.published = self.key = RSAKey.generate_key(2048, {"kid": "two"})
        self.header["kid"] = "two"

    def authorize(self, url: str) -> dict[str, str]:
        """Somebody signs in at the URL that the browser was sent to; what the browser comes back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def answer(self, method: str, path: str, form: Mapping[str, str], authorization: str) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        self.requests.append(path)
        if path == "/.well-known/openid-configuration":
            endpoints = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
            known = {"issuer": self.url, **{name: self.url + where for name, where in endpoints.items()}}
            return 200, {**known, **self.metadata}
        if path == "/keys":
            return 200, {"keys": [self.published.as_dict(private=False)]}
        return self._token(form, authorization)

    def _token(self, form: Mapping[str, str], authorization: str) -> tuple[int, Any]:
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        asked = self.codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        if (
            self.token_status != 200
            or [unquote_plus(one) for one in pair] != [CLIENT_ID, CLIENT_SECRET]
            or asked is None
            or (asked["code_challenge"], asked["code_challenge_method"]) != (challenge, "S256")
            or asked["redirect_uri"] != form["redirect_uri"]
            or form["grant_type"] != "authorization_code"
        ):
            return (self.token_status if self.token_status != 200 else 400), {"error": "invalid_grant"}
        return 200, {"access_token": "any", "token_type": "Bearer", "id_token": self._id_token(asked["nonce"])}

    def _id_token(self, nonce: str) -> str:
        moment = int(time.time())
        known = {"iss": self.url, "sub": "1", "aud": CLIENT_ID, "exp": moment + 300, "iat": moment, "nonce": nonce}
        claims = {name: value for name, value in {**known, **self.claims}.items() if value is not None}
        if self.unsigned:
            parts = ({"alg": "none"}, claims)
            encoded = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts]
            return ".".join([*encoded, ""])
        key = OctKey.import_key(CLIENT_SECRET) if self.header["alg"] == "HS256" else self.key
        return jwt.encode(self.header, claims, key, algorithms=[self.header["alg"]])


@contextmanager
def issuer() -> Iterator[Issuer]:
    """An issuer that listens on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            if self.path.startswith("/authorize?"):
                self._sign_in()
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            status, content = made.answer(self.command, self.path, form, self.headers.get("Authorization", ""))
            written = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        def _sign_in(self) -> None:
            """The page on which somebody signs in: a link that leads back."""
            asked = parse_qs(urlsplit(self.path).query)
            back = f"{asked['redirect_uri'][0]}?{urlencode(made.authorize(self.path))}"
            written = f'<!doctype html><title>Issuer</title><a href="{escape(back)}">Sign in</a>'.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Issuer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
