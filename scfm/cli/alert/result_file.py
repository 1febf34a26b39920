"""The results of a callout as a file, which is there when it is whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

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
        size = api.insist(lambda: _download(api, f"/api/callouts/{callout_id}/results", query, part))
        part.replace(output)
        return size
    except OSError as error:
        raise RequestRefused(f"{output} cannot be written ({error.strerror}): name another by --output") from None
    finally:
        part.unlink(missing_ok=True)


def _download(api: ServerApi, path: str, query: Mapping[str, str], part: Path) -> int:
    with api.stream(path, query) as stream, part.open("wb") as file:
        while content := stream.read(READ_SIZE):
            file.write(content)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()
