"""The address that a request comes from, also through proxies."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from tornado.httputil import HTTPServerRequest

from scfm.setting_values import networks

FORWARDED_FOR = "X-Forwarded-For"
# Whose addresses are kept parsed: each request asks for one.
MAX_CLIENTS = 4096


def remote_address(request: HTTPServerRequest, trusted_proxies: str) -> str:
    """The address of the client: the one that connected, or, if that is a proxy of ours, the one that it names.

    TRUSTED_PROXIES is the setting. Each proxy adds the address that connected to it at the end of X-Forwarded-For:
    what stands before one that is not trusted may be made up.
    """
    connected = request.remote_ip or ""
    if not _is_proxy(connected, trusted_proxies):
        return _canonical(connected)
    address = _read(connected)
    named = ",".join(request.headers.get_list(FORWARDED_FOR)).split(",")
    for one in reversed(named):
        before = _read(one)
        if before is None:
            break
        address = before
        if not _is_trusted(address, trusted_proxies):
            break
    return str(address)


def is_named_by_a_stranger(request: HTTPServerRequest, trusted_proxies: str) -> bool:
    """Whether a proxy that is not trusted, or a client, says where the request comes from."""
    connected = request.remote_ip or ""
    return (
        FORWARDED_FOR in request.headers
        and _read(connected) is not None
        and not _is_proxy(connected, trusted_proxies)
    )


@lru_cache(MAX_CLIENTS)
def _is_proxy(connected: str, trusted_proxies: str) -> bool:
    address = _read(connected)
    return address is not None and _is_trusted(address, trusted_proxies)


@lru_cache(MAX_CLIENTS)
def _canonical(connected: str) -> str:
    return str(_read(connected) or connected)


def _is_trusted(address: IPv4Address | IPv6Address, trusted_proxies: str) -> bool:
    return any(address in network for network in networks(trusted_proxies))


def _read(written: str) -> IPv4Address | IPv6Address | None:
    """The address in ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1``, ``[2001:db8::1]:80``; None for other texts."""
    bare = written.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
