"""``scfm alert`` against a server with the simulator as its provider: from a plan to the list of the unreached."""

from __future__ import annotations

import csv
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from scfm.cli.server_options import _gives
from scfm.embedded_mongod.mongod import PrivateMongod
from tests.server import INHERITED, Client, Server

# What the simulator does at these numbers: see scfm/simulator/callee.py.
ACKNOWLEDGES, BUSY, SILENT, HEARS = "+15005550010", "+15005550011", "+15005550012", "+15005550015"
PARAMS = {"from": "1294"}
SECONDS = 120.0
NAMES = count(1)


@pytest.fixture(scope="module")
def settings(mongod: PrivateMongod) -> Iterator[dict[str, str]]:
    # A server may be started where a token is in the environment: that is no setting of it.
    name = "alert"
    yield {
        "MONGODB_URI": mongod.uri,
        "MONGODB_DATABASE": name,
        "PLATFORM_PROVIDER": "simulator",
        "SCFM_TOKEN": "another",
    }
    with MongoClient[Any](mongod.uri) as client:
        client.drop_database(name)


@pytest.fixture(scope="module")
def server(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), settings) as server:
        yield server


class Alerts:
    """``scfm alert`` in processes of their own, in a folder, with the token of an account."""

    def __init__(self, api: Client, folder: Path) -> None:
        self.api, self.folder = api, folder

    def arguments(self, command: str, *options: str) -> list[str]:
        return [sys.executable, "-m", "scfm", "alert", command, "--server", self.api.server.url, *options]

    def environment(self, **more: str) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return {**inherited, "PYTHONUNBUFFERED": "1", "SCFM_TOKEN": self.api.token, **more}

    def run(self, command: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.arguments(command, *options),
            env=self.environment(**environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    @contextmanager
    def running(self, command: str, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            self.arguments(command, *options),
            env=self.environment(**environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def plan(self, **fields: Any) -> str:
        path = self.folder / f"plan-{next(NAMES)}.json"
        path.write_text(json.dumps({"audience": {}, "remote_request_params": PARAMS, **fields}))
        return str(path)

    def callouts(self) -> list[Any]:
        found: list[Any] = self.api.get("/api/callouts").json
        return found


@pytest.fixture
def alerts(server: Server, tmp_path: Path) -> Alerts:
    return Alerts(server.new_account(), tmp_path)


def add_people(api: Client, *numbers: str) -> None:
    for number in numbers:
        assert api.post("/api/contacts", {"msisdn": number}).status == 201


def make_callout(api: Client, **plan: Any) -> int:
    fields = {
        "call_flow_logic": "CallFlowLogic::Message",
        "metadata": {"message": "Water is rising."},
        "plan": {"audience": {}, "remote_request_params": PARAMS, **plan},
    }
    made = api.post("/api/callouts", json=fields)
    assert made.status == 201, made
    return int(made.json["id"])


def said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def test_from_a_plan_to_the_list_of_the_unreached(alerts: Alerts) -> None:
    add_people(alerts.api, ACKNOWLEDGES, HEARS, BUSY, SILENT)
    plan = alerts.plan(retry={"max_attempts": 2, "delays": [1]})
    done = alerts.run("start", "--plan", plan, "--message", "Water is rising.", "--yes")
    assert done.returncode == 1, said(done)
    (callout,) = alerts.callouts()
    assert (callout["status"], callout["call_flow_logic"]) == ("completed", "CallFlowLogic::Message")
    assert callout["metadata"] == {"message": "Water is rising."}
    assert "people to be called  4" in done.stdout
    assert "calls at most        8" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"callout {callout['id']} is completed at ")
    assert "4 people: 1 reached, 1 acknowledged, 2 unreached" in last
    assert "1 busy" in last and "1 not_answered" in last
    assert "\x1b" not in done.stdout and alerts.api.token not in said(done)

    saved = alerts.run("results", str(callout["id"]), "--outcome", "unreached", "--output", "unreached.csv")
    assert saved.returncode == 0, said(saved)
    rows = list(csv.DictReader((alerts.folder / "unreached.csv").read_text().splitlines()))
    assert {(row["msisdn"], row["attempts"]) for row in rows} == {(BUSY, "2"), (SILENT, "2")}
    printed = alerts.run("results", str(callout["id"]), "--outcome", "unreached", "--output", "-")
    assert printed.returncode == 0 and list(csv.DictReader(printed.stdout.splitlines())) == rows, said(printed)
    for form, begins in (("xlsx", b"PK"), ("jsonl", b'{"contact_id"')):
        assert alerts.run("results", str(callout["id"]), "--format", form).returncode == 0
        assert (alerts.folder / f"callout-{callout['id']}-results.{form}").read_bytes().startswith(begins)
    assert not list(alerts.folder.glob(".*"))


def test_everybody_reached_is_0_whether_it_was_watched_from_its_start_or_later(alerts: Alerts) -> None:
    add_people(alerts.api, ACKNOWLEDGES, HEARS)
    callout_id = str(make_callout(alerts.api))
    done = alerts.run("start", callout_id, "--yes", "--no-watch")
    assert done.returncode == 0 and f"callout {callout_id} is started" in done.stdout, said(done)
    watched = alerts.run("watch", callout_id)
    assert watched.returncode == 0 and "1 reached, 1 acknowledged" in watched.stdout, said(watched)
    again = alerts.run("start", callout_id, "--yes")
    assert again.returncode == 2
    assert "only one that is initialized can be started" in again.stderr


def test_whoever_is_excluded_does_not_count(alerts: Alerts) -> None:
    add_people(alerts.api, HEARS, BUSY)
    assert alerts.api.post("/api/opt_outs", {"msisdn": BUSY}).status == 201
    done = alerts.run("start", str(make_callout(alerts.api)), "--yes")
    assert done.returncode == 0, said(done)
    assert "left out: 1 opted out" in done.stdout
    assert "1 reached, 1 excluded (1 opted_out)" in done.stdout


def test_what_blocks_the_start_is_told_and_nothing_is_left(alerts: Alerts) -> None:
    done = alerts.run("start", "--plan", alerts.plan(not_after="2020-01-01T00:00:00Z"), "--yes")
    assert done.returncode == 2
    assert "blocker: " in done.stdout and "not_after" in done.stdout
    assert "nobody is called" in done.stderr
    assert alerts.callouts() == []


def test_where_nobody_can_be_asked_it_does_not_start(alerts: Alerts) -> None:
    add_people(alerts.api, HEARS)
    done = alerts.run("start", "--plan", alerts.plan())
    assert done.returncode == 2 and "--yes" in done.stderr
    assert alerts.callouts() == []


def on_a_terminal(alerts: Alerts, reply: bytes, *arguments: str) -> tuple[int, str]:
    """Run a command on a terminal, REPLY to its question; the exit status, and all that was shown."""
    ours, theirs = pty.openpty()
    environment = alerts.environment(TERM="xterm", COLUMNS="100", LINES="40")
    with subprocess.Popen(
        alerts.arguments(*arguments), env=environment, cwd=alerts.folder, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = bytearray()
        replied = False
        while part := read_terminal(ours):
            shown += part
            if not replied and b"[y/N]" in shown:
                os.write(ours, reply)
                replied = True
        os.close(ours)
        return process.wait(SECONDS), shown.decode()


def read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux: nobody has the other end any more
        return b""


def test_on_a_terminal_it_asks_first_and_shows_bars(alerts: Alerts) -> None:
    add_people(alerts.api, HEARS, BUSY)
    plan = alerts.plan()
    status, shown = on_a_terminal(alerts, b"\n", "start", "--plan", plan, "--message", "Hello")
    assert status == 2 and "did not say yes" in shown
    assert alerts.callouts() == []
    status, shown = on_a_terminal(alerts, b"y\n", "start", "--plan", plan, "--message", "Hello")
    assert status == 1, shown
    assert "Call 2 people?" in shown and "━" in shown and "50%" in shown


def test_a_stopped_callout_is_over_for_who_watches_it(alerts: Alerts) -> None:
    add_people(alerts.api, HEARS, ACKNOWLEDGES)
    callout_id = str(make_callout(alerts.api, starts_at="2099-01-01T00:00:00Z"))
    assert alerts.run("start", callout_id, "--yes", "--no-watch").returncode == 0
    with alerts.running("watch", callout_id) as watching:
        assert watching.stdout is not None
        assert "2 people: 2 pending" in watching.stdout.readline()
        stopped = alerts.run("stop", callout_id, "--hang-up")
        assert stopped.returncode == 0, said(stopped)
        assert watching.wait(SECONDS) == 1
        assert "2 unreached (2 stopped)" in watching.stdout.read()
    again = alerts.run("stop", callout_id)
    assert again.returncode == 2 and "stopped can take: resume" in again.stderr


def test_ctrl_c_ends_the_view_and_the_token_is_not_among_its_arguments(alerts: Alerts) -> None:
    add_people(alerts.api, HEARS)
    callout_id = str(make_callout(alerts.api, starts_at="2099-01-01T00:00:00Z"))
    token = alerts.api.token
    assert alerts.run("start", callout_id, "--yes", "--no-watch").returncode == 0
    with alerts.running("watch", callout_id, "--token", token, SCFM_TOKEN="wrong") as watching:
        assert watching.stdout is not None
        assert "1 pending" in watching.stdout.readline()
        arguments = Path(f"/proc/{watching.pid}/cmdline").read_bytes().decode().split("\0")
        assert callout_id in arguments and not any(token in argument for argument in arguments)
        watching.send_signal(signal.SIGINT)
        rest = watching.stdout.read()
        assert watching.wait(SECONDS) == 130
        assert f"callout {callout_id} goes on" in rest and "Traceback" not in rest
    assert alerts.api.get(f"/api/callouts/{callout_id}").json["status"] == "running"


@pytest.mark.parametrize("option", ["--token", "--tok", "--t"])
def test_a_token_that_is_given_in_short_is_taken_out_of_the_arguments_too(option: str) -> None:
    assert _gives(f"{option}=secret", "secret") and _gives("secret", "secret")
    assert not any(_gives(other, "secret") for other in (option, f"{option}=other", "--message=secret", "--=secret"))


def test_it_goes_on_watching_over_a_kill_of_the_server(settings: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Server(tmp_path / "data", settings, "--port", str(port)) as server:
        alerts = Alerts(server.client(server.create_account()), tmp_path)
        add_people(alerts.api, HEARS)
        callout_id = make_callout(alerts.api, starts_at="2099-01-01T00:00:00Z")
        path = f"/api/callouts/{callout_id}"
        assert alerts.api.post(f"{path}/callout_events", {"event": "start"}).status == 201
        with alerts.running("watch", str(callout_id)) as watching:
            assert watching.stdout is not None
            assert "1 pending" in watching.stdout.readline()
            server.kill()
            server.start()
            assert alerts.api.post(f"{path}/callout_events", {"event": "stop"}).status == 201
            assert watching.wait(SECONDS) == 1
            assert "1 unreached (1 stopped)" in watching.stdout.read()


@pytest.mark.parametrize(
    ("options", "environment", "told"),
    [
        (("watch", "1"), {"SCFM_TOKEN": "wrong"}, "the server refuses the token"),
        (("watch", "1"), {"SCFM_TOKEN": ""}, "give an access token"),
        (("watch", "999999999"), {}, "the server has no callout 999999999:"),
        (("watch", "1st"), {}, "'1st' is not a callout's id"),
        (("stop", "999999999"), {}, "the server has no callout 999999999:"),
        (("results", "999999999"), {}, "the server has no callout 999999999:"),
        (("results", "1", "--output", "/nowhere/file"), {}, "there is no folder /nowhere"),
        (("results", "1", "--output", "/dev/null"), {}, "/dev/null is no file"),
        (("start",), {}, "give the id of a callout, or --plan FILE"),
        (("start", "1", "--message", "Hello"), {}, "are for a new callout"),
        (("start", "--yes", "--plan", "missing.json"), {}, "the plan missing.json cannot be read"),
        (("watch", "1", "--server", "localhost:3000"), {}, "is not the address of a server"),
    ],
)
def test_wrong_use_and_refusals_are_2_with_a_sentence(
    options: tuple[str, ...], environment: dict[str, str], told: str, alerts: Alerts
) -> None:
    done = alerts.run(*options, **environment)
    assert done.returncode == 2, said(done)
    assert told in done.stderr and "Traceback" not in done.stderr
    assert not list(alerts.folder.iterdir())


def test_a_plan_that_the_server_refuses_is_told_with_its_place(alerts: Alerts) -> None:
    done = alerts.run("start", "--plan", alerts.plan(retry={"max_attempts": 11}), "--yes")
    assert done.returncode == 2
    assert "plan: /retry/max_attempts: must be at most 10" in done.stderr
    assert alerts.callouts() == []
