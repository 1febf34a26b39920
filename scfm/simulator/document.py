"""TwiML documents: what to ask for, and how to read the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from tornado.httpclient import HTTPResponse

from scfm.errors import ScfmError

_XML = frozenset({"text/xml", "application/xml", "text/html", ""})


@dataclass(frozen=True, slots=True)
class Ask:
    """The next document to fetch, or, with ``twiml``, to read at once."""

    url: str
    method: str = "POST"
    parameters: Mapping[str, str] = field(default_factory=dict)
    twiml: str = ""


class ApplicationError(ScfmError):
    """The application's fault, by Twilio's number (https://www.twilio.com/docs/api/errors)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class Document:
    """The verbs of a document, and the URL that its own relative URLs start from."""

    url: str
    verbs: tuple[Element, ...]

    def __iter__(self) -> Iterator[Element]:
        return iter(self.verbs)


def read_answer(url: str, answer: HTTPResponse) -> Document:
    """The document in an application's answer. Raises ApplicationError."""
    if not 200 <= answer.code < 300:
        raise ApplicationError(11200, f"{url} answered {answer.code}")
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind.startswith("audio/"):
        return Document(url, (_verb("Play", url),))
    if kind == "text/plain":
        return Document(url, (_verb("Say", answer.body.decode("utf-8", "replace")),))
    if kind not in _XML:
        raise ApplicationError(12300, f"{url} answered with the content type {kind}")
    return read_twiml(url, answer.body)


def read_twiml(url: str, text: str | bytes) -> Document:
    """The document in a text. Raises ApplicationError."""
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ApplicationError(12100, f"{url or 'Twiml'} is not valid XML: {error}") from error
    if root.tag != "Response":
        raise ApplicationError(12100, f"{url or 'Twiml'} has the root {root.tag}, not Response")
    return Document(url, tuple(root))


def elsewhere(url: str) -> Document:
    """What stands for a document that is not on this machine."""
    return Document(url, (_verb("Say", f"{url} is not on this machine, and the simulator never leaves it."),))


def _verb(tag: str, text: str) -> Element:
    verb = Element(tag)
    verb.text = text
    return verb
