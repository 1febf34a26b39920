"""The results of a callout as a file, which is there when it is whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from scfm.cli.server_api import RequestRefused, ServerApi

# Bytes that are read at once.
READ_SIZE = 64 * 1024


def save_results(api: ServerApi, callout_id: int, query: Mapping[str, str], output: Path) -> int:
    """Write the results that fit QUERY to OUTPUT; how many bytes they are. A file that is there is replaced.

    It is written beside, under another name, and renamed; where the connection breaks, it is begun anew.
    Raises CommandFailed.
    """
    if output.exists() and not output.is_file():
        raise RequestRefused(f"{output} is no file: name one by --output")
    if not output.parent.is_dir():
        raise RequestRefused(f"there is no folder {output.parent}: make it, or name another file by --output")
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        size = api.insist(lambda: _download(api, _path(callout_id), query, part))
        part.replace(output)
        return size
    except OSError as error:
        raise RequestRefused(f"{output} cannot be written ({error.strerror}): name another by --output") from None
    finally:
        part.unlink(missing_ok=True)


def print_results(api: ServerApi, callout_id: int, query: Mapping[str, str], output: IO[bytes]) -> None:
    """Write the same to OUTPUT, once all of it has come: until then it is in a file without a name.

    Raises CommandFailed; BrokenPipeError where nobody reads OUTPUT.
    """
    try:
        with tempfile.TemporaryFile() as whole:
            api.insist(lambda: _copy(api, _path(callout_id), query, whole))
            whole.seek(0)
            shutil.copyfileobj(whole, output)
            output.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RequestRefused(f"the results cannot be written ({error.strerror}): name a file by --output") from None


def _path(callout_id: int) -> str:
    return f"/api/callouts/{callout_id}/results"


def _download(api: ServerApi, path: str, query: Mapping[str, str], part: Path) -> int:
    with part.open("wb") as file:
        size = _copy(api, path, query, file)
        os.fsync(file.fileno())
        return size


def _copy(api: ServerApi, path: str, query: Mapping[str, str], file: IO[bytes]) -> int:
    """Have in FILE what is at PATH and nothing else; how many bytes that is."""
    file.seek(0)
    file.truncate()
    with api.stream(path, query) as stream:
        while content := stream.read(READ_SIZE):
            file.write(content)
    file.flush()
    return file.tell()
