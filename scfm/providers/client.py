"""The REST API of a provider, Twilio or Somleng: make a call, fetch or end a call, list the calls to a number.

A call sent twice rings twice. So the class of a failure says what is known of the request (see
``providers/errors.py``), and nothing here sends anything again by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from twilio.rest import Client  # type: ignore[import-untyped]

from scfm.providers.answers import RemoteCall, is_since, is_to, next_query, parse_call, parse_calls, parse_object
from scfm.providers.call_parameters import encode_form
from scfm.providers.credentials import Credentials
from scfm.providers.errors import (
    CREATE_FAILED,
    DELETE_FAILED,
    FETCH_FAILED,
    HANG_UP_FAILED,
    AccountRefused,
    CallRejected,
    Unknown,
)
from scfm.providers.failures import answer_error, translate_failures
from scfm.providers.measured import measured
from scfm.providers.recording_urls import file_url, is_recording_of
from scfm.providers.transport import BeforeSend, CallForm, Transport
from scfm.runtime.metrics import CALLS_PLACED

log = logging.getLogger(__name__)

# The library would read TWILIO_* by itself, and would read the real environment in place of an empty one.
NO_ENVIRONMENT = {"TWILIO_EDGE": ""}
PAGE_SIZE = 1000  # the most that Twilio gives
MAX_PAGES = 10
# How many clients of the library, one for each Credentials, and how many addresses that were checked are kept.
MAX_CACHED_CLIENTS = 256
# The part of a new measurement in what is believed.
REQUEST_WEIGHT = 0.1


async def _send_at_once() -> None:
    """What has to be done before most requests are sent: nothing."""


class Provider:
    """A client of every provider account of this process, for the event loop it is first used in.

    ``timeout``: the seconds allowed for a connection (waiting for a free one included), then for the answer.
    ``connections``: the most that are open at once, over all accounts.
    """

    def __init__(self, *, timeout: float = 15, connections: int = 100) -> None:
        self._transport = Transport(timeout, connections)
        self._library_client = lru_cache(maxsize=MAX_CACHED_CLIENTS)(self._make_library_client)
        self._warned_settings: set[str] = set()
        # How long it takes to make a call: of each provider by its name.
        self._request_times: dict[str, float] = {}

    async def create_call(
        self,
        credentials: Credentials,
        to: str,
        params: Mapping[str, Any],
        before_send: BeforeSend = _send_at_once,
    ) -> RemoteCall:
        """Ring ``to`` (a msisdn) with ``params`` (see CALL_PARAMETERS; its own ``to`` is ignored).

        ``before_send`` is awaited when there is a connection and the request is about to be written to it; it may
        raise NotSent. Gives the provider's JSON, nulls dropped; it has a ``sid``.

        Raises CallRejected (AccountRefused is one), NotSent or Unknown.
        """
        try:
            form = CallForm(encode_form(params, to), before_send)
        except ValueError as error:
            raise CallRejected(f"{CREATE_FAILED}: {error}") from error
        began = time.monotonic()
        try:
            payload = await self._request(credentials, "POST", "Calls.json", CREATE_FAILED, data=form)
        except Unknown:
            if form.withheld is not None:
                raise form.withheld from None
            raise
        except AccountRefused:
            raise
        except CallRejected:
            self._answered(credentials.provider, time.monotonic() - began)
            raise
        self._answered(credentials.provider, time.monotonic() - began)
        call = parse_call(payload, CREATE_FAILED)
        CALLS_PLACED.labels(credentials.provider).inc()
        return call

    def request_seconds(self, provider: str) -> float | None:
        """How long PROVIDER, by its name, takes to answer a request for a call; None where it has answered none."""
        return self._request_times.get(provider)

    def _answered(self, provider: str, seconds: float) -> None:
        known = self._request_times.get(provider, seconds)
        self._request_times[provider] = known + REQUEST_WEIGHT * (seconds - known)

    async def fetch_call(self, credentials: Credentials, sid: str) -> RemoteCall:
        """The call ``sid`` as it is now: JSON as of ``create_call``. Raises what ``create_call`` raises."""
        resource = f"Calls/{quote(sid, safe='')}.json"
        return parse_call(await self._request(credentials, "GET", resource, FETCH_FAILED), FETCH_FAILED)

    async def hang_up(self, credentials: Credentials, sid: str) -> RemoteCall:
        """End the call ``sid``, whether it waits, rings or talks; JSON as of ``create_call``, maybe as it was before.

        To be asked again does no harm. Raises what ``create_call`` raises; CallRejected where it is over already.
        """
        resource, form = f"Calls/{quote(sid, safe='')}.json", CallForm(b"Status=completed", _send_at_once)
        return parse_call(
            await self._request(credentials, "POST", resource, HANG_UP_FAILED, data=form), HANG_UP_FAILED
        )

    async def list_calls(self, credentials: Credentials, to: str, since: datetime) -> list[RemoteCall]:
        """The calls to ``to`` (a msisdn) created at or after ``since`` (aware) by the provider's clock.

        Those created earlier in the same second are among them, as providers tell time in whole seconds; so are
        those without a date, which are new. Raises what ``create_call`` raises; Unknown after MAX_PAGES pages.
        """
        query: dict[str, Any] = {"To": to, "PageSize": PAGE_SIZE}
        found: list[RemoteCall] = []
        for _ in range(MAX_PAGES):
            page = await self._request(credentials, "GET", "Calls.json", FETCH_FAILED, params=query)
            found += [call for call in parse_calls(page) if is_to(call, to) and is_since(call, since)]
            query = next_query(page)
            if not query:
                return found
        raise Unknown(f"{FETCH_FAILED}: there are more than {MAX_PAGES} pages of calls to {to}")

    async def fetch_recording(self, credentials: Credentials, url: str, max_bytes: int) -> bytes:
        """The recording of the account at URL, of MAX_BYTES at most, as a WAV.

        It is asked for at the provider's own host and port alone, as it is asked with the account's credentials.
        Raises CallRejected where it cannot be had, NotSent, Unknown.
        """
        self._check(credentials, "Recordings", FETCH_FAILED)
        if not is_recording_of(credentials, url):
            raise CallRejected(f"{FETCH_FAILED}: {url[:200]} is no recording of the account at its provider")
        with measured(credentials.provider, "GET Recordings"), translate_failures(FETCH_FAILED):
            auth = (credentials.account_sid, credentials.auth_token)
            status, content = await self._transport.download(file_url(url), auth, max_bytes)
        if status != 200:
            raise Unknown(f"{FETCH_FAILED}: HTTP {status}")
        return content

    async def delete_recording(self, credentials: Credentials, url: str) -> None:
        """Delete the recording of the account at URL, one that ``is_recording_of``.

        To be asked again does no harm. Raises CallRejected where it is not there, AccountRefused, NotSent, Unknown.
        """
        sid = urlsplit(url).path.rpartition("/")[2].partition(".")[0]
        resource = f"Recordings/{quote(sid, safe='')}.json"
        await self._request(credentials, "DELETE", resource, DELETE_FAILED, empty=True)

    async def close(self) -> None:
        """Close every connection. What is in flight fails as Unknown."""
        await self._transport.close()

    def _make_library_client(self, credentials: Credentials) -> Any:
        client = Client(
            credentials.account_sid,
            credentials.auth_token,
            http_client=self._transport,
            environment=NO_ENVIRONMENT,
        )
        if credentials.base_url is not None:
            client.api.base_url = credentials.base_url
        return client.api.v2010

    async def _request(
        self,
        credentials: Credentials,
        method: str,
        resource: str,
        failure: str,
        *,
        empty: bool = False,
        **request: Any,
    ) -> dict[str, Any]:
        """The JSON object that the account's ``resource`` answers with. ``failure`` begins every message.

        EMPTY: a success has no body, and gives an object without anything.
        """
        self._check(credentials, resource, failure)
        path = f"/Accounts/{quote(credentials.account_sid, safe='')}/{resource}"
        name = f"{method} {resource.partition('/')[0].removesuffix('.json')}"
        with measured(credentials.provider, name, request.get("data")):
            with translate_failures(failure):
                response = await self._library_client(credentials).request_async(method, path, **request)
            if not 200 <= response.status_code < 300:
                raise answer_error(response, method, path, failure)
            return {} if empty else parse_object(response.text, failure)

    def _check(self, credentials: Credentials, resource: str, failure: str) -> None:
        """Raises AccountRefused if credentials are missing or unreadable, CallRejected if their URL is none."""
        setting = credentials.provider.upper()
        if not credentials.account_sid:
            self._warn_once(f"{setting}_ACCOUNT_SID")
            # The words of the guide: what the provider answers where the sid is left out.
            path = f"/2010-04-01/Accounts//{resource}"
            raise AccountRefused(f"{failure}: The requested resource {path} was not found", missing=True)
        if credentials.unreadable:
            raise AccountRefused(f"{failure}: {credentials.unreadable}", unreadable=True)
        if not credentials.auth_token:
            self._warn_once(f"{setting}_AUTH_TOKEN")
            raise AccountRefused(f"{failure}: {setting}_AUTH_TOKEN is not set", missing=True)
        if credentials.base_url is None and credentials.provider != "twilio":  # whose token is not Twilio's to see
            raise AccountRefused(f"{failure}: {setting}_CLIENT_REST_API_BASE_URL is not set", missing=True)
        if credentials.base_url is not None and not _is_http_url(credentials.base_url):
            raise CallRejected(f"{failure}: {setting}_CLIENT_REST_API_BASE_URL is not an http or https URL")

    def _warn_once(self, setting: str) -> None:
        """Name a missing setting in the log, once: a callout has thousands of calls."""
        if setting not in self._warned_settings:
            self._warned_settings.add(setting)
            log.warning("%s is not set, and an account without its own cannot make calls", setting)


@lru_cache(maxsize=MAX_CACHED_CLIENTS)
def _is_http_url(text: str) -> bool:
    """Whether a request can be sent there: of some mistakes aiohttp would tell too late to know that none was."""
    try:
        url = urlsplit(text)
        host = (url.hostname or "").encode("idna")
        _ = url.port
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(host) and "@" not in url.netloc
