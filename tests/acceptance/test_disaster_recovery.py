"""The page "From a lost disk to ringing again", command by command; ``make recovery``: with 100,000 contacts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scfm.runtime.secret_keys import add_new_key
from tests.acceptance.alerts import carrier, lines, rung
from tests.acceptance.test_documents import ROOT, blocks
from tests.server import INHERITED, Server, wait_until
from tests.torture.databases import free_port

CONTACTS = int(os.environ.get("RECOVERY_CONTACTS", "1000"))
MAX_RECOVERY_SECONDS = 15 * 60
PAGE = ROOT / "docs" / "disaster-recovery.md"
# Only this of the page's commands is changed: a test has no five minutes.
EVERY = ("--backup-every 5m", "--backup-every 5s" if CONTACTS <= 1000 else "--backup-every 1m")
# Calls a second: slow enough that some are left when the disk is lost.
RATE = max(100, CONTACTS // 100)


class Machine:
    """A folder in which the page's commands are run, and what they are told."""

    def __init__(self, folder: Path, carrier_url: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "BACKUPS": str(folder / "backups"),
            "KEYS": str(folder / "keys"),
            "SERVER": f"http://127.0.0.1:{self.port}",
            "PORT": str(self.port),
            "PLATFORM_PROVIDER": "twilio",
            "TWILIO_ACCOUNT_SID": "AC1",
            "TWILIO_AUTH_TOKEN": "secret",
            "TWILIO_CLIENT_REST_API_BASE_URL": carrier_url,
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "CALLS_PER_SECOND": str(RATE),
            "UNKNOWN_GRACE_SECONDS": "0.5",
            "PYTHONUNBUFFERED": "1",
        }
        for name in ("backups", "keys"):
            (folder / name).mkdir()
        self.server = Server(folder / "data", self.environment)
        self.server.host, self.server.port = "127.0.0.1", self.port

    def run(self, script: str) -> str:
        """What the commands print; each must succeed."""
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=MAX_RECOVERY_SECONDS,
            check=False,
        )
        assert done.returncode == 0, script + done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def serving(self, script: str) -> Iterator[subprocess.Popen[str]]:
        """A server that is started by the page's command, once it answers."""
        log = self.folder / "server.log"
        with log.open("a") as output:
            command = ["bash", "-c", f"exec {script.replace(*EVERY)}"]
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=output, stderr=output, text=True
            )
        try:
            wait_until(lambda: "listening on" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            log.rename(self.folder / f"server.{time.monotonic_ns()}.log")
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)

    def backups(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "backups").glob("*.backup"))


def is_lost(folder: Path) -> bool:
    """Remove a server's data; whether all are gone. Its MongoDB, which outlives it for a moment, writes meanwhile."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's requests are made with curl")
def test_the_page_leads_from_a_lost_disk_to_ringing_again(tmp_path: Path) -> None:
    scripts = [block.text for block in blocks(PAGE) if block.language == "sh"]
    serve, copy_keys, verify, put_back, restore, serve_again, account, waiting, resume, release = scripts
    ledger = tmp_path / "ledger"
    with carrier(ledger) as url:
        machine = Machine(tmp_path, url)
        with machine.serving(serve) as process:
            machine.environment["ACCESS_TOKEN"] = machine.server.token = machine.server.create_account()
            headers = {"Content-Type": "application/x-ndjson"}
            request = machine.server.request
            imported = request("POST", "/api/contacts/import", body=lines(CONTACTS), headers=headers)
            assert imported.status in (200, 201), imported
            plan = {"audience": {}, "remote_request_params": {"from": "1234"}, "retry": {"max_attempts": 1}}
            assert request("POST", "/api/callouts", json={"plan": plan}).status == 201
            assert request("POST", "/api/callouts/1/callout_events", json={"event": "start"}).status == 201
            wait_until(lambda: rung(ledger).total() >= CONTACTS // 10, 600)
            if not (tmp_path / "data" / "secret.key").exists():
                add_new_key(tmp_path / "data")
            machine.run(copy_keys)
            known = machine.backups()
            wait_until(lambda: machine.backups() != known, 600)
            machine.run(verify)
            process.kill()
            process.wait()
        wait_until(lambda: is_lost(tmp_path / "data"))
        lost_at, before = time.monotonic(), rung(ledger)
        assert before.total() < CONTACTS, "the disk is lost in the middle"

        machine.run(put_back)
        report = machine.run(restore)
        assert "callout 1 of account" in report
        assert "is paused" in report
        machine.environment["CALLS_PER_SECOND"] = "0"  # enough was seen of a callout in its middle
        with machine.serving(serve_again) as process:
            machine.run(account)
            machine.run(waiting)
            wait_until(lambda: b"unknown" not in machine.run(waiting).encode(), 60)
            quiet = rung(ledger)
            assert quiet == before, "nobody is called by itself"
            machine.run(resume)
            machine.run(release)
            wait_until(lambda: rung(ledger).total() > before.total(), 600)
            seconds = time.monotonic() - lost_at
            print(f"\n{CONTACTS} contacts, {before.total()} called before: ringing again after {seconds:.1f} s")
            wait_until(lambda: len(rung(ledger)) == CONTACTS, 1800)
            again = Counter({number: count for number, count in rung(ledger).items() if count > 1})
        assert set(again.values()) <= {2}
        assert set(again) <= set(before), "only who was called after the backup may be called again, by the resume"
        assert seconds < MAX_RECOVERY_SECONDS
        print(f"{len(again)} were called twice: after the last backup, and as somebody resumed the callout")
