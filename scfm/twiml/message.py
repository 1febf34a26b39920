"""The flow for those who write none: it says or plays the callout's message, and takes key 1 to acknowledge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twilio.twiml.voice_response import Gather, VoiceResponse  # type: ignore[import-untyped]

from scfm.twiml.definition import AUDIO_PREFIX
from scfm.twiml.definition_text import said_parts, voice_language
from scfm.twiml.flow import Flow, Turn

SPOKEN_TEXT, AUDIO, LANGUAGE = "message", "audio", "language"
ACKNOWLEDGE = "1"
TIMES = 2
# Characters that are said, the rest is left out: twice as many, of whatever kind, are less than a document may have.
MAX_SPOKEN_MESSAGE = 6000
# Of what is not found, the characters that an error shows.
MAX_SHOWN_AUDIO = 80
NOTHING_TO_SAY = "its metadata has neither a message nor an audio for CallFlowLogic::Message"


class Message(Flow):
    """Says or plays, twice, what ``metadata.message`` or ``metadata.audio`` of the callout names.

    Each is a text, or a map of texts by language: that of ``metadata.language`` of the contact, else the first. An
    audio counts before a message, and is the name of an audio file, or a URL. The language of a text is told to the
    provider if it names a region, too (``km-KH``), as the voices of providers do.
    """

    name = "CallFlowLogic::Message"

    def run(self) -> VoiceResponse:
        callout = self.turn.call.callout
        if callout is None:
            raise LookupError("CallFlowLogic::Message needs a callout, whose metadata has what it says")
        response = VoiceResponse()
        if self.turn.digits == ACKNOWLEDGE:
            self.turn.acknowledge()
            response.hangup()
            return response
        language = self.turn.contact.metadata.get(LANGUAGE)
        for _ in range(TIMES):
            gather = response.gather(num_digits=1, timeout=self.turn.settings.gather_timeout)
            _put(gather, callout.metadata, language, self.turn)
        response.hangup()
        return response


def message_problem(metadata: Mapping[str, Any], known: Mapping[str, str]) -> str | None:
    """Why a callout with this METADATA has nothing for CallFlowLogic::Message to say; None if it has.

    KNOWN has the paths of the account's audio files, by name.
    """
    audio = _texts(metadata.get(AUDIO))
    if missing := [name for name in audio.values() if _path(name, known) is None]:
        return f"there is no audio file {missing[0][:MAX_SHOWN_AUDIO]!r}: send it to /api/audio_files, or name one"
    return None if audio or _texts(metadata.get(SPOKEN_TEXT)) else NOTHING_TO_SAY


def message_audio(metadata: Mapping[str, Any]) -> set[str]:
    """The names of the audio files that CallFlowLogic::Message plays where a callout has this METADATA."""
    return {_audio_name(name) for name in _texts(metadata.get(AUDIO)).values() if not _is_url(name)}


def _put(gather: Gather, metadata: Mapping[str, Any], language: Any, turn: Turn) -> None:
    """What is said or played to who speaks LANGUAGE. Raises LookupError where there is nothing."""
    known = turn.settings.audio
    paths = {spoken: _path(name, known) for spoken, name in _texts(metadata.get(AUDIO)).items()}
    audio = {spoken: path for spoken, path in paths.items() if path is not None}
    if audio:
        gather.play(turn.public_url(_in_language(audio, language)[1]))
        return
    texts = _texts(metadata.get(SPOKEN_TEXT))
    if not texts:
        raise LookupError(message_problem(metadata, known))
    spoken, text = _in_language(texts, language)
    # A provider takes a Say with too many words for an error, and a document, too.
    for words in said_parts(text[:MAX_SPOKEN_MESSAGE]):
        gather.say(words, language=voice_language(spoken))


def _texts(given: Any) -> dict[str | None, str]:
    """The texts by language; None is the language of a text alone. What is no text, or blank, is left out."""
    by_language = given if isinstance(given, Mapping) else {None: given}
    return {name: text for name, text in by_language.items() if isinstance(text, str) and text.strip()}


def _in_language(texts: Mapping[str | None, str], language: Any) -> tuple[str | None, str]:
    """The language and text for who speaks LANGUAGE, the first where there is none in it."""
    return next(((name, text) for name, text in texts.items() if name == language), next(iter(texts.items())))


def _path(name: str, known: Mapping[str, str]) -> str | None:
    """The URL that is named, or the path of the audio file."""
    return name if _is_url(name) else known.get(_audio_name(name))


def _is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def _audio_name(written: str) -> str:
    """A name may be written as flows write it (``audio:``)."""
    return written.strip().removeprefix(AUDIO_PREFIX)
