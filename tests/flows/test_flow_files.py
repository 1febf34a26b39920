"""Call flows that are files: what YAML and JSON mean in them, and on which line something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scfm.cli.flow.flow_file import MAX_FLOW_FILE_BYTES, read_flow_file
from scfm.cli.flow.yaml_reader import YamlError, read_yaml
from scfm.errors import StartError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: -2.5\nc: 1e3", {"a": 1, "b": -2.5, "c": 1000.0}),
        ("a: true\nb: false\nc: null\nd: ~\ne:", {"a": True, "b": False, "c": None, "d": None, "e": None}),
        ("[yes, no, on, off, True, NULL]", ["yes", "no", "on", "off", "True", "NULL"]),
        ("[012, 0x1F, 1_000, 12:30, 2026-11-29]", ["012", "0x1F", "1_000", "12:30", "2026-11-29"]),
        ("[.5, .inf, +1]", [".5", ".inf", "+1"]),
        ("['1', \"true\", 'null', \"\"]", ["1", "true", "null", ""]),
        ("{1: safe, 12: help, '*': s}", {"1": "safe", "12": "help", "*": "s"}),
        ("{no: x, true: y, null: z}", {"no": "x", "true": "y", "null": "z"}),
        ("a: &keys {1: x}\nb: *keys", {"a": {"1": "x"}, "b": {"1": "x"}}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("a: |\n  one\n  two\nb: >-\n  one\n  two\n", {"a": "one\ntwo\n", "b": "one two"}),
        ("a: !!str 1\nb: ទឹក", {"a": 1, "b": "ទឹក"}),
        ("", None),
        ("# nothing", None),
    ],
)
def test_yaml_means_what_one_reads(text: str, value: Any) -> None:
    assert read_yaml(text)[0] == value


def test_every_part_has_its_line() -> None:
    text = "# a comment\nsteps:\n  a/b:\n    say: {en: Hello, km: x}\n    list:\n      - 1\n\n      -\n        2\n"
    assert read_yaml(text)[1] == {
        "": 2,
        "/steps": 2,
        "/steps/a~1b": 3,
        "/steps/a~1b/say": 4,
        "/steps/a~1b/say/en": 4,
        "/steps/a~1b/say/km": 4,
        "/steps/a~1b/list": 5,
        "/steps/a~1b/list/0": 6,
        "/steps/a~1b/list/1": 9,
    }


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\n\na: 2", 3, '"a" stands twice in an object'),
        ("a:\n\t- x", 2, "is no YAML: found character '\\t' that cannot start any token"),
        ("a: [x\nb: y", 2, "is no YAML: "),
        ("a: 1\n--- \nb: 2", 2, "is no YAML: but found another document"),
        ("? [a]\n: b", 1, "a key must be a text"),
        (
            "a: !!python/object/apply:os.system [x]",
            1,
            "the tag tag:yaml.org,2002:python/object/apply:os.system is not",
        ),
        ("a: !Ref x", 1, "the tag !Ref is not known: write the value without it"),
        ("a: &a [*a]", 1, "has more than 50 levels"),
        ("[" * 60, 1, "is no YAML"),
        ("[" * 5000, 1, "has more than 50 levels"),
        (BOMB, 1, "has more than 100,000 values"),
        ("a: *b", 1, "is no YAML: found undefined alias 'b'"),
        ("a: 1e400", 1, "1e400 is too large a number"),
        ("a: \x01", 1, "is no YAML: "),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(YamlError) as raised:
        read_yaml(text)
    assert raised.value.line == line
    assert str(raised.value).startswith(message)


def test_a_file_is_json_or_yaml_by_its_ending(tmp_path: Path) -> None:
    for name, text in (
        ("a.json", '{"start":\t"x"}'),
        ("a.yaml", "start: x"),
        ("a.yml", "start: 'x'"),
        ("flow", "{start: x}"),
    ):
        path = tmp_path / name
        path.write_text(text)
        assert read_flow_file(path).definition == {"start": "x"}
    assert read_flow_file(tmp_path / "a.json").name == "a"
    (tmp_path / "mark.json").write_bytes(b"\xef\xbb\xbf{}")
    assert read_flow_file(tmp_path / "mark.json").definition == {}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'{"a": 1,\n "a": 2}', 'a.json: is no JSON: "a" stands twice in an object'),
        ("a.json", b'{"a": 1,\n}', "a.json:2: is no JSON: "),
        ("a.json", b'{"a": NaN}', "a.json: is no JSON: NaN"),
        ("a.json", b"[" * 100_000, "a.json: is no JSON: "),
        ("a.yaml", b"a: [", "a.yaml:1: is no YAML: "),
        ("a.yaml", b"\xff\xfe", "a.yaml cannot be read: "),
        ("a.yaml", b"#" * (MAX_FLOW_FILE_BYTES + 1), "a.yaml: is larger than 1,048,576 bytes, and so no call flow"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_a_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StartError) as raised:
        read_flow_file(path)
    assert str(raised.value).removeprefix(f"{tmp_path}/").startswith(message)
    assert "\n" not in str(raised.value)
    with pytest.raises(StartError, match="cannot be read: "):
        read_flow_file(tmp_path / "missing.yaml")


def test_a_finding_is_placed_on_the_line_of_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "flood.yaml"
    path.write_text("start: a\nsteps:\n  a:\n    menu: {digits: {1: b}}\n")
    file = read_flow_file(path)
    assert (
        file.placed('/steps/a/menu/digits/1: there is no step "b"')
        == f'{path}:4: /steps/a/menu/digits/1: there is no step "b"'
    )
    assert file.placed("/steps/a/menu/repeat/x: y") == f"{path}:4: /steps/a/menu/repeat/x: y"
    assert file.placed("/languages: can't be blank") == f"{path}:1: /languages: can't be blank"
    assert file.placed(": must be an object") == f"{path}:1: must be an object"
