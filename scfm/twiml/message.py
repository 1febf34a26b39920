"""The flow for those who write none: it says or plays the callout's message, and takes key 1 to acknowledge."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from twilio.twiml.voice_response import Gather, VoiceResponse  # type: ignore[import-untyped]

from scfm.twiml.flow import Flow

SPOKEN_TEXT, AUDIO, LANGUAGE = "message", "audio", "language"
ACKNOWLEDGE = "1"
TIMES = 2
# Of what is not found, the characters that an error shows.
MAX_SHOWN_AUDIO = 80
_LOCALE = re.compile(r"[a-z]{2,3}-[A-Za-z0-9-]{2,12}\Z", re.ASCII)
NOTHING_TO_SAY = "its metadata has neither a message nor an audio for CallFlowLogic::Message"


class Message(Flow):
    """Says or plays, twice, what ``metadata.message`` or ``metadata.audio`` of the callout names.

    Each is a text, or a map of texts by language: that of ``metadata.language`` of the contact, else the first. An
    audio counts before a message, and is a URL. The language of a text is told to the provider if it names a region,
    too (``km-KH``), as the voices of providers do.
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
            _put(gather, callout.metadata, language)
        response.hangup()
        return response


def message_problem(metadata: Mapping[str, Any]) -> str | None:
    """Why a callout with this METADATA has nothing for CallFlowLogic::Message to say; None if it has."""
    audio = _texts(metadata.get(AUDIO))
    if missing := [name for name in audio.values() if not _is_url(name)]:
        return f"there is no audio {missing[0][:MAX_SHOWN_AUDIO]!r}: metadata.audio must be a URL"
    return None if audio or _texts(metadata.get(SPOKEN_TEXT)) else NOTHING_TO_SAY


def _put(gather: Gather, metadata: Mapping[str, Any], language: Any) -> None:
    """What is said or played to who speaks LANGUAGE. Raises LookupError where there is nothing."""
    audio = {name: url for name, url in _texts(metadata.get(AUDIO)).items() if _is_url(url)}
    if audio:
        gather.play(_in_language(audio, language)[1])
        return
    texts = _texts(metadata.get(SPOKEN_TEXT))
    if not texts:
        raise LookupError(message_problem(metadata))
    spoken, text = _in_language(texts, language)
    gather.say(text, language=spoken if spoken is not None and _LOCALE.match(spoken) else None)


def _texts(given: Any) -> dict[str | None, str]:
    """The texts by language; None is the language of a text alone. What is no text, or blank, is left out."""
    by_language = given if isinstance(given, Mapping) else {None: given}
    return {name: text for name, text in by_language.items() if isinstance(text, str) and text.strip()}


def _in_language(texts: Mapping[str | None, str], language: Any) -> tuple[str | None, str]:
    """The language and text for who speaks LANGUAGE, the first where there is none in it."""
    return next(((name, text) for name, text in texts.items() if name == language), next(iter(texts.items())))


def _is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))
