"""A flow is rehearsed with a scripted callee, from a test and from the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twilio.twiml.voice_response import VoiceResponse

from examples.flows import FloodWarning
from scfm.cli import rehearse as command
from scfm.errors import StartError
from scfm.twiml.avf_capom import CapomShort
from scfm.twiml.flow import ContactView, Flow, Turn
from scfm.twiml.rehearsal import MAX_REHEARSED_TURNS, rehearse

SHORT = "CallFlowLogic::AvfCapom::CapomShort"


def flow_that(run: Callable[[Turn], VoiceResponse | str]) -> type[Flow]:
    return type("Made", (Flow,), {"name": "Made", "run": lambda self: run(self.turn)})


def document(inside: str) -> type[Flow]:
    return flow_that(lambda _: f"<Response>{inside}</Response>")


def test_a_rehearsal_tells_what_was_heard_and_how_it_ended() -> None:
    call = rehearse(CapomShort, ["silence"], digits=["7", "1"])
    assert call.played("/playing_introduction.wav")
    assert call.played("/did_not_understand_response.wav")
    assert not call.played("/gathering_safe_at_venue.wav")
    assert call.contact_memory["status"] == "gathering_fee_paid"
    assert call.ending == "The document ended, and with it the call."
    assert call.problem is None


def test_the_transcript_shows_each_turn_with_its_twiml() -> None:
    def run(turn: Turn) -> str:
        if turn.digits:
            return f"<Response><Say>You pressed {turn.digits}.</Say><Hangup/></Response>"
        return "<Response><Gather numDigits='1'><Say>Press a key.</Say></Gather></Response>"

    call = rehearse(flow_that(run), ["press 12", "say more"])
    assert call.transcript() == "\n".join(
        [
            "Made",
            "",
            "Turn 1",
            f"  {call.twiml[0]}",
            "  says: Press a key.",
            "  waits for an answer",
            "  > presses 12, 1 is taken",
            "",
            "Turn 2",
            f"  {call.twiml[1]}",
            "  Digits: 1",
            "  says: You pressed 1.",
            "  hangs up",
            "",
            "The flow hung up.",
            "Answers that were not asked for: say more",
        ]
    )
    assert call.twiml[1].endswith("<Response><Say>You pressed 1.</Say><Hangup/></Response>")


def test_a_flow_sees_a_call_with_one_event_a_turn() -> None:
    turns: list[Turn] = []

    def run(turn: Turn) -> str:
        turns.append(turn)
        turn.call_memory["turn"] = len(turns)
        return "<Response><Redirect/></Response>" if len(turns) < 3 else "<Response/>"

    rehearse(flow_that(run), contact={"district": "Kandal"}, callout={"river": "Mekong"})
    assert [turn.event_id for turn in turns] == [1, 2, 3]
    assert turns[2].details["CallSid"] == turns[0].details["CallSid"]
    assert turns[0].details["Direction"] == turns[0].call.direction == "outbound-api"
    assert turns[0].details["To"] == turns[0].contact.msisdn
    assert turns[0].contact.metadata == {"district": "Kandal"}
    assert turns[0].call.callout is not None
    assert turns[0].call.callout.metadata == {"river": "Mekong"}


def test_a_contact_may_be_given_with_a_number() -> None:
    call = rehearse(document(""), contact=ContactView(7, "+85512345678"))
    assert call.turns[0].details["To"] == "+85512345678"


def test_a_rehearsal_may_be_given_the_address_of_the_webhook() -> None:
    url = "https://alerts.example.org/scfm/api/remote_phone_call_events"
    call = rehearse(CapomShort, url=url)
    assert f"<Redirect>{url}</Redirect>" in call.twiml[0]
    assert (len(call.turns), call.ending) == (2, "The callee hung up.")


def test_an_inbound_call_comes_from_the_contact() -> None:
    call = rehearse(document(""), inbound=True)
    assert call.turns[0].details["Direction"] == "inbound"
    assert call.turns[0].details["From"] == "+252662345678"


def test_speech_and_recordings_are_answers_too() -> None:
    def run(turn: Turn) -> str:
        if turn.recording_url:
            return f"<Response><Say>{turn.details['RecordingDuration']} seconds</Say></Response>"
        if turn.speech:
            return f"<Response><Say>So: {turn.speech}</Say><Record/></Response>"
        return "<Response><Gather input='speech'/></Response>"

    call = rehearse(flow_that(run), ["say the bridge is gone", "record 12"])
    assert call.said("So: the bridge is gone")
    assert call.said("12 seconds")


def test_a_callee_who_hangs_up_ends_the_call() -> None:
    call = rehearse(document("<Gather/><Say>Never</Say>"), ["hang up", "press 1"])
    assert call.ending == "The callee hung up."
    assert not call.said("Never")
    assert call.unused == ["press 1"]


@pytest.mark.parametrize("question", ["<Gather/>", "<Record/>"])
def test_when_the_answers_are_used_up_the_callee_hangs_up(question: str) -> None:
    call = rehearse(document(f"<Say>Hello</Say>{question}<Say>Never</Say>"))
    assert call.said("Hello") and not call.said("Never")
    assert call.ending == "The callee hung up."
    assert call.problem is None


def test_answers_may_be_those_of_a_definitions_examples() -> None:
    def run(turn: Turn) -> str:
        heard = turn.digits or turn.speech or turn.details.get("RecordingDuration", "nothing")
        return f"<Response><Say>{heard}</Say><Gather input='dtmf speech' numDigits='2'/><Record/></Response>"

    call = rehearse(flow_that(run), ["12#", {"say": "help"}, None, {"record": 7.4}, {"hang_up": True}, "1"])
    for heard in ("nothing", "12", "help", "7"):
        assert call.said(heard)
    assert call.ending == "The callee hung up."
    assert call.unused == ["1"]


@pytest.mark.parametrize(
    "item", [{}, {"hang_up": False}, {"say": 1}, {"record": "5"}, {"say": "x", "record": 1}, {"shout": "x"}]
)
def test_an_answer_that_no_example_may_have_is_refused(item: Any) -> None:
    with pytest.raises(StartError, match="is not an answer; write: press 1"):
        rehearse(CapomShort, [item])


def test_a_rehearsal_as_a_document_has_what_was_heard_noted_and_answered() -> None:
    def run(turn: Turn) -> str:
        if not turn.digits:
            return "<Response><Gather/></Response>"
        turn.acknowledge()
        turn.answer("people", turn.digits)
        return "<Response><Say>Thank you</Say></Response>"

    call = rehearse(flow_that(run), ["12"])
    assert call.document() == {
        "transcript": [
            "waits for an answer",
            "> presses 12",
            "Digits: 12",
            "notes: acknowledged",
            'notes: people = "12"',
            "says: Thank you",
        ],
        "turns": [{"twiml": twiml} for twiml in call.twiml],
        "answers": {"people": "12"},
        "acknowledged": True,
        "opted_out": False,
        "ending": "The document ended, and with it the call.",
    }


def test_a_problem_is_the_last_line_of_the_document() -> None:
    assert rehearse(document("<Redirect/>")).document()["transcript"][-1] == (
        "PROBLEM: the flow never ends; it was stopped after turn 1"
    )


def test_a_flow_that_goes_round_is_found_at_once() -> None:
    call = rehearse(document("<Pause/><Redirect/>"))
    assert call.endless
    assert call.problem == "the flow never ends; it was stopped after turn 1"


def test_a_flow_that_goes_on_with_a_growing_memory_is_stopped() -> None:
    def run(turn: Turn) -> str:
        turn.call_memory["turns"] = turn.call_memory.get("turns", 0) + 1
        return "<Response><Redirect/></Response>"

    call = rehearse(flow_that(run))
    assert call.endless
    assert len(call.turns) == MAX_REHEARSED_TURNS


def test_a_question_that_is_repeated_while_answers_last_is_not_endless() -> None:
    call = rehearse(document("<Gather/><Hangup/>"), digits=["1"] * 30)
    assert not call.endless
    assert len(call.turns) == 31


def test_a_flow_that_raises_is_told_and_its_apology_heard() -> None:
    def run(turn: Turn) -> str:
        turn.contact_memory["lost"] = True
        raise ValueError("no river")

    call = rehearse(flow_that(run))
    assert call.problem == "turn 1 raised ValueError: no river"
    assert str(call.fault) == "no river"
    assert call.said("Something went wrong at our end")
    assert call.contact_memory == {}


def test_a_flow_that_asks_with_get_is_told_that_the_webhook_takes_post() -> None:
    call = rehearse(document('<Redirect method="GET"/>'))
    assert call.problem == "the flow asks for GET, but the webhook takes POST only"


def test_a_flow_that_leads_elsewhere_is_followed_no_further() -> None:
    call = rehearse(document("<Redirect>https://demo.twilio.com/docs/voice.xml</Redirect>"))
    assert call.ending == (
        "The call goes on at https://demo.twilio.com/docs/voice.xml, where the rehearsal cannot follow."
    )
    assert call.problem is None


def test_an_unknown_verb_is_told() -> None:
    call = rehearse(document("<Dial>911</Dial><Gather timeout='soon'/>"))
    assert "(<Dial> is passed over: it is not simulated)" in call.transcript()
    assert "(<Gather> has timeout='soon', which is not a number)" in call.transcript()


def test_what_earlier_calls_left_may_be_given() -> None:
    before = {"status": "gathering_fee_paid"}
    call = rehearse(CapomShort, digits=["2"], contact_memory=before)
    assert call.played("/gathering_fee_paid.wav")
    assert call.contact_memory["status"] == "recording_goods_purchased"
    assert before == {"status": "gathering_fee_paid"}


@pytest.mark.parametrize("line", ["press", "press x", "say", "record x", "shout", "hang", "silence 5", "1 2"])
def test_an_answer_that_cannot_be_read_is_refused_in_one_line(line: str) -> None:
    with pytest.raises(StartError, match=r"is not an answer; write: press 1, say WORDS, record SECONDS, ") as no:
        rehearse(CapomShort, [line])
    assert "\n" not in str(no.value)


def run_command(*arguments: str) -> int:
    parser = argparse.ArgumentParser(prog="scfm rehearse")
    command.add_arguments(parser)
    return command.run(parser.parse_args(arguments))


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("REGISTERED_CALL_FLOW_LOGIC", "DEFAULT_CALL_FLOW_LOGIC", "CALL_FLOW_GATHER_TIMEOUT"):
        monkeypatch.delenv(variable, raising=False)


def test_the_command_prints_the_transcript(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(SHORT, "--digits", "2", "--answer", "record 9") == 0
    out = capsys.readouterr().out
    assert "> presses 2" in out
    assert "> speaks for 9 s" in out
    assert "playing_transfer_not_received_exit_message.wav</Play><Hangup />" in out
    assert out.endswith("\n\nThe flow hung up.\n")


def test_answers_are_given_in_the_order_of_the_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "callee.txt"
    script.write_text("// she hesitates\n\nsay hm\n#\n", encoding="utf-8")
    arguments = ["--digits", "1, ,2*", "--script", str(script), "--answer", "hang up"]
    assert run_command("CallFlowLogic::Application", *arguments) == 0
    assert "Answers that were not asked for: press 1, silence, press 2*, say hm, #, hang up" in (
        capsys.readouterr().out
    )


def test_the_command_finds_a_registered_flow_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REGISTERED_CALL_FLOW_LOGIC", "examples.flows:FloodWarning")
    assert run_command("FloodWarning", "--callout", '{"message": "The Mekong is rising."}') == 0
    assert "The Mekong is rising." in capsys.readouterr().out


def test_the_command_finds_a_flow_by_its_path_with_the_servers_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CALL_FLOW_PLAY_FILE_BASE_URL", "https://files.example.org")
    contact = '{"district": "kandal"}'
    assert run_command("examples.flows:AlertHotline", "--inbound", "--contact", contact) == 0
    assert "plays: https://files.example.org/alerts/kandal/newest.wav" in capsys.readouterr().out


VILLAGE = """
from scfm.twiml.flow import Flow

class Round(Flow):
    def run(self):
        return "<Response><Redirect/></Response>"

class Faulty(Flow):
    def run(self):
        return self.turn.details["NoSuchThing"]
"""


@pytest.mark.parametrize(
    ("flow", "problem"),
    [
        ("Round", "PROBLEM: the flow never ends; it was stopped after turn 1"),
        ("Faulty", "PROBLEM: turn 1 raised KeyError: 'NoSuchThing'"),
    ],
)
def test_the_command_fails_for_a_flow_with_a_problem(
    flow: str,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = f"rehearsed_{flow.lower()}"
    (tmp_path / f"{module}.py").write_text(VILLAGE)
    monkeypatch.syspath_prepend(tmp_path)
    assert run_command(f"{module}:{flow}") == 1
    shown = capsys.readouterr()
    assert shown.out.endswith(problem + "\n")
    assert ("Traceback" in shown.err) is (flow == "Faulty")


def test_the_command_refuses_a_flow_that_is_not_there() -> None:
    with pytest.raises(StartError, match=r"^rehearse: there is no flow 'Flood'; use one of "):
        run_command("Flood")


def test_the_command_refuses_a_script_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_command(SHORT, "--script", str(tmp_path / "none"))
    assert "none cannot be read: " in capsys.readouterr().err


@pytest.mark.parametrize("metadata", ["[1]", "{", "5"])
def test_the_command_takes_metadata_that_is_an_object_only(metadata: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_command(SHORT, "--contact", metadata)
    assert "argument --contact: must be a JSON object, such as" in capsys.readouterr().err


def test_the_command_leaves_the_environment_alone() -> None:
    before = dict(os.environ)
    run_command(SHORT)
    assert dict(os.environ) == before


def test_a_rehearsal_in_a_test_is_two_lines() -> None:
    call = rehearse(FloodWarning, digits=["1"])
    assert call.said("You are safe")


def test_a_rehearsal_can_be_repeated_with_the_same_outcome() -> None:
    outcomes: list[Any] = [rehearse(FloodWarning, digits=["", "2", "1"]).transcript() for _ in range(2)]
    assert outcomes[0] == outcomes[1]
