"""What a backup is encrypted with: a passphrase, or what a file holds, such as random bytes."""

from __future__ import annotations

from pathlib import Path

from scfm.backups.errors import BackupError

MIN_PASSPHRASE, MAX_PASSPHRASE = 8, 64 * 1024


def read_passphrase(given: str, file: str) -> bytes | None:
    """The passphrase that is GIVEN, else what FILE has, without blanks and ends of lines around it; None for neither.

    Raises BackupError for a file that cannot be read, and for a passphrase that is too short.
    """
    if not given and not file:
        return None
    if given:
        found = given.strip().encode()
    else:
        try:
            with Path(file).open("rb") as opened:
                found = opened.read(MAX_PASSPHRASE).strip()
        except OSError as error:
            raise BackupError(f"cannot read the passphrase in {file}: {error.strerror or error}") from None
    if len(found) < MIN_PASSPHRASE:
        raise BackupError(f"the passphrase of backups has {len(found)} bytes, and needs {MIN_PASSPHRASE} at least")
    return found
