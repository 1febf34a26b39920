"""``scfm serve`` from its first line to its last, with what can be wrong around it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from scfm.clock import now
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.server_store import MAX_JOBS_SECONDS, MAX_QUIESCE_SECONDS, MAX_REQUESTS_SECONDS
from tests.acceptance.alerts import queue_calls, total
from tests.server import LISTENING, REQUEST_SECONDS, STOP_SECONDS, TOKEN, Server, wait_until

# A driver that looks every half second for three seconds looks about seven times.
MAX_ATTEMPTS = 20
CONTACTS = 100_000
# What a server that is told too little or too much says, and what it is told.
MISTAKES = {
    "an unknown setting": ({"SCFM_FOO": "1"}, (), "SCFM_FOO is not a setting"),
    "a malformed port": ({"PORT": "abc"}, (), "PORT is 'abc'"),
    "a port out of range": ({}, ("--port", "70000"), "--port is '70000'"),
    "no settings file": ({}, ("--config", "/nonexistent/scfm.ini"), "/nonexistent/scfm.ini cannot be read"),
    "a folder as settings file": ({}, ("--config", "/"), "the settings file / cannot be read"),
    "no MongoDB URI": ({"MONGODB_URI": "localhost"}, (), "MONGODB_URI is 'localhost'"),
    "a malformed MongoDB URI": ({"MONGODB_URI": "mongodb://a:b@c@d/"}, (), "MONGODB_URI cannot be used"),
    "no such flow": ({"REGISTERED_CALL_FLOW_LOGIC": "none:None"}, (), "REGISTERED_CALL_FLOW_LOGIC"),
    "no such address": ({"HOST": "256.1.1.1"}, (), "cannot listen on 256.1.1.1"),
}


def pid_of_mongod(server: Server) -> int:
    return int((server.data_dir / "mongodb" / "mongod.lock").read_text())


def runs(pid: int) -> bool:
    """Whether the process is there, and not only waits to be counted as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def database(server: Server) -> Iterator[Database[dict[str, object]]]:
    """The server's own database."""
    address = (server.data_dir / "scfm.lock").read_text().splitlines()[1]
    with MongoClient[dict[str, object]](f"mongodb://{address.replace('/', '%2F')}/?directConnection=true") as client:
        yield client.scfm


def stop(server: Server, number: int) -> None:
    """Send the signal, and wait for a good end: a server that waited for what never comes would have none."""
    process = server.process
    assert process is not None
    process.send_signal(number)
    assert process.wait(STOP_SECONDS) == 0, server.output()
    server.process = None


def fails(process: subprocess.CompletedProcess[str], words: str) -> None:
    """Check that a command ended with one clear line."""
    assert process.returncode == 1, process
    assert process.stdout == ""
    (line,) = process.stderr.splitlines()
    assert line.startswith("scfm: ") and words in line


def test_the_first_start_tells_the_token_and_every_start_tells_where_it_listens(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        assert [bool(TOKEN.search(line)) for line in server.stdout].count(True) == 1
        assert LISTENING.fullmatch(server.stdout[-1])
        assert server.port != 3000 and server.request("GET", "/api/account").status == 200
        server.stdout.clear()
        server.restart()
        assert LISTENING.fullmatch(server.stdout[-1])
        assert not any(TOKEN.search(line) for line in server.stdout)
        assert server.request("GET", "/api/account").status == 200


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, mistake: str) -> None:
    environment, options, words = MISTAKES[mistake]
    fails(Server(tmp_path / "data", environment).run("serve", *options), words)


@pytest.mark.parametrize("command", ["serve", "create-account"])
def test_a_database_that_does_not_answer_is_soon_given_up(tmp_path: Path, command: str) -> None:
    """After few attempts, for it waits half a second at least between two of them."""
    with socket.create_server(("127.0.0.1", 0)) as database:
        attempts: list[socket.socket] = []
        hang_up = threading.Thread(target=hang_up_on_everybody, args=(database, attempts))
        hang_up.start()
        uri = f"mongodb://127.0.0.1:{database.getsockname()[1]}/"
        fails(Server(tmp_path / "data", {"MONGODB_URI": uri}).run(command), "does not answer")
        database.shutdown(socket.SHUT_RDWR)
        hang_up.join()
    assert 1 <= len(attempts) <= MAX_ATTEMPTS


def hang_up_on_everybody(listening: socket.socket, met: list[socket.socket]) -> None:
    with suppress(OSError):  # the test closes it
        while True:
            connection, _ = listening.accept()
            connection.close()
            met.append(connection)


def test_a_database_where_nobody_listens_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        uri = f"mongodb://127.0.0.1:{taken.getsockname()[1]}/"
        fails(Server(tmp_path / "data", {"MONGODB_URI": uri}).run("serve"), "does not answer")


def test_a_database_name_that_cannot_be_one_is_told_in_one_line(tmp_path: Path) -> None:
    fails(Server(tmp_path / "data", {"MONGODB_DATABASE": "a b"}).run("serve", "--port", "0"), "MONGODB_DATABASE")


def test_a_port_or_a_data_folder_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        other = Server(tmp_path / "other")
        fails(other.run("serve", "--port", str(server.port)), f"cannot listen on 127.0.0.1:{server.port}")
        fails(server.run("serve", "--port", "0"), "another scfm server is using")
        assert server.request("GET", "/health").status == 200


def test_the_waits_of_a_server_that_is_told_to_stop_end_before_docker_kills_it() -> None:
    assert MAX_REQUESTS_SECONDS + MAX_JOBS_SECONDS + MAX_QUIESCE_SECONDS < 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_though_a_client_keeps_its_connection(tmp_path: Path, number: signal.Signals) -> None:
    with Server(tmp_path / "data") as server:
        idle = HTTPConnection(server.host, server.port, timeout=REQUEST_SECONDS)
        idle.request("GET", "/health")
        assert idle.getresponse().read()
        mongod = pid_of_mongod(server)
        stop(server, number)
        assert not runs(mongod)
        idle.close()


def test_a_signal_ends_it_though_the_provider_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as silent:
        environment = {
            "TWILIO_ACCOUNT_SID": "AC1",
            "TWILIO_AUTH_TOKEN": "secret",
            "TWILIO_CLIENT_REST_API_BASE_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        with Server(tmp_path / "data", environment) as server:
            queue_calls(server, 500)
            wait_until(lambda: total(server, "/api/phone_calls?q[status]=queued") == 500)
            stop(server, signal.SIGTERM)
            server.start()
            assert total(server, "/api/phone_calls?q[status]=queued") == 500


def test_a_killed_server_takes_its_mongod_along_and_can_be_started_again(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        assert server.request("POST", "/api/contacts", form={"msisdn": "+252662345678"}).status == 201
        mongod = pid_of_mongod(server)
        server.kill()
        wait_until(lambda: not runs(mongod))
        server.start()
        assert server.request("GET", "/api/contacts/1").json["msisdn"] == "+252662345678"


def test_a_killed_mongod_is_started_again(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        assert server.request("POST", "/api/contacts", form={"msisdn": "+252662345678"}).status == 201
        mongod = pid_of_mongod(server)
        os.kill(mongod, signal.SIGKILL)
        wait_until(lambda: not runs(mongod))
        wait_until(lambda: server.request("GET", "/health").status == 200, 30)
        assert pid_of_mongod(server) != mongod
        assert server.request("GET", "/api/contacts/1").json["msisdn"] == "+252662345678"
        assert server.request("POST", "/api/contacts", form={"msisdn": "+252662345679"}).json["id"] == 2


# The driver would wait for sixty seconds.
HANGING_SECONDS = 30


def test_health_does_not_wait_for_a_database_that_hangs(tmp_path: Path) -> None:
    mongod = PrivateMongod.start(tmp_path / "database")
    try:
        with Server(tmp_path / "data", {"MONGODB_URI": mongod.uri}) as server:
            pid = mongod.pid
            os.kill(pid, signal.SIGSTOP)
            try:
                answer = server.request("GET", "/health", token="")
            finally:
                os.kill(pid, signal.SIGCONT)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert float(answer.headers["X-Runtime"]) < HANGING_SECONDS
            wait_until(lambda: server.request("GET", "/health", token="").status == 200)
    finally:
        mongod.stop()


def test_health_tells_of_a_database_that_is_gone(tmp_path: Path) -> None:
    mongod = PrivateMongod.start(tmp_path / "database")
    try:
        with Server(tmp_path / "data", {"MONGODB_URI": mongod.uri}) as server:
            health = server.request("GET", "/health", token="")
            assert (health.status, health.json["status"]) == (200, "ok")
            mongod.stop()
            for path in ("/health", "/api/contacts"):
                answer = server.request("GET", path)
                assert (answer.status, answer.headers["Retry-After"] is not None) == (503, True), path
                assert answer.json == {"status": 503, "error": "Service Unavailable"}, path
                assert answer.headers["Cache-Control"] == "no-cache", path
            stop(server, signal.SIGTERM)
    finally:
        mongod.stop()


def test_a_start_on_a_filled_database_reads_hardly_more(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        with database(server) as filled:
            fill(filled)
        server.restart()  # with a mongod that counts anew
        with database(server) as filled:
            work = filled.command("serverStatus")["metrics"]["queryExecutor"]
        assert work["scanned"] + work["scannedObjects"] < CONTACTS / 100
        assert total(server, "/api/contacts") == CONTACTS


def fill(database: Database[dict[str, object]]) -> None:
    """So many contacts of the first account."""
    moment = now()
    common = {"account_id": 1, "metadata": {}, "created_at": moment, "updated_at": moment, "_version": 1}
    for first in range(1, CONTACTS, 10_000):
        database.contacts.insert_many(
            [{"_id": n, "msisdn": f"+2526{n:08}", **common} for n in range(first, first + 10_000)], ordered=False
        )
    database.counters.update_one({"_id": "contact"}, {"$set": {"last": CONTACTS}}, upsert=True)
