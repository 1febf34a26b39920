"""Where a request comes from: the connection, and X-Forwarded-For as far as our own proxies wrote it."""

from __future__ import annotations

from typing import cast

import pytest
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPServerRequest, RequestStartLine

from scfm.handlers.remote_address import remote_address

TRUSTED = "127.0.0.1, 10.0.0.0/8, 2001:db8::/32"


def request(connected: str, *forwarded: str) -> HTTPServerRequest:
    headers = HTTPHeaders({"Host": "localhost"})
    for one in forwarded:
        headers.add("X-Forwarded-For", one)
    start_line = RequestStartLine("GET", "/", "HTTP/1.1")
    made = HTTPServerRequest(headers=headers, connection=cast(HTTPConnection, object()), start_line=start_line)
    made.remote_ip = connected
    return made


@pytest.mark.parametrize(
    ("connected", "forwarded", "address"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        ("192.0.2.1", ("198.51.100.7",), "192.0.2.1"),
        ("127.0.0.1", (), "127.0.0.1"),
        ("127.0.0.1", ("198.51.100.7",), "198.51.100.7"),
        ("::ffff:127.0.0.1", ("198.51.100.7",), "198.51.100.7"),
        ("127.0.0.1", ("203.0.113.5, 198.51.100.7",), "198.51.100.7"),
        ("127.0.0.1", ("203.0.113.5", "198.51.100.7, 10.2.3.4"), "198.51.100.7"),
        ("127.0.0.1", ("10.1.1.1, 10.2.3.4",), "10.1.1.1"),
        ("127.0.0.1", ("198.51.100.7, unknown, 10.2.3.4",), "10.2.3.4"),
        ("127.0.0.1", ("198.51.100.7:4711",), "198.51.100.7"),
        ("127.0.0.1", ("[2001:db9::1]:4711",), "2001:db9::1"),
        ("2001:db8::5", ("2001:db9::1",), "2001:db9::1"),
        ("127.0.0.1", (", ,",), "127.0.0.1"),
    ],
)
def test_the_last_address_that_a_trusted_proxy_names_counts(
    connected: str, forwarded: tuple[str, ...], address: str
) -> None:
    assert remote_address(request(connected, *forwarded), TRUSTED) == address


def test_without_trusted_proxies_nothing_is_believed() -> None:
    assert remote_address(request("127.0.0.1", "198.51.100.7"), "") == "127.0.0.1"
