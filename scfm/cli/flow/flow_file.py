"""A call flow's definition in a file, as JSON or as YAML, and on which line each part of it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scfm.cli.flow.yaml_reader import YamlError, read_yaml
from scfm.errors import StartError
from scfm.schemas.strict_json import finite, no_constant

JSON_ENDING = ".json"
# A definition is at most a fourth of it, without comments and indentation.
MAX_FLOW_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class FlowFile:
    """What a file holds: a JSON value. ``lines`` are those of its parts by JSON pointer, of YAML alone."""

    path: Path
    definition: Any
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the call flow, if nobody gives it another: the file's, without its ending."""
        return self.path.stem

    def placed(self, finding: str) -> str:
        """A finding (``/json/pointer: sentence``) behind the file's name and the line that it is about."""
        line = self._line(finding.partition(": ")[0])
        return f"{self.path}{'' if line is None else f':{line}'}: {finding.removeprefix(': ')}"

    def _line(self, pointer: str) -> int | None:
        """The line of the place, or of the nearest one around it that is there."""
        while pointer not in self.lines and pointer:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer)


def read_flow_file(path: Path) -> FlowFile:
    """What is in the file at PATH. Raises StartError with what is wrong, and where."""
    try:
        if path.stat().st_size > MAX_FLOW_FILE_BYTES:
            raise StartError(f"{path}: is larger than {MAX_FLOW_FILE_BYTES:,} bytes, and so no call flow")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise StartError(f"{path} cannot be read: {error}") from None
    if path.suffix.lower() == JSON_ENDING:
        return FlowFile(path, _json(path, text))
    try:
        return FlowFile(path, *read_yaml(text))
    except YamlError as error:
        raise StartError(f"{path}:{error.line}: {error}") from None


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text, parse_float=finite, parse_constant=no_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise StartError(f"{path}:{error.lineno}: is no JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise StartError(f"{path}: is no JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f'"{next(name for name in names if names.count(name) > 1)}" stands twice in an object')
    return found
