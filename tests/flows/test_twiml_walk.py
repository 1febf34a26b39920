"""A document is walked as a provider walks it."""

from __future__ import annotations

import pytest

from scfm.twiml.walk import Answer, End, Request, TwimlError, Verb, gathered, parse, walk

URL = "https://alerts.example.org/api/remote_phone_call_events?a=1"


def walked(inside: str, *answers: Answer) -> tuple[list[str], Request | End]:
    """What is met in ``<Response>INSIDE</Response>``, and where it leads."""
    walking, left, met = walk(f"<Response>{inside}</Response>", URL), list(answers), []
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


@pytest.mark.parametrize(("verb", "reason"), [("<Hangup/>", "hangup"), ('<Reject reason="busy"/>', "reject")])
def test_nothing_after_a_hangup_is_heard(verb: str, reason: str) -> None:
    met, way = walked(f"{verb}<Say>Never</Say>")
    assert len(met) == 1
    assert way == End(reason)


def test_keys_pressed_at_a_gather_go_to_the_same_address_by_default() -> None:
    met, way = walked('<Gather numDigits="1"><Say>Press</Say><Pause/></Gather><Say>Never</Say>', Answer(digits="1"))
    assert met == ["Say Press", "Pause", "Gather"]
    assert way == Request(URL, "POST", {"Digits": "1"})


def test_a_gather_may_say_where_to_go_and_how() -> None:
    way = walked('<Gather action="../next?b=2" method="get"/>', Answer(digits="5"))[1]
    assert way == Request("https://alerts.example.org/next?b=2", "GET", {"Digits": "5"})


def test_silence_at_a_gather_falls_through_to_the_next_verb() -> None:
    assert walked("<Gather/><Say>Nothing</Say>") == (["Gather", "Say Nothing"], End("end"))


def test_silence_at_a_gather_that_wants_to_know_makes_a_request() -> None:
    assert walked('<Gather actionOnEmptyResult="true"/>')[1] == Request(URL, "POST", {"Digits": ""})


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
    ],
)
def test_a_gather_takes_keys_up_to_a_number_of_them_or_to_the_last_key(
    attributes: dict[str, str], pressed: str, taken: str
) -> None:
    assert gathered(Verb("Gather", attributes), pressed) == taken


def test_a_gather_hears_speech_where_it_asks_for_it() -> None:
    yes = Answer(speech="yes")
    spoken = Request(URL, "POST", {"SpeechResult": "yes", "Confidence": "0.9"})
    assert walked('<Gather input="dtmf speech"/>', yes)[1] == spoken
    assert walked("<Gather/>", yes)[1] == End("end")
    assert walked('<Gather input="speech"/>', Answer(digits="1"))[1] == End("end")


def test_a_recording_goes_to_the_same_address_by_default() -> None:
    met, way = walked("<Record/><Say>Never</Say>", Answer(recording_url="https://r.example/1", seconds=9))
    assert met == ["Record"]
    assert way == Request(URL, "POST", {"RecordingUrl": "https://r.example/1", "RecordingDuration": "9"})


def test_the_key_that_ended_a_recording_is_told() -> None:
    answer = Answer(digits="#", recording_url="https://r.example/1", seconds=9)
    way = walked('<Record action="https://b.example/r" finishOnKey="#"/>', answer)[1]
    assert isinstance(way, Request)
    assert way.url == "https://b.example/r"
    assert way.params["Digits"] == "#"


@pytest.mark.parametrize("answer", [Answer(), Answer(digits="1"), Answer(speech="hello")])
def test_an_empty_recording_falls_through_to_the_next_verb(answer: Answer) -> None:
    assert walked("<Record/><Say>Nothing</Say>", answer) == (["Record", "Say Nothing"], End("end"))


def test_a_redirect_leads_on_at_once() -> None:
    assert walked("<Redirect>/other</Redirect><Say>Never</Say>")[1] == Request(
        "https://alerts.example.org/other", "POST", {}
    )
    assert walked('<Redirect method="GET"/>')[1] == Request(URL, "GET", {})


def test_an_unknown_verb_is_met_and_passed_over() -> None:
    met, way = walked("<Dial>+252</Dial><Say>On</Say>")
    assert (met, way) == (["Dial +252", "Say On"], End("end"))
    assert not Verb("Dial").known
    assert not Verb("say").known


def test_a_verb_that_a_gather_cannot_hold_is_unknown_there() -> None:
    met, way = walked("<Gather><Hangup/><Gather/></Gather>", Answer(digits="1"))
    assert met == ["Gather/Hangup", "Gather/Gather", "Gather"]
    assert way == Request(URL, "POST", {"Digits": "1"})


@pytest.mark.parametrize("text", ["", "no", "<Response>", "<Other/>", b"\xff", "<Response/><Response/>"])
def test_what_is_no_twiml_is_refused(text: str | bytes) -> None:
    with pytest.raises(TwimlError):
        parse(text)
