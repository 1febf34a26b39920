"""How a carrier reads an application's answer: as the verbs to walk, or as the application's error."""

from __future__ import annotations

from scfm.errors import ScfmError
from scfm.simulator.webhook_client import Reply
from scfm.twiml.interpreter import TwimlError, Verb, Walk, parse, walk

_XML = frozenset({"text/xml", "application/xml", "text/html", ""})


class ApplicationError(ScfmError):
    """The application's fault, by Twilio's number (https://www.twilio.com/docs/api/errors)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def read_reply(url: str, answer: Reply) -> Walk:
    """The walk through an application's answer. Raises ApplicationError."""
    if not 200 <= answer.status < 300:
        raise ApplicationError(11200, f"{url} answered {answer.status}")
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind.startswith("audio/"):
        return walk([Verb("Play", text=url)], url)
    if kind == "text/plain":
        return walk([Verb("Say", text=answer.body.decode("utf-8", "replace"))], url)
    if kind not in _XML:
        raise ApplicationError(12300, f"{url} answered with the content type {kind}")
    return read_twiml(url, answer.body)


def read_twiml(url: str, text: str | bytes) -> Walk:
    """The walk through a document. Raises ApplicationError."""
    try:
        return walk(parse(text), url)
    except TwimlError as error:
        raise ApplicationError(12100, f"{url}: {error}") from error


def placeholder(url: str) -> Walk:
    """What stands for a document that is not on this machine."""
    return walk([Verb("Say", text=f"{url} is not on this machine, and the simulator never leaves it.")], url)
