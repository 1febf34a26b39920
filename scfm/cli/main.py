"""The command line: ``scfm serve``, ``scfm create-account``, ``scfm check-numbers``, ``scfm simulator``…"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from scfm import __version__, server, settings
from scfm.cli import rehearse, simulator
from scfm.cli.check_numbers import NumberCheck
from scfm.cli.demo import command as demo
from scfm.embedded_mongod.mongod import PrivateMongod, has_database
from scfm.errors import StartError, Unavailable
from scfm.models import account_setup
from scfm.runtime import event_loop, open_files
from scfm.settings import Settings
from scfm.storage.store import Store

Result = TypeVar("Result")

log = logging.getLogger("scfm")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and give its exit status. Raises StartError; SystemExit 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    return int(options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scfm", description="The Simple Call Flow Manager.")
    parser.add_argument("--version", action="version", version=f"scfm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the server")
    serve.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", help="the port to listen on, 0 for a free one (default: 3000)")
    _add_database(serve)
    serve.set_defaults(run=_serve)
    create = commands.add_parser("create-account", help="create an account and an access token, or another token")
    whose = create.add_mutually_exclusive_group()
    whose.add_argument("--super-admin", action="store_true", help="one that may manage accounts")
    whose.add_argument(
        "--token-for",
        type=_account_id,
        metavar="ID",
        help="no new account, but another access token for the account with this id",
    )
    create.add_argument(
        "--format",
        choices=("human", "http_basic"),
        default="human",
        help="http_basic: the token alone on the last line, for scripts",
    )
    _add_database(create)
    create.set_defaults(run=_create_account)
    check = commands.add_parser("check-numbers", help="list stored phone numbers that would be read otherwise today")
    _add_database(check)
    check.set_defaults(run=_check_numbers)
    for name, module, about in (
        ("simulator", simulator, "run a carrier that speaks Twilio's API, for trials"),
        ("rehearse", rehearse, "try a call flow without a carrier"),
        ("demo", demo, "walk a disaster alert through a server of its own"),
    ):
        sub = commands.add_parser(name, help=about, description=about)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def _add_database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", metavar="DIR", help="where data are kept (default: ./data)")
    parser.add_argument("--mongodb-uri", metavar="URI", help="a MongoDB to use in place of the embedded one")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a settings file; see config/default.ini")


def _account_id(written: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,17}", written, re.ASCII):
        raise argparse.ArgumentTypeError(f"{written!r} is not an account's id, which is a whole number such as 1")
    return int(written)


def _settings(options: argparse.Namespace) -> Settings:
    flags = {name: getattr(options, name, None) for name in ("host", "port", "data_dir", "mongodb_uri")}
    return settings.load(os.environ, flags, options.config)


class _LogFormatter(logging.Formatter):
    """Times as ``2026-11-28T19:12:34.123+0000``, in the machine's zone."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 (logging's name)
        moment = time.localtime(record.created)
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{int(record.msecs):03}{time.strftime('%z', moment)}"


def _log_to_stderr(chosen: Settings) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LogFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=chosen.log_level.upper(), handlers=[handler])
    # The parts speak for themselves; the drivers below only when something is wrong.
    for noisy in ("pymongo", "twilio", "asyncio", "tornado", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))


def _serve(options: argparse.Namespace) -> int:
    chosen = _settings(options)
    _log_to_stderr(chosen)
    for warning in settings.mistyped_variables(os.environ):
        log.warning("%s", warning)
    open_files.raise_limit()
    open_files.check_limit()
    if chosen.mongodb_uri:
        ran = event_loop.run(server.serve(chosen, None, chosen.mongodb_uri))
    else:
        with PrivateMongod.start(chosen.data_dir) as mongod:
            ran = event_loop.run(server.serve(chosen, mongod, mongod.uri))
    if not ran:
        raise KeyboardInterrupt
    return 0


def _create_account(options: argparse.Namespace) -> int:
    async def make(store: Store) -> str:
        if options.token_for is None:
            token = await account_setup.make_account(store, super_admin=options.super_admin)
        else:
            token = await account_setup.make_token(store, options.token_for)
        await store.rest()
        return token

    token = _with_store(options, make, made=options.token_for is None)
    if options.format == "human":
        print("The account's access token. Keep it: it is not shown again.")
    print(token)
    return 0


def _check_numbers(options: argparse.Namespace) -> int:
    async def check(store: Store) -> int:
        return await NumberCheck(store, print).run()

    return 1 if _with_store(options, check, read_only=True, made=False) else 0


def _with_store(
    options: argparse.Namespace, work: Callable[[Store], Awaitable[Result]], *, made: bool, read_only: bool = False
) -> Result:
    """Do WORK on the database of the server, which may be running; what it gives.

    Unless it may be ``made``, a data folder without a database is refused. Raises StartError.
    """
    chosen = _settings(options)
    _log_to_stderr(chosen)
    if not (made or chosen.mongodb_uri or has_database(chosen.data_dir)):
        raise StartError(
            f"there is no database in {chosen.data_dir.expanduser().absolute()}: "
            "run this in the folder in which the server was started, or name its data folder with --data-dir"
        )

    async def run(uri: str) -> Result:
        store = await server.open_store(uri, chosen, read_only=read_only)
        try:
            return await work(store)
        except Unavailable as error:
            raise StartError(f"the database does not answer any more: {error}") from None
        finally:
            await store.close()

    if chosen.mongodb_uri:
        return asyncio.run(run(chosen.mongodb_uri))
    with PrivateMongod.attach_or_start(chosen.data_dir) as mongod:
        return asyncio.run(run(mongod.uri))
