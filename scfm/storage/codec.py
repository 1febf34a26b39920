"""Names inside free JSON (metadata, details…): MongoDB gives some characters a meaning, so they are escaped.

Every name is stored and given back exactly; no name can become an operator or a path.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from scfm.storage.query import Document

_SPECIAL = re.compile(r"[%$.\0]")
# A field name may be empty, but a path cannot end in nothing.
_EMPTY = "%"
MIN_INT64, MAX_INT64 = -(2**63), 2**63 - 1


def escape_name(name: str) -> str:
    """The name as MongoDB stores it: without ``$``, ``.`` and NUL, and never empty."""
    if name.isidentifier():  # as most are, and this is quick to see
        return name
    if not name:
        return _EMPTY
    return _SPECIAL.sub(lambda match: f"%{ord(match[0]):02X}", name)


def restore_name(name: str) -> str:
    """The name that ``escape_name`` was given."""
    if "%" not in name:
        return name
    return "" if name == _EMPTY else unquote(name)


def escape_value(value: Any) -> Any:
    """VALUE with every name in it escaped, at any depth; a number that MongoDB cannot hold becomes text."""
    if isinstance(value, dict):
        return {escape_name(name): escape_value(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [escape_value(inner) for inner in value]
    if isinstance(value, int) and not MIN_INT64 <= value <= MAX_INT64:
        return str(value)
    return value


def restore_value(value: Any) -> Any:
    """What ``escape_value`` was given; it shares no object or array with VALUE."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if "%" in name or isinstance(inner, (dict, list)):
                break
        else:
            return value.copy()  # as most are
        return {restore_name(name): restore_value(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [restore_value(inner) for inner in value]
    return value


def escape_document(document: Document) -> Document:
    """The document as it is stored: a copy, with every name inside its objects and arrays escaped."""
    return {
        name: escape_value(value) if isinstance(value, (dict, list)) else value for name, value in document.items()
    }


def escape_update(update: Document) -> Document:
    """MongoDB's UPDATE with what it sets escaped."""
    if "$set" not in update:
        return update
    return {**update, "$set": escape_document(update["$set"])}


def restore_document(document: Document) -> Document:
    """What ``escape_document`` was given; DOCUMENT itself is changed."""
    for name, value in document.items():
        if isinstance(value, (dict, list)):
            document[name] = restore_value(value)
    return document
