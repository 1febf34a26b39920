"""``scfm flow``: check, try and publish call flows that are kept as files."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from scfm.cli.flow.flow_file import read_flow_file
from scfm.cli.flow.flow_publication import publish_definition
from scfm.cli.flow.flow_trial import FlowTrial
from scfm.cli.rehearse import add_call_options
from scfm.cli.server_api import CommandFailed
from scfm.cli.server_options import server_api, server_options
from scfm.errors import StartError
from scfm.settings import load
from scfm.twiml.definition import AUDIO_PREFIX, audio_names
from scfm.twiml.definition_coverage import coverage, coverage_table
from scfm.twiml.definition_diagram import diagram
from scfm.twiml.definition_examples import rehearse_example
from scfm.twiml.flow import FlowSettings
from scfm.twiml.rehearsal import Rehearsal, rehearse

MAX_SHOWN_AUDIO_NAMES = 5
FLOW_EXIT_STATUSES = """\
exit status:
  0  nothing is wrong
  1  something is wrong with the call flow, or its file cannot be read; what may be better is no reason
  2  wrong use, or the server refused it
  3  the server cannot be reached
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands of ``scfm flow``, each with its options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = FLOW_EXIT_STATUSES
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, add_options, act, about, parents in (
        ("validate", _add_validate_options, _validate, "check files and their examples without a server", []),
        ("rehearse", _add_rehearse_options, _rehearse, "try a file in a call without a carrier", []),
        ("publish", _add_publish_options, _publish, "make a file the newest version on a server", [server_options()]),
    ):
        own = commands.add_parser(
            name,
            parents=parents,
            help=about,
            description=about,
            epilog=FLOW_EXIT_STATUSES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_options(own)
        own.set_defaults(act=act, wrong_use=own.error)


def run(options: argparse.Namespace) -> int:
    """Do what the options say; see FLOW_EXIT_STATUSES for the exit status. Raises StartError."""
    try:
        return int(options.act(options))
    except CommandFailed as error:
        print(f"scfm flow: {error}", file=sys.stderr)
        return error.exit_status


def _add_validate_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", type=Path, nargs="+", metavar="FILE", help="definitions of call flows, as JSON or YAML")
    add("--table", action="store_true", help="show which prompt is heard in which language")
    add("--diagram", action="store_true", help="show the steps as a diagram in the language of Mermaid")
    _add_audio_option(parser)


def _add_rehearse_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="the definition of a call flow, as JSON or YAML")
    add("--example", type=int, metavar="NUMBER", help="one of the file's examples, from 0 on, as it is there")
    _add_audio_option(parser)
    add_call_options(parser)


def _add_publish_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="the definition of a call flow, as JSON or YAML")
    add("--name", help="the name of the call flow (default: the file's, without its ending)")


def _add_audio_option(parser: argparse.ArgumentParser) -> None:
    about = "as if no audio file were there, so that what replaces it is said"
    parser.add_argument("--without-audio", action="store_true", help=about)


def _validate(options: argparse.Namespace) -> int:
    right = [_is_right(path, options) for path in options.files]
    return 0 if all(right) else 1


def _is_right(path: Path, options: argparse.Namespace) -> bool:
    """Say what is to be said of a file; whether nothing is wrong with it."""
    try:
        trial = _trial(path, options)
    except StartError as error:
        print(error)
        return False
    if not _tell(trial):
        return False
    definition = trial.definition
    if options.table:
        print(coverage_table(coverage(definition, [] if options.without_audio else None)), end="")
    if options.diagram:
        print(diagram(definition), end="")
    parts = {"step": definition["steps"], "language": definition["languages"], "example": trial.listed_examples}
    if names := sorted(set(audio_names(definition))):
        shown = [f"{AUDIO_PREFIX}{name}" for name in names[:MAX_SHOWN_AUDIO_NAMES]]
        others = [f"{len(names) - len(shown)} others"] if len(names) > len(shown) else []
        print(f"{path}: only a publish tells whether the account has {', '.join(shown + others)}")
    print(f"{path}: nothing is wrong: {', '.join(_counted(len(those), noun) for noun, those in parts.items())}")
    return True


def _rehearse(options: argparse.Namespace) -> int:
    trial = _trial(options.file, options)
    if trial.findings.errors:
        _tell(trial)
        return 1
    call = _call(trial, options)
    print(call.transcript())
    return 0 if call.problem is None else 1


def _call(trial: FlowTrial, options: argparse.Namespace) -> Rehearsal:
    if options.example is None:
        return rehearse(
            trial.flow(),
            options.answers,
            inbound=options.inbound,
            contact=options.contact,
            callout=options.callout,
            settings=trial.settings,
        )
    if options.answers or options.inbound or options.contact is not None or options.callout is not None:
        options.wrong_use("--example says itself who is called, and what they answer: leave the other options out")
    examples = trial.listed_examples
    if not 0 <= options.example < len(examples):
        raise StartError(f"{options.file}: has {_counted(len(examples), 'example')}, of which the first is 0")
    return rehearse_example(trial.flow(), examples[options.example], trial.settings)


def _publish(options: argparse.Namespace) -> int:
    # First: it may start the program anew.
    api = server_api(options)
    trial = _trial(options.file, options)
    if not _tell(trial):
        return 1
    name = options.name or trial.file.name
    published = publish_definition(api, name, trial.definition)
    state = "is published" if published.is_new else "is published already, as it is here"
    print(f"{name}: version {published.version} {state}: /api/call_flows/{published.flow_id}")
    return 0


def _trial(path: Path, options: argparse.Namespace) -> FlowTrial:
    settings = FlowSettings.of(load(os.environ))
    with_audio = not getattr(options, "without_audio", False)
    return FlowTrial(read_flow_file(path), settings, audio=with_audio)


def _tell(trial: FlowTrial) -> bool:
    """Say what is wrong with a flow, its examples and paths, and what may be better; whether nothing is wrong."""
    file, findings = trial.file, trial.findings
    for error in findings.errors:
        print(file.placed(error))
    for warning in findings.warnings:
        place, _, sentence = warning.partition(": ")
        print(file.placed(f"{place}: warning: {sentence}"))
    if findings.errors:
        return False
    examples, paths = trial.examples(), trial.paths()
    for error in [*paths.errors, *(f"/examples{error}" for error in examples.errors)]:
        print(file.placed(error))
    for transcript in examples.transcripts:
        print(f"\n{transcript}\n")
    if paths.left_out is not None:
        print(f"{file.path}: {paths.left_out}")
    return not examples.errors and not paths.errors


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
