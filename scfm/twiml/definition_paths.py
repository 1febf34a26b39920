"""The paths of a definition: every way in which a call can go, walked before a version of it is published.

A path is what the callee does at each question. Those that reach a question where another one has been already, as
often asked, and with the same answers where texts name answers, go on as that one does: they end there.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from scfm.schemas import pointer
from scfm.twiml.definition import DEFAULT_FINISH_ON_KEY, CalleeItem
from scfm.twiml.definition_examples import rehearse_example
from scfm.twiml.definition_flow import DefinitionFlow
from scfm.twiml.definition_state import CallState, Place
from scfm.twiml.definition_steps import CompiledStep, Question
from scfm.twiml.definition_text import TextTemplate
from scfm.twiml.flow import FlowSettings
from scfm.twiml.rehearsal import Rehearsal, RehearsedTurn
from scfm.twiml.twiml_rules import twiml_problems

# So many are walked on a publish, with so many documents: a flow of ten questions has a hundred.
MAX_PATHS, MAX_WALKED_TURNS = 1000, 3000
KEYS = "0123456789*#"
SECONDS = 5


class FlowPath(NamedTuple):
    """What the callee does, to whom in which language the flow speaks, and the call that it comes to."""

    language: str
    callee: tuple[CalleeItem, ...]
    call: Rehearsal


class PathWalk:
    """A walk along the paths of FLOW in each of its languages, the shortest first.

    ``left`` is how many beginnings of paths have not been gone on with, ``steps`` the steps that have been heard.
    """

    def __init__(self, flow: type[DefinitionFlow], settings: FlowSettings | None = None) -> None:
        self.steps: set[str] = set()
        self._flow = flow
        self._settings = settings
        self._named = _named_answers(flow)
        # Where a path goes on: the language, what the callee has done, the call so far, and what they do next.
        self._begun: deque[tuple[str, tuple[CalleeItem, ...], Rehearsal | None, CalleeItem]] = deque(
            (language, (), None, None) for language in flow.definition["languages"]
        )
        self._seen: set[str] = set()

    @property
    def left(self) -> int:
        """How many beginnings of paths are still to be walked."""
        return len(self._begun)

    def paths(self, limit: int = MAX_PATHS) -> Iterator[FlowPath]:
        """The paths, LIMIT at most. Each question is also one at which the callee hangs up."""
        turns = 0
        while self._begun and limit > 0 and turns < MAX_WALKED_TURNS:
            limit -= 1
            language, callee, before, item = self._begun.popleft()
            known = 0 if before is None else len(before.turns)
            if before is None or before.go_on is None:
                call = rehearse_example(self._flow, {"language": language, "callee": callee}, self._settings)
            else:
                callee, call = (*callee, item), before.go_on(item)
            turns += len(call.turns) - known
            self.steps.update(heard_step(self._flow, turn) for turn in call.turns[known:])
            yield FlowPath(language, callee, call)
            self._branch(language, callee, call)

    def _branch(self, language: str, callee: tuple[CalleeItem, ...], call: Rehearsal) -> None:
        """Begin a path for each answer to the question at which the callee has hung up, if it is a new one."""
        place = CallState.of(call.call_memory).place
        if call.go_on is not None and place is not None and self._is_new(language, place, call):
            choices = callee_choices(self._flow.steps[place.step or ""])
            self._begun.extend((language, callee, call, item) for item in choices)

    def _is_new(self, language: str, place: Place, call: Rehearsal) -> bool:
        named = {name: call.replies.answers.get(name) for name in self._named}
        state = json.dumps([language, place, named])
        new = state not in self._seen
        self._seen.add(state)
        return new


class CheckedPaths(NamedTuple):
    """How many paths were walked, what is wrong on them (``/steps/NAME: …``), and what was left out, if anything."""

    walked: int
    errors: list[str]
    left_out: str | None


def check_paths(
    flow: type[DefinitionFlow], settings: FlowSettings | None = None, limit: int = MAX_PATHS
) -> CheckedPaths:
    """Walk the paths of FLOW, LIMIT at most: each must end, and give what a provider takes."""
    walk, walked, errors, documents = PathWalk(flow, settings), 0, dict[str, None](), set[str]()
    for path in walk.paths(limit):
        walked += 1
        errors.update(dict.fromkeys(_path_errors(flow, path, documents)))
    unheard = [name for name in flow.steps if name not in walk.steps and not flow.steps[name].only_hangs_up]
    left_out = None
    if walk.left:
        steps = f"; not heard: {', '.join(unheard)}" if unheard else "; every step was heard"
        left_out = f"{walked} paths were walked, and {walk.left} more begin that were not{steps}"
    return CheckedPaths(walked, list(errors), left_out)


def heard_step(flow: type[DefinitionFlow], turn: RehearsedTurn) -> str:
    """The step whose document a turn has given; the empty text where the call was over already."""
    place = CallState.of(turn.call_memory).place
    return flow.definition["start"] if place is None else place.step or ""


def callee_choices(step: CompiledStep) -> list[CalleeItem]:
    """What a callee can do at a step that waits for an answer, one of each kind, but for hanging up."""
    if step.record is not None:
        return [{"record": SECONDS}, None]
    question = step.question
    if question is None:
        return []
    if question.next is None:
        return [*question.targets, *_wrong_keys(question), None]
    fewest, most = (_number(question, length) for length in (question.min_digits, question.num_digits))
    short = [_number(question, question.min_digits - 1)] if question.min_digits > 1 else []
    return [fewest, *([most] if most != fewest else []), *short, None]


def _wrong_keys(menu: Question) -> list[str]:
    """Keys that a menu does not have, if there are any: one press of them."""
    finish = DEFAULT_FINISH_ON_KEY if menu.finish_on_key is None else menu.finish_on_key
    wrong = (key for key in KEYS if key != finish and not any(keys.startswith(key) for keys in menu.targets))
    return [key for key in [next(wrong, None)] if key is not None]


def _number(ask: Question, length: int) -> str:
    finish = DEFAULT_FINISH_ON_KEY if ask.finish_on_key is None else ask.finish_on_key
    return ("2" if finish == "1" else "1") * length


def _named_answers(flow: type[DefinitionFlow]) -> list[str]:
    """The answers that texts name: what is heard depends on them."""
    texts = [
        text
        for step in flow.definition["steps"].values()
        for said in (step.get("say", {}), step.get("or_say", {}))
        for text in said.values()
    ]
    named = (name for text in texts for name in TextTemplate(text).placeholders)
    return sorted({name.removeprefix("answers.") for name in named if name.startswith("answers.")})


def _path_errors(flow: type[DefinitionFlow], path: FlowPath, documents: set[str]) -> Iterator[str]:
    """What is wrong on a path; DOCUMENTS are those that have been looked at, and grow."""
    for turn in path.call.turns:
        if turn.twiml not in documents:
            documents.add(turn.twiml)
            yield from (f"{_pointer(flow, turn)}: {problem}" for problem in twiml_problems(turn.twiml))
    if path.call.problem is not None:
        callee = json.dumps(path.callee, ensure_ascii=False)
        last = _pointer(flow, path.call.turns[-1])
        yield f"{last}: with the callee {callee} in {path.language}, {path.call.problem}"


def _pointer(flow: type[DefinitionFlow], turn: RehearsedTurn) -> str:
    """The JSON pointer to the step that a turn has given the document of."""
    return pointer(("steps", heard_step(flow, turn)))
