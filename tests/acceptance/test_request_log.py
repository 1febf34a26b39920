"""Requests that have been answered are counted and logged many at a time, and none is forgotten."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scfm.handlers import request_log as module
from scfm.handlers.request_log import MAX_GATHERED, RequestLog
from scfm.runtime.metrics import REGISTRY
from tests.server import Server

# The rest of its body never comes.
HALF_REQUEST = (
    "POST /api/contacts HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: cut-off\r\nAuthorization: Bearer %s\r\n"
    "Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n{"
)


def answered(request_id: str, *, method: str | None = "GET", route: str = "/api/contacts") -> Any:
    """A handler that has answered."""
    request = SimpleNamespace(method=method, request_time=lambda: 0.0012)
    return SimpleNamespace(request=request, request_id=request_id, route=route, get_status=lambda: 200)


def counted(method: str, route: str = "/api/contacts") -> float:
    labels = {"route": route, "method": method, "code": "200"}
    return REGISTRY.get_sample_value("scfm_http_request_duration_seconds_count", labels) or 0.0


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> RequestLog:
    """One that waits for hours, and only for more requests."""
    monkeypatch.setattr(module, "REQUESTS_GATHER_SECONDS", 3600.0)
    caplog.set_level(logging.INFO)
    return RequestLog()


async def test_they_wait_for_others_until_these_are_many(log: RequestLog, caplog: pytest.LogCaptureFixture) -> None:
    before = counted("GET")
    ids = [f"request-{number}" for number in range(MAX_GATHERED)]
    for request_id in ids[:-1]:
        log.add(answered(request_id))
    assert (counted("GET"), caplog.records) == (before, [])
    log.add(answered(ids[-1]))
    assert counted("GET") == before + MAX_GATHERED
    assert [vars(record)["request_id"] for record in caplog.records] == ids
    log.tell()
    assert len(caplog.records) == MAX_GATHERED


@pytest.mark.parametrize("method", ["BREW", "get", "", None, "G" * 5000, "+252662345678"])
async def test_what_is_no_standard_method_is_not_named(
    log: RequestLog, caplog: pytest.LogCaptureFixture, method: str | None
) -> None:
    before = counted("(other)")
    log.add(answered("odd", method=method))
    log.tell()
    assert [record.getMessage() for record in caplog.records] == ["(other) /api/contacts 200 1.2 ms, account -"]
    assert counted("(other)") == before + 1


async def test_probes_are_counted_and_told_at_debug_only(log: RequestLog, caplog: pytest.LogCaptureFixture) -> None:
    before = counted("GET", "/health")
    log.add(answered("probe", route="/health"))
    log.tell()
    assert caplog.records == []
    caplog.set_level(logging.DEBUG)
    log.add(answered("probe", route="/health"))
    log.tell()
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert counted("GET", "/health") == before + 2


async def test_once_it_is_closed_nothing_waits(log: RequestLog, caplog: pytest.LogCaptureFixture) -> None:
    log.add(answered("before"))
    log.close()
    assert [vars(record)["request_id"] for record in caplog.records] == ["before"]
    log.add(answered("after"))
    assert [vars(record)["request_id"] for record in caplog.records] == ["before", "after"]


def test_a_request_that_is_cut_off_when_the_server_stops_is_in_its_log(tmp_path: Path) -> None:
    with Server(tmp_path / "data", {"PLATFORM_PROVIDER": "simulator"}) as server:
        with socket.create_connection((server.host, server.port)) as client:
            client.sendall((HALF_REQUEST % server.token).encode())
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")  # so its head has been read
            assert server.terminate() == 0
        told = [line for line in server.stderr if "(request cut-off)" in line]
    assert len(told) == 1 and "POST /api/contacts 500 " in told[0], told
