"""The send journal: what it says of a process that has ended, however that came about."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scfm.workers import send_journal as module
from scfm.workers.send_journal import SendJournal
from tests.workers.background import largest_file

ATTEMPT = "0123456789abcdef" * 2
LEFT = {(ATTEMPT, 1), (ATTEMPT, 12)}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="boot ids are Linux's")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[SendJournal]:
    """The log of the process that looks."""
    send_journal = SendJournal.open(tmp_path)
    yield send_journal
    send_journal.close()


def test_what_a_process_noted_is_read_when_it_has_ended_and_not_before(tmp_path: Path, reader: SendJournal) -> None:
    other = SendJournal.open(tmp_path)
    for attempt, number in LEFT:
        other.append(attempt, number)
    assert list(reader.of_dead_processes()) == []
    other.close()
    assert list(reader.of_dead_processes()) == [(other.id, LEFT)]
    assert other.id is not None
    reader.discard(other.id)
    assert list(reader.of_dead_processes()) == []


def test_a_killed_process_leaves_every_line_it_wrote(tmp_path: Path, reader: SendJournal) -> None:
    code = f"""
import os, signal, sys
from pathlib import Path
from scfm.workers.send_journal import SendJournal
send_journal = SendJournal.open(Path({str(tmp_path)!r}))
for number in range(1000):
    send_journal.append({ATTEMPT!r}, number)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False, timeout=180)
    ((_, left),) = reader.of_dead_processes()
    assert left == {(ATTEMPT, number) for number in range(1000)}


def test_a_disk_that_is_full_lets_nothing_leave_and_spoils_no_other_line(tmp_path: Path, reader: SendJournal) -> None:
    other = SendJournal.open(tmp_path)
    other.append(ATTEMPT, 1)
    with largest_file(60), pytest.raises(OSError):
        other.append(ATTEMPT, 777)
    assert not other.has_sent(ATTEMPT, 777)
    other.append(ATTEMPT, 12)
    other.close()
    ((_, left),) = reader.of_dead_processes()
    assert left >= LEFT and (ATTEMPT, 777) not in left


def test_a_log_is_rewritten_when_most_of_it_has_arrived(
    tmp_path: Path, reader: SendJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_JOURNAL_LINES", 100)
    other = SendJournal.open(tmp_path)
    for attempt, number in LEFT:
        other.append(attempt, number)
    for number in range(100, 1000):
        other.append(ATTEMPT, number)
        other.forget(ATTEMPT, number)
        assert list(reader.of_dead_processes()) == []
    log = tmp_path / "departures" / str(other.id)
    assert log.stat().st_size < 200 * 40
    other.close()
    ((_, left),) = reader.of_dead_processes()
    assert left >= LEFT and len(left) < 200


def test_a_log_that_is_rewritten_while_another_looks_is_not_that_of_an_ended_process(
    tmp_path: Path, reader: SendJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SendJournal.open(tmp_path)
    other.append(ATTEMPT, 1)
    opened = os.open

    def open_and_fall_behind(path: Path, *options: int) -> int:
        file = opened(path, *options)
        if path.name == other.id:
            monkeypatch.undo()
            other._rewrite()
        return file

    monkeypatch.setattr(os, "open", open_and_fall_behind)
    assert list(reader.of_dead_processes()) == []
    other.close()
    assert list(reader.of_dead_processes()) == [(other.id, {(ATTEMPT, 1)})]


def test_a_rewriting_that_fails_leaves_the_log_as_it_was(tmp_path: Path, reader: SendJournal) -> None:
    other = SendJournal.open(tmp_path)
    for attempt, number in LEFT:
        other.append(attempt, number)
    with largest_file(10), pytest.raises(OSError):
        other._rewrite()
    other.close()
    assert list(reader.of_dead_processes()) == [(other.id, LEFT)]


def test_a_log_from_before_the_machine_was_started_proves_nothing(
    tmp_path: Path, reader: SendJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SendJournal.open(tmp_path)
    other.append(ATTEMPT, 1)
    other.close()
    monkeypatch.setattr(module, "_boot", lambda: "another")
    assert list(reader.of_dead_processes()) == []


def ended(folder: Path) -> Path:
    """The log of a process that has noted what left and ended."""
    other = SendJournal.open(folder)
    for attempt, number in LEFT:
        other.append(attempt, number)
    other.close()
    return folder / "departures" / str(other.id)


def a_folder(log: Path) -> None:
    log.unlink()
    log.mkdir()


def a_dangling_link(log: Path) -> None:
    log.unlink()
    log.symlink_to("nowhere")


def a_pipe(log: Path) -> None:
    log.unlink()
    os.mkfifo(log)


@pytest.mark.parametrize("spoil", [a_folder, a_dangling_link, a_pipe])
def test_a_log_that_cannot_be_read_is_reported_once_and_the_others_are_read(
    spoil: Callable[[Path], None], tmp_path: Path, reader: SendJournal, caplog: pytest.LogCaptureFixture
) -> None:
    logs = sorted(ended(tmp_path) for _ in range(3))
    spoil(logs[1])
    for _ in range(3):
        assert list(reader.of_dead_processes()) == [(logs[0].name, LEFT), (logs[2].name, LEFT)]
        assert not reader.unsent_by_living_process(logs[1].name, ATTEMPT, 99)
    (line,) = caplog.messages
    assert str(logs[1]) in line and "remove it" in line and "\n" not in line


@pytest.mark.parametrize("junk", [b"\xff\xfe\n", b"\0" * 512, b"0123 12\n", b"\r\n", b"x:1\n"])
def test_a_damaged_log_of_an_ended_process_proves_nothing(
    junk: bytes, tmp_path: Path, reader: SendJournal, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, sound = ended(tmp_path), ended(tmp_path)
    damaged.write_bytes(damaged.read_bytes()[:40] + junk)
    for _ in range(3):
        assert dict(reader.of_dead_processes()) == {damaged.name: None, sound.name: LEFT}
    (line,) = caplog.messages
    assert str(damaged) in line and "damaged" in line
    reader.discard(damaged.name)
    assert dict(reader.of_dead_processes()) == {sound.name: LEFT}


@given(junk=st.binary(max_size=200))
@settings(deadline=None)
def test_whatever_is_written_into_a_log_no_departure_before_it_is_forgotten(junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = ended(Path(folder))
        log.write_bytes(log.read_bytes() + junk)
        left = module._read(log)
    assert left is None or left >= LEFT


def test_a_log_that_is_removed_while_another_looks_is_no_fault(
    tmp_path: Path, reader: SendJournal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone, sound = sorted(ended(tmp_path) for _ in range(2))
    read = module._read

    def remove_and_read(path: Path) -> set[tuple[str, int]] | None:
        gone.unlink(missing_ok=True)
        return read(path)

    monkeypatch.setattr(module, "_read", remove_and_read)
    assert list(reader.of_dead_processes()) == [(sound.name, LEFT)]
    assert caplog.messages == []


def test_a_log_of_an_earlier_boot_that_cannot_be_removed_keeps_no_other(
    tmp_path: Path, reader: SendJournal, caplog: pytest.LogCaptureFixture
) -> None:
    old = [tmp_path / "departures" / f"0a1b2c3d-0000-0000-0000-000000000000.{digit * 32}" for digit in "123"]
    for path in old:
        path.write_text("")
    a_folder(old[0])
    assert list(reader.of_earlier_boots()) == [old[1].name, old[2].name]
    reader.discard(old[0].name)
    reader.discard(old[1].name)
    assert list(reader.of_earlier_boots()) == [old[2].name]
    assert len(caplog.messages) == 1


def test_a_folder_that_is_gone_is_reported_once_and_nothing_is_proven(
    tmp_path: Path, reader: SendJournal, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(tmp_path / "departures")
    for _ in range(3):
        assert list(reader.of_dead_processes()) == [] == list(reader.of_earlier_boots())
    (line,) = caplog.messages
    assert "start the server again" in line


def test_a_folder_that_takes_no_file_gives_no_log_to_be_trusted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "departures").write_text("in the way")
    send_journal = SendJournal.open(tmp_path)
    assert "make it writable" in caplog.text
    send_journal.append(ATTEMPT, 1)
    assert send_journal.id is None and send_journal.has_sent(ATTEMPT, 1)
    assert list(send_journal.of_dead_processes()) == []
