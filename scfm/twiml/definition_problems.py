"""What is wrong with a definition as sentences, each with its place, in the order of the definition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from scfm.schemas import InstancePath, pointer

# How many are told of one definition.
MAX_PROBLEMS = 500
MAX_SHOWN_TEXT = 60

DefinitionProblem = tuple[InstancePath, str]
"""A place in a definition, and what is wrong there."""


def told(definition: Any, problems: Iterable[DefinitionProblem]) -> list[str]:
    """PROBLEMS as ``/json/pointer: sentence``, in the order of their places in DEFINITION.

    Beyond MAX_PROBLEMS only their number is told.
    """
    positions: dict[int, dict[str, int]] = {}
    ordered = sorted(problems, key=lambda problem: list(_order(definition, problem[0], positions)))
    lines = [f"{pointer(path)}: {sentence}" for path, sentence in ordered]
    if len(lines) > MAX_PROBLEMS:
        place, more = pointer(ordered[MAX_PROBLEMS][0]), len(lines) - MAX_PROBLEMS - 1
        lines[MAX_PROBLEMS:] = [f"{place}: is wrong, too, and so are {more} places after it"]
    return lines


def cited(text: str) -> str:
    """A text of a definition as a sentence quotes it, of which the beginning is enough."""
    return f'"{text}"' if len(text) <= MAX_SHOWN_TEXT else f'"{text[: MAX_SHOWN_TEXT - 1]}…"'


def _order(value: Any, path: InstancePath, positions: dict[int, dict[str, int]]) -> Iterator[int]:
    """The position of a place at each level; what is missing comes last.

    POSITIONS are those of the names in each object, by its ``id``, and grow.
    """
    for step in path:
        if isinstance(value, dict):
            if id(value) not in positions:
                positions[id(value)] = {name: number for number, name in enumerate(value)}
            yield positions[id(value)].get(str(step), len(value))
            value = value.get(step)
        else:
            yield step if isinstance(step, int) else 0
            value = value[step] if isinstance(value, list) and isinstance(step, int) and step < len(value) else None
