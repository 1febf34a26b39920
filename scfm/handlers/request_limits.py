"""How many requests an account, and an address, may make: see docs/operations.md and decision 0031.

Each process counts for itself. What providers send and fetch is not counted: a phone would fall silent.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from tornado.httputil import HTTPServerRequest

from scfm.errors import TooManyRequests
from scfm.handlers.remote_address import remote_address
from scfm.models.sign_in import network_of
from scfm.runtime import metrics
from scfm.runtime.log_limit import LimitedLines
from scfm.runtime.request_quota import RequestQuota
from scfm.settings import Settings

log = logging.getLogger("scfm.http")

# A client may send at once as many requests as its rate comes to in so many seconds.
WINDOW_SECONDS = 10.0
# Requests of one address with tokens and sessions that nobody has. Nobody can guess one of 256 bits: this bounds what
# the guesses cost the database.
WRONG_TOKENS_PER_SECOND = 10.0
TOO_MANY_REQUESTS = {
    "account": "too many requests of this account (maximum is {rate:g} a second)",
    "address": "too many requests from this address (maximum is {rate:g} a second)",
    "wrong_tokens": "too many requests from this address with wrong tokens (maximum is {rate:g} a second)",
}
MORE_REFUSED = "%d more requests were refused by the limit %s within %d s"


class RequestLimits:
    """Counts the requests of accounts and addresses, and refuses those that are too many.

    What is refused raises TooManyRequests, is counted in the metrics and, if it is among the first, logged.
    """

    def __init__(self, settings: Settings) -> None:
        self._trusted_proxies = settings.trusted_proxies
        self._quotas = {
            "account": RequestQuota(settings.account_requests_per_second, WINDOW_SECONDS),
            "address": RequestQuota(settings.address_requests_per_second, WINDOW_SECONDS),
            "wrong_tokens": RequestQuota(WRONG_TOKENS_PER_SECOND, WINDOW_SECONDS),
        }
        self._refused = LimitedLines(log, MORE_REFUSED)

    def take_of_address(self, request: HTTPServerRequest) -> None:
        """Count a request of its address, an IPv6 network of 64 bits as one."""
        address = self._address(request)
        if wait := self._quotas["address"].take(address).wait:
            self._refuse("address", wait, address)

    def take_of_account(self, account_id: int) -> Mapping[str, str]:
        """Count a request of the account; the header fields that tell it so, once half of its quota is used."""
        quota = self._quotas["account"]
        use = quota.take(account_id)
        if use.wait:
            self._refuse("account", use.wait, f"account {account_id}")
        return _fields("account", quota, use.left) if use.left * 2 < quota.size else {}

    def check_wrong_tokens(self, request: HTTPServerRequest) -> None:
        """Refuse a request whose token is not known yet if too many of its address were nobody's."""
        address = self._address(request)
        if wait := self._quotas["wrong_tokens"].wait(address):
            self._refuse("wrong_tokens", wait, address)

    def count_wrong_token(self, request: HTTPServerRequest) -> None:
        """The request's token is nobody's."""
        self._quotas["wrong_tokens"].take(self._address(request))

    def _address(self, request: HTTPServerRequest) -> str:
        return network_of(remote_address(request, self._trusted_proxies))

    def _refuse(self, limit: str, wait: float, whose: str) -> None:
        quota = self._quotas[limit]
        message = TOO_MANY_REQUESTS[limit].format(rate=quota.rate)
        metrics.HTTP_REQUESTS_LIMITED.labels(limit).inc()
        self._refused.warn(limit, "request refused: %s: %s", message, whose)
        raise TooManyRequests(wait, message, _fields(limit, quota, 0, wait))


def _fields(limit: str, quota: RequestQuota, left: int, wait: float = 0.0) -> Mapping[str, str]:
    """``RateLimit`` and ``RateLimit-Policy``, as draft-ietf-httpapi-ratelimit-headers-10 has them.

    WAIT: the seconds until there is one more, 0 where there is one now.
    """
    until_next = f";t={math.ceil(wait)}" if wait else ""
    return {
        "RateLimit-Policy": f'"{limit}";q={quota.size};w={quota.window:g}',
        "RateLimit": f'"{limit}";r={left}{until_next}',
    }
