"""``scfm demo``: carries an alert out, says what is wrong, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm.cli.alert.alert_words import shares
from scfm.cli.demo.alert import DEMO_PEOPLE
from tests.server import wait_until

SECONDS = 300.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, as that of a socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="scfm-") as folder:
        yield Path(folder)


def start(folder: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """The demo, in a process group of its own as on a terminal, with its temporary files in FOLDER."""
    return subprocess.Popen(
        [sys.executable, "-m", "scfm", "demo"],
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def processes_with(folder: Path) -> list[str]:
    """The command lines of running processes that name something in FOLDER, or have it for their temporary files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = ((process / part).read_bytes() for part in ("cmdline", "environ"))
        except OSError:  # it has ended, or is not ours
            continue
        if os.fsencode(folder) in command + environment:
            found.append(command.replace(b"\0", b" ").decode())
    return found


def assert_nothing_is_left(folder: Path) -> None:
    wait_until(lambda: not processes_with(folder))
    assert list(folder.iterdir()) == []


def test_it_carries_an_alert_out_whatever_server_and_provider_the_environment_names(folder: Path) -> None:
    elsewhere = {
        "MONGODB_URI": "mongodb://127.0.0.1:1/",
        "PLATFORM_PROVIDER": "twilio",
        "PORT": "1",
        "SCFM_DATA_DIR": "/nowhere",
    }
    demo = start(folder, elsewhere)
    output, _ = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 0, output
    assert f"ok  people along the river, imported: {DEMO_PEOPLE}" in output
    assert "callout 1 is completed at" in output and f"{DEMO_PEOPLE:,} people: " in output
    assert re.search(r"ok  called again, as they were not reached: [1-9]", output)
    assert re.search(r"ok  pressed 1, and so have acknowledged: [1-9]", output)
    unreached = re.search(r"ok  not reached: (\d+)", output)
    assert unreached is not None and "callout 2 is completed at" in output
    assert f"ok  a follow-up, for these {unreached[1]} once more" in output
    assert "Nobody was forgotten" in output
    assert "\x1b" not in output
    assert_nothing_is_left(folder)


@given(counts=st.dictionaries(st.text(max_size=3), st.integers(min_value=1, max_value=10**6), min_size=1))
def test_shares_sum_to_a_hundred_percent_and_each_is_rounded_up_or_down(counts: dict[str, int]) -> None:
    percent = shares(counts)
    assert sum(percent.values()) == 100 and percent.keys() == counts.keys()
    for name, count in counts.items():
        assert abs(percent[name] - 100 * count / sum(counts.values())) < 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_told_to_stop_it_leaves_nothing_behind(number: signal.Signals, status: int, folder: Path) -> None:
    demo = start(folder)
    assert demo.stdout is not None
    demo.stdout.readline()
    assert list(folder.iterdir())
    # Ctrl-C reaches the server too; what sends SIGTERM knows the demo alone.
    (os.killpg if number == signal.SIGINT else os.kill)(demo.pid, number)
    output, _ = demo.communicate(timeout=SECONDS)
    assert demo.returncode == status, output
    assert "Traceback" not in output
    assert_nothing_is_left(folder)


def test_a_server_that_does_not_start_is_shown_with_its_reason(folder: Path, tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "mongod").write_text("#!/bin/sh\necho 'No space left on device'; exit 1\n")
    (commands / "mongod").chmod(0o755)
    demo = start(folder, {"PATH": f"{commands}:{os.environ['PATH']}"})
    output, _ = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 1
    assert "WRONG: expected a server that listens" in output
    assert "no space is left" in output
    assert_nothing_is_left(folder)
