"""JSON Schemas (draft 2020-12) of what clients send, and the check of a value against one.

Each is a file beside this one, refers to others by their file names, and is published as ``/api/schemas/NAME.json``.
Two things in them are this project's own: formats, which the caller of ``violations`` brings (see ``Formats``), and
``errorMessage``, as in ajv-errors: the sentence for what does not fit, one for all keywords of a schema or for each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError  # type: ignore[import-untyped]

NAMES = tuple(sorted(file.name.removesuffix(".json") for file in files(__name__).iterdir() if ".json" in file.name))

Schema = Mapping[str, Any]
"""What JSON Schema says of a value."""
InstancePath = tuple[str | int, ...]
"""Names and positions from the outermost value inwards."""


class Formats:
    """Formats by name: each tells of a value whether it fits, or raises ValueError with the sentence."""

    def __init__(self, formats: Mapping[str, Callable[[Any], bool]]) -> None:
        self.checker = FormatChecker(formats=())
        for name, fits in formats.items():
            self.checker.checks(name, raises=ValueError)(fits)


@cache
def schema(name: str) -> Schema:
    """The schema of that name, one of NAMES."""
    read: Schema = json.loads(files(__name__).joinpath(f"{name}.json").read_bytes())
    return read


def definitions(root: str) -> dict[str, Schema]:
    """All schemas by their names, for a document that has them under ROOT, such as ``#/$defs``."""
    found = {name: with_references(schema(name), root, name) for name in NAMES}
    return {name: {key: one for key, one in found[name].items() if key != "$schema"} for name in NAMES}


def with_references(value: Any, root: str, base: str = "") -> Any:
    """A part of the schema BASE, or of one beside these files, with its references as ``definitions`` needs them.

    ``values.json#/$defs/ids``, and ``#/$defs/ids`` in the schema ``values``, become ``ROOT/values/$defs/ids``.
    """
    if isinstance(value, list):
        return [with_references(one, root, base) for one in value]
    if not isinstance(value, dict):
        return value
    moved = {key: with_references(one, root, base) for key, one in value.items()}
    if isinstance(reference := value.get("$ref"), str):
        file, _, path = reference.partition("#")
        moved["$ref"] = f"{root}/{file.removesuffix('.json') or base}{path}"
    return moved


def violations(name: str, value: Any, formats: Formats) -> dict[InstancePath, str]:
    """What keeps VALUE from fitting the schema NAME: a sentence for each place in it, none for a value that fits."""
    found: dict[InstancePath, str] = {}
    for error in _validator(name).evolve(format_checker=formats.checker).iter_errors(value):
        for path in _places(error):
            found.setdefault(path, _sentence(error))
    return found


def pointer(path: InstancePath) -> str:
    """The place as a JSON pointer (RFC 6901): ``/metadata/a~1b/0``."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions("#/$defs")})


def _places(error: ValidationError) -> Iterator[InstancePath]:
    """Where the error is: with a name that is not known, or that is missing, there."""
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        yield from ((*path, name) for name in error.instance if name not in error.schema["properties"])
    elif error.validator == "required":
        yield from ((*path, name) for name in error.validator_value if name not in error.instance)
    else:
        yield path


def _sentence(error: ValidationError) -> str:
    if error.cause is not None:
        return str(error.cause)
    message = error.schema.get("errorMessage", {})
    return message if isinstance(message, str) else str(message.get(error.validator, error.message))
