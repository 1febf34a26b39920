"""How many requests an account and an address may make; what is refused changes nothing, and providers never are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import NamedTuple

import pytest

from tests.server import Answer, Client, Server, wait_until

# A quota is what comes in ten seconds: another request every two seconds.
RATE, OF_ACCOUNT, OF_ADDRESS, OF_WRONG_TOKENS = "0.5", 5, 5, 100
# A machine that takes two seconds for each request would refuse none.
MAX_REQUESTS = 200
_addresses = count(1)


class Strict(NamedTuple):
    """A server with small limits, that believes who says where a request comes from, and clients of accounts."""

    server: Server
    clients: Iterator[Client]


@pytest.fixture(scope="module")
def strict(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strict]:
    unlimited = {**settings, "MONGODB_DATABASE": "request_limits", "TRUSTED_PROXIES": "127.0.0.1"}
    with Server(tmp_path_factory.mktemp("limits"), unlimited) as server:
        tokens = [server.new_account().token for _ in range(4)]
        server.restart(unlimited | {"ACCOUNT_REQUESTS_PER_SECOND": RATE, "ADDRESS_REQUESTS_PER_SECOND": RATE})
        yield Strict(server, (server.client(token) for token in tokens))


def elsewhere() -> dict[str, str]:
    """The header of a request from an address that has sent none."""
    number = next(_addresses)
    return {"X-Forwarded-For": f"203.0.{number // 250}.{number % 250}"}


def get(server: Server, path: str, token: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    return server.request("GET", path, token=token, headers=elsewhere() if headers is None else headers)


def until_refused(ask: Callable[[int], Answer]) -> list[Answer]:
    """The answers to one request after the other, until one is refused; ASK gets their numbers."""
    answers: list[Answer] = []
    while not answers or answers[-1].status != 429:
        assert len(answers) < MAX_REQUESTS
        answers.append(ask(len(answers)))
    return answers


def refusals(server: Server, limit: str) -> float:
    """How many requests this limit has refused, as the metrics say."""
    text = get(server, "/metrics", headers={}).json
    name = f'scfm_http_requests_limited_total{{limit="{limit}"}} '
    return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))


def test_an_account_that_asks_too_much_is_told_until_when_it_waits_and_others_go_on(strict: Strict) -> None:
    server, busy, other = strict.server, next(strict.clients), next(strict.clients)
    before = refusals(server, "account")
    answers = until_refused(lambda _: get(server, "/api/account", busy.token))
    assert len(answers) > OF_ACCOUNT
    assert {answer.status for answer in answers[:-1]} == {200}
    told = [answer.headers["RateLimit"] for answer in answers[:OF_ACCOUNT]]
    assert told[:2] == [None, None], "half of the quota is left"
    assert told[-1].startswith('"account";r=')
    refused = answers[-1]
    assert refused.headers["Retry-After"] in ("1", "2")
    assert refused.headers["RateLimit-Policy"] == f'"account";q={OF_ACCOUNT};w=10'
    assert refused.headers["RateLimit"] == f'"account";r=0;t={refused.headers["Retry-After"]}'
    message = "too many requests of this account (maximum is 0.5 a second)"
    assert refused.json == {"status": 429, "error": "Too Many Requests", "message": message}
    assert get(server, "/api/account", other.token).status == 200
    assert refusals(server, "account") == before + 1
    wait_until(lambda: any(f"request refused: {message}: account " in line for line in server.stderr))
    wait_until(lambda: get(server, "/api/account", busy.token).status == 200)


def test_what_is_refused_changes_nothing(strict: Strict) -> None:
    server, api = strict.server, next(strict.clients)

    def create(number: int) -> Answer:
        fields = {"msisdn": f"+2526{number:08}"}
        return server.request("POST", "/api/contacts", token=api.token, json=fields, headers=elsewhere())

    answers = until_refused(create)
    assert {answer.status for answer in answers[:-1]} == {201}
    listed = wait_until(lambda: _ok(get(server, "/api/contacts", api.token)))
    assert int(listed.headers["Total"]) == len(answers) - 1


def _ok(answer: Answer) -> Answer | None:
    return answer if answer.status == 200 else None


@pytest.mark.parametrize("path", ["/", "/api/openapi.json", "/nowhere", "/api/contacts"])
def test_an_address_that_asks_too_much_is_refused_whatever_it_asks_for(strict: Strict, path: str) -> None:
    address = elsewhere()
    answers = until_refused(lambda _: get(strict.server, path, headers=address))
    assert len(answers) > OF_ADDRESS
    assert answers[-1].headers["RateLimit-Policy"] == f'"address";q={OF_ADDRESS};w=10'
    assert get(strict.server, path).status == answers[0].status, "another address goes on"


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "UNKNOWN", "get"])
def test_an_address_that_asks_too_much_is_refused_by_whatever_method(strict: Strict, method: str) -> None:
    address = elsewhere()
    answers = until_refused(lambda _: strict.server.request(method, "/health-care", token="", headers=address))
    assert {answer.status for answer in answers[:-1]} == {404}


def test_a_network_of_ipv6_is_one_address(strict: Strict) -> None:
    until_refused(lambda n: get(strict.server, "/", headers={"X-Forwarded-For": f"2001:db8::{n + 1:x}"}))
    assert get(strict.server, "/", headers={"X-Forwarded-For": "2001:db8:0:1::1"}).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/remote_phone_call_events", 403),
        ("GET", f"/audio/{'0' * 64}.wav", 404),
        ("GET", "/health", 200),
        ("GET", "/ready", 200),
    ],
)
def test_providers_and_probes_are_never_refused(strict: Strict, method: str, path: str, status: int) -> None:
    address = elsewhere()
    form = {"CallSid": "CA1", "AccountSid": "AC1"} if method == "POST" else None
    answers = [
        strict.server.request(method, path, token="", headers=address, form=form).status
        for _ in range(OF_ADDRESS * 6)
    ]
    assert set(answers) == {status}


def test_an_address_that_has_sent_many_wrong_tokens_is_refused_before_they_are_looked_up(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    changed = {"MONGODB_DATABASE": "request_limits_of_tokens", "TRUSTED_PROXIES": "127.0.0.1"}
    with Server(tmp_path_factory.mktemp("tokens"), settings | changed) as server:
        known, unknown = server.new_account(), server.new_account()
        address = elsewhere()
        assert get(server, "/api/account", known.token, address).status == 200
        guesses = [address | {"Authorization": f"Bearer {n:064x}"} for n in range(OF_WRONG_TOKENS)]
        assert {get(server, "/api/account", headers=guess).status for guess in guesses} == {401}
        guess = address | {"Cookie": f"scfm_session={'0' * 64}"}
        refused = until_refused(lambda _: get(server, "/api/account", headers=guess))[-1]
        assert refused.headers["RateLimit"].startswith('"wrong_tokens";r=0;t=')
        assert get(server, "/api/account", known.token, address).status == 200, "who is known goes on"
        assert server.request("PATCH", "/api/account", token=known.token, json={}, headers=address).status < 300
        assert until_refused(lambda _: get(server, "/session", headers=guess))[-1].status == 429
        assert get(server, "/api/account", known.token, address).status == 200, "also after a change"
        assert get(server, "/api/account", unknown.token).status == 200, "so does everybody elsewhere"
