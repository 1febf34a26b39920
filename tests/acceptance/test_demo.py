"""``scfm demo``: walks the whole alert, says what is wrong, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm.cli.demo.alert import ALL_CONTACTS
from scfm.cli.demo.api import Api, StepFailed
from scfm.cli.demo.screen import shares
from tests.server import wait_until

SECONDS = 300.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, as that of a socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="scfm-") as folder:
        yield Path(folder)


def start(folder: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """The demo, in a process group of its own as on a terminal, with its temporary files in FOLDER."""
    return subprocess.Popen(
        [sys.executable, "-m", "scfm", "demo"],
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def processes_with(folder: Path) -> list[str]:
    """The command lines of running processes that name something in FOLDER, or have it for their temporary files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = ((process / part).read_bytes() for part in ("cmdline", "environ"))
        except OSError:  # it has ended, or is not ours
            continue
        if os.fsencode(folder) in command + environment:
            found.append(command.replace(b"\0", b" ").decode())
    return found


def assert_nothing_is_left(folder: Path) -> None:
    wait_until(lambda: not processes_with(folder))
    assert list(folder.iterdir()) == []


def test_it_walks_the_alert_whatever_server_and_provider_the_environment_names(folder: Path) -> None:
    elsewhere = {
        "MONGODB_URI": "mongodb://127.0.0.1:1/",
        "PLATFORM_PROVIDER": "twilio",
        "PORT": "1",
        "SCFM_DATA_DIR": "/nowhere",
    }
    demo = start(folder, elsewhere)
    output, _ = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 0, output
    assert f"ok  phone calls with an outcome: {ALL_CONTACTS}" in output
    assert "Everybody was called once" in output
    assert "\x1b" not in output
    assert sum(map(int, re.findall(r"(\d+)%$", output, re.MULTILINE))) == 100
    assert_nothing_is_left(folder)


@given(counts=st.dictionaries(st.text(max_size=3), st.integers(min_value=1, max_value=10**6), min_size=1))
def test_shares_sum_to_a_hundred_percent_and_each_is_rounded_up_or_down(counts: dict[str, int]) -> None:
    percent = shares(counts)
    assert sum(percent.values()) == 100 and percent.keys() == counts.keys()
    for name, count in counts.items():
        assert abs(percent[name] - 100 * count / sum(counts.values())) < 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_told_to_stop_it_leaves_nothing_behind(number: signal.Signals, status: int, folder: Path) -> None:
    demo = start(folder)
    assert demo.stdout is not None
    demo.stdout.readline()
    assert list(folder.iterdir())
    # Ctrl-C reaches the server too; what sends SIGTERM knows the demo alone.
    (os.killpg if number == signal.SIGINT else os.kill)(demo.pid, number)
    output, _ = demo.communicate(timeout=SECONDS)
    assert demo.returncode == status, output
    assert "Traceback" not in output
    assert_nothing_is_left(folder)


def test_a_server_that_does_not_start_is_shown_with_its_reason(folder: Path, tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "mongod").write_text("#!/bin/sh\necho 'No space left on device'; exit 1\n")
    (commands / "mongod").chmod(0o755)
    demo = start(folder, {"PATH": f"{commands}:{os.environ['PATH']}"})
    output, _ = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 1
    assert "WRONG: expected a server that listens" in output
    assert "no space is left" in output
    assert_nothing_is_left(folder)


class Wrong(BaseHTTPRequestHandler):
    """Answers everything with 200 and a callout that is running."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps({"id": 1, "status": "running"}).encode()
        self.send_response(200)
        self.send_header("Total", "3")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_GET  # noqa: N815 (the base class names them)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def wrong_server() -> Iterator[Api]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Wrong) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api = Api(server.server_port, "token")
        try:
            yield api
        finally:
            api.close()
            server.shutdown()


def test_a_wrong_answer_is_named_with_what_was_expected() -> None:
    with wrong_server() as api:
        with pytest.raises(StepFailed, match="expected 201 from POST /api/callouts, but came 200"):
            api.post("/api/callouts")
        with pytest.raises(StepFailed, match="expected 204 from PATCH /api/callouts/1, but came 200"):
            api.patch("/api/callouts/1", {"metadata[a]": "b"})
        with pytest.raises(StepFailed, match='expected status "initialized" from GET /api/callouts/1, but came 200'):
            api.get("/api/callouts/1", id=1, status="initialized")
        with pytest.raises(StepFailed, match="expected Total: 2 from GET /api/contacts, but came Total: 3"):
            api.get("/api/contacts", total=2)


def test_a_server_that_goes_away_is_a_wrong_step() -> None:
    with wrong_server() as api:
        port = api.port
    gone = Api(port, "token")
    with pytest.raises(StepFailed, match="an answer to GET /api/contacts"):
        gone.get("/api/contacts")
    gone.close()
