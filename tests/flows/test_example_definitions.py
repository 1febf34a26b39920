"""The call flows in ``examples/`` that are files: right, in three languages, and as their examples say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scfm.cli.flow.flow_file import read_flow_file
from scfm.cli.flow.flow_trial import FlowTrial
from scfm.twiml.definition import AUDIO_PREFIX
from scfm.twiml.definition_checks import Findings
from scfm.twiml.definition_coverage import coverage
from scfm.twiml.definition_examples import rehearse_example
from scfm.twiml.definition_paths import heard_step
from scfm.twiml.flow import FlowSettings
from tests.flows.capom_definitions import SHORT, play

FOLDER = Path(__file__).parents[2] / "examples"
FILES = sorted([*FOLDER.glob("*.yaml"), *FOLDER.glob("*.json")])
LANGUAGES = ["km", "en", "fr-FR"]


def trial(path: Path, *, audio: bool = True) -> FlowTrial:
    return FlowTrial(read_flow_file(path), FlowSettings(), audio=audio)


def test_there_are_ten_of_them() -> None:
    assert sorted(path.stem for path in FILES) == [
        "all-clear",
        "callback-hotline",
        "cash-transfer-check",
        "drill",
        "escalation",
        "needs-assessment",
        "opt-out",
        "survey",
        "warning",
        "warning-with-acknowledgement",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_wrong_with_it_in_any_language(path: Path) -> None:
    tried = trial(path)
    assert tried.findings == Findings()
    assert tried.definition["languages"] == LANGUAGES
    table = coverage(tried.definition)
    assert table["languages"] == dict.fromkeys(LANGUAGES, table["prompts"])
    paths = tried.paths()
    assert (paths.errors, paths.left_out) == ([], None)


@pytest.mark.parametrize("audio", [True, False], ids=["played", "said"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_examples_go_as_they_say_with_recordings_and_without(path: Path, audio: bool) -> None:
    tried = trial(path, audio=audio)
    checked = tried.examples()
    assert checked.errors == [], "\n".join(checked.transcripts)
    assert {example["language"] for example in tried.listed_examples} == set(LANGUAGES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_examples_come_to_most_of_its_steps(path: Path) -> None:
    tried = trial(path)
    flow = tried.flow()
    calls = [rehearse_example(flow, example, tried.settings) for example in tried.listed_examples]
    heard = {heard_step(flow, turn) for call in calls for turn in call.turns}
    said = {step["step"] for step in coverage(tried.definition)["steps"]}
    # Questions that are asked again after a wrong key are many.
    assert len(said & heard) >= len(said) * 0.7, said - heard


def test_the_check_of_cash_transfers_is_the_survey_that_is_a_class() -> None:
    """The definition that ``test_capom_definitions`` compares with the class on all paths, in another language."""
    definition = trial(FOLDER / "cash-transfer-check.yaml").definition

    def in_somali(step: Any) -> Any:
        played = step["play"]["km"]
        names = [one.removeprefix(AUDIO_PREFIX) for one in ([played] if isinstance(played, str) else played)]
        rest = {key: value for key, value in step.items() if key not in ("play", "or_say")}
        return {"play": play(*names), **rest}

    assert definition["start"] == "playing_introduction"
    assert {name: in_somali(step) for name, step in definition["steps"].items()} == SHORT
