"""The list of commands, and what a command loads."""

from __future__ import annotations

import argparse
import inspect
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from scfm.cli.main import COMMANDS

# Libraries that take long to load, and that only a command with a database or a provider needs.
OF_THE_SERVER = {"aiohttp", "motor", "pymongo", "tornado.web", "twilio.rest"}


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_each_command_is_a_module_with_options_and_a_function(entry: Any) -> None:
    command = import_module(f"scfm.cli.{entry.module}")
    command.add_arguments(argparse.ArgumentParser(prog=f"scfm {entry.name}"))
    assert list(inspect.signature(command.run).parameters) == ["options"]


@pytest.mark.parametrize("arguments", [["--help"], ["audio", "--help"], ["flow", "--help"]])
def test_a_command_loads_no_library_of_others(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "scfm", *arguments], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in loaded
    assert not loaded & OF_THE_SERVER
