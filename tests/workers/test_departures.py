"""The log of departures: what it says of a process that has ended, however that came about."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scfm.workers import departures as module
from scfm.workers.departures import Departures
from tests.workers.background import largest_file

ATTEMPT = "0123456789abcdef" * 2
LEFT = {(ATTEMPT, 1), (ATTEMPT, 12)}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="boot ids are Linux's")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Departures]:
    """The log of the process that looks."""
    departures = Departures.open(tmp_path)
    yield departures
    departures.close()


def test_what_a_process_noted_is_read_when_it_has_ended_and_not_before(tmp_path: Path, reader: Departures) -> None:
    other = Departures.open(tmp_path)
    for attempt, number in LEFT:
        other.note(attempt, number)
    assert list(reader.of_the_dead()) == []
    other.close()
    assert list(reader.of_the_dead()) == [(other.id, LEFT)]
    assert other.id is not None
    reader.discard(other.id)
    assert list(reader.of_the_dead()) == []


def test_a_killed_process_leaves_every_line_it_wrote(tmp_path: Path, reader: Departures) -> None:
    code = f"""
import os, signal, sys
from pathlib import Path
from scfm.workers.departures import Departures
departures = Departures.open(Path({str(tmp_path)!r}))
for number in range(1000):
    departures.note({ATTEMPT!r}, number)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False, timeout=30)
    ((_, left),) = reader.of_the_dead()
    assert left == {(ATTEMPT, number) for number in range(1000)}


def test_a_disk_that_is_full_lets_nothing_leave_and_spoils_no_other_line(tmp_path: Path, reader: Departures) -> None:
    other = Departures.open(tmp_path)
    other.note(ATTEMPT, 1)
    with largest_file(60), pytest.raises(OSError):
        other.note(ATTEMPT, 777)
    assert not other.left(ATTEMPT, 777)
    other.note(ATTEMPT, 12)
    other.close()
    ((_, left),) = reader.of_the_dead()
    assert left >= LEFT and (ATTEMPT, 777) not in left


def test_a_log_is_rewritten_when_most_of_it_has_arrived(
    tmp_path: Path, reader: Departures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LINES", 100)
    other = Departures.open(tmp_path)
    for attempt, number in LEFT:
        other.note(attempt, number)
    for number in range(100, 1000):
        other.note(ATTEMPT, number)
        other.arrived(ATTEMPT, number)
        assert list(reader.of_the_dead()) == []
    log = tmp_path / "departures" / str(other.id)
    assert log.stat().st_size < 200 * 40
    other.close()
    ((_, left),) = reader.of_the_dead()
    assert left >= LEFT and len(left) < 200


def test_a_log_that_is_rewritten_while_another_looks_is_not_that_of_an_ended_process(
    tmp_path: Path, reader: Departures, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Departures.open(tmp_path)
    other.note(ATTEMPT, 1)
    opened = os.open

    def open_and_fall_behind(path: Path, *options: int) -> int:
        file = opened(path, *options)
        if path.name == other.id:
            monkeypatch.undo()
            other._rewrite()
        return file

    monkeypatch.setattr(os, "open", open_and_fall_behind)
    assert list(reader.of_the_dead()) == []
    other.close()
    assert list(reader.of_the_dead()) == [(other.id, {(ATTEMPT, 1)})]


def test_a_rewriting_that_fails_leaves_the_log_as_it_was(tmp_path: Path, reader: Departures) -> None:
    other = Departures.open(tmp_path)
    for attempt, number in LEFT:
        other.note(attempt, number)
    with largest_file(10), pytest.raises(OSError):
        other._rewrite()
    other.close()
    assert list(reader.of_the_dead()) == [(other.id, LEFT)]


def test_a_log_from_before_the_machine_was_started_proves_nothing(
    tmp_path: Path, reader: Departures, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Departures.open(tmp_path)
    other.note(ATTEMPT, 1)
    other.close()
    monkeypatch.setattr(module, "_boot", lambda: "another")
    assert list(reader.of_the_dead()) == []


def test_a_folder_that_takes_no_file_gives_no_log_to_be_trusted(tmp_path: Path) -> None:
    (tmp_path / "departures").write_text("in the way")
    departures = Departures.open(tmp_path)
    departures.note(ATTEMPT, 1)
    assert departures.id is None and departures.left(ATTEMPT, 1)
    assert list(departures.of_the_dead()) == []
