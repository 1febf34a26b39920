"""The command line: ``scfm serve``, ``scfm create-account``, ``scfm check-numbers``, ``scfm simulator``…"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Protocol

from scfm import __version__
from scfm.cli import (
    audio,
    backup,
    check_numbers,
    create_account,
    create_user,
    purge,
    rehearse,
    restore,
    rotate_keys,
    serve,
    set_password,
    simulator,
)
from scfm.cli.alert import command as alert
from scfm.cli.demo import command as demo
from scfm.cli.flow import command as flow


class Command(Protocol):
    """What the module of a command has."""

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Add the command's options to its parser."""

    def run(self, options: argparse.Namespace, /) -> int:
        """Run it, and give the exit status. Raises StartError."""


COMMANDS: tuple[tuple[str, Command, str], ...] = (
    ("serve", serve, "run the server"),
    ("create-account", create_account, "create an account and an access token, or another token"),
    ("create-user", create_user, "create a user, who signs in with an email and a password"),
    ("set-password", set_password, "set the password of a user"),
    ("backup", backup, "write the whole database to a file, also while the server runs; or check such a file"),
    ("restore", restore, "put a backup into an empty database, in which nobody is called by itself"),
    ("rotate-keys", rotate_keys, "seal stored secrets with the newest key"),
    ("check-numbers", check_numbers, "list stored phone numbers that would be read otherwise today"),
    ("purge", purge, "remove what is older than so many days, and keep what is counted"),
    ("simulator", simulator, "run a carrier that speaks Twilio's API, for trials"),
    ("rehearse", rehearse, "try a call flow without a carrier"),
    ("flow", flow, "check, try and publish call flows that are kept as files"),
    ("alert", alert, "start, watch and stop an alert on a running server, and save its results"),
    ("audio", audio, "send audio files to a running server, and list them"),
    ("demo", demo, "walk a disaster alert through a server of its own"),
)
# Whose own help begins with the sentence that the list of commands has.
WITH_DESCRIPTION = frozenset({"simulator", "rehearse", "flow", "alert", "audio", "demo", "backup", "restore"})


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
