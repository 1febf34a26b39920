"""``scfm serve``: run the server."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal

from scfm.cli import announcement
from scfm.cli.logs import log_to_stderr
from scfm.cli.options import add_database_options, read_settings
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.runtime import event_loop, garbage_collector, open_files
from scfm.server import Server
from scfm.settings import Settings, mistyped_variables
from scfm.workers.runner import cancel_all

log = logging.getLogger("scfm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``scfm serve``."""
    parser.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", help="the port to listen on, 0 for a free one (default: 3000)")
    add_database_options(parser)
    parser.add_argument("--backup-every", metavar="TIME", help="make a backup so often, such as 5m (default: never)")
    parser.add_argument("--backup-dir", metavar="DIR", help="the folder that they are kept in")
    parser.add_argument("--backup-keep", metavar="NUMBER", help="how many are kept (default: 12)")


def run(options: argparse.Namespace) -> int:
    """Run a server until it is told to stop; 0. Raises StartError; KeyboardInterrupt if SIGINT gave up the start."""
    settings = read_settings(options)
    log_to_stderr(settings, in_thread=True)
    for warning in mistyped_variables(os.environ):
        log.warning("%s", warning)
    open_files.raise_limit()
    open_files.check_limit()
    if settings.mongodb_uri:
        completed = event_loop.run(serve(settings, None, settings.mongodb_uri))
    else:
        with PrivateMongod.start(settings.data_dir) as mongod:
            completed = event_loop.run(serve(settings, mongod, mongod.uri))
    if not completed:
        raise KeyboardInterrupt
    return 0


async def serve(settings: Settings, mongod: PrivateMongod | None, mongodb_uri: str) -> bool:
    """Run a server until SIGTERM or SIGINT, or until a newer program has shut it out. Raises StartError.

    A signal gives up a start that is under way; False if that was SIGINT, else True.
    """
    told_to_stop = asyncio.Event()
    received: list[signal.Signals] = []

    def stop_on(number: signal.Signals) -> None:
        received.append(number)
        told_to_stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_on, number)
    server = Server(settings, mongod, mongodb_uri)
    stop = asyncio.create_task(told_to_stop.wait())
    opening = asyncio.create_task(server.open())
    await asyncio.wait((opening, stop), return_when=asyncio.FIRST_COMPLETED)
    if not opening.done():
        await cancel_all([opening])
        return received[0] != signal.SIGINT
    await opening
    garbage_collector.freeze_gc()
    try:
        _announce(server)
        ends = asyncio.create_task(server.ends.wait())
        await asyncio.wait((stop, ends), return_when=asyncio.FIRST_COMPLETED)
        await cancel_all([ends])
    finally:
        await server.close()
    if server.shut_out is not None:
        raise server.shut_out
    return True


def _announce(server: Server) -> None:
    """Warn of what is not set, and print what a user must know; the last line says where the server listens."""
    if (missing := announcement.missing_credentials(server.settings)) is not None:
        log.warning("%s", missing)
    for line in announcement.start_lines(server.settings, server.url, server.first_account, server.super_admin_id):
        print(line, flush=True)
