"""The server of the demo: a process of its own, on a temporary data folder, with the simulator as its provider."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from scfm.cli.alert.alert_screen import AlertScreen
from scfm.cli.demo.failure import StepFailed
from scfm.cli.server_api import ServerApi
from scfm.settings import Settings

START_SECONDS = 60.0
STOP_SECONDS = 15.0
START_LOOK_SECONDS = 0.1


@contextmanager
def own_server(folder: Path, screen: AlertScreen) -> Iterator[ServerApi]:
    """A server over FOLDER for as long as the block runs, and its API. Raises StepFailed if it does not start."""
    log = folder / "server.log"
    command = [sys.executable, "-m", "scfm", "serve", "--port", "0", "--data-dir", str(folder / "data")]
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env=_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        url, token = _await_listening(server, log)
        screen.say(f"ok  a server of its own: {url}, with the simulator as its provider")
        yield ServerApi(url, token)
    finally:
        with _uninterrupted():
            _stop(server)


def _environment() -> dict[str, str]:
    """Ours, without any setting of a server: the demo must not touch a real database, nor a real provider."""
    settings = {setting.metadata["env"] for setting in fields(Settings)}
    kept = {name: value for name, value in os.environ.items() if name not in settings and name[:5] != "SCFM_"}
    return {**kept, "PLATFORM_PROVIDER": "simulator"}


def _await_listening(server: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    """The URL of the server and an access token, once its log says where it listens.

    Before that line stands, on a line of its own, the access token of 64 digits.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        listening = next((line for line in lines if line.startswith("listening on ")), None)
        if listening is not None:
            token = next(line for line in lines if len(line) == 64)
            return f"http://127.0.0.1:{int(listening.rpartition(':')[2])}", token
        if server.poll() is not None or time.monotonic() > deadline:
            raise StepFailed("a server that listens", "\n".join(lines[-10:]) or "nothing")
        time.sleep(START_LOOK_SECONDS)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let the clean-up go to its end, however often Ctrl-C is pressed."""
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
