"""What nginx logs, with Debian's nginx.conf and the files of deploy/nginx: no access token and no phone number."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.acceptance.backend import Backend
from tests.acceptance.nginx import BINARY, Nginx, own_site, site_below_a_path, upstream_of

pytestmark = pytest.mark.skipif(BINARY is None, reason="no nginx")

# What matters of the nginx.conf that Debian's package brings.
DEBIAN = """
worker_processes auto;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
events { worker_connections 768; }
http {
    include mime.types;
    default_type application/octet-stream;
    server_tokens off;
    access_log /var/log/nginx/access.log;
    include conf.d/*.conf;
}
"""
TOKEN = "scfm-token-of-account-1"
NUMBER = "252615000001"
HEADERS = {
    "Authorization": "Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode(),
    "Referer": f"https://localhost/?q={NUMBER}",
}
QUERY = f"?q[msisdn]={NUMBER}"


@pytest.fixture
def backends() -> Iterator[list[int]]:
    """The ports of a server that breaks off what it is asked, and of one that does not."""
    with Backend(dies=True).running() as first, Backend(dies=False).running() as second:
        yield [first, second]


def ask(nginx: Nginx, path: str, *, method: str = "GET", plain: bool = False) -> int:
    """The status of the answer to a request that has the token, and the number in its query."""
    connection = HTTPConnection("localhost", nginx.plain_port, timeout=30) if plain else nginx.connection()
    connection.request(method, path + QUERY, b"a=1" if method == "POST" else None, HEADERS)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def logs_of(nginx: Nginx) -> str:
    """All that it has logged."""
    return "".join(path.read_text() for path in nginx.folder.glob("*.log"))


@pytest.mark.parametrize(
    ("site", "prefix"), [(own_site, ""), (site_below_a_path, "/alerts")], ids=["own", "below a path"]
)
def test_no_log_has_a_token_or_a_number(tmp_path: Path, backends: list[int], site: object, prefix: str) -> None:
    assert callable(site)
    nginx = Nginx(tmp_path / "nginx", upstream_of(backends), site(), DEBIAN)
    with nginx.running():
        # A POST that comes to the server that dies is an error of nginx's, whose line has the whole request.
        posts = {ask(nginx, f"{prefix}/api/contacts", method="POST") for _ in range(2)}
        for path in ("/", "/api/contacts", "/api/callouts/1/progress", "/api/contacts/import"):
            assert ask(nginx, prefix + path) == 200
        assert ask(nginx, f"{prefix}/api/remote_phone_call_events", method="POST") == 200
        assert ask(nginx, f"{prefix}/metrics") == 404
        if prefix:
            assert ask(nginx, prefix) == 301
        else:
            assert ask(nginx, "/api/contacts", plain=True) == 301
    assert 502 in posts
    logged = logs_of(nginx)
    assert f'"GET {prefix}/api/contacts" 200' in logged
    assert TOKEN not in logged
    assert NUMBER not in logged


def test_and_without_the_format_they_would(tmp_path: Path, backends: list[int]) -> None:
    site = own_site().replace("access_log", "# access_log").replace("error_log", "# error_log")
    nginx = Nginx(tmp_path / "nginx", upstream_of(backends), site, DEBIAN)
    with nginx.running():
        assert ask(nginx, "/metrics") == 404
    assert TOKEN in logs_of(nginx)
    assert NUMBER in logs_of(nginx)
