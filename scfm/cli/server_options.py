"""The options of commands that ask a server by its API: where it is, with which token, and for how long to try."""

from __future__ import annotations

import argparse
import os
import sys
from urllib.parse import urlsplit

from scfm.cli.server_api import PATIENCE_SECONDS, ServerApi
from scfm.settings import TOKEN_VARIABLE

DEFAULT_SERVER = "http://localhost:3000"


def server_options(patience: str = "") -> argparse.ArgumentParser:
    """A parser with the options, as a parent of a command's own; PATIENCE is said of the default of ``--patience``.

    What has them also has ``wrong_use``: the ``error`` of its parser.
    """
    common = argparse.ArgumentParser(add_help=False)
    add = common.add_argument
    add("--server", type=_server_url, default=DEFAULT_SERVER, metavar="URL", help="default: %(default)s")
    add(
        "--token",
        default=TOKEN_VARIABLE,
        help=f"an access token of the account; by default that in the environment's {TOKEN_VARIABLE}",
    )
    add(
        "--patience",
        type=_seconds,
        metavar="SECONDS",
        help=f"how long to try a server that cannot be reached (default: {PATIENCE_SECONDS:g}{patience})",
    )
    return common


def server_api(options: argparse.Namespace) -> ServerApi:
    """The server that the options name."""
    patience = PATIENCE_SECONDS if options.patience is None else options.patience
    return ServerApi(options.server, _token(options), patience)


def _token(options: argparse.Namespace) -> str:
    """The token of the options or the environment. One among the arguments is taken out of them.

    Everybody on the machine sees a process's arguments: the program is started anew in its place, with the token in
    the environment, which only its user sees.
    """
    given: str = options.token
    if given == TOKEN_VARIABLE:
        given = os.environ.get(TOKEN_VARIABLE, "")
        if not given:
            options.wrong_use(f"give an access token, in the environment's {TOKEN_VARIABLE} or by --token")
        return given
    hidden = [
        argument.removesuffix(given) + TOKEN_VARIABLE if _gives(argument, given) else argument
        for argument in sys.orig_argv
    ]
    if given and hidden != sys.orig_argv and os.name == "posix":
        sys.stdout.flush()
        os.execve(sys.executable, hidden, {**os.environ, TOKEN_VARIABLE: given})
    return given


def _gives(argument: str, token: str) -> bool:
    """Whether an argument is the TOKEN, or the option with it, which argparse also takes abbreviated."""
    option, _, value = argument.partition("=")
    return argument == token or (value == token and len(option) > len("--") and "--token".startswith(option))


def _server_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or "@" in text or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} is not the address of a server, such as {DEFAULT_SERVER}")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, such as 60")
    return seconds
