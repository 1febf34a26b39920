"""``scfm rehearse``: try a call flow without a carrier."""

from __future__ import annotations

import argparse
import json
import os
import traceback
from pathlib import Path
from typing import Any

from scfm.settings import load
from scfm.twiml.flow import FlowSettings
from scfm.twiml.registry import Registry, find_flow
from scfm.twiml.rehearsal import rehearse
from scfm.twiml.rehearsal_text import ANSWER_SYNTAX


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``scfm rehearse``."""
    parser.add_argument("name", help="a registered flow, or a Python path such as flood.flows:FloodWarning")
    add_call_options(parser)


def add_call_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say who is called, and what they answer."""
    parser.add_argument(
        "--digits",
        dest="answers",
        action="extend",
        type=_digits,
        metavar="1,2",
        help="keys, one item at each question; an empty item is silence; after the last the callee hangs up",
    )
    parser.add_argument(
        "--answer", dest="answers", action="append", metavar="ANSWER", help=f"one answer; {ANSWER_SYNTAX}"
    )
    parser.add_argument(
        "--script",
        dest="answers",
        action="extend",
        type=_script,
        metavar="FILE",
        help="a file of answers, one a line; lines that begin with // are comments",
    )
    parser.add_argument("--inbound", action="store_true", help="the contact calls, instead of being called")
    parser.add_argument("--contact", type=_metadata, metavar="JSON", help="the contact's metadata")
    parser.add_argument("--callout", type=_metadata, metavar="JSON", help="the callout's metadata")
    parser.set_defaults(answers=[])


def run(options: argparse.Namespace) -> int:
    """Rehearse, and print the transcript; 0 if the flow ended well, else 1.

    Raises StartError for a flow that cannot be found, or an answer that cannot be read.
    """
    settings = load(os.environ)
    registry = Registry.from_setting(settings.registered_call_flow_logic, settings.default_call_flow_logic)
    flow = registry.flows.get(options.name) or find_flow(options.name, "rehearse")
    call = rehearse(
        flow,
        options.answers,
        inbound=options.inbound,
        contact=options.contact,
        callout=options.callout,
        settings=FlowSettings.of(settings),
    )
    if call.fault:
        traceback.print_exception(call.fault)
    print(call.transcript())
    return 0 if call.problem is None else 1


def _digits(text: str) -> list[str]:
    return [f"press {keys.strip()}" if keys.strip() else "silence" for keys in text.split(",")]


def _script(path: str) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{path} cannot be read: {error}") from None
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("//")]


def _metadata(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('must be a JSON object, such as \'{"district": "kandal"}\'')
    return value
