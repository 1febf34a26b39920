"""The diagram of a definition, in the language of Mermaid (https://mermaid.js.org/syntax/flowchart.html)."""

from __future__ import annotations

from scfm.twiml.definition import Definition, FlowStep
from scfm.twiml.definition_graph import Arrow, all_arrows
from scfm.twiml.definition_text import spoken

# Of a prompt, the characters that are shown.
MAX_SHOWN_PROMPT = 60
_OVER = "over"
# What Mermaid reads as something else than text, and its names of these characters.
_ENTITIES = str.maketrans({'"': "#quot;", "#": "#35;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"})
# The shapes of steps that ask, dial and end the call; the others are boxes.
_SHAPES = {
    "menu": ("{{", "}}"),
    "ask": ("[/", "/]"),
    "record": ("[/", "/]"),
    "dial": ("[[", "]]"),
    "hang_up": ("([", "])"),
}


def diagram(definition: Definition) -> str:
    """A flowchart of a definition that has been checked: a node a step, with what it says first, an arrow a way."""
    steps = definition["steps"]
    ways = all_arrows(steps)
    # Steps may have names that Mermaid keeps for itself.
    ids = {name: f"s{number}" for number, name in enumerate(steps)}
    lines = ["flowchart TD", f'    start(("start")) --> {ids[definition["start"]]}']
    lines += [f"    {ids[name]}{_node(name, step, definition['languages'][0])}" for name, step in steps.items()]
    for name, step in steps.items():
        labels: dict[str, list[str]] = {}
        for way in ways[name]:
            labels.setdefault(ids[way.target], []).append(way.label)
        if _may_end(step, ways[name]):
            labels.setdefault(_OVER, []).append("otherwise" if ways[name] else "")
        lines += [f"    {ids[name]} {_link(words)} {target}" for target, words in labels.items()]
    if any(line.endswith(f" {_OVER}") for line in lines):
        lines.append(f'    {_OVER}(("end of the call"))')
    return "\n".join(lines) + "\n"


def _may_end(step: FlowStep, ways: list[Arrow]) -> bool:
    """Whether a call may end after a step that does not say so."""
    return "hang_up" not in step and not any(way.silent for way in ways)


def _node(name: str, step: FlowStep, language: str) -> str:
    opening, closing = next((shape for verb, shape in _SHAPES.items() if verb in step), ("[", "]"))
    words = "<br/>".join(_text(line) for line in [name, *_shown_prompt(step, language), *_notes(step)])
    return f'{opening}"{words}"{closing}'


def _shown_prompt(step: FlowStep, language: str) -> list[str]:
    """The beginning of what is said or played first in LANGUAGE, else in whichever language there is."""
    prompt = step.get("say") or step.get("play")
    if not prompt:
        return []
    words = prompt.get(language) or next(iter(prompt.values()))
    text = words if isinstance(words, str) else ", ".join(words)
    return [text if len(text) <= MAX_SHOWN_PROMPT else f"{text[: MAX_SHOWN_PROMPT - 1]}…"]


def _notes(step: FlowStep) -> list[str]:
    lines = [f"{name} = {spoken(value)}" for name, value in step.get("set", {}).items()]
    lines += [note for note in ("acknowledge", "opt_out") if note in step]
    lines += [f"dial {step['dial']}"] if "dial" in step else []
    return lines


def _link(labels: list[str]) -> str:
    words = ", ".join(filter(None, labels))
    return f'-- "{_text(words)}" -->' if words else "-->"


def _text(text: str) -> str:
    return " ".join(text.translate(_ENTITIES).split())
