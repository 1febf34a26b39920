"""The way without Python, as docs/writing-a-flow.md shows it: its definition is right, its commands make an alert."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scfm.cli.flow.flow_file import read_flow_file
from scfm.cli.flow.flow_trial import FlowTrial
from scfm.twiml.definition import audio_names
from scfm.twiml.definition_checks import Findings
from scfm.twiml.flow import FlowSettings
from tests.acceptance.test_documents import FENCE, HERE, PATIENCE_SECONDS, ROOT, shows
from tests.server import Server
from tests.sounds import sound

GUIDE = (ROOT / "docs" / "writing-a-flow.md").read_text(encoding="utf-8")
COMMANDS = GUIDE.partition("### An alert with recordings, in ten commands\n")[2].partition("\n### ")[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Has the definition that the guide shows, and its recordings."""
    (definition,) = [text for language, text in FENCE.findall(GUIDE) if language == "yaml"]
    (tmp_path / "flood.yaml").write_text(definition, encoding="utf-8")
    for name in audio_names(read_flow_file(tmp_path / "flood.yaml").definition):
        (tmp_path / f"{name}.wav").write_bytes(sound())
    return tmp_path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "data", {"PLATFORM_PROVIDER": "simulator"}) as server:
        yield server


def test_the_definition_of_the_guide_is_right(folder: Path) -> None:
    trial = FlowTrial(read_flow_file(folder / "flood.yaml"), FlowSettings())
    assert trial.findings == Findings()
    assert trial.examples().errors == trial.paths().errors == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="the requests are made with curl")
def test_ten_commands_make_an_alert_with_recordings(folder: Path, server: Server) -> None:
    shown = FENCE.findall(COMMANDS)
    scripts = [text for language, text in shown if language == "sh"]
    lines = [line for text in scripts for line in text.splitlines()]
    assert sum(line.startswith(("curl ", "for ", "scfm ", "SCFM_TOKEN=")) for line in lines) == 10
    for (language, text), (following, answer) in zip(shown, [*shown[1:], ("", "")], strict=True):
        if language == "sh":
            check(text, json.loads(answer) if following == "json" else None, folder, server)


def check(script: str, wanted: object, folder: Path, server: Server) -> None:
    """Run a block of commands, which must succeed; one that only reads, until its answer is as WANTED."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    answer = run(script, folder, server)
    while wanted is not None and not shows(json.loads(answer), wanted):
        reads_only = not any(option in script for option in (" -d ", " -X ", " -F ", " --data"))
        assert (reads_only or " -G " in script) and time.monotonic() < deadline, (script, wanted, answer)
        answer = run(script, folder, server)


def run(script: str, folder: Path, server: Server) -> str:
    commands = (
        f'curl() {{ command curl -q -sS --fail-with-body "$@"; }}\nscfm() {{ {sys.executable} -m scfm "$@"; }}\n'
    )
    here = script.replace(HERE, f"127.0.0.1:{server.port}")
    for command in ("flow publish ", "audio add "):
        here = here.replace(command, f"{command}--server {server.url} ")
    done = subprocess.run(
        ["bash", "-e", "-c", commands + here],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "ACCESS_TOKEN": server.token},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, script + done.stdout + done.stderr
    return done.stdout
