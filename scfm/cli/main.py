"""The command line: ``scfm serve``, ``scfm create-account``, ``scfm check-numbers``, ``scfm simulator``…"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Protocol

from scfm import __version__
from scfm.cli import check_numbers, create_account, rehearse, serve, simulator
from scfm.cli.alert import command as alert
from scfm.cli.demo import command as demo


class Command(Protocol):
    """What the module of a command has."""

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Add the command's options to its parser."""

    def run(self, options: argparse.Namespace, /) -> int:
        """Run it, and give the exit status. Raises StartError."""


COMMANDS: tuple[tuple[str, Command, str], ...] = (
    ("serve", serve, "run the server"),
    ("create-account", create_account, "create an account and an access token, or another token"),
    ("check-numbers", check_numbers, "list stored phone numbers that would be read otherwise today"),
    ("simulator", simulator, "run a carrier that speaks Twilio's API, for trials"),
    ("rehearse", rehearse, "try a call flow without a carrier"),
    ("alert", alert, "start, watch and stop an alert on a running server, and save its results"),
    ("demo", demo, "walk a disaster alert through a server of its own"),
)
# Whose own help begins with the sentence that the list of commands has.
WITH_DESCRIPTION = frozenset({"simulator", "rehearse", "alert", "demo"})


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run a command and give its exit status. Raises StartError; SystemExit 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="scfm", description="The Simple Call Flow Manager.")
    parser.add_argument("--version", action="version", version=f"scfm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, about in COMMANDS:
        own = commands.add_parser(name, help=about, description=about if name in WITH_DESCRIPTION else None)
        command.add_arguments(own)
        own.set_defaults(run=command.run)
    options = parser.parse_args(arguments)
    return int(options.run(options))
