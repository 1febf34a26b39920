"""What a step of a definition says or plays, by language."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from twilio.twiml.voice_response import Gather, VoiceResponse  # type: ignore[import-untyped]

from scfm.twiml.definition import FlowStep, audio_name, play_list
from scfm.twiml.definition_text import TextTemplate, said_parts, voice_language
from scfm.twiml.flow import Turn

PromptKey = Literal["say", "play", "or_say"]


class Prompt:
    """What STEP says or plays, read once.

    A language in which it has neither an audio nor a text gets that of the first of LANGUAGES that has one. AUDIO has
    the path of each audio file, by its name; one that is not there is as none.
    """

    __slots__ = ("_parts",)

    def __init__(self, step: FlowStep, languages: Sequence[str], audio: Mapping[str, str]) -> None:
        own = {language: _parts(step, language, audio) for language in languages}
        fallback = next((parts for parts in own.values() if parts), [])
        self._parts = {language: parts or fallback for language, parts in own.items()}

    def put(self, verb: VoiceResponse | Gather, language: str, turn: Turn, answers: Mapping[str, Any]) -> None:
        """Put into VERB what is heard by the person of TURN, who speaks LANGUAGE and has given ANSWERS."""
        for part in self._parts[language]:
            if isinstance(part, str):
                verb.play(turn.public_url(part))
            else:
                text, spoken = part
                # A provider takes a Say without words, or with too many, for an error.
                for words in said_parts(text.filled(turn, answers)):
                    verb.say(words, language=spoken)


def chosen_language(spoken: Any, languages: Sequence[str]) -> str:
    """That of LANGUAGES which is SPOKEN, else one that differs in the region only (fr-FR for fr), else the first."""
    if not isinstance(spoken, str):
        return languages[0]
    if spoken in languages:
        return spoken
    own = _without_region(spoken)
    return next((language for language in languages if _without_region(language) == own), languages[0])


def _without_region(language: str) -> str:
    return language.strip().partition("-")[0].lower()


def heard_key(step: FlowStep, language: str, audio: Collection[str] | None) -> PromptKey | None:
    """By which key STEP has something of its own in LANGUAGE, in an account with these AUDIO files; None is all.

    None where it has nothing.
    """
    played = play_list(step.get("play", {}).get(language, ()))
    names = [name for one in played if (name := audio_name(one)) is not None]
    if played and (audio is None or all(name in audio for name in names)):
        return "play"
    if language in step.get("or_say", {}):
        return "or_say"
    return "say" if language in step.get("say", {}) else None


def played_url(played: str, audio: Mapping[str, str]) -> str | None:
    """The URL that is played, or the path of the audio file; None for a file that is not among AUDIO."""
    name = audio_name(played)
    return played if name is None else audio.get(name)


def _parts(step: FlowStep, language: str, audio: Mapping[str, str]) -> list[str | tuple[TextTemplate, str | None]]:
    """The URLs that are played to who speaks LANGUAGE, else the text that is said, with the language of its voice."""
    key = heard_key(step, language, audio)
    if key == "play":
        return [url for one in play_list(step["play"][language]) if (url := played_url(one, audio)) is not None]
    return [] if key is None else [(TextTemplate(step[key][language]), voice_language(language))]
