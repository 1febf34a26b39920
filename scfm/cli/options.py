"""The options of commands that use a server's database, and the settings that they and the environment give."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from scfm import settings
from scfm.settings import Settings

# The settings that have a flag of the same name.
FLAGS = ("host", "port", "data_dir", "mongodb_uri", "backup_every", "backup_keep", "backup_dir")


def add_database_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which database is meant, and the one that names a settings file."""
    parser.add_argument("--data-dir", metavar="DIR", help="where data are kept (default: ./data)")
    parser.add_argument(
        "--mongodb-uri",
        metavar="URI",
        help="a MongoDB to use in place of the embedded one; one with a password belongs into MONGODB_URI",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="a settings file; see config/default.ini")


def read_settings(options: argparse.Namespace) -> Settings:
    """The settings of the options, the environment and the settings file. Raises StartError for a wrong one."""
    flags = {name: getattr(options, name, None) for name in FLAGS}
    return settings.load(os.environ, flags, options.config)


def account_id(text: str) -> int:
    """The id in an argument; raises ArgumentTypeError."""
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not an account's id, which is a whole number such as 1")
    return int(text)
