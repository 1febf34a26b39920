"""A TwiML document as text: well-formed whatever data went into it."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'

# What the Char production of XML 1.0 leaves out (https://www.w3.org/TR/xml/#charsets).
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ANY_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>\s*")


def clean(text: str) -> str:
    """TEXT without the characters that XML 1.0 forbids."""
    return _FORBIDDEN.sub("", text)


def document(answer: object) -> str:
    """The TwiML document of what a flow returned: a VoiceResponse, or a string that is one already.

    Raises TypeError for anything else, and ValueError for a string that is no ``<Response>`` document.
    """
    if isinstance(answer, VoiceResponse):
        return DECLARATION + _serialised(answer.xml())
    if isinstance(answer, str):
        return DECLARATION + _checked(_ANY_DECLARATION.sub("", clean(answer), count=1))
    raise TypeError(f"run() must return a VoiceResponse or a string, not {type(answer).__name__}")


def _serialised(root: Element) -> str:
    # Cleaned before it is serialised: afterwards a forbidden character may hide as a character reference.
    for element in root.iter():
        element.text = element.text and clean(element.text)
        element.tail = element.tail and clean(element.tail)
        for name, value in element.attrib.items():
            element.set(name, clean(value))
    return ElementTree.tostring(root, encoding="unicode")


def _checked(text: str) -> str:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"run() returned a string that is not XML: {error}") from None
    if root.tag != "Response":
        raise ValueError(f"run() returned a <{root.tag}> document, not a <Response>")
    return text
