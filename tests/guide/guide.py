"""The guide as data: the requests that it prints, in order, each with the answer that it prints."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).with_name("GETTING_STARTED.md")
HOST = "somleng-scfm:3000"

REQUEST = re.compile(
    r"    \$ docker-compose run --rm -e ACCESS_TOKEN=\$ACCESS_TOKEN curl /bin/sh -c '(curl .+?)(?: \| jq)?'"
)
RESTART = re.compile(
    r"    \$ docker-compose run -it --rm ((?:-e \S+ )+)somleng-scfm /bin/bash -c 'bundle exec rails s'"
)
FENCE = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)


@dataclass(frozen=True)
class Restart:
    """The server is started again with other settings."""

    line: int
    settings: dict[str, str]


@dataclass(frozen=True)
class Request:
    """One curl command, and what the guide prints below it: a status line, headers and JSON, each where it does."""

    line: int
    command: str
    status: str | None
    headers: tuple[tuple[str, str], ...]
    answer: Any

    @property
    def method(self) -> str:
        if named := re.search(r"-X ?([A-Z]+)", self.command):
            return named[1]
        return "POST" if re.search(r" (-d|--data\S*) ", self.command) else "GET"

    @property
    def path(self) -> str:
        found = re.search(rf"http://{HOST}(/[^\s\"]*)", self.command)
        assert found, self.command
        return found[1].partition("?")[0]

    def __str__(self) -> str:
        return f"line {self.line}: {self.method} {self.path}"


Step = Request | Restart


@dataclass(frozen=True)
class Misprint:
    """A part of one line of the guide that says something else than is meant.

    ``refused`` is what the server answers to a command as printed.
    """

    line: int
    printed: str
    meant: str
    reason: str
    refused: int | None = None

    def amend(self, lines: list[str]) -> None:
        assert lines[self.line - 1].count(self.printed) == 1, f"not the guide's text: {self}"
        lines[self.line - 1] = lines[self.line - 1].replace(self.printed, self.meant)

    def correct(self, answer: Any) -> None:
        """Nothing: the text is already right."""


@dataclass(frozen=True)
class Misplaced:
    """Lines of the guide, ``line`` to ``last``, that belong below line ``below``."""

    line: int
    last: int
    below: int
    reason: str

    def amend(self, lines: list[str]) -> None:
        moved = lines[self.line - 1 : self.last]
        lines[self.below - 1] += "\n\n" + "\n".join(moved) + "\n"
        lines[self.line - 1 : self.last] = [""] * len(moved)

    def correct(self, answer: Any) -> None:
        """Nothing: the text is already right."""


@dataclass(frozen=True)
class Contradiction:
    """A value at ``where`` in the JSON below the command of ``line`` that the guide's earlier steps rule out."""

    line: int
    where: tuple[str | int, ...]
    meant: Any
    reason: str

    def amend(self, lines: list[str]) -> None:
        """Nothing: the text is right, a value in its JSON is not."""

    def correct(self, answer: Any) -> None:
        *parents, last = self.where
        for step in parents:
            answer = answer[step]
        assert isinstance(last, int) or last in answer, f"not in the guide's JSON: {self}"
        answer[last] = self.meant


Erratum = Misprint | Misplaced | Contradiction


def read(errata: Iterable[Erratum]) -> list[Step]:
    """The steps of the guide, with these errata amended. ValueError for JSON that is none."""
    errata = list(errata)
    lines = GUIDE.read_text().splitlines()
    for erratum in errata:
        erratum.amend(lines)
    starts = [number for number, line in enumerate(lines, 1) if line.startswith("    $ ")]
    ends = [*(start - 1 for start in starts[1:]), len(lines)]
    return [_step(start, lines[start - 1 : end], errata) for start, end in zip(starts, ends, strict=True)]


def _step(line: int, lines: Sequence[str], errata: Iterable[Erratum]) -> Step:
    command, _, below = "\n".join([*lines, ""]).partition("\n")
    if restart := RESTART.fullmatch(command):
        return Restart(line, dict(setting.split("=", 1) for setting in re.findall(r"-e (\S+)", restart[1])))
    request = REQUEST.fullmatch(command)
    assert request, f"line {line} of the guide is no command that the replay knows: {command}"
    status, headers = _head(below)
    answer = _answer(below)
    for erratum in errata:
        if erratum.line == line:
            erratum.correct(answer)
    return Request(line, request[1], status, headers, answer)


def _blocks(text: str) -> list[str]:
    """What is printed between two commands: fenced, or indented."""
    indented = [textwrap.dedent(run) for run in INDENTED.findall(FENCE.sub("", text))]
    return [*FENCE.findall(text), *indented]


def _head(text: str) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    lines = [line[2:] for block in _blocks(text) for line in block.splitlines() if line.startswith("< ")]
    statuses = [line.removeprefix("HTTP/1.1 ") for line in lines if line.startswith("HTTP/1.1 ")]
    headers = [line.partition(": ") for line in lines if not line.startswith("HTTP/1.1 ")]
    assert len(statuses) <= 1
    return (statuses[0] if statuses else None), tuple((name, value) for name, _, value in headers)


def _answer(text: str) -> Any:
    printed = [block for block in _blocks(text) if block.startswith(("{", "["))]
    assert len(printed) <= 1
    return json.loads(printed[0]) if printed else None
