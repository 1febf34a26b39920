"""Which flows may be used: those built in, and a user's own classes, by Python path."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scfm.errors import StartError
from scfm.twiml.application import Application, Unregistered
from scfm.twiml.avf_capom import CapomLong, CapomShort
from scfm.twiml.flow import Flow
from scfm.twiml.message import Message

BUILT_IN: Mapping[str, type[Flow]] = {flow.name: flow for flow in (Application, Message, CapomShort, CapomLong)}


@dataclass(frozen=True)
class Registry:
    """The flows that a client may name in ``call_flow_logic``, and the one of a call that names none."""

    flows: Mapping[str, type[Flow]]
    default: type[Flow] = Application

    @classmethod
    def from_setting(cls, value: str, default: str = "") -> Registry:
        """The registry of REGISTERED_CALL_FLOW_LOGIC (VALUE, a comma list) and DEFAULT_CALL_FLOW_LOGIC.

        Application, Message and the default are always registered. DEFAULT is one of the names, or anything that
        VALUE may hold. Raises StartError for what cannot be found.
        """
        flows = _by_name([Application, Message, *(find_flow(item) for item in value.split(",") if item.strip())])
        chosen = flows.get(default.strip() or Application.name) or find_flow(default, "DEFAULT_CALL_FLOW_LOGIC")
        return cls(_by_name([*flows.values(), chosen]), chosen)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that ``call_flow_logic`` may have, in the order they were registered."""
        return tuple(self.flows)

    def get(self, name: str | None) -> type[Flow]:
        """The flow called NAME; the default for None.

        For a name that is no longer registered it is a flow that fails: the caller must hear an apology
        rather than words meant for somebody else.
        """
        if not name:
            return self.default
        return self.flows.get(name, Unregistered)


def find_flow(name: str, setting: str = "REGISTERED_CALL_FLOW_LOGIC") -> type[Flow]:
    """The flow that is built in as NAME, or the class at the Python path NAME (``flood.flows:FloodWarning``).

    Modules are looked for on the Python path and in the current folder. Raises StartError, naming SETTING.
    """
    name = name.strip()
    if name in BUILT_IN:
        return BUILT_IN[name]
    module, colon, path = name.partition(":")
    # A name like CallFlowLogic::Other has colons, but is no Python path.
    if not colon or path.startswith(":"):
        raise StartError(
            f"{setting}: there is no flow {name!r}; use one of {', '.join(BUILT_IN)}, "
            f"or the path of your own class, such as flood.flows:FloodWarning"
        )
    return _checked(_class_at(module, path, setting), name, setting)


def _by_name(flows: Iterable[type[Flow]]) -> dict[str, type[Flow]]:
    named: dict[str, type[Flow]] = {}
    for flow in flows:
        if named.setdefault(flow.name, flow) is not flow:
            raise StartError(
                f"REGISTERED_CALL_FLOW_LOGIC: two flows are named {flow.name}: {_path(named[flow.name])} "
                f"and {_path(flow)}; give one of them another name"
            )
    return named


def _class_at(module: str, path: str, setting: str) -> object:
    found = _imported(module, f"{setting}: {module}:{path}")
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise StartError(f"{setting}: {module}:{path} cannot be found: {module} has no {path}")
        found = getattr(found, attribute)
    return found


def _imported(module: str, where: str) -> object:
    # An installed command, unlike `python -m`, does not look in the folder it is started in. Last: what lies
    # there must not hide an installed package.
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise StartError(
            f"{where} cannot be found: no module {error.name!r} here or on the Python path; "
            f"start in its folder or set PYTHONPATH"
        ) from error
    except Exception as error:
        reason = " ".join(str(error).split())
        raise StartError(f"{where} cannot be imported: {type(error).__name__}: {reason}") from error


def _checked(found: object, name: str, setting: str) -> type[Flow]:
    if not (inspect.isclass(found) and issubclass(found, Flow)):
        raise StartError(f"{setting}: {name} is not a flow; make it a class that extends scfm.twiml.flow.Flow")
    if inspect.isabstract(found):
        raise StartError(f"{setting}: {name} has no run method; add one that returns a VoiceResponse")
    if found.name == _path(found) != name:
        raise StartError(f"{setting}: {name} is {found.name}; write that, or give the class a name")
    return found


def _path(flow: type[Flow]) -> str:
    return f"{flow.__module__}:{flow.__qualname__}"
