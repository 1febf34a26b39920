"""What can be wrong with a backup."""

from __future__ import annotations

from scfm.errors import StartError


class BackupError(StartError):
    """A backup cannot be made, read or restored. Its text is one line: what is wrong, and what to do."""
