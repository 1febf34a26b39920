"""``scfm audio``: send audio files to a running server, and list those that it has."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from scfm.audio.kinds import HEAD_BYTES, described, kind_of, name_problem
from scfm.audio.sound import MAX_AUDIO_BYTES
from scfm.cli.server_api import CommandFailed, RequestRefused, ServerApi
from scfm.cli.server_options import server_api, server_options

AUDIO_PATH = "/api/audio_files"
LISTED_PER_PAGE = 100
AUDIO_EXIT_STATUSES = """\
exit status:
  0  it is done
  2  wrong use, a file that is no WAV or MP3, or the server refused it
  3  the server cannot be reached
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands of ``scfm audio``, each with its options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    common = server_options()
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    about = "send a WAV or an MP3, which flows then play by its name"
    add = commands.add_parser("add", parents=[common], help=about, description=about)
    add.add_argument("file", type=Path, metavar="FILE")
    add.add_argument("--name", metavar="NAME", help="what flows call it; default: the file's name without its ending")
    add.add_argument("--language", metavar="CODE", help="the language that is spoken in it, such as km")
    add.set_defaults(act=_add, wrong_use=add.error)
    about = "list the audio files: name, language, seconds, path"
    listed = commands.add_parser("list", parents=[common], help=about, description=about)
    listed.set_defaults(act=_list, wrong_use=listed.error)
    parser.epilog = "".join([add.format_usage(), listed.format_usage(), "\n", AUDIO_EXIT_STATUSES])


def run(options: argparse.Namespace) -> int:
    """Do what the options say; see AUDIO_EXIT_STATUSES for the exit status."""
    try:
        options.act(server_api(options), options)
    except CommandFailed as error:
        print(f"scfm audio: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def _add(api: ServerApi, options: argparse.Namespace) -> None:
    content = _read(options.file)
    query = {"name": options.name or options.file.stem, "language": options.language}
    path = f"{AUDIO_PATH}?{urlencode({name: value for name, value in query.items() if value})}"
    print(_line(api.upload(path, content, "application/octet-stream")))


def _list(api: ServerApi, options: argparse.Namespace) -> None:
    page = 1
    while found := api.get(f"{AUDIO_PATH}?per_page={LISTED_PER_PAGE}&page={page}"):
        for one in found:
            print(_line(one))
        page += 1


def _read(path: Path) -> bytes:
    """The content of a file; raises RequestRefused for what the server would not take, as far as that shows."""
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_AUDIO_BYTES else None
    except OSError as error:
        raise RequestRefused(f"{path} cannot be read: {error.strerror}") from None
    if content is None:
        raise RequestRefused(f"{path} is larger than {MAX_AUDIO_BYTES >> 20} MiB")
    head = content[:HEAD_BYTES]
    kind = kind_of(head)
    if problem := described(head) if kind is None else name_problem(path.name, kind):
        raise RequestRefused(f"{path} {problem}")
    return content


def _line(audio_file: dict[str, Any]) -> str:
    """``flood-km  km  12.5 s  /audio/….wav``."""
    language = audio_file["language"] or "-"
    return f"{audio_file['name']}  {language}  {audio_file['seconds']:.1f} s  {audio_file['url']}"
