"""Where the secret keys are: in a setting, in a file that a setting names, or in the data folder's own file.

A file has one key a line, or separated by commas, the newest first. The data folder's own is made where there is
none.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from scfm.errors import StartError
from scfm.runtime.folders import sync_folder
from scfm.runtime.secret_box import SecretBox, new_key

KEY_FILE: Final = "secret.key"
MAX_KEY_FILE = 64 * 1024  # bytes; a key with its line has 45


def open_box(keys: str, keys_file: str, data_dir: Path) -> SecretBox:
    """The box with the KEYS of SCFM_SECRET_KEYS, else with those in KEYS_FILE, else with those of the data folder.

    The data folder's file is made where it is needed and missing. Raises StartError.
    """
    if keys and keys_file:
        raise StartError("SCFM_SECRET_KEYS and SCFM_SECRET_KEYS_FILE are both set: set one of them")
    if keys:
        return SecretBox.of_keys(*_split(keys))
    if keys_file:
        return SecretBox(partial(_read, Path(keys_file)), keys_file)
    file = key_file(data_dir)
    if not file.exists():
        _make(file)
    return SecretBox(partial(_read, file), str(file))


def read_keys(keys: str, keys_file: str, data_dir: Path) -> list[str]:
    """The keys that ``open_box`` would use, the newest first; none, and none is made, where the data folder has none.

    Raises StartError.
    """
    if keys:
        return _split(keys)
    file = Path(keys_file) if keys_file else key_file(data_dir)
    return _read(file) if keys_file or file.exists() else []


def add_keys(data_dir: Path, keys: Sequence[str]) -> Path:
    """Put those of KEYS that are missing after those of the data folder's file; that file. Raises StartError."""
    file = key_file(data_dir)
    known = _read(file) if file.exists() else []
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _written(file, [*known, *(key for key in keys if key not in known)]).replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise _unusable(file, error) from None
    return file


def key_file(data_dir: Path) -> Path:
    """The data folder's own key file, whether it is there or not."""
    return data_dir.expanduser().resolve() / KEY_FILE


def add_new_key(data_dir: Path) -> None:
    """Put a new key before those of the data folder's file, which is made where it is missing. Raises StartError."""
    file = key_file(data_dir)
    if not file.exists():
        _make(file)
        return
    try:
        new = _written(file, [new_key(), *_read(file)])
        new.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise _unusable(file, error) from None


def _make(file: Path) -> None:
    """Make a key file. Of several processes that do so at once one succeeds, and all use what it has made."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = _written(file, [new_key()])
        try:
            os.link(new, file)  # unlike a rename, it does not replace
        except FileExistsError:
            pass
        finally:
            new.unlink()
        sync_folder(file.parent)
    except OSError as error:
        raise _unusable(file, error) from None


def _written(file: Path, keys: Sequence[str]) -> Path:
    """A new file beside FILE, for its owner only, with KEYS; it is on the disk. Raises OSError."""
    new = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as output:
        output.write("".join(f"{key}\n" for key in keys))
        output.flush()
        os.fsync(output.fileno())
    return new


def _read(file: Path) -> list[str]:
    try:
        with file.open(encoding="ascii") as lines:
            keys = _split(lines.read(MAX_KEY_FILE))
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(file, error) from None
    if not keys:
        raise StartError(f"the key file {file} is empty: put back the key that was in it")
    return keys


def _split(keys: str) -> list[str]:
    return keys.replace(",", " ").split()


def _unusable(file: Path, error: Exception) -> StartError:
    reason = getattr(error, "strerror", None) or "it is no text"
    return StartError(f"cannot use the key file {file} ({reason}): mend it, or give the keys in SCFM_SECRET_KEYS")
