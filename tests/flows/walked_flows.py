"""Definitions whose calls tests walk through on real servers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from scfm.cli.flow.flow_file import read_flow_file
from scfm.twiml.definition import Definition
from scfm.twiml.definition_flow import DefinitionFlow, definition_flow
from tests.flows.test_definition_flow import WARNING

NEEDS: Any = {
    "languages": ["en", "km"],
    "language_from": "metadata.speaks",
    "start": "hello",
    "steps": {
        "hello": {
            "say": {
                "en": "Hello, {contact.msisdn} of {contact.metadata.district}.",
                "km": "{{ \u1791\u17b9\u1780 <&> }}",
            },
            "set": {"called": True},
            "next": "people",
        },
        "people": {
            "say": {"en": "How many are you near the {callout.metadata.river}?"},
            "ask": {"as": "people", "min_digits": 1, "max_digits": 2, "repeat": 2, "timeout": 3, "next": "needs"},
        },
        "needs": {
            "say": {"en": "{answers.people} of you. Say what you need."},
            "record": {"as": "needs", "max_seconds": 30, "otherwise": "people"},
            "next": "again",
        },
        "again": {
            "say": {"en": "Shall we call again?"},
            "menu": {
                "digits": {"1": "bye", "*": "stop", "#": "people"},
                "as": "again",
                "repeat": 2,
                "otherwise": "bye",
            },
        },
        "stop": {"say": {"en": "You will not be called again."}, "opt_out": True, "dial": "117", "next": "bye"},
        "bye": {"say": {"en": "Goodbye."}, "acknowledge": True, "hang_up": True},
    },
}

# A call of the second, webhook by webhook; what it leaves, and words of each document.
RECORDING = {"RecordingUrl": "https://provider.example/RE1", "RecordingDuration": "7"}
# A wrong key is one of the times that the last question is asked.
STEPS: list[dict[str, str]] = [{}, {}, {"Digits": "12"}, RECORDING, {"Digits": "8"}, {"Digits": "*"}, {}]
ANSWERS = {
    "called": True,
    "people": "12",
    "needs": {"recording_url": "https://provider.example/RE1", "seconds": 7},
    "again": "*",
}
SAID = ["of .", "near the", "12 of you", "again?", "again?", "not be called again", "Goodbye."]


def made(name: str, definition: Any, audio: Mapping[str, str]) -> type[DefinitionFlow]:
    """The flow of a definition, as the version that is published first."""
    return definition_flow(name, cast(Definition, definition), 1, audio)


EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE_DEFINITIONS: dict[str, Any] = {
    path.stem: read_flow_file(path).definition
    for path in sorted([*EXAMPLES.glob("*.yaml"), *EXAMPLES.glob("*.json")])
}
WALKED = {"WalkedWarning": WARNING, "WalkedNeeds": NEEDS}
# What a test's server has registered, as it has Python flows.
WalkedNeeds = made("WalkedNeeds", NEEDS, {})
REGISTERED = f"{__name__}:WalkedNeeds"
