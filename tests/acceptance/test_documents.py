"""The documents keep their promises: links lead somewhere, commands exist, requests get the answers shown."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from scfm.__main__ import main
from scfm.models.plan_check import read_plan
from scfm.schemas import schema
from scfm.settings import TOKEN_VARIABLE, Settings
from tests.server import Server

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATIENCE_SECONDS = 60.0
REQUEST_SECONDS = 120.0
HERE = "localhost:3000"

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


class Block(NamedTuple):
    """A fenced block: its language and its text."""

    language: str
    text: str


def blocks(document: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(document.read_text(encoding="utf-8"))]


def commands(document: Path) -> list[str]:
    """The lines of the document's shell blocks, and what is set as code in its text, without comments."""
    text = document.read_text(encoding="utf-8")
    shell = [line for block in blocks(document) if block.language == "sh" for line in block.text.splitlines()]
    quoted = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    return [command.partition(" #")[0].strip() for command in [*shell, *quoted]]


def anchor(heading: str) -> str:
    """The anchor that a heading gets: words in lower case, joined by hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def anchors(document: Path) -> set[str]:
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


# Links and commands


@each_document
def test_every_link_to_this_project_leads_somewhere(document: Path) -> None:
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        path, _, fragment = link.partition("#")
        if "://" in link:
            continue
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


def test_the_index_lists_every_document_and_every_decision_with_its_date() -> None:
    index = ROOT / "docs" / "README.md"
    listed = index.read_text(encoding="utf-8")
    for document in sorted((ROOT / "docs").rglob("*.md")):
        if document != index:
            assert f"({document.relative_to(index.parent)})" in listed, document
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert len(decisions) > 10
    for decision in decisions:
        title, _, dated = decision.read_text(encoding="utf-8").splitlines()[:3]
        date = re.match(r"Date: (\d{4}-\d\d-\d\d)\b.*Status: \w", dated)
        assert date, f"{decision.name} begins without its date and status"
        row = f"| {decision.name[:4]} | [{title.removeprefix('# ')}](decisions/{decision.name}) | {date[1]} |"
        assert row in listed, row


@each_document
def test_a_table_of_contents_lists_every_section_in_order(document: Path) -> None:
    head, *rest = re.split(r"^(?=## )", FENCE.sub("", document.read_text(encoding="utf-8")), flags=re.MULTILINE)
    listed = re.findall(r"^- \[.+\]\(#(.+)\)$", head, re.MULTILINE)
    if not listed:
        return
    headings = [anchor(heading) for heading in re.findall(r"^##+ (.+)$", "".join(rest), re.MULTILINE)]
    assert listed == [heading for heading in headings if heading in listed]
    sections = {anchor(heading) for heading in re.findall(r"^## (.+)$", "".join(rest), re.MULTILINE)}
    assert sections <= {link.removeprefix("#") for link in LINK.findall(head)}


def test_every_test_that_security_names_exists() -> None:
    named = set(re.findall(r"tests/[a-z_/]+[.]py", (ROOT / "docs" / "security.md").read_text()))
    assert len(named) > 20
    assert [test for test in sorted(named) if not (ROOT / test).is_file()] == []


def test_architecture_names_what_stands_in_the_files() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("### Where it happens\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| .+ \| `([\w/]+\.py)` \| `([\w.]+)` \|$", section, re.MULTILINE)
    assert len(rows) > 10
    for file, name in rows:
        assert name in definitions(ROOT / "scfm" / file), f"{name} in {file}"


def definitions(path: Path) -> set[str]:
    """The functions and classes of a file, and the methods of its classes: ``Class.method``."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}.{method.name}" for method in methods}
    return found


@each_document
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for command in commands(document) for target in re.findall(r"\bmake ([a-z]+)", command)}
    assert named <= targets


@each_document
def test_every_scfm_command_that_is_named_exists_with_its_options(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in commands(document):
        called = re.fullmatch(r"(?:[A-Z_]+=\S+ )*scfm ([a-z-]+)(.*)", command)
        if called is None:
            continue
        with pytest.raises(SystemExit) as ended:
            main([called[1], "--help"])
        assert ended.value.code == 0, command
        known = capsys.readouterr().out
        for option in re.findall(r"--[a-z-]+", called[2]):
            assert option in known, command


# Settings


def test_the_settings_are_listed_in_order_each_with_its_default() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    defaults = configparser.ConfigParser(interpolation=None)
    defaults.read(ROOT / "config" / "default.ini")
    sections = re.findall(r"^\| `\[(\w+)\]`.*\n.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    row = re.compile(r"^\| `(\w+)` \| (?:`(.*?)` )?\|", re.MULTILINE)
    listed = [(section, *found) for section, rows in sections for found in row.findall(rows)]
    wanted = [
        (section := one.metadata["section"], one.metadata["env"], defaults[section][one.name])
        for one in fields(Settings)
    ]
    assert listed == wanted


@each_document
def test_every_variable_that_is_set_in_a_command_is_a_setting(document: Path) -> None:
    of_make = set(re.findall(r"\$\(([A-Z_]+)\)", (ROOT / "Makefile").read_text()))
    known = {one.metadata["env"] for one in fields(Settings)} | of_make | {"ACCESS_TOKEN", "CI", TOKEN_VARIABLE}
    shell = "\n".join(commands(document))
    # Those of OpenTelemetry are its own.
    assert set(re.findall(r"(?:^|\s)(?!OTEL_)([A-Z][A-Z_]+)=", shell)) <= known


# Plans


def test_the_table_of_a_plan_has_every_key_with_its_default() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8").partition("## What a plan may say\n")[2]
    listed = re.findall(r"^\| `([\w.]+)` \| (?:`(.*?)` )?\|", text, re.MULTILINE)
    keys = schema("plan")["properties"]
    of_retry = {f"retry.{name}": one for name, one in keys["retry"]["properties"].items()}
    wanted = {name: one for name, one in (keys | of_retry).items() if name != "retry"}
    assert {name: json.loads(default) if default else None for name, default in listed} == {
        name: one.get("default") for name, one in wanted.items()
    }


async def test_the_plan_in_a_file_is_right() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8").partition("## From a terminal\n")[2]
    plan = json.loads(FENCE.findall(text)[0][1])
    assert await read_plan(plan, None, form=False) is not None


# Requests


class Step(NamedTuple):
    """A shell block of requests, and the answer that is shown below it, if one is."""

    script: str
    answer: Any

    @property
    def last(self) -> str:
        """The last request of the block."""
        return "curl " + self.script.rpartition("curl ")[2]


def steps(document: Path) -> list[Step]:
    found = []
    shown = blocks(document)
    for block, below in zip(shown, [*shown[1:], Block("", "")], strict=True):
        if block.language == "sh" and block.text.startswith("curl "):
            found.append(Step(block.text, json.loads(below.text) if below.language == "json" else None))
    return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    registered = "CallFlowLogic::AvfCapom::CapomShort"
    with Server(tmp_path, {"PLATFORM_PROVIDER": "simulator", "REGISTERED_CALL_FLOW_LOGIC": registered}) as server:
        yield server


@pytest.mark.skipif(shutil.which("curl") is None, reason="the documents' requests are made with curl")
@pytest.mark.parametrize("name", ["README.md", "docs/getting-started.md", "docs/alerts.md"])
def test_the_requests_get_the_answers_that_are_shown(name: str, server: Server) -> None:
    walked = steps(ROOT / name)
    assert walked
    for step in walked:
        assert_answered(step, server)


def assert_answered(step: Step, server: Server) -> None:
    """Run the block; what the background still works on is asked for again until it is as shown."""
    here = f"127.0.0.1:{server.port}"
    answer = run(step.script.replace(HERE, here), server.token)
    wanted = json.loads(json.dumps(step.answer).replace(HERE, here))
    reads_only = not re.search(r" (-d|-X|--data\S*) ", step.last)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while reads_only and not shows(answer, wanted) and time.monotonic() < deadline:
        answer = run(step.last.replace(HERE, here), server.token)
    assert shows(answer, wanted), f"{step.script}\nshown: {wanted}\nanswered: {answer}"


def run(script: str, token: str) -> Any:
    """What the last request of the script answered; each must succeed, but the last may be a refusal.

    Of JSON lines it is the last.
    """
    quiet = 'curl() { command curl -q --silent --show-error --max-time 10 --write-out "\\n" "$@"; }\n'
    done = subprocess.run(
        ["bash", "-e", "-c", quiet + script],
        env={"PATH": os.environ["PATH"], "ACCESS_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=REQUEST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, script + done.stderr
    ending = "\n\n" if "format=jsonl" in script else "\n"
    *before, last = [json.loads(line) if line else None for line in done.stdout.removesuffix(ending).split("\n")]
    assert not any("error" in one or "errors" in one for one in before if isinstance(one, dict)), (script, before)
    return last


def shows(answer: Any, shown: Any) -> bool:
    """Whether the answer has what is shown; nothing shown goes with any answer that is no refusal."""
    if shown is None:
        return not (isinstance(answer, dict) and {"error", "errors"} & set(answer))
    if isinstance(shown, dict) and shown:
        return isinstance(answer, dict) and all(
            key in answer and (answer[key] is None if value is None else shows(answer[key], value))
            for key, value in shown.items()
        )
    if isinstance(shown, list):
        pairs = zip(answer, shown, strict=False)
        return isinstance(answer, list) and len(answer) == len(shown) and all(shows(*pair) for pair in pairs)
    if isinstance(shown, str) and "…" in shown:
        return isinstance(answer, str) and prints(answer, shown)
    return type(answer) is type(shown) and bool(answer == shown)


def prints(printed: str, shown: str) -> bool:
    """Whether the text is as it is shown, where ``…`` is anything within a line, and alone in a line any lines.

    How wide the blanks are does not count.
    """
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    wanted = "".join("(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in lines)
    return re.fullmatch(wanted, "".join(" ".join(line.split()) + "\n" for line in printed.splitlines())) is not None
