"""``scfm demo``: an alert that runs by its plan, on a server of its own with simulated phones.

What comes of it is checked; the first thing that is not as it should be ends the demo.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from scfm.cli.alert.alert_screen import AlertScreen
from scfm.cli.demo.alert import Alert
from scfm.cli.demo.failure import StepFailed
from scfm.cli.demo.own_server import own_server
from scfm.cli.server_api import CommandFailed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The demo has none: it is the same for everybody."""


def run(options: argparse.Namespace) -> int:
    """Walk the alert and show it; 0 if all was right, else 1. Leaves nothing behind, also on Ctrl-C."""
    screen = AlertScreen()
    began = time.monotonic()
    previous = signal.signal(signal.SIGTERM, _exit)
    try:
        with tempfile.TemporaryDirectory(prefix="scfm-demo-") as folder, own_server(Path(folder), screen) as api:
            Alert(api, screen).walk()
    except StepFailed as failure:
        screen.say(f"WRONG: expected {failure.expected}\n       but came {failure.actual}")
        return 1
    except CommandFailed as failure:
        screen.say(f"WRONG: {failure}")
        return 1
    finally:
        signal.signal(signal.SIGTERM, previous)
    screen.say(f"Nobody was forgotten. {time.monotonic() - began:.1f} s in all; nothing is left behind.")
    return 0


def _exit(*_: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)
