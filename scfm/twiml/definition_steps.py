"""The steps of a definition, compiled: what a step puts into its document, and where an answer leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scfm.twiml.definition import (
    DEFAULT_MAX_DIGITS,
    DEFAULT_MIN_DIGITS,
    DEFAULT_REPEAT,
    Ask,
    Definition,
    FlowStep,
    Menu,
    Recording,
)
from scfm.twiml.definition_prompt import Prompt


@dataclass(frozen=True, slots=True)
class Question:
    """A menu or an ask: the attributes of its Gather, and where keys lead.

    ``targets`` are the steps by the keys of a menu; an ask takes ``min_digits`` to ``num_digits`` keys, which lead to
    ``next``. The keys become the answer ``name``. Without ``otherwise`` the call ends for who has not answered after
    ``repeat`` times.
    """

    targets: Mapping[str, str]
    num_digits: int
    name: str | None
    min_digits: int = 1
    next: str | None = None
    finish_on_key: str | None = None
    timeout: int | None = None
    repeat: int = DEFAULT_REPEAT
    otherwise: str | None = None

    def target(self, digits: str) -> str | None:
        """The step that the keys lead to; None for keys that are no answer."""
        if self.next is None:
            return self.targets.get(digits)
        return self.next if self.min_digits <= len(digits) <= self.num_digits else None


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """A step: one with neither a question, a recording nor a number to dial goes on to ``next``, or hangs up."""

    prompt: Prompt
    set: Mapping[str, Any]
    acknowledge: bool
    opt_out: bool
    question: Question | None = None
    record: Recording | None = None
    dial: str | None = None
    next: str | None = None
    hangs_up: bool = False
    only_hangs_up: bool = False


def compile_steps(definition: Definition, audio: Mapping[str, str]) -> dict[str, CompiledStep]:
    """The steps of a definition that has been checked; AUDIO has the path of each audio file, by its name."""
    return {name: _compiled(step, definition["languages"], audio) for name, step in definition["steps"].items()}


def _compiled(step: FlowStep, languages: Sequence[str], audio: Mapping[str, str]) -> CompiledStep:
    return CompiledStep(
        prompt=Prompt(step, languages, audio),
        set=step.get("set", {}),
        acknowledge=step.get("acknowledge", False),
        opt_out=step.get("opt_out", False),
        question=_question(step),
        record=step.get("record"),
        dial=step.get("dial"),
        next=step.get("next"),
        hangs_up="hang_up" in step,
        only_hangs_up=step.keys() == {"hang_up"},
    )


def _question(step: FlowStep) -> Question | None:
    if "menu" in step:
        return _menu(step["menu"])
    return _ask(step["ask"]) if "ask" in step else None


def _menu(menu: Menu) -> Question:
    keys = menu["digits"]
    return Question(
        targets=keys,
        num_digits=max(map(len, keys)),
        name=menu.get("as"),
        # A provider takes # as the end of an answer unless it is told otherwise.
        finish_on_key="" if any("#" in one for one in keys) else None,
        timeout=menu.get("timeout"),
        repeat=menu.get("repeat", DEFAULT_REPEAT),
        otherwise=menu.get("otherwise"),
    )


def _ask(ask: Ask) -> Question:
    return Question(
        targets={},
        num_digits=ask.get("max_digits", DEFAULT_MAX_DIGITS),
        name=ask["as"],
        min_digits=ask.get("min_digits", DEFAULT_MIN_DIGITS),
        next=ask["next"],
        finish_on_key=ask.get("finish_on_key"),
        timeout=ask.get("timeout"),
        repeat=ask.get("repeat", DEFAULT_REPEAT),
        otherwise=ask.get("otherwise"),
    )
