"""A call flow of a file on trial, without a server: its checks, and its examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from scfm.cli.flow.flow_file import FlowFile
from scfm.twiml.definition import Definition, Example, audio_names
from scfm.twiml.definition_checks import Findings, check_definition
from scfm.twiml.definition_examples import CheckedExamples, check_examples
from scfm.twiml.definition_flow import DefinitionFlow, definition_flow
from scfm.twiml.definition_paths import CheckedPaths, check_paths
from scfm.twiml.flow import FlowSettings


class FlowTrial:
    """What is to be said of the flow in FILE, as if all audio files that it names were there, or none of them.

    ``findings`` are errors and warnings. Only a definition without errors has a ``flow``.
    """

    def __init__(self, file: FlowFile, settings: FlowSettings, *, audio: bool = True) -> None:
        self.file = file
        self.findings: Findings = check_definition(file.definition)
        self._settings = settings
        self._audio = audio

    @property
    def definition(self) -> Definition:
        """What the file holds, which has no errors."""
        found: Definition = self.file.definition
        return found

    @property
    def settings(self) -> FlowSettings:
        """Those of an account that lets the flow dial whom it dials."""
        numbers = [step["dial"] for step in self.definition["steps"].values() if "dial" in step]
        return replace(self._settings, dial_allow_list=numbers)

    @property
    def listed_examples(self) -> Sequence[Example]:
        """The examples of the definition."""
        return self.definition.get("examples", ())

    def flow(self) -> type[DefinitionFlow]:
        """The class that the calls of a version would have."""
        audio = {name: f"/audio/{quote(name, safe='')}.wav" for name in audio_names(self.definition)}
        return definition_flow(self.file.name, self.definition, 1, audio if self._audio else {})

    def examples(self) -> CheckedExamples:
        """What is wrong with the examples."""
        return check_examples(self.flow(), self.settings)

    def paths(self) -> CheckedPaths:
        """What is wrong on the ways that a call may go."""
        return check_paths(self.flow(), self.settings)
