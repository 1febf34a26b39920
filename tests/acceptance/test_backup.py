"""``scfm backup`` and ``scfm restore`` beside real servers, which are killed meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from scfm.backups.order import RESTORES
from scfm.embedded_mongod.data_folder import DataFolder
from scfm.embedded_mongod.sockets import connection_uri, is_listening
from scfm.errors import StartError
from scfm.runtime.secret_keys import add_new_key, key_file
from tests.acceptance.alerts import import_contacts, total
from tests.conftest import memory_folder
from tests.server import Server, wait_until
from tests.torture.databases import Mongod

CONTACTS = 1000
SIMULATOR = {"PLATFORM_PROVIDER": "simulator"}
PLAN = {"audience": {}, "remote_request_params": {"from": "1234"}}
Document = dict[str, Any]


class Command:
    """``scfm`` in a process of its own, which may be killed."""

    def __init__(self, server: Server, *arguments: str) -> None:
        command = [sys.executable, "-m", "scfm", *arguments, "--data-dir", str(server.data_dir)]
        self._process = subprocess.Popen(
            command, env=server._environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def kill(self) -> None:
        self._process.kill()
        self.end()

    def end(self) -> tuple[int, str]:
        """Its exit status, and what it has printed."""
        stdout, stderr = self._process.communicate(timeout=120)
        return self._process.returncode, stdout + stderr


def running_plan(server: Server) -> None:
    import_contacts(server, CONTACTS)
    assert server.request("POST", "/api/callouts", json={"plan": PLAN}).status == 201
    assert server.request("POST", "/api/callouts/1/callout_events", json={"event": "start"}).status == 201
    wait_until(lambda: total(server, "/api/phone_calls") > 20)


def is_being_restored(data_dir: Path) -> bool:
    """Whether a restore into the folder has begun to write."""
    try:
        socket = DataFolder(data_dir.resolve()).owners_socket()
    except StartError:  # the folder is not there yet
        return False
    if socket is None or not is_listening(socket):
        return False
    with MongoClient[Document](connection_uri(socket), serverSelectionTimeoutMS=500) as client:
        try:
            return client.scfm[RESTORES].find_one() is not None
        except PyMongoError:
            return False


def test_a_backup_under_load_is_whole_or_not_there_and_a_restore_that_is_killed_is_begun_anew(place: Path) -> None:
    first = place / "first.backup"
    with Server(place / "data", SIMULATOR) as server:
        running_plan(server)
        made = server.run("backup", str(first))
        assert made.returncode == 0, made.stderr
        assert "not encrypted" in made.stdout
        killed = place / "killed.backup"
        backup = Command(server, "backup", str(killed))
        wait_until(lambda: list(place.glob(".killed.backup.part")) or killed.exists(), every=0.001)
        server.kill()
        status, printed = backup.end()
        assert (status == 0) is killed.exists()
        assert list(place.glob(".*.part")) == []
        if status:
            assert status == 1
            assert printed.startswith("scfm: the database does not answer any more")
            assert printed.count("\n") == 1
        else:
            first = killed
        server.start()
        calls = total(server, "/api/phone_calls")
        token = server.token

    restored = Server(place / "restored", SIMULATOR)
    restore = Command(restored, "restore", str(first))
    wait_until(lambda: is_being_restored(restored.data_dir), every=0.001)
    restore.kill()
    refused = restored.run("serve", "--port", "0")
    assert refused.returncode == 1
    assert f"half restored: scfm restore {first.name} was cut off" in refused.stderr
    done = restored.run("restore", str(first))
    assert done.returncode == 0, done.stderr
    assert "callout 1 of account 1 ran, and is paused" in done.stdout
    again = restored.run("restore", str(first))
    assert again.returncode == 1
    assert "is not empty" in again.stderr
    restored.token = token
    with restored:
        assert total(restored, "/api/contacts") == CONTACTS
        assert 0 < total(restored, "/api/phone_calls") <= calls
        assert restored.request("GET", "/api/callouts/1").json["status"] == "paused"
        resumed = restored.request("POST", "/api/callouts/1/callout_events", json={"event": "resume"})
        assert resumed.status == 201, resumed
        wait_until(lambda: total(restored, "/api/callouts/1/callout_participations") == CONTACTS)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory, if there is room: what is made of four databases here is not about disks."""
    folder = Path(tempfile.mkdtemp(prefix="scfm-test-", dir=memory_folder()))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def passphrase_file(place: Path) -> Iterator[str]:
    file = place / "passphrase"
    file.write_text("correct horse battery staple\n")
    yield str(file)


def test_with_a_mongodb_of_ones_own_and_two_servers_an_encrypted_backup_brings_its_keys(
    place: Path, passphrase_file: str
) -> None:
    path, by = str(place / "a.backup"), ["--passphrase-file", passphrase_file]
    add_new_key(place / "data")
    with Mongod(place / "mongod") as mongod:
        own = {**SIMULATOR, "MONGODB_URI": mongod.uri, "SCFM_SECRET_KEYS_FILE": str(key_file(place / "data"))}
        with Server(place / "data", own) as server, Server(place / "other", own) as other:
            other.token = server.token
            tokens = {"twilio_account_sid": "AC" + "1" * 32, "twilio_auth_token": "secrettoken"}
            assert server.request("PATCH", "/api/account", form=tokens).status in (200, 204)
            for number, one in enumerate((server, other)):
                assert one.request("POST", "/api/contacts", form={"msisdn": f"+8551234567{number}"}).status == 201
            assert server.run("backup", path, "--encrypt").returncode == 2, "without a passphrase"
            assert server.run("backup", path, "--with-keys").returncode == 2, "not encrypted"
            made = server.run("backup", path, "--encrypt", "--with-keys", *by)
            assert made.returncode == 0, made.stderr
            assert server.run("backup", path, "--encrypt", *by).returncode == 1, "it is there already"
        checked = server.run("backup", "--verify", path)
        assert "only its checksums were compared" in checked.stdout
        assert "2 contacts" in server.run("backup", "--verify", path, *by).stdout
        (place / "wrong").write_text("incorrect horse")
        wrong = server.run("backup", "--verify", path, "--passphrase-file", str(place / "wrong"))
        assert wrong.returncode == 1
        assert "the passphrase is not the one" in wrong.stderr

        elsewhere = {**SIMULATOR, "MONGODB_URI": mongod.uri, "MONGODB_DATABASE": "elsewhere"}
        restored = Server(place / "new", elsewhere)
        unopened = restored.run("restore", path)
        assert unopened.returncode == 1
        assert "name the file with its passphrase" in unopened.stderr
        done = restored.run("restore", path, *by)
        assert done.returncode == 0, done.stderr
        restored.token = server.token
        with restored:
            assert total(restored, "/api/contacts") == 2
            assert restored.request("GET", "/api/account").json["twilio_account_sid"] == tokens["twilio_account_sid"]
