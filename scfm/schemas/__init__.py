"""JSON Schemas (draft 2020-12) of what clients send, and the check of a value against one.

Each is a file beside this one, refers to others by their file names, and is published as ``/api/schemas/NAME.json``.
Two things in them are this project's own: formats, which the caller of ``violations`` brings (see ``Formats``), and
``errorMessage``, as in ajv-errors: the sentence for what does not fit, one for all keywords of a schema or for each.
And ``oneOf`` is of objects only, each of which is told by what it requires first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]

NAMES = tuple(sorted(file.name.removesuffix(".json") for file in files(__name__).iterdir() if ".json" in file.name))

# For so many names that are not known, of so many characters at most, the one that was meant is looked for: a client
# may send any number of them.
MAX_MEANT_NAMES, MAX_MEANT_CHARACTERS = 20, 40
# What is wrong with a name that fits none of the schemas of a ``oneOf``; its value has the names that would.
_UNKNOWN_NAME = "unknownName"

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
    """All schemas by their names, for a document that has them under ROOT, such as ``#/components/schemas``.

    What a schema has in ``$defs`` stands beside it, as ``ids_of_values``: programs that read it look no deeper.
    """
    found: dict[str, Schema] = {}
    for name in NAMES:
        whole = schema(name)
        parts = {name: whole, **{f"{part}_of_{name}": one for part, one in whole.get("$defs", {}).items()}}
        for key, one in parts.items():
            shown = {keyword: value for keyword, value in one.items() if keyword not in ("$schema", "$defs")}
            found[key] = with_references(shown, root, name)
    return found


def with_references(value: Any, root: str, base: str = "") -> Any:
    """A part of the schema BASE, or of one beside these files, with its references as ``definitions`` needs them.

    ``values.json#/$defs/ids``, and ``#/$defs/ids`` in the schema ``values``, become ``ROOT/ids_of_values``. What is
    deeper in a schema, ``account_settings.json#/properties/default_country``, is put in place.
    """
    if isinstance(value, list):
        return [with_references(one, root, base) for one in value]
    if not isinstance(value, dict):
        return value
    moved = {key: with_references(one, root, base) for key, one in value.items()}
    if isinstance(reference := value.get("$ref"), str):
        file, _, path = reference.partition("#")
        name, steps = file.removesuffix(".json") or base, path.split("/")[1:]
        if not steps or (steps[0] == "$defs" and len(steps) == 2):
            return {**moved, "$ref": f"{root}/{'_of_'.join((*steps[1:], name))}"}
        found: Any = schema(name)
        for step in steps:
            found = found[step]
        del moved["$ref"]
        return {**with_references(found, root, name), **moved}
    return moved


def violations(name: str, value: Any, formats: Formats) -> dict[InstancePath, str]:
    """What keeps VALUE from fitting the schema NAME: a sentence for each place in it, none for a value that fits."""
    found: dict[InstancePath, str] = {}
    names = 0
    for error in _validator(name).evolve(format_checker=formats.checker).iter_errors(value):
        sentence = _sentence(error)
        if error.validator == _UNKNOWN_NAME and names < MAX_MEANT_NAMES:
            names += 1
            sentence += _meant(error)
        for path in _places(error):
            found.setdefault(path, sentence)
    return found


def pointer(path: InstancePath) -> str:
    """The place as a JSON pointer (RFC 6901): ``/metadata/a~1b/0``."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


@cache
def _validator(name: str) -> Draft202012Validator:
    # Without references: to follow one takes longer than most of what they lead to.
    return _Validator(_inlined(schema(name), name, {}))


# ``$schema`` among them: jsonschema would take the validator that it names instead of this one.
_NOT_INLINED = frozenset({"$schema", "$defs"})
_DESCRIBING = frozenset({"title", "description", "default", "examples"})


def _inlined(value: Any, base: str, referred: dict[tuple[str, str], dict[str, Any]]) -> Any:
    """A part of the schema BASE with what its references lead to in their place.

    REFERRED has what was put in place so far, by file and path: a schema may refer to itself.
    """
    if isinstance(value, list):
        return [_inlined(one, base, referred) for one in value]
    if not isinstance(value, dict):
        return value
    if isinstance(reference := value.get("$ref"), str):
        file, _, path = reference.partition("#")
        name = file.removesuffix(".json") or base
        if (name, path) not in referred:
            found: Any = schema(name)
            for step in filter(None, path.split("/")):
                found = found[step]
            referred[name, path] = {}
            referred[name, path].update(_inlined(found, name, referred))
        beside = {key: one for key, one in value.items() if key != "$ref" and key not in _DESCRIBING}
        return (
            {**_inlined(beside, base, referred), "allOf": [referred[name, path]]} if beside else referred[name, path]
        )
    inlined = {key: _inlined(one, base, referred) for key, one in value.items() if key not in _NOT_INLINED}
    if isinstance(pattern := value.get("pattern"), str):
        inlined["pattern"] = _whole(pattern)
    if "patternProperties" in value:
        inlined["patternProperties"] = {_whole(name): one for name, one in inlined["patternProperties"].items()}
    return inlined


def _whole(pattern: str) -> str:
    """A pattern for Python, where ``$`` is before a line break at the end, too."""
    return f"{pattern[:-1]}\\Z" if pattern.endswith("$") else pattern


def _one_of(
    validator: Draft202012Validator, schemas: list[Schema], value: Any, _: Schema
) -> Iterator[ValidationError]:
    """The keyword ``oneOf``, of schemas that are told apart by what each requires first.

    What is wrong with a value is told by the first one whose name it has, and not by each of them. Where it has none,
    each name that all of them lack is told as well: one of these was meant, and misspelled.
    """
    if not validator.is_type(value, "object"):
        return
    for one in schemas:
        if one["required"][0] in value:
            yield from validator.descend(value, one)
            return
    yield ValidationError("fits none of them")
    known = dict.fromkeys(name for one in schemas for name in one["properties"])
    for name in value:
        if name not in known:
            yield ValidationError(
                "is not known here", path=[name], validator=_UNKNOWN_NAME, validator_value=known, schema={}
            )


def _descend(
    self: Draft202012Validator,
    instance: Any,
    schema: Schema,
    path: str | int | None = None,
    schema_path: str | int | None = None,
    resolver: Any = None,
) -> Iterator[ValidationError]:
    """As jsonschema's own, for schemas without references: that one makes a validator anew for each part of a value.

    It takes half the time.
    """
    for keyword, argument in schema.items():
        for error in self.VALIDATORS.get(keyword, _pass_over)(self, argument, instance, schema) or ():
            error._set(
                validator=keyword,
                validator_value=argument,
                instance=instance,
                schema=schema,
                type_checker=self.TYPE_CHECKER,
            )
            if path is not None:
                error.path.appendleft(path)
            yield error


def _pass_over(*_: Any) -> tuple[()]:
    """The check of a keyword that only describes."""
    return ()


_Validator = extend(Draft202012Validator, {"oneOf": _one_of})
_Validator.descend = _descend


def _places(error: ValidationError) -> Iterator[InstancePath]:
    """Where the error is: with a name that is not known, or that is missing, there."""
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        yield from ((*path, name) for name in error.instance if not _is_known(name, error.schema))
    elif error.validator == "required":
        yield from ((*path, name) for name in error.validator_value if name not in error.instance)
    else:
        yield path


def _is_known(name: str, described: Schema) -> bool:
    """Whether an object that is DESCRIBED may have NAME."""
    patterns = described.get("patternProperties", ())
    return name in described.get("properties", ()) or any(re.search(pattern, name) for pattern in patterns)


def _meant(error: ValidationError) -> str:
    """Behind the sentence about a name that is not known: which one was meant, if one is much like it."""
    name = str(error.path[-1])
    meant = get_close_matches(name, error.validator_value, 1) if len(name) <= MAX_MEANT_CHARACTERS else ()
    return f": did you mean {meant[0]}?" if meant else ""


def _sentence(error: ValidationError) -> str:
    if error.cause is not None:
        return str(error.cause)
    message = error.schema.get("errorMessage", {})
    return message if isinstance(message, str) else str(message.get(error.validator, error.message))
