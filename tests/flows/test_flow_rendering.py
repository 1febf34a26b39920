"""A flow's answer as TwiML, and what becomes of a flow that fails."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.voice_response import VoiceResponse

from scfm.settings import Settings
from scfm.twiml.application import Application
from scfm.twiml.flow import (
    CalloutView,
    CallView,
    ContactView,
    Flow,
    FlowSettings,
    Turn,
    answer,
    apology,
    render,
)

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


def turn(**details: str) -> Turn:
    return Turn(
        event_id=31,
        url="https://alerts.example.org/api/remote_phone_call_events",
        details=details,
        call=CallView(17, "+252662345678", "outbound-api", callout=CalloutView(2)),
        contact=ContactView(5, "+252662345678"),
        contact_memory={"seen": [1, 2]},
        call_memory={"asked": 1},
    )


def flow_that(run: Any) -> type[Flow]:
    """A flow whose ``run`` is RUN, which gets the turn."""
    return type("Made", (Flow,), {"name": "Made", "run": lambda self: run(self.turn)})


def nested(levels: int) -> Any:
    """So many lists inside one another."""
    return [nested(levels - 1)] if levels else "x"


def saying(words: str) -> type[Flow]:
    def run(_: Turn) -> VoiceResponse:
        response = VoiceResponse()
        response.say(words)
        return response

    return flow_that(run)


def raising(error: BaseException) -> type[Flow]:
    def run(now: Turn) -> VoiceResponse:
        now.contact_memory["seen"].append(3)
        now.call_memory = {"lost": True}
        raise error

    return flow_that(run)


def test_the_application_thanks_and_plays_a_song() -> None:
    assert render(Application, turn()) == (
        f"{DECLARATION}<Response><Say>Thanks for trying our documentation. Enjoy!</Say>"
        "<Play>http://demo.twilio.com/docs/classic.mp3</Play></Response>"
    )


def test_words_of_every_script_and_markup_are_escaped_once() -> None:
    words = 'ឧទកភ័យ & <b> "!" 洪水 🌊'
    assert ElementTree.fromstring(render(saying(words), turn()).encode()).findtext("Say") == words


def test_control_characters_are_left_out() -> None:
    text = render(saying("one\x00two\x0b\x1f\ud800\ufffe three\tfour"), turn())
    assert text == f"{DECLARATION}<Response><Say>onetwo three\tfour</Say></Response>"


def test_control_characters_in_an_attribute_are_left_out() -> None:
    def run(_: Turn) -> VoiceResponse:
        response = VoiceResponse()
        response.redirect("https://a.example\x01", method="PO\x02ST")
        response.append("tail\x03")
        return response

    text = render(flow_that(run), turn())
    assert text == f'{DECLARATION}<Response><Redirect method="POST">https://a.example</Redirect>tail</Response>'


@given(st.text(st.characters(codec=None)))
def test_no_words_break_the_document(words: str) -> None:
    root = ElementTree.fromstring(render(saying(words), turn()).encode())
    assert [child.tag for child in root] == ["Say"]


@pytest.mark.parametrize("head", ["", DECLARATION, "<?xml version='1.0'?>\n"])
def test_a_flow_may_return_a_document_as_text(head: str) -> None:
    text = render(flow_that(lambda _: f"{head}<Response><Say>a\x00b</Say></Response>"), turn())
    assert text == f"{DECLARATION}<Response><Say>ab</Say></Response>"


def test_the_apology_is_spoken_and_ends_the_call() -> None:
    assert apology() == (
        f"{DECLARATION}<Response><Say>Sorry. Something went wrong at our end. Please call again later. "
        "Goodbye.</Say><Hangup /></Response>"
    )


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("k"), RecursionError(), SystemExit(1)])
def test_a_flow_that_raises_apologises_and_forgets_its_turn(error: BaseException) -> None:
    now = turn()
    assert render(raising(error), now) == apology()
    assert now.contact_memory == {"seen": [1, 2]}
    assert now.call_memory == {"asked": 1}


def test_a_flow_that_raises_is_logged_with_the_calls_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="scfm.flow"):
        render(raising(ValueError("no river")), turn())
    (record,) = caplog.records
    assert record.getMessage() == "flow Made failed: phone call 17, event 31"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "no river"


def test_a_flow_that_cannot_be_made_apologises() -> None:
    def refuse(self: Flow, _: Turn) -> None:
        raise OSError("no file")

    flow = type("Refusing", (Application,), {"__init__": refuse})
    assert render(flow, turn()) == apology()


@pytest.mark.parametrize(
    "returned", [None, 5, b"<Response/>", "", "hello", "<Response>", "<Other/>", "<Response/><Response/>"]
)
def test_an_answer_that_is_no_twiml_becomes_an_apology(returned: object) -> None:
    assert render(flow_that(lambda _: returned), turn()) == apology()


@pytest.mark.parametrize(
    "value",
    [
        *({1, 2}, datetime.now(UTC), (1, 2), {1: "a"}, float("nan"), 1 << 70, "\ud800", b"x", object(), Application),
        *(nested(32), nested(200), "x" * (1 << 18)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_memory_that_cannot_be_stored_becomes_an_apology(value: object) -> None:
    def run(now: Turn) -> str:
        now.contact_memory["bad"] = value
        return "<Response/>"

    now = turn()
    assert render(flow_that(run), now) == apology()
    assert now.contact_memory == {"seen": [1, 2]}


def test_a_memory_that_is_large_but_not_too_large_is_kept() -> None:
    def run(now: Turn) -> str:
        now.contact_memory = {"deep": nested(31), "long": "x" * (1 << 17)}
        return "<Response/>"

    now = turn()
    assert render(flow_that(run), now) != apology()
    assert now.contact_memory["deep"] == nested(31)


def test_what_a_flow_remembers_is_there_after_the_turn() -> None:
    def run(now: Turn) -> str:
        now.contact_memory["safe"] = True
        now.call_memory = {"asked": 2, "by": {"key": ["1", None, 1.5]}}
        return "<Response/>"

    now = turn()
    answer(flow_that(run), now)
    assert now.contact_memory == {"seen": [1, 2], "safe": True}
    assert now.call_memory == {"asked": 2, "by": {"key": ["1", None, 1.5]}}


def test_a_turn_tells_what_the_provider_sent() -> None:
    told = turn(Digits="12#", SpeechResult="yes", RecordingUrl="https://r.example/1")
    assert (told.digits, told.speech, told.recording_url) == ("12#", "yes", "https://r.example/1")
    silent = turn(Digits="")
    assert (silent.digits, silent.speech, silent.recording_url) == (None, None, None)
    assert turn(CallbackSource="call-progress-events").is_status_callback
    assert not turn(CallStatus="completed").is_status_callback


def test_the_settings_of_a_flow_are_those_of_the_server() -> None:
    assert FlowSettings.of(Settings()) == FlowSettings()
    given_settings = Settings(
        call_flow_play_file_base_url="https://f.example",
        call_flow_play_file_extension=".mp3",
        call_flow_gather_timeout=9,
    )
    assert FlowSettings.of(given_settings) == FlowSettings("https://f.example", ".mp3", 9)


def test_flows_know_neither_the_web_framework_nor_the_database() -> None:
    import subprocess  # noqa: PLC0415 - a fresh interpreter: this one has imported everything

    code = (
        "import sys, scfm.twiml.registry, scfm.twiml.interpreter, scfm.cli.rehearse;"
        "print([m for m in ('tornado', 'motor', 'pymongo', 'bson') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_turn_holds_copies_of_what_it_is_given() -> None:
    stored: dict[str, Any] = {"seen": [1]}
    contact = ContactView(5, "+252662345678", {"tags": ["a"]})
    now = Turn(1, "https://a.example", {}, CallView(1, "+252", "inbound"), contact, contact_memory=stored)
    now.contact_memory["seen"].append(2)
    now.contact.metadata["tags"].append("b")
    assert stored == {"seen": [1]}
    assert contact.metadata == {"tags": ["a"]}
