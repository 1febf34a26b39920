"""Each role on each route with each verb: let in or refused, as the routes say."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from http.client import HTTPConnection

import orjson
import pytest
from tornado.web import URLSpec  # type: ignore[attr-defined]

from scfm.handlers.routes import routes
from scfm.models.roles import Role
from tests.server import Client, Server

ANYONE = "anyone"
VERBS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")
SAME_AS = {"HEAD": "GET", "PUT": "PATCH"}
NO_DOCUMENT = "999999999"
# A body that whoever is let in is told to be no JSON, so that nothing is changed.
UNREADABLE = b"{"
FORBIDDEN = {"status": 403, "error": "Forbidden"}

Answered = tuple[int, bytes]


def needs(route: URLSpec) -> dict[str, str]:
    """By verb, the least role that a route lets in."""
    roles = route.kwargs.get("roles", {})
    return {verb: roles.get(verb) or ANYONE for verb in route.kwargs.get("verbs", "GET").split()}


class Asking:
    """Somebody who asks on one connection for as long as the server keeps it."""

    def __init__(self, server: Server, token: str | None) -> None:
        self._connection = HTTPConnection(server.host, server.port, timeout=60)
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = "Basic " + base64.b64encode(f"{token}:".encode()).decode()

    def ask(self, verb: str, path: str) -> Answered:
        body = UNREADABLE if verb in ("POST", "PATCH", "PUT") else None
        try:
            return self._ask(verb, path, body)
        except ConnectionError:  # the server keeps no connection on which nothing is asked for long
            self._connection.close()
            return self._ask(verb, path, body)

    def _ask(self, verb: str, path: str, body: bytes | None) -> Answered:
        self._connection.request(verb, path, body, self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        self._connection.close()


def with_each_role(server: Server, client: Client) -> dict[str, Asking]:
    """By role, who asks with a token of that role of the client's account."""
    tokens = {role: client.post("/api/access_tokens", json={"role": role}).json["token"] for role in Role}
    return {str(role): Asking(server, token) for role, token in tokens.items()}


@pytest.fixture
def asking(server: Server, api: Client) -> Iterator[dict[bool, dict[str, Asking]]]:
    """By whether it is for super admins: by role, who asks."""
    found = {False: with_each_role(server, api), True: with_each_role(server, server.client())}
    yield found
    for one in (one for by_role in found.values() for one in by_role.values()):
        one.close()


def test_each_role_is_let_in_or_refused_with_each_verb_on_each_route(
    server: Server, asking: dict[bool, dict[str, Asking]]
) -> None:
    nobody = Asking(server, None)
    wrong = []
    for route in routes():
        path = re.sub(r"[{]\w+[}]", NO_DOCUMENT, route.name)
        needed = needs(route)
        for verb in VERBS:
            least = needed.get(SAME_AS.get(verb, verb))
            by_role = asking[bool(route.kwargs.get("super_admin"))]
            if least is None:  # not even to an admin: nobody is asked who it is
                assert by_role[Role.ADMIN].ask(verb, path)[0] == 404, (verb, path)
                continue
            for role, one in by_role.items():
                status, body = one.ask(verb, path)
                if least == ANYONE:
                    fits = status == nobody.ask(verb, path)[0]
                elif Role(role).includes(Role(least)):
                    fits = status not in (401, 403)
                else:
                    fits = status == 403 and (verb == "HEAD" or orjson.loads(body) == FORBIDDEN)
                if not fits:
                    wrong.append(f"{role} {verb} {path}: {status}, needs {least}")
    nobody.close()
    assert not wrong


def test_who_is_no_super_admin_is_told_so_whatever_the_role(
    asking: dict[bool, dict[str, Asking]],
) -> None:
    for route in routes():
        if not route.kwargs.get("super_admin"):
            continue
        path = re.sub(r"[{]\w+[}]", NO_DOCUMENT, route.name)
        for verb in needs(route):
            assert {one.ask(verb, path)[0] for one in asking[False].values()} == {401}, (verb, path)
