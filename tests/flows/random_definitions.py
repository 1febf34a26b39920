"""Random definitions of call flows: right ones, and ways to break one, each of which tells what it broke."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from scfm.schemas import InstancePath
from scfm.twiml.definition import MAX_DEFINITION_BYTES, MAX_STEPS
from scfm.twiml.definition_checks import Known

LANGUAGES = ("km", "en", "fr", "so", "en-GB")
AUDIO = ("flood-km", "flood-en", "all clear")
ALLOWED = ("+85512345678", "1294")
KNOWN = Known(audio=AUDIO, dial_allow_list=ALLOWED)

KINDS = ("menu", "ask", "record", "dial", "next", "hang_up")
KEYS = "0123456789*#"


class RandomDefinition:
    """A definition that is right, of up to ``steps`` steps.

    Each new step is put where a step before it has a way to give. Ways that a call goes if nobody presses anything
    lead to new steps, or to the end, so no call goes round for ever.
    """

    def __init__(self, random: Random, steps: int) -> None:
        self.random = random
        self.languages = random.sample(LANGUAGES, random.randint(1, 3))
        self.steps: dict[str, Any] = {}
        self.answers: list[str] = []
        # Where a target is still to be put, and whether the way to it is a silent one.
        self.open: list[tuple[dict[str, Any], str, bool]] = []
        start = self._step("menu" if steps > 1 else "hang_up", first=True)
        while self.open and len(self.steps) < steps - 1:
            holder, key, _ = self.open.pop(random.randrange(len(self.open)))
            # The last open way goes on, or the flow would be at its end.
            kind = random.choice(KINDS if self.open else KINDS[:1])
            holder[key] = self._step(kind)
        if self.open:
            self._close()
        self.value = {"languages": self.languages, "start": start, "steps": self.steps, "examples": self._examples()}
        if random.random() < 0.5:
            self.value["language_from"] = random.choice(["metadata.language", "metadata.person.tongue"])

    def _close(self) -> None:
        """Give the open ways their targets: the end, or for keys whichever step there is."""
        end = self._name()
        self.steps[end] = {"hang_up": True}
        names = list(self.steps)
        for holder, key, silent in self.open:
            holder[key] = end if silent or self.random.random() < 0.5 else self.random.choice(names)
        # One way at least leads to it.
        holder, key, _ = self.open[0]
        holder[key] = end

    def _name(self) -> str:
        return f"{self.random.choice(['ask', 'end', 'a.b', 'S-1', '_'])}{len(self.steps)}"

    def _step(self, kind: str, *, first: bool = False) -> str:
        name = self._name()
        step: dict[str, Any] = {}
        self.steps[name] = step
        if first or self.random.random() < 0.8:
            step.update(self._prompt(every_language=first))
        for note in ("acknowledge", "opt_out"):
            if self.random.random() < 0.1:
                step[note] = True
        if self.random.random() < 0.2:
            step["set"] = {self._answer(): self.random.choice([True, False, 0, -3, 2.5, "yes", ""])}
        getattr(self, f"_{kind}")(step)
        return name

    def _prompt(self, *, every_language: bool) -> dict[str, Any]:
        chosen = self.languages if every_language else self.random.sample(self.languages, 1)
        if self.random.random() < 0.5:
            return {"say": {language: self._text() for language in chosen}}
        prompt: dict[str, Any] = {"play": {language: self._audio() for language in chosen}}
        if self.random.random() < 0.5:
            prompt["or_say"] = {self.random.choice(self.languages): self._text()}
        return prompt

    def _text(self) -> str:
        names = ["{contact.msisdn}", "{contact.metadata.a.b}", "{callout.metadata.river}", "{{", "}"]
        names += [f"{{answers.{name}}}" for name in self.answers[-2:]]
        words = ["Flood", "ទឹកជំនន់", "warning", "<b>", "&", "press 1", *names]
        return " ".join(self.random.choices(words, k=self.random.randint(1, 12)))

    def _audio(self) -> str | list[str]:
        found = [f"audio:{name}" for name in AUDIO] + ["https://example.org/a.wav"]
        if self.random.random() < 0.2:
            return self.random.choices(found, k=self.random.randint(1, 10))
        return self.random.choice(found)

    def _answer(self) -> str:
        if self.answers and (len(self.answers) == 90 or self.random.random() < 0.3):
            return self.random.choice(self.answers)
        self.answers.append(f"answer-{len(self.answers)}")
        return self.answers[-1]

    def _menu(self, step: dict[str, Any]) -> None:
        length = self.random.choice([1, 1, 1, 2])
        keys = {"".join(self.random.choices(KEYS, k=length)) for _ in range(self.random.randint(1, 5))}
        menu: dict[str, Any] = {"digits": dict.fromkeys(keys, "")}
        step["menu"] = menu
        self._times(menu)
        if self.random.random() < 0.5:
            menu["as"] = self._answer()
        self.open += [(menu["digits"], key, False) for key in keys]

    def _ask(self, step: dict[str, Any]) -> None:
        most = self.random.randint(1, 32)
        ask = {"as": self._answer(), "max_digits": most, "min_digits": self.random.randint(1, most), "next": ""}
        if self.random.random() < 0.3:
            ask["finish_on_key"] = self.random.choice([*KEYS, ""])
        step["ask"] = ask
        self._times(ask)
        self.open.append((ask, "next", False))

    def _record(self, step: dict[str, Any]) -> None:
        step["record"] = {"as": self._answer(), "max_seconds": self.random.randint(1, 3600)}
        step["next"] = ""
        self.open.append((step, "next", False))
        self._otherwise(step["record"])

    def _dial(self, step: dict[str, Any]) -> None:
        step["dial"] = self.random.choice(ALLOWED)
        if self.random.random() < 0.5:
            self._next(step)

    def _next(self, step: dict[str, Any]) -> None:
        step["next"] = ""
        self.open.append((step, "next", True))

    def _hang_up(self, step: dict[str, Any]) -> None:
        step["hang_up"] = True

    def _times(self, question: dict[str, Any]) -> None:
        if self.random.random() < 0.5:
            question["repeat"] = self.random.randint(1, 5)
        if self.random.random() < 0.5:
            question["timeout"] = self.random.randint(1, 120)
        self._otherwise(question)

    def _otherwise(self, question: dict[str, Any]) -> None:
        if self.random.random() < 0.5:
            question["otherwise"] = ""
            self.open.append((question, "otherwise", True))

    def _examples(self) -> list[dict[str, Any]]:
        items: list[Any] = ["1", "12#", None, {"say": "yes"}, {"record": 2.5}, {"hang_up": True}]
        return [
            {
                "language": self.random.choice(LANGUAGES),
                "callee": self.random.choices(items, k=self.random.randint(0, 4)),
                "contact": {"msisdn": "+85512345678", "metadata": {"a": {"b": [1, None]}}},
                "hears": ["Flood"],
                "acknowledged": self.random.random() < 0.5,
            }
            for _ in range(self.random.randint(0, 2))
        ]


def right_definition(random: Random, steps: int | None = None) -> dict[str, Any]:
    """A definition without errors; with STEPS, of that many."""
    return RandomDefinition(random, steps or random.choice([1, 2, 3, 5, 8, 20, 60])).value


# Ways to break a definition: each changes it, and gives the place; None where the definition has nothing to break so.

Break = Callable[[Random, dict[str, Any]], InstancePath | None]


def _chosen_step(random: Random, definition: dict[str, Any], *needed: str) -> str | None:
    names = [name for name, step in definition["steps"].items() if all(key in step for key in needed)]
    return random.choice(names) if names else None


def misspell_start(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    definition["start"] = random.choice(["nowhere", "", "__proto__"])
    return ("start",)


def misspell_a_target(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "menu")
    if name is None:
        return None
    digits = definition["steps"][name]["menu"]["digits"]
    key = random.choice(list(digits))
    digits[key] = "nowhere"
    return ("steps", name, "menu", "digits", key)


def add_an_unreachable_step(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    definition["steps"]["island"] = {"say": {definition["languages"][0]: "Hello?"}, "hang_up": True}
    return ("steps", "island")


def go_round(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "hang_up")
    if name is None:
        return None
    del definition["steps"][name]["hang_up"]
    definition["steps"][name]["next"] = name
    return ("steps", name, "next")


def go_back_if_silent(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "menu")
    if name is None:
        return None
    definition["steps"][name]["menu"]["otherwise"] = name
    return ("steps", name, "menu", "otherwise")


def add_a_silent_language(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    definition["languages"].append("my")
    return ("languages", len(definition["languages"]) - 1)


def say_it_in_an_unknown_language(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "say")
    if name is None:
        return None
    definition["steps"][name]["say"]["lo"] = "Hello"
    return ("steps", name, "say", "lo")


def play_an_unknown_file(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "play")
    if name is None:
        return None
    step = definition["steps"][name]
    step.pop("or_say", None)
    language = random.choice(list(step["play"]))
    step["play"][language] = "audio:Flood-km"
    return ("steps", name, "play", language)


def name_what_is_not(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "say")
    if name is None:
        return None
    wrong = ["contact", "contact.name", "contact.metadata", "callout.id", "answers.nobody", "answers.a.b", "", " x"]
    language = random.choice(list(definition["steps"][name]["say"]))
    definition["steps"][name]["say"][language] += f" {{{random.choice(wrong)}}}"
    return ("steps", name, "say", language)


def leave_a_brace_open(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "say")
    if name is None:
        return None
    language = random.choice(list(definition["steps"][name]["say"]))
    definition["steps"][name]["say"][language] += " {contact.msisdn"
    return ("steps", name, "say", language)


def say_too_much(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "say")
    if name is None:
        return None
    language = random.choice(list(definition["steps"][name]["say"]))
    definition["steps"][name]["say"][language] = "ក" * 1366
    return ("steps", name, "say", language)


def hide_a_key(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "menu")
    if name is None:
        return None
    digits = definition["steps"][name]["menu"]["digits"]
    key = random.choice(list(digits))
    longer = key + random.choice(KEYS)
    digits[longer] = digits[key]
    return ("steps", name, "menu", "digits", longer)


def dial_another(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "dial")
    if name is None:
        return None
    definition["steps"][name]["dial"] = "+85512345679"
    return ("steps", name, "dial")


def ask_for_more_than_is_taken(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "ask")
    if name is None:
        return None
    definition["steps"][name]["ask"].update(min_digits=9, max_digits=8)
    return ("steps", name, "ask", "min_digits")


def say_and_play(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "play")
    if name is None:
        return None
    definition["steps"][name]["say"] = {definition["languages"][0]: "Hello"}
    return ("steps", name, "say")


def set_a_number_that_is_too_large(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "set")
    if name is None:
        return None
    definition["steps"][name]["set"]["large"] = random.choice([1 << 53, -(1 << 60), 1e300])
    return ("steps", name, "set", "large")


def follow_with_two(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    name = _chosen_step(random, definition, "menu")
    if name is None:
        return None
    definition["steps"][name]["hang_up"] = True
    return ("steps", name, "hang_up")


def have_too_many_steps(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    language = definition["languages"][0]
    first, *_ = names = [f"more{number}" for number in range(MAX_STEPS)]
    for name, then in zip(names, [*names[1:], None], strict=True):
        end: dict[str, Any] = {"hang_up": True} if then is None else {"next": then}
        definition["steps"][name] = {"say": {language: "More."}, **end}
    definition["steps"]["all"] = {"menu": {"digits": {"1": first, "2": definition["start"]}}}
    definition["start"] = "all"
    return ("steps",)


def be_too_large(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    filler = {"callee": [], "callout": {"metadata": {"x": "x" * MAX_DEFINITION_BYTES}}}
    definition["examples"].append(filler)
    return ("examples",)


def put_null(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    path = random.choice([path for path in _nodes(definition) if path])
    _holder(definition, path)[path[-1]] = None
    return path


def take_away_what_is_required(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    required: list[InstancePath] = [("languages",), ("start",), ("steps",)]
    for name, step in definition["steps"].items():
        required += [("steps", name, "menu", "digits")] * ("menu" in step)
        required += [("steps", name, "ask", "as"), ("steps", name, "ask", "next")] * ("ask" in step)
        required += [("steps", name, "record", "as"), ("steps", name, "next")] * ("record" in step)
    path = random.choice(required)
    del _holder(definition, path)[path[-1]]
    return path


def add_a_name_that_is_not_known(random: Random, definition: dict[str, Any]) -> InstancePath | None:
    objects = [path for path in _nodes(definition) if isinstance(_at(definition, path), dict)]
    path = random.choice(objects)
    _at(definition, path)["h lep"] = random.choice([True, "x", {}])
    return (*path, "h lep")


BREAKS: tuple[Break, ...] = (
    misspell_start,
    misspell_a_target,
    add_an_unreachable_step,
    go_round,
    go_back_if_silent,
    add_a_silent_language,
    say_it_in_an_unknown_language,
    play_an_unknown_file,
    name_what_is_not,
    leave_a_brace_open,
    say_too_much,
    hide_a_key,
    dial_another,
    ask_for_more_than_is_taken,
    say_and_play,
    set_a_number_that_is_too_large,
    follow_with_two,
    have_too_many_steps,
    be_too_large,
    put_null,
    take_away_what_is_required,
    add_a_name_that_is_not_known,
)


def _nodes(value: Any, path: InstancePath = ()) -> Iterator[InstancePath]:
    """The places in a definition, but for those where any JSON may be."""
    if path[-1:] == ("metadata",):
        return
    yield path
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            # null is silence there.
            if path[-1:] != ("callee",):
                yield from _nodes(inner, (*path, name))


def _at(value: Any, path: InstancePath) -> Any:
    for step in path:
        value = value[step]
    return value


def _holder(value: Any, path: InstancePath) -> Any:
    return _at(value, path[:-1])
