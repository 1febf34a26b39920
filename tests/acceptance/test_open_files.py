"""A server whose process may open few files: it says so, and goes on serving."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import Server, wait_until


class LimitedServer(Server):
    """A server that may open few files."""

    files = 300

    def _spawn(self, *arguments: str) -> subprocess.Popen[str]:
        limited = f'ulimit -n {self.files}; exec "$0" "$@"'
        return subprocess.Popen(
            ["sh", "-c", limited, sys.executable, "-m", "scfm", *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[LimitedServer]:
    with LimitedServer(tmp_path / "data") as server:
        yield server


def test_a_flood_of_idle_connections_does_not_make_a_server_deaf(limited: LimitedServer) -> None:
    flood = [socket.create_connection((limited.host, limited.port)) for _ in range(600)]
    try:
        assert limited.client().get("/api/account").status == 200
    finally:
        for connection in flood:
            connection.close()
    wait_until(lambda: limited.client().get("/api/account").status == 200)
    assert len(limited.stderr) < 10, limited.output()
    assert not any("Traceback" in line for line in limited.stderr)


def test_a_limit_of_open_files_that_is_too_low_is_named_at_the_start(tmp_path: Path) -> None:
    server = LimitedServer(tmp_path / "data")
    server.files = 64
    process = server._spawn("serve", "--port", "0", "--data-dir", str(tmp_path / "data"))
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.count("\n") == 1
    assert said.startswith("scfm: this process may open 64 files")
    assert "ulimit -n" in said
    assert "MONGODB_URI" not in said
