"""A server on a small disk, which can be filled: for Linux, and a user who may have disks that nobody else sees."""

from __future__ import annotations

import shutil
import subprocess
import sys

from tests.server import Server

# MongoDB's files and some more fit into it.
SMALL_DISK = "96m"


class OnSmallDisk(Server):
    """A server whose data folder is a disk of its own, that only it and what is run ``inside`` can see."""

    def _spawn(self, *arguments: str) -> subprocess.Popen[str]:
        mount = f'mount -t tmpfs -o size={SMALL_DISK},mode=700 tmpfs "$0" && exec "$@"'
        self.data_dir.mkdir(exist_ok=True)
        return subprocess.Popen(
            ["unshare", "-rm", "bash", "-c", mount, str(self.data_dir), sys.executable, "-m", "scfm", *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def inside(self) -> list[str]:
        """What a command begins with that sees the disk."""
        return ["nsenter", "-t", str(self._running().pid), "-U", "-m", "--preserve-credentials"]


def may_mount() -> bool:
    """Whether this user may have disks that nobody else sees."""
    tried = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return (
        shutil.which("nsenter") is not None
        and subprocess.run(tried, capture_output=True, check=False).returncode == 0
    )
