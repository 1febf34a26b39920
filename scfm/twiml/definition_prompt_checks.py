"""Checks of what a definition says and plays: languages, audio files, the names in texts, lengths."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from scfm.schemas import InstancePath
from scfm.twiml.definition import FlowStep, Play, Say, audio_name, play_list
from scfm.twiml.definition_problems import DefinitionProblem, cited
from scfm.twiml.definition_prompt import PromptKey
from scfm.twiml.definition_text import TextTemplate, may_be_named
from scfm.twiml.twiml_rules import MAX_SAY_BYTES

PLACEHOLDER_SYNTAX = (
    "{contact.msisdn}, {contact.metadata.NAME}, {callout.metadata.NAME} or {answers.NAME}, and {{ for a brace"
)

_WHOLE_BRACES = re.compile(r"\{\{|\{[^{}]*\}")

PROMPT_KEYS: Sequence[PromptKey] = ("say", "play", "or_say")


def prompts(step: FlowStep) -> dict[PromptKey, Say | Play]:
    """What STEP says and plays by language, under the keys that it has of PROMPT_KEYS."""
    return {key: step[key] for key in PROMPT_KEYS if key in step}


def prompt_problems(
    name: str, step: FlowStep, languages: Collection[str], answers: Collection[str] | None
) -> Iterator[DefinitionProblem]:
    """What is wrong with what the step NAME says, in a flow that has LANGUAGES and ANSWERS.

    Without LANGUAGES, and for None, these are not known, and not looked at.
    """
    if "say" in step and "play" in step:
        yield ("steps", name, "say"), "must not stand beside play: make it or_say"
    if "or_say" in step and "play" not in step:
        yield ("steps", name, "or_say"), "must stand beside play: make it say"
    for key, prompt in prompts(step).items():
        for language, words in prompt.items():
            place = ("steps", name, key, language)
            if languages and language not in languages:
                yield place, f"is in a language that nobody hears: add {cited(language)} to languages"
            if key != "play" and isinstance(words, str):
                yield from ((place, sentence) for sentence in _text_problems(words, answers))


def missing_audio(
    steps: Mapping[str, FlowStep], audio: Collection[str], *, replaced: bool
) -> Iterator[DefinitionProblem]:
    """The audio files that STEPS name and that are not among AUDIO: those that ``or_say`` REPLACED, or the others."""
    for name, step in steps.items():
        for language, played in step.get("play", {}).items():
            if (language in step.get("or_say", {})) != replaced:
                continue
            for number, one in enumerate(play_list(played)):
                file = audio_name(one)
                if file is not None and file not in audio:
                    place: InstancePath = ("steps", name, "play", language)
                    place += () if isinstance(played, str) else (number,)
                    what = f"there is no audio file {cited(file)}"
                    yield place, f"{what}: or_say is said" if replaced else f"{what}: add it, or an or_say"


def language_problems(languages: Sequence[str], steps: Mapping[str, FlowStep]) -> Iterator[DefinitionProblem]:
    """The languages in which nothing is said or played, and those that are there twice."""
    heard = {language for step in steps.values() for prompt in prompts(step).values() for language in prompt}
    for number, language in enumerate(languages):
        if language in languages[:number]:
            yield ("languages", number), f"is there already: {cited(language)} is one language"
        elif language not in heard:
            yield (
                ("languages", number),
                f"no step says or plays anything in {cited(language)}: add it, or take the language away",
            )


def lacking_prompts(languages: Sequence[str], steps: Mapping[str, FlowStep]) -> Iterator[DefinitionProblem]:
    """The prompts that lack one of LANGUAGES, and the questions without any prompt."""
    for name, step in steps.items():
        own = prompts(step)
        heard = {language for prompt in own.values() for language in prompt}
        instead = next((language for language in languages if language in heard), None)
        for language in languages if own else ():
            if language not in heard:
                sentence = f"is missing: who speaks {cited(language)} hears {cited(str(instead))}"
                yield ("steps", name, next(iter(own)), language), sentence
        for verb in ("menu", "ask"):
            if verb in step and not own:
                yield ("steps", name, verb), "asks without a word: add say or play"


def _text_problems(text: str, answers: Collection[str] | None) -> Iterator[str]:
    if "{" in _WHOLE_BRACES.sub("", text):
        yield "has a { without a }: write {{ for a brace"
    for placeholder in dict.fromkeys(TextTemplate(text).placeholders):
        if not may_be_named(placeholder):
            yield f"{cited(f'{{{placeholder}}}')} stands for nothing: use {PLACEHOLDER_SYNTAX}"
        elif answers is not None and _names_another(placeholder, answers):
            yield f"{cited(f'{{{placeholder}}}')} stands for nothing: no step gives that answer, by as or by set"
    if (size := len(text.encode())) > MAX_SAY_BYTES:
        yield f"has {size} bytes, and a provider says at most {MAX_SAY_BYTES} at once: divide it over two steps"


def _names_another(placeholder: str, answers: Collection[str]) -> bool:
    """Whether the placeholder is an answer that is none of ANSWERS."""
    return placeholder.startswith("answers.") and placeholder.removeprefix("answers.") not in answers
