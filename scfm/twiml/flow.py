"""The base class of every call flow, what one webhook shows it, and how its answer is rendered."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from urllib.parse import urljoin

from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]

from scfm.settings import Settings
from scfm.twiml.document import document
from scfm.twiml.replies import Replies, checked_answer, plain_json

log = logging.getLogger("scfm.flow")

# Memories are part of the contact and the call, which are read at every turn, and shown in lists.
MEMORY = "a flow's memory"
MAX_MEMORY = 1 << 18
DEEPEST_MEMORY = 32
# Where providers report, and ask what to say.
WEBHOOK_PATH = "/api/remote_phone_call_events"
APOLOGY = "Sorry. Something went wrong at our end. Please call again later. Goodbye."


@dataclass(frozen=True)
class CalloutView:
    """The callout that the call is part of."""

    id: int
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ContactView:
    """The person on the phone. What should last belongs in ``contact_memory``, not in ``metadata``.

    A caller without a number is nobody that we know: ``id`` and ``msisdn`` are None, ``metadata`` is empty.
    """

    id: int | None
    msisdn: str | None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CallView:
    """The phone call. ``direction`` is the provider's word: inbound, outbound-api…

    ``msisdn`` is None where somebody calls in without a number.
    """

    id: int
    msisdn: str | None
    direction: str
    remote_call_id: str | None = None
    status: str = "in_progress"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    callout: CalloutView | None = None


@dataclass(frozen=True)
class FlowSettings:
    """The settings that flows share: where recordings are, and how long to wait for a key, in seconds.

    ``dial_allow_list`` is that of the call's account: the phone numbers that a flow may connect the person with.
    ``audio`` has, for ``CallFlowLogic::Message`` alone, the paths of the account's audio files here, by name.
    """

    play_file_base_url: str = Settings.call_flow_play_file_base_url
    play_file_extension: str = Settings.call_flow_play_file_extension
    gather_timeout: int | None = Settings.call_flow_gather_timeout
    dial_allow_list: Collection[str] = ()
    audio: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> FlowSettings:
        """Those of SETTINGS."""
        return cls(
            play_file_base_url=settings.call_flow_play_file_base_url,
            play_file_extension=settings.call_flow_play_file_extension,
            gather_timeout=settings.call_flow_gather_timeout,
        )

    def may_dial(self, number: str) -> bool:
        """Whether a flow may connect the person with NUMBER, however it is written in ``dial_allow_list``."""
        return _digits(number) in map(_digits, self.dial_allow_list)


@dataclass
class Turn:
    """One request of the provider, as a flow sees it.

    ``url`` is the request's own public URL, ``details`` what the provider sent. The two memories are the flow's own,
    JSON values under string keys, and are saved after the turn: ``contact_memory`` lasts over all calls of the
    contact, ``call_memory`` for this call. A caller without a number has the call's memory alone: both begin as it,
    and what is changed in either is saved in it. ``answers`` are what the person has answered in the callout so far.
    A turn holds copies of what it is given. ``replies`` are what the flow notes in this turn, ``warnings`` what it
    cannot do: they are logged.
    """

    event_id: int
    url: str
    details: Mapping[str, str]
    call: CallView
    contact: ContactView
    settings: FlowSettings = field(default_factory=FlowSettings)
    contact_memory: dict[str, Any] = field(default_factory=dict)
    call_memory: dict[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    replies: Replies = field(default_factory=Replies, init=False)
    warnings: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        # Copies: a flow that changes a list in its memory must not change what the caller compares it with.
        callout = self.call.callout
        callout = callout and replace(callout, metadata=copied(callout.metadata))
        self.call = replace(self.call, metadata=copied(self.call.metadata), callout=callout)
        self.contact = replace(self.contact, metadata=copied(self.contact.metadata))
        self.contact_memory, self.call_memory = copied(self.contact_memory), copied(self.call_memory)
        self.answers = copied(self.answers)

    def acknowledge(self) -> None:
        """Note that the person has acknowledged. Does nothing in a call that is of no callout."""
        self.replies.acknowledged = True

    def opt_out(self) -> None:
        """Note that the person wants no more calls. It is kept; calls to the number still leave."""
        self.replies.opted_out = True

    def answer(self, name: str, value: Any) -> None:
        """Keep an answer of the person, a JSON value, in ``answers`` of the participation; the last one counts.

        Raises ValueError for a name that cannot be, or for too much, and TypeError for what JSON cannot hold. In a
        call that is of no callout it is kept nowhere.
        """
        self.replies.answers[name] = checked_answer(name, value, {*self.answers, *self.replies.answers})

    @property
    def digits(self) -> str | None:
        """The keys pressed in answer to a Gather; None if there are none."""
        return self.details.get("Digits") or None

    @property
    def speech(self) -> str | None:
        """What was said in answer to a Gather that takes speech, as the provider understood it."""
        return self.details.get("SpeechResult") or None

    @property
    def recording_url(self) -> str | None:
        """Where the provider keeps the recording that has just been made."""
        return self.details.get("RecordingUrl") or None

    def public_url(self, played: str) -> str:
        """The URL of what is PLAYED, a path on this server, as the provider knows that, or a URL already."""
        before, found, _ = self.url.rpartition(WEBHOOK_PATH)
        return before + played if found and played.startswith("/") else urljoin(self.url, played)

    @property
    def is_status_callback(self) -> bool:
        """Whether the provider only reports on the call: nobody pressed anything, nobody hears the answer."""
        return self.details.get("CallbackSource") == "call-progress-events"


class Flow(ABC):
    """One call flow: a class that gets a turn and returns what the caller hears next.

    A flow must be a pure function of its turn. When two webhooks of a call arrive together, the slower one
    runs again on fresh data, so what ``run`` does besides answering and remembering may happen twice.
    A class without a ``name`` of its own is named by its Python path.
    """

    name: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A name is never inherited: two flows of one name would share their memory.
        if "name" not in cls.__dict__:
            cls.name = f"{cls.__module__}:{cls.__qualname__}"

    def __init__(self, turn: Turn) -> None:
        self.turn = turn

    @abstractmethod
    def run(self) -> VoiceResponse | str:
        """The answer to this turn: a twilio VoiceResponse, or a TwiML document as text."""


def apology() -> str:
    """The TwiML that a caller hears when a flow fails."""
    response = VoiceResponse()
    response.say(APOLOGY)
    response.hangup()
    return document(response)


def answer(flow_class: type[Flow], turn: Turn) -> str:
    """The TwiML document of one turn. What the flow raises goes through; its memory may then be half written.

    Also raises TypeError where the memory holds what JSON cannot, and ValueError where it is too much.
    """
    text = document(flow_class(turn).run())
    turn.contact_memory = plain_json(turn.contact_memory, MEMORY, MAX_MEMORY, DEEPEST_MEMORY)
    turn.call_memory = plain_json(turn.call_memory, MEMORY, MAX_MEMORY, DEEPEST_MEMORY)
    return text


def render(flow_class: type[Flow], turn: Turn) -> str:
    """The TwiML document of one turn, whatever the flow does.

    A flow that raises is logged with the call's id, loses what it wrote into its memory and noted in this turn, and
    the caller hears an apology.
    """
    before = copied(turn.contact_memory), copied(turn.call_memory)
    try:
        text = answer(flow_class, turn)
        for warning in turn.warnings:
            log.warning("flow %s: %s: phone call %s", flow_class.name, warning, turn.call.id)
        return text
    except (Exception, SystemExit):
        log.exception("flow %s failed: phone call %s, event %s", flow_class.name, turn.call.id, turn.event_id)
        turn.contact_memory, turn.call_memory = before
        turn.replies = Replies()
        return apology()


def copied(value: Any) -> Any:
    """A copy of JSON values that shares no object or list with VALUE; a tenth of what ``copy.deepcopy`` takes."""
    if isinstance(value, dict):
        return {name: copied(inner) for name, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def _digits(number: str) -> str:
    return "".join(filter(str.isdigit, number))
