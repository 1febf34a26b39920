"""Why a mongod ended, from its exit code and its log."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from scfm.embedded_mongod.command import INSTALL_HINT

DISK_FULL = "no space is left on the disk of {files}: free some, then start again"
_OTHER_VERSION = (
    "the data in {files} are of another MongoDB version than {binary}: start the mongod that wrote them, "
    "or choose another data folder"
)

# What the loader or mongod writes, and what it means, the surest first: WiredTiger also calls a full disk a panic,
# and data of another version a permission error. Most are taken from runs of mongod 6.0.5.
_BY_LOG = (
    (r"scfm cannot run it: (.+)", f"cannot run {{binary}} ({{found}}): {INSTALL_HINT}"),
    (
        r"error while loading shared libraries: ([^\s:]+)",
        "mongod needs {found}, which this machine lacks: install it (Debian: apt-get install libssl3 libcurl4), "
        f"or {INSTALL_HINT}",
    ),
    (
        r"version `(GLIBC\S*)' not found",
        f"{{binary}} needs {{found}}, which this machine is too old for: {INSTALL_HINT}",
    ),
    (r"No space left on device", DISK_FULL),
    (
        r"unsupported WiredTiger|Version incompatibility detected|invalid featureCompatibilityVersion|"
        r"invalid feature compatibility|Wrong mongod version",
        _OTHER_VERSION,
    ),
    (
        r"WT_TRY_SALVAGE|corrupt|starting MongoDB with --repair|InvalidBSON",
        "the data in {files} are damaged: restore a backup, or try {binary} --repair --dbpath {files} (log: {log})",
    ),
    (r"unsupported upgrade or downgrade", _OTHER_VERSION),
    (r"Unable to lock the lock file", "another mongod is using {files}: stop it, or choose another data folder"),
    (
        r"Unable to create/open the lock file|Permission denied|Read-only file system",
        "mongod cannot write to {files}: make it writable, or choose another data folder",
    ),
    (
        r"Cannot allocate memory|bad_alloc|out of memory",
        "mongod found no memory: free some on this machine, then start again",
    ),
)
_BY_EXIT_CODE = {
    62: _OTHER_VERSION,  # MongoDB's manual, exit codes
    -4: f"this processor cannot run {{binary}} (MongoDB 5 and later need AVX): {INSTALL_HINT}",  # SIGILL
    -9: "mongod was killed, most likely because memory ran out: free some, then start again",  # SIGKILL
}


def explain_end(exit_code: int | None, log: str, names: Mapping[str, Path]) -> str:
    """Why mongod ended with EXIT_CODE (see Popen.returncode), having written LOG: one line for the user.

    NAMES are the paths that it may name: ``files``, ``log`` and ``binary``.
    """
    problems = [line for line in log.splitlines() if line.strip() and '"s":"I"' not in line]
    text = "\n".join(problems)
    for pattern, cause in _BY_LOG:
        if match := re.search(pattern, text, re.IGNORECASE):
            return cause.format(found=match[match.lastindex or 0], **names)
    if exit_code in _BY_EXIT_CODE:
        return _BY_EXIT_CODE[exit_code].format(**names)
    return f"mongod ended with exit code {exit_code}{_first_error(problems)}: see {names['log']}"


def _first_error(problems: list[str]) -> str:
    """The first error of the log, else its last line, in brackets; empty where there is none."""
    errors = [line for line in problems if '"s":"E"' in line or '"s":"F"' in line]
    plain = [line for line in problems if not line.startswith("{")]
    words = _message(errors[0]) if errors else "".join(plain[-1:])
    return f" ({' '.join(words.split())[:200]})" if words else ""


def _message(line: str) -> str:
    """What a line of mongod's log says, without what surrounds it; the line itself where it is no record."""
    try:
        record = json.loads(line)
        return f"{record['msg']} {record.get('attr', {}).get('error', '')}"
    except (ValueError, KeyError, AttributeError, TypeError):
        return line
