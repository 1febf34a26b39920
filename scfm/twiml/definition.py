"""The definition of a call flow: steps as data, as the schema ``call_flow`` has them.

The types are those of a definition that has been checked; what it may leave out is not required
here. A step has at most one of ``say`` and ``play``, and one of FOLLOWING, which are looked for in this order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

MAX_STEPS = 200
# Of a definition as JSON.
MAX_DEFINITION_BYTES = 1 << 18

FOLLOWING = ("menu", "ask", "record", "dial", "next", "hang_up")

# What holds where a definition leaves it out.
DEFAULT_LANGUAGE_FROM = "metadata.language"
DEFAULT_REPEAT = 1
DEFAULT_MIN_DIGITS = 1
DEFAULT_MAX_DIGITS = 32
DEFAULT_FINISH_ON_KEY = "#"

# What stands before the name of an audio file; what else is played is a URL.
AUDIO_PREFIX = "audio:"

Say = Mapping[str, str]
"""Texts by language."""
Play = Mapping[str, str | Sequence[str]]
"""By language ``audio:NAME`` or a URL, or several of them, which are played one after the other."""

Menu = TypedDict(
    "Menu",
    {
        # Keys, each with the step that it leads to.
        "digits": Mapping[str, str],
        # How often the prompt is said in all.
        "repeat": NotRequired[int],
        # Seconds.
        "timeout": NotRequired[int],
        # The step for who presses none of the keys, each time; without it the call ends.
        "otherwise": NotRequired[str],
        "as": NotRequired[str],
    },
)
"""A choice of keys; ``as`` names the answer that is kept."""

Ask = TypedDict(
    "Ask",
    {
        "as": str,
        "min_digits": NotRequired[int],
        "max_digits": NotRequired[int],
        # One key, or nothing: then no key ends the answer.
        "finish_on_key": NotRequired[str],
        "repeat": NotRequired[int],
        # Seconds.
        "timeout": NotRequired[int],
        "next": str,
        # The step for who gives no answer, each time; without it the call ends.
        "otherwise": NotRequired[str],
    },
)
"""A question that is answered with a number; ``as`` names the answer."""

Recording = TypedDict(
    "Recording",
    {
        "as": str,
        "max_seconds": NotRequired[int],
        # The step for who says nothing; without it the call ends.
        "otherwise": NotRequired[str],
    },
)
"""A recording; it is the answer ``as``: ``{"recording_url", "seconds"}``."""


class FlowStep(TypedDict, total=False):
    """One step: a prompt, what it notes of the person, and what follows."""

    say: Say
    play: Play
    # For languages that ``play`` has not, or whose audio file is not there.
    or_say: Say
    # Answers that the step gives by itself.
    set: Mapping[str, str | int | float | bool]
    acknowledge: Literal[True]
    opt_out: Literal[True]
    menu: Menu
    ask: Ask
    record: Recording
    # A phone number; without ``next`` the call ends when the two have spoken.
    dial: str
    next: str
    hang_up: Literal[True]


class CalleeSays(TypedDict):
    """The callee says words, where a Gather takes speech."""

    say: str


class CalleeRecords(TypedDict):
    """The callee speaks for some seconds."""

    record: float


class CalleeHangsUp(TypedDict):
    """The callee ends the call."""

    hang_up: Literal[True]


CalleeItem = str | None | CalleeSays | CalleeRecords | CalleeHangsUp
"""What the callee does when asked: keys, or nothing for None, or one of the others."""


class ExampleContact(TypedDict, total=False):
    """Who is called in an example."""

    msisdn: str
    metadata: Mapping[str, Any]


class ExampleCallout(TypedDict, total=False):
    """The callout that the call of an example is part of."""

    metadata: Mapping[str, Any]


class Example(TypedDict):
    """A call, and how it must go. When ``callee`` is used up, the callee hangs up."""

    callee: Sequence[CalleeItem]
    # The contact's, which is put where ``language_from`` says.
    language: NotRequired[str]
    contact: NotRequired[ExampleContact]
    callout: NotRequired[ExampleCallout]
    # In this order: parts of what is said, and ``audio:NAME`` or URLs that are played.
    hears: NotRequired[Sequence[str]]
    answers: NotRequired[Mapping[str, Any]]
    acknowledged: NotRequired[bool]
    opted_out: NotRequired[bool]


class Definition(TypedDict):
    """A call flow. The first of ``languages`` is that of a contact who has none of them."""

    languages: Sequence[str]
    start: str
    steps: Mapping[str, FlowStep]
    language_from: NotRequired[str]
    examples: NotRequired[Sequence[Example]]


def play_list(played: str | Sequence[str]) -> Sequence[str]:
    """What is played in one language, one after the other."""
    return [played] if isinstance(played, str) else played


def audio_name(played: str) -> str | None:
    """The name of the audio file that is played; None for a URL."""
    return played.removeprefix(AUDIO_PREFIX) if played.startswith(AUDIO_PREFIX) else None


def audio_names(definition: Definition) -> Iterator[str]:
    """The names of the audio files that a definition plays, each as often as it names it."""
    for step in definition["steps"].values():
        for played in step.get("play", {}).values():
            yield from (name for one in play_list(played) if (name := audio_name(one)) is not None)
