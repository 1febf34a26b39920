"""A document is walked as a provider walks it."""

from __future__ import annotations

import pytest

from scfm.twiml.interpreter import DEFAULTS, CalleeAnswer, End, NextRequest, TwimlError, Verb, heard, parse, walk

URL = "https://alerts.example.org/api/remote_phone_call_events?a=1"


def walked(inside: str, *answers: CalleeAnswer) -> tuple[list[str], NextRequest | End]:
    """What is met in ``<Response>INSIDE</Response>``, and where it leads."""
    walking, left, met = walk(parse(f"<Response>{inside}</Response>"), URL), list(answers), []
    answer = None
    while True:
        try:
            verb = walking.send(answer)
        except StopIteration as stop:
            return met, stop.value
        met.append(f"{verb.name} {verb.text}".strip())
        answer = left.pop(0) if verb.asks and left else None


def test_prompts_are_heard_in_order_and_the_end_of_the_document_ends_the_call() -> None:
    met, way = walked('<Say>One</Say><Pause length="2"/><Play> https://f.example/1.wav </Play>')
    assert met == ["Say One", "Pause", "Play https://f.example/1.wav"]
    assert way == End("end")


def test_an_empty_document_ends_the_call() -> None:
    assert walked("") == ([], End("end"))


def test_what_is_marked_up_inside_say_is_said() -> None:
    assert walked("<Say>It is <emphasis>urgent</emphasis>.</Say>")[0] == ["Say It is urgent."]


@pytest.mark.parametrize(
    ("verb", "reason"), [("<Hangup/>", "hangup"), ("<Reject/>", "rejected"), ('<Reject reason="busy"/>', "busy")]
)
def test_nothing_after_a_hangup_is_heard(verb: str, reason: str) -> None:
    met, way = walked(f"{verb}<Say>Never</Say>")
    assert len(met) == 1
    assert way == End(reason)


def test_keys_pressed_at_a_gather_go_to_the_same_address_by_default() -> None:
    met, way = walked(
        '<Gather numDigits="1"><Say>Press</Say><Pause/></Gather><Say>Never</Say>', CalleeAnswer(digits="1")
    )
    assert met == ["Say Press", "Pause", "Gather"]
    assert way == NextRequest(URL, "POST", {"Digits": "1"})


def test_a_gather_may_say_where_to_go_and_how() -> None:
    way = walked('<Gather action="../next?b=2" method="get"/>', CalleeAnswer(digits="5"))[1]
    assert way == NextRequest("https://alerts.example.org/next?b=2", "GET", {"Digits": "5"})


def test_silence_at_a_gather_falls_through_to_the_next_verb() -> None:
    assert walked("<Gather/><Say>Nothing</Say>") == (["Gather", "Say Nothing"], End("end"))


def test_silence_at_a_gather_that_wants_to_know_makes_a_request() -> None:
    assert walked('<Gather actionOnEmptyResult="true"/>')[1] == NextRequest(URL, "POST", {"Digits": ""})


@pytest.mark.parametrize(
    ("attributes", "pressed", "taken"),
    [
        ({}, "123", "123"),
        ({}, "12#34", "12"),
        ({}, "#", ""),
        ({"numDigits": "2"}, "123", "12"),
        ({"numDigits": "3"}, "12", "12"),
        ({"finishOnKey": "*"}, "1#2*3", "1#2"),
        ({"finishOnKey": ""}, "1#*", "1#*"),
        ({"finishOnKey": "", "numDigits": "1"}, "#", "#"),
        ({"numDigits": "many"}, "123", "123"),
    ],
)
def test_a_gather_takes_keys_up_to_a_number_of_them_or_to_the_last_key(
    attributes: dict[str, str], pressed: str, taken: str
) -> None:
    assert heard(Verb("Gather", attributes), CalleeAnswer(digits=pressed)) == ({"Digits": taken} if taken else None)


def test_a_gather_hears_speech_where_it_asks_for_it() -> None:
    yes = CalleeAnswer(speech="yes")
    spoken = NextRequest(URL, "POST", {"SpeechResult": "yes", "Confidence": "0.95"})
    assert walked('<Gather input="dtmf speech"/>', yes)[1] == spoken
    assert walked("<Gather/>", yes)[1] == End("end")
    assert walked('<Gather input="speech"/>', CalleeAnswer(digits="1"))[1] == End("end")


def test_a_recording_goes_to_the_same_address_by_default() -> None:
    met, way = walked("<Record/><Say>Never</Say>", CalleeAnswer(recording_url="https://r.example/RE1", seconds=9))
    assert met == ["Record"]
    recording = {"RecordingUrl": "https://r.example/RE1", "RecordingSid": "RE1", "RecordingDuration": "9"}
    assert way == NextRequest(URL, "POST", recording)


def test_a_recording_is_no_longer_than_it_may_be() -> None:
    way = walked('<Record maxLength="10"/>', CalleeAnswer(recording_url="https://r.example/RE1", seconds=30.0))[1]
    assert isinstance(way, NextRequest)
    assert way.params["RecordingDuration"] == "10"


def test_a_recording_that_a_hang_up_ends_is_the_last_request() -> None:
    way = walked("<Record/>", CalleeAnswer(recording_url="https://r.example/RE1", seconds=9, hung_up=True))[1]
    assert isinstance(way, NextRequest)
    assert way.last
    assert way.params["Digits"] == "hangup"


def test_the_key_that_ended_a_recording_is_told() -> None:
    answer = CalleeAnswer(digits="#", recording_url="https://r.example/1", seconds=9)
    way = walked('<Record action="https://b.example/r" finishOnKey="#"/>', answer)[1]
    assert isinstance(way, NextRequest)
    assert way.url == "https://b.example/r"
    assert way.params["Digits"] == "#"


@pytest.mark.parametrize("answer", [CalleeAnswer(), CalleeAnswer(digits="1"), CalleeAnswer(speech="hello")])
def test_an_empty_recording_falls_through_to_the_next_verb(answer: CalleeAnswer) -> None:
    assert walked("<Record/><Say>Nothing</Say>", answer) == (["Record", "Say Nothing"], End("end"))


def test_a_redirect_leads_on_at_once() -> None:
    assert walked("<Redirect>/other</Redirect><Say>Never</Say>")[1] == NextRequest(
        "https://alerts.example.org/other", "POST", {}
    )
    assert walked('<Redirect method="GET"/>')[1] == NextRequest(URL, "GET", {})


def test_files_are_played_from_where_the_document_is() -> None:
    met = walked('<Play>wav/1.wav</Play><Play digits="ww1"/>')[0]
    assert met == ["Play https://alerts.example.org/api/wav/1.wav", "Play"]


def test_an_unknown_verb_is_met_passed_over_and_reported() -> None:
    met, way = walked("<Dial>+252</Dial><Say>On</Say>")
    assert (met, way) == (["Dial +252", "Say On"], End("end"))
    for name, why in (("Dial", "it is not simulated"), ("say", "TwiML has no such verb here")):
        assert not Verb(name).known
        assert Verb(name).warnings == [f"<{name}> is passed over: {why}"]


# From Twilio's page of each verb.
DOCUMENTED = [
    ("Say", {"loop": "1"}),
    ("Play", {"loop": "1", "digits": ""}),
    ("Pause", {"length": "1"}),
    (
        "Gather",
        {
            "action": "",
            "method": "POST",
            "timeout": "5",
            "input": "dtmf",
            "finishOnKey": "#",
            "actionOnEmptyResult": "false",
        },
    ),
    (
        "Record",
        {"action": "", "method": "POST", "timeout": "5", "maxLength": "3600", "finishOnKey": "1234567890*#"},
    ),
    ("Redirect", {"method": "POST"}),
    ("Reject", {"reason": "rejected"}),
    ("Hangup", {}),
]


@pytest.mark.parametrize(("name", "attributes"), DOCUMENTED)
def test_an_attribute_that_is_not_written_is_as_twilio_documents_it(name: str, attributes: dict[str, str]) -> None:
    assert {attribute: Verb(name)[attribute] for attribute in attributes} == attributes
    assert set(DEFAULTS) == {verb for verb, _ in DOCUMENTED}
    for attribute in attributes:
        assert Verb(name, {attribute: "other"})[attribute] == "other"


@pytest.mark.parametrize("text", ["soon", "", "-1", "1.5", "٣", "9" * 10])
def test_a_number_that_is_none_is_reported_and_the_default_stands_for_it(text: str) -> None:
    gather = Verb("Gather", {"timeout": text})
    assert gather.number("timeout") == 5
    assert gather.warnings == [f"<Gather> has timeout={text!r}, which is not a number"]


def test_a_timeout_may_be_left_to_the_provider() -> None:
    gather = Verb("Gather", {"timeout": "auto"})
    assert (gather.number("timeout"), gather.warnings) == (5, [])


def test_a_verb_that_a_gather_cannot_hold_is_unknown_there() -> None:
    met, way = walked("<Gather><Hangup/><Gather/></Gather>", CalleeAnswer(digits="1"))
    assert met == ["Gather/Hangup", "Gather/Gather", "Gather"]
    assert way == NextRequest(URL, "POST", {"Digits": "1"})


@pytest.mark.parametrize("text", ["", "no", "<Response>", "<Other/>", b"\xff", "<Response/><Response/>"])
def test_what_is_no_twiml_is_refused(text: str | bytes) -> None:
    with pytest.raises(TwimlError):
        parse(text)
