"""Requests to endpoints go to public addresses, or where a setting allows it, and what comes back is bounded."""

from __future__ import annotations

import asyncio
import base64
import datetime
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scfm.endpoint_client import client as client_module
from scfm.endpoint_client.addresses import is_public, is_within
from scfm.endpoint_client.bounded_connector import MAX_ANSWERS_TO_REQUEST, MAX_RECEIVED_BYTES
from scfm.endpoint_client.client import (
    MAX_KEPT_ANSWER,
    MAX_READ_BYTES,
    NO_HTTP,
    NOT_A_URL,
    NOT_ALLOWED,
    NOT_RESOLVED,
    EndpointClient,
)
from scfm.endpoint_client.signature import endpoint_signature, new_secret, signed_headers
from scfm.setting_values import networks
from tests.workers.webhook_receiver import LOOPBACK, Got, receiver

REFUSED = (
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1"),
    *("198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("168.63.129.16", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "fc00::1"),
    *("fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1"),
    *("", "no address", "1.2.3", "256.1.1.1"),
)
PUBLIC = ("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "223.255.255.255", "192.167.255.255")
PUBLIC_V6 = ("2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "2003::1")


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [*PUBLIC, *PUBLIC_V6])
def test_a_public_address_is_taken(address: str) -> None:
    assert is_public(address)


def test_a_network_that_is_allowed_has_its_addresses_in_each_form() -> None:
    allowed = networks("10.1.0.0/16, fd00::/8")
    inside = ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "fd12:3456::1%eth0")
    assert [is_within(one, allowed) for one in (*inside, "10.2.0.1", "fe80::1", "")] == [True] * 4 + [False] * 3


class Names:
    """What names resolve to, one list of addresses after the other; ``asked`` counts."""

    def __init__(self, addresses: dict[str, list[list[str]]]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked.append(host)
        answers = self.addresses[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (one, port, 0, 0) if ":" in one else (one, port),
            )
            for one in found
        ]


def resolving(monkeypatch: pytest.MonkeyPatch, **addresses: list[list[str]]) -> Names:
    """Has names, with ``_`` for a dot, resolve to these."""
    names = Names({name.replace("_", "."): answers for name, answers in addresses.items()})
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo, raising=False)
    return names


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://public.example/hook", None),
        ("https://PUBLIC.example:8443/", None),
        ("https://1.1.1.1/", None),
        ("https://[2606:4700::1111]/", None),
        ("http://public.example/", NO_HTTP),
        ("https://private.example/", NOT_ALLOWED),
        ("https://both.example/", NOT_ALLOWED),
        ("https://nobody.example/", NOT_RESOLVED),
        ("https://127.0.0.1/", NOT_ALLOWED),
        ("https://[::1]/", NOT_ALLOWED),
        ("https://[::ffff:169.254.169.254]/latest", NOT_ALLOWED),
        ("https://169.254.169.254/latest/meta-data", NOT_ALLOWED),
        ("https://2130706433/", NOT_ALLOWED),
        ("https://0x7f000001/", NOT_ALLOWED),
        ("https://0177.0.0.1/", NOT_ALLOWED),
        ("https://127.1/", NOT_ALLOWED),
        ("https://0/", NOT_ALLOWED),
        ("https://127。0。0。1/", NOT_ALLOWED),
        ("https://localhost/", NOT_ALLOWED),
        ("https://user:password@public.example/", NOT_A_URL),
        ("ftp://public.example/", NOT_A_URL),
        ("file:///etc/passwd", NOT_A_URL),
        ("//public.example/", NOT_A_URL),
        ("https://", NOT_A_URL),
        ("https:///hook", NOT_A_URL),
        ("https://public.example:99999/", NOT_A_URL),
        ("javascript:alert(1)", NOT_A_URL),
        ("https://[::1", NOT_A_URL),
        (f"https://{'a' * 64}.example/", NOT_RESOLVED),
    ],
)
async def test_where_an_endpoint_may_be(monkeypatch: pytest.MonkeyPatch, url: str, error: str | None) -> None:
    system = asyncio.get_running_loop().getaddrinfo
    names = resolving(
        monkeypatch,
        public_example=[["8.8.8.8", "2606:4700::1111"]],
        private_example=[["10.0.0.1"]],
        both_example=[["8.8.8.8", "192.168.0.1"]],
        nobody_example=[[]],
    )

    async def mixed(host: str, port: int, **options: Any) -> list[Any]:
        return await (names.getaddrinfo(host, port) if host in names.addresses else system(host, port, **options))

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", mixed, raising=False)
    client = EndpointClient((), 10)
    assert await client.url_error(url) == error
    await client.close()


async def test_a_request_goes_to_no_address_that_the_url_is_not_allowed_at() -> None:
    async with receiver() as one:
        client = EndpointClient((), 10)
        for host in ("127.0.0.1", "localhost", "2130706433", "127.1", "[::ffff:127.0.0.1]"):
            attempt = await client.send(f"https://{host}:{one.port}/", {}, b"{}")
            assert attempt.status is None and not attempt.succeeded, host
        assert (await client.send(one.url, {}, b"{}")).error == f"the URL {NO_HTTP}"
        await client.close()
        # http is for addresses that are allowed, whatever else is.
        other = EndpointClient(networks("10.0.0.0/8"), 10)
        assert (await other.send(one.url, {}, b"{}")).error == f"the URL {NOT_ALLOWED}"
        await other.close()
        assert one.got == []


async def test_a_name_that_changes_between_two_looks_is_connected_to_where_it_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with receiver() as one:
        url = f"http://rebound.example:{one.port}/hook"
        client = EndpointClient(networks("127.0.0.1/32"), 10)
        # Allowed when the endpoint was made, and not any more when it is told.
        names = resolving(monkeypatch, rebound_example=[["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1"]])
        assert await client.url_error(url) is None
        assert (await client.send(url, {}, b"{}")).error == f"the URL {NOT_ALLOWED}"
        # For one connection the name is resolved once, and the connection is made to that address.
        assert (await client.send(url, {}, b"{}")).status == 204
        assert (names.asked, len(one.got)) == (["rebound.example"] * 3, 1)
        assert one.got[0].headers["Host"] == f"rebound.example:{one.port}"
        await client.close()


async def test_redirects_are_not_followed() -> None:
    async with receiver() as inner, receiver() as one:
        client = EndpointClient(LOOPBACK, 10)
        for status in (301, 302, 303, 307, 308):
            one.status, one.headers = status, {"Location": inner.url}
            attempt = await client.send(one.url, {}, b"{}")
            assert (attempt.status, attempt.error, attempt.succeeded) == (status, f"answered {status}", False)
        await client.close()
        assert inner.got == []


async def test_only_a_2xx_is_a_success() -> None:
    async with receiver() as one:
        client = EndpointClient(LOOPBACK, 10)
        for status in (200, 201, 202, 204, 299, 304, 400, 401, 404, 410, 429, 500, 503):
            one.status = status
            attempt = await client.send(one.url, {}, b"{}")
            assert (attempt.status, attempt.succeeded) == (status, status < 300)
        await client.close()


async def test_a_huge_answer_is_read_in_part_and_kept_in_less() -> None:
    async with receiver() as one:
        sent = 0

        async def endless(got: Got) -> web.StreamResponse:
            nonlocal sent
            response = web.StreamResponse(status=200)
            await response.prepare(got.request)
            while sent < 100 * MAX_READ_BYTES:
                await response.write(b"x" * 65536)
                sent += 65536
            return response

        one.answering = endless
        client = EndpointClient(LOOPBACK, 10)
        attempt = await client.send(one.url, {}, b"{}")
        assert (attempt.succeeded, attempt.answer) == (True, "x" * MAX_KEPT_ANSWER)
        assert sent < 100 * MAX_READ_BYTES
        await client.close()


INTERIM, FINAL = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"


class Speaking:
    """A receiver that answers each request with BEGIN, and then goes on with FOREVER until it is left."""

    def __init__(self, begin: bytes, forever: bytes) -> None:
        self.begin, self.forever = begin, forever
        self.url, self.sent = "", 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"{}")
                writer.write(self.begin)
                while self.forever:
                    writer.write(self.forever)
                    await writer.drain()
                    self.sent += len(self.forever)
        writer.transport.abort()

    async def __aenter__(self) -> Speaking:
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()


@pytest.mark.parametrize(
    ("begin", "forever", "error"),
    [
        (b"", INTERIM * 1000, "the connection broke: ClientPayloadError"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 1000, "the connection broke: ClientPayloadError"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * 65536, None),
        (FINAL, FINAL * 1000, None),
    ],
)
async def test_a_receiver_that_answers_without_end_is_left(begin: bytes, forever: bytes, error: str | None) -> None:
    async with Speaking(begin, forever) as one:
        client = EndpointClient(LOOPBACK, 1)
        attempt = await client.send(one.url, {}, b"{}")
        assert (attempt.error, attempt.succeeded) == (error, error is None)
        assert one.sent < 100 * MAX_RECEIVED_BYTES, "of which the system keeps some for the client"
        await client.close()


async def test_some_interim_answers_are_passed_over() -> None:
    async with Speaking(INTERIM * (MAX_ANSWERS_TO_REQUEST - 1) + FINAL, b"") as one:
        client = EndpointClient(LOOPBACK, 1)
        assert [(await client.send(one.url, {}, b"{}")).status for _ in range(3)] == [204] * 3
        await client.close()


async def test_a_receiver_that_takes_too_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_REQUEST_SECONDS", 0.2)
    async with receiver() as one:
        asked, released = asyncio.Event(), asyncio.Event()

        async def silent(got: Got) -> web.StreamResponse:
            asked.set()
            await released.wait()
            return web.Response()

        async def trickling(got: Got) -> web.StreamResponse:
            response = web.StreamResponse(status=200)
            await response.prepare(got.request)
            while True:
                await response.write(b".")
                await asyncio.sleep(0.01)

        client = EndpointClient(LOOPBACK, 10)
        one.answering = silent
        attempt = await client.send(one.url, {}, b"{}")
        assert (attempt.status, attempt.error) == (None, "no answer within 0.2 s")
        assert asked.is_set()
        # It has said that it has taken it: what it does then is not waited for.
        one.answering = trickling
        attempt = await client.send(one.url, {}, b"{}")
        assert attempt.succeeded and set(attempt.answer) <= {"."}
        released.set()
        await client.close()


async def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        client = EndpointClient(LOOPBACK, 10)
        attempt = await client.send(f"http://127.0.0.1:{port}/", {}, b"{}")
        assert (attempt.status, attempt.error) == (None, "no connection")
        await client.close()


async def test_what_an_answer_says_is_kept_as_text() -> None:
    async with receiver() as one:
        one.status, one.body = 500, b"\xff\x00 broken \xe1\x9e"
        client = EndpointClient(LOOPBACK, 10)
        attempt = await client.send(one.url, {}, b"{}")
        assert attempt.answer == "\ufffd broken \ufffd"
        await client.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Iterator[tuple[ssl.SSLContext, ssl.SSLContext]]:
    """The contexts of a server whose certificate is for alerts.example, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "alerts.example")])
    moment = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(moment - datetime.timedelta(days=1))
        .not_valid_after(moment + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("alerts.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    yield server, ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())


async def test_tls_is_for_the_name_and_not_for_the_address(
    certificate: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, trusting = certificate
    named: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: named.append(name)
    async with receiver(ssl_context=server) as one:
        resolving(monkeypatch, alerts_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
        client = EndpointClient(LOOPBACK, 10, trusting)
        assert (await client.send(f"https://alerts.example:{one.port}/", {}, b"{}")).status == 204
        attempt = await client.send(f"https://other.example:{one.port}/", {}, b"{}")
        assert attempt.error == "the connection is not secure: its certificate, or its TLS, is not accepted"
        await client.close()
        untrusting = EndpointClient(LOOPBACK, 10)
        attempt = await untrusting.send(f"https://alerts.example:{one.port}/", {}, b"{}")
        assert attempt.error == "the connection is not secure: its certificate, or its TLS, is not accepted"
        await untrusting.close()
        assert (named[0], len(one.got)) == ("alerts.example", 1)


def test_a_signature_is_that_of_the_specification() -> None:
    # https://github.com/standard-webhooks/standard-webhooks: the vector of its libraries.
    secret, event_id = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    body = b'{"test": 2432232314}'
    signed = endpoint_signature(secret, event_id, 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    headers = signed_headers([secret, secret], event_id, 1614265330, body)
    assert headers == {
        "webhook-id": event_id,
        "webhook-timestamp": "1614265330",
        "webhook-signature": f"{signed} {signed}",
    }


def test_new_secrets_are_long_enough_and_differ() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(24 <= len(base64.b64decode(one.removeprefix("whsec_"))) <= 64 for one in made)
