"""The steps of a definition as a graph: which step leads to which, what is never reached, where a call goes round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from scfm.schemas import InstancePath
from scfm.twiml.definition import FlowStep


@dataclass(frozen=True)
class Arrow:
    """One way from a step to the next.

    ``path``: where in the definition the target is named. ``silent``: the call goes this way if the person does
    nothing. ``label``: for whom the way is, in words; nothing where there is no other.
    """

    path: InstancePath
    target: str
    silent: bool
    label: str = ""

    @property
    def source(self) -> str:
        """The step from which it leads."""
        return str(self.path[1])


def arrows(name: str, step: FlowStep) -> list[Arrow]:
    """The ways that lead from the step NAME, in the order of the definition."""
    if "menu" in step:
        menu = step["menu"]
        chosen = [_arrow(name, target, key, "menu", "digits", key) for key, target in menu["digits"].items()]
        return chosen + _otherwise(name, "menu", menu.get("otherwise"))
    if "ask" in step:
        ask = step["ask"]
        return [_arrow(name, ask["next"], "answered", "ask", "next"), *_otherwise(name, "ask", ask.get("otherwise"))]
    if "record" in step:
        silent = _otherwise(name, "record", step["record"].get("otherwise"))
        return [_arrow(name, step["next"], "recorded", "next"), *silent]
    return [Arrow(("steps", name, "next"), step["next"], silent=True)] if "next" in step else []


def all_arrows(steps: Mapping[str, FlowStep]) -> dict[str, list[Arrow]]:
    """The ways from each of STEPS, by its name."""
    return {name: arrows(name, step) for name, step in steps.items()}


def reachable(starts: Iterable[str], ways: Mapping[str, list[Arrow]]) -> set[str]:
    """The names of the steps to which a call may come that begins at one of STARTS, by the WAYS from each step."""
    found = set(starts) & ways.keys()
    waiting = list(found)
    while waiting:
        targets = {way.target for way in ways[waiting.pop()]} & ways.keys()
        waiting += targets - found
        found |= targets
    return found


def silent_loops(ways: Mapping[str, list[Arrow]]) -> Iterator[list[Arrow]]:
    """The rounds in which a call goes for ever if the person does nothing, each once.

    From a step one way at the most is silent, so a walk either ends or comes back to where it was.
    """
    silent = {name: way for name, those in ways.items() for way in those if way.silent}
    done: set[str] = set()
    for start in silent:
        walked: dict[str, Arrow] = {}
        name = start
        while name in silent and name not in done:
            done.add(name)
            walked[name] = silent[name]
            name = silent[name].target
        if name in walked:
            names = list(walked)
            yield [walked[one] for one in names[names.index(name) :]]


def _arrow(name: str, target: str, label: str, *place: str) -> Arrow:
    return Arrow(("steps", name, *place), target, silent=False, label=label)


def _otherwise(name: str, verb: str, target: str | None) -> list[Arrow]:
    return (
        [] if target is None else [Arrow(("steps", name, verb, "otherwise"), target, silent=True, label="otherwise")]
    )
