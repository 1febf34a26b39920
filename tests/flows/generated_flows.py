"""Definitions by chance, for hypothesis: each is one that may be published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from hypothesis import strategies as st

from scfm.twiml.definition import Definition

LANGUAGES = ("km", "en-GB", "fr")
AUDIO = {"flood": "/audio/aa.wav", "bye": "/audio/bb.mp3"}
ANSWERS = ("age", "key", "needs", "safe")
ALLOWED, NOT_ALLOWED = "+85523456789", "117"

texts = st.lists(
    st.sampled_from(
        [
            "Water is rising.",
            "\u1791\u17b9\u1780",
            "{{ <&> }}",
            "{contact.msisdn}",
            "{contact.metadata.district}",
            "{contact.metadata.none.there}",
            "{callout.metadata.river}",
            *(f"{{answers.{name}}}" for name in ANSWERS),
        ]
    ),
    min_size=1,
    max_size=4,
).map(" ".join)
played = st.sampled_from(["audio:flood", "audio:bye", "https://files.example/song.mp3"])
plays = played | st.lists(played, min_size=1, max_size=3)
noted = st.fixed_dictionaries(
    {},
    optional={
        "set": st.dictionaries(st.sampled_from(ANSWERS), st.sampled_from([True, 3, 0.5, "x"]), min_size=1),
        "acknowledge": st.just(True),
        "opt_out": st.just(True),
    },
)
repeats = st.fixed_dictionaries({}, optional={"repeat": st.integers(1, 3), "timeout": st.integers(1, 120)})


@st.composite
def prompts(draw: st.DrawFn, languages: Sequence[str], first: bool) -> dict[str, Any]:
    """What a step says or plays: in its first language in any case, and in all of them in the FIRST step."""
    others = st.just(set(languages)) if first else st.sets(st.sampled_from(languages))
    said = {one: draw(texts) for one in languages if one == languages[0] or one in draw(others)}
    if draw(st.booleans()):
        return {"say": said}
    return {
        "play": {one: draw(plays) for one in languages if one in draw(others) or one == languages[-1]},
        "or_say": said,
    }


@st.composite
def endings(draw: st.DrawFn, names: Sequence[str], later: Sequence[str]) -> dict[str, Any]:
    """What follows in a step: answers may lead to any of NAMES, silence to those of LATER alone: so it ends."""
    anywhere, onward = st.sampled_from(names), st.sampled_from(later)
    otherwise = draw(st.fixed_dictionaries({}, optional={"otherwise": onward}))
    kind = draw(st.sampled_from(["menu", "menu", "ask", "record", "dial", "next", "hang_up"]))
    if kind == "menu":
        keys = st.dictionaries(st.sampled_from(["1", "2", "9", "*", "#", "34"]), anywhere, min_size=1, max_size=4)
        named = st.fixed_dictionaries({}, optional={"as": st.just("key")})
        return {"menu": {"digits": draw(keys), **draw(named), **draw(repeats), **otherwise}}
    if kind == "ask":
        fewest = draw(st.integers(1, 3))
        lengths = {"min_digits": fewest, "max_digits": draw(st.integers(fewest, 5))}
        ends = draw(st.fixed_dictionaries({}, optional={"finish_on_key": st.sampled_from(["", "*", "1"])}))
        return {"ask": {"as": "age", **lengths, **ends, "next": draw(anywhere), **draw(repeats), **otherwise}}
    if kind == "record":
        return {"record": {"as": "needs", **otherwise}, "next": draw(anywhere)}
    if kind == "dial":
        return {"dial": draw(st.sampled_from([ALLOWED, NOT_ALLOWED])), "next": draw(onward)}
    return {"next": draw(onward)} if kind == "next" else {"hang_up": True}


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """A definition of a few steps, all of which can be reached."""
    languages = draw(st.lists(st.sampled_from(LANGUAGES), min_size=1, unique=True))
    names = [f"s{number}" for number in range(draw(st.integers(1, 6)))]
    steps: dict[str, Any] = {}
    for number, name in enumerate(names):
        ending = draw(endings([*names, "end"], [*names[number + 1 :], "end"]))
        steps[name] = {**draw(prompts(languages, number == 0)), **draw(noted), **ending}
    # A text may only name answers that some step gives.
    steps[names[0]].setdefault("set", {}).update(dict.fromkeys(ANSWERS, "?"))
    steps["end"] = {"hang_up": True}
    reached = reachable(steps, names[0])
    return cast(
        Definition,
        {
            "languages": languages,
            "start": names[0],
            "steps": {name: step for name, step in steps.items() if name in reached},
        },
    )


def reachable(steps: Mapping[str, Any], start: str) -> set[str]:
    """The steps to which a call can come."""
    reached, new = set[str](), [start]
    while new:
        name = new.pop()
        if name not in reached:
            reached.add(name)
            new.extend(targets(steps[name]))
    return reached


def targets(step: Mapping[str, Any]) -> list[str]:
    """The steps that a step leads to."""
    asked = step.get("menu") or step.get("ask") or step.get("record") or {}
    named = [step.get("next"), asked.get("next"), asked.get("otherwise"), *asked.get("digits", {}).values()]
    return [name for name in named if name is not None]
