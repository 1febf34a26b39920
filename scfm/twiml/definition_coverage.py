"""In which languages a definition has its prompts, and what is heard by those whose language one lacks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypedDict

from scfm.twiml.definition import Definition, FlowStep
from scfm.twiml.definition_prompt import PromptKey, heard_key


class HeardPrompt(TypedDict):
    """What is heard: by which key of the step, and in which language."""

    by: PromptKey
    language: str


class StepCoverage(TypedDict):
    """What who speaks each of the languages hears in a step; None is nothing."""

    step: str
    heard: dict[str, HeardPrompt | None]


class Coverage(TypedDict):
    """The steps that say or play something, their number, and how many of them each language has itself."""

    prompts: int
    languages: dict[str, int]
    steps: list[StepCoverage]


def coverage(definition: Definition, audio: Collection[str] | None = None) -> Coverage:
    """The table of a definition that has been checked, in an account with these AUDIO files; None is all of them."""
    languages = definition["languages"]
    steps: list[StepCoverage] = [
        {"step": name, "heard": _heard(step, languages, audio)}
        for name, step in definition["steps"].items()
        if "say" in step or "play" in step
    ]
    return {
        "prompts": len(steps),
        "languages": {language: sum(_has_own(step, language) for step in steps) for language in languages},
        "steps": steps,
    }


def coverage_table(table: Coverage) -> str:
    """A table as text: a row a step, a column a language, and the sums below."""
    head = ["step", *table["languages"]]
    rows = [[step["step"], *(_cell(step, language) for language in table["languages"])] for step in table["steps"]]
    sums = ["", *(f"{own} of {table['prompts']}" for own in table["languages"].values())]
    lines = [head, *rows, sums]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "".join("  ".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in lines)


def _heard(step: FlowStep, languages: Sequence[str], audio: Collection[str] | None) -> dict[str, HeardPrompt | None]:
    own = {language: _own(step, language, audio) for language in languages}
    instead = next((heard for heard in own.values() if heard is not None), None)
    return {language: heard or instead for language, heard in own.items()}


def _own(step: FlowStep, language: str, audio: Collection[str] | None) -> HeardPrompt | None:
    """What the step has in a language itself."""
    key = heard_key(step, language, audio)
    return None if key is None else {"by": key, "language": language}


def _has_own(step: StepCoverage, language: str) -> bool:
    heard = step["heard"][language]
    return heard is not None and heard["language"] == language


def _cell(step: StepCoverage, language: str) -> str:
    heard = step["heard"][language]
    if heard is None:
        return "nothing"
    by = heard["by"].removeprefix("or_")
    return by if heard["language"] == language else f"({by} in {heard['language']})"
