"""The command line: ``scfm serve``, ``scfm create-account``, ``scfm check-numbers``, ``scfm simulator``…"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from scfm import __version__


class Command(Protocol):
    """What the module of a command has."""

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Add the command's options to its parser."""

    def run(self, options: argparse.Namespace, /) -> int:
        """Run it, and give the exit status. Raises StartError."""


class CommandEntry(NamedTuple):
    """A command as the list of commands has it. Its ``module`` is imported when the command is run."""

    name: str
    module: str
    about: str
    # Whether its own help begins with ``about``, too.
    described: bool = False


COMMANDS = (
    CommandEntry("serve", "serve", "run the server"),
    CommandEntry("create-account", "create_account", "create an account and an access token, or another token"),
    CommandEntry("create-user", "create_user", "create a user, who signs in with an email and a password"),
    CommandEntry("set-password", "set_password", "set the password of a user"),
    CommandEntry(
        "backup",
        "backup",
        "write the whole database to a file, also while the server runs; or check such a file",
        True,
    ),
    CommandEntry(
        "restore", "restore", "put a backup into an empty database, in which nobody is called by itself", True
    ),
    CommandEntry("rotate-keys", "rotate_keys", "seal stored secrets with the newest key"),
    CommandEntry("check-numbers", "check_numbers", "list stored phone numbers that would be read otherwise today"),
    CommandEntry("purge", "purge", "remove what is older than so many days, and keep what is counted"),
    CommandEntry("simulator", "simulator", "run a carrier that speaks Twilio's API, for trials", True),
    CommandEntry("rehearse", "rehearse", "try a call flow without a carrier", True),
    CommandEntry("flow", "flow.command", "check, try and publish call flows that are kept as files", True),
    CommandEntry(
        "alert", "alert.command", "start, watch and stop an alert on a running server, and save its results", True
    ),
    CommandEntry("audio", "audio", "send audio files to a running server, and list them", True),
    CommandEntry("demo", "demo.command", "walk a disaster alert through a server of its own", True),
)


def parse_command(arguments: Sequence[str] | None = None) -> Callable[[], int]:
    """Give what runs the command of these ARGUMENTS (None: the process's), and returns its exit status.

    Only the module of that command is imported: together they take half a second. Raises SystemExit: 2 for wrong
    usage, 0 after help. What the command itself cannot do is a StartError.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="scfm", description="The Simple Call Flow Manager.")
    parser.add_argument("--version", action="version", version=f"scfm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    meant = next((word for word in arguments if not word.startswith("-")), None)
    for entry in COMMANDS:
        own = commands.add_parser(entry.name, help=entry.about, description=entry.about if entry.described else None)
        if entry.name == meant:
            command = cast(Command, import_module(f"scfm.cli.{entry.module}"))
            command.add_arguments(own)
            own.set_defaults(run=command.run)
    options = parser.parse_args(arguments)
    return lambda: int(options.run(options))
