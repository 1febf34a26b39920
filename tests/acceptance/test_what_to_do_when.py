"""What the operations manual says for the night: its commands, against servers to which these things happen."""

from __future__ import annotations

import json
import os
import re
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.alerts import carrier, import_contacts, total
from tests.acceptance.small_disk import OnSmallDisk, may_mount
from tests.acceptance.test_documents import FENCE, HERE, ROOT, prints, shows
from tests.conftest import memory_folder
from tests.server import INHERITED, Server, wait_until
from tests.torture.databases import Mongod, free_port

MANUAL = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
NIGHT = MANUAL.partition("\n## What to do when\n")[2].partition("\n## ")[0]
PREPARATION, *SECTIONS = re.split(r"^### ", NIGHT, flags=re.MULTILINE)
ON_ONE_SERVER = (
    "Hold the calls",
    "The provider is down",
    "Webhooks are refused",
    "The database is gone",
    "Nothing leaves the queue",
    "An alert was started by mistake",
)
ON_ANOTHER = ("A token is lost", "A call may have rung", "The disk is full")
FOLDER = "/var/lib/private/scfm-3000"
# What a script does that must not be done again until it prints what is shown.
CHANGES = re.compile(r" -d | -X |^scfm |^rm ", re.MULTILINE)
# So many that an alert with four calls a second goes on until it is stopped.
PEOPLE = 1000
PLAN = {"audience": {}, "remote_request_params": {"from": "1234"}}
WORDS = {"metadata": {"message": "Leave low ground now."}, "call_flow_logic": "CallFlowLogic::Message"}

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the manual's requests are made with curl")


class Machine:
    """A machine with a server on it, on which somebody does what the manual says."""

    def __init__(self, server: Server, folder: Path, services: Mapping[str, Callable[[], object]]) -> None:
        self.server = server
        self.folder = folder
        # What systemctl does here, by the words that follow it.
        self.services = services
        self.shown = {title: FENCE.findall(text) for title, text in (one.split("\n", 1) for one in SECTIONS)}
        (self.preparation,) = (script for language, script in FENCE.findall(PREPARATION) if language == "sh")

    def follow(self, title: str, count: int | None = None) -> str:
        """Run the next scripts of the section, COUNT or what is left; each must print what is shown below it.

        What the last one has printed.
        """
        blocks, printed = self.shown[title], ""
        while blocks and count != 0:
            _, script = blocks.pop(0)
            language, text = blocks.pop(0) if blocks and blocks[0][0] != "sh" else ("", "")
            printed = self.follow_script(script, language, self.here(text))
            count = None if count is None else count - 1
        assert not count, f"{title}: {count} scripts are missing"
        return printed

    def follow_script(self, script: str, language: str, shown: str) -> str:
        """Run it; one that only reads, until it prints what is SHOWN. What it has printed."""
        done = subprocess.CompletedProcess(script, 0, "", "")

        def is_right() -> bool:
            nonlocal done
            done = self.run(script)
            right = done.returncode == 0 and is_shown(done.stdout, language, shown)
            assert right or not CHANGES.search(script)
            return right

        try:
            wait_until(is_right)
        except AssertionError as error:
            error.add_note(f"{script}\nshown: {shown}\nprinted: {done.stdout}{done.stderr}\n{self.server.output()}")
            raise
        return done.stdout

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        if script.startswith("systemctl "):
            self.services[script.removeprefix("systemctl ").strip()]()
            return subprocess.CompletedProcess(script, 0, "", "")
        log = self.folder / "log"
        log.write_text("\n".join([*self.server.stderr, ""]))
        commands = (
            'curl() { command curl -q --max-time 30 "$@"; }\n'
            f'scfm() {{ {sys.executable} -m scfm "$@"; }}\n'
            f'journalctl() {{ test "$*" = "-u scfm@3000 -o cat" && cat {log}; }}\n'
        )
        return subprocess.run(
            [*self.inside(), "bash", "-e", "-c", commands + self.here(self.preparation + script)],
            cwd=self.folder,
            env={
                **{name: os.environ[name] for name in INHERITED if name in os.environ},
                "ACCESS_TOKEN": self.server.token,
                "LC_ALL": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            input="a new password\na new password\n",
            timeout=120,
            check=False,
        )

    def here(self, text: str) -> str:
        """The text, of this machine in place of the manual's."""
        text = text.replace(HERE, f"127.0.0.1:{self.server.port}").replace(FOLDER, str(self.server.data_dir))
        return re.sub(r"scfm alert (\w+)", rf"scfm alert \1 --server {self.server.url}", text)

    def inside(self) -> list[str]:
        return self.server.inside() if isinstance(self.server, OnSmallDisk) else []


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is room, and with a short name, as it is in that of a socket."""
    with tempfile.TemporaryDirectory(prefix="scfm-test-", dir=memory_folder()) as place:
        yield Path(place)


class GoesAway(socketserver.StreamRequestHandler):
    """Reads what a request begins with, and closes the connection: it is not known what became of it."""

    def handle(self) -> None:
        self.rfile.readline()


@contextmanager
def provider_that_goes_away() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), GoesAway) as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_address[1]}"
        finally:
            listener.shutdown()
            thread.join()


def is_shown(printed: str, language: str, shown: str) -> bool:
    """Whether it is as the manual shows it, as JSON or as text."""
    if language != "json":
        return prints(printed, shown)
    return bool(printed) and shows(json.loads(printed), json.loads(shown))


def answered(server: Server, method: str, path: str, sent: Any) -> Any:
    answer = server.request(method, path, json=sent)
    assert answer.status in (200, 201, 204), answer
    return answer.json


def write_much(server: Server) -> None:
    """Have MongoDB write more than fits into what its journal has of the disk already."""
    people = (
        {"msisdn": f"+2526151{number:05}", "metadata": {"text": os.urandom(5000).hex()}} for number in range(2000)
    )
    lines = "".join(json.dumps(one) + "\n" for one in people).encode()
    server.request("POST", "/api/contacts/import", body=lines, headers={"Content-Type": "application/x-ndjson"})


def start_alert(server: Server, **limits: float) -> str:
    """Start an alert for every contact; its path."""
    path = f"/api/callouts/{answered(server, 'POST', '/api/callouts', {'plan': {**PLAN, **limits}, **WORDS})['id']}"
    answered(server, "POST", f"{path}/callout_events", {"event": "start"})
    return path


def people(server: Server, path: str) -> dict[str, int]:
    """How many people of an alert have which outcome."""
    found: dict[str, int] = answered(server, "GET", f"{path}/statistics", None)["people"]
    return found


def test_each_section_is_followed() -> None:
    assert [section.partition("\n")[0] for section in SECTIONS] == sorted(
        ON_ONE_SERVER + ON_ANOTHER, key=lambda title: NIGHT.index(f"### {title}\n")
    )


def test_what_is_seen_on_the_page_are_texts_of_the_page() -> None:
    texts = (ROOT / "scfm" / "page" / "texts" / "en.json").read_text(encoding="utf-8")
    quoted = re.findall(r"“(.+?)”", NIGHT)
    assert len(quoted) > 4
    assert [text for text in quoted if f'"{text}"' not in texts] == []


def with_a_carrier_and_a_mongodb_of_its_own(folder: Path) -> None:
    """Follow what ON_ONE_SERVER names."""
    port, carrier_port = free_port(), free_port()
    ledger, calls = folder / "ledger", folder / "calls"
    lives = ("--port", str(carrier_port), "--state", str(calls))
    with Mongod(folder / "mongodb") as mongod:
        settings = {
            "MONGODB_URI": mongod.uri,
            "PLATFORM_PROVIDER": "twilio",
            "TWILIO_CLIENT_REST_API_BASE_URL": f"http://127.0.0.1:{carrier_port}",
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
        }
        with Server(folder / "data", settings, "--port", str(port)) as server:
            services = {"start mongod": mongod.start, "restart scfm@3000": server.restart}
            machine = Machine(server, folder, services)
            own = {"twilio_account_sid": "AC1", "twilio_auth_token": "THE_OLD_TOKEN"}
            answered(server, "PATCH", "/api/account", own)
            answered(server, "POST", "/api/contacts", {"msisdn": "+252615000000"})
            # So slow that the first call still rings when this carrier ends.
            with carrier(ledger, *lives, "--auth-token", "THE_OLD_TOKEN", "--life-size", "10"):
                start_alert(server)
                wait_until(lambda: total(server, "/api/phone_calls?q[status]=remotely_queued"))
            # This carrier signs with the token that a call was made with; a real one with the token that it has now.
            calls.write_text(calls.read_text().replace("THE_OLD_TOKEN", "THE_NEW_TOKEN"))
            for number in range(1, 7):
                answered(server, "POST", "/api/contacts", {"msisdn": f"+25261500000{number}"})
            start_alert(server)
            machine.follow("The provider is down", 2)
            with carrier(ledger, *lives, "--auth-token", "THE_NEW_TOKEN", "--life-size", "0.05"):
                machine.follow("Webhooks are refused", 2)
                machine.follow("The provider is down")
                machine.follow("Webhooks are refused")
                wait_until(lambda: total(server, "/api/callouts?q[status]=running") == 0)

                mongod.kill()
                machine.follow("The database is gone")

                answered(server, "POST", "/api/account/account_events", {"event": "hold"})
                import_contacts(server, PEOPLE)
                path = start_alert(server, calls_per_second=4)
                machine.follow("Nothing leaves the queue")
                wait_until(lambda: people(server, path)["reached"] + people(server, path)["acknowledged"])
                machine.follow("An alert was started by mistake")
                machine.follow("Hold the calls")
    assert [title for title in ON_ONE_SERVER if machine.shown[title]] == []


def on_a_small_disk(folder: Path) -> None:
    """Follow what ON_ANOTHER names; the disk is filled where this user may mount one."""
    with provider_that_goes_away() as url:
        settings = {
            "PLATFORM_PROVIDER": "twilio",
            "TWILIO_ACCOUNT_SID": "AC1",
            "TWILIO_AUTH_TOKEN": "secret",
            "TWILIO_CLIENT_REST_API_BASE_URL": url,
            "PUBLIC_URL": "http://127.0.0.1:3000",
            "UNKNOWN_GRACE_SECONDS": "0.2",
            "UNKNOWN_LIMIT_SECONDS": "1",
        }
        of_this_machine = OnSmallDisk if may_mount() else Server
        with of_this_machine(folder / "data", settings) as server:
            machine = Machine(server, folder, {})
            answered(server, "POST", "/api/accounts", {"metadata": {"name": "Red Cross"}})
            server.token = "lost"
            server.token = machine.follow("A token is lost", 1).splitlines()[-1]
            machine.follow("A token is lost")
            answered(server, "POST", "/api/contacts", {"msisdn": "+252615000001"})
            start_alert(server)
            machine.follow("A call may have rung")
            if isinstance(server, OnSmallDisk):
                full = [*server.inside(), "dd", "if=/dev/zero", f"of={server.data_dir}/mongod.log.1", "bs=1M"]
                assert b"No space left" in subprocess.run(full, capture_output=True, check=False).stderr
                write_much(server)
                machine.follow("The disk is full")
    followed = ON_ANOTHER if isinstance(server, OnSmallDisk) else ON_ANOTHER[:-1]
    assert [title for title in followed if machine.shown[title]] == []


def test_each_command_prints_what_is_shown(folder: Path) -> None:
    stories = (with_a_carrier_and_a_mongodb_of_its_own, on_a_small_disk)
    # At the same time, as each of them mostly waits.
    with ThreadPoolExecutor() as pool:
        for story in [pool.submit(story, Path(tempfile.mkdtemp(dir=folder))) for story in stories]:
            story.result()
    if not may_mount():
        pytest.skip("this user may not mount a disk to fill: the commands for a full one were not run")
