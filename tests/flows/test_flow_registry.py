"""Which flows may be used, and what is said about one that cannot be found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scfm.errors import StartError
from scfm.twiml.application import Application, Unregistered
from scfm.twiml.avf_capom import CapomLong, CapomShort
from scfm.twiml.flow import CallView, ContactView, Turn, apology, render
from scfm.twiml.registry import Registry, find_flow

SHORT, LONG = "CallFlowLogic::AvfCapom::CapomShort", "CallFlowLogic::AvfCapom::CapomLong"

MODULE = """
from scfm.twiml.flow import Flow
from scfm.twiml.avf_capom import CapomShort

class Named(Flow):
    name = "Named"
    def run(self):
        return "<Response/>"

class Unnamed(Named):
    pass

class Outer:
    class Inner(Named):
        pass

class Twin(Named):
    name = "Named"

class Unfinished(Flow):
    pass

class Short(CapomShort):
    pass

answer = 42
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a user's flows, which is the current one."""
    (tmp_path / "village").mkdir()
    (tmp_path / "village" / "__init__.py").write_text("from village.flows import Unnamed as Again")
    (tmp_path / "village" / "flows.py").write_text(MODULE)
    (tmp_path / "village" / "broken.py").write_text("1 / 0")
    (tmp_path / "village" / "needy.py").write_text("import no_such_package")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "village"]:
        del sys.modules[name]


def refusal(value: str, default: str = "") -> str:
    """The one line with which a start is refused."""
    with pytest.raises(StartError) as refused:
        Registry.from_setting(value, default)
    text = str(refused.value)
    assert "\n" not in text
    return text


def test_without_settings_there_is_the_application_alone() -> None:
    registry = Registry.from_setting("")
    assert registry.names == ("CallFlowLogic::Application", "CallFlowLogic::Message")
    assert registry.default is Application
    assert registry.get(None) is Application


def test_a_list_of_names_registers_them_in_its_order() -> None:
    registry = Registry.from_setting(f" {LONG} ,, {SHORT},{LONG}, ")
    assert registry.names == ("CallFlowLogic::Application", "CallFlowLogic::Message", LONG, SHORT)
    assert registry.get(SHORT) is CapomShort
    assert registry.get(LONG) is CapomLong


def test_the_default_is_registered_too() -> None:
    registry = Registry.from_setting("", f" {SHORT} ")
    assert registry.names == ("CallFlowLogic::Application", "CallFlowLogic::Message", SHORT)
    assert registry.default is registry.get(None) is CapomShort


def test_the_default_may_be_the_name_or_the_path_of_ones_own_class() -> None:
    by_name = Registry.from_setting("village.flows:Named", "Named")
    by_path = Registry.from_setting("", "village.flows:Named")
    assert by_name.default.name == by_path.default.name == "Named"
    assert by_name.names == by_path.names


def test_a_class_in_the_current_folder_is_found_by_its_path_and_addressed_by_its_name() -> None:
    registry = Registry.from_setting("village.flows:Named")
    assert registry.names == ("CallFlowLogic::Application", "CallFlowLogic::Message", "Named")
    assert registry.get("Named").__module__ == "village.flows"


@pytest.mark.parametrize("path", ["village.flows:Unnamed", "village.flows:Outer.Inner", "village.flows:Short"])
def test_a_class_without_a_name_of_its_own_is_addressed_by_its_path(path: str) -> None:
    registry = Registry.from_setting(path)
    assert registry.names == ("CallFlowLogic::Application", "CallFlowLogic::Message", path)
    assert registry.get(path).name == path


def test_a_flow_that_is_no_longer_registered_apologises() -> None:
    flow = Registry.from_setting("").get(SHORT)
    assert flow is Unregistered
    turn = Turn(1, "https://a.example", {}, CallView(1, "+855", "inbound"), ContactView(1, "+855"))
    assert render(flow, turn) == apology()


@pytest.mark.parametrize("name", ["CapomShort", "CallFlowLogic::AvfCapom::Capom", "CallFlowLogic::Other", "x.y"])
def test_a_name_that_is_not_built_in_stops_the_start(name: str) -> None:
    assert refusal(f"{SHORT},{name}") == (
        f"REGISTERED_CALL_FLOW_LOGIC: there is no flow {name!r}; use one of CallFlowLogic::Application, "
        f"CallFlowLogic::Message, {SHORT}, "
        f"{LONG}, or the path of your own class, such as flood.flows:FloodWarning"
    )


def test_a_default_that_cannot_be_found_stops_the_start_and_is_named() -> None:
    assert refusal("", "Named").startswith("DEFAULT_CALL_FLOW_LOGIC: there is no flow 'Named'; use one of ")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("flood.flows:A", "cannot be found: no module 'flood' here or on the Python path; "),
        ("village.floods:A", "cannot be found: no module 'village.floods' here or on the Python path; "),
        ("village.needy:A", "cannot be found: no module 'no_such_package' here or on the Python path; "),
        ("village.broken:A", "cannot be imported: ZeroDivisionError: division by zero"),
        ("village.flows:Absent", "cannot be found: village.flows has no Absent"),
        ("village.flows:", "cannot be found: village.flows has no "),
        (":Named", "cannot be imported: ValueError: Empty module name"),
        ("village.flows:answer", "is not a flow; make it a class that extends scfm.twiml.flow.Flow"),
        ("village.flows:Outer", "is not a flow; make it a class that extends scfm.twiml.flow.Flow"),
        ("village.flows:Unfinished", "has no run method; add one that returns a VoiceResponse"),
        ("village:Again", "is village.flows:Unnamed; write that, or give the class a name"),
    ],
)
def test_a_path_that_leads_to_no_flow_stops_the_start_and_says_why(path: str, words: str) -> None:
    assert refusal(path).startswith(f"REGISTERED_CALL_FLOW_LOGIC: {path} {words}")


def test_two_flows_of_one_name_stop_the_start() -> None:
    assert refusal("village.flows:Named,village.flows:Twin") == (
        "REGISTERED_CALL_FLOW_LOGIC: two flows are named Named: village.flows:Named and village.flows:Twin; "
        "give one of them another name"
    )


def test_a_flow_that_is_built_in_is_found_without_registration() -> None:
    assert find_flow(SHORT) is CapomShort
