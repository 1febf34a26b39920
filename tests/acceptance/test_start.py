"""What a start says, what it warns of, and how it is broken off."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scfm.embedded_mongod.mongod import PrivateMongod
from tests.server import Server, wait_until

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4} (DEBUG|INFO|WARNING|ERROR) scfm[.\w]*: .+")
SIMULATOR = {"PLATFORM_PROVIDER": "simulator"}
# How far a start has come, by what can be seen of the process and of its data folder.
MOMENTS: dict[str, Callable[[int, Path], bool]] = {
    "libraries are being loaded": lambda pid, data: "orjson" in Path(f"/proc/{pid}/maps").read_text(),
    "the data folder is made": lambda pid, data: (data / "scfm.lock").exists(),
    "mongod starts": lambda pid, data: (data / "mongodb" / "mongod.lock").exists(),
    "mongod listens": lambda pid, data: any(data.glob("mongod.sock")),
}


def test_a_start_says_where_things_are_and_how_to_stop(tmp_path: Path) -> None:
    with Server(tmp_path / "data", SIMULATOR) as server:
        said = "\n".join(server.stdout)
        assert f"{server.url}/api/docs" in said
        assert str(tmp_path / "data") in said
        assert "Ctrl-C" in said
        assert "simulator" in said
        assert server.stderr == []
        server.stdout.clear()
        server.restart()
        told = re.search(r"make another: (\S*scfm) (create-account --data-dir \S+ --token-for 1)", server.output())
        assert told is not None
        made = subprocess.run(
            [sys.executable, "-m", "scfm", *told[2].split()], capture_output=True, text=True, timeout=30, check=True
        )
        assert server.client(made.stdout.split()[-1]).get("/api/accounts").status == 200


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, ["TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set", "PLATFORM_PROVIDER=simulator"]),
        ({"TWILIO_ACCOUNT_SID": "AC1"}, ["TWILIO_AUTH_TOKEN is not set"]),
        ({"PLATFORM_PROVIDER": "somleng", "SOMLENG_ACCOUNT_SID": "1"}, ["SOMLENG_CLIENT_REST_API_HOST"]),
        ({**SIMULATOR, "CALL_PER_SECOND": "1"}, ["CALL_PER_SECOND is not a setting", "CALLS_PER_SECOND?"]),
    ],
)
def test_a_start_warns_in_one_line_of_what_is_missing_or_mistyped(
    tmp_path: Path, environment: dict[str, str], words: list[str]
) -> None:
    with Server(tmp_path / "data", environment) as server:
        server.request("GET", "/health")
    (line,) = server.stderr
    assert LINE.fullmatch(line) and all(one in line for one in words)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("create-account",)])
def test_ctrl_c_during_the_start_leaves_no_trace(tmp_path: Path, command: tuple[str, ...], moment: str) -> None:
    data = tmp_path / "data"
    process = subprocess.Popen(
        [sys.executable, "-m", "scfm", *command, "--data-dir", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**Server(tmp_path)._environment(), **SIMULATOR},
    )
    wait_until(lambda: MOMENTS[moment](process.pid, data), 60, every=0.001)
    process.send_signal(signal.SIGINT)
    said, trouble = process.communicate(timeout=30)
    assert trouble == ""
    # Unless it was quicker than we are.
    assert process.returncode == 130 or (said and process.returncode == 0)
    with PrivateMongod.start(data):  # nobody was left who holds the folder
        pass


def test_an_outage_of_the_database_is_two_lines_however_many_requests_and_jobs_meet_it(tmp_path: Path) -> None:
    mongod = PrivateMongod.start(tmp_path / "database")
    try:
        with Server(tmp_path / "data", {**SIMULATOR, "MONGODB_URI": mongod.uri}) as server:
            mongod.stop()
            for _ in range(3):
                assert server.request("GET", "/api/contacts").status == 503
            mongod = PrivateMongod.start(tmp_path / "database")
            deadline = time.monotonic() + 60
            while not any("answers again" in line for line in server.stderr) and time.monotonic() < deadline:
                server.request("GET", "/health")
    finally:
        mongod.stop()
    requests = [line for line in server.stderr if " INFO scfm.http: " in line]
    assert len(requests) == 3 and all(LINE.fullmatch(line) and " 503 " in line for line in requests)
    begun, over = (line for line in server.stderr if line not in requests)
    assert LINE.fullmatch(begun) and "the database does not answer" in begun and len(begun) < 300
    assert re.search(r"the database answers again, after \d+\.\d s$", over)


def test_a_command_whose_reader_has_gone_ends_without_a_traceback() -> None:
    command = [sys.executable, "-m", "scfm", "flow", "validate", "--table", *["examples/survey.yaml"] * 50]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (141, "")
