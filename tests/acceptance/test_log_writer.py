"""The log is written by a thread: whoever reads it slowly, or not at all, keeps nobody from working."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scfm.runtime import log_writer as module
from scfm.runtime.log_format import AnsweredRequest
from scfm.runtime.log_writer import ThreadedHandler
from tests.server import Server, wait_until

LINE = "x" * 999
REQUEST = AnsweredRequest(0.0, logging.INFO, "scfm.http", "GET", "/api/contacts", 200, 0.1, 1, "name")


class Plain(logging.Formatter):
    """Lines are the messages."""

    def format_request(self, answered: AnsweredRequest) -> str:
        return answered.message


class Pipe:
    """A pipe that nobody reads until ``read`` does."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def read(self, size: int = 1 << 20) -> str:
        return os.read(self.reading, size).decode()

    def read_all(self) -> str:
        """What is there, to its end: the writing end is closed."""
        os.close(self.writing)
        said = ""
        while more := self.read():
            said += more
        return said


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.reading)


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.Logger("scfm.test", logging.DEBUG)
    yield logger
    for handler in logger.handlers:
        handler.close()


def test_lines_come_in_their_order_and_whole(pipe: Pipe, log: logging.Logger) -> None:
    handler = ThreadedHandler(pipe.writing, Plain())
    log.addHandler(handler)
    for number in range(50):
        log.info("line %d \ud800", number)
    handler.flush()
    assert pipe.read_all().splitlines() == [f"line {number} \\ud800" for number in range(50)]


def test_requests_have_their_place_among_the_lines(pipe: Pipe, log: logging.Logger) -> None:
    handler = ThreadedHandler(pipe.writing, Plain())
    log.addHandler(handler)
    log.info("before")
    handler.add_requests([REQUEST, REQUEST._replace(status=404)])
    log.info("after")
    handler.flush()
    requests = [REQUEST.message, REQUEST._replace(status=404).message]
    assert pipe.read_all().splitlines() == ["before", *requests, "after"]
    assert handler._bytes == 0


def test_requests_that_found_no_room_are_counted_each(pipe: Pipe) -> None:
    handler = ThreadedHandler(pipe.writing, Plain(), max_bytes=200_000)
    for _ in range(2000):
        handler.add_requests([REQUEST] * 5)
        assert handler._bytes <= 200_000
    handler.flush()
    said = ""
    while "dropped" not in said:
        said += pipe.read()
    assert f"{10_000 - said.count(REQUEST.message)} lines of the log were dropped" in said
    handler.close()


def test_a_reader_that_stops_blocks_nobody_and_is_told_how_many_lines_it_missed(
    pipe: Pipe, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.05)
    handler = ThreadedHandler(pipe.writing, Plain(), max_bytes=200_000)
    log.addHandler(handler)
    began = time.monotonic()
    for _ in range(1000):
        log.info(LINE)
    handler.flush()
    assert time.monotonic() - began < 30  # and not for ever
    assert 0 < handler._bytes <= 200_000
    said = ""
    while "dropped" not in said:
        said += pipe.read()
    taken = said.count(LINE)
    assert f"{1000 - taken} lines of the log were dropped" in said
    log.info("again")
    while "again" not in said:
        said += pipe.read()


def test_a_pipe_that_does_not_block_is_waited_for(pipe: Pipe, log: logging.Logger) -> None:
    os.set_blocking(pipe.writing, False)
    handler = ThreadedHandler(pipe.writing, Plain())
    log.addHandler(handler)
    for _ in range(500):
        log.info(LINE)
    said = ""
    while said.count(LINE) < 500:
        said += pipe.read()
    handler.flush()
    assert said == f"{LINE}\n" * 500


def test_a_reader_that_has_gone_does_no_harm(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_RETRY_SECONDS", 0.01)
    reading, writing = os.pipe()
    os.close(reading)
    handler = ThreadedHandler(writing, Plain())
    log.addHandler(handler)
    log.info("nobody reads this")
    wait_until(lambda: handler._dropped == 1)
    handler.flush()
    handler.close()
    wait_until(lambda: not handler._thread.is_alive())
    os.close(writing)


@pytest.mark.parametrize(
    "end", ["", "raise KeyError('lost')", "sys.exit(3)", "os.kill(os.getpid(), signal.SIGINT); time.sleep(9)"]
)
def test_what_waits_is_written_at_the_end_however_that_comes(end: str) -> None:
    program = (
        "import logging, os, signal, sys, time; from scfm.runtime import log_format, log_writer;"
        "log_writer.GATHER_SECONDS = 60; handler = log_writer.ThreadedHandler(2, log_format.HumanFormatter());"
        "logging.basicConfig(level='INFO', handlers=[handler]);"
        f"logging.info('the last line'); {end}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert "the last line" in done.stderr


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="this system has pipes of one size")
def test_a_server_whose_log_nobody_reads_answers_all_the_same(tmp_path: Path) -> None:
    """Its stderr is a pipe that is full after 4 KiB; a request is a line of some hundred bytes."""

    class Unread(Server):
        def _spawn(self, *arguments: str) -> subprocess.Popen[str]:
            process = super()._spawn(*arguments)
            self.unread, process.stderr = process.stderr, open(os.devnull)  # noqa: SIM115 (drained, and closed)
            assert self.unread is not None
            fcntl.fcntl(self.unread, fcntl.F_SETPIPE_SZ, 4096)
            return process

    with Unread(tmp_path / "data", {"PLATFORM_PROVIDER": "simulator"}) as server:
        name = "n" * 250
        for _ in range(30):
            assert server.request("GET", "/api/account", headers={"X-Request-Id": name}).status == 200
        with server.unread as unread:
            wait_until(lambda: name in unread.readline())
