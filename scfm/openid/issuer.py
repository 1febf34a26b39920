"""The issuer: where an organisation's people sign in (OpenID Connect Core 1.0, Discovery 1.0), asked over HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlsplit

import aiohttp
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from scfm.errors import SignInRefused, Unavailable
from scfm.openid.id_token import UnknownKey, algorithms_of, verified_email
from scfm.providers.bounded_body import read_body
from scfm.storage.ttl_cache import TTLCache

WELL_KNOWN = "/.well-known/openid-configuration"
MAX_ISSUER_BYTES = 1 << 18
MAX_ISSUER_SECONDS = 10.0
# How long the issuer's metadata and keys are not asked for again, unless a token is signed with another key.
ISSUER_CACHE_SECONDS = 3600.0
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")

JsonAnswer = dict[str, Any]


class Issuer:
    """Sends people to the issuer, and learns from it who came back. ``close`` it at the end."""

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self._url = url
        self._client_id = client_id
        self._client_secret = client_secret
        self._metadata: TTLCache[str, JsonAnswer] = TTLCache(self._load_metadata, ISSUER_CACHE_SECONDS)
        self._keys: TTLCache[str, JsonAnswer] = TTLCache(self._load, ISSUER_CACHE_SECONDS)
        self._session: aiohttp.ClientSession | None = None

    async def authorization_url(self, redirect_uri: str, *, state: str, nonce: str, verifier: str) -> str:
        """Where somebody is sent to sign in, and comes back to REDIRECT_URI. Raises SignInRefused, Unavailable."""
        metadata = await self._metadata.get(self._url)
        url: str = prepare_grant_uri(
            metadata["authorization_endpoint"],
            self._client_id,
            "code",
            redirect_uri,
            "openid email",
            state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return url

    async def email(self, code: str, redirect_uri: str, *, iss: str | None, nonce: str, verifier: str) -> str:
        """The verified e-mail address of who came back with CODE. ISS is the issuer that the answer named, if it did.

        Raises SignInRefused, Unavailable.
        """
        metadata = await self._metadata.get(self._url)
        named = iss is not None or metadata.get("authorization_response_iss_parameter_supported") is True
        if named and iss != metadata["issuer"]:  # RFC 9207
            raise SignInRefused("the answer is another issuer's")
        token = await self._id_token(metadata, code, redirect_uri, verifier)
        try:
            return await self._verified(metadata, token, nonce)
        except UnknownKey:  # it may have a new one
            self._keys.forget(metadata["jwks_uri"])
            return await self._verified(metadata, token, nonce)

    async def close(self) -> None:
        """Close the connections to it."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _verified(self, metadata: JsonAnswer, token: object, nonce: str) -> str:
        keys = await self._keys.get(metadata["jwks_uri"])
        issuer, algorithms = metadata["issuer"], algorithms_of(metadata)
        return verified_email(token, keys, algorithms, issuer=issuer, client_id=self._client_id, nonce=nonce)

    async def _id_token(self, metadata: JsonAnswer, code: str, redirect_uri: str, verifier: str) -> object:
        """What the issuer gives for CODE (RFC 6749, section 4.1.3; RFC 7636, section 4.5)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = {}
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" in methods:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        answer = await self._request("POST", metadata["token_endpoint"], data=form, headers=headers)
        return answer.get("id_token")

    async def _load_metadata(self, url: str) -> JsonAnswer:
        metadata = await self._load(url.rstrip("/") + WELL_KNOWN)
        issuer = metadata.get("issuer")
        if not isinstance(issuer, str) or issuer.rstrip("/") != url.rstrip("/"):
            raise SignInRefused("the issuer calls itself by another name than OIDC_ISSUER")
        for name in ENDPOINTS:
            endpoint = metadata.get(name)
            if not isinstance(endpoint, str) or urlsplit(endpoint).scheme not in ("https", urlsplit(url).scheme):
                raise SignInRefused(f"the issuer's {name} is no https URL")
        return metadata

    async def _load(self, url: str) -> JsonAnswer:
        return await self._request("GET", url)

    async def _request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> JsonAnswer:
        """The JSON object that the issuer answers with; raises SignInRefused, Unavailable where there is none."""
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        session = self._open_session()
        try:
            async with session.request(method, url, headers=sent, allow_redirects=False, **body) as answer:
                status, content = answer.status, await read_body(answer, MAX_ISSUER_BYTES)
            read = json.loads(content)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"the issuer at {url} does not answer: {type(error).__name__}") from None
        except ValueError:
            raise Unavailable(f"the issuer at {url} answers with what is no JSON") from None
        if status >= 500 or not isinstance(read, dict):
            raise Unavailable(f"the issuer at {url} fails with {status}")
        if status != 200:
            raise SignInRefused(f"the issuer at {url} refuses with {status}: {str(read.get('error'))[:80]!r}")
        return read

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=MAX_ISSUER_SECONDS),
                auto_decompress=False,  # see bounded_body.py
            )
        return self._session
