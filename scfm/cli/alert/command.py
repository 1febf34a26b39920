"""``scfm alert``: start, watch and stop an alert on a running server, and save its results."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from scfm.cli.alert.alert_screen import AlertScreen
from scfm.cli.alert.callout_start import NewCallout, start_existing, start_new
from scfm.cli.alert.callout_watch import watch_callout
from scfm.cli.alert.progress_stream import AWAY_SECONDS
from scfm.cli.alert.result_file import print_results, save_results
from scfm.cli.server_api import CommandFailed, RequestRefused, ServerApi
from scfm.cli.server_options import server_api, server_options

RESULT_FORMATS = ("csv", "jsonl", "xlsx")
EXIT_STATUSES = """\
exit status:
  0  everybody was reached or has acknowledged (those who are excluded do not count);
     of stop, results and start --no-watch: it is done
  1  somebody was not reached
  2  wrong use, the server refused it, or you did not confirm
  3  the server cannot be reached
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands of ``scfm alert``, each with its options, which the help lists, too."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    common = server_options(f", and {AWAY_SECONDS:g} for one that is being watched")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    usages = []
    for name, add_options, act, about in (
        ("start", _add_start_options, _start, "start a callout that has a plan, and watch it"),
        ("watch", _add_callout, _watch, "watch a callout until it is over"),
        ("stop", _add_stop_options, _stop, "stop a callout: what waits is not called any more"),
        ("results", _add_results_options, _results, "save what became of each person"),
    ):
        own = commands.add_parser(
            name,
            parents=[common],
            help=about,
            description=about,
            epilog=EXIT_STATUSES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_options(own)
        own.set_defaults(act=act, wrong_use=own.error)
        usages.append(own.format_usage())
    parser.epilog = "".join([*usages, "\n", EXIT_STATUSES])


def run(options: argparse.Namespace) -> int:
    """Do what the options say; see EXIT_STATUSES for the exit status."""
    try:
        return int(options.act(server_api(options), AlertScreen(), options))
    except CommandFailed as error:
        print(f"scfm alert: {error}", file=sys.stderr)
        return error.exit_status


def _add_callout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("callout_id", type=_callout_id, metavar="CALLOUT_ID")


def _add_start_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("callout_id", type=_callout_id, nargs="?", metavar="CALLOUT_ID", help="one that is there, with a plan")
    add("--plan", type=Path, metavar="FILE", help="a plan as JSON: a callout is made with it")
    add("--flow", metavar="NAME", help="the call flow of that callout")
    add("--message", metavar="TEXT", help="what that callout says")
    add("--yes", action="store_true", help="do not ask before it starts")
    add("--no-watch", action="store_true", help="do not wait for its end")


def _add_stop_options(parser: argparse.ArgumentParser) -> None:
    _add_callout(parser)
    parser.add_argument("--hang-up", action="store_true", help="end the calls that ring or talk, too")


def _add_results_options(parser: argparse.ArgumentParser) -> None:
    _add_callout(parser)
    add = parser.add_argument
    add("--format", choices=RESULT_FORMATS, default="csv", help="default: %(default)s")
    add("--outcome", metavar="OUTCOME", help="only people with this outcome, such as unreached")
    add("--output", type=Path, metavar="FILE", help="- for standard output; default: callout-ID-results.FORMAT, here")


def _start(api: ServerApi, screen: AlertScreen, options: argparse.Namespace) -> int:
    if (options.callout_id is None) == (options.plan is None):
        options.wrong_use("give the id of a callout, or --plan FILE for a new one")
    if options.plan is None and (options.flow is not None or options.message is not None):
        options.wrong_use("--flow and --message are for a new callout, with --plan FILE")
    if not options.yes and not screen.can_ask():
        raise RequestRefused("nobody can be asked whether to start, as there is no terminal: confirm it by --yes")
    callout_id = options.callout_id
    if callout_id is None:
        new = NewCallout(options.plan, options.flow, options.message)
        callout_id = start_new(api, screen, new, options.yes)
    else:
        start_existing(api, screen, callout_id, options.yes)
    return 0 if options.no_watch else _follow(api, screen, callout_id, options)


def _watch(api: ServerApi, screen: AlertScreen, options: argparse.Namespace) -> int:
    return _follow(api, screen, options.callout_id, options)


def _stop(api: ServerApi, screen: AlertScreen, options: argparse.Namespace) -> int:
    event: dict[str, Any] = {"event": "stop"}
    if options.hang_up:
        event["hang_up"] = True
    api.post(f"/api/callouts/{options.callout_id}/callout_events", event)
    screen.say(f"callout {options.callout_id} is stopped")
    return 0


def _results(api: ServerApi, screen: AlertScreen, options: argparse.Namespace) -> int:
    output = options.output or Path(f"callout-{options.callout_id}-results.{options.format}")
    query = {"format": options.format}
    if options.outcome is not None:
        query["q[outcome]"] = options.outcome
    if output == Path("-"):
        print_results(api, options.callout_id, query, sys.stdout.buffer)
        return 0
    size = save_results(api, options.callout_id, query, output)
    screen.say(f"{output}: {size:,} bytes")
    return 0


def _follow(api: ServerApi, screen: AlertScreen, callout_id: int, options: argparse.Namespace) -> int:
    """Watch the callout; 0 if everybody was reached, else 1. Ctrl-C ends this command, and not the callout."""
    away_seconds = AWAY_SECONDS if options.patience is None else options.patience
    try:
        return 0 if watch_callout(api, screen, callout_id, away_seconds) else 1
    except KeyboardInterrupt:
        screen.say(f"callout {callout_id} goes on; to follow it: scfm alert watch {callout_id}")
        raise


def _callout_id(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**18:
        raise argparse.ArgumentTypeError(f"{text!r} is not a callout's id, which is a whole number such as 1")
    return int(text)
