"""YAML as JSON values: what means something else in another version of YAML is a text here, as one would read it.

``no`` is Norwegian and not false, ``1:`` is the key 1 of a menu, ``12:30`` and ``2026-11-29`` are texts. Numbers,
``true``, ``false`` and ``null`` are those of JSON.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml  # type: ignore[import-untyped]

from scfm.schemas import InstancePath, pointer
from scfm.schemas.strict_json import finite

# With aliases, a short text may stand for a very long one.
MAX_YAML_VALUES = 100_000
MAX_YAML_LEVELS = 50

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z", re.ASCII)
_WORDS = {"true": True, "false": False, "null": None, "": None, "~": None}
_TAGS = frozenset({"!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))})


class YamlError(ValueError):
    """What is no YAML, or none that JSON can hold. ``line``: where, counted from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def read_yaml(text: str) -> tuple[Any, dict[str, int]]:
    """The value of the one document in TEXT, and the line of each of its parts by JSON pointer. Raises YamlError."""
    try:
        loader = yaml.SafeLoader(text)
        # What is not in quotes is not read here: each scalar is a text so far.
        loader.yaml_implicit_resolvers = {}
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = (
            f"is no YAML: {error.problem or error.context}; a text with : # ? , or brackets needs quotes around it"
        )
        raise YamlError(message, mark.line + 1 if mark else 1) from None
    except yaml.YAMLError as error:
        raise YamlError(f"is no YAML: {error}", 1) from None
    except RecursionError:
        raise YamlError(f"has more than {MAX_YAML_LEVELS} levels", 1) from None
    if root is None:
        return None, {}
    reader = _NodeReader()
    return reader.value(root, ()), reader.lines


class _NodeReader:
    """Makes values of nodes; ``lines`` are those of the values so far."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}

    def value(self, node: yaml.Node, path: InstancePath) -> Any:
        line = node.start_mark.line + 1
        if len(self.lines) >= MAX_YAML_VALUES:
            raise YamlError(f"has more than {MAX_YAML_VALUES:,} values", line)
        if len(path) > MAX_YAML_LEVELS:
            raise YamlError(f"has more than {MAX_YAML_LEVELS} levels", line)
        if node.tag not in _TAGS:
            raise YamlError(f"the tag {node.tag} is not known: write the value without it", line)
        self.lines.setdefault(pointer(path), line)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(one, (*path, number)) for number, one in enumerate(node.value)]
        return self._object(node, path) if isinstance(node, yaml.MappingNode) else _scalar(node)

    def _object(self, node: yaml.MappingNode, path: InstancePath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError("a key must be a text", line)
            if key.value in found:
                raise YamlError(f'"{key.value}" stands twice in an object', line)
            # That of the key: its value may begin below.
            self.lines[pointer((*path, key.value))] = line
            found[key.value] = self.value(value, (*path, key.value))
        return found


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    # What is in quotes, or a block of lines, is a text whatever it spells.
    if node.style is not None or node.tag == "!":
        return text
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.match(text):
        return text
    try:
        return json.loads(text, parse_float=finite)
    except ValueError:
        raise YamlError(f"{text} is too large a number", node.start_mark.line + 1) from None
