"""The table of what has been measured, and what follows from it, as markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.measure import Figure, median, spread

BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
HEAD = ("what", "contacts", "measured", "beside", "ratio (least to most)", "goal", "loop, ms", "on")
SMALL = 10_000
LARGE = 1_000_000
GROWING = ("operations", "draining")


def text(found: dict[str, Any]) -> str:
    """The machine, and a table of everything that has been measured on it."""
    if not found["figures"]:
        return "Nothing has been measured yet: `make bench`."
    rows = [_row(entry) for entry in _ordered([*found["figures"], *_growth(found["figures"])])]
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{_machine(found['machine'])}\n\n{table}\n\n{_limit(found['figures'])}".rstrip()


def fill(document: Path, measured: str) -> None:
    """Put it between the marks of the document; ValueError where it has none."""
    before, begin, rest = document.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{document} lacks {BEGIN} and {END}")
    document.write_text(f"{before}{BEGIN}\n{measured}\n{END}{after}")


def _machine(machine: dict[str, Any]) -> str:
    noise = machine["noise"]
    loops = [f"{one['loop_ms']['min']:.1f}–{one['loop_ms']['max']:.1f}" for one in noise.values()]
    load = " and ".join(f"{one['loadavg'][0]:.2f}" for one in noise.values())
    return (
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_mb'] / 1000:.1f} GB, {machine['system']}, "
        f"Python {machine['python']}. A loop that is always the same took {' ms before and '.join(loops)} ms after "
        f"the last run; the load was {load}."
    )


def _ordered(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Benchmark by benchmark, each thing at its sizes one after the other."""
    benchmarks = list(dict.fromkeys(entry["benchmark"] for entry in entries))
    names = list(dict.fromkeys(entry["name"] for entry in entries))
    return sorted(
        entries,
        key=lambda entry: (benchmarks.index(entry["benchmark"]), names.index(entry["name"]), entry["size"] or 0),
    )


def _row(entry: dict[str, Any]) -> list[str]:
    figure = Figure.from_json(entry)
    beside = f"{figure.limit}: {median(figure.limit_runs):,.4g}" if figure.limit_runs else ""
    ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
    if len(figure.ratios) > 1:
        ratio += f" ({min(figure.ratios):.2f} to {max(figure.ratios):.2f})"
    loop = entry["noise"]["loop_ms"] if "noise" in entry else None
    noise = f"{loop['min']:.1f} to {loop['max']:.1f}" if loop else ""
    goal = f"{figure.goal} {'✓' if figure.met else '✗'}" if figure.goal else ""
    size = f"{figure.size:,}" if figure.size else ""
    runs = f"n={len(figure.runs)}" if figure.ratios or len(figure.runs) == 1 else spread(figure.runs)
    measured = f"{figure.value:,.4g} {figure.unit}".strip() + f" ({runs})"
    return [figure.name, size, measured, beside, ratio, goal, noise, entry["at"]]


def paced(entries: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rates of the steps whose cost an item must not grow."""
    for entry in entries:
        if entry["benchmark"] in GROWING and entry["unit"].endswith("/s"):
            yield entry


def _growth(entries: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What an item costs at the largest size, beside what it costs at 10,000."""
    rates = {(entry["name"], entry["size"]): entry for entry in paced(entries)}
    for (name, size), large in rates.items():
        small = rates.get((name, SMALL))
        if size != LARGE or small is None:
            continue
        runs = tuple(1e6 / rate for rate in large["runs"])
        together = small.get("run") == large.get("run")
        limit = tuple(1e6 / rate for rate in (small["runs"] if together else [small["value"]]))
        cost = Figure(f"{name}, cost an item", "µs", runs, size, f"at {SMALL:,}", limit, "≤ 1.15")
        yield {**results.entry("growth", cost), "at": large["at"]}


def _limit(entries: Sequence[dict[str, Any]]) -> str:
    """Which part was the limit of the largest whole callout, if one has been run."""
    whole = [entry for entry in entries if entry["benchmark"] == "callout" and "steps" in entry["details"]]
    if not whole:
        return ""
    size = max(entry["size"] for entry in whole)
    details = next(entry["details"] for entry in whole if entry["size"] == size)
    calling = details["steps"]["call"]
    rates = {name: size / calling["seconds"] / max(cores, 0.001) for name, cores in calling["cores"].items()}
    pace = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
    return (
        f"The whole callout of {size:,}, and how many cores each part used:\n\n{_steps(details)}\n\n"
        f"While people were called, it was the {details['busiest']} that computed most. With a core of its own, and "
        f"nothing else in its way, each part could take so many whole calls a second, webhooks and all: {pace}."
    )


def _steps(details: dict[str, Any]) -> str:
    parts = list(details["steps"]["call"]["cores"])
    lines = [["step", "seconds", *parts], ["---"] * (2 + len(parts))]
    for name, step in details["steps"].items():
        lines.append([name, f"{step['seconds']:.1f}", *(f"{step['cores'][part]:.2f}" for part in parts)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
