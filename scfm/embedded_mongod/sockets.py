"""The Unix socket that the private mongod listens on."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from scfm.errors import StartError


def choose_socket(root: Path) -> Path:
    """Where mongod can listen: in the data folder ROOT, which the caller owns, or else in a temporary folder.

    That is where the disk takes no sockets, or the path is longer than the 107 bytes of unix(7). Raises StartError.
    """
    address = root / "mongod.sock"
    if _can_bind(address):
        return address
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    address = _private_folder(Path(tempfile.gettempdir(), f"scfm-{digest}")) / "mongod.sock"
    if not _can_bind(address):
        raise StartError(f"{root} and {address.parent} take no Unix socket: set TMPDIR to a short path")
    return address


def remove_socket(address: Path, root: Path) -> None:
    """Remove what a killed mongod leaves, and the temporary folder where it is in one."""
    with suppress(OSError):
        address.unlink(missing_ok=True)
        if address.parent != root:
            address.parent.rmdir()


def connection_uri(address: Path) -> str:
    """The MongoDB connection string for a mongod that listens there."""
    return f"mongodb://{quote(str(address), safe='')}/?directConnection=true"


def is_listening(address: Path) -> bool:
    """Whether mongod is ready: it binds its socket early, but listens on it only when it can answer."""
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.settimeout(1)
        with suppress(OSError):
            probe.connect(str(address))
            return True
    return False


def _can_bind(address: Path) -> bool:
    address.unlink(missing_ok=True)  # left by a mongod that was killed; the caller owns the folder
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        try:
            probe.bind(str(address))
        except OSError:
            return False
    address.unlink()
    return True


def _private_folder(path: Path) -> Path:
    """``path``, a folder that nobody else can enter. Raises StartError if there is one that others can."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StartError(f"{path} is not a folder of this user alone: remove it, or set TMPDIR to another folder")
    return path
