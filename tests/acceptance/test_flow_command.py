"""``scfm flow``: call flows that are files, checked and tried here, and published on a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import INHERITED, Server

EXAMPLES = Path(__file__).parents[2] / "examples"
FLOOD = """\
# Two languages.
languages: [en, km]
start: warning
steps:
  warning:
    play: {en: audio:flood-en}
    or_say:
      en: Flood. Press 1 if you are safe.
      km: ទឹកជំនន់។ សូមចុចលេខ ១។
    menu: {digits: {1: safe}, otherwise: end}
  safe:
    acknowledge: true
    say: {en: Thank you.}
    next: end
  end: {hang_up: true}
examples:
  - {language: en, callee: ["1"], hears: [Thank you.], acknowledged: true}
"""


class Commands:
    """``scfm flow`` in processes of their own, in a folder."""

    def __init__(self, folder: Path, server: Server | None = None) -> None:
        self.folder = folder
        self.environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self.server = server

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def run(self, *arguments: str, status: int = 0) -> list[str]:
        """The lines that the command prints; it ends with STATUS."""
        ended = subprocess.run(
            [sys.executable, "-m", "scfm", "flow", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == status, ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr, ended.stderr
        return (ended.stdout + ended.stderr).splitlines()

    def publish(self, *arguments: str, status: int = 0, token: str = "") -> list[str]:
        assert self.server is not None
        given = ["--server", self.server.url, "--token", token or self.server.token]
        return self.run("publish", *arguments, *given, status=status)


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), {"PLATFORM_PROVIDER": "simulator"}) as server:
        yield server


def test_a_file_is_checked_with_the_lines_of_what_is_to_be_said(commands: Commands) -> None:
    commands.write("flood.yaml", FLOOD)
    commands.write("wrong.yaml", FLOOD.replace("{1: safe}", "{1: saef, 12: end}").replace("say: {en", "say: {fr"))
    assert commands.run("validate", "flood.yaml") == [
        'flood.yaml:13: /steps/safe/say/km: warning: is missing: who speaks "km" hears "en"',
        "flood.yaml: only a publish tells whether the account has audio:flood-en",
        "flood.yaml: nothing is wrong: 3 steps, 2 languages, 1 example",
    ]
    hidden = 'begins with the key "1", so the two hide one another: use keys that begin otherwise'
    assert commands.run("validate", "wrong.yaml", "flood.yaml", status=1)[:4] == [
        'wrong.yaml:10: /steps/warning/menu/digits/1: there is no step "saef"',
        f"wrong.yaml:10: /steps/warning/menu/digits/12: {hidden}",
        'wrong.yaml:13: /steps/safe/say/fr: is in a language that nobody hears: add "fr" to languages',
        'flood.yaml:13: /steps/safe/say/km: warning: is missing: who speaks "km" hears "en"',
    ]


def test_of_many_audio_files_some_are_named(commands: Commands) -> None:
    played = ", ".join(f"audio:flood-{number}" for number in range(7))
    commands.write("flood.yaml", FLOOD.replace("audio:flood-en", f"[{played}]"))
    listed = ", ".join(f"audio:flood-{number}" for number in range(5))
    line = f"flood.yaml: only a publish tells whether the account has {listed}, 2 others"
    assert line in commands.run("validate", "flood.yaml")
    commands.write("flood.yaml", FLOOD.replace("    play: {en: audio:flood-en}\n    or_say:", "    say:"))
    assert not any("publish" in line for line in commands.run("validate", "flood.yaml"))


def test_an_example_that_goes_otherwise_is_shown(commands: Commands) -> None:
    commands.write("flood.yaml", FLOOD.replace("acknowledged: true}", "acknowledged: false}"))
    lines = commands.run("validate", "flood.yaml", status=1)
    assert lines[1] == "flood.yaml:17: /examples/0: the call is acknowledged"
    assert "  says: Thank you." in lines


def test_files_that_cannot_be_read_do_not_keep_others_from_being_checked(commands: Commands) -> None:
    commands.write("broken.json", "{")
    commands.write("flood.yaml", FLOOD)
    lines = commands.run("validate", "broken.json", "missing.yaml", "flood.yaml", status=1)
    assert lines[0].startswith("broken.json:1: is no JSON: ")
    assert lines[1].startswith("missing.yaml cannot be read: ")
    assert lines[-1].startswith("flood.yaml: nothing is wrong")


def test_a_table_and_a_diagram_are_shown(commands: Commands) -> None:
    commands.write("flood.yaml", FLOOD)
    lines = commands.run("validate", "flood.yaml", "--table", "--diagram", "--without-audio")
    assert lines[1:5] == [
        "step     en      km",
        "warning  say     say",
        "safe     say     (say in en)",
        "         2 of 2  1 of 2",
    ]
    assert lines[5] == "flowchart TD"


def test_a_file_is_tried_in_a_call(commands: Commands) -> None:
    commands.write("flood.yaml", FLOOD)
    lines = commands.run("rehearse", "flood.yaml", "--digits", "1")
    assert "  plays: https://scfm.example/audio/flood-en.wav" in lines and "  notes: acknowledged" in lines
    lines = commands.run("rehearse", "flood.yaml", "--without-audio", "--contact", '{"language": "km"}')
    assert "  says: ទឹកជំនន់។ សូមចុចលេខ ១។" in lines and lines[-1] == "The callee hung up."
    assert "  says: Thank you." in commands.run("rehearse", "flood.yaml", "--example", "0")
    (line,) = commands.run("rehearse", "flood.yaml", "--example", "1", status=1)
    assert line == "scfm: flood.yaml: has 1 example, of which the first is 0"
    assert commands.run("rehearse", "flood.yaml", "--example", "0", "--digits", "1", status=2)


def test_a_call_through_very_many_steps_is_tried_to_its_end(commands: Commands) -> None:
    steps: dict[str, Any] = {f"s{n}": {"say": {"en": f"Part {n}."}, "next": f"s{n + 1}"} for n in range(199)}
    steps["s199"] = {"hang_up": True}
    commands.write("long.json", json.dumps({"languages": ["en"], "start": "s0", "steps": steps}))
    lines = commands.run("rehearse", "long.json")
    assert "  says: Part 198." in lines and lines[-1] == "The flow hung up."


def test_a_file_is_published_once_however_often_that_is_asked(server: Server, tmp_path: Path) -> None:
    api, commands = server.client(), Commands(tmp_path, server)
    said = FLOOD.replace("    play: {en: audio:flood-en}\n    or_say:", "    say:")
    commands.write("flood.yaml", said)
    ((flow_id, line),) = [(line.rpartition("/")[2], line) for line in commands.publish("flood.yaml")[1:]]
    assert line == f"flood: version 1 is published: /api/call_flows/{flow_id}"
    path = f"/api/call_flows/{flow_id}"
    assert commands.publish("flood.yaml")[1:] == [f"flood: version 1 is published already, as it is here: {path}"]
    commands.write("flood.yaml", said.replace("{en: Thank you.}", "{en: 'Thank you. {answers.x}'}"))
    commands.publish("flood.yaml", status=1)
    commands.write("flood.yaml", said.replace("{en: Thank you.}", "{en: Thanks.}"))
    assert 'flood.yaml:16: /examples/0: "Thank you." is not heard' in commands.publish("flood.yaml", status=1)
    assert api.get(path).json["version"] == 1
    commands.write("flood.yaml", said.replace("{en: Thank you.}", "{en: Well done. Thank you.}"))
    assert commands.publish("flood.yaml")[1:] == [f"flood: version 2 is published: {path}"]
    flow: Any = api.get(path).json
    assert (flow["name"], flow["status"], flow["version"]) == ("flood", "published", 2)
    assert flow["definition"]["steps"]["safe"]["say"] == {"en": "Well done. Thank you."}
    commands.publish("flood.yaml", "--name", "flood-2")
    assert [one["name"] for one in api.get("/api/call_flows").json] == ["flood", "flood-2"]


def test_what_a_server_refuses_is_told(server: Server, tmp_path: Path) -> None:
    commands = Commands(tmp_path, server)
    commands.write("flood.yaml", FLOOD.replace("say: {en", "say: {km: x, en"))
    (line,) = commands.publish("flood.yaml", "--name", "no name", status=2)
    assert line.startswith("scfm flow: the server refuses it (422): name: is invalid")
    (line,) = commands.publish("flood.yaml", token="0" * 64, status=2)
    assert line.startswith("scfm flow: the server refuses the token")
    nowhere = ["--server", "http://127.0.0.1:1", "--token", "x", "--patience", "0"]
    (line,) = commands.run("publish", "flood.yaml", *nowhere, status=3)
    assert line.startswith("scfm flow: http://127.0.0.1:1 cannot be reached")


def test_all_examples_can_be_published_where_nothing_is_recorded_yet(server: Server, tmp_path: Path) -> None:
    api, commands = server.client(), Commands(tmp_path, server)
    (line,) = commands.publish(str(EXAMPLES / "escalation.yaml"), status=2)
    assert "definition: /steps/officer/dial: may not be dialled" in line
    assert api.patch("/api/account", json={"dial_allow_list": ["+85512000119"]}).status == 204
    for path in sorted([*EXAMPLES.glob("*.yaml"), *EXAMPLES.glob("*.json")]):
        assert commands.publish(str(path))[-1].startswith(f"{path.stem}: version 1 is published: ")
    published = {flow["name"]: flow for flow in api.get("/api/call_flows").json}
    assert published["drill"]["definition"] == json.loads((EXAMPLES / "drill.json").read_text())
