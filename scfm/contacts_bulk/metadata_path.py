"""A path in the contacts' metadata, as clients write it: ``metadata.address.city``."""

from __future__ import annotations

from typing import Final

from scfm.contacts_bulk.table import column_of, path_of
from scfm.contacts_bulk.text_lines import MAX_DEPTH, RowError
from scfm.errors import Invalid
from scfm.models.contact import CONTACTS
from scfm.models.paths import KeyPath

METADATA: Final = "metadata."
MAX_PATH: Final = 1000


def metadata_path(parameter: str, written: object) -> KeyPath:
    """The names that the path is made of, as the value of PARAMETER has it; raises Invalid."""
    if not isinstance(written, str) or not written.startswith(METADATA) or len(written) > MAX_PATH:
        raise Invalid({parameter: ["must be a path in the contacts' metadata, such as metadata.district"]})
    try:
        path = path_of(written.removeprefix(METADATA))
    except RowError as error:
        raise Invalid({parameter: [error.reason]}) from None
    if len(path) > MAX_DEPTH:
        raise Invalid({parameter: [f"has too many names (maximum is {MAX_DEPTH})"]})
    if not CONTACTS.counted.announced(".".join(("metadata", *path))):
        raise Invalid({parameter: ["cannot be what call flows remember"]})
    return path


def written_path(path: KeyPath) -> str:
    """The text for a path, such that ``metadata_path`` gives the path back."""
    return METADATA + column_of(path)
