"""Secret keys as an operator meets them: made at the first start, rotated beside a server, missing, lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.runtime.secret_box import fingerprint, key_of, new_key
from scfm.runtime.secret_keys import key_file
from tests.server import Server, wait_until

TOKEN, OTHER_TOKEN = "0123456789abcdef", "fedcba9876543210"
OLD, NEW = new_key(), new_key()
Accounts = Any


@pytest.fixture
def accounts(mongod: PrivateMongod) -> Iterator[Accounts]:
    """The accounts of a database of one's own, as another process sees them."""
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        client.drop_database("keys")
        yield client["keys"]["accounts"]
        client.drop_database("keys")


def settings(mongod: PrivateMongod, *keys: str) -> dict[str, str]:
    return {"MONGODB_URI": mongod.uri, "MONGODB_DATABASE": "keys", "SCFM_SECRET_KEYS": ",".join(keys)}


def set_token(server: Server, token: str) -> None:
    assert server.client().patch("/api/account", json={"twilio_auth_token": token}).status == 204


def shown(server: Server) -> str:
    return str(server.client().get("/api/account").json["twilio_auth_token"])


def refused(server: Server) -> str:
    """The line with which a server does not start."""
    done = server.run("serve", "--port", "0")
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "secret" in line or "key" in line]
    return line


def rotated(server: Server, *options: str, status: int = 0) -> str:
    done = server.run("rotate-keys", *options)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_keys_are_rotated_beside_the_server_that_runs(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        set_token(server, TOKEN)
        (old,) = key_file(server.data_dir).read_text().split()
        told = rotated(server, "--new")
        new, kept = key_file(server.data_dir).read_text().split()
        assert kept == old and old not in told and new not in told
        assert f"Secrets sealed anew: 1. Sealed with the newest key, {fingerprint(new)}: 1." in told
        assert f"No secret needs {fingerprint(old)} any more." in told
        assert shown(server) == "********cdef"
        set_token(server, TOKEN)  # the running server reads what another key has sealed, and sees that it is the same
        set_token(server, OTHER_TOKEN)
        assert "Secrets sealed anew: 0." in rotated(server)
        server.terminate()
        key_file(server.data_dir).write_text(new)
        server.start()
        assert shown(server) == "********3210"


def test_a_data_folder_from_before_gets_a_key_and_its_tokens_are_sealed(
    mongod: PrivateMongod, accounts: Accounts, tmp_path: Path
) -> None:
    told = {"MONGODB_URI": mongod.uri, "MONGODB_DATABASE": "keys", "SCFM_SECRET_KEYS": ""}
    with Server(tmp_path / "data", told) as server:
        accounts.update_one({}, {"$set": {"twilio_auth_token": TOKEN}})
        assert shown(server) == "********cdef"
        server.terminate()
        server.start()
        (key,) = key_file(server.data_dir).read_text().split()
        wait_until(lambda: key_of(accounts.find_one()["twilio_auth_token"]) == fingerprint(key))
        wait_until(lambda: any("stored in the clear and are sealed now: 1" in one for one in server.stderr))
        assert shown(server) == "********cdef" and key not in str(server.stderr + server.stdout)


def test_a_second_server_needs_the_keys_of_the_first(
    mongod: PrivateMongod, accounts: Accounts, tmp_path: Path
) -> None:
    with Server(tmp_path / "one", settings(mongod, OLD)) as first:
        line = refused(Server(tmp_path / "two", settings(mongod, NEW)))
        assert f"{fingerprint(OLD)} (secrets that need it: 0)" in line and "the same SCFM_SECRET_KEYS" in line
        set_token(first, TOKEN)
        own_key = {**settings(mongod), "SCFM_SECRET_KEYS": ""}
        assert f"{fingerprint(OLD)} (secrets that need it: 1)" in refused(Server(tmp_path / "two", own_key))
        second = Server(tmp_path / "two", settings(mongod, NEW, OLD))
        second.token = first.token
        with second:
            assert shown(second) == "********cdef"


def test_a_key_is_dropped_when_no_secret_needs_it(mongod: PrivateMongod, accounts: Accounts, tmp_path: Path) -> None:
    """The steps of the operations manual, with two servers of which one runs at each moment."""
    one, two = Server(tmp_path / "one", settings(mongod, OLD)), Server(tmp_path / "two")
    with one, two_started(two, settings(mongod, OLD), one):
        set_token(one, TOKEN)
        for keys in ((OLD, NEW), (NEW, OLD)):
            for server in (one, two):
                server.terminate()
                server.environment = settings(mongod, *keys)
                server.start()
                assert shown(one) == shown(two) == "********cdef"
        assert f"{fingerprint(OLD)} (secrets that need it: 1)" in refused(
            Server(tmp_path / "three", settings(mongod, NEW))
        )
        early = Server(tmp_path / "early", settings(mongod, new_key(), NEW, OLD)).run("rotate-keys")
        assert early.returncode == 1 and "no server has started with" in early.stderr
        told = rotated(one)
        assert f"Secrets sealed anew: 1. Sealed with the newest key, {fingerprint(NEW)}: 1." in told
        one.terminate()
        one.environment = settings(mongod, NEW)
        one.start()
        assert shown(one) == shown(two) == "********cdef"


def two_started(server: Server, told: dict[str, str], other: Server) -> Server:
    server.environment = told
    server.token = other.token
    return server


def test_a_lost_key_keeps_the_server_from_its_start_until_it_is_forgotten(
    mongod: PrivateMongod, accounts: Accounts, tmp_path: Path
) -> None:
    server = Server(tmp_path / "data", settings(mongod, OLD))
    with server:
        set_token(server, TOKEN)
        server.terminate()
        server.environment = settings(mongod, NEW)
        assert "`scfm rotate-keys --forget`" in refused(server)
        told = rotated(server, "--forget", fingerprint(OLD))
        assert "Secrets removed from account 1: 1. Set them anew." in told
        server.start()
        assert server.client().get("/api/account").json["twilio_auth_token"] is None
        (event,) = server.client().get("/api/audit_events?q[actor][name]=rotate-keys").json
        assert event["changes"] == {"secrets_forgotten": [1, 0]}


def test_a_restored_database_without_its_keys_serves_all_that_needs_none(
    mongod: PrivateMongod, accounts: Accounts, tmp_path: Path
) -> None:
    server = Server(tmp_path / "data", settings(mongod, OLD))
    with server:
        set_token(server, TOKEN)
        server.terminate()
        accounts.database["secret_keys"].delete_many({})  # as a restore does
        server.environment = settings(mongod, NEW)
        server.start()
        wait_until(lambda: f"the secret key {fingerprint(OLD)}, which is not here: 1;" in server.output())
        told = rotated(server, status=1)
        assert f"Secrets that could not be read: 1. Their key, {fingerprint(OLD)}, is not here: add it" in told
        assert shown(server) == "********cdef"
        other = server.new_account(twilio_auth_token=OTHER_TOKEN)
        assert other.get("/api/account").json["twilio_auth_token"] == "********3210"
        set_token(server, TOKEN)
        assert key_of(accounts.find_one()["twilio_auth_token"]) == fingerprint(NEW)


def test_a_key_that_is_here_is_not_forgotten(mongod: PrivateMongod, accounts: Accounts, tmp_path: Path) -> None:
    with Server(tmp_path / "data", settings(mongod, OLD)) as server:
        set_token(server, TOKEN)
        done = server.run("rotate-keys", "--forget", fingerprint(OLD))
        assert done.returncode == 1 and "is here, and its secrets can be read" in done.stderr
        assert shown(server) == "********cdef"


def test_for_keys_that_are_given_a_new_one_is_printed_and_nothing_is_changed(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", {"SCFM_SECRET_KEYS": OLD})
    *told, key = rotated(server, "--new").splitlines()
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}=", key) and "SCFM_SECRET_KEYS" in "".join(told)
    assert OLD not in "".join(told) and not (tmp_path / "data").exists()
