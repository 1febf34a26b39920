"""What is wrong with a definition, all of it at once: what its schema tells, and what no schema can."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import orjson

from scfm.schemas import Formats, InstancePath, pointer, violations
from scfm.twiml.definition import MAX_DEFINITION_BYTES, FlowStep
from scfm.twiml.definition_graph import Arrow, all_arrows, reachable, silent_loops
from scfm.twiml.definition_problems import DefinitionProblem, cited, told
from scfm.twiml.definition_prompt_checks import lacking_prompts, language_problems, missing_audio, prompt_problems
from scfm.twiml.definition_step_checks import answer_names, answer_problems, step_problems

# Of a loop, the steps that are named.
MAX_SHOWN_STEPS = 6
# Of targets that are missing: to how many one looks for the step that is meant, and how much of it is alike.
MAX_MISSPELLED, MIN_LIKENESS = 100, 0.6
_NO_FORMATS = Formats({})


@dataclass(frozen=True)
class Known:
    """What an account has that a definition may name; None is not known, and then not looked at.

    ``audio``: the names of its audio files. ``dial_allow_list``: the numbers that a flow may dial.
    """

    audio: Collection[str] | None = None
    dial_allow_list: Collection[str] | None = None


NOTHING_KNOWN = Known()


@dataclass(frozen=True)
class Findings:
    """What is wrong, and what may be better: each ``/json/pointer: sentence that says what to do``."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_definition(given: Any, known: Known = NOTHING_KNOWN) -> Findings:
    """What is to be said of the definition GIVEN, a JSON value, in an account that has what is KNOWN.

    Without errors it is a ``Definition``. Findings are in the order of the definition.
    """
    if unreadable := _unreadable(given):
        return Findings(errors=[unreadable])
    found = violations("call_flow", given, _NO_FORMATS)
    if not isinstance(given, dict) or not isinstance(given.get("steps"), dict):
        return Findings(errors=told(given, found.items()))
    checked = _Checked.of(given, set(found))
    if errors := told(given, [*found.items(), *checked.errors(known)]):
        return Findings(errors=errors)
    return Findings(warnings=told(given, checked.warnings(known)))


@dataclass(frozen=True)
class _Checked:
    """What of a definition is right as far as its schema tells, and so can be looked at.

    ``names`` are those of all its steps. ``languages`` are empty, and ``start`` is None, where they are wrong.
    """

    languages: list[str]
    start: str | None
    steps: dict[str, FlowStep]
    names: Collection[str]

    @classmethod
    def of(cls, given: dict[str, Any], wrong: set[InstancePath]) -> _Checked:
        """Of the definition GIVEN, of which the places WRONG do not fit the schema."""
        wrong_steps = {path[1] for path in wrong if path[0] == "steps" and len(path) > 1}
        wrong_keys = {path[0] for path in wrong}
        return cls(
            languages=[] if "languages" in wrong_keys else given["languages"],
            start=None if "start" in wrong_keys else given["start"],
            steps={name: step for name, step in given["steps"].items() if name not in wrong_steps},
            names=given["steps"].keys(),
        )

    @property
    def whole(self) -> bool:
        """Whether every step is known."""
        return len(self.steps) == len(self.names)

    def errors(self, known: Known) -> Iterator[DefinitionProblem]:
        given = {answer for step in self.steps.values() for _, answer in answer_names(step)}
        answers = given if self.whole else None
        for name, step in self.steps.items():
            yield from prompt_problems(name, step, self.languages, answers)
            yield from step_problems(name, step, known.dial_allow_list)
        yield from answer_problems(self.steps)
        if known.audio is not None:
            yield from missing_audio(self.steps, known.audio, replaced=False)
        if self.whole:
            yield from language_problems(self.languages, self.steps)
        yield from self._graph_problems()

    def warnings(self, known: Known) -> Iterator[DefinitionProblem]:
        """Of a definition without errors."""
        if known.audio is not None:
            yield from missing_audio(self.steps, known.audio, replaced=True)
        yield from lacking_prompts(self.languages, self.steps)

    def _graph_problems(self) -> Iterator[DefinitionProblem]:
        ways = all_arrows(self.steps)
        named = [(way.path, way.target) for those in ways.values() for way in those]
        if self.start is not None:
            named.append((("start",), self.start))
        missing = [(path, target) for path, target in named if target not in self.names]
        yield from ((path, f"there is no step {cited(target)}") for path, target in missing)
        yield from map(_loop_problem, silent_loops(ways))
        misspelled = {target for _, target in missing}
        if self.whole and self.start is not None and self.start in self.names and len(misspelled) <= MAX_MISSPELLED:
            # A step whose name somebody has misspelled is reached when that is mended.
            meant = {name for target in misspelled for name in self.names if _alike(target, name)}
            reached = reachable({self.start, *meant}, ways)
            for name in self.names:
                if name not in reached:
                    yield ("steps", name), "is never reached: let a step lead to it, or take it away"


def _unreadable(given: Any) -> str | None:
    """Why the value is not looked at any further; None if it may be."""
    try:
        size = len(orjson.dumps(given))
    except orjson.JSONEncodeError as error:
        return f": must be JSON: {error}"
    if size <= MAX_DEFINITION_BYTES:
        return None
    sentence = f"{size} bytes of JSON, and it may have {MAX_DEFINITION_BYTES}: divide the flow in two"
    if not isinstance(given, dict):
        return f": is {sentence}"
    largest = max(given, key=lambda name: len(orjson.dumps(given[name])))
    return f"{pointer((largest,))}: makes the definition {sentence}"


def _alike(target: str, name: str) -> bool:
    """Whether the two have most letters in common; to look at their order takes a hundred times as long."""
    matcher = SequenceMatcher(None, target, name, autojunk=False)
    return matcher.real_quick_ratio() >= MIN_LIKENESS and matcher.quick_ratio() >= MIN_LIKENESS


def _loop_problem(loop: list[Arrow]) -> DefinitionProblem:
    names = [way.source for way in loop]
    shown_names = names if len(names) <= MAX_SHOWN_STEPS else [*names[: MAX_SHOWN_STEPS - 1], "…"]
    round_trip = " → ".join([*shown_names, names[0]])
    return loop[-1].path, f"goes round for ever if nothing is pressed ({round_trip}): let it lead to a step that ends"
